/* SPDX-License-Identifier: Apache-2.0 */
/* The matcher: older versions of literals, hooks, caps, memory. */
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
#include "codec/matchrig.h"
#include "codec/samples.h"
#include "wire/limits.h"
#include "wire/refs.h"

/* ---- older versions ---- */

/* What was put in has an older version beside it. */
static void
test_region(void **ret)
{
	struct rig *rig = *ret;
	size_t len = 100000;
	uint8_t *data = matchrig_random(len, 5);
	struct cn_match match;

	matchrig_send(rig, data, len, CN_BATCH_PLAIN_MAX);
	matchrig_fill(data + 50000, 1000, 6);
	matchrig_new_stream(rig);
	matchrig_match(rig, data, len, &match);
	assert_int_equal(match.copied, len - 1000);
	assert_int_equal(match.regions, 1);
	assert_int_equal(match.region[0].offset, 50000);
	assert_int_equal(match.region[0].place.pos, START + 50000);
	assert_in_range(match.region[0].len, 1000, 2000);

	/* At the begin of a stream: before what follows. */
	matchrig_send(rig, data + 50000, 1000, CN_BATCH_PLAIN_MAX);
	matchrig_fill(data, 1000, 7);
	matchrig_new_stream(rig);
	matchrig_match(rig, data, len, &match);
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
	uint8_t *data = matchrig_random(600000, 30);
	struct cn_match match;
	size_t sum = 0;

	matchrig_send(rig, data, 600000, CN_BATCH_PLAIN_MAX);
	rig->state = (struct cn_match_state){
		.next = { 1, START + 1000, true },
		.credit = 4u << 20,
		.is_set = true,
	};
	matchrig_fill(data, CN_BATCH_PLAIN_MAX, 31);
	matchrig_match(rig, data, CN_BATCH_PLAIN_MAX, &match);
	for (size_t i = 0; i < match.regions; i++) {
		sum += match.region[i].len;
	}
	assert_int_equal(sum, CN_REFS_DELTA_MAX);
	cn_free(data);
}

/* A state may ask for longer copies than the least. */
static void
test_least(void **ret)
{
	static const struct {
		uint16_t least;
		size_t same;
		bool is_copied;
	} cases[] = {
		{ 0, CN_MATCH_MIN, true },
		{ CN_MATCH_MIN + 1, CN_MATCH_MIN, false },
		{ CN_MATCH_LEAST_MAX, CN_MATCH_LEAST_MAX - 1, false },
		{ CN_MATCH_LEAST_MAX, CN_MATCH_LEAST_MAX, true },
	};
	struct rig *rig = *ret;

	for (size_t i = 0; i < CN_ARRAY_LEN(cases); i++) {
		size_t len = 20000, same = cases[i].same;
		uint8_t *data = matchrig_random(len, 8);
		struct cn_match match;

		matchrig_renew(rig);
		matchrig_send(rig, data, len, CN_BATCH_PLAIN_MAX);
		/* Only the trail of the batch before leads to these. */
		data[same] ^= 1;
		matchrig_fill(data + same + 1, len - same - 1, 9);
		rig->state = (struct cn_match_state){
			.next = { 1, START, true },
			.credit = 1u << 20,
			.least = cases[i].least,
			.is_set = true,
		};
		matchrig_match(rig, data, len, &match);
		assert_int_equal(match.copied, cases[i].is_copied ? same : 0);
		assert_int_equal(rig->state.least, cases[i].least);
		cn_free(data);
	}
}

/* No region is worth waiting for. */
static void
test_region_on_disk(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = matchrig_random(10000, 32);
	struct cn_match match;

	matchrig_send(rig, data, 10000, CN_BATCH_PLAIN_MAX);
	matchrig_fill(data + 4500, 1000, 33);
	matchrig_new_stream(rig);
	rig->pair->looks = 0;
	matchrig_match(rig, data, 5500, &match);
	assert_int_equal(match.copied, 4500);
	assert_int_equal(match.regions, 2); /* over the segment's end */
	assert_int_equal(rig->pair->looks, 2);
	matchrig_new_stream(rig);
	rig->pair->is_on_disk = true;
	rig->pair->disk_after = 1;
	rig->pair->looks = 0;
	matchrig_match(rig, data, 5500, &match);
	assert_int_equal(match.copied, 4500);
	assert_int_equal(match.regions, 1);
	cn_free(data);
}

/* A log that begins in the middle of what is sent. */
static void
test_begin_of_log(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = matchrig_random(50000, 34);
	size_t log = fake_add_log(rig->pair, 2, false, 0);
	struct cn_store_piece piece = { 200, 49800, 0 };
	struct cn_match match;

	fake_add(rig->pair, log, data + 200, 49800, SCOPE);
	cn_match_learn(
	    rig->matcher, rig->pair, SCOPE, false, 2, data, &piece, 1);
	matchrig_match(rig, data, 50000, &match);
	assert_int_equal(match.copied, 49800);
	assert_int_equal(match.copy[0].place.pos, 0);
	assert_int_equal(match.regions, 0);
	/* There are 300 bytes of the older version. */
	matchrig_fill(data + 200, 300, 35);
	matchrig_new_stream(rig);
	matchrig_match(rig, data, 50000, &match);
	assert_int_equal(match.copied, 49500);
	assert_int_equal(match.regions, 1);
	assert_int_equal(match.region[0].place.pos, 0);
	assert_int_equal(match.region[0].len, 300);
	cn_free(data);
}

/* Few equal bytes in a batch of new ones: no older version is believed. */
static void
test_region_not_worth(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = matchrig_random(200000, 38);
	struct cn_match match;

	matchrig_send(rig, data, 200000, CN_BATCH_PLAIN_MAX);
	matchrig_fill(data + 10000, 190000, 39);
	matchrig_new_stream(rig);
	matchrig_match(rig, data, 200000, &match);
	assert_int_equal(match.copied, 10000);
	assert_int_equal(match.regions, 0);
	matchrig_new_stream(rig);
	matchrig_match(rig, data, 60000, &match);
	assert_int_equal(match.copied, 10000);
	assert_true(match.regions > 0);
	cn_free(data);
}

/* A state that points beyond any log. */
static void
test_state_out_of_range(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = matchrig_random(5000, 36);
	struct cn_match match;

	rig->state = (struct cn_match_state){
		.next = { 1, CN_PLACE_END - 10, true },
		.credit = 1000,
		.is_set = true,
	};
	matchrig_match(rig, data, 5000, &match);
	assert_int_equal(match.copied, 0);
	rig->state.next.pos = UINT64_MAX;
	rig->state.is_set = true;
	matchrig_match(rig, data, 5000, &match);
	cn_free(data);
}

/* ---- hooks ---- */

/* The neighbours of a hook are found by the segment's own table. */
static void
test_near(void **ret)
{
	struct rig *rig = *ret;
	size_t len = 100000, at = 0, count = 0;
	uint8_t *data = matchrig_random(len, 25);
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
	matchrig_match(rig, moved, len, &match);
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
	uint8_t *data = matchrig_random(len, 16);
	struct cn_match match;

	matchrig_send(rig, data, len, len);
	rig->state.next = (struct cn_place){ 1, START, true };
	rig->state.is_set = true;
	spoil(data, len, 100, 20);
	matchrig_match(rig, data, len, &match);
	assert_in_range(
	    match.copies, CN_MATCH_COPIES_MAX - 4, CN_MATCH_COPIES_MAX);
	cn_free(data);
}

/* What is the same all over the logs, with enough new, is stored whole: the
 * next time it is one run, but for the ends of segments. */
static void
test_scattered(void **ret)
{
	struct rig *rig = *ret;
	size_t len = CN_BATCH_PLAIN_MAX;
	uint8_t *data = matchrig_random(len, 27);
	struct cn_match match;

	matchrig_send(rig, data, len, len);
	matchrig_new_stream(rig);
	spoil(data, len, 8192, 2048);
	matchrig_send(rig, data, len, len);
	assert_true(rig->copies > 16);
	assert_int_equal(rig->stored, len);
	matchrig_new_stream(rig);
	matchrig_match(rig, data, len, &match);
	assert_true(match.copies <= 3);
	assert_int_equal(match.copied, len);
	assert_int_equal(match.misses, 0);
	/* Begun anywhere, it is found as well. */
	matchrig_new_stream(rig);
	matchrig_match(rig, data + len / 2 + 1, len / 2 - 1, &match);
	assert_true(match.copied >= len / 2 - 16384);
	assert_true(match.copies <= 3);
	cn_free(data);
}

/* Little new does not have a whole batch stored again. */
static void
test_scattered_little(void **ret)
{
	struct rig *rig = *ret;
	size_t len = CN_BATCH_PLAIN_MAX;
	uint8_t *data = matchrig_random(len, 28);

	matchrig_send(rig, data, len, len);
	matchrig_new_stream(rig);
	spoil(data, len, 16384, 64);
	matchrig_send(rig, data, len, len);
	assert_true(rig->copies > 8);
	assert_true(rig->stored < len / 2);
	cn_free(data);
}

static void
test_regions_cap(void **ret)
{
	struct rig *rig = *ret;
	size_t len = CN_BATCH_PLAIN_MAX;
	uint8_t *data = matchrig_random(len, 17);
	struct cn_match match;

	matchrig_send(rig, data, len, len);
	rig->state.next = (struct cn_place){ 1, START, true };
	rig->state.is_set = true;
	spoil(data, len, 1000, 200);
	matchrig_match(rig, data, len, &match);
	assert_int_equal(match.regions, CN_MATCH_REGIONS_MAX);
	cn_free(data);
}

static void
test_logs_cap(void **ret)
{
	enum { EACH = 20000, LOGS = 11 };
	struct rig *rig = *ret;
	uint8_t *data = matchrig_random((size_t)LOGS * EACH, 18);
	struct cn_match match;

	for (uint32_t i = 0; i < LOGS; i++) {
		size_t log = fake_add_log(rig->pair, 100 + i, false, 0);
		struct cn_store_piece piece = { i * EACH, EACH, 0 };

		fake_add(rig->pair, log, data + i * EACH, EACH, SCOPE);
		cn_match_learn(rig->matcher, rig->pair, SCOPE, false, 100 + i,
		    data, &piece, 1);
	}
	matchrig_match(rig, data, (size_t)LOGS * EACH, &match);
	assert_in_range(match.copied, 7 * EACH, 8 * EACH);
	cn_free(data);
}

/* The smallest batches. */
static void
test_short(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = matchrig_random(2000, 19);

	for (size_t len = 1; len < 2000; len += 1 + len / 8) {
		matchrig_renew(rig);
		matchrig_send(rig, data, len, len);
		assert_int_equal(rig->stored, len);
		matchrig_new_stream(rig);
		matchrig_send(rig, data, len, len);
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
	uint8_t *data = matchrig_random(100000, 22);
	struct cn_match match;

	matchrig_send(rig, data, 100000, CN_BATCH_PLAIN_MAX);
	matchrig_new_stream(rig);
	rig->pair->hook_bits = 2;
	rig->pair->is_short = true;
	matchrig_match(rig, data, 100000, &match);
	assert_true(rig->pair->has_failed || cn_alloc_has_failed());
	rig->pair->is_short = false;
	cn_alloc_fail_at(0);
	assert_int_equal(match.copied, 100000);
	cn_free(data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RIGGED(test_region),
		RIGGED(test_region_bytes_cap),
		RIGGED(test_least),
		RIGGED(test_region_on_disk),
		RIGGED(test_begin_of_log),
		RIGGED(test_region_not_worth),
		RIGGED(test_state_out_of_range),
		RIGGED(test_near),
		RIGGED(test_copies_cap),
		RIGGED(test_scattered),
		RIGGED(test_scattered_little),
		RIGGED(test_regions_cap),
		RIGGED(test_logs_cap),
		RIGGED(test_short),
		cmocka_unit_test(test_no_memory),
		RIGGED(test_no_memory_for_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
