/* SPDX-License-Identifier: Apache-2.0 */
/* The store in memory alone: logs, what is held, views, eviction. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_bench.h"

#define S1 UINT64_C(11)
#define S2 UINT64_C(22)
#define KEY1 UINT64_C(0x1000000000770000)
#define KEY2 UINT64_C(0x2000000000880000)
#define SECOND UINT64_C(1000000)

static uint8_t plain[4 << 20], other[4 << 20];

/* The bytes of that place are there to send, at least so many. */
static void
assert_look(struct cn_pair *pair, uint64_t pos, uint64_t scope,
    const uint8_t *bytes, size_t len)
{
	struct cn_place place = bench_mine(pair, pos);
	struct cn_view view;

	assert_int_equal(
	    cn_pair_look_at(pair, &place, scope, NULL, &view), CN_OK);
	assert_true(view.after >= len);
	assert_memory_equal(view.bytes, bytes, len);
	cn_view_done(&view);
	cn_view_done(&view);
}

static int
look(struct cn_pair *pair, bool is_mine, uint64_t epoch, uint64_t pos,
    uint64_t scope)
{
	struct cn_place place = { epoch, pos, is_mine };
	struct cn_view view;
	int rc = cn_pair_look_at(pair, &place, scope, NULL, &view);

	if (rc == CN_OK) {
		cn_view_done(&view);
	}
	return rc;
}

static int
resolve(struct cn_pair *pair, bool is_mine, uint64_t epoch, uint64_t pos,
    size_t len, uint64_t scope, const uint8_t *bytes)
{
	struct cn_place place = { epoch, pos, is_mine };
	struct cn_view view;
	int rc = cn_pair_resolve(pair, &place, len, scope, NULL, &view);

	if (rc == CN_OK) {
		assert_true(view.after >= len);
		if (bytes != NULL) {
			assert_memory_equal(view.bytes, bytes, len);
		}
		cn_view_done(&view);
	}
	return rc;
}

static void
test_create(void **state)
{
	struct cn_store_config config = bench_config(8);
	struct cn_store *store = NULL;

	(void)state;
	config.memory_bytes--;
	assert_int_equal(cn_store_create(&config, 0, &store), CN_EINVAL);
	config = bench_config(8);
	config.index_bytes = 100;
	assert_int_equal(cn_store_create(&config, 0, &store), CN_EINVAL);
	config = bench_config(8);
	config.disk_bytes = 10 * MIB;
	assert_int_equal(cn_store_create(&config, 0, &store), CN_EINVAL);
	assert_null(store);
	cn_store_free(&store);
	config = bench_config(8);
	for (uint64_t n = 1;; n++) {
		cn_alloc_fail_at(n);
		int rc = cn_store_create(&config, 0, &store);

		if (!cn_alloc_has_failed()) {
			assert_int_equal(rc, CN_OK);
			assert_true(n > 4);
			break;
		}
		/* The library's own memory is not ours to fail. */
		assert_int_equal(rc, CN_ENOMEM);
	}
	cn_alloc_fail_at(0);
	assert_true(cn_store_secret(store) != 0);
	cn_store_free(&store);
	assert_null(store);
}

static void
test_append_and_hold(void **state)
{
	struct cn_store_config config = bench_config(16);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_store_span spans[] = { { 100, 1000 }, { 1100, 50 },
		{ 5000, 64 } };
	struct cn_store_piece piece[8];
	uint64_t epoch = cn_pair_epoch(pair);

	(void)state;
	bench_bytes(plain, sizeof(plain), 1);
	/* Neighbours in plain and log are one piece; others are not. */
	assert_int_equal(
	    cn_pair_append(pair, S1, plain, spans, 3, piece, 8, 1), 2);
	assert_int_equal(piece[0].offset, 100);
	assert_int_equal(piece[0].len, 1050);
	assert_int_equal(piece[0].pos, 0);
	assert_int_equal(piece[1].offset, 5000);
	assert_int_equal(piece[1].len, 64);
	assert_int_equal(piece[1].pos, 1050);
	/* Not held yet, so not to be sent; but the peer may refer to it. */
	assert_int_equal(look(pair, true, epoch, 0, S1), CN_ENOENT);
	assert_int_equal(
	    resolve(pair, true, epoch, 10, 1000, S1, plain + 110), CN_OK);
	cn_pair_held(pair, epoch, 0, 1050);
	assert_look(pair, 0, S1, plain + 100, 1050);
	assert_look(pair, 1000, S1, plain + 1100, 50);
	assert_int_equal(look(pair, true, epoch, 1050, S1), CN_ENOENT);
	cn_pair_held(pair, epoch, 1050, 64);
	assert_look(pair, 1050, S1, plain + 5000, 64);
	/* The window goes both ways, within the held bytes. */
	struct cn_place place = bench_mine(pair, 500);
	struct cn_view view;

	cn_pair_lacks(pair, &place, 100);
	place.pos = 700;
	assert_int_equal(cn_pair_look_at(pair, &place, S1, NULL, &view), CN_OK);
	assert_int_equal(view.before, 100);
	assert_int_equal(view.after, 414);
	assert_true(view.place.pos == 700 && view.place.is_mine);
	cn_view_done(&view);
	place.pos = 550;
	assert_int_equal(
	    cn_pair_look_at(pair, &place, S1, NULL, &view), CN_ENOENT);
	assert_int_equal(
	    cn_pair_resolve(pair, &place, 10, S1, NULL, &view), CN_OK);
	assert_int_equal(view.before, 550);
	cn_view_done(&view);
	cn_pair_put(&pair);
	assert_null(pair);
	cn_store_free(&store);
}

static void
test_room_in_pieces(void **state)
{
	struct cn_store_config config = bench_config(16);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_store_span spans[] = { { 0, 10 }, { 20, 10 }, { 30, 10 },
		{ 50, 10 } };
	struct cn_store_piece piece[2];

	(void)state;
	assert_int_equal(
	    cn_pair_append(pair, S1, plain, spans, 4, piece, 2, 1), 2);
	assert_int_equal(piece[1].offset, 20);
	assert_int_equal(piece[1].len, 20);
	assert_int_equal(
	    cn_pair_append(pair, S1, plain, spans, 1, piece, 0, 1), 0);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

/* Scopes share a segment, but no extent; large ones get their own. */
static void
test_scopes(void **state)
{
	struct cn_store_config config = bench_config(64);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_store_piece piece[64];
	struct cn_store_stats stats;
	uint64_t epoch = cn_pair_epoch(pair);

	(void)state;
	bench_bytes(plain, sizeof(plain), 2);
	for (uint64_t scope = 1; scope <= 20; scope++) {
		assert_int_equal(bench_exchange(pair, scope, plain + scope, 100,
				     piece, 64, 1),
		    1);
		assert_int_equal(piece[0].pos, (scope - 1) * CN_EXTENT_BYTES);
	}
	cn_store_stats(store, &stats);
	assert_int_equal(stats.open_segments, 1);
	assert_int_equal(stats.scopes, 20);
	for (uint64_t scope = 1; scope <= 20; scope++) {
		uint64_t pos = (scope - 1) * CN_EXTENT_BYTES;

		assert_look(pair, pos, scope, plain + scope, 100);
		assert_int_equal(
		    look(pair, true, epoch, pos, scope + 1), CN_ENOENT);
		assert_int_equal(
		    resolve(pair, true, epoch, pos, 10, scope + 1, NULL),
		    CN_EPROTO);
		assert_int_equal(
		    resolve(pair, true, epoch, pos, 10, 99, NULL), CN_EPROTO);
	}
	/* Two that write much, in turns: from 1 MiB on they no more mix. */
	for (int i = 0; i < 128; i++) {
		uint64_t scope = 100 + (uint64_t)i % 2;
		size_t n = bench_exchange(
		    pair, scope, plain + i * 32768, 32768, piece, 64, 1);

		assert_true(n >= 1 && n <= 2);
	}
	size_t n = bench_exchange(pair, 100, plain, 512 * 1024, piece, 64, 1);

	assert_int_equal(n, 1);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

static void
test_fill(void **state)
{
	struct cn_store_config config = bench_config(64);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	uint64_t e = BENCH_PEER_EPOCH, at = CN_SEGMENT_BYTES - 1000;

	(void)state;
	bench_bytes(plain, sizeof(plain), 3);
	bench_bytes(other, sizeof(other), 4);
	/* Over the end of a segment. */
	assert_int_equal(cn_pair_fill(pair, e, at, S1, plain, 2000, 1), CN_OK);
	assert_int_equal(resolve(pair, false, e, at, 1000, S1, plain), CN_OK);
	assert_int_equal(
	    resolve(pair, false, e, CN_SEGMENT_BYTES, 1000, S1, plain + 1000),
	    CN_OK);
	assert_int_equal(
	    resolve(pair, false, e, at, 1001, S1, NULL), CN_EPROTO);
	assert_int_equal(look(pair, false, e, at, S1), CN_OK);
	/* Idempotent: what is there stays, what is not is added. */
	assert_int_equal(
	    cn_pair_fill(pair, e, at - 500, S1, other, 1000, 1), CN_OK);
	assert_int_equal(
	    resolve(pair, false, e, at - 500, 500, S1, other), CN_OK);
	assert_int_equal(resolve(pair, false, e, at, 1000, S1, plain), CN_OK);
	/* The extents are the first scope's. */
	assert_int_equal(
	    cn_pair_fill(pair, e, at - 2000, S2, other, 10, 1), CN_EPROTO);
	assert_int_equal(
	    resolve(pair, false, e, at - 2000, 10, S1, NULL), CN_ENOENT);
	assert_int_equal(cn_pair_fill(pair, e, 0, S2, other, 32768, 1), CN_OK);
	assert_int_equal(
	    cn_pair_fill(pair, e, 32760, S1, other, 10, 1), CN_EPROTO);
	/* Our own log is not the peer's, nor is another epoch. */
	assert_int_equal(look(pair, true, e, at, S1), CN_ENOENT);
	assert_int_equal(look(pair, false, e + 1, at, S1), CN_ENOENT);
	assert_int_equal(
	    cn_pair_fill(pair, e, CN_PLACE_END - 5, S1, other, 6, 1),
	    CN_EPROTO);
	assert_int_equal(
	    cn_pair_fill(pair, e, UINT64_MAX, S1, other, 6, 1), CN_EPROTO);
	/* As far out as can be: one segment more. */
	assert_int_equal(
	    cn_pair_fill(pair, e, CN_PLACE_END - 6, S1, other, 6, 1), CN_OK);
	assert_int_equal(
	    resolve(pair, false, e, CN_PLACE_END - 6, 6, S1, other), CN_OK);
	assert_int_equal(
	    resolve(pair, false, e, CN_PLACE_END - 6, 7, S1, NULL), CN_EPROTO);
	/* What comes after a lack is held again, what was lacked is not. */
	cn_pair_lacks(pair, &(struct cn_place){ e, at, false }, 100);
	assert_int_equal(
	    cn_pair_fill(pair, e, at - 700, S1, other, 100, 1), CN_OK);
	assert_int_equal(look(pair, false, e, at - 700, S1), CN_OK);
	assert_int_equal(look(pair, false, e, at, S1), CN_ENOENT);
	assert_int_equal(look(pair, false, e, at + 100, S1), CN_OK);
	/* What would be far behind the head now is taken for gone. */
	assert_int_equal(
	    cn_pair_fill(pair, 5, 300 * MIB, S1, other, 6, 1), CN_OK);
	assert_int_equal(
	    cn_pair_fill(pair, 5, 180 * MIB, S1, other, 6, 1), CN_OK);
	assert_int_equal(
	    cn_pair_fill(pair, 5, 100 * MIB, S1, other, 6, 1), CN_ENOSPC);
	assert_int_equal(cn_pair_fill(pair, e, 100 * (uint64_t)CN_SEGMENT_BYTES,
			     S1, other, 6, 1),
	    CN_ENOSPC);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

static void
test_hostile_resolve(void **state)
{
	struct cn_store_config config = bench_config(8);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_store_piece piece[4];
	uint64_t e = cn_pair_epoch(pair);

	(void)state;
	assert_int_equal(resolve(pair, true, e, 0, 1, S1, NULL), CN_EPROTO);
	bench_append(pair, S1, plain, 100, piece, 4, 1);
	assert_int_equal(resolve(pair, true, e, 0, 100, S1, plain), CN_OK);
	assert_int_equal(resolve(pair, true, e, 0, 101, S1, NULL), CN_ENOENT);
	assert_int_equal(resolve(pair, true, e, 0, 0, S1, NULL), CN_EPROTO);
	assert_int_equal(
	    resolve(pair, true, e, 0, SIZE_MAX, S1, NULL), CN_EPROTO);
	assert_int_equal(
	    resolve(pair, true, e, UINT64_MAX, 1, S1, NULL), CN_EPROTO);
	assert_int_equal(
	    resolve(pair, true, e, CN_PLACE_END, 1, S1, NULL), CN_EPROTO);
	assert_int_equal(
	    resolve(pair, true, e, CN_SEGMENT_BYTES, 1, S1, NULL), CN_EPROTO);
	assert_int_equal(
	    resolve(pair, true, e + 1, CN_SEGMENT_BYTES, 1, S1, NULL),
	    CN_ENOENT);
	assert_int_equal(resolve(pair, false, e, 0, 1, S1, NULL), CN_ENOENT);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

static void
test_hints(void **state)
{
	struct cn_store_config config = bench_config(8);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_pair *stranger = bench_pair(store, 2);
	struct cn_store_chunk chunk[] = { { KEY1, 500 }, { KEY2, 2000 } };
	struct cn_store_piece piece[4];
	uint64_t spots[4];
	struct cn_view view;

	(void)state;
	bench_exchange(pair, S1, plain, 1000, piece, 4, 1);
	cn_pair_learn(pair, true, cn_pair_epoch(pair), chunk, 2);
	cn_pair_prefetch(pair, KEY1);
	/* The second one is not there. */
	assert_int_equal(cn_pair_find(pair, KEY2, spots), 0);
	assert_int_equal(cn_pair_find(pair, KEY1, spots), 1);
	assert_int_equal(cn_pair_look(pair, spots[0], S1, NULL, &view), CN_OK);
	assert_memory_equal(view.bytes, plain + 500, 500);
	assert_int_equal(view.place.pos, 500);
	const struct cn_store_chunk *table = NULL;

	assert_int_equal(cn_view_chunks(&view, &table), 0);
	cn_view_done(&view);
	/* Neither another scope nor another pair, nor what never was. */
	assert_int_equal(
	    cn_pair_look(pair, spots[0], S2, NULL, &view), CN_ENOENT);
	assert_int_equal(
	    cn_pair_look(stranger, spots[0], S1, NULL, &view), CN_ENOENT);
	assert_int_equal(cn_pair_look(pair, 0, S1, NULL, &view), CN_ENOENT);
	assert_int_equal(
	    cn_pair_look(pair, UINT64_MAX, S1, NULL, &view), CN_ENOENT);
	assert_true(cn_pair_seed(pair, S1) != cn_pair_seed(pair, S2));
	assert_true(cn_pair_seed(pair, S1) != cn_pair_seed(stranger, S1));
	assert_false(cn_pair_has_hooks(pair));
	cn_pair_put(&pair);
	cn_pair_put(&stranger);
	cn_store_free(&store);
}

/* Sealed as soon as it is full, held and its chunks are known. */
static void
test_seal(void **state)
{
	struct cn_store_config config = bench_config(16);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_store_piece piece[4];
	struct cn_store_chunk chunk[] = { { 5, 900 }, { 6, 100 }, { 5, 900 },
		{ 7, CN_SEGMENT_BYTES - 1 } };
	struct cn_store_stats stats;
	const struct cn_store_chunk *table = NULL;
	struct cn_view view;
	struct cn_place place = bench_mine(pair, 0);

	(void)state;
	bench_bytes(plain, sizeof(plain), 5);
	assert_int_equal(
	    bench_append(pair, S1, plain, CN_SEGMENT_BYTES + 10, piece, 4, 1),
	    2);
	cn_pair_learn(pair, true, cn_pair_epoch(pair), chunk, 4);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.open_segments, 2);
	cn_pair_held(pair, cn_pair_epoch(pair), 0, CN_SEGMENT_BYTES + 10);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.open_segments, 1);
	assert_int_equal(stats.segments, 2);
	assert_int_equal(stats.valid_bytes, CN_SEGMENT_BYTES + 10);
	assert_int_equal(stats.oldest_s, 1700000000);
	assert_int_equal(cn_pair_look_at(pair, &place, S1, NULL, &view), CN_OK);
	assert_int_equal(view.after, CN_SEGMENT_BYTES);
	assert_memory_equal(view.bytes, plain, CN_SEGMENT_BYTES);
	assert_int_equal(cn_view_chunks(&view, &table), 3);
	assert_int_equal(table[0].pos, 100);
	assert_int_equal(table[1].pos, 900);
	assert_int_equal(table[2].pos, CN_SEGMENT_BYTES - 1);
	cn_view_done(&view);
	/* Held and lacked still work. */
	place.pos = 1000;
	cn_pair_lacks(pair, &place, 10);
	assert_int_equal(
	    cn_pair_look_at(pair, &place, S1, NULL, &view), CN_ENOENT);
	cn_pair_held(pair, cn_pair_epoch(pair), 1000, 10);
	assert_look(pair, 0, S1, plain, CN_SEGMENT_BYTES);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

/* What is left alone is sealed as far as both ends have it. */
static void
test_seal_idle(void **state)
{
	struct cn_store_config config = bench_config(32);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	uint64_t e = BENCH_PEER_EPOCH;
	struct cn_store_stats stats;

	(void)state;
	bench_bytes(plain, sizeof(plain), 6);
	/* 100 bytes, a hole, 100 bytes; then an extent that begins with a
	 * hole. */
	assert_int_equal(cn_pair_fill(pair, e, 0, S1, plain, 100, 1), CN_OK);
	assert_int_equal(cn_pair_fill(pair, e, 200, S1, plain, 100, 1), CN_OK);
	assert_int_equal(
	    cn_pair_fill(pair, e, 40000, S2, plain, 100, 1), CN_OK);
	cn_store_tick(store, 20 * SECOND);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.open_segments, 1);
	/* Now it is far behind. */
	assert_int_equal(
	    cn_pair_fill(pair, e, 4 * MIB, S1, plain, 1000, 20 * SECOND),
	    CN_OK);
	cn_store_tick(store, 29 * SECOND);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.open_segments, 1);
	assert_int_equal(stats.segments, 2);
	assert_int_equal(stats.valid_bytes, 1100);
	assert_int_equal(stats.scopes, 1);
	assert_int_equal(resolve(pair, false, e, 0, 100, S1, plain), CN_OK);
	assert_int_equal(
	    resolve(pair, false, e, 200, 100, S1, NULL), CN_ENOENT);
	/* Sealed: what is there is fine, what is not is not taken. */
	assert_int_equal(
	    cn_pair_fill(pair, e, 10, S1, plain + 10, 50, 30 * SECOND), CN_OK);
	assert_int_equal(
	    cn_pair_fill(pair, e, 200, S1, plain, 100, 30 * SECOND), CN_ENOSPC);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

/* Much that the peer does not take of one segment: the next goes on in
 * another, which it may take. */
static void
test_spurned(void **state)
{
	struct cn_store_config config = bench_config(16);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_store_span span = { 0, 40000 };
	struct cn_store_piece piece[8];
	struct cn_place place = bench_mine(pair, 0);
	size_t n;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		n = cn_pair_append(pair, S1, plain, &span, 1, piece, 8, 1);
		assert_true(n > 0);
		assert_true(piece[n - 1].pos < CN_SEGMENT_BYTES);
		/* What was never written does not count. */
		place.pos = 800000;
		cn_pair_lacks(pair, &place, UINT64_C(1) << 40);
		place.pos = piece[0].pos;
		cn_pair_lacks(pair, &place, span.len);
	}
	n = cn_pair_append(pair, S1, plain, &span, 1, piece, 8, 1);
	assert_true(n > 0 && piece[0].pos < CN_SEGMENT_BYTES);
	place.pos = piece[0].pos;
	cn_pair_lacks(pair, &place, span.len);
	n = cn_pair_append(pair, S1, plain, &span, 1, piece, 8, 1);
	assert_true(n > 0 && piece[0].pos >= CN_SEGMENT_BYTES);
	/* The peer's segments are not ours to seal. */
	assert_int_equal(
	    cn_pair_fill(pair, 4711, 0, S1, plain, 900000, 1), CN_OK);
	place = (struct cn_place){ 4711, 0, false };
	cn_pair_lacks(pair, &place, 900000);
	assert_int_equal(
	    cn_pair_fill(pair, 4711, 900000, S1, plain, 100, 1), CN_OK);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

/* The oldest goes, announced ahead, and then it is not looked at. */
static void
test_evict(void **state)
{
	struct cn_store_config config = bench_config(16);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	uint64_t epoch = cn_pair_epoch(pair), len, told = 0, gone = 0;
	struct cn_store_piece piece[4];
	struct cn_store_stats stats;
	struct cn_place place;

	(void)state;
	for (uint64_t i = 0; i < 40; i++) {
		bench_bytes(plain, CN_SEGMENT_BYTES, i);
		assert_int_equal(bench_exchange(pair, S1, plain,
				     CN_SEGMENT_BYTES, piece, 4, i),
		    1);
		assert_int_equal(piece[0].pos, i * MIB);
		while (cn_pair_evicted(pair, &place, &len)) {
			assert_true(place.is_mine && place.epoch == epoch);
			assert_int_equal(place.pos, told * MIB);
			assert_int_equal(len, CN_SEGMENT_BYTES);
			told++;
		}
		while (resolve(pair, true, epoch, gone * MIB, 10, S1, NULL) ==
		    CN_ENOENT) {
			gone++;
		}
		/* Told some segments before it goes, never used after. */
		assert_true(told >= gone);
		if (told > 0) {
			assert_int_equal(
			    look(pair, true, epoch, (told - 1) * MIB, S1),
			    CN_ENOENT);
		}
		assert_int_equal(
		    look(pair, true, epoch, told * MIB, S1), CN_OK);
		if (gone > 0) {
			assert_in_range(told - gone, 3, 4);
		}
	}
	cn_store_stats(store, &stats);
	assert_true(stats.memory_bytes <= 16 * MIB);
	assert_int_equal(stats.segments, 15);
	assert_int_equal(stats.evicted, 25);
	assert_int_equal(stats.appended, 40 * MIB);
	assert_int_equal(stats.valid_bytes, 15 * MIB);
	cn_store_trim(store, 5 * MIB);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.segments, 5);
	cn_store_trim(store, 0);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.segments, 0);
	assert_int_equal(stats.scopes, 0);
	assert_int_equal(stats.valid_bytes, 0);
	assert_int_equal(stats.memory_bytes, 0);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

/* What is pinned stays; without anything to evict nothing is taken. */
static void
test_pinned(void **state)
{
	struct cn_store_config config = bench_config(8);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_view view[8];
	struct cn_store_piece piece[4];
	struct cn_store_stats stats;
	size_t pinned = 0, n;

	(void)state;
	for (uint64_t i = 0;; i++) {
		struct cn_place place = bench_mine(pair, i * MIB);

		bench_bytes(plain, CN_SEGMENT_BYTES, i);
		n = bench_exchange(
		    pair, S1, plain, CN_SEGMENT_BYTES, piece, 4, i);
		if (n == 0) {
			break;
		}
		assert_true(pinned < 8);
		assert_int_equal(cn_pair_resolve(pair, &place, 10, S1, NULL,
				     &view[pinned++]),
		    CN_OK);
	}
	assert_int_equal(pinned, 7);
	assert_int_equal(
	    cn_pair_fill(pair, BENCH_PEER_EPOCH, 0, S1, plain, 10, 1),
	    CN_ENOSPC);
	cn_store_stats(store, &stats);
	assert_true(stats.memory_bytes <= 8 * MIB);
	assert_int_equal(stats.refused, MIB + 10);
	cn_store_trim(store, 0);
	for (uint64_t i = 0; i < pinned; i++) {
		bench_bytes(plain, CN_SEGMENT_BYTES, i);
		assert_memory_equal(view[i].bytes, plain, CN_SEGMENT_BYTES);
		cn_view_done(&view[i]);
	}
	assert_int_equal(bench_append(pair, S1, plain, 10, piece, 4, 99), 1);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

/* Bytes that wait for their acknowledgement for long do not stand in the way
 * of others. */
static void
test_unacknowledged(void **state)
{
	struct cn_store_config config = bench_config(16);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_store_piece piece[4];

	(void)state;
	for (uint64_t i = 0; i < 40; i++) {
		bench_bytes(plain, MIB, i);
		assert_int_equal(
		    bench_append(pair, S1, plain, MIB, piece, 4, 1), 1);
	}
	/* The acknowledgement of what is still here counts. */
	assert_int_equal(
	    look(pair, true, BENCH_EPOCH, 38 * MIB, S1), CN_ENOENT);
	cn_pair_held(pair, BENCH_EPOCH, 30 * MIB, 10 * MIB);
	assert_look(pair, 39 * MIB, S1, plain, MIB);
	assert_int_equal(look(pair, true, BENCH_EPOCH, 38 * MIB, S1), CN_OK);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

/* Full segments are sealed early when nothing else may go. */
static void
test_pressed(void **state)
{
	struct cn_store_config config = bench_config(8);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	struct cn_store_piece piece[4];
	struct cn_view view[3];

	(void)state;
	for (uint64_t i = 0; i < 3; i++) {
		struct cn_place place = bench_mine(pair, i * MIB);

		bench_exchange(pair, S1, plain, MIB, piece, 4, 1);
		assert_int_equal(
		    cn_pair_look_at(pair, &place, S1, NULL, &view[i]), CN_OK);
	}
	for (uint64_t i = 0; i < 2; i++) {
		assert_int_equal(
		    cn_pair_fill(pair, 9, i * MIB, S1, plain, MIB, 1), CN_OK);
		assert_int_equal(
		    bench_append(pair, S1, plain, MIB, piece, 4, 1), 1);
	}
	assert_int_equal(bench_append(pair, S1, plain, MIB, piece, 4, 1), 1);
	assert_int_equal(resolve(pair, false, 9, 0, 1, S1, NULL), CN_ENOENT);
	assert_int_equal(resolve(pair, false, 9, MIB, 1, S1, NULL), CN_OK);
	for (uint64_t i = 0; i < 3; i++) {
		cn_view_done(&view[i]);
	}
	cn_pair_put(&pair);
	cn_store_free(&store);
}

static void
test_meet(void **state)
{
	struct cn_store_config config = bench_config(16);
	struct cn_store *store = bench_store(&config);
	struct cn_pair *pair = bench_pair(store, 1);
	uint8_t boot[CN_STORE_BOOT_BYTES] = { 1 };
	struct cn_store_piece piece[4];
	uint64_t e = cn_pair_epoch(pair);

	(void)state;
	assert_true(cn_pair_meet(pair, boot, SECOND));
	assert_false(cn_pair_meet(pair, boot, 2 * SECOND));
	assert_true(cn_pair_meet(pair, boot, 11 * SECOND));
	bench_exchange(pair, S1, plain, 1000, piece, 4, 11 * SECOND);
	bench_append(pair, S1, plain, 1000, piece, 4, 11 * SECOND);
	assert_int_equal(
	    cn_pair_fill(pair, 9, 0, S1, plain, 77, 11 * SECOND), CN_OK);
	assert_false(cn_pair_meet(pair, boot, 12 * SECOND));
	assert_int_equal(look(pair, true, e, 0, S1), CN_OK);
	boot[0] = 2;
	assert_true(cn_pair_meet(pair, boot, 12 * SECOND));
	assert_int_equal(look(pair, true, e, 0, S1), CN_ENOENT);
	assert_int_equal(look(pair, false, 9, 0, S1), CN_ENOENT);
	/* Sealed as far as it was held, and resolvable. */
	assert_int_equal(resolve(pair, true, e, 0, 1000, S1, plain), CN_OK);
	assert_int_equal(resolve(pair, true, e, 1000, 1, S1, NULL), CN_ENOENT);
	assert_int_equal(resolve(pair, false, 9, 0, 77, S1, plain), CN_OK);
	/* Our log goes on behind. */
	assert_int_equal(
	    bench_append(pair, S1, plain, 10, piece, 4, 13 * SECOND), 1);
	assert_int_equal(piece[0].pos, MIB);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_append_and_hold),
		cmocka_unit_test(test_room_in_pieces),
		cmocka_unit_test(test_scopes),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_hostile_resolve),
		cmocka_unit_test(test_hints),
		cmocka_unit_test(test_seal),
		cmocka_unit_test(test_seal_idle),
		cmocka_unit_test(test_spurned),
		cmocka_unit_test(test_evict),
		cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_unacknowledged),
		cmocka_unit_test(test_pressed),
		cmocka_unit_test(test_meet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
