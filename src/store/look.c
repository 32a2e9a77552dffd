/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdatomic.h>

#include "base/err.h"
#include "base/hash.h"
#include "store/store_private.h"

/* A view that enters the last quarter wants the next segment soon. */
#define PREFETCH_FROM (CN_SEGMENT_BYTES / 4 * 3)

/* What is asked for. */
struct question {
	struct cn_pair *pair;
	uint64_t scope;
	struct cn_store_user *user; /* or NULL */
	bool is_for_sending;
};

/* Read the segment behind this one if it is only on the disk. */
static void
prefetch(const struct cn_segment *segment)
{
	struct cn_segment *next =
	    cn_catalog_find(segment->log, segment->sequence + 1);

	if (next != NULL && next->body == NULL && !next->is_loading &&
	    !next->is_doomed) {
		(void)!cn_load_read(next);
	}
}

/* Used just now: it is dropped last. */
static void
use(struct cn_segment *segment)
{
	if (segment->is_written) {
		struct cn_store *store = cn_segment_store(segment);

		cn_list_remove(&segment->body->item);
		cn_list_append(&store->lru, &segment->body->item);
	}
}

/* A view of what the window shows, or the way to it. */
static int
view(const struct question *q, struct cn_segment *segment, uint32_t off,
    struct cn_range window, struct cn_view *ret)
{
	if (segment->body == NULL) {
		if (!cn_load_read(segment)) {
			return CN_ENOENT;
		}
		if (q->user != NULL) {
			atomic_store(&q->user->is_waiting, true);
		}
		return CN_EAGAIN;
	}
	use(segment);
	segment->pins++;
	*ret = (struct cn_view){
		.pair = q->pair,
		.segment = segment,
		.place = { .epoch = segment->log->epoch,
		    .pos = (segment->sequence << CN_SEGMENT_SHIFT) + off,
		    .is_mine = segment->log->is_mine },
		.bytes = cn_segment_data(segment) + off,
		.before = off - (size_t)window.from,
		.after = (size_t)window.to - off,
	};
	if (off >= PREFETCH_FROM) {
		prefetch(segment);
	}
	return CN_OK;
}

/* For sending: something at `off' of the segment that may be used. */
static int
look(const struct question *q, struct cn_segment *segment, uint32_t off,
    struct cn_view *ret)
{
	struct cn_store_scope *scope = cn_map_get(&q->pair->scopes, q->scope);
	struct cn_range window;

	if (scope == NULL || segment->is_doomed ||
	    !cn_segment_window(segment, off, scope, true, &window)) {
		return CN_ENOENT;
	}
	return view(q, segment, off, window, ret);
}

int
cn_pair_look(struct cn_pair *pair, uint64_t spot, uint64_t scope,
    struct cn_store_user *user, struct cn_view *ret)
{
	struct cn_store *store = pair->store;
	struct question q = { pair, scope, user, true };
	struct cn_segment *segment;
	int rc = CN_ENOENT;

	pthread_mutex_lock(&store->lock);
	segment = cn_catalog_number(store, spot >> CN_SEGMENT_SHIFT);
	if (segment != NULL && segment->state != CN_SEGMENT_FREE &&
	    segment->log->pair == pair) {
		rc = look(
		    &q, segment, (uint32_t)spot & (CN_SEGMENT_BYTES - 1), ret);
	}
	pthread_mutex_unlock(&store->lock);
	return rc;
}

static struct cn_segment *
find(struct cn_pair *pair, const struct cn_place *place)
{
	struct cn_store_log *log =
	    cn_catalog_log(pair, place->is_mine, place->epoch, false);

	return log == NULL
	    ? NULL
	    : cn_catalog_find(log, place->pos >> CN_SEGMENT_SHIFT);
}

int
cn_pair_look_at(struct cn_pair *pair, const struct cn_place *place,
    uint64_t scope, struct cn_store_user *user, struct cn_view *ret)
{
	struct cn_store *store = pair->store;
	struct question q = { pair, scope, user, true };
	struct cn_segment *segment;
	int rc = CN_ENOENT;

	pthread_mutex_lock(&store->lock);
	segment = find(pair, place);
	if (segment != NULL) {
		rc = look(&q, segment,
		    (uint32_t)place->pos & (CN_SEGMENT_BYTES - 1), ret);
	}
	pthread_mutex_unlock(&store->lock);
	return rc;
}

/* Nothing of [off, off + len) may be another scope's. */
static bool
is_of_scope(
    const struct cn_segment *segment, uint32_t off, uint32_t len, uint64_t key)
{
	for (uint32_t e = off >> CN_EXTENT_SHIFT;
	     e <= (off + len - 1) >> CN_EXTENT_SHIFT; e++) {
		const struct cn_store_scope *scope =
		    cn_segment_scope(segment, e);

		if (scope != NULL && scope->key != key) {
			return false;
		}
	}
	return true;
}

static int
resolve(const struct question *q, const struct cn_place *place, uint32_t len,
    struct cn_view *ret)
{
	uint32_t off = (uint32_t)place->pos & (CN_SEGMENT_BYTES - 1);
	struct cn_segment *segment = find(q->pair, place);
	const struct cn_store_log *own = q->pair->own;
	struct cn_store_scope *scope;
	struct cn_range window;

	if (place->is_mine && place->epoch == q->pair->store->config.epoch &&
	    (own == NULL || place->pos >> CN_SEGMENT_SHIFT >= own->head)) {
		return CN_EPROTO;
	}
	if (segment == NULL) {
		return CN_ENOENT;
	}
	if (!is_of_scope(segment, off, len, q->scope)) {
		return CN_EPROTO;
	}
	scope = cn_map_get(&q->pair->scopes, q->scope);
	if (scope == NULL ||
	    !cn_segment_window(segment, off, scope, false, &window) ||
	    window.to < off + len) {
		return CN_ENOENT;
	}
	return view(q, segment, off, window, ret);
}

int
cn_pair_resolve(struct cn_pair *pair, const struct cn_place *place, size_t len,
    uint64_t scope, struct cn_store_user *user, struct cn_view *ret)
{
	struct cn_store *store = pair->store;
	struct question q = { pair, scope, user, false };
	int rc;

	if (len == 0 || place->pos >= CN_PLACE_END ||
	    len > CN_SEGMENT_BYTES - (place->pos & (CN_SEGMENT_BYTES - 1))) {
		return CN_EPROTO;
	}
	pthread_mutex_lock(&store->lock);
	rc = resolve(&q, place, (uint32_t)len, ret);
	pthread_mutex_unlock(&store->lock);
	return rc;
}

void
cn_view_done(struct cn_view *view)
{
	struct cn_segment *segment = view->segment;
	struct cn_store *store;

	if (segment == NULL) {
		return;
	}
	store = view->pair->store;
	pthread_mutex_lock(&store->lock);
	assert(segment->pins > 0);
	segment->pins--;
	pthread_mutex_unlock(&store->lock);
	view->segment = NULL;
}

size_t
cn_view_chunks(const struct cn_view *view, const struct cn_store_chunk **ret)
{
	const struct cn_segment *segment = view->segment;
	struct cn_store *store = view->pair->store;
	size_t n = 0;

	if (segment == NULL) {
		return 0;
	}
	/* Sealed, the table is never touched again. */
	pthread_mutex_lock(&store->lock);
	if (segment->state == CN_SEGMENT_SEALED) {
		*ret = segment->body->chunk;
		n = segment->body->chunks;
	}
	pthread_mutex_unlock(&store->lock);
	return n;
}

/* ---- hints ---- */

static bool
has_byte(const struct cn_segment *segment, uint32_t off)
{
	struct cn_store_scope *scope =
	    cn_segment_scope(segment, off >> CN_EXTENT_SHIFT);
	struct cn_range window;

	return scope != NULL &&
	    cn_segment_window(segment, off, scope, false, &window);
}

static void
learn(struct cn_store *store, struct cn_segment *segment,
    const struct cn_store_chunk *chunk)
{
	uint32_t off = (uint32_t)chunk->pos & (CN_SEGMENT_BYTES - 1);

	if (!has_byte(segment, off)) {
		return;
	}
	cn_index_put(store->index, chunk->key,
	    (uint64_t)segment->number << CN_SEGMENT_SHIFT | off);
	if (segment->state == CN_SEGMENT_OPEN) {
		cn_segment_learn(segment, chunk);
	}
}

void
cn_pair_learn(struct cn_pair *pair, bool is_mine, uint64_t epoch,
    const struct cn_store_chunk *chunk, size_t count)
{
	struct cn_store *store = pair->store;
	struct cn_segment *segment = NULL;
	struct cn_store_log *log;

	pthread_mutex_lock(&store->lock);
	log = cn_catalog_log(pair, is_mine, epoch, false);
	for (size_t i = 0; log != NULL && i < count; i++) {
		uint64_t sequence = chunk[i].pos >> CN_SEGMENT_SHIFT;

		if (segment == NULL || segment->sequence != sequence) {
			if (segment != NULL) {
				cn_seal_if_complete(segment);
				/* That may have been the end of the log. */
				log =
				    cn_catalog_log(pair, is_mine, epoch, false);
			}
			segment =
			    log == NULL ? NULL : cn_catalog_find(log, sequence);
		}
		if (segment != NULL) {
			learn(store, segment, &chunk[i]);
		}
	}
	if (segment != NULL) {
		cn_seal_if_complete(segment);
	}
	pthread_mutex_unlock(&store->lock);
}

size_t
cn_pair_find(const struct cn_pair *pair, uint64_t key, uint64_t spots[4])
{
	return cn_index_find(pair->store->index, key, spots);
}

void
cn_pair_prefetch(const struct cn_pair *pair, uint64_t key)
{
	cn_index_prefetch(pair->store->index, key);
}

bool
cn_pair_has_hooks(const struct cn_pair *pair)
{
	return cn_index_hook_bits(pair->store->index) > 0;
}

uint64_t
cn_pair_seed(const struct cn_pair *pair, uint64_t scope)
{
	return cn_hash64(pair->peer, sizeof(pair->peer),
	    cn_hash64(&scope, sizeof(scope), pair->store->secret));
}
