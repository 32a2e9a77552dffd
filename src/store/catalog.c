/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "store/store_private.h"

#define LOG_FIRST 16u
/* Of a log's table: a pointer. */
#define ITEM sizeof(void *)

/* ---- segments by number ---- */

struct cn_segment *
cn_catalog_number(const struct cn_store *store, uint64_t number)
{
	if (number / CN_STORE_SLAB >= store->slabs) {
		return NULL;
	}
	return &store->slab[number / CN_STORE_SLAB][number % CN_STORE_SLAB];
}

/* One slab more; its segments are spare. */
static bool
add_slab(struct cn_store *store)
{
	struct cn_segment *slab;

	if (store->slabs == store->slabs_max) {
		return false;
	}
	slab = cn_calloc(CN_STORE_SLAB, sizeof(*slab));
	if (slab == NULL) {
		return false;
	}
	for (uint32_t i = 0; i < CN_STORE_SLAB; i++) {
		slab[i].number = store->slabs * CN_STORE_SLAB + i;
		cn_list_init(&slab[i].item);
		/* Number 0 is never given: no spot is 0. */
		if (slab[i].number != 0) {
			cn_list_append(&store->spare, &slab[i].item);
		}
	}
	store->slab[store->slabs++] = slab;
	return true;
}

struct cn_segment *
cn_catalog_take(struct cn_store *store)
{
	struct cn_segment *segment;
	struct cn_list *it;

	if (cn_list_is_empty(&store->spare) && !add_slab(store)) {
		return NULL;
	}
	it = cn_list_first(&store->spare);
	assert(it != NULL);
	cn_list_remove(it);
	segment = CN_LIST_ENTRY(it, struct cn_segment, item);
	cn_list_init(&segment->scope_item);
	return segment;
}

void
cn_catalog_give(struct cn_store *store, struct cn_segment *segment)
{
	uint32_t number = segment->number;

	memset(segment, 0, sizeof(*segment));
	segment->number = number;
	cn_list_init(&segment->item);
	cn_list_append(&store->spare, &segment->item);
}

/* ---- pairs ---- */

struct cn_pair *
cn_catalog_pair(struct cn_store *store, const uint8_t peer[CN_IMAGE_PEER_BYTES])
{
	struct cn_pair *pair;
	struct cn_list *it;

	CN_LIST_EACH(&store->pairs, it)
	{
		pair = CN_LIST_ENTRY(it, struct cn_pair, item);
		if (memcmp(pair->peer, peer, sizeof(pair->peer)) == 0) {
			return pair;
		}
	}
	pair = cn_calloc(1, sizeof(*pair));
	if (pair == NULL) {
		return NULL;
	}
	pair->store = store;
	memcpy(pair->peer, peer, sizeof(pair->peer));
	cn_list_init(&pair->logs);
	cn_list_init(&pair->owners);
	cn_map_init(&pair->scopes);
	cn_agree_begin(pair);
	cn_list_append(&store->pairs, &pair->item);
	return pair;
}

/* ---- logs ---- */

struct cn_store_log *
cn_catalog_log(
    struct cn_pair *pair, bool is_mine, uint64_t epoch, bool is_to_make)
{
	struct cn_store_log *log;
	struct cn_list *it;

	CN_LIST_EACH(&pair->logs, it)
	{
		log = CN_LIST_ENTRY(it, struct cn_store_log, item);
		if (log->epoch == epoch && log->is_mine == is_mine) {
			return log;
		}
	}
	if (!is_to_make) {
		return NULL;
	}
	log = cn_calloc(1, sizeof(*log));
	if (log == NULL) {
		return NULL;
	}
	log->pair = pair;
	log->epoch = epoch;
	log->is_mine = is_mine;
	cn_list_prepend(&pair->logs, &log->item);
	if (is_mine && epoch == pair->store->config.epoch) {
		pair->own = log;
	}
	return log;
}

void
cn_catalog_log_check(struct cn_store_log *log)
{
	if (log->first == log->end && log != log->pair->own) {
		cn_list_remove(&log->item);
		cn_free(log->at);
		cn_free(log);
	}
}

void
cn_catalog_log_first(struct cn_store_log *log)
{
	cn_list_remove(&log->item);
	cn_list_prepend(&log->pair->logs, &log->item);
}

size_t
cn_catalog_lower(const struct cn_store_log *log, uint64_t sequence)
{
	size_t lo = log->first, hi = log->end;

	/* Most of what happens, happens at the head. */
	if (hi > lo && log->at[hi - 1]->sequence < sequence) {
		return hi;
	}
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (log->at[mid]->sequence < sequence) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo;
}

struct cn_segment *
cn_catalog_find(const struct cn_store_log *log, uint64_t sequence)
{
	size_t i = cn_catalog_lower(log, sequence);

	return i < log->end && log->at[i]->sequence == sequence ? log->at[i]
								: NULL;
}

/* Room for one more at the end, by moving all to the front or growing. */
static bool
make_room(struct cn_store_log *log)
{
	size_t count = log->end - log->first, cap = log->cap;
	struct cn_segment **at = log->at;

	if (log->end < cap) {
		return true;
	}
	if (count <= cap / 2 && cap > 0) {
		memmove(at, at + log->first, count * ITEM);
		log->first = 0;
		log->end = count;
		return true;
	}
	cap = cap == 0 ? LOG_FIRST : cap + cap / 2;
	at = cn_realloc(at, cap * ITEM);
	if (at == NULL) {
		return false;
	}
	log->at = at;
	log->cap = cap;
	return true;
}

int
cn_catalog_insert(struct cn_store_log *log, struct cn_segment *segment)
{
	size_t i;

	if (cn_catalog_find(log, segment->sequence) != NULL) {
		return CN_EEXIST;
	}
	if (!make_room(log)) {
		return CN_ENOMEM;
	}
	i = cn_catalog_lower(log, segment->sequence);
	memmove(log->at + i + 1, log->at + i, (log->end - i) * ITEM);
	log->at[i] = segment;
	log->end++;
	log->head = CN_MAX(log->head, segment->sequence + 1);
	segment->log = log;
	return CN_OK;
}

void
cn_catalog_remove(struct cn_segment *segment)
{
	struct cn_store_log *log = segment->log;
	size_t i = cn_catalog_lower(log, segment->sequence);

	assert(i < log->end && log->at[i] == segment);
	if (i == log->first) {
		log->first++;
	} else {
		memmove(
		    log->at + i, log->at + i + 1, (log->end - i - 1) * ITEM);
		log->end--;
	}
	segment->log = NULL;
	cn_catalog_log_check(log);
}

/* ---- scopes ---- */

struct cn_store_scope *
cn_catalog_scope(struct cn_pair *pair, uint64_t key, bool is_to_make)
{
	struct cn_store_scope *scope = cn_map_get(&pair->scopes, key);

	if (scope != NULL || !is_to_make) {
		return scope;
	}
	scope = cn_calloc(1, sizeof(*scope));
	if (scope == NULL) {
		return NULL;
	}
	scope->key = key;
	scope->pair = pair;
	cn_list_init(&scope->segments);
	cn_list_init(&scope->own_item);
	if (cn_map_put(&pair->scopes, key, scope) != CN_OK) {
		cn_free(scope);
		return NULL;
	}
	pair->store->scopes++;
	return scope;
}

void
cn_catalog_scope_check(struct cn_store_scope *scope)
{
	struct cn_pair *pair = scope->pair;

	if (scope->extents > 0 || scope->holders > 0 || scope->at != NULL ||
	    scope->own != NULL) {
		return;
	}
	if (!cn_list_is_empty(&scope->own_item)) {
		cn_list_remove(&scope->own_item);
		pair->owner_count--;
	}
	cn_map_remove(&pair->scopes, scope->key);
	cn_defer_free(scope);
	cn_free(scope);
	pair->store->scopes--;
}

/* ---- the end ---- */

static void
free_pair(struct cn_pair *pair)
{
	struct cn_list *it, *tmp;
	size_t pos = 0;
	void *scope;

	while (cn_map_next(&pair->scopes, &pos, NULL, &scope)) {
		cn_defer_free(scope);
		cn_free(scope);
	}
	cn_map_fini(&pair->scopes);
	CN_LIST_EACH_SAFE(&pair->logs, it, tmp)
	{
		struct cn_store_log *log =
		    CN_LIST_ENTRY(it, struct cn_store_log, item);

		cn_free(log->at);
		cn_free(log);
	}
	cn_free(pair->evicted);
	cn_free(pair);
}

void
cn_catalog_fini(struct cn_store *store)
{
	struct cn_list *it, *tmp;

	for (uint32_t n = 0; n < store->slabs * CN_STORE_SLAB; n++) {
		struct cn_segment *segment =
		    &store->slab[n / CN_STORE_SLAB][n % CN_STORE_SLAB];

		assert(segment->pins == 0 && !segment->is_loading);
		cn_segment_body_free(store, &segment->body);
		cn_segment_hold_none(segment);
		cn_free(segment->extents);
	}
	for (uint32_t i = 0; i < store->slabs; i++) {
		cn_free(store->slab[i]);
	}
	cn_free(store->slab);
	CN_LIST_EACH_SAFE(&store->pairs, it, tmp)
	{
		free_pair(CN_LIST_ENTRY(it, struct cn_pair, item));
	}
}
