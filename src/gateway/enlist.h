/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_ENLIST_H
#define CN_GATEWAY_ENLIST_H

/*
 * Joining another gateway that has invited us.
 *
 *   DIAL -> SHAKE -> PROOF sent -> READY sent -> written -> told
 *
 * Life:       from cn_enlist_start() until `told' has run.
 * Thread:     the main thread's.
 * Invariants: `told' runs exactly once, never inside cn_enlist_start(); one
 *             is under way at a time.
 * Wire:       doc/protocol.md, "Joining".
 */

#include "base/attr.h"
#include "config/diag.h"
#include "control/message.h"

struct cn_enlist; /* opaque */
struct cn_daemon;

/* What became of it; of the callee until `told' returns. */
struct cn_enlist_end {
	enum cn_reply_code code; /* OK, or why not, with text and diags */
	char text[CN_REPLY_TEXT_MAX];
	struct cn_diag_list diags;
	struct cn_snap_join joined;
};

/*
 * Begin, with the request's token, peer and forwards.
 *
 * @end  initialised by the call; on CN_EINVAL its code and text say why, and
 *       it need not be freed
 *
 * Returns CN_OK (`told' will run); CN_EINVAL; CN_ENOMEM.
 */
int cn_enlist_start(struct cn_daemon *daemon, const struct cn_request *request,
    void (*told)(const struct cn_enlist_end *end, void *owner), void *owner,
    struct cn_enlist_end *end) CN_MUSTCHECK;

/* The gateway goes down: end what is under way, and tell. */
void cn_enlist_cancel(struct cn_daemon *daemon);

#endif /* CN_GATEWAY_ENLIST_H */
