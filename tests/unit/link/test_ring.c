/* SPDX-License-Identifier: Apache-2.0 */
#include "link/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/rand.h"
#include "link/link.h"

/* The model: all bytes that ever were, and which of them are held. */
#define MODEL_BYTES (4u << 20)

struct model {
	struct cn_ring ring;
	struct cn_pool *pool;
	struct cn_prng prng;
	uint8_t *bytes;
	uint64_t start, end;
};

static uint8_t
byte_at(uint64_t offset)
{
	return (uint8_t)(offset * 2654435761u >> 13);
}

static void
check_range(struct model *m, uint64_t from, uint64_t to)
{
	static uint8_t out[100000];
	struct cn_span spans[8];
	size_t len = (size_t)CN_MIN(to - from, (uint64_t)sizeof(out));
	size_t n, at = 0;

	cn_ring_copy(&m->ring, from, out, len);
	assert_memory_equal(out, m->bytes + from, len);
	n = cn_ring_view(&m->ring, from, spans, CN_ARRAY_LEN(spans));
	assert_true(n > 0 || from == m->end);
	for (size_t i = 0; i < n; i++) {
		assert_true(spans[i].len > 0);
		assert_memory_equal(
		    spans[i].data, m->bytes + from + at, spans[i].len);
		at += spans[i].len;
	}
	assert_true(at <= m->end - from);
	if (n < CN_ARRAY_LEN(spans)) {
		assert_int_equal(at, m->end - from);
	}
}

static void
append(struct model *m)
{
	size_t len = 1 + (size_t)cn_prng_below(&m->prng, 30000);

	assert_int_equal(
	    cn_ring_append(&m->ring, m->bytes + m->end, len), CN_OK);
	m->end += len;
}

static void
append_page(struct model *m)
{
	struct cn_page *page = cn_pool_get(m->pool, CN_PAGE_LARGE);

	assert_non_null(page);
	page->len = 1 + (uint32_t)cn_prng_below(&m->prng, page->size - 100);
	page->start = (uint32_t)cn_prng_below(&m->prng, 100);
	memcpy(page->data + page->start, m->bytes + m->end, page->len);
	cn_ring_append_page(&m->ring, page);
	m->end += page->len;
}

static void
offer(struct model *m)
{
	struct cn_span spans[5];
	size_t want = 1 + (size_t)cn_prng_below(&m->prng, 150000);
	enum cn_page_class class =
	    cn_prng_chance(&m->prng, 1, 2) ? CN_PAGE_SMALL : CN_PAGE_LARGE;
	size_t n = cn_ring_offer(&m->ring, want, class, spans,
	    1 + (size_t)cn_prng_below(&m->prng, CN_ARRAY_LEN(spans)));
	size_t given = 0, used;

	assert_true(n > 0);
	for (size_t i = 0; i < n; i++) {
		memcpy(spans[i].data, m->bytes + m->end + given, spans[i].len);
		given += spans[i].len;
	}
	assert_true(given <= want);
	used = cn_prng_chance(&m->prng, 1, 4)
	    ? 0
	    : (size_t)cn_prng_below(&m->prng, given + 1);
	cn_ring_commit(&m->ring, used);
	m->end += used;
}

static void
step(struct model *m)
{
	uint64_t held = m->end - m->start;

	switch (cn_prng_below(&m->prng, 6)) {
	case 0:
		append(m);
		break;
	case 1:
		append_page(m);
		break;
	case 2:
		offer(m);
		break;
	case 3:
		m->start += cn_prng_chance(&m->prng, 1, 4)
		    ? held
		    : cn_prng_below(&m->prng, held + 1);
		cn_ring_drop(&m->ring, m->start);
		break;
	default:
		check_range(
		    m, m->start + cn_prng_below(&m->prng, held + 1), m->end);
		break;
	}
	assert_int_equal(m->ring.start, m->start);
	assert_int_equal(m->ring.end, m->end);
	if (m->start == m->end) {
		assert_int_equal(cn_pool_used(m->pool), 0);
	}
}

static void
test_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct model m = { 0 };

		cn_prng_init(&m.prng, seed);
		assert_int_equal(cn_pool_create(64u << 20, &m.pool), CN_OK);
		cn_ring_init(&m.ring, m.pool);
		m.bytes = cn_alloc(MODEL_BYTES);
		assert_non_null(m.bytes);
		for (uint64_t i = 0; i < MODEL_BYTES; i++) {
			m.bytes[i] = byte_at(i);
		}
		while (m.end < MODEL_BYTES - 200000) {
			step(&m);
		}
		cn_ring_fini(&m.ring);
		assert_int_equal(cn_pool_used(m.pool), 0);
		cn_pool_free(&m.pool);
		cn_free(m.bytes);
	}
}

/* Peeking gives all of it, in order, without what was dropped. */
static void
test_peek(void **state)
{
	struct cn_pool *pool;
	struct cn_ring ring;
	struct cn_span spans[4];
	uint8_t bytes[10000];
	size_t n, at = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = byte_at(i);
	}
	assert_int_equal(cn_pool_create(1u << 20, &pool), CN_OK);
	cn_ring_init(&ring, pool);
	assert_int_equal(cn_ring_peek(&ring, spans, 4), 0);
	assert_int_equal(cn_ring_append(&ring, bytes, sizeof(bytes)), CN_OK);
	cn_ring_drop(&ring, 5000);
	n = cn_ring_peek(&ring, spans, 4);
	for (size_t i = 0; i < n; i++) {
		assert_memory_equal(
		    spans[i].data, bytes + 5000 + at, spans[i].len);
		at += spans[i].len;
	}
	assert_int_equal(at, 5000);
	cn_ring_fini(&ring);
	cn_pool_free(&pool);
}

/* Without memory nothing is appended, and nothing is kept. */
static void
test_full_pool(void **state)
{
	struct cn_pool *pool;
	struct cn_ring ring;
	struct cn_span span;
	static uint8_t bytes[30000];

	(void)state;
	assert_int_equal(cn_pool_create(20000, &pool), CN_OK);
	cn_ring_init(&ring, pool);
	assert_int_equal(cn_ring_append(&ring, bytes, 5000), CN_OK);
	assert_int_equal(
	    cn_ring_append(&ring, bytes, sizeof(bytes)), CN_ENOMEM);
	assert_int_equal(ring.end, 5000);
	assert_int_equal(cn_ring_append(&ring, bytes, 3000), CN_OK);
	assert_int_equal(
	    cn_ring_offer(&ring, 30000, CN_PAGE_LARGE, &span, 1), 1);
	cn_ring_commit(&ring, 0);
	cn_ring_drop(&ring, 8000);
	assert_int_equal(cn_pool_used(pool), 0);
	cn_ring_fini(&ring);
	cn_pool_free(&pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_peek),
		cmocka_unit_test(test_full_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
