/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/text.h"

#include "wire/cursor.h"

/* Bytes of the sequence that begins with this byte; 0: none does. */
static size_t
sequence_len(uint8_t first)
{
	if (first < 0x80u) {
		return 1;
	}
	if (first >= 0xc2u && first < 0xe0u) {
		return 2;
	}
	if (first >= 0xe0u && first < 0xf0u) {
		return 3;
	}
	return first >= 0xf0u && first < 0xf5u ? 4 : 0;
}

/* The code point of n bytes, n >= 2; 0 when it is none or too long a form. */
static uint32_t
code_point(const uint8_t *p, size_t n)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t v = p[0] & (0x7fu >> n);

	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0u) != 0x80u) {
			return 0;
		}
		v = v << 6 | (p[i] & 0x3fu);
	}
	if (v < least[n] || v > 0x10ffffu || (v >= 0xd800u && v < 0xe000u)) {
		return 0;
	}
	return v;
}

bool
cn_text_is_clean(const uint8_t *text, size_t len)
{
	size_t at = 0;

	while (at < len) {
		size_t n = sequence_len(text[at]);

		if (n == 0 || n > len - at) {
			return false;
		}
		if (n == 1) {
			if (text[at] < 0x20u || text[at] == 0x7fu) {
				return false;
			}
		} else if (code_point(text + at, n) < 0xa0u) {
			return false;
		}
		at += n;
	}
	return true;
}

bool
cn_tlv_next(struct cn_cursor *in, struct cn_tlv *ret)
{
	struct cn_tlv tlv;

	if (cn_cursor_remaining(in) == 0) {
		return false;
	}
	tlv.type = cn_cursor_varint(in);
	tlv.len = cn_cursor_varint(in);
	tlv.data = cn_cursor_bytes(in, tlv.len);
	if (cn_cursor_failed(in)) {
		return false;
	}
	*ret = tlv;
	return true;
}

bool
cn_tlv_is_list(const uint8_t *bytes, size_t len)
{
	struct cn_cursor in;
	struct cn_tlv tlv;
	uint64_t least = 0;

	cn_cursor_init(&in, bytes, len);
	while (cn_tlv_next(&in, &tlv)) {
		if (tlv.type < least) {
			return false;
		}
		least = tlv.type + 1;
	}
	return cn_cursor_is_finished(&in);
}
