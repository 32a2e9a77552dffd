/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/err.h"

static void
test_errno_is_folded_in(void **state CN_UNUSED)
{
	assert_int_equal(cn_err_from_errno(ENOMEM), CN_ENOMEM);
	assert_int_equal(cn_err_from_errno(ECONNREFUSED), CN_ECONNREFUSED);
	/* Whatever comes, a failure stays one. */
	assert_int_equal(cn_err_from_errno(0), CN_EIO);
	assert_int_equal(cn_err_from_errno(-1), CN_EIO);
	assert_int_equal(cn_err_from_errno(1000), CN_EIO);
}

static void
test_own_codes_keep_their_values(void **state CN_UNUSED)
{
	assert_int_equal(CN_EEND, -1000);
	assert_int_equal(CN_EPROTO, -1001);
	assert_int_equal(CN_ECODING, -1002);
	assert_int_equal(CN_ESTALE, -1003);
	assert_int_equal(CN_EDRAIN, -1004);
	assert_int_equal(CN_ECONFIG, -1005);
	assert_int_equal(CN_EKEY, -1006);
	assert_int_equal(CN_ETLS, -1007);
	assert_int_equal(CN_EPEER, -1008);
	assert_int_equal(CN_ELIMIT, -1009);
	assert_int_equal(CN_ECLOSED, -1010);
}

static void
test_each_has_a_text_of_its_own(void **state CN_UNUSED)
{
	for (int a = CN_ECLOSED; a <= CN_EEND; a++) {
		const char *text = cn_err_text(a);

		assert_string_not_equal(text, "unknown error");
		for (int b = a + 1; b <= CN_EEND; b++) {
			assert_string_not_equal(text, cn_err_text(b));
		}
	}
	assert_string_equal(cn_err_text(CN_OK), "success");
	assert_string_equal(
	    cn_err_text(CN_ENOENT), "No such file or directory");
	assert_string_equal(cn_err_text(-999), "unknown error");
	assert_string_equal(cn_err_text(CN_ECLOSED - 1), "unknown error");
	assert_string_equal(cn_err_text(1), "unknown error");
	assert_string_equal(cn_err_text(INT32_MIN), "unknown error");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errno_is_folded_in),
		cmocka_unit_test(test_own_codes_keep_their_values),
		cmocka_unit_test(test_each_has_a_text_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
