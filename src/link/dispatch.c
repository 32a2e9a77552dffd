/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "wire/cursor.h"

/* DONEs beyond these wait for nothing. */
#define LAZY_REPLIES_MAX 256u

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

struct cn_stream *
cn_dispatch_live(const struct cn_link *link, uint64_t id)
{
	struct cn_stream *s = cn_stream_find(link, id);

	return s != NULL && s->state == CN_STREAM_LIVE ? s : NULL;
}

/* The peer spoke of a stream that we opened: it knows it. */
static void
confirm(struct cn_stream *s, uint64_t now)
{
	if (s->is_confirmed) {
		return;
	}
	s->is_confirmed = true;
	if ((s->due & CN_DUE_OPEN) != 0) {
		/* Bulk waited for it. */
		s->due &= ~(unsigned)CN_DUE_OPEN;
		cn_stream_schedule(s, now);
	}
}

/* A peer that is not answered would wait for ever: without room for the
 * answer the carrier ends, and it asks again on the next. */
static int
answer(struct cn_slot *slot, enum cn_frame_type type, uint64_t id,
    enum cn_reset reason)
{
	return cn_compose_reply(slot, type, id, reason, 0) ? CN_OK : CN_ELIMIT;
}

static int
refuse(struct cn_slot *slot, uint64_t id, enum cn_reset reason)
{
	return answer(slot, CN_FRAME_RESET, id, reason);
}

/* ---- frames ---- */

/* What OPEN says in words; false without memory. */
static bool
copy_names(struct cn_stream *s, const struct cn_frame_open *open)
{
	struct cn_cursor c;
	bool is_copied = true;

	s->service = cn_calloc(1, open->service_len + 1);
	if (s->service == NULL) {
		return false;
	}
	memcpy(s->service, open->service, open->service_len);
	cn_cursor_init(&c, open->options, open->options_len);
	while (cn_cursor_remaining(&c) > 0) {
		uint64_t type = cn_cursor_varint(&c);
		size_t len = (size_t)cn_cursor_varint(&c);
		const uint8_t *value = cn_cursor_bytes(&c, len);

		if (type != CN_OPEN_CLIENT || value == NULL) {
			continue;
		}
		s->client = cn_calloc(1, len + 1);
		if (s->client == NULL) {
			is_copied = false;
			continue;
		}
		memcpy(s->client, value, len);
	}
	return is_copied;
}

/* What is only to be kept needs a store here, and leave to keep it. */
static bool
is_legal_warm(const struct cn_slot *slot, const struct cn_frame_open *open)
{
	return (open->flags & CN_OPEN_WARM) == 0 ||
	    (slot->has_dedup && (open->flags & CN_OPEN_NO_STORE) == 0);
}

static int
take_open(struct cn_link *link, struct cn_slot *slot,
    const struct cn_frame_open *open, uint64_t now)
{
	struct cn_stream *s = cn_stream_find(link, open->stream);
	uint32_t number = cn_slot_number(link, slot);

	if (is_our_id(link, open->stream) || !is_legal_warm(slot, open)) {
		return CN_EPROTO;
	}
	if (s != NULL && s->state == CN_STREAM_LIVE) {
		if (s->slot != number) {
			/* Its opener moved it before it was confirmed. */
			cn_stream_move(s, number, true, now);
		}
		cn_stream_set_due(s, CN_DUE_CREDIT | CN_DUE_NOW, now);
		return CN_OK;
	}
	if (s != NULL || was_seen(link, open->stream)) {
		return refuse(slot, open->stream, CN_RESET_BUSY);
	}
	if (mark_seen(link, open->stream) != CN_OK) {
		return CN_ELIMIT;
	}
	if (link->is_draining) {
		return refuse(slot, open->stream, CN_RESET_SHUTDOWN);
	}
	s = link->theirs_live >= link->config.streams_max ||
		link->theirs_tombs >= CN_LINK_TOMBS_MAX
	    ? NULL
	    : cn_stream_new(link, open->stream, false, now);
	if (s == NULL || !copy_names(s, open)) {
		if (s != NULL) {
			s->is_held = false;
			cn_stream_destroy(s);
		}
		return refuse(slot, open->stream, CN_RESET_BUSY);
	}
	s->slot = number;
	s->scope = open->scope;
	s->is_unstored = (open->flags & CN_OPEN_NO_STORE) != 0;
	s->is_warm = (open->flags & CN_OPEN_WARM) != 0;
	s->credit = CN_MAX(s->credit, open->credit);
	s->is_confirmed = true;
	link->stats.streams_accepted++;
	cn_stream_tell(s, CN_TOLD_OPEN);
	cn_stream_set_due(s, CN_DUE_CREDIT | CN_DUE_NOW, now);
	return CN_OK;
}

/* Bytes for a stream that is not live: late ones of a dead stream are
 * nothing; those of one whose OPEN is missing must come again. */
int
cn_dispatch_orphan(
    const struct cn_link *link, uint64_t id, struct cn_taken *taken)
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
int
cn_dispatch_error(int r, struct cn_taken *taken)
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

void
cn_dispatch_count(
    struct cn_stream *s, bool is_coded, size_t len, size_t coded_len)
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

void
cn_dispatch_count_batch(
    struct cn_stream *s, const struct cn_batch_head *head, size_t literals)
{
	size_t copied = head->plain_len - literals;

	cn_dispatch_count(
	    s, head->coding == CN_CODING_ZSTD, literals, head->coded_len);
	s->received_bytes.copied += copied;
	s->link->stats.received.copied += copied;
}

/* The history follows the contiguous bytes of DATA too, or ends. */
static void
follow_history(struct cn_stream *s, const struct cn_frame_data *data)
{
	uint8_t *room;

	if (!s->is_keeping || data->offset + data->len <= s->rx.end) {
		return;
	}
	if (s->rx_hist.len == 0 || s->rx_hist.end != data->offset) {
		cn_history_drop(&s->rx_hist);
		return;
	}
	room = cn_history_room(&s->rx_hist, data->len);
	if (room != NULL) {
		memcpy(room, data->data, data->len);
		cn_history_keep(
		    &s->rx_hist, data->len, data->offset + data->len);
	}
}

/* Its share of the block that brought it, and why that was no less. */
static void
count_data(struct cn_stream *s, const struct cn_frame_data *data,
    const struct cn_taken *taken)
{
	size_t plain_len = CN_MAX(taken->plain_len, data->len);

	if (taken->is_coded) {
		s->received_bytes.coded +=
		    taken->coded_len * data->len / plain_len;
	} else {
		cn_loss_take_raw(s, data->data, data->len);
	}
	s->received_bytes.framing += taken->head_len * data->len / plain_len;
	cn_loss_look_received(
	    s, data->offset, data->data, data->len, !taken->is_coded);
}

static int
take_data(struct cn_link *link, const struct cn_frame_data *data,
    struct cn_taken *taken, uint64_t now)
{
	struct cn_stream *s = cn_dispatch_live(link, data->stream);

	taken->is_eliciting = true;
	if (s == NULL) {
		return cn_dispatch_orphan(link, data->stream, taken);
	}
	cn_dispatch_count(s, taken->is_coded, data->len, 0);
	count_data(s, data, taken);
	follow_history(s, data);
	return cn_dispatch_error(
	    cn_deliver_bytes(s, data->offset, data->data, data->len, now),
	    taken);
}

static int
take_fin(struct cn_link *link, const struct cn_frame_fin *fin,
    struct cn_taken *taken, uint64_t now)
{
	struct cn_stream *s = cn_dispatch_live(link, fin->stream);

	taken->is_eliciting = true;
	if (s == NULL) {
		return cn_dispatch_orphan(link, fin->stream, taken);
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
		confirm(s, now);
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
	if (!cn_compose_reply(slot, CN_FRAME_DONE, id, CN_RESET_NONE, 0)) {
		return CN_ELIMIT;
	}
	if (slot->reply_count <= LAZY_REPLIES_MAX && !link->is_draining &&
	    !link->is_peer_draining) {
		slot->lazy_replies++;
		slot->lazy_us =
		    CN_MIN(slot->lazy_us, now + CN_LINK_ACK_DELAY_US);
	}
	return CN_OK;
}

static void
take_credit(struct cn_stream *s, uint64_t offset, uint64_t now)
{
	if (s->is_ours) {
		confirm(s, now);
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
	confirm(s, now);
	if (offset > s->sent_max) {
		return CN_EPROTO;
	}
	cn_stream_acked(s, offset, now);
	return CN_OK;
}

static int
take_ack_fin(struct cn_stream *s, uint64_t length, uint64_t now)
{
	confirm(s, now);
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

static int
take_resume_unknown(struct cn_link *link, struct cn_slot *slot,
    const struct cn_frame_resume *resume, uint64_t now)
{
	struct cn_stream *s = cn_stream_find(link, resume->stream);

	if (s != NULL && s->state == CN_STREAM_ENDING) {
		cn_stream_set_due(s, CN_DUE_END, now);
		return CN_OK;
	}
	return (resume->flags & CN_RESUME_ASK) != 0
	    ? refuse(slot, resume->stream, CN_RESET_LINK_LOST)
	    : CN_OK;
}

static int
take_resume(struct cn_link *link, struct cn_slot *slot,
    const struct cn_frame_resume *resume, uint64_t now)
{
	struct cn_stream *s = cn_dispatch_live(link, resume->stream);
	uint32_t number = cn_slot_number(link, slot);

	if (is_our_id(link, resume->stream) &&
	    resume->stream >= link->next_id) {
		return CN_EPROTO;
	}
	if (s == NULL) {
		return take_resume_unknown(link, slot, resume, now);
	}
	if (resume->received > s->sent_max ||
	    resume->written > resume->received) {
		return CN_EPROTO;
	}
	confirm(s, now);
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
		cn_stream_moved(s, resume->received);
		cn_stream_rewind(s, resume->received, now);
		if ((resume->flags & CN_RESUME_FIN_KNOWN) != 0 &&
		    s->is_finished && s->next == s->tx.end) {
			s->is_fin_sent = true;
			s->due &= ~(unsigned)CN_DUE_FIN;
		}
	}
	cn_stream_wake(s);
	return CN_OK;
}

/* The peer told all that it knows of this carrier's streams. */
static void
take_resume_end(struct cn_link *link, struct cn_slot *slot, uint64_t now)
{
	uint32_t number = cn_slot_number(link, slot);
	struct cn_list *it;

	CN_LIST_EACH(&link->order, it)
	{
		struct cn_stream *s =
		    CN_LIST_ENTRY(it, struct cn_stream, order_item);

		if (s->state != CN_STREAM_LIVE || s->slot != number) {
			continue;
		}
		if (s->is_waiting) {
			/* Not named: opened anew if the peer may never have
			 * heard of it, else asked for. */
			cn_stream_move(s, number, true, now);
		} else if (!cn_list_is_empty(&s->bulk_item)) {
			/* They were told in the peer's order; send in ours. */
			cn_bulk_append(slot, s);
		}
	}
}

static int
take_nack(struct cn_link *link, struct cn_slot *slot, uint64_t block,
    uint64_t reason, uint64_t now)
{
	unsigned last = CN_LINK_BAD_HASHES - 1;

	if (reason >= CN_NACK_MAX) {
		reason = CN_NACK_HASH;
	}
	link->stats.nacks_received[reason]++;
	if (reason == CN_NACK_MEMORY) {
		slot->pause_us = now + CN_LINK_STARVED_US;
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
	return cn_sent_rebuild(
	    link, slot, block, reason == CN_NACK_MEMORY, now);
}

static int
take_miss(struct cn_link *link, uint64_t id, uint64_t offset, uint64_t len,
    uint64_t now)
{
	struct cn_stream *s = cn_dispatch_live(link, id);

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
	struct cn_stream *s = cn_dispatch_live(link, frame->u.ack.stream);

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
    struct cn_taken *taken, uint64_t now)
{
	switch (f->type) {
	case CN_FRAME_BLOCK_ACK:
		return cn_sent_settle(link, slot, &f->u.block_ack);
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
			slot->ping_rtt_us = link->stats.rtt_us;
		}
		return CN_OK;
	case CN_FRAME_CLOSE:
		taken->is_closed = true;
		taken->close = f->u.close.code < CN_CLOSE_MAX
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
	case CN_FRAME_HAVE:
	case CN_FRAME_WANT:
	case CN_FRAME_EXTENTS:
	case CN_FRAME_LACK:
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
		cn_lane_in_close(link, slot, f->u.lane_close.lane,
		    f->u.lane_close.generation);
		return CN_OK;
	case CN_FRAME_RESUME:
		return take_resume(link, slot, &f->u.resume, now);
	case CN_FRAME_RESUME_END:
		take_resume_end(link, slot, now);
		return CN_OK;
	case CN_FRAME_DRAIN:
		link->is_peer_draining = true;
		return CN_OK;
	case CN_FRAME_HAVE:
	case CN_FRAME_WANT:
	case CN_FRAME_EXTENTS:
	case CN_FRAME_LACK:
		return cn_reconcile_take(link, slot, f);
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

int
cn_dispatch_frames(struct cn_link *link, struct cn_slot *slot,
    const uint8_t *bytes, size_t len, struct cn_taken *taken, uint64_t now)
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
