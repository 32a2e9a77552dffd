/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_NET_INFLIGHT_H
#define CN_NET_INFLIGHT_H

/*
 * How many bytes a carrier may have under way: enough to keep the path busy,
 * too few to fill the queue before its narrowest place, where everything of
 * the link would wait behind them.
 *
 * The kernel's congestion control fills that queue, be it a little (BBR) or
 * until it overflows (CUBIC).  When the round trip shows a queue, the bytes
 * under way are limited to the rate that was measured times the shortest
 * round trip and a little more: so a small queue stands, the path is never
 * idle, and a path that grew faster is found by the same little more.  If
 * the queue does not go away it is not ours: others share the path, and
 * giving way to them would starve us.  Then the limit is lifted for a while
 * and the kernel's control competes as it can.
 *
 *   FREE --a queue shows--> LIMITED --it stays for a second--> YIELDED
 *     ^                                                           |
 *     +------------------------10 s--------------------------------+
 *
 * Life:       embedded in its carrier.
 * Thread:     its carrier's.  Arithmetic alone: measures and time are passed
 *             in.
 */

#include <stdbool.h>
#include <stdint.h>

/* Paths with a shorter round trip have no queue worth the effort. */
#define CN_INFLIGHT_RTT_US 2000u
/* The little more: an eighth of the round trip, and at least. */
#define CN_INFLIGHT_SLACK_US 8000u
/* Never below: two records. */
#define CN_INFLIGHT_LEAST (32u * 1024u)
/* A rate is measured over so long, or a round trip. */
#define CN_INFLIGHT_WINDOW_US 100000u
/* A queue that stays so long is not ours; then no limit for so long. */
#define CN_INFLIGHT_PATIENCE_US 1000000u
#define CN_INFLIGHT_YIELD_US 10000000u

struct cn_inflight {
	uint64_t limit;    /* bytes; 0: none */
	uint64_t full;     /* with a limit: bytes that the path itself holds */
	uint64_t rate_bps; /* measured; 0: unknown */
	/* The window of the running measure. */
	uint64_t from_us, from_acked;
	bool is_idle;      /* there was nothing to send for a part of it */
	uint64_t high_us;  /* since when the queue is higher than it should */
	uint64_t yield_us; /* no limit before */
};

void cn_inflight_init(struct cn_inflight *inflight);

/* There is nothing to send: what is measured now is no rate of the path. */
static inline void
cn_inflight_idle(struct cn_inflight *inflight)
{
	inflight->is_idle = true;
}

/*
 * What the kernel tells, every now and then.
 *
 * @acked       bytes acknowledged since the start
 * @rtt_us      smoothed round trip
 * @min_rtt_us  the shortest of late
 */
void cn_inflight_sample(struct cn_inflight *inflight, uint64_t now,
    uint64_t acked, uint64_t rtt_us, uint64_t min_rtt_us);

#endif /* CN_NET_INFLIGHT_H */
