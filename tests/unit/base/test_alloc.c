/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"

static void
test_counts_go_back(void **state CN_UNUSED)
{
	uint64_t count = cn_alloc_count(), bytes = cn_alloc_bytes();
	void *a = cn_alloc(1000);
	uint8_t *b = cn_calloc(10, 10);
	char *c = cn_strdup("text");
	void *d = cn_alloc_aligned(256, 100);

	assert_non_null(a);
	assert_non_null(b);
	assert_string_equal(c, "text");
	assert_int_equal((uintptr_t)d % 256, 0);
	for (size_t i = 0; i < 100; i++) {
		assert_int_equal(b[i], 0);
	}
	assert_int_equal(cn_alloc_count(), count + 4);
	assert_true(cn_alloc_bytes() >= bytes + 1000 + 100 + 5 + 100);
	a = cn_realloc(a, 100000);
	assert_non_null(a);
	assert_int_equal(cn_alloc_count(), count + 4);
	assert_true(cn_alloc_bytes() >= bytes + 100000);
	cn_free(a);
	cn_free(b);
	cn_free(c);
	cn_free(d);
	cn_free(NULL);
	assert_int_equal(cn_alloc_count(), count);
	assert_int_equal(cn_alloc_bytes(), bytes);
}

static void
test_sizes_of_zero_and_too_much(void **state CN_UNUSED)
{
	volatile size_t huge = SIZE_MAX / 2;
	void *a = cn_alloc(0);
	void *b = cn_calloc(0, 8);
	void *c = cn_realloc(NULL, 0);
	void *d = cn_memdup("", 0);

	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
	assert_non_null(d);
	c = cn_realloc(c, 0);
	assert_non_null(c);
	cn_free(a);
	cn_free(b);
	cn_free(c);
	cn_free(d);
	/* The product overflows. */
	assert_null(cn_calloc(huge, 16));
}

static void
test_nth_call_fails_once(void **state CN_UNUSED)
{
	void *p[5];
	uint64_t count = cn_alloc_count();

	cn_alloc_fail_at(3);
	assert_false(cn_alloc_has_failed());
	p[0] = cn_alloc(1);
	p[1] = cn_calloc(1, 1);
	assert_false(cn_alloc_has_failed());
	p[2] = cn_realloc(p[0], 100);
	assert_true(cn_alloc_has_failed());
	p[3] = cn_strdup("after");
	assert_non_null(p[0]);
	assert_non_null(p[1]);
	assert_null(p[2]);
	assert_non_null(p[3]);
	/* What realloc could not grow is still there. */
	assert_int_equal(cn_alloc_count(), count + 3);
	cn_free(p[0]);
	cn_free(p[1]);
	cn_free(p[3]);
	cn_alloc_fail_at(1);
	cn_alloc_fail_at(0);
	p[4] = cn_alloc(1);
	assert_non_null(p[4]);
	assert_false(cn_alloc_has_failed());
	cn_free(p[4]);
	cn_alloc_fail_at(1);
	assert_null(cn_alloc_aligned(64, 1));
	assert_int_equal(cn_alloc_count(), count);
	cn_alloc_fail_at(0);
}

static void *
use_memory(void *given)
{
	void *p = cn_alloc(10);

	cn_free(given);
	return p;
}

static void
test_threads_may_free_for_others(void **state CN_UNUSED)
{
	uint64_t count = cn_alloc_count();
	void *given = cn_alloc(77), *made;
	pthread_t thread;

	/* The failure belongs to this thread alone. */
	cn_alloc_fail_at(1);
	assert_int_equal(pthread_create(&thread, NULL, use_memory, given), 0);
	assert_int_equal(pthread_join(thread, &made), 0);
	cn_alloc_fail_at(0);
	assert_non_null(made);
	assert_int_equal(cn_alloc_count(), count + 1);
	cn_free(made);
	assert_int_equal(cn_alloc_count(), count);
}

/* Touched memory is like any other, and fails like it. */
static void
test_touched(void **state)
{
	uint64_t count = cn_alloc_count();
	size_t size = 1000001;
	uint8_t *p = cn_alloc_touched(size);

	(void)state;
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % 4096, 0);
	memset(p, 1, size);
	cn_free(p);
	assert_int_equal(cn_alloc_count(), count);
	cn_alloc_fail_at(1);
	assert_null(cn_alloc_touched(size));
	assert_true(cn_alloc_has_failed());
	cn_alloc_fail_at(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_touched),
		cmocka_unit_test(test_counts_go_back),
		cmocka_unit_test(test_sizes_of_zero_and_too_much),
		cmocka_unit_test(test_nth_call_fails_once),
		cmocka_unit_test(test_threads_may_free_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
