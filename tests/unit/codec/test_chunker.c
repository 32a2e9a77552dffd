/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts: against a plain count of what the header says, and by content only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "codec/chunker.h"
#include "codec/samples.h"

#define DATA_LEN (1u << 20)

static struct cn_chunker chunker;
static uint8_t *data; /* DATA_LEN */

static int
set_up(void **ret)
{
	(void)ret;
	cn_chunker_init(&chunker, 1);
	data = cn_alloc(DATA_LEN);
	assert_non_null(data);
	samples_random(data, DATA_LEN / 2, 5);
	samples_text(data + DATA_LEN / 2, DATA_LEN / 2, 6);
	return 0;
}

static int
tear_down(void **ret)
{
	(void)ret;
	cn_free(data);
	return 0;
}

/* The hash of the 64 bytes that end with bytes[at], each by itself. */
static uint64_t
window_hash(const uint8_t *bytes, size_t at)
{
	uint64_t hash = 0;

	for (size_t i = 0; i < 64; i++) {
		hash += chunker.gear[bytes[at - i]] << i;
	}
	return hash;
}

static bool
looks_random(const uint8_t *bytes)
{
	bool seen[256] = { false };
	unsigned different = 0;

	for (size_t i = 0; i < CN_CHUNK_LOOK; i++) {
		different += !seen[bytes[i]];
		seen[bytes[i]] = true;
	}
	return different >= CN_CHUNK_LOOK_RANDOM;
}

static bool
is_cut(const uint8_t *bytes, size_t n, bool is_coarse)
{
	if (is_coarse) {
		return n >= CN_CHUNK_COARSE_MIN + 2 &&
		    bytes[n - 2] == (uint8_t)chunker.gear[0] &&
		    bytes[n - 1] % 32 == (uint8_t)chunker.gear[1] % 32;
	}
	return window_hash(bytes, n - 1) >>
	    (64 - (n <= CN_CHUNK_MEAN ? 13 : 9)) ==
	    0;
}

static size_t
naive_next(const uint8_t *bytes, size_t len)
{
	bool is_coarse = len > CN_CHUNK_MIN && looks_random(bytes);
	size_t max = is_coarse ? CN_CHUNK_COARSE_MAX : CN_CHUNK_MAX;

	for (size_t n = CN_CHUNK_MIN + 1; n <= len; n++) {
		if (n == max || is_cut(bytes, n, is_coarse)) {
			return n;
		}
	}
	return len;
}

static void
test_against_naive(void **ret)
{
	size_t count[2] = { 0 };

	(void)ret;
	for (size_t at = 0; at < DATA_LEN;) {
		size_t len =
		    cn_chunker_next(&chunker, data + at, DATA_LEN - at);

		assert_int_equal(len, naive_next(data + at, DATA_LEN - at));
		count[at < DATA_LEN / 2 ? 0 : 1]++;
		at += len;
	}
	/* Random bytes are cut coarsely, text is not. */
	assert_in_range(DATA_LEN / 2 / count[0], CN_CHUNK_COARSE_MEAN * 3 / 4,
	    CN_CHUNK_COARSE_MEAN * 3 / 2);
	assert_in_range(DATA_LEN / 2 / count[1], CN_CHUNK_MEAN * 3 / 4,
	    CN_CHUNK_MEAN * 3 / 2);
}

/* Every length, in a block of exactly that size. */
static void
test_all_lengths(void **ret)
{
	(void)ret;
	for (size_t len = 1; len <= CN_CHUNK_COARSE_MAX + 10;
	     len += 1 + len / 90) {
		for (unsigned i = 0; i < 2; i++) {
			uint8_t *copy =
			    cn_memdup(data + 3000 + i * DATA_LEN / 2, len);

			assert_non_null(copy);
			assert_int_equal(cn_chunker_next(&chunker, copy, len),
			    naive_next(copy, len));
			cn_free(copy);
		}
	}
}

/* Nothing to cut at: the longest; at once: the shortest. */
static void
test_limits(void **ret)
{
	static uint8_t same[3 * CN_CHUNK_MAX];
	struct cn_chunker flat = { { 0 } };

	(void)ret;
	assert_int_equal(
	    cn_chunker_next(&flat, same, sizeof(same)), CN_CHUNK_MIN + 1);
	for (size_t i = 0; i < CN_ARRAY_LEN(flat.gear); i++) {
		flat.gear[i] = UINT64_C(1) << 63;
	}
	/* Now it is the top bit alone everywhere. */
	assert_int_equal(
	    cn_chunker_next(&flat, same, sizeof(same)), CN_CHUNK_MAX);
	assert_int_equal(
	    cn_chunker_next(&flat, same, CN_CHUNK_MAX - 1), CN_CHUNK_MAX - 1);
}

/* Marks the ends of chunks of the bytes from `from' on. */
static void
mark_cuts(uint8_t *is_cut, size_t from)
{
	memset(is_cut, 0, DATA_LEN + 1);
	for (size_t at = from; at < DATA_LEN;) {
		at += cn_chunker_next(&chunker, data + at, DATA_LEN - at);
		is_cut[at] = 1;
	}
}

/* Bytes that go missing at the front move no cut far behind. */
static void
test_cuts_come_back(void **ret)
{
	uint8_t *whole = cn_alloc(DATA_LEN + 1);
	uint8_t *cut = cn_alloc(DATA_LEN + 1);

	(void)ret;
	assert_non_null(whole);
	assert_non_null(cut);
	mark_cuts(whole, 0);
	for (size_t from = 1; from < 100000; from = from * 3 + 1) {
		size_t same = from;

		mark_cuts(cut, from);
		while (!(whole[same] && cut[same])) {
			same++;
		}
		assert_true(same - from < 8 * CN_CHUNK_COARSE_MAX);
		assert_memory_equal(
		    whole + same, cut + same, DATA_LEN + 1 - same);
	}
	cn_free(whole);
	cn_free(cut);
}

/* Another seed cuts elsewhere; the same one the same. */
static void
test_seed(void **ret)
{
	struct cn_chunker again, other;

	(void)ret;
	cn_chunker_init(&again, 1);
	cn_chunker_init(&other, 2);
	assert_memory_equal(&again, &chunker, sizeof(again));
	assert_memory_not_equal(&other, &chunker, sizeof(other));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_naive),
		cmocka_unit_test(test_all_lengths),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_cuts_come_back),
		cmocka_unit_test(test_seed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
