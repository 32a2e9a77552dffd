/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk of a thousandth of a terabyte, full: what the catalogue and the
 * index cost for each segment, and what is found with that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_bench.h"

/* Number 0 is not used, so that is sixteen slabs. */
#define SEGMENTS 1023u
#define CHUNKS 437u /* of 2.4 KiB on average */
#define SEGMENT_COST 252u
/* A pair, its scope, its logs, its announcements. */
#define FIXED_COST 8192u
/* 1.1 GiB for 1 TiB of disk. */
#define BUDGET_PART 931u
#define HOOK_BITS 3u

static const uint8_t key[CN_IMAGE_KEY_BYTES] = { 1, 2, 3 };
static uint8_t data[CN_SEGMENT_BYTES];
static _Alignas(4096) uint8_t image[CN_IMAGE_BYTES];

static uint64_t
chunk_key(uint64_t sequence, uint64_t i)
{
	const uint64_t both[2] = { sequence, i };

	return cn_hash64(both, sizeof(both), 1);
}

/* Images as a full segment of one scope has them; the data do not matter. */
static int
read_now(void *ctx, uint64_t slot, size_t at, uint8_t *out, size_t len)
{
	static struct cn_store_chunk chunk[CHUNKS];
	struct cn_image_info info = { .peer = { 1 },
		.is_mine = slot % 2 == 0,
		.epoch = 7,
		.sequence = slot / 2,
		.age = slot + 1,
		.chunks = CHUNKS };

	(void)ctx;
	for (uint32_t e = 0; e < CN_SEGMENT_EXTENTS; e++) {
		info.extent[e] = (struct cn_image_extent){
			.scope = 5, .used = CN_EXTENT_BYTES, .hash = e + 1
		};
	}
	for (uint64_t i = 0; i < CHUNKS; i++) {
		chunk[i] =
		    (struct cn_store_chunk){ chunk_key(slot, i), i * 2399 };
	}
	assert_int_equal(at + len, CN_IMAGE_DATA_AT);
	assert_int_equal(cn_image_seal(key, &info, chunk, data, image), CN_OK);
	memcpy(out, image, len);
	return CN_OK;
}

static uint64_t
count_found(const struct cn_pair *pair, uint64_t *hooks)
{
	uint64_t found = 0;

	for (uint64_t slot = 0; slot < SEGMENTS; slot++) {
		for (uint64_t i = 0; i < CHUNKS; i++) {
			uint64_t spots[4], k = chunk_key(slot, i);

			if ((k & ((1u << HOOK_BITS) - 1)) == 0) {
				++*hooks;
				found += cn_pair_find(pair, k, spots) > 0;
			}
		}
	}
	return found;
}

static void
test_budget(void **state)
{
	const struct cn_job_ops ops = { .read_now = read_now };
	struct cn_store_config config = bench_config(8);
	uint64_t disk = (uint64_t)SEGMENTS * CN_IMAGE_BYTES;
	uint64_t budget = disk / BUDGET_PART, before, cost, hooks = 0, found;
	struct cn_store_stats stats;
	struct cn_store *store;
	struct cn_pair *pair;

	(void)state;
	config.disk_bytes = disk;
	config.disk = &ops;
	config.index_bytes =
	    budget - (uint64_t)SEGMENTS * SEGMENT_COST - FIXED_COST;
	store = bench_store(&config);
	before = cn_alloc_bytes();
	cn_store_recover(store, 1);
	cost = cn_alloc_bytes() - before;
	cn_store_stats(store, &stats);
	assert_int_equal(stats.segments, SEGMENTS);
	assert_int_equal(stats.hook_bits, HOOK_BITS);
	print_message("%.1f bytes for each segment, index %.2f, "
		      "both %.3f GiB for 1 TiB\n",
	    (double)cost / SEGMENTS,
	    (double)stats.index_bytes / (double)disk * 1024,
	    (double)(cost + stats.index_bytes) / (double)disk * 1024);
	assert_true(cost <= (uint64_t)SEGMENTS * SEGMENT_COST + FIXED_COST);
	assert_true(cost + stats.index_bytes <= budget);
	pair = bench_pair(store, 1);
	assert_true(cn_pair_has_hooks(pair));
	found = count_found(pair, &hooks);
	print_message("%.1f %% of hooks are found\n",
	    100.0 * (double)found / (double)hooks);
	assert_true(found >= hooks / 100 * 95);
	cn_pair_put(&pair);
	cn_store_free(&store);
}

/* Every chunk while it fits, then ever fewer. */
static void
test_hook_bits(void **state)
{
	static const struct {
		uint64_t disk_gib, index_mib;
		unsigned bits;
	} rows[] = { { 0, 2, 0 }, { 1, 5, 0 }, { 1, 4, 1 }, { 10, 44, 0 },
		{ 10, 22, 1 }, { 10, 6, 3 }, { 10, 1, 6 } };
	struct bench_disk disk;

	(void)state;
	bench_disk_init(&disk);
	for (size_t i = 0; i < CN_ARRAY_LEN(rows); i++) {
		struct cn_store_config config = bench_config(8);
		struct cn_store *store;
		struct cn_store_stats stats;

		config.disk_bytes = rows[i].disk_gib << 30;
		config.disk = &disk.ops;
		config.index_bytes = rows[i].index_mib * MIB;
		store = bench_store(&config);
		cn_store_stats(store, &stats);
		assert_int_equal(stats.hook_bits, rows[i].bits);
		assert_true(stats.index_bytes <= config.index_bytes);
		cn_store_free(&store);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_hook_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
