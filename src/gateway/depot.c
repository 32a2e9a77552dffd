/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/depot.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/rand.h"
#include "gateway/depot_private.h"

/* Of the disk: one for what is read, one for what is written. */
#define DISK_THREADS 2u
/* Between two lines of the log on what a disk could not do. */
#define TELL_US 60000000u

/* ---- opening ---- */

static const char *
why_not(int err)
{
	return err == CN_EBUSY ? "another process uses it" : cn_err_text(err);
}

/* Without a disk there is a store all the same. */
static void
open_disk(struct cn_depot *depot, const char *path)
{
	int err = cn_disk_open(path, DISK_THREADS, &depot->disk);

	cn_snap_text(depot->path, sizeof(depot->path), path);
	if (err == CN_OK) {
		return;
	}
	cn_snap_text(depot->error, sizeof(depot->error), why_not(err));
	depot->was_lost = true;
	CN_LOG(CN_LOG_WARN, "store-lost", "path=%s error=%s text=%s",
	    CN_LOG_STR(path), CN_LOG_STR(depot->error),
	    CN_LOG_STR("the store is in memory only and ends with this "
		       "process"));
}

static int
make_store(struct cn_depot *depot, const struct cn_config *config, uint64_t now)
{
	struct cn_store_config store = {
		.memory_bytes = config->store.memory_bytes,
		.index_bytes = cn_config_store_index(config),
		.disk_bytes =
		    depot->disk != NULL ? config->store.size_bytes : 0,
		.quota_bytes = config->store.quota_bytes,
		.epoch = cn_rand_u64(),
		.wall_s = cn_clock_wall_us() / 1000000,
		.disk = depot->disk != NULL ? cn_disk_ops(depot->disk) : NULL,
	};
	int err;

	memcpy(store.key, depot->key, sizeof(store.key));
	err = cn_store_create(&store, now, &depot->store);
	explicit_bzero(store.key, sizeof(store.key));
	return err;
}

static void
log_open(struct cn_depot *depot, uint64_t began_us)
{
	struct cn_store_stats stats;

	cn_store_stats(depot->store, &stats);
	CN_LOG(CN_LOG_INFO, "store-open",
	    "path=%s memory=%llu disk=%llu index=%llu recovered=%llu "
	    "damaged=%llu ms=%llu",
	    depot->disk != NULL ? CN_LOG_STR(depot->path) : "none",
	    (unsigned long long)stats.memory_cap,
	    (unsigned long long)stats.disk_cap,
	    (unsigned long long)stats.index_bytes,
	    (unsigned long long)stats.recovered,
	    (unsigned long long)stats.damaged,
	    (unsigned long long)((cn_clock_us() - began_us) / 1000));
}

int
cn_depot_open(const struct cn_config *config, uv_loop_t *loop,
    const uint8_t own[CN_IDENTITY_BYTES], const uint8_t key[CN_IMAGE_KEY_BYTES],
    struct cn_depot **ret)
{
	uint64_t now = cn_clock_us();
	struct cn_depot *depot;
	int err;

	*ret = NULL;
	if (config->store.memory_bytes == 0) {
		return CN_OK;
	}
	depot = cn_calloc(1, sizeof(*depot));
	if (depot == NULL) {
		return CN_ENOMEM;
	}
	depot->loop = loop;
	depot->drain_us = CN_DEPOT_DRAIN_US;
	depot->quota_bytes = config->store.quota_bytes;
	memcpy(depot->own, own, sizeof(depot->own));
	memcpy(depot->key, key, sizeof(depot->key));
	cn_list_init(&depot->works);
	if (config->store.path != NULL) {
		open_disk(depot, config->store.path);
	}
	err = make_store(depot, config, now);
	if (err == CN_OK) {
		err = cn_matcher_create(depot->store, &depot->matcher);
	}
	if (err != CN_OK) {
		goto fail;
	}
	if (depot->disk != NULL) {
		cn_store_recover(depot->store, now);
	}
	log_open(depot, now);
	*ret = depot;
	return CN_OK;

fail:
	cn_depot_close(&depot);
	return err;
}

/* ---- closing ---- */

/* A disk that hangs must not keep the process. */
struct cn_depot_drain {
	struct cn_disk *disk;
	uv_mutex_t lock;
	uv_cond_t cond;
	bool is_done;
};

static void
drain_main(void *arg)
{
	struct cn_depot_drain *drain = arg;

	cn_disk_drain(drain->disk);
	uv_mutex_lock(&drain->lock);
	drain->is_done = true;
	uv_cond_signal(&drain->cond);
	uv_mutex_unlock(&drain->lock);
}

/* Returns whether all is written.  If not, its thread and memory stay. */
static bool
drain_disk(struct cn_depot *depot)
{
	struct cn_depot_drain *drain = cn_calloc(1, sizeof(*drain));
	uint64_t end = cn_clock_us() + depot->drain_us;
	uv_thread_t thread;
	bool is_done;

	if (drain == NULL) {
		return false;
	}
	drain->disk = depot->disk;
	depot->drain = drain;
	if (uv_mutex_init(&drain->lock) != 0 ||
	    uv_cond_init(&drain->cond) != 0 ||
	    uv_thread_create(&thread, drain_main, drain) != 0) {
		return false;
	}
	uv_mutex_lock(&drain->lock);
	for (;;) {
		uint64_t now = cn_clock_us();

		is_done = drain->is_done;
		if (is_done || now >= end) {
			break;
		}
		(void)uv_cond_timedwait(
		    &drain->cond, &drain->lock, (end - now) * 1000);
	}
	uv_mutex_unlock(&drain->lock);
	if (!is_done) {
		return false;
	}
	(void)uv_thread_join(&thread);
	uv_cond_destroy(&drain->cond);
	uv_mutex_destroy(&drain->lock);
	cn_free(drain);
	depot->drain = NULL;
	return true;
}

static void
log_close(struct cn_depot *depot, bool is_whole, uint64_t began_us)
{
	struct cn_store_stats stats;

	cn_store_stats(depot->store, &stats);
	CN_LOG(is_whole ? CN_LOG_INFO : CN_LOG_WARN, "store-close",
	    "segments=%llu disk=%llu whole=%s ms=%llu",
	    (unsigned long long)stats.segments,
	    (unsigned long long)stats.disk_bytes, is_whole ? "yes" : "no",
	    (unsigned long long)((cn_clock_us() - began_us) / 1000));
}

void
cn_depot_close(struct cn_depot **dp)
{
	struct cn_depot *depot = *dp;
	uint64_t now = cn_clock_us();
	bool is_whole = true;

	*dp = NULL;
	if (depot == NULL) {
		return;
	}
	assert(cn_list_is_empty(&depot->works));
	cn_matcher_free(&depot->matcher);
	if (depot->store != NULL) {
		cn_store_close(depot->store, now);
		is_whole = depot->disk == NULL || drain_disk(depot);
		log_close(depot, is_whole, now);
	}
	explicit_bzero(depot->key, sizeof(depot->key));
	if (!is_whole) {
		return; /* the disk's threads still use all of it */
	}
	cn_disk_close(&depot->disk);
	cn_store_free(&depot->store);
	cn_free(depot);
}

/* ---- in between ---- */

/* What the disk could not do since it was last told. */
static void
tell_failures(
    struct cn_depot *depot, const struct cn_store_stats *stats, uint64_t now)
{
	uint64_t failures = stats->load_failures + stats->write_failures;

	if (failures == depot->told_failures || now < depot->tell_us) {
		return;
	}
	depot->told_failures = failures;
	depot->tell_us = now + TELL_US;
	CN_LOG(CN_LOG_WARN, "store-damaged",
	    "path=%s unreadable=%llu unwritten=%llu text=%s",
	    CN_LOG_STR(depot->path), (unsigned long long)stats->load_failures,
	    (unsigned long long)stats->write_failures,
	    CN_LOG_STR("segments could not be read or written; what they held "
		       "comes again over the WAN"));
}

void
cn_depot_tick(struct cn_depot *depot, uint64_t now)
{
	struct cn_store_stats stats;

	if (depot == NULL) {
		return;
	}
	cn_store_tick(depot->store, now);
	if (depot->was_lost) {
		return;
	}
	cn_store_stats(depot->store, &stats);
	tell_failures(depot, &stats, now);
	if (stats.is_disk_lost) {
		depot->was_lost = true;
		cn_snap_text(depot->error, sizeof(depot->error),
		    "the disk failed, see the log");
		CN_LOG(CN_LOG_ERROR, "store-lost",
		    "path=%s write_failures=%llu text=%s",
		    CN_LOG_STR(depot->path),
		    (unsigned long long)stats.write_failures,
		    CN_LOG_STR("the disk failed; the store is in memory only "
			       "until the next start"));
	}
}

struct cn_store *
cn_depot_store(struct cn_depot *depot)
{
	return depot == NULL ? NULL : depot->store;
}

static void
copy_stats(const struct cn_store_stats *stats, struct cn_snap_store *ret)
{
	ret->segments = stats->segments;
	ret->memory_segments = stats->memory_segments;
	ret->disk_segments = stats->disk_segments;
	ret->open_segments = stats->open_segments;
	ret->memory_bytes = stats->memory_bytes;
	ret->memory_cap = stats->memory_cap;
	ret->disk_bytes = stats->disk_bytes;
	ret->disk_cap = stats->disk_cap;
	ret->index_bytes = stats->index_bytes;
	ret->hook_bits = stats->hook_bits;
	ret->scopes = stats->scopes;
	ret->valid_bytes = stats->valid_bytes;
	ret->appended = stats->appended;
	ret->filled = stats->filled;
	ret->evicted = stats->evicted;
	ret->refused = stats->refused;
	ret->loads = stats->loads;
	ret->load_failures = stats->load_failures;
	ret->write_failures = stats->write_failures;
	ret->recovered = stats->recovered;
	ret->damaged = stats->damaged;
}

void
cn_depot_snap(struct cn_depot *depot, struct cn_snap_store *ret)
{
	uint64_t wall_s = cn_clock_wall_us() / 1000000;
	struct cn_store_stats stats;

	memset(ret, 0, sizeof(*ret));
	if (depot == NULL) {
		return;
	}
	cn_store_stats(depot->store, &stats);
	copy_stats(&stats, ret);
	ret->is_on = true;
	ret->has_disk = depot->path[0] != '\0';
	ret->is_disk_lost =
	    ret->has_disk && (depot->disk == NULL || stats.is_disk_lost);
	ret->quota = depot->quota_bytes;
	cn_snap_text(ret->path, sizeof(ret->path), depot->path);
	cn_snap_text(ret->error, sizeof(ret->error), depot->error);
	if (stats.oldest_s != 0 && wall_s >= stats.oldest_s) {
		/* At least 1: 0 says that there is nothing. */
		ret->oldest_us =
		    CN_MAX((wall_s - stats.oldest_s) * 1000000, 1u);
	}
}
