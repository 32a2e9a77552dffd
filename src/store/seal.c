/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "base/alloc.h"
#include "base/err.h"
#include "store/store_private.h"

#define US_PER_S UINT64_C(1000000)
/* The share of memory that open segments may take: of ours, of theirs. */
#define OPEN_MINE_PART 2u
#define OPEN_THEIRS_PART 3u
/* Bytes of an open segment that the peer may lack before we write elsewhere.
 * Not few: each such segment takes the memory of a full one. */
#define SPURNED_MOST (CN_SEGMENT_BYTES / 8)

static bool
is_quiet(const struct cn_segment *segment)
{
	return segment->body->writers == 0 && segment->pins == 0;
}

bool
cn_seal_is_full(const struct cn_segment *segment)
{
	return segment->valid_bytes == CN_SEGMENT_BYTES;
}

void
cn_seal_touch(struct cn_segment *segment)
{
	struct cn_store *store = cn_segment_store(segment);

	segment->body->touched_us = store->now_us;
	cn_list_remove(&segment->item);
	cn_list_append(&store->open, &segment->item);
}

/* Nobody writes here any more. */
static void
send_writers_away(struct cn_segment *segment)
{
	struct cn_pair *pair = segment->log->pair;

	if (pair->shared == segment) {
		pair->shared = NULL;
	}
	for (uint32_t e = 0; e < CN_SEGMENT_EXTENTS; e++) {
		struct cn_store_scope *scope = segment->extents->scope[e];

		if (scope != NULL && scope->at == segment) {
			scope->at = NULL;
		}
		if (scope != NULL && scope->own == segment) {
			scope->own = NULL;
		}
	}
}

/*
 * No byte comes any more.  The segment may be gone after.
 *
 * @is_settled  what the peer does not hold by now it will never hold
 */
static void
seal(struct cn_segment *segment, bool is_settled)
{
	struct cn_store *store = cn_segment_store(segment);

	assert(is_quiet(segment));
	send_writers_away(segment);
	cn_segment_settle(segment, is_settled);
	if (segment->valid_bytes == 0) {
		segment->state = CN_SEGMENT_OPEN; /* it never was more */
		cn_room_evict(segment);
		return;
	}
	if (segment->log->is_mine) {
		store->open_mine--;
	} else {
		store->open_theirs--;
		segment->log->pair->peer_open--;
	}
	segment->age = store->next_age++;
	if (store->config.wall_s != 0) {
		segment->sealed_s = (uint32_t)(store->config.wall_s +
		    (store->now_us - store->created_us) / US_PER_S);
	}
	cn_list_remove(&segment->item);
	cn_room_enter(segment);
}

void
cn_seal_if_complete(struct cn_segment *segment)
{
	struct cn_store *store = cn_segment_store(segment);

	if (segment->state != CN_SEGMENT_OPEN || !is_quiet(segment) ||
	    !cn_seal_is_full(segment)) {
		return;
	}
	if (segment->log->is_mine &&
	    (segment->held == NULL ||
		!cn_ranges_covers(segment->held, 0, CN_SEGMENT_BYTES))) {
		return;
	}
	seal(segment, false);
	cn_load_write(store);
	cn_room_doom(store);
}

/* Bytes of [from, to) that are there. */
static uint32_t
valid_in(const struct cn_segment *segment, uint32_t from, uint32_t to)
{
	const struct cn_ranges *valid = &segment->body->valid;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < cn_ranges_count(valid); i++) {
		struct cn_range range = cn_ranges_at(valid, i);
		uint64_t begin = CN_MAX(range.from, (uint64_t)from);
		uint64_t end = CN_MIN(range.to, (uint64_t)to);

		sum += end > begin ? end - begin : 0;
	}
	return (uint32_t)sum;
}

void
cn_seal_if_spurned(struct cn_segment *segment, uint32_t from, uint32_t to)
{
	struct cn_store *store = cn_segment_store(segment);

	if (segment->state != CN_SEGMENT_OPEN || !segment->log->is_mine) {
		return;
	}
	segment->body->spurned += valid_in(segment, from, to);
	if (segment->body->spurned < SPURNED_MOST || !is_quiet(segment)) {
		return;
	}
	seal(segment, true);
	cn_load_write(store);
	cn_room_doom(store);
}

void
cn_seal_full(struct cn_store *store)
{
	struct cn_list *it, *tmp;

	CN_LIST_EACH_SAFE(&store->open, it, tmp)
	{
		struct cn_segment *segment =
		    CN_LIST_ENTRY(it, struct cn_segment, item);

		if (is_quiet(segment) && cn_seal_is_full(segment)) {
			seal(segment, false);
		}
	}
	cn_load_write(store);
}

void
cn_seal_idle(struct cn_store *store)
{
	struct cn_list *it, *tmp;

	CN_LIST_EACH_SAFE(&store->open, it, tmp)
	{
		struct cn_segment *segment =
		    CN_LIST_ENTRY(it, struct cn_segment, item);
		uint64_t idle = store->now_us - segment->body->touched_us;
		bool is_full = cn_seal_is_full(segment);
		bool is_behind =
		    segment->sequence + CN_STORE_BEHIND < segment->log->head;

		if (idle < CN_STORE_SETTLE_US) {
			break;
		}
		if (!is_quiet(segment)) {
			continue;
		}
		if (is_full && !segment->log->is_mine) {
			seal(segment, false);
		} else if (idle >= CN_STORE_IDLE_US && (is_full || is_behind)) {
			seal(segment, true);
		}
	}
	cn_load_write(store);
	cn_room_doom(store);
}

void
cn_seal_all(struct cn_store *store, const struct cn_pair *pair)
{
	struct cn_list *it, *tmp;

	CN_LIST_EACH_SAFE(&store->open, it, tmp)
	{
		struct cn_segment *segment =
		    CN_LIST_ENTRY(it, struct cn_segment, item);

		if (is_quiet(segment) &&
		    (pair == NULL || segment->log->pair == pair)) {
			seal(segment, true);
		}
	}
	cn_load_write(store);
	cn_room_doom(store);
}

/* ---- a segment begins ---- */

/* Open segments of all that peers write. */
static uint32_t
theirs_max(const struct cn_store *store)
{
	return CN_MAX(store->buffers_max / OPEN_THEIRS_PART, 2u);
}

/* May one more be open? */
static bool
has_place(
    const struct cn_store *store, const struct cn_pair *pair, bool is_mine)
{
	if (is_mine) {
		return store->open_mine <
		    CN_MAX(store->buffers_max / OPEN_MINE_PART, 2u);
	}
	return store->open_theirs < theirs_max(store) &&
	    pair->peer_open < CN_STORE_PEER_OPEN_MAX;
}

/* Seal the one that was left alone for longest, if for a while. */
static void
seal_idlest(struct cn_store *store, const struct cn_pair *pair, bool is_mine)
{
	bool is_peer_full = pair->peer_open >= CN_STORE_PEER_OPEN_MAX;
	struct cn_list *it;

	CN_LIST_EACH(&store->open, it)
	{
		struct cn_segment *segment =
		    CN_LIST_ENTRY(it, struct cn_segment, item);

		if (store->now_us - segment->body->touched_us <
		    CN_STORE_PRESSED_US) {
			return;
		}
		if (segment->log->is_mine == is_mine && is_quiet(segment) &&
		    (is_mine || !is_peer_full || segment->log->pair == pair)) {
			seal(segment, true);
			cn_load_write(store);
			return;
		}
	}
}

/* Open segments that the pair's peer may insist on: as many as each other one
 * that has any. */
static uint32_t
share_of(const struct cn_store *store, const struct cn_pair *pair)
{
	uint32_t peers = 0;
	struct cn_list *it;

	CN_LIST_EACH(&store->pairs, it)
	{
		const struct cn_pair *other =
		    CN_LIST_ENTRY(it, struct cn_pair, item);

		peers += other == pair || other->peer_open > 0;
	}
	return CN_MAX(theirs_max(store) / peers, 1u);
}

/* A peer with less than its share gets a place of one that has more, however
 * busy that is: it may touch all it has for ever. */
static void
seal_of_greedy(struct cn_store *store, const struct cn_pair *pair)
{
	uint32_t share = share_of(store, pair);
	struct cn_list *it;

	if (pair->peer_open >= share) {
		return;
	}
	CN_LIST_EACH(&store->open, it)
	{
		struct cn_segment *segment =
		    CN_LIST_ENTRY(it, struct cn_segment, item);

		if (!segment->log->is_mine && is_quiet(segment) &&
		    segment->log->pair->peer_open > share) {
			seal(segment, true);
			cn_load_write(store);
			return;
		}
	}
}

static bool
make_place(struct cn_store *store, const struct cn_pair *pair, bool is_mine)
{
	if (!has_place(store, pair, is_mine)) {
		cn_seal_full(store);
	}
	if (!has_place(store, pair, is_mine)) {
		seal_idlest(store, pair, is_mine);
	}
	if (!has_place(store, pair, is_mine) && !is_mine) {
		seal_of_greedy(store, pair);
	}
	return has_place(store, pair, is_mine);
}

/* Into the catalogue; on failure nothing is there and the body is left. */
static bool
enter(struct cn_pair *pair, bool is_mine, uint64_t epoch,
    struct cn_segment *segment)
{
	struct cn_store_log *log = cn_catalog_log(pair, is_mine, epoch, true);

	if (log == NULL) {
		return false;
	}
	segment->extents = cn_calloc(1, sizeof(*segment->extents));
	if (segment->extents == NULL ||
	    cn_catalog_insert(log, segment) != CN_OK) {
		cn_free(segment->extents);
		cn_catalog_log_check(log);
		return false;
	}
	return true;
}

struct cn_segment *
cn_seal_open(
    struct cn_pair *pair, bool is_mine, uint64_t epoch, uint64_t sequence)
{
	struct cn_store *store = pair->store;
	struct cn_segment *segment;
	struct cn_body *body;

	/* The body first: it may cost other segments, and their logs. */
	if (!make_place(store, pair, is_mine) ||
	    (body = cn_segment_body(store)) == NULL) {
		return NULL;
	}
	segment = cn_catalog_take(store);
	if (segment == NULL) {
		goto fail;
	}
	segment->sequence = sequence;
	if (!enter(pair, is_mine, epoch, segment)) {
		cn_catalog_give(store, segment);
		goto fail;
	}
	segment->state = CN_SEGMENT_OPEN;
	segment->is_all_held = !is_mine;
	segment->body = body;
	body->segment = segment;
	store->bodies++;
	if (is_mine) {
		store->open_mine++;
	} else {
		store->open_theirs++;
		pair->peer_open++;
	}
	cn_seal_touch(segment);
	cn_room_doom(store);
	return segment;

fail:
	cn_segment_body_free(store, &body);
	return NULL;
}
