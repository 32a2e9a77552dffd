/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/rand.h"
#include "codec/dedup.h"
#include "hostile.h"
#include "pair.h"

/*
 * Floods of a peer that says anything about the logs: memory, answers and the
 * work for them are bounded, whatever it says.
 */

#define STORE_BYTES (UINT64_C(16) << 20)
#define BLOCK 300000u
/* Fragments of a flood, each with some hundred frames. */
#define FLOOD 300
/* What the engine may hold for all of them: answers that wait (65,536 of 24
 * bytes, twice while they are moved), buffers of a carrier. */
#define MEMORY_MOST (UINT64_C(6) << 20)
/* Bytes that it may answer on one carrier, whatever was asked. */
#define ANSWERS_MOST (UINT64_C(12) << 20)
/* Any fragments, and the store's segments that they may take. */
#define ANYTHING 6000

static uint8_t bytes[BLOCK], got[BLOCK + 1];

static struct pair *
begin(struct hostile *h, struct cn_prng *prng)
{
	struct cn_link_config config;
	struct pair *p;
	uint64_t id;
	size_t sent = 0, read = 0;

	cn_prng_init(prng, 5);
	cn_prng_bytes(prng, bytes, sizeof(bytes));
	pair_config(&config);
	config.window_max = 8u << 20;
	p = pair_create_stored(&config, STORE_BYTES);
	pair_attach(p, 0);
	pair_run(p);
	id = cn_stream_id(pair_open(p, 0, 1));
	while (read < BLOCK) {
		sent += pair_write(p, 0, id, bytes + sent, BLOCK - sent);
		pair_pass(p, 1000);
		if (p->end[1][id].stream != NULL) {
			read +=
			    pair_read(p, 1, id, got + read, sizeof(got) - read);
		}
	}
	/* Something sealed that can be asked for. */
	cn_store_trim(p->store[1], STORE_BYTES);
	memset(h, 0, sizeof(*h));
	h->prng = prng;
	for (int i = 0; i < 2; i++) {
		h->epoch[i] = cn_pair_epoch(cn_dedup_pair(p->dedup[i]));
	}
	h->stream[h->streams++] = id;
	return p;
}

/* Pull all that side 1 has to say; returns its bytes. */
static uint64_t
answers(struct pair *p)
{
	uint8_t out[4 * CN_FRAGMENT_MAX];
	uint64_t sum = 0;
	size_t n;

	while (
	    (n = cn_link_pull(p->link[1], 0, out, sizeof(out), p->now)) > 0) {
		sum += n;
		assert_true(sum <= ANSWERS_MOST);
	}
	return sum;
}

/* Questions and answers about the logs, which are not taken off its hands. */
static void
test_agreement(void **state)
{
	struct cn_prng prng;
	struct hostile h;
	struct pair *p = begin(&h, &prng);
	uint8_t out[CN_FRAGMENT_MAX], boot[CN_STORE_BOOT_BYTES] = { 77 };
	uint64_t before, sum;
	size_t used;

	(void)state;
	/* As after a restart: all is sealed, nothing is held. */
	p->now += 20000000;
	assert_true(cn_pair_meet(cn_dedup_pair(p->dedup[1]), boot, p->now));
	before = cn_alloc_bytes();
	for (int i = 0; i < FLOOD; i++) {
		size_t len = hostile_agreement(&h, out);

		assert_int_equal(
		    cn_link_receive(p->link[1], 0, out, len, p->now, &used),
		    CN_OK);
		assert_int_equal(used, len);
		assert_true(cn_alloc_bytes() < before + MEMORY_MOST);
	}
	sum = answers(p);
	assert_true(sum > 10000);
	/* More of it on the same carrier gets no more answers than that. */
	for (int i = 0; i < 3 * FLOOD; i++) {
		size_t len = hostile_agreement(&h, out);

		assert_int_equal(
		    cn_link_receive(p->link[1], 0, out, len, p->now, &used),
		    CN_OK);
		sum += answers(p);
		assert_true(sum <= ANSWERS_MOST);
	}
	assert_true(cn_alloc_bytes() < before + MEMORY_MOST);
	assert_true(cn_link_is_up(p->link[1], 0));
	pair_free(&p);
}

static void
take_events(struct pair *p)
{
	struct cn_link_event ev;

	while (cn_link_event(p->link[1], &ev)) {
		if (ev.type == CN_LINK_EVENT_OPEN) {
			cn_stream_reset(ev.stream, CN_RESET_REFUSED, p->now);
		} else if (ev.type == CN_LINK_EVENT_ENDED ||
		    ev.type == CN_LINK_EVENT_RESET) {
			cn_stream_release(ev.stream);
		}
	}
}

/* Everything, for long: what it stores stays within the store's cap. */
static void
test_anything(void **state)
{
	struct cn_prng prng;
	struct hostile h;
	struct pair *p = begin(&h, &prng);
	uint8_t out[CN_FRAGMENT_MAX];
	uint64_t before = cn_alloc_bytes();
	struct cn_store_stats stats;
	struct cn_link_stats link;
	size_t used;

	(void)state;
	for (int i = 0; i < ANYTHING; i++) {
		struct cn_stream *s = NULL;
		size_t len;

		if (!cn_link_is_up(p->link[1], 0)) {
			assert_int_equal(
			    cn_link_attach(p->link[1], 0, ++p->generation,
				&p->hello[0], p->now),
			    CN_OK);
		}
		h.streams = 0;
		while (h.streams < CN_ARRAY_LEN(h.stream) &&
		    (s = cn_link_next_stream(p->link[1], s)) != NULL) {
			h.stream[h.streams++] = cn_stream_id(s);
		}
		len = hostile_fragment(&h, out);
		(void)!cn_link_receive(p->link[1], 0, out, len, p->now, &used);
		(void)answers(p);
		p->now += 1000;
		cn_link_tick(p->link[1], p->now);
		take_events(p);
		assert_true(
		    cn_alloc_bytes() < before + STORE_BYTES + MEMORY_MOST);
	}
	cn_store_stats(p->store[1], &stats);
	assert_true(stats.memory_bytes <= stats.memory_cap);
	cn_link_stats(p->link[1], &link);
	assert_true(link.bad_refs > 0);
	assert_true(link.misses_sent > 0);
	assert_true(link.lacks_received > 0);
	pair_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agreement),
		cmocka_unit_test(test_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
