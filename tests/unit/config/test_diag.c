/* SPDX-License-Identifier: Apache-2.0 */
#include "config_helper.h"

#include "base/alloc.h"

static const struct cn_diag_place place = {
	.file = "a.yaml",
	.order = 1,
	.line = 12,
	.column = 4,
	.width = 3,
	.source = "\t\xc3\xa9 bad",
	.source_len = 7,
};

static void
must_render(const struct cn_diag_list *list, bool colour, const char *expected)
{
	struct cn_buf out;

	cn_buf_init(&out, 1u << 16);
	assert_int_equal(cn_diag_render_all(list, colour, &out), CN_OK);
	assert_int_equal(cn_buf_append(&out, "", 1), CN_OK);
	assert_string_equal((const char *)out.data, expected);
	cn_buf_fini(&out);
}

static void
test_render(void **state)
{
	struct cn_diag_place whole = { .file = "b.yaml", .order = 2 };
	struct cn_diag_list list;

	(void)state;
	cn_diag_init(&list);
	must_render(&list, false, "");
	cn_diag_add(&list, CN_DIAG_WARNING, &whole, "mend %s", "odd: %d", 7);
	cn_diag_add(&list, CN_DIAG_ERROR, &place, NULL, "bad");
	cn_diag_sort(&list);
	/* The tab stays, one space for the letter of two bytes. */
	must_render(&list, false,
	    "a.yaml:12:4: error: bad\n"
	    "   12 | \t\xc3\xa9 bad\n"
	    "      | \t  ^~~\n"
	    "b.yaml: warning: odd: 7; mend %s\n"
	    "1 error, 1 warning\n");
	must_render(&list, true,
	    "\033[1ma.yaml:12:4:\033[0m \033[1;31merror:\033[0m bad\n"
	    "   12 | \t\xc3\xa9 bad\n"
	    "      | \t  \033[1;31m^~~\033[0m\n"
	    "\033[1mb.yaml:\033[0m \033[1;35mwarning:\033[0m odd: 7; mend "
	    "%s\n"
	    "1 error, 1 warning\n");
	cn_diag_fini(&list);
	assert_int_equal(list.count, 0);
}

/* What a terminal would obey, and what is not UTF-8, is not kept. */
static void
test_hostile_text(void **state)
{
	struct cn_diag_place bad = place;
	struct cn_diag_list list;

	(void)state;
	cn_diag_init(&list);
	bad.source = "\033[2J\xc2\x9b\xff\x7f\xe2\x82";
	bad.source_len = 10;
	cn_diag_add(&list, CN_DIAG_ERROR, &bad, "a\nb", "c\rd %s", "\033");
	assert_string_equal(list.item[0].source, "?[2J?\?\?\?\?");
	assert_string_equal(list.item[0].hint, "a?b");
	assert_string_equal(list.item[0].message, "c?d ?");
	cn_diag_fini(&list);
}

static void
test_long_text(void **state)
{
	char text[2 * CN_DIAG_TEXT_MAX];
	struct cn_diag_place bad = place;
	struct cn_diag_list list;

	(void)state;
	cn_diag_init(&list);
	for (size_t i = 0; i + 1 < sizeof(text); i += 2) {
		memcpy(text + i, "\xc3\xa9", 2);
	}
	text[0] = 'x'; /* so that the cut falls inside of a character */
	text[1] = 'y';
	text[2] = 'z';
	memcpy(text + 3, "\xc3\xa9", 2);
	for (size_t i = 3; i + 2 < sizeof(text); i += 2) {
		memcpy(text + i, "\xc3\xa9", 2);
	}
	bad.source = text;
	bad.source_len = sizeof(text) - 1;
	cn_diag_add(&list, CN_DIAG_ERROR, &bad, NULL, "x");
	assert_int_equal(strlen(list.item[0].source), CN_DIAG_TEXT_MAX - 1);
	assert_null(strchr(list.item[0].source, '?'));
	cn_diag_fini(&list);
}

static void
test_order(void **state)
{
	static const uint32_t lines[] = { 9, 3, 3, 1, 7 };
	struct cn_diag_list list;

	(void)state;
	cn_diag_init(&list);
	for (uint32_t i = 0; i < 5; i++) {
		struct cn_diag_place at = place;

		at.line = lines[i];
		cn_diag_add(&list, CN_DIAG_ERROR, &at, NULL, "%u", i);
	}
	cn_diag_sort(&list);
	assert_string_equal(list.item[0].message, "3");
	assert_string_equal(list.item[1].message, "1");
	assert_string_equal(list.item[2].message, "2");
	assert_string_equal(list.item[3].message, "4");
	assert_string_equal(list.item[4].message, "0");
	cn_diag_fini(&list);
}

static void
test_cap(void **state)
{
	struct cn_diag_list list;

	(void)state;
	cn_diag_init(&list);
	for (unsigned i = 0; i < CN_DIAG_MAX + 2; i++) {
		cn_diag_add(&list, i % 2 == 0 ? CN_DIAG_ERROR : CN_DIAG_WARNING,
		    &place, NULL, "%u", i);
	}
	assert_int_equal(list.count, CN_DIAG_MAX);
	assert_int_equal(list.dropped, 2);
	assert_int_equal(list.errors, CN_DIAG_MAX / 2 + 1);
	assert_int_equal(list.warnings, CN_DIAG_MAX / 2 + 1);
	assert_string_equal(list.item[CN_DIAG_MAX - 1].message, "99");
	cn_diag_fini(&list);
}

static void
test_memory(void **state)
{
	uint64_t live = cn_alloc_bytes();
	bool has_failed = true;

	(void)state;
	for (uint64_t nth = 1; has_failed; nth++) {
		struct cn_diag_list list;

		cn_diag_init(&list);
		cn_alloc_fail_at(nth);
		for (unsigned i = 0; i < 20; i++) {
			cn_diag_add(&list, CN_DIAG_ERROR, &place, "hint", "x");
		}
		has_failed = cn_alloc_has_failed();
		cn_alloc_fail_at(0);
		assert_int_equal(list.errors, 20);
		assert_int_equal(list.is_incomplete, has_failed);
		assert_int_equal(list.count, has_failed ? 19 : 20);
		cn_diag_fini(&list);
		assert_int_equal(cn_alloc_bytes(), live);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_render),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
