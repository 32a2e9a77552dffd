/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/rand.h"
#include "codec/chunker.h"
#include "codec/dedup.h"
#include "pair.h"

/*
 * The attack on WANProxy: who can make two different segments with the same
 * hash has one delivered in place of the other.
 *
 * Here a hash is but a hint.  The test makes every hint wrong: the keys of
 * what is about to be sent are put into both indices at places where other
 * bytes stand, as an attacker would who could choose collisions at will; on
 * parallel streams, both ways, in stores that wrap meanwhile.
 */

#define BLOCK 200000u
#define BLOCKS 12
#define STREAMS 4
#define ROUNDS 22
#define SCOPE 7u
#define STORE_BYTES (UINT64_C(8) << 20)

static uint8_t block[BLOCKS][BLOCK], got[BLOCK + 1];

/*
 * Blocks of words.  Number n + BLOCKS / 2 is number n with every 1,500th byte
 * changed: nearly every chunk of it has a like that differs a little.
 */
static void
make_block(int b, uint64_t seed)
{
	uint8_t *like = block[b + BLOCKS / 2];
	struct cn_prng prng;

	cn_prng_init(&prng, seed);
	for (size_t i = 0; i < BLOCK; i++) {
		block[b][i] = (uint8_t)('a' + cn_prng_below(&prng, 26));
	}
	memcpy(like, block[b], BLOCK);
	for (size_t i = 700; i < BLOCK; i += 1500) {
		like[i] ^= 1;
	}
}

static struct pair *
begin(void)
{
	struct cn_link_config config;
	struct pair *p;

	for (int b = 0; b < BLOCKS / 2; b++) {
		make_block(b, (uint64_t)b);
	}
	pair_config(&config);
	config.window_max = 8u << 20;
	p = pair_create_stored(&config, STORE_BYTES);
	pair_attach(p, 0);
	pair_run(p);
	return p;
}

static struct cn_link_stats
stats_of(const struct pair *p, int side)
{
	struct cn_link_stats stats;

	cn_link_stats(p->link[side], &stats);
	return stats;
}

/* A place that may be there: of our log or the peer's. */
static uint64_t
any_pos(struct pair *p, int side, bool is_mine, struct cn_prng *prng)
{
	struct cn_store_stats stats;
	uint64_t bytes;

	cn_store_stats(p->store[side], &stats);
	bytes = is_mine ? stats.appended : stats.filled;
	return cn_prng_below(prng, bytes + 1);
}

/*
 * The keys of all chunks of these bytes collide with those of others: both
 * sides' indices say that they stand at wrong places.
 */
static void
collide(struct pair *p, const uint8_t *bytes, size_t len, struct cn_prng *prng)
{
	for (int side = 0; side < 2; side++) {
		struct cn_pair *pair = cn_dedup_pair(p->dedup[side]);
		const struct cn_pair *other = cn_dedup_pair(p->dedup[1 - side]);
		struct cn_chunker chunker;
		size_t at = 0;

		cn_chunker_init(&chunker, cn_store_secret(p->store[side]));
		while (at < len) {
			size_t n =
			    cn_chunker_next(&chunker, bytes + at, len - at);
			bool is_mine = cn_prng_chance(prng, 1, 2);
			struct cn_store_chunk chunk = {
				.key = cn_hash64(
				    bytes + at, n, cn_pair_seed(pair, SCOPE)),
				.pos = any_pos(p, side, is_mine, prng),
			};

			cn_pair_learn(pair, is_mine,
			    cn_pair_epoch(is_mine ? pair : other), &chunk, 1);
			at += n;
		}
	}
}

/* Carry some bytes over a stream that is open; they must come as they are. */
static void
carry(struct pair *p, int side, uint64_t id, const uint8_t *bytes, size_t len)
{
	size_t sent = 0, read = 0;

	for (unsigned rounds = 0; read < len; rounds++) {
		assert_true(rounds < 10000);
		if (sent < len) {
			sent +=
			    pair_write(p, side, id, bytes + sent, len - sent);
		}
		pair_pass(p, 1000);
		if (p->end[1 - side][id].stream != NULL) {
			read += pair_read(
			    p, 1 - side, id, got + read, sizeof(got) - read);
		}
		assert_true(read <= len);
	}
	assert_memory_equal(got, bytes, len);
}

/* What hints say wrongly costs nothing but a look: no copy, no mistake. */
static void
test_equal_keys(void **state)
{
	struct pair *p = begin();
	struct cn_prng prng;
	uint64_t id[2];

	(void)state;
	cn_prng_init(&prng, 2);
	for (int side = 0; side < 2; side++) {
		id[side] = cn_stream_id(pair_open(p, side, SCOPE));
		carry(p, side, id[side], block[0], BLOCK);
		pair_pass(p, 50000);
	}
	for (int side = 0; side < 2; side++) {
		uint64_t before = stats_of(p, side).sent.copied;

		collide(p, block[1 + side], BLOCK, &prng);
		carry(p, side, id[side], block[1 + side], BLOCK);
		pair_pass(p, 50000);
		assert_int_equal(stats_of(p, side).sent.copied, before);
	}
	/* The right places have been learnt nevertheless, or had been. */
	for (int side = 0; side < 2; side++) {
		uint64_t before = stats_of(p, side).sent.copied;

		carry(p, side, id[side], block[1 + side], BLOCK);
		pair_pass(p, 50000);
		assert_true(
		    stats_of(p, side).sent.copied - before > BLOCK * 9 / 10);
		assert_int_equal(stats_of(p, side).nacks_sent[CN_NACK_HASH], 0);
		assert_int_equal(stats_of(p, side).misses_sent, 0);
		assert_int_equal(stats_of(p, side).bad_refs, 0);
	}
	pair_free(&p);
}

/* A chunk that differs from its like in one byte, hinted at as the same. */
static void
test_likes(void **state)
{
	struct pair *p = begin();
	struct cn_prng prng;
	uint64_t id = cn_stream_id(pair_open(p, 0, SCOPE));

	(void)state;
	cn_prng_init(&prng, 3);
	for (int b = 0; b < 3; b++) {
		struct cn_pair *pair = cn_dedup_pair(p->dedup[0]);
		struct cn_store_stats stats;
		struct cn_chunker chunker;
		uint64_t pos;

		cn_store_stats(p->store[0], &stats);
		pos = stats.appended; /* where the block will stand */
		carry(p, 0, id, block[b], BLOCK);
		pair_pass(p, 50000);
		cn_chunker_init(&chunker, cn_store_secret(p->store[0]));
		for (size_t at = 0; at < BLOCK;) {
			const uint8_t *bytes = block[b + BLOCKS / 2] + at;
			size_t n = cn_chunker_next(&chunker, bytes, BLOCK - at);
			struct cn_store_chunk chunk = {
				.key = cn_hash64(
				    bytes, n, cn_pair_seed(pair, SCOPE)),
				.pos = pos + at,
			};

			cn_pair_learn(
			    pair, true, cn_pair_epoch(pair), &chunk, 1);
			at += n;
		}
		carry(p, 0, id, block[b + BLOCKS / 2], BLOCK);
		pair_pass(p, 50000);
	}
	/* What is the same was copied, what is not was not. */
	assert_true(stats_of(p, 0).sent.copied > 3 * BLOCK / 2);
	assert_true(stats_of(p, 0).sent.copied < 3 * BLOCK - 300);
	assert_int_equal(stats_of(p, 1).nacks_sent[CN_NACK_HASH], 0);
	pair_free(&p);
}

/* One stream of many, and how far its block of the round has come. */
struct line {
	int side;
	uint64_t id;
	const uint8_t *bytes;
	size_t sent, read;
};

static void
move(struct pair *p, struct line *line)
{
	uint8_t piece[4096];
	size_t n;

	if (line->sent < BLOCK) {
		line->sent += pair_write(p, line->side, line->id,
		    line->bytes + line->sent, BLOCK - line->sent);
	}
	if (p->end[1 - line->side][line->id].stream == NULL) {
		return;
	}
	while ((n = pair_read(p, 1 - line->side, line->id, piece,
		    CN_MIN(sizeof(piece), (size_t)BLOCK - line->read))) > 0) {
		assert_memory_equal(piece, line->bytes + line->read, n);
		line->read += n;
	}
}

/* Blocks and their likes on parallel streams, until the stores have wrapped,
 * with every hint wrong. */
static void
test_parallel(void **state)
{
	struct pair *p = begin();
	struct line line[2 * STREAMS];
	struct cn_store_stats stats;
	struct cn_prng prng;

	(void)state;
	cn_prng_init(&prng, 4);
	for (int i = 0; i < 2 * STREAMS; i++) {
		line[i].side = i % 2;
		line[i].id = cn_stream_id(pair_open(p, i % 2, SCOPE));
	}
	for (int round = 0; round < ROUNDS; round++) {
		size_t done = 0;

		make_block(round % (BLOCKS / 2), 100 + (uint64_t)round);
		for (int i = 0; i < 2 * STREAMS; i++) {
			line[i].bytes = block[cn_prng_below(&prng, BLOCKS)];
			line[i].sent = line[i].read = 0;
			collide(p, line[i].bytes, BLOCK, &prng);
		}
		if (round == ROUNDS / 2) { /* one side's, more than wraps */
			cn_store_trim(p->store[1], UINT64_C(2) << 20);
		}
		while (done < 2 * STREAMS) {
			done = 0;
			for (int i = 0; i < 2 * STREAMS; i++) {
				move(p, &line[i]);
				done += line[i].read == BLOCK;
			}
			pair_pass(p, 1000);
		}
		p->now += 3000000;
		for (int side = 0; side < 2; side++) {
			cn_store_tick(p->store[side], p->now);
		}
	}
	for (int side = 0; side < 2; side++) {
		cn_store_stats(p->store[side], &stats);
		assert_true(stats.evicted > 0);
		assert_true(stats.memory_bytes <= stats.memory_cap);
		assert_true(stats_of(p, side).sent.copied > BLOCK);
		assert_int_equal(stats_of(p, side).nacks_sent[CN_NACK_HASH], 0);
		assert_int_equal(stats_of(p, side).bad_refs, 0);
	}
	pair_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_keys),
		cmocka_unit_test(test_likes),
		cmocka_unit_test(test_parallel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
