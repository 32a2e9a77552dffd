/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_WORKER_H
#define CN_GATEWAY_WORKER_H

/*
 * One worker: a thread, its loop, and all that lives there for life: links,
 * their carriers, streams and their sockets.
 *
 *   start -> running -> draining (no new streams) -> stopping -> ended
 *
 * The loop's turn: callbacks of sockets and timers call the engine and mark
 * its link as touched; before the loop sleeps, every touched link has its
 * turn (gateway/linkhost.h): events out, bytes to carriers, next deadline.
 *
 * Life:       created by the daemon before its thread starts; freed by it
 *             after the thread was joined.
 * Thread:     its own, but for cn_worker_post() and what is atomic.
 * Invariants: nothing of a worker is touched by another thread, counters
 *             and the mailbox apart.
 */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/attr.h"
#include "base/counter.h"
#include "base/list.h"
#include "gateway/mailbox.h"
#include "gateway/plan.h"
#include "gateway/registry.h"
#include "net/carrier.h"
#include "net/gate.h"

struct cn_codec;
struct cn_dedup_scratch;
struct cn_events;
struct cn_pool;
struct cn_store;
struct cn_tally;

/* Events of one link, and links, that one turn handles. */
#define CN_WORKER_EVENTS_MAX 512u
/* Credit that every stream has from its start. */
#define CN_WORKER_CREDIT_FLOOR (16u * 1024u)
/* Of its memory, percent in use: what is told as an event, and as its end. */
#define CN_WORKER_LOW_PERCENT 85u
#define CN_WORKER_OK_PERCENT 70u
/* Housekeeping of carriers and those who wait. */
#define CN_WORKER_TICK_MS 1000u

/* What the workers of a process share; made before, freed after them. */
struct cn_worker_shared {
	struct cn_registry *registry; /* borrowed, as all */
	struct cn_gate *gate;
	struct cn_tlsctx *tls;
	struct cn_store *store;   /* NULL: none */
	struct cn_tally *builtin; /* of streams without service or offer */
	struct cn_mailbox *home;  /* the main thread's */
	struct cn_events *events;
	uint8_t own[CN_IDENTITY_BYTES];
	uint8_t boot_id[CN_BOOT_ID_BYTES];
	uint32_t workers;
	struct cn_worker **worker; /* by index */
	_Atomic uint64_t next_stream_id;
	_Atomic uint64_t sessions; /* live, of all workers */
	/* Tests lower them: rekeying, see net/carrier.h. */
	uint64_t rekey_bytes, rekey_us; /* 0: the default */
};

struct cn_worker {
	uint32_t index;
	struct cn_worker_shared *shared; /* borrowed */
	uv_thread_t thread;
	bool has_thread;
	uv_loop_t loop;
	struct cn_mailbox mailbox;
	uv_prepare_t prepare; /* runs the turns */
	uv_idle_t idle;       /* keeps the loop awake while turns wait */
	uv_timer_t tick;
	struct cn_pool *pool;           /* owned */
	struct cn_codec *codec;         /* owned */
	struct cn_dedup_scratch *dedup; /* owned; NULL: there is no store */
	struct cn_task woken;  /* the store has what some link waits for */
	_Atomic bool is_woken; /* that is posted already */
	struct cn_counters *counters; /* owned */
	struct cn_carrier_shared carriers;
	struct cn_plan *plan; /* counted */
	uint32_t lanes;       /* that we decode for one carrier */

	struct cn_list hosts;   /* struct cn_linkhost */
	struct cn_list touched; /* those whose turn is due */
	struct cn_list guests;  /* struct cn_guest */
	struct cn_list orphans; /* struct cn_session, its stream is over */
	struct cn_list waiting; /* clients queued for a peer */
	struct cn_list watches; /* listeners that we accept from */
	bool is_low;            /* of memory: that was told */
	bool is_busy;           /* some link had its turn since the last tick */
	bool is_draining;
	bool is_stopping;
};

/*
 * Create a worker; its thread does not run yet.
 *
 * @memory_bytes  its part of memory.limit
 *
 * Returns CN_OK, CN_ENOMEM or a negated errno from the loop.
 */
int cn_worker_create(struct cn_worker_shared *shared, uint32_t index,
    uint64_t memory_bytes, struct cn_worker **ret) CN_MUSTCHECK;
/* What it needs of the store is made, its thread runs.  Returns CN_OK,
 * CN_ENOMEM or what the system said. */
int cn_worker_start(struct cn_worker *worker) CN_MUSTCHECK;
/* Wait for its end; cn_worker_stop() was called before. */
void cn_worker_join(struct cn_worker *worker);
/* Not started or joined.  Clears *wp; NULL is fine. */
void cn_worker_free(struct cn_worker **wp);

/* Any thread. */
void cn_worker_post(struct cn_worker *worker, struct cn_task *task);

/* Any thread: take a plan over (a reference is taken), soon. */
int cn_worker_plan(struct cn_worker *worker, struct cn_plan *plan) CN_MUSTCHECK;
/* Any thread: accept no more, open no more. */
int cn_worker_drain(struct cn_worker *worker) CN_MUSTCHECK;
/* Any thread: reset what is left and end the loop. */
int cn_worker_stop(struct cn_worker *worker) CN_MUSTCHECK;
/* Any thread: make the links that are missing, in their workers. */
void cn_worker_make_links(struct cn_worker_shared *shared);

/* Any thread: the store has news for links of this worker (of type void *
 * for codec/dedup.h). */
void cn_worker_wake(void *worker);

/* Any thread: links to an earlier process of that peer are looked at. */
void cn_worker_sweep(
    struct cn_worker_shared *shared, const uint8_t peer[CN_IDENTITY_BYTES]);

#endif /* CN_GATEWAY_WORKER_H */
