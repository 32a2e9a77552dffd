/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

/* Plain bytes of a batch that is copied rather than handed on. */
#define SMALL_BATCH (32u * 1024u)
/* Blocks that may wait for one BLOCK_ACK. */
#define BLOCK_ACK_EVERY 64u

/* ---- blocks ---- */

static int
withhold(struct cn_slot *slot, uint64_t number)
{
	return cn_ranges_add(&slot->withheld, number, number + 1);
}

/* A block was settled: the peer hears of it, soon or with the next frames. */
static int
settle_block(struct cn_link *link, struct cn_slot *slot, uint64_t number,
    const struct cn_taken *taken, uint64_t now)
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
	struct cn_taken taken = { 0 };
	int r;

	link->stats.blocks_received++;
	if (head->is_coded) {
		memcpy(link->plain, f->body, head->raw_len);
		r = cn_lane_in_block(link, slot, head, f->body + head->raw_len,
		    link->plain + head->raw_len);
		if (r == CN_EAGAIN) {
			return withhold(slot, number); /* they come again */
		}
		if (r == CN_ECODING || r == CN_ESTALE || r == CN_ENOMEM) {
			taken.nack = r == CN_ESTALE ? CN_NACK_GENERATION
			    : r == CN_ENOMEM        ? CN_NACK_MEMORY
						    : CN_NACK_CODING;
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
	r = cn_dispatch_frames(link, slot, plain, len, &taken, now);
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
	bool is_small = head->plain_len <= SMALL_BATCH;

	if (slot->in.coded == NULL && head->coding != CN_CODING_RAW) {
		slot->in.coded = cn_alloc(CN_BATCH_CODED_MAX);
	}
	if (slot->in.small == NULL && is_small) {
		slot->in.small = cn_alloc(SMALL_BATCH);
	}
	if ((slot->in.coded == NULL && head->coding != CN_CODING_RAW) ||
	    (slot->in.small == NULL && is_small)) {
		return CN_ENOMEM;
	}
	slot->in.head = *head;
	slot->in.head.ext = NULL;
	slot->in.head.ext_len = 0;
	slot->in.number = slot->received_blocks++;
	slot->in.got = 0;
	slot->in.is_active = true;
	/*
	 * A small batch is copied to pages that fit it.  A large one brings
	 * its own; without one it is read over and asked for again.
	 */
	if (!is_small) {
		slot->in.page = cn_pool_get(link->config.pool,
		    head->plain_len <= CN_PAGE_LARGE_BYTES ? CN_PAGE_LARGE
							   : CN_PAGE_BATCH);
	}
	link->stats.blocks_received++;
	return withhold(slot, slot->in.number);
}

/* Where the plain bytes of the batch go; NULL: nowhere. */
static uint8_t *
plain_space(const struct cn_slot *slot)
{
	if (slot->in.head.plain_len <= SMALL_BATCH) {
		return slot->in.small;
	}
	return slot->in.page == NULL ? NULL : slot->in.page->data;
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
    struct cn_taken *taken, uint64_t now)
{
	const struct cn_batch_head *head = &slot->in.head;
	struct cn_page *page = slot->in.page;
	uint8_t *plain = plain_space(slot);
	const uint8_t *prefix;
	int r;

	if (head->offset + head->plain_len > s->granted) {
		return CN_EPROTO;
	}
	if (plain == NULL) {
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
		    head->prefix_len, slot->in.coded, head->coded_len, plain,
		    head->plain_len);
		if (r != CN_OK) {
			taken->nack =
			    r == CN_ENOMEM ? CN_NACK_MEMORY : CN_NACK_CODING;
			return CN_OK;
		}
	}
	if (cn_block_batch_hash(head, plain, head->plain_len) != head->hash) {
		taken->nack = CN_NACK_HASH;
		return CN_OK;
	}
	cn_dispatch_count(s, head->coding == CN_CODING_ZSTD, head->plain_len,
	    head->coded_len);
	keep_batch(link, s, head, plain, now);
	if (page == NULL) {
		r = cn_deliver_bytes(
		    s, head->offset, plain, head->plain_len, now);
	} else {
		page->len = head->plain_len;
		slot->in.page = NULL;
		r = cn_deliver_page(s, head->offset, page, now);
	}
	return cn_dispatch_error(r, taken);
}

static int
end_batch(struct cn_link *link, struct cn_slot *slot, uint64_t now)
{
	struct cn_stream *s = cn_dispatch_live(link, slot->in.head.stream);
	struct cn_taken taken = { .is_eliciting = true };
	int r;

	if (s == NULL) {
		r = cn_dispatch_orphan(link, slot->in.head.stream, &taken);
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
	uint8_t *space = slot->in.head.coding == CN_CODING_RAW
	    ? plain_space(slot)
	    : slot->in.coded;

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
