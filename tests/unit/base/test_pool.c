/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/rand.h"

static const uint32_t class_bytes[CN_PAGE_CLASSES] = { 4096, 65536, 262144 };

static struct cn_pool *
make_pool(uint64_t limit)
{
	struct cn_pool *pool = NULL;

	assert_int_equal(cn_pool_create(limit, &pool), CN_OK);
	assert_non_null(pool);
	return pool;
}

static void
test_pages_are_fresh(void **state CN_UNUSED)
{
	struct cn_pool *pool = make_pool(1u << 20);

	for (unsigned int class = 0; class < CN_PAGE_CLASSES; class ++) {
		struct cn_page *page = cn_pool_get(pool, class);
		struct cn_page *again;

		assert_non_null(page);
		assert_int_equal(page->size, class_bytes[class]);
		assert_int_equal((uintptr_t)page->data % 8, 0);
		memset(page->data, 0xaa, page->size);
		page->next = page;
		page->start = 1;
		page->len = 2;
		cn_pool_put(pool, page);
		/* It comes again, as new. */
		again = cn_pool_get(pool, class);
		assert_ptr_equal(again, page);
		assert_null(again->next);
		assert_int_equal(again->start, 0);
		assert_int_equal(again->len, 0);
		assert_int_equal(again->size, class_bytes[class]);
		cn_pool_put(pool, again);
	}
	cn_pool_put(pool, NULL);
	cn_pool_free(&pool);
	assert_null(pool);
	cn_pool_free(&pool);
}

static void
test_limit_is_reached_and_kept(void **state CN_UNUSED)
{
	const uint64_t whole = 4096 + sizeof(struct cn_page);
	struct cn_pool *pool = make_pool(10 * whole + whole / 2);
	struct cn_page *pages[10], *page;

	for (size_t i = 0; i < 10; i++) {
		pages[i] = cn_pool_get(pool, CN_PAGE_SMALL);
		assert_non_null(pages[i]);
		assert_int_equal(cn_pool_used(pool), (i + 1) * whole);
	}
	assert_null(cn_pool_get(pool, CN_PAGE_SMALL));
	assert_int_equal(cn_pool_level(pool), 95);
	assert_int_equal(cn_pool_charge(pool, whole), CN_EBUSY);
	assert_int_equal(cn_pool_charge(pool, whole / 2), CN_OK);
	assert_int_equal(cn_pool_level(pool), 100);
	assert_int_equal(cn_pool_charge(pool, 1), CN_EBUSY);
	cn_pool_put(pool, pages[0]);
	assert_int_equal(cn_pool_kept(pool), whole);
	/* What is only kept stands in nobody's way. */
	assert_int_equal(cn_pool_charge(pool, whole), CN_OK);
	assert_int_equal(cn_pool_kept(pool), 0);
	assert_null(cn_pool_get(pool, CN_PAGE_SMALL));
	cn_pool_uncharge(pool, whole);
	page = cn_pool_get(pool, CN_PAGE_SMALL);
	assert_non_null(page);
	cn_pool_put(pool, page);
	for (size_t i = 1; i < 10; i++) {
		cn_pool_put(pool, pages[i]);
	}
	cn_pool_uncharge(pool, whole / 2);
	assert_int_equal(cn_pool_used(pool), 0);
	assert_int_equal(cn_pool_level(pool), 0);
	cn_pool_free(&pool);
}

static void
test_kept_pages_give_way_to_other_classes(void **state CN_UNUSED)
{
	const uint64_t small = 4096 + sizeof(struct cn_page);
	const uint64_t large = 65536 + sizeof(struct cn_page);
	struct cn_pool *pool = make_pool(large + small);
	struct cn_page *pages[16], *page;

	for (size_t i = 0; i < CN_ARRAY_LEN(pages); i++) {
		pages[i] = cn_pool_get(pool, CN_PAGE_SMALL);
		assert_non_null(pages[i]);
	}
	assert_null(cn_pool_get(pool, CN_PAGE_SMALL));
	assert_null(cn_pool_get(pool, CN_PAGE_LARGE));
	for (size_t i = 0; i < CN_ARRAY_LEN(pages); i++) {
		cn_pool_put(pool, pages[i]);
	}
	page = cn_pool_get(pool, CN_PAGE_LARGE);
	assert_non_null(page);
	assert_true(
	    cn_pool_used(pool) + cn_pool_kept(pool) <= cn_pool_limit(pool));
	cn_pool_put(pool, page);
	cn_pool_trim(pool);
	assert_int_equal(cn_pool_kept(pool), 0);
	cn_pool_free(&pool);
}

static void
test_what_is_kept_is_bounded(void **state CN_UNUSED)
{
	static const uint32_t keep[CN_PAGE_CLASSES] = { CN_POOL_KEEP_SMALL,
		CN_POOL_KEEP_LARGE, CN_POOL_KEEP_BATCH };

	for (unsigned int class = 0; class < CN_PAGE_CLASSES; class ++) {
		struct cn_pool *pool = make_pool(1u << 30);
		struct cn_page *chain = NULL;
		uint64_t before = cn_alloc_count();

		for (uint32_t i = 0; i < keep[class] + 5; i++) {
			struct cn_page *page = cn_pool_get(pool, class);

			assert_non_null(page);
			page->next = chain;
			chain = page;
		}
		assert_int_equal(cn_alloc_count(), before + keep[class] + 5);
		while (chain != NULL) {
			struct cn_page *next = chain->next;

			cn_pool_put(pool, chain);
			chain = next;
		}
		assert_int_equal(cn_alloc_count(), before + keep[class]);
		cn_pool_trim(pool);
		assert_int_equal(cn_alloc_count(), before);
		cn_pool_free(&pool);
	}
}

static void
test_promises_have_half(void **state CN_UNUSED)
{
	struct cn_pool *pool = make_pool(1000);

	assert_int_equal(cn_pool_reserve(pool, 501), CN_EBUSY);
	assert_int_equal(cn_pool_reserve(pool, 300), CN_OK);
	assert_int_equal(cn_pool_reserve(pool, 200), CN_OK);
	assert_int_equal(cn_pool_reserve(pool, 1), CN_EBUSY);
	assert_int_equal(cn_pool_reserve(pool, UINT64_MAX), CN_EBUSY);
	assert_int_equal(cn_pool_promised(pool), 500);
	/* They take no memory. */
	assert_int_equal(cn_pool_used(pool), 0);
	assert_int_equal(cn_pool_charge(pool, 1000), CN_OK);
	assert_int_equal(cn_pool_charge(pool, UINT64_MAX), CN_EBUSY);
	cn_pool_uncharge(pool, 1000);
	cn_pool_unreserve(pool, 300);
	assert_int_equal(cn_pool_reserve(pool, 300), CN_OK);
	cn_pool_unreserve(pool, 500);
	cn_pool_free(&pool);
	pool = make_pool(0);
	assert_null(cn_pool_get(pool, CN_PAGE_SMALL));
	assert_int_equal(cn_pool_level(pool), 100);
	cn_pool_free(&pool);
	pool = make_pool(UINT64_MAX);
	assert_int_equal(cn_pool_charge(pool, UINT64_MAX / 2), CN_OK);
	assert_in_range(cn_pool_level(pool), 49, 50);
	cn_pool_uncharge(pool, UINT64_MAX / 2);
	cn_pool_free(&pool);
}

/* Gets and puts at random: the sums are always right. */
static void
test_model(void **state CN_UNUSED)
{
	enum { HELD = 64 };
	const uint64_t limit = 2u << 20;
	struct cn_pool *pool = make_pool(limit);
	struct cn_page *held[HELD] = { NULL };
	struct cn_prng prng;
	uint64_t used = 0;

	cn_prng_init(&prng, 11);
	for (int step = 0; step < 20000; step++) {
		size_t i = cn_prng_below(&prng, HELD);

		if (held[i] != NULL) {
			used -= held[i]->size + sizeof(struct cn_page);
			cn_pool_put(pool, held[i]);
			held[i] = NULL;
		} else {
			unsigned int class =
			    (unsigned int)cn_prng_below(&prng, CN_PAGE_CLASSES);
			uint64_t whole =
			    class_bytes[class] + sizeof(struct cn_page);

			held[i] = cn_pool_get(pool, class);
			assert_int_equal(
			    held[i] != NULL, used + whole <= limit);
			used += held[i] == NULL ? 0 : whole;
		}
		assert_int_equal(cn_pool_used(pool), used);
		assert_true(used + cn_pool_kept(pool) <= limit);
		assert_int_equal(cn_pool_level(pool), used * 100 / limit);
	}
	for (size_t i = 0; i < HELD; i++) {
		cn_pool_put(pool, held[i]);
	}
	cn_pool_free(&pool);
}

static void
test_without_memory(void **state CN_UNUSED)
{
	struct cn_pool *pool = NULL;

	cn_alloc_fail_at(1);
	assert_int_equal(cn_pool_create(1u << 20, &pool), CN_ENOMEM);
	assert_null(pool);
	pool = make_pool(1u << 20);
	cn_alloc_fail_at(1);
	assert_null(cn_pool_get(pool, CN_PAGE_LARGE));
	cn_alloc_fail_at(0);
	assert_int_equal(cn_pool_used(pool), 0);
	cn_pool_free(&pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_are_fresh),
		cmocka_unit_test(test_limit_is_reached_and_kept),
		cmocka_unit_test(test_kept_pages_give_way_to_other_classes),
		cmocka_unit_test(test_what_is_kept_is_bounded),
		cmocka_unit_test(test_promises_have_half),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
