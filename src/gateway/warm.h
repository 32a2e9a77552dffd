/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_WARM_H
#define CN_GATEWAY_WARM_H

/*
 * Warming a peer's store by hand: a caller of the control socket hands over
 * one end of a TCP connection, and what it writes into the other goes to the
 * peer as a stream of a service, for the store alone and behind all else.
 *
 *   OPENING --(a worker opened the stream)--> RUNNING --(it ended)--> OVER
 *      \------(no such service, no store, …)-------------------------^
 *
 * Life:       from cn_warm_start() until the caller released it and its
 *             stream, if there was one, has ended.
 * Thread:     the main thread's; on its way through workers it is theirs, but
 *             for what the caller may read in its state.
 * Invariants: `told' runs once with RUNNING or OVER, and once more with OVER
 *             after RUNNING; in the main thread, never inside a call of ours,
 *             and not after cn_warm_release().
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "control/message.h"
#include "gateway/mailbox.h"
#include "net/addr.h"

struct cn_daemon;
struct cn_worker;

enum cn_warm_state {
	CN_WARM_OPENING,
	CN_WARM_RUNNING, /* end.stream is set */
	CN_WARM_OVER,    /* end, or refused and why, are set */
};

/* Why it cannot be, in words for the caller. */
struct cn_warm_refusal {
	enum cn_reply_code code;
	char text[CN_REPLY_TEXT_MAX];
};

struct cn_warm {
	struct cn_task task;      /* to a worker that opens the stream, and
				   * home */
	struct cn_task last;      /* home, when the stream has ended */
	struct cn_daemon *daemon; /* borrowed */
	void (*told)(struct cn_warm *warm, void *owner);
	void *owner;
	enum cn_warm_state state;
	bool is_released; /* by its caller */
	bool is_refused;  /* it never ran */
	bool is_telling;  /* `told' runs, and may release it */
	bool has_opened;  /* a session has it and will say when it ends */
	int fd;           /* owned until a session has it; -1 */
	unsigned hops;    /* from worker to worker */
	char service[CN_SNAP_NAME];
	char client[CN_ADDR_TEXT_MAX]; /* with a port; "": nobody */
	struct cn_warm_refusal why;
	struct cn_snap_warm end;
};

/*
 * Begin.  The request's service and client are looked at here, the rest in a
 * worker.
 *
 * @fd    owned in any case, reset if it is refused; -1: none was handed over
 * @why   set on CN_EINVAL
 * @ret   the caller's last one, released if it is over, or NULL; one that is
 *        not over is a reason to refuse
 *
 * Returns CN_OK (`told' will run), CN_EINVAL (refused: see why), CN_ENOMEM.
 */
int cn_warm_start(struct cn_daemon *daemon, const struct cn_request *request,
    int fd, void (*told)(struct cn_warm *warm, void *owner), void *owner,
    struct cn_warm_refusal *why, struct cn_warm **ret) CN_MUSTCHECK;

/* The caller is not interested any more; the stream goes on.  Clears *wp;
 * NULL is fine. */
void cn_warm_release(struct cn_warm **wp);

/* For the session that has it, in its worker, as the last: the figures in
 * warm->end are set. */
void cn_warm_ended(struct cn_warm *warm);

#endif /* CN_GATEWAY_WARM_H */
