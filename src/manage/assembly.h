/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_ASSEMBLY_H
#define CN_MANAGE_ASSEMBLY_H

/*
 * TCP connections put together from captured packets: each byte once, in
 * order, as the application wrote it.
 *
 *   before its turn   kept, within caps of the connection and of all
 *   again             left out and counted
 *   overlapping       what came first stands
 *   never captured    a gap: known when the other end acknowledged what
 *                     follows, when no more can be kept, or at the end
 *   begun earlier     starts where the capture does
 *
 * Sequence numbers wrap; only differences are looked at.
 *
 * Life:       create, packets, finish, free.  A connection is the caller's to
 *             mark from opened() to closed().
 * Thread:     one.  No I/O and no clock: packets bring their times.
 * Invariants: bytes() of one way are in order and no byte comes twice;
 *             kept bytes never pass CN_ASSEMBLY_BYTES_MAX, of one connection
 *             CN_ASSEMBLY_FLOW_BYTES_MAX.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "manage/packet.h"

#define CN_ASSEMBLY_FLOWS_MAX 4096u
#define CN_ASSEMBLY_BYTES_MAX (64u * 1024u * 1024u)
#define CN_ASSEMBLY_FLOW_BYTES_MAX (1024u * 1024u)
/* Pieces kept of one connection, both ways. */
#define CN_ASSEMBLY_PIECES_MAX 1024u
/* Silence after which a connection is taken for over, microseconds. */
#define CN_ASSEMBLY_IDLE_US UINT64_C(600000000)

struct cn_assembly; /* opaque */

/* UP: from the client, who opened the connection. */
enum cn_assembly_way { CN_ASSEMBLY_UP, CN_ASSEMBLY_DOWN, CN_ASSEMBLY_WAYS };

struct cn_assembly_flow {
	struct cn_packet_end client, server;
	void *mark; /* the caller's */
};

struct cn_assembly_ops {
	/* A connection with something to say; may set its mark. */
	void (*opened)(void *arg, struct cn_assembly_flow *flow);
	/*
	 * @is_pushed  the sender had no more at that moment
	 * @bytes      borrowed for the call
	 */
	void (*bytes)(void *arg, struct cn_assembly_flow *flow,
	    enum cn_assembly_way way, const uint8_t *bytes, size_t len,
	    bool is_pushed);
	/* No more comes. */
	void (*closed)(void *arg, struct cn_assembly_flow *flow);
};

struct cn_assembly_stats {
	uint64_t flows;
	uint64_t midway;  /* of these: begun before the capture */
	uint64_t evicted; /* of these: idle or too many at a time */
	uint64_t bytes;   /* given out */
	uint64_t again;   /* seen more than once */
	uint64_t missing; /* known to have been sent, not captured */
	uint64_t strange; /* of segments far from where they could be */
};

/* Returns CN_OK or CN_ENOMEM. */
int cn_assembly_create(const struct cn_assembly_ops *ops, void *arg,
    struct cn_assembly **ret) CN_MUSTCHECK;
/* Without another call of the operations. */
void cn_assembly_free(struct cn_assembly **ap);

/*
 * The next packet.
 *
 * @time_us  of the capture; may go back
 *
 * Returns CN_OK or CN_ENOMEM (the packet is left out).
 */
int cn_assembly_packet(struct cn_assembly *assembly,
    const struct cn_packet *packet, uint64_t time_us) CN_MUSTCHECK;
/* Give out what is kept, and close all. */
void cn_assembly_finish(struct cn_assembly *assembly);

void cn_assembly_stats(
    const struct cn_assembly *assembly, struct cn_assembly_stats *ret);

#endif /* CN_MANAGE_ASSEMBLY_H */
