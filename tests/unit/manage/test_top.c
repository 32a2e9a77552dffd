/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the live view at every width, and its orders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "manage/top.h"

static const struct cn_top_row samples[] = {
	{ .id = 1,
	    .name = "one",
	    .peer = "b",
	    .why = "ok",
	    .age_us = 9,
	    .lan = 5000,
	    .wan = 100,
	    .lan_bps = 10 },
	{ .id = 2,
	    .name = "two",
	    .peer = "a",
	    .why = "tls",
	    .age_us = 5,
	    .lan = 9000,
	    .wan = 9100,
	    .lan_bps = 30,
	    .wan_bps = 30 },
	{ .id = 3,
	    .name = "three",
	    .peer = "c",
	    .why = "gzip",
	    .age_us = 7,
	    .lan = 100,
	    .wan = 90,
	    .lan_bps = 20 },
};

static void
fill(struct cn_top *top)
{
	cn_top_init(top);
	top->rows.row = cn_calloc(CN_ARRAY_LEN(samples), sizeof(*samples));
	assert_non_null(top->rows.row);
	memcpy(top->rows.row, samples, sizeof(samples));
	top->rows.count = top->rows.cap = CN_ARRAY_LEN(samples);
	top->lan = UINT64_MAX;
	top->streams = UINT64_MAX;
	memset(top->gateway, 'x', sizeof(top->gateway) - 1);
}

static void
test_orders(void **state)
{
	static const char *const orders[CN_TOP_SORT_MAX] = {
		[CN_TOP_BY_RATE] = "231",
		[CN_TOP_BY_SAVED] = "132",
		[CN_TOP_BY_AGE] = "132",
		[CN_TOP_BY_BYTES] = "213",
		[CN_TOP_BY_PEER] = "213",
	};
	struct cn_top top;

	(void)state;
	fill(&top);
	for (enum cn_top_sort sort = CN_TOP_BY_RATE; sort < CN_TOP_SORT_MAX;
	     sort++) {
		cn_top_set_sort(&top, sort);
		for (size_t i = 0; i < top.rows.count; i++) {
			assert_int_equal(
			    top.rows.row[i].id, orders[sort][i] - '0');
		}
	}
	cn_top_fini(&top);
}

/* No line is longer than it may be, titles stand above their columns. */
static void
test_widths(void **state)
{
	char line[CN_TOP_LINE_MAX], titles[CN_TOP_LINE_MAX];
	struct cn_top_row longest = samples[1];
	struct cn_top top;

	(void)state;
	fill(&top);
	longest.id = UINT64_MAX;
	longest.lan = longest.wan = longest.lan_bps = UINT64_MAX;
	memset(longest.name, 'n', sizeof(longest.name) - 1);
	for (size_t width = 1; width < 2 * (size_t)CN_TOP_LINE_MAX; width++) {
		size_t most = CN_MIN(width, (size_t)CN_TOP_LINE_MAX - 1);

		cn_top_titles(&top, width, titles);
		assert_true(strlen(titles) <= most);
		cn_top_line(&top, &longest, width, line);
		assert_int_equal(strlen(line), strlen(titles));
		cn_top_head(&top, width, line);
		assert_true(strlen(line) <= most);
		cn_top_sums(&top, width, line);
		assert_true(strlen(line) <= most);
		assert_int_equal(strstr(titles, "RATIO") != NULL, width >= 80);
		assert_int_equal(strstr(titles, "WHY") != NULL, width >= 30);
	}
	cn_top_set_view(&top, CN_TOP_PEERS);
	cn_top_titles(&top, 80, titles);
	assert_non_null(strstr(titles, "STATE"));
	assert_null(strstr(titles, "WHY"));
	cn_top_fini(&top);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_widths),
	};

	return cmocka_run_group_tests_name("top", tests, NULL, NULL);
}
