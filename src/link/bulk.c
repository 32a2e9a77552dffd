/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "codec/probe.h"

/* Credit of one turn in deficit round robin, plain bytes. */
#define BULK_QUANTUM 65536
/* Coded bytes of a batch while the carrier's rate is not known. */
#define BULK_CODED_UNKNOWN 65536u
/* … and at least, whatever the rate; and its time at the rate. */
#define BULK_CODED_LEAST 8192u
#define BULK_CODED_US 5000u
/* A fragment that starts or goes on with less is not worth its head. */
#define BULK_FRAGMENT_LEAST 512u
/* Streams looked at in one search for one that is ready. */
#define BULK_LOOKS 64u

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
 * The rate that the choice of a level may count on; 0: unknown.  The kernel's
 * is that of the next hop, which may be a proxy that takes bytes faster than
 * the path behind it, so where a busy carrier would have been measured here
 * by now, only that measure counts.
 */
static uint64_t
level_rate(const struct cn_slot *slot)
{
	bool is_measurable = slot->rate_bps > CN_LINK_DRAIN_PULLS *
		CN_FRAGMENT_MAX * (UINT64_C(1000000) / CN_LINK_DRAIN_US);

	return slot->drain.bps == 0 && is_measurable ? 0 : cn_slot_rate(slot);
}

/*
 * Until when the stream's bytes are collected: 0 when they go now.  They wait
 * only when more is to come: the socket was not empty, or it has been moving
 * much lately without being a dialogue.
 */
static uint64_t
held_until(const struct cn_slot *slot, const struct cn_stream *s)
{
	uint64_t sendable = cn_stream_sendable(s);

	if (cn_ranges_count(&s->resend) > 0 || s->is_finished ||
	    s->profile.coalesce_us == 0 || sendable >= batch_target(slot, s) ||
	    (s->is_drained && !s->is_bulk) || s->tx.end > s->credit ||
	    cn_stream_room(s) == 0) {
		return 0;
	}
	return s->pending_us + s->profile.coalesce_us;
}

/* The next stream in turn that may send a batch now; NULL when none. */
static struct cn_stream *
pick(struct cn_slot *slot, uint64_t now)
{
	slot->bulk_hold_us = UINT64_MAX;
	if (now < slot->pause_us) {
		slot->bulk_hold_us = slot->pause_us;
		return NULL;
	}
	for (unsigned looks = 0; looks < BULK_LOOKS;) {
		struct cn_list *it = cn_list_first(&slot->bulk);
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
		cn_list_append(&slot->bulk, it);
	}
	return NULL;
}

bool
cn_bulk_is_ready(struct cn_link *link, struct cn_slot *slot, uint64_t now)
{
	(void)link;
	if (slot->batch.is_active) {
		return true;
	}
	return cn_sent_has_room(&slot->sent, 1) && pick(slot, now) != NULL;
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

/* One coding of a batch's bytes, into slot->coded. */
struct attempt {
	const uint8_t *plain; /* with the history just before it */
	size_t len;
	size_t history_len;
	size_t prefix_len; /* what the level took of the history */
	size_t coded_len;  /* len when it does not pay */
	uint64_t took_ns;
};

static int
attempt(
    struct cn_link *link, struct cn_slot *slot, struct attempt *a, int level)
{
	struct cn_codec *codec = link->config.codec;
	const uint8_t *prefix = NULL;
	uint64_t t0 = cn_codec_clock_ns(codec);
	int r;

	a->prefix_len = 0;
	if (a->history_len > 0) {
		a->prefix_len =
		    cn_codec_prefix_len(level, a->len, a->history_len);
		prefix = a->plain - a->prefix_len;
	}
	r = cn_codec_batch_encode(codec, level, prefix, a->prefix_len, a->plain,
	    a->len, slot->coded, a->len - a->len / 32, &a->coded_len);
	if (r != CN_OK) {
		a->coded_len = a->len;
	}
	a->took_ns = cn_codec_clock_ns(codec) - t0;
	return r;
}

/*
 * Try to code the batch whose plain bytes stand in slot->plain.  On success
 * its bytes are in slot->coded and the history, if kept, has grown by it.
 */
static bool
code_batch(struct cn_link *link, struct cn_slot *slot, struct cn_stream *s,
    struct cn_batch_head *head, int level)
{
	bool is_last =
	    s->is_finished && head->offset + head->plain_len == s->tx.end;
	size_t len = head->plain_len;
	struct attempt a = { .plain = slot->plain, .len = len };
	int trial = cn_policy_trial(&slot->policy);
	uint8_t *room = NULL;
	int r;

	if (s->tx_hist.len > 0 && s->tx_hist.end != head->offset) {
		cn_history_drop(&s->tx_hist);
	}
	if (slot->peer_prefix_max > 0 && (s->tx_hist.len > 0 || !is_last)) {
		room = cn_history_room(&s->tx_hist, len);
	}
	if (room != NULL) {
		memcpy(room, slot->plain, len);
		a.plain = room;
		a.history_len = CN_MIN(s->tx_hist.len, slot->peer_prefix_max);
	}
	if (trial != 0) {
		(void)attempt(link, slot, &a, trial);
		cn_policy_tried(&slot->policy, a.coded_len, a.took_ns);
	}
	r = attempt(link, slot, &a, level);
	cn_policy_learn(&slot->policy, level, len, a.coded_len, a.took_ns);
	if (r != CN_OK) {
		return false;
	}
	head->coding = CN_CODING_ZSTD;
	head->coded_len = (uint32_t)a.coded_len;
	head->prefix_len = (uint32_t)a.prefix_len;
	if (room != NULL && !is_last) {
		head->flags |= CN_BATCH_KEEP;
		cn_history_keep(&s->tx_hist, len, head->offset + len);
	}
	slot->batch.bytes = slot->coded;
	slot->batch.len = a.coded_len;
	return true;
}

/*
 * As it is.  A raw batch between coded ones keeps the history alive; the
 * second in a row ends it.
 */
static void
raw_batch(struct cn_slot *slot, struct cn_stream *s, struct cn_batch_head *head,
    bool is_again)
{
	uint8_t *room = NULL;

	if (!is_again && !s->was_raw && s->tx_hist.len > 0 &&
	    s->tx_hist.end == head->offset) {
		room = cn_history_room(&s->tx_hist, head->plain_len);
	}
	if (room != NULL) {
		memcpy(room, slot->plain, head->plain_len);
		cn_history_keep(&s->tx_hist, head->plain_len,
		    head->offset + head->plain_len);
		head->flags |= CN_BATCH_KEEP;
	} else {
		cn_history_drop(&s->tx_hist);
	}
	head->coding = CN_CODING_RAW;
	head->coded_len = head->plain_len;
	slot->batch.bytes = slot->plain;
	slot->batch.len = head->plain_len;
}

static void
account(
    struct cn_link *link, struct cn_stream *s, const struct cn_batch_head *head)
{
	double ratio = (double)head->plain_len / head->coded_len;

	s->ratio += (ratio - s->ratio) / 4;
	if (head->coding == CN_CODING_RAW) {
		s->sent.raw += head->plain_len;
		link->stats.sent.raw += head->plain_len;
	} else {
		s->sent.literal += head->plain_len;
		link->stats.sent.literal += head->plain_len;
		s->sent.coded += head->coded_len;
		link->stats.sent.coded += head->coded_len;
	}
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

/* Make the next batch of a stream: from its holes first, then go on. */
static bool
start_batch(struct cn_link *link, struct cn_slot *slot, uint64_t now)
{
	struct cn_stream *s = pick(slot, now);
	struct cn_batch_head head = { 0 };
	bool is_again;
	int level = 0;

	if (s == NULL || !has_buffers(slot) ||
	    !cn_sent_has_room(&slot->sent, 1) ||
	    cn_sent_begin(&slot->sent, 1) != CN_OK) {
		return false;
	}
	is_again = cn_ranges_count(&s->resend) > 0;
	head.stream = s->id;
	head.offset = s->next;
	head.plain_len = (uint32_t)CN_MIN(
	    (uint64_t)batch_target(slot, s), cn_stream_sendable(s));
	if (is_again) {
		struct cn_range hole = cn_ranges_at(&s->resend, 0);

		head.offset = hole.from;
		head.plain_len = (uint32_t)CN_MIN(
		    hole.to - hole.from, (uint64_t)BULK_CODED_UNKNOWN);
	}
	cn_ring_copy(&s->tx, head.offset, slot->plain, head.plain_len);
	if (!is_again && !link->is_coding_off &&
	    cn_probe_bytes(slot->plain, head.plain_len, head.offset == 0) ==
		CN_PROBE_COMPRESSIBLE) {
		level = cn_policy_level(&slot->policy, s->profile.level_min,
		    s->profile.level_max, level_rate(slot), slot->is_busy, now);
	}
	if (level == 0 || !code_batch(link, slot, s, &head, level)) {
		raw_batch(slot, s, &head, is_again);
	}
	s->was_raw = head.coding == CN_CODING_RAW;
	touch_history(link, s, now);
	head.hash = cn_block_batch_hash(&head, slot->plain, head.plain_len);
	account(link, s, &head);
	cn_stream_sent(s, head.offset, head.plain_len);
	if (is_again) {
		/* Taking from the front of a range never needs memory. */
		int r = cn_ranges_remove(
		    &s->resend, head.offset, head.offset + head.plain_len);

		assert(r == CN_OK);
		(void)r;
	} else {
		s->next += head.plain_len;
		s->pending_us = cn_stream_sendable(s) > 0 ? now : 0;
		cn_stream_wake(s);
	}
	s->deficit -= head.plain_len;
	cn_sent_add(
	    &slot->sent, CN_FRAME_DATA, s->id, head.offset, head.plain_len);
	cn_sent_end(&slot->sent, CN_SENT_NO_LANE, 0);
	link->stats.blocks_sent++;
	slot->batch.head = head;
	slot->batch.sent = 0;
	slot->batch.stream = s;
	slot->batch.is_active = true;
	cn_stream_schedule(s, now);
	return true;
}

size_t
cn_bulk_fragment(struct cn_link *link, struct cn_slot *slot, uint8_t *out,
    size_t cap, uint64_t now)
{
	size_t head, body, left;

	cap = CN_MIN(cap, CN_FRAGMENT_MAX);
	if (cap < BULK_FRAGMENT_LEAST ||
	    (!slot->batch.is_active && !start_batch(link, slot, now))) {
		return 0;
	}
	left = slot->batch.len - slot->batch.sent;
	if (slot->batch.sent == 0 && !slot->batch.is_begun) {
		body = CN_MIN(
		    left, cap - CN_FRAGMENT_HEAD_MAX - CN_BATCH_HEAD_MAX);
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
