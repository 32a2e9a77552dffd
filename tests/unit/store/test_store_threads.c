/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers, a disk's thread and somebody who looks after the store, all at
 * once: for the thread sanitizer, and so that nobody reads another's bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "store_bench.h"

#define WORKERS 2u
#define ROUNDS 150u
#define LEN 70000u
#define SLOTS 16u

/* A disk with a thread. */
struct threaded_disk {
	struct bench_disk disk;
	struct cn_job_ops ops;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_t thread;
	bool is_closing;
};

struct worker {
	struct cn_store *store;
	pthread_t thread;
	uint64_t scope;
	struct cn_store_user user;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned wakes;
	uint64_t hits, misses;
};

static void
submit(void *ctx, struct cn_job *job)
{
	struct threaded_disk *td = ctx;

	pthread_mutex_lock(&td->lock);
	bench_submit(&td->disk, job);
	pthread_cond_signal(&td->cond);
	pthread_mutex_unlock(&td->lock);
}

static void *
serve(void *arg)
{
	struct threaded_disk *td = arg;

	for (;;) {
		struct cn_list *it;
		struct cn_job *job;

		pthread_mutex_lock(&td->lock);
		while ((it = cn_list_first(&td->disk.jobs)) == NULL &&
		    !td->is_closing) {
			pthread_cond_wait(&td->cond, &td->lock);
		}
		if (it != NULL) {
			cn_list_remove(it);
		}
		pthread_mutex_unlock(&td->lock);
		if (it == NULL) {
			return NULL;
		}
		job = CN_LIST_ENTRY(it, struct cn_job, item);
		job->result = CN_OK;
		if (job->kind == CN_JOB_READ) {
			bench_transfer(&td->disk, job);
		}
		if (job->work != NULL) {
			job->work(job);
		}
		if (job->kind == CN_JOB_WRITE && job->result == CN_OK) {
			bench_transfer(&td->disk, job);
		}
		job->done(job);
	}
}

static void
wake(void *arg)
{
	struct worker *worker = arg;

	pthread_mutex_lock(&worker->lock);
	worker->wakes++;
	pthread_cond_signal(&worker->cond);
	pthread_mutex_unlock(&worker->lock);
}

/* Look at a place, waiting for the disk if need be. */
static void
look(struct worker *worker, struct cn_pair *pair, struct cn_place place,
    const uint8_t *bytes, size_t len)
{
	struct cn_view view;
	unsigned seen;
	int rc;

	for (;;) {
		pthread_mutex_lock(&worker->lock);
		seen = worker->wakes;
		pthread_mutex_unlock(&worker->lock);
		rc = cn_pair_look_at(
		    pair, &place, worker->scope, &worker->user, &view);
		if (rc != CN_EAGAIN) {
			break;
		}
		pthread_mutex_lock(&worker->lock);
		while (worker->wakes == seen) {
			pthread_cond_wait(&worker->cond, &worker->lock);
		}
		pthread_mutex_unlock(&worker->lock);
	}
	if (rc == CN_OK) {
		if (memcmp(view.bytes, bytes, CN_MIN(len, view.after)) != 0) {
			abort();
		}
		cn_view_done(&view);
		worker->hits++;
	} else {
		worker->misses++;
	}
}

static void *
work(void *arg)
{
	struct worker *worker = arg;
	struct cn_pair *pair = bench_pair(worker->store, 1);
	uint8_t *bytes = cn_alloc(LEN), *old = cn_alloc(LEN);
	struct cn_store_piece piece[8], first[ROUNDS];
	struct cn_prng prng;

	cn_prng_init(&prng, worker->scope);
	cn_store_join(worker->store, &worker->user);
	for (uint64_t i = 0; i < ROUNDS; i++) {
		uint64_t seed = worker->scope * 1000 + i, back;
		struct cn_store_chunk chunk = { seed << 40, 0 };
		uint64_t spots[4];
		size_t n;

		bench_bytes(bytes, LEN, seed);
		n = bench_append(
		    pair, worker->scope, bytes, LEN, piece, 8, i * 1000);
		first[i] = (struct cn_store_piece){ 0 };
		for (size_t k = 0; k < n; k++) {
			chunk.pos = piece[k].pos;
			cn_pair_learn(pair, true, BENCH_EPOCH, &chunk, 1);
			cn_pair_held(
			    pair, BENCH_EPOCH, piece[k].pos, piece[k].len);
			first[i] = piece[0];
		}
		(void)cn_pair_find(pair, chunk.key, spots);
		/* Both fill the same log, at times the same bytes. */
		(void)!cn_pair_fill(pair, 9, i * LEN, 5, bytes, 10, i * 1000);
		(void)!cn_pair_fill(pair, 10, (seed + i) * MIB, worker->scope,
		    bytes, LEN, i * 1000);
		back = cn_prng_below(&prng, i + 1);
		if (first[back].len > 0) {
			bench_bytes(old, LEN, worker->scope * 1000 + back);
			look(worker, pair,
			    (struct cn_place){
				BENCH_EPOCH, first[back].pos, true },
			    old, first[back].len);
		}
	}
	cn_store_leave(worker->store, &worker->user);
	cn_pair_put(&pair);
	cn_free(bytes);
	cn_free(old);
	return NULL;
}

static void
look_after(struct cn_store *store, struct worker *workers)
{
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_agree_node node[4];
	struct cn_store_stats stats;
	struct cn_place place;
	uint64_t len;

	for (uint64_t i = 0; i < 60; i++) {
		cn_store_tick(store, i * 1000000);
		cn_store_stats(store, &stats);
		assert_true(stats.memory_bytes <= stats.memory_cap);
		(void)cn_pair_tops(pair, node, 4);
		if (cn_pair_evicted(pair, &place, &len)) {
			cn_pair_lacks(pair, &place, len);
		}
		if (i == 40) {
			cn_store_trim(store, 4 * MIB);
		}
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		pthread_join(workers[i].thread, NULL);
	}
	cn_pair_put(&pair);
}

static void
run(struct cn_store *store, uint64_t *hits)
{
	struct worker worker[WORKERS] = { 0 };

	for (unsigned i = 0; i < WORKERS; i++) {
		worker[i].store = store;
		worker[i].scope = i + 1;
		worker[i].user.wake = wake;
		worker[i].user.arg = &worker[i];
		pthread_mutex_init(&worker[i].lock, NULL);
		pthread_cond_init(&worker[i].cond, NULL);
		pthread_create(&worker[i].thread, NULL, work, &worker[i]);
	}
	look_after(store, worker);
	for (unsigned i = 0; i < WORKERS; i++) {
		*hits += worker[i].hits;
		pthread_mutex_destroy(&worker[i].lock);
		pthread_cond_destroy(&worker[i].cond);
	}
}

static void
test_memory(void **state)
{
	struct cn_store_config config = bench_config(12);
	struct cn_store *store = bench_store(&config);
	uint64_t hits = 0;

	(void)state;
	run(store, &hits);
	assert_true(hits > 10);
	cn_store_close(store, 1);
	cn_store_free(&store);
}

static void
test_disk(void **state)
{
	struct threaded_disk td = { .ops = { .submit = submit, .ctx = &td } };
	struct cn_store_config config = bench_config(12);
	struct cn_store *store;
	struct cn_store_stats stats;
	uint64_t hits = 0;

	(void)state;
	bench_disk_init(&td.disk);
	pthread_mutex_init(&td.lock, NULL);
	pthread_cond_init(&td.cond, NULL);
	config.disk = &td.ops;
	config.disk_bytes = (uint64_t)SLOTS * CN_IMAGE_BYTES;
	store = bench_store(&config);
	pthread_create(&td.thread, NULL, serve, &td);
	run(store, &hits);
	assert_true(hits > 10);
	cn_store_stats(store, &stats);
	assert_true(stats.disk_segments > 0);
	cn_store_close(store, 1);
	/* Every job that a job's end submits is carried out, too. */
	pthread_mutex_lock(&td.lock);
	td.is_closing = true;
	pthread_cond_signal(&td.cond);
	pthread_mutex_unlock(&td.lock);
	pthread_join(td.thread, NULL);
	cn_store_free(&store);
	bench_disk_fini(&td.disk);
	pthread_mutex_destroy(&td.lock);
	pthread_cond_destroy(&td.cond);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
