/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/counter.h"
#include "base/err.h"

#define ROUNDS 100000u

static void
test_table_is_sound(void **state CN_UNUSED)
{
	for (unsigned int i = 0; i < CN_COUNTER_COUNT; i++) {
		const struct cn_counter_info *info = cn_counter_info(i);

		/* Fit for names of metrics. */
		assert_int_equal(
		    strspn(info->name, "abcdefghijklmnopqrstuvwxyz_"),
		    strlen(info->name));
		assert_true(strcmp(info->unit, "1") == 0 ||
		    strcmp(info->unit, "bytes") == 0 ||
		    strcmp(info->unit, "us") == 0);
		assert_true(strlen(info->help) > 0);
		for (unsigned int j = 0; j < i; j++) {
			assert_string_not_equal(
			    info->name, cn_counter_info(j)->name);
		}
	}
	assert_string_equal(cn_counter_info(CN_COUNTER_LAN_IN)->name, "lan_in");
}

static void *
count_up(void *arg)
{
	struct cn_counters *set = arg;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		cn_counter_add(set, CN_COUNTER_LAN_IN, 3);
	}
	return NULL;
}

static void
test_each_worker_counts_alone(void **state CN_UNUSED)
{
	struct cn_counters *a = NULL, *b = NULL;
	uint64_t sums[CN_COUNTER_COUNT] = { 0 };
	uint64_t last = 0, now;
	pthread_t threads[2];

	assert_int_equal(cn_counters_create(&a), CN_OK);
	assert_int_equal(cn_counters_create(&b), CN_OK);
	/* No two sets meet in a cache line. */
	assert_int_equal((uintptr_t)a % 128, 0);
	assert_int_equal((uintptr_t)b % 128, 0);
	assert_int_equal(pthread_create(&threads[0], NULL, count_up, a), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, count_up, b), 0);
	do {
		now = cn_counter_get(a, CN_COUNTER_LAN_IN);
		assert_true(now >= last && now % 3 == 0);
		last = now;
	} while (now < 3 * ROUNDS);
	assert_int_equal(pthread_join(threads[0], NULL), 0);
	assert_int_equal(pthread_join(threads[1], NULL), 0);
	cn_counter_add(b, CN_COUNTER_DIALS, 1);
	cn_counters_sum(a, sums);
	cn_counters_sum(b, sums);
	assert_int_equal(sums[CN_COUNTER_LAN_IN], 6 * ROUNDS);
	assert_int_equal(sums[CN_COUNTER_DIALS], 1);
	assert_int_equal(sums[CN_COUNTER_LAN_OUT], 0);
	cn_counters_free(&a);
	cn_counters_free(&b);
	assert_null(a);
	cn_counters_free(&a);
}

static void
test_without_memory(void **state CN_UNUSED)
{
	struct cn_counters *set = NULL;

	cn_alloc_fail_at(1);
	assert_int_equal(cn_counters_create(&set), CN_ENOMEM);
	cn_alloc_fail_at(0);
	assert_null(set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_is_sound),
		cmocka_unit_test(test_each_worker_counts_alone),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
