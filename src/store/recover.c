/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/err.h"
#include "store/store_private.h"

/* Buckets of the index that are on their way while others are filled. */
#define AHEAD 16u

/* The recovery of a store. */
struct recovery {
	struct cn_store *store;
	struct cn_list found;         /* segments, in the order of the slots */
	uint8_t *image;               /* head and footer of one */
	struct cn_store_chunk *chunk; /* of it */
	struct cn_image_info info;    /* of it */
};

/* A segment that was found and not yet entered goes again. */
static void
discard(struct cn_store *store, struct cn_segment *segment)
{
	store->valid_bytes -= segment->valid_bytes;
	store->written--;
	cn_room_slot_put(store, segment->slot);
	cn_list_remove(&segment->item);
	cn_segment_leave_scopes(segment);
	cn_catalog_remove(segment);
	cn_catalog_give(store, segment);
}

/* Is there none of that place, or an older one, which goes? */
static bool
is_wanted(struct recovery *r, struct cn_pair *pair)
{
	struct cn_store_log *log =
	    cn_catalog_log(pair, r->info.is_mine, r->info.epoch, false);
	struct cn_segment *old =
	    log == NULL ? NULL : cn_catalog_find(log, r->info.sequence);

	if (old != NULL && old->age >= r->info.age) {
		return false;
	}
	if (old != NULL) {
		discard(r->store, old);
	}
	return true;
}

static void
teach(const struct recovery *r, const struct cn_segment *segment)
{
	for (uint32_t i = 0; i < r->info.chunks; i++) {
		if (i + AHEAD < r->info.chunks) {
			cn_index_prefetch(
			    r->store->index, r->chunk[i + AHEAD].key);
		}
		cn_index_put(r->store->index, r->chunk[i].key,
		    (uint64_t)segment->number << CN_SEGMENT_SHIFT |
			r->chunk[i].pos);
	}
}

/* Into its log, with all that the footer says; CN_OK or CN_ENOMEM. */
static int
place(struct recovery *r, struct cn_pair *pair, struct cn_segment *segment)
{
	struct cn_store_log *log =
	    cn_catalog_log(pair, r->info.is_mine, r->info.epoch, true);
	int rc;

	if (log == NULL) {
		return CN_ENOMEM;
	}
	segment->sequence = r->info.sequence;
	rc = cn_catalog_insert(log, segment);
	if (rc != CN_OK) {
		cn_catalog_log_check(log);
		return rc;
	}
	rc = cn_segment_adopt(segment, &r->info);
	if (rc != CN_OK) {
		cn_catalog_remove(segment);
	}
	return rc;
}

/* Take over what is in a slot; CN_OK, CN_EEXIST or CN_ENOMEM. */
static int
take(struct recovery *r, uint32_t slot)
{
	struct cn_store *store = r->store;
	struct cn_pair *pair = cn_catalog_pair(store, r->info.peer);
	struct cn_segment *segment;
	int rc;

	if (pair == NULL) {
		return CN_ENOMEM;
	}
	if (!is_wanted(r, pair)) {
		return CN_EEXIST;
	}
	segment = cn_catalog_take(store);
	if (segment == NULL) {
		return CN_ENOMEM;
	}
	rc = place(r, pair, segment);
	if (rc != CN_OK) {
		cn_catalog_give(store, segment);
		return rc;
	}
	segment->state = CN_SEGMENT_SEALED;
	segment->age = r->info.age;
	segment->is_written = true;
	segment->slot = slot;
	cn_room_slot_claim(store, slot);
	store->written++;
	store->valid_bytes += segment->valid_bytes;
	store->next_age = CN_MAX(store->next_age, segment->age + 1);
	cn_list_append(&r->found, &segment->item);
	teach(r, segment);
	return CN_OK;
}

/* All slots as far as the disk goes. */
static void
scan(struct recovery *r)
{
	struct cn_store *store = r->store;
	const struct cn_job_ops *disk = store->config.disk;

	for (uint32_t slot = 0; slot < store->slots; slot++) {
		int rc = disk->read_now(
		    disk->ctx, slot, 0, r->image, CN_IMAGE_DATA_AT);

		if (rc == CN_EEND) {
			return;
		}
		if (rc != CN_OK) {
			store->count.load_failures++;
			if (++store->failures >= CN_STORE_WRITE_FAILURES) {
				cn_room_lose_disk(store);
				return;
			}
			continue;
		}
		store->failures = 0;
		rc = cn_image_open(
		    store->config.key, r->image, &r->info, r->chunk);
		if (rc == CN_EEND) {
			continue;
		}
		store->count.recovered++;
		if (rc != CN_OK) {
			store->count.damaged++;
		} else if (take(r, slot) == CN_ENOMEM) {
			return;
		}
	}
}

/* Merge two lists that are in order of age, into the first. */
static void
merge(struct cn_list *into, struct cn_list *from)
{
	struct cn_list *at = into->next;

	while (!cn_list_is_empty(from)) {
		struct cn_list *it = cn_list_first(from);
		uint64_t age = CN_LIST_ENTRY(it, struct cn_segment, item)->age;

		while (at != into &&
		    CN_LIST_ENTRY(at, struct cn_segment, item)->age <= age) {
			at = at->next;
		}
		cn_list_remove(it);
		cn_list_append(at, it); /* before it */
	}
}

/*
 * Sort by age, without memory: list number i is empty or has 2^i segments,
 * as the bits of a counter.
 */
static void
sort(struct cn_list *list)
{
	struct cn_list part[32], *it;

	for (size_t i = 0; i < CN_ARRAY_LEN(part); i++) {
		cn_list_init(&part[i]);
	}
	while ((it = cn_list_first(list)) != NULL) {
		struct cn_list carry;
		size_t i = 0;

		cn_list_init(&carry);
		cn_list_remove(it);
		cn_list_append(&carry, it);
		for (; !cn_list_is_empty(&part[i]); i++) {
			merge(&part[i], &carry);
			cn_list_splice(&carry, &part[i]);
		}
		cn_list_splice(&part[i], &carry);
	}
	for (size_t i = 0; i < CN_ARRAY_LEN(part); i++) {
		merge(&part[i], list);
		cn_list_splice(list, &part[i]);
	}
}

void
cn_store_recover(struct cn_store *store, uint64_t now)
{
	struct recovery r = { .store = store };
	struct cn_list *it;

	if (!cn_store_has_disk(store)) {
		return;
	}
	cn_list_init(&r.found);
	r.image = cn_alloc_aligned(CN_IMAGE_HEAD_BYTES, CN_IMAGE_DATA_AT);
	r.chunk = cn_alloc(CN_IMAGE_CHUNKS_MAX * sizeof(*r.chunk));
	pthread_mutex_lock(&store->lock);
	cn_store_at(store, now);
	if (r.image != NULL && r.chunk != NULL) {
		scan(&r);
	}
	store->failures = 0;
	sort(&r.found);
	while ((it = cn_list_first(&r.found)) != NULL) {
		cn_list_remove(it);
		cn_room_enter(CN_LIST_ENTRY(it, struct cn_segment, item));
	}
	cn_room_doom(store);
	pthread_mutex_unlock(&store->lock);
	cn_free(r.image);
	cn_free(r.chunk);
}
