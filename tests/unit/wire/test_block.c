/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "mutate.h"
#include "wire/block.h"
#include "wire/varint.h"

static const uint8_t ext[] = { 1, 3, 'a', 'b', 'c', 5, 0 };

static const struct cn_lane_head lanes[] = {
	{ .is_coded = false, .raw_len = 1, .hash = 1 },
	{ .is_coded = false, .raw_len = 80, .hash = UINT64_MAX },
	{ .is_coded = true,
	    .lane = 0,
	    .generation = 1,
	    .sequence = 0,
	    .raw_len = 0,
	    .plain_len = 63,
	    .coded_len = 20,
	    .hash = 77 },
	{ .is_coded = true,
	    .lane = CN_LANES_MAX - 1,
	    .generation = CN_VARINT_MAX,
	    .sequence = CN_VARINT_MAX,
	    .raw_len = 30,
	    .plain_len = CN_LANE_PLAIN_MAX - 30,
	    .coded_len = 40,
	    .hash = 77 },
};

static const struct cn_batch_head batches[] = {
	{ .stream = 0,
	    .offset = 0,
	    .plain_len = 20,
	    .coded_len = 20,
	    .coding = CN_CODING_RAW,
	    .hash = 5 },
	{ .stream = 2,
	    .offset = CN_BATCH_PREFIX_MAX,
	    .plain_len = CN_BATCH_PLAIN_MAX,
	    .coded_len = 30,
	    .prefix_len = CN_BATCH_PREFIX_MAX,
	    .flags = CN_BATCH_KEEP,
	    .coding = CN_CODING_ZSTD,
	    .hash = 5 },
	{ .stream = CN_VARINT_MAX,
	    .offset = CN_OFFSET_MAX - CN_BATCH_PLAIN_MAX,
	    .plain_len = CN_BATCH_PLAIN_MAX,
	    .coded_len = CN_BATCH_PLAIN_MAX,
	    .coding = CN_CODING_ZSTD,
	    .ext = ext,
	    .ext_len = sizeof(ext),
	    .hash = 5 },
	/* Raw, its payload shorter than what it says. */
	{ .stream = 4,
	    .offset = 0,
	    .plain_len = CN_BATCH_PLAIN_MAX,
	    .coded_len = 20,
	    .coding = CN_CODING_RAW,
	    .ext = ext,
	    .ext_len = sizeof(ext),
	    .hash = 5 },
	/* At the begin of a stream, the prefix from elsewhere. */
	{ .stream = 4,
	    .offset = 0,
	    .plain_len = CN_BATCH_PLAIN_MAX,
	    .coded_len = 30,
	    .prefix_len = CN_BATCH_PREFIX_MAX,
	    .coding = CN_CODING_ZSTD,
	    .ext = ext,
	    .ext_len = sizeof(ext),
	    .hash = 5 },
};

/* Encode the head again that a fragment was decoded from. */
static size_t
encode(const struct cn_fragment *f, uint8_t *out, size_t cap)
{
	switch (f->kind) {
	case CN_FRAGMENT_LANE_RAW:
	case CN_FRAGMENT_LANE_CODED:
		return cn_fragment_lane_head(out, cap, &f->lane);
	case CN_FRAGMENT_BATCH:
		return cn_fragment_batch_head(out, cap, &f->batch, f->body_len);
	case CN_FRAGMENT_MORE:
		return cn_fragment_more_head(out, cap, f->body_len);
	}
	return 0;
}

static void
check_fragment(const uint8_t *bytes, size_t len, void *arg)
{
	size_t *whole = arg;
	static uint8_t out[CN_FRAGMENT_MAX];
	struct cn_fragment f;
	size_t used = SIZE_MAX;
	size_t head;
	int rc;

	rc = cn_fragment_decode(bytes, len, &f, &used);
	if (rc != CN_OK) {
		assert_true(rc == CN_EAGAIN || rc == CN_EPROTO);
		assert_true(used == SIZE_MAX);
		return;
	}
	assert_true(used <= len && f.body + f.body_len == bytes + used);
	if (f.kind == CN_FRAGMENT_LANE_RAW ||
	    f.kind == CN_FRAGMENT_LANE_CODED) {
		assert_int_equal(f.body_len, f.lane.raw_len + f.lane.coded_len);
	}
	head = encode(&f, out, sizeof(out));
	assert_int_equal(head + f.body_len, used);
	assert_memory_equal(out, bytes, head);
	(*whole)++;
}

/* A body of count bytes behind a head; then everything small that may go
 * wrong with them. */
static void
round_trip(uint8_t *bytes, size_t head, size_t body)
{
	size_t whole = 0;

	assert_true(head > 0);
	memset(bytes + head, 0x5a, body);
	check_fragment(bytes, head + body, &whole);
	assert_int_equal(whole, 1);
	cn_mutate_each(bytes, head + body, check_fragment, &whole);
	assert_true(whole > 2);
	/* Every cut asks for more. */
	for (size_t cut = 0; cut < head + body; cut++) {
		struct cn_fragment f;
		size_t used;

		assert_int_equal(
		    cn_fragment_decode(bytes, cut, &f, &used), CN_EAGAIN);
	}
}

static void
test_lanes(void **state)
{
	uint8_t bytes[256];

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(lanes); i++) {
		size_t head =
		    cn_fragment_lane_head(bytes, sizeof(bytes), &lanes[i]);
		struct cn_fragment f;
		size_t used;

		assert_true(head <= CN_FRAGMENT_HEAD_MAX + CN_LANE_HEAD_MAX);
		round_trip(
		    bytes, head, (size_t)lanes[i].raw_len + lanes[i].coded_len);
		assert_int_equal(
		    cn_fragment_decode(bytes, sizeof(bytes), &f, &used), CN_OK);
		assert_int_equal(f.lane.is_coded, lanes[i].is_coded);
		assert_true(f.lane.lane == lanes[i].lane);
		assert_true(f.lane.generation == lanes[i].generation);
		assert_true(f.lane.sequence == lanes[i].sequence);
		assert_int_equal(f.lane.raw_len, lanes[i].raw_len);
		assert_int_equal(f.lane.plain_len, lanes[i].plain_len);
		assert_int_equal(f.lane.coded_len, lanes[i].coded_len);
		assert_true(f.lane.hash == lanes[i].hash);
		for (size_t cap = 0; cap < head; cap++) {
			assert_int_equal(
			    cn_fragment_lane_head(bytes, cap, &lanes[i]), 0);
		}
	}
}

static void
test_batches(void **state)
{
	uint8_t bytes[256];

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(batches); i++) {
		const struct cn_batch_head *want = &batches[i];
		size_t head =
		    cn_fragment_batch_head(bytes, sizeof(bytes), want, 20);
		struct cn_fragment f;
		size_t used;

		assert_true(head <=
		    CN_FRAGMENT_HEAD_MAX + CN_BATCH_HEAD_MAX + want->ext_len);
		round_trip(bytes, head, 20);
		assert_int_equal(
		    cn_fragment_decode(bytes, sizeof(bytes), &f, &used), CN_OK);
		assert_true(f.batch.stream == want->stream);
		assert_true(f.batch.offset == want->offset);
		assert_int_equal(f.batch.plain_len, want->plain_len);
		assert_int_equal(f.batch.coded_len, want->coded_len);
		assert_int_equal(f.batch.prefix_len, want->prefix_len);
		assert_int_equal(f.batch.flags, want->flags);
		assert_int_equal(f.batch.coding, want->coding);
		assert_int_equal(f.batch.ext_len, want->ext_len);
		assert_true(f.batch.hash == want->hash);
		for (size_t cap = 0; cap < head; cap++) {
			assert_int_equal(
			    cn_fragment_batch_head(bytes, cap, want, 20), 0);
		}
	}
}

static void
test_more(void **state)
{
	static uint8_t big[CN_FRAGMENT_MAX];
	uint8_t bytes[256];
	struct cn_fragment f;
	size_t head, used;

	(void)state;
	head = cn_fragment_more_head(bytes, sizeof(bytes), 70);
	round_trip(bytes, head, 70);
	assert_int_equal(cn_fragment_more_head(bytes, head - 1, 70), 0);
	/* The greatest fragment there is. */
	head = cn_fragment_more_head(big, sizeof(big), CN_FRAGMENT_MAX - 3);
	assert_int_equal(head, CN_FRAGMENT_HEAD_MAX);
	assert_int_equal(
	    cn_fragment_decode(big, CN_FRAGMENT_MAX - 1, &f, &used), CN_EAGAIN);
	assert_int_equal(
	    cn_fragment_decode(big, CN_FRAGMENT_MAX, &f, &used), CN_OK);
	assert_int_equal(used, CN_FRAGMENT_MAX);
	/* One byte more is refused as soon as its length is seen. */
	cn_be16_put(big + 1, 0x4000u | (CN_FRAGMENT_MAX - 2));
	assert_int_equal(cn_fragment_decode(big, 3, &f, &used), CN_EPROTO);
}

static int
decode_one(const uint8_t *bytes, size_t len)
{
	struct cn_fragment f;
	size_t used;

	return cn_fragment_decode(bytes, len, &f, &used);
}

#define DECODE(...)                                                            \
	decode_one((const uint8_t[]){ __VA_ARGS__ },                           \
	    sizeof((const uint8_t[]){ __VA_ARGS__ }))

#define HASH 0, 0, 0, 0, 0, 0, 0, 0

static void
test_outer_limits(void **state)
{
	(void)state;
	assert_int_equal(DECODE(0x00), CN_EPROTO);
	assert_int_equal(DECODE(0x05), CN_EPROTO);
	assert_int_equal(DECODE(0xff), CN_EPROTO);
	assert_int_equal(decode_one(NULL, 0), CN_EAGAIN);
	assert_int_equal(DECODE(0x04), CN_EAGAIN);
	assert_int_equal(DECODE(0x04, 0x40), CN_EAGAIN);
	/* No legal length is that long; a longer form than needed. */
	assert_int_equal(DECODE(0x04, 0x80), CN_EPROTO);
	assert_int_equal(DECODE(0x04, 0x40, 0x01), CN_EPROTO);
	/* No body. */
	assert_int_equal(DECODE(0x04, 0x00), CN_EPROTO);
	assert_int_equal(DECODE(0x01, 0x08, HASH), CN_EPROTO);
	assert_int_equal(DECODE(0x02, 13, 0, 0, 0, 0, 1, HASH), CN_EPROTO);
	assert_int_equal(DECODE(0x02, 14, 0, 0, 0, 0, 1, HASH, 9), CN_OK);
	/* A batch may have none in its first fragment. */
	assert_int_equal(DECODE(0x03, 14, 0, 0, 1, 1, 0, 0, HASH), CN_OK);
}

static void
test_lane_limits(void **state)
{
	static uint8_t bytes[CN_FRAGMENT_MAX];
	struct cn_lane_head raw = { .raw_len = CN_LANE_PLAIN_MAX };
	struct cn_fragment f;
	size_t used;

	(void)state;
	/* lane, generation, sequence, raw_len, plain_len. */
	assert_int_equal(
	    DECODE(0x02, 15, 0x43, 0xff, 0, 0, 0, 1, HASH, 9), CN_OK);
	assert_int_equal(
	    DECODE(0x02, 15, 0x44, 0x00, 0, 0, 0, 1, HASH, 9), CN_EPROTO);
	assert_int_equal(DECODE(0x02, 14, 0, 0, 0, 0, 0, HASH, 9), CN_EPROTO);
	/* 15360 plain bytes in sum, and one more. */
	assert_int_equal(
	    DECODE(0x02, 15, 0, 0, 0, 0, 0x7c, 0x00, HASH, 9), CN_OK);
	assert_int_equal(
	    DECODE(0x02, 15, 0, 0, 0, 0, 0x7c, 0x01, HASH, 9), CN_EPROTO);
	assert_int_equal(
	    DECODE(0x02, 16, 0, 0, 0, 1, 0x7b, 0xff, HASH, 9, 9), CN_OK);
	assert_int_equal(
	    DECODE(0x02, 16, 0, 0, 0, 1, 0x7c, 0x00, HASH, 9, 9), CN_EPROTO);
	/* Raw frames leave nothing for the coded part. */
	assert_int_equal(
	    DECODE(0x02, 15, 0, 0, 0, 2, 1, HASH, 9, 9), CN_EPROTO);

	assert_int_equal(cn_fragment_lane_head(bytes, sizeof(bytes), &raw), 11);
	assert_int_equal(
	    cn_fragment_decode(bytes, sizeof(bytes), &f, &used), CN_OK);
	assert_int_equal(f.lane.raw_len, CN_LANE_PLAIN_MAX);
	cn_be16_put(bytes + 1, 0x4000u | (8 + CN_LANE_PLAIN_MAX + 1));
	assert_int_equal(
	    cn_fragment_decode(bytes, sizeof(bytes), &f, &used), CN_EPROTO);
}

static void
test_batch_limits(void **state)
{
	(void)state;
	/* stream, offset, plain_len, coded_len, coding, [prefix], ext_len. */
	assert_int_equal(DECODE(0x03, 15, 0, 9, 2, 1, 0x11, 9, 0, HASH), CN_OK);
	/* Prefix before the start; too long; on a raw batch there is none. */
	assert_int_equal(
	    DECODE(0x03, 15, 0, 9, 2, 1, 0x11, 10, 0, HASH), CN_EPROTO);
	assert_int_equal(DECODE(0x03, 21, 0, 0xbf, 0xff, 0xff, 0xff, 2, 1, 1,
			     0x80, 0x20, 0, 0, 0, HASH),
	    CN_OK);
	assert_int_equal(DECODE(0x03, 21, 0, 0xbf, 0xff, 0xff, 0xff, 2, 1, 1,
			     0x80, 0x20, 0, 1, 0, HASH),
	    CN_EPROTO);
	/* Unknown coding; unknown flag. */
	assert_int_equal(
	    DECODE(0x03, 15, 0, 9, 2, 1, 2, 0, 0, HASH), CN_EPROTO);
	assert_int_equal(
	    DECODE(0x03, 15, 0, 9, 2, 1, 0x21, 0, 0, HASH), CN_EPROTO);
	/* Lengths: none, coded > plain, raw != plain, body > coded. */
	assert_int_equal(DECODE(0x03, 14, 0, 0, 0, 0, 0, 0, HASH), CN_EPROTO);
	assert_int_equal(
	    DECODE(0x03, 15, 0, 0, 1, 0, 1, 0, 0, HASH), CN_EPROTO);
	assert_int_equal(
	    DECODE(0x03, 15, 0, 0, 1, 2, 1, 0, 0, HASH), CN_EPROTO);
	assert_int_equal(DECODE(0x03, 14, 0, 0, 2, 1, 0, 0, HASH), CN_EPROTO);
	assert_int_equal(DECODE(0x03, 16, 0, 0, 2, 1, 1, 0, 0, HASH, 9), CN_OK);
	assert_int_equal(
	    DECODE(0x03, 17, 0, 0, 2, 1, 1, 0, 0, HASH, 9, 9), CN_EPROTO);
	/* One plain byte too many: in the batch, in the direction. */
	assert_int_equal(
	    DECODE(0x03, 18, 0, 0, 0x80, 4, 0, 0, 1, 1, 0, 0, HASH), CN_OK);
	assert_int_equal(
	    DECODE(0x03, 18, 0, 0, 0x80, 4, 0, 1, 1, 1, 0, 0, HASH), CN_EPROTO);
	assert_int_equal(DECODE(0x03, 21, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			     0xff, 0xfe, 1, 1, 0, 0, HASH),
	    CN_OK);
	assert_int_equal(DECODE(0x03, 21, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			     0xff, 0xff, 1, 1, 0, 0, HASH),
	    CN_EPROTO);
	/* Extensions: a list, no list, not ascending. */
	assert_int_equal(DECODE(0x03, 16, 0, 0, 1, 1, 0, 2, 1, 0, HASH), CN_OK);
	assert_int_equal(
	    DECODE(0x03, 16, 0, 0, 1, 1, 0, 2, 1, 1, HASH), CN_EPROTO);
	assert_int_equal(
	    DECODE(0x03, 18, 0, 0, 1, 1, 0, 4, 1, 0, 1, 0, HASH), CN_EPROTO);
	/* With them raw may be less than plain, never more, never nothing,
	 * and a prefix may reach before the stream; raw has none still. */
	assert_int_equal(DECODE(0x03, 16, 0, 0, 2, 1, 0, 2, 1, 0, HASH), CN_OK);
	assert_int_equal(
	    DECODE(0x03, 16, 0, 0, 1, 2, 0, 2, 1, 0, HASH), CN_EPROTO);
	assert_int_equal(
	    DECODE(0x03, 16, 0, 0, 2, 0, 0, 2, 1, 0, HASH), CN_EPROTO);
	assert_int_equal(
	    DECODE(0x03, 17, 0, 0, 2, 1, 1, 9, 2, 1, 0, HASH), CN_OK);
	assert_int_equal(
	    DECODE(0x03, 15, 0, 0, 2, 1, 1, 9, 0, HASH), CN_EPROTO);
}

static void
test_ext_is_full(void **state)
{
	static uint8_t tlv[CN_BATCH_EXT_MAX + 1] = { 1, 0x4f, 0xfd };
	static uint8_t bytes[CN_FRAGMENT_MAX];
	struct cn_batch_head head = { .plain_len = 1,
		.coded_len = 1,
		.ext = tlv,
		.ext_len = CN_BATCH_EXT_MAX };
	size_t len = cn_fragment_batch_head(bytes, sizeof(bytes), &head, 1);
	size_t whole = 0;

	(void)state;
	assert_true(
	    len <= CN_FRAGMENT_HEAD_MAX + CN_BATCH_HEAD_MAX + CN_BATCH_EXT_MAX);
	check_fragment(bytes, len + 1, &whole);
	assert_int_equal(whole, 1);
	/* One more: length of the fragment, of the list, of its TLV. */
	cn_be16_put(bytes + 1, (uint16_t)(cn_be16_get(bytes + 1) + 1));
	cn_be16_put(bytes + 8, (uint16_t)(cn_be16_get(bytes + 8) + 1));
	cn_be16_put(bytes + 11, (uint16_t)(cn_be16_get(bytes + 11) + 1));
	assert_int_equal(decode_one(bytes, len + 2), CN_EPROTO);
}

/* The hash must tell places apart, and must not see how a batch is coded. */
static void
test_hashes(void **state)
{
	static const uint8_t plain[4] = { 1, 2, 3, 4 };
	const struct cn_batch_head b = {
		.stream = 1, .offset = 2, .plain_len = 4, .coded_len = 4
	};
	const struct cn_lane_head l = { .is_coded = true,
		.lane = 1,
		.generation = 2,
		.sequence = 3,
		.raw_len = 1,
		.plain_len = 3,
		.coded_len = 9 };
	uint64_t batch = cn_block_batch_hash(&b, plain, 4);
	uint64_t lane = cn_block_lane_hash(&l, plain, 4);
	struct cn_batch_head b2 = b;
	struct cn_lane_head l2 = l;

	(void)state;
	b2.coded_len = 1;
	b2.coding = CN_CODING_ZSTD;
	b2.prefix_len = 2;
	b2.flags = CN_BATCH_KEEP;
	assert_true(cn_block_batch_hash(&b2, plain, 4) == batch);
	b2 = b;
	b2.stream++;
	assert_true(cn_block_batch_hash(&b2, plain, 4) != batch);
	b2 = b;
	b2.offset++;
	assert_true(cn_block_batch_hash(&b2, plain, 4) != batch);
	b2 = b;
	b2.ext = ext;
	b2.ext_len = sizeof(ext);
	assert_true(cn_block_batch_hash(&b2, plain, 4) != batch);

	l2.coded_len++;
	assert_true(cn_block_lane_hash(&l2, plain, 4) == lane);
	l2 = l;
	l2.lane++;
	assert_true(cn_block_lane_hash(&l2, plain, 4) != lane);
	l2 = l;
	l2.generation++;
	assert_true(cn_block_lane_hash(&l2, plain, 4) != lane);
	l2 = l;
	l2.sequence++;
	assert_true(cn_block_lane_hash(&l2, plain, 4) != lane);
	l2 = l;
	l2.raw_len++;
	l2.plain_len--;
	assert_true(cn_block_lane_hash(&l2, plain, 4) != lane);
}

static void
check_ext_hash(const uint8_t *bytes, size_t len, void *arg)
{
	static const uint8_t plain[4] = { 1, 2, 3, 4 };
	struct cn_batch_head head = {
		.stream = 1, .plain_len = 4, .ext = bytes, .ext_len = len
	};
	bool is_same = len == sizeof(ext) && memcmp(bytes, ext, len) == 0;
	uint64_t hash = cn_block_batch_hash(&head, plain, 4);

	assert_int_equal(hash == *(uint64_t *)arg, is_same);
	head.ext_len = 0;
	assert_int_equal(
	    hash == cn_block_batch_hash(&head, plain, 4), len == 0);
}

/* Whatever changes in the extensions changes the hash. */
static void
test_hash_covers_extensions(void **state)
{
	static const uint8_t plain[4] = { 1, 2, 3, 4 };
	const struct cn_batch_head head = {
		.stream = 1, .plain_len = 4, .ext = ext, .ext_len = sizeof(ext)
	};
	uint64_t hash = cn_block_batch_hash(&head, plain, 4);

	(void)state;
	cn_mutate_each(ext, sizeof(ext), check_ext_hash, &hash);
}

/* Wire cost of a lone small message is a promise of the design. */
static void
test_heads_are_small(void **state)
{
	const struct cn_lane_head l = { .is_coded = true,
		.lane = 3,
		.generation = 1,
		.sequence = 40,
		.plain_len = 70,
		.coded_len = 40 };
	uint8_t bytes[64];

	(void)state;
	assert_in_range(cn_fragment_lane_head(bytes, sizeof(bytes), &l), 1, 16);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_more),
		cmocka_unit_test(test_outer_limits),
		cmocka_unit_test(test_lane_limits),
		cmocka_unit_test(test_batch_limits),
		cmocka_unit_test(test_ext_is_full),
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_hash_covers_extensions),
		cmocka_unit_test(test_heads_are_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
