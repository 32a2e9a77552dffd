/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_WIRE_CURSOR_H
#define CN_WIRE_CURSOR_H

/*
 * A sticky reader of bytes: read everything, test once.
 *
 * A read past the end, or of an illegal value, fails the cursor; from then
 * on every read gives 0 or NULL and nothing is left.
 *
 * Life:       a value on the stack; borrows the bytes it reads.
 * Thread:     its caller's.
 * Invariants: at <= end; is_failed implies at == end.
 * Pure:       no I/O, no clock, no heap.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wire/varint.h"

struct cn_cursor {
	const uint8_t *at;  /* borrowed; the next byte */
	const uint8_t *end; /* borrowed; behind the last byte */
	bool is_failed;
};

/* Read len bytes from data (NULL only when len is 0). */
static inline void
cn_cursor_init(struct cn_cursor *c, const void *data, size_t len)
{
	static const uint8_t nothing[1];

	c->at = len > 0 ? data : nothing;
	c->end = c->at + len;
	c->is_failed = false;
}

/* No read has failed so far. */
static inline bool
cn_cursor_ok(const struct cn_cursor *c)
{
	return !c->is_failed;
}

static inline bool
cn_cursor_failed(const struct cn_cursor *c)
{
	return c->is_failed;
}

/* Bytes not yet read; 0 once failed. */
static inline size_t
cn_cursor_remaining(const struct cn_cursor *c)
{
	return (size_t)(c->end - c->at);
}

/* Every byte was read and no read failed. */
static inline bool
cn_cursor_is_finished(const struct cn_cursor *c)
{
	return c->at == c->end && !c->is_failed;
}

/* Fail from outside: what was read makes no sense. */
static inline void
cn_cursor_fail(struct cn_cursor *c)
{
	c->at = c->end;
	c->is_failed = true;
}

/*
 * Take n bytes.  Borrowed from the input; NULL on failure, never NULL on
 * success (n may be 0).
 */
static inline const uint8_t *
cn_cursor_bytes(struct cn_cursor *c, size_t n)
{
	const uint8_t *p = c->at;

	if (cn_cursor_remaining(c) < n || c->is_failed) {
		cn_cursor_fail(c);
		return NULL;
	}
	c->at += n;
	return p;
}

/* Take n bytes into out; zeroes them on failure. */
static inline void
cn_cursor_copy(struct cn_cursor *c, void *out, size_t n)
{
	const uint8_t *p = cn_cursor_bytes(c, n);

	if (p != NULL) {
		memcpy(out, p, n);
	} else {
		memset(out, 0, n);
	}
}

static inline void
cn_cursor_skip(struct cn_cursor *c, size_t n)
{
	(void)cn_cursor_bytes(c, n);
}

static inline uint8_t
cn_cursor_u8(struct cn_cursor *c)
{
	const uint8_t *p = cn_cursor_bytes(c, 1);

	return p != NULL ? p[0] : 0;
}

static inline uint16_t
cn_cursor_u16(struct cn_cursor *c)
{
	const uint8_t *p = cn_cursor_bytes(c, 2);

	return p != NULL ? cn_be16_get(p) : 0;
}

static inline uint32_t
cn_cursor_u32(struct cn_cursor *c)
{
	const uint8_t *p = cn_cursor_bytes(c, 4);

	return p != NULL ? cn_be32_get(p) : 0;
}

static inline uint64_t
cn_cursor_u64(struct cn_cursor *c)
{
	const uint8_t *p = cn_cursor_bytes(c, 8);

	return p != NULL ? cn_be64_get(p) : 0;
}

/* The rest of cn_cursor_varint(), for all but the one-byte form. */
uint64_t cn_cursor_varint_long(struct cn_cursor *c);

/* A varint; fails when it is not in its shortest form. */
static inline uint64_t
cn_cursor_varint(struct cn_cursor *c)
{
	if (c->at < c->end && c->at[0] < 0x40u) {
		return *c->at++;
	}
	return cn_cursor_varint_long(c);
}

/* A varint of min..max; fails outside. */
static inline uint64_t
cn_cursor_varint_in(struct cn_cursor *c, uint64_t min, uint64_t max)
{
	uint64_t v = cn_cursor_varint(c);

	if (v < min || v > max) {
		cn_cursor_fail(c);
		return 0;
	}
	return v;
}

#endif /* CN_WIRE_CURSOR_H */
