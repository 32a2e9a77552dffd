/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_NET_GATE_H
#define CN_NET_GATE_H

/*
 * The gate before authentication: who may start a handshake, and a count of
 * how the attempts ended.
 *
 * So many handshakes at most are in flight; the last quarter of them is kept
 * for sources that authenticated before.  A source (an IPv4 address or an
 * IPv6 /64) may have so many failed or unfinished attempts a second; a known
 * one CN_GATE_KNOWN_TIMES as many.
 *
 * Life:   one for the process, shared by the workers.
 * Thread: any; it has its own lock and does no I/O.
 */

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Defaults of the limits, and what a known source has more. */
#define CN_GATE_FLIGHT 64u
#define CN_GATE_RATE 10u
#define CN_GATE_KNOWN_TIMES 4u
/* Sources remembered; the one unused for longest makes room. */
#define CN_GATE_SOURCES_MAX 1024u
#define CN_GATE_KNOWN_MAX 256u

/* How an attempt ended. */
enum cn_gate_end {
	CN_GATE_ACCEPTED = 0, /* authenticated, hello accepted */
	CN_GATE_FULL,         /* refused at the door: too many in flight */
	CN_GATE_RATE_LIMIT,   /* refused at the door: this source's rate */
	CN_GATE_TIMEOUT,      /* 5 s were over */
	CN_GATE_CUT,          /* closed before it was through */
	CN_GATE_GARBAGE,      /* no TLS at all */
	CN_GATE_HTTP,
	CN_GATE_SSH,
	CN_GATE_NO_ALPN,  /* TLS, but not for compressnet/1 */
	CN_GATE_TLS,      /* TLS that failed otherwise: version, format */
	CN_GATE_UNPINNED, /* TLS with a key that is not pinned */
	CN_GATE_TOO_LONG, /* more than 16 KiB before authentication */
	CN_GATE_HELLO,    /* authenticated, but its hello was refused */
	CN_GATE_JOIN,     /* wanted to join, uninvited or without proof */
	CN_GATE_END_MAX
};

struct cn_gate; /* opaque */

int cn_gate_create(struct cn_gate **ret) CN_MUSTCHECK;
void cn_gate_free(struct cn_gate **gp);

/*
 * May a connection from there start a handshake?
 *
 * Returns CN_OK: follow by cn_gate_leave(); CN_EBUSY: too many in flight, or
 * CN_ELIMIT: too many failures from there; both are counted already: close
 * it without a word.
 */
int cn_gate_enter(struct cn_gate *gate, const struct sockaddr *from,
    uint64_t now) CN_MUSTCHECK;

/* The attempt ended.  @from  as given to cn_gate_enter(). */
void cn_gate_leave(struct cn_gate *gate, const struct sockaddr *from,
    enum cn_gate_end end, uint64_t now);

struct cn_gate_stats {
	uint64_t ends[CN_GATE_END_MAX]; /* since the start */
	uint32_t in_flight;
};
void cn_gate_stats(struct cn_gate *gate, struct cn_gate_stats *ret);

/*
 * What the first bytes of a connection look like.
 *
 * Returns CN_GATE_ACCEPTED when they may begin a TLS handshake, else
 * GARBAGE, HTTP or SSH.
 */
enum cn_gate_end cn_gate_sniff(const uint8_t *bytes, size_t len);

/* "accepted", "http" …; for logs and metrics. */
const char *cn_gate_end_name(enum cn_gate_end end);

#endif /* CN_NET_GATE_H */
