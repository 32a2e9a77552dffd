/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "base/coldcopy.h"
#include "base/err.h"
#include "store/store_private.h"

/* Segments that one call may write to. */
#define TOUCHED_MAX 16u
/* Of so many segments in memory one may be a scope's alone. */
#define OWN_PART 12u

/* One call. */
struct append {
	struct cn_pair *pair;
	struct cn_store_scope *scope;
	struct cn_store_piece *piece;
	size_t pieces, max;
	struct cn_segment *touched[TOUCHED_MAX];
	size_t touches;
};

/* Let the segments go. */
static void
release(struct append *append)
{
	for (size_t i = 0; i < append->touches; i++) {
		append->touched[i]->body->writers--;
	}
	append->touches = 0;
}

static bool
touch(struct append *append, struct cn_segment *segment)
{
	for (size_t i = append->touches; i-- > 0;) {
		if (append->touched[i] == segment) {
			return true;
		}
	}
	if (append->touches == TOUCHED_MAX) {
		return false;
	}
	append->touched[append->touches++] = segment;
	segment->body->writers++;
	cn_seal_touch(segment);
	return true;
}

static bool
has_extent(const struct cn_segment *segment)
{
	return segment != NULL &&
	    segment->body->next_extent < CN_SEGMENT_EXTENTS;
}

static struct cn_segment *
open_next(struct cn_pair *pair)
{
	struct cn_store_log *log =
	    cn_catalog_log(pair, true, pair->store->config.epoch, true);

	return log == NULL || log->head >= CN_PLACE_END >> CN_SEGMENT_SHIFT
	    ? NULL
	    : cn_seal_open(pair, true, log->epoch, log->head);
}

/*
 * Scopes with segments of their own.  In a small store few: each of these
 * stays open until its scope has filled it, and the peer, which is to have
 * them open as well, has no more memory than we, as far as we know.
 */
static uint32_t
owners_max(const struct cn_store *store)
{
	return CN_MIN(store->buffers_max / OWN_PART, CN_STORE_OWN_MAX);
}

/* The owner that wrote nothing for long makes room for another. */
static bool
retire_owner(struct cn_pair *pair)
{
	struct cn_list *it = cn_list_first(&pair->owners);
	struct cn_store_scope *oldest;

	assert(it != NULL);
	oldest = CN_LIST_ENTRY(it, struct cn_store_scope, own_item);
	if (pair->store->now_us - oldest->used_us < CN_STORE_IDLE_US) {
		return false;
	}
	if (!has_extent(pair->shared)) {
		pair->shared = oldest->own;
	}
	oldest->own = NULL;
	cn_list_remove(&oldest->own_item);
	pair->owner_count--;
	cn_catalog_scope_check(oldest);
	return true;
}

/* Does the scope write enough to have segments of its own? */
static bool
may_own(struct cn_store_scope *scope)
{
	struct cn_pair *pair = scope->pair;

	if (scope->written < CN_STORE_OWN_BYTES ||
	    owners_max(pair->store) == 0) {
		return false;
	}
	if (cn_list_is_empty(&scope->own_item)) {
		if (pair->owner_count >= owners_max(pair->store) &&
		    !retire_owner(pair)) {
			return false;
		}
		pair->owner_count++;
	}
	cn_list_remove(&scope->own_item);
	cn_list_append(&pair->owners, &scope->own_item);
	return true;
}

/* A segment with an extent for the scope; NULL: no room. */
static struct cn_segment *
find_extent(struct cn_store_scope *scope)
{
	struct cn_pair *pair = scope->pair;

	if (may_own(scope)) {
		if (!has_extent(scope->own)) {
			scope->own = open_next(pair);
		}
		if (scope->own != NULL) {
			return scope->own;
		}
	}
	if (!has_extent(pair->shared)) {
		pair->shared = open_next(pair);
	}
	return pair->shared;
}

static bool
next_extent(struct append *append)
{
	struct cn_store_scope *scope = append->scope;
	struct cn_segment *segment = find_extent(scope);
	uint32_t e;

	if (segment == NULL) {
		return false;
	}
	e = segment->body->next_extent++;
	segment->extents->scope[e] = scope;
	scope->extents++;
	scope->at = segment;
	scope->at_off = e << CN_EXTENT_SHIFT;
	scope->at_end = scope->at_off + CN_EXTENT_BYTES;
	return true;
}

/* The piece goes on where the last one ended, in plain and in the log. */
static bool
goes_on(const struct append *append, uint32_t offset, uint64_t pos)
{
	const struct cn_store_piece *last;

	if (append->pieces == 0 || (pos & (CN_SEGMENT_BYTES - 1)) == 0) {
		return false;
	}
	last = &append->piece[append->pieces - 1];
	return last->offset + last->len == offset &&
	    last->pos + last->len == pos;
}

/* Give positions to one span; false: no room for all of it. */
static bool
reserve(struct append *append, struct cn_store_span span)
{
	struct cn_store_scope *scope = append->scope;

	while (span.len > 0) {
		uint32_t len;
		uint64_t pos;

		if ((scope->at == NULL || scope->at_off == scope->at_end) &&
		    !next_extent(append)) {
			return false;
		}
		len = CN_MIN(span.len, scope->at_end - scope->at_off);
		pos = (scope->at->sequence << CN_SEGMENT_SHIFT) + scope->at_off;
		if (!goes_on(append, span.offset, pos)) {
			if (append->pieces == append->max ||
			    !touch(append, scope->at)) {
				return false;
			}
			append->piece[append->pieces++] =
			    (struct cn_store_piece){ span.offset, 0, pos };
		}
		append->piece[append->pieces - 1].len += len;
		scope->at_off += len;
		scope->written += len;
		span.offset += len;
		span.len -= len;
	}
	return true;
}

static struct cn_segment *
segment_of(const struct append *append, const struct cn_store_piece *piece)
{
	uint64_t sequence = piece->pos >> CN_SEGMENT_SHIFT;
	size_t i = 0;

	while (append->touched[i]->sequence != sequence) {
		i++;
		assert(i < append->touches);
	}
	return append->touched[i];
}

/* The pieces are there now.  Returns their bytes. */
static uint64_t
publish(struct append *append)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < append->pieces; i++) {
		const struct cn_store_piece *piece = &append->piece[i];
		uint32_t off = (uint32_t)piece->pos & (CN_SEGMENT_BYTES - 1);

		/* Without memory these positions stay empty for ever. */
		if (!cn_segment_publish(
			segment_of(append, piece), off, off + piece->len)) {
			append->pieces = i;
			break;
		}
		bytes += piece->len;
	}
	return bytes;
}

static void
copy(const struct append *append, const uint8_t *plain)
{
	for (size_t i = 0; i < append->pieces; i++) {
		const struct cn_store_piece *piece = &append->piece[i];
		struct cn_segment *segment = segment_of(append, piece);

		cn_coldcopy(cn_segment_data(segment) +
			(piece->pos & (CN_SEGMENT_BYTES - 1)),
		    plain + piece->offset, piece->len);
	}
}

static bool
begin(struct append *append, uint64_t key, uint64_t now)
{
	struct cn_store *store = append->pair->store;

	cn_store_at(store, now);
	if (store->is_closed) {
		return false;
	}
	append->scope = cn_catalog_scope(append->pair, key, true);
	if (append->scope == NULL) {
		return false;
	}
	append->scope->holders++;
	append->scope->used_us = store->now_us;
	return true;
}

size_t
cn_pair_append(struct cn_pair *pair, uint64_t scope, const uint8_t *plain,
    const struct cn_store_span *spans, size_t count,
    struct cn_store_piece *pieces, size_t max, uint64_t now)
{
	struct cn_store *store = pair->store;
	struct append append = { .pair = pair, .piece = pieces, .max = max };
	uint64_t wanted = 0, bytes = 0;

	for (size_t i = 0; i < count; i++) {
		wanted += spans[i].len;
	}
	pthread_mutex_lock(&store->lock);
	if (begin(&append, scope, now)) {
		for (size_t i = 0; i < count; i++) {
			if (!reserve(&append, spans[i])) {
				break;
			}
		}
		/* The positions are ours alone, so the lock is not needed. */
		pthread_mutex_unlock(&store->lock);
		copy(&append, plain);
		pthread_mutex_lock(&store->lock);
		bytes = publish(&append);
		release(&append);
		append.scope->holders--;
		cn_catalog_scope_check(append.scope);
	}
	store->count.appended += bytes;
	store->count.refused += wanted - bytes;
	pthread_mutex_unlock(&store->lock);
	return append.pieces;
}
