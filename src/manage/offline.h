/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_OFFLINE_H
#define CN_MANAGE_OFFLINE_H

/*
 * Two gateways in this process with a line between them that is arithmetic
 * alone: the engines, coders, lanes and stores are those of compressnetd, so
 * what goes over the line is what would go over the WAN.
 *
 * The line has a rate and a delay, and a clock of its own: nothing here
 * waits.  Each time an engine is asked for bytes it may answer with up to 16
 * KiB; the carrier makes one TLS record of that, 22 bytes longer (RFC 8446,
 * section 5.2: head 5, type 1, tag 16).  Handshakes are not counted.
 *
 * Life:       create, flows, free; flows that are left end with it.
 * Thread:     one.
 * Memory:     constant: two stores, two pools, the line.
 * Invariants: both ends check hash and digest of everything, as always; what
 *             does not arrive whole is an error here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "config/config.h"

struct cn_offline;      /* opaque */
struct cn_offline_flow; /* opaque: one connection */

#define CN_OFFLINE_RECORD_BYTES 22u
/* Connections at a time. */
#define CN_OFFLINE_FLOWS_MAX 8192u
/* Longest time without any packet that the clock follows, microseconds. */
#define CN_OFFLINE_IDLE_US UINT64_C(35000000)

enum cn_offline_way { CN_OFFLINE_UP, CN_OFFLINE_DOWN, CN_OFFLINE_WAYS };

struct cn_offline_config {
	uint64_t rate_bps; /* of the line each way, bytes a second, > 0 */
	uint64_t delay_us; /* one way */
	struct cn_config_coding coding;
	uint64_t store_bytes; /* of each store, in memory; 0: none */
};

/* What one direction of some connections came to, bytes. */
struct cn_offline_bytes {
	uint64_t lan;
	uint64_t literal, raw, copied; /* of lan */
	uint64_t wan;                  /* its part of the line, before TLS */
};

/* Who pays for a connection; filled when it ends. */
struct cn_offline_bill {
	struct cn_offline_bytes way[CN_OFFLINE_WAYS];
	uint64_t connections;
};

/* What crossed the line so far, everything included. */
struct cn_offline_line {
	uint64_t bytes;   /* as the carrier's socket would count them */
	uint64_t records; /* of TLS */
};

/* Returns CN_OK, CN_EINVAL (rate, coding) or CN_ENOMEM. */
int cn_offline_create(const struct cn_offline_config *config,
    struct cn_offline **ret) CN_MUSTCHECK;
void cn_offline_free(struct cn_offline **op);

/*
 * A connection comes in.
 *
 * @scope  key of the service it belongs to
 * @bill   borrowed until the connection ended, so at most until free
 *
 * Returns CN_OK; CN_EBUSY at CN_OFFLINE_FLOWS_MAX; or as cn_offline_send().
 */
int cn_offline_open(struct cn_offline *offline, uint64_t scope,
    struct cn_offline_bill *bill, struct cn_offline_flow **ret) CN_MUSTCHECK;

/*
 * One end wrote bytes; returns when the engine has taken them, which on the
 * line's clock may be later.
 *
 * @is_last_of_burst  nothing follows at once
 *
 * Returns CN_OK; CN_ENOMEM; CN_EPIPE when the connection was reset; CN_EPROTO
 * when the engines disagree, a defect.
 */
int cn_offline_send(struct cn_offline *offline, struct cn_offline_flow *flow,
    enum cn_offline_way way, const uint8_t *bytes, size_t len,
    bool is_last_of_burst) CN_MUSTCHECK;

/* The end that sends that way has no more.  The flow is not the caller's any
 * more when it said so of both. */
void cn_offline_finish(struct cn_offline *offline, struct cn_offline_flow *flow,
    enum cn_offline_way way);

/*
 * Let the line's clock come to a time, for traffic that has times of its own:
 * microseconds from any zero, of which only differences matter.  Times that
 * go back, or stand still for more than CN_OFFLINE_IDLE_US, are drawn
 * together.  When the line is slower than the traffic was, the clock is late.
 */
int cn_offline_pass(struct cn_offline *offline, uint64_t time_us) CN_MUSTCHECK;

/* Until every finished connection has ended at both ends. */
int cn_offline_settle(struct cn_offline *offline) CN_MUSTCHECK;

void cn_offline_line(const struct cn_offline *offline,
    struct cn_offline_line ret[CN_OFFLINE_WAYS]);
/* Bytes that one store could not keep any more, so that a later pass finds
 * less than one with a bigger store. */
bool cn_offline_is_store_full(struct cn_offline *offline);

#endif /* CN_MANAGE_OFFLINE_H */
