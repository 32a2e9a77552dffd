/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "control/event.h"

static void
test_table(void **state)
{
	(void)state;
	for (unsigned k = 0; k < CN_EVENT_KIND_MAX; k++) {
		const struct cn_event_info *info = cn_event_info(k);
		struct cn_snap_event event = { .kind = k,
			.level = CN_EVENT_ERROR };
		struct cn_snap_event back = { 0 };
		json_t *json;

		assert_non_null(info);
		assert_non_null(info->name);
		assert_true(info->level > CN_EVENT_LEVEL_UNKNOWN);
		assert_true(strlen(info->help) > 10);
		/* It travels under the name of the table. */
		assert_int_equal(
		    cn_shape_encode(&cn_snap_event_shape, &event, &json),
		    CN_OK);
		assert_string_equal(
		    json_string_value(json_object_get(json, "kind")),
		    info->name);
		assert_int_equal(
		    cn_shape_decode(&cn_snap_event_shape, json, &back), CN_OK);
		assert_int_equal(back.kind, k);
		assert_int_equal(back.level, CN_EVENT_ERROR);
		json_decref(json);
	}
	assert_null(cn_event_info(CN_EVENT_KIND_MAX));
}

static void
test_levels(void **state)
{
	(void)state;
	assert_int_equal(cn_event_level_parse("warning"), CN_EVENT_WARNING);
	assert_int_equal(
	    cn_event_level_parse("unknown"), CN_EVENT_LEVEL_UNKNOWN);
	assert_int_equal(cn_event_level_parse(""), CN_EVENT_LEVEL_UNKNOWN);
	assert_string_equal(cn_event_level_name(CN_EVENT_ERROR), "error");
	assert_string_equal(cn_event_level_name(77), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
