/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"

/* Blocks that may wait for one BLOCK_ACK. */
#define BLOCK_ACK_EVERY 64u

/* ---- blocks ---- */

int
cn_receive_withhold(struct cn_slot *slot, uint64_t number)
{
	return cn_ranges_add(&slot->withheld, number, number + 1);
}

int
cn_receive_settled(struct cn_link *link, struct cn_slot *slot, uint64_t number,
    const struct cn_taken *taken, uint64_t now)
{
	if (taken->nack != 0) {
		link->stats.nacks_sent[taken->nack]++;
		if (cn_ranges_add(&slot->nacked, number, number + 1) != CN_OK ||
		    cn_receive_withhold(slot, number) != CN_OK ||
		    !cn_compose_reply(
			slot, CN_FRAME_NACK, number, taken->nack, 0)) {
			return CN_ENOMEM;
		}
	}
	slot->settled_blocks++;
	if (slot->settled_blocks >= BLOCK_ACK_EVERY) {
		slot->is_block_ack_due = true;
	} else if (taken->is_eliciting && slot->block_ack_us == UINT64_MAX) {
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
	struct cn_taken taken = { .plain_len = head->plain_len,
		.coded_len = head->coded_len,
		.head_len = slot->fragment_head };
	int r;

	link->stats.blocks_received++;
	if (head->is_coded) {
		memcpy(link->plain, f->body, head->raw_len);
		r = cn_lane_in_block(link, slot, head, f->body + head->raw_len,
		    link->plain + head->raw_len);
		if (r == CN_EAGAIN) {
			return cn_receive_withhold(
			    slot, number); /* they come again */
		}
		if (r == CN_ECODING || r == CN_ESTALE || r == CN_ENOMEM) {
			taken.nack = r == CN_ESTALE ? CN_NACK_GENERATION
			    : r == CN_ENOMEM        ? CN_NACK_MEMORY
						    : CN_NACK_CODING;
			return cn_receive_settled(
			    link, slot, number, &taken, now);
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
		return cn_receive_settled(link, slot, number, &taken, now);
	}
	r = cn_dispatch_frames(link, slot, plain, len, &taken, now);
	if (r != CN_OK) {
		return r;
	}
	if (taken.is_closed) {
		cn_link_carrier_failed(link, slot, taken.close, now);
		return CN_OK;
	}
	return cn_receive_settled(link, slot, number, &taken, now);
}

/* Of the batch that is being taken. */
static void
count_head(struct cn_link *link, struct cn_slot *slot)
{
	struct cn_stream *s = cn_dispatch_live(link, slot->in.head.stream);

	if (s != NULL) {
		s->received_bytes.framing += slot->fragment_head;
	}
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
		if (slot->taking.is_active) {
			return CN_EPROTO;
		}
		r = cn_decode_begin(link, slot, &f->batch);
		if (r != CN_OK) {
			return r;
		}
		count_head(link, slot);
		return cn_decode_bytes(link, slot, f->body, f->body_len, now);
	case CN_FRAGMENT_MORE:
		if (!slot->taking.is_active) {
			return CN_EPROTO;
		}
		count_head(link, slot);
		return cn_decode_bytes(link, slot, f->body, f->body_len, now);
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
	link->now_us = now;
	if (len > 0) {
		slot->heard_us = now; /* a slow carrier is not a dead one */
	}
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
		link->stats.received.framing += part;
		slot->fragment_head = part - f.body_len;
		r = take_fragment(link, slot, &f, now);
		if (r != CN_OK) {
			break;
		}
	}
	*used = at;
	if (r == CN_OK) {
		if (cn_decode_is_overdue(link, number)) {
			cn_decode_parked(link, now);
		}
		return CN_OK;
	}
	cn_link_carrier_failed(link, slot,
	    r == CN_EPROTO       ? CN_CLOSE_PROTOCOL
		: r == CN_ELIMIT ? CN_CLOSE_LIMIT
				 : CN_CLOSE_INTERNAL,
	    now);
	return r == CN_ELIMIT ? CN_EPROTO : r;
}
