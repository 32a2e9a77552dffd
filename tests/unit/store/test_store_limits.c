/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile peers meet the caps of the store; allocations fail one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_bench.h"

#define S1 UINT64_C(11)
#define SECOND UINT64_C(1000000)

static uint8_t plain[2 << 20];
static _Alignas(4096) uint8_t image[CN_IMAGE_BYTES];

static int
fill(struct cn_pair *pair, uint64_t epoch, uint64_t pos, size_t len,
    uint64_t now)
{
	return cn_pair_fill(pair, epoch, pos, S1, plain, len, now);
}

/* One byte in each segment: refused from some number on, until they have
 * been left alone for long. */
static void
test_many_open(void **state)
{
	struct cn_store_config config = bench_config(256);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_pair *honest = bench_pair(store, 2);
	struct cn_store_stats stats;
	uint64_t n = 0;

	(void)state;
	while (fill(pair, n % 7, n * MIB, 1, SECOND) == CN_OK) {
		assert_true(++n < 100);
	}
	assert_int_equal(n, 32);
	assert_int_equal(fill(pair, 3, 7000 * MIB, 1, 2 * SECOND), CN_ENOSPC);
	assert_int_equal(fill(honest, 3, 0, 1, SECOND), CN_OK);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.open_segments, 33);
	/* Later one makes place for another. */
	assert_int_equal(fill(pair, 3, 7000 * MIB, 1, 12 * SECOND), CN_OK);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.open_segments, 33);
	assert_int_equal(stats.segments, 34);
	cn_pair_put(&pair);
	cn_pair_put(&honest);
	cn_store_free(&store);
}

/* Ever new epochs: what is there stays within its memory. */
static void
test_many_epochs(void **state)
{
	struct cn_store_config config = bench_config(16);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_store_stats stats;
	uint64_t before = 0;

	(void)state;
	for (uint64_t e = 0; e < 300; e++) {
		assert_int_equal(
		    fill(pair, e, CN_PLACE_END / 2, 10, e * 11 * SECOND),
		    CN_OK);
		cn_store_tick(store, e * 11 * SECOND);
		if (e == 100) {
			before = cn_alloc_bytes();
		}
	}
	cn_store_stats(store, &stats);
	assert_true(stats.segments <= 15);
	assert_true(stats.memory_bytes <= 16 * MIB);
	assert_true(cn_alloc_bytes() <= before + 4096);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

/* Every other byte of a segment: its ranges have an end. */
static void
test_many_ranges(void **state)
{
	struct cn_store_config config = bench_config(8);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_place place = { .epoch = 9 };
	uint64_t n = 0;

	(void)state;
	while (fill(pair, 9, n * 2, 1, SECOND) == CN_OK) {
		assert_true(++n < 10000);
	}
	assert_int_equal(n, 4096);
	/* More holes than one fill closes, then few enough. */
	assert_int_equal(fill(pair, 9, 0, 66, SECOND), CN_ENOSPC);
	assert_int_equal(fill(pair, 9, 0, 60, SECOND), CN_OK);
	/* As many holes in what is held. */
	assert_int_equal(fill(pair, 9, MIB, MIB, SECOND), CN_OK);
	for (uint64_t i = 0; i < 6000; i++) {
		place.pos = MIB + i * 2;
		cn_pair_lacks(pair, &place, 1);
	}
	struct cn_view view;

	place.pos = MIB + 1;
	assert_int_equal(
	    cn_pair_look_at(pair, &place, S1, NULL, &view), CN_ENOENT);
	assert_int_equal(
	    cn_pair_resolve(pair, &place, 100, S1, NULL, &view), CN_OK);
	cn_view_done(&view);
	place.pos = UINT64_MAX - 5;
	cn_pair_lacks(pair, &place, UINT64_MAX);
	place.pos = 0;
	cn_pair_lacks(pair, &place, UINT64_MAX);
	cn_pair_held(pair, 9, UINT64_MAX - 5, UINT64_MAX);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

/* Announcements have an end, too, when no link takes them. */
static void
test_many_evictions(void **state)
{
	struct cn_store_config config = bench_config(8);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_place place;
	uint64_t len, told = 0;

	(void)state;
	for (uint64_t e = 0; e < 300; e++) {
		assert_int_equal(fill(pair, e, 0, 10, e * 11 * SECOND), CN_OK);
		assert_int_equal(
		    fill(pair, e, 5 * MIB, 10, e * 11 * SECOND), CN_OK);
	}
	while (cn_pair_evicted(pair, &place, &len)) {
		told++;
	}
	assert_int_equal(told, 256);
	assert_int_equal(fill(pair, 1000, 0, 10, 5000 * SECOND), CN_OK);
	assert_true(cn_pair_evicted(pair, &place, &len));
	cn_pair_put(&pair);
	cn_store_free(&store);
}

/* A thousand clients share segments. */
static void
test_many_scopes(void **state)
{
	struct cn_store_config config = bench_config(64);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_store_piece piece[4];
	struct cn_store_stats stats;

	(void)state;
	for (uint64_t scope = 1; scope <= 800; scope++) {
		assert_int_equal(
		    bench_exchange(pair, scope, plain, 500, piece, 4, 1), 1);
	}
	cn_store_stats(store, &stats);
	assert_int_equal(stats.segments, 25);
	assert_int_equal(stats.scopes, 800);
	/* Twenty of them write much: a few segments of their own, no more. */
	for (uint64_t scope = 1; scope <= 20; scope++) {
		for (int i = 0; i < 4; i++) {
			bench_exchange(
			    pair, scope, plain, 512 * 1024, piece, 4, 1);
		}
	}
	cn_store_stats(store, &stats);
	/* 25, 40 for their bytes, begun ones of 8 owners. */
	assert_true(stats.segments <= 25 + 40 + 8);
	cn_store_trim(store, 0);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.scopes, 0);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

/* ---- allocations fail ---- */

static void
check_view(struct cn_pair *pair, uint64_t epoch, uint64_t pos, bool is_mine,
    uint64_t scope, const uint8_t *bytes, size_t len)
{
	struct cn_place place = { epoch, pos, is_mine };
	struct cn_view view;
	int rc = cn_pair_resolve(pair, &place, len, scope, NULL, &view);

	if (rc == CN_OK) {
		assert_memory_equal(view.bytes, bytes, len);
		cn_view_done(&view);
	} else {
		assert_true(
		    rc == CN_ENOENT || rc == CN_EAGAIN || rc == CN_EPROTO);
	}
}

/* A bit of everything.  Nothing of it must be wrong, much may be missing. */
static void
live(struct cn_store *store, struct bench_disk *disk)
{
	const uint8_t peer[CN_IMAGE_PEER_BYTES] = { 1 };
	struct cn_pair *pair = cn_store_pair(store, peer);
	struct cn_store_chunk chunk[] = { { 5 << 16, 0 }, { 6 << 16, 5000 } };
	struct cn_store_piece piece[8];
	struct cn_agree_node node;
	struct cn_place place = { BENCH_EPOCH, 100, true };
	uint64_t age = 0, len;
	size_t n;

	if (pair == NULL) {
		return;
	}
	n = bench_exchange(pair, 1, plain, 3000, piece, 8, SECOND);
	n = bench_exchange(pair, 2, plain, MIB, piece, 8, SECOND);
	for (size_t i = 0; i < n; i++) {
		check_view(pair, BENCH_EPOCH, piece[i].pos, true, 2,
		    plain + piece[i].offset, CN_MIN(piece[i].len, 100000u));
	}
	(void)!fill(pair, 9, 100, 3000, SECOND);
	(void)!fill(pair, 9, 5000, 3000, SECOND);
	(void)!fill(pair, 9, MIB, MIB, SECOND);
	check_view(pair, 9, 100, false, S1, plain, 3000);
	cn_pair_learn(pair, true, BENCH_EPOCH, chunk, 2);
	chunk[0].pos = MIB + 10;
	cn_pair_learn(pair, false, 9, chunk, 1);
	cn_pair_lacks(pair, &place, 100);
	cn_store_tick(store, 30 * SECOND);
	bench_run(disk);
	(void)cn_pair_tops(pair, &node, 1);
	(void)!fill(pair, 9, 6 * MIB, 10, 40 * SECOND);
	cn_pair_meet(pair, peer, 41 * SECOND);
	bench_run(disk);
	/* What is in memory goes, and is read again. */
	for (uint64_t e = 100; e < 106; e++) {
		(void)!fill(pair, e, 0, 10, e * SECOND);
		cn_pair_meet(pair, (uint8_t[16]){ (uint8_t)e }, e * SECOND);
		bench_run(disk);
	}
	check_view(pair, 9, MIB, false, S1, plain, MIB);
	bench_run(disk);
	check_view(pair, 9, MIB, false, S1, plain, MIB);
	if (cn_store_walk(store, &age, image) == CN_OK) {
		cn_store_trim(store, 2 * MIB);
		bench_run(disk);
		(void)!cn_store_adopt(store, image, 200 * SECOND);
	}
	while (cn_pair_evicted(pair, &place, &len)) {
	}
	cn_pair_put(&pair);
}

static void
test_torture(void **state)
{
	struct bench_disk disk;
	struct cn_store_config config = bench_disk_config(8, 40, &disk);
	uint64_t blocks = cn_alloc_count(), n;

	(void)state;
	bench_bytes(plain, sizeof(plain), 1);
	for (n = 1;; n++) {
		struct cn_store *store = NULL, *again = NULL;
		struct cn_store_stats stats;
		bool has_failed;

		bench_disk_init(&disk);
		cn_alloc_fail_at(n);
		if (cn_store_create(&config, 1, &store) == CN_OK) {
			cn_store_recover(store, 1);
			live(store, &disk);
			cn_store_close(store, 300 * SECOND);
			bench_run(&disk);
			cn_store_stats(store, &stats);
			assert_true(stats.memory_bytes <= stats.memory_cap);
			cn_store_free(&store);
		}
		has_failed = cn_alloc_has_failed();
		cn_alloc_fail_at(0);
		/* Recovery, too, lives with less. */
		cn_alloc_fail_at(n);
		if (cn_store_create(&config, 1, &again) == CN_OK) {
			cn_store_recover(again, 1);
			cn_store_close(again, 2);
			bench_run(&disk);
			cn_store_free(&again);
		}
		cn_alloc_fail_at(0);
		bench_disk_fini(&disk);
		assert_int_equal(cn_alloc_count(), blocks);
		if (!has_failed) {
			break;
		}
	}
	assert_true(n > 60);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_open),
		cmocka_unit_test(test_many_epochs),
		cmocka_unit_test(test_many_ranges),
		cmocka_unit_test(test_many_evictions),
		cmocka_unit_test(test_many_scopes),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
