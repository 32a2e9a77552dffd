/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/hello.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "wire/cursor.h"
#include "wire/text.h"
#include "wire/writer.h"

/* Bytes of the length in front. */
#define LENGTH_BYTES 2u

/* ---- encode ---- */

static void
encode_text(struct cn_writer *out, const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	assert(len <= max);
	cn_writer_varint(out, len);
	cn_writer_bytes(out, text, len);
}

static void
check_ranges(const struct cn_hello *hello)
{
	assert(hello->version_min >= 1);
	assert(hello->version_min <= hello->version_max);
	assert(hello->slot < CN_SLOTS_MAX);
	assert(hello->workers >= 1 && hello->workers <= CN_WORKERS_MAX);
	assert(hello->credit_floor >= CN_CREDIT_FLOOR_MIN);
	assert(hello->credit_floor <= CN_CREDIT_FLOOR_MAX);
	assert(hello->lanes <= CN_LANES_MAX);
	assert(hello->lane_window_log >= CN_LANE_WINDOW_LOG_MIN);
	assert(hello->lane_window_log <= CN_LANE_WINDOW_LOG_MAX);
	assert(hello->prefix_max <= CN_BATCH_PREFIX_MAX);
}

size_t
cn_hello_encode(uint8_t *out, size_t cap, const struct cn_hello *hello)
{
	struct cn_writer w;

	check_ranges(hello);
	cn_writer_init(&w, out, cap);
	cn_writer_u16(&w, 0);
	cn_writer_varint(&w, hello->version_min);
	cn_writer_varint(&w, hello->version_max);
	cn_writer_varint(&w, hello->status);
	cn_writer_varint(&w, hello->flags);
	cn_writer_u64(&w, hello->features);
	cn_writer_bytes(&w, hello->identity, CN_IDENTITY_BYTES);
	cn_writer_bytes(&w, hello->peer, CN_IDENTITY_BYTES);
	cn_writer_bytes(&w, hello->exporter, CN_EXPORTER_BYTES);
	cn_writer_bytes(&w, hello->boot_id, CN_BOOT_ID_BYTES);
	cn_writer_bytes(&w, hello->link_id, CN_LINK_ID_BYTES);
	cn_writer_varint(&w, hello->slot);
	cn_writer_varint(&w, hello->generation);
	cn_writer_varint(&w, hello->workers);
	cn_writer_varint(&w, hello->credit_floor);
	cn_writer_varint(&w, hello->lanes);
	cn_writer_varint(&w, hello->lane_window_log);
	cn_writer_varint(&w, hello->prefix_max);
	cn_writer_varint(&w, hello->streams_max);
	encode_text(&w, hello->name, CN_NAME_MAX);
	encode_text(&w, hello->text, CN_TEXT_MAX);
	if (cn_writer_failed(&w)) {
		return 0;
	}
	assert(cn_writer_len(&w) <= CN_HELLO_MAX);
	cn_be16_put(out, (uint16_t)(cn_writer_len(&w) - LENGTH_BYTES));
	return cn_writer_len(&w);
}

/* ---- decode ---- */

static uint32_t
decode_u32(struct cn_cursor *in, uint32_t min, uint32_t max)
{
	return (uint32_t)cn_cursor_varint_in(in, min, max);
}

/* @out  max + 1 bytes */
static void
decode_text(struct cn_cursor *in, char *out, size_t max)
{
	size_t len = cn_cursor_varint_in(in, 0, max);
	const uint8_t *text = cn_cursor_bytes(in, len);

	if (text == NULL || !cn_text_is_clean(text, len)) {
		cn_cursor_fail(in);
		return;
	}
	memcpy(out, text, len);
	out[len] = '\0';
}

static void
decode_fields(struct cn_cursor *in, struct cn_hello *hello)
{
	hello->version_min = decode_u32(in, 1, UINT32_MAX);
	hello->version_max = decode_u32(in, hello->version_min, UINT32_MAX);
	hello->status = decode_u32(in, 0, UINT32_MAX);
	hello->flags = decode_u32(in, 0, UINT32_MAX);
	hello->features = cn_cursor_u64(in);
	cn_cursor_copy(in, hello->identity, CN_IDENTITY_BYTES);
	cn_cursor_copy(in, hello->peer, CN_IDENTITY_BYTES);
	cn_cursor_copy(in, hello->exporter, CN_EXPORTER_BYTES);
	cn_cursor_copy(in, hello->boot_id, CN_BOOT_ID_BYTES);
	cn_cursor_copy(in, hello->link_id, CN_LINK_ID_BYTES);
	hello->slot = decode_u32(in, 0, CN_SLOTS_MAX - 1);
	hello->generation = cn_cursor_varint(in);
	hello->workers = decode_u32(in, 1, CN_WORKERS_MAX);
	hello->credit_floor =
	    decode_u32(in, CN_CREDIT_FLOOR_MIN, CN_CREDIT_FLOOR_MAX);
	hello->lanes = decode_u32(in, 0, CN_LANES_MAX);
	hello->lane_window_log =
	    decode_u32(in, CN_LANE_WINDOW_LOG_MIN, CN_LANE_WINDOW_LOG_MAX);
	hello->prefix_max = decode_u32(in, 0, CN_BATCH_PREFIX_MAX);
	hello->streams_max = cn_cursor_varint(in);
	decode_text(in, hello->name, CN_NAME_MAX);
	decode_text(in, hello->text, CN_TEXT_MAX);
}

int
cn_hello_decode(
    const uint8_t *bytes, size_t len, struct cn_hello *ret, size_t *used)
{
	struct cn_hello hello = { 0 };
	struct cn_cursor in;
	size_t rest;

	if (len < LENGTH_BYTES) {
		return CN_EAGAIN;
	}
	rest = cn_be16_get(bytes);
	if (rest > CN_HELLO_MAX - LENGTH_BYTES) {
		return CN_EPROTO;
	}
	if (len < LENGTH_BYTES + rest) {
		return CN_EAGAIN;
	}
	cn_cursor_init(&in, bytes + LENGTH_BYTES, rest);
	decode_fields(&in, &hello);
	if (cn_cursor_failed(&in)) {
		return CN_EPROTO;
	}
	/* What is left belongs to a later minor extension. */
	*ret = hello;
	*used = LENGTH_BYTES + rest;
	return CN_OK;
}

const char *
cn_close_name(uint64_t code)
{
	static const char *const names[] = {
		[CN_CLOSE_OK] = "ok",
		[CN_CLOSE_LINK_UNKNOWN] = "link-unknown",
		[CN_CLOSE_STALE] = "stale",
		[CN_CLOSE_VERSION] = "version",
		[CN_CLOSE_FEATURE] = "feature",
		[CN_CLOSE_IDENTITY] = "identity",
		[CN_CLOSE_PROTOCOL] = "protocol",
		[CN_CLOSE_LIMIT] = "limit",
		[CN_CLOSE_SHUTDOWN] = "shutdown",
		[CN_CLOSE_REPLACED] = "replaced",
		[CN_CLOSE_TIMEOUT] = "timeout",
		[CN_CLOSE_REMOVED] = "removed",
		[CN_CLOSE_INTERNAL] = "internal",
	};

	_Static_assert(CN_ARRAY_LEN(names) == CN_CLOSE_MAX, "each has a name");
	return code < CN_CLOSE_MAX ? names[code] : "unknown";
}
