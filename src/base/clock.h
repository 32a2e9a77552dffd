/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BASE_CLOCK_H
#define CN_BASE_CLOCK_H

/*
 * The clocks.  Only what has a loop or a thread reads them; everything else
 * is told the time.
 */

#include <stdint.h>

/* Microseconds, monotonic, never 0. */
uint64_t cn_clock_us(void);
/* Microseconds since 1970, UTC; may jump: for people only. */
uint64_t cn_clock_wall_us(void);
/* CPU time of this thread, nanoseconds. */
uint64_t cn_clock_thread_ns(void);

#endif /* CN_BASE_CLOCK_H */
