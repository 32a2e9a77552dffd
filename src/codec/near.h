/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CODEC_NEAR_H
#define CN_CODEC_NEAR_H

/*
 * The chunks of segments that were hit a moment ago, for an index that knows
 * hooks only: from the key of a chunk to its place.
 *
 * As with the index, what it says is a hint and it forgets as it likes.
 *
 * Life:   made by its matcher on first use.
 * Thread: its matcher's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/place.h"
#include "store/store.h"

struct cn_near; /* opaque */

/* NULL: no memory. */
struct cn_near *cn_near_create(void);
void cn_near_free(struct cn_near **np);
/* Take in the chunks of a pinned segment, unless that was done lately. */
void cn_near_learn(struct cn_near *near, const struct cn_view *view);
bool cn_near_find(
    const struct cn_near *near, uint64_t key, struct cn_place *ret);

#endif /* CN_CODEC_NEAR_H */
