/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

/* The rings start small and double up to their caps. */
#define SENT_BLOCKS_FIRST 64u
#define SENT_ENTRIES_FIRST 256u

static struct cn_sent_block *
block_at(const struct cn_sent *table, uint64_t number)
{
	return &table->block[number & (table->block_cap - 1)];
}

static struct cn_entry *
entry_at(const struct cn_sent *table, uint64_t number)
{
	return &table->entry[number & (table->entry_cap - 1)];
}

void
cn_sent_fini(struct cn_sent *table)
{
	cn_free(table->block);
	cn_free(table->entry);
	memset(table, 0, sizeof(*table));
}

/* Grow a ring of power-of-two size; what is in [first, next) moves along. */
static int
grow(void **ring, size_t *cap, size_t first_cap, size_t item, uint64_t first,
    uint64_t next)
{
	size_t bigger = *cap == 0 ? first_cap : *cap * 2;
	char *to = cn_alloc(bigger * item);
	const char *from = *ring;

	if (to == NULL) {
		return CN_ENOMEM;
	}
	for (uint64_t i = first; i < next; i++) {
		memcpy(to + (i & (bigger - 1)) * item,
		    from + (i & (*cap - 1)) * item, item);
	}
	cn_free(*ring);
	*ring = to;
	*cap = bigger;
	return CN_OK;
}

bool
cn_sent_has_room(const struct cn_sent *table, size_t entries)
{
	return table->next_block - table->first_block < CN_SENT_BLOCKS &&
	    table->next_entry - table->first_entry + entries <= CN_SENT_ENTRIES;
}

int
cn_sent_begin(struct cn_sent *table, size_t entries)
{
	int r = CN_OK;

	assert(cn_sent_has_room(table, entries));
	if (table->next_block - table->first_block == table->block_cap) {
		void *ring = table->block;

		r = grow(&ring, &table->block_cap, SENT_BLOCKS_FIRST,
		    sizeof(*table->block), table->first_block,
		    table->next_block);
		table->block = ring;
	}
	while (r == CN_OK &&
	    table->next_entry - table->first_entry + entries >
		table->entry_cap) {
		void *ring = table->entry;

		r = grow(&ring, &table->entry_cap, SENT_ENTRIES_FIRST,
		    sizeof(*table->entry), table->first_entry,
		    table->next_entry);
		table->entry = ring;
	}
	if (r == CN_OK) {
		block_at(table, table->next_block)->entries = 0;
		block_at(table, table->next_block)->has_stores = false;
	}
	return r;
}

static void
add(struct cn_sent *table, const struct cn_entry *entry)
{
	assert(table->next_entry - table->first_entry < table->entry_cap);
	*entry_at(table, table->next_entry) = *entry;
	table->next_entry++;
	block_at(table, table->next_block)->entries++;
}

void
cn_sent_add(struct cn_sent *table, enum cn_frame_type type, uint64_t stream,
    uint64_t offset, size_t len)
{
	struct cn_entry entry = {
		.stream = stream,
		.offset = offset,
		.len = (uint32_t)len,
		.type = (uint8_t)type,
	};

	add(table, &entry);
}

void
cn_sent_add_reply(struct cn_sent *table, const struct cn_reply *reply)
{
	struct cn_entry entry = {
		.stream = reply->stream,
		.offset = reply->value,
		.len = reply->len,
		.type = reply->type,
		.flags = reply->flags,
	};

	add(table, &entry);
}

void
cn_sent_add_store(struct cn_sent *table, uint64_t pos, size_t len)
{
	struct cn_entry entry = {
		.offset = pos,
		.len = (uint32_t)len,
		.type = CN_ENTRY_STORE,
	};

	block_at(table, table->next_block)->has_stores = true;
	add(table, &entry);
}

void
cn_sent_end(struct cn_sent *table, uint32_t lane, uint64_t lane_generation)
{
	struct cn_sent_block *block = block_at(table, table->next_block);

	block->lane = lane;
	block->lane_generation = lane_generation;
	block->is_settled = false;
	block->is_lost = false;
	table->next_block++;
}

/*
 * Nothing is refused any more: only the batches that wait for the store and
 * the one being received stay left out.  Returns CN_OK, or CN_ELIMIT: without
 * memory to split a run others would stay left out as well, and the peer would
 * wait for them for ever.
 */
static int
withhold_unfinished(const struct cn_link *link, struct cn_slot *slot)
{
	uint64_t from = 0;
	struct cn_list *it;
	int r = CN_OK;

	CN_LIST_EACH(&link->parked, it)
	{
		const struct cn_parked *parked =
		    CN_LIST_ENTRY(it, struct cn_parked, item);

		if (r == CN_OK && parked->slot == cn_slot_number(link, slot)) {
			r = cn_ranges_remove(
			    &slot->withheld, from, parked->in.number);
			from = parked->in.number + 1;
		}
	}
	if (r == CN_OK && slot->taking.is_active) {
		r = cn_ranges_remove(&slot->withheld, from, slot->in.number);
		from = slot->in.number + 1;
	}
	if (r == CN_OK) {
		r = cn_ranges_remove(&slot->withheld, from, UINT64_MAX);
	}
	return r == CN_OK ? CN_OK : CN_ELIMIT;
}

/* The peer has the NACKs that this block carried.  Returns CN_OK, or
 * CN_ELIMIT: see above. */
static int
confirm_nacks(const struct cn_link *link, struct cn_slot *slot,
    const struct cn_sent_block *block)
{
	struct cn_sent *table = &slot->sent;

	for (uint32_t i = 0; i < block->entries; i++) {
		struct cn_entry *entry =
		    entry_at(table, table->first_entry + i);

		if (entry->type != CN_FRAME_NACK) {
			continue;
		}
		if (cn_ranges_remove(&slot->nacked, entry->stream,
			entry->stream + 1) != CN_OK ||
		    cn_ranges_remove(&slot->withheld, entry->stream,
			entry->stream + 1) != CN_OK) {
			return CN_ELIMIT;
		}
		slot->is_block_ack_due = true;
	}
	return cn_ranges_count(&slot->nacked) == 0
	    ? withhold_unfinished(link, slot)
	    : CN_OK;
}

/* Forget the blocks at the front that are settled. */
static int
forget_settled(const struct cn_link *link, struct cn_slot *slot)
{
	struct cn_sent *table = &slot->sent;

	while (table->first_block < table->next_block) {
		struct cn_sent_block *block =
		    block_at(table, table->first_block);

		if (!block->is_settled) {
			break;
		}
		if (!block->is_lost && cn_ranges_count(&slot->nacked) > 0) {
			int r = confirm_nacks(link, slot, block);

			if (r != CN_OK) {
				return r;
			}
		}
		table->first_entry += block->entries;
		table->first_block++;
	}
	return CN_OK;
}

bool
cn_sent_is_settled(const struct cn_sent *table, uint64_t block)
{
	return block < table->first_block || block >= table->next_block ||
	    block_at(table, block)->is_settled;
}

/* A walk over the table: a block and the first of its entries. */
struct walk {
	uint64_t block;
	uint64_t entry;
};

/* The peer keeps what this block stored: it may be referred to. */
static void
hold_stores(const struct cn_link *link, const struct cn_sent *table,
    const struct walk *walk)
{
	struct cn_pair *pair = cn_dedup_pair(link->config.dedup);
	uint32_t entries = block_at(table, walk->block)->entries;

	for (uint32_t i = 0; i < entries; i++) {
		const struct cn_entry *entry = entry_at(table, walk->entry + i);

		if (entry->type == CN_ENTRY_STORE) {
			cn_pair_held(pair, cn_pair_epoch(pair), entry->offset,
			    entry->len);
		}
	}
}

/* Blocks from the walk's on, below `to', are settled, or passed over. */
static void
walk_on(const struct cn_link *link, struct cn_sent *table, struct walk *walk,
    uint64_t to, bool is_settled)
{
	for (; walk->block < to; walk->block++) {
		struct cn_sent_block *block = block_at(table, walk->block);

		if (is_settled && !block->is_settled) {
			block->is_settled = true;
			if (block->has_stores) {
				hold_stores(link, table, walk);
			}
		}
		walk->entry += block->entries;
	}
}

int
cn_sent_settle(struct cn_link *link, struct cn_slot *slot,
    const struct cn_frame_block_ack *ack)
{
	struct cn_sent *table = &slot->sent;
	struct walk walk = { table->first_block, table->first_entry };
	uint64_t at = ack->next;

	if (ack->next > table->next_block) {
		return CN_EPROTO;
	}
	walk_on(link, table, &walk, at, true);
	for (uint64_t i = 0; i < ack->ranges; i++) {
		if (ack->range[i].skip > table->next_block - at ||
		    ack->range[i].run >
			table->next_block - at - ack->range[i].skip) {
			return CN_EPROTO;
		}
		at += ack->range[i].skip;
		walk_on(link, table, &walk, at, false);
		at += ack->range[i].run;
		walk_on(link, table, &walk, at, true);
	}
	return forget_settled(link, slot);
}

/* One frame of a lost block is to be made again from its stream's state.
 * CN_ELIMIT when an answer, which no stream's state makes, finds no room. */
static int
rebuild_entry(struct cn_link *link, struct cn_slot *slot,
    const struct cn_entry *entry, uint64_t now)
{
	struct cn_stream *s = cn_stream_find(link, entry->stream);
	unsigned due = 0;

	if (entry->type == CN_ENTRY_STORE) {
		return CN_OK; /* dead: a later batch stores it elsewhere */
	}
	switch ((enum cn_frame_type)entry->type) {
	case CN_FRAME_DONE:
	case CN_FRAME_NACK:
	case CN_FRAME_LANE_CLOSE:
	case CN_FRAME_MISS:
		return cn_compose_reply(slot, (enum cn_frame_type)entry->type,
			   entry->stream, entry->offset, entry->len)
		    ? CN_OK
		    : CN_ELIMIT;
	case CN_FRAME_HAVE:
	case CN_FRAME_WANT:
	case CN_FRAME_EXTENTS:
	case CN_FRAME_LACK:
		/* Without room they are forgotten: it costs copies only. */
		(void)cn_compose_log_reply(slot,
		    (enum cn_frame_type)entry->type, entry->flags,
		    entry->offset, entry->stream, entry->len);
		return CN_OK;
	case CN_FRAME_RESUME_END:
		cn_list_remove(&slot->marker);
		cn_list_append(&slot->urgent, &slot->marker);
		return CN_OK;
	case CN_FRAME_DRAIN:
		slot->is_drain_due = true;
		return CN_OK;
	case CN_FRAME_PING:
		slot->is_ping_due = true;
		return CN_OK;
	case CN_FRAME_RESET:
		if (s == NULL) { /* a stateless answer */
			return cn_compose_reply(slot, CN_FRAME_RESET,
				   entry->stream, entry->offset, 0)
			    ? CN_OK
			    : CN_ELIMIT;
		}
		due = CN_DUE_END;
		break;
	case CN_FRAME_END:
		due = CN_DUE_END;
		break;
	case CN_FRAME_OPEN:
		due = CN_DUE_OPEN;
		break;
	case CN_FRAME_DATA:
		if (s != NULL) {
			cn_stream_resend(s, entry->offset, entry->len, now);
		}
		return CN_OK;
	case CN_FRAME_FIN:
		due = CN_DUE_FIN;
		break;
	case CN_FRAME_CREDIT:
		due = CN_DUE_CREDIT;
		break;
	case CN_FRAME_ACK:
		due = CN_DUE_ACK;
		break;
	case CN_FRAME_ACK_FIN:
		due = CN_DUE_ACK_FIN;
		break;
	case CN_FRAME_RESUME:
		due = CN_DUE_RESUME;
		if (entry->len != 0) {
			due |= CN_DUE_ASK;
		}
		break;
	case CN_FRAME_BLOCK_ACK:
	case CN_FRAME_PONG:
	case CN_FRAME_CLOSE:
		return CN_OK;
	}
	if (s == NULL) {
		return CN_OK;
	}
	if (s->state == CN_STREAM_ENDING) {
		due &= CN_DUE_END;
	} else if (s->state != CN_STREAM_LIVE) {
		return CN_OK;
	}
	if ((due & CN_DUE_OPEN) != 0 && s->is_confirmed) {
		due &= ~(unsigned)CN_DUE_OPEN;
	}
	if ((due & CN_DUE_FIN) != 0 && s->is_fin_acked) {
		due &= ~(unsigned)CN_DUE_FIN;
	}
	if (due != 0) {
		cn_stream_set_due(s, due, now);
	}
	return CN_OK;
}

static int
rebuild_block(struct cn_link *link, struct cn_slot *slot, uint64_t number,
    uint64_t first_entry, uint64_t now)
{
	struct cn_sent *table = &slot->sent;
	struct cn_sent_block *block = block_at(table, number);

	for (uint32_t i = 0; i < block->entries; i++) {
		struct cn_entry entry = *entry_at(table, first_entry + i);

		int r = rebuild_entry(link, slot, &entry, now);

		if (r != CN_OK) {
			return r;
		}
	}
	block->is_settled = true;
	block->is_lost = true;
	return CN_OK;
}

int
cn_sent_rebuild(struct cn_link *link, struct cn_slot *slot, uint64_t block,
    bool is_refused, uint64_t now)
{
	struct cn_sent *table = &slot->sent;
	uint64_t entry = table->first_entry;
	uint32_t lane;
	uint64_t generation;

	if (block >= table->next_block) {
		return CN_EPROTO;
	}
	if (block < table->first_block || block_at(table, block)->is_settled) {
		return CN_OK;
	}
	lane = block_at(table, block)->lane;
	generation = block_at(table, block)->lane_generation;
	/* The receiver drops what follows in that generation of the lane. */
	for (uint64_t n = table->first_block; n < table->next_block; n++) {
		struct cn_sent_block *b = block_at(table, n);
		uint32_t entries = b->entries;
		bool is_same = lane != CN_SENT_NO_LANE && n > block &&
		    b->lane == lane && b->lane_generation == generation;

		if (!b->is_settled && (n == block || is_same)) {
			int r = rebuild_block(link, slot, n, entry, now);

			if (r != CN_OK) {
				return r;
			}
		}
		entry += entries;
	}
	if (lane != CN_SENT_NO_LANE) {
		struct cn_lane *l = cn_lane_by_id(slot, lane);

		if (l != NULL && l->generation == generation) {
			cn_lane_restart(slot, l);
			if (is_refused) {
				return cn_lane_refused(slot, l, now);
			}
		}
	}
	return CN_OK;
}
