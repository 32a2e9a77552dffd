/* SPDX-License-Identifier: Apache-2.0 */
#include "net/carrier_private.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/err.h"
#include "net/sockopt.h"
#include "net/tcpinfo.h"

/* The kernel gives a silent connection up after so long, like we do. */
#define USER_TIMEOUT_MS 15000
#define KEEPALIVE_IDLE_S 30
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_COUNT 3
/* A path this long has queues worth keeping short. */
#define LONG_PATH_US 2000u
/* Between two looks at whether bytes have arrived. */
#define HOLD_MS 1u
/* Bytes written before the kernel is asked whether they wait there. */
#define ASK_LEAST ((size_t)CN_FRAGMENT_MAX)

static void
set_int(int fd, int option, int value)
{
	/* Never worth the connection: an old kernel may lack an option. */
	(void)setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value));
}

static void
set_unsent(struct cn_carrier *carrier, uint64_t bytes)
{
	size_t unsent = (size_t)CN_MIN(
	    CN_MAX(bytes, CN_CARRIER_UNSENT_MIN), CN_CARRIER_UNSENT_MAX);
	size_t old = carrier->unsent_max;

	/* Small changes are not worth a system call. */
	if (unsent > old - old / 4 && unsent < old + old / 4) {
		return;
	}
	carrier->unsent_max = unsent;
	set_int(carrier->fd, TCP_NOTSENT_LOWAT, (int)unsent);
}

void
cn_carrier_tune(struct cn_carrier *carrier)
{
	int fd = carrier->fd;

	/* A carrier may end by FIN: nobody takes that for a stream's end. */
	cn_sockopt_disarm(fd);
	set_int(fd, TCP_NODELAY, 1);
	set_int(fd, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
	set_int(fd, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	set_int(fd, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	set_int(fd, TCP_KEEPCNT, KEEPALIVE_COUNT);
	set_unsent(carrier, CN_CARRIER_UNSENT_START);
	cn_inflight_init(&carrier->inflight);
}

static void
choose_congestion(struct cn_carrier *carrier)
{
	const char *name = carrier->shared->congestion;

	if (carrier->is_congestion_set || name[0] == '\0' ||
	    carrier->rtt_us < LONG_PATH_US) {
		return;
	}
	carrier->is_congestion_set = true;
	(void)setsockopt(carrier->fd, IPPROTO_TCP, TCP_CONGESTION, name,
	    (socklen_t)strlen(name));
}

/* A sample that the sender's own pauses made small says nothing but "at
 * least"; the others are smoothed. */
static uint64_t
smooth(uint64_t rate, uint64_t sample, bool is_limited_by_us)
{
	if (rate == 0 || (is_limited_by_us && sample > rate)) {
		return sample;
	}
	if (is_limited_by_us) {
		return rate;
	}
	return rate - rate / 4 + sample / 4;
}

/* ---- bytes under way ---- */

static void
on_hold(uv_timer_t *timer)
{
	struct cn_carrier *carrier = timer->data;

	carrier->is_held = false;
	if (carrier->state == CN_CARRIER_LIVE) {
		carrier->ops->on_writable(carrier);
	}
}

bool
cn_carrier_may_write(struct cn_carrier *carrier)
{
	if (carrier->inflight.limit == 0) {
		return true;
	}
	carrier->under_way = cn_sockopt_unsent(carrier->fd);
	if (carrier->under_way < carrier->inflight.limit) {
		return true;
	}
	/* Nothing tells of acknowledgements: look again soon.  What a path
	 * moves in so long is less than the queue that it has. */
	carrier->is_held = true;
	(void)uv_timer_start(&carrier->timer, on_hold, HOLD_MS, 0);
	return false;
}

bool
cn_carrier_is_busy(struct cn_carrier *carrier)
{
	if (carrier->inflight.limit != 0) {
		return carrier->under_way >= carrier->inflight.full;
	}
	/* So little is no queue, and not worth the question. */
	if (carrier->unasked < CN_MIN(carrier->unsent_max, ASK_LEAST)) {
		return false;
	}
	if (cn_sockopt_queued(carrier->fd) == 0) {
		carrier->unasked = 0;
		return false;
	}
	return true;
}

void
cn_carrier_look(struct cn_carrier *carrier, uint64_t now)
{
	struct cn_tcpinfo info;

	if (now - carrier->path_us < CN_CARRIER_PATH_US) {
		return;
	}
	carrier->path_us = now;
	if (cn_tcpinfo_get(carrier->fd, &info) != CN_OK) {
		return;
	}
	if (info.rtt_us > 0) {
		carrier->rtt_us = info.rtt_us;
	}
	cn_inflight_sample(
	    &carrier->inflight, now, info.acked, info.rtt_us, info.min_rtt_us);
	if (carrier->inflight.limit != 0) {
		/* Better than any sample: measured while it was busy. */
		carrier->rate_bps = carrier->inflight.rate_bps;
	} else if (info.rate_bps > 0) {
		carrier->rate_bps = smooth(
		    carrier->rate_bps, info.rate_bps, info.is_app_limited);
	}
	if (carrier->rate_bps > 0) {
		set_unsent(carrier,
		    carrier->rate_bps * CN_CARRIER_UNSENT_US / 1000000u);
	}
	choose_congestion(carrier);
	if (carrier->ops->on_path != NULL) {
		carrier->ops->on_path(
		    carrier, carrier->rate_bps, carrier->rtt_us);
	}
}
