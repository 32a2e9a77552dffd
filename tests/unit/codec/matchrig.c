/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/matchrig.h"

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
#include "codec/samples.h"
#include "wire/limits.h"
#include "wire/refs.h"

int
matchrig_set_up(void **ret)
{
	struct rig *rig = cn_calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig->pair = fake_pair(START);
	assert_int_equal(cn_matcher_create(NULL, &rig->matcher), CN_OK);
	*ret = rig;
	return 0;
}

int
matchrig_tear_down(void **ret)
{
	struct rig *rig = *ret;

	cn_matcher_free(&rig->matcher);
	assert_null(rig->matcher);
	cn_matcher_free(&rig->matcher);
	fake_free(&rig->pair);
	cn_free(rig);
	return 0;
}

void
matchrig_renew(struct rig *rig)
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

void
matchrig_check_copies(struct rig *rig, const struct cn_match *match,
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

void
matchrig_check_misses(const struct cn_match *match, size_t len)
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

void
matchrig_match(
    struct rig *rig, const uint8_t *plain, size_t len, struct cn_match *match)
{
	assert_int_equal(cn_match_batch(rig->matcher, rig->pair, SCOPE,
			     &rig->state, &rig->user, plain, len, true, match),
	    CN_OK);
	assert_int_equal(rig->pair->pins, 0);
	matchrig_check_copies(rig, match, plain, len);
	matchrig_check_misses(match, len);
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
	matchrig_match(rig, plain, len, &match);
	pieces = fake_append(rig->pair, SCOPE, plain, match.miss, match.misses,
	    piece, CN_ARRAY_LEN(piece));
	cn_match_learn(
	    rig->matcher, rig->pair, SCOPE, true, 1, NULL, piece, pieces);
	for (size_t i = 0; i < match.misses; i++) {
		rig->stored += match.miss[i].len;
	}
	cn_free(plain);
}

void
matchrig_send(struct rig *rig, const uint8_t *bytes, size_t len, size_t batch)
{
	rig->copied = rig->copies = rig->stored = rig->regions = 0;
	for (size_t at = 0; at < len; at += batch) {
		send_batch(rig, bytes + at, CN_MIN(batch, len - at));
	}
}

void
matchrig_new_stream(struct rig *rig)
{
	rig->state = (struct cn_match_state){ 0 };
}

void
matchrig_fill(uint8_t *bytes, size_t len, uint64_t seed)
{
	samples_random(bytes, len, seed);
	for (size_t i = 0; i < len; i++) {
		bytes[i] &= 0x3f; /* so that they are cut finely */
	}
}

uint8_t *
matchrig_random(size_t len, uint64_t seed)
{
	uint8_t *bytes = cn_alloc(len);

	assert_non_null(bytes);
	matchrig_fill(bytes, len, seed);
	return bytes;
}
