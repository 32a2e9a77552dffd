/* SPDX-License-Identifier: Apache-2.0 */
#include "net/inflight.h"

#include <string.h>

#include "base/attr.h"

#define SECOND_US 1000000u

void
cn_inflight_init(struct cn_inflight *inflight)
{
	memset(inflight, 0, sizeof(*inflight));
}

/*
 * The path's rate from one whole window.
 *
 * @is_queued  there was a queue: the path gave all that it has.  Without one
 *             the kernel's control may have held back, as BBR does to look
 *             for the shortest round trip.
 */
static void
learn_rate(struct cn_inflight *inflight, uint64_t rate, bool is_queued)
{
	uint64_t old = inflight->rate_bps;

	if (old == 0 || (inflight->is_idle && rate > old)) {
		inflight->rate_bps = rate;
	} else if (inflight->is_idle) {
		return; /* at least this, but that was known */
	} else if (rate > old) {
		inflight->rate_bps = old + (rate - old) / 2;
	} else {
		inflight->rate_bps = old - (old - rate) / (is_queued ? 2 : 16);
	}
}

static void
measure(struct cn_inflight *inflight, uint64_t now, uint64_t acked,
    uint64_t rtt_us, bool is_queued)
{
	uint64_t window = CN_MAX(rtt_us, (uint64_t)CN_INFLIGHT_WINDOW_US);
	uint64_t took = now - inflight->from_us;

	if (inflight->from_us != 0 && took < window) {
		return;
	}
	if (inflight->from_us != 0 && acked > inflight->from_acked) {
		learn_rate(inflight,
		    (acked - inflight->from_acked) * SECOND_US / took,
		    is_queued);
	}
	inflight->from_us = now;
	inflight->from_acked = acked;
	inflight->is_idle = false;
}

static uint64_t
limit_for(const struct cn_inflight *inflight, uint64_t time_us)
{
	uint64_t bytes = inflight->rate_bps * time_us / SECOND_US;

	return CN_MAX(bytes, (uint64_t)CN_INFLIGHT_LEAST);
}

/* Is the queue, in spite of the limit, still there? */
static bool
is_not_ours(
    struct cn_inflight *inflight, uint64_t now, uint64_t rtt_us, bool is_high)
{
	if (!is_high) {
		inflight->high_us = 0;
		return false;
	}
	if (inflight->high_us == 0) {
		inflight->high_us = now;
	}
	return now - inflight->high_us >= CN_INFLIGHT_PATIENCE_US + 4 * rtt_us;
}

void
cn_inflight_sample(struct cn_inflight *inflight, uint64_t now, uint64_t acked,
    uint64_t rtt_us, uint64_t min_rtt_us)
{
	uint64_t slack = CN_MAX(min_rtt_us / 8, (uint64_t)CN_INFLIGHT_SLACK_US);
	uint64_t queue = rtt_us - CN_MIN(rtt_us, min_rtt_us);

	measure(inflight, now, acked, rtt_us, queue > slack);
	if (min_rtt_us < CN_INFLIGHT_RTT_US || inflight->rate_bps == 0 ||
	    now < inflight->yield_us) {
		inflight->limit = 0;
		return;
	}
	if (inflight->limit == 0) {
		if (queue <= 2 * slack) {
			return;
		}
		inflight->high_us = 0;
	}
	if (is_not_ours(inflight, now, rtt_us, queue > 3 * slack)) {
		inflight->yield_us = now + CN_INFLIGHT_YIELD_US;
		inflight->limit = 0;
		return;
	}
	inflight->limit = limit_for(inflight, min_rtt_us + slack);
	inflight->full = inflight->rate_bps * min_rtt_us / SECOND_US;
}
