/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/hash.h"
#include "store/store_private.h"

#define CHUNKS_FIRST 64u

struct cn_body *
cn_segment_body(struct cn_store *store)
{
	struct cn_body *body = cn_calloc(1, sizeof(*body));

	if (body == NULL) {
		return NULL;
	}
	body->image = cn_room_buffer(store);
	if (body->image == NULL) {
		cn_free(body);
		return NULL;
	}
	cn_list_init(&body->item);
	cn_ranges_init(&body->claimed, CN_STORE_RANGES_MAX);
	cn_ranges_init(&body->valid, CN_STORE_RANGES_MAX);
	return body;
}

void
cn_segment_body_free(struct cn_store *store, struct cn_body **bp)
{
	struct cn_body *body = *bp;

	if (body == NULL) {
		return;
	}
	cn_list_remove(&body->item);
	cn_ranges_fini(&body->claimed);
	cn_ranges_fini(&body->valid);
	cn_room_buffer_put(store, body->image);
	cn_free(body->chunk);
	cn_free(body);
	*bp = NULL;
}

struct cn_store_scope *
cn_segment_scope(const struct cn_segment *segment, uint32_t e)
{
	return segment->extents == NULL ? segment->scope
					: segment->extents->scope[e];
}

uint32_t
cn_segment_used(const struct cn_segment *segment, uint32_t e)
{
	return segment->extents == NULL ? CN_EXTENT_BYTES
					: segment->extents->used[e];
}

bool
cn_segment_range(
    const struct cn_ranges *ranges, uint64_t v, struct cn_range *ret)
{
	uint32_t lo = 0, hi = cn_ranges_count(ranges);

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		struct cn_range range = cn_ranges_at(ranges, mid);

		if (v < range.from) {
			hi = mid;
		} else if (v >= range.to) {
			lo = mid + 1;
		} else {
			*ret = range;
			return true;
		}
	}
	return false;
}

/* The run of extents of that scope around extent e. */
static struct cn_range
scope_run(const struct cn_segment *segment, uint32_t e,
    const struct cn_store_scope *scope)
{
	uint32_t first = e, end = e + 1;

	while (first > 0 && cn_segment_scope(segment, first - 1) == scope) {
		first--;
	}
	while (end < CN_SEGMENT_EXTENTS &&
	    cn_segment_scope(segment, end) == scope) {
		end++;
	}
	return (struct cn_range){ (uint64_t)first << CN_EXTENT_SHIFT,
		(uint64_t)end << CN_EXTENT_SHIFT };
}

/* The valid bytes around `off', of the scope, in a sealed segment. */
static bool
sealed_run(const struct cn_segment *segment, uint32_t off,
    const struct cn_store_scope *scope, struct cn_range *ret)
{
	uint32_t e = off >> CN_EXTENT_SHIFT, first = e, last = e;

	if (off - (e << CN_EXTENT_SHIFT) >= cn_segment_used(segment, e)) {
		return false;
	}
	while (first > 0 && cn_segment_scope(segment, first - 1) == scope &&
	    cn_segment_used(segment, first - 1) == CN_EXTENT_BYTES) {
		first--;
	}
	while (last + 1 < CN_SEGMENT_EXTENTS &&
	    cn_segment_used(segment, last) == CN_EXTENT_BYTES &&
	    cn_segment_scope(segment, last + 1) == scope) {
		last++;
	}
	ret->from = (uint64_t)first << CN_EXTENT_SHIFT;
	ret->to = ((uint64_t)last << CN_EXTENT_SHIFT) +
	    cn_segment_used(segment, last);
	return true;
}

static void
cut_to(struct cn_range *range, struct cn_range by)
{
	range->from = CN_MAX(range->from, by.from);
	range->to = CN_MIN(range->to, by.to);
}

bool
cn_segment_window(const struct cn_segment *segment, uint32_t off,
    const struct cn_store_scope *scope, bool is_for_sending,
    struct cn_range *ret)
{
	struct cn_range run, held;

	if (cn_segment_scope(segment, off >> CN_EXTENT_SHIFT) != scope) {
		return false;
	}
	if (segment->state == CN_SEGMENT_SEALED) {
		if (!sealed_run(segment, off, scope, &run)) {
			return false;
		}
	} else {
		if (!cn_segment_range(&segment->body->valid, off, &run)) {
			return false;
		}
		cut_to(&run, scope_run(segment, off >> CN_EXTENT_SHIFT, scope));
	}
	if (is_for_sending && !segment->is_all_held) {
		if (segment->held == NULL ||
		    !cn_segment_range(segment->held, off, &held)) {
			return false;
		}
		cut_to(&run, held);
	}
	*ret = run;
	return true;
}

bool
cn_segment_publish(struct cn_segment *segment, uint32_t from, uint32_t to)
{
	if (cn_ranges_add(&segment->body->valid, from, to) != CN_OK) {
		return false;
	}
	segment->valid_bytes += to - from;
	cn_segment_store(segment)->valid_bytes += to - from;
	return true;
}

/* ---- held ---- */

static void
held_free(struct cn_segment *segment)
{
	if (segment->held != NULL) {
		cn_ranges_fini(segment->held);
		cn_free(segment->held);
		segment->held = NULL;
	}
}

void
cn_segment_hold_none(struct cn_segment *segment)
{
	held_free(segment);
	segment->is_all_held = false;
}

void
cn_segment_hold_all(struct cn_segment *segment)
{
	held_free(segment);
	segment->is_all_held = true;
}

static bool
covers_all(const struct cn_segment *segment)
{
	for (uint32_t e = 0; e < CN_SEGMENT_EXTENTS; e++) {
		uint64_t from = (uint64_t)e << CN_EXTENT_SHIFT;

		if (!cn_ranges_covers(segment->held, from,
			from + cn_segment_used(segment, e))) {
			return false;
		}
	}
	return true;
}

void
cn_segment_hold(struct cn_segment *segment, uint32_t from, uint32_t to)
{
	if (segment->is_all_held || from >= to) {
		return;
	}
	if (segment->held == NULL) {
		segment->held = cn_alloc(sizeof(*segment->held));
		if (segment->held == NULL) {
			return;
		}
		cn_ranges_init(segment->held, CN_STORE_RANGES_MAX);
	}
	if (cn_ranges_add(segment->held, from, to) != CN_OK) {
		return; /* not held: the safe side */
	}
	if (segment->state == CN_SEGMENT_SEALED && covers_all(segment)) {
		cn_segment_hold_all(segment);
	}
}

/* From "all that is valid" to a note of what that is. */
static void
hold_in_detail(struct cn_segment *segment)
{
	segment->is_all_held = false;
	if (segment->state == CN_SEGMENT_OPEN) {
		const struct cn_ranges *valid = &segment->body->valid;

		for (uint32_t i = 0; i < cn_ranges_count(valid); i++) {
			struct cn_range range = cn_ranges_at(valid, i);

			cn_segment_hold(
			    segment, (uint32_t)range.from, (uint32_t)range.to);
		}
		return;
	}
	/* One range over all: what is not used is not valid anyway.  (Extent
	 * by extent it would collapse to "all" again.) */
	segment->held = cn_alloc(sizeof(*segment->held));
	if (segment->held == NULL) {
		return;
	}
	cn_ranges_init(segment->held, CN_STORE_HELD_MAX);
	if (cn_ranges_add(segment->held, 0, CN_SEGMENT_BYTES) != CN_OK) {
		held_free(segment);
	}
}

void
cn_segment_lack(struct cn_segment *segment, uint32_t from, uint32_t to)
{
	if (from >= to) {
		return;
	}
	if (segment->is_all_held) {
		hold_in_detail(segment);
	}
	if (segment->held != NULL &&
	    cn_ranges_remove(segment->held, from, to) != CN_OK) {
		held_free(segment);
	}
}

/* ---- from open to sealed ---- */

/* How far the ranges go on from `from', at most to `to'. */
static uint32_t
prefix(const struct cn_ranges *ranges, uint32_t from, uint32_t to)
{
	struct cn_range range;

	if (ranges == NULL || !cn_segment_range(ranges, from, &range)) {
		return from;
	}
	return (uint32_t)CN_MIN(range.to, (uint64_t)to);
}

/*
 * What is kept of extent e: the bytes from its start up to the first hole.
 * Of ours, the bytes that the peer never acknowledged are a hole, too, so
 * that both ends come to the same without a word, unless an acknowledgement
 * was lost; then the agreement finds a difference and mends it.
 */
static void
settle_extent(struct cn_segment *segment, uint32_t e, bool is_settled)
{
	struct cn_store_scope *scope = segment->extents->scope[e];
	uint32_t from = e << CN_EXTENT_SHIFT, to = from + CN_EXTENT_BYTES;

	to = prefix(&segment->body->valid, from, to);
	if (segment->log->is_mine && is_settled && !segment->is_all_held) {
		to = prefix(segment->held, from, to);
	}
	segment->extents->used[e] = (uint16_t)(to - from);
	segment->valid_bytes += to - from;
	if (to == from && scope != NULL) {
		segment->extents->scope[e] = NULL;
		scope->extents--;
		cn_catalog_scope_check(scope);
	}
}

/* Most segments are full and of one scope: no table for these. */
static void
simplify_extents(struct cn_segment *segment)
{
	struct cn_extents *extents = segment->extents;

	for (uint32_t e = 0; e < CN_SEGMENT_EXTENTS; e++) {
		if (extents->used[e] != CN_EXTENT_BYTES ||
		    extents->scope[e] != extents->scope[0]) {
			return;
		}
	}
	segment->scope = extents->scope[0];
	segment->extents = NULL;
	cn_free(extents);
}

static int
compare_chunks(const void *a, const void *b)
{
	const struct cn_store_chunk *x = a, *y = b;

	if (x->pos != y->pos) {
		return x->pos < y->pos ? -1 : 1;
	}
	return (x->key > y->key) - (x->key < y->key);
}

/* Sorted, each place once, nothing that is not there. */
static void
settle_chunks(struct cn_segment *segment)
{
	struct cn_body *body = segment->body;
	uint32_t n = 0;

	if (body->chunks > 1) {
		qsort(body->chunk, body->chunks, sizeof(*body->chunk),
		    compare_chunks);
	}
	for (uint32_t i = 0; i < body->chunks; i++) {
		uint32_t off = (uint32_t)body->chunk[i].pos;
		uint32_t e = off >> CN_EXTENT_SHIFT;

		if (off - (e << CN_EXTENT_SHIFT) <
			cn_segment_used(segment, e) &&
		    (n == 0 || body->chunk[n - 1].pos != off)) {
			body->chunk[n++] = body->chunk[i];
		}
	}
	body->chunks = n;
}

void
cn_segment_settle(struct cn_segment *segment, bool is_settled)
{
	struct cn_store *store = cn_segment_store(segment);
	struct cn_body *body = segment->body;

	assert(segment->state == CN_SEGMENT_OPEN && body->writers == 0);
	store->valid_bytes -= segment->valid_bytes;
	segment->valid_bytes = 0;
	for (uint32_t e = 0; e < CN_SEGMENT_EXTENTS; e++) {
		settle_extent(segment, e, is_settled);
	}
	store->valid_bytes += segment->valid_bytes;
	segment->state = CN_SEGMENT_SEALED;
	simplify_extents(segment);
	settle_chunks(segment);
	cn_ranges_fini(&body->claimed);
	cn_ranges_fini(&body->valid);
	if (segment->held != NULL && covers_all(segment)) {
		cn_segment_hold_all(segment);
	}
}

void
cn_segment_learn(struct cn_segment *segment, const struct cn_store_chunk *chunk)
{
	struct cn_body *body = segment->body;

	if (body->chunks == body->chunks_cap) {
		uint32_t cap =
		    body->chunks_cap == 0 ? CHUNKS_FIRST : body->chunks_cap * 2;
		struct cn_store_chunk *more;

		if (cap > CN_IMAGE_CHUNKS_MAX) {
			return;
		}
		more = cn_realloc(body->chunk, cap * sizeof(*more));
		if (more == NULL) {
			return;
		}
		body->chunk = more;
		body->chunks_cap = cap;
	}
	body->chunk[body->chunks++] = (struct cn_store_chunk){ chunk->key,
		chunk->pos & (CN_SEGMENT_BYTES - 1) };
}

/* ---- footers ---- */

void
cn_segment_hash(
    const struct cn_segment *segment, uint32_t hash[CN_SEGMENT_EXTENTS])
{
	const uint8_t *data = cn_segment_data(segment);

	for (uint32_t e = 0; e < CN_SEGMENT_EXTENTS; e++) {
		uint32_t used = cn_segment_used(segment, e);

		hash[e] = used == 0
		    ? 0
		    : (uint32_t)cn_hash64(data + e * CN_EXTENT_BYTES, used, 0);
	}
}

void
cn_segment_info(const struct cn_segment *segment, struct cn_image_info *ret)
{
	*ret = (struct cn_image_info){
		.is_mine = segment->log->is_mine,
		.epoch = segment->log->epoch,
		.sequence = segment->sequence,
		.age = segment->age,
		.sealed_s = segment->sealed_s,
	};
	memcpy(ret->peer, segment->log->pair->peer, sizeof(ret->peer));
	for (uint32_t e = 0; e < CN_SEGMENT_EXTENTS; e++) {
		const struct cn_store_scope *scope =
		    cn_segment_scope(segment, e);

		if (cn_segment_used(segment, e) > 0) {
			ret->extent[e].scope = scope->key;
			ret->extent[e].used = cn_segment_used(segment, e);
			ret->extent[e].hash = segment->hash[e];
		}
	}
}

void
cn_segment_leave_scopes(struct cn_segment *segment)
{
	for (uint32_t e = 0; e < CN_SEGMENT_EXTENTS; e++) {
		struct cn_store_scope *scope = cn_segment_scope(segment, e);

		if (scope != NULL) {
			scope->extents--;
			/* The last one may free what `scope' points to. */
			if (segment->extents != NULL) {
				cn_catalog_scope_check(scope);
			}
		}
	}
	if (segment->extents == NULL && segment->scope != NULL) {
		cn_catalog_scope_check(segment->scope);
	}
	cn_free(segment->extents);
	segment->extents = NULL;
	segment->scope = NULL;
}

int
cn_segment_adopt(struct cn_segment *segment, const struct cn_image_info *info)
{
	struct cn_extents *extents = cn_calloc(1, sizeof(*extents));

	if (extents == NULL) {
		return CN_ENOMEM;
	}
	segment->extents = extents;
	for (uint32_t e = 0; e < CN_SEGMENT_EXTENTS; e++) {
		struct cn_store_scope *scope;

		if (info->extent[e].used == 0) {
			continue;
		}
		scope = cn_catalog_scope(
		    segment->log->pair, info->extent[e].scope, true);
		if (scope == NULL) {
			cn_segment_leave_scopes(segment);
			return CN_ENOMEM;
		}
		scope->extents++;
		extents->scope[e] = scope;
		extents->used[e] = (uint16_t)info->extent[e].used;
		segment->valid_bytes += info->extent[e].used;
		segment->hash[e] = info->extent[e].hash;
	}
	segment->has_hash = true;
	segment->sealed_s = (uint32_t)info->sealed_s;
	simplify_extents(segment);
	return CN_OK;
}
