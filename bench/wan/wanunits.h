/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BENCH_WANUNITS_H
#define CN_BENCH_WANUNITS_H

/*
 * The values of the WAN emulators' command lines.  All return false for text
 * that is no such value, *ret untouched then.
 */

#include <stdbool.h>
#include <stdint.h>

/* "10mbit", "500kbit", "1.5gbit", "0": bits a second. */
bool cn_wanunits_rate(const char *text, uint64_t *ret);

/* "20ms", "150us", "1s": microseconds. */
bool cn_wanunits_time(const char *text, uint64_t *ret);

/* "64KiB", "1MiB", "1500": bytes. */
bool cn_wanunits_size(const char *text, uint64_t *ret);

/* "1%", "0.25%", "0": parts in a million, at most 1,000,000. */
bool cn_wanunits_share(const char *text, uint64_t *ret);

/* "12345" */
bool cn_wanunits_count(const char *text, uint64_t *ret);

#endif /* CN_BENCH_WANUNITS_H */
