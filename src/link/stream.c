/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

/* Greatest first window, and its share of what is left for first windows. */
#define FIRST_WINDOW_MAX (128u * 1024u)
#define FIRST_WINDOW_SHARE 128u

/* ---- birth and death ---- */

struct cn_stream *
cn_stream_find(const struct cn_link *link, uint64_t id)
{
	return cn_map_get(&link->streams, id);
}

/*
 * What a stream may send from the start.  Beyond the floor the first streams
 * get more, so that short transfers do not wait for their windows to grow,
 * but only out of a quarter of what can be promised at all.
 */
static uint64_t
first_window(const struct cn_link *link)
{
	uint64_t share = cn_pool_limit(link->config.pool) / 8;
	uint64_t promised = cn_pool_promised(link->config.pool);
	uint64_t window =
	    promised < share ? (share - promised) / FIRST_WINDOW_SHARE : 0;

	window = CN_MIN(window, (uint64_t)FIRST_WINDOW_MAX);
	window = CN_MIN(window, (uint64_t)link->config.window_max);
	return CN_MAX(window, (uint64_t)link->config.credit_floor);
}

struct cn_stream *
cn_stream_new(struct cn_link *link, uint64_t id, bool is_ours, uint64_t now)
{
	uint64_t window = first_window(link);
	struct cn_pool *pool = link->config.pool;
	struct cn_stream *s;

	if (cn_pool_reserve(pool, window) != CN_OK) {
		return NULL;
	}
	if (cn_pool_charge(pool, sizeof(*s)) != CN_OK) {
		cn_pool_unreserve(pool, window);
		return NULL;
	}
	s = cn_calloc(1, sizeof(*s));
	if (s == NULL || cn_map_put(&link->streams, id, s) != CN_OK) {
		cn_free(s);
		cn_pool_uncharge(pool, sizeof(*s));
		cn_pool_unreserve(pool, window);
		return NULL;
	}
	s->link = link;
	s->id = id;
	s->is_ours = is_ours;
	s->is_held = true;
	s->opened_us = s->grew_us = now;
	s->ratio = 2.0;
	s->credit = link->peer_credit_floor;
	s->window = window;
	s->granted = window;
	cn_ring_init(&s->tx, link->config.pool);
	cn_ring_init(&s->rx, link->config.pool);
	cn_digest_init(&s->tx_digest);
	cn_digest_init(&s->rx_digest);
	cn_ranges_init(&s->resend, CN_LINK_GAPS_MAX);
	cn_history_init(&s->tx_hist, link->config.pool, CN_LINK_PREFIX_MAX);
	cn_history_init(&s->rx_hist, link->config.pool, CN_LINK_PREFIX_MAX);
	cn_list_init(&s->pieces);
	cn_list_init(&s->due_item);
	cn_list_init(&s->small_item);
	cn_list_init(&s->bulk_item);
	cn_list_init(&s->event_item);
	cn_list_init(&s->starved_item);
	cn_list_init(&s->order_item);
	cn_list_append(&link->order, &s->order_item);
	cn_list_init(&s->send_hist_item);
	cn_list_init(&s->recv_hist_item);
	link->live++;
	if (is_ours) {
		link->ours_live++;
	} else {
		link->theirs_live++;
	}
	return s;
}

/* Give back all that a stream which is over does not need. */
static void
strip(struct cn_stream *s)
{
	struct cn_link *link = s->link;
	struct cn_slot *slot = &link->slot[s->slot];

	cn_stream_unschedule(s);
	if (slot->batch.stream == s) {
		slot->batch.stream = NULL; /* the rest of it is sent still */
	}
	cn_ring_fini(&s->tx);
	cn_ring_fini(&s->rx);
	cn_deliver_pieces_fini(s);
	cn_ranges_fini(&s->resend);
	cn_history_drop(&s->tx_hist);
	cn_history_drop(&s->rx_hist);
	cn_list_remove(&s->send_hist_item);
	cn_list_remove(&s->recv_hist_item);
	cn_list_remove(&s->starved_item);
	cn_list_remove(&s->due_item);
	s->due = 0;
	if (s->window > 0) {
		cn_pool_unreserve(link->config.pool, (size_t)s->window);
		s->window = 0;
	}
}

/* The stream leaves the living; its last figures stay with the link. */
static void
bury(struct cn_stream *s, enum cn_stream_state state)
{
	struct cn_link *link = s->link;

	assert(s->state == CN_STREAM_LIVE);
	strip(s);
	s->state = state;
	link->live--;
	if (s->is_ours) {
		link->ours_live--;
		link->ours_tombs++;
	} else {
		link->theirs_live--;
		link->theirs_tombs++;
	}
	link->stats.resets[s->outcome]++;
}

void
cn_stream_free(struct cn_stream *s)
{
	struct cn_link *link = s->link;

	if (s->state == CN_STREAM_LIVE) {
		bury(s, CN_STREAM_OVER);
	}
	if (s->is_ours) {
		link->ours_tombs--;
	} else {
		link->theirs_tombs--;
	}
	cn_list_remove(&s->due_item);
	cn_list_remove(&s->order_item);
	cn_list_remove(&s->event_item);
	cn_free(s->service);
	cn_free(s->client);
	cn_free(s);
	cn_pool_uncharge(link->config.pool, sizeof(*s));
}

void
cn_stream_destroy(struct cn_stream *s)
{
	cn_map_remove(&s->link->streams, s->id);
	cn_stream_free(s);
}

/* Gone when nobody holds it and the peer knows how it ended. */
static void
drop_if_over(struct cn_stream *s)
{
	if (s->state == CN_STREAM_OVER && !s->is_held) {
		cn_stream_destroy(s);
	}
}

void
cn_stream_done(struct cn_stream *s)
{
	assert(s->state == CN_STREAM_ENDING);
	cn_list_remove(&s->due_item);
	s->due = 0;
	s->state = CN_STREAM_OVER;
	drop_if_over(s);
}

void
cn_stream_fail(
    struct cn_stream *s, enum cn_reset reason, bool is_peer_told, uint64_t now)
{
	assert(s->state == CN_STREAM_LIVE && reason != CN_RESET_NONE);
	s->outcome = reason;
	bury(s, is_peer_told ? CN_STREAM_ENDING : CN_STREAM_OVER);
	if (is_peer_told) {
		cn_stream_set_due(s, CN_DUE_END, now);
	}
	if ((s->told & CN_TOLD_OPEN) != 0) {
		/* The owner never met it and need not hear of its end. */
		s->is_held = false;
		cn_list_remove(&s->event_item);
	}
	s->told = 0;
	cn_stream_tell(s, CN_TOLD_RESET);
	drop_if_over(s);
}

void
cn_stream_check_end(struct cn_stream *s, uint64_t now)
{
	if (s->state != CN_STREAM_LIVE || !s->is_fin_acked || !s->is_shut) {
		return;
	}
	/* END says that our ACK_FIN holds, so that one is not owed any more. */
	bury(s, CN_STREAM_ENDING);
	cn_stream_set_due(s, CN_DUE_END, now);
	s->told = 0;
	cn_stream_tell(s, CN_TOLD_ENDED);
}

void
cn_stream_peer_ended(struct cn_stream *s, uint64_t now)
{
	(void)now;
	if (s->state == CN_STREAM_ENDING) {
		cn_stream_done(s);
		return;
	}
	assert(s->state == CN_STREAM_LIVE);
	bury(s, CN_STREAM_OVER);
	s->told = 0;
	cn_stream_tell(s, CN_TOLD_ENDED);
}

/* ---- what is due, what is told ---- */

void
cn_stream_moved(struct cn_stream *s, uint64_t offset)
{
	if (offset <= s->moved) {
		return;
	}
	s->moved = offset;
	cn_list_remove(&s->order_item);
	cn_list_append(&s->link->order, &s->order_item);
}

void
cn_stream_tell(struct cn_stream *s, unsigned told)
{
	if (!s->is_held) {
		return;
	}
	s->told |= told;
	cn_list_remove(&s->event_item);
	cn_list_append(&s->link->events, &s->event_item);
}

void
cn_stream_set_due(struct cn_stream *s, unsigned due, uint64_t now)
{
	struct cn_slot *slot = &s->link->slot[s->slot];

	s->due |= due;
	if (!slot->is_up) {
		return; /* an attach lists it again */
	}
	/* OPEN goes with its data through the lane. */
	if ((s->due & ~((unsigned)CN_DUE_OPEN | CN_DUE_LAZY)) != 0) {
		cn_list_remove(&s->due_item);
		cn_list_append(&slot->urgent, &s->due_item);
	} else if ((s->due & CN_DUE_LAZY) != 0 &&
	    cn_list_is_empty(&s->due_item)) {
		cn_list_append(&slot->lazy, &s->due_item);
		slot->lazy_us =
		    CN_MIN(slot->lazy_us, now + CN_LINK_ACK_DELAY_US);
	}
	if ((due & CN_DUE_OPEN) != 0) {
		cn_stream_schedule(s, now);
	}
}

uint64_t
cn_stream_sendable(const struct cn_stream *s)
{
	uint64_t end = CN_MIN(s->tx.end, s->credit);

	return end > s->next ? end - s->next : 0;
}

void
cn_stream_unschedule(struct cn_stream *s)
{
	cn_list_remove(&s->small_item);
	cn_list_remove(&s->bulk_item);
}

/*
 * Interactive bytes go through the scope's lane, bulk in batches.  What is
 * to be sent again goes as bulk: raw, by offset.  The tail of what went as
 * batches does so too, since its history is there; and what is for the store,
 * which is met by batches only.
 */
static bool
is_bulk_now(const struct cn_stream *s, uint64_t sendable)
{
	return cn_ranges_count(&s->resend) > 0 ||
	    sendable >= CN_LINK_BULK_BYTES ||
	    (sendable > 0 && (s->is_bulk || s->is_warm || s->tx_hist.len > 0));
}

void
cn_stream_schedule(struct cn_stream *s, uint64_t now)
{
	struct cn_slot *slot = &s->link->slot[s->slot];
	uint64_t sendable = cn_stream_sendable(s);
	struct cn_lane *lane;

	if (s->state != CN_STREAM_LIVE || !slot->is_up || s->is_waiting) {
		cn_stream_unschedule(s);
		return;
	}
	if (s->is_finished && !s->is_fin_sent && s->next == s->tx.end &&
	    (s->due & CN_DUE_OPEN) == 0) {
		s->is_fin_sent = true;
		cn_stream_set_due(s, CN_DUE_FIN, now);
	}
	if (sendable > 0 && s->pending_us == 0) {
		s->pending_us = now;
	}
	if ((s->due & CN_DUE_OPEN) == 0 && is_bulk_now(s, sendable)) {
		cn_list_remove(&s->small_item);
		if (cn_list_is_empty(&s->bulk_item)) {
			cn_bulk_append(slot, s);
		}
		return;
	}
	if (sendable == 0 && (s->due & CN_DUE_OPEN) == 0) {
		cn_stream_unschedule(s);
		return;
	}
	cn_list_remove(&s->bulk_item);
	if (!cn_list_is_empty(&s->small_item)) {
		return;
	}
	lane = cn_lane_get(slot, s->scope);
	cn_list_append(&lane->streams, &s->small_item);
	if (cn_list_is_empty(&lane->ready_item)) {
		cn_list_append(&slot->ready, &lane->ready_item);
	}
}

/* ---- what the peer said ---- */

void
cn_stream_sent(struct cn_stream *s, uint64_t offset, size_t len)
{
	if (offset < s->sent_max) {
		uint64_t again = CN_MIN(s->sent_max - offset, (uint64_t)len);

		s->resent += again;
		s->link->stats.resent += again;
	}
	s->sent_max = CN_MAX(s->sent_max, offset + len);
}

void
cn_stream_rewind(struct cn_stream *s, uint64_t offset, uint64_t now)
{
	s->next = CN_MIN(CN_MAX(offset, s->tx.start), s->sent_max);
	cn_ranges_clear(&s->resend);
	cn_history_drop(&s->tx_hist);
	s->is_fin_sent = false;
	cn_stream_schedule(s, now);
}

void
cn_stream_resend(
    struct cn_stream *s, uint64_t offset, uint64_t len, uint64_t now)
{
	uint64_t from = CN_MAX(offset, s->tx.start);
	uint64_t to = CN_MIN(offset + len, s->next);

	if (s->state != CN_STREAM_LIVE || s->is_waiting || from >= to) {
		return;
	}
	if (cn_ranges_add(&s->resend, from, to) != CN_OK) {
		/* Too many holes: all from the first on; what is sent twice
		 * is ignored there. */
		if (cn_ranges_count(&s->resend) > 0) {
			from = CN_MIN(from, cn_ranges_at(&s->resend, 0).from);
		}
		cn_stream_rewind(s, from, now);
		return;
	}
	cn_history_drop(&s->tx_hist);
	cn_stream_schedule(s, now);
}

void
cn_stream_acked(struct cn_stream *s, uint64_t offset, uint64_t now)
{
	uint64_t from = s->tx.start;
	int r;

	if (offset <= from) {
		return;
	}
	cn_ring_drop(&s->tx, offset);
	cn_stream_moved(s, offset);
	/* Taking from the front never splits a range: no memory is needed. */
	r = cn_ranges_remove(&s->resend, from, offset);
	assert(r == CN_OK);
	(void)r;
	if (s->next < offset) {
		s->next = offset;
	}
	cn_stream_wake(s);
	cn_stream_schedule(s, now);
}

void
cn_stream_move(struct cn_stream *s, uint32_t slot, bool is_asking, uint64_t now)
{
	struct cn_slot *old = &s->link->slot[s->slot];

	cn_stream_unschedule(s);
	cn_list_remove(&s->due_item);
	if (old->batch.stream == s) {
		old->batch.stream = NULL;
	}
	s->slot = slot;
	s->deficit = 0; /* what was sent and lost earned it nothing */
	s->is_fin_sent = false;
	if (s->state == CN_STREAM_ENDING) {
		cn_stream_set_due(s, CN_DUE_END, now);
		return;
	}
	if (s->state != CN_STREAM_LIVE) {
		return;
	}
	cn_history_drop(&s->tx_hist);
	cn_history_drop(&s->rx_hist);
	cn_ranges_clear(&s->resend);
	if (s->is_ours && !s->is_confirmed && (is_asking || !s->was_opened)) {
		if (s->is_warm && !s->link->slot[slot].has_dedup) {
			/* This peer would reach its target for it. */
			cn_stream_fail(
			    s, CN_RESET_PROTOCOL, s->was_opened, now);
			return;
		}
		/* The peer may not know it: open it, again if need be. */
		s->is_waiting = false;
		s->next = s->tx.start;
		s->due = 0;
		cn_stream_set_due(s, CN_DUE_OPEN, now);
		return;
	}
	s->due = CN_DUE_RESUME;
	if (is_asking) {
		s->due |= CN_DUE_ASK;
	}
	if (s->is_shut) {
		s->due |= CN_DUE_ACK_FIN;
	}
	s->is_waiting = true;
	cn_stream_set_due(s, 0, now);
}

/* ---- the owner's side ---- */

/* Spread over the carriers that are up; false: none is. */
static bool
choose_slot(const struct cn_link *link, uint64_t id, uint32_t *ret)
{
	*ret = 0;
	for (uint32_t i = 0; i < link->config.slots; i++) {
		uint32_t at = (uint32_t)((id / 2 + i) % link->config.slots);

		if (link->slot[at].is_up) {
			*ret = at;
			return true;
		}
	}
	return false;
}

/* Can the peer keep bytes for which it is told nothing else? */
static int
check_warm(const struct cn_link *link, const struct cn_link_open *open,
    bool is_up, uint32_t slot)
{
	if (!open->is_warm) {
		return CN_OK;
	}
	if (open->is_unstored || !open->profile.dedup) {
		return CN_EINVAL;
	}
	if (!is_up) {
		return link->config.dedup == NULL ? CN_ENOSYS : CN_ENOTCONN;
	}
	if (!link->slot[slot].has_dedup) {
		return CN_ENOSYS;
	}
	return link->is_coding_off ? CN_ECODING : CN_OK;
}

int
cn_stream_open(struct cn_link *link, const struct cn_link_open *open,
    void *owner, uint64_t now, struct cn_stream **ret)
{
	size_t len = strlen(open->service);
	struct cn_stream *s;
	uint32_t slot;
	bool is_up = choose_slot(link, link->next_id, &slot);
	int err;

	if (len == 0 || len > CN_NAME_MAX ||
	    (open->client != NULL && strlen(open->client) > CN_TEXT_MAX)) {
		return CN_EINVAL;
	}
	if (link->is_draining || link->is_peer_draining || link->is_dead) {
		return CN_EDRAIN;
	}
	err = check_warm(link, open, is_up, slot);
	if (err != CN_OK) {
		return err;
	}
	if (link->ours_live >= link->peer_streams_max ||
	    link->ours_tombs >= CN_LINK_TOMBS_MAX) {
		return CN_EBUSY;
	}
	s = cn_stream_new(link, link->next_id, true, now);
	if (s == NULL) {
		return CN_EBUSY;
	}
	s->service = cn_strdup(open->service);
	s->client = open->client == NULL ? NULL : cn_strdup(open->client);
	if (s->service == NULL || (open->client != NULL && s->client == NULL)) {
		cn_stream_destroy(s);
		return CN_ENOMEM;
	}
	link->next_id += 2;
	s->slot = slot;
	s->scope = open->scope;
	s->is_unstored = open->is_unstored;
	s->is_warm = open->is_warm;
	s->profile = open->profile;
	s->owner = owner;
	link->stats.streams_opened++;
	cn_stream_set_due(s, CN_DUE_OPEN, now);
	*ret = s;
	return CN_OK;
}

void
cn_stream_set_owner(struct cn_stream *s, void *owner)
{
	s->owner = owner;
}

void *
cn_stream_owner(const struct cn_stream *s)
{
	return s->owner;
}

uint64_t
cn_stream_id(const struct cn_stream *s)
{
	return s->id;
}

const char *
cn_stream_service(const struct cn_stream *s)
{
	return s->service;
}

const char *
cn_stream_client(const struct cn_stream *s)
{
	return s->client == NULL ? "" : s->client;
}

bool
cn_stream_is_warm(const struct cn_stream *s)
{
	return s->is_warm;
}

void
cn_stream_set_profile(
    struct cn_stream *s, const struct cn_link_profile *profile)
{
	s->profile = *profile;
}

/*
 * How far to read beyond what was sent.  What the pool promised to receivers
 * is not there for reading; near the limit new streams do not read at all,
 * since what is retained is freed by acknowledgements only.
 */
static uint64_t
read_ahead(const struct cn_stream *s)
{
	const struct cn_pool *pool = s->link->config.pool;
	uint64_t limit = cn_pool_limit(pool);
	uint64_t used = cn_pool_used(pool) + cn_pool_promised(pool);

	if (used >= limit) {
		return 0;
	}
	if (used >= limit / 10 * 9) {
		return s->tx.end == 0 ? 0 : CN_LINK_AHEAD / 32;
	}
	return used >= limit / 10 * 7 ? CN_LINK_AHEAD / 8 : CN_LINK_AHEAD;
}

size_t
cn_stream_room(const struct cn_stream *s)
{
	uint64_t limit;

	if (s->state != CN_STREAM_LIVE || s->is_finished) {
		return 0;
	}
	/* Unsent bytes count against the reading ahead, the rest is inside
	 * the peer's credit and so bounded by it. */
	limit = CN_MAX(s->next, s->tx.start) + read_ahead(s);
	limit = CN_MIN(limit, CN_OFFSET_MAX);
	return limit > s->tx.end ? (size_t)(limit - s->tx.end) : 0;
}

/* The pool is short: a tick tells the stream when that is over. */
static void
starve(struct cn_stream *s)
{
	struct cn_link *link = s->link;

	if (s->state == CN_STREAM_LIVE && !s->is_finished &&
	    cn_list_is_empty(&s->starved_item)) {
		cn_list_append(&link->starved, &s->starved_item);
		link->starved_us =
		    CN_MIN(link->starved_us, link->now_us + CN_LINK_STARVED_US);
	}
}

/*
 * Room comes back when bytes are sent, when they are acknowledged, and when
 * the pool recovers.  The first two tell of it here once it is worth a read;
 * a short pool may hide it from them, so then a tick looks again.
 */
void
cn_stream_wake(struct cn_stream *s)
{
	uint64_t ahead;

	if (!s->is_roomless) {
		return;
	}
	ahead = read_ahead(s);
	if (ahead > 0 && cn_stream_room(s) >= ahead / 8) {
		s->is_roomless = false;
		cn_list_remove(&s->starved_item);
		cn_stream_tell(s, CN_TOLD_WRITABLE);
	} else if (ahead < CN_LINK_AHEAD) {
		starve(s);
	}
}

size_t
cn_stream_fill_spans(struct cn_stream *s, struct cn_span *spans, size_t max)
{
	size_t room = cn_stream_room(s);
	enum cn_page_class class = CN_PAGE_SMALL;
	size_t n;

	s->is_roomless = room == 0;
	if (room == 0) {
		if (read_ahead(s) < CN_LINK_AHEAD) {
			starve(s);
		}
		return 0;
	}
	if (s->is_bulk || !s->is_drained) {
		class = CN_PAGE_LARGE;
	}
	n = cn_ring_offer(&s->tx, room, class, spans, max);
	if (n == 0) {
		s->is_roomless = true;
		starve(s);
	}
	return n;
}

static void
classify(struct cn_stream *s, size_t len, bool is_drained, uint64_t now)
{
	if (now - s->rate_us > CN_LINK_BULK_US) {
		s->rate_us = now;
		s->is_bulk = s->rate_bytes >= CN_LINK_BULK_RATE;
		s->rate_bytes = 0;
	}
	if (!s->is_answering) {
		s->rate_bytes += len;
	}
	if (s->rate_bytes >= CN_LINK_BULK_RATE) {
		s->is_bulk = true;
	}
	/* A dialogue, message by message, is not bulk however much it moves. */
	if (s->is_answering && is_drained && len < CN_LINK_BULK_BYTES) {
		s->is_bulk = false;
	}
	s->is_answering = false;
	s->is_drained = is_drained;
}

void
cn_stream_fill(struct cn_stream *s, size_t len, bool is_drained, uint64_t now)
{
	uint64_t from = s->tx.end;
	struct cn_span spans[16];
	uint64_t at;
	size_t n;

	s->link->now_us = now;
	cn_ring_commit(&s->tx, len);
	s->is_drained = is_drained;
	if (len == 0) {
		return;
	}
	/* The bytes just read are the last of the ring and still in cache. */
	at = from;
	while (at < s->tx.end) {
		n = cn_ring_view(&s->tx, at, spans, CN_ARRAY_LEN(spans));
		for (size_t i = 0; i < n; i++) {
			cn_digest_update(
			    &s->tx_digest, spans[i].data, spans[i].len);
			at += spans[i].len;
		}
	}
	s->sent.lan += len;
	s->link->stats.sent.lan += len;
	classify(s, len, is_drained, now);
	cn_stream_schedule(s, now);
}

void
cn_stream_finish(struct cn_stream *s, uint64_t now)
{
	if (s->state != CN_STREAM_LIVE || s->is_finished) {
		return;
	}
	s->is_finished = true;
	cn_stream_schedule(s, now);
}

size_t
cn_stream_read_spans(struct cn_stream *s, struct cn_span *spans, size_t max)
{
	if (s->state != CN_STREAM_LIVE) {
		return 0;
	}
	return cn_ring_peek(&s->rx, spans, max);
}

void
cn_stream_consume(struct cn_stream *s, size_t len, uint64_t now)
{
	if (len == 0 || s->state != CN_STREAM_LIVE) {
		return;
	}
	cn_ring_drop(&s->rx, s->rx.start + len);
	cn_deliver_credit(s, now);
}

bool
cn_stream_at_end(const struct cn_stream *s)
{
	/* What is over gave its bytes up: their absence is no end of file. */
	return s->state == CN_STREAM_LIVE && s->is_fin_verified &&
	    s->rx.start == s->fin_length;
}

void
cn_stream_shut(struct cn_stream *s, uint64_t now)
{
	if (s->state != CN_STREAM_LIVE || s->is_shut) {
		return;
	}
	assert(cn_stream_at_end(s));
	s->is_shut = true;
	s->due &= ~((unsigned)CN_DUE_ACK | CN_DUE_CREDIT);
	cn_stream_set_due(s, CN_DUE_ACK_FIN, now);
	cn_stream_check_end(s, now);
}

void
cn_stream_reset(struct cn_stream *s, enum cn_reset reason, uint64_t now)
{
	s->is_held = false;
	s->told = 0;
	cn_list_remove(&s->event_item);
	if (s->state == CN_STREAM_LIVE) {
		cn_stream_fail(s, reason, true, now);
	} else {
		drop_if_over(s);
	}
}

void
cn_stream_release(struct cn_stream *s)
{
	assert(s->state != CN_STREAM_LIVE);
	s->is_held = false;
	s->told = 0;
	cn_list_remove(&s->event_item);
	drop_if_over(s);
}

void
cn_stream_stats(const struct cn_stream *s, struct cn_stream_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->sent = s->sent;
	ret->received = s->received_bytes;
	ret->opened_us = s->opened_us;
	ret->unacked = s->tx.end - s->tx.start;
	ret->window_sent =
	    s->credit > s->tx.start ? s->credit - s->tx.start : 0;
	ret->unread = s->rx.end - s->rx.start;
	ret->resent = s->resent;
	ret->slot = s->slot;
	ret->is_ours = s->is_ours;
	ret->is_confirmed = s->is_confirmed;
	ret->fin_sent = s->is_finished;
	ret->fin_received = s->is_fin_known;
}
