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
#include "codec/chunker.h"
#include "codec/matchrig.h"
#include "codec/samples.h"
#include "wire/limits.h"

/* ---- the same again ---- */

static void
test_same_again(void **ret)
{
	static const size_t batches[] = { 262144, 262144, 100000, 65537, 5000 };
	struct rig *rig = *ret;
	size_t len = 900000;
	uint8_t *data = matchrig_random(len, 1);

	matchrig_send(rig, data, len, CN_BATCH_PLAIN_MAX);
	assert_int_equal(rig->copied, 0);
	assert_int_equal(rig->stored, len);
	for (size_t i = 0; i < CN_ARRAY_LEN(batches); i++) {
		matchrig_new_stream(rig);
		matchrig_send(rig, data, len, batches[i]);
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
	uint8_t *data = matchrig_random(len, 2);

	rig->pair->piece_max = 32768;
	matchrig_send(rig, data, len, CN_BATCH_PLAIN_MAX);
	assert_int_equal(rig->stored, len);
	for (int i = 0; i < 2; i++) {
		matchrig_new_stream(rig);
		matchrig_send(rig, data, len, CN_BATCH_PLAIN_MAX);
		assert_int_equal(rig->copied, len);
		assert_int_equal(rig->stored, 0);
	}
	cn_free(data);
}

/* What looks random is cut coarsely, and found in small batches as well. */
static void
test_coarse(void **ret)
{
	static const size_t batches[] = { 262144, 65537, 5000 };
	struct rig *rig = *ret;
	size_t len = 900000;
	uint8_t *data = cn_alloc(len);

	assert_non_null(data);
	samples_random(data, len, 1);
	matchrig_send(rig, data, len, CN_BATCH_PLAIN_MAX);
	assert_int_equal(rig->stored, len);
	for (size_t i = 0; i < CN_ARRAY_LEN(batches); i++) {
		matchrig_new_stream(rig);
		matchrig_send(rig, data, len, batches[i]);
		assert_int_equal(rig->copied, len);
		assert_int_equal(rig->stored, 0);
	}
	/* From the middle on: found from the next cut on, and before it. */
	matchrig_new_stream(rig);
	matchrig_send(rig, data + 300000, 300000, CN_BATCH_PLAIN_MAX);
	assert_int_equal(rig->copied, 300000);
	cn_free(data);
}

/* A stream that goes on where its last batch ended hashes nothing. */
static void
test_state_goes_on(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = matchrig_random(300000, 3);
	struct cn_match match;

	matchrig_send(rig, data, 300000, CN_BATCH_PLAIN_MAX);
	matchrig_new_stream(rig);
	matchrig_match(rig, data, 100000, &match);
	assert_true(rig->state.is_set);
	rig->pair->hints = 0;
	memset(rig->pair->hint, 0xff, FAKE_HINTS * sizeof(*rig->pair->hint));
	matchrig_match(rig, data + 100000, 50, &match);
	assert_int_equal(match.copied, 50);
	matchrig_match(rig, data + 100050, 100000, &match);
	assert_int_equal(match.copied, 100000);
	/* Another stream, and there is no other way. */
	matchrig_new_stream(rig);
	matchrig_match(rig, data, 100000, &match);
	assert_int_equal(match.copied, 0);
	cn_free(data);
}

/* A small edit costs its bytes and the chunk around it, once. */
static void
test_small_edit(void **ret)
{
	struct rig *rig = *ret;
	size_t len = 250000;
	uint8_t *data = matchrig_random(len, 4);

	matchrig_send(rig, data, len, CN_BATCH_PLAIN_MAX);
	for (size_t i = 0; i < 10; i++) {
		data[100000 + i] ^= 0x55;
	}
	matchrig_new_stream(rig);
	matchrig_send(rig, data, len, CN_BATCH_PLAIN_MAX);
	assert_int_equal(rig->copied, len - 10);
	assert_true(rig->stored > 0 && rig->stored <= CN_CHUNK_COARSE_MAX);
	matchrig_new_stream(rig);
	matchrig_send(rig, data, len, CN_BATCH_PLAIN_MAX);
	assert_int_equal(rig->copied, len);
	assert_int_equal(rig->stored, 0);
	assert_true(rig->copies <= 5);
	cn_free(data);
}

/* What no hint led to, but a run covers, is not stored again. */
static void
test_covered(void **ret)
{
	struct rig *rig = *ret;
	uint8_t *data = matchrig_random(200000, 37);

	rig->pair->hook_bits = 2;
	matchrig_send(rig, data, 200000, CN_BATCH_PLAIN_MAX);
	assert_true(rig->pair->hints < rig->pair->learned / 2);
	matchrig_new_stream(rig);
	matchrig_send(rig, data, 200000, CN_BATCH_PLAIN_MAX);
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
	matchrig_send(rig, data, CN_BATCH_PLAIN_MAX, CN_BATCH_PLAIN_MAX);
	assert_int_equal(rig->pair->learned, 1);
	matchrig_new_stream(rig);
	matchrig_send(rig, data, CN_BATCH_PLAIN_MAX, CN_BATCH_PLAIN_MAX);
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
	uint8_t *data = matchrig_random(len, 8);
	uint8_t *part = matchrig_random(20000, 9);
	struct cn_match match;

	matchrig_send(rig, data, len, CN_BATCH_PLAIN_MAX);
	/* The same chunks again, in a log of the peer's, with an end. */
	memcpy(part, data, 10000);
	{
		size_t log = fake_add_log(rig->pair, 2, false, 0);
		struct cn_store_piece piece = { 0, 20000, 0 };

		fake_add(rig->pair, log, part, 20000, SCOPE);
		cn_match_learn(
		    rig->matcher, rig->pair, SCOPE, false, 2, part, &piece, 1);
	}
	matchrig_new_stream(rig);
	matchrig_match(rig, data, len, &match);
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
	uint8_t *data = matchrig_random(len, 10);
	size_t log = fake_add_log(rig->pair, 2, false, START);
	struct cn_store_piece piece[2] = { { 1000, 50000, START },
		{ 80000, 100000, START + 50000 } };
	struct cn_match match;

	fake_add(rig->pair, log, data + 1000, 50000, SCOPE);
	fake_add(rig->pair, log, data + 80000, 100000, SCOPE);
	cn_match_learn(
	    rig->matcher, rig->pair, SCOPE, false, 2, data, piece, 2);
	matchrig_match(rig, data, len, &match);
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

			matchrig_renew(rig);
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
		matchrig_send(rig, data, len, batch);
		if (cn_prng_chance(&prng, 1, 3)) {
			matchrig_new_stream(rig);
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
	uint8_t *data = matchrig_random(200000, 20);
	struct cn_prng prng;

	cn_prng_init(&prng, 21);
	matchrig_send(rig, data, 200000, CN_BATCH_PLAIN_MAX);
	for (size_t i = 0; i < LIES; i++) {
		table[i].key = rig->pair->hint[i % rig->pair->hints].key;
		table[i].pos = cn_prng_below(&prng, CN_SEGMENT_BYTES);
	}
	rig->pair->hook_bits = 2;
	rig->pair->table = table;
	rig->pair->table_len = LIES;
	for (int i = 0; i < 50; i++) {
		size_t len = edit(&prng, data, 190000, 200000);

		matchrig_new_stream(rig);
		matchrig_send(rig, data, CN_MIN(len, (size_t)190000), 100000);
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
	uint8_t *data = matchrig_random(CAP, 11);
	struct cn_prng prng;
	size_t first = 0, second = 0;

	cn_prng_init(&prng, 12);
	for (int i = 0; i < ROUNDS; i++) {
		size_t len = 200000;

		if (i % 10 == 0) {
			matchrig_renew(rig);
			matchrig_fill(data, len, 13 + (uint64_t)i);
			matchrig_send(rig, data, len, CAP);
		}
		for (int k = 0; k < 10; k++) {
			len = edit(&prng, data, len, CAP);
		}
		matchrig_new_stream(rig);
		matchrig_send(rig, data, len, CAP);
		if (rig->stored == len) { /* whole: enough was new */
			assert_true(len - rig->copied >= len / 8);
		} else {
			first += rig->stored;
		}
		matchrig_new_stream(rig);
		matchrig_send(rig, data, len, CAP);
		second += rig->stored;
		matchrig_new_stream(rig);
		matchrig_send(rig, data, len, CAP);
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
	uint8_t *data = matchrig_random(len, 14);
	struct cn_match_state before;
	struct cn_match match = { 0 };
	int err = CN_EAGAIN;

	matchrig_send(rig, data, len, CN_BATCH_PLAIN_MAX);
	for (size_t at = 10000; at < len; at += 30000) {
		data[at] ^= 1;
		matchrig_fill(data + at + 5000, 500, at);
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
		matchrig_new_stream(rig);
		rig->pair->looks = 0;
		rig->pair->disk_after = n;
		assert_int_equal(
		    cn_match_batch(rig->matcher, rig->pair, SCOPE, &rig->state,
			&rig->user, data, len, false, &match),
		    CN_OK);
		assert_int_equal(rig->pair->pins, 0);
		matchrig_check_copies(rig, &match, data, len);
		matchrig_check_misses(&match, len);
	}
	cn_free(data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RIGGED(test_same_again),
		RIGGED(test_pieces_apart),
		RIGGED(test_coarse),
		RIGGED(test_state_goes_on),
		RIGGED(test_small_edit),
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
