/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/found.h"

#include <assert.h>

#include "base/attr.h"
#include "wire/refs.h"

/* Literals below this gain less from an older version than it costs. */
#define GAP_MIN 32u
/* An older version may be longer: a quarter, and a little. */
#define REGION_SLACK 512u
/* As a prefix, older versions of less than one of so many literals would take
 * the place of the stream's own bytes, which help with all of them. */
#define REGION_PART 2u
/* Segments that a run of a whole batch may touch. */
#define RUN_PIECES (CN_BATCH_PLAIN_MAX / CN_SEGMENT_BYTES + 2u)
/* A chunk that so many copies make up is as good as stored. */
#define COVER_COPIES 2u
/*
 * A batch of more copies than these is stored whole, so that it is one run the
 * next time, where one of so many bytes of it is new anyway: the store never
 * grows by more than so many times what is new.
 */
#define SCATTERED_COPIES 4u
#define SCATTERED_PART 8u

void
cn_found_clear(struct cn_found *found)
{
	found->copies = 0;
	found->copied = 0;
	found->gone = 0;
	found->chunks = 0;
	found->spans = 0;
	found->regions = 0;
	found->region_bytes = 0;
	found->logs = 0;
}

static bool
has_log(const struct cn_found *found, const struct cn_trail *trail)
{
	for (size_t i = 0; i < found->logs; i++) {
		if (found->log[i].epoch == trail->epoch &&
		    found->log[i].is_mine == trail->is_mine) {
			return true;
		}
	}
	return false;
}

bool
cn_found_takes(const struct cn_found *found, const struct cn_trail *trail)
{
	return found->logs < CN_MATCH_LOGS_MAX || has_log(found, trail);
}

static void
add_log(struct cn_found *found, const struct cn_trail *trail)
{
	if (!has_log(found, trail)) {
		found->log[found->logs++] = (struct cn_found_log){
			.epoch = trail->epoch,
			.is_mine = trail->is_mine,
		};
	}
}

bool
cn_found_has_room(const struct cn_found *found)
{
	return found->copies + RUN_PIECES <= CN_MATCH_COPIES_MAX;
}

/* Bytes of a log from pos to the end of its segment. */
static size_t
left_in_segment(uint64_t pos)
{
	return CN_SEGMENT_BYTES - (size_t)(pos & (CN_SEGMENT_BYTES - 1));
}

void
cn_found_run(struct cn_found *found, const struct cn_trail *trail, size_t from,
    size_t to)
{
	add_log(found, trail);
	found->copied += (uint32_t)(to - from);
	while (from < to) {
		struct cn_place place = cn_trail_place(trail, from);
		size_t len = CN_MIN(to - from, left_in_segment(place.pos));

		found->copy[found->copies++] = (struct cn_match_copy){
			.offset = (uint32_t)from,
			.len = (uint32_t)len,
			.place = place,
		};
		from += len;
	}
}

void
cn_found_miss(struct cn_found *found, const struct cn_found_chunk *chunk)
{
	assert(found->chunks < CN_FOUND_CHUNKS_MAX);
	found->chunk[found->chunks++] = *chunk;
}

/* ---- regions ---- */

/* Bytes of the last region that stand at or behind pos of the same log. */
static size_t
overlap(const struct cn_found *found, const struct cn_place *place)
{
	const struct cn_match_copy *last;

	if (found->regions == 0) {
		return 0;
	}
	last = &found->region[found->regions - 1];
	if (last->place.epoch != place->epoch ||
	    last->place.is_mine != place->is_mine ||
	    place->pos < last->place.pos ||
	    place->pos >= last->place.pos + last->len) {
		return 0;
	}
	return (size_t)(last->place.pos + last->len - place->pos);
}

/* Up to len bytes on the trail, within a segment.  Returns how many. */
static size_t
add_part(struct cn_found *found, struct cn_reach *reach,
    const struct cn_trail *trail, size_t offset, size_t len)
{
	struct cn_place place = cn_trail_place(trail, offset);
	size_t before, after;

	if (found->regions == CN_MATCH_REGIONS_MAX ||
	    cn_reach_at(reach, trail, offset, &before, &after) == NULL) {
		return 0;
	}
	len = CN_MIN(len, after);
	len = CN_MIN(len, left_in_segment(place.pos));
	len = CN_MIN(len, (size_t)(CN_REFS_DELTA_MAX - found->region_bytes));
	if (len < GAP_MIN) {
		return 0;
	}
	add_log(found, trail);
	found->region_bytes += (uint32_t)len;
	found->region[found->regions++] = (struct cn_match_copy){
		.offset = (uint32_t)offset,
		.len = (uint32_t)len,
		.place = place,
	};
	return len;
}

/* Up to len bytes on the trail, for literals at `offset'.  False: there are
 * none. */
static bool
add_region(struct cn_found *found, struct cn_reach *reach,
    const struct cn_trail *trail, size_t offset, size_t len)
{
	struct cn_place place = cn_trail_place(trail, offset);
	size_t at = CN_MIN(overlap(found, &place), len);
	size_t from = at;

	while (at < len && cn_found_takes(found, trail)) {
		size_t part =
		    add_part(found, reach, trail, offset + at, len - at);

		if (part == 0) {
			break;
		}
		at += part;
	}
	return at > from;
}

/* What stands just before the copy that follows the literals. */
static void
add_region_before(struct cn_found *found, struct cn_reach *reach,
    const struct cn_trail *trail, size_t offset, size_t len)
{
	size_t before, after;

	if (cn_reach_at(reach, trail, offset, &before, &after) != NULL) {
		len = CN_MIN(CN_MIN(len, before), offset);
		(void)add_region(found, reach, trail, offset - len, len);
	}
}

/* Do the trails show other bytes, for literals of about that length? */
static bool
are_apart(const struct cn_trail *a, const struct cn_trail *b, size_t len)
{
	uint64_t shift = a->base - b->base;

	return a->epoch != b->epoch || a->is_mine != b->is_mine ||
	    shift + len > 2 * (uint64_t)len;
}

void
cn_found_gap(struct cn_found *found, struct cn_reach *reach,
    const struct cn_found_gap *gap)
{
	size_t len = gap->to - gap->from;
	size_t most = CN_MIN(len + len / 4 + REGION_SLACK, gap->most);
	bool is_patient = reach->is_patient;
	bool is_told;

	if (len < GAP_MIN) {
		return;
	}
	reach->is_patient = false; /* no help is worth waiting for */
	is_told = gap->before->is_set &&
	    add_region(found, reach, gap->before, gap->from, most);
	if (gap->behind->is_set &&
	    (!is_told || are_apart(gap->before, gap->behind, most))) {
		add_region_before(found, reach, gap->behind, gap->to, most);
	}
	reach->is_patient = is_patient;
}

/* ---- what is to be stored ---- */

/*
 * Is the chunk made of few copies without a gap?  *at: the first copy that
 * ends behind its begin; moves on with the chunks.
 */
static bool
is_covered(const struct cn_found *found, const struct cn_found_chunk *chunk,
    size_t *at)
{
	size_t end = chunk->offset + chunk->len;
	size_t to = chunk->offset;
	size_t i;

	while (*at < found->copies &&
	    found->copy[*at].offset + found->copy[*at].len <= chunk->offset) {
		(*at)++;
	}
	for (i = *at; i < found->copies && to < end; i++) {
		if (found->copy[i].offset > to || i - *at == COVER_COPIES) {
			return false;
		}
		to = found->copy[i].offset + found->copy[i].len;
	}
	return to >= end;
}

_Static_assert(CN_FOUND_CHUNKS_MAX <= CN_MATCH_SPANS_MAX,
    "each chunk may be a span of its own");

static void
add_span(struct cn_found *found, const struct cn_found_chunk *chunk)
{
	if (found->spans > 0) {
		struct cn_store_span *last = &found->span[found->spans - 1];

		if (last->offset + last->len == chunk->offset) {
			last->len += chunk->len;
			return;
		}
	}
	found->span[found->spans++] = (struct cn_store_span){
		.offset = chunk->offset,
		.len = chunk->len,
	};
}

/* Is what is the same all over the logs, and enough new? */
static bool
is_scattered(const struct cn_found *found, size_t len)
{
	return found->copies > SCATTERED_COPIES && found->chunks > 0 &&
	    len - found->copied >= len / SCATTERED_PART;
}

/* No chunk is left: whoever learns the span cuts all of it. */
static void
store_whole(struct cn_found *found, size_t len)
{
	found->chunks = 0;
	found->span[0] = (struct cn_store_span){
		.offset = 0,
		.len = (uint32_t)len,
	};
	found->spans = 1;
}

void
cn_found_finish(struct cn_found *found, size_t len)
{
	size_t kept = 0, at = 0;

	if (found->region_bytes < (len - found->copied) / REGION_PART) {
		found->regions = 0;
	}
	if (is_scattered(found, len)) {
		store_whole(found, len);
		return;
	}
	for (size_t i = 0; i < found->chunks; i++) {
		const struct cn_found_chunk chunk = found->chunk[i];

		if (!is_covered(found, &chunk, &at)) {
			add_span(found, &chunk);
			found->chunk[kept++] = chunk;
		}
	}
	found->chunks = kept;
}
