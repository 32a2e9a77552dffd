/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile peers meet the caps of the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_bench.h"

#define S1 UINT64_C(11)
#define SECOND UINT64_C(1000000)

static uint8_t plain[2 << 20];

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

/* A peer that lacks a byte here and a byte there of what was sealed makes no
 * long lists, of which there might be one for each segment of a disk. */
static void
test_holes_of_sealed(void **state)
{
	struct cn_store_config config = bench_config(8);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_place place = { .epoch = 9 };
	struct cn_store_stats stats;
	uint64_t before;

	(void)state;
	assert_int_equal(fill(pair, 9, 0, MIB, SECOND), CN_OK);
	cn_store_tick(store, 30 * SECOND);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.open_segments, 0);
	assert_int_equal(stats.segments, 1);
	before = cn_alloc_bytes();
	for (uint64_t i = 0; i < 3000; i++) {
		place.pos = i * 2;
		cn_pair_lacks(pair, &place, 1);
		assert_true(cn_alloc_bytes() - before <= 4096);
	}
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
	struct cn_store_config config = bench_config(112);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_store_piece piece[4];
	struct cn_store_stats stats;
	uint64_t now = SECOND;

	(void)state;
	for (uint64_t scope = 1; scope <= 800; scope++) {
		assert_int_equal(
		    bench_exchange(pair, scope, plain, 500, piece, 4, 1), 1);
	}
	cn_store_stats(store, &stats);
	assert_int_equal(stats.segments, 25);
	assert_int_equal(stats.scopes, 800);
	/* Twenty of them write much, in turns: eight get segments of their
	 * own, the others go on sharing. */
	for (int i = 0; i < 40; i++) {
		now += SECOND / 2;
		for (uint64_t scope = 1; scope <= 20; scope++) {
			assert_true(bench_exchange(pair, scope, plain,
					64 * 1024, piece, 4, now) > 0);
		}
	}
	cn_store_tick(store, now);
	cn_store_stats(store, &stats);
	assert_in_range(stats.open_segments, 8, 12);
	/* After a rest another one may have what an owner had. */
	bench_exchange(pair, 21, plain, sizeof(plain), piece, 4, 40 * SECOND);
	assert_int_equal(
	    bench_exchange(pair, 21, plain, 512 * 1024, piece, 4, 40 * SECOND),
	    1);
	cn_store_trim(store, 0);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.scopes, 0);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

/* A peer alone may have all open segments; when another comes, each has its
 * share, however busy the first one is. */
static void
test_shares(void **state)
{
	struct cn_store_config config = bench_config(48);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *greedy = bench_pair(store, 1);
	struct cn_pair *honest = bench_pair(store, 2);
	uint64_t n = 0, m = 0;

	(void)state;
	while (fill(greedy, 3, n * MIB, 1, SECOND) == CN_OK) {
		assert_true(++n < 32);
	}
	assert_in_range(n, 10, 20);
	while (fill(honest, 3, m * MIB, 1, SECOND) == CN_OK) {
		assert_true(++m < 32);
	}
	assert_int_equal(m, n / 2);
	/* What both have stays theirs. */
	assert_int_equal(fill(greedy, 3, 50 * MIB, 1, SECOND), CN_ENOSPC);
	assert_int_equal(fill(honest, 3, 50 * MIB, 1, SECOND), CN_ENOSPC);
	for (uint64_t i = 0; i < m; i++) {
		assert_int_equal(
		    fill(honest, 3, i * MIB + 1, 1, SECOND), CN_OK);
	}
	cn_pair_put(&greedy);
	cn_pair_put(&honest);
	cn_store_free(&store);
}

/* One batch of each of many busy scopes, from one store to the other; what
 * was stored a round before is held by now. */
static void
exchange_round(struct cn_pair *near, struct cn_pair *far,
    struct cn_store_piece *before, size_t *count, uint64_t now)
{
	struct cn_store_piece piece[64];
	size_t n = 0;

	for (uint64_t scope = 1; scope <= 20; scope++) {
		size_t got = bench_append(
		    near, scope, plain, 24 * 1024, piece + n, 3, now);

		for (size_t i = n; i < n + got; i++) {
			(void)!cn_pair_fill(far, BENCH_EPOCH, piece[i].pos,
			    scope, plain + piece[i].offset, piece[i].len, now);
		}
		n += got;
	}
	for (size_t i = 0; i < *count; i++) {
		cn_pair_held(near, BENCH_EPOCH, before[i].pos, before[i].len);
	}
	memcpy(before, piece, n * sizeof(piece[0]));
	*count = n;
}

/* The least memory takes what many busy scopes write: both ends have the
 * same, and so the writer must not have more open than the other keeps. */
static void
test_small_busy(void **state)
{
	struct cn_store_config config = bench_config(8);
	struct cn_store *near, *far;
	struct cn_store_piece before[64];
	struct cn_store_stats stats;
	struct cn_pair *out, *in;
	size_t count = 0;

	(void)state;
	for (uint64_t mib = 8; mib <= 64; mib *= 2) {
		config = bench_config(mib);
		near = bench_store(&config);
		far = bench_store(&config);
		out = bench_pair(near, 1);
		in = bench_pair(far, 2);
		for (uint64_t i = 0; i < 200; i++) {
			exchange_round(
			    out, in, before, &count, SECOND + i * SECOND / 100);
		}
		cn_store_stats(near, &stats);
		assert_int_equal(stats.appended, 200 * 20 * 24 * 1024);
		assert_int_equal(stats.refused, 0);
		cn_store_stats(far, &stats);
		assert_int_equal(stats.refused, 0);
		cn_pair_put(&out);
		cn_pair_put(&in);
		cn_store_free(&near);
		cn_store_free(&far);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_open),
		cmocka_unit_test(test_many_epochs),
		cmocka_unit_test(test_many_ranges),
		cmocka_unit_test(test_holes_of_sealed),
		cmocka_unit_test(test_many_evictions),
		cmocka_unit_test(test_many_scopes),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_small_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
