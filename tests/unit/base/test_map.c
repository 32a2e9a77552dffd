/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/map.h"
#include "base/rand.h"

/* The naive model: a value for each of a few keys, NULL for none. */
#define KEYS 500u

struct model {
	uint64_t keys[KEYS];
	void *values[KEYS];
	size_t count;
};

static int targets[1000];

static void
check_same(const struct cn_map *map, const struct model *model)
{
	size_t pos = 0, seen = 0;
	uint64_t key;
	void *value;
	bool found[KEYS] = { false };

	assert_int_equal(cn_map_count(map), model->count);
	for (size_t i = 0; i < KEYS; i++) {
		assert_ptr_equal(
		    cn_map_get(map, model->keys[i]), model->values[i]);
	}
	while (cn_map_next(map, &pos, &key, &value)) {
		size_t i;

		for (i = 0; i < KEYS && model->keys[i] != key; i++) {
		}
		assert_true(i < KEYS && !found[i]);
		assert_ptr_equal(value, model->values[i]);
		found[i] = true;
		seen++;
	}
	assert_int_equal(seen, model->count);
}

/* Keys as links have them, as attackers choose them, and extremes. */
static uint64_t
make_key(struct cn_prng *prng, unsigned int kind, size_t i)
{
	switch (kind) {
	case 0:
		return 2 * i;
	case 1:
		return (uint64_t)i << 40;
	case 2:
		return UINT64_MAX - i;
	default:
		return cn_prng_u64(prng);
	}
}

static void
run_against_model(uint64_t seed, unsigned int kind)
{
	struct cn_prng prng;
	struct cn_map map;
	struct model model = { .count = 0 };

	cn_prng_init(&prng, seed);
	cn_map_init(&map);
	for (size_t i = 0; i < KEYS; i++) {
		model.keys[i] = make_key(&prng, kind, i);
	}
	for (int step = 0; step < 20000; step++) {
		size_t i = cn_prng_below(&prng, KEYS);
		/* Grow for a while, then shrink to nothing, and again. */
		bool is_growing = step / 2500 % 2 == 0;

		if (cn_prng_chance(&prng, is_growing ? 3 : 1, 4)) {
			void *value = &targets[cn_prng_below(
			    &prng, CN_ARRAY_LEN(targets))];

			assert_int_equal(
			    cn_map_put(&map, model.keys[i], value), CN_OK);
			model.count += model.values[i] == NULL;
			model.values[i] = value;
		} else {
			assert_ptr_equal(cn_map_remove(&map, model.keys[i]),
			    model.values[i]);
			model.count -= model.values[i] != NULL;
			model.values[i] = NULL;
		}
		assert_true(map.count <= (map.mask + 1) / 4 * 3);
		if (step % 250 == 0) {
			check_same(&map, &model);
		}
	}
	check_same(&map, &model);
	cn_map_fini(&map);
	assert_int_equal(cn_map_count(&map), 0);
}

static void
test_model(void **state CN_UNUSED)
{
	uint64_t count = cn_alloc_count();

	for (unsigned int kind = 0; kind < 4; kind++) {
		run_against_model(1000 + kind, kind);
	}
	cn_map_set_seed(UINT64_C(0x1234567890abcdef));
	run_against_model(1, 3);
	cn_map_set_seed(0);
	run_against_model(2, 0);
	assert_int_equal(cn_alloc_count(), count);
}

static void
test_shrinks(void **state CN_UNUSED)
{
	struct cn_map map;

	cn_map_init(&map);
	assert_int_equal(map.slots == NULL, true);
	assert_null(cn_map_get(&map, 0));
	assert_null(cn_map_remove(&map, 0));
	for (uint64_t i = 0; i < 100000; i++) {
		assert_int_equal(cn_map_put(&map, i, &targets[0]), CN_OK);
	}
	assert_true(map.mask >= 100000);
	for (uint64_t i = 0; i < 100000 - 3; i++) {
		assert_ptr_equal(cn_map_remove(&map, i), &targets[0]);
	}
	assert_true(map.mask < 64);
	assert_int_equal(cn_map_count(&map), 3);
	assert_non_null(cn_map_get(&map, 99999));
	cn_map_fini(&map);
}

static void
test_without_memory(void **state CN_UNUSED)
{
	struct cn_map map;
	uint64_t key = 0;
	size_t slots;

	cn_map_init(&map);
	cn_alloc_fail_at(1);
	assert_int_equal(cn_map_put(&map, 0, targets), CN_ENOMEM);
	assert_int_equal(cn_map_count(&map), 0);
	assert_int_equal(cn_map_put(&map, key++, targets), CN_OK);
	slots = map.mask + 1;
	for (;;) {
		cn_alloc_fail_at(1);
		if (cn_map_put(&map, key, targets) != CN_OK) {
			break;
		}
		key++;
	}
	/* Nothing changed, and a key that is there can still be set. */
	assert_int_equal(map.mask + 1, slots);
	assert_int_equal(cn_map_count(&map), key);
	assert_null(cn_map_get(&map, key));
	cn_alloc_fail_at(1);
	assert_int_equal(cn_map_put(&map, 0, targets + 1), CN_OK);
	assert_ptr_equal(cn_map_get(&map, 0), targets + 1);
	cn_alloc_fail_at(0);
	for (uint64_t i = key; i < 1000; i++) {
		assert_int_equal(cn_map_put(&map, i, targets), CN_OK);
	}
	/* Removal never fails: it just does not shrink. */
	for (uint64_t i = 0; i < 1000; i++) {
		cn_alloc_fail_at(1);
		assert_non_null(cn_map_remove(&map, i));
	}
	cn_alloc_fail_at(0);
	assert_int_equal(cn_map_count(&map), 0);
	cn_map_fini(&map);
}

/* With any seed the usual sequences of keys stay near their homes. */
static void
test_probes_are_short(void **state CN_UNUSED)
{
	for (unsigned int kind = 0; kind < 3; kind++) {
		struct cn_map map;
		size_t run = 0, longest = 0;

		cn_map_set_seed(kind * UINT64_C(0x9e3779b97f4a7c15));
		cn_map_init(&map);
		for (size_t i = 0; i < 20000; i++) {
			assert_int_equal(
			    cn_map_put(&map, make_key(NULL, kind, i), targets),
			    CN_OK);
		}
		for (size_t i = 0; i <= map.mask; i++) {
			run = map.slots[i].value == NULL ? 0 : run + 1;
			longest = CN_MAX(longest, run);
		}
		assert_true(longest < 300);
		cn_map_fini(&map);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_shrinks),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_probes_are_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
