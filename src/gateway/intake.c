/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/intake.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "gateway/guest.h"
#include "gateway/session.h"
#include "net/sockopt.h"

/* A listening socket that this worker accepts from. */
struct watch {
	struct cn_list item;
	struct cn_worker *worker;
	struct cn_inlet *inlet; /* counted */
	struct cn_listener_watch *watch;
	bool is_carriers;
};

/* A local connection without a stream yet: on its way to another worker, or
 * waiting for its peer. */
struct arrival {
	struct cn_task task;
	struct cn_list item; /* in the worker's waiting */
	int fd;              /* owned */
	uint64_t until_us;   /* waits so long */
	unsigned hops;       /* handed on so often */
	char service[CN_NAME_MAX + 1];
	char client[CN_ADDR_TEXT_MAX];
};

/* Handed on so often: then somebody's picture is old, and it waits. */
#define HOPS_MAX 3u

static void place(struct cn_worker *worker, struct arrival *arrival);

static void
drop_arrival(struct arrival *arrival)
{
	cn_sockopt_close(&arrival->fd); /* armed: a reset */
	cn_free(arrival);
}

static void
refuse(struct cn_worker *worker, const struct cn_plan_service *service,
    struct arrival *arrival, enum cn_reset reason)
{
	static const struct cn_log_limit each_second = { .interval_us =
							     1000000u };
	static _Thread_local struct cn_log_limit limit;

	if (limit.interval_us == 0) {
		limit = each_second;
	}
	if (service != NULL) {
		atomic_fetch_add_explicit(
		    &service->tally->refused, 1, memory_order_relaxed);
		atomic_store_explicit(&service->tally->refusal,
		    (uint32_t)reason, memory_order_relaxed);
	}
	cn_counter_add(worker->counters, CN_COUNTER_STREAMS_RESET, 1);
	if (!cn_log_limited(&limit, cn_clock_us())) {
		CN_LOG(CN_LOG_WARN, "client-refused",
		    "service=%s client=%s reason=%s", arrival->service,
		    CN_LOG_STR(arrival->client), cn_reset_name(reason));
	}
	drop_arrival(arrival);
}

/* ---- to a worker with a link ---- */

static void
run_arrival(struct cn_task *task, void *owner)
{
	struct arrival *arrival = CN_CONTAINER_OF(task, struct arrival, task);

	place(owner, arrival);
}

static void
drop_task(struct cn_task *task)
{
	drop_arrival(CN_CONTAINER_OF(task, struct arrival, task));
}

static unsigned
count_waiting(const struct cn_worker *worker)
{
	const struct cn_list *item;
	unsigned n = 0;

	CN_LIST_EACH(&worker->waiting, item)
	{
		n++;
	}
	return n;
}

/* No link to the peer: what the service says. */
static void
peer_is_down(struct cn_worker *worker, const struct cn_plan_service *service,
    struct arrival *arrival)
{
	uint64_t now = cn_clock_us();

	if (service->config->on_peer_down == CN_CONFIG_PEER_DOWN_RESET ||
	    (arrival->until_us != 0 && now >= arrival->until_us) ||
	    count_waiting(worker) >= CN_INTAKE_WAITING_MAX) {
		refuse(worker, service, arrival, CN_RESET_LINK_LOST);
		return;
	}
	if (arrival->until_us == 0) {
		arrival->until_us =
		    now + worker->plan->config->resume_window_us;
	}
	arrival->hops = 0;
	cn_list_append(&worker->waiting, &arrival->item);
}

/* Give an arrival its stream, here or elsewhere. */
static void
place(struct cn_worker *worker, struct arrival *arrival)
{
	const struct cn_plan_service *service =
	    cn_plan_service(worker->plan, arrival->service);
	struct cn_linkhost *host;
	uint32_t to;
	int err;

	if (service == NULL || worker->is_draining) {
		refuse(worker, service, arrival,
		    service == NULL ? CN_RESET_ADMIN : CN_RESET_SHUTDOWN);
		return;
	}
	err = cn_registry_pick(worker->shared->registry,
	    service->peer->identity, worker->index,
	    cn_tally_is_short(service->tally), cn_clock_us(), &to);
	if (err == CN_OK && to != worker->index && arrival->hops < HOPS_MAX) {
		arrival->hops++;
		cn_counter_add(worker->counters, CN_COUNTER_HANDOVERS, 1);
		cn_worker_post(worker->shared->worker[to], &arrival->task);
		return;
	}
	host = err == CN_OK
	    ? cn_linkhost_for_stream(worker, service->peer->identity)
	    : NULL;
	if (host == NULL ||
	    (service->config->on_peer_down == CN_CONFIG_PEER_DOWN_RESET &&
		cn_linkhost_is_down(host, cn_clock_us()))) {
		peer_is_down(worker, service, arrival);
		return;
	}
	cn_session_open(host, service, arrival->fd, arrival->client);
	cn_free(arrival);
}

/* ---- watching ---- */

static void
on_accept(void *owner, const struct cn_listener_accepted *accepted)
{
	struct watch *watch = owner;
	struct cn_worker *worker = watch->worker;
	const struct cn_plan_service *service = NULL;
	struct arrival *arrival;
	int fd = accepted->fd;

	if (watch->is_carriers) {
		cn_guest_accept(worker, accepted);
		return;
	}
	cn_counter_add(worker->counters, CN_COUNTER_ACCEPTS, 1);
	arrival = cn_calloc(1, sizeof(*arrival));
	if (arrival == NULL ||
	    !cn_plan_inlet(worker->plan, watch->inlet, &service) ||
	    service == NULL) {
		cn_free(arrival);
		cn_sockopt_close(&fd);
		return;
	}
	atomic_fetch_add_explicit(
	    &service->tally->opened, 1, memory_order_relaxed);
	cn_list_init(&arrival->item);
	arrival->task.run = run_arrival;
	arrival->task.drop = drop_task;
	arrival->fd = fd;
	cn_snap_text(arrival->service, sizeof(arrival->service),
	    service->config->entry.name);
	cn_snap_text(arrival->client, sizeof(arrival->client), accepted->text);
	place(worker, arrival);
}

static void
unwatch(struct watch *watch)
{
	cn_listener_unwatch(&watch->watch);
	cn_inlet_unref(&watch->inlet);
	cn_list_remove(&watch->item);
	cn_free(watch);
}

static bool
is_watched(const struct cn_worker *worker, const struct cn_inlet *inlet)
{
	const struct cn_list *item;

	CN_LIST_EACH(&worker->watches, item)
	{
		if (CN_LIST_ENTRY(item, struct watch, item)->inlet == inlet) {
			return true;
		}
	}
	return false;
}

static void
add_watch(struct cn_worker *worker, struct cn_inlet *inlet, bool is_carriers)
{
	struct watch *watch;
	int err = CN_ENOMEM;

	if (is_watched(worker, inlet) ||
	    (worker->is_draining && !is_carriers)) {
		return;
	}
	watch = cn_calloc(1, sizeof(*watch));
	if (watch != NULL) {
		watch->worker = worker;
		watch->is_carriers = is_carriers;
		err = cn_listener_watch(inlet->listener, &worker->loop,
		    on_accept, watch, &watch->watch);
	}
	if (err != CN_OK) {
		CN_LOG(CN_LOG_ERROR, "watch-failed", "worker=%u error=%s",
		    worker->index, CN_LOG_STR(cn_err_text(err)));
		cn_free(watch);
		return;
	}
	watch->inlet = cn_inlet_ref(inlet);
	cn_list_init(&watch->item);
	cn_list_append(&worker->watches, &watch->item);
}

void
cn_intake_plan(struct cn_worker *worker)
{
	const struct cn_plan *plan = worker->plan;
	const struct cn_plan_service *service;
	struct cn_list *item, *tmp;

	CN_LIST_EACH_SAFE(&worker->watches, item, tmp)
	{
		struct watch *watch = CN_LIST_ENTRY(item, struct watch, item);

		if (!cn_plan_inlet(plan, watch->inlet, &service)) {
			unwatch(watch);
		}
	}
	for (size_t i = 0; i < plan->carriers_count; i++) {
		add_watch(worker, plan->carriers[i], true);
	}
	for (size_t i = 0; i < plan->services_count; i++) {
		service = &plan->services[i];
		for (size_t j = 0; j < service->inlets_count; j++) {
			add_watch(worker, service->inlets[j], false);
		}
	}
}

static void
end_watches(struct cn_worker *worker, bool carriers_too)
{
	struct cn_list *item, *tmp;

	CN_LIST_EACH_SAFE(&worker->watches, item, tmp)
	{
		struct watch *watch = CN_LIST_ENTRY(item, struct watch, item);

		if (carriers_too || !watch->is_carriers) {
			unwatch(watch);
		}
	}
}

/* ---- those who wait ---- */

/* Try each once; who finds no link waits again. */
static void
retry_waiting(struct cn_worker *worker)
{
	struct cn_list all;
	struct cn_list *item;

	cn_list_init(&all);
	cn_list_splice(&all, &worker->waiting);
	while ((item = cn_list_first(&all)) != NULL) {
		struct arrival *arrival =
		    CN_LIST_ENTRY(item, struct arrival, item);

		cn_list_remove(item);
		place(worker, arrival);
	}
}

void
cn_intake_retry(struct cn_worker *worker)
{
	if (!cn_list_is_empty(&worker->waiting)) {
		retry_waiting(worker);
	}
}

void
cn_intake_drain(struct cn_worker *worker)
{
	end_watches(worker, false);
	retry_waiting(worker); /* draining: they are reset */
}

void
cn_intake_stop(struct cn_worker *worker)
{
	struct cn_list *item;

	end_watches(worker, true);
	while ((item = cn_list_first(&worker->waiting)) != NULL) {
		struct arrival *arrival =
		    CN_LIST_ENTRY(item, struct arrival, item);

		cn_list_remove(item);
		drop_arrival(arrival);
	}
}
