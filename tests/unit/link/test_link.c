/* SPDX-License-Identifier: Apache-2.0 */
#include "link/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/rand.h"
#include "pair.h"
#include "wire/block.h"

/* TLS's share of a record. */
#define TLS_BYTES 22u

static struct pair *
begin(void)
{
	struct cn_link_config config;
	struct pair *p;

	pair_config(&config);
	p = pair_create(&config);
	pair_attach(p, 0);
	pair_run(p);
	return p;
}

/* A connected stream with `len' bytes sent each way. */
static uint64_t
connected(struct pair *p)
{
	uint8_t bytes[64];
	uint64_t id = cn_stream_id(pair_open(p, 0, 1));

	assert_int_equal(pair_write(p, 0, id, "hello", 5), 5);
	pair_run(p);
	assert_non_null(p->end[1][id].stream);
	assert_int_equal(pair_read(p, 1, id, bytes, sizeof(bytes)), 5);
	assert_memory_equal(bytes, "hello", 5);
	pair_pass(p, 50000);
	return id;
}

static void
assert_clean(struct pair *p, uint64_t id)
{
	for (int i = 0; i < 2; i++) {
		assert_true(p->end[i][id].is_ended);
		assert_false(p->end[i][id].is_reset);
		assert_int_equal(cn_link_streams(p->link[i]), 0);
	}
}

/* ---- opening ---- */

static void
test_open_with_data(void **state)
{
	struct pair *p = begin();
	uint64_t id = cn_stream_id(pair_open(p, 0, 1));
	uint8_t request[80], got[100];
	unsigned pulls = p->pulls[0];
	size_t n;

	(void)state;
	memset(request, 'x', sizeof(request));
	assert_int_equal(pair_write(p, 0, id, request, sizeof(request)), 80);
	n = pair_pull(p, 0, 0);
	assert_int_equal(p->pulls[0], pulls + 1);
	assert_int_equal(pair_pull(p, 0, 0), 0);
	assert_int_equal(pair_give(p, 0, 0, 0), CN_OK);
	assert_true(n > 0 && p->wire_len[0] == 0);
	assert_int_equal(p->end[1][id].readable, 1);
	assert_int_equal(pair_read(p, 1, id, got, sizeof(got)), 80);
	assert_memory_equal(got, request, 80);
	pair_free(&p);
}

/* A line of a log, as first bytes go; and a message like those before it. */
static void
test_wire_sizes(void **state)
{
	static const char request[] =
	    "GET /index.html HTTP/1.1\r\nHost: www.example.org\r\n"
	    "User-Agent: curl/7.88\r\n\r\n12345";
	struct pair *p = begin();
	char message[80];
	uint8_t got[100];
	uint64_t id, before;

	(void)state;
	assert_true(strlen(request) >= 76 && strlen(request) <= 80);
	connected(p);
	for (unsigned i = 0; i < 5; i++) {
		/* Others before it in its scope, each for another page. */
		id = cn_stream_id(pair_open(p, 0, 1));
		memcpy(got, request, 80);
		memset(got + 5, (int)('b' + i), 5);
		pair_write(p, 0, id, got, 80);
		pair_pass(p, 100000);
		pair_read(p, 1, id, got, sizeof(got));
	}
	id = cn_stream_id(pair_open(p, 0, 1));
	before = p->wire_sum[0];
	assert_int_equal(pair_write(p, 0, id, request, 80), 80);
	pair_run(p);
	assert_true(p->wire_sum[0] - before <= 108 - TLS_BYTES);
	pair_read(p, 1, id, got, sizeof(got));
	for (unsigned i = 0; i < 100; i++) {
		snprintf(message, sizeof(message),
		    "UPDATE accounts SET balance = balance + %06u WHERE id "
		    "= %07u;",
		    i * 7919, i * 104729);
		assert_true(strlen(message) >= 60);
		pair_pass(p, 100000);
		before = p->wire_sum[0] + p->wire_sum[1];
		assert_int_equal(pair_write(p, 0, id, message, 64), 64);
		pair_run(p);
		assert_int_equal(pair_read(p, 1, id, got, 64), 64);
		/* The answer carries what is to be acknowledged. */
		if (i >= 10) {
			assert_true(
			    p->wire_sum[0] + p->wire_sum[1] - before <= 53);
		}
	}
	pair_free(&p);
}

static void
test_refused(void **state)
{
	struct pair *p = begin();
	uint64_t id = cn_stream_id(pair_open(p, 0, 1));

	(void)state;
	pair_run(p);
	cn_stream_reset(p->end[1][id].stream, CN_RESET_REFUSED, p->now);
	p->end[1][id].stream = NULL;
	pair_run(p);
	assert_true(p->end[0][id].is_reset);
	assert_int_equal(p->end[0][id].reason, CN_RESET_REFUSED);
	pair_pass(p, 100000);
	/* Nothing but what is remembered of ids is left. */
	assert_int_equal(cn_pool_used(p->pool[0]), 0);
	assert_int_equal(cn_pool_used(p->pool[1]), 0);
	pair_free(&p);
}

static void
test_too_many(void **state)
{
	struct cn_link_config config;
	struct cn_link_open open = { .service = "web" };
	struct cn_stream *s;
	struct pair *p;

	(void)state;
	pair_config(&config);
	config.streams_max = 3;
	p = pair_create(&config);
	pair_attach(p, 0);
	for (int i = 0; i < 3; i++) {
		pair_open(p, 0, 1);
	}
	assert_int_equal(
	    cn_stream_open(p->link[0], &open, NULL, p->now, &s), CN_EBUSY);
	/* A peer that does not keep to it is refused. */
	p->hello[1].streams_max = 4;
	pair_attach(p, 0);
	pair_open(p, 0, 1);
	pair_run(p);
	assert_true(p->end[0][6].is_reset);
	assert_int_equal(p->end[0][6].reason, CN_RESET_BUSY);
	assert_int_equal(cn_link_streams(p->link[1]), 3);
	pair_free(&p);
}

/* OPEN and RESET in one flight: an owner hears nothing of it. */
static void
test_reset_before_told(void **state)
{
	struct pair *p = begin();
	struct cn_stream *s = pair_open(p, 0, 1);
	struct cn_link_event ev;
	size_t used;

	(void)state;
	pair_pull(p, 0, 0);
	cn_stream_reset(s, CN_RESET_BY_APPLICATION, p->now);
	p->end[0][0].stream = NULL;
	pair_pull(p, 0, 0);
	assert_int_equal(cn_link_receive(p->link[1], 0, p->wire[0],
			     p->wire_len[0], p->now, &used),
	    CN_OK);
	p->wire_len[0] = 0;
	assert_false(cn_link_event(p->link[1], &ev));
	pair_run(p);
	assert_int_equal(cn_pool_used(p->pool[1]), 0);
	pair_free(&p);
}

/* ---- ends ---- */

static void
half_close(int first)
{
	struct pair *p = begin();
	uint64_t id = connected(p);
	uint8_t got[64];

	pair_write(p, first, id, "last", 4);
	pair_finish(p, first, id);
	pair_run(p);
	assert_int_equal(pair_read(p, 1 - first, id, got, sizeof(got)), 4);
	pair_pass(p, 100000);
	assert_false(p->end[0][id].is_ended || p->end[1][id].is_ended);
	/* The other direction goes on. */
	pair_write(p, 1 - first, id, "still here", 10);
	pair_run(p);
	assert_int_equal(pair_read(p, first, id, got, sizeof(got)), 10);
	pair_finish(p, 1 - first, id);
	pair_run(p);
	assert_int_equal(pair_read(p, first, id, got, sizeof(got)), 0);
	/* ACK_FIN, END and DONE each wait for company, but not for ever. */
	pair_pass(p, 100000);
	assert_clean(p, id);
	pair_free(&p);
}

static uint64_t
blocks_sent(const struct pair *p, int side)
{
	struct cn_link_stats stats;

	cn_link_stats(p->link[side], &stats);
	return stats.blocks_sent;
}

/* The end of file goes at once, with the last bytes; what only closes the
 * books waits for company. */
static void
test_end_rides(void **state)
{
	struct pair *p = begin();
	uint64_t id = connected(p);
	uint64_t blocks = blocks_sent(p, 0);
	uint8_t got[64];

	(void)state;
	pair_write(p, 0, id, "last", 4);
	pair_finish(p, 0, id);
	pair_run(p);
	assert_int_equal(blocks_sent(p, 0), blocks + 1);
	assert_int_equal(pair_read(p, 1, id, got, sizeof(got)), 4);
	assert_int_equal(pair_read(p, 1, id, got, sizeof(got)), 0);
	blocks = blocks_sent(p, 1);
	pair_run(p);
	assert_int_equal(blocks_sent(p, 1), blocks);
	pair_pass(p, 50000);
	assert_true(blocks_sent(p, 1) > blocks);
	/* Alone and without bytes it waits for nobody either. */
	blocks = blocks_sent(p, 1);
	pair_finish(p, 1, id);
	pair_run(p);
	assert_int_equal(blocks_sent(p, 1), blocks + 1);
	assert_int_equal(pair_read(p, 0, id, got, sizeof(got)), 0);
	pair_pass(p, 100000);
	assert_clean(p, id);
	pair_free(&p);
}

static void
test_half_closes(void **state)
{
	(void)state;
	half_close(0);
	half_close(1);
}

static void
test_resets(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = begin();
		uint64_t id = connected(p);

		pair_write(p, 1 - side, id, "never read", 10);
		pair_finish(p, 1 - side, id);
		pair_run(p);
		cn_stream_reset(
		    p->end[side][id].stream, CN_RESET_BY_APPLICATION, p->now);
		p->end[side][id].stream = NULL;
		pair_run(p);
		assert_true(p->end[1 - side][id].is_reset);
		assert_int_equal(
		    p->end[1 - side][id].reason, CN_RESET_BY_APPLICATION);
		pair_free(&p);
	}
}

/* Verified but unread bytes, then a reset: that is no end of file. */
static void
test_reset_after_fin(void **state)
{
	struct pair *p = begin();
	uint64_t id = connected(p);
	struct cn_stream *s = p->end[1][id].stream;
	size_t used;

	(void)state;
	pair_write(p, 0, id, "unread", 6);
	pair_finish(p, 0, id);
	pair_run(p);
	assert_false(cn_stream_at_end(s));
	cn_stream_reset(p->end[0][id].stream, CN_RESET_BY_APPLICATION, p->now);
	pair_pull(p, 0, 0);
	assert_int_equal(cn_link_receive(p->link[1], 0, p->wire[0],
			     p->wire_len[0], p->now, &used),
	    CN_OK);
	assert_false(cn_stream_at_end(s));
	p->wire_len[0] = 0;
	p->end[0][id].stream = NULL;
	pair_events(p, 1);
	assert_true(p->end[1][id].is_reset);
	pair_free(&p);
}

/* ---- credit ---- */

static void
test_credit(void **state)
{
	struct pair *p = begin();
	uint64_t id = connected(p);
	static uint8_t bytes[1 << 20], got[1 << 20], expected[1 << 20];
	size_t sent = 0, read = 0;

	(void)state;
	pair_content(1, 0, bytes, sizeof(bytes));
	/* Nobody reads: no more than the credit goes, and then all. */
	while (sent < sizeof(bytes)) {
		size_t n =
		    pair_write(p, 0, id, bytes + sent, sizeof(bytes) - sent);

		sent += n;
		pair_run(p);
		if (n == 0) {
			break;
		}
	}
	assert_true(sent >= 16384 && sent < sizeof(bytes));
	assert_true(cn_pool_used(p->pool[1]) < 300000);
	while (read < sizeof(bytes)) {
		unsigned told = p->end[0][id].writable;

		read += pair_read(p, 1, id, got + read, sizeof(got) - read);
		pair_run(p);
		if (sent < sizeof(bytes) && p->end[0][id].writable > told) {
			size_t n;

			do {
				n = pair_write(p, 0, id, bytes + sent,
				    sizeof(bytes) - sent);
				sent += n;
			} while (n > 0 && sent < sizeof(bytes));
			pair_run(p);
		}
		p->now += 1000;
		cn_link_tick(p->link[1], p->now);
		assert_true(p->now < 100000000);
	}
	pair_content(1, 0, expected, sizeof(expected));
	assert_memory_equal(got, expected, sizeof(expected));
	pair_free(&p);
}

/* Who found no room is told when sending alone makes some. */
static void
test_room_by_sending(void **state)
{
	struct cn_link_config config;
	static uint8_t bytes[1 << 20];
	struct pair *p;
	uint64_t id;
	size_t sent = 0, n;

	(void)state;
	pair_config(&config);
	config.credit_floor = 1u << 20;
	p = pair_create(&config);
	pair_attach(p, 0);
	id = cn_stream_id(pair_open(p, 0, 1));
	pair_run(p);
	while ((n = pair_write(p, 0, id, bytes, sizeof(bytes))) > 0) {
		sent += n;
	}
	assert_int_equal(sent, 512 * 1024);
	while (pair_pull(p, 0, 0) > 0) {
	}
	pair_events(p, 0);
	assert_int_equal(p->end[0][id].writable, 1);
	assert_true(pair_write(p, 0, id, bytes, sizeof(bytes)) > 0);
	pair_free(&p);
}

/* A stream on a fast, long path gets the greatest window within a second. */
static void
test_window_growth(void **state)
{
	struct cn_link_config config;
	static uint8_t bytes[1 << 20];
	struct pair *p;
	uint64_t id, rounds = 0;
	struct cn_stream_stats st;

	(void)state;
	pair_config(&config);
	config.window_max = 16u << 20;
	p = pair_create(&config);
	pair_attach(p, 0);
	id = cn_stream_id(pair_open(p, 0, 1));
	pair_run(p);
	for (;; rounds++) {
		/* One round trip of 100 ms: data there, credit back. */
		uint8_t got[65536];

		for (int i = 0; i < 2; i++) {
			cn_link_path(p->link[i], 0, 125000000, 100000, false);
		}
		for (int i = 0; i < 64; i++) {
			pair_write(p, 0, id, bytes, sizeof(bytes));
			pair_pull(p, 0, 0);
			if (p->wire_len[0] > PAIR_BUF / 2) {
				(void)pair_give(p, 0, 0, 0);
			}
		}
		(void)pair_give(p, 0, 0, 0);
		p->now += 50000;
		while (pair_read(p, 1, id, got, sizeof(got)) > 0) {
		}
		p->now += 50000;
		cn_link_tick(p->link[0], p->now);
		cn_link_tick(p->link[1], p->now);
		while (pair_pull(p, 1, 0) > 0) {
			(void)pair_give(p, 1, 0, 0);
		}
		pair_events(p, 0);
		cn_stream_stats(p->end[0][id].stream, &st);
		/* Credit is told in halves of the window. */
		if (st.window_sent >= (16u << 20) / 2) {
			break;
		}
		assert_true(rounds < 10);
	}
	pair_free(&p);
}

/* 1,000 streams write both ways over a carrier that holds 10 KiB. */
static void
test_echo_crowd(void **state)
{
	struct cn_link_config config;
	struct pair *p;
	static size_t back[1000], echoed[1000];
	static uint8_t bytes[8192], got[8192], expected[8192];
	unsigned done = 0;

	(void)state;
	memset(back, 0, sizeof(back));
	memset(echoed, 0, sizeof(echoed));
	pair_config(&config);
	config.credit_floor = 4096;
	config.window_max = 4096;
	p = pair_create(&config);
	pair_attach(p, 0);
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t id = cn_stream_id(pair_open(p, 0, i % 5));

		assert_int_equal(id, i * 2);
		pair_content(i, 0, bytes, sizeof(bytes));
		assert_int_equal(
		    pair_write(p, 0, id, bytes, sizeof(bytes)), sizeof(bytes));
		pair_finish(p, 0, id);
	}
	for (unsigned rounds = 0; done < 1000; rounds++) {
		assert_true(rounds < 20000);
		for (int side = 0; side < 2; side++) {
			if (p->wire_len[side] < 10240) {
				size_t n = cn_link_pull(p->link[side], 0,
				    p->wire[side] + p->wire_len[side],
				    CN_FRAGMENT_MAX, p->now);

				p->wire_len[side] += n;
			}
			(void)pair_give(p, side, 0, 0);
			cn_link_tick(p->link[side], p->now);
			pair_events(p, side);
		}
		p->now += 1000;
		for (uint64_t i = 0; i < 1000; i++) {
			uint64_t id = i * 2;
			size_t n;

			if (p->end[1][id].stream != NULL) {
				n = pair_read(p, 1, id, got, sizeof(got));
				assert_int_equal(
				    pair_write(p, 1, id, got, n), n);
				echoed[i] += n;
				if (echoed[i] == sizeof(bytes)) {
					pair_finish(p, 1, id);
				}
			}
			if (p->end[0][id].stream == NULL) {
				continue;
			}
			n = pair_read(p, 0, id, got, sizeof(got));
			pair_content(i, back[i], expected, n);
			assert_memory_equal(got, expected, n);
			back[i] += n;
		}
		done = 0;
		for (uint64_t i = 0; i < 1000; i++) {
			done += p->end[0][i * 2].is_ended &&
			    back[i] == sizeof(bytes);
		}
	}
	pair_free(&p);
}

/* ---- resume ---- */

static bool
exchange_is_over(const struct pair *p)
{
	return p->end[0][0].is_ended && p->end[1][0].is_ended;
}

/* The applications of a short exchange do what they can. */
static void
exchange(struct pair *p, size_t got[2], size_t put[2])
{
	static const char text[2][16] = { "question", "answer" };
	static const size_t len[2] = { 8, 6 };
	uint8_t bytes[16];

	for (int i = 0; i < 2; i++) {
		if (p->end[i][0].stream == NULL) {
			continue;
		}
		got[i] += pair_read(p, i, 0, bytes, sizeof(bytes));
		assert_true(got[i] <= len[1 - i]);
		if (put[i] == 0 && (i == 0 || got[1] == len[0])) {
			put[i] = pair_write(p, i, 0, text[i], len[i]);
			pair_finish(p, i, 0);
		}
	}
}

/* Cut when so many bytes went over the carrier, in sum. */
static bool
exchange_with_cut(size_t cut_at, bool is_dropped)
{
	struct cn_link_config config;
	struct pair *p;
	size_t gone = 0, got[2] = { 0 }, put[2] = { 0 };
	bool is_cut = false;

	pair_config(&config);
	p = pair_create(&config);
	pair_attach(p, 0);
	pair_open(p, 0, 1);
	for (unsigned rounds = 0; !exchange_is_over(p); rounds++) {
		assert_true(rounds < 200);
		exchange(p, got, put);
		for (int i = 0; i < 2; i++) {
			size_t n = pair_pull(p, i, 0);

			if (!is_cut && gone + n > cut_at) {
				/* Some of it arrives, and may be used. */
				if (cut_at > gone && !is_dropped) {
					(void)pair_give(p, i, 0, cut_at - gone);
				}
				is_cut = true;
				pair_detach(p, 0);
				pair_events(p, 0);
				pair_events(p, 1);
				pair_attach(p, 0);
				break;
			}
			gone += n;
			assert_int_equal(pair_give(p, i, 0, 0), CN_OK);
		}
		p->now += 10000;
		cn_link_tick(p->link[0], p->now);
		cn_link_tick(p->link[1], p->now);
	}
	assert_int_equal(got[0], 6);
	assert_int_equal(got[1], 8);
	pair_run(p);
	assert_clean(p, 0);
	pair_free(&p);
	return is_cut;
}

static void
test_cut_anywhere(void **state)
{
	size_t at = 0;

	(void)state;
	while (exchange_with_cut(at, false)) {
		(void)exchange_with_cut(at, true);
		at++;
	}
	assert_true(at > 200);
}

#define CROWD 80u

/*
 * Each carrier dies after half of what its sender gave it arrived, which is
 * room for a few streams: all must get their turn, carrier after carrier.
 */
static void
test_turns_over_cuts(void **state)
{
	static uint8_t bytes[65536];
	struct cn_link_config config;
	struct pair *p;
	size_t got[CROWD] = { 0 };

	(void)state;
	pair_config(&config);
	config.credit_floor = sizeof(bytes);
	p = pair_create(&config);
	pair_attach(p, 0);
	for (uint64_t i = 0; i < CROWD; i++) {
		assert_int_equal(cn_stream_id(pair_open(p, 0, 1)), i * 2);
	}
	pair_run(p);
	pair_content(1, 0, bytes, sizeof(bytes));
	for (unsigned lives = 0; lives < CROWD; lives++) {
		pair_detach(p, 0);
		pair_attach(p, 0);
		for (uint64_t i = 0; i < CROWD; i++) {
			(void)pair_write(p, 0, i * 2, bytes, sizeof(bytes));
		}
		for (unsigned rounds = 0; rounds < 4; rounds++) {
			for (int side = 0; side < 2; side++) {
				(void)pair_pull(p, side, 0);
				(void)pair_give(p, side, 0,
				    CN_MAX(p->wire_len[side] / 2, 16384u));
			}
			p->now += 1000;
			cn_link_tick(p->link[0], p->now);
			cn_link_tick(p->link[1], p->now);
		}
		for (uint64_t i = 0; i < CROWD; i++) {
			got[i] += pair_read(p, 1, i * 2, bytes, sizeof(bytes));
		}
		pair_content(1, 0, bytes, sizeof(bytes));
	}
	for (uint64_t i = 0; i < CROWD; i++) {
		assert_true(got[i] > 4 * sizeof(bytes));
	}
	cn_link_reset_all(p->link[0], CN_RESET_LINK_LOST, p->now);
	cn_link_reset_all(p->link[1], CN_RESET_LINK_LOST, p->now);
	pair_events(p, 0);
	pair_events(p, 1);
	pair_free(&p);
}

/* Two carriers; the one with the streams stays down. */
static void
test_move(void **state)
{
	struct cn_link_config config;
	struct pair *p;
	uint8_t got[64];
	uint64_t id = 2; /* goes on slot 1 */

	(void)state;
	for (int was_confirmed = 0; was_confirmed < 2; was_confirmed++) {
		pair_config(&config);
		p = pair_create(&config);
		pair_attach(p, 0);
		pair_run(p);
		pair_attach(p, 1);
		pair_open(p, 0, 1);
		pair_open(p, 0, 1);
		pair_write(p, 0, id, "one", 3);
		pair_run(p);
		while (pair_pull(p, 0, 1) > 0) {
			(void)pair_give(p, 0, 1, 0);
		}
		if (was_confirmed) {
			while (pair_pull(p, 1, 1) > 0) {
				(void)pair_give(p, 1, 1, 0);
			}
		}
		assert_int_equal(pair_read(p, 1, id, got, sizeof(got)), 3);
		pair_detach(p, 1);
		pair_write(p, 0, id, "two", 3);
		pair_write(p, 1, id, "three", 5);
		pair_pass(p, 1100000);
		assert_int_equal(pair_read(p, 1, id, got, sizeof(got)), 3);
		assert_memory_equal(got, "two", 3);
		assert_int_equal(pair_read(p, 0, id, got, sizeof(got)), 5);
		assert_memory_equal(got, "three", 5);
		pair_free(&p);
	}
}

static void
test_stale(void **state)
{
	struct pair *p = begin();

	(void)state;
	assert_int_equal(
	    cn_link_attach(p->link[0], 0, p->generation, &p->hello[1], p->now),
	    CN_ESTALE);
	assert_true(cn_link_is_up(p->link[0], 0));
	assert_int_equal(
	    cn_link_attach(p->link[0], PAIR_SLOTS, 99, &p->hello[1], p->now),
	    CN_EINVAL);
	pair_free(&p);
}

static void
test_dead_carrier(void **state)
{
	struct pair *p = begin();
	uint64_t start = p->now;

	(void)state;
	connected(p);
	while (p->carrier_events[0] == 0) {
		uint64_t at = cn_link_deadline(p->link[0]);

		assert_true(at > p->now || at == UINT64_MAX);
		p->now = CN_MAX(p->now, at);
		cn_link_tick(p->link[0], p->now);
		while (pair_pull(p, 0, 0) > 0) {
			p->wire_len[0] = 0; /* nobody hears it */
		}
		pair_events(p, 0);
		assert_true(p->now - start < 30000000);
	}
	assert_int_equal(p->carrier_reason[0], CN_CLOSE_TIMEOUT);
	assert_true(p->now - start >= 15000000);
	assert_true(p->now - start <= 21000000);
	pair_free(&p);
}

static void
test_lost(void **state)
{
	struct pair *p = begin();
	uint64_t id = connected(p);

	(void)state;
	pair_detach(p, 0);
	p->now += p->config.resume_window_us - 1;
	cn_link_tick(p->link[0], p->now);
	pair_events(p, 0);
	assert_false(p->is_lost[0]);
	p->now++;
	cn_link_tick(p->link[0], p->now);
	pair_events(p, 0);
	assert_true(p->is_lost[0]);
	assert_true(p->end[0][id].is_reset);
	assert_int_equal(p->end[0][id].reason, CN_RESET_LINK_LOST);
	assert_int_equal(cn_link_deadline(p->link[0]), UINT64_MAX);
	pair_free(&p);
}

/* ---- damage ---- */

static size_t
first_fragment(const struct pair *p, int side)
{
	struct cn_fragment f;
	size_t used;

	assert_int_equal(
	    cn_fragment_decode(p->wire[side], p->wire_len[side], &f, &used),
	    CN_OK);
	return used;
}

/* Twenty lane blocks in flight, one of them damaged: all comes, in order. */
static void
test_nack(void **state)
{
	(void)state;
	for (unsigned bad = 0; bad < 20; bad++) {
		struct pair *p = begin();
		uint64_t id = connected(p);
		uint8_t bytes[2000], got[2000], expected[2000];
		struct cn_link_stats st;
		size_t starts[21];
		size_t n;

		pair_content(2, 0, bytes, sizeof(bytes));
		for (unsigned i = 0; i < 20; i++) {
			starts[i] = p->wire_len[0];
			pair_write(p, 0, id, bytes + i * 100, 100);
			assert_true(pair_pull(p, 0, 0) > 0);
		}
		starts[20] = p->wire_len[0];
		p->wire[0][starts[bad + 1] - 1] ^= 4;
		pair_give(p, 0, 0, 0);
		n = pair_read(p, 1, id, got, sizeof(got));
		assert_int_equal(n, bad * 100);
		pair_pass(p, 50000);
		n += pair_read(p, 1, id, got + n, sizeof(got) - n);
		assert_int_equal(n, sizeof(got));
		pair_content(2, 0, expected, sizeof(expected));
		assert_memory_equal(got, expected, sizeof(got));
		/* One NACK for all of them. */
		cn_link_stats(p->link[1], &st);
		assert_int_equal(
		    st.nacks_sent[CN_NACK_HASH] + st.nacks_sent[CN_NACK_CODING],
		    1);
		/* The lane goes on, coded, in its next generation. */
		pair_write(p, 0, id, bytes, 100);
		pair_pull(p, 0, 0);
		assert_int_equal(p->wire[0][0], CN_FRAGMENT_LANE_CODED);
		pair_free(&p);
	}
}

static void
test_coding_off(void **state)
{
	struct pair *p = begin();
	uint64_t id = connected(p);
	struct cn_link_stats st;
	uint8_t bytes[100], got[100];

	(void)state;
	pair_content(2, 0, bytes, sizeof(bytes));
	for (unsigned i = 0; i < 3; i++) {
		cn_link_stats(p->link[0], &st);
		assert_false(st.is_coding_off);
		pair_write(p, 0, id, bytes, sizeof(bytes));
		pair_pull(p, 0, 0);
		assert_int_equal(p->wire[0][0], CN_FRAGMENT_LANE_CODED);
		p->wire[0][first_fragment(p, 0) - 1] ^= 1;
		pair_give(p, 0, 0, 0);
		pair_pass(p, 50000);
		assert_int_equal(pair_read(p, 1, id, got, sizeof(got)), 100);
		assert_memory_equal(got, bytes, 100);
	}
	cn_link_stats(p->link[0], &st);
	assert_true(st.is_coding_off);
	pair_write(p, 0, id, bytes, sizeof(bytes));
	pair_pull(p, 0, 0);
	assert_int_equal(p->wire[0][0], CN_FRAGMENT_LANE_RAW);
	pair_free(&p);
}

/* A peer without memory for decoders gets all the same bytes raw. */
static void
test_no_decoder(void **state)
{
	struct cn_link_config config;
	struct pair *p;
	uint8_t bytes[100], got[100];
	size_t n;

	(void)state;
	pair_config(&config);
	p = pair_create(&config);
	pair_attach(p, 0);
	pair_open(p, 0, 1);
	pair_content(2, 0, bytes, sizeof(bytes));
	pair_write(p, 0, 0, bytes, sizeof(bytes));
	pair_pull(p, 0, 0);
	cn_alloc_fail_at(2); /* the decoder itself */
	pair_give(p, 0, 0, 0);
	cn_alloc_fail_at(0);
	assert_true(cn_link_is_up(p->link[1], 0));
	pair_pass(p, 100000);
	n = pair_read(p, 1, 0, got, sizeof(got));
	assert_int_equal(n, sizeof(got));
	assert_memory_equal(got, bytes, n);
	assert_int_equal(p->carrier_events[0] + p->carrier_events[1], 0);
	pair_free(&p);
}

/* ---- the rest ---- */

static void
test_drain(void **state)
{
	struct pair *p = begin();
	struct cn_link_open open = { .service = "web" };
	struct cn_stream *s;
	uint64_t id = connected(p), crossing;
	uint8_t got[16];

	(void)state;
	cn_link_drain(p->link[0]);
	assert_int_equal(
	    cn_stream_open(p->link[0], &open, NULL, p->now, &s), CN_EDRAIN);
	crossing = cn_stream_id(pair_open(p, 1, 1));
	pair_run(p);
	assert_true(p->is_drained[1]);
	assert_true(p->end[1][crossing].is_reset);
	assert_int_equal(p->end[1][crossing].reason, CN_RESET_SHUTDOWN);
	assert_int_equal(
	    cn_stream_open(p->link[1], &open, NULL, p->now, &s), CN_EDRAIN);
	/* What is there goes on. */
	pair_write(p, 0, id, "go on", 5);
	pair_run(p);
	assert_int_equal(pair_read(p, 1, id, got, sizeof(got)), 5);
	pair_free(&p);
}

static void
test_drain_by_hello(void **state)
{
	struct cn_link_config config;
	struct cn_link_open open = { .service = "web" };
	struct cn_stream *s;
	struct pair *p;

	(void)state;
	pair_config(&config);
	p = pair_create(&config);
	p->hello[1].flags = CN_HELLO_DRAINING;
	pair_attach(p, 0);
	pair_run(p);
	pair_events(p, 0);
	assert_true(p->is_drained[0]);
	assert_int_equal(
	    cn_stream_open(p->link[0], &open, NULL, p->now, &s), CN_EDRAIN);
	pair_free(&p);
}

/* A full carrier, everything due: the timer must not fire for ever. */
static void
test_no_spin(void **state)
{
	struct pair *p = begin();
	uint64_t id = connected(p);
	static uint8_t bytes[100000];
	uint8_t got[100];

	(void)state;
	pair_write(p, 0, id, bytes, 100);
	pair_run(p);
	pair_read(p, 1, id, got, sizeof(got)); /* ACK is due some time */
	pair_write(p, 1, id, bytes, sizeof(bytes));
	cn_link_path(p->link[1], 0, 1000, 1000, true);
	for (unsigned i = 0; i < 100; i++) {
		uint64_t at = cn_link_deadline(p->link[1]);

		assert_true(at > p->now);
		p->now = at;
		cn_link_tick(p->link[1], p->now);
		if (p->now > 14000000) {
			break;
		}
	}
	assert_true(p->now > 14000000);
	pair_free(&p);
}

/* So many ACKs as a fast reader makes: their blocks are acknowledged. */
static void
test_many_acks(void **state)
{
	struct pair *p = begin();
	uint64_t id = connected(p);
	static uint8_t bytes[65536], got[65536];
	size_t sum = 0;

	(void)state;
	for (unsigned i = 0; i < 6000; i++) {
		pair_write(p, 0, id, bytes, 16384);
		while (pair_pull(p, 0, 0) > 0) {
			(void)pair_give(p, 0, 0, 0);
		}
		sum += pair_read(p, 1, id, got, sizeof(got));
		/* Each read is told at once. */
		p->now += 200;
		cn_link_tick(p->link[1], p->now);
		while (pair_pull(p, 1, 0) > 0) {
			(void)pair_give(p, 1, 0, 0);
		}
	}
	assert_true(sum >= UINT64_C(6000) * 16384);
	pair_free(&p);
}

/* What a stream costs when it does nothing. */
static void
test_idle_cost(void **state)
{
	struct pair *p = begin();
	uint64_t before[2];
	uint8_t got[16];

	(void)state;
	connected(p);
	before[0] = cn_alloc_bytes();
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t id = cn_stream_id(pair_open(p, 0, 1));

		pair_write(p, 0, id, "hello", 5);
		pair_run(p);
		pair_read(p, 1, id, got, sizeof(got));
		pair_pass(p, 25000);
	}
	pair_pass(p, 6000000);
	before[1] = cn_alloc_bytes();
	/* Both sides' state, maps included. */
	assert_true(before[1] - before[0] < UINT64_C(1000) * 2 * 1280);
	assert_true(cn_pool_used(p->pool[0]) <= UINT64_C(1001) * 1024);
	pair_free(&p);
}

/* One script of everything; the nth allocation fails.  Was there an nth? */
static bool
torture(uint64_t nth)
{
	struct cn_link_open open = { .service = "web",
		.client = "192.0.2.1:4711",
		.scope = 1,
		.profile = pair_profile };
	struct cn_link_config config;
	struct cn_stream *s = NULL;
	static uint8_t bytes[60000], got[60000];
	struct pair *p;
	bool has_failed;
	int r;

	pair_config(&config);
	p = pair_create(&config);
	cn_alloc_fail_at(nth);
	p->generation = 1;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 2; i++) {
			r = cn_link_attach(p->link[i], 0, p->generation,
			    &p->hello[1 - i], p->now);
			assert_true(r == CN_OK || r == CN_ENOMEM);
		}
		p->generation++;
		r = round > 0
		    ? CN_EBUSY
		    : cn_stream_open(p->link[0], &open, NULL, p->now, &s);
		if (r == CN_OK) {
			p->end[0][0].stream = s;
		}
		for (int i = 0; i < 200; i++) {
			if (p->end[0][0].stream != NULL && i % 50 == 0) {
				pair_write(p, 0, 0, bytes, sizeof(bytes));
			}
			if (round == 1 && i == 100 &&
			    p->end[0][0].stream != NULL) {
				pair_finish(p, 0, 0);
			}
			for (int side = 0; side < 2; side++) {
				pair_pull(p, side, 0);
				if (cn_link_is_up(p->link[1 - side], 0)) {
					(void)pair_give(p, side, 0, 0);
				} else {
					p->wire_len[side] = 0;
				}
				pair_events(p, side);
				if (p->end[side][0].stream != NULL) {
					pair_read(p, side, 0, got, sizeof(got));
				}
				cn_link_tick(p->link[side], p->now);
			}
			p->now += 5000;
		}
	}
	has_failed = cn_alloc_has_failed();
	cn_alloc_fail_at(0);
	pair_free(&p);
	return has_failed;
}

static void
test_torture(void **state)
{
	uint64_t nth = 1;

	(void)state;
	while (torture(nth)) {
		nth += nth < 120 ? 1 : 7;
	}
	assert_true(nth > 50);
}

/* Small messages of many streams gather while others are under way; who
 * waits for each answer never does. */
static void
test_crowd(void **state)
{
	struct cn_link_profile profile = {
		.coalesce_us = 2000, .level_min = 1, .level_max = 3
	};
	struct pair *p = begin();
	uint64_t id[4], waited;
	uint8_t got[16];
	unsigned pulls;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		id[i] = connected(p);
		cn_stream_set_profile(p->end[0][id[i]].stream, &profile);
	}
	pair_pass(p, 1000000);
	cn_link_path(p->link[0], 0, 1000000, 40000, false);
	/* The first goes at once, the others together, 2 ms after it. */
	pair_write(p, 0, id[0], "hello", 5);
	assert_true(pair_pull(p, 0, 0) > 0);
	pulls = p->pulls[0];
	for (unsigned i = 1; i < 4; i++) {
		p->now += 100;
		pair_write(p, 0, id[i], "hello", 5);
		assert_int_equal(pair_pull(p, 0, 0), 0);
	}
	waited = cn_link_deadline(p->link[0]) - p->now;
	assert_true(waited > 1000 && waited < 2000);
	p->now += waited;
	cn_link_tick(p->link[0], p->now);
	assert_true(pair_pull(p, 0, 0) > 0);
	assert_int_equal(p->pulls[0], pulls + 1);
	(void)pair_give(p, 0, 0, 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pair_read(p, 1, id[i], got, 16), 5);
	}
	pair_pass(p, 100000);
	/* Acknowledged, a lone one waits for nothing. */
	cn_link_path(p->link[0], 0, 1000000, 40000, false);
	pair_write(p, 0, id[0], "hello", 5);
	assert_true(pair_pull(p, 0, 0) > 0);
	pair_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_with_data),
		cmocka_unit_test(test_wire_sizes),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_reset_before_told),
		cmocka_unit_test(test_half_closes),
		cmocka_unit_test(test_end_rides),
		cmocka_unit_test(test_resets),
		cmocka_unit_test(test_reset_after_fin),
		cmocka_unit_test(test_credit),
		cmocka_unit_test(test_room_by_sending),
		cmocka_unit_test(test_window_growth),
		cmocka_unit_test(test_echo_crowd),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_turns_over_cuts),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_dead_carrier),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_nack),
		cmocka_unit_test(test_coding_off),
		cmocka_unit_test(test_no_decoder),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_drain_by_hello),
		cmocka_unit_test(test_no_spin),
		cmocka_unit_test(test_many_acks),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_idle_cost),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
