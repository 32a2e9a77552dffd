/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "store/store_private.h"

/* ---- out ---- */

/* The sealed segment with the least age above `age'; NULL: none. */
static struct cn_segment *
next_by_age(struct cn_store *store, uint64_t age)
{
	struct cn_segment *last = cn_catalog_number(store, store->walked);
	struct cn_list *it = store->ring.next;

	/* Mostly it is the one behind the last one. */
	if (last != NULL && last->state == CN_SEGMENT_SEALED &&
	    last->age <= age) {
		it = last->item.next;
	}
	for (; it != &store->ring; it = it->next) {
		struct cn_segment *segment =
		    CN_LIST_ENTRY(it, struct cn_segment, item);

		if (segment->age > age) {
			return segment;
		}
	}
	return NULL;
}

/* Read it from its slot and look at it all. */
static int
read_image(struct cn_store *store, uint32_t slot, uint8_t *image)
{
	const struct cn_job_ops *disk = store->config.disk;
	struct cn_image_info info;
	uint8_t *data;
	int rc;

	rc = disk->read_now(disk->ctx, slot, 0, image, CN_IMAGE_BYTES);
	if (rc != CN_OK) {
		return rc == CN_EEND ? CN_ECODING : rc;
	}
	data = cn_alloc(CN_SEGMENT_BYTES);
	if (data == NULL) {
		return CN_ENOMEM;
	}
	rc = cn_image_open_data(store->config.key, image, &info, data);
	cn_free(data);
	return rc == CN_OK || rc == CN_ENOMEM ? rc : CN_ECODING;
}

/* What is on the disk is no good. */
static void
mend(struct cn_segment *segment, uint32_t slot)
{
	struct cn_store *store = cn_segment_store(segment);

	if (!segment->is_written || segment->slot != slot) {
		return; /* somebody else was here */
	}
	if (segment->body != NULL) {
		cn_room_slot_put(store, segment->slot);
		segment->is_written = false;
		store->written--;
		cn_room_list_body(segment);
		cn_load_write(store);
	} else if (cn_room_is_evictable(segment)) {
		cn_room_evict(segment);
	}
}

int
cn_store_walk(struct cn_store *store, uint64_t *age, uint8_t *image)
{
	struct cn_image_info info;
	struct cn_segment *segment;
	bool is_written;
	uint32_t slot;
	int rc;

	pthread_mutex_lock(&store->lock);
	segment = next_by_age(store, *age);
	if (segment == NULL) {
		pthread_mutex_unlock(&store->lock);
		return CN_EEND;
	}
	segment->pins++;
	is_written = segment->is_written;
	slot = segment->slot;
	cn_segment_info(segment, &info);
	pthread_mutex_unlock(&store->lock);

	rc = is_written ? read_image(store, slot, image)
			: cn_load_seal(store, &info, segment, image);

	pthread_mutex_lock(&store->lock);
	segment->pins--;
	*age = info.age;
	store->walked = segment->number;
	if (rc == CN_ECODING) {
		mend(segment, slot);
	}
	pthread_mutex_unlock(&store->lock);
	return rc;
}

/* ---- in ---- */

/* Into the catalogue: sealed, to be written.  CN_OK, CN_EEXIST, CN_ENOMEM. */
static int
enter(struct cn_store *store, const struct cn_image_info *info,
    struct cn_body *body)
{
	struct cn_pair *pair = cn_catalog_pair(store, info->peer);
	struct cn_segment *segment = cn_catalog_take(store);
	struct cn_store_log *log;
	int rc = CN_ENOMEM;

	if (segment == NULL || pair == NULL) {
		goto fail;
	}
	log = cn_catalog_log(pair, info->is_mine, info->epoch, true);
	if (log == NULL) {
		goto fail;
	}
	segment->sequence = info->sequence;
	rc = cn_catalog_insert(log, segment);
	if (rc != CN_OK) {
		cn_catalog_log_check(log);
		goto fail;
	}
	rc = cn_segment_adopt(segment, info);
	if (rc != CN_OK) {
		cn_catalog_remove(segment);
		goto fail;
	}
	segment->state = CN_SEGMENT_SEALED;
	segment->age = store->next_age++;
	segment->body = body;
	body->segment = segment;
	store->bodies++;
	store->valid_bytes += segment->valid_bytes;
	for (uint32_t i = 0; i < body->chunks; i++) {
		cn_index_put(store->index, body->chunk[i].key,
		    (uint64_t)segment->number << CN_SEGMENT_SHIFT |
			body->chunk[i].pos);
	}
	cn_room_enter(segment);
	return CN_OK;

fail:
	if (segment != NULL) {
		cn_catalog_give(store, segment);
	}
	return rc;
}

/* Is that segment here? */
static bool
is_here(struct cn_store *store, const struct cn_image_info *info)
{
	struct cn_list *it;

	CN_LIST_EACH(&store->pairs, it)
	{
		struct cn_pair *pair = CN_LIST_ENTRY(it, struct cn_pair, item);
		struct cn_store_log *log;

		if (memcmp(pair->peer, info->peer, sizeof(pair->peer)) != 0) {
			continue;
		}
		log = cn_catalog_log(pair, info->is_mine, info->epoch, false);
		return log != NULL &&
		    cn_catalog_find(log, info->sequence) != NULL;
	}
	return false;
}

/* Open the image into a body's buffer and chunk table; without the lock. */
static int
open_image(struct cn_store *store, const uint8_t *image, struct cn_body *body,
    struct cn_image_info *info)
{
	int rc = cn_image_open_data(
	    store->config.key, image, info, body->image + CN_IMAGE_DATA_AT);

	if (rc != CN_OK || info->chunks == 0) {
		return rc;
	}
	body->chunk = cn_alloc(CN_IMAGE_CHUNKS_MAX * sizeof(*body->chunk));
	if (body->chunk == NULL) {
		return CN_ENOMEM;
	}
	body->chunks_cap = CN_IMAGE_CHUNKS_MAX;
	body->chunks = info->chunks;
	return cn_image_open(store->config.key, image, info, body->chunk);
}

/* A body to take the image in; called with the lock. */
static int
prepare(struct cn_store *store, const struct cn_image_info *info,
    struct cn_body **ret)
{
	if (is_here(store, info)) {
		return CN_EEXIST;
	}
	*ret = cn_segment_body(store);
	if (*ret == NULL) {
		return store->writes > 0 ? CN_EAGAIN : CN_ENOSPC;
	}
	return CN_OK;
}

int
cn_store_adopt(struct cn_store *store, const uint8_t *image, uint64_t now)
{
	struct cn_body *body = NULL;
	struct cn_image_info info;
	int rc;

	rc = cn_image_open(store->config.key, image, &info, NULL);
	if (rc != CN_OK) {
		return rc;
	}
	pthread_mutex_lock(&store->lock);
	cn_store_at(store, now);
	rc = prepare(store, &info, &body);
	if (rc == CN_OK) {
		pthread_mutex_unlock(&store->lock);
		rc = open_image(store, image, body, &info);
		pthread_mutex_lock(&store->lock);
	}
	if (rc == CN_OK) {
		rc = enter(store, &info, body);
	}
	if (rc != CN_OK) {
		cn_segment_body_free(store, &body);
	} else {
		cn_load_write(store);
		cn_room_doom(store);
	}
	pthread_mutex_unlock(&store->lock);
	return rc;
}
