/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_LINK_HISTORY_H
#define CN_LINK_HISTORY_H

/*
 * The last bytes of one direction, contiguous in memory: the prefix that a
 * batch may name, and room behind it for the batch itself.
 *
 * Sender and receiver keep one each and feed them alike; when they differ
 * the receiver answers MISS, so nothing here needs to be certain.
 *
 * Life:       embedded in a stream; owns its buffer, which is accounted to
 *             the pool; empty until first used.
 * Thread:     its link's.
 * Invariants: len bytes end at offset `end'; len <= max.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct cn_pool;

struct cn_history {
	struct cn_pool *pool; /* borrowed */
	uint8_t *buf;         /* owned */
	uint32_t cap;
	uint32_t len;  /* bytes kept, at the end of the used part */
	uint32_t used; /* of buf */
	uint32_t max;  /* most bytes to keep */
	uint64_t end;  /* offset one past the last byte */
};

void cn_history_init(
    struct cn_history *history, struct cn_pool *pool, size_t max);
/* Forget everything and free the buffer. */
void cn_history_drop(struct cn_history *history);

/*
 * Contiguous room for len more bytes right behind the kept ones; what was
 * kept stays, up to max.  Returns NULL without memory: nothing is kept then.
 */
uint8_t *cn_history_room(struct cn_history *history, size_t len);
/* The room was filled with the bytes that end at this offset: keep them. */
void cn_history_keep(struct cn_history *history, size_t len, uint64_t end);

/* The last len bytes kept; len <= history->len. */
const uint8_t *cn_history_tail(const struct cn_history *history, size_t len);

#endif /* CN_LINK_HISTORY_H */
