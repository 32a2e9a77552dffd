/* SPDX-License-Identifier: Apache-2.0 */
/* A store lives a short life, again and again, while allocations fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_bench.h"

#define S1 UINT64_C(11)
/* More than a recovery of what is left makes. */
#define RECOVERY_ALLOCATIONS 40u
#define SECOND UINT64_C(1000000)

static uint8_t plain[MIB];
static _Alignas(4096) uint8_t image[CN_IMAGE_BYTES];

static int
fill(struct cn_pair *pair, uint64_t epoch, uint64_t pos, size_t len,
    uint64_t now)
{
	return cn_pair_fill(pair, epoch, pos, S1, plain, len, now);
}

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
try_recovery(
    struct cn_store_config *config, struct bench_disk *disk, uint64_t n)
{
	struct cn_store *store = NULL;

	cn_alloc_fail_at(n);
	if (cn_store_create(config, 1, &store) == CN_OK) {
		cn_store_recover(store, 1);
		cn_store_close(store, 2);
		bench_run(disk);
		cn_store_free(&store);
	}
	cn_alloc_fail_at(0);
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
		struct cn_store *store = NULL;
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
		if (n < RECOVERY_ALLOCATIONS) {
			try_recovery(&config, &disk, n);
		}
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
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
