/* SPDX-License-Identifier: Apache-2.0 */
/* The matcher over logs in plain arrays: what it says is always true, the
 * same again costs nothing, and nothing that a store says hurts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "codec/chunker.h"
#include "codec/fakestore.h"
#include "codec/match.h"
#include "codec/samples.h"
#include "wire/limits.h"
#include "wire/refs.h"

#define SCOPE 1
/* Where logs start: a segment ends soon after. */
#define START (7u * CN_SEGMENT_BYTES - 5000u)

struct rig {
	struct cn_matcher *matcher;
	struct cn_pair *pair;
	struct cn_store_user user;
	struct cn_match_state state;
	/* Sums since they were zeroed. */
	size_t copied, copies, stored, regions;
};

static int
set_up(void **ret)
{
	struct rig *rig = cn_calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig->pair = fake_pair(START);
	assert_int_equal(cn_matcher_create(NULL, &rig->matcher), CN_OK);
	*ret = rig;
	return 0;
}

static int
tear_down(void **ret)
{
	struct rig *rig = *ret;

	cn_matcher_free(&rig->matcher);
	assert_null(rig->matcher);
	cn_matcher_free(&rig->matcher);
	fake_free(&rig->pair);
	cn_free(rig);
	return 0;
}

/* A new store and a new stream. */
static void
renew(struct rig *rig)
{
	fake_free(&rig->pair);
	rig->pair = fake_pair(START);
	rig->state = (struct cn_match_state){ 0 };
}

/* ---- what has to hold of every answer ---- */

static bool
goes_on(const struct cn_match_copy *a, const struct cn_match_copy *b)
{
	return a->offset + a->len == b->offset &&
	    a->place.epoch == b->place.epoch &&
	    a->place.is_mine == b->place.is_mine &&
	    a->place.pos + a->len == b->place.pos;
}

static bool
may_be_short(const struct cn_match *match, size_t i, size_t len)
{
	const struct cn_match_copy *copy = &match->copy[i];

	return copy->offset + copy->len == len ||
	    (i > 0 && goes_on(copy - 1, copy)) ||
	    (i + 1 < match->copies && goes_on(copy, copy + 1));
}

static void
check_copies(struct rig *rig, const struct cn_match *match,
    const uint8_t *plain, size_t len)
{
	size_t end = 0, sum = 0;

	assert_true(match->copies <= CN_MATCH_COPIES_MAX);
	for (size_t i = 0; i < match->copies; i++) {
		const struct cn_match_copy *copy = &match->copy[i];
		const uint8_t *bytes =
		    fake_bytes(rig->pair, &copy->place, copy->len, SCOPE);

		assert_true(copy->offset >= end);
		assert_true(
		    copy->len >= CN_MATCH_MIN || may_be_short(match, i, len));
		assert_true(copy->place.pos % CN_SEGMENT_BYTES + copy->len <=
		    CN_SEGMENT_BYTES);
		end = copy->offset + copy->len;
		assert_true(end <= len);
		assert_non_null(bytes);
		assert_memory_equal(bytes, plain + copy->offset, copy->len);
		sum += copy->len;
	}
	assert_int_equal(sum, match->copied);
}

/* Every byte that goes as a literal is stored, a few at the end excepted
 * that are known and too short to refer to. */
static void
check_misses(const struct cn_match *match, size_t len)
{
	static uint8_t is_known[CN_BATCH_PLAIN_MAX];
	size_t end = 0;

	assert_true(match->misses <= CN_MATCH_SPANS_MAX);
	memset(is_known, 0, len);
	for (size_t i = 0; i < match->misses; i++) {
		assert_true(match->miss[i].len > 0);
		assert_true(i == 0 || match->miss[i].offset > end);
		end = match->miss[i].offset + match->miss[i].len;
		assert_true(end <= len);
		memset(is_known + match->miss[i].offset, 1, match->miss[i].len);
	}
	for (size_t i = 0; i < match->copies; i++) {
		memset(is_known + match->copy[i].offset, 1, match->copy[i].len);
	}
	if (match->copies + 8 < CN_MATCH_COPIES_MAX && len > CN_MATCH_MIN) {
		assert_null(memchr(is_known, 0, len - CN_MATCH_MIN));
	}
}

static void
check_regions(struct rig *rig, const struct cn_match *match)
{
	size_t sum = 0;

	assert_true(match->regions <= CN_MATCH_REGIONS_MAX);
	for (size_t i = 0; i < match->regions; i++) {
		const struct cn_match_copy *region = &match->region[i];

		assert_true(region->len > 0);
		assert_true(
		    region->place.pos % CN_SEGMENT_BYTES + region->len <=
		    CN_SEGMENT_BYTES);
		assert_non_null(
		    fake_bytes(rig->pair, &region->place, region->len, SCOPE));
		sum += region->len;
	}
	assert_true(sum <= CN_REFS_DELTA_MAX);
}

static void
check_logs(const struct cn_match *match)
{
	uint64_t epochs[FAKE_LOGS];
	size_t count = 0;

	for (size_t i = 0; i < match->copies + match->regions; i++) {
		uint64_t epoch = i < match->copies
		    ? match->copy[i].place.epoch
		    : match->region[i - match->copies].place.epoch;
		size_t k = 0;

		while (k < count && epochs[k] != epoch) {
			k++;
		}
		if (k == count) {
			epochs[count++] = epoch;
		}
	}
	assert_true(count <= CN_MATCH_LOGS_MAX);
}

/* ---- sending ---- */

/* Match one batch, in a block of its exact size, and check the answer. */
static void
match_only(
    struct rig *rig, const uint8_t *plain, size_t len, struct cn_match *match)
{
	assert_int_equal(cn_match_batch(rig->matcher, rig->pair, SCOPE,
			     &rig->state, &rig->user, plain, len, true, match),
	    CN_OK);
	assert_int_equal(rig->pair->pins, 0);
	check_copies(rig, match, plain, len);
	check_misses(match, len);
	check_regions(rig, match);
	check_logs(match);
	rig->copied += match->copied;
	rig->copies += match->copies;
	rig->regions += match->regions;
}

/* Match, store and learn one batch; its bytes are held at once. */
static void
send_batch(struct rig *rig, const uint8_t *bytes, size_t len)
{
	struct cn_store_piece piece[CN_REFS_STORES_MAX];
	uint8_t *plain = cn_memdup(bytes, len);
	struct cn_match match = { 0 };
	size_t pieces;

	assert_non_null(plain);
	match_only(rig, plain, len, &match);
	pieces = fake_append(rig->pair, SCOPE, plain, match.miss, match.misses,
	    piece, CN_ARRAY_LEN(piece));
	cn_match_learn(
	    rig->matcher, rig->pair, SCOPE, true, 1, NULL, piece, pieces);
	for (size_t i = 0; i < match.misses; i++) {
		rig->stored += match.miss[i].len;
	}
	cn_free(plain);
}

static void
send_all(struct rig *rig, const uint8_t *bytes, size_t len, size_t batch)
{
	rig->copied = rig->copies = rig->stored = rig->regions = 0;
	for (size_t at = 0; at < len; at += batch) {
		send_batch(rig, bytes + at, CN_MIN(batch, len - at));
	}
}

static void
new_stream(struct rig *rig)
{
	rig->state = (struct cn_match_state){ 0 };
}

static uint8_t *
random_bytes(size_t len, uint64_t seed)
{
	uint8_t *bytes = cn_alloc(len);

	assert_non_null(bytes);
	samples_random(bytes, len, seed);
	return bytes;
}

/* ---- the same again ---- */

static void
test_same_again(void **ret)
{
	static const size_t batches[] = { 262144, 262144, 100000, 65537, 5000 };
	struct rig *rig = *ret;
	size_t len = 900000;
	uint8_t *data = random_bytes(len, 1);

	send_all(rig, data, len, CN_BATCH_PLAIN_MAX);
	assert_int_equal(rig->copied, 0);
	assert_int_equal(rig->stored, len);
	for (size_t i = 0; i < CN_ARRAY_LEN(batches); i++) {
		new_stream(rig);
		send_all(rig, data, len, batches[i]);
		assert_int_equal(rig->copied, len);
		assert_int_equal(rig->stored, 0);
		/* One for each batch and each end of a segment. */
		assert_true(rig->copies <= len / batches[i] + 3);
	}
	cn_free(data);
}

/* A log that other streams write into too: the pieces are apart. */
static void
test_pieces_apart(void **ret)
{
	struct rig *rig = *ret;
	size_t len = 400000;
	uint8_t *data = random_bytes(len, 2);

	rig->pair->piece_max = 32768;
	send_all(rig, data, len, CN_BATCH_PLAIN_MAX);
	assert_int_equal(rig->stored, len);
	for (int i = 0; i < 2; i++) {
		new_stream(rig);
		send_all(rig, data, len, CN_BATCH_PLAIN_MAX);
		assert_int_equal(rig->copied, len);
		assert_int_equal(rig->stored, 0);
	}
	cn_free(data);
}

/* A stream that goes on where its last batch ended hashes nothing. */
static void
test_state_goes_on(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = random_bytes(300000, 3);
	struct cn_match match;

	send_all(rig, data, 300000, CN_BATCH_PLAIN_MAX);
	new_stream(rig);
	match_only(rig, data, 100000, &match);
	assert_true(rig->state.is_set);
	rig->pair->hints = 0;
	memset(rig->pair->hint, 0xff, FAKE_HINTS * sizeof(*rig->pair->hint));
	match_only(rig, data + 100000, 50, &match);
	assert_int_equal(match.copied, 50);
	match_only(rig, data + 100050, 100000, &match);
	assert_int_equal(match.copied, 100000);
	/* Another stream, and there is no other way. */
	new_stream(rig);
	match_only(rig, data, 100000, &match);
	assert_int_equal(match.copied, 0);
	cn_free(data);
}

/* A small edit costs its bytes and the chunk around it, once. */
static void
test_small_edit(void **ret)
{
	struct rig *rig = *ret;
	size_t len = 250000;
	uint8_t *data = random_bytes(len, 4);

	send_all(rig, data, len, CN_BATCH_PLAIN_MAX);
	for (size_t i = 0; i < 10; i++) {
		data[100000 + i] ^= 0x55;
	}
	new_stream(rig);
	send_all(rig, data, len, CN_BATCH_PLAIN_MAX);
	assert_int_equal(rig->copied, len - 10);
	assert_true(rig->stored > 0 && rig->stored <= CN_CHUNK_COARSE_MAX);
	new_stream(rig);
	send_all(rig, data, len, CN_BATCH_PLAIN_MAX);
	assert_int_equal(rig->copied, len);
	assert_int_equal(rig->stored, 0);
	assert_true(rig->copies <= 5);
	cn_free(data);
}

/* What was put in has an older version beside it. */
static void
test_region(void **ret)
{
	struct rig *rig = *ret;
	size_t len = 100000;
	uint8_t *data = random_bytes(len, 5);
	struct cn_match match;

	send_all(rig, data, len, CN_BATCH_PLAIN_MAX);
	samples_random(data + 50000, 1000, 6);
	new_stream(rig);
	match_only(rig, data, len, &match);
	assert_int_equal(match.copied, len - 1000);
	assert_int_equal(match.regions, 1);
	assert_int_equal(match.region[0].offset, 50000);
	assert_int_equal(match.region[0].place.pos, START + 50000);
	assert_in_range(match.region[0].len, 1000, 2000);

	/* At the begin of a stream: before what follows. */
	send_all(rig, data + 50000, 1000, CN_BATCH_PLAIN_MAX);
	samples_random(data, 1000, 7);
	new_stream(rig);
	match_only(rig, data, len, &match);
	assert_true(match.regions >= 1);
	assert_int_equal(match.region[0].place.pos, START);
	assert_int_equal(match.region[0].len, 1000);
	cn_free(data);
}

/* Regions all together stay within their cap. */
static void
test_region_bytes_cap(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = random_bytes(600000, 30);
	struct cn_match match;
	size_t sum = 0;

	send_all(rig, data, 600000, CN_BATCH_PLAIN_MAX);
	rig->state = (struct cn_match_state){
		.next = { 1, START + 1000, true },
		.credit = 4u << 20,
		.is_set = true,
	};
	samples_random(data, CN_BATCH_PLAIN_MAX, 31);
	match_only(rig, data, CN_BATCH_PLAIN_MAX, &match);
	for (size_t i = 0; i < match.regions; i++) {
		sum += match.region[i].len;
	}
	assert_int_equal(sum, CN_REFS_DELTA_MAX);
	cn_free(data);
}

/* No region is worth waiting for. */
static void
test_region_on_disk(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = random_bytes(10000, 32);
	struct cn_match match;

	send_all(rig, data, 10000, CN_BATCH_PLAIN_MAX);
	samples_random(data + 4500, 1000, 33);
	new_stream(rig);
	rig->pair->looks = 0;
	match_only(rig, data, 5500, &match);
	assert_int_equal(match.copied, 4500);
	assert_int_equal(match.regions, 2); /* over the segment's end */
	assert_int_equal(rig->pair->looks, 2);
	new_stream(rig);
	rig->pair->is_on_disk = true;
	rig->pair->disk_after = 1;
	rig->pair->looks = 0;
	match_only(rig, data, 5500, &match);
	assert_int_equal(match.copied, 4500);
	assert_int_equal(match.regions, 1);
	cn_free(data);
}

/* A log that begins in the middle of what is sent. */
static void
test_begin_of_log(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = random_bytes(50000, 34);
	size_t log = fake_add_log(rig->pair, 2, false, 0);
	struct cn_store_piece piece = { 5000, 45000, 0 };
	struct cn_match match;

	fake_add(rig->pair, log, data + 5000, 45000, SCOPE);
	cn_match_learn(
	    rig->matcher, rig->pair, SCOPE, false, 2, data, &piece, 1);
	match_only(rig, data, 50000, &match);
	assert_int_equal(match.copied, 45000);
	assert_int_equal(match.copy[0].place.pos, 0);
	assert_int_equal(match.regions, 0);
	/* There are 300 bytes of the older version. */
	samples_random(data + 5000, 300, 35);
	new_stream(rig);
	match_only(rig, data, 50000, &match);
	assert_int_equal(match.copied, 44700);
	assert_int_equal(match.regions, 1);
	assert_int_equal(match.region[0].place.pos, 0);
	assert_int_equal(match.region[0].len, 300);
	cn_free(data);
}

/* A state that points beyond any log. */
static void
test_state_out_of_range(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = random_bytes(5000, 36);
	struct cn_match match;

	rig->state = (struct cn_match_state){
		.next = { 1, CN_PLACE_END - 10, true },
		.credit = 1000,
		.is_set = true,
	};
	match_only(rig, data, 5000, &match);
	assert_int_equal(match.copied, 0);
	rig->state.next.pos = UINT64_MAX;
	rig->state.is_set = true;
	match_only(rig, data, 5000, &match);
	cn_free(data);
}

/* What no hint led to, but a run covers, is not stored again. */
static void
test_covered(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = random_bytes(200000, 37);

	rig->pair->hook_bits = 2;
	send_all(rig, data, 200000, CN_BATCH_PLAIN_MAX);
	assert_true(rig->pair->hints < rig->pair->learned / 2);
	new_stream(rig);
	send_all(rig, data, 200000, CN_BATCH_PLAIN_MAX);
	assert_true(rig->copied == 200000);
	assert_int_equal(rig->stored, 0);
	cn_free(data);
}

/* Bytes that are all the same are one hint, not hundreds. */
static void
test_zeros(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = cn_calloc(1, CN_BATCH_PLAIN_MAX);

	assert_non_null(data);
	send_all(rig, data, CN_BATCH_PLAIN_MAX, CN_BATCH_PLAIN_MAX);
	assert_int_equal(rig->pair->learned, 1);
	new_stream(rig);
	send_all(rig, data, CN_BATCH_PLAIN_MAX, CN_BATCH_PLAIN_MAX);
	assert_int_equal(rig->copied, CN_BATCH_PLAIN_MAX);
	assert_int_equal(rig->stored, 0);
	cn_free(data);
}

/* Of several places that which goes on for longest, whatever came last. */
static void
test_longest(void **ret)
{
	struct rig *rig = *ret;
	size_t len = 60000;
	uint8_t *data = random_bytes(len, 8);
	uint8_t *part = random_bytes(20000, 9);
	struct cn_match match;

	send_all(rig, data, len, CN_BATCH_PLAIN_MAX);
	/* The same chunks again, in a log of the peer's, with an end. */
	memcpy(part, data, 10000);
	{
		size_t log = fake_add_log(rig->pair, 2, false, 0);
		struct cn_store_piece piece = { 0, 20000, 0 };

		fake_add(rig->pair, log, part, 20000, SCOPE);
		cn_match_learn(
		    rig->matcher, rig->pair, SCOPE, false, 2, part, &piece, 1);
	}
	new_stream(rig);
	match_only(rig, data, len, &match);
	assert_int_equal(match.copied, len);
	assert_int_equal(match.copy[0].place.epoch, 1);
	cn_free(data);
	cn_free(part);
}

/* What the peer sent is found by its own chunks. */
static void
test_peers_log(void **ret)
{
	struct rig *rig = *ret;
	size_t len = 200000;
	uint8_t *data = random_bytes(len, 10);
	size_t log = fake_add_log(rig->pair, 2, false, START);
	struct cn_store_piece piece[2] = { { 1000, 50000, START },
		{ 80000, 100000, START + 50000 } };
	struct cn_match match;

	fake_add(rig->pair, log, data + 1000, 50000, SCOPE);
	fake_add(rig->pair, log, data + 80000, 100000, SCOPE);
	cn_match_learn(
	    rig->matcher, rig->pair, SCOPE, false, 2, data, piece, 2);
	match_only(rig, data, len, &match);
	assert_true(match.copied >= 145000);
	cn_free(data);
}

/* ---- random edits ---- */

/* Insert, delete, replace, move, repeat.  Returns the new length. */
static size_t
edit(struct cn_prng *prng, uint8_t *data, size_t len, size_t cap)
{
	size_t at = (size_t)cn_prng_below(prng, len);
	size_t n = 1 +
	    (size_t)cn_prng_below(prng, cn_prng_chance(prng, 1, 3) ? 3000 : 20);
	uint8_t piece[3000];

	n = CN_MIN(n, len - at);
	switch (cn_prng_below(prng, 5)) {
	case 0: /* insert */
		n = CN_MIN(n, cap - len);
		memmove(data + at + n, data + at, len - at);
		cn_prng_bytes(prng, data + at, n);
		return len + n;
	case 1: /* delete */
		n = CN_MIN(n, len - 1);
		memmove(data + at, data + at + n, len - at - n);
		return len - n;
	case 2:
		cn_prng_bytes(prng, data + at, n);
		return len;
	case 3: { /* move */
		size_t to = (size_t)cn_prng_below(prng, len - n + 1);

		memcpy(piece, data + at, n);
		memmove(data + at, data + at + n, len - at - n);
		memmove(data + to + n, data + to, len - n - to);
		memcpy(data + to, piece, n);
		return len;
	}
	default: /* repeat */
		n = CN_MIN(n, cap - len);
		memcpy(piece, data + at, n);
		memmove(data + at + n, data + at, len - at);
		memcpy(data + at, piece, n);
		return len + n;
	}
}

static void
random_rounds(struct rig *rig, uint64_t seed, size_t rounds)
{
	enum { CAP = 60000 };
	struct cn_prng prng;
	uint8_t *data = cn_alloc(CAP);
	size_t len = 0;

	assert_non_null(data);
	cn_prng_init(&prng, seed);
	for (size_t i = 0; i < rounds; i++) {
		size_t batch = 1 + (size_t)cn_prng_below(&prng, CAP / 2);
		size_t edits = 1 + (size_t)cn_prng_below(&prng, 6);

		if (i % 40 == 0) {
			uint64_t lie = rig->pair->lie;
			size_t piece_max = rig->pair->piece_max;
			unsigned hook_bits = rig->pair->hook_bits;

			renew(rig);
			rig->pair->lie = lie;
			rig->pair->hook_bits = hook_bits;
			rig->pair->piece_max = piece_max;
			len = 10000 + (size_t)cn_prng_below(&prng, 20000);
			if (i % 80 == 0) {
				samples_random(data, len, seed + i);
			} else {
				samples_text(data, len, seed + i);
			}
		}
		batch = CN_MAX(batch, len / 10);
		for (size_t k = 0; k < edits; k++) {
			len = edit(&prng, data, len, CAP);
		}
		send_all(rig, data, len, batch);
		if (cn_prng_chance(&prng, 1, 3)) {
			new_stream(rig);
		}
		if (cn_prng_chance(&prng, 1, 4)) {
			/* The peer lost something. */
			uint64_t end = START + rig->pair->log[0].len;
			uint64_t from =
			    START + cn_prng_below(&prng, rig->pair->log[0].len);
			uint64_t to = from + cn_prng_below(&prng, 20000);

			fake_mark(rig->pair, 0, from, CN_MIN(end, to),
			    (uint8_t)cn_prng_below(&prng, 3));
		}
	}
	cn_free(data);
}

static void
test_random_edits(void **ret)
{
	random_rounds(*ret, 100, 2000);
}

static void
test_random_edits_apart(void **ret)
{
	struct rig *rig = *ret;

	rig->pair->piece_max = 4096;
	random_rounds(rig, 200, 500);
}

static void
test_lying_hints(void **ret)
{
	struct rig *rig = *ret;

	rig->pair->lie = 77;
	random_rounds(rig, 300, 500);
}

/* A segment's table that names the right keys and any place. */
static void
test_lying_table(void **ret)
{
	enum { LIES = 300 };
	struct rig *rig = *ret;
	struct cn_store_chunk table[LIES] = { 0 };
	uint8_t *data = random_bytes(200000, 20);
	struct cn_prng prng;

	cn_prng_init(&prng, 21);
	send_all(rig, data, 200000, CN_BATCH_PLAIN_MAX);
	for (size_t i = 0; i < LIES; i++) {
		table[i].key = rig->pair->hint[i % rig->pair->hints].key;
		table[i].pos = cn_prng_below(&prng, CN_SEGMENT_BYTES);
	}
	rig->pair->hook_bits = 2;
	rig->pair->table = table;
	rig->pair->table_len = LIES;
	for (int i = 0; i < 50; i++) {
		size_t len = edit(&prng, data, 190000, 200000);

		new_stream(rig);
		send_all(rig, data, CN_MIN(len, (size_t)190000), 100000);
	}
	assert_true(rig->pair->tables > 0);
	cn_free(data);
}

static void
test_random_edits_hooks(void **ret)
{
	struct rig *rig = *ret;

	rig->pair->hook_bits = 2;
	random_rounds(rig, 400, 500);
}

/* Edited data, too, is soon all there when it comes again. */
static void
test_edited_again(void **ret)
{
	enum { CAP = 250000, ROUNDS = 60 };
	struct rig *rig = *ret;
	uint8_t *data = random_bytes(CAP, 11);
	struct cn_prng prng;
	size_t first = 0, second = 0;

	cn_prng_init(&prng, 12);
	for (int i = 0; i < ROUNDS; i++) {
		size_t len = 200000;

		if (i % 10 == 0) {
			renew(rig);
			samples_random(data, len, 13 + (uint64_t)i);
			send_all(rig, data, len, CAP);
		}
		for (int k = 0; k < 10; k++) {
			len = edit(&prng, data, len, CAP);
		}
		new_stream(rig);
		send_all(rig, data, len, CAP);
		first += rig->stored;
		new_stream(rig);
		send_all(rig, data, len, CAP);
		second += rig->stored;
		new_stream(rig);
		send_all(rig, data, len, CAP);
		assert_int_equal(rig->stored, 0);
		assert_true(rig->copied + 16 >= len);
	}
	/* Of each edit the chunks at both ends. */
	assert_true(first < ROUNDS * 10 * 5 * CN_CHUNK_MEAN);
	assert_true(second < first / 20);
	cn_free(data);
}

/* ---- the disk ---- */

/* Whichever look is told to wait: nothing has changed, nothing is pinned. */
static void
test_wait(void **ret)
{
	struct rig *rig = *ret;
	size_t len = 250000;
	uint8_t *data = random_bytes(len, 14);
	struct cn_match_state before;
	struct cn_match match = { 0 };
	int err = CN_EAGAIN;

	send_all(rig, data, len, CN_BATCH_PLAIN_MAX);
	for (size_t at = 10000; at < len; at += 30000) {
		data[at] ^= 1;
		samples_random(data + at + 5000, 500, at);
	}
	before = rig->state;
	rig->pair->is_on_disk = true;
	for (size_t n = 0; err == CN_EAGAIN; n++) {
		rig->pair->looks = 0;
		rig->pair->disk_after = n;
		err = cn_match_batch(rig->matcher, rig->pair, SCOPE,
		    &rig->state, &rig->user, data, len, true, &match);
		assert_int_equal(rig->pair->pins, 0);
		if (err == CN_EAGAIN) {
			assert_null(match.copy);
			assert_memory_equal(
			    &rig->state, &before, sizeof(before));
		}
		assert_true(n < 1000);
	}
	assert_int_equal(err, CN_OK);
	assert_true(match.copied > len - 6000);

	/* Without patience it is a miss, at any point. */
	for (size_t n = 0; n < 30; n++) {
		new_stream(rig);
		rig->pair->looks = 0;
		rig->pair->disk_after = n;
		assert_int_equal(
		    cn_match_batch(rig->matcher, rig->pair, SCOPE, &rig->state,
			&rig->user, data, len, false, &match),
		    CN_OK);
		assert_int_equal(rig->pair->pins, 0);
		check_copies(rig, &match, data, len);
		check_misses(&match, len);
	}
	cn_free(data);
}

/* ---- hooks ---- */

/* The neighbours of a hook are found by the segment's own table. */
static void
test_near(void **ret)
{
	struct rig *rig = *ret;
	size_t len = 100000, at = 0, count = 0;
	uint8_t *data = random_bytes(len, 25);
	uint8_t *moved = cn_alloc(len);
	size_t starts[300];
	struct cn_store_chunk table[300];
	struct cn_chunker chunker;
	struct cn_match match;
	size_t log =
	    fake_add_log(rig->pair, 2, false, UINT64_C(9) << CN_SEGMENT_SHIFT);

	assert_non_null(moved);
	cn_chunker_init(&chunker, cn_store_secret(NULL));
	fake_add(rig->pair, log, data, len, SCOPE);
	while (at < len) {
		size_t n = cn_chunker_next(&chunker, data + at, len - at);

		starts[count] = at;
		table[count++] = (struct cn_store_chunk){
			.key = cn_hash64(
			    data + at, n, cn_pair_seed(rig->pair, SCOPE)),
			.pos = at,
		};
		at += n;
	}
	/* The last whole chunk first: it is the hook.  The others backwards. */
	len = starts[count - 1];
	at = 0;
	for (size_t i = count - 1; i > 0; i--) {
		size_t n = starts[i] - starts[i - 1];

		memcpy(moved + at, data + starts[i - 1], n);
		at += n;
	}
	rig->pair->hint[rig->pair->hints++] = (struct fake_hint){
		.key = table[count - 2].key,
		.spot = ((uint64_t)log << 28) + starts[count - 2],
		.is_set = true,
	};
	rig->pair->hook_bits = 3;
	rig->pair->table = table;
	rig->pair->table_len = count;
	match_only(rig, moved, len, &match);
	assert_int_equal(match.copied, len);
	assert_int_equal(match.misses, 0);
	assert_int_equal(rig->pair->tables, 1);
	cn_free(data);
	cn_free(moved);
}

/* ---- caps ---- */

/* Every `step' bytes `change' of them are others. */
static void
spoil(uint8_t *data, size_t len, size_t step, size_t change)
{
	for (size_t at = 0; at + step <= len; at += step) {
		for (size_t i = 0; i < change; i++) {
			data[at + step - 1 - i] ^= 0xff;
		}
	}
}

static void
test_copies_cap(void **ret)
{
	struct rig *rig = *ret;
	size_t len = CN_BATCH_PLAIN_MAX;
	uint8_t *data = random_bytes(len, 16);
	struct cn_match match;

	send_all(rig, data, len, len);
	rig->state.next = (struct cn_place){ 1, START, true };
	rig->state.is_set = true;
	spoil(data, len, 100, 20);
	match_only(rig, data, len, &match);
	assert_in_range(
	    match.copies, CN_MATCH_COPIES_MAX - 4, CN_MATCH_COPIES_MAX);
	cn_free(data);
}

static void
test_regions_cap(void **ret)
{
	struct rig *rig = *ret;
	size_t len = CN_BATCH_PLAIN_MAX;
	uint8_t *data = random_bytes(len, 17);
	struct cn_match match;

	send_all(rig, data, len, len);
	rig->state.next = (struct cn_place){ 1, START, true };
	rig->state.is_set = true;
	spoil(data, len, 1000, 200);
	match_only(rig, data, len, &match);
	assert_int_equal(match.regions, CN_MATCH_REGIONS_MAX);
	cn_free(data);
}

static void
test_logs_cap(void **ret)
{
	enum { EACH = 20000, LOGS = 11 };
	struct rig *rig = *ret;
	uint8_t *data = random_bytes((size_t)LOGS * EACH, 18);
	struct cn_match match;

	for (uint32_t i = 0; i < LOGS; i++) {
		size_t log = fake_add_log(rig->pair, 100 + i, false, 0);
		struct cn_store_piece piece = { i * EACH, EACH, 0 };

		fake_add(rig->pair, log, data + i * EACH, EACH, SCOPE);
		cn_match_learn(rig->matcher, rig->pair, SCOPE, false, 100 + i,
		    data, &piece, 1);
	}
	match_only(rig, data, (size_t)LOGS * EACH, &match);
	assert_in_range(match.copied, 7 * EACH, 8 * EACH);
	cn_free(data);
}

/* The smallest batches. */
static void
test_short(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = random_bytes(2000, 19);

	for (size_t len = 1; len < 2000; len += 1 + len / 8) {
		renew(rig);
		send_all(rig, data, len, len);
		assert_int_equal(rig->stored, len);
		new_stream(rig);
		send_all(rig, data, len, len);
		assert_int_equal(rig->stored, 0);
		assert_true(rig->copied == len || len < 16);
	}
	cn_free(data);
}

/* ---- memory ---- */

static void
test_no_memory(void **ret)
{
	struct cn_matcher *matcher = NULL;

	(void)ret;
	cn_alloc_fail_at(1);
	assert_int_equal(cn_matcher_create(NULL, &matcher), CN_ENOMEM);
	assert_true(cn_alloc_has_failed());
	cn_alloc_fail_at(0);
	assert_null(matcher);
}

/* Matching takes memory only for the neighbours of hooks, and can do
 * without. */
static void
test_no_memory_for_near(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = random_bytes(100000, 22);
	struct cn_match match;

	send_all(rig, data, 100000, CN_BATCH_PLAIN_MAX);
	new_stream(rig);
	rig->pair->hook_bits = 2;
	rig->pair->is_short = true;
	match_only(rig, data, 100000, &match);
	assert_true(rig->pair->has_failed || cn_alloc_has_failed());
	rig->pair->is_short = false;
	cn_alloc_fail_at(0);
	assert_int_equal(match.copied, 100000);
	cn_free(data);
}

int
main(void)
{
#define RIGGED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		RIGGED(test_same_again),
		RIGGED(test_pieces_apart),
		RIGGED(test_state_goes_on),
		RIGGED(test_small_edit),
		RIGGED(test_region),
		RIGGED(test_region_bytes_cap),
		RIGGED(test_region_on_disk),
		RIGGED(test_begin_of_log),
		RIGGED(test_state_out_of_range),
		RIGGED(test_covered),
		RIGGED(test_zeros),
		RIGGED(test_longest),
		RIGGED(test_peers_log),
		RIGGED(test_random_edits),
		RIGGED(test_random_edits_apart),
		RIGGED(test_lying_hints),
		RIGGED(test_lying_table),
		RIGGED(test_random_edits_hooks),
		RIGGED(test_edited_again),
		RIGGED(test_wait),
		RIGGED(test_near),
		RIGGED(test_copies_cap),
		RIGGED(test_regions_cap),
		RIGGED(test_logs_cap),
		RIGGED(test_short),
		cmocka_unit_test(test_no_memory),
		RIGGED(test_no_memory_for_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
