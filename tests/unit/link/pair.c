/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/pool.h"
#include "codec/codec.h"
#include "codec/dedup.h"

const struct cn_link_profile pair_profile = { 0, 1, 3, true, false };

void
pair_config(struct cn_link_config *config)
{
	*config = (struct cn_link_config){
		.slots = PAIR_SLOTS,
		.credit_floor = 16384,
		.window_max = 1u << 20,
		.streams_max = PAIR_ENDS / 2,
		.lanes = 8,
		.resume_window_us = UINT64_C(60000000),
	};
}

static void
on_wake(void *arg)
{
	(*(unsigned *)arg)++;
}

static void
make_store(struct pair *p, int side, uint64_t memory_bytes)
{
	struct cn_store_config config = {
		.memory_bytes = memory_bytes,
		.index_bytes = 1u << 20,
		.epoch = 0x1111111111111111u * (unsigned)(side + 1),
	};

	assert_int_equal(
	    cn_store_create(&config, p->now, &p->store[side]), CN_OK);
	assert_int_equal(
	    cn_dedup_scratch_create(p->store[side], &p->scratch[side]), CN_OK);
}

static void
join_store(struct pair *p, int side)
{
	uint8_t peer[CN_IMAGE_PEER_BYTES];

	memset(peer, 2 - side, sizeof(peer));
	memset(p->hello[side].boot_id, side + 1, CN_BOOT_ID_BYTES);
	assert_int_equal(cn_dedup_create(p->store[side], p->scratch[side], peer,
			     on_wake, &p->wakes[side], &p->dedup[side]),
	    CN_OK);
}

static struct pair *
create(const struct cn_link_config *config, uint64_t memory_bytes,
    struct pair *first)
{
	struct cn_codec_config codec = {
		.contexts_bytes = 32u << 20,
		.lane_window_log = 16,
		.lane_level = 3,
	};
	struct pair *p = cn_calloc(1, sizeof(*p));

	assert_non_null(p);
	p->now = first != NULL ? first->now : 1000000;
	p->config = *config;
	p->is_beside = first != NULL;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(cn_pool_create(96u << 20, &p->pool[i]), CN_OK);
		assert_int_equal(cn_codec_create(&codec, &p->codec[i]), CN_OK);
		if (first != NULL) {
			p->store[i] = first->store[i];
			p->scratch[i] = first->scratch[i];
		} else if (memory_bytes > 0) {
			make_store(p, i, memory_bytes);
		}
		if (p->store[i] != NULL) {
			join_store(p, i);
		}
		p->config.dedup = p->dedup[i];
		p->config.is_dialler = i == 0;
		p->config.pool = p->pool[i];
		p->config.codec = p->codec[i];
		assert_int_equal(
		    cn_link_create(&p->config, p->now, &p->link[i]), CN_OK);
		cn_link_limits(&p->config, &p->hello[i]);
		p->wire[i] = cn_alloc(PAIR_BUF);
		assert_non_null(p->wire[i]);
	}
	return p;
}

struct pair *
pair_create(const struct cn_link_config *config)
{
	return create(config, 0, NULL);
}

struct pair *
pair_create_stored(const struct cn_link_config *config, uint64_t memory_bytes)
{
	return create(config, memory_bytes, NULL);
}

struct pair *
pair_create_beside(const struct cn_link_config *config, struct pair *first)
{
	return create(config, 0, first);
}

void
pair_free(struct pair **pp)
{
	struct pair *p = *pp;

	*pp = NULL;
	for (int i = 0; i < 2; i++) {
		cn_link_free(&p->link[i]);
		cn_dedup_free(&p->dedup[i]);
		if (!p->is_beside) {
			cn_dedup_scratch_free(&p->scratch[i]);
			cn_store_free(&p->store[i]);
		}
		assert_int_equal(cn_pool_used(p->pool[i]), 0);
		assert_int_equal(cn_pool_promised(p->pool[i]), 0);
		cn_codec_free(&p->codec[i]);
		cn_pool_free(&p->pool[i]);
		cn_free(p->wire[i]);
	}
	cn_free(p);
}

void
pair_attach(struct pair *p, uint32_t slot)
{
	p->generation++;
	for (int i = 0; i < 2; i++) {
		p->wire_len[i] = 0;
		assert_int_equal(cn_link_attach(p->link[i], slot, p->generation,
				     &p->hello[1 - i], p->now),
		    CN_OK);
	}
}

void
pair_detach(struct pair *p, uint32_t slot)
{
	for (int i = 0; i < 2; i++) {
		p->wire_len[i] = 0;
		cn_link_detach(p->link[i], slot, p->now);
	}
}

struct cn_stream *
pair_open_as(struct pair *p, int side, const struct cn_link_open *as)
{
	struct cn_link_open open = *as;
	struct cn_stream *s;

	open.service = "web";
	open.client = "192.0.2.1:4711";
	assert_int_equal(
	    cn_stream_open(p->link[side], &open, NULL, p->now, &s), CN_OK);
	assert_true(cn_stream_id(s) < PAIR_ENDS);
	p->end[side][cn_stream_id(s)].stream = s;
	return s;
}

struct cn_stream *
pair_open(struct pair *p, int side, uint64_t scope)
{
	return pair_open_as(p, side,
	    &(struct cn_link_open){ .scope = scope, .profile = pair_profile });
}

struct cn_stream *
pair_open_unstored(struct pair *p, int side, uint64_t scope)
{
	return pair_open_as(p, side,
	    &(struct cn_link_open){
		.scope = scope, .is_unstored = true, .profile = pair_profile });
}

size_t
pair_write(struct pair *p, int side, uint64_t id, const void *bytes, size_t len)
{
	struct cn_stream *s = p->end[side][id].stream;
	struct cn_span spans[8];
	size_t n = cn_stream_fill_spans(s, spans, CN_ARRAY_LEN(spans));
	size_t got = 0;

	for (size_t i = 0; i < n && got < len; i++) {
		size_t part = CN_MIN(spans[i].len, len - got);

		memcpy(spans[i].data, (const uint8_t *)bytes + got, part);
		got += part;
	}
	cn_stream_fill(s, got, true, p->now);
	return got;
}

size_t
pair_read(struct pair *p, int side, uint64_t id, uint8_t *out, size_t cap)
{
	struct cn_stream *s = p->end[side][id].stream;
	struct cn_span spans[8];
	size_t got = 0, n;

	while (got < cap &&
	    (n = cn_stream_read_spans(s, spans, CN_ARRAY_LEN(spans))) > 0) {
		size_t taken = 0;

		for (size_t i = 0; i < n && got < cap; i++) {
			size_t part = CN_MIN(spans[i].len, cap - got);

			memcpy(out + got, spans[i].data, part);
			got += part;
			taken += part;
		}
		cn_stream_consume(s, taken, p->now);
	}
	if (cn_stream_at_end(s)) {
		cn_stream_shut(s, p->now);
	}
	return got;
}

void
pair_finish(struct pair *p, int side, uint64_t id)
{
	cn_stream_finish(p->end[side][id].stream, p->now);
}

void
pair_events(struct pair *p, int side)
{
	struct cn_link_event ev;

	while (cn_link_event(p->link[side], &ev)) {
		struct pair_end *e = NULL;

		if (ev.stream != NULL) {
			e = &p->end[side][cn_stream_id(ev.stream)];
		}
		switch (ev.type) {
		case CN_LINK_EVENT_OPEN:
			assert_null(e->stream);
			e->stream = ev.stream;
			assert_string_equal(
			    cn_stream_service(ev.stream), "web");
			assert_string_equal(
			    cn_stream_client(ev.stream), "192.0.2.1:4711");
			cn_stream_set_profile(ev.stream, &pair_profile);
			break;
		case CN_LINK_EVENT_READABLE:
			e->readable++;
			break;
		case CN_LINK_EVENT_WRITABLE:
			e->writable++;
			break;
		case CN_LINK_EVENT_ENDED:
		case CN_LINK_EVENT_RESET:
			assert_ptr_equal(e->stream, ev.stream);
			e->is_ended = ev.type == CN_LINK_EVENT_ENDED;
			e->is_reset = !e->is_ended;
			e->reason = ev.reason;
			e->stream = NULL;
			assert_false(cn_stream_at_end(ev.stream));
			cn_stream_release(ev.stream);
			break;
		case CN_LINK_EVENT_CARRIER:
			p->carrier_events[side]++;
			p->carrier_reason[side] = ev.reason;
			break;
		case CN_LINK_EVENT_DRAINING:
			p->is_drained[side] = true;
			break;
		case CN_LINK_EVENT_LOST:
			p->is_lost[side] = true;
			break;
		}
	}
}

size_t
pair_pull(struct pair *p, int side, uint32_t slot)
{
	size_t n =
	    cn_link_pull(p->link[side], slot, p->wire[side] + p->wire_len[side],
		PAIR_BUF - p->wire_len[side], p->now);

	p->wire_len[side] += n;
	p->wire_sum[side] += n;
	p->pulls[side] += n > 0;
	return n;
}

int
pair_give(struct pair *p, int side, uint32_t slot, size_t len)
{
	size_t used = 0;
	int r;

	if (len == 0 || len > p->wire_len[side]) {
		len = p->wire_len[side];
	}
	r = cn_link_receive(
	    p->link[1 - side], slot, p->wire[side], len, p->now, &used);
	memmove(p->wire[side], p->wire[side] + used, p->wire_len[side] - used);
	p->wire_len[side] -= used;
	pair_events(p, 1 - side);
	return r;
}

void
pair_run(struct pair *p)
{
	bool did = true;

	for (unsigned rounds = 0; did; rounds++) {
		did = false;
		assert_true(rounds < 10000);
		for (int side = 0; side < 2; side++) {
			if (pair_pull(p, side, 0) > 0) {
				did = true;
				(void)pair_give(p, side, 0, 0);
			}
		}
	}
}

void
pair_pass(struct pair *p, uint64_t us)
{
	uint64_t until = p->now + us;

	for (;;) {
		pair_run(p);
		for (int side = 0; side < 2; side++) {
			cn_link_tick(p->link[side], p->now);
			pair_events(p, side);
		}
		pair_run(p);
		if (p->now >= until) {
			return;
		}
		p->now = CN_MIN(p->now + 1000, until);
	}
}

void
pair_content(uint64_t key, uint64_t offset, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t word[2] = { key, (offset + i) / 8 };
		uint64_t h = cn_hash64(word, sizeof(word), 7);

		if (key % 2 == 0) {
			h = h % 16 * UINT64_C(0x9e3779b97f4a7c15);
			out[i] =
			    (uint8_t)('a' + (h >> ((offset + i) % 8 * 8)) % 26);
		} else {
			out[i] = (uint8_t)(h >> ((offset + i) % 8 * 8));
		}
	}
}
