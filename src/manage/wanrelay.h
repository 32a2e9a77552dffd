/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_WANRELAY_H
#define CN_MANAGE_WANRELAY_H

/*
 * An emulated WAN for TCP connections, without root: a relay that accepts on
 * one address and connects to another, with one line each way that all its
 * connections share (rate, delay, a bounded queue), counters and faults.
 *
 * What it cannot do: it has no packets, so none is lost, and TCP's own
 * handshake and acknowledgements do not cross it; its sockets have small
 * buffers, so that a sender feels the queue soon.  bench/wan/wantun.c
 * emulates packets.
 *
 * Life:       opened and closed by its owner, in the owner's loop; freed
 *             before the callback of cn_wanrelay_close() runs.
 * Thread:     the loop's.
 * Invariants: bytes leave in the order and with the content in which they
 *             came, unless flips are asked for; what waits for one receiver
 *             holds at most queue_bytes and stops only that connection.
 */

#include <stdint.h>
#include <uv.h>

#include "base/attr.h"

struct cn_wanrelay; /* opaque */

/* Connections that a relay carries at a time. */
#define CN_WANRELAY_CONNECTIONS_MAX 16384u

struct cn_wanrelay_config {
	const char *listen;    /* "127.0.0.1:7000", "[::1]:0"; port 0: any */
	const char *to;        /* the same form, or "unix:PATH" */
	uint64_t rate_bps;     /* bits a second each way; 0: no limit */
	uint64_t delay_us;     /* one way */
	size_t queue_bytes;    /* in front of the wire, each way; 0: 64 KiB */
	uint64_t seed;         /* of the faults below */
	uint64_t cut_every_us; /* cut all connections about so often; 0: no */
	uint64_t flip_every;   /* flip a bit about each so many bytes; 0: no */
};

/* Counters since the relay was opened; up: from who connected. */
struct cn_wanrelay_stats {
	uint64_t up_in;    /* bytes read from who connected */
	uint64_t up_out;   /* bytes written to the target */
	uint64_t down_in;  /* bytes read from the target */
	uint64_t down_out; /* bytes written to who connected */
	uint64_t accepted; /* connections */
	uint64_t failed;   /* of these: the target could not be reached */
	uint64_t live;     /* connections now */
	uint64_t cuts;     /* times that all were cut */
	uint64_t cut_connections;
	uint64_t flips; /* bits */
};

/*
 * Start to listen.
 *
 * @loop    borrowed; outlives the relay
 * @config  borrowed during the call
 * @ret     set on success: the relay, until cn_wanrelay_close()
 *
 * Returns CN_OK, CN_EINVAL for an address that makes no sense, CN_ENOMEM or
 * the system's error.
 */
int cn_wanrelay_open(uv_loop_t *loop, const struct cn_wanrelay_config *config,
    struct cn_wanrelay **ret) CN_MUSTCHECK;

/*
 * Cut everything, close and free; the caller's pointer is cleared at once.
 * NULL is fine, and is not called back for.
 *
 * @closed  NULL, or called from the loop when nothing of it is left there
 */
void cn_wanrelay_close(
    struct cn_wanrelay **relayp, void (*closed)(void *arg), void *arg);

/* The port it listens on. */
uint16_t cn_wanrelay_port(const struct cn_wanrelay *relay);

/* Reset all connections on both sides; what was on the way is lost. */
void cn_wanrelay_cut(struct cn_wanrelay *relay);

/*
 * Black hole: nothing departs and nothing arrives, connections stay.
 *
 * @for_us  how long; 0: until cn_wanrelay_resume()
 */
void cn_wanrelay_stall(struct cn_wanrelay *relay, uint64_t for_us);
void cn_wanrelay_resume(struct cn_wanrelay *relay);

/* Change rate and delay from now on; as in the configuration. */
void cn_wanrelay_set_line(
    struct cn_wanrelay *relay, uint64_t rate_bps, uint64_t delay_us);

void cn_wanrelay_stats(
    const struct cn_wanrelay *relay, struct cn_wanrelay_stats *ret);

#endif /* CN_MANAGE_WANRELAY_H */
