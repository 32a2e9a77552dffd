/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CODEC_REACH_H
#define CN_CODEC_REACH_H

/*
 * Bytes of a pair's logs for the time of one batch, by trails: a trail says
 * that byte o of the batch may be what stands at base + o of a log.
 *
 * A few views stay pinned, so that going on where one was a moment ago takes
 * no lock.
 *
 * Life:       embedded in a matcher; begun and ended with each batch.
 * Thread:     its matcher's.
 * Invariants: nothing outside the batch or a pinned view is read.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/place.h"
#include "store/store.h"

#define CN_REACH_SLOTS 4u
/* A trail that leaves a batch needs only so many equal bytes at its end. */
#define CN_REACH_TAIL 16u

struct cn_trail {
	uint64_t epoch;
	uint64_t base; /* position of byte 0 of the batch; may wrap */
	bool is_mine;
	bool is_set;
};

struct cn_reach_slot {
	struct cn_view view; /* owned; segment NULL: empty */
	uint64_t number;     /* of the segment, as in spots */
	bool has_number;
};

struct cn_reach {
	struct cn_pair *pair;       /* borrowed, for the batch */
	struct cn_store_user *user; /* borrowed, for the batch */
	const uint8_t *plain;       /* borrowed, for the batch */
	size_t len;
	uint64_t scope;
	size_t least; /* shortest copy that is worth it */
	bool is_patient;
	bool must_wait; /* some place is being read; nothing is found now */
	unsigned next;  /* slot to be used again first */
	struct cn_reach_slot slot[CN_REACH_SLOTS];
};

/* The trail on which byte `offset' stands at the place. */
struct cn_trail cn_trail_through(const struct cn_place *place, size_t offset);
struct cn_place cn_trail_place(const struct cn_trail *trail, size_t offset);
bool cn_trail_is_same(const struct cn_trail *a, const struct cn_trail *b);

/* Unpin everything. */
void cn_reach_end(struct cn_reach *reach);

/*
 * The byte of the log for byte `offset' of the batch, and how many before it
 * and from it on may be read (after >= 1).  NULL: it may not be used.  Valid
 * until the next call of any function here.
 */
const uint8_t *cn_reach_at(struct cn_reach *reach, const struct cn_trail *trail,
    size_t offset, size_t *before, size_t *after);
/* The view that holds it, if one is pinned, else NULL. */
const struct cn_view *cn_reach_view(
    const struct cn_reach *reach, const struct cn_trail *trail, size_t offset);
/* The trail through a hint.  False: nothing there that may be used. */
bool cn_reach_spot(
    struct cn_reach *reach, uint64_t spot, size_t offset, struct cn_trail *ret);

/* Batch and trail are the same from `at' to the returned offset. */
size_t cn_reach_forward(
    struct cn_reach *reach, const struct cn_trail *trail, size_t at);
/* ... from the returned offset, not below `floor', to `at'. */
size_t cn_reach_backward(struct cn_reach *reach, const struct cn_trail *trail,
    size_t floor, size_t at);
/* Is the same from one offset to the other worth a copy? */
bool cn_reach_is_enough(const struct cn_reach *reach, size_t from, size_t to);
/*
 * They differ at `at': where, at most `ahead' bytes further, are they the
 * same again for long enough?
 */
bool cn_reach_resync(struct cn_reach *reach, const struct cn_trail *trail,
    size_t at, size_t ahead, size_t *from, size_t *to);

#endif /* CN_CODEC_REACH_H */
