/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/session.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "gateway/builtin.h"
#include "gateway/events.h"
#include "gateway/handover.h"
#include "gateway/scope.h"
#include "net/sockopt.h"

/* ---- making and ending ---- */

static struct cn_session *
create(struct cn_linkhost *host, struct cn_tally *tally, bool is_ours,
    const char *client)
{
	struct cn_worker *worker = host->worker;
	struct cn_session *session = cn_calloc(1, sizeof(*session));

	if (session == NULL) {
		return NULL;
	}
	session->client = cn_strdup(client);
	if (session->client == NULL) {
		cn_free(session);
		return NULL;
	}
	session->id = atomic_fetch_add_explicit(
	    &worker->shared->next_stream_id, 1, memory_order_relaxed);
	session->worker = worker;
	session->host = host;
	session->tally = cn_tally_ref(tally);
	session->is_ours = is_ours;
	session->born_us = cn_clock_us();
	cn_list_init(&session->item);
	cn_list_append(&host->sessions, &session->item);
	atomic_fetch_add_explicit(
	    &worker->shared->sessions, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&tally->live, 1, memory_order_relaxed);
	return session;
}

/* The last look at a stream. */
static void
note_stats(struct cn_session *session, const struct cn_stream *stream)
{
	struct cn_stream_stats stats;

	cn_stream_stats(stream, &stats);
	cn_tally_add(session->tally, &stats);
	session->lan_sent = stats.sent.lan;
	session->copied_sent = stats.sent.copied;
	session->wan_sent =
	    stats.sent.coded + stats.sent.raw + stats.sent.framing;
	session->lan_received = stats.received.lan;
	session->copied_received = stats.received.copied;
	session->wan_received =
	    stats.received.coded + stats.received.raw + stats.received.framing;
	cn_counter_add(
	    session->worker->counters, CN_COUNTER_BYTES_RESENT, stats.resent);
	cn_counter_add(
	    session->worker->counters, CN_COUNTER_LAN_IN, stats.sent.lan);
	cn_counter_add(
	    session->worker->counters, CN_COUNTER_LAN_OUT, stats.received.lan);
}

/* The stream is over for us; the socket may still have to be closed. */
static void
part_with_stream(struct cn_session *session)
{
	session->stream = NULL;
	session->host = NULL;
	cn_list_remove(&session->item);
	cn_list_append(&session->worker->orphans, &session->item);
}

static void
log_end(const struct cn_session *session, bool is_clean, uint64_t reason)
{
	uint64_t lan = session->lan_sent + session->lan_received;
	uint64_t wan = session->wan_sent + session->wan_received;

	CN_LOG(CN_LOG_INFO, "stream-close",
	    "id=%llu %s=%s client=%s sent=%llu received=%llu "
	    "wan_sent=%llu wan_received=%llu ratio=%.2f ms=%llu end=%s%s",
	    (unsigned long long)session->id,
	    session->is_ours ? "service" : "offer", session->tally->name,
	    CN_LOG_STR(session->client), (unsigned long long)session->lan_sent,
	    (unsigned long long)session->lan_received,
	    (unsigned long long)session->wan_sent,
	    (unsigned long long)session->wan_received,
	    wan == 0 ? 1.0 : (double)lan / (double)wan,
	    (unsigned long long)((cn_clock_us() - session->born_us) / 1000),
	    is_clean ? "clean" : cn_reset_name(reason),
	    session->is_warm ? " warm=yes" : "");
}

/* Who had it opened hears how it went. */
static void
tell_handover(struct cn_session *session, bool is_clean, uint64_t reason)
{
	struct cn_handover *handover = session->handover;
	struct cn_snap_warm *end;

	session->handover = NULL;
	if (handover == NULL) {
		return;
	}
	end = &handover->end;
	end->is_clean = is_clean;
	cn_snap_text(end->reason, sizeof(end->reason),
	    is_clean ? "" : cn_reset_name(reason));
	end->lan = session->lan_sent;
	end->wan = session->wan_sent;
	end->copied = session->copied_sent;
	end->lan_received = session->lan_received;
	end->wan_received = session->wan_received;
	end->copied_received = session->copied_received;
	end->us = cn_clock_us() - session->born_us;
	cn_handover_ended(handover);
}

/*
 * It never reached its target.  Of our own streams the reason tells: the
 * peer knows a stream before it has dialled.
 */
static bool
was_refused(const struct cn_session *session, uint64_t reason)
{
	return !session->was_through ||
	    (session->is_ours &&
		(reason == CN_RESET_REFUSED || reason == CN_RESET_UNREACHABLE ||
		    reason == CN_RESET_TIMEOUT ||
		    reason == CN_RESET_NO_SERVICE));
}

static void
destroy(struct cn_session *session, bool is_clean, uint64_t reason)
{
	struct cn_worker *worker = session->worker;
	struct cn_tally *tally = session->tally;
	bool is_refused = !is_clean && was_refused(session, reason);

	if (is_clean) {
		cn_counter_add(worker->counters, CN_COUNTER_STREAMS_ENDED, 1);
	} else {
		cn_counter_add(worker->counters, CN_COUNTER_STREAMS_RESET, 1);
		atomic_fetch_add_explicit(
		    is_refused ? &tally->refused : &tally->resets, 1,
		    memory_order_relaxed);
	}
	if (is_refused) {
		atomic_store_explicit(
		    &tally->refusal, (uint32_t)reason, memory_order_relaxed);
	}
	log_end(session, is_clean, reason);
	tell_handover(session, is_clean, reason);
	atomic_fetch_sub_explicit(&tally->live, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(
	    &worker->shared->sessions, 1, memory_order_relaxed);
	cn_list_remove(&session->item);
	cn_tally_unref(&session->tally);
	cn_builtin_free(&session->builtin);
	cn_free(session->client);
	cn_free(session);
}

/* ---- the pump's words ---- */

static void
on_touched(void *owner)
{
	struct cn_session *session = owner;

	if (session->host != NULL) {
		/* The loop's clock: exact enough, and free. */
		session->touched_us = uv_now(&session->worker->loop) * 1000u;
		cn_linkhost_touch(session->host);
	}
}

static void
on_release(void *owner, const struct cn_stream *stream)
{
	struct cn_session *session = owner;
	struct cn_stream_stats stats;

	cn_stream_stats(stream, &stats);
	if (stats.is_confirmed) {
		session->was_through = true;
	}
	note_stats(session, stream);
	/* The reset that may follow has to be sent. */
	cn_linkhost_touch(session->host);
	part_with_stream(session);
}

static void
on_closed(void *owner, struct cn_pump *pump, const struct cn_pump_end *end)
{
	(void)pump;
	destroy(owner, end->is_clean, (uint64_t)end->reason);
}

static const struct cn_pump_ops pump_ops = {
	.on_touched = on_touched,
	.on_release = on_release,
	.on_closed = on_closed,
};

/* Connect stream and socket. */
static int
start_pump(struct cn_session *session, int fd)
{
	struct cn_stream *stream = session->stream;
	int err = cn_pump_create(&session->worker->loop, fd, stream, &pump_ops,
	    session, &session->pump);

	/* It may have met the socket's end already. */
	if (err == CN_OK && session->stream != NULL) {
		cn_stream_set_owner(stream, session);
	}
	return err;
}

/* ---- services ---- */

/* The reset for an error of the engine. */
static enum cn_reset
reason_of(int err)
{
	switch (err) {
	case CN_EDRAIN:
		return CN_RESET_SHUTDOWN;
	case CN_EBUSY:
	case CN_ENOMEM:
	case CN_ELIMIT:
		return CN_RESET_BUSY;
	default:
		return CN_RESET_INTERNAL;
	}
}

/* End a session that has no pump. */
static void
fail(struct cn_session *session, enum cn_reset reason)
{
	struct cn_stream *stream = session->stream;

	if (reason == CN_RESET_BUSY) {
		cn_counter_add(
		    session->worker->counters, CN_COUNTER_MEMORY_REFUSALS, 1);
	}
	if (stream != NULL) {
		note_stats(session, stream);
		cn_stream_reset(stream, reason, cn_clock_us());
		cn_linkhost_touch(session->host);
		part_with_stream(session);
	}
	destroy(session, false, reason);
}

/* What the service's streams are opened with. */
static struct cn_link_open
open_of(const struct cn_worker *worker, const struct cn_plan_service *service,
    const char *client)
{
	struct cn_link_open open = {
		.service = service->config->offer,
		.scope =
		    cn_scope_key(worker->shared->own, service->config, client),
		.client = client,
		.is_unstored = cn_scope_is_unstored(service->config),
		.profile = service->profile,
	};

	return open;
}

/* A stream and its pump; the descriptor is gone in any case. */
static int
open_session(struct cn_linkhost *host, struct cn_tally *tally,
    const struct cn_link_open *open, int fd, struct cn_session **ret)
{
	struct cn_worker *worker = host->worker;
	struct cn_session *session =
	    create(host, tally, true, open->client != NULL ? open->client : "");
	int err;

	if (session == NULL) {
		cn_sockopt_close(&fd);
		return CN_ENOMEM;
	}
	session->is_warm = open->is_warm;
	cn_counter_add(worker->counters, CN_COUNTER_STREAMS_OPENED, 1);
	err = cn_stream_open(
	    host->link, open, session, cn_clock_us(), &session->stream);
	if (err == CN_OK) {
		err = start_pump(session, fd);
	}
	if (err != CN_OK) {
		cn_sockopt_close(&fd);
		fail(session, reason_of(err));
		return err;
	}
	CN_LOG(CN_LOG_DEBUG, "stream-open", "id=%llu service=%s client=%s",
	    (unsigned long long)session->id, session->tally->name,
	    CN_LOG_STR(session->client));
	cn_linkhost_touch(host);
	*ret = session;
	return CN_OK;
}

void
cn_session_open(struct cn_linkhost *host, const struct cn_plan_service *service,
    int fd, const char *client)
{
	struct cn_link_open open = open_of(host->worker, service, client);
	struct cn_session *session;

	/* Who connected hears of a failure by the reset of its socket. */
	(void)open_session(host, service->tally, &open, fd, &session);
}

/* The same for one that was handed over. */
static int
open_handed(struct cn_linkhost *host, struct cn_tally *tally,
    const struct cn_link_open *open, int fd, struct cn_handover *handover)
{
	struct cn_session *session;
	int err = open_session(host, tally, open, fd, &session);

	if (err == CN_OK) {
		handover->end.stream = session->id;
		session->handover = handover;
	}
	return err;
}

int
cn_session_warm(struct cn_linkhost *host, const struct cn_plan_service *service,
    int fd, struct cn_handover *handover)
{
	struct cn_link_open open =
	    open_of(host->worker, service, handover->client);

	open.client = handover->client[0] == '\0' ? NULL : handover->client;
	open.is_warm = true;
	open.profile.is_background = true;
	return open_handed(host, service->tally, &open, fd, handover);
}

int
cn_session_probe(struct cn_linkhost *host, int fd, struct cn_handover *handover)
{
	struct cn_worker_shared *shared = host->worker->shared;
	const struct cn_link_open open = {
		.service = handover->service,
		.scope = cn_scope_builtin(shared->own),
		.is_unstored = handover->is_unstored,
		.profile = cn_builtin_profile,
	};

	return open_handed(host, shared->builtin, &open, fd, handover);
}

/* ---- offers ---- */

static void
tell_unreachable(
    const struct cn_session *session, const struct cn_dialer_result *result)
{
	struct cn_events_about about = {
		.peer = session->host->name,
		.service = session->tally->name,
		.stream = session->id,
	};

	cn_events_add(session->worker->shared->events,
	    CN_EVENT_OFFER_UNREACHABLE, &about, "%s: %.120s",
	    cn_reset_name(result->reason),
	    result->text != NULL ? result->text : cn_err_text(result->err));
}

static void
on_dialled(void *owner, const struct cn_dialer_result *result)
{
	struct cn_session *session = owner;
	struct cn_worker *worker = session->worker;
	int fd = result->fd;
	int err;

	session->dial = NULL;
	if (fd < 0) {
		cn_counter_add(worker->counters, CN_COUNTER_DIAL_FAILURES, 1);
		CN_LOG(CN_LOG_WARN, "target-failed",
		    "id=%llu offer=%s reason=%s error=%s",
		    (unsigned long long)session->id, session->tally->name,
		    cn_reset_name(result->reason),
		    CN_LOG_STR(result->text != NULL
			    ? result->text
			    : cn_err_text(result->err)));
		tell_unreachable(session, result);
		fail(session, result->reason);
		return;
	}
	session->was_through = true;
	err = start_pump(session, fd);
	if (err != CN_OK) {
		cn_sockopt_close(&fd);
		fail(session, reason_of(err));
		return;
	}
}

static void
refuse(struct cn_linkhost *host, struct cn_stream *stream, enum cn_reset reason)
{
	cn_counter_add(host->worker->counters, CN_COUNTER_STREAMS_REFUSED, 1);
	if (!cn_log_limited(&host->refuse_limit, cn_clock_us())) {
		CN_LOG(CN_LOG_WARN, "stream-refused",
		    "peer=%s offer=%s client=%s reason=%s", host->name,
		    CN_LOG_STR(cn_stream_service(stream)),
		    CN_LOG_STR(cn_stream_client(stream)),
		    cn_reset_name(reason));
	}
	cn_stream_reset(stream, reason, cn_clock_us());
	cn_linkhost_touch(host);
}

/* Each open costs a dial: even a peer has a limit. */
static bool
may_open(struct cn_linkhost *host, uint64_t now)
{
	uint64_t worn = (now - host->opens_us) * CN_SESSION_OPENS_MAX;

	host->opens_debt -= CN_MIN(worn, host->opens_debt);
	host->opens_us = now;
	if (host->opens_debt + 1000000u >
	    CN_SESSION_OPENS_MAX * UINT64_C(1000000)) {
		return false;
	}
	host->opens_debt += 1000000u;
	return true;
}

/* An end of our own in place of a target. */
static void
start_builtin(struct cn_session *session, const char *name)
{
	int err = cn_builtin_create(name, &session->builtin);

	if (err != CN_OK) {
		fail(session,
		    err == CN_ENOENT ? CN_RESET_NO_SERVICE : reason_of(err));
		return;
	}
	session->was_through = true;
	cn_builtin_step(session->builtin, session->stream, cn_clock_us());
	cn_linkhost_touch(session->host);
}

/* Reach what the peer asks for. */
static void
start_dial(struct cn_session *session, const struct cn_plan_offer *offer)
{
	struct cn_worker *worker = session->worker;
	struct cn_dialer_options options = { 0 };
	int err;

	cn_counter_add(worker->counters, CN_COUNTER_DIALS, 1);
	options.timeout_us = offer->config->connect_timeout_us;
	err = cn_dialer_start(&worker->loop, &offer->to, &options, on_dialled,
	    session, &session->dial);
	if (err != CN_OK) {
		fail(session, reason_of(err));
	}
}

/* What counts for the service that the peer asks for; NULL: it may not. */
static struct cn_tally *
find_tally(const struct cn_linkhost *host, const char *service,
    const struct cn_plan_offer *offer)
{
	if (cn_builtin_is_name(service)) {
		return host->worker->shared->builtin;
	}
	return offer != NULL &&
		cn_config_offer_allows(offer->config, host->name)
	    ? offer->tally
	    : NULL;
}

/* The peer opened a stream. */
static void
on_open(struct cn_linkhost *host, struct cn_stream *stream)
{
	struct cn_worker *worker = host->worker;
	const char *service = cn_stream_service(stream);
	const struct cn_plan_offer *offer =
	    cn_plan_offer(worker->plan, service);
	struct cn_tally *tally = find_tally(host, service, offer);
	struct cn_session *session;

	if (worker->is_draining || host->is_ended ||
	    cn_registry_is_drained(worker->shared->registry, host->peer)) {
		refuse(host, stream, CN_RESET_SHUTDOWN);
		return;
	}
	if (tally == NULL) {
		refuse(host, stream, CN_RESET_NO_SERVICE);
		return;
	}
	session = may_open(host, cn_clock_us())
	    ? create(host, tally, false, cn_stream_client(stream))
	    : NULL;
	if (session == NULL) {
		refuse(host, stream, CN_RESET_BUSY);
		return;
	}
	session->stream = stream;
	cn_stream_set_owner(stream, session);
	cn_stream_set_profile(
	    stream, offer != NULL ? &offer->profile : &cn_builtin_profile);
	atomic_fetch_add_explicit(&tally->opened, 1, memory_order_relaxed);
	cn_counter_add(worker->counters, CN_COUNTER_STREAMS_ACCEPTED, 1);
	session->is_warm = cn_stream_is_warm(stream);
	if (session->is_warm || offer == NULL) {
		start_builtin(session, session->is_warm ? "/sink" : service);
	} else {
		start_dial(session, offer);
	}
}

/* ---- events ---- */

/* The stream ended while its target is dialled, or in an end of our own. */
static void
on_end(struct cn_session *session, const struct cn_link_event *event)
{
	bool is_clean =
	    session->builtin != NULL && event->type == CN_LINK_EVENT_ENDED;

	cn_dialer_cancel(&session->dial);
	note_stats(session, session->stream);
	cn_stream_release(session->stream);
	part_with_stream(session);
	destroy(session, is_clean, event->reason);
}

void
cn_session_event(struct cn_linkhost *host, const struct cn_link_event *event)
{
	struct cn_session *session;

	if (event->type == CN_LINK_EVENT_OPEN) {
		on_open(host, event->stream);
		return;
	}
	session = cn_stream_owner(event->stream);
	assert(session != NULL && session->stream == event->stream);
	if (session->pump != NULL) {
		cn_pump_event(session->pump, event);
	} else if (event->type == CN_LINK_EVENT_ENDED ||
	    event->type == CN_LINK_EVENT_RESET) {
		on_end(session, event);
	} else if (session->builtin != NULL) {
		cn_builtin_step(
		    session->builtin, session->stream, cn_clock_us());
		cn_linkhost_touch(host);
	}
}

void
cn_session_kill(struct cn_session *session, enum cn_reset reason)
{
	if (session->stream == NULL) {
		return;
	}
	if (session->pump != NULL) {
		cn_pump_kill(session->pump, reason);
	} else {
		cn_dialer_cancel(&session->dial);
		fail(session, reason);
	}
}

void
cn_session_forget(struct cn_linkhost *host)
{
	struct cn_list *item;

	while ((item = cn_list_first(&host->sessions)) != NULL) {
		struct cn_session *session =
		    CN_LIST_ENTRY(item, struct cn_session, item);

		cn_session_kill(session, CN_RESET_LINK_LOST);
		assert(cn_list_first(&host->sessions) != item);
	}
}

void
cn_session_reap(struct cn_worker *worker)
{
	struct cn_list *item;

	while ((item = cn_list_first(&worker->orphans)) != NULL) {
		struct cn_session *session =
		    CN_LIST_ENTRY(item, struct cn_session, item);

		cn_pump_free(&session->pump);
		destroy(session, false, CN_RESET_SHUTDOWN);
	}
}
