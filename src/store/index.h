/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_STORE_INDEX_H
#define CN_STORE_INDEX_H

/*
 * Where chunks may be: a table of hints from the key of a chunk to a spot.
 *
 * A hint may be stale or simply wrong; who uses it compares bytes.  So the
 * table may forget whatever it likes, never grows, and needs no lock.
 *
 * Buckets of one cache line hold 8 entries of 8 bytes: 16 bits of the key and
 * 48 bits of spot.  In a full bucket the entry that was put longest ago, or
 * nearly so, makes room.
 *
 * Where the table is too small for every chunk of the store it takes only
 * hooks, the keys that end in `hook_bits' zeros.
 *
 * Life:       created with its store, freed after the last user.
 * Thread:     any; entries are single atomic words.
 * Invariants: an entry read is one that was put, whole.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct cn_index; /* opaque */

/* A spot: number of a segment in this process (28 bits), offset in it (20). */
#define CN_INDEX_SPOT_BITS 48u
/* Hints that one look-up gives at most. */
#define CN_INDEX_HINTS 4u

/*
 * @bytes  memory for the table, >= 4 KiB; rounded down to whole buckets
 * @hook_bits  0: every chunk; n <= 16: one of 2^n
 *
 * Its memory is touched as it fills.  Returns CN_OK, CN_EINVAL, CN_ENOMEM.
 */
int cn_index_create(
    uint64_t bytes, unsigned hook_bits, struct cn_index **ret) CN_MUSTCHECK;
void cn_index_free(struct cn_index **ip);

/* Would this key be put? */
bool cn_index_takes(const struct cn_index *index, uint64_t key);
unsigned cn_index_hook_bits(const struct cn_index *index);

/* A chunk with that key begins at the spot; nothing if it is no hook. */
void cn_index_put(struct cn_index *index, uint64_t key, uint64_t spot);
/* Hints for a key, newest first as far as known.  Returns how many. */
size_t cn_index_find(
    const struct cn_index *index, uint64_t key, uint64_t spots[CN_INDEX_HINTS]);
/* Fetch the bucket of a key that will be looked up soon. */
void cn_index_prefetch(const struct cn_index *index, uint64_t key);
/* Forget everything. */
void cn_index_clear(struct cn_index *index);
/* Bytes of the table. */
uint64_t cn_index_bytes(const struct cn_index *index);

#endif /* CN_STORE_INDEX_H */
