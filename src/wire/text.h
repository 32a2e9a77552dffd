/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_WIRE_TEXT_H
#define CN_WIRE_TEXT_H

/*
 * Texts and options as several messages of the protocol carry them.
 *
 * Pure: no I/O, no clock, no heap.
 * Wire: doc/protocol.md, "Conventions".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cn_cursor;

/*
 * True when the bytes are UTF-8 (RFC 3629) without control characters
 * (U+0000..U+001F, U+007F..U+009F): safe to log and to show.
 */
bool cn_text_is_clean(const uint8_t *text, size_t len);

/* One {varint type, varint length, bytes}. */
struct cn_tlv {
	uint64_t type;
	const uint8_t *data; /* borrowed from the input */
	size_t len;
};

/*
 * The next TLV of a list.  False at the end of the input and when it is not
 * a TLV; the cursor has failed then.
 */
bool cn_tlv_next(struct cn_cursor *in, struct cn_tlv *ret);

/*
 * True when the bytes are a list of TLVs, types strictly ascending.  An empty
 * list is one.
 */
bool cn_tlv_is_list(const uint8_t *bytes, size_t len);

#endif /* CN_WIRE_TEXT_H */
