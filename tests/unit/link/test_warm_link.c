/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/rand.h"
#include "link/state.h"
#include "pair.h"
#include "wire/writer.h"

/*
 * Streams that are for the peer's store alone, and those of the background,
 * which give way to all others.
 */

#define BYTES 400000u
#define SCOPE 7u

static uint8_t text[BYTES], sink[BYTES + 1];

static const struct cn_link_open warm_open = {
	.scope = SCOPE,
	.is_warm = true,
	.profile = { 0, 1, 3, true, true },
};

/* Words without large repeats, so that only references make it small. */
static void
make_text(uint64_t seed)
{
	struct cn_prng prng;

	cn_prng_init(&prng, seed);
	for (size_t i = 0; i < BYTES; i++) {
		text[i] = (uint8_t)('a' + cn_prng_below(&prng, 16));
	}
}

static struct pair *
begin(bool is_stored)
{
	struct cn_link_config config;
	struct pair *p;

	make_text(1);
	pair_config(&config);
	config.window_max = 8u << 20;
	p = pair_create_stored(&config, is_stored ? UINT64_C(16) << 20 : 0);
	return p;
}

static struct pair *
begin_up(bool is_stored)
{
	struct pair *p = begin(is_stored);

	pair_attach(p, 0);
	pair_run(p);
	return p;
}

/* The other side reads what is there. */
static void
swallow(struct pair *p, int side, uint64_t id)
{
	if (p->end[side][id].stream != NULL) {
		(void)pair_read(p, side, id, sink, sizeof(sink));
	}
}

/* Write bytes and end; until both sides are over. */
static void
push(struct pair *p, uint64_t id, size_t from, size_t len)
{
	size_t sent = 0;
	bool is_finished = false;

	for (unsigned rounds = 0; !p->end[0][id].is_ended; rounds++) {
		assert_true(rounds < 10000);
		assert_false(p->end[0][id].is_reset);
		if (sent < len) {
			sent += pair_write(
			    p, 0, id, text + from + sent, len - sent);
		} else if (!is_finished) {
			pair_finish(p, 0, id);
			is_finished = true;
		}
		pair_pass(p, 1000);
		swallow(p, 1, id);
		if (is_finished && p->end[1][id].stream != NULL) {
			pair_finish(p, 1, id);
		}
		pair_pass(p, 1000);
		swallow(p, 0, id);
	}
	pair_pass(p, 50000);
	assert_true(p->end[1][id].is_ended);
}

/* The bytes of a usual stream on the wire. */
static uint64_t
cost_of(struct pair *p, size_t from, size_t len)
{
	uint64_t before = p->wire_sum[0];

	push(p, cn_stream_id(pair_open(p, 0, SCOPE)), from, len);
	return p->wire_sum[0] - before;
}

static void
test_warm(void **state)
{
	struct pair *p = begin_up(true);
	struct cn_stream *s = pair_open_as(p, 0, &warm_open);
	uint64_t id = cn_stream_id(s);

	(void)state;
	assert_true(cn_stream_is_warm(s));
	(void)pair_write(p, 0, id, text, 1000);
	pair_pass(p, 1000);
	assert_non_null(p->end[1][id].stream);
	assert_true(cn_stream_is_warm(p->end[1][id].stream));
	push(p, id, 1000, BYTES - 1000);
	assert_true(cost_of(p, 0, BYTES) < BYTES / 100);
	pair_free(&p);
}

/* A stream as usual is none, at both ends. */
static void
test_usual(void **state)
{
	struct pair *p = begin_up(true);
	struct cn_stream *s = pair_open(p, 0, SCOPE);
	uint64_t id = cn_stream_id(s);

	(void)state;
	(void)pair_write(p, 0, id, text, 1000);
	pair_pass(p, 1000);
	assert_false(cn_stream_is_warm(s));
	assert_false(cn_stream_is_warm(p->end[1][id].stream));
	pair_free(&p);
}

/* Even what is little goes in a batch: lanes never meet the store. */
static void
test_little(void **state)
{
	struct pair *p = begin_up(true);
	struct cn_link_stats before, after;

	(void)state;
	push(p, cn_stream_id(pair_open_as(p, 0, &warm_open)), 0, 3000);
	cn_link_stats(p->link[0], &before);
	(void)cost_of(p, 0, BYTES);
	cn_link_stats(p->link[0], &after);
	assert_in_range(after.sent.copied - before.sent.copied, 1, 3000);
	pair_free(&p);
}

static int
try_open(struct pair *p, const struct cn_link_open *as)
{
	struct cn_link_open open = *as;
	struct cn_stream *s = NULL;
	int err;

	open.service = "web";
	err = cn_stream_open(p->link[0], &open, NULL, p->now, &s);
	assert_true(err == CN_OK || s == NULL);
	return err;
}

static void
test_refused(void **state)
{
	struct cn_link_open open = warm_open;
	struct pair *p = begin(true);

	(void)state;
	assert_int_equal(try_open(p, &open), CN_ENOTCONN);
	p->hello[1].features &= ~(uint64_t)CN_FEATURE_DEDUP;
	pair_attach(p, 0);
	assert_int_equal(try_open(p, &open), CN_ENOSYS);
	p->hello[1].features |= CN_FEATURE_DEDUP;
	pair_attach(p, 0);
	open.is_unstored = true;
	assert_int_equal(try_open(p, &open), CN_EINVAL);
	open = warm_open;
	open.profile.dedup = false;
	assert_int_equal(try_open(p, &open), CN_EINVAL);
	p->link[0]->is_coding_off = true;
	assert_int_equal(try_open(p, &warm_open), CN_ECODING);
	p->link[0]->is_coding_off = false;
	assert_int_equal(try_open(p, &warm_open), CN_OK);
	assert_int_equal(cn_link_streams(p->link[0]), 1);
	pair_free(&p);

	p = begin(false);
	assert_int_equal(try_open(p, &warm_open), CN_ENOSYS);
	pair_attach(p, 0);
	assert_int_equal(try_open(p, &warm_open), CN_ENOSYS);
	assert_int_equal(cn_link_streams(p->link[0]), 0);
	pair_free(&p);
}

/* A peer that forgot its store meanwhile would reach the target. */
static void
test_no_store_any_more(void **state)
{
	struct pair *p = begin_up(true);
	uint64_t id = cn_stream_id(pair_open_as(p, 0, &warm_open));

	(void)state;
	pair_detach(p, 0);
	p->hello[1].features &= ~(uint64_t)CN_FEATURE_DEDUP;
	pair_attach(p, 0);
	pair_run(p);
	pair_events(p, 0);
	assert_true(p->end[0][id].is_reset);
	assert_null(p->end[1][id].stream);
	assert_int_equal(cn_link_streams(p->link[0]), 0);
	assert_int_equal(cn_link_streams(p->link[1]), 0);
	pair_free(&p);
}

static void
test_cut(void **state)
{
	for (unsigned at = 0; at < 40; at += 3) {
		struct pair *p = begin_up(true);
		uint64_t id = cn_stream_id(pair_open_as(p, 0, &warm_open));
		size_t sent = pair_write(p, 0, id, text, BYTES);

		(void)state;
		for (unsigned i = 0; i < at; i++) {
			uint8_t part[CN_FRAGMENT_MAX];
			size_t n = cn_link_pull(
			    p->link[0], 0, part, sizeof(part), p->now);

			memcpy(p->wire[0], part, n);
			p->wire_len[0] = n;
			assert_int_equal(pair_give(p, 0, 0, 0), CN_OK);
			swallow(p, 1, id);
			(void)pair_pull(p, 1, 0);
			assert_int_equal(pair_give(p, 1, 0, 0), CN_OK);
		}
		pair_detach(p, 0);
		pair_attach(p, 0);
		push(p, id, sent, BYTES - sent);
		assert_true(cost_of(p, 0, BYTES) < BYTES);
		pair_free(&p);
	}
}

/* An OPEN of that kind from a peer, in a block of its own. */
static int
give_open(struct pair *p, uint64_t flags)
{
	struct cn_frame frame = { .type = CN_FRAME_OPEN };
	struct cn_lane_head head = { 0 };
	uint8_t plain[200], out[300];
	struct cn_writer w;
	size_t used = 0, n;

	frame.u.open.stream = 0;
	frame.u.open.credit = 16384;
	frame.u.open.scope = SCOPE;
	frame.u.open.flags = flags;
	frame.u.open.service = "web";
	frame.u.open.service_len = 3;
	frame.u.open.options = plain;
	cn_writer_init(&w, plain, sizeof(plain));
	cn_frame_encode(&w, &frame);
	head.raw_len = (uint32_t)cn_writer_len(&w);
	head.hash = cn_block_lane_hash(&head, plain, head.raw_len);
	n = cn_fragment_lane_head(out, sizeof(out), &head);
	memcpy(out + n, plain, head.raw_len);
	return cn_link_receive(
	    p->link[1], 0, out, n + head.raw_len, p->now, &used);
}

static void
test_illegal(void **state)
{
	static const struct {
		bool is_stored;
		uint64_t flags;
		int err;
	} cases[] = {
		{ true, CN_OPEN_WARM, CN_OK },
		{ true, CN_OPEN_WARM | CN_OPEN_INTERACTIVE, CN_OK },
		{ true, CN_OPEN_NO_STORE, CN_OK },
		{ true, CN_OPEN_WARM | CN_OPEN_NO_STORE, CN_EPROTO },
		{ false, CN_OPEN_NO_STORE, CN_OK },
		{ false, CN_OPEN_WARM, CN_EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(cases); i++) {
		struct pair *p = begin(cases[i].is_stored);

		pair_attach(p, 0);
		assert_int_equal(give_open(p, cases[i].flags), cases[i].err);
		assert_int_equal(
		    cn_link_streams(p->link[1]), cases[i].err == CN_OK);
		pair_free(&p);
	}
}

/* ---- the background ---- */

#define LINE_BYTES 20000u /* that the carrier takes in a millisecond */

/* One millisecond of a carrier of limited rate. */
static void
tick_line(struct pair *p, bool is_busy)
{
	static uint8_t part[LINE_BYTES];
	size_t n;

	cn_link_path(
	    p->link[0], 0, UINT64_C(1000) * LINE_BYTES, 10000, is_busy);
	n = cn_link_pull(p->link[0], 0, part, sizeof(part), p->now);
	memcpy(p->wire[0], part, n);
	p->wire_len[0] = n;
	assert_int_equal(pair_give(p, 0, 0, 0), CN_OK);
	(void)pair_pull(p, 1, 0);
	assert_int_equal(pair_give(p, 1, 0, 0), CN_OK);
	p->now += 1000;
	for (int side = 0; side < 2; side++) {
		cn_link_tick(p->link[side], p->now);
		pair_events(p, side);
	}
}

static uint64_t
sent_of(const struct pair *p, uint64_t id)
{
	struct cn_stream_stats stats;

	cn_stream_stats(p->end[0][id].stream, &stats);
	return stats.sent.literal + stats.sent.raw + stats.sent.copied;
}

/* One stream, so much a millisecond, and another one that has always more. */
struct race {
	uint64_t id, other;
	size_t bytes;
	bool is_beside; /* the other one takes part */
	bool is_busy;
};

/* What each of them sends in so many milliseconds. */
static void
run_race(struct pair *p, const struct race *race, unsigned ms, uint64_t sent[2])
{
	sent[0] = sent_of(p, race->id);
	sent[1] = sent_of(p, race->other);
	for (unsigned i = 0; i < ms; i++) {
		(void)pair_write(p, 0, race->id, text, race->bytes);
		if (race->is_beside) {
			(void)pair_write(p, 0, race->other, text, BYTES);
		}
		tick_line(p, race->is_busy);
		swallow(p, 1, race->id);
		swallow(p, 1, race->other);
	}
	sent[0] = sent_of(p, race->id) - sent[0];
	sent[1] = sent_of(p, race->other) - sent[1];
}

/* A stream of the background and one that is not, with wide windows. */
static struct pair *
begin_race(struct race *race)
{
	struct cn_link_open back = { .profile = { 0, 1, 3, true, true } };
	struct pair *p = begin_up(false);
	uint64_t sent[2];

	cn_rand_bytes(text, BYTES); /* so that levels count for nothing */
	race->other = cn_stream_id(pair_open_as(p, 0, &back));
	race->id = cn_stream_id(pair_open(p, 0, 1));
	race->bytes = BYTES;
	race->is_busy = true;
	race->is_beside = false;
	run_race(p, race, 200, sent);
	pair_pass(p, 200000);
	race->bytes = 0;
	race->is_beside = true;
	run_race(p, race, 200, sent);
	assert_true(sent[1] > 100u * LINE_BYTES);
	race->is_beside = false;
	run_race(p, race, 100, sent);
	assert_int_equal(sent[1] > 0, true);
	pair_pass(p, 200000);
	return p;
}

static void
test_whole_rate(void **state)
{
	struct race race;
	struct pair *p = begin_race(&race);
	uint64_t alone[2], beside[2];

	(void)state;
	race.bytes = BYTES;
	run_race(p, &race, 300, alone);
	assert_true(alone[0] > 290u * LINE_BYTES);
	race.is_beside = true;
	run_race(p, &race, 300, beside);
	assert_true(beside[0] >= alone[0] - alone[0] / 100);
	assert_int_equal(beside[1], 0);
	/* Once the first is silent, the other goes on. */
	race.bytes = 0;
	run_race(p, &race, 300, beside);
	assert_true(beside[1] > 200u * LINE_BYTES);
	pair_free(&p);
}

/*
 * Who does not fill the line by itself still does not find a queue there;
 * where there is none, what is left of the line is used.
 */
static void
test_yield(void **state)
{
	struct race race;
	struct pair *p = begin_race(&race);
	uint64_t sent[2];

	(void)state;
	race.bytes = LINE_BYTES / 2;
	race.is_beside = true;
	run_race(p, &race, 10, sent);
	run_race(p, &race, 300, sent);
	assert_true(sent[0] >= 299u * race.bytes);
	assert_int_equal(sent[1], 0);
	race.is_busy = false;
	run_race(p, &race, 300, sent);
	assert_true(sent[0] >= 280u * race.bytes);
	assert_true(sent[1] > 50u * LINE_BYTES);
	pair_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_warm),
		cmocka_unit_test(test_usual),
		cmocka_unit_test(test_little),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_store_any_more),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_illegal),
		cmocka_unit_test(test_whole_rate),
		cmocka_unit_test(test_yield),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
