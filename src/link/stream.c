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
	cn_free(s->losses);
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

void
cn_stream_drop_if_over(struct cn_stream *s)
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
	cn_stream_drop_if_over(s);
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
	cn_stream_drop_if_over(s);
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
	unsigned lazy = CN_DUE_LAZY;

	s->due |= due;
	if (s->link->is_draining || s->link->is_peer_draining) {
		/* Whoever goes down waits for no company. */
		lazy &= ~(unsigned)CN_DUE_ACK_FIN;
	} else if (s->outcome == CN_RESET_NONE) {
		lazy |= CN_DUE_END;
	}
	if (!slot->is_up) {
		return; /* an attach lists it again */
	}
	/* OPEN goes with its data through the lane. */
	if ((s->due & ~((unsigned)CN_DUE_OPEN | lazy)) != 0) {
		cn_list_remove(&s->due_item);
		cn_list_append(&slot->urgent, &s->due_item);
	} else if ((s->due & lazy) != 0 && cn_list_is_empty(&s->due_item)) {
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
is_bulk_like(const struct cn_stream *s)
{
	return cn_ranges_count(&s->resend) > 0 || s->is_bulk || s->is_warm ||
	    s->tx_hist.len > 0;
}

static bool
is_bulk_now(const struct cn_stream *s, uint64_t sendable)
{
	return cn_ranges_count(&s->resend) > 0 ||
	    sendable >= CN_LINK_BULK_BYTES || (sendable > 0 && is_bulk_like(s));
}

bool
cn_stream_is_fin_ready(const struct cn_stream *s)
{
	return s->is_finished && !s->is_fin_sent && s->next == s->tx.end &&
	    (s->due & CN_DUE_OPEN) == 0;
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
	if (cn_stream_is_fin_ready(s) && is_bulk_like(s)) {
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
	if (sendable == 0 && (s->due & CN_DUE_OPEN) == 0 &&
	    !cn_stream_is_fin_ready(s)) {
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
