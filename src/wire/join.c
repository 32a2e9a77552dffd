/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/join.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "wire/cursor.h"
#include "wire/text.h"
#include "wire/writer.h"

#define LENGTH_BYTES 2u

static void
encode_text(struct cn_writer *out, const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	assert(len <= max);
	cn_writer_varint(out, len);
	cn_writer_bytes(out, text, len);
}

static void
encode_fields(struct cn_writer *out, const struct cn_join *join)
{
	switch (join->type) {
	case CN_JOIN_PROOF:
		cn_writer_varint(out, join->version);
		cn_writer_bytes(out, join->id, CN_JOIN_ID_BYTES);
		cn_writer_bytes(out, join->proof, CN_JOIN_PROOF_BYTES);
		encode_text(out, join->name, CN_NAME_MAX);
		break;
	case CN_JOIN_WELCOME:
		cn_writer_bytes(out, join->proof, CN_JOIN_PROOF_BYTES);
		encode_text(out, join->name, CN_NAME_MAX);
		assert(join->offers_count <= CN_JOIN_OFFERS_MAX);
		cn_writer_varint(out, join->offers_count);
		for (uint32_t i = 0; i < join->offers_count; i++) {
			encode_text(out, join->offers[i], CN_NAME_MAX);
		}
		break;
	case CN_JOIN_READY:
	case CN_JOIN_WRITTEN:
		break;
	case CN_JOIN_REFUSED:
		cn_writer_varint(out, join->code);
		encode_text(out, join->text, CN_TEXT_MAX);
		break;
	}
}

size_t
cn_join_encode(uint8_t *out, size_t cap, const struct cn_join *join)
{
	struct cn_writer w;

	cn_writer_init(&w, out, cap);
	cn_writer_u16(&w, 0);
	cn_writer_u8(&w, (uint8_t)join->type);
	encode_fields(&w, join);
	if (cn_writer_failed(&w)) {
		return 0;
	}
	assert(cn_writer_len(&w) <= CN_JOIN_MESSAGE_MAX);
	cn_be16_put(out, (uint16_t)(cn_writer_len(&w) - LENGTH_BYTES));
	return cn_writer_len(&w);
}

/* @out  max + 1 bytes */
static void
decode_text(struct cn_cursor *in, char *out, size_t min, size_t max)
{
	size_t len = cn_cursor_varint_in(in, min, max);
	const uint8_t *text = cn_cursor_bytes(in, len);

	if (text == NULL || !cn_text_is_clean(text, len)) {
		cn_cursor_fail(in);
		return;
	}
	memcpy(out, text, len);
	out[len] = '\0';
}

static void
decode_fields(struct cn_cursor *in, struct cn_join *join)
{
	switch (join->type) {
	case CN_JOIN_PROOF:
		join->version =
		    (uint32_t)cn_cursor_varint_in(in, 1, UINT32_MAX);
		cn_cursor_copy(in, join->id, CN_JOIN_ID_BYTES);
		cn_cursor_copy(in, join->proof, CN_JOIN_PROOF_BYTES);
		decode_text(in, join->name, 1, CN_NAME_MAX);
		break;
	case CN_JOIN_WELCOME:
		cn_cursor_copy(in, join->proof, CN_JOIN_PROOF_BYTES);
		decode_text(in, join->name, 1, CN_NAME_MAX);
		join->offers_count =
		    (uint32_t)cn_cursor_varint_in(in, 0, CN_JOIN_OFFERS_MAX);
		for (uint32_t i = 0; i < join->offers_count; i++) {
			decode_text(in, join->offers[i], 1, CN_NAME_MAX);
		}
		break;
	case CN_JOIN_READY:
	case CN_JOIN_WRITTEN:
		break;
	case CN_JOIN_REFUSED:
		join->code = (uint32_t)cn_cursor_varint_in(in, 1, UINT32_MAX);
		decode_text(in, join->text, 0, CN_TEXT_MAX);
		break;
	default:
		cn_cursor_fail(in);
		break;
	}
}

int
cn_join_decode(
    const uint8_t *bytes, size_t len, struct cn_join *ret, size_t *used)
{
	struct cn_join join = { 0 };
	struct cn_cursor in;
	size_t rest;

	if (len < LENGTH_BYTES) {
		return CN_EAGAIN;
	}
	rest = cn_be16_get(bytes);
	if (rest > CN_JOIN_MESSAGE_MAX - LENGTH_BYTES) {
		return CN_EPROTO;
	}
	if (len < LENGTH_BYTES + rest) {
		return CN_EAGAIN;
	}
	cn_cursor_init(&in, bytes + LENGTH_BYTES, rest);
	join.type = (enum cn_join_type)cn_cursor_u8(&in);
	decode_fields(&in, &join);
	if (cn_cursor_failed(&in)) {
		return CN_EPROTO;
	}
	*ret = join;
	*used = LENGTH_BYTES + rest;
	return CN_OK;
}

const char *
cn_join_code_name(uint32_t code)
{
	static const char *const names[CN_JOIN_CODE_MAX] = {
		[CN_JOIN_CODE_OK] = "ok",
		[CN_JOIN_CODE_UNKNOWN] = "unknown",
		[CN_JOIN_CODE_PROOF] = "proof",
		[CN_JOIN_CODE_BUSY] = "busy",
		[CN_JOIN_CODE_CONFIG] = "config",
		[CN_JOIN_CODE_WRITE] = "write",
		[CN_JOIN_CODE_VERSION] = "version",
		[CN_JOIN_CODE_PROTOCOL] = "protocol",
		[CN_JOIN_CODE_INTERNAL] = "internal",
	};

	return code < CN_JOIN_CODE_MAX ? names[code] : "later";
}
