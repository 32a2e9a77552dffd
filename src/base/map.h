/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BASE_MAP_H
#define CN_BASE_MAP_H

/*
 * Hash table from uint64_t to a pointer: open addressing, linear probing,
 * no tombstones, grows and shrinks by itself.
 *
 * Life:       init and fini by whoever embeds it; an unused map owns no
 *             memory.  Values are borrowed, never read.
 * Thread:     its owner's.
 * Invariants: at most three quarters of the slots are taken; between a
 *             key's home slot and its own no slot is free.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct cn_map_slot {
	uint64_t key;
	void *value; /* borrowed; NULL: the slot is free */
};

struct cn_map {
	struct cn_map_slot *slots; /* owned */
	size_t mask;               /* slots - 1; meaningless without slots */
	size_t count;
};

/*
 * Choose how keys are scattered, so that a peer that picks keys cannot make
 * them collide.  Once, before the first map has content; tests and the
 * simulation leave it, so that they walk in the same order in each run.
 */
void cn_map_set_seed(uint64_t seed);

void cn_map_init(struct cn_map *map);
/* Forget all; the values are the caller's.  The map is empty and usable. */
void cn_map_fini(struct cn_map *map);

/* The value of a key, or NULL. */
void *cn_map_get(const struct cn_map *map, uint64_t key);

/*
 * Set the value of a key, in place of an older one.
 *
 * @value  not NULL
 *
 * Returns CN_OK, or CN_ENOMEM with the map as it was.  Never fails for a
 * key that is there.
 */
int cn_map_put(struct cn_map *map, uint64_t key, void *value) CN_MUSTCHECK;

/* Take a key out.  Returns its value, or NULL when it was not there. */
void *cn_map_remove(struct cn_map *map, uint64_t key);

static inline size_t
cn_map_count(const struct cn_map *map)
{
	return map->count;
}

/*
 * Walk all pairs in no order.  Start with *pos = 0.  Nothing may be put or
 * removed during the walk: what is removed moves others.
 *
 * @key, @value  either may be NULL
 *
 * Returns false when there are no more.
 */
bool cn_map_next(
    const struct cn_map *map, size_t *pos, uint64_t *key, void **value);

#endif /* CN_BASE_MAP_H */
