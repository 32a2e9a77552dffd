/* SPDX-License-Identifier: Apache-2.0 */
/* Two stores of one pair find out what both hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_bench.h"

#define S1 UINT64_C(11)
#define SECOND UINT64_C(1000000)

/* Two gateways; a writes, b has a copy. */
struct both {
	struct cn_store *sa, *sb;
	struct cn_pair *a, *b;
};

static uint8_t plain[CN_SEGMENT_BYTES];

static struct both
start(uint64_t memory_mib)
{
	struct cn_store_config config = bench_config(memory_mib);
	struct both both = { .sa = bench_store(&config) };

	config.epoch = BENCH_PEER_EPOCH;
	both.sb = bench_store(&config);
	both.a = bench_pair(both.sa, 2);
	both.b = bench_pair(both.sb, 1);
	return both;
}

static void
stop(struct both *both)
{
	cn_pair_put(&both->a);
	cn_pair_put(&both->b);
	cn_store_free(&both->sa);
	cn_store_free(&both->sb);
}

/* Number i goes from a to b; bytes [lost, lost_end) never arrive. */
static void
send(struct both *both, uint64_t i, uint32_t lost, uint32_t lost_end)
{
	struct cn_store_piece piece[2];
	uint64_t e = cn_pair_epoch(both->a), pos;

	bench_bytes(plain, sizeof(plain), i);
	assert_int_equal(
	    bench_append(both->a, S1, plain, sizeof(plain), piece, 2, SECOND),
	    1);
	pos = piece[0].pos;
	assert_int_equal(
	    cn_pair_fill(both->b, e, pos, S1, plain, lost, SECOND), CN_OK);
	assert_int_equal(
	    cn_pair_fill(both->b, e, pos + lost_end, S1, plain + lost_end,
		sizeof(plain) - lost_end, SECOND),
	    CN_OK);
	cn_pair_held(both->a, e, pos, lost);
	cn_pair_held(both->a, e, pos + lost_end, sizeof(plain) - lost_end);
}

/* Nothing is held, and everything sealed. */
static void
restart(struct both *both)
{
	uint8_t boot[CN_STORE_BOOT_BYTES] = { 9 };

	assert_true(cn_pair_meet(both->a, boot, SECOND));
	assert_true(cn_pair_meet(both->b, boot, SECOND));
}

/* As the link does it: b offers a node, a says what it thinks of it. */
static unsigned
walk(struct both *both, struct cn_agree_node node)
{
	unsigned steps = 1;
	struct cn_agree_node seen = node;
	int rc;

	seen.is_mine = !node.is_mine;
	rc = cn_pair_agree(both->a, &seen);
	if (rc == CN_OK) {
		assert_int_equal(cn_pair_agree(both->b, &node), CN_OK);
		return steps;
	}
	if (rc == CN_ENOENT) {
		return steps;
	}
	if (node.level == 0) {
		uint32_t ha[CN_SEGMENT_EXTENTS], hb[CN_SEGMENT_EXTENTS];

		assert_true(cn_pair_extents(
		    both->a, seen.is_mine, node.epoch, node.index, ha));
		assert_true(cn_pair_extents(
		    both->b, node.is_mine, node.epoch, node.index, hb));
		cn_pair_agree_extents(
		    both->a, seen.is_mine, node.epoch, node.index, hb);
		cn_pair_agree_extents(
		    both->b, node.is_mine, node.epoch, node.index, ha);
		return steps;
	}
	for (uint64_t i = 0; i < 16; i++) {
		struct cn_agree_node child = node;

		child.level--;
		child.index = node.index * 16 + i;
		if (cn_pair_node(both->b, &child)) {
			steps += walk(both, child);
		}
	}
	return steps;
}

static int
look(struct cn_pair *pair, bool is_mine, uint64_t pos)
{
	struct cn_place place = { BENCH_EPOCH, pos, is_mine };
	struct cn_view view;
	int rc = cn_pair_look_at(pair, &place, S1, NULL, &view);

	if (rc == CN_OK) {
		cn_view_done(&view);
	}
	return rc;
}

/* Both may send what is at pos, or none. */
static void
assert_both(struct both *both, uint64_t pos, int rc)
{
	assert_int_equal(look(both->a, true, pos), rc);
	assert_int_equal(look(both->b, false, pos), rc);
}

/* The only top of a pair, with its hash. */
static struct cn_agree_node
top_of(struct cn_pair *pair)
{
	struct cn_agree_node node[4];

	assert_int_equal(cn_pair_tops(pair, node, 4), 1);
	assert_true(cn_pair_node(pair, &node[0]));
	return node[0];
}

static void
test_same(void **state)
{
	struct both both = start(64);
	struct cn_agree_node a[4], b[4];

	(void)state;
	assert_int_equal(cn_pair_tops(both.b, b, 4), 0);
	for (uint64_t i = 0; i < 20; i++) {
		send(&both, i, 0, 0);
	}
	assert_both(&both, 5 * MIB, CN_OK);
	restart(&both);
	assert_both(&both, 5 * MIB, CN_ENOENT);
	a[0] = top_of(both.a);
	b[0] = top_of(both.b);
	assert_true(a[0].is_mine && !b[0].is_mine);
	assert_int_equal(a[0].level, 2);
	assert_int_equal(a[0].index, 0);
	assert_true(a[0].hash == b[0].hash && a[0].epoch == b[0].epoch);
	assert_int_equal(walk(&both, b[0]), 1);
	for (uint64_t i = 0; i < 20; i++) {
		assert_both(&both, i * MIB, CN_OK);
	}
	stop(&both);
}

/* Holes that both know of are no difference. */
static void
test_known_holes(void **state)
{
	struct both both = start(64);
	struct cn_agree_node a[4], b[4];

	(void)state;
	for (uint64_t i = 0; i < 8; i++) {
		uint32_t at = (uint32_t)(i * 50000);

		send(&both, i, at, at + (uint32_t)(i % 3) * 40000);
	}
	restart(&both);
	a[0] = top_of(both.a);
	b[0] = top_of(both.b);
	assert_true(a[0].hash == b[0].hash);
	assert_int_equal(walk(&both, b[0]), 1);
	assert_both(&both, MIB + 49999, CN_OK);
	assert_both(&both, MIB + 50000, CN_ENOENT);
	/* Up to the end of the extent behind the hole nothing is kept. */
	assert_both(&both, MIB + 3 * CN_EXTENT_BYTES - 1, CN_ENOENT);
	assert_both(&both, MIB + 3 * CN_EXTENT_BYTES, CN_OK);
	stop(&both);
}

/* A lost acknowledgement is a difference of a few extents. */
static void
test_differ(void **state)
{
	struct both both = start(64);
	struct cn_agree_node b[4];
	struct cn_place place = { BENCH_EPOCH, 3 * MIB + 100000, true };

	(void)state;
	for (uint64_t i = 0; i < 20; i++) {
		send(&both, i, 1000, i == 3 ? 2000 : 1000);
	}
	/* a believes less than b has, in segment 3. */
	cn_pair_lacks(both.a, &place, 10);
	/* And b lost all of number 7. */
	restart(&both);
	cn_store_trim(both.sb, 12 * MIB);
	b[0] = top_of(both.b);
	assert_int_equal(b[0].level, 2);
	/* The top, both of its children, and eight and four leaves. */
	assert_int_equal(walk(&both, b[0]), 1 + 1 + 8 + 1);
	for (uint64_t i = 0; i < 8; i++) {
		assert_int_equal(
		    look(both.a, true, i * MIB + 40000), CN_ENOENT);
	}
	for (uint64_t i = 8; i < 20; i++) {
		assert_both(&both, i * MIB + 500000, CN_OK);
	}
	stop(&both);
}

static void
test_extents(void **state)
{
	struct both both = start(64);
	struct cn_agree_node b[4];
	struct cn_place place = { BENCH_EPOCH, 3 * MIB + 100000, true };
	uint32_t hash[CN_SEGMENT_EXTENTS];

	(void)state;
	for (uint64_t i = 0; i < 5; i++) {
		send(&both, i, 1000, i == 3 ? 2000 : 1000);
	}
	/* Number 3 has a hole, so it is still open: a lack there counts. */
	cn_pair_lacks(both.a, &place, 10);
	restart(&both);
	b[0] = top_of(both.b);
	assert_int_equal(walk(&both, b[0]), 1 + 5);
	assert_both(&both, 3 * MIB + 10, CN_OK);
	assert_both(&both, 3 * MIB + 40000, CN_OK);
	assert_both(&both, 3 * MIB + 3 * CN_EXTENT_BYTES, CN_ENOENT);
	assert_both(&both, 3 * MIB + 4 * CN_EXTENT_BYTES, CN_OK);
	assert_false(cn_pair_extents(both.a, true, BENCH_EPOCH, 5, hash));
	assert_false(cn_pair_extents(both.a, true, 1, 3, hash));
	cn_pair_agree_extents(both.a, true, 1, 3, hash);
	stop(&both);
}

/* The writer's log and the reader's copy both ways, newest log first. */
static void
test_tops(void **state)
{
	struct both both = start(64);
	struct cn_agree_node node[4] = { { 0 } };

	(void)state;
	bench_bytes(plain, sizeof(plain), 1);
	for (uint64_t e = 1; e <= 3; e++) {
		assert_int_equal(
		    cn_pair_fill(both.b, e, (100 * e) << CN_SEGMENT_SHIFT, S1,
			plain, sizeof(plain), SECOND),
		    CN_OK);
		cn_store_tick(both.sb, (e + 1) * 2 * SECOND);
	}
	assert_int_equal(cn_pair_tops(both.b, node, 2), 2);
	assert_int_equal(cn_pair_tops(both.b, node, 4), 3);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(node[i].epoch, 3 - i);
		assert_int_equal(node[i].level, 0);
		assert_int_equal(node[i].index, 100 * (3 - i));
		assert_false(node[i].is_mine);
	}
	/* At the far end of a log: the tree has a root over everything. */
	assert_int_equal(
	    cn_pair_fill(both.b, 1, CN_PLACE_END - CN_SEGMENT_BYTES, S1, plain,
		sizeof(plain), SECOND),
	    CN_OK);
	cn_store_tick(both.sb, 100 * SECOND);
	assert_int_equal(cn_pair_tops(both.b, node, 4), 3);
	assert_int_equal(node[0].epoch, 1);
	assert_int_equal(node[0].level, 10);
	assert_int_equal(node[0].index, 0);
	/* Nodes that cannot be. */
	node[0].level = 11;
	assert_false(cn_pair_node(both.b, &node[0]));
	node[0].level = 10;
	node[0].index = 1;
	assert_false(cn_pair_node(both.b, &node[0]));
	assert_int_equal(cn_pair_agree(both.b, &node[0]), CN_ENOENT);
	node[0].level = 0;
	node[0].index = UINT64_C(1) << 40;
	assert_false(cn_pair_node(both.b, &node[0]));
	node[0].index--;
	assert_true(cn_pair_node(both.b, &node[0]));
	stop(&both);
}

/* What is about to go is not agreed on. */
static void
test_doomed(void **state)
{
	struct both both = start(16);
	struct cn_agree_node node = { .epoch = BENCH_EPOCH };

	(void)state;
	for (uint64_t i = 0; i < 15; i++) {
		assert_int_equal(cn_pair_fill(both.b, BENCH_EPOCH, i * MIB, S1,
				     plain, sizeof(plain), SECOND),
		    CN_OK);
		cn_store_tick(both.sb, (i + 2) * SECOND);
	}
	node.index = 2;
	assert_false(cn_pair_node(both.b, &node));
	node.index = 3;
	assert_true(cn_pair_node(both.b, &node));
	stop(&both);
}

/* A peer that asks and asks, or lacks and lacks, is not served for ever. */
static void
test_flood(void **state)
{
	struct both both = start(64);
	struct cn_agree_node node = {
		.is_mine = true, .epoch = BENCH_EPOCH, .level = 2, .hash = 1
	};
	struct cn_place place = { BENCH_EPOCH, 0, true };
	uint8_t boot[CN_STORE_BOOT_BYTES] = { 9 };
	unsigned asked = 0;

	(void)state;
	for (uint64_t i = 0; i < 20; i++) {
		send(&both, i, 0, 0);
	}
	restart(&both);
	while (cn_pair_agree(both.a, &node) == CN_ESTALE) {
		assert_true(++asked < 4000);
	}
	assert_true(asked > 3000);
	assert_false(cn_pair_node(both.a, &node));
	assert_int_equal(cn_pair_agree(both.a, &node), CN_ENOENT);
	/* Of one that lacks a whole log the first few segments are. */
	cn_pair_held(both.a, BENCH_EPOCH, 0, 20 * MIB);
	cn_pair_lacks(both.a, &place, CN_PLACE_END);
	assert_int_equal(look(both.a, true, 0), CN_ENOENT);
	assert_int_equal(look(both.a, true, 19 * MIB), CN_OK);
	/* The next agreement is another. */
	assert_true(cn_pair_meet(both.a, boot, 20 * SECOND));
	assert_int_equal(cn_pair_agree(both.a, &node), CN_ESTALE);
	cn_pair_lacks(both.a, &place, CN_PLACE_END);
	assert_int_equal(look(both.a, true, 19 * MIB), CN_ENOENT);
	stop(&both);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_known_holes),
		cmocka_unit_test(test_differ),
		cmocka_unit_test(test_extents),
		cmocka_unit_test(test_tops),
		cmocka_unit_test(test_doomed),
		cmocka_unit_test(test_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
