/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "join_samples.h"
#include "mutate.h"
#include "wire/varint.h"

static void
check_join(const uint8_t *bytes, size_t len, void *arg)
{
	size_t *whole = arg;
	uint8_t out[CN_JOIN_MESSAGE_MAX];
	struct cn_join join;
	size_t used = SIZE_MAX;
	size_t size;
	int rc = cn_join_decode(bytes, len, &join, &used);

	if (rc != CN_OK) {
		assert_true(rc == CN_EAGAIN || rc == CN_EPROTO);
		assert_true(used == SIZE_MAX);
		return;
	}
	/* All but the length in front and fields of a later release. */
	size = cn_join_encode(out, sizeof(out), &join);
	assert_true(size > 0 && size <= used && used <= len);
	assert_memory_equal(out + 2, bytes + 2, size - 2);
	(*whole)++;
}

static void
test_round_trips(void **state)
{
	uint8_t out[CN_JOIN_MESSAGE_MAX];
	uint8_t small[CN_JOIN_MESSAGE_MAX];

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(join_samples); i++) {
		const struct cn_join *sample = &join_samples[i];
		size_t size = cn_join_encode(out, sizeof(out), sample);
		struct cn_join got;
		size_t used;

		assert_true(size > 0);
		assert_int_equal(cn_join_decode(out, size, &got, &used), CN_OK);
		assert_int_equal(used, size);
		assert_memory_equal(&got, sample, sizeof(got));
		for (size_t cap = 0; cap < size; cap++) {
			assert_int_equal(cn_join_encode(small, cap, sample), 0);
			assert_int_equal(
			    cn_join_decode(out, cap, &got, &used), CN_EAGAIN);
		}
	}
}

static void
test_damage(void **state)
{
	uint8_t out[CN_JOIN_MESSAGE_MAX];

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(join_samples); i++) {
		size_t size =
		    cn_join_encode(out, sizeof(out), &join_samples[i]);
		size_t whole = 0;

		cn_mutate_each(out, size, check_join, &whole);
		assert_true(whole >= 2);
	}
}

static void
test_limits(void **state)
{
	struct cn_join join = { .type = CN_JOIN_WELCOME,
		.offers_count = CN_JOIN_OFFERS_MAX };
	uint8_t out[CN_JOIN_MESSAGE_MAX + 2];
	struct cn_join got;
	size_t size, used;

	(void)state;
	memset(join.name, 'n', CN_NAME_MAX);
	for (size_t i = 0; i < CN_JOIN_OFFERS_MAX; i++) {
		memset(join.offers[i], 'o', CN_NAME_MAX);
	}
	size = cn_join_encode(out, CN_JOIN_MESSAGE_MAX, &join);
	assert_true(size > 0);
	assert_int_equal(cn_join_decode(out, size, &got, &used), CN_OK);
	assert_int_equal(got.offers_count, CN_JOIN_OFFERS_MAX);
	/* One offer more than may be: count is one byte behind name. */
	assert_int_equal(
	    out[2 + 1 + CN_JOIN_PROOF_BYTES + 1 + CN_NAME_MAX], 16);
	out[2 + 1 + CN_JOIN_PROOF_BYTES + 1 + CN_NAME_MAX] = 17;
	assert_int_equal(cn_join_decode(out, size, &got, &used), CN_EPROTO);
	/* Too long is known from the length alone. */
	cn_be16_put(out, CN_JOIN_MESSAGE_MAX - 1);
	assert_int_equal(cn_join_decode(out, 2, &got, &used), CN_EPROTO);
	/* A type of nobody. */
	assert_int_equal(
	    cn_join_decode((const uint8_t *)"\0\1\6", 3, &got, &used),
	    CN_EPROTO);
	assert_string_equal(cn_join_code_name(CN_JOIN_CODE_PROOF), "proof");
	assert_string_equal(cn_join_code_name(CN_JOIN_CODE_MAX), "later");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
