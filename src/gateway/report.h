/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_REPORT_H
#define CN_GATEWAY_REPORT_H

/*
 * What one worker tells about itself when asked: its links, its streams, its
 * share of the sums.
 *
 * Life:       filled in the worker's thread, read and cleared in the main
 *             one; in between it belongs to a task.
 * Thread:     one at a time.
 * Invariants: a report shares nothing with its worker but counted tallies.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/counter.h"
#include "control/snapshot.h"
#include "gateway/tally.h"
#include "gateway/worker.h"

struct cn_report_link {
	uint8_t peer[CN_IDENTITY_BYTES];
	struct cn_snap_link link; /* its lists are owned by the report */
	uint64_t rtt_us;          /* least of its carriers; 0: unknown */
};

/* What live streams of one service or offer moved so far. */
struct cn_report_tally {
	struct cn_tally *tally; /* counted */
	struct cn_snap_bytes sent, received;
	struct cn_costs sent_costs, received_costs;
};

struct cn_report {
	struct cn_report_link *links; /* owned */
	size_t links_count;
	struct cn_report_tally *tallies; /* owned */
	size_t tallies_count, tallies_cap;
	struct cn_snap_stream *streams; /* owned, by ascending id */
	size_t streams_count;
	uint64_t counters[CN_COUNTER_COUNT];
	uint64_t pool_used, pool_limit, pool_promised;
	uint64_t wan_sent, wan_received;
	bool is_found; /* the stream that was asked for */
	/* Of that stream; where the clients of its service are from. */
	struct cn_costs sent_costs, received_costs;
	char client[CN_SNAP_TEXT]; /* host of one of them; "" */
	bool has_other_clients;    /* there are others */
	int err;                   /* CN_ENOMEM: it is not complete */
};

/* Links, sums and counters. */
void cn_report_status(struct cn_worker *worker, struct cn_report *ret);
/* Up to limit streams with ids above that one. */
void cn_report_streams(struct cn_worker *worker, uint64_t above, size_t limit,
    struct cn_report *ret);
/* That stream alone. */
void cn_report_stream(
    struct cn_worker *worker, uint64_t id, struct cn_report *ret);
/* That stream, and what it lost bytes to. */
void cn_report_stream_why(
    struct cn_worker *worker, uint64_t id, struct cn_report *ret);
/* As cn_report_status(), and where that service's clients are from. */
void cn_report_service_why(
    struct cn_worker *worker, const char *service, struct cn_report *ret);
/* Reset that stream by hand. */
void cn_report_kill(
    struct cn_worker *worker, uint64_t id, struct cn_report *ret);

/* Give everything back; the struct is zeroed. */
void cn_report_clear(struct cn_report *report);

/* Counters that an engine keeps for itself, added to those of a worker. */
void cn_report_count(const struct cn_link *link, uint64_t *counters);

#endif /* CN_GATEWAY_REPORT_H */
