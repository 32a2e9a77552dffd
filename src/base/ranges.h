/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BASE_RANGES_H
#define CN_BASE_RANGES_H

/*
 * A set of uint64_t kept as sorted half-open intervals, with a cap on their
 * number.  For offsets and block numbers: UINT64_MAX is never in the set.
 *
 * Life:       init and fini by whoever embeds it; an empty set that was
 *             cleared owns no memory.
 * Invariants: from < to in each range; each ends before the next begins,
 *             with a gap between.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct cn_range {
	uint64_t from; /* first that is in */
	uint64_t to;   /* first that is out again */
};

struct cn_ranges {
	struct cn_range *items; /* owned */
	uint32_t count;
	uint32_t cap; /* items that fit the memory */
	uint32_t max; /* most items ever held */
};

/* @max  most ranges, at least 1 */
void cn_ranges_init(struct cn_ranges *ranges, uint32_t max);
/* Give the memory back; empty and usable after. */
void cn_ranges_fini(struct cn_ranges *ranges);
/* The same under the name of its other use. */
void cn_ranges_clear(struct cn_ranges *ranges);

/*
 * Add [from, to), merging with what it touches; nothing when from == to.
 *
 * Returns CN_OK; CN_ELIMIT when there would be too many ranges; CN_ENOMEM;
 * CN_EINVAL when from > to.  The set is as it was on failure.
 */
int cn_ranges_add(
    struct cn_ranges *ranges, uint64_t from, uint64_t to) CN_MUSTCHECK;

/*
 * Take [from, to) out, whatever part of it is in.  May cut a range in two:
 * errors as cn_ranges_add(), but it never fails when from is 0 or not above
 * the first range's begin.
 */
int cn_ranges_remove(
    struct cn_ranges *ranges, uint64_t from, uint64_t to) CN_MUSTCHECK;

/* Whether v is in. */
bool cn_ranges_contains(const struct cn_ranges *ranges, uint64_t v);
/* Whether all of [from, to) is in; true when from == to. */
bool cn_ranges_covers(
    const struct cn_ranges *ranges, uint64_t from, uint64_t to);

static inline uint32_t
cn_ranges_count(const struct cn_ranges *ranges)
{
	return ranges->count;
}

/* The range number i < count, in ascending order. */
struct cn_range cn_ranges_at(const struct cn_ranges *ranges, uint32_t i);

/* How many values are in. */
uint64_t cn_ranges_sum(const struct cn_ranges *ranges);

#endif /* CN_BASE_RANGES_H */
