/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

/* Credit of one turn in deficit round robin, plain bytes. */
#define BULK_QUANTUM 65536
/* Coded bytes of a batch while the carrier's rate is not known. */
#define BULK_CODED_UNKNOWN 65536u
/* … and at least, whatever the rate; and its time at the rate. */
#define BULK_CODED_LEAST 8192u
#define BULK_CODED_US 5000u
/* A fragment that starts or goes on with less is not worth its head. */
#define BULK_FRAGMENT_LEAST 512u
#define BULK_BEGIN_LEAST (CN_BATCH_EXT_MAX + 1024u)
/* Streams looked at in one search for one that is ready. */
#define BULK_LOOKS 64u
/* A busy carrier is left to the other streams for so long after a batch of
 * theirs: they may only be waiting for their sockets to be read. */
#define BULK_YIELD_US 50000u

/* Plain bytes that the stream's next batch should have. */
static size_t
batch_target(const struct cn_slot *slot, const struct cn_stream *s)
{
	uint64_t rate = cn_slot_rate(slot);
	double coded = BULK_CODED_UNKNOWN;
	double plain;

	if (rate > 0) {
		coded = (double)rate * BULK_CODED_US / 1e6;
		coded = CN_MAX(coded, (double)BULK_CODED_LEAST);
	}
	plain = coded * s->ratio;
	return plain > CN_BATCH_PLAIN_MAX ? CN_BATCH_PLAIN_MAX : (size_t)plain;
}

/*
 * Until when the stream's bytes are collected: 0 when they go now.  They wait
 * for the store when it reads what they may refer to, and else only when more
 * is to come: the socket was not empty, or it has been moving much lately
 * without being a dialogue.
 */
static uint64_t
held_until(const struct cn_slot *slot, const struct cn_stream *s)
{
	uint64_t sendable = cn_stream_sendable(s);

	if (s->store_us != 0 && s->store_wakes == s->link->wakes) {
		return s->store_us;
	}
	if (cn_ranges_count(&s->resend) > 0 || s->is_finished ||
	    s->profile.coalesce_us == 0 || sendable >= batch_target(slot, s) ||
	    (s->is_drained && !s->is_bulk) || s->tx.end > s->credit ||
	    cn_stream_room(s) == 0) {
		return 0;
	}
	return s->pending_us + s->profile.coalesce_us;
}

void
cn_bulk_append(struct cn_slot *slot, struct cn_stream *s)
{
	cn_list_remove(&s->bulk_item);
	cn_list_append(
	    s->profile.is_background ? &slot->background : &slot->bulk,
	    &s->bulk_item);
}

/* The next stream of the list that may send a batch now; NULL when none. */
static struct cn_stream *
pick_of(struct cn_slot *slot, struct cn_list *list, uint64_t now)
{
	for (unsigned looks = 0; looks < BULK_LOOKS;) {
		struct cn_list *it = cn_list_first(list);
		struct cn_stream *s;
		uint64_t until;

		if (it == NULL) {
			return NULL;
		}
		s = CN_LIST_ENTRY(it, struct cn_stream, bulk_item);
		if (cn_ranges_count(&s->resend) == 0 &&
		    cn_stream_sendable(s) == 0) {
			cn_list_remove(it);
			continue;
		}
		until = held_until(slot, s);
		if (until <= now && s->deficit > 0) {
			return s;
		}
		if (until <= now) {
			s->deficit += BULK_QUANTUM;
		} else {
			slot->bulk_hold_us = CN_MIN(slot->bulk_hold_us, until);
			looks++;
		}
		cn_list_remove(it);
		cn_list_append(list, it);
	}
	return NULL;
}

/*
 * The next stream in turn that may send a batch now; NULL when none.  Those
 * of the background have what nobody else wants: what they put into a queue
 * would stand before what the others send next, on whatever carrier.
 */
static struct cn_stream *
pick(const struct cn_link *link, struct cn_slot *slot, uint64_t now)
{
	struct cn_stream *s;

	slot->bulk_hold_us = UINT64_MAX;
	if (now < slot->pause_us) {
		slot->bulk_hold_us = slot->pause_us;
		return NULL;
	}
	s = pick_of(slot, &slot->bulk, now);
	if (s != NULL || cn_list_is_empty(&slot->background)) {
		return s;
	}
	if (slot->is_busy && link->bulk_us != 0 &&
	    now < link->bulk_us + BULK_YIELD_US) {
		slot->bulk_hold_us =
		    CN_MIN(slot->bulk_hold_us, link->bulk_us + BULK_YIELD_US);
		return NULL;
	}
	return pick_of(slot, &slot->background, now);
}

bool
cn_bulk_is_ready(struct cn_link *link, struct cn_slot *slot, uint64_t now)
{
	if (slot->batch.is_active) {
		return true;
	}
	return cn_sent_has_room(&slot->sent, 1) &&
	    pick(link, slot, now) != NULL;
}

static bool
has_buffers(struct cn_slot *slot)
{
	if (slot->plain == NULL) {
		slot->plain = cn_alloc(CN_BATCH_PLAIN_MAX);
	}
	if (slot->coded == NULL) {
		slot->coded = cn_alloc(CN_BATCH_CODED_MAX);
	}
	return slot->plain != NULL && slot->coded != NULL;
}

/* Bytes of the history's age are counted from its last use. */
static void
touch_history(struct cn_link *link, struct cn_stream *s, uint64_t now)
{
	cn_list_remove(&s->send_hist_item);
	if (s->tx_hist.len > 0) {
		s->send_hist_us = now;
		cn_list_append(&link->send_hist, &s->send_hist_item);
	}
}

/* What the stream's next batch is of: its first hole, or what comes next. */
static bool
choose_range(const struct cn_slot *slot, const struct cn_stream *s,
    struct cn_batch_head *head)
{
	bool is_again = cn_ranges_count(&s->resend) > 0;

	head->stream = s->id;
	head->offset = s->next;
	head->plain_len = (uint32_t)CN_MIN(
	    (uint64_t)batch_target(slot, s), cn_stream_sendable(s));
	if (is_again) {
		struct cn_range hole = cn_ranges_at(&s->resend, 0);

		head->offset = hole.from;
		head->plain_len = (uint32_t)CN_MIN(
		    hole.to - hole.from, (uint64_t)BULK_CODED_UNKNOWN);
	}
	return is_again;
}

/* The batch is made: the stream has moved on by it. */
static void
move_on(struct cn_stream *s, const struct cn_batch_head *head, bool is_again,
    uint64_t now)
{
	cn_stream_sent(s, head->offset, head->plain_len);
	if (is_again) {
		/* Taking from the front of a range never needs memory. */
		int r = cn_ranges_remove(
		    &s->resend, head->offset, head->offset + head->plain_len);

		assert(r == CN_OK);
		(void)r;
	} else {
		s->next += head->plain_len;
		s->pending_us = cn_stream_sendable(s) > 0 ? now : 0;
		cn_stream_wake(s);
	}
	s->deficit -= head->plain_len;
}

/* Make the next batch of a stream: from its holes first, then go on. */
static int
make_batch(struct cn_link *link, struct cn_slot *slot, struct cn_stream *s,
    uint64_t now)
{
	size_t stores = cn_sent_has_room(&slot->sent, 1 + CN_REFS_STORES_MAX)
	    ? CN_REFS_STORES_MAX
	    : 0;
	struct cn_batch_head head = { 0 };
	bool is_again = choose_range(slot, s, &head);
	int r;

	if (cn_sent_begin(&slot->sent, 1 + stores) != CN_OK) {
		return CN_ENOMEM;
	}
	cn_ring_copy(&s->tx, head.offset, slot->plain, head.plain_len);
	r = cn_encode_batch(link, slot, s, &head, is_again, stores, now);
	if (r != CN_OK) {
		return r;
	}
	touch_history(link, s, now);
	move_on(s, &head, is_again, now);
	cn_sent_add(
	    &slot->sent, CN_FRAME_DATA, s->id, head.offset, head.plain_len);
	cn_sent_end(&slot->sent, CN_SENT_NO_LANE, 0);
	link->stats.blocks_sent++;
	if (!s->profile.is_background) {
		link->bulk_us = now;
	}
	slot->batch.head = head;
	slot->batch.sent = 0;
	slot->batch.stream = s;
	slot->batch.is_active = true;
	cn_stream_schedule(s, now);
	return CN_OK;
}

/* The next batch of whoever can send one now. */
static bool
start_batch(struct cn_link *link, struct cn_slot *slot, uint64_t now)
{
	if (!has_buffers(slot)) {
		return false;
	}
	for (unsigned looks = 0; looks < BULK_LOOKS; looks++) {
		struct cn_stream *s = pick(link, slot, now);
		int r;

		if (s == NULL || !cn_sent_has_room(&slot->sent, 1)) {
			return false;
		}
		r = make_batch(link, slot, s, now);
		if (r != CN_EAGAIN) {
			return r == CN_OK;
		}
		/* Its copies are being read; the others need not wait. */
		cn_bulk_append(slot, s);
	}
	return false;
}

size_t
cn_bulk_fragment(struct cn_link *link, struct cn_slot *slot, uint8_t *out,
    size_t cap, uint64_t now)
{
	size_t head, body, left;

	cap = CN_MIN(cap, CN_FRAGMENT_MAX);
	/* The head of a batch is written as soon as it is made. */
	if (cap < (slot->batch.is_active ? BULK_FRAGMENT_LEAST
					 : BULK_BEGIN_LEAST) ||
	    (!slot->batch.is_active && !start_batch(link, slot, now))) {
		return 0;
	}
	left = slot->batch.len - slot->batch.sent;
	if (slot->batch.sent == 0 && !slot->batch.is_begun) {
		head = CN_FRAGMENT_HEAD_MAX + CN_BATCH_HEAD_MAX +
		    slot->batch.head.ext_len;
		body = CN_MIN(left, cap - head);
		head =
		    cn_fragment_batch_head(out, cap, &slot->batch.head, body);
		slot->batch.is_begun = true;
	} else {
		body = CN_MIN(left, cap - CN_FRAGMENT_HEAD_MAX);
		head = cn_fragment_more_head(out, cap, body);
	}
	assert(head > 0 && head + body <= cap);
	memcpy(out + head, slot->batch.bytes + slot->batch.sent, body);
	slot->batch.sent += body;
	if (slot->batch.stream != NULL) {
		slot->batch.stream->sent.framing += head;
	}
	if (slot->batch.sent == slot->batch.len) {
		slot->batch.is_active = false;
		slot->batch.is_begun = false;
		slot->batch.stream = NULL;
	}
	return head + body;
}
