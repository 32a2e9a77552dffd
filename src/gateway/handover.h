/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_HANDOVER_H
#define CN_GATEWAY_HANDOVER_H

/*
 * Connections that callers of the control socket hand over: one end of a TCP
 * connection comes here, and what the caller writes into the other goes to a
 * peer as a stream.
 *
 *   to warm   as a stream of a service, for the peer's store alone and behind
 *             all else
 *   to probe  to an end that every gateway has (builtin.h), to test the path
 *             or keep a ledger of bytes over it
 *
 *   OPENING --(a worker opened the stream)--> RUNNING --(it ended)--> OVER
 *      \------(no such service or peer, no store, …)-------------------------^
 *
 * Life:       from cn_handover_start() until the caller released it and its
 *             stream, if there was one, has ended.
 * Thread:     the main thread's; on its way through workers it is theirs, but
 *             for what the caller may read in its state.
 * Invariants: `told' runs once with RUNNING or OVER, and once more with OVER
 *             after RUNNING; in the main thread, never inside a call of ours,
 *             and not after cn_handover_release().
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "control/message.h"
#include "gateway/mailbox.h"
#include "net/addr.h"

struct cn_daemon;
struct cn_worker;

enum cn_handover_state {
	CN_HANDOVER_OPENING,
	CN_HANDOVER_RUNNING, /* end.stream is set */
	CN_HANDOVER_OVER,    /* end, or refused and why, are set */
};

/* Why it cannot be, in words for the caller. */
struct cn_handover_refusal {
	enum cn_reply_code code;
	char text[CN_REPLY_TEXT_MAX];
};

struct cn_handover {
	struct cn_task task;      /* to a worker that opens the stream, and
				   * home */
	struct cn_task last;      /* home, when the stream has ended */
	struct cn_daemon *daemon; /* borrowed */
	void (*told)(struct cn_handover *handover, void *owner);
	void *owner;
	enum cn_handover_state state;
	bool is_released; /* by its caller */
	bool is_refused;  /* it never ran */
	bool is_telling;  /* `told' runs, and may release it */
	bool has_opened;  /* a session has it and will say when it ends */
	int fd;           /* owned until a session has it; -1 */
	unsigned hops;    /* from worker to worker */
	char peer[CN_SNAP_NAME];       /* to probe; "": it is to warm */
	char service[CN_SNAP_NAME];    /* ours; to probe: the peer's builtin */
	bool is_unstored;              /* to probe: neither side keeps it */
	char client[CN_ADDR_TEXT_MAX]; /* with a port; "": nobody */
	struct cn_handover_refusal why;
	struct cn_snap_warm end;
};

/*
 * Begin.  What the request says is looked at here, the rest in a worker.
 *
 * @fd    owned in any case, reset if it is refused; -1: none was handed over
 * @why   set on CN_EINVAL
 * @ret   the caller's last one, released if it is over, or NULL; one that is
 *        not over is a reason to refuse
 *
 * Returns CN_OK (`told' will run), CN_EINVAL (refused: see why), CN_ENOMEM.
 */
int cn_handover_start(struct cn_daemon *daemon,
    const struct cn_request *request, int fd,
    void (*told)(struct cn_handover *handover, void *owner), void *owner,
    struct cn_handover_refusal *why, struct cn_handover **ret) CN_MUSTCHECK;

/* The caller is not interested any more; the stream goes on.  Clears *hp;
 * NULL is fine. */
void cn_handover_release(struct cn_handover **hp);

/* For the session that has it, in its worker, as the last: the figures in
 * handover->end are set. */
void cn_handover_ended(struct cn_handover *handover);

#endif /* CN_GATEWAY_HANDOVER_H */
