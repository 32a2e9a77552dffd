/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/rand.h"
#include "store/index.h"

#define SPOT_MAX ((UINT64_C(1) << CN_INDEX_SPOT_BITS) - 1)

static struct cn_index *
fresh(uint64_t bytes, unsigned bits)
{
	struct cn_index *index = NULL;

	assert_int_equal(cn_index_create(bytes, bits, &index), CN_OK);
	return index;
}

/* A key in bucket 0 whose tag is n. */
static uint64_t
key_of(uint16_t tag)
{
	return (uint64_t)tag << 16;
}

static void
test_create(void **state)
{
	struct cn_index *index = NULL;

	(void)state;
	assert_int_equal(cn_index_create(4095, 0, &index), CN_EINVAL);
	assert_int_equal(cn_index_create(4096, 17, &index), CN_EINVAL);
	assert_int_equal(
	    cn_index_create(UINT64_C(1) << 40, 0, &index), CN_EINVAL);
	assert_null(index);
	for (uint64_t n = 1; n <= 2; n++) {
		cn_alloc_fail_at(n);
		assert_int_equal(cn_index_create(4096, 0, &index), CN_ENOMEM);
		assert_true(cn_alloc_has_failed());
	}
	cn_alloc_fail_at(0);
	index = fresh(5000, 3);
	assert_int_equal(cn_index_bytes(index), 4992);
	assert_int_equal(cn_index_hook_bits(index), 3);
	cn_index_free(&index);
	assert_null(index);
	cn_index_free(&index);
}

static void
test_newest_first(void **state)
{
	struct cn_index *index = fresh(4096, 0);
	uint64_t spots[CN_INDEX_HINTS];

	(void)state;
	assert_int_equal(cn_index_find(index, key_of(5), spots), 0);
	for (uint64_t i = 1; i <= 6; i++) {
		cn_index_put(index, key_of(5), i);
	}
	assert_int_equal(cn_index_find(index, key_of(5), spots), 4);
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(spots[i], 6 - i);
	}
	/* Known already: it only becomes the newest. */
	cn_index_put(index, key_of(5), 3);
	assert_int_equal(cn_index_find(index, key_of(5), spots), 4);
	assert_int_equal(spots[0], 3);
	assert_int_equal(spots[1], 6);
	assert_int_equal(spots[3], 4);
	/* The greatest spot and tag come back whole. */
	cn_index_put(index, key_of(0xffff), SPOT_MAX);
	assert_int_equal(cn_index_find(index, key_of(0xffff), spots), 1);
	assert_true(spots[0] == SPOT_MAX);
	cn_index_clear(index);
	assert_int_equal(cn_index_find(index, key_of(5), spots), 0);
	cn_index_free(&index);
}

/* A full bucket forgets what was put longest ago. */
static void
test_full_bucket(void **state)
{
	struct cn_index *index = fresh(4096, 0);
	uint64_t spots[CN_INDEX_HINTS];

	(void)state;
	for (uint16_t i = 1; i <= 9; i++) {
		cn_index_put(index, key_of(i), i);
	}
	assert_int_equal(cn_index_find(index, key_of(1), spots), 0);
	for (uint16_t i = 2; i <= 9; i++) {
		assert_int_equal(cn_index_find(index, key_of(i), spots), 1);
		assert_int_equal(spots[0], i);
	}
	cn_index_free(&index);
}

static void
test_hooks(void **state)
{
	struct cn_index *index = fresh(4096, 3);
	uint64_t spots[CN_INDEX_HINTS];

	(void)state;
	assert_true(cn_index_takes(index, 0xff8));
	assert_false(cn_index_takes(index, 0xffc));
	cn_index_put(index, 0xffc, 7);
	assert_int_equal(cn_index_find(index, 0xff8, spots), 0);
	cn_index_put(index, 0xff8, 7);
	assert_int_equal(cn_index_find(index, 0xff8, spots), 1);
	assert_int_equal(cn_index_find(index, 0xffc, spots), 0);
	cn_index_prefetch(index, 0xff8);
	cn_index_free(&index);
}

/* Four fifths full, nearly all of it is found, and nothing that was not
 * put. */
static void
test_fill(void **state)
{
	struct cn_index *index = fresh(1 << 20, 0);
	const uint64_t count = (1 << 20) / 8 / 10 * 8;
	uint64_t found = 0, hints = 0;
	struct cn_prng prng;

	(void)state;
	cn_prng_init(&prng, 1);
	for (uint64_t i = 0; i < count; i++) {
		cn_index_put(index, cn_prng_u64(&prng), i + 1);
	}
	cn_prng_init(&prng, 1);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t spots[CN_INDEX_HINTS];
		size_t n = cn_index_find(index, cn_prng_u64(&prng), spots);

		hints += n;
		for (size_t k = 0; k < n; k++) {
			assert_in_range(spots[k], 1, count);
			found += spots[k] == i + 1;
		}
	}
	assert_true(found >= count / 100 * 90);
	assert_true(found < count); /* some buckets did overflow */
	assert_true(hints - found < count / 1000);
	cn_index_free(&index);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_newest_first),
		cmocka_unit_test(test_full_bucket),
		cmocka_unit_test(test_hooks),
		cmocka_unit_test(test_fill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
