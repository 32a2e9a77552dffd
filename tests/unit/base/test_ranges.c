/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/rand.h"
#include "base/ranges.h"

/* The naive model: one bool for each value, near 0 or near the top. */
#define SPAN 96u

struct model {
	uint64_t base;
	bool has[SPAN];
};

static uint32_t
model_count(const struct model *model)
{
	uint32_t count = 0;

	for (size_t i = 0; i < SPAN; i++) {
		count += model->has[i] && (i == 0 || !model->has[i - 1]);
	}
	return count;
}

static void
check_same(const struct cn_ranges *ranges, const struct model *model)
{
	uint32_t number = 0;
	uint64_t sum = 0;

	assert_int_equal(cn_ranges_count(ranges), model_count(model));
	for (size_t i = 0; i < SPAN; i++) {
		size_t end = i;

		assert_int_equal(
		    cn_ranges_contains(ranges, model->base + i), model->has[i]);
		if (!model->has[i] || (i > 0 && model->has[i - 1])) {
			continue;
		}
		while (end < SPAN && model->has[end]) {
			end++;
		}
		sum += end - i;
		assert_true(
		    cn_ranges_at(ranges, number).from == model->base + i);
		assert_true(
		    cn_ranges_at(ranges, number).to == model->base + end);
		number++;
	}
	assert_true(cn_ranges_sum(ranges) == sum);
}

static bool
model_covers(const struct model *model, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		if (!model->has[i]) {
			return false;
		}
	}
	return true;
}

static size_t
some_end(struct cn_prng *prng, size_t from, size_t width)
{
	size_t to = from + cn_prng_below(prng, width);

	return CN_MIN(to, SPAN);
}

static void
run_against_model(uint64_t seed, uint64_t base, uint32_t max)
{
	struct cn_prng prng;
	struct cn_ranges ranges;
	struct model model = { .base = base };

	cn_prng_init(&prng, seed);
	cn_ranges_init(&ranges, max);
	for (int step = 0; step < 6000; step++) {
		size_t width = cn_prng_chance(&prng, 1, 8) ? 40 : 5;
		size_t from = cn_prng_below(&prng, SPAN);
		size_t to = some_end(&prng, from, width);
		bool is_add = cn_prng_chance(&prng, 1, 2);
		struct model next = model;
		int rc;

		memset(next.has + from, is_add, to - from);
		rc = is_add ? cn_ranges_add(&ranges, base + from, base + to)
			    : cn_ranges_remove(&ranges, base + from, base + to);
		if (model_count(&next) > max) {
			assert_int_equal(rc, CN_ELIMIT);
		} else {
			assert_int_equal(rc, CN_OK);
			model = next;
		}
		check_same(&ranges, &model);
		from = cn_prng_below(&prng, SPAN);
		to = some_end(&prng, from, width);
		assert_int_equal(
		    cn_ranges_covers(&ranges, base + from, base + to),
		    model_covers(&model, from, to));
	}
	cn_ranges_fini(&ranges);
	assert_int_equal(cn_ranges_count(&ranges), 0);
}

static void
test_model(void **state CN_UNUSED)
{
	uint64_t count = cn_alloc_count();

	run_against_model(1, 0, 1000);
	run_against_model(2, UINT64_MAX - SPAN, 1000);
	run_against_model(3, 1000, 1);
	run_against_model(4, 1000, 2);
	run_against_model(5, 1000, 7);
	assert_int_equal(cn_alloc_count(), count);
}

static void
test_edges(void **state CN_UNUSED)
{
	struct cn_ranges ranges;

	cn_ranges_init(&ranges, 3);
	assert_int_equal(cn_ranges_add(&ranges, 5, 4), CN_EINVAL);
	assert_int_equal(cn_ranges_remove(&ranges, 5, 4), CN_EINVAL);
	assert_int_equal(cn_ranges_add(&ranges, 5, 5), CN_OK);
	assert_int_equal(cn_ranges_count(&ranges), 0);
	assert_true(cn_ranges_covers(&ranges, 5, 5));
	assert_false(cn_ranges_covers(&ranges, 5, 4));
	assert_int_equal(cn_ranges_add(&ranges, 0, UINT64_MAX), CN_OK);
	assert_true(cn_ranges_contains(&ranges, UINT64_MAX - 1));
	assert_false(cn_ranges_contains(&ranges, UINT64_MAX));
	assert_true(cn_ranges_sum(&ranges) == UINT64_MAX);
	/* At the cap, what merges is taken and what does not is refused. */
	assert_int_equal(cn_ranges_remove(&ranges, 10, 20), CN_OK);
	assert_int_equal(cn_ranges_remove(&ranges, 30, 40), CN_OK);
	assert_int_equal(cn_ranges_remove(&ranges, 50, 60), CN_ELIMIT);
	assert_int_equal(cn_ranges_add(&ranges, 15, 16), CN_ELIMIT);
	assert_int_equal(cn_ranges_count(&ranges), 3);
	assert_int_equal(cn_ranges_add(&ranges, 10, 15), CN_OK);
	assert_int_equal(cn_ranges_add(&ranges, 15, 40), CN_OK);
	assert_int_equal(cn_ranges_count(&ranges), 1);
	cn_ranges_clear(&ranges);
	assert_null(ranges.items);
	cn_ranges_fini(&ranges);
}

static void
test_an_emptied_set_gives_memory_back(void **state CN_UNUSED)
{
	struct cn_ranges ranges;
	uint64_t count = cn_alloc_count();

	cn_ranges_init(&ranges, 1000);
	for (uint64_t i = 0; i < 1000; i++) {
		assert_int_equal(
		    cn_ranges_add(&ranges, 2 * i, 2 * i + 1), CN_OK);
	}
	assert_int_equal(cn_ranges_add(&ranges, 2001, 2002), CN_ELIMIT);
	assert_int_equal(cn_ranges_remove(&ranges, 0, 3000), CN_OK);
	assert_int_equal(cn_alloc_count(), count);
	cn_ranges_fini(&ranges);
}

static void
test_without_memory(void **state CN_UNUSED)
{
	struct cn_ranges ranges;
	struct cn_range before[4];

	cn_ranges_init(&ranges, 100);
	cn_alloc_fail_at(1);
	assert_int_equal(cn_ranges_add(&ranges, 1, 2), CN_ENOMEM);
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(
		    cn_ranges_add(&ranges, 10 * i, 10 * i + 5), CN_OK);
	}
	memcpy(before, ranges.items, sizeof(before));
	cn_alloc_fail_at(1);
	assert_int_equal(cn_ranges_add(&ranges, 7, 8), CN_ENOMEM);
	cn_alloc_fail_at(1);
	assert_int_equal(cn_ranges_remove(&ranges, 1, 2), CN_ENOMEM);
	assert_int_equal(cn_ranges_count(&ranges), 4);
	assert_memory_equal(before, ranges.items, sizeof(before));
	/* What needs no new range needs no memory. */
	cn_alloc_fail_at(1);
	assert_int_equal(cn_ranges_add(&ranges, 3, 40), CN_OK);
	assert_int_equal(cn_ranges_remove(&ranges, 0, 7), CN_OK);
	assert_false(cn_alloc_has_failed());
	cn_alloc_fail_at(0);
	cn_ranges_fini(&ranges);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_an_emptied_set_gives_memory_back),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
