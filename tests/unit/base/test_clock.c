/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "base/attr.h"
#include "base/clock.h"

static void
test_monotonic(void **state CN_UNUSED)
{
	const struct timespec nap = { .tv_nsec = 2000000 };
	uint64_t before = cn_clock_us(), last = before;

	assert_true(before > 0);
	for (int i = 0; i < 1000; i++) {
		uint64_t now = cn_clock_us();

		assert_true(now >= last);
		last = now;
	}
	(void)nanosleep(&nap, NULL);
	/* Microseconds it is, not nanoseconds nor milliseconds. */
	assert_in_range(cn_clock_us() - before, 2000, 30000000);
}

static void
test_wall_is_utc(void **state CN_UNUSED)
{
	uint64_t seconds = cn_clock_wall_us() / 1000000;
	uint64_t reference = (uint64_t)time(NULL);

	assert_in_range(seconds, reference - 2, reference + 2);
}

static void
test_thread_time_counts_work_only(void **state CN_UNUSED)
{
	const struct timespec nap = { .tv_nsec = 30000000 };
	uint64_t before = cn_clock_thread_ns(), after;
	volatile uint64_t work = 0;

	(void)nanosleep(&nap, NULL);
	after = cn_clock_thread_ns();
	assert_true(after - before < 20000000);
	while (work < 200000) {
		work++;
	}
	assert_true(cn_clock_thread_ns() > after + 10000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_monotonic),
		cmocka_unit_test(test_wall_is_utc),
		cmocka_unit_test(test_thread_time_counts_work_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
