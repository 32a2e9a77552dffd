/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BASE_BUF_H
#define CN_BASE_BUF_H

/*
 * A growable run of bytes with a cap from birth.
 *
 * Life:       init and fini by whoever embeds it; no memory while empty
 *             and never used.
 * Invariants: len <= cap, len <= max; data[len..cap) may be written and then
 *             taken in by cn_buf_commit().
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct cn_buf {
	uint8_t *data; /* owned, with the `gone' bytes before it */
	size_t len;    /* bytes held */
	size_t cap;    /* bytes from data to the end of the memory */
	size_t max;    /* most bytes ever held */
	size_t gone;   /* bytes consumed in front of data */
};

void cn_buf_init(struct cn_buf *buf, size_t max);
/* Give the memory back; empty and usable after. */
void cn_buf_fini(struct cn_buf *buf);

/*
 * Make room for n more bytes; pointers into the buffer break.
 *
 * Returns CN_OK; CN_ELIMIT when len + n would pass max; CN_ENOMEM.  The
 * content stays on failure.
 */
int cn_buf_reserve(struct cn_buf *buf, size_t n) CN_MUSTCHECK;
/* So many bytes were written at data + len; n <= cap - len. */
void cn_buf_commit(struct cn_buf *buf, size_t n);

/* Add bytes, not of this buffer; errors as cn_buf_reserve(). */
int cn_buf_append(struct cn_buf *buf, const void *data, size_t n) CN_MUSTCHECK;

/*
 * Add formatted text.  A NUL stands after it and is not counted in len.
 * Errors as cn_buf_reserve(), or CN_EINVAL for a bad format; all or nothing.
 */
int cn_buf_printf(struct cn_buf *buf, const char *fmt, ...) CN_MUSTCHECK
    CN_PRINTF(2, 3);
int cn_buf_vprintf(struct cn_buf *buf, const char *fmt,
    va_list args) CN_MUSTCHECK CN_PRINTF(2, 0);

/* Forget the content, keep the memory. */
void cn_buf_clear(struct cn_buf *buf);
/* Drop n <= len bytes from the front; cheap. */
void cn_buf_consume(struct cn_buf *buf, size_t n);

#endif /* CN_BASE_BUF_H */
