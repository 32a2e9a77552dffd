/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "manage/table.h"

static const struct cn_table_column columns[] = { { "NAME", false },
	{ "N", true }, { "REST", false } };

/* What is printed, at most size - 1 bytes of it. */
static void
print(struct cn_table *table, int indent, char *out, size_t size)
{
	FILE *file = fmemopen(out, size, "w");

	assert_non_null(file);
	cn_table_print(table, file, false, indent);
	assert_int_equal(fclose(file), 0);
}

static void
test_columns(void **state)
{
	struct cn_table table;
	char out[256];

	(void)state;
	cn_table_init(&table, columns, CN_ARRAY_LEN(columns));
	cn_table_row(&table, (const char *const[]){ "tokyo", "1", "a" });
	cn_table_row(&table, (const char *const[]){ "x", "12345", "" });
	print(&table, 2, out, sizeof(out));
	assert_string_equal(out,
	    "  NAME       N  REST\n"
	    "  tokyo      1  a\n"
	    "  x      12345  -\n");
	cn_table_fini(&table);
}

/* A long list is printed in pieces: one title, no shrinking. */
static void
test_pieces(void **state)
{
	struct cn_table table;
	char out[256];

	(void)state;
	cn_table_init(&table, columns, CN_ARRAY_LEN(columns));
	cn_table_row(&table, (const char *const[]){ "longest", "1", "a" });
	print(&table, 0, out, sizeof(out));
	cn_table_row(&table, (const char *const[]){ "y", "2", "b" });
	print(&table, 0, out, sizeof(out));
	assert_string_equal(out, "y        2  b\n");
	cn_table_fini(&table);
}

static void
test_what_peers_send_is_cleaned(void **state)
{
	struct cn_table table;
	char out[1024], big[200];

	(void)state;
	cn_table_init(&table, columns, CN_ARRAY_LEN(columns));
	memset(big, 'b', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	cn_table_row(
	    &table, (const char *const[]){ "\x1b[2Jx\n\t\x7f", "\xff", big });
	print(&table, 0, out, sizeof(out));
	assert_non_null(strstr(out, "?[2Jx???"));
	assert_null(strchr(out, '\x1b'));
	assert_null(strchr(out, '\xff'));
	assert_non_null(strstr(out, "bbb~\n"));
	for (const char *p = out; *p != '\0'; p++) {
		assert_true(*p == '\n' || (*p >= 0x20 && *p < 0x7f));
	}
	cn_table_fini(&table);
}

static void
test_allocation_failures(void **state)
{
	bool has_failed = true;
	char out[4096];

	(void)state;
	for (uint64_t n = 1; has_failed; n++) {
		uint64_t before = cn_alloc_count();
		struct cn_table table;

		cn_table_init(&table, columns, CN_ARRAY_LEN(columns));
		cn_alloc_fail_at(n);
		for (unsigned i = 0; i < 40; i++) {
			cn_table_row(
			    &table, (const char *const[]){ "a", "1", "b" });
		}
		has_failed = cn_alloc_has_failed();
		cn_alloc_fail_at(0);
		assert_true(table.is_failed == has_failed);
		print(&table, 0, out, sizeof(out));
		assert_true(
		    has_failed == (strstr(out, "rows are missing") != NULL));
		cn_table_fini(&table);
		assert_true(cn_alloc_count() == before);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_what_peers_send_is_cleaned),
		cmocka_unit_test(test_allocation_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
