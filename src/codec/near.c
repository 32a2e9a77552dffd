/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/near.h"

#include "base/alloc.h"
#include "base/attr.h"

/* 64 segments of 512 chunks. */
#define ENTRIES 32768u
#define SEGMENTS 64u

struct entry {
	uint64_t key;
	struct cn_place place;
	const struct cn_pair *pair; /* borrowed, never read; of a segment */
	bool is_set;
};

struct cn_near {
	struct entry entry[ENTRIES];
	/* Whose chunks were taken in: their places at offset 0. */
	struct entry segment[SEGMENTS];
};

struct cn_near *
cn_near_create(void)
{
	return cn_calloc(1, sizeof(struct cn_near));
}

void
cn_near_free(struct cn_near **np)
{
	cn_free(*np);
	*np = NULL;
}

static bool
is_same_place(const struct cn_place *a, const struct cn_place *b)
{
	return a->pos == b->pos && a->epoch == b->epoch &&
	    a->is_mine == b->is_mine;
}

void
cn_near_learn(struct cn_near *near, const struct cn_view *view)
{
	const struct cn_store_chunk *chunk;
	struct cn_place place = view->place;
	struct entry *segment;
	size_t count;

	place.pos &= ~(uint64_t)(CN_SEGMENT_BYTES - 1);
	/* Our logs to all peers have one epoch: the pair tells them apart. */
	segment =
	    &near->segment[((place.pos >> CN_SEGMENT_SHIFT) ^ place.epoch) %
		SEGMENTS];
	if (segment->is_set && segment->pair == view->pair &&
	    is_same_place(&segment->place, &place)) {
		return;
	}
	count = cn_view_chunks(view, &chunk);
	for (size_t i = 0; i < count; i++) {
		struct entry *entry = &near->entry[chunk[i].key % ENTRIES];

		*entry = (struct entry){
			.key = chunk[i].key,
			.place = place,
			.is_set = true,
		};
		entry->place.pos += chunk[i].pos;
	}
	if (count > 0) {
		*segment = (struct entry){
			.place = place,
			.pair = view->pair,
			.is_set = true,
		};
	}
}

bool
cn_near_find(const struct cn_near *near, uint64_t key, struct cn_place *ret)
{
	const struct entry *entry = &near->entry[key % ENTRIES];

	if (!entry->is_set || entry->key != key) {
		return false;
	}
	*ret = entry->place;
	return true;
}
