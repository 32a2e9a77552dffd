/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/worker.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/pool.h"
#include "codec/codec.h"
#include "codec/dedup.h"
#include "gateway/events.h"
#include "gateway/guest.h"
#include "gateway/intake.h"
#include "gateway/linkhost.h"
#include "gateway/session.h"

/* Of the worker's memory, what lane contexts may take, in parts of 8. */
#define CONTEXTS_EIGHTHS 2u
/* What a decoding lane with the greatest window costs, about. */
#define LANE_DECODER_BYTES (1280u * 1024u)
#define LANES_MIN 4u
/* Level of lanes: one for all scopes, see doc/DESIGN.md, "Codec". */
#define LANE_LEVEL 3

/* ---- the loop's turn ---- */

static void
on_idle(uv_idle_t *idle CN_UNUSED)
{
	/* Only keeps the loop from sleeping. */
}

/* Runs after callbacks and timers, before the loop sleeps. */
static void
on_prepare(uv_prepare_t *prepare)
{
	struct cn_worker *worker = prepare->data;
	struct cn_list now;
	struct cn_list *item;

	/* Those who are touched again meanwhile wait for the next round, so
	 * that sockets are looked at in between. */
	cn_list_init(&now);
	cn_list_splice(&now, &worker->touched);
	worker->is_busy |= !cn_list_is_empty(&now);
	while ((item = cn_list_first(&now)) != NULL) {
		cn_list_remove(item);
		cn_linkhost_turn(
		    CN_LIST_ENTRY(item, struct cn_linkhost, touched));
	}
	if (cn_list_is_empty(&worker->touched)) {
		(void)uv_idle_stop(&worker->idle);
	} else {
		(void)uv_idle_start(&worker->idle, on_idle);
	}
}

/* Tell once when memory gets short, and once when there is some again. */
static void
look_at_memory(struct cn_worker *worker)
{
	uint64_t used = cn_pool_used(worker->pool);
	uint64_t limit = CN_MAX(cn_pool_limit(worker->pool), 1u);
	unsigned percent = (unsigned)(used * 100 / limit);

	if (!worker->is_low && percent >= CN_WORKER_LOW_PERCENT) {
		worker->is_low = true;
		cn_events_add(worker->shared->events, CN_EVENT_MEMORY_LOW, NULL,
		    "worker %u uses %u %% of its %llu MiB; see memory.limit",
		    worker->index, percent, (unsigned long long)(limit >> 20));
	} else if (worker->is_low && percent <= CN_WORKER_OK_PERCENT) {
		worker->is_low = false;
		cn_events_add(worker->shared->events, CN_EVENT_MEMORY_OK, NULL,
		    "worker %u uses %u %% of its %llu MiB", worker->index,
		    percent, (unsigned long long)(limit >> 20));
	}
}

static void
on_tick(uv_timer_t *timer)
{
	struct cn_worker *worker = timer->data;
	uint64_t now = cn_clock_us();
	struct cn_list *item;

	CN_LIST_EACH(&worker->hosts, item)
	{
		cn_linkhost_tick(
		    CN_LIST_ENTRY(item, struct cn_linkhost, item), now);
	}
	cn_intake_tick(worker, now);
	look_at_memory(worker);
	if (!worker->is_busy) {
		cn_pool_trim(worker->pool);
	}
	worker->is_busy = false;
}

/* ---- what others ask ---- */

struct order {
	struct cn_task task;
	struct cn_plan *plan;            /* counted, or NULL */
	struct cn_registry_link *entry;  /* of a link to be made, or NULL */
	uint8_t peer[CN_IDENTITY_BYTES]; /* to be swept */
};

static void
drop_order(struct cn_task *task)
{
	struct order *order = CN_CONTAINER_OF(task, struct order, task);

	cn_plan_unref(&order->plan);
	cn_free(order);
}

static struct order *
make_order(void (*run)(struct cn_task *task, void *owner))
{
	struct order *order = cn_calloc(1, sizeof(*order));

	if (order != NULL) {
		order->task.run = run;
		order->task.drop = drop_order;
	}
	return order;
}

static void
take_plan(struct cn_task *task, void *owner)
{
	struct order *order = CN_CONTAINER_OF(task, struct order, task);
	struct cn_worker *worker = owner;
	struct cn_list *item, *tmp;

	cn_plan_unref(&worker->plan);
	worker->plan = order->plan;
	order->plan = NULL;
	drop_order(task);
	if (worker->is_stopping) {
		return;
	}
	(void)snprintf(worker->carriers.congestion,
	    sizeof(worker->carriers.congestion), "%s",
	    worker->plan->config->carrier.congestion != NULL
		? worker->plan->config->carrier.congestion
		: "");
	CN_LIST_EACH_SAFE(&worker->hosts, item, tmp)
	{
		struct cn_linkhost *host =
		    CN_LIST_ENTRY(item, struct cn_linkhost, item);

		if (cn_plan_peer(worker->plan, host->peer) == NULL) {
			CN_LOG(
			    CN_LOG_INFO, "peer-removed", "peer=%s", host->name);
			cn_events_add(worker->shared->events,
			    CN_EVENT_PEER_REMOVED,
			    &(struct cn_events_about){ .peer = host->name },
			    "no longer in the configuration");
			cn_linkhost_end(host, CN_RESET_ADMIN, CN_CLOSE_REMOVED);
		} else {
			cn_linkhost_replan(host);
		}
	}
	cn_intake_plan(worker);
}

int
cn_worker_plan(struct cn_worker *worker, struct cn_plan *plan)
{
	struct order *order = make_order(take_plan);

	if (order == NULL) {
		return CN_ENOMEM;
	}
	order->plan = cn_plan_ref(plan);
	cn_worker_post(worker, &order->task);
	return CN_OK;
}

static void
begin_drain(struct cn_task *task, void *owner)
{
	struct cn_worker *worker = owner;
	struct cn_list *item;

	drop_order(task);
	if (worker->is_draining) {
		return;
	}
	worker->is_draining = true;
	cn_intake_drain(worker);
	CN_LIST_EACH(&worker->hosts, item)
	{
		struct cn_linkhost *host =
		    CN_LIST_ENTRY(item, struct cn_linkhost, item);

		cn_link_drain(host->link);
		cn_linkhost_touch(host);
	}
}

int
cn_worker_drain(struct cn_worker *worker)
{
	struct order *order = make_order(begin_drain);

	if (order == NULL) {
		return CN_ENOMEM;
	}
	cn_worker_post(worker, &order->task);
	return CN_OK;
}

static void
stop(struct cn_task *task, void *owner)
{
	struct cn_worker *worker = owner;
	struct cn_list *item;

	drop_order(task);
	worker->is_stopping = worker->is_draining = true;
	cn_intake_stop(worker);
	cn_guest_reap(worker);
	while ((item = cn_list_first(&worker->hosts)) != NULL) {
		cn_linkhost_end(CN_LIST_ENTRY(item, struct cn_linkhost, item),
		    CN_RESET_SHUTDOWN, CN_CLOSE_SHUTDOWN);
	}
	cn_session_reap(worker);
	(void)uv_prepare_stop(&worker->prepare);
	(void)uv_idle_stop(&worker->idle);
	uv_close((uv_handle_t *)&worker->prepare, NULL);
	uv_close((uv_handle_t *)&worker->idle, NULL);
	uv_close((uv_handle_t *)&worker->tick, NULL);
	cn_mailbox_close(&worker->mailbox);
}

int
cn_worker_stop(struct cn_worker *worker)
{
	struct order *order = make_order(stop);

	if (order == NULL) {
		return CN_ENOMEM;
	}
	cn_worker_post(worker, &order->task);
	return CN_OK;
}

void
cn_worker_post(struct cn_worker *worker, struct cn_task *task)
{
	cn_mailbox_post(&worker->mailbox, task);
}

/* ---- links ---- */

static void
make_link(struct cn_task *task, void *owner)
{
	struct order *order = CN_CONTAINER_OF(task, struct order, task);
	struct cn_worker *worker = owner;
	struct cn_registry_link *entry = order->entry;
	struct cn_linkhost *host;
	int err = CN_EDRAIN;

	drop_order(task);
	if (!worker->is_draining) {
		err = cn_linkhost_create(worker, entry, &host);
	}
	if (err != CN_OK) {
		/* The next look at what is missing tries again. */
		cn_registry_remove(
		    worker->shared->registry, &entry, cn_clock_us());
	}
}

void
cn_worker_make_links(struct cn_worker_shared *shared)
{
	struct cn_registry_link *entry;
	struct order *order;

	while ((entry = cn_registry_missing(shared->registry, cn_clock_us())) !=
	    NULL) {
		order = make_order(make_link);
		if (order == NULL) {
			cn_registry_remove(
			    shared->registry, &entry, cn_clock_us());
			return;
		}
		order->entry = entry;
		cn_worker_post(shared->worker[entry->worker], &order->task);
	}
}

static void
sweep(struct cn_task *task, void *owner)
{
	struct order *order = CN_CONTAINER_OF(task, struct order, task);

	cn_linkhost_sweep(owner, order->peer);
	drop_order(task);
}

void
cn_worker_sweep(
    struct cn_worker_shared *shared, const uint8_t peer[CN_IDENTITY_BYTES])
{
	for (uint32_t i = 0; i < shared->workers; i++) {
		struct order *order = make_order(sweep);

		if (order == NULL) {
			return; /* their windows end them */
		}
		memcpy(order->peer, peer, CN_IDENTITY_BYTES);
		cn_worker_post(shared->worker[i], &order->task);
	}
}

/* ---- the store's news ---- */

static void
take_woken(struct cn_task *task CN_UNUSED, void *owner)
{
	struct cn_worker *worker = owner;
	uint64_t now = cn_clock_us();
	struct cn_list *item;

	atomic_store(&worker->is_woken, false);
	CN_LIST_EACH(&worker->hosts, item)
	{
		struct cn_linkhost *host =
		    CN_LIST_ENTRY(item, struct cn_linkhost, item);

		cn_link_woken(host->link, now);
		cn_linkhost_touch(host);
	}
}

static void
drop_woken(struct cn_task *task CN_UNUSED)
{
	/* It is part of the worker. */
}

void
cn_worker_wake(void *arg)
{
	struct cn_worker *worker = arg;

	if (!atomic_exchange(&worker->is_woken, true)) {
		cn_worker_post(worker, &worker->woken);
	}
}

/* ---- life ---- */

static void
run(void *arg)
{
	struct cn_worker *worker = arg;

	(void)uv_run(&worker->loop, UV_RUN_DEFAULT);
}

static int
make_memory(struct cn_worker *worker, uint64_t memory_bytes)
{
	struct cn_codec_config codec = {
		.contexts_bytes = memory_bytes / 8 * CONTEXTS_EIGHTHS,
		.lane_window_log = CN_LANE_WINDOW_LOG_MAX,
		.lane_level = LANE_LEVEL,
		.clock_ns = cn_clock_thread_ns,
	};
	int err = cn_pool_create(memory_bytes, &worker->pool);

	if (err == CN_OK) {
		err = cn_codec_create(&codec, &worker->codec);
	}
	if (err == CN_OK) {
		err = cn_counters_create(&worker->counters);
	}
	worker->lanes = (uint32_t)CN_MAX(LANES_MIN,
	    CN_MIN(CN_LINK_LANES_MAX,
		codec.contexts_bytes / 2 / LANE_DECODER_BYTES));
	return err;
}

static int
make_handles(struct cn_worker *worker)
{
	int err = cn_mailbox_init(&worker->mailbox, &worker->loop, worker);

	if (err != CN_OK) {
		return err;
	}
	(void)uv_prepare_init(&worker->loop, &worker->prepare);
	(void)uv_idle_init(&worker->loop, &worker->idle);
	(void)uv_timer_init(&worker->loop, &worker->tick);
	worker->prepare.data = worker->idle.data = worker->tick.data = worker;
	(void)uv_prepare_start(&worker->prepare, on_prepare);
	(void)uv_timer_start(
	    &worker->tick, on_tick, CN_WORKER_TICK_MS, CN_WORKER_TICK_MS);
	return CN_OK;
}

int
cn_worker_create(struct cn_worker_shared *shared, uint32_t index,
    uint64_t memory_bytes, struct cn_worker **ret)
{
	struct cn_worker *worker = cn_calloc(1, sizeof(*worker));
	int err;

	if (worker == NULL) {
		return CN_ENOMEM;
	}
	worker->index = index;
	worker->shared = shared;
	worker->woken.run = take_woken;
	worker->woken.drop = drop_woken;
	cn_list_init(&worker->hosts);
	cn_list_init(&worker->touched);
	cn_list_init(&worker->guests);
	cn_list_init(&worker->orphans);
	cn_list_init(&worker->waiting);
	cn_list_init(&worker->watches);
	err = uv_loop_init(&worker->loop);
	if (err != 0) {
		cn_free(worker);
		return err;
	}
	err = make_memory(worker, memory_bytes);
	if (err == CN_OK) {
		err = cn_carrier_shared_init(
		    &worker->carriers, &worker->loop, shared->tls);
	}
	if (err == CN_OK) {
		err = make_handles(worker);
	}
	if (err != CN_OK) {
		cn_worker_free(&worker);
		return err;
	}
	if (shared->rekey_bytes != 0) {
		worker->carriers.rekey_bytes = shared->rekey_bytes;
	}
	if (shared->rekey_us != 0) {
		worker->carriers.rekey_us = shared->rekey_us;
	}
	*ret = worker;
	return CN_OK;
}

int
cn_worker_start(struct cn_worker *worker)
{
	struct cn_store *store = worker->shared->store;
	int err = CN_OK;

	if (store != NULL) {
		err = cn_dedup_scratch_create(store, &worker->dedup);
	}
	if (err == CN_OK) {
		err = uv_thread_create(&worker->thread, run, worker);
		worker->has_thread = err == 0;
	}
	return err;
}

void
cn_worker_join(struct cn_worker *worker)
{
	if (worker->has_thread) {
		(void)uv_thread_join(&worker->thread);
		worker->has_thread = false;
	}
}

static void
close_left(uv_handle_t *handle, void *arg CN_UNUSED)
{
	if (!uv_is_closing(handle)) {
		uv_close(handle, NULL);
	}
}

void
cn_worker_free(struct cn_worker **wp)
{
	struct cn_worker *worker = *wp;

	*wp = NULL;
	if (worker == NULL) {
		return;
	}
	assert(!worker->has_thread);
	/* One that never ran has its handles still. */
	uv_walk(&worker->loop, close_left, NULL);
	(void)uv_run(&worker->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&worker->loop);
	if (worker->mailbox.owner != NULL) {
		cn_mailbox_fini(&worker->mailbox);
	}
	cn_plan_unref(&worker->plan);
	cn_carrier_shared_fini(&worker->carriers);
	cn_dedup_scratch_free(&worker->dedup);
	cn_codec_free(&worker->codec);
	cn_pool_free(&worker->pool);
	cn_counters_free(&worker->counters);
	cn_free(worker);
}
