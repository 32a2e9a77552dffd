/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_NET_PAIRING_H
#define CN_NET_PAIRING_H

/*
 * A connection of compressnet-join/1: the messages of a joining over TLS,
 * and nothing else.
 *
 *   dialled:  TLS -> messages -> over        accepted:  messages -> over
 *
 * TLS proves who dialled has that key, and to the dialler that the inviter's
 * key answers; what the two make of each other is their owners' business.
 *
 * Life:       from cn_pairing_dial() or _adopt() to cn_pairing_close(); its
 *             memory goes when its handles are closed in the loop.
 * Thread:     its loop's.
 * Callbacks:  from the loop only; none after cn_pairing_close(); any call is
 *             legal inside them.
 * Invariants: no more than CN_PAIRING_READ_MAX bytes are read of one, all of
 *             TLS included; a deadline is always set.
 * Wire:       doc/protocol.md, "Joining".
 */

#include <stdint.h>
#include <uv.h>

#include "base/attr.h"
#include "ident/token.h"
#include "net/carrier.h"
#include "wire/join.h"

struct cn_pairing; /* opaque */

#define CN_PAIRING_READ_MAX CN_CARRIER_PREAUTH_MAX
/* Until the proof is checked; and for all of it, both sides' writing
 * included. */
#define CN_PAIRING_PROOF_US 5000000u
#define CN_PAIRING_WHOLE_US 30000000u

struct cn_pairing_ops {
	/* Dialled: TLS is up; may be NULL for accepted ones. */
	void (*on_ready)(void *owner);
	void (*on_message)(void *owner, const struct cn_join *message);
	/*
	 * It is over; close it.  CN_ECLOSED or CN_EPIPE: the other end closed
	 * or was lost; CN_ENOENT: it has no invitation open; CN_EPEER: it is
	 * not the gateway of the token; CN_EPROTO: no gateway, or a broken
	 * one; CN_ELIMIT; CN_ETIMEDOUT; CN_ETLS; or an errno.
	 */
	void (*on_end)(void *owner, int why);
};

/*
 * Join over a connected socket.
 *
 * @fd       owned on success only
 * @inviter  whose key must answer
 *
 * Returns CN_OK, CN_ENOMEM, or a negated errno from the loop.
 */
int cn_pairing_dial(uv_loop_t *loop, struct cn_tlsctx *tls, int fd,
    const uint8_t inviter[CN_IDENTITY_BYTES], const struct cn_pairing_ops *ops,
    void *owner, struct cn_pairing **ret) CN_MUSTCHECK;

/*
 * Go on with somebody who joins.
 *
 * @tls  taken on success
 */
int cn_pairing_adopt(uv_loop_t *loop, struct cn_carrier_tls *tls,
    const struct cn_pairing_ops *ops, void *owner,
    struct cn_pairing **ret) CN_MUSTCHECK;

/* Returns CN_OK, or why it is dead: close it; on_end does not follow. */
int cn_pairing_send(
    struct cn_pairing *pairing, const struct cn_join *message) CN_MUSTCHECK;

/* It must be over so long from now. */
void cn_pairing_deadline(struct cn_pairing *pairing, uint64_t us);

/* Whose key the other end has. */
const uint8_t *cn_pairing_peer(const struct cn_pairing *pairing);
/* What binds a proof to the connection.  Returns CN_OK or CN_ETLS. */
int cn_pairing_exporter(struct cn_pairing *pairing,
    uint8_t ret[CN_TOKEN_EXPORTER_BYTES]) CN_MUSTCHECK;

/* Say goodbye and close; clears *pp; NULL is fine. */
void cn_pairing_close(struct cn_pairing **pp);

#endif /* CN_NET_PAIRING_H */
