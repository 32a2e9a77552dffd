/* SPDX-License-Identifier: Apache-2.0 */
#include "link/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/rand.h"

#define MAX ((size_t)100000)

/* What it keeps is the last bytes of the direction, as many as it says. */
static void
test_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct cn_history history;
		struct cn_pool *pool;
		struct cn_prng prng;
		uint8_t *bytes = cn_alloc(8u << 20);
		uint64_t end = 0;

		assert_non_null(bytes);
		cn_prng_init(&prng, seed);
		for (size_t i = 0; i < 8u << 20; i++) {
			bytes[i] = (uint8_t)(i * 2654435761u >> 11);
		}
		assert_int_equal(cn_pool_create(16u << 20, &pool), CN_OK);
		cn_history_init(&history, pool, MAX);
		while (end < (7u << 20)) {
			size_t len = 1 + (size_t)cn_prng_below(&prng, 60000);
			uint8_t *room = cn_history_room(&history, len);
			size_t before = history.len;

			assert_non_null(room);
			assert_int_equal(cn_pool_used(pool), history.cap);
			if (cn_prng_chance(&prng, 1, 8)) {
				continue; /* room that is not used */
			}
			memcpy(room, bytes + end, len);
			end += len;
			cn_history_keep(&history, len, end);
			assert_int_equal(history.end, end);
			assert_int_equal(
			    history.len, CN_MIN(before + len, MAX));
			assert_memory_equal(
			    cn_history_tail(&history, history.len),
			    bytes + end - history.len, history.len);
			/* The prefix lies right before the next bytes. */
			assert_true(history.len < before + len ||
			    history.used >= history.len);
			if (cn_prng_chance(&prng, 1, 40)) {
				cn_history_drop(&history);
				assert_int_equal(history.len, 0);
				assert_int_equal(cn_pool_used(pool), 0);
			}
		}
		cn_history_drop(&history);
		cn_pool_free(&pool);
		cn_free(bytes);
	}
}

/* Neither the pool's limit nor what it promised is passed. */
static void
test_limits(void **state)
{
	struct cn_history history;
	struct cn_pool *pool;

	(void)state;
	assert_int_equal(cn_pool_create(1u << 20, &pool), CN_OK);
	cn_history_init(&history, pool, MAX);
	assert_non_null(cn_history_room(&history, 1000));
	cn_history_keep(&history, 1000, 1000);
	assert_null(cn_history_room(&history, 2u << 20));
	assert_int_equal(history.len, 0);
	assert_int_equal(cn_pool_used(pool), 0);
	assert_int_equal(cn_pool_reserve(pool, 512u << 10), CN_OK);
	assert_int_equal(cn_pool_charge(pool, 1000), CN_OK);
	assert_null(cn_history_room(&history, 1000));
	cn_pool_uncharge(pool, 1000);
	cn_pool_unreserve(pool, 512u << 10);
	cn_alloc_fail_at(1);
	assert_null(cn_history_room(&history, 1000));
	cn_alloc_fail_at(0);
	assert_int_equal(cn_pool_used(pool), 0);
	cn_history_drop(&history);
	cn_pool_free(&pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
