/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "manage/ledger.h"

#define LEN 300000u

static const enum cn_ledger_kind kinds[] = { CN_LEDGER_RANDOM, CN_LEDGER_TEXT,
	CN_LEDGER_MIXED };
static uint8_t whole[LEN], pieces[LEN];

/* In whatever pieces they are taken. */
static void
test_same_bytes(void **state)
{
	(void)state;
	for (size_t k = 0; k < CN_ARRAY_LEN(kinds); k++) {
		struct cn_ledger one, other;
		struct cn_prng prng;
		size_t at = 0;

		cn_prng_init(&prng, k);
		cn_ledger_init(&one, kinds[k], 7);
		cn_ledger_init(&other, kinds[k], 7);
		cn_ledger_take(&one, whole, LEN);
		while (at < LEN) {
			size_t n = (size_t)cn_prng_below(&prng, 1000);

			n = CN_MIN(n, LEN - at);
			cn_ledger_take(&other, pieces + at, n);
			at += n;
		}
		assert_memory_equal(whole, pieces, LEN);
		cn_ledger_init(&other, kinds[k], 8);
		cn_ledger_take(&other, pieces, LEN);
		assert_memory_not_equal(whole, pieces, LEN);
	}
}

/* The first byte that differs, and only that, is told. */
static void
test_compare(void **state)
{
	static const size_t places[] = { 0, 1, CN_LEDGER_LINE - 1,
		CN_LEDGER_LINE, 4711, LEN - 1 };

	(void)state;
	for (size_t k = 0; k < CN_ARRAY_LEN(kinds); k++) {
		struct cn_ledger ledger;

		cn_ledger_init(&ledger, kinds[k], 9);
		cn_ledger_take(&ledger, whole, LEN);
		cn_ledger_init(&ledger, kinds[k], 9);
		assert_int_equal(cn_ledger_compare(&ledger, whole, LEN), LEN);
		for (size_t i = 0; i < CN_ARRAY_LEN(places); i++) {
			whole[places[i]] ^= 1;
			whole[LEN - 1] ^= 1;
			cn_ledger_init(&ledger, kinds[k], 9);
			if (places[i] != LEN - 1) {
				assert_int_equal(
				    cn_ledger_compare(&ledger, whole, LEN),
				    places[i]);
			} else {
				assert_int_equal(
				    cn_ledger_compare(&ledger, whole, LEN),
				    LEN);
			}
			whole[places[i]] ^= 1;
			whole[LEN - 1] ^= 1;
		}
		/* It has moved on all the same. */
		cn_ledger_init(&ledger, kinds[k], 9);
		whole[3] ^= 1;
		assert_int_equal(cn_ledger_compare(&ledger, whole, 1000), 3);
		assert_int_equal(
		    cn_ledger_compare(&ledger, whole + 1000, LEN - 1000),
		    LEN - 1000);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_bytes),
		cmocka_unit_test(test_compare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
