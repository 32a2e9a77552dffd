/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "store/bytes.h"
#include "store/store_private.h"

/* Each level of the tree has 16 nodes for one of the level above. */
#define LEVEL_BITS 4u
#define SEQUENCE_BITS 40u
/* Segments that are gone through before others get the lock. */
#define TURN 256u
/*
 * Segments that are gone through for one agreement: so often as many as there
 * are, and some.  Two logs that have nothing in common cost three rounds for
 * each of five levels; a peer that asks on and on costs no more.
 */
#define ROUNDS_MOST 32u
#define WORK_LEAST 65536u

/* Sequences [from, to) of a log. */
struct span {
	struct cn_pair *pair;
	bool is_mine;
	uint64_t epoch;
	uint64_t from, to;
	/* Found once for each time that the lock is held; NULL: not yet.  While
	 * others have the lock it may be freed. */
	struct cn_store_log *log;
};

static bool
span_of(
    struct cn_pair *pair, const struct cn_agree_node *node, struct span *ret)
{
	uint32_t shift = node->level * LEVEL_BITS;

	if (node->level >= CN_AGREE_LEVELS ||
	    node->index >= UINT64_C(1) << (SEQUENCE_BITS - shift)) {
		return false;
	}
	*ret = (struct span){ .pair = pair,
		.is_mine = node->is_mine,
		.epoch = node->epoch,
		.from = node->index << shift,
		.to = (node->index + 1) << shift };
	return true;
}

/* Does it count?  What is about to go is no more spoken of. */
static bool
counts(const struct cn_segment *segment)
{
	return segment->state == CN_SEGMENT_SEALED && !segment->is_doomed;
}

/* The first segment of the span that counts; NULL: none. */
static struct cn_segment *
first_of(struct span *span)
{
	struct cn_store_log *log = span->log;

	if (log == NULL) {
		log = cn_catalog_log(
		    span->pair, span->is_mine, span->epoch, false);
	}
	if (log == NULL) {
		return NULL;
	}
	span->log = log;
	for (size_t i = cn_catalog_lower(log, span->from);
	     i < log->end && log->at[i]->sequence < span->to; i++) {
		if (counts(log->at[i])) {
			return log->at[i];
		}
	}
	return NULL;
}

/* The next one; moves the span behind it. */
static struct cn_segment *
next_of(struct span *span)
{
	struct cn_segment *segment = first_of(span);

	if (segment != NULL) {
		span->from = segment->sequence + 1;
	}
	return segment;
}

/* Its hashes, made now if they were not needed yet; lets the lock go. */
static void
ensure_hash(struct span *span, struct cn_segment *segment)
{
	struct cn_store *store = span->pair->store;
	uint32_t hash[CN_SEGMENT_EXTENTS];

	if (segment->has_hash) {
		return;
	}
	segment->pins++;
	pthread_mutex_unlock(&store->lock);
	cn_segment_hash(segment, hash);
	pthread_mutex_lock(&store->lock);
	segment->pins--;
	memcpy(segment->hash, hash, sizeof(hash));
	segment->has_hash = true;
	span->log = NULL;
}

/* One segment more was gone through. */
static void
yield(struct span *span, uint32_t *turn)
{
	struct cn_store *store = span->pair->store;

	if (++*turn % TURN == 0) {
		pthread_mutex_unlock(&store->lock);
		pthread_mutex_lock(&store->lock);
		span->log = NULL;
	}
}

static uint64_t
image_hash(const struct cn_segment *segment)
{
	struct cn_image_info info;

	cn_segment_info(segment, &info);
	return cn_image_hash(&info);
}

void
cn_agree_begin(struct cn_pair *pair)
{
	struct cn_list *it;

	pair->agree_left = WORK_LEAST;
	CN_LIST_EACH(&pair->logs, it)
	{
		const struct cn_store_log *log =
		    CN_LIST_ENTRY(it, struct cn_store_log, item);

		pair->agree_left +=
		    (uint64_t)(log->end - log->first) * ROUNDS_MOST;
	}
}

bool
cn_agree_works(struct cn_pair *pair)
{
	if (pair->agree_left == 0) {
		return false;
	}
	pair->agree_left--;
	return true;
}

/* The hash of a node; false: nothing in it, or enough was asked. */
static bool
hash_node(struct span span, uint32_t level, uint64_t *ret)
{
	struct cn_segment *segment;
	uint64_t hash = 0;
	bool is_any = false;
	uint32_t turn = 0;

	while ((segment = next_of(&span)) != NULL) {
		uint64_t sequence = segment->sequence;
		uint8_t bytes[16];

		if (!cn_agree_works(span.pair)) {
			return false;
		}
		ensure_hash(&span, segment);
		is_any = true;
		if (level == 0) {
			hash = image_hash(segment);
			break;
		}
		cn_bytes_put64(bytes, sequence);
		cn_bytes_put64(bytes + 8, image_hash(segment));
		hash = cn_hash64(bytes, sizeof(bytes), hash);
		yield(&span, &turn);
	}
	*ret = hash;
	return is_any;
}

bool
cn_pair_node(struct cn_pair *pair, struct cn_agree_node *node)
{
	struct cn_store *store = pair->store;
	struct span span;
	uint64_t hash;
	bool is_any;

	if (!span_of(pair, node, &span)) {
		return false;
	}
	pthread_mutex_lock(&store->lock);
	is_any = hash_node(span, node->level, &hash);
	pthread_mutex_unlock(&store->lock);
	if (is_any) {
		node->hash = hash;
	}
	return is_any;
}

/* The smallest node over all that counts of a log; false: nothing does. */
static bool
top_of(const struct cn_store_log *log, struct cn_agree_node *ret)
{
	size_t first = log->first, last = log->end;
	uint64_t low, high;
	uint32_t level = 0;

	while (first < last && !counts(log->at[first])) {
		first++;
	}
	while (last > first && !counts(log->at[last - 1])) {
		last--;
	}
	if (first == last) {
		return false;
	}
	low = log->at[first]->sequence;
	high = log->at[last - 1]->sequence;
	while (low != high) {
		low >>= LEVEL_BITS;
		high >>= LEVEL_BITS;
		level++;
	}
	*ret = (struct cn_agree_node){ .is_mine = log->is_mine,
		.epoch = log->epoch,
		.level = level,
		.index = low };
	return true;
}

size_t
cn_pair_tops(struct cn_pair *pair, struct cn_agree_node *nodes, size_t max)
{
	struct cn_store *store = pair->store;
	struct cn_list *it;
	size_t found = 0;

	pthread_mutex_lock(&store->lock);
	CN_LIST_EACH(&pair->logs, it)
	{
		if (found == max) {
			break;
		}
		found += top_of(CN_LIST_ENTRY(it, struct cn_store_log, item),
		    &nodes[found]);
	}
	pthread_mutex_unlock(&store->lock);
	return found;
}

int
cn_pair_agree(struct cn_pair *pair, const struct cn_agree_node *node)
{
	struct cn_store *store = pair->store;
	struct cn_segment *segment;
	struct span span;
	uint64_t hash;
	uint32_t turn = 0;
	int rc = CN_ENOENT;

	if (!span_of(pair, node, &span)) {
		return CN_ENOENT;
	}
	pthread_mutex_lock(&store->lock);
	if (hash_node(span, node->level, &hash)) {
		rc = hash == node->hash ? CN_OK : CN_ESTALE;
	}
	/* What was sealed since is held too early at worst: a miss. */
	while (rc == CN_OK && (segment = next_of(&span)) != NULL) {
		cn_segment_hold_all(segment);
		yield(&span, &turn);
	}
	pthread_mutex_unlock(&store->lock);
	return rc;
}

/* One sealed segment, with hashes; called with the lock. */
static struct cn_segment *
sealed(struct cn_pair *pair, bool is_mine, uint64_t epoch, uint64_t sequence)
{
	struct span span = { .pair = pair,
		.is_mine = is_mine,
		.epoch = epoch,
		.from = sequence,
		.to = sequence + 1 };
	struct cn_segment *segment = first_of(&span);

	if (segment != NULL) {
		ensure_hash(&span, segment);
		/* Without the lock for a while it may have been doomed. */
		segment = first_of(&span);
	}
	return segment;
}

bool
cn_pair_extents(struct cn_pair *pair, bool is_mine, uint64_t epoch,
    uint64_t sequence, uint32_t hash[CN_SEGMENT_EXTENTS])
{
	struct cn_store *store = pair->store;
	struct cn_segment *segment;

	pthread_mutex_lock(&store->lock);
	segment = sealed(pair, is_mine, epoch, sequence);
	if (segment != NULL) {
		memcpy(hash, segment->hash, sizeof(segment->hash));
	}
	pthread_mutex_unlock(&store->lock);
	return segment != NULL;
}

void
cn_pair_agree_extents(struct cn_pair *pair, bool is_mine, uint64_t epoch,
    uint64_t sequence, const uint32_t hash[CN_SEGMENT_EXTENTS])
{
	struct cn_store *store = pair->store;
	struct cn_segment *segment;

	pthread_mutex_lock(&store->lock);
	segment = sealed(pair, is_mine, epoch, sequence);
	for (uint32_t e = 0; segment != NULL && e < CN_SEGMENT_EXTENTS; e++) {
		uint32_t from = e << CN_EXTENT_SHIFT;

		if (hash[e] != 0 && hash[e] == segment->hash[e]) {
			cn_segment_hold(
			    segment, from, from + cn_segment_used(segment, e));
		}
	}
	pthread_mutex_unlock(&store->lock);
}
