/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/block.h"

#include <assert.h>

#include "base/err.h"
#include "base/hash.h"
#include "wire/cursor.h"
#include "wire/text.h"
#include "wire/writer.h"

/* The byte of a batch's head: coding in the low half, flags in the high. */
#define CODING_MASK 0x0fu
#define FLAGS_SHIFT 4

/* ---- decode ---- */

/*
 * The kind and the length of what follows, as far as they are there.  Sets
 * *total to the bytes of the whole fragment, *inner to where the inner head
 * begins.
 */
static int
decode_outer(const uint8_t *bytes, size_t len, size_t *inner, size_t *total)
{
	uint64_t rest;
	size_t span;

	if (len == 0) {
		return CN_EAGAIN;
	}
	if (bytes[0] < CN_FRAGMENT_LANE_RAW || bytes[0] > CN_FRAGMENT_MORE) {
		return CN_EPROTO;
	}
	if (len == 1) {
		return CN_EAGAIN;
	}
	span = cn_varint_span(bytes[1]);
	if (span > 2) {
		/* Longer than any legal length. */
		return CN_EPROTO;
	}
	if (len < 1 + span) {
		return CN_EAGAIN;
	}
	rest = cn_varint_get(bytes + 1);
	if (cn_varint_size(rest) != span || rest > CN_FRAGMENT_MAX - 1 - span) {
		return CN_EPROTO;
	}
	*inner = 1 + span;
	*total = 1 + span + rest;
	return CN_OK;
}

static void
decode_lane_raw(struct cn_cursor *in, struct cn_fragment *fragment)
{
	struct cn_lane_head *head = &fragment->lane;

	*head = (struct cn_lane_head){ .is_coded = false };
	head->hash = cn_cursor_u64(in);
	head->raw_len = (uint32_t)cn_cursor_remaining(in);
	if (head->raw_len < 1 || head->raw_len > CN_LANE_PLAIN_MAX) {
		cn_cursor_fail(in);
	}
}

static void
decode_lane_coded(struct cn_cursor *in, struct cn_fragment *fragment)
{
	struct cn_lane_head *head = &fragment->lane;
	size_t body;

	head->is_coded = true;
	head->lane = cn_cursor_varint_in(in, 0, CN_LANES_MAX - 1);
	head->generation = cn_cursor_varint(in);
	head->sequence = cn_cursor_varint(in);
	head->raw_len =
	    (uint32_t)cn_cursor_varint_in(in, 0, CN_LANE_PLAIN_MAX - 1);
	head->plain_len = (uint32_t)cn_cursor_varint_in(
	    in, 1, CN_LANE_PLAIN_MAX - head->raw_len);
	head->hash = cn_cursor_u64(in);
	body = cn_cursor_remaining(in);
	if (body <= head->raw_len) {
		cn_cursor_fail(in);
		return;
	}
	head->coded_len = (uint32_t)body - head->raw_len;
}

/* What an extension may change is left to its own decoder. */
static bool
batch_is_legal(const struct cn_batch_head *head)
{
	bool is_plain = head->ext_len == 0;

	if (head->offset > CN_OFFSET_MAX - head->plain_len) {
		return false;
	}
	switch (head->coding) {
	case CN_CODING_RAW:
		return head->prefix_len == 0 &&
		    (!is_plain || head->coded_len == head->plain_len);
	case CN_CODING_ZSTD:
		return !is_plain || head->prefix_len <= head->offset;
	}
	return false;
}

static void
decode_batch(struct cn_cursor *in, struct cn_fragment *fragment)
{
	struct cn_batch_head *head = &fragment->batch;
	uint8_t how;

	head->stream = cn_cursor_varint(in);
	head->offset = cn_cursor_varint(in);
	head->plain_len =
	    (uint32_t)cn_cursor_varint_in(in, 1, CN_BATCH_PLAIN_MAX);
	head->coded_len = (uint32_t)cn_cursor_varint_in(in, 1, head->plain_len);
	how = cn_cursor_u8(in);
	head->coding = (enum cn_coding)(how & CODING_MASK);
	head->flags = (uint32_t)how >> FLAGS_SHIFT;
	head->prefix_len = 0;
	if (head->coding == CN_CODING_ZSTD) {
		head->prefix_len =
		    (uint32_t)cn_cursor_varint_in(in, 0, CN_BATCH_PREFIX_MAX);
	}
	head->ext_len = cn_cursor_varint_in(in, 0, CN_BATCH_EXT_MAX);
	head->ext = cn_cursor_bytes(in, head->ext_len);
	head->hash = cn_cursor_u64(in);
	if (cn_cursor_failed(in)) {
		return;
	}
	if ((head->flags & ~CN_BATCH_FLAGS) != 0 || !batch_is_legal(head) ||
	    !cn_tlv_is_list(head->ext, head->ext_len) ||
	    cn_cursor_remaining(in) > head->coded_len) {
		cn_cursor_fail(in);
	}
}

int
cn_fragment_decode(
    const uint8_t *bytes, size_t len, struct cn_fragment *ret, size_t *used)
{
	struct cn_cursor in;
	size_t inner, total;
	int rc;

	rc = decode_outer(bytes, len, &inner, &total);
	if (rc != CN_OK) {
		return rc;
	}
	if (len < total) {
		return CN_EAGAIN;
	}
	cn_cursor_init(&in, bytes + inner, total - inner);
	ret->kind = (enum cn_fragment_kind)bytes[0];
	switch (ret->kind) {
	case CN_FRAGMENT_LANE_RAW:
		decode_lane_raw(&in, ret);
		break;
	case CN_FRAGMENT_LANE_CODED:
		decode_lane_coded(&in, ret);
		break;
	case CN_FRAGMENT_BATCH:
		decode_batch(&in, ret);
		break;
	case CN_FRAGMENT_MORE:
		if (cn_cursor_remaining(&in) == 0) {
			cn_cursor_fail(&in);
		}
		break;
	}
	if (cn_cursor_failed(&in)) {
		return CN_EPROTO;
	}
	ret->body_len = cn_cursor_remaining(&in);
	ret->body = cn_cursor_bytes(&in, ret->body_len);
	*used = total;
	return CN_OK;
}

/* ---- encode ---- */

/*
 * Kind and length of a fragment whose inner head and body have so many
 * bytes.  What would exceed a fragment is the caller's mistake.
 */
static void
encode_outer(struct cn_writer *out, enum cn_fragment_kind kind, size_t rest)
{
	assert(rest <= CN_FRAGMENT_MAX - 1 - cn_varint_size(rest));
	cn_writer_u8(out, (uint8_t)kind);
	cn_writer_varint(out, rest);
}

static size_t
finish(const struct cn_writer *out)
{
	return cn_writer_ok(out) ? cn_writer_len(out) : 0;
}

size_t
cn_fragment_lane_head(uint8_t *out, size_t cap, const struct cn_lane_head *head)
{
	struct cn_writer w;
	size_t inner = 8;

	cn_writer_init(&w, out, cap);
	if (!head->is_coded) {
		assert(head->raw_len >= 1);
		assert(head->raw_len <= CN_LANE_PLAIN_MAX);
		encode_outer(&w, CN_FRAGMENT_LANE_RAW, inner + head->raw_len);
		cn_writer_u64(&w, head->hash);
		return finish(&w);
	}
	assert(head->lane < CN_LANES_MAX);
	assert(head->plain_len >= 1 && head->coded_len >= 1);
	assert(head->raw_len < CN_LANE_PLAIN_MAX);
	assert(head->plain_len <= CN_LANE_PLAIN_MAX - head->raw_len);
	inner += cn_varint_size(head->lane) + cn_varint_size(head->generation) +
	    cn_varint_size(head->sequence) + cn_varint_size(head->raw_len) +
	    cn_varint_size(head->plain_len);
	encode_outer(&w, CN_FRAGMENT_LANE_CODED,
	    inner + head->raw_len + head->coded_len);
	cn_writer_varint(&w, head->lane);
	cn_writer_varint(&w, head->generation);
	cn_writer_varint(&w, head->sequence);
	cn_writer_varint(&w, head->raw_len);
	cn_writer_varint(&w, head->plain_len);
	cn_writer_u64(&w, head->hash);
	return finish(&w);
}

static size_t
batch_inner_size(const struct cn_batch_head *head)
{
	size_t size = 1 + 8 + cn_varint_size(head->stream) +
	    cn_varint_size(head->offset) + cn_varint_size(head->plain_len) +
	    cn_varint_size(head->coded_len) + cn_varint_size(head->ext_len) +
	    head->ext_len;

	if (head->coding == CN_CODING_ZSTD) {
		size += cn_varint_size(head->prefix_len);
	}
	return size;
}

size_t
cn_fragment_batch_head(
    uint8_t *out, size_t cap, const struct cn_batch_head *head, size_t body_len)
{
	struct cn_writer w;

	assert(head->plain_len >= 1 && head->plain_len <= CN_BATCH_PLAIN_MAX);
	assert(head->coded_len >= 1 && head->coded_len <= head->plain_len);
	assert(head->prefix_len <= CN_BATCH_PREFIX_MAX);
	assert((head->flags & ~CN_BATCH_FLAGS) == 0);
	assert(head->ext_len <= CN_BATCH_EXT_MAX);
	assert(batch_is_legal(head) && body_len <= head->coded_len);
	cn_writer_init(&w, out, cap);
	encode_outer(&w, CN_FRAGMENT_BATCH, batch_inner_size(head) + body_len);
	cn_writer_varint(&w, head->stream);
	cn_writer_varint(&w, head->offset);
	cn_writer_varint(&w, head->plain_len);
	cn_writer_varint(&w, head->coded_len);
	cn_writer_u8(
	    &w, (uint8_t)((uint32_t)head->coding | head->flags << FLAGS_SHIFT));
	if (head->coding == CN_CODING_ZSTD) {
		cn_writer_varint(&w, head->prefix_len);
	}
	cn_writer_varint(&w, head->ext_len);
	cn_writer_bytes(&w, head->ext, head->ext_len);
	cn_writer_u64(&w, head->hash);
	return finish(&w);
}

size_t
cn_fragment_more_head(uint8_t *out, size_t cap, size_t body_len)
{
	struct cn_writer w;

	assert(body_len >= 1);
	cn_writer_init(&w, out, cap);
	encode_outer(&w, CN_FRAGMENT_MORE, body_len);
	return finish(&w);
}

/* ---- hash ---- */

uint64_t
cn_block_lane_hash(
    const struct cn_lane_head *head, const uint8_t *plain, size_t len)
{
	uint8_t place[29];

	assert(len == (size_t)head->raw_len + head->plain_len);
	place[0] =
	    head->is_coded ? CN_FRAGMENT_LANE_CODED : CN_FRAGMENT_LANE_RAW;
	cn_be32_put(place + 1, (uint32_t)head->lane);
	cn_be64_put(place + 5, head->generation);
	cn_be64_put(place + 13, head->sequence);
	cn_be32_put(place + 21, head->raw_len);
	cn_be32_put(place + 25, head->plain_len);
	return cn_hash64(plain, len, cn_hash64(place, sizeof(place), 0));
}

uint64_t
cn_block_batch_hash(
    const struct cn_batch_head *head, const uint8_t *plain, size_t len)
{
	uint8_t place[21];
	uint64_t seed;

	assert(len == head->plain_len);
	place[0] = CN_FRAGMENT_BATCH;
	cn_be64_put(place + 1, head->stream);
	cn_be64_put(place + 9, head->offset);
	cn_be32_put(place + 17, head->plain_len);
	seed = cn_hash64(place, sizeof(place), 0);
	if (head->ext_len > 0) {
		seed = cn_hash64(head->ext, head->ext_len, seed);
	}
	return cn_hash64(plain, len, seed);
}
