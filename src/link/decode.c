/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "wire/cursor.h"

/* Plain bytes of a batch that is copied rather than handed on. */
#define SMALL_BATCH (32u * 1024u)

/* ---- memory ---- */

static enum cn_page_class
class_of(size_t len)
{
	if (len <= CN_PAGE_SMALL_BYTES) {
		return CN_PAGE_SMALL;
	}
	return len <= CN_PAGE_LARGE_BYTES ? CN_PAGE_LARGE : CN_PAGE_BATCH;
}

/* Its bytes on the carrier are not simply its plain ones. */
static bool
is_coded(const struct cn_batch_in *in)
{
	return in->head.coding != CN_CODING_RAW || in->has_copies;
}

static bool
has_memory(struct cn_slot *slot, const struct cn_batch_in *in)
{
	if (slot->taking.coded == NULL && is_coded(in)) {
		slot->taking.coded = cn_alloc(CN_BATCH_CODED_MAX);
	}
	if (slot->taking.small == NULL && in->head.plain_len <= SMALL_BATCH) {
		slot->taking.small = cn_alloc(SMALL_BATCH);
	}
	if (slot->taking.ext == NULL && in->head.ext_len > 0) {
		slot->taking.ext = cn_alloc(CN_BATCH_EXT_MAX);
	}
	return (slot->taking.coded != NULL || !is_coded(in)) &&
	    (slot->taking.small != NULL || in->head.plain_len > SMALL_BATCH) &&
	    (slot->taking.ext != NULL || in->head.ext_len == 0);
}

/* Where the plain bytes of the batch go; NULL: nowhere. */
static uint8_t *
plain_space(const struct cn_slot *slot, const struct cn_batch_in *in)
{
	if (in->page != NULL) {
		return in->page->data;
	}
	return in->head.plain_len <= SMALL_BATCH ? slot->taking.small : NULL;
}

int
cn_decode_begin(struct cn_link *link, struct cn_slot *slot,
    const struct cn_batch_head *head)
{
	struct cn_batch_in in = { .head = *head };
	struct cn_refs refs;

	if (head->ext_len > 0) {
		if (!slot->has_dedup || cn_refs_decode(head, &refs) != CN_OK) {
			return CN_EPROTO;
		}
		in.has_copies = refs.has_copies;
	}
	if (!has_memory(slot, &in)) {
		return CN_ENOMEM;
	}
	if (head->ext_len > 0) {
		memcpy(slot->taking.ext, head->ext, head->ext_len);
	}
	in.head.ext = slot->taking.ext;
	in.coded = is_coded(&in) ? slot->taking.coded : NULL;
	in.number = slot->received_blocks++;
	/*
	 * A small batch is copied to pages that fit it.  A large one brings
	 * its own; without one it is read over and asked for again.
	 */
	if (head->plain_len > SMALL_BATCH) {
		in.page =
		    cn_pool_get(link->config.pool, class_of(head->plain_len));
	}
	slot->in = in;
	slot->taking.got = 0;
	slot->taking.is_active = true;
	link->stats.blocks_received++;
	return cn_receive_withhold(slot, in.number);
}

/* ---- history ---- */

/* The prefix of the stream's own bytes, if both ends kept the same. */
static bool
find_history(const struct cn_stream *s, const struct cn_batch_head *head,
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
keep_history(struct cn_link *link, struct cn_stream *s,
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

/* ---- one batch that is complete ---- */

struct decoding {
	struct cn_link *link;
	struct cn_slot *slot;
	struct cn_stream *s;
	struct cn_batch_in *in;
	struct cn_taken *taken;
	const struct cn_refs *refs;
	uint64_t now;
};

/* Its pieces are not kept: the sender must not take them for kept. */
static void
lack_stores(
    struct cn_link *link, struct cn_slot *slot, const struct cn_refs *refs)
{
	for (size_t i = 0; i < refs->stores; i++) {
		struct cn_dedup_lack lack = {
			.place = { .epoch = refs->store_epoch,
			    .pos = refs->store[i].pos,
			    .is_mine = false },
			.len = refs->store[i].len,
		};

		cn_reconcile_lack(link, slot, &lack);
	}
}

/* It refers to what is not here: the range comes again. */
static int
miss(struct decoding *d, const struct cn_dedup_lack *lack)
{
	d->link->stats.misses_sent++;
	if (lack != NULL) {
		cn_reconcile_lack(d->link, d->slot, lack);
	}
	lack_stores(d->link, d->slot, d->refs);
	return cn_compose_reply(d->slot, CN_FRAME_MISS, d->s->id,
		   d->in->head.offset, d->in->head.plain_len)
	    ? CN_OK
	    : CN_ENOMEM;
}

/* The smallest stretch of one segment that covers both; false: there is
 * none. */
static bool
cover(struct cn_dedup_lack *lack, const struct cn_place *place, uint64_t len)
{
	uint64_t from = CN_MIN(lack->place.pos, place->pos);
	uint64_t to = CN_MAX(lack->place.pos + lack->len, place->pos + len);

	if (lack->len == 0 || lack->place.epoch != place->epoch ||
	    lack->place.is_mine != place->is_mine ||
	    from >> CN_SEGMENT_SHIFT != (to - 1) >> CN_SEGMENT_SHIFT) {
		return false;
	}
	lack->place.pos = from;
	lack->len = to - from;
	return true;
}

/* One more place that the failed batch took bytes from. */
static void
lack_place(struct decoding *d, struct cn_dedup_lack *lack, uint32_t log,
    uint64_t pos, uint32_t len)
{
	struct cn_place place = {
		.epoch = d->refs->log[log].epoch,
		.pos = pos,
		.is_mine = !d->refs->log[log].is_senders,
	};

	if (cover(lack, &place, len)) {
		return;
	}
	if (lack->len > 0) {
		cn_reconcile_lack(d->link, d->slot, lack);
	}
	lack->place = place;
	lack->len = len;
}

/*
 * The hash did not match, so perhaps bytes in our store are wrong: whatever
 * the batch was made of must not be referred to again.
 */
static void
lack_sources(struct decoding *d, const uint8_t *ops)
{
	struct cn_dedup_lack lack = { 0 };
	struct cn_ref_cursor at = { 0 };
	struct cn_ref_op op;
	struct cn_cursor in;

	for (size_t i = 0; i < d->refs->regions; i++) {
		const struct cn_ref_region *region = &d->refs->region[i];

		lack_place(d, &lack, region->log, region->pos, region->len);
	}
	cn_cursor_init(&in, ops, d->refs->ops_len);
	while (d->refs->has_copies &&
	    cn_ref_op_decode(&in, &at, d->refs->logs, &op) == CN_OK) {
		lack_place(d, &lack, op.log, op.pos, op.copy);
	}
	if (lack.len > 0) {
		cn_reconcile_lack(d->link, d->slot, &lack);
	}
}

/*
 * It refers to what it may not.  Its payload is not verified yet, so that
 * may be damage: it comes again raw.  Not for ever: then the carrier ends.
 */
static int
bad_ref(struct decoding *d)
{
	d->link->stats.bad_refs++;
	d->taken->nack = CN_NACK_CODING;
	return d->link->stats.bad_refs > CN_LINK_BAD_REFS_MAX ? CN_EPROTO
							      : CN_OK;
}

/* It is verified and stores what it may not: the stream ends by that. */
static int
bad_store(struct decoding *d)
{
	d->link->stats.bad_refs++;
	lack_stores(d->link, d->slot, d->refs);
	cn_stream_fail(d->s, CN_RESET_PROTOCOL, true, d->now);
	return CN_OK;
}

/*
 * The payload, decoded.  CN_ENOENT: answered as a miss; else as
 * cn_dedup_prefix() and cn_codec_batch_decode().
 */
static int
get_payload(
    struct decoding *d, uint8_t *room, size_t len, struct cn_dedup_lack *lack)
{
	const struct cn_batch_head *head = &d->in->head;
	const uint8_t *prefix;

	if (d->refs->regions > 0) {
		int r = cn_dedup_prefix(
		    d->link->config.dedup, d->s->scope, d->refs, &prefix, lack);

		if (r != CN_OK) {
			return r;
		}
	} else if (!find_history(d->s, head, &prefix)) {
		lack->len = 0;
		return CN_ENOENT;
	}
	return cn_codec_batch_decode(d->link->config.codec, prefix,
	    head->prefix_len, d->in->coded, head->coded_len, room, len);
}

static int
get_plain(struct decoding *d, uint8_t *plain, struct cn_dedup_lack *lack)
{
	const struct cn_batch_head *head = &d->in->head;
	struct cn_dedup *dedup = d->link->config.dedup;
	const uint8_t *payload = d->in->coded;
	uint8_t *room = d->in->has_copies ? cn_dedup_payload(dedup) : plain;
	size_t copies;
	int r;

	if (head->coding == CN_CODING_ZSTD) {
		r = get_payload(d, room, cn_refs_payload(head, d->refs), lack);
		if (r != CN_OK) {
			return r;
		}
		payload = room;
	}
	if (!d->in->has_copies) {
		return CN_OK;
	}
	if (cn_refs_check_ops(d->refs, payload, head->plain_len, &copies) !=
	    CN_OK) {
		return CN_ECODING; /* it is not verified yet */
	}
	return cn_dedup_build(
	    dedup, d->s->scope, d->refs, payload, plain, head->plain_len, lack);
}

static void
tell_lack(void *arg, const struct cn_dedup_lack *lack)
{
	struct decoding *d = arg;

	cn_reconcile_lack(d->link, d->slot, lack);
}

static int
deliver(struct decoding *d, const uint8_t *plain)
{
	const struct cn_batch_head *head = &d->in->head;
	struct cn_page *page = d->in->page;

	if (page == NULL) {
		return cn_deliver_bytes(
		    d->s, head->offset, plain, head->plain_len, d->now);
	}
	page->len = head->plain_len;
	d->in->page = NULL;
	return cn_deliver_page(d->s, head->offset, page, d->now);
}

/* Plain bytes whose hash matches: keep, count and deliver them. */
static int
take_plain(struct decoding *d, const uint8_t *plain)
{
	const struct cn_batch_head *head = &d->in->head;
	size_t literals;

	if (d->refs->stores > 0 &&
	    (d->s->is_unstored ||
		cn_dedup_keep(d->link->config.dedup, d->s->scope, d->refs,
		    plain, d->now, tell_lack, d) != CN_OK)) {
		return bad_store(d);
	}
	literals = d->in->has_copies ? d->refs->literal_len : head->plain_len;
	cn_dispatch_count_batch(d->s, head, literals);
	cn_loss_take_batch(d->s, head, plain, literals);
	keep_history(d->link, d->s, head, plain, d->now);
	return cn_dispatch_error(deliver(d, plain), d->taken);
}

/*
 * Decode, check and deliver.  CN_EAGAIN: it waits for the store, nothing was
 * done; with is_last it does not wait.
 */
static int
use_batch(struct decoding *d, bool is_last)
{
	const struct cn_batch_head *head = &d->in->head;
	uint8_t *plain = plain_space(d->slot, d->in);
	struct cn_dedup_lack lack = { 0 };
	int r;

	if (head->offset + head->plain_len > d->s->granted) {
		return CN_EPROTO;
	}
	if (plain == NULL) {
		d->taken->nack = CN_NACK_MEMORY;
		return CN_OK;
	}
	r = get_plain(d, plain, &lack);
	if (r == CN_EAGAIN && !is_last) {
		return r;
	}
	if (r == CN_ENOENT || r == CN_EAGAIN) {
		return miss(d, lack.len > 0 ? &lack : NULL);
	}
	if (r == CN_EPROTO) {
		return bad_ref(d);
	}
	if (r != CN_OK) {
		d->taken->nack =
		    r == CN_ENOMEM ? CN_NACK_MEMORY : CN_NACK_CODING;
		return CN_OK;
	}
	if (cn_block_batch_hash(head, plain, head->plain_len) != head->hash) {
		lack_sources(d,
		    head->coding == CN_CODING_ZSTD && d->in->has_copies
			? cn_dedup_payload(d->link->config.dedup)
			: d->in->coded);
		d->taken->nack = CN_NACK_HASH;
		return CN_OK;
	}
	return take_plain(d, plain);
}

/* ---- batches that wait for the store ---- */

static void
free_parked(struct cn_link *link, struct cn_parked *parked)
{
	struct cn_stream *s = cn_dispatch_live(link, parked->in.head.stream);

	if (s != NULL && s->parked > 0) {
		s->parked--;
	}
	cn_list_remove(&parked->item);
	link->parked_count--;
	cn_pool_put(link->config.pool, parked->coded);
	cn_pool_put(link->config.pool, parked->in.page);
	cn_free((void *)(uintptr_t)parked->in.head.ext);
	cn_free(parked);
}

/* Its bytes in memory of their own; false without. */
static bool
fill_parked(struct cn_link *link, struct cn_slot *slot,
    struct cn_parked *parked, const struct cn_batch_in *in)
{
	struct cn_pool *pool = link->config.pool;

	if (in->page == NULL) { /* small: its plain bytes need a page */
		parked->in.page =
		    cn_pool_get(pool, class_of(in->head.plain_len));
		if (parked->in.page == NULL) {
			return false;
		}
		if (!is_coded(in)) {
			memcpy(parked->in.page->data, slot->taking.small,
			    in->head.plain_len);
		}
	}
	if (is_coded(in)) {
		parked->coded = cn_pool_get(pool, class_of(in->head.coded_len));
		if (parked->coded == NULL) {
			return false;
		}
		memcpy(parked->coded->data, in->coded, in->head.coded_len);
		parked->in.coded = parked->coded->data;
	}
	if (in->head.ext_len > 0) {
		parked->in.head.ext = cn_memdup(in->head.ext, in->head.ext_len);
	}
	return in->head.ext_len == 0 || parked->in.head.ext != NULL;
}

/* Let it wait, behind those of its stream; false: there is no room. */
static bool
park(struct decoding *d)
{
	struct cn_link *link = d->link;
	struct cn_parked *parked;

	if (link->parked_count >= CN_LINK_PARKED_MAX) {
		return false;
	}
	parked = cn_calloc(1, sizeof(*parked));
	if (parked == NULL) {
		return false;
	}
	parked->in = *d->in;
	parked->in.page = NULL;
	parked->in.coded = NULL;
	parked->in.head.ext = NULL;
	parked->slot = cn_slot_number(link, d->slot);
	parked->since_us = d->now;
	cn_list_init(&parked->item);
	cn_list_append(&link->parked, &parked->item);
	link->parked_count++;
	d->s->parked++;
	if (!fill_parked(link, d->slot, parked, d->in)) {
		free_parked(link, parked);
		return false;
	}
	if (parked->in.page == NULL) {
		parked->in.page = d->in->page;
		d->in->page = NULL;
	}
	return true;
}

/* The block is done with: its number may be acknowledged. */
static int
settle(struct cn_link *link, struct cn_slot *slot, uint64_t number,
    const struct cn_taken *taken, uint64_t now)
{
	/*
	 * Left out for ever it would fill the peer's table of sent blocks: a
	 * carrier without memory to split a run ends.
	 */
	if (cn_ranges_remove(&slot->withheld, number, number + 1) != CN_OK) {
		return CN_ENOMEM;
	}
	return cn_receive_settled(link, slot, number, taken, now);
}

static bool
is_behind(const struct cn_link *link, const struct cn_parked *parked)
{
	return link->slot[parked->slot].received_blocks - parked->in.number >
	    CN_LINK_PARKED_BLOCKS;
}

bool
cn_decode_is_overdue(const struct cn_link *link, uint32_t slot)
{
	struct cn_list *it;

	CN_LIST_EACH(&link->parked, it)
	{
		const struct cn_parked *parked =
		    CN_LIST_ENTRY(it, struct cn_parked, item);

		if (parked->slot == slot) { /* its oldest */
			return is_behind(link, parked);
		}
	}
	return false;
}

/* Look at one that waits; CN_EAGAIN: it goes on waiting. */
static int
look_at_parked(struct cn_link *link, struct cn_parked *parked, uint64_t now)
{
	struct cn_slot *slot = &link->slot[parked->slot];
	struct cn_stream *s = cn_dispatch_live(link, parked->in.head.stream);
	struct cn_taken taken = { .is_eliciting = true };
	struct cn_refs refs;
	struct decoding d = { link, slot, s, &parked->in, &taken, &refs, now };
	bool is_last = now >= parked->since_us + CN_LINK_STORE_TAKE_US ||
	    is_behind(link, parked);
	int r = cn_refs_decode(&parked->in.head, &refs);

	assert(r == CN_OK);
	if (s == NULL) { /* it ended meanwhile */
		lack_stores(link, slot, &refs);
	} else if (s->parked_look == link->parked_look) {
		return CN_EAGAIN; /* one before it waits on */
	} else {
		r = use_batch(&d, is_last);
	}
	if (r == CN_EAGAIN) {
		s->parked_look = link->parked_look;
		return r;
	}
	return r == CN_OK ? settle(link, slot, parked->in.number, &taken, now)
			  : r;
}

void
cn_decode_parked(struct cn_link *link, uint64_t now)
{
	struct cn_list *it, *tmp;

	link->parked_look++;
	CN_LIST_EACH_SAFE(&link->parked, it, tmp)
	{
		struct cn_parked *parked =
		    CN_LIST_ENTRY(it, struct cn_parked, item);
		struct cn_slot *slot = &link->slot[parked->slot];
		int r = look_at_parked(link, parked, now);

		if (r == CN_EAGAIN) {
			continue;
		}
		free_parked(link, parked);
		if (r != CN_OK) {
			/* All of the slot are gone with it: begin anew. */
			cn_link_carrier_failed(link, slot,
			    r == CN_EPROTO ? CN_CLOSE_PROTOCOL
					   : CN_CLOSE_INTERNAL,
			    now);
			cn_decode_parked(link, now);
			return;
		}
	}
}

void
cn_decode_drop_parked(struct cn_link *link, uint32_t slot)
{
	struct cn_list *it, *tmp;

	CN_LIST_EACH_SAFE(&link->parked, it, tmp)
	{
		struct cn_parked *parked =
		    CN_LIST_ENTRY(it, struct cn_parked, item);

		if (parked->slot == slot) {
			free_parked(link, parked);
		}
	}
}

/* ---- the end of a batch ---- */

/* It brought plain bytes, and there was no page for them. */
static bool
is_read_over(const struct decoding *d)
{
	return !is_coded(d->in) && plain_space(d->slot, d->in) == NULL;
}

/* Use it, or let it wait; CN_OK with *is_parked when it does. */
static int
use_or_park(struct decoding *d, bool *is_parked)
{
	int r;

	if (d->s->parked > 0 && !is_read_over(d)) {
		*is_parked = park(d);
		return *is_parked ? CN_OK : miss(d, NULL);
	}
	r = use_batch(d, false);
	if (r != CN_EAGAIN) {
		return r;
	}
	*is_parked = park(d);
	return *is_parked ? CN_OK : miss(d, NULL);
}

static int
end_batch(struct cn_link *link, struct cn_slot *slot, uint64_t now)
{
	struct cn_batch_in *in = &slot->in;
	struct cn_stream *s = cn_dispatch_live(link, in->head.stream);
	struct cn_taken taken = { .is_eliciting = true };
	struct cn_refs refs;
	struct decoding d = { link, slot, s, in, &taken, &refs, now };
	bool is_parked = false;
	int r = cn_refs_decode(&in->head, &refs);

	assert(r == CN_OK);
	if (s == NULL) {
		r = cn_dispatch_orphan(link, in->head.stream, &taken);
		lack_stores(link, slot, &refs);
	} else {
		r = use_or_park(&d, &is_parked);
	}
	cn_pool_put(link->config.pool, in->page);
	in->page = NULL;
	slot->taking.is_active = false;
	if (r != CN_OK || is_parked) {
		return r;
	}
	return settle(link, slot, in->number, &taken, now);
}

int
cn_decode_bytes(struct cn_link *link, struct cn_slot *slot,
    const uint8_t *bytes, size_t len, uint64_t now)
{
	struct cn_batch_in *in = &slot->in;
	uint8_t *space = in->coded != NULL ? in->coded : plain_space(slot, in);

	if (len > in->head.coded_len - slot->taking.got) {
		return CN_EPROTO;
	}
	if (space != NULL) {
		memcpy(space + slot->taking.got, bytes, len);
	}
	slot->taking.got += len;
	if (slot->taking.got < in->head.coded_len) {
		return CN_OK;
	}
	return end_batch(link, slot, now);
}
