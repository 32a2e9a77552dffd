/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/rand.h"
#include "codec/dedup.h"
#include "link/state.h"
#include "pair.h"
#include "wire/writer.h"

/*
 * Two engines with stores: what the peer has goes as references, and every
 * way in which it does not have it ends with the right bytes.
 */

#define BYTES 400000u

static uint8_t text[BYTES], other[BYTES], got[BYTES + 1];

/* Words without large repeats, so that only references make it small. */
static void
make_text(uint8_t *out, size_t len, uint64_t seed)
{
	struct cn_prng prng;

	cn_prng_init(&prng, seed);
	for (size_t i = 0; i < len; i++) {
		out[i] = (uint8_t)('a' + cn_prng_below(&prng, 16));
	}
}

static struct pair *
begin(void)
{
	struct cn_link_config config;
	struct pair *p;

	make_text(text, BYTES, 1);
	pair_config(&config);
	config.window_max = 8u << 20;
	p = pair_create_stored(&config, UINT64_C(16) << 20);
	pair_attach(p, 0);
	pair_run(p);
	return p;
}

/* Carry bytes from side to the other over a stream; returns the wire's. */
static uint64_t
carry_on(
    struct pair *p, int side, uint64_t id, const uint8_t *bytes, size_t len)
{
	uint64_t before = p->wire_sum[side];
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
	pair_pass(p, 50000);
	return p->wire_sum[side] - before;
}

static uint64_t
carry(
    struct pair *p, int side, uint64_t scope, const uint8_t *bytes, size_t len)
{
	uint64_t id = cn_stream_id(pair_open(p, side, scope));
	uint64_t wire = carry_on(p, side, id, bytes, len);

	pair_finish(p, side, id);
	pair_finish(p, 1 - side, id);
	pair_pass(p, 50000);
	(void)pair_read(p, side, id, got, sizeof(got));
	(void)pair_read(p, 1 - side, id, got, sizeof(got));
	pair_pass(p, 50000);
	assert_true(p->end[0][id].is_ended && p->end[1][id].is_ended);
	return wire;
}

static struct cn_link_stats
stats_of(const struct pair *p, int side)
{
	struct cn_link_stats stats;

	cn_link_stats(p->link[side], &stats);
	return stats;
}

static void
test_again(void **state)
{
	struct pair *p = begin();
	uint64_t first = carry(p, 0, 1, text, BYTES);
	uint64_t second = carry(p, 0, 1, text, BYTES);

	(void)state;
	assert_true(first > BYTES / 3);
	assert_true(second < BYTES / 200);
	assert_true(stats_of(p, 0).sent.copied >= BYTES - 1000);
	assert_int_equal(
	    stats_of(p, 1).received.copied, stats_of(p, 0).sent.copied);
	assert_int_equal(stats_of(p, 0).misses_received, 0);
	pair_free(&p);
}

/* What came from the peer goes back as references, too. */
static void
test_back(void **state)
{
	struct pair *p = begin();
	uint64_t first = carry(p, 0, 1, text, BYTES);
	uint64_t back = carry(p, 1, 1, text, BYTES);

	(void)state;
	assert_true(back * 50 < first);
	pair_free(&p);
}

static void
test_edited(void **state)
{
	struct pair *p = begin();
	uint64_t first = carry(p, 0, 1, text, BYTES), second, third;

	(void)state;
	memcpy(other, text, BYTES);
	memcpy(other + 1000, "an edit of equal length", 23);
	memmove(other + 200010, other + 200000, BYTES - 200010);
	memcpy(other + 200000, "insertion!", 10);
	second = carry(p, 0, 1, other, BYTES);
	third = carry(p, 0, 1, other, BYTES);
	assert_true(second * 20 < first);
	assert_true(third < BYTES / 200);
	pair_free(&p);
}

/* Another scope's bytes are as good as never seen; so are unstored ones. */
static void
test_scopes(void **state)
{
	struct pair *p = begin();
	uint64_t first = carry(p, 0, 1, text, BYTES), wire;
	uint64_t id = cn_stream_id(pair_open_unstored(p, 0, 1));

	(void)state;
	wire = carry_on(p, 0, id, text, BYTES);
	assert_true(wire > first * 9 / 10);
	wire = carry(p, 0, 2, text, BYTES);
	assert_true(wire > first * 9 / 10 && wire < first * 11 / 10);
	assert_int_equal(stats_of(p, 0).sent.copied, 0);
	make_text(other, BYTES, 2);
	id = cn_stream_id(pair_open_unstored(p, 0, 1));
	(void)carry_on(p, 0, id, other, BYTES);
	wire = carry(p, 0, 1, other, BYTES);
	assert_true(wire > first * 9 / 10);
	assert_int_equal(stats_of(p, 0).sent.copied, 0);
	pair_free(&p);
}

/* The receiver loses everything: right bytes, and after them the ratio is
 * back, since what goes again is stored. */
static void
test_forgotten(void **state)
{
	struct pair *p = begin();
	uint64_t first = carry(p, 0, 1, text, BYTES), second;

	(void)state;
	cn_store_trim(p->store[1], 0);
	/* Evictions are told with what goes out next, or found out. */
	second = carry(p, 0, 1, text, BYTES);
	assert_true(second > first / 2);
	assert_true(stats_of(p, 0).misses_received > 0);
	second = carry(p, 0, 1, text, BYTES);
	assert_true(second < BYTES / 200);
	pair_free(&p);
}

/* What was stored by blocks that a carrier lost is not referred to. */
static void
test_lost(void **state)
{
	struct pair *p = begin();
	uint64_t id = cn_stream_id(pair_open(p, 0, 1)), wire;
	size_t sent = pair_write(p, 0, id, text, 80000);

	(void)state;
	assert_true(sent > 60000);
	assert_true(sent < sizeof(got));
	while (pair_pull(p, 0, 0) > 0) {
	}
	pair_detach(p, 0);
	pair_attach(p, 0);
	pair_pass(p, 100000);
	assert_int_equal(stats_of(p, 0).sent.copied, 0);
	assert_int_equal(pair_read(p, 1, id, got, sizeof(got)), sent);
	assert_memory_equal(got, text, sent);
	wire = carry(p, 0, 1, text, sent);
	assert_true(wire < sent / 50);
	assert_int_equal(stats_of(p, 0).misses_received, 0);
	pair_free(&p);
}

/* ---- a peer that lies ---- */

/* A batch of side 0 with one copy and one store, as the test likes them. */
static int
give_batch(struct pair *p, uint64_t stream, uint64_t offset,
    const struct cn_ref_op *op, const struct cn_ref_store *store,
    uint64_t epoch, bool is_senders)
{
	uint8_t out[CN_FRAGMENT_MAX], ops[CN_REFS_OP_MAX];
	uint8_t ext[CN_BATCH_EXT_MAX];
	struct cn_batch_head head = { .stream = stream, .offset = offset };
	struct cn_ref_cursor at = { 0 };
	struct cn_refs refs = { 0 };
	size_t n, used;

	head.plain_len = 1000;
	if (op != NULL) {
		refs.log[0].epoch = epoch;
		refs.log[0].is_senders = is_senders;
		refs.logs = 1;
		refs.has_copies = true;
		refs.ops_len =
		    (uint32_t)cn_ref_op_encode(ops, sizeof(ops), &at, op);
		head.plain_len = op->copy;
		head.coded_len = refs.ops_len;
	} else {
		head.coded_len = head.plain_len;
	}
	if (store != NULL) {
		refs.store_epoch = epoch;
		refs.store[0] = *store;
		refs.stores = 1;
	}
	head.ext = ext;
	head.ext_len = cn_refs_encode(ext, sizeof(ext), &refs);
	assert_true(head.ext_len > 0);
	head.hash = cn_block_batch_hash(&head, text, head.plain_len);
	n = cn_fragment_batch_head(out, sizeof(out), &head, head.coded_len);
	assert_true(n > 0);
	memcpy(out + n, op != NULL ? ops : text, head.coded_len);
	return cn_link_receive(
	    p->link[1], 0, out, n + head.coded_len, p->now, &used);
}

static uint64_t
first_epoch(const struct pair *p, int side)
{
	return cn_pair_epoch(cn_dedup_pair(p->dedup[side]));
}

/* Copies that may not be: counted, and in the end the carrier's end. */
static void
test_bad_copies(void **state)
{
	struct pair *p = begin();
	struct cn_ref_op op = { .copy = 1000, .pos = 0 };
	struct cn_ref_op future = { .copy = 1000, .pos = 1u << 30 };
	uint64_t id, mine, theirs;
	int r = CN_OK;

	(void)state;
	(void)carry(p, 0, 1, text, BYTES); /* scope 1: place 0 on both sides */
	mine = first_epoch(p, 0);
	theirs = first_epoch(p, 1);
	id = cn_stream_id(pair_open(p, 0, 2));
	(void)pair_write(p, 0, id, "x", 1);
	pair_pass(p, 50000);
	/* Of another scope. */
	r = give_batch(p, id, 1, &op, NULL, mine, true);
	assert_int_equal(r, CN_OK);
	assert_int_equal(stats_of(p, 1).bad_refs, 1);
	/* Beyond all that the receiver ever wrote. */
	r = give_batch(p, id, 1, &future, NULL, theirs, false);
	assert_int_equal(r, CN_OK);
	assert_int_equal(stats_of(p, 1).bad_refs, 2);
	/* Unknown: a miss, nothing worse. */
	r = give_batch(p, id, 1, &op, NULL, 4711, true);
	assert_int_equal(r, CN_OK);
	assert_int_equal(stats_of(p, 1).bad_refs, 2);
	assert_int_equal(stats_of(p, 1).misses_sent, 1);
	for (unsigned i = 0; i < CN_LINK_BAD_REFS_MAX && r == CN_OK; i++) {
		r = give_batch(p, id, 1, &op, NULL, mine, true);
	}
	assert_int_equal(r, CN_EPROTO);
	assert_false(cn_link_is_up(p->link[1], 0));
	assert_int_equal(stats_of(p, 1).received.lan, BYTES + 1);
	pair_free(&p);
}

/* Stores into what belongs to others end the stream. */
static void
test_bad_stores(void **state)
{
	struct pair *p = begin();
	struct cn_ref_store store = { .offset = 0, .len = 1000, .pos = 0 };
	uint64_t id, unstored;

	(void)state;
	(void)carry(p, 0, 1, text, BYTES);
	id = cn_stream_id(pair_open(p, 0, 2));
	(void)pair_write(p, 0, id, "x", 1);
	unstored = cn_stream_id(pair_open_unstored(p, 0, 1));
	(void)pair_write(p, 0, unstored, "x", 1);
	pair_pass(p, 50000);
	assert_int_equal(
	    give_batch(p, id, 1, NULL, &store, first_epoch(p, 0), true), CN_OK);
	pair_events(p, 1);
	assert_true(p->end[1][id].is_reset);
	assert_int_equal(p->end[1][id].reason, CN_RESET_PROTOCOL);
	store.pos = 900000;
	assert_int_equal(
	    give_batch(p, unstored, 1, NULL, &store, first_epoch(p, 0), true),
	    CN_OK);
	pair_events(p, 1);
	assert_true(p->end[1][unstored].is_reset);
	assert_int_equal(stats_of(p, 1).bad_refs, 2);
	pair_free(&p);
}

/* A large raw batch that found no page has no bytes that could wait behind
 * another, though there is memory again when it ends. */
static void
test_no_page_to_wait(void **state)
{
	struct pair *p = begin();
	uint64_t id = cn_stream_id(pair_open(p, 0, 1)), charged;
	struct cn_stream *s;
	uint8_t out[CN_FRAGMENT_MAX];
	struct cn_batch_head head = { .stream = id, .offset = 1 };
	size_t n, used, sent = 8000, part;

	(void)state;
	(void)pair_write(p, 0, id, "x", 1);
	pair_pass(p, 50000);
	s = cn_stream_find(p->link[1], id);
	assert_non_null(s);
	s->parked = 1; /* as if one waited for the disk */
	head.plain_len = head.coded_len = 40000;
	head.hash = cn_block_batch_hash(&head, text, head.plain_len);
	charged = cn_pool_limit(p->pool[1]) - cn_pool_used(p->pool[1]);
	assert_int_equal(cn_pool_charge(p->pool[1], charged), CN_OK);
	n = cn_fragment_batch_head(out, sizeof(out), &head, sent);
	memcpy(out + n, text, sent);
	assert_int_equal(
	    cn_link_receive(p->link[1], 0, out, n + sent, p->now, &used),
	    CN_OK);
	cn_pool_uncharge(p->pool[1], charged);
	for (; sent < head.coded_len; sent += part) {
		part =
		    head.coded_len - sent < 8000 ? head.coded_len - sent : 8000;
		n = cn_fragment_more_head(out, sizeof(out), part);
		memcpy(out + n, text + sent, part);
		assert_int_equal(cn_link_receive(p->link[1], 0, out, n + part,
				     p->now, &used),
		    CN_OK);
	}
	assert_int_equal(s->parked, 1);
	assert_int_equal(stats_of(p, 1).nacks_sent[CN_NACK_MEMORY], 1);
	s->parked = 0;
	pair_free(&p);
}

/* More holes than a stream notes down: none is forgotten. */
static void
test_too_many_holes(void **state)
{
	struct pair *p = begin();
	uint64_t id = cn_stream_id(pair_open(p, 0, 1));
	struct cn_stream *s = p->end[0][id].stream;

	(void)state;
	assert_true(pair_write(p, 0, id, text, 80000) > 70000);
	pair_pass(p, 50000);
	assert_true(s->next > 70000 && s->tx.start == 0);
	for (unsigned i = 0; i <= CN_LINK_GAPS_MAX; i++) {
		cn_stream_resend(s, 500 + i * 1000, 100, p->now);
	}
	assert_int_equal(cn_ranges_count(&s->resend), 0);
	assert_int_equal(s->next, 500);
	pair_free(&p);
}

/* Without the feature in force any reference breaks the protocol. */
static void
test_unasked(void **state)
{
	struct cn_link_config config;
	struct cn_ref_op op = { .copy = 1000, .pos = 0 };
	struct pair *p;
	uint64_t id;

	(void)state;
	pair_config(&config);
	p = pair_create(&config);
	pair_attach(p, 0);
	id = cn_stream_id(pair_open(p, 0, 2));
	(void)pair_write(p, 0, id, "x", 1);
	pair_pass(p, 50000);
	assert_int_equal(give_batch(p, id, 1, &op, NULL, 1, true), CN_EPROTO);
	pair_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_back),
		cmocka_unit_test(test_edited),
		cmocka_unit_test(test_scopes),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_bad_copies),
		cmocka_unit_test(test_bad_stores),
		cmocka_unit_test(test_no_page_to_wait),
		cmocka_unit_test(test_too_many_holes),
		cmocka_unit_test(test_unasked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
