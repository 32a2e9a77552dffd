/* SPDX-License-Identifier: Apache-2.0 */
/* Batches that are built from places that only the disk has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/dedup.h"
#include "store/store_bench.h"
#include "wire/cursor.h"

#define SCOPE UINT64_C(11)
#define SEGMENTS 160u

static struct bench_disk disk;
static struct cn_store *store;
static struct cn_dedup_scratch *scratch;
static struct cn_dedup *dedup;

static void
on_wake(void *arg)
{
	(void)arg;
}

/* Segments of the peer's log, of which the oldest are on the disk alone. */
static int
setup(void **state)
{
	struct cn_store_config config = bench_disk_config(64, 200, &disk);
	static const uint8_t peer[CN_IMAGE_PEER_BYTES] = { 1 };
	static uint8_t plain[CN_SEGMENT_BYTES];

	(void)state;
	bench_disk_init(&disk);
	store = bench_store(&config);
	assert_int_equal(cn_dedup_scratch_create(store, &scratch), CN_OK);
	assert_int_equal(
	    cn_dedup_create(store, scratch, peer, on_wake, NULL, &dedup),
	    CN_OK);
	for (uint64_t i = 0; i < SEGMENTS; i++) {
		bench_bytes(plain, sizeof(plain), i);
		assert_int_equal(
		    cn_pair_fill(cn_dedup_pair(dedup), BENCH_PEER_EPOCH,
			i * MIB, SCOPE, plain, sizeof(plain), i),
		    CN_OK);
		cn_store_tick(store, (i + 1) * 2000000);
		bench_run(&disk);
	}
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	bench_run(&disk);
	cn_dedup_free(&dedup);
	cn_dedup_scratch_free(&scratch);
	cn_store_free(&store);
	bench_disk_fini(&disk);
	return 0;
}

/* A batch of copies of one byte each, of every second segment, each twice. */
static int
build(uint32_t copies, struct cn_dedup_lack *lack)
{
	struct cn_refs refs = { .log = { { BENCH_PEER_EPOCH, true } },
		.logs = 1,
		.has_copies = true };
	struct cn_ref_cursor at = { 0 };
	uint8_t ops[2 * SEGMENTS * CN_REFS_OP_MAX], plain[2 * SEGMENTS];
	size_t used = 0;

	for (uint32_t i = 0; i < 2 * copies; i++) {
		struct cn_ref_op op = { .copy = 1,
			.pos = (i % copies) * 2 * MIB + i };

		used +=
		    cn_ref_op_encode(ops + used, sizeof(ops) - used, &at, &op);
	}
	refs.ops_len = (uint32_t)used;
	return cn_dedup_build(
	    dedup, SCOPE, &refs, ops, plain, 2 * copies, lack);
}

static int
prefix(uint32_t regions, struct cn_dedup_lack *lack)
{
	struct cn_refs refs = { .log = { { BENCH_PEER_EPOCH, true } },
		.logs = 1,
		.regions = regions };
	const uint8_t *bytes;

	for (uint32_t i = 0; i < regions; i++) {
		refs.region[i] = (struct cn_ref_region){
			.log = 0, .pos = i * 2 * MIB, .len = 1
		};
	}
	refs.delta_len = regions;
	return cn_dedup_prefix(dedup, SCOPE, &refs, &bytes, lack);
}

/* As many as it may: it waits, and all of them are read at once. */
static void
test_waits(void **state)
{
	struct cn_dedup_lack lack = { 0 };

	(void)state;
	assert_int_equal(build(4, &lack), CN_EAGAIN);
	assert_true(!cn_list_is_empty(&disk.jobs));
	bench_run(&disk);
	assert_int_equal(build(4, &lack), CN_OK);
}

/* More: a miss, that blames no place, and the disk has no more to read. */
static void
test_waits_for_few(void **state)
{
	struct cn_dedup_lack lack = { 0 };
	unsigned before = disk.reads;

	(void)state;
	assert_int_equal(build(45, &lack), CN_ENOENT);
	assert_int_equal(lack.len, 0);
	bench_run(&disk);
	assert_in_range(disk.reads - before, 1, 33);
}

/* The same of the regions of a delta. */
static void
test_prefix(void **state)
{
	struct cn_dedup_lack lack = { 0 };

	(void)state;
	assert_int_equal(prefix(45, &lack), CN_ENOENT);
	assert_int_equal(lack.len, 0);
	bench_run(&disk);
	assert_int_equal(prefix(32, &lack), CN_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_waits_for_few, setup, teardown),
		cmocka_unit_test_setup_teardown(test_prefix, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
