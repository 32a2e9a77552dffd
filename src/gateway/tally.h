/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_TALLY_H
#define CN_GATEWAY_TALLY_H

/*
 * What one service or offer did since the start: it outlives the plans (and
 * so the reloads) that name it, and sums over the workers.
 *
 * Life:   counted by references; streams and plans hold them.
 * Thread: any; all numbers are atomic, each for itself.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "control/snapshot.h"
#include "gateway/costs.h"
#include "link/link.h"

struct cn_tally_bytes {
	_Atomic uint64_t lan, wan, literal, raw, copied, coded, framing;
};

/* What was told of a service as an event. */
enum cn_tally_told {
	CN_TALLY_UNTOLD,
	CN_TALLY_LISTENING,
	CN_TALLY_PAUSED,
};

struct cn_tally {
	_Atomic uint32_t refs;
	_Atomic uint64_t live;   /* streams now */
	_Atomic uint64_t opened; /* connections taken */
	_Atomic uint64_t
	    refused;             /* of these: failed before they were through */
	_Atomic uint64_t resets; /* of these: ended badly later */
	/* Of streams that are gone. */
	struct cn_tally_bytes sent, received;
	struct cn_costs_sum sent_costs, received_costs;
	/* Of the last refusal: enum cn_reset; 0: none. */
	_Atomic uint32_t refusal;
	enum cn_tally_told told; /* the main thread's */
	bool is_offer;
	char name[CN_SNAP_NAME];
};

int cn_tally_create(
    const char *name, bool is_offer, struct cn_tally **ret) CN_MUSTCHECK;
struct cn_tally *cn_tally_ref(struct cn_tally *tally);
/* Clears *tp; NULL is fine. */
void cn_tally_unref(struct cn_tally **tp);

/* A stream ended; add what it moved. */
void cn_tally_add(struct cn_tally *tally, const struct cn_stream_stats *stats);
/* What ended streams moved. */
void cn_tally_bytes(const struct cn_tally *tally, struct cn_snap_bytes *sent,
    struct cn_snap_bytes *received);

/* The engine's bytes as a snapshot tells them. */
void cn_tally_snap(
    const struct cn_link_bytes *bytes, struct cn_snap_bytes *ret);

#endif /* CN_GATEWAY_TALLY_H */
