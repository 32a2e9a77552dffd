/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/rand.h"
#include "codec/dedup.h"
#include "pair.h"

/*
 * Two links of the same two gateways, as two workers have them, with one
 * store on each side: what one link brought the other refers to, and what it
 * did not bring yet it does not.
 */

#define BLOCK 120000u
#define BLOCKS 6
#define LINES 8
#define STEPS 1500
#define SCOPE 3u

static uint8_t block[BLOCKS][BLOCK], got[BLOCK + 1];

static void
begin(struct pair *link[2])
{
	struct cn_link_config config;
	struct cn_prng prng;

	cn_prng_init(&prng, 1);
	for (int b = 0; b < BLOCKS; b++) {
		for (size_t i = 0; i < BLOCK; i++) {
			block[b][i] = (uint8_t)('a' + cn_prng_below(&prng, 26));
		}
	}
	pair_config(&config);
	config.window_max = 8u << 20;
	link[0] = pair_create_stored(&config, UINT64_C(8) << 20);
	link[1] = pair_create_beside(&config, link[0]);
	for (int i = 0; i < 2; i++) {
		pair_attach(link[i], 0);
		pair_run(link[i]);
	}
}

static void
end(struct pair *link[2])
{
	pair_free(&link[1]);
	pair_free(&link[0]);
}

static struct cn_link_stats
stats_of(const struct pair *p, int side)
{
	struct cn_link_stats stats;

	cn_link_stats(p->link[side], &stats);
	return stats;
}

/* Carry a block over a new stream; returns what of it was copied. */
static uint64_t
carry(struct pair *p, int side, const uint8_t *bytes)
{
	uint64_t id = cn_stream_id(pair_open(p, side, SCOPE));
	uint64_t before = stats_of(p, side).sent.copied;
	size_t sent = 0, read = 0;

	for (unsigned rounds = 0; read < BLOCK; rounds++) {
		assert_true(rounds < 10000);
		if (sent < BLOCK) {
			sent +=
			    pair_write(p, side, id, bytes + sent, BLOCK - sent);
		}
		pair_pass(p, 1000);
		if (p->end[1 - side][id].stream != NULL) {
			read += pair_read(
			    p, 1 - side, id, got + read, sizeof(got) - read);
		}
	}
	assert_memory_equal(got, bytes, BLOCK);
	pair_pass(p, 50000);
	return stats_of(p, side).sent.copied - before;
}

static void
test_shared(void **state)
{
	struct pair *link[2];

	(void)state;
	begin(link);
	assert_int_equal(carry(link[0], 0, block[0]), 0);
	assert_true(carry(link[1], 0, block[0]) > BLOCK * 8 / 10);
	assert_true(carry(link[1], 1, block[0]) > BLOCK * 8 / 10);
	/* One learns that it is gone, and both know. */
	cn_store_trim(link[0]->store[1], 0);
	(void)carry(link[1], 0, block[1]);
	(void)carry(link[1], 0, block[0]);
	assert_true(carry(link[0], 0, block[0]) > BLOCK * 8 / 10);
	assert_int_equal(stats_of(link[0], 0).misses_received, 0);
	end(link);
}

/* What one link has on its way is nothing for the other. */
static void
test_on_its_way(void **state)
{
	struct pair *link[2];
	uint64_t id;
	size_t sent, read = 0;

	(void)state;
	begin(link);
	id = cn_stream_id(pair_open(link[0], 0, SCOPE));
	sent = pair_write(link[0], 0, id, block[0], BLOCK);
	assert_true(sent > 60000);
	while (pair_pull(link[0], 0, 0) > 0) {
	}
	assert_int_equal(carry(link[1], 0, block[0]), 0);
	assert_int_equal(stats_of(link[1], 0).misses_received, 0);
	while (pair_give(link[0], 0, 0, 0), link[0]->wire_len[0] > 0) {
	}
	pair_run(link[0]);
	for (unsigned rounds = 0; read < sent; rounds++) {
		assert_true(rounds < 1000);
		read +=
		    pair_read(link[0], 1, id, got + read, sizeof(got) - read);
		pair_pass(link[0], 1000);
	}
	assert_memory_equal(got, block[0], sent);
	assert_true(carry(link[1], 0, block[0]) > BLOCK * 8 / 10);
	end(link);
}

/* One stream, and how far its present block has come. */
struct line {
	struct pair *p;
	int side;
	uint64_t id;
	const uint8_t *bytes;
	size_t sent, read;
};

static void
move(struct line *line, struct cn_prng *prng)
{
	uint8_t piece[8192];
	size_t n;

	if (line->read == BLOCK) {
		line->bytes = block[cn_prng_below(prng, BLOCKS)];
		line->sent = line->read = 0;
	}
	if (line->sent < BLOCK) {
		line->sent += pair_write(line->p, line->side, line->id,
		    line->bytes + line->sent, BLOCK - line->sent);
	}
	if (line->p->end[1 - line->side][line->id].stream == NULL) {
		return;
	}
	while ((n = pair_read(line->p, 1 - line->side, line->id, piece,
		    CN_MIN(sizeof(piece), (size_t)BLOCK - line->read))) > 0) {
		assert_memory_equal(piece, line->bytes + line->read, n);
		line->read += n;
	}
}

/* What can happen to a link meanwhile. */
static void
disturb(struct pair *p, struct cn_prng *prng)
{
	switch (cn_prng_below(prng, 40)) {
	case 0:
		pair_detach(p, 0);
		pair_attach(p, 0);
		break;
	case 1:
		cn_store_trim(p->store[cn_prng_below(prng, 2)],
		    cn_prng_below(prng, UINT64_C(3) << 20));
		break;
	case 2:
		p->now += 11000000;
		break;
	default:
		break;
	}
}

static void
test_random(void **state)
{
	struct line line[LINES];
	struct pair *link[2];
	struct cn_prng prng;

	(void)state;
	begin(link);
	cn_prng_init(&prng, 2);
	for (int i = 0; i < LINES; i++) {
		line[i] = (struct line){
			.p = link[i & 1], .side = i >> 1 & 1, .read = BLOCK
		};
		line[i].id =
		    cn_stream_id(pair_open(line[i].p, line[i].side, SCOPE));
	}
	for (int step = 0; step < STEPS; step++) {
		struct pair *p = link[cn_prng_below(&prng, 2)];

		move(&line[cn_prng_below(&prng, LINES)], &prng);
		if (cn_prng_chance(&prng, 1, 2)) {
			pair_pass(p, 1000);
		} else { /* some is on its way when the other goes on */
			(void)pair_pull(p, (int)cn_prng_below(&prng, 2), 0);
		}
		disturb(p, &prng);
		for (int side = 0; side < 2; side++) {
			cn_store_tick(p->store[side], p->now);
		}
	}
	for (int i = 0; i < LINES; i++) {
		for (int n = 0; line[i].read < BLOCK; n++) {
			assert_true(n < 10000);
			move(&line[i], &prng);
			pair_pass(line[i].p, 1000);
		}
	}
	for (int i = 0; i < 4; i++) {
		struct cn_link_stats stats = stats_of(link[i & 1], i >> 1);

		assert_true(stats.sent.copied > BLOCK);
		assert_int_equal(stats.nacks_sent[CN_NACK_HASH], 0);
		assert_int_equal(stats.bad_refs, 0);
	}
	end(link);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_on_its_way),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
