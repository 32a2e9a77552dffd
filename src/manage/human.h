/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_HUMAN_H
#define CN_MANAGE_HUMAN_H

/*
 * Numbers as people read them, three digits that matter.
 *
 * Thread: any.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Room that every text here fits. */
#define CN_HUMAN_MAX 24u

struct cn_human {
	char text[CN_HUMAN_MAX];
};

/* Decimal, as links are sold: "0 B", "999 B", "1.23 kB", "45.6 MB". */
struct cn_human cn_human_bytes(uint64_t bytes);
/* Binary, as memory is: "512 MiB". */
struct cn_human cn_human_memory(uint64_t bytes);
/* "1.23 MB/s". */
struct cn_human cn_human_rate(uint64_t bytes, uint64_t over_us);
/* "350 us", "41.2 ms", "9.81 s", "3 min 12 s", "3 h 12 min", "5 d 3 h". */
struct cn_human cn_human_duration(uint64_t us);
/* LAN over WAN: "5.93x"; "-" where there is nothing to compare. */
struct cn_human cn_human_ratio(uint64_t lan, uint64_t wan);
/* What was saved of LAN: "83.1 %", "-2.4 %" when it cost more; "-". */
struct cn_human cn_human_saved(uint64_t lan, uint64_t wan);
/* "-" for 0, else the duration. */
struct cn_human cn_human_rtt(uint64_t us);

/*
 * A rate of a line, "20mbit", "512kbit", "1.5gbit", "64000" (bits a second).
 *
 * Returns CN_OK or CN_EINVAL.
 */
int cn_human_parse_rate(const char *text, uint64_t *ret_bps) CN_MUSTCHECK;
/* "20ms", "1.5s", "500us"; a bare number is refused. */
int cn_human_parse_duration(const char *text, uint64_t *ret_us) CN_MUSTCHECK;
/* "64MB", "10MiB", "512kB", "1000" (bytes). */
int cn_human_parse_size(const char *text, uint64_t *ret_bytes) CN_MUSTCHECK;

#endif /* CN_MANAGE_HUMAN_H */
