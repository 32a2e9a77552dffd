/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/linkhost.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "codec/dedup.h"
#include "gateway/events.h"
#include "gateway/report.h"
#include "gateway/session.h"

/* ---- life ---- */

static void
on_handle_closed(uv_handle_t *handle)
{
	struct cn_linkhost *host = handle->data;

	assert(host->handles > 0);
	host->handles--;
	if (host->handles == 0) {
		cn_free(host);
	}
}

static void
on_slot_closed(uv_handle_t *handle)
{
	struct cn_linkhost_slot *slot = handle->data;

	handle->data = slot->host;
	on_handle_closed(handle);
}

static void
on_deadline(uv_timer_t *timer)
{
	cn_linkhost_touch(timer->data);
}

/* What a link of this worker keeps, and so what its hellos announce. */
static struct cn_link_config
link_config(const struct cn_worker *worker)
{
	const struct cn_config *config = worker->plan->config;

	return (struct cn_link_config){
		.slots = CN_LINK_SLOTS_MAX,
		.credit_floor = CN_WORKER_CREDIT_FLOOR,
		.window_max = (uint32_t)CN_MIN(
		    config->limits.window_bytes, CN_LINK_WINDOW_MAX),
		.streams_max = config->limits.streams_per_peer,
		.lanes = worker->lanes,
		.resume_window_us = config->resume_window_us,
		.pool = worker->pool,
		.codec = worker->codec,
	};
}

static int
create_link(struct cn_linkhost *host, uint64_t now)
{
	struct cn_worker *worker = host->worker;
	struct cn_link_config link = link_config(worker);
	int err;

	if (worker->dedup != NULL) {
		err = cn_dedup_create(worker->shared->store, worker->dedup,
		    host->peer, cn_worker_wake, worker, &host->dedup);
		if (err != CN_OK) {
			return err;
		}
	}
	link.is_dialler = host->is_dialler;
	link.dedup = host->dedup;
	err = cn_link_create(&link, now, &host->link);
	if (err != CN_OK) {
		cn_dedup_free(&host->dedup);
	}
	return err;
}

static void
init_slots(struct cn_linkhost *host)
{
	uv_loop_t *loop = &host->worker->loop;

	for (uint32_t i = 0; i < CN_LINK_SLOTS_MAX; i++) {
		struct cn_linkhost_slot *slot = &host->slot[i];

		slot->host = host;
		slot->index = i;
		slot->up_limit.interval_us = 1000000u;
		slot->lost_limit.interval_us = 1000000u;
		(void)uv_timer_init(loop, &slot->timer);
		slot->timer.data = slot;
		host->handles++;
	}
	(void)uv_timer_init(loop, &host->deadline);
	host->deadline.data = host;
	host->handles++;
}

int
cn_linkhost_create(struct cn_worker *worker, struct cn_registry_link *entry,
    struct cn_linkhost **ret)
{
	const struct cn_plan_peer *peer =
	    cn_plan_peer(worker->plan, entry->peer);
	uint64_t now = cn_clock_us();
	struct cn_linkhost *host;
	int err;

	if (peer == NULL) {
		return CN_ENOENT;
	}
	host = cn_calloc(1, sizeof(*host));
	if (host == NULL) {
		return CN_ENOMEM;
	}
	host->worker = worker;
	host->is_dialler = entry->is_dialler;
	memcpy(host->peer, entry->peer, CN_IDENTITY_BYTES);
	memcpy(host->id, entry->id, CN_LINK_ID_BYTES);
	cn_snap_text(host->name, sizeof(host->name), peer->config->entry.name);
	host->born_us = host->down_us = now;
	host->refuse_limit.interval_us = CN_LINKHOST_REFUSED_US;
	err = create_link(host, now);
	if (err != CN_OK) {
		cn_free(host);
		return err;
	}
	init_slots(host);
	host->entry = entry;
	cn_list_init(&host->touched);
	cn_list_init(&host->sessions);
	cn_list_init(&host->item);
	cn_list_append(&worker->hosts, &host->item);
	cn_counter_add(worker->counters, CN_COUNTER_LINKS_OPENED, 1);
	if (host->is_dialler) {
		cn_linkhost_dial(&host->slot[0]);
	}
	cn_linkhost_touch(host);
	*ret = host;
	return CN_OK;
}

/* Hand all events out; streams are reset by them. */
static void
drain_events(struct cn_linkhost *host)
{
	struct cn_link_event event;

	while (cn_link_event(host->link, &event)) {
		if (event.stream != NULL) {
			cn_session_event(host, &event);
		}
	}
}

/* The sums of a peer and of the worker outlive the link. */
static void
account(struct cn_linkhost *host)
{
	uint64_t counts[CN_COUNTER_COUNT] = { 0 };
	struct cn_snap_bytes sent, received;
	struct cn_link_stats stats;

	cn_link_stats(host->link, &stats);
	cn_tally_snap(&stats.sent, &sent);
	cn_tally_snap(&stats.received, &received);
	sent.wan = received.wan = 0;
	for (uint32_t i = 0; i < CN_LINK_SLOTS_MAX; i++) {
		sent.wan += host->slot[i].wan_out;
		received.wan += host->slot[i].wan_in;
	}
	cn_registry_account(host->worker->shared->registry, host->peer, &sent,
	    &received, stats.resumes);
	cn_report_count(host->link, counts);
	for (enum cn_counter c = 0; c < CN_COUNTER_COUNT; c++) {
		cn_counter_add(host->worker->counters, c, counts[c]);
	}
}

void
cn_linkhost_end(
    struct cn_linkhost *host, enum cn_reset reason, enum cn_close code)
{
	struct cn_worker *worker = host->worker;
	uint64_t now = cn_clock_us();

	if (host->is_ended) {
		return;
	}
	host->is_ended = true;
	/* Resets reach a peer that is still there. */
	cn_link_reset_all(host->link, reason, now);
	drain_events(host);
	for (uint32_t i = 0; i < CN_LINK_SLOTS_MAX; i++) {
		struct cn_linkhost_slot *slot = &host->slot[i];

		/* What does not go now never will. */
		if (slot->is_live && cn_carrier_flush(slot->carrier) != CN_OK) {
			code = CN_CLOSE_OK;
		}
		cn_linkhost_shut(slot, code);
		uv_close((uv_handle_t *)&slot->timer, on_slot_closed);
	}
	drain_events(host);
	cn_session_forget(host);
	account(host);
	cn_link_free(&host->link);
	cn_dedup_free(&host->dedup);
	cn_registry_remove(worker->shared->registry, &host->entry, now);
	cn_list_remove(&host->touched);
	cn_list_remove(&host->item);
	uv_close((uv_handle_t *)&host->deadline, on_handle_closed);
}

struct cn_linkhost *
cn_linkhost_find(struct cn_worker *worker,
    const uint8_t peer[CN_IDENTITY_BYTES], const uint8_t id[CN_LINK_ID_BYTES])
{
	struct cn_list *item;

	CN_LIST_EACH(&worker->hosts, item)
	{
		struct cn_linkhost *host =
		    CN_LIST_ENTRY(item, struct cn_linkhost, item);

		if (memcmp(host->id, id, CN_LINK_ID_BYTES) == 0 &&
		    cn_identity_equal(host->peer, peer)) {
			return host;
		}
	}
	return NULL;
}

struct cn_linkhost *
cn_linkhost_for_stream(
    struct cn_worker *worker, const uint8_t peer[CN_IDENTITY_BYTES])
{
	struct cn_linkhost *best = NULL;
	struct cn_list *item;

	CN_LIST_EACH(&worker->hosts, item)
	{
		struct cn_linkhost *host =
		    CN_LIST_ENTRY(item, struct cn_linkhost, item);

		if (!host->was_up || host->entry->is_draining ||
		    !cn_identity_equal(host->peer, peer)) {
			continue;
		}
		if (best == NULL ||
		    (host->down_us == 0) > (best->down_us == 0) ||
		    ((host->down_us == 0) == (best->down_us == 0) &&
			cn_link_streams(host->link) <
			    cn_link_streams(best->link))) {
			best = host;
		}
	}
	return best;
}

bool
cn_linkhost_is_down(const struct cn_linkhost *host, uint64_t now)
{
	return host->down_us != 0 &&
	    now - host->down_us >= CN_LINKHOST_GRACE_US;
}

/* ---- the turn ---- */

void
cn_linkhost_touch(struct cn_linkhost *host)
{
	if (!host->is_ended && cn_list_is_empty(&host->touched)) {
		cn_list_append(&host->worker->touched, &host->touched);
	}
}

/* What a carrier that was given up died of. */
static int
why_of(enum cn_close code)
{
	switch (code) {
	case CN_CLOSE_TIMEOUT:
		return CN_ETIMEDOUT;
	case CN_CLOSE_PROTOCOL:
	case CN_CLOSE_LIMIT:
	case CN_CLOSE_REMOVED:
	case CN_CLOSE_INTERNAL:
	case CN_CLOSE_VERSION:
	case CN_CLOSE_FEATURE:
	case CN_CLOSE_IDENTITY:
		return CN_EPROTO; /* the next would end so too */
	case CN_CLOSE_OK:
	case CN_CLOSE_LINK_UNKNOWN:
	case CN_CLOSE_STALE:
	case CN_CLOSE_SHUTDOWN:
	case CN_CLOSE_REPLACED:
	case CN_CLOSE_MAX:
		break;
	}
	return CN_ECLOSED;
}

/* The peer said that it knows the link no more: there is nothing to wait
 * for. */
static bool
is_forgotten(enum cn_close code)
{
	return code == CN_CLOSE_LINK_UNKNOWN || code == CN_CLOSE_SHUTDOWN ||
	    code == CN_CLOSE_REMOVED;
}

/* The engine gave a carrier up; it is detached already. */
static void
on_carrier_event(struct cn_linkhost *host, const struct cn_link_event *event)
{
	struct cn_linkhost_slot *slot = &host->slot[event->slot];
	enum cn_close code = event->reason < CN_CLOSE_MAX
	    ? (enum cn_close)event->reason
	    : CN_CLOSE_PROTOCOL;

	/* A newer one may have taken its place since. */
	if (!slot->is_live || cn_link_is_up(host->link, event->slot)) {
		return;
	}
	if (code == CN_CLOSE_PROTOCOL) {
		cn_counter_add(
		    host->worker->counters, CN_COUNTER_PROTOCOL_ERRORS, 1);
	}
	slot->farewell = code;
	cn_linkhost_lost(slot, why_of(code), cn_close_name(code));
	if (is_forgotten(code)) {
		CN_LOG(CN_LOG_WARN, "link-lost", "peer=%s reason=%s",
		    host->name, cn_close_name(code));
		cn_linkhost_tell(host, CN_EVENT_LINK_LOST,
		    "the peer gave it up: %s", cn_close_name(code));
		cn_counter_add(
		    host->worker->counters, CN_COUNTER_LINKS_LOST, 1);
		cn_linkhost_end(
		    host, CN_RESET_LINK_LOST, CN_CLOSE_LINK_UNKNOWN);
	}
}

static void
on_event(struct cn_linkhost *host, const struct cn_link_event *event)
{
	switch (event->type) {
	case CN_LINK_EVENT_OPEN:
	case CN_LINK_EVENT_READABLE:
	case CN_LINK_EVENT_WRITABLE:
	case CN_LINK_EVENT_ENDED:
	case CN_LINK_EVENT_RESET:
		cn_session_event(host, event);
		break;
	case CN_LINK_EVENT_CARRIER:
		on_carrier_event(host, event);
		break;
	case CN_LINK_EVENT_DRAINING:
		CN_LOG(CN_LOG_INFO, "peer-draining", "peer=%s", host->name);
		cn_linkhost_tell(
		    host, CN_EVENT_PEER_DRAINING, "it takes no new streams");
		cn_registry_set_draining(
		    host->worker->shared->registry, host->entry);
		break;
	case CN_LINK_EVENT_LOST:
		if (host->was_up) {
			CN_LOG(CN_LOG_WARN, "link-lost",
			    "peer=%s reason=resume-window", host->name);
			cn_linkhost_tell(host, CN_EVENT_LINK_LOST,
			    "no carrier came up within the resume window");
			cn_counter_add(
			    host->worker->counters, CN_COUNTER_LINKS_LOST, 1);
		}
		cn_linkhost_end(host, CN_RESET_LINK_LOST, CN_CLOSE_TIMEOUT);
		break;
	}
}

/* Returns false when the host is gone. */
static bool
handle_events(struct cn_linkhost *host)
{
	struct cn_link_event event;

	for (unsigned n = 0; n < CN_WORKER_EVENTS_MAX; n++) {
		if (!cn_link_event(host->link, &event)) {
			return true;
		}
		on_event(host, &event);
		if (host->is_ended) {
			return false;
		}
	}
	cn_linkhost_touch(host); /* others get their turn */
	return true;
}

static void
flush_carriers(struct cn_linkhost *host)
{
	for (uint32_t i = 0; i < CN_LINK_SLOTS_MAX; i++) {
		struct cn_linkhost_slot *slot = &host->slot[i];
		int err;

		if (!slot->is_live || !cn_carrier_is_writable(slot->carrier)) {
			continue;
		}
		err = cn_carrier_flush(slot->carrier);
		if (err != CN_OK) {
			cn_linkhost_lost(
			    slot, err, cn_carrier_detail(slot->carrier));
			continue;
		}
	}
}

static void
set_deadline(struct cn_linkhost *host, uint64_t now)
{
	uint64_t at = cn_link_deadline(host->link);

	if (at == UINT64_MAX) {
		(void)uv_timer_stop(&host->deadline);
	} else {
		/* What is due already was ticked and waits for a carrier: a
		 * look each millisecond is enough. */
		at = CN_MAX(at, now + 1);
		(void)uv_timer_start(
		    &host->deadline, on_deadline, (at - now + 999) / 1000, 0);
	}
}

/* Its peer runs on as another process that knows nothing of it. */
static bool
is_outlived(const struct cn_linkhost *host)
{
	return host->was_up && host->down_us != 0 &&
	    cn_registry_is_outlived(
		host->worker->shared->registry, host->peer, host->peer_boot);
}

void
cn_linkhost_sweep(
    struct cn_worker *worker, const uint8_t peer[CN_IDENTITY_BYTES])
{
	struct cn_list *item;

	CN_LIST_EACH(&worker->hosts, item)
	{
		struct cn_linkhost *host =
		    CN_LIST_ENTRY(item, struct cn_linkhost, item);

		if (cn_identity_equal(host->peer, peer) && is_outlived(host)) {
			host->is_outlived = true;
			cn_linkhost_touch(host);
		}
	}
}

void
cn_linkhost_turn(struct cn_linkhost *host)
{
	struct cn_worker *worker = host->worker;
	uint64_t now = cn_clock_us();

	if (host->is_outlived && is_outlived(host)) {
		CN_LOG(CN_LOG_WARN, "link-lost",
		    "peer=%s reason=peer-restarted", host->name);
		cn_linkhost_tell(host, CN_EVENT_LINK_LOST,
		    "the gateway there was started anew");
		cn_counter_add(worker->counters, CN_COUNTER_LINKS_LOST, 1);
		cn_linkhost_end(host, CN_RESET_LINK_LOST, CN_CLOSE_TIMEOUT);
		cn_worker_make_links(worker->shared);
		return;
	}
	host->is_outlived = false;

	if (cn_link_deadline(host->link) <= now) {
		cn_link_tick(host->link, now);
	}
	if (!handle_events(host)) {
		return;
	}
	flush_carriers(host);
	/* A flush may lose carriers, and whoever pulls makes events. */
	if (!handle_events(host)) {
		return;
	}
	atomic_store_explicit(&host->entry->streams,
	    (uint32_t)cn_link_streams(host->link), memory_order_relaxed);
	set_deadline(host, cn_clock_us());
}

/* ---- hellos ---- */

void
cn_linkhost_hello(const struct cn_worker *worker, struct cn_hello *ret)
{
	struct cn_link_config config = link_config(worker);

	memset(ret, 0, sizeof(*ret));
	ret->version_min = ret->version_max = CN_WIRE_VERSION;
	ret->status = CN_CLOSE_OK;
	ret->features =
	    worker->dedup != NULL ? CN_FEATURE_DEDUP : CN_FEATURE_NONE;
	memcpy(ret->boot_id, worker->shared->boot_id, CN_BOOT_ID_BYTES);
	ret->workers = worker->shared->workers;
	cn_link_limits(&config, ret);
	if (worker->is_draining) {
		ret->flags |= CN_HELLO_DRAINING;
	}
	(void)snprintf(ret->name, sizeof(ret->name), "%s",
	    worker->plan->config->gateway.name != NULL
		? worker->plan->config->gateway.name
		: "");
}

void
cn_linkhost_refuse(struct cn_worker *worker, struct cn_carrier **cp,
    enum cn_close status, const char *text)
{
	struct cn_hello hello;

	cn_linkhost_hello(worker, &hello);
	hello.status = status;
	(void)snprintf(hello.text, sizeof(hello.text), "%s", text);
	cn_counter_add(worker->counters, CN_COUNTER_HELLO_REFUSALS, 1);
	/* If it cannot be said, it is gone already. */
	if (cn_carrier_answer(*cp, &hello) != CN_OK) {
		CN_LOG(CN_LOG_DEBUG, "refusal-unheard", "status=%s",
		    cn_close_name(status));
	}
	cn_carrier_close(cp, NULL, 0);
}

/* May this hello have the slot?  Changes nothing. */
static enum cn_close
check_hello(const struct cn_linkhost *host, const struct cn_hello *hello)
{
	if (hello->slot >= CN_LINK_SLOTS_MAX) {
		return CN_CLOSE_LIMIT;
	}
	if (host->was_up &&
	    memcmp(hello->boot_id, host->peer_boot, CN_BOOT_ID_BYTES) != 0) {
		return CN_CLOSE_LINK_UNKNOWN;
	}
	if (hello->generation <= cn_link_generation(host->link, hello->slot)) {
		return CN_CLOSE_STALE;
	}
	return CN_CLOSE_OK;
}

static enum cn_close
attach(struct cn_linkhost_slot *slot, struct cn_carrier **cp,
    const struct cn_hello *hello)
{
	struct cn_linkhost *host = slot->host;
	struct cn_hello answer;
	int err;

	/* All is checked: now the older one goes. */
	cn_linkhost_shut(slot, CN_CLOSE_REPLACED);
	err = cn_link_attach(
	    host->link, slot->index, hello->generation, hello, cn_clock_us());
	if (err != CN_OK) {
		return err == CN_ESTALE ? CN_CLOSE_STALE : CN_CLOSE_LIMIT;
	}
	cn_linkhost_hello(host->worker, &answer);
	memcpy(answer.link_id, host->id, CN_LINK_ID_BYTES);
	answer.slot = hello->slot;
	answer.generation = hello->generation;
	slot->carrier = *cp;
	*cp = NULL;
	cn_carrier_set_owner(slot->carrier, &cn_linkhost_carrier_ops, slot);
	memcpy(host->peer_boot, hello->boot_id, CN_BOOT_ID_BYTES);
	slot->generation = hello->generation;
	err = cn_carrier_answer(slot->carrier, &answer);
	if (err != CN_OK) {
		slot->is_live = true; /* attached, so lost */
		cn_linkhost_lost(slot, err, cn_carrier_detail(slot->carrier));
		return CN_CLOSE_OK;
	}
	cn_linkhost_live(slot, hello);
	return CN_CLOSE_OK;
}

enum cn_close
cn_linkhost_accept(struct cn_linkhost *host, struct cn_carrier **cp)
{
	struct cn_hello hello = *cn_carrier_hello(*cp);
	enum cn_close status = check_hello(host, &hello);

	if (status == CN_CLOSE_OK) {
		status = attach(&host->slot[hello.slot], cp, &hello);
	}
	if (status != CN_CLOSE_OK) {
		cn_linkhost_refuse(
		    host->worker, cp, status, cn_close_name(status));
	}
	cn_linkhost_touch(host);
	return status;
}

/* ---- plans and ticks ---- */

/* Carriers that the plan wants of a link that we dial. */
static uint32_t
wanted_slots(const struct cn_linkhost *host)
{
	const struct cn_plan_peer *peer =
	    cn_plan_peer(host->worker->plan, host->peer);

	return peer == NULL ? 0
			    : CN_MIN(peer->config->carriers, CN_LINK_SLOTS_MAX);
}

void
cn_linkhost_replan(struct cn_linkhost *host)
{
	const struct cn_plan_peer *peer =
	    cn_plan_peer(host->worker->plan, host->peer);
	uint32_t wanted = wanted_slots(host);

	assert(peer != NULL);
	cn_snap_text(host->name, sizeof(host->name), peer->config->entry.name);
	if (!host->is_dialler || !host->was_up) {
		return;
	}
	for (uint32_t i = 0; i < CN_LINK_SLOTS_MAX; i++) {
		struct cn_linkhost_slot *slot = &host->slot[i];
		bool has_it = slot->carrier != NULL || slot->dial != NULL ||
		    slot->dial_us != 0;

		if (i < wanted && !has_it) {
			cn_linkhost_dial(slot);
		} else if (i >= wanted && has_it) {
			cn_linkhost_shut(slot, CN_CLOSE_OK);
		}
	}
	cn_linkhost_touch(host);
}

/* The engine turns coding off and on by itself. */
static void
look_at_coding(struct cn_linkhost *host)
{
	struct cn_link_stats stats;

	cn_link_stats(host->link, &stats);
	if (stats.is_coding_off && !host->is_coding_off) {
		cn_linkhost_tell(host, CN_EVENT_CODING_OFF,
		    "three blocks with wrong hashes within ten minutes; is the "
		    "memory of one of the machines bad?");
	}
	host->is_coding_off = stats.is_coding_off;
}

void
cn_linkhost_tell(
    struct cn_linkhost *host, enum cn_event_kind kind, const char *fmt, ...)
{
	struct cn_events_about about = { .peer = host->name };
	char text[CN_SNAP_TEXT];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	cn_events_add(host->worker->shared->events, kind, &about, "%s", text);
}

void
cn_linkhost_tick(struct cn_linkhost *host, uint64_t now)
{
	look_at_coding(host);
	for (uint32_t i = 0; i < CN_LINK_SLOTS_MAX; i++) {
		if (host->slot[i].is_live) {
			cn_carrier_tick(host->slot[i].carrier, now);
		}
	}
}
