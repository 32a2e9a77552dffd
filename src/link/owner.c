/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

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
		cn_stream_drop_if_over(s);
	}
}

void
cn_stream_release(struct cn_stream *s)
{
	assert(s->state != CN_STREAM_LIVE);
	s->is_held = false;
	s->told = 0;
	cn_list_remove(&s->event_item);
	cn_stream_drop_if_over(s);
}

void
cn_stream_stats(const struct cn_stream *s, struct cn_stream_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->sent = s->sent;
	ret->received = s->received_bytes;
	cn_loss_stats(s, ret);
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
