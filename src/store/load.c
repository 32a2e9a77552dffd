/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "store/store_private.h"

/* Slots that are wiped at once. */
#define WIPES_MAX 16u

/* One job of the disk, from its submission to its end. */
struct load {
	struct cn_job job;
	struct cn_store *store;     /* borrowed */
	struct cn_segment *segment; /* borrowed: it stays until the end */
	struct cn_body *body;       /* READ: owned until it is the segment's */
	uint32_t slot;
	/* WRITE: what to write.  READ: what the segment should be. */
	struct cn_image_info info;
};

static struct load *
load_of(struct cn_job *job)
{
	return CN_CONTAINER_OF(job, struct load, job);
}

static void
submit(const struct cn_store *store, struct load *load)
{
	const struct cn_job_ops *disk = store->config.disk;

	assert(disk != NULL);
	disk->submit(disk->ctx, &load->job);
}

/* ---- who waits ---- */

void
cn_store_join(struct cn_store *store, struct cn_store_user *user)
{
	atomic_store(&user->is_waiting, false);
	user->wakes = 0;
	user->round = 0;
	cn_list_init(&user->item);
	pthread_mutex_lock(&store->lock);
	cn_list_append(&store->users, &user->item);
	pthread_mutex_unlock(&store->lock);
}

void
cn_store_leave(struct cn_store *store, struct cn_store_user *user)
{
	pthread_mutex_lock(&store->lock);
	cn_list_remove(&user->item);
	atomic_store(&user->is_waiting, false);
	while (user->wakes > 0) {
		pthread_cond_wait(&store->woken, &store->lock);
	}
	pthread_mutex_unlock(&store->lock);
}

/* Somebody who waits and was not yet woken in this round; NULL: none. */
static struct cn_store_user *
next_waiting(struct cn_store *store, uint64_t round)
{
	struct cn_list *it;

	CN_LIST_EACH(&store->users, it)
	{
		struct cn_store_user *user =
		    CN_LIST_ENTRY(it, struct cn_store_user, item);

		if (user->round < round &&
		    atomic_exchange(&user->is_waiting, false)) {
			user->round = round;
			return user;
		}
	}
	return NULL;
}

void
cn_load_wake(struct cn_store *store)
{
	struct cn_store_user *user;
	uint64_t round;

	pthread_mutex_lock(&store->lock);
	round = ++store->wake_round;
	/* From the begin each time: while we call one, others leave. */
	while ((user = next_waiting(store, round)) != NULL) {
		user->wakes++;
		pthread_mutex_unlock(&store->lock);
		user->wake(user->arg);
		pthread_mutex_lock(&store->lock);
		user->wakes--;
		pthread_cond_broadcast(&store->woken);
	}
	pthread_mutex_unlock(&store->lock);
}

/* ---- reading back ---- */

static bool
is_same(const struct cn_image_info *a, const struct cn_image_info *b)
{
	return memcmp(a->peer, b->peer, sizeof(a->peer)) == 0 &&
	    a->is_mine == b->is_mine && a->epoch == b->epoch &&
	    a->sequence == b->sequence && cn_image_hash(a) == cn_image_hash(b);
}

/* Open the image in place; on another thread, without the lock. */
static int
open_image(struct load *load, struct cn_store_chunk *chunk)
{
	struct cn_body *body = load->body;
	struct cn_image_info info;
	int rc;

	rc = cn_image_open(load->store->config.key, body->image, &info, chunk);
	if (rc != CN_OK) {
		return rc;
	}
	if (!is_same(&info, &load->info)) {
		return CN_ESTALE;
	}
	rc = cn_image_open_data(load->store->config.key, body->image, &info,
	    body->image + CN_IMAGE_DATA_AT);
	if (rc != CN_OK || info.chunks == 0) {
		return rc;
	}
	body->chunk = cn_memdup(chunk, info.chunks * sizeof(*chunk));
	if (body->chunk != NULL) {
		body->chunks = body->chunks_cap = info.chunks;
	}
	return CN_OK;
}

static void
read_work(struct cn_job *job)
{
	struct load *load = load_of(job);
	struct cn_store_chunk *chunk;

	if (job->result != CN_OK) {
		return;
	}
	chunk = cn_alloc(CN_IMAGE_CHUNKS_MAX * sizeof(*chunk));
	job->result = chunk == NULL ? CN_ENOMEM : open_image(load, chunk);
	cn_free(chunk);
}

static void
read_done(struct cn_job *job)
{
	struct load *load = load_of(job);
	struct cn_store *store = load->store;
	struct cn_segment *segment = load->segment;

	pthread_mutex_lock(&store->lock);
	segment->is_loading = false;
	store->jobs--;
	if (job->result == CN_OK) {
		segment->body = load->body;
		segment->body->segment = segment;
		store->bodies++;
		store->count.loads++;
		cn_room_list_body(segment);
	} else {
		cn_segment_body_free(store, &load->body);
		store->count.load_failures++;
		/* Nothing else can be done with it; whoever has pinned it
		 * reads the same damage. */
		if (job->result != CN_ENOMEM && cn_room_is_evictable(segment)) {
			cn_room_evict(segment);
		}
	}
	pthread_mutex_unlock(&store->lock);
	cn_free(load);
	cn_load_wake(store);
}

bool
cn_load_read(struct cn_segment *segment)
{
	struct cn_store *store = cn_segment_store(segment);
	struct load *load;

	if (segment->is_loading) {
		return true;
	}
	load = cn_calloc(1, sizeof(*load));
	if (load == NULL) {
		return false;
	}
	/* Before there is a buffer: others go for it, not this one. */
	segment->is_loading = true;
	load->body = cn_segment_body(store);
	if (load->body == NULL) {
		segment->is_loading = false;
		cn_free(load);
		return false;
	}
	load->store = store;
	load->segment = segment;
	load->slot = segment->slot;
	cn_segment_info(segment, &load->info);
	load->job = (struct cn_job){
		.kind = CN_JOB_READ,
		.slot = segment->slot,
		.image = load->body->image,
		.len = CN_IMAGE_BYTES,
		.work = read_work,
		.done = read_done,
	};
	store->jobs++;
	submit(store, load);
	return true;
}

/* ---- writing ---- */

/* A buffer for one write; few, and apart from those of segments. */
static uint8_t *
write_buffer(struct cn_store *store)
{
	struct cn_list *it = cn_list_first(&store->write_buffers);

	if (it != NULL) {
		cn_list_remove(it);
		return (uint8_t *)it;
	}
	return cn_alloc_aligned(CN_IMAGE_HEAD_BYTES, CN_IMAGE_BYTES);
}

static void
write_buffer_put(struct cn_store *store, uint8_t *buffer)
{
	struct cn_list *it = (struct cn_list *)(void *)buffer;

	cn_list_init(it);
	cn_list_append(&store->write_buffers, it);
}

int
cn_load_seal(struct cn_store *store, struct cn_image_info *info,
    const struct cn_segment *segment, uint8_t *image)
{
	uint32_t hash[CN_SEGMENT_EXTENTS];

	cn_segment_hash(segment, hash);
	for (uint32_t e = 0; e < CN_SEGMENT_EXTENTS; e++) {
		info->extent[e].hash = hash[e];
	}
	info->chunks = segment->body->chunks;
	return cn_image_seal(store->config.key, info, segment->body->chunk,
	    cn_segment_data(segment), image);
}

static void
write_work(struct cn_job *job)
{
	struct load *load = load_of(job);

	job->result =
	    cn_load_seal(load->store, &load->info, load->segment, job->image);
}

/* The segment is on the disk. */
static void
is_on_disk(struct cn_store *store, const struct load *load)
{
	struct cn_segment *segment = load->segment;

	store->failures = 0;
	segment->slot = load->slot;
	segment->is_written = true;
	store->written++;
	for (uint32_t e = 0; e < CN_SEGMENT_EXTENTS; e++) {
		segment->hash[e] = load->info.extent[e].hash;
	}
	segment->has_hash = true;
	cn_room_list_body(segment);
}

static void
write_failed(struct cn_store *store, const struct load *load)
{
	cn_room_slot_put(store, load->slot);
	store->count.write_failures++;
	load->segment->is_kept = true;
	cn_room_list_body(load->segment);
	if (++store->failures >= CN_STORE_WRITE_FAILURES &&
	    !store->is_disk_lost) {
		cn_room_lose_disk(store);
	}
}

static void
write_done(struct cn_job *job)
{
	struct load *load = load_of(job);
	struct cn_store *store = load->store;

	pthread_mutex_lock(&store->lock);
	store->jobs--;
	store->writes--;
	write_buffer_put(store, job->image);
	load->segment->pins--;
	if (job->result == CN_OK) {
		is_on_disk(store, load);
	} else {
		write_failed(store, load);
	}
	cn_load_write(store);
	cn_room_doom(store);
	pthread_mutex_unlock(&store->lock);
	cn_free(load);
}

/* Begin to write one segment; false: not now. */
static bool
write_one(struct cn_store *store, struct cn_segment *segment)
{
	struct load *load = cn_calloc(1, sizeof(*load));
	uint8_t *image = load == NULL ? NULL : write_buffer(store);
	uint32_t slot = image == NULL ? UINT32_MAX : cn_room_slot(store);

	if (slot == UINT32_MAX) {
		if (image != NULL) {
			write_buffer_put(store, image);
		}
		cn_free(load);
		return false;
	}
	cn_list_remove(&segment->body->item);
	segment->pins++;
	store->writes++;
	store->jobs++;
	load->store = store;
	load->segment = segment;
	load->slot = slot;
	cn_segment_info(segment, &load->info);
	load->job = (struct cn_job){
		.kind = CN_JOB_WRITE,
		.slot = slot,
		.image = image,
		.len = CN_IMAGE_BYTES,
		.work = write_work,
		.done = write_done,
	};
	submit(store, load);
	return true;
}

void
cn_load_write(struct cn_store *store)
{
	struct cn_list *it;

	while (cn_store_has_disk(store) && store->writes < store->writes_max &&
	    (it = cn_list_first(&store->unwritten)) != NULL) {
		if (!write_one(store,
			CN_LIST_ENTRY(it, struct cn_body, item)->segment)) {
			break;
		}
	}
}

/* ---- wiping ---- */

/* What overwrites the head of an image: then it is none. */
static _Alignas(CN_IMAGE_HEAD_BYTES) uint8_t zeros[CN_IMAGE_HEAD_BYTES];

static void
wipe_done(struct cn_job *job)
{
	struct load *load = load_of(job);
	struct cn_store *store = load->store;

	/* If it failed the image comes back after a restart: no harm. */
	pthread_mutex_lock(&store->lock);
	store->jobs--;
	store->wipes--;
	cn_room_slot_put(store, load->slot);
	cn_load_wipe(store);
	pthread_mutex_unlock(&store->lock);
	cn_free(load);
}

static void
wipe_one(struct cn_store *store, uint32_t slot)
{
	struct load *load = cn_calloc(1, sizeof(*load));

	if (load == NULL) {
		cn_room_slot_put(store, slot);
		return;
	}
	store->jobs++;
	store->wipes++;
	load->store = store;
	load->slot = slot;
	load->job = (struct cn_job){
		.kind = CN_JOB_WRITE,
		.slot = slot,
		.image = zeros,
		.len = sizeof(zeros),
		.done = wipe_done,
	};
	submit(store, load);
}

void
cn_load_wipe(struct cn_store *store)
{
	uint32_t words = (store->slots + 63) / 64;

	while (store->wipes < WIPES_MAX && store->wipe_at < words) {
		uint64_t *word = &store->slot_stale[store->wipe_at];

		if (*word == 0) {
			store->wipe_at++;
			continue;
		}
		unsigned bit = (unsigned)__builtin_ctzll(*word);

		*word &= *word - 1;
		wipe_one(store, store->wipe_at * 64 + bit);
	}
}
