/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/rand.h"

#define MODEL_MAX 3000u

/* Appends and consumes at random beside a plain array. */
static void
test_model(void **state CN_UNUSED)
{
	static uint8_t model[MODEL_MAX];
	size_t len = 0;
	struct cn_prng prng;
	struct cn_buf buf;
	uint64_t count = cn_alloc_count();

	cn_prng_init(&prng, 3);
	cn_buf_init(&buf, MODEL_MAX);
	for (int step = 0; step < 20000; step++) {
		uint8_t bytes[400];
		size_t n = cn_prng_below(&prng, sizeof(bytes) + 1);

		if (cn_prng_chance(&prng, step / 1000 % 2 == 0 ? 3 : 1, 4)) {
			int rc;

			cn_prng_bytes(&prng, bytes, n);
			rc = cn_buf_append(&buf, bytes, n);
			if (len + n > MODEL_MAX) {
				assert_int_equal(rc, CN_ELIMIT);
			} else {
				assert_int_equal(rc, CN_OK);
				memcpy(model + len, bytes, n);
				len += n;
			}
		} else {
			n = CN_MIN(n, len);
			cn_buf_consume(&buf, n);
			memmove(model, model + n, len - n);
			len -= n;
		}
		assert_int_equal(buf.len, len);
		assert_true(buf.len <= buf.cap);
		assert_true(buf.cap + buf.gone <= MODEL_MAX);
		if (len != 0) {
			assert_memory_equal(buf.data, model, len);
		}
	}
	cn_buf_fini(&buf);
	assert_int_equal(buf.len, 0);
	assert_int_equal(cn_alloc_count(), count);
}

static void
test_cap_is_reached_and_kept(void **state CN_UNUSED)
{
	struct cn_buf buf;

	cn_buf_init(&buf, 10);
	assert_int_equal(cn_buf_append(&buf, "0123456789", 10), CN_OK);
	assert_int_equal(cn_buf_append(&buf, "x", 1), CN_ELIMIT);
	assert_int_equal(cn_buf_reserve(&buf, SIZE_MAX), CN_ELIMIT);
	cn_buf_consume(&buf, 4);
	assert_int_equal(cn_buf_append(&buf, "abcd", 4), CN_OK);
	assert_int_equal(buf.len, 10);
	assert_memory_equal(buf.data, "456789abcd", 10);
	cn_buf_clear(&buf);
	assert_int_equal(buf.len, 0);
	assert_int_equal(cn_buf_append(&buf, "0123456789", 10), CN_OK);
	cn_buf_fini(&buf);
	assert_int_equal(cn_buf_append(&buf, "again", 5), CN_OK);
	cn_buf_fini(&buf);
	cn_buf_init(&buf, 0);
	assert_int_equal(cn_buf_append(&buf, "x", 1), CN_ELIMIT);
	assert_int_equal(cn_buf_append(&buf, "x", 0), CN_OK);
	cn_buf_fini(&buf);
}

static void
test_reserve_and_commit(void **state CN_UNUSED)
{
	struct cn_buf buf;

	cn_buf_init(&buf, 100000);
	assert_int_equal(cn_buf_append(&buf, "head", 4), CN_OK);
	assert_int_equal(cn_buf_reserve(&buf, 50000), CN_OK);
	assert_true(buf.cap - buf.len >= 50000);
	memset(buf.data + buf.len, 'x', 50000);
	cn_buf_commit(&buf, 50000);
	assert_int_equal(buf.len, 50004);
	assert_memory_equal(buf.data, "headxx", 6);
	cn_buf_fini(&buf);
}

static void
test_printf(void **state CN_UNUSED)
{
	struct cn_buf buf;
	char want[2000] = "";

	cn_buf_init(&buf, 1000);
	for (int i = 0; i < 100; i++) {
		size_t len = strlen(want);

		assert_int_equal(cn_buf_printf(&buf, "%d,", i), CN_OK);
		(void)snprintf(want + len, sizeof(want) - len, "%d,", i);
		assert_string_equal((char *)buf.data, want);
	}
	assert_int_equal(buf.len, strlen(want));
	/* Whole or not at all. */
	assert_int_equal(cn_buf_printf(&buf, "%1000d", 1), CN_ELIMIT);
	assert_int_equal(buf.len, strlen(want));
	assert_memory_equal(buf.data, want, buf.len);
	cn_buf_fini(&buf);
}

static void
test_without_memory(void **state CN_UNUSED)
{
	struct cn_buf buf;

	cn_buf_init(&buf, 100000);
	cn_alloc_fail_at(1);
	assert_int_equal(cn_buf_append(&buf, "abc", 3), CN_ENOMEM);
	assert_int_equal(cn_buf_append(&buf, "abc", 3), CN_OK);
	cn_buf_consume(&buf, 1);
	cn_alloc_fail_at(1);
	assert_int_equal(cn_buf_reserve(&buf, 5000), CN_ENOMEM);
	cn_alloc_fail_at(1);
	assert_int_equal(cn_buf_printf(&buf, "%5000d", 1), CN_ENOMEM);
	cn_alloc_fail_at(0);
	assert_int_equal(buf.len, 2);
	assert_memory_equal(buf.data, "bc", 2);
	cn_buf_fini(&buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_cap_is_reached_and_kept),
		cmocka_unit_test(test_reserve_and_commit),
		cmocka_unit_test(test_printf),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
