/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "store/bytes.h"
#include "store/store_private.h"

#define AGREE_EVERY_US UINT64_C(10000000)
/* Chunks are so long on average, and their entries so far apart. */
#define CHUNK_BYTES 2458u
#define ENTRY_BYTES 8u
#define FULL_PERCENT 80u
#define INDEX_MIN 4096u
#define HOOK_BITS_MAX 16u
/* A segment in memory: its buffer and the longest table of chunks. */
#define MEMORY_EACH                                                            \
	(CN_IMAGE_BYTES + CN_IMAGE_CHUNKS_MAX * sizeof(struct cn_store_chunk))
/* One buffer of so many is for writing. */
#define WRITES_PART 16u
/* Segments of memory and disk together: their numbers fit a spot. */
#define SEGMENTS_MAX (1u << 27)

/* ---- begin and end ---- */

/* The sizes that follow from the config; false: it is wrong. */
static bool
size(struct cn_store *store)
{
	const struct cn_store_config *config = &store->config;
	uint64_t buffers = config->memory_bytes / MEMORY_EACH;
	uint64_t slots = config->disk_bytes / CN_IMAGE_BYTES;

	if (config->memory_bytes < CN_STORE_MEMORY_MIN ||
	    config->index_bytes < INDEX_MIN ||
	    (config->disk_bytes > 0 && config->disk == NULL) ||
	    buffers > SEGMENTS_MAX || slots > SEGMENTS_MAX) {
		return false;
	}
	store->slots = (uint32_t)slots;
	store->slots_free = (uint32_t)slots;
	if (slots > 0) {
		store->writes_max = (uint32_t)CN_MIN(
		    buffers / WRITES_PART, (uint64_t)CN_STORE_WRITES_MAX);
		store->writes_max = CN_MAX(store->writes_max, 1u);
	}
	store->buffers_max = (uint32_t)buffers - store->writes_max;
	store->slabs_max =
	    (store->buffers_max + store->slots) / CN_STORE_SLAB + 2;
	return true;
}

/* The index as full as it may be, of as many chunks as fit. */
static int
create_index(struct cn_store *store)
{
	const struct cn_store_config *config = &store->config;
	uint64_t chunks =
	    (config->memory_bytes + config->disk_bytes) / CHUNK_BYTES;
	uint64_t bytes = chunks * ENTRY_BYTES / FULL_PERCENT * 100;
	unsigned bits = 0;

	while (bytes >> bits > config->index_bytes && bits < HOOK_BITS_MAX) {
		bits++;
	}
	/* Room that is there makes for fewer collisions. */
	bytes = CN_MIN((bytes >> bits) * 2, config->index_bytes);
	return cn_index_create(
	    CN_MAX(bytes, (uint64_t)INDEX_MIN), bits, &store->index);
}

static int
create_tables(struct cn_store *store)
{
	size_t words = (store->slots + 63) / 64;
	uint8_t secret[CN_IMAGE_KEY_BYTES];
	int rc;

	rc = cn_image_derive(store->config.key, "store secret", secret);
	if (rc != CN_OK) {
		return rc;
	}
	store->secret = cn_bytes_get64(secret);
	store->slab = cn_calloc(store->slabs_max, sizeof(struct cn_segment *));
	store->slot_taken = cn_calloc(words, sizeof(uint64_t));
	store->slot_stale = cn_calloc(words, sizeof(uint64_t));
	if (store->slab == NULL || store->slot_taken == NULL ||
	    store->slot_stale == NULL) {
		return CN_ENOMEM;
	}
	return create_index(store);
}

static void
init_lists(struct cn_store *store)
{
	struct cn_list *const lists[] = { &store->pairs, &store->users,
		&store->buffers, &store->write_buffers, &store->spare,
		&store->open, &store->ring, &store->lru, &store->unwritten,
		&store->kept };

	for (size_t i = 0; i < CN_ARRAY_LEN(lists); i++) {
		cn_list_init(lists[i]);
	}
}

int
cn_store_create(
    const struct cn_store_config *config, uint64_t now, struct cn_store **ret)
{
	struct cn_store *store = cn_calloc(1, sizeof(*store));
	int rc;

	if (store == NULL) {
		return CN_ENOMEM;
	}
	store->config = *config;
	store->created_us = store->now_us = now;
	store->next_age = 1;
	init_lists(store);
	pthread_mutex_init(&store->lock, NULL);
	pthread_cond_init(&store->woken, NULL);
	rc = size(store) ? create_tables(store) : CN_EINVAL;
	if (rc != CN_OK) {
		goto fail;
	}
	*ret = store;
	return CN_OK;

fail:
	cn_store_free(&store);
	return rc;
}

void
cn_store_close(struct cn_store *store, uint64_t now)
{
	pthread_mutex_lock(&store->lock);
	cn_store_at(store, now);
	store->is_closed = true;
	cn_seal_all(store, NULL);
	pthread_mutex_unlock(&store->lock);
}

static void
free_buffers(struct cn_list *list)
{
	struct cn_list *it;

	while ((it = cn_list_first(list)) != NULL) {
		cn_list_remove(it);
		cn_free(it);
	}
}

void
cn_store_free(struct cn_store **sp)
{
	struct cn_store *store = *sp;

	if (store == NULL) {
		return;
	}
	assert(store->jobs == 0 && cn_list_is_empty(&store->users));
	cn_catalog_fini(store);
	free_buffers(&store->buffers);
	free_buffers(&store->write_buffers);
	cn_index_free(&store->index);
	cn_free(store->slot_taken);
	cn_free(store->slot_stale);
	pthread_mutex_destroy(&store->lock);
	pthread_cond_destroy(&store->woken);
	memset(store->config.key, 0, sizeof(store->config.key));
	cn_free(store);
	*sp = NULL;
}

void
cn_store_tick(struct cn_store *store, uint64_t now)
{
	pthread_mutex_lock(&store->lock);
	cn_store_at(store, now);
	cn_seal_idle(store);
	pthread_mutex_unlock(&store->lock);
}

uint64_t
cn_store_secret(const struct cn_store *store)
{
	return store->secret;
}

/* ---- pairs ---- */

struct cn_pair *
cn_store_pair(struct cn_store *store, const uint8_t peer[CN_IMAGE_PEER_BYTES])
{
	struct cn_pair *pair;

	pthread_mutex_lock(&store->lock);
	pair = cn_catalog_pair(store, peer);
	if (pair != NULL) {
		pair->holders++;
	}
	pthread_mutex_unlock(&store->lock);
	return pair;
}

void
cn_pair_put(struct cn_pair **pp)
{
	struct cn_pair *pair = *pp;

	if (pair == NULL) {
		return;
	}
	pthread_mutex_lock(&pair->store->lock);
	assert(pair->holders > 0);
	pair->holders--;
	pthread_mutex_unlock(&pair->store->lock);
	*pp = NULL;
}

uint64_t
cn_pair_epoch(const struct cn_pair *pair)
{
	return pair->store->config.epoch;
}

/* The peer is another process: what it writes now is another log, and what
 * it has of all that was is to be seen. */
static void
forget_held(struct cn_pair *pair)
{
	struct cn_list *it;

	cn_seal_all(pair->store, pair);
	CN_LIST_EACH(&pair->logs, it)
	{
		struct cn_store_log *log =
		    CN_LIST_ENTRY(it, struct cn_store_log, item);

		for (size_t i = log->first; i < log->end; i++) {
			cn_segment_hold_none(log->at[i]);
		}
	}
	atomic_store_explicit(&pair->evicted_count, 0, memory_order_relaxed);
	pair->has_agreed = false;
}

bool
cn_pair_meet(
    struct cn_pair *pair, const uint8_t boot[CN_STORE_BOOT_BYTES], uint64_t now)
{
	struct cn_store *store = pair->store;
	bool is_due;

	pthread_mutex_lock(&store->lock);
	cn_store_at(store, now);
	if (!pair->has_boot ||
	    memcmp(pair->boot, boot, sizeof(pair->boot)) != 0) {
		forget_held(pair);
		pair->has_boot = true;
		memcpy(pair->boot, boot, sizeof(pair->boot));
	}
	is_due = !pair->has_agreed ||
	    store->now_us - pair->agreed_us >= AGREE_EVERY_US;
	if (is_due) {
		pair->has_agreed = true;
		pair->agreed_us = store->now_us;
		cn_agree_begin(pair);
	}
	pthread_mutex_unlock(&store->lock);
	return is_due;
}

/* ---- care and figures ---- */

void
cn_store_stats(struct cn_store *store, struct cn_store_stats *ret)
{
	struct cn_list *it;

	pthread_mutex_lock(&store->lock);
	*ret = store->count;
	ret->open_segments = store->open_mine + store->open_theirs;
	ret->segments = ret->open_segments + store->sealed;
	ret->memory_segments = store->bodies;
	ret->disk_segments = store->written;
	ret->memory_bytes = (uint64_t)store->bodies * CN_IMAGE_BYTES;
	ret->memory_cap = store->config.memory_bytes;
	ret->disk_bytes =
	    (uint64_t)(store->slots - store->slots_free) * CN_IMAGE_BYTES;
	ret->disk_cap = store->config.disk_bytes;
	ret->index_bytes = cn_index_bytes(store->index);
	ret->hook_bits = cn_index_hook_bits(store->index);
	ret->scopes = store->scopes;
	ret->valid_bytes = store->valid_bytes;
	ret->has_disk = store->slots > 0;
	ret->is_disk_lost = store->is_disk_lost;
	it = cn_list_first(&store->ring);
	if (it != NULL) {
		ret->oldest_s =
		    CN_LIST_ENTRY(it, struct cn_segment, item)->sealed_s;
	}
	pthread_mutex_unlock(&store->lock);
}

/* Evict the oldest; its image must not come back after a restart. */
static bool
trim_one(struct cn_store *store)
{
	struct cn_list *it;

	CN_LIST_EACH(&store->ring, it)
	{
		struct cn_segment *segment =
		    CN_LIST_ENTRY(it, struct cn_segment, item);
		uint32_t slot = segment->slot;
		bool is_written = segment->is_written;

		if (!cn_room_is_evictable(segment)) {
			continue;
		}
		cn_room_evict(segment);
		if (is_written) {
			cn_room_slot_claim(store, slot);
			store->slot_stale[slot / 64] |= UINT64_C(1)
			    << slot % 64;
		}
		return true;
	}
	return false;
}

void
cn_store_trim(struct cn_store *store, uint64_t bytes)
{
	uint64_t keep = bytes / CN_SEGMENT_BYTES;

	pthread_mutex_lock(&store->lock);
	if (keep == 0) {
		cn_seal_all(store, NULL);
		cn_index_clear(store->index);
	}
	while (store->sealed + store->open_mine + store->open_theirs > keep &&
	    trim_one(store)) {
	}
	store->wipe_at = 0;
	cn_load_wipe(store);
	cn_room_buffers_free(store);
	pthread_mutex_unlock(&store->lock);
}
