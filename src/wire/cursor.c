/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/cursor.h"

uint64_t
cn_cursor_varint_long(struct cn_cursor *c)
{
	const uint8_t *p = c->at;
	uint64_t v;
	size_t span;

	if (p == c->end) {
		cn_cursor_fail(c);
		return 0;
	}
	span = cn_varint_span(p[0]);
	if (cn_cursor_remaining(c) < span) {
		cn_cursor_fail(c);
		return 0;
	}
	v = cn_varint_get(p);
	if (cn_varint_size(v) != span) {
		cn_cursor_fail(c);
		return 0;
	}
	c->at += span;
	return v;
}
