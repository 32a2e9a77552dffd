/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/err.h"

/* A power of two, as all sizes. */
#define FIRST_SLOTS 8u

static uint64_t map_seed = UINT64_C(0xd6e8feb86659fd93);

void
cn_map_set_seed(uint64_t seed)
{
	map_seed = seed;
}

void
cn_map_init(struct cn_map *map)
{
	*map = (struct cn_map){ 0 };
}

void
cn_map_fini(struct cn_map *map)
{
	cn_free(map->slots);
	cn_map_init(map);
}

/* Where a key would like to be. */
static size_t
home(const struct cn_map *map, uint64_t key)
{
	__extension__ typedef unsigned __int128 u128;
	u128 product = (u128)(key ^ map_seed) * UINT64_C(0x9fb21c651e98df25);

	return (size_t)((uint64_t)product ^ (uint64_t)(product >> 64)) &
	    map->mask;
}

/* The slot of the key, or the free one where it would go. */
static size_t
find(const struct cn_map *map, uint64_t key)
{
	size_t i = home(map, key);

	while (map->slots[i].value != NULL && map->slots[i].key != key) {
		i = (i + 1) & map->mask;
	}
	return i;
}

void *
cn_map_get(const struct cn_map *map, uint64_t key)
{
	if (map->count == 0) {
		return NULL;
	}
	return map->slots[find(map, key)].value;
}

/* Move everything to a table of so many slots. */
static int
resize(struct cn_map *map, size_t slots)
{
	struct cn_map old = *map;
	struct cn_map_slot *fresh = cn_calloc(slots, sizeof(*fresh));

	if (fresh == NULL) {
		return CN_ENOMEM;
	}
	map->slots = fresh;
	map->mask = slots - 1;
	for (size_t i = 0; old.slots != NULL && i <= old.mask; i++) {
		if (old.slots[i].value != NULL) {
			fresh[find(map, old.slots[i].key)] = old.slots[i];
		}
	}
	cn_free(old.slots);
	return CN_OK;
}

int
cn_map_put(struct cn_map *map, uint64_t key, void *value)
{
	size_t i;
	int rc;

	assert(value != NULL);
	if (map->slots == NULL) {
		rc = resize(map, FIRST_SLOTS);
		if (rc != CN_OK) {
			return rc;
		}
	}
	i = find(map, key);
	if (map->slots[i].value == NULL) {
		if (map->count >= (map->mask + 1) / 4 * 3) {
			rc = resize(map, (map->mask + 1) * 2);
			if (rc != CN_OK) {
				return rc;
			}
			i = find(map, key);
		}
		map->slots[i].key = key;
		map->count++;
	}
	map->slots[i].value = value;
	return CN_OK;
}

/* Free slot i, moving up those behind it that may come nearer to home. */
static void
vacate(struct cn_map *map, size_t i)
{
	size_t j = i;

	for (;;) {
		size_t want;

		j = (j + 1) & map->mask;
		if (map->slots[j].value == NULL) {
			break;
		}
		want = home(map, map->slots[j].key);
		/* It may move when its home is not behind the hole. */
		if (((j - want) & map->mask) >= ((j - i) & map->mask)) {
			map->slots[i] = map->slots[j];
			i = j;
		}
	}
	map->slots[i].value = NULL;
}

void *
cn_map_remove(struct cn_map *map, uint64_t key)
{
	void *value;
	size_t i;

	if (map->count == 0) {
		return NULL;
	}
	i = find(map, key);
	value = map->slots[i].value;
	if (value == NULL) {
		return NULL;
	}
	vacate(map, i);
	map->count--;
	if (map->mask + 1 > FIRST_SLOTS && map->count < (map->mask + 1) / 8) {
		/* Without memory it just stays large. */
		(void)!resize(map, (map->mask + 1) / 2);
	}
	return value;
}

bool
cn_map_next(const struct cn_map *map, size_t *pos, uint64_t *key, void **value)
{
	if (map->count == 0) {
		return false;
	}
	for (; *pos <= map->mask; ++*pos) {
		const struct cn_map_slot *slot = &map->slots[*pos];

		if (slot->value == NULL) {
			continue;
		}
		if (key != NULL) {
			*key = slot->key;
		}
		if (value != NULL) {
			*value = slot->value;
		}
		++*pos;
		return true;
	}
	return false;
}
