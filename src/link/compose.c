/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "codec/probe.h"
#include "wire/writer.h"

/* Frames that one lane block may hold, and so entries of the table. */
#define BLOCK_FRAMES 512u
/* Streams of one block whose share of the coded bytes is told apart. */
#define BLOCK_SHARES 64u
/* Room that a lane block needs at least to be worth starting. */
#define BLOCK_LEAST 1024u
/* Replies that may wait when one about the logs comes. */
#define LOG_REPLIES_MAX (CN_LINK_REPLIES_MAX / 2u)
/* Blocks kept free for those that only acknowledge. */
#define BLOCK_RESERVE (CN_SENT_BLOCKS / 4u)
/* Share of the round trip that small data waits at most on an idle carrier. */
#define CROWD_SHARE 8u
/* Small data from here on is looked at before it is coded. */
#define PROBE_LEAST 192u

/* One lane block in the making. */
struct block {
	struct cn_link *link;
	struct cn_slot *slot;
	struct cn_writer w; /* raw frames, then frames to be coded */
	unsigned entries;
	bool is_full; /* no entry may be added any more */
	uint64_t now;
	struct {
		struct cn_stream *stream;
		size_t len;
		bool is_raw;
	} share[BLOCK_SHARES];
	unsigned shares;
	size_t data_bytes;
};

/* Append a frame and remember it; false when the block has no room. */
static bool
put(struct block *b, const struct cn_frame *frame, uint64_t stream,
    uint64_t offset, size_t len)
{
	if (b->is_full || b->entries == BLOCK_FRAMES ||
	    cn_frame_size(frame) > cn_writer_room(&b->w)) {
		return false;
	}
	cn_frame_encode(&b->w, frame);
	cn_sent_add(&b->slot->sent, frame->type, stream, offset, len);
	b->entries++;
	return true;
}

/* Append a frame that nobody makes again. */
static bool
put_once(struct block *b, const struct cn_frame *frame)
{
	if (cn_frame_size(frame) > cn_writer_room(&b->w)) {
		return false;
	}
	cn_frame_encode(&b->w, frame);
	return true;
}

/* A place for one more reply; NULL: there is none. */
static struct cn_reply *
new_reply(struct cn_slot *slot)
{
	if (slot->reply_count == slot->reply_cap) {
		size_t cap = slot->reply_cap == 0 ? 16 : slot->reply_cap * 2;
		struct cn_reply *replies;

		replies = cap > CN_LINK_REPLIES_MAX
		    ? NULL
		    : cn_alloc(cap * sizeof(*replies));
		if (replies == NULL) {
			return NULL;
		}
		for (size_t i = 0; i < slot->reply_count; i++) {
			replies[i] = slot->replies[(slot->reply_first + i) &
			    (slot->reply_cap - 1)];
		}
		cn_free(slot->replies);
		slot->replies = replies;
		slot->reply_cap = cap;
		slot->reply_first = 0;
	}
	return &slot->replies[(slot->reply_first + slot->reply_count++) &
	    (slot->reply_cap - 1)];
}

bool
cn_compose_reply(struct cn_slot *slot, enum cn_frame_type type, uint64_t stream,
    uint64_t value, size_t len)
{
	struct cn_reply *reply = new_reply(slot);

	if (reply == NULL) {
		return false;
	}
	reply->type = (uint8_t)type;
	reply->flags = 0;
	reply->stream = stream;
	reply->value = value;
	reply->len = (uint32_t)len;
	return true;
}

bool
cn_compose_log_reply(struct cn_slot *slot, enum cn_frame_type type,
    uint64_t flags, uint64_t epoch, uint64_t at, uint32_t len)
{
	/* They can do without; the others must find room. */
	struct cn_reply *reply =
	    slot->reply_count < LOG_REPLIES_MAX ? new_reply(slot) : NULL;

	if (reply == NULL) {
		return false;
	}
	reply->type = (uint8_t)type;
	reply->flags = (uint8_t)flags;
	reply->stream = at;
	reply->value = epoch;
	reply->len = len;
	return true;
}

/* The frame of a reply; false: there is nothing to tell any more. */
static bool
reply_frame(
    const struct block *b, const struct cn_reply *reply, struct cn_frame *ret)
{
	ret->type = (enum cn_frame_type)reply->type;
	if (ret->type == CN_FRAME_DONE) {
		ret->u.done.stream = reply->stream;
	} else if (ret->type == CN_FRAME_RESET) {
		ret->u.reset.stream = reply->stream;
		ret->u.reset.reason = reply->value;
	} else if (ret->type == CN_FRAME_NACK) {
		ret->u.nack.block = reply->stream;
		ret->u.nack.reason = reply->value;
	} else if (ret->type == CN_FRAME_MISS) {
		ret->u.miss.stream = reply->stream;
		ret->u.miss.offset = reply->value;
		ret->u.miss.len = reply->len;
	} else if (ret->type == CN_FRAME_LANE_CLOSE) {
		ret->u.lane_close.lane = reply->stream;
		ret->u.lane_close.generation = reply->value;
	} else {
		return cn_reconcile_frame(b->link, reply, ret);
	}
	return true;
}

/* Append it and remember how it is made again; false: no room. */
static bool
put_reply(struct block *b, const struct cn_reply *reply)
{
	struct cn_frame frame = { 0 };

	if (!reply_frame(b, reply, &frame)) {
		return true;
	}
	if (b->is_full || b->entries == BLOCK_FRAMES ||
	    cn_frame_size(&frame) > cn_writer_room(&b->w)) {
		return false;
	}
	cn_frame_encode(&b->w, &frame);
	cn_sent_add_reply(&b->slot->sent, reply);
	b->entries++;
	return true;
}

static void
put_replies(struct block *b)
{
	struct cn_slot *slot = b->slot;

	if (slot->has_dedup) {
		cn_reconcile_evicted(b->link, slot);
	}
	while (slot->reply_count > 0) {
		const struct cn_reply *reply =
		    &slot->replies[slot->reply_first];

		if (!put_reply(b, reply)) {
			return;
		}
		if (reply->type == CN_FRAME_DONE && slot->lazy_replies > 0) {
			slot->lazy_replies--;
		}
		slot->reply_first =
		    (slot->reply_first + 1) & (slot->reply_cap - 1);
		slot->reply_count--;
	}
	if (slot->reply_cap > 64) { /* a burst is over */
		cn_free(slot->replies);
		slot->replies = NULL;
		slot->reply_cap = 0;
	}
}

static void
put_block_ack(struct block *b)
{
	struct cn_slot *slot = b->slot;
	struct cn_frame frame = { .type = CN_FRAME_BLOCK_ACK };
	struct cn_frame_block_ack *ack = &frame.u.block_ack;
	uint32_t runs = cn_ranges_count(&slot->withheld);
	uint32_t told = CN_MIN(runs, CN_BLOCK_ACK_RANGES_MAX);

	if (slot->settled_blocks == 0 && !slot->is_block_ack_due) {
		return;
	}
	ack->next = runs == 0 ? slot->received_blocks
			      : cn_ranges_at(&slot->withheld, 0).from;
	for (uint32_t i = 0; i < told; i++) {
		struct cn_range hole = cn_ranges_at(&slot->withheld, i);
		uint64_t to = i + 1 < runs
		    ? cn_ranges_at(&slot->withheld, i + 1).from
		    : slot->received_blocks;

		if (to > hole.to) {
			ack->range[ack->ranges].skip = hole.to - hole.from;
			ack->range[ack->ranges].run = to - hole.to;
			ack->ranges++;
		}
	}
	if (put_once(b, &frame)) {
		slot->settled_blocks = 0;
		slot->is_block_ack_due = false;
		slot->block_ack_us = UINT64_MAX;
	}
}

static void
put_carrier_frames(struct block *b)
{
	struct cn_slot *slot = b->slot;
	struct cn_frame frame = { 0 };

	if (slot->is_pong_due) {
		frame.type = CN_FRAME_PONG;
		frame.u.pong.token = slot->pong_token;
		slot->is_pong_due = !put_once(b, &frame);
	}
	if (slot->is_ping_due) {
		frame.type = CN_FRAME_PING;
		frame.u.ping.token = b->now;
		if (put(b, &frame, 0, 0, 0)) {
			slot->is_ping_due = false;
			slot->ping_us = b->now;
		}
	}
	if (slot->is_drain_due) {
		frame.type = CN_FRAME_DRAIN;
		slot->is_drain_due = !put(b, &frame, 0, 0, 0);
	}
}

/* ---- frames of one stream, made from its state ---- */

static bool
put_end(struct block *b, struct cn_stream *s)
{
	struct cn_frame frame = { .type = CN_FRAME_END };

	if (s->outcome == CN_RESET_NONE) {
		frame.u.end.stream = s->id;
	} else {
		frame.type = CN_FRAME_RESET;
		frame.u.reset.stream = s->id;
		frame.u.reset.reason = s->outcome;
	}
	return put(b, &frame, s->id, s->outcome, 0);
}

static bool
put_resume(struct block *b, struct cn_stream *s)
{
	struct cn_frame frame = { .type = CN_FRAME_RESUME };
	struct cn_frame_resume *resume = &frame.u.resume;

	resume->stream = s->id;
	resume->received = s->rx.end;
	resume->written = s->rx.start;
	resume->credit = s->granted;
	if (s->is_fin_known) {
		resume->flags |= CN_RESUME_FIN_KNOWN;
	}
	if ((s->due & CN_DUE_ASK) != 0) {
		resume->flags |= CN_RESUME_ASK;
	}
	if (!put(b, &frame, s->id, 0, (s->due & CN_DUE_ASK) != 0)) {
		return false;
	}
	s->acked_told = s->rx.start;
	s->due &= ~((unsigned)CN_DUE_ASK | CN_DUE_CREDIT | CN_DUE_ACK);
	return true;
}

static bool
put_offset(struct block *b, struct cn_stream *s, enum cn_frame_type type,
    uint64_t offset)
{
	struct cn_frame frame = { .type = type };

	frame.u.ack.stream = s->id;
	frame.u.ack.offset = offset;
	if (!put(b, &frame, s->id, offset, 0)) {
		return false;
	}
	if (type == CN_FRAME_ACK) {
		s->acked_told = offset;
	}
	return true;
}

static bool
put_fin(struct block *b, struct cn_stream *s)
{
	struct cn_frame frame = { .type = CN_FRAME_FIN };

	frame.u.fin.stream = s->id;
	frame.u.fin.length = s->tx.end;
	cn_digest_final(&s->tx_digest, frame.u.fin.digest);
	return put(b, &frame, s->id, s->tx.end, 0);
}

static bool
put_due(struct block *b, struct cn_stream *s, enum cn_due due)
{
	switch (due) {
	case CN_DUE_END:
		return put_end(b, s);
	case CN_DUE_RESUME:
		return put_resume(b, s);
	case CN_DUE_CREDIT:
		return put_offset(b, s, CN_FRAME_CREDIT, s->granted);
	case CN_DUE_ACK:
		return put_offset(b, s, CN_FRAME_ACK, s->rx.start);
	case CN_DUE_ACK_FIN:
		return put_offset(b, s, CN_FRAME_ACK_FIN, s->fin_length);
	case CN_DUE_FIN:
		return put_fin(b, s);
	case CN_DUE_OPEN:
	case CN_DUE_ASK:
	case CN_DUE_NOW:
		break;
	}
	return true;
}

/* All that is due but OPEN, which goes with its data; false: no room. */
static bool
put_stream(struct block *b, struct cn_stream *s)
{
	static const enum cn_due order[] = { CN_DUE_END, CN_DUE_RESUME,
		CN_DUE_CREDIT, CN_DUE_ACK, CN_DUE_ACK_FIN, CN_DUE_FIN };

	for (size_t i = 0; i < CN_ARRAY_LEN(order); i++) {
		if ((s->due & (unsigned)order[i]) == 0) {
			continue;
		}
		if (!put_due(b, s, order[i])) {
			return false;
		}
		s->due &= ~(unsigned)order[i];
	}
	s->due &= ~(unsigned)CN_DUE_NOW;
	cn_list_remove(&s->due_item);
	return true;
}

static bool
put_marker(struct block *b)
{
	struct cn_frame frame = { .type = CN_FRAME_RESUME_END };

	if (!put(b, &frame, 0, 0, 0)) {
		return false;
	}
	cn_list_remove(&b->slot->marker);
	return true;
}

static void
put_streams(struct block *b)
{
	struct cn_slot *slot = b->slot;
	struct cn_list *it;

	while ((it = cn_list_first(&slot->urgent)) != NULL) {
		if (it == &slot->marker) {
			if (!put_marker(b)) {
				return;
			}
		} else if (!put_stream(b,
			       CN_LIST_ENTRY(it, struct cn_stream, due_item))) {
			return;
		}
	}
	while ((it = cn_list_first(&slot->lazy)) != NULL) {
		if (!put_stream(
			b, CN_LIST_ENTRY(it, struct cn_stream, due_item))) {
			return;
		}
	}
	slot->lazy_us = UINT64_MAX;
	slot->lazy_replies = 0; /* what found no room does not wait again */
}

/* ---- data of a lane ---- */

static bool
put_open(struct block *b, struct cn_stream *s)
{
	struct cn_frame frame = { .type = CN_FRAME_OPEN };
	struct cn_frame_open *open = &frame.u.open;
	uint8_t options[CN_TEXT_MAX + 8];
	struct cn_writer w;

	cn_writer_init(&w, options, sizeof(options));
	if (s->client != NULL) {
		cn_writer_varint(&w, CN_OPEN_CLIENT);
		cn_writer_varint(&w, strlen(s->client));
		cn_writer_bytes(&w, s->client, strlen(s->client));
	}
	open->stream = s->id;
	open->credit = s->granted;
	open->scope = s->scope;
	open->flags = (s->is_unstored ? CN_OPEN_NO_STORE : 0) |
	    (s->is_warm ? CN_OPEN_WARM : 0);
	open->service = s->service;
	open->service_len = strlen(s->service);
	open->options = options;
	open->options_len = cn_writer_len(&w);
	if (!put(b, &frame, s->id, 0, 0)) {
		return false;
	}
	s->due &= ~(unsigned)CN_DUE_OPEN;
	s->was_opened = true;
	return true;
}

/* Does this small data look worth coding?  Its verdict lasts a while. */
static bool
is_opaque(struct cn_stream *s, const uint8_t *bytes, size_t len)
{
	if (len >= PROBE_LEAST) {
		s->is_opaque = cn_probe_bytes(bytes, len, s->next == 0) !=
		    CN_PROBE_COMPRESSIBLE;
	}
	return s->is_opaque;
}

/* What keeps small data from being coded. */
static enum cn_loss
why_raw(const struct block *b, const struct cn_stream *s, bool can_code)
{
	return s->profile.level_max <= 0 ? CN_LOSS_RULE
	    : b->link->is_coding_off     ? CN_LOSS_DAMAGE
	    : !can_code                  ? CN_LOSS_MEMORY
					 : CN_LOSS_OPAQUE;
}

/* What a lane's stream may put into this block now. */
static size_t
data_room(const struct block *b, const struct cn_stream *s)
{
	size_t room = cn_writer_room(&b->w);
	uint64_t sendable = cn_stream_sendable(s);

	if (room <= CN_FRAME_DATA_HEAD_MAX || b->is_full ||
	    b->entries == BLOCK_FRAMES) {
		return 0;
	}
	room = CN_MIN(room - CN_FRAME_DATA_HEAD_MAX, CN_DATA_MAX);
	return (size_t)CN_MIN((uint64_t)room, sendable);
}

static void
put_data(struct block *b, struct cn_stream *s, size_t len, bool is_raw)
{
	struct cn_frame frame = { .type = CN_FRAME_DATA };
	bool is_put;

	cn_ring_copy(&s->tx, s->next, b->link->coded, len);
	frame.u.data.stream = s->id;
	frame.u.data.offset = s->next;
	frame.u.data.data = b->link->coded;
	frame.u.data.len = len;
	is_put = put(b, &frame, s->id, s->next, len);
	assert(is_put);
	(void)is_put;
	cn_stream_sent(s, s->next, len);
	s->next += len;
	s->pending_us = 0;
	cn_stream_wake(s);
	b->data_bytes += len;
	if (b->shares < BLOCK_SHARES) {
		b->share[b->shares].stream = s;
		b->share[b->shares].len = len;
		b->share[b->shares].is_raw = is_raw;
		b->shares++;
	}
	if (is_raw) {
		s->sent.raw += len;
		s->sent.framing += cn_frame_size(&frame) - len;
		b->link->stats.sent.raw += len;
		return;
	}
	s->sent.literal += len;
	b->link->stats.sent.literal += len;
}

enum verdict { VERDICT_NONE, VERDICT_CODED, VERDICT_RAW };

/* One stream of the lane; false when the block is full or it would mix raw
 * and coded data. */
static bool
put_lane_stream(
    struct block *b, struct cn_stream *s, bool can_code, enum verdict *verdict)
{
	struct cn_span span;
	enum verdict mine = VERDICT_RAW;
	size_t len = 0;

	/* Behind OPEN bulk goes as such, so that it meets the store. */
	if (cn_stream_sendable(s) > 0 && !s->is_warm &&
	    cn_stream_sendable(s) < CN_LINK_BULK_BYTES &&
	    cn_ring_view(&s->tx, s->next, &span, 1) == 1) {
		len = span.len;
	}
	if (can_code && s->profile.level_max > 0 &&
	    (len == 0 || !is_opaque(s, span.data, len))) {
		mine = VERDICT_CODED;
	}
	if (len > 0) {
		cn_loss_look_sent(
		    s, s->next, span.data, len, mine == VERDICT_RAW);
	}
	if (len == 0 && (s->due & CN_DUE_OPEN) == 0 &&
	    *verdict != VERDICT_NONE) {
		mine = *verdict; /* an end goes with whatever goes */
	}
	if (*verdict != VERDICT_NONE && *verdict != mine) {
		return false;
	}
	if ((s->due & CN_DUE_OPEN) != 0 && !put_open(b, s)) {
		return false;
	}
	*verdict = mine;
	if (len > 0) {
		len = data_room(b, s);
		if (len == 0) {
			return false;
		}
		if (mine == VERDICT_RAW) {
			cn_loss_sent(s, why_raw(b, s, can_code), len);
		}
		put_data(b, s, len, mine == VERDICT_RAW);
	}
	/* The end of file goes as the last of its bytes. */
	if (cn_stream_is_fin_ready(s) && cn_ranges_count(&s->resend) == 0) {
		if (!put_fin(b, s)) {
			return false;
		}
		s->is_fin_sent = true;
	}
	cn_list_remove(&s->small_item);
	cn_stream_schedule(s, b->now);
	return true;
}

/*
 * The streams of the lane at the front, until the block is full.  Returns
 * whether what was written is to be coded.
 */
static bool
put_lane(struct block *b, struct cn_lane **ret)
{
	struct cn_slot *slot = b->slot;
	struct cn_list *first = cn_list_first(&slot->ready);
	enum verdict verdict = VERDICT_NONE;
	struct cn_lane *lane;
	struct cn_list *it, mine;
	bool can_code;

	*ret = NULL;
	if (first == NULL) {
		return false;
	}
	lane = CN_LIST_ENTRY(first, struct cn_lane, ready_item);
	can_code = !b->link->is_coding_off &&
	    cn_lane_open(b->link, slot, lane, b->now);
	/* Each stream once a block; who has more comes again at the end. */
	cn_list_init(&mine);
	cn_list_splice(&mine, &lane->streams);
	while ((it = cn_list_first(&mine)) != NULL) {
		if (!put_lane_stream(b,
			CN_LIST_ENTRY(it, struct cn_stream, small_item),
			can_code, &verdict)) {
			break;
		}
	}
	cn_list_splice(&mine, &lane->streams);
	cn_list_splice(&lane->streams, &mine);
	cn_list_remove(&lane->ready_item);
	if (!cn_list_is_empty(&lane->streams)) {
		cn_list_append(&slot->ready, &lane->ready_item);
	} else {
		cn_lane_drop_if_idle(slot, lane);
	}
	if (verdict == VERDICT_CODED) {
		*ret = lane;
	}
	return verdict == VERDICT_CODED;
}

/* Tell the streams of the block what their bytes cost on the wire. */
static void
account(struct block *b, size_t head_len, size_t coded_len)
{
	for (unsigned i = 0; i < b->shares; i++) {
		struct cn_link_bytes *sent = &b->share[i].stream->sent;

		sent->framing += head_len * b->share[i].len / b->data_bytes;
		if (!b->share[i].is_raw) {
			sent->coded +=
			    coded_len * b->share[i].len / b->data_bytes;
		}
	}
	b->link->stats.sent.coded += coded_len;
}

/* Code what stands behind raw_len, if it can be; then head and body. */
static size_t
finish(struct block *b, struct cn_lane *lane, size_t raw_len, uint8_t *out,
    size_t cap)
{
	struct cn_lane_head head = { 0 };
	const uint8_t *plain = b->link->plain;
	size_t len = cn_writer_len(&b->w), coded_len = 0, n;

	if (lane != NULL && len > raw_len) {
		if (cn_lane_enc_block(lane->enc, plain + raw_len, len - raw_len,
			b->link->coded, sizeof(b->link->coded),
			&coded_len) == CN_OK) {
			head.is_coded = true;
			head.lane = lane->id;
			head.generation = lane->generation;
			head.sequence = lane->sequence++;
			head.plain_len = (uint32_t)(len - raw_len);
			head.coded_len = (uint32_t)coded_len;
		} else {
			cn_lane_restart(b->slot, lane);
		}
	}
	if (!head.is_coded) {
		raw_len = len;
	}
	head.raw_len = (uint32_t)raw_len;
	head.hash = cn_block_lane_hash(&head, plain, len);
	n = cn_fragment_lane_head(out, cap, &head);
	assert(n > 0 && n + raw_len + coded_len <= cap);
	memcpy(out + n, plain, raw_len);
	memcpy(out + n + raw_len, b->link->coded, coded_len);
	cn_sent_end(&b->slot->sent,
	    head.is_coded ? (uint32_t)head.lane : CN_SENT_NO_LANE,
	    head.generation);
	account(b, n, coded_len);
	b->link->stats.blocks_sent++;
	return n + raw_len + coded_len;
}

/*
 * Until when small data waits for company though the carrier is idle: while
 * other small data is under way more is likely to come, and a wait of an
 * eighth of the round trip is felt by nobody.  Who waits for an answer before
 * the next message never meets this.  0: it goes now.
 */
static uint64_t
crowded_until(const struct cn_slot *slot, uint32_t wait_us)
{
	uint64_t rtt = CN_MAX(slot->rtt_us, slot->ping_rtt_us);

	if (slot->small_us == 0 ||
	    cn_sent_is_settled(&slot->sent, slot->small_block)) {
		return 0;
	}
	return slot->small_us + CN_MIN((uint64_t)wait_us, rtt / CROWD_SHARE);
}

static bool
is_small_ready(struct cn_slot *slot, uint64_t now)
{
	uint64_t until;

	struct cn_list *first, *it = NULL;
	uint32_t wait;

	while (it == NULL && (first = cn_list_first(&slot->ready)) != NULL) {
		struct cn_lane *lane =
		    CN_LIST_ENTRY(first, struct cn_lane, ready_item);

		it = cn_list_first(&lane->streams);
		if (it == NULL) { /* its streams ended or went bulk */
			cn_list_remove(&lane->ready_item);
			cn_lane_drop_if_idle(slot, lane);
		}
	}
	if (it == NULL) {
		slot->hold_us = 0;
		slot->is_hold_over = false;
		return false;
	}
	wait = CN_LIST_ENTRY(it, struct cn_stream, small_item)
		   ->profile.coalesce_us;
	until = slot->is_busy ? now + wait : crowded_until(slot, wait);
	if (until <= now) {
		slot->hold_us = 0;
		slot->is_hold_over = false;
		return true;
	}
	if (slot->hold_us == 0) {
		slot->hold_us = until;
	}
	return slot->is_hold_over || now >= slot->hold_us;
}

static bool
is_control_ready(const struct cn_slot *slot, uint64_t now)
{
	return !cn_list_is_empty(&slot->urgent) ||
	    slot->reply_count > slot->lazy_replies || slot->is_ping_due ||
	    slot->is_pong_due || slot->is_drain_due || slot->is_block_ack_due ||
	    now >= slot->block_ack_us || now >= slot->lazy_us;
}

size_t
cn_compose_lane_block(struct cn_link *link, struct cn_slot *slot, uint8_t *out,
    size_t cap, uint64_t now)
{
	bool is_small = is_small_ready(slot, now);
	struct cn_sent *table = &slot->sent;
	struct cn_lane *lane = NULL;
	struct block b = { .link = link, .slot = slot, .now = now };
	size_t raw_len, room;

	if ((!is_small && !is_control_ready(slot, now)) || cap < BLOCK_LEAST) {
		return 0;
	}
	/* Blocks that make entries stop early, so that others can go on. */
	b.is_full = !cn_sent_has_room(table, BLOCK_FRAMES) ||
	    table->next_block - table->first_block >=
		CN_SENT_BLOCKS - BLOCK_RESERVE;
	if (!cn_sent_has_room(table, 0) ||
	    cn_sent_begin(table, b.is_full ? 0 : BLOCK_FRAMES) != CN_OK) {
		return 0;
	}
	/* What the lane makes of incompressible bytes must fit as well. */
	room = CN_MIN(cap, CN_FRAGMENT_MAX) - CN_FRAGMENT_HEAD_MAX -
	    CN_LANE_HEAD_MAX;
	while (room + 256 > CN_LANE_PLAIN_MAX ||
	    cn_lane_enc_bound(room) + 128 > CN_MIN(cap, CN_FRAGMENT_MAX)) {
		room -= 128;
	}
	cn_writer_init(&b.w, link->plain, room);
	put_block_ack(&b);
	put_carrier_frames(&b);
	put_replies(&b);
	put_streams(&b);
	raw_len = cn_writer_len(&b.w);
	if (is_small && !b.is_full) {
		(void)put_lane(&b, &lane);
		slot->hold_us = 0;
		slot->is_hold_over = false;
	}
	if (b.data_bytes > 0) {
		slot->small_us = now;
		slot->small_block = table->next_block;
	}
	if (cn_writer_len(&b.w) == 0) {
		return 0; /* the table has no room for what is due */
	}
	return finish(&b, lane, raw_len, out, cap);
}
