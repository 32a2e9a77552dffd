/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_WIRE_WRITER_H
#define CN_WIRE_WRITER_H

/*
 * A sticky bounded writer of bytes: write everything, test once.
 *
 * A write that does not fit writes nothing and fails the writer; from then
 * on every write is dropped until cn_writer_rollback().
 *
 * Life:       a value on the stack or in a struct; borrows its memory.
 * Thread:     its caller's.
 * Invariants: len <= cap; bytes below len are whole writes.
 * Pure:       no I/O, no clock, no heap.
 */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wire/varint.h"

struct cn_writer {
	uint8_t *data; /* borrowed */
	size_t len;    /* bytes written */
	size_t cap;    /* bytes that data holds */
	bool is_failed;
};

/* Write into data of cap bytes (NULL only when cap is 0). */
static inline void
cn_writer_init(struct cn_writer *w, void *data, size_t cap)
{
	w->data = data;
	w->len = 0;
	w->cap = cap;
	w->is_failed = false;
}

static inline bool
cn_writer_ok(const struct cn_writer *w)
{
	return !w->is_failed;
}

static inline bool
cn_writer_failed(const struct cn_writer *w)
{
	return w->is_failed;
}

/* Bytes written so far. */
static inline size_t
cn_writer_len(const struct cn_writer *w)
{
	return w->len;
}

/* Bytes that still fit; 0 once failed. */
static inline size_t
cn_writer_room(const struct cn_writer *w)
{
	return w->is_failed ? 0 : w->cap - w->len;
}

/* A place to come back to. */
static inline size_t
cn_writer_mark(const struct cn_writer *w)
{
	return w->len;
}

/* Drop what was written since the mark; the writer is good again. */
static inline void
cn_writer_rollback(struct cn_writer *w, size_t mark)
{
	assert(mark <= w->len);
	w->len = mark;
	w->is_failed = false;
}

/*
 * n bytes of room, counted as written, for the caller to fill in.
 *
 * Returns NULL when they do not fit (the writer is failed then), or when n
 * is 0 and there is no memory at all.
 */
static inline uint8_t *
cn_writer_reserve(struct cn_writer *w, size_t n)
{
	uint8_t *p;

	if (w->is_failed || w->cap - w->len < n) {
		w->is_failed = true;
		return NULL;
	}
	p = w->data != NULL ? w->data + w->len : NULL;
	w->len += n;
	return p;
}

static inline void
cn_writer_bytes(struct cn_writer *w, const void *data, size_t n)
{
	uint8_t *p = cn_writer_reserve(w, n);

	if (p != NULL && n > 0) {
		memcpy(p, data, n);
	}
}

static inline void
cn_writer_u8(struct cn_writer *w, uint8_t v)
{
	uint8_t *p = cn_writer_reserve(w, 1);

	if (p != NULL) {
		p[0] = v;
	}
}

static inline void
cn_writer_u16(struct cn_writer *w, uint16_t v)
{
	uint8_t *p = cn_writer_reserve(w, 2);

	if (p != NULL) {
		cn_be16_put(p, v);
	}
}

static inline void
cn_writer_u32(struct cn_writer *w, uint32_t v)
{
	uint8_t *p = cn_writer_reserve(w, 4);

	if (p != NULL) {
		cn_be32_put(p, v);
	}
}

static inline void
cn_writer_u64(struct cn_writer *w, uint64_t v)
{
	uint8_t *p = cn_writer_reserve(w, 8);

	if (p != NULL) {
		cn_be64_put(p, v);
	}
}

/* The rest of cn_writer_varint(), for all but the one-byte form. */
void cn_writer_varint_long(struct cn_writer *w, uint64_t v);

/* A varint, v <= CN_VARINT_MAX, in its shortest form. */
static inline void
cn_writer_varint(struct cn_writer *w, uint64_t v)
{
	if (v < 0x40u && w->len < w->cap && !w->is_failed) {
		w->data[w->len++] = (uint8_t)v;
		return;
	}
	cn_writer_varint_long(w, v);
}

#endif /* CN_WIRE_WRITER_H */
