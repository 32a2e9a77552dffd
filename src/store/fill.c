/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <string.h>

#include "base/coldcopy.h"
#include "base/err.h"
#include "store/store_private.h"

/* Holes that one fill may close in one segment. */
#define GAPS_MAX 32u
/* Segments of one LACK that are no work to speak of: it mostly says one. */
#define LACKS_FREE 4u
/* A segment so far behind the head of its log that is not here is gone. */
#define BEHIND_MAX 128u

/* The part of a fill that lies in one segment. */
struct part {
	struct cn_segment *segment;
	uint32_t from, to; /* in the segment */
	struct cn_range gap[GAPS_MAX];
	uint32_t gaps;
};

static uint64_t
end_of(uint64_t pos, uint64_t len)
{
	return len > UINT64_MAX - pos ? UINT64_MAX : pos + len;
}

/* Does nobody but the scope have an extent of [from, to)? */
static bool
is_of_scope(
    const struct cn_segment *segment, uint32_t from, uint32_t to, uint64_t key)
{
	for (uint32_t e = from >> CN_EXTENT_SHIFT;
	     e <= (to - 1) >> CN_EXTENT_SHIFT; e++) {
		const struct cn_store_scope *scope =
		    cn_segment_scope(segment, e);

		if (scope != NULL && scope->key != key) {
			return false;
		}
	}
	return true;
}

/* What of the part nobody has claimed yet; false: too many pieces. */
static bool
find_gaps(struct part *part)
{
	const struct cn_ranges *claimed = &part->segment->body->claimed;
	uint64_t at = part->from;

	part->gaps = 0;
	for (uint32_t i = 0; i < cn_ranges_count(claimed); i++) {
		struct cn_range range = cn_ranges_at(claimed, i);

		if (range.to <= at) {
			continue;
		}
		if (range.from >= part->to) {
			break;
		}
		if (range.from > at) {
			if (part->gaps == GAPS_MAX) {
				return false;
			}
			part->gap[part->gaps++] =
			    (struct cn_range){ at, range.from };
		}
		at = range.to;
	}
	if (at < part->to) {
		if (part->gaps == GAPS_MAX) {
			return false;
		}
		part->gap[part->gaps++] = (struct cn_range){ at, part->to };
	}
	return true;
}

/* The extents of the part are the scope's. */
static bool
take_extents(struct part *part, struct cn_pair *pair, uint64_t key)
{
	struct cn_store_scope *scope = cn_catalog_scope(pair, key, true);

	if (scope == NULL) {
		return false;
	}
	for (uint32_t e = part->from >> CN_EXTENT_SHIFT;
	     e <= (part->to - 1) >> CN_EXTENT_SHIFT; e++) {
		if (part->segment->extents->scope[e] == NULL) {
			part->segment->extents->scope[e] = scope;
			scope->extents++;
		}
	}
	return true;
}

/* Is the part of a sealed segment there already? */
static int
check_sealed(const struct part *part, const struct cn_pair *pair, uint64_t key)
{
	struct cn_store_scope *scope = cn_map_get(&pair->scopes, key);
	struct cn_range range;

	if (scope != NULL &&
	    cn_segment_window(
		part->segment, part->from, scope, false, &range) &&
	    range.to >= part->to) {
		return CN_OK;
	}
	return CN_ENOSPC;
}

/* Find or make the segment. */
static int
find_segment(
    struct cn_pair *pair, uint64_t epoch, uint64_t sequence, struct part *part)
{
	struct cn_store_log *log = cn_catalog_log(pair, false, epoch, false);

	part->segment = log == NULL ? NULL : cn_catalog_find(log, sequence);
	if (part->segment != NULL) {
		return CN_OK;
	}
	if (pair->store->is_closed ||
	    (log != NULL && sequence + BEHIND_MAX < log->head)) {
		return CN_ENOSPC;
	}
	part->segment = cn_seal_open(pair, false, epoch, sequence);
	return part->segment == NULL ? CN_ENOSPC : CN_OK;
}

/* With CN_OK and gaps the segment has one writer more. */
static int
begin(struct cn_pair *pair, uint64_t epoch, uint64_t sequence, uint64_t key,
    struct part *part)
{
	int rc = find_segment(pair, epoch, sequence, part);

	part->gaps = 0;
	if (rc != CN_OK) {
		return rc;
	}
	if (!is_of_scope(part->segment, part->from, part->to, key)) {
		return CN_EPROTO;
	}
	if (part->segment->state == CN_SEGMENT_SEALED) {
		return check_sealed(part, pair, key);
	}
	if (!find_gaps(part) || !take_extents(part, pair, key) ||
	    cn_ranges_add(
		&part->segment->body->claimed, part->from, part->to) != CN_OK) {
		part->gaps = 0;
		return CN_ENOSPC;
	}
	cn_seal_touch(part->segment);
	if (part->gaps > 0) {
		part->segment->body->writers++;
	}
	return CN_OK;
}

/* The bytes of the gaps are there.  Counts them. */
static int
end(const struct part *part, uint64_t *bytes)
{
	struct cn_segment *segment = part->segment;
	int rc = CN_OK;

	segment->body->writers--;
	for (uint32_t i = 0; i < part->gaps; i++) {
		uint32_t from = (uint32_t)part->gap[i].from;
		uint32_t to = (uint32_t)part->gap[i].to;

		/* Without memory it stays a hole for ever. */
		if (!cn_segment_publish(segment, from, to)) {
			rc = CN_ENOSPC;
			continue;
		}
		cn_segment_hold(segment, from, to);
		*bytes += to - from;
	}
	return rc;
}

/* One segment's part; called with the lock, which it gives up meanwhile. */
static int
fill_part(struct cn_pair *pair, uint64_t epoch, uint64_t pos, uint64_t key,
    const uint8_t *bytes, uint32_t len)
{
	struct cn_store *store = pair->store;
	struct part part = { .from = (uint32_t)pos & (CN_SEGMENT_BYTES - 1) };
	uint64_t filled = 0;
	uint8_t *data;
	int rc;

	part.to = part.from + len;
	rc = begin(pair, epoch, pos >> CN_SEGMENT_SHIFT, key, &part);
	if (rc != CN_OK || part.gaps == 0) {
		return rc;
	}
	data = cn_segment_data(part.segment);
	pthread_mutex_unlock(&store->lock);
	for (uint32_t i = 0; i < part.gaps; i++) {
		cn_coldcopy(data + part.gap[i].from,
		    bytes + (part.gap[i].from - part.from),
		    part.gap[i].to - part.gap[i].from);
	}
	pthread_mutex_lock(&store->lock);
	rc = end(&part, &filled);
	store->count.filled += filled;
	return rc;
}

int
cn_pair_fill(struct cn_pair *pair, uint64_t epoch, uint64_t pos, uint64_t scope,
    const uint8_t *bytes, size_t len, uint64_t now)
{
	struct cn_store *store = pair->store;
	int rc = CN_OK, worst = CN_OK;

	if (pos >= CN_PLACE_END || len > CN_PLACE_END - pos) {
		return CN_EPROTO;
	}
	pthread_mutex_lock(&store->lock);
	cn_store_at(store, now);
	while (len > 0 && rc != CN_EPROTO) {
		uint64_t left =
		    CN_SEGMENT_BYTES - (pos & (CN_SEGMENT_BYTES - 1));
		uint32_t n = (uint32_t)CN_MIN(left, (uint64_t)len);

		rc = fill_part(pair, epoch, pos, scope, bytes, n);
		if (rc != CN_OK) {
			store->count.refused += n;
			worst = rc;
		}
		pos += n;
		bytes += n;
		len -= n;
	}
	pthread_mutex_unlock(&store->lock);
	return worst;
}

/* ---- what the peer holds ---- */

/* The first segment of the log in [pos, end), and what of it; false: none. */
static bool
next_in(const struct cn_store_log *log, uint64_t pos, uint64_t to,
    struct part *part)
{
	size_t i = cn_catalog_lower(log, pos >> CN_SEGMENT_SHIFT);
	uint64_t base;

	if (i == log->end) {
		return false;
	}
	part->segment = log->at[i];
	base = part->segment->sequence << CN_SEGMENT_SHIFT;
	if (base >= to) {
		return false;
	}
	part->from = (uint32_t)(pos > base ? pos - base : 0);
	part->to = (uint32_t)CN_MIN(to - base, (uint64_t)CN_SEGMENT_BYTES);
	return true;
}

void
cn_pair_held(struct cn_pair *pair, uint64_t epoch, uint64_t pos, uint64_t len)
{
	struct cn_store *store = pair->store;
	uint64_t to = end_of(pos, len);
	struct cn_store_log *log;
	struct part part;

	pthread_mutex_lock(&store->lock);
	log = cn_catalog_log(pair, true, epoch, false);
	while (log != NULL && pos < to && next_in(log, pos, to, &part)) {
		pos = (part.segment->sequence + 1) << CN_SEGMENT_SHIFT;
		if (part.segment->is_doomed) {
			continue;
		}
		cn_segment_hold(part.segment, part.from, part.to);
		if (part.segment->state == CN_SEGMENT_OPEN) {
			cn_seal_touch(part.segment);
			cn_seal_if_complete(part.segment);
		}
	}
	pthread_mutex_unlock(&store->lock);
}

void
cn_pair_lacks(struct cn_pair *pair, const struct cn_place *place, uint64_t len)
{
	struct cn_store *store = pair->store;
	uint64_t pos = place->pos, to = end_of(pos, len);
	struct cn_store_log *log;
	struct part part;
	unsigned segments = 0;

	pthread_mutex_lock(&store->lock);
	log = cn_catalog_log(pair, place->is_mine, place->epoch, false);
	while (log != NULL && pos < to && next_in(log, pos, to, &part)) {
		if (++segments > LACKS_FREE && !cn_agree_works(pair)) {
			break; /* the rest is found out by misses */
		}
		pos = (part.segment->sequence + 1) << CN_SEGMENT_SHIFT;
		cn_segment_lack(part.segment, part.from, part.to);
		cn_seal_if_spurned(part.segment, part.from, part.to);
	}
	pthread_mutex_unlock(&store->lock);
}

bool
cn_pair_evicted(struct cn_pair *pair, struct cn_place *ret, uint64_t *len)
{
	struct cn_store *store = pair->store;
	uint32_t count;

	if (atomic_load_explicit(&pair->evicted_count, memory_order_relaxed) ==
	    0) {
		return false;
	}
	pthread_mutex_lock(&store->lock);
	count =
	    atomic_load_explicit(&pair->evicted_count, memory_order_relaxed);
	if (count > 0) {
		*ret = pair->evicted[pair->evicted_first];
		*len = CN_SEGMENT_BYTES;
		pair->evicted_first =
		    (pair->evicted_first + 1) % CN_STORE_EVICTED_MAX;
		atomic_store_explicit(
		    &pair->evicted_count, count - 1, memory_order_relaxed);
	}
	pthread_mutex_unlock(&store->lock);
	return count > 0;
}
