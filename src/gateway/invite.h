/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_INVITE_H
#define CN_GATEWAY_INVITE_H

/*
 * Invitations, and those who come with one.
 *
 *   OPEN --(somebody joined)--> USED
 *     |  --(its time is over)--> EXPIRED
 *     '  --(CN_INVITE_WRONG_MAX wrong proofs)--> VOID
 *
 *   a joiner:  PROOF -> READY -> WRITTEN -> over
 *
 * An invitation lives in memory alone, without its secret: with the key of
 * its proofs and the id that it is found by, both made of it.  While one is
 * open TLS takes anybody who wants to join; who has not proved it in
 * CN_PAIRING_PROOF_US is closed.  Until then the connection counts at the
 * gate as any other that is not authenticated.
 *
 * Life:       opened and closed by the daemon.
 * Thread:     the main thread's; cn_invite_bring() any.
 * Invariants: at most one joiner has shown the proof of an invitation at a
 *             time; none that is not OPEN lets anybody in.
 * Wire:       doc/protocol.md, "Joining".
 */

#include <stdint.h>

#include "base/attr.h"
#include "config/diag.h"
#include "control/message.h"
#include "net/addr.h"
#include "net/carrier.h"

/* Invitations that are open or remembered. */
#define CN_INVITE_MAX 16u
/* Wrong proofs that one may get. */
#define CN_INVITE_WRONG_MAX 3u

struct cn_invite; /* opaque: all of them */
struct cn_daemon;
struct cn_worker_shared;

int cn_invite_create(
    struct cn_daemon *daemon, struct cn_invite **ret) CN_MUSTCHECK;
/* Hang up on who joins; clears *ip; NULL is fine.  The loop must run once
 * more. */
void cn_invite_free(struct cn_invite **ip);

/* Why it cannot be. */
struct cn_invite_refusal {
	enum cn_reply_code code;
	char text[CN_REPLY_TEXT_MAX];
};

/*
 * Open one.
 *
 * @diags  initialised; receives what is wrong with the configuration that
 *         would come of it
 * @why    set on CN_EINVAL
 *
 * Returns CN_OK; CN_EINVAL; CN_ENOMEM; CN_EKEY (the library would not).
 */
int cn_invite_open(struct cn_invite *invite, const struct cn_request *request,
    struct cn_diag_list *diags, struct cn_invite_refusal *why,
    struct cn_snap_invite *ret) CN_MUSTCHECK;

/* Each second: what has expired is closed. */
void cn_invite_tick(struct cn_invite *invite, uint64_t now);

/*
 * Any thread: somebody wants to join.  The caller has entered the gate for
 * them, and does not leave it.
 *
 * @tls  taken in any case
 */
void cn_invite_bring(struct cn_worker_shared *shared,
    struct cn_carrier_tls *tls, const struct cn_sockaddr *from);

#endif /* CN_GATEWAY_INVITE_H */
