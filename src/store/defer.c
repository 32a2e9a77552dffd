/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/err.h"
#include "store/store_private.h"

/* Pieces that wait in one scope, at first and at most: with neighbours merged
 * these are segments, more than memory holds. */
#define DEFERRED_FIRST 16u
#define DEFERRED_MAX 1024u

void
cn_defer_free(struct cn_store_scope *scope)
{
	atomic_fetch_sub_explicit(&scope->pair->deferred, scope->deferred_count,
	    memory_order_relaxed);
	cn_free(scope->deferred);
	scope->deferred = NULL;
	scope->deferred_count = scope->deferred_cap = 0;
}

static struct cn_store_deferred *
deferred_at(const struct cn_store_scope *scope, uint32_t i)
{
	return &scope->deferred[(scope->deferred_first + i) &
	    (scope->deferred_cap - 1)];
}

/* The piece goes on where the last one ended, in one segment. */
static bool
merge(struct cn_store_scope *scope, uint64_t epoch,
    const struct cn_store_piece *piece)
{
	struct cn_store_deferred *last;

	if (scope->deferred_count == 0) {
		return false;
	}
	last = deferred_at(scope, scope->deferred_count - 1);
	if (last->epoch != epoch || last->pos + last->len != piece->pos ||
	    last->pos >> CN_SEGMENT_SHIFT != piece->pos >> CN_SEGMENT_SHIFT) {
		return false;
	}
	last->len += piece->len;
	return true;
}

static bool
grow(struct cn_store_scope *scope)
{
	uint32_t cap =
	    scope->deferred_cap == 0 ? DEFERRED_FIRST : scope->deferred_cap * 2;
	struct cn_store_deferred *ring;

	if (cap > DEFERRED_MAX) {
		return false;
	}
	ring = cn_alloc(cap * sizeof(*ring));
	if (ring == NULL) {
		return false;
	}
	for (uint32_t i = 0; i < scope->deferred_count; i++) {
		ring[i] = *deferred_at(scope, i);
	}
	cn_free(scope->deferred);
	scope->deferred = ring;
	scope->deferred_cap = cap;
	scope->deferred_first = 0;
	return true;
}

bool
cn_pair_defer(struct cn_pair *pair, uint64_t key, uint64_t epoch,
    const struct cn_store_piece *piece)
{
	struct cn_store *store = pair->store;
	struct cn_store_scope *scope;
	bool is_taken = false;

	if ((piece->pos & (CN_SEGMENT_BYTES - 1)) + piece->len >
	    CN_SEGMENT_BYTES) {
		return false;
	}
	pthread_mutex_lock(&store->lock);
	scope = cn_catalog_scope(pair, key, false);
	/* An image needs the table of its chunks. */
	if (scope != NULL && !cn_store_has_disk(store)) {
		is_taken = merge(scope, epoch, piece);
		if (!is_taken &&
		    (scope->deferred_count < scope->deferred_cap ||
			grow(scope))) {
			scope->deferred_count++;
			*deferred_at(scope, scope->deferred_count - 1) =
			    (struct cn_store_deferred){ epoch, piece->pos,
				    piece->len };
			atomic_fetch_add_explicit(
			    &pair->deferred, 1, memory_order_relaxed);
			is_taken = true;
		}
	}
	pthread_mutex_unlock(&store->lock);
	return is_taken;
}

bool
cn_pair_deferred(struct cn_pair *pair, uint64_t key, uint64_t *epoch,
    struct cn_store_piece *ret)
{
	struct cn_store *store = pair->store;
	struct cn_store_scope *scope;
	bool is_found = false;

	if (atomic_load_explicit(&pair->deferred, memory_order_relaxed) == 0) {
		return false;
	}
	pthread_mutex_lock(&store->lock);
	scope = cn_catalog_scope(pair, key, false);
	if (scope != NULL && scope->deferred_count > 0) {
		const struct cn_store_deferred *first = deferred_at(scope, 0);

		*epoch = first->epoch;
		*ret = (struct cn_store_piece){ 0, first->len, first->pos };
		scope->deferred_first++;
		scope->deferred_count--;
		atomic_fetch_sub_explicit(
		    &pair->deferred, 1, memory_order_relaxed);
		is_found = true;
	}
	pthread_mutex_unlock(&store->lock);
	return is_found;
}
