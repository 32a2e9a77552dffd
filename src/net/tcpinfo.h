/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_NET_TCPINFO_H
#define CN_NET_TCPINFO_H

/*
 * What the kernel knows of a TCP connection.  Alone in its file, since the
 * kernel's header and the C library's do not go together.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct cn_tcpinfo {
	uint64_t rate_bps;   /* delivery, bytes a second; 0: unknown */
	bool is_app_limited; /* that sample was bounded by our own pauses */
	uint64_t rtt_us;     /* smoothed; 0: unknown */
	uint64_t min_rtt_us;
	uint64_t acked;  /* bytes acknowledged since the start */
	uint32_t unsent; /* bytes that wait in the kernel */
	/* Segments since the start, of them with data, and sent again. */
	uint64_t segments_out, segments_in, segments_data, segments_resent;
};

/* Returns CN_OK or what the kernel said, negated. */
int cn_tcpinfo_get(int fd, struct cn_tcpinfo *ret) CN_MUSTCHECK;

#endif /* CN_NET_TCPINFO_H */
