/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_STORE_BENCH_H
#define CN_TESTS_STORE_BENCH_H

/*
 * What the tests of the store need: a store, a disk in memory that carries
 * jobs out when told to, and bytes that depend on their place.
 */

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/rand.h"
#include "store/store.h"

#define MIB (UINT64_C(1) << 20)
#define BENCH_SLOTS 512u
#define BENCH_EPOCH UINT64_C(0x1122334455667788)
#define BENCH_PEER_EPOCH UINT64_C(0x99aabbccddeeff00)

/* A disk; everything may be set at any time. */
struct bench_disk {
	struct cn_job_ops ops;
	uint8_t *slot[BENCH_SLOTS]; /* NULL: never written */
	struct cn_list jobs;
	unsigned submitted, reads, writes;
	int read_error, write_error; /* CN_OK: none */
};

static inline void
bench_submit(void *ctx, struct cn_job *job)
{
	struct bench_disk *disk = ctx;

	cn_list_init(&job->item);
	cn_list_append(&disk->jobs, &job->item);
	disk->submitted++;
}

static inline int
bench_read_now(void *ctx, uint64_t slot, size_t at, uint8_t *out, size_t len)
{
	struct bench_disk *disk = ctx;
	bool is_end = true;

	if (disk->read_error != CN_OK) {
		return disk->read_error;
	}
	for (uint64_t s = slot; s < BENCH_SLOTS; s++) {
		is_end &= disk->slot[s] == NULL;
	}
	if (is_end) {
		return CN_EEND;
	}
	if (disk->slot[slot] == NULL) {
		memset(out, 0, len);
	} else {
		memcpy(out, disk->slot[slot] + at, len);
	}
	return CN_OK;
}

static inline void
bench_disk_init(struct bench_disk *disk)
{
	*disk = (struct bench_disk){
		.ops = { .submit = bench_submit,
		    .read_now = bench_read_now,
		    .ctx = disk },
	};
	cn_list_init(&disk->jobs);
}

static inline void
bench_disk_fini(struct bench_disk *disk)
{
	for (size_t i = 0; i < BENCH_SLOTS; i++) {
		cn_free(disk->slot[i]);
	}
	bench_disk_init(disk);
}

static inline void
bench_transfer(struct bench_disk *disk, struct cn_job *job)
{
	uint8_t **slot = &disk->slot[job->slot];

	assert(job->slot < BENCH_SLOTS && job->at + job->len <= CN_IMAGE_BYTES);
	if (job->kind == CN_JOB_READ) {
		disk->reads++;
		job->result = *slot == NULL ? CN_EEND : disk->read_error;
		if (job->result == CN_OK) {
			memcpy(job->image + job->at, *slot + job->at, job->len);
		}
		return;
	}
	disk->writes++;
	if (disk->write_error != CN_OK) {
		job->result = disk->write_error;
		return;
	}
	if (*slot == NULL) {
		*slot = cn_calloc(1, CN_IMAGE_BYTES);
	}
	if (*slot == NULL) {
		job->result = CN_ENOSPC;
		return;
	}
	memcpy(*slot + job->at, job->image + job->at, job->len);
}

/* Carry one job out; false: there is none. */
static inline bool
bench_step(struct bench_disk *disk)
{
	struct cn_list *it = cn_list_first(&disk->jobs);
	struct cn_job *job;

	if (it == NULL) {
		return false;
	}
	cn_list_remove(it);
	job = CN_LIST_ENTRY(it, struct cn_job, item);
	job->result = CN_OK;
	if (job->kind == CN_JOB_READ) {
		bench_transfer(disk, job);
	}
	if (job->work != NULL) {
		job->work(job);
	}
	if (job->kind == CN_JOB_WRITE && job->result == CN_OK) {
		bench_transfer(disk, job);
	}
	job->done(job);
	return true;
}

static inline void
bench_run(struct bench_disk *disk)
{
	while (bench_step(disk)) {
	}
}

static inline struct cn_store_config
bench_config(uint64_t memory_mib)
{
	return (struct cn_store_config){
		.memory_bytes = memory_mib * MIB,
		.index_bytes = MIB,
		.epoch = BENCH_EPOCH,
		.wall_s = 1700000000,
		.key = { 1, 2, 3 },
	};
}

static inline struct cn_store_config
bench_disk_config(uint64_t memory_mib, uint32_t slots, struct bench_disk *disk)
{
	struct cn_store_config config = bench_config(memory_mib);

	config.disk_bytes = (uint64_t)slots * CN_IMAGE_BYTES;
	config.disk = &disk->ops;
	return config;
}

static inline struct cn_store *
bench_store(const struct cn_store_config *config)
{
	struct cn_store *store = NULL;
	int rc = cn_store_create(config, 1, &store);

	assert(rc == CN_OK && store != NULL);
	(void)rc;
	return store;
}

static inline struct cn_pair *
bench_pair(struct cn_store *store, uint8_t number)
{
	uint8_t peer[CN_IMAGE_PEER_BYTES] = { number };
	struct cn_pair *pair = cn_store_pair(store, peer);

	assert(pair != NULL);
	return pair;
}

/* Bytes that do not repeat. */
static inline void
bench_bytes(uint8_t *out, size_t len, uint64_t seed)
{
	struct cn_prng prng;

	cn_prng_init(&prng, seed);
	cn_prng_bytes(&prng, out, len);
}

/* Append one run of bytes; returns the pieces. */
static inline size_t
bench_append(struct cn_pair *pair, uint64_t scope, const uint8_t *bytes,
    size_t len, struct cn_store_piece *pieces, size_t max, uint64_t now)
{
	struct cn_store_span span = { 0, (uint32_t)len };

	return cn_pair_append(pair, scope, bytes, &span, 1, pieces, max, now);
}

/* Append and let the peer have it all. */
static inline size_t
bench_exchange(struct cn_pair *pair, uint64_t scope, const uint8_t *bytes,
    size_t len, struct cn_store_piece *pieces, size_t max, uint64_t now)
{
	size_t n = bench_append(pair, scope, bytes, len, pieces, max, now);

	for (size_t i = 0; i < n; i++) {
		cn_pair_held(
		    pair, cn_pair_epoch(pair), pieces[i].pos, pieces[i].len);
	}
	return n;
}

static inline struct cn_place
bench_mine(struct cn_pair *pair, uint64_t pos)
{
	return (struct cn_place){ cn_pair_epoch(pair), pos, true };
}

#endif /* CN_TESTS_STORE_BENCH_H */
