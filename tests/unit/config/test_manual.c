/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Documents from the schema table.  `test_manual --print' writes the
 * reference page to standard output.
 */

#include <stdio.h>

#include "config_helper.h"

#include "config/manual.h"
#include "config/schema.h"

/* doc/config.md is what the table says now. */
static void
test_page_is_fresh(void **state)
{
	FILE *file = fopen(CN_SOURCE_ROOT "/doc/config.md", "rb");
	static char kept[1u << 20];
	struct cn_buf page;
	size_t len;

	(void)state;
	assert_non_null(file);
	len = fread(kept, 1, sizeof(kept), file);
	fclose(file);
	cn_buf_init(&page, 1u << 20);
	assert_int_equal(cn_manual_markdown(&page), CN_OK);
	if (len != page.len || memcmp(kept, page.data, len) != 0) {
		fail_msg("doc/config.md is not what the table says: "
			 "test_manual --print > doc/config.md");
	}
	cn_buf_fini(&page);
}

static void
check_section(const struct cn_schema_section *section)
{
	assert_true(section->count <= CN_SCHEMA_KEYS_MAX);
	assert_non_null(section->help);
	for (size_t i = 0; i < section->count; i++) {
		const struct cn_schema_key *key = &section->keys[i];

		if (key->sub != NULL) {
			assert_string_equal(key->name, key->sub->name);
			check_section(key->sub);
			continue;
		}
		assert_non_null(key->help);
		/* Whoever must write it needs an example, or else knows
		 * what stands there if he does not. */
		assert_true((key->flags & CN_SCHEMA_REQUIRED) != 0 ||
		    key->fallback != NULL || key->fallback_words != NULL);
		assert_true(key->min <= key->max);
		assert_int_equal(
		    key->choices != NULL, key->type == CN_SCHEMA_CHOICE);
		assert_true(key->offset < section->size);
	}
}

static void
test_table(void **state)
{
	(void)state;
	check_section(cn_schema_root());
}

/* Braces, brackets and quotes close; every key is in it. */
static void
test_json_schema(void **state)
{
	struct cn_buf out;
	char open[64];
	size_t depth = 0;
	bool is_text = false;

	(void)state;
	cn_buf_init(&out, 1u << 20);
	assert_int_equal(cn_manual_json_schema(&out), CN_OK);
	for (size_t i = 0; i < out.len; i++) {
		char c = (char)out.data[i];

		if (is_text && c == '\\') {
			i++;
		} else if (c == '"') {
			is_text = !is_text;
		} else if (!is_text && (c == '{' || c == '[')) {
			assert_true(depth < sizeof(open));
			open[depth++] = c == '{' ? '}' : ']';
		} else if (!is_text && (c == '}' || c == ']')) {
			assert_true(depth > 0);
			assert_int_equal(open[--depth], c);
		}
	}
	assert_int_equal(depth, 0);
	assert_false(is_text);
	assert_int_equal(cn_buf_append(&out, "", 1), CN_OK);
	assert_non_null(strstr((const char *)out.data, "\"on_peer_down\": {"));
	assert_non_null(strstr((const char *)out.data,
	    "\"enum\": [\"connection\", \"client\", \"service\", \"peer\"]"));
	assert_non_null(strstr(
	    (const char *)out.data, "\"required\": [\"listen\", \"peer\"]"));
	cn_buf_fini(&out);
}

/* A buffer that is too small is told, and nothing else happens. */
static void
test_small_buffer(void **state)
{
	(void)state;
	for (size_t max = 1; max < 3000; max += 97) {
		struct cn_buf out;

		cn_buf_init(&out, max);
		assert_int_equal(cn_manual_markdown(&out), CN_ELIMIT);
		cn_buf_clear(&out);
		assert_int_equal(cn_manual_json_schema(&out), CN_ELIMIT);
		cn_buf_fini(&out);
	}
}

static int
print_page(void)
{
	struct cn_buf page;
	int err;

	cn_buf_init(&page, 1u << 20);
	err = cn_manual_markdown(&page);
	if (err == CN_OK) {
		fwrite(page.data, 1, page.len, stdout);
	}
	cn_buf_fini(&page);
	return err == CN_OK ? 0 : 1;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page_is_fresh),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_json_schema),
		cmocka_unit_test(test_small_buffer),
	};

	if (argc == 2 && strcmp(argv[1], "--print") == 0) {
		return print_page();
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
