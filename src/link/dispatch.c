/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "wire/cursor.h"

/* Blocks that may wait for one BLOCK_ACK. */
#define BLOCK_ACK_EVERY 64u

/* What became of one block's frames. */
struct taken {
	bool is_eliciting;        /* the peer wants to hear of it */
	enum cn_nack_reason nack; /* 0: none */
	enum cn_close close;      /* the peer's CLOSE; 0: none */
	bool is_closed;
	bool is_coded; /* came through a lane */
};

/* ---- streams by id ---- */

/* Ids carry the opener's parity: the dialler's are even. */
static bool
is_our_id(const struct cn_link *link, uint64_t id)
{
	return (id % 2 == 0) == link->config.is_dialler;
}

static bool
was_seen(const struct cn_link *link, uint64_t id)
{
	return is_our_id(link, id) ? id < link->next_id
				   : cn_ranges_contains(&link->seen, id / 2);
}

static int
mark_seen(struct cn_link *link, uint64_t id)
{
	return cn_ranges_add(&link->seen, id / 2, id / 2 + 1);
}

static struct cn_stream *
find_live(const struct cn_link *link, uint64_t id)
{
	struct cn_stream *s = cn_stream_find(link, id);

	return s != NULL && s->state == CN_STREAM_LIVE ? s : NULL;
}

/* The peer spoke of a stream that we opened: it knows it. */
static void
confirm(struct cn_stream *s)
{
	if (!s->is_confirmed) {
		s->is_confirmed = true;
		s->due &= ~(unsigned)CN_DUE_OPEN;
	}
}

/* Without room for it the peer asks again on its next carrier. */
static void
refuse(struct cn_slot *slot, uint64_t id, enum cn_reset reason)
{
	(void)cn_compose_reply(slot, CN_FRAME_RESET, id, reason, 0);
}

/* ---- frames ---- */

static int
take_open(struct cn_link *link, struct cn_slot *slot,
    const struct cn_frame_open *open, uint64_t now)
{
	struct cn_stream *s = cn_stream_find(link, open->stream);
	struct cn_cursor c;

	if (is_our_id(link, open->stream)) {
		return CN_EPROTO;
	}
	if (s != NULL && s->state == CN_STREAM_LIVE) {
		cn_stream_set_due(s, CN_DUE_CREDIT | CN_DUE_NOW, now);
		return CN_OK;
	}
	if (s != NULL || was_seen(link, open->stream)) {
		refuse(slot, open->stream, CN_RESET_BUSY);
		return CN_OK;
	}
	if (mark_seen(link, open->stream) != CN_OK) {
		return CN_ELIMIT;
	}
	if (link->is_draining || link->is_peer_draining) {
		refuse(slot, open->stream, CN_RESET_SHUTDOWN);
		return CN_OK;
	}
	s = link->theirs_live >= link->config.streams_max
	    ? NULL
	    : cn_stream_new(link, open->stream, false, now);
	if (s != NULL) {
		s->service = cn_calloc(1, open->service_len + 1);
	}
	if (s == NULL || s->service == NULL) {
		if (s != NULL) {
			s->is_held = false;
			cn_stream_destroy(s);
		}
		refuse(slot, open->stream, CN_RESET_BUSY);
		return CN_OK;
	}
	memcpy(s->service, open->service, open->service_len);
	cn_cursor_init(&c, open->options, open->options_len);
	while (cn_cursor_remaining(&c) > 0) {
		uint64_t type = cn_cursor_varint(&c);
		size_t len = (size_t)cn_cursor_varint(&c);
		const uint8_t *value = cn_cursor_bytes(&c, len);

		if (type == CN_OPEN_CLIENT && value != NULL) {
			s->client = cn_calloc(1, len + 1);
			if (s->client != NULL) {
				memcpy(s->client, value, len);
			}
		}
	}
	s->slot = cn_slot_number(link, slot);
	s->scope = open->scope;
	s->credit = CN_MAX(s->credit, open->credit);
	s->is_confirmed = true;
	link->stats.streams_accepted++;
	cn_stream_tell(s, CN_TOLD_OPEN);
	cn_stream_set_due(s, CN_DUE_CREDIT | CN_DUE_NOW, now);
	return CN_OK;
}

/* Bytes for a stream that is not live: late ones of a dead stream are
 * nothing; those of one whose OPEN is missing must come again. */
static int
take_orphan(const struct cn_link *link, uint64_t id, struct taken *taken)
{
	if (was_seen(link, id)) {
		return CN_OK;
	}
	if (is_our_id(link, id)) {
		return CN_EPROTO;
	}
	taken->nack = CN_NACK_NO_STREAM;
	return CN_OK;
}

/* Errors that only ask for the bytes again. */
static int
taken_error(int r, struct taken *taken)
{
	if (r == CN_ENOMEM) {
		taken->nack = CN_NACK_MEMORY;
		return CN_OK;
	}
	if (r == CN_ELIMIT) {
		taken->nack = CN_NACK_GAPS;
		return CN_OK;
	}
	return r;
}

static void
count_received(struct cn_stream *s, bool is_coded, size_t len, size_t coded_len)
{
	struct cn_link_bytes *of_stream = &s->received_bytes;
	struct cn_link_bytes *of_link = &s->link->stats.received;

	if (is_coded) {
		of_stream->literal += len;
		of_link->literal += len;
		of_stream->coded += coded_len;
		of_link->coded += coded_len;
	} else {
		of_stream->raw += len;
		of_link->raw += len;
	}
}

static int
take_data(struct cn_link *link, const struct cn_frame_data *data,
    struct taken *taken, uint64_t now)
{
	struct cn_stream *s = find_live(link, data->stream);

	taken->is_eliciting = true;
	if (s == NULL) {
		return take_orphan(link, data->stream, taken);
	}
	count_received(s, taken->is_coded, data->len, 0);
	return taken_error(
	    cn_deliver_bytes(s, data->offset, data->data, data->len, now),
	    taken);
}

static int
take_fin(struct cn_link *link, const struct cn_frame_fin *fin,
    struct taken *taken, uint64_t now)
{
	struct cn_stream *s = find_live(link, fin->stream);

	taken->is_eliciting = true;
	if (s == NULL) {
		return take_orphan(link, fin->stream, taken);
	}
	return cn_deliver_fin(s, fin, now);
}

/* END or RESET: reason NONE is END. */
static int
take_end(struct cn_link *link, struct cn_slot *slot, uint64_t id,
    uint64_t reason, bool is_end, uint64_t now)
{
	struct cn_stream *s = cn_stream_find(link, id);

	if (s != NULL && s->state == CN_STREAM_ENDING) {
		cn_stream_done(s);
	} else if (s != NULL && s->state == CN_STREAM_LIVE) {
		confirm(s);
		if (!is_end) {
			cn_stream_fail(s,
			    reason == CN_RESET_NONE || reason >= CN_RESET_MAX
				? CN_RESET_PROTOCOL
				: (enum cn_reset)reason,
			    false, now);
		} else if (!s->is_shut || !s->is_finished ||
		    s->sent_max != s->tx.end) {
			/* A clean end of what did not end here: a lie. */
			return CN_EPROTO;
		} else {
			cn_stream_peer_ended(s, now);
		}
	} else if (!is_our_id(link, id) && mark_seen(link, id) != CN_OK) {
		return CN_ELIMIT;
	}
	/* Without room the peer asks again on its next carrier. */
	(void)cn_compose_reply(slot, CN_FRAME_DONE, id, 0, 0);
	return CN_OK;
}

static void
take_credit(struct cn_stream *s, uint64_t offset, uint64_t now)
{
	if (s->is_ours) {
		confirm(s);
	}
	if (offset <= s->credit) {
		return;
	}
	s->credit = offset;
	cn_stream_schedule(s, now);
}

static int
take_ack(struct cn_stream *s, uint64_t offset, uint64_t now)
{
	confirm(s);
	if (offset > s->sent_max) {
		return CN_EPROTO;
	}
	cn_stream_acked(s, offset, now);
	return CN_OK;
}

static int
take_ack_fin(struct cn_stream *s, uint64_t length, uint64_t now)
{
	confirm(s);
	if (!s->is_finished || length != s->tx.end || length != s->sent_max) {
		return CN_EPROTO;
	}
	cn_stream_acked(s, length, now);
	s->is_fin_acked = true;
	s->is_fin_sent = true;
	s->due &= ~(unsigned)CN_DUE_FIN;
	cn_stream_check_end(s, now);
	return CN_OK;
}

static void
take_resume_unknown(struct cn_link *link, struct cn_slot *slot,
    const struct cn_frame_resume *resume, uint64_t now)
{
	struct cn_stream *s = cn_stream_find(link, resume->stream);

	if (s != NULL && s->state == CN_STREAM_ENDING) {
		cn_stream_set_due(s, CN_DUE_END, now);
	} else if ((resume->flags & CN_RESUME_ASK) != 0) {
		refuse(slot, resume->stream, CN_RESET_LINK_LOST);
	}
}

static int
take_resume(struct cn_link *link, struct cn_slot *slot,
    const struct cn_frame_resume *resume, uint64_t now)
{
	struct cn_stream *s = find_live(link, resume->stream);
	uint32_t number = cn_slot_number(link, slot);

	if (is_our_id(link, resume->stream) &&
	    resume->stream >= link->next_id) {
		return CN_EPROTO;
	}
	if (s == NULL) {
		take_resume_unknown(link, slot, resume, now);
		return CN_OK;
	}
	if (resume->received > s->sent_max ||
	    resume->written > resume->received) {
		return CN_EPROTO;
	}
	confirm(s);
	/* The opener chooses the carrier; the other side follows. */
	if (!s->is_ours && s->slot != number) {
		cn_stream_move(s, number, false, now);
	}
	if ((resume->flags & CN_RESUME_ASK) != 0) {
		cn_stream_set_due(s, CN_DUE_RESUME, now);
	}
	take_credit(s, resume->credit, now);
	cn_stream_acked(s, resume->written, now);
	if (s->is_waiting) {
		s->is_waiting = false;
		cn_stream_rewind(s, resume->received, now);
		if ((resume->flags & CN_RESUME_FIN_KNOWN) != 0 &&
		    s->is_finished && s->next == s->tx.end) {
			s->is_fin_sent = true;
			s->due &= ~(unsigned)CN_DUE_FIN;
		}
	}
	if (s->is_roomless && cn_stream_room(s) > 0) {
		cn_stream_tell(s, CN_TOLD_WRITABLE);
	}
	return CN_OK;
}

/* The peer told all that it knows of this carrier's streams. */
static void
take_resume_end(struct cn_link *link, struct cn_slot *slot, uint64_t now)
{
	uint32_t number = cn_slot_number(link, slot);
	size_t pos = 0;
	uint64_t id;
	void *value;

	while (cn_map_next(&link->streams, &pos, &id, &value)) {
		struct cn_stream *s = value;

		if (s->state != CN_STREAM_LIVE || s->slot != number ||
		    !s->is_waiting) {
			continue;
		}
		/* Not named: opened anew if the peer may never have heard of
		 * it, else asked for. */
		cn_stream_move(s, number, true, now);
	}
}

static int
take_nack(struct cn_link *link, struct cn_slot *slot, uint64_t block,
    uint64_t reason, uint64_t now)
{
	unsigned last = CN_LINK_BAD_HASHES - 1;

	if (reason < CN_NACK_MAX) {
		link->stats.nacks_received[reason]++;
	}
	if (reason == CN_NACK_HASH || reason == CN_NACK_CODING) {
		memmove(link->bad_hash_us, link->bad_hash_us + 1,
		    last * sizeof(link->bad_hash_us[0]));
		link->bad_hash_us[last] = now + 1;
		if (link->bad_hash_us[0] != 0 &&
		    now - link->bad_hash_us[0] < CN_LINK_BAD_HASH_US) {
			link->is_coding_off = true;
		}
	}
	slot->is_block_ack_due = true;
	return cn_table_rebuild(link, slot, block, now);
}

static int
take_miss(struct cn_link *link, uint64_t id, uint64_t offset, uint64_t len,
    uint64_t now)
{
	struct cn_stream *s = find_live(link, id);

	link->stats.misses_received++;
	if (s == NULL) {
		return was_seen(link, id) ? CN_OK : CN_EPROTO;
	}
	if (len > s->sent_max || offset > s->sent_max - len) {
		return CN_EPROTO;
	}
	cn_stream_resend(s, offset, len, now);
	return CN_OK;
}

/* A frame about one live stream; unknown ones are late. */
static int
take_stream_frame(
    struct cn_link *link, const struct cn_frame *frame, uint64_t now)
{
	struct cn_stream *s = find_live(link, frame->u.ack.stream);

	if (s == NULL) {
		return was_seen(link, frame->u.ack.stream) ||
			!is_our_id(link, frame->u.ack.stream)
		    ? CN_OK
		    : CN_EPROTO;
	}
	if (frame->type == CN_FRAME_CREDIT) {
		take_credit(s, frame->u.credit.offset, now);
		return CN_OK;
	}
	if (frame->type == CN_FRAME_ACK) {
		return take_ack(s, frame->u.ack.offset, now);
	}
	return take_ack_fin(s, frame->u.ack_fin.offset, now);
}

static void
take_done(struct cn_link *link, uint64_t id)
{
	struct cn_stream *s = cn_stream_find(link, id);

	if (s != NULL && s->state == CN_STREAM_ENDING) {
		cn_stream_done(s);
	}
}

static int
take_frame(struct cn_link *link, struct cn_slot *slot, const struct cn_frame *f,
    struct taken *taken, uint64_t now)
{
	switch (f->type) {
	case CN_FRAME_BLOCK_ACK:
		return cn_table_settle(slot, &f->u.block_ack);
	case CN_FRAME_CREDIT:
	case CN_FRAME_ACK:
		return take_stream_frame(link, f, now);
	case CN_FRAME_DONE:
		take_done(link, f->u.done.stream);
		return CN_OK;
	case CN_FRAME_NACK:
		return take_nack(
		    link, slot, f->u.nack.block, f->u.nack.reason, now);
	case CN_FRAME_PONG:
		if (slot->ping_us != 0 && f->u.pong.token == slot->ping_us) {
			slot->ping_us = 0;
			link->stats.rtt_us = now - f->u.pong.token;
			if (slot->rtt_us == 0) {
				slot->rtt_us = link->stats.rtt_us;
			}
		}
		return CN_OK;
	case CN_FRAME_CLOSE:
		taken->is_closed = true;
		taken->close = f->u.close.code > CN_CLOSE_OK &&
			f->u.close.code < CN_CLOSE_MAX
		    ? (enum cn_close)f->u.close.code
		    : CN_CLOSE_PROTOCOL;
		return CN_OK;
	case CN_FRAME_DATA:
		return take_data(link, &f->u.data, taken, now);
	case CN_FRAME_FIN:
		return take_fin(link, &f->u.fin, taken, now);
	case CN_FRAME_OPEN:
	case CN_FRAME_RESET:
	case CN_FRAME_END:
	case CN_FRAME_ACK_FIN:
	case CN_FRAME_MISS:
	case CN_FRAME_PING:
	case CN_FRAME_LANE_CLOSE:
	case CN_FRAME_RESUME:
	case CN_FRAME_RESUME_END:
	case CN_FRAME_DRAIN:
		break;
	}
	taken->is_eliciting = true;
	switch (f->type) {
	case CN_FRAME_OPEN:
		return take_open(link, slot, &f->u.open, now);
	case CN_FRAME_RESET:
		return take_end(link, slot, f->u.reset.stream,
		    f->u.reset.reason, false, now);
	case CN_FRAME_END:
		return take_end(
		    link, slot, f->u.end.stream, CN_RESET_NONE, true, now);
	case CN_FRAME_ACK_FIN:
		return take_stream_frame(link, f, now);
	case CN_FRAME_MISS:
		return take_miss(link, f->u.miss.stream, f->u.miss.offset,
		    f->u.miss.len, now);
	case CN_FRAME_PING:
		slot->is_pong_due = true;
		slot->pong_token = f->u.ping.token;
		return CN_OK;
	case CN_FRAME_LANE_CLOSE:
		cn_lane_in_close(
		    slot, f->u.lane_close.lane, f->u.lane_close.generation);
		return CN_OK;
	case CN_FRAME_RESUME:
		return take_resume(link, slot, &f->u.resume, now);
	case CN_FRAME_RESUME_END:
		take_resume_end(link, slot, now);
		return CN_OK;
	case CN_FRAME_DRAIN:
		link->is_peer_draining = true;
		return CN_OK;
	case CN_FRAME_DATA:
	case CN_FRAME_FIN:
	case CN_FRAME_CREDIT:
	case CN_FRAME_ACK:
	case CN_FRAME_DONE:
	case CN_FRAME_BLOCK_ACK:
	case CN_FRAME_NACK:
	case CN_FRAME_PONG:
	case CN_FRAME_CLOSE:
		break;
	}
	return CN_EPROTO;
}

static int
take_frames(struct cn_link *link, struct cn_slot *slot, const uint8_t *bytes,
    size_t len, struct taken *taken, uint64_t now)
{
	struct cn_cursor c;
	struct cn_frame frame;
	int r;

	cn_cursor_init(&c, bytes, len);
	while ((r = cn_frame_decode(&c, &frame)) == CN_OK) {
		r = take_frame(link, slot, &frame, taken, now);
		if (r != CN_OK) {
			return r;
		}
	}
	return r == CN_EEND ? CN_OK : r;
}

/* ---- blocks ---- */

static int
withhold(struct cn_slot *slot, uint64_t number)
{
	return cn_ranges_add(&slot->withheld, number, number + 1);
}

/* A block was settled: the peer hears of it, soon or with the next frames. */
static int
settle_block(struct cn_link *link, struct cn_slot *slot, uint64_t number,
    const struct taken *taken, uint64_t now)
{
	if (taken->nack != 0) {
		link->stats.nacks_sent[taken->nack]++;
		if (cn_ranges_add(&slot->nacked, number, number + 1) != CN_OK ||
		    withhold(slot, number) != CN_OK ||
		    !cn_compose_reply(
			slot, CN_FRAME_NACK, number, taken->nack, 0)) {
			return CN_ENOMEM;
		}
	}
	slot->settled_blocks++;
	if (!taken->is_eliciting) {
		return CN_OK;
	}
	if (slot->settled_blocks >= BLOCK_ACK_EVERY) {
		slot->is_block_ack_due = true;
	} else if (slot->block_ack_us == UINT64_MAX) {
		slot->block_ack_us = now + CN_LINK_ACK_DELAY_US;
	}
	return CN_OK;
}

static int
take_lane_block(struct cn_link *link, struct cn_slot *slot,
    const struct cn_fragment *f, uint64_t now)
{
	const struct cn_lane_head *head = &f->lane;
	uint64_t number = slot->received_blocks++;
	const uint8_t *plain = f->body;
	size_t len = head->raw_len;
	struct taken taken = { 0 };
	int r;

	link->stats.blocks_received++;
	if (head->is_coded) {
		memcpy(link->plain, f->body, head->raw_len);
		r = cn_lane_in_block(link, slot, head, f->body + head->raw_len,
		    link->plain + head->raw_len);
		if (r == CN_EAGAIN) {
			return withhold(slot, number); /* they come again */
		}
		if (r == CN_ECODING) {
			taken.nack = CN_NACK_CODING;
			return settle_block(link, slot, number, &taken, now);
		}
		if (r != CN_OK) {
			return r;
		}
		plain = link->plain;
		len += head->plain_len;
		taken.is_coded = true;
		link->stats.received.coded += head->coded_len;
	}
	if (cn_block_lane_hash(head, plain, len) != head->hash) {
		if (head->is_coded) {
			slot->lanes_in[head->lane].is_failed = true;
		}
		taken.nack = CN_NACK_HASH;
		return settle_block(link, slot, number, &taken, now);
	}
	r = take_frames(link, slot, plain, len, &taken, now);
	if (r != CN_OK) {
		return r;
	}
	if (taken.is_closed) {
		cn_link_carrier_failed(link, slot, taken.close, now);
		return CN_OK;
	}
	return settle_block(link, slot, number, &taken, now);
}

/* ---- batches ---- */

static int
begin_batch(struct cn_link *link, struct cn_slot *slot,
    const struct cn_batch_head *head)
{
	struct cn_pool *pool = link->config.pool;
	enum cn_page_class class = CN_PAGE_BATCH;

	if (head->plain_len <= CN_PAGE_SMALL_BYTES) {
		class = CN_PAGE_SMALL;
	} else if (head->plain_len <= CN_PAGE_LARGE_BYTES) {
		class = CN_PAGE_LARGE;
	}
	if (slot->in.coded == NULL && head->coding != CN_CODING_RAW) {
		slot->in.coded = cn_alloc(CN_BATCH_CODED_MAX);
		if (slot->in.coded == NULL) {
			return CN_ENOMEM;
		}
	}
	slot->in.head = *head;
	slot->in.head.ext = NULL;
	slot->in.head.ext_len = 0;
	slot->in.number = slot->received_blocks++;
	slot->in.got = 0;
	slot->in.is_active = true;
	/* Without a page the batch is read over and asked for again. */
	slot->in.page = cn_pool_get(pool, class);
	link->stats.blocks_received++;
	return withhold(slot, slot->in.number);
}

static uint8_t *
batch_space(struct cn_slot *slot)
{
	if (slot->in.page == NULL) {
		return NULL;
	}
	return slot->in.head.coding == CN_CODING_RAW ? slot->in.page->data
						     : slot->in.coded;
}

/* The prefix that the batch names, if both ends kept the same. */
static bool
find_prefix(const struct cn_stream *s, const struct cn_batch_head *head,
    const uint8_t **ret)
{
	*ret = NULL;
	if (head->prefix_len == 0) {
		return true;
	}
	if (s->rx_hist.len < head->prefix_len ||
	    s->rx_hist.end != head->offset) {
		return false;
	}
	*ret = cn_history_tail(&s->rx_hist, head->prefix_len);
	return true;
}

static void
keep_batch(struct cn_link *link, struct cn_stream *s,
    const struct cn_batch_head *head, const uint8_t *plain, uint64_t now)
{
	uint8_t *room;

	s->is_keeping = (head->flags & CN_BATCH_KEEP) != 0;
	if (!s->is_keeping ||
	    (s->rx_hist.len > 0 && s->rx_hist.end != head->offset)) {
		cn_history_drop(&s->rx_hist);
	}
	cn_list_remove(&s->recv_hist_item);
	if (!s->is_keeping) {
		return;
	}
	room = cn_history_room(&s->rx_hist, head->plain_len);
	if (room != NULL) {
		memcpy(room, plain, head->plain_len);
		cn_history_keep(&s->rx_hist, head->plain_len,
		    head->offset + head->plain_len);
		s->recv_hist_us = now;
		cn_list_append(&link->recv_hist, &s->recv_hist_item);
	}
}

/* Decode, check and deliver the batch that is complete. */
static int
use_batch(struct cn_link *link, struct cn_slot *slot, struct cn_stream *s,
    struct taken *taken, uint64_t now)
{
	const struct cn_batch_head *head = &slot->in.head;
	struct cn_page *page = slot->in.page;
	const uint8_t *prefix;
	int r;

	if (head->offset + head->plain_len > s->granted) {
		return CN_EPROTO;
	}
	if (page == NULL) {
		taken->nack = CN_NACK_MEMORY;
		return CN_OK;
	}
	if (head->coding == CN_CODING_ZSTD) {
		if (!find_prefix(s, head, &prefix)) {
			link->stats.misses_sent++;
			return cn_compose_reply(slot, CN_FRAME_MISS, s->id,
				   head->offset, head->plain_len)
			    ? CN_OK
			    : CN_ENOMEM;
		}
		r = cn_codec_batch_decode(link->config.codec, prefix,
		    head->prefix_len, slot->in.coded, head->coded_len,
		    page->data, head->plain_len);
		if (r != CN_OK) {
			taken->nack =
			    r == CN_ENOMEM ? CN_NACK_MEMORY : CN_NACK_CODING;
			return CN_OK;
		}
	}
	if (cn_block_batch_hash(head, page->data, head->plain_len) !=
	    head->hash) {
		taken->nack = CN_NACK_HASH;
		return CN_OK;
	}
	count_received(s, head->coding == CN_CODING_ZSTD, head->plain_len,
	    head->coded_len);
	keep_batch(link, s, head, page->data, now);
	page->len = head->plain_len;
	slot->in.page = NULL;
	return taken_error(cn_deliver_page(s, head->offset, page, now), taken);
}

static int
end_batch(struct cn_link *link, struct cn_slot *slot, uint64_t now)
{
	struct cn_stream *s = find_live(link, slot->in.head.stream);
	struct taken taken = { .is_eliciting = true };
	int r;

	if (s == NULL) {
		r = take_orphan(link, slot->in.head.stream, &taken);
	} else {
		r = use_batch(link, slot, s, &taken, now);
	}
	cn_pool_put(link->config.pool, slot->in.page);
	slot->in.page = NULL;
	slot->in.is_active = false;
	/* Without memory to split a run it stays left out, which is safe. */
	(void)!cn_ranges_remove(
	    &slot->withheld, slot->in.number, slot->in.number + 1);
	return r != CN_OK
	    ? r
	    : settle_block(link, slot, slot->in.number, &taken, now);
}

static int
take_batch_bytes(struct cn_link *link, struct cn_slot *slot,
    const uint8_t *bytes, size_t len, uint64_t now)
{
	uint8_t *space = batch_space(slot);

	if (len > slot->in.head.coded_len - slot->in.got) {
		return CN_EPROTO;
	}
	if (space != NULL) {
		memcpy(space + slot->in.got, bytes, len);
	}
	slot->in.got += len;
	if (slot->in.got < slot->in.head.coded_len) {
		return CN_OK;
	}
	return end_batch(link, slot, now);
}

static int
take_fragment(struct cn_link *link, struct cn_slot *slot,
    const struct cn_fragment *f, uint64_t now)
{
	int r;

	switch (f->kind) {
	case CN_FRAGMENT_LANE_RAW:
	case CN_FRAGMENT_LANE_CODED:
		return take_lane_block(link, slot, f, now);
	case CN_FRAGMENT_BATCH:
		if (slot->in.is_active || f->batch.ext_len > 0) {
			return CN_EPROTO;
		}
		r = begin_batch(link, slot, &f->batch);
		if (r != CN_OK) {
			return r;
		}
		return take_batch_bytes(link, slot, f->body, f->body_len, now);
	case CN_FRAGMENT_MORE:
		if (!slot->in.is_active) {
			return CN_EPROTO;
		}
		return take_batch_bytes(link, slot, f->body, f->body_len, now);
	}
	return CN_EPROTO;
}

int
cn_link_receive(struct cn_link *link, uint32_t number, const uint8_t *bytes,
    size_t len, uint64_t now, size_t *used)
{
	struct cn_slot *slot = &link->slot[number];
	struct cn_fragment f;
	size_t at = 0, part;
	int r = CN_OK;

	assert(number < link->config.slots);
	while (slot->is_up && at < len) {
		r = cn_fragment_decode(bytes + at, len - at, &f, &part);
		if (r == CN_EAGAIN) {
			r = CN_OK;
			break;
		}
		if (r != CN_OK) {
			break;
		}
		at += part;
		slot->heard_us = now;
		link->stats.received.framing += part;
		r = take_fragment(link, slot, &f, now);
		if (r != CN_OK) {
			break;
		}
	}
	*used = at;
	if (r == CN_OK) {
		return CN_OK;
	}
	cn_link_carrier_failed(link, slot,
	    r == CN_EPROTO       ? CN_CLOSE_PROTOCOL
		: r == CN_ELIMIT ? CN_CLOSE_LIMIT
				 : CN_CLOSE_INTERNAL,
	    now);
	return r == CN_ELIMIT ? CN_EPROTO : r;
}
