/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/err.h"
#include "store/store_private.h"

/* ---- buffers ---- */

bool
cn_room_is_evictable(const struct cn_segment *segment)
{
	return segment->state == CN_SEGMENT_SEALED && segment->pins == 0 &&
	    !segment->is_loading;
}

/* The first of a list of bodies whose segment may go. */
static struct cn_segment *
first_free(const struct cn_list *bodies)
{
	struct cn_list *it;

	CN_LIST_EACH(bodies, it)
	{
		struct cn_segment *segment =
		    CN_LIST_ENTRY(it, struct cn_body, item)->segment;

		if (cn_room_is_evictable(segment)) {
			return segment;
		}
	}
	return NULL;
}

static uint8_t *
spare_buffer(struct cn_store *store)
{
	struct cn_list *it = cn_list_first(&store->buffers);
	uint8_t *buffer;

	if (it != NULL) {
		cn_list_remove(it);
		return (uint8_t *)it;
	}
	if (store->buffers_made == store->buffers_max) {
		return NULL;
	}
	buffer = cn_alloc_touched(CN_IMAGE_BYTES);
	if (buffer != NULL) {
		store->buffers_made++;
	}
	return buffer;
}

void
cn_room_buffer_put(struct cn_store *store, uint8_t *buffer)
{
	struct cn_list *it = (struct cn_list *)(void *)buffer;

	/* The one used last is the one in the cache. */
	cn_list_init(it);
	cn_list_prepend(&store->buffers, it);
}

void
cn_room_buffers_free(struct cn_store *store)
{
	struct cn_list *it;

	while ((it = cn_list_first(&store->buffers)) != NULL) {
		cn_list_remove(it);
		cn_free(it);
		store->buffers_made--;
	}
}

/* A segment whose bytes are on the disk, too, gives up its body. */
static void
drop_body(struct cn_segment *segment)
{
	struct cn_store *store = cn_segment_store(segment);

	cn_segment_body_free(store, &segment->body);
	store->bodies--;
}

/* Drop or evict one segment's body; false: none may go. */
static bool
free_one(struct cn_store *store)
{
	struct cn_segment *segment = first_free(&store->lru);

	if (segment != NULL) {
		drop_body(segment);
		return true;
	}
	segment = first_free(&store->kept);
	if (segment != NULL) {
		cn_room_evict(segment);
		return true;
	}
	return false;
}

uint8_t *
cn_room_buffer(struct cn_store *store)
{
	uint8_t *buffer = spare_buffer(store);

	if (buffer == NULL && free_one(store)) {
		buffer = spare_buffer(store);
	}
	if (buffer == NULL) {
		cn_seal_full(store);
		if (free_one(store)) {
			buffer = spare_buffer(store);
		}
	}
	return buffer;
}

/* ---- slots ---- */

void
cn_room_slot_claim(struct cn_store *store, uint32_t slot)
{
	assert((store->slot_taken[slot / 64] >> slot % 64 & 1) == 0);
	store->slot_taken[slot / 64] |= UINT64_C(1) << slot % 64;
	store->slots_free--;
}

void
cn_room_slot_put(struct cn_store *store, uint32_t slot)
{
	assert((store->slot_taken[slot / 64] >> slot % 64 & 1) == 1);
	store->slot_taken[slot / 64] &= ~(UINT64_C(1) << slot % 64);
	store->slots_free++;
	if (slot < store->slot_next) {
		store->slot_next = slot;
	}
}

/* The lowest free one: the file stays short. */
static uint32_t
lowest_slot(struct cn_store *store)
{
	uint32_t words = (store->slots + 63) / 64;

	for (uint32_t w = store->slot_next / 64; w < words; w++) {
		if (~store->slot_taken[w] != 0) {
			uint32_t slot = w * 64 +
			    (uint32_t)__builtin_ctzll(~store->slot_taken[w]);

			if (slot < store->slots) {
				store->slot_next = slot;
				return slot;
			}
		}
	}
	return UINT32_MAX;
}

uint32_t
cn_room_slot(struct cn_store *store)
{
	struct cn_list *it, *tmp;
	uint32_t slot = UINT32_MAX;

	CN_LIST_EACH_SAFE(&store->ring, it, tmp)
	{
		struct cn_segment *segment =
		    CN_LIST_ENTRY(it, struct cn_segment, item);

		if (store->slots_free > 0) {
			break;
		}
		if (segment->is_written && cn_room_is_evictable(segment)) {
			cn_room_evict(segment);
			break;
		}
	}
	if (store->slots_free > 0) {
		slot = lowest_slot(store);
		assert(slot != UINT32_MAX);
		cn_room_slot_claim(store, slot);
	}
	return slot;
}

/* ---- order ---- */

void
cn_room_list_body(struct cn_segment *segment)
{
	struct cn_store *store = cn_segment_store(segment);
	struct cn_body *body = segment->body;

	cn_list_remove(&body->item);
	if (segment->is_written) {
		cn_list_append(&store->lru, &body->item);
	} else if (cn_store_has_disk(store) && !segment->is_kept) {
		cn_list_append(&store->unwritten, &body->item);
	} else {
		segment->is_kept = true;
		cn_list_append(&store->kept, &body->item);
	}
}

void
cn_room_lose_disk(struct cn_store *store)
{
	struct cn_list *it;

	store->is_disk_lost = true;
	CN_LIST_EACH(&store->unwritten, it)
	{
		CN_LIST_ENTRY(it, struct cn_body, item)->segment->is_kept =
		    true;
	}
	cn_list_splice(&store->kept, &store->unwritten);
}

/*
 * The peer is to be told, once.  When too many announcements wait for a link
 * this one is left out: the peer finds out by a miss.
 */
static void
announce(struct cn_segment *segment)
{
	struct cn_pair *pair = segment->log->pair;
	uint32_t count =
	    atomic_load_explicit(&pair->evicted_count, memory_order_relaxed);

	if (segment->is_doomed) {
		return;
	}
	segment->is_doomed = true;
	if (pair->evicted == NULL) {
		pair->evicted =
		    cn_calloc(CN_STORE_EVICTED_MAX, sizeof(*pair->evicted));
	}
	if (pair->evicted == NULL || count == CN_STORE_EVICTED_MAX) {
		return;
	}
	pair->evicted[(pair->evicted_first + count) % CN_STORE_EVICTED_MAX] =
	    (struct cn_place){ .epoch = segment->log->epoch,
		    .pos = segment->sequence << CN_SEGMENT_SHIFT,
		    .is_mine = segment->log->is_mine };
	atomic_store_explicit(
	    &pair->evicted_count, count + 1, memory_order_relaxed);
}

static uint64_t
scope_bytes(const struct cn_store_scope *scope)
{
	return (uint64_t)scope->extents << CN_EXTENT_SHIFT;
}

/* A scope with a quota gives up its oldest segments first. */
static void
keep_quota(struct cn_store *store, struct cn_store_scope *scope)
{
	uint64_t quota = store->config.quota_bytes;
	uint64_t margin =
	    CN_MIN(CN_STORE_MARGIN * (uint64_t)CN_SEGMENT_BYTES, quota / 4);
	struct cn_list *it, *tmp;

	if (quota == 0) {
		return;
	}
	scope->holders++;
	CN_LIST_EACH_SAFE(&scope->segments, it, tmp)
	{
		struct cn_segment *segment =
		    CN_LIST_ENTRY(it, struct cn_segment, scope_item);

		if (scope_bytes(scope) <= quota) {
			break;
		}
		if (cn_room_is_evictable(segment)) {
			cn_room_evict(segment);
		}
	}
	uint64_t left = scope_bytes(scope);

	CN_LIST_EACH(&scope->segments, it)
	{
		if (left + margin <= quota) {
			break;
		}
		announce(CN_LIST_ENTRY(it, struct cn_segment, scope_item));
		left -= CN_MIN(left, (uint64_t)CN_SEGMENT_BYTES);
	}
	scope->holders--;
	cn_catalog_scope_check(scope);
}

void
cn_room_enter(struct cn_segment *segment)
{
	struct cn_store *store = cn_segment_store(segment);

	cn_list_append(&store->ring, &segment->item);
	store->sealed++;
	cn_catalog_log_first(segment->log);
	if (segment->body != NULL) {
		cn_room_list_body(segment);
	}
	if (segment->extents == NULL) {
		cn_list_append(&segment->scope->segments, &segment->scope_item);
		keep_quota(store, segment->scope);
	}
}

/* ---- eviction ---- */

/* Segments that may still come before one of the present ones must go. */
static uint32_t
room_left(const struct cn_store *store)
{
	return cn_store_has_disk(store) ? store->slots_free
					: store->buffers_max - store->bodies;
}

void
cn_room_doom(struct cn_store *store)
{
	bool has_disk = cn_store_has_disk(store);
	uint32_t all = has_disk ? store->slots : store->buffers_max;
	uint32_t margin = CN_MIN(CN_STORE_MARGIN, all / 4);
	uint32_t left = room_left(store);
	struct cn_list *it, *head = has_disk ? &store->ring : &store->kept;

	if (left >= margin) {
		return;
	}
	CN_LIST_EACH(head, it)
	{
		if (left++ >= margin) {
			break;
		}
		announce(has_disk
			? CN_LIST_ENTRY(it, struct cn_segment, item)
			: CN_LIST_ENTRY(it, struct cn_body, item)->segment);
	}
}

void
cn_room_evict(struct cn_segment *segment)
{
	struct cn_store *store = cn_segment_store(segment);

	assert(segment->pins == 0 && !segment->is_loading);
	if (segment->state == CN_SEGMENT_SEALED) {
		announce(segment);
		store->sealed--;
		store->count.evicted++;
	} else if (segment->log->is_mine) {
		store->open_mine--;
	} else {
		store->open_theirs--;
		segment->log->pair->peer_open--;
	}
	if (segment->is_written) {
		cn_room_slot_put(store, segment->slot);
		store->written--;
	}
	if (segment->body != NULL) {
		assert(segment->body->writers == 0);
		drop_body(segment);
	}
	store->valid_bytes -= segment->valid_bytes;
	cn_list_remove(&segment->item);
	cn_list_remove(&segment->scope_item);
	cn_segment_hold_none(segment);
	cn_segment_leave_scopes(segment);
	cn_catalog_remove(segment);
	cn_catalog_give(store, segment);
}
