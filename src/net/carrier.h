/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_NET_CARRIER_H
#define CN_NET_CARRIER_H

/*
 * One carrier: a TLS connection on a socket, from the first byte to the
 * last.
 *
 *   accepted:  SNIFF -> TLS -> HELLO -> (owner answers) -> DATA -> closed
 *   dialled:            TLS -> HELLO -> (answer came)   -> DATA -> closed
 *
 * Until DATA there is a deadline and a limit on what is read.  In DATA the
 * carrier moves bytes between the socket and its owner, who feeds them to a
 * link: received bytes are pushed, bytes to send are pulled by
 * cn_carrier_flush().
 *
 * Life:       created with a connected socket, which it owns; ended by
 *             cn_carrier_close() or given away by cn_carrier_part().  Its
 *             memory goes when its handles are closed in the loop.
 * Thread:     its loop's.
 * Callbacks:  from the loop only, never inside a call of the owner; none
 *             after cn_carrier_close().  Any call is legal inside them.
 * Invariants: at most one record waits unsent in the process; what waits
 *             unsent in the kernel is about 5 ms of the measured rate.
 * Wire:       doc/protocol.md, "Carriers" and "Hello".
 */

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/attr.h"
#include "net/gate.h"
#include "net/tlsctx.h"
#include "wire/hello.h"

struct cn_carrier; /* opaque */

/* From the first byte to the answer of the hello. */
#define CN_CARRIER_HANDSHAKE_US (5u * 1000000u)
/* A closed carrier waits so long for its farewell to be heard. */
#define CN_CARRIER_LINGER_US 1000000u
/* Bytes read before the peer is authenticated. */
#define CN_CARRIER_PREAUTH_MAX (16u * 1024u)
/* Read buffer that the carriers of a worker share. */
#define CN_CARRIER_READ_BUFFER (256u * 1024u)
/* What may wait unsent in the kernel: bounds, and time at the rate. */
#define CN_CARRIER_UNSENT_MIN (4u * 1024u)
#define CN_CARRIER_UNSENT_MAX (1024u * 1024u)
#define CN_CARRIER_UNSENT_US 5000u

struct cn_carrier_ops {
	/*
	 * The peer is authenticated and its hello is here, and about itself
	 * it is true: identities and exporter are checked.  Accepted: answer
	 * now or later by cn_carrier_answer(), or part it.  Dialled: it is
	 * the answer, its status may be a refusal (then close).
	 */
	void (*on_hello)(
	    struct cn_carrier *carrier, const struct cn_hello *hello);
	/*
	 * Accepted: the handshake is over, and this is no carrier but
	 * somebody who joins: take it away by cn_carrier_yield(), or close.
	 */
	void (*on_join)(struct cn_carrier *carrier);
	/*
	 * Bytes came.  Take what can be taken; the rest (less than a
	 * fragment) comes again with what follows.  Anything but CN_OK stops
	 * reading; the owner closes the carrier then or soon after.
	 */
	int (*on_bytes)(struct cn_carrier *carrier, const uint8_t *bytes,
	    size_t len, size_t *used);
	/* It takes bytes again: call cn_carrier_flush(). */
	void (*on_writable)(struct cn_carrier *carrier);
	/* A new measure of the path; 0: unknown. */
	void (*on_path)(
	    struct cn_carrier *carrier, uint64_t rate_bps, uint64_t rtt_us);
	/*
	 * It is over; close it.  CN_ECLOSED: the peer said so; CN_EPIPE: cut;
	 * CN_ETIMEDOUT: the handshake's deadline; CN_EKEY: its key is not
	 * pinned here; CN_EACCES: it refused our key; CN_EPEER: not the peer
	 * that was dialled, or its hello is false; CN_EPROTO: no gateway or a
	 * broken one; CN_ELIMIT: too much before authentication; CN_ETLS; or
	 * an errno.  cn_carrier_gate_end() says more for accepted ones, and
	 * cn_carrier_detail() has words.
	 */
	void (*on_end)(struct cn_carrier *carrier, int why);
	/* Bytes for the carrier, as cn_link_pull(); inside of
	 * cn_carrier_flush() only. */
	size_t (*pull)(struct cn_carrier *carrier, uint8_t *out, size_t cap);
};

/* What the carriers of one worker share; created before, freed after them. */
struct cn_carrier_shared {
	uv_loop_t *loop;       /* borrowed */
	struct cn_tlsctx *tls; /* borrowed */
	uint8_t *read_buffer;  /* owned: CN_CARRIER_READ_BUFFER bytes */
	/* Rekey our direction after so much; tests lower them. */
	uint64_t rekey_bytes;
	uint64_t rekey_us;
	/* Congestion control wanted on long paths ("bbr"); "" leaves it. */
	char congestion[16];
};

int cn_carrier_shared_init(struct cn_carrier_shared *shared, uv_loop_t *loop,
    struct cn_tlsctx *tls) CN_MUSTCHECK;
void cn_carrier_shared_fini(struct cn_carrier_shared *shared);

/*
 * Take a connected socket as a carrier.
 *
 * @shared, @ops  borrowed; outlive the carrier
 * @fd            non-blocking; owned from here on, on success only
 * @hello         dialled: what to say (identity, peer: whom we expect;
 *                exporter is filled in); accepted: NULL
 *
 * Returns CN_OK; CN_ENOMEM, or an errno.
 */
int cn_carrier_create(struct cn_carrier_shared *shared,
    const struct cn_carrier_ops *ops, void *owner, int fd,
    const struct cn_hello *hello, struct cn_carrier **ret) CN_MUSTCHECK;

/*
 * Accepted: answer the hello.  Status OK makes the carrier live (DATA); any
 * other is sent, then the owner closes it.
 *
 * @hello  identity, peer and exporter are filled in
 *
 * Returns CN_OK or why it could not be sent: close it.
 */
int cn_carrier_answer(
    struct cn_carrier *carrier, const struct cn_hello *hello) CN_MUSTCHECK;

/*
 * Dialled: the owner accepts the answer; the carrier is live (DATA).  Bytes
 * that came behind the hello are pushed from the loop.
 */
void cn_carrier_go(struct cn_carrier *carrier);

/*
 * Pull and write until there is no more or the socket is full.
 *
 * Returns CN_OK, or why the carrier is dead: close it; on_end does not
 * follow.
 */
int cn_carrier_flush(struct cn_carrier *carrier) CN_MUSTCHECK;

/* True when cn_carrier_flush() may write: live and not full. */
bool cn_carrier_is_writable(const struct cn_carrier *carrier);

/*
 * True when what was written before waits in the kernel for the path, which
 * then is what holds us back: what is pulled next will wait, too.
 */
bool cn_carrier_is_busy(struct cn_carrier *carrier);

/*
 * Close: a last message, close_notify, FIN.  Nothing is called any more; a
 * live carrier with a farewell stays in the loop until the peer has closed,
 * too, or CN_CARRIER_LINGER_US are over.
 *
 * @farewell  bytes as from cn_link_farewell(), or NULL; copied
 */
void cn_carrier_close(
    struct cn_carrier **cp, const uint8_t *farewell, size_t len);

/* Each second: gives the buffers of the idle back. */
void cn_carrier_tick(struct cn_carrier *carrier, uint64_t now);

void *cn_carrier_owner(const struct cn_carrier *carrier);
/* Give it to another owner, as when it comes to belong to a link. */
void cn_carrier_set_owner(
    struct cn_carrier *carrier, const struct cn_carrier_ops *ops, void *owner);
/* Identity of the authenticated peer; zeros before. */
const uint8_t *cn_carrier_peer(const struct cn_carrier *carrier);
/* Accepted: the hello that came, until it is answered. */
const struct cn_hello *cn_carrier_hello(const struct cn_carrier *carrier);
/* Address of the other end. */
const struct sockaddr *cn_carrier_address(const struct cn_carrier *carrier);
/* The socket, to ask for its names alone; -1 when closed. */
int cn_carrier_fd(const struct cn_carrier *carrier);
/* What TLS had to say about the end; static text or NULL. */
const char *cn_carrier_detail(const struct cn_carrier *carrier);
/* How an accepted attempt ended, for the gate, once on_end came. */
enum cn_gate_end cn_carrier_gate_end(const struct cn_carrier *carrier);

struct cn_carrier_stats {
	uint64_t bytes_in; /* on the wire, TLS included */
	uint64_t bytes_out;
	uint64_t rate_bps; /* last measure; 0: unknown */
	uint64_t rtt_us;
	uint64_t rekeys; /* of our direction */
	uint64_t born_us;
	uint64_t heard_us; /* when bytes last came */
	bool is_full;      /* waits for the socket */
};
void cn_carrier_stats(
    const struct cn_carrier *carrier, struct cn_carrier_stats *ret);

/* A connection of TLS that is no carrier any more. */
struct cn_carrier_tls {
	int fd;                      /* owned; -1: none */
	SSL *ssl;                    /* owned */
	struct cn_tlsctx_peer *peer; /* owned, of cn_alloc() */
};

/*
 * In on_join: what the carrier was; it is gone, *cp is NULL then.  Any
 * thread may go on with the result.
 *
 * Returns CN_OK or CN_ENOMEM (the carrier stays).
 */
int cn_carrier_yield(
    struct cn_carrier **cp, struct cn_carrier_tls *ret) CN_MUSTCHECK;
/* Close it and free what it owns; harmless twice. */
void cn_carrier_tls_fini(struct cn_carrier_tls *tls);

/*
 * Part of a handover: all of an accepted carrier whose hello came and was
 * not answered yet.  Owned by whoever holds it; ends in cn_carrier_adopt()
 * or cn_carrier_parcel_free().
 */
struct cn_carrier_parcel; /* opaque */

/* Take the carrier out of its loop; *cp is NULL then.
 * Returns CN_OK or CN_ENOMEM (the carrier stays). */
int cn_carrier_part(
    struct cn_carrier **cp, struct cn_carrier_parcel **ret) CN_MUSTCHECK;
/* In the thread of the new worker; clears *pp on success. */
int cn_carrier_adopt(struct cn_carrier_shared *shared,
    const struct cn_carrier_ops *ops, void *owner,
    struct cn_carrier_parcel **pp, struct cn_carrier **ret) CN_MUSTCHECK;
const struct cn_hello *cn_carrier_parcel_hello(
    const struct cn_carrier_parcel *parcel);
void cn_carrier_parcel_free(struct cn_carrier_parcel **pp);

#endif /* CN_NET_CARRIER_H */
