/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

/* The first allocation; small enough to be no waste, if max allows it. */
#define FIRST_CAP 256u

void
cn_buf_init(struct cn_buf *buf, size_t max)
{
	*buf = (struct cn_buf){ .max = max };
}

void
cn_buf_fini(struct cn_buf *buf)
{
	if (buf->data != NULL) {
		cn_free(buf->data - buf->gone);
	}
	cn_buf_init(buf, buf->max);
}

/* Move the content to the begin of the memory. */
static void
compact(struct cn_buf *buf)
{
	uint8_t *base;

	if (buf->gone == 0) {
		return;
	}
	base = buf->data - buf->gone;
	memmove(base, buf->data, buf->len);
	buf->data = base;
	buf->cap += buf->gone;
	buf->gone = 0;
}

int
cn_buf_reserve(struct cn_buf *buf, size_t n)
{
	size_t want, cap;
	uint8_t *data;

	if (n <= buf->cap - buf->len && n <= buf->max - buf->len) {
		return CN_OK;
	}
	if (n > buf->max - buf->len) {
		return CN_ELIMIT;
	}
	want = buf->len + n;
	/*
	 * Moving is paid for by the bytes consumed before it as long as they
	 * are not fewer than those that move.
	 */
	if (want <= buf->cap + buf->gone && buf->gone >= buf->len) {
		compact(buf);
		return CN_OK;
	}
	cap = CN_MAX(buf->cap, FIRST_CAP);
	while (cap < want) {
		cap = cap > buf->max / 2 ? buf->max : cap * 2;
	}
	cap = CN_MIN(cap, buf->max);
	if (cap <= buf->cap + buf->gone) {
		/* It has the room and may not grow: nothing but moving. */
		compact(buf);
		return CN_OK;
	}
	compact(buf);
	data = cn_realloc(buf->data, cap);
	if (data == NULL) {
		return CN_ENOMEM;
	}
	buf->data = data;
	buf->cap = cap;
	return CN_OK;
}

void
cn_buf_commit(struct cn_buf *buf, size_t n)
{
	assert(n <= buf->cap - buf->len && n <= buf->max - buf->len);
	buf->len += n;
}

int
cn_buf_append(struct cn_buf *buf, const void *data, size_t n)
{
	int rc;

	if (n == 0) {
		return CN_OK;
	}
	rc = cn_buf_reserve(buf, n);
	if (rc != CN_OK) {
		return rc;
	}
	memcpy(buf->data + buf->len, data, n);
	buf->len += n;
	return CN_OK;
}

int
cn_buf_printf(struct cn_buf *buf, const char *fmt, ...)
{
	va_list args;
	int rc;

	va_start(args, fmt);
	rc = cn_buf_vprintf(buf, fmt, args);
	va_end(args);
	return rc;
}

int
cn_buf_vprintf(struct cn_buf *buf, const char *fmt, va_list args)
{
	va_list again;
	size_t room = buf->cap - buf->len;
	int n, rc;

	/* Most texts fit at the first try. */
	va_copy(again, args);
	n = vsnprintf(
	    room == 0 ? NULL : (char *)buf->data + buf->len, room, fmt, again);
	va_end(again);
	if (n < 0) {
		return CN_EINVAL;
	}
	if ((size_t)n >= room) {
		rc = cn_buf_reserve(buf, (size_t)n + 1);
		if (rc != CN_OK) {
			return rc;
		}
		(void)vsnprintf(
		    (char *)buf->data + buf->len, (size_t)n + 1, fmt, args);
	}
	buf->len += (size_t)n;
	return CN_OK;
}

void
cn_buf_clear(struct cn_buf *buf)
{
	cn_buf_consume(buf, buf->len);
}

void
cn_buf_consume(struct cn_buf *buf, size_t n)
{
	assert(n <= buf->len);
	if (n == 0) {
		return;
	}
	buf->data += n;
	buf->len -= n;
	buf->cap -= n;
	buf->gone += n;
	if (buf->len == 0) {
		compact(buf);
	}
}
