/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ranges.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

#define FIRST_CAP 4u
/* An emptied set keeps room for so many; more goes back to the heap. */
#define KEEP_CAP 16u

void
cn_ranges_init(struct cn_ranges *ranges, uint32_t max)
{
	assert(max > 0);
	*ranges = (struct cn_ranges){ .max = max };
}

void
cn_ranges_fini(struct cn_ranges *ranges)
{
	cn_free(ranges->items);
	*ranges = (struct cn_ranges){ .max = ranges->max };
}

void
cn_ranges_clear(struct cn_ranges *ranges)
{
	cn_ranges_fini(ranges);
}

/* The first range that ends at v or after it; count: none. */
static uint32_t
first_ending_from(const struct cn_ranges *ranges, uint64_t v)
{
	uint32_t lo = 0, hi = ranges->count;

	/* New data mostly comes behind all that is there. */
	if (hi == 0 || ranges->items[hi - 1].to < v) {
		return hi;
	}
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (ranges->items[mid].to < v) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo;
}

/* Make room for a range at place i. */
static int
insert(struct cn_ranges *ranges, uint32_t i, struct cn_range range)
{
	if (ranges->count == ranges->max) {
		return CN_ELIMIT;
	}
	if (ranges->count == ranges->cap) {
		uint32_t cap = ranges->cap == 0     ? FIRST_CAP
		    : ranges->cap > ranges->max / 2 ? ranges->max
						    : ranges->cap * 2;
		struct cn_range *items;

		cap = CN_MIN(cap, ranges->max);
		items = cn_realloc(ranges->items, cap * sizeof(*items));
		if (items == NULL) {
			return CN_ENOMEM;
		}
		ranges->items = items;
		ranges->cap = cap;
	}
	memmove(ranges->items + i + 1, ranges->items + i,
	    (ranges->count - i) * sizeof(range));
	ranges->items[i] = range;
	ranges->count++;
	return CN_OK;
}

/* Take out the ranges [i, end). */
static void
erase(struct cn_ranges *ranges, uint32_t i, uint32_t end)
{
	if (i == end) {
		return;
	}
	memmove(ranges->items + i, ranges->items + end,
	    (ranges->count - end) * sizeof(ranges->items[0]));
	ranges->count -= end - i;
	if (ranges->count == 0 && ranges->cap > KEEP_CAP) {
		cn_ranges_clear(ranges);
	}
}

int
cn_ranges_add(struct cn_ranges *ranges, uint64_t from, uint64_t to)
{
	uint32_t i, end;

	if (from > to) {
		return CN_EINVAL;
	}
	if (from == to) {
		return CN_OK;
	}
	/* Ranges [i, end) touch the new one and melt into it. */
	i = first_ending_from(ranges, from);
	end = i;
	while (end < ranges->count && ranges->items[end].from <= to) {
		end++;
	}
	if (i == end) {
		return insert(ranges, i, (struct cn_range){ from, to });
	}
	ranges->items[i].from = CN_MIN(ranges->items[i].from, from);
	ranges->items[i].to = CN_MAX(ranges->items[end - 1].to, to);
	erase(ranges, i + 1, end);
	return CN_OK;
}

int
cn_ranges_remove(struct cn_ranges *ranges, uint64_t from, uint64_t to)
{
	struct cn_range *r;
	uint32_t i, end;
	int rc;

	if (from > to) {
		return CN_EINVAL;
	}
	if (from == to) {
		return CN_OK;
	}
	i = first_ending_from(ranges, from);
	if (i == ranges->count) {
		return CN_OK;
	}
	r = &ranges->items[i];
	if (r->from < from) {
		if (r->to > to) {
			/* A hole in the middle: two are left of one. */
			uint64_t last = r->to;

			rc = insert(
			    ranges, i + 1, (struct cn_range){ to, last });
			if (rc == CN_OK) {
				ranges->items[i].to = from;
			}
			return rc;
		}
		r->to = from;
		i++;
	}
	end = i;
	while (end < ranges->count && ranges->items[end].to <= to) {
		end++;
	}
	if (end < ranges->count && ranges->items[end].from < to) {
		ranges->items[end].from = to;
	}
	erase(ranges, i, end);
	return CN_OK;
}

bool
cn_ranges_contains(const struct cn_ranges *ranges, uint64_t v)
{
	return v != UINT64_MAX && cn_ranges_covers(ranges, v, v + 1);
}

bool
cn_ranges_covers(const struct cn_ranges *ranges, uint64_t from, uint64_t to)
{
	uint32_t i;

	if (from >= to) {
		return from == to;
	}
	/* No two ranges touch, so one alone must cover it. */
	i = first_ending_from(ranges, to);
	return i < ranges->count && ranges->items[i].from <= from;
}

struct cn_range
cn_ranges_at(const struct cn_ranges *ranges, uint32_t i)
{
	assert(i < ranges->count);
	return ranges->items[i];
}

uint64_t
cn_ranges_sum(const struct cn_ranges *ranges)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < ranges->count; i++) {
		sum += ranges->items[i].to - ranges->items[i].from;
	}
	return sum;
}
