/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_MAILBOX_H
#define CN_GATEWAY_MAILBOX_H

/*
 * Work for another thread's loop: the only way in which threads of a gateway
 * speak to each other, but for the registry and counters.
 *
 * Life:       init and close in its loop's thread; fini once the loop has
 *             reaped it.
 * Thread:     cn_mailbox_post(): any; the rest its loop's.
 * Invariants: each task is run or dropped, exactly once, in order.
 */

#include <stdbool.h>
#include <uv.h>

#include "base/attr.h"
#include "base/list.h"

/*
 * A task, embedded at the start of what it carries.  Exactly one of the two
 * is called, and owns the task then.
 */
struct cn_task {
	struct cn_list item;
	/* @owner  of the mailbox: a worker or the daemon */
	void (*run)(struct cn_task *task, void *owner);
	/* The mailbox is closed; may be called in any thread. */
	void (*drop)(struct cn_task *task);
};

struct cn_mailbox {
	uv_async_t async;
	uv_mutex_t lock;
	struct cn_list tasks;
	bool is_closed;
	void *owner; /* borrowed */
};

/* Returns CN_OK or a negated errno from the loop. */
int cn_mailbox_init(
    struct cn_mailbox *mailbox, uv_loop_t *loop, void *owner) CN_MUSTCHECK;

/* Hand a task over; takes it. */
void cn_mailbox_post(struct cn_mailbox *mailbox, struct cn_task *task);

/* Drop what is left and all that comes.  The loop must run once more. */
void cn_mailbox_close(struct cn_mailbox *mailbox);
void cn_mailbox_fini(struct cn_mailbox *mailbox);

#endif /* CN_GATEWAY_MAILBOX_H */
