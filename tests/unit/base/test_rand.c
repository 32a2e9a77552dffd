/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/rand.h"

static void
test_system_bytes_differ(void **state CN_UNUSED)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 };

	cn_rand_bytes(a, sizeof(a));
	cn_rand_bytes(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_true(cn_rand_u64() != cn_rand_u64());
	/* Exactly as many as asked for. */
	memset(a, 0, sizeof(a));
	memset(b, 0, sizeof(b));
	cn_rand_bytes(a, 0);
	cn_rand_bytes(a + 16, 32);
	assert_memory_equal(a, b, 16);
	assert_memory_not_equal(a + 16, b, 32);
	assert_memory_equal(a + 48, b, 16);
}

/*
 * The authors' generator gives these for the states that their splitmix64
 * makes of the seed: a seed must mean the same run for ever.
 */
static void
test_prng_is_frozen(void **state CN_UNUSED)
{
	struct cn_prng prng;
	uint8_t bytes[11];

	prng = (struct cn_prng){ { 1, 2, 3, 4 } };
	assert_true(cn_prng_u64(&prng) == 11520);
	assert_true(cn_prng_u64(&prng) == 0);
	assert_true(cn_prng_u64(&prng) == 1509978240);
	for (int i = 3; i < 999; i++) {
		(void)cn_prng_u64(&prng);
	}
	assert_true(cn_prng_u64(&prng) == UINT64_C(0x3039d010986d012d));
	cn_prng_init(&prng, 0);
	assert_true(prng.s[0] == UINT64_C(0xe220a8397b1dcdaf));
	assert_true(prng.s[1] == UINT64_C(0x6e789e6aa1b965f4));
	prng = (struct cn_prng){ { 1, 2, 3, 4 } };
	cn_prng_bytes(&prng, bytes, sizeof(bytes));
	assert_memory_equal(bytes, "\x00\x2d\0\0\0\0\0\0\0\0\0", 11);
}

static void
test_below_is_even(void **state CN_UNUSED)
{
	struct cn_prng prng;
	unsigned int seen[7] = { 0 };
	unsigned int hits = 0;

	cn_prng_init(&prng, 5);
	for (int i = 0; i < 70000; i++) {
		uint64_t v = cn_prng_below(&prng, 7);

		assert_true(v < 7);
		seen[v]++;
		hits += cn_prng_chance(&prng, 1, 10);
	}
	for (size_t i = 0; i < 7; i++) {
		assert_in_range(seen[i], 9500, 10500);
	}
	assert_in_range(hits, 6600, 7400);
	assert_int_equal(cn_prng_below(&prng, 1), 0);
	assert_false(cn_prng_chance(&prng, 0, 3));
	assert_true(cn_prng_chance(&prng, 3, 3));
	/* A plain remainder would give the lowest third twice as often. */
	hits = 0;
	for (int i = 0; i < 3000; i++) {
		uint64_t v = cn_prng_below(&prng, UINT64_C(3) << 62);

		assert_true(v < UINT64_C(3) << 62);
		hits += v < UINT64_C(1) << 62;
	}
	assert_in_range(hits, 850, 1150);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_system_bytes_differ),
		cmocka_unit_test(test_prng_is_frozen),
		cmocka_unit_test(test_below_is_even),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
