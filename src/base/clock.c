/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <assert.h>
#include <time.h>

static uint64_t
nanoseconds(clockid_t clock)
{
	struct timespec ts;
	int rc = clock_gettime(clock, &ts);

	assert(rc == 0);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) +
	    (uint64_t)ts.tv_nsec;
}

uint64_t
cn_clock_us(void)
{
	/* The clock starts near boot; 0 often means "never" in callers. */
	return nanoseconds(CLOCK_MONOTONIC) / 1000 + 1;
}

uint64_t
cn_clock_wall_us(void)
{
	return nanoseconds(CLOCK_REALTIME) / 1000;
}

uint64_t
cn_clock_thread_ns(void)
{
	return nanoseconds(CLOCK_THREAD_CPUTIME_ID);
}
