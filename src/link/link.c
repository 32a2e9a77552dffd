/* SPDX-License-Identifier: Apache-2.0 */
#include "link/link.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "link/state.h"
#include "wire/writer.h"

/* Least room behind which a pull goes on filling. */
#define PULL_LEAST 1024u
/* A path that needs so long for a fragment is slow. */
#define PULL_SLOW_US 5000u

/* ---- life ---- */

static void
slot_init(struct cn_slot *slot)
{
	cn_list_init(&slot->urgent);
	cn_list_init(&slot->lazy);
	cn_list_init(&slot->marker);
	cn_list_init(&slot->ready);
	cn_list_init(&slot->bulk);
	cn_list_init(&slot->background);
	cn_list_init(&slot->lanes_used);
	cn_map_init(&slot->lanes);
	cn_lane_init(&slot->no_lane, 0);
	cn_ranges_init(&slot->nacked, CN_LINK_WITHHELD_MAX);
	cn_ranges_init(&slot->withheld, CN_LINK_WITHHELD_MAX);
}

/* Forget what belonged to one carrier; its streams stay as they are. */
static void
slot_clear(struct cn_link *link, struct cn_slot *slot)
{
	cn_lanes_fini(link, slot);
	cn_sent_fini(&slot->sent);
	cn_ranges_fini(&slot->nacked);
	cn_ranges_fini(&slot->withheld);
	cn_list_remove(&slot->marker);
	cn_free(slot->replies);
	slot->replies = NULL;
	slot->reply_first = slot->reply_count = slot->reply_cap = 0;
	slot->lazy_replies = 0;
	memset(&slot->batch, 0, sizeof(slot->batch));
	cn_free(slot->plain);
	slot->plain = NULL;
	cn_free(slot->coded);
	slot->coded = NULL;
	cn_decode_drop_parked(link, cn_slot_number(link, slot));
	cn_pool_put(link->config.pool, slot->in.page);
	memset(&slot->in, 0, sizeof(slot->in));
	cn_free(slot->taking.coded);
	cn_free(slot->taking.small);
	cn_free(slot->taking.ext);
	memset(&slot->taking, 0, sizeof(slot->taking));
	slot->is_up = false;
	slot->is_ping_due = slot->is_pong_due = slot->is_drain_due = false;
	slot->is_block_ack_due = false;
	slot->ping_us = 0;
}

int
cn_link_create(
    const struct cn_link_config *config, uint64_t now, struct cn_link **ret)
{
	struct cn_link *link;

	if (config->slots == 0 || config->slots > CN_LINK_SLOTS_MAX ||
	    config->lanes > CN_LINK_LANES_MAX ||
	    config->credit_floor < CN_CREDIT_FLOOR_MIN ||
	    config->window_max > CN_LINK_WINDOW_MAX ||
	    config->window_max < config->credit_floor) {
		return CN_EINVAL;
	}
	link = cn_calloc(1, sizeof(*link));
	if (link == NULL) {
		return CN_ENOMEM;
	}
	link->config = *config;
	link->next_id = config->is_dialler ? 0 : 1;
	link->peer_credit_floor = CN_CREDIT_FLOOR_MIN;
	link->peer_streams_max = config->streams_max;
	link->down_us = link->now_us = now;
	link->starved_us = UINT64_MAX;
	cn_map_init(&link->streams);
	cn_ranges_init(&link->seen, CN_LINK_SEEN_MAX);
	cn_list_init(&link->events);
	cn_list_init(&link->starved);
	cn_list_init(&link->parked);
	cn_list_init(&link->order);
	cn_list_init(&link->send_hist);
	cn_list_init(&link->recv_hist);
	for (uint32_t i = 0; i < CN_LINK_SLOTS_MAX; i++) {
		slot_init(&link->slot[i]);
		link->slot[i].down_us = now;
	}
	*ret = link;
	return CN_OK;
}

void
cn_link_limits(const struct cn_link_config *config, struct cn_hello *hello)
{
	hello->credit_floor = config->credit_floor;
	hello->lanes = config->lanes;
	hello->lane_window_log = CN_LANE_WINDOW_LOG_MAX;
	hello->prefix_max = CN_LINK_PREFIX_MAX;
	hello->streams_max = config->streams_max;
	if (config->dedup != NULL) {
		hello->features |= CN_FEATURE_DEDUP;
	}
}

void
cn_link_free(struct cn_link **lp)
{
	struct cn_link *link = *lp;
	size_t pos = 0;
	uint64_t id;
	void *value;

	if (link == NULL) {
		return;
	}
	*lp = NULL;
	for (uint32_t i = 0; i < CN_LINK_SLOTS_MAX; i++) {
		slot_clear(link, &link->slot[i]);
	}
	while (cn_map_next(&link->streams, &pos, &id, &value)) {
		cn_stream_free(value);
	}
	for (uint32_t i = 0; i < CN_LINK_SLOTS_MAX; i++) {
		cn_map_fini(&link->slot[i].lanes);
	}
	cn_map_fini(&link->streams);
	cn_ranges_fini(&link->seen);
	cn_free(link);
}

/* ---- carriers ---- */

bool
cn_link_is_up(const struct cn_link *link, uint32_t slot)
{
	return slot < link->config.slots && link->slot[slot].is_up;
}

uint64_t
cn_link_generation(const struct cn_link *link, uint32_t slot)
{
	return slot < link->config.slots ? link->slot[slot].generation : 0;
}

/* Streams whose carrier this becomes; the active ones come first. */
static void
adopt_streams(
    struct cn_link *link, uint32_t number, bool is_active, uint64_t now)
{
	struct cn_list *it;

	CN_LIST_EACH(&link->order, it)
	{
		struct cn_stream *s =
		    CN_LIST_ENTRY(it, struct cn_stream, order_item);
		bool is_busy = s->tx.start != s->tx.end ||
		    s->rx.start != s->rx.end || s->state != CN_STREAM_LIVE;

		if ((s->slot != number && link->slot[s->slot].is_up) ||
		    is_busy != is_active) {
			continue;
		}
		s->credit = CN_MAX(s->credit, link->peer_credit_floor);
		cn_stream_move(s, number, false, now);
	}
}

int
cn_link_attach(struct cn_link *link, uint32_t number, uint64_t generation,
    const struct cn_hello *peer, uint64_t now)
{
	struct cn_slot *slot;

	if (number >= link->config.slots || link->is_dead) {
		return CN_EINVAL;
	}
	slot = &link->slot[number];
	if (generation <= slot->generation) {
		return CN_ESTALE;
	}
	if (slot->generation > 0) {
		link->stats.resumes++;
	}
	slot_clear(link, slot);
	slot->is_up = true;
	slot->generation = generation;
	slot->peer_lanes =
	    peer->lane_window_log < cn_codec_lane_window_log(link->config.codec)
	    ? 0
	    : peer->lanes;
	slot->peer_prefix_max = CN_MIN(peer->prefix_max, CN_BATCH_PREFIX_MAX);
	slot->has_dedup = link->config.dedup != NULL &&
	    (peer->features & CN_FEATURE_DEDUP) != 0;
	slot->wants = 0;
	slot->lazy_us = slot->block_ack_us = UINT64_MAX;
	slot->bulk_hold_us = UINT64_MAX;
	slot->hold_us = slot->pause_us = slot->lanes_pause_us = 0;
	slot->small_us = 0;
	slot->is_hold_over = false;
	slot->rate_bps = slot->rtt_us = slot->ping_rtt_us = 0;
	slot->is_busy = false;
	memset(&slot->drain, 0, sizeof(slot->drain));
	slot->drain.since_us = now;
	slot->received_blocks = slot->settled_blocks = 0;
	slot->was_lane = false;
	slot->heard_us = now;
	slot->next_ping_us = now + CN_LINK_PING_US;
	slot->is_drain_due = link->is_draining;
	if ((peer->flags & CN_HELLO_DRAINING) != 0) {
		link->is_peer_draining = true;
	}
	slot->is_ping_due = true; /* for the round trip */
	cn_policy_init(&slot->policy);
	link->peer_credit_floor =
	    CN_MAX(link->peer_credit_floor, (uint64_t)peer->credit_floor);
	link->peer_streams_max = peer->streams_max;
	link->down_us = 0;
	adopt_streams(link, number, true, now);
	adopt_streams(link, number, false, now);
	cn_list_append(&slot->urgent, &slot->marker);
	if (slot->has_dedup) {
		cn_reconcile_start(link, slot, peer->boot_id, now);
	}
	return CN_OK;
}

void
cn_link_detach(struct cn_link *link, uint32_t number, uint64_t now)
{
	struct cn_slot *slot = &link->slot[number];

	assert(number < link->config.slots);
	if (!slot->is_up) {
		return;
	}
	slot_clear(link, slot);
	slot->down_us = now;
	for (uint32_t i = 0; i < link->config.slots; i++) {
		if (link->slot[i].is_up) {
			return;
		}
	}
	link->down_us = now;
}

void
cn_link_carrier_failed(struct cn_link *link, struct cn_slot *slot,
    enum cn_close reason, uint64_t now)
{
	uint32_t number = cn_slot_number(link, slot);

	cn_link_detach(link, number, now);
	link->carrier_events |= 1u << number;
	link->carrier_reason[number] = reason;
}

void
cn_link_path(struct cn_link *link, uint32_t number, uint64_t rate_bps,
    uint64_t rtt_us, bool is_busy)
{
	struct cn_slot *slot = &link->slot[number];

	assert(number < link->config.slots);
	if (rate_bps > 0) {
		slot->rate_bps = rate_bps;
	}
	if (rtt_us > 0) {
		slot->rtt_us = rtt_us;
	}
	slot->is_busy = is_busy;
}

/* Something that the peer must answer is outstanding on the carrier. */
static bool
is_outstanding(const struct cn_slot *slot)
{
	return slot->ping_us != 0 ||
	    slot->sent.first_block != slot->sent.next_block;
}

/* When the carrier is dead, if nothing is heard; UINT64_MAX: not waiting. */
static uint64_t
dead_at(const struct cn_slot *slot)
{
	if (!is_outstanding(slot)) {
		return UINT64_MAX;
	}
	return CN_MAX(slot->heard_us, slot->asked_us) + CN_LINK_DEAD_US;
}

static bool
is_slow(const struct cn_slot *slot)
{
	uint64_t rate = cn_slot_rate(slot);

	return rate > 0 &&
	    rate < CN_FRAGMENT_MAX * UINT64_C(1000000) / PULL_SLOW_US;
}

/* Measure what the carrier takes, over times in which it was busy. */
static void
measure_drain(struct cn_slot *slot, size_t pulled, uint64_t now)
{
	uint64_t passed = now - slot->drain.since_us;

	if (passed >= CN_LINK_DRAIN_US) {
		uint64_t bps = slot->drain.bytes * 1000000 / passed;

		if (slot->drain.pulls < CN_LINK_DRAIN_PULLS ||
		    slot->drain.busy * 10 < slot->drain.pulls * 9) {
			bps = 0;
		} else if (slot->drain.bps != 0 && bps > slot->drain.bps) {
			bps = (slot->drain.bps + bps) / 2;
		} else if (slot->drain.bps != 0) {
			/* Buffers that filled made the first ones too high. */
			bps = (slot->drain.bps + 3 * bps) / 4;
		}
		slot->drain.bps = bps;
		slot->drain.bytes = 0;
		slot->drain.pulls = slot->drain.busy = 0;
		slot->drain.since_us = now;
	}
	if (slot->is_busy) {
		slot->drain.busy_us = now;
	}
	if (pulled > 0 && !slot->is_busy && slot->drain.busy == 0) {
		/* It begins with the first pull that waits. */
		slot->drain.since_us = now;
		slot->drain.bytes = slot->drain.pulls = 0;
		if (now - slot->drain.busy_us >= CN_LINK_DRAIN_US) {
			slot->drain.bps = 0;
		}
	} else if (pulled > 0) {
		slot->drain.bytes += pulled;
		slot->drain.pulls++;
		slot->drain.busy += slot->is_busy;
	}
}

size_t
cn_link_pull(struct cn_link *link, uint32_t number, uint8_t *out, size_t cap,
    uint64_t now)
{
	struct cn_slot *slot = &link->slot[number];
	size_t used = 0;

	assert(number < link->config.slots && cap >= CN_FRAGMENT_MAX);
	link->now_us = now;
	if (slot->is_up && !is_outstanding(slot)) {
		slot->asked_us = now; /* an answer is waited for from here on */
	}
	while (slot->is_up && cap - used >= PULL_LEAST) {
		uint8_t *at = out + used;
		size_t room = cap - used, n = 0;
		bool is_bulk = cn_bulk_is_ready(link, slot, now);

		/* Lane blocks go between the fragments of a batch; neither
		 * keeps the other from its turn. */
		if (!slot->was_lane || !is_bulk) {
			n = cn_compose_lane_block(link, slot, at, room, now);
			slot->was_lane = n > 0;
		}
		if (n == 0 && !is_bulk) {
			/* What went with the lane may have become bulk. */
			is_bulk = cn_bulk_is_ready(link, slot, now);
		}
		if (n == 0 && is_bulk) {
			n = cn_bulk_fragment(link, slot, at, room, now);
			if (n == 0 && slot->was_lane) {
				/* It waits for the store or for room. */
				slot->was_lane = false;
				continue;
			}
			slot->was_lane = false;
		}
		if (n == 0) {
			break;
		}
		used += n;
		/* What is pulled stands before all that comes later: of a
		 * slow path one piece of bulk. */
		if (is_bulk && is_slow(slot)) {
			break;
		}
	}
	measure_drain(slot, used, now);
	link->stats.sent.framing += used;
	return used;
}

size_t
cn_link_farewell(uint8_t *out, size_t cap, enum cn_close code, const char *text)
{
	uint8_t body[CN_TEXT_MAX + 16];
	struct cn_frame frame = { .type = CN_FRAME_CLOSE };
	struct cn_lane_head head = { 0 };
	struct cn_writer w;
	size_t len;

	frame.u.close.code = (uint64_t)code;
	frame.u.close.text = text;
	frame.u.close.text_len = CN_MIN(strlen(text), (size_t)CN_TEXT_MAX);
	cn_writer_init(&w, body, sizeof(body));
	cn_frame_encode(&w, &frame);
	len = cn_writer_len(&w);
	head.raw_len = (uint32_t)len;
	head.hash = cn_block_lane_hash(&head, body, len);
	cn_writer_init(&w, out, cap);
	w.len = cn_fragment_lane_head(out, cap, &head);
	cn_writer_bytes(&w, body, len);
	return cn_writer_ok(&w) && w.len > len ? w.len : 0;
}

/* ---- time ---- */

static bool
can_move(const struct cn_link *link)
{
	for (uint32_t i = 0; i < link->config.slots; i++) {
		if (link->slot[i].is_up) {
			return true;
		}
	}
	return false;
}

static uint64_t
slot_deadline(const struct cn_link *link, const struct cn_slot *slot)
{
	uint64_t at = UINT64_MAX;

	if (!slot->is_up) {
		return slot->generation > 0 && slot->down_us != UINT64_MAX &&
			can_move(link)
		    ? slot->down_us + CN_LINK_MOVE_US
		    : UINT64_MAX;
	}
	/* What the last tick has seen to waits for a pull, not for a time. */
	at = CN_MIN(slot->next_ping_us, slot->lazy_us);
	at = CN_MIN(at, slot->block_ack_us);
	at = CN_MIN(at, slot->bulk_hold_us);
	if (slot->hold_us != 0 && !slot->is_hold_over) {
		at = CN_MIN(at, slot->hold_us);
	}
	at = CN_MIN(at, dead_at(slot));
	if (!cn_list_is_empty(&slot->lanes_used)) {
		struct cn_lane *lane =
		    CN_LIST_ENTRY(cn_list_first(&slot->lanes_used),
			struct cn_lane, used_item);

		at = CN_MIN(at, lane->used_us + CN_LINK_LANE_IDLE_US);
	}
	return at;
}

static struct cn_stream *
oldest_sender(const struct cn_link *link)
{
	struct cn_list *it = cn_list_first(&link->send_hist);

	return it == NULL ? NULL
			  : CN_LIST_ENTRY(it, struct cn_stream, send_hist_item);
}

static struct cn_stream *
oldest_receiver(const struct cn_link *link)
{
	struct cn_list *it = cn_list_first(&link->recv_hist);

	return it == NULL ? NULL
			  : CN_LIST_ENTRY(it, struct cn_stream, recv_hist_item);
}

uint64_t
cn_link_deadline(const struct cn_link *link)
{
	const struct cn_stream *sender = oldest_sender(link);
	const struct cn_stream *receiver = oldest_receiver(link);
	uint64_t at = UINT64_MAX;

	if (link->is_dead) {
		return UINT64_MAX;
	}
	for (uint32_t i = 0; i < link->config.slots; i++) {
		at = CN_MIN(at, slot_deadline(link, &link->slot[i]));
	}
	if (sender != NULL) {
		at = CN_MIN(at, sender->send_hist_us + CN_LINK_HISTORY_SEND_US);
	}
	if (receiver != NULL) {
		at = CN_MIN(
		    at, receiver->recv_hist_us + CN_LINK_HISTORY_RECEIVE_US);
	}
	if (link->down_us != 0) {
		at = CN_MIN(at, link->down_us + link->config.resume_window_us);
	}
	if (!cn_list_is_empty(&link->parked)) {
		const struct cn_parked *parked = CN_LIST_ENTRY(
		    cn_list_first(&link->parked), struct cn_parked, item);

		at = CN_MIN(at, parked->since_us + CN_LINK_STORE_TAKE_US);
	}
	return CN_MIN(at, link->starved_us);
}

static void
tick_slot(struct cn_link *link, struct cn_slot *slot, uint64_t now)
{
	if (now >= dead_at(slot)) {
		cn_link_carrier_failed(link, slot, CN_CLOSE_TIMEOUT, now);
		return;
	}
	if (now >= slot->next_ping_us) {
		slot->next_ping_us = now + CN_LINK_PING_US;
		if (slot->ping_us == 0) {
			slot->is_ping_due = true;
		}
	}
	/*
	 * What is due now goes with the next pull.  The carrier may be full
	 * until long after: no time may stay behind that nothing clears.
	 */
	if (now >= slot->lazy_us) {
		cn_list_splice(&slot->urgent, &slot->lazy);
		slot->lazy_replies = 0;
		slot->lazy_us = UINT64_MAX;
	}
	if (now >= slot->block_ack_us) {
		slot->is_block_ack_due = true;
		slot->block_ack_us = UINT64_MAX;
	}
	if (slot->hold_us != 0 && now >= slot->hold_us) {
		slot->is_hold_over = true;
	}
	if (now >= slot->bulk_hold_us) {
		slot->bulk_hold_us = UINT64_MAX; /* each pull sets it anew */
	}
	cn_lanes_tick(link, slot, now);
}

/* Streams of a carrier that stays down go on with another. */
static void
move_streams(struct cn_link *link, uint32_t from, uint64_t now)
{
	uint32_t to = 0;
	size_t pos = 0;
	uint64_t id;
	void *value;

	while (to < link->config.slots && !link->slot[to].is_up) {
		to++;
	}
	if (to == link->config.slots) {
		return;
	}
	link->slot[from].down_us = UINT64_MAX;
	while (cn_map_next(&link->streams, &pos, &id, &value)) {
		struct cn_stream *s = value;

		/* The opener chooses; the other side follows. */
		if (s->slot == from &&
		    (s->is_ours || s->state != CN_STREAM_LIVE)) {
			cn_stream_move(s, to, true, now);
		}
	}
}

static void
tick_histories(struct cn_link *link, uint64_t now)
{
	struct cn_stream *s;

	while ((s = oldest_sender(link)) != NULL &&
	    now >= s->send_hist_us + CN_LINK_HISTORY_SEND_US) {
		cn_list_remove(&s->send_hist_item);
		cn_history_drop(&s->tx_hist);
	}
	while ((s = oldest_receiver(link)) != NULL &&
	    now >= s->recv_hist_us + CN_LINK_HISTORY_RECEIVE_US) {
		cn_list_remove(&s->recv_hist_item);
		cn_history_drop(&s->rx_hist);
	}
}

/* Streams that found no memory look again, a few at a time and in turn. */
static void
tick_starved(struct cn_link *link, uint64_t now)
{
	struct cn_list mine, *it;

	cn_list_init(&mine);
	for (unsigned n = 0; n < CN_LINK_STARVED_LOOKS; n++) {
		it = cn_list_first(&link->starved);
		if (it == NULL) {
			break;
		}
		cn_list_remove(it);
		cn_list_append(&mine, it);
	}
	while ((it = cn_list_first(&mine)) != NULL) {
		cn_list_remove(it);
		cn_stream_wake(
		    CN_LIST_ENTRY(it, struct cn_stream, starved_item));
	}
	link->starved_us = cn_list_is_empty(&link->starved)
	    ? UINT64_MAX
	    : now + CN_LINK_STARVED_US;
}

void
cn_link_tick(struct cn_link *link, uint64_t now)
{
	link->now_us = now;
	if (link->is_dead) {
		return;
	}
	if (link->down_us != 0 &&
	    now >= link->down_us + link->config.resume_window_us) {
		cn_link_reset_all(link, CN_RESET_LINK_LOST, now);
		link->is_dead = link->is_lost = true;
		return;
	}
	for (uint32_t i = 0; i < link->config.slots; i++) {
		struct cn_slot *slot = &link->slot[i];

		if (slot->is_up) {
			tick_slot(link, slot, now);
		} else if (slot->generation > 0 &&
		    slot->down_us != UINT64_MAX &&
		    now >= slot->down_us + CN_LINK_MOVE_US) {
			move_streams(link, i, now);
		}
	}
	tick_histories(link, now);
	if (!cn_list_is_empty(&link->parked)) {
		cn_decode_parked(link, now);
	}
	if (now >= link->starved_us) {
		tick_starved(link, now);
	}
}

void
cn_link_woken(struct cn_link *link, uint64_t now)
{
	link->now_us = now;
	link->wakes++;
	cn_decode_parked(link, now);
}

/* ---- events ---- */

static bool
stream_event(struct cn_link *link, struct cn_link_event *ret)
{
	static const struct {
		enum cn_told told;
		enum cn_link_event_type type;
	} order[] = {
		{ CN_TOLD_OPEN, CN_LINK_EVENT_OPEN },
		{ CN_TOLD_READABLE, CN_LINK_EVENT_READABLE },
		{ CN_TOLD_WRITABLE, CN_LINK_EVENT_WRITABLE },
		{ CN_TOLD_ENDED, CN_LINK_EVENT_ENDED },
		{ CN_TOLD_RESET, CN_LINK_EVENT_RESET },
	};
	struct cn_list *it = cn_list_first(&link->events);
	struct cn_stream *s;

	if (it == NULL) {
		return false;
	}
	s = CN_LIST_ENTRY(it, struct cn_stream, event_item);
	for (size_t i = 0; i < CN_ARRAY_LEN(order); i++) {
		if ((s->told & (unsigned)order[i].told) == 0) {
			continue;
		}
		s->told &= ~(unsigned)order[i].told;
		ret->type = order[i].type;
		ret->stream = s;
		ret->reason = s->outcome;
		ret->slot = s->slot;
		break;
	}
	if (s->told == 0) {
		cn_list_remove(it);
	}
	return true;
}

bool
cn_link_event(struct cn_link *link, struct cn_link_event *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (stream_event(link, ret)) {
		return true;
	}
	for (uint32_t i = 0; i < link->config.slots; i++) {
		if ((link->carrier_events & (1u << i)) == 0) {
			continue;
		}
		link->carrier_events &= ~(1u << i);
		ret->type = CN_LINK_EVENT_CARRIER;
		ret->slot = i;
		ret->reason = link->carrier_reason[i];
		return true;
	}
	if (link->is_peer_draining && !link->is_drain_told) {
		link->is_drain_told = true;
		ret->type = CN_LINK_EVENT_DRAINING;
		return true;
	}
	if (link->is_lost && !link->is_lost_told) {
		link->is_lost_told = true;
		ret->type = CN_LINK_EVENT_LOST;
		return true;
	}
	return false;
}

/* ---- the rest ---- */

void
cn_link_drain(struct cn_link *link)
{
	if (link->is_draining) {
		return;
	}
	link->is_draining = true;
	for (uint32_t i = 0; i < link->config.slots; i++) {
		link->slot[i].is_drain_due = link->slot[i].is_up;
		if (link->slot[i].is_up) {
			link->slot[i].lazy_us = 0; /* what waits goes now */
		}
	}
}

void
cn_link_reset_all(struct cn_link *link, enum cn_reset reason, uint64_t now)
{
	size_t pos = 0;
	uint64_t id;
	void *value;

	while (cn_map_next(&link->streams, &pos, &id, &value)) {
		struct cn_stream *s = value;

		if (s->state == CN_STREAM_LIVE) {
			cn_stream_fail(s, reason, true, now);
		}
	}
}

uint64_t
cn_link_streams(const struct cn_link *link)
{
	return link->live;
}

void
cn_link_stats(const struct cn_link *link, struct cn_link_stats *ret)
{
	*ret = link->stats;
	ret->is_coding_off = link->is_coding_off;
	/* All that was pulled but bytes that carried data is framing. */
	ret->sent.framing -=
	    CN_MIN(ret->sent.framing, ret->sent.coded + ret->sent.raw);
	ret->received.framing -= CN_MIN(
	    ret->received.framing, ret->received.coded + ret->received.raw);
}

struct cn_stream *
cn_link_next_stream(struct cn_link *link, struct cn_stream *after)
{
	size_t pos = 0;
	uint64_t id;
	void *value;

	/* The walk goes on behind the one that was given. */
	if (after != NULL) {
		pos = after->walk;
	}
	while (cn_map_next(&link->streams, &pos, &id, &value)) {
		struct cn_stream *s = value;

		if (s->state == CN_STREAM_LIVE) {
			s->walk = pos;
			return s;
		}
	}
	return NULL;
}
