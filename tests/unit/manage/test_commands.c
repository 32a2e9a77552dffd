/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "manage/cli.h"

static const uint64_t asks = CN_OPTION_BIT(CN_OPTION_SOCKET);

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		const struct cn_cli_command *row = &cn_cli_commands[i];

		assert_non_null(row->run);
		assert_non_null(row->words);
		assert_non_null(row->help);
		assert_non_null(row->examples);
		assert_true(strlen(row->summary) > 10);
		assert_true(islower((unsigned char)row->summary[0]) != 0);
		assert_true(row->summary[strlen(row->summary) - 1] != '.');
		assert_true(row->words_min <= row->words_max);
		assert_true(row->words_max <= CN_ARGS_WORDS_MAX);
		assert_true((row->words_max == 0) == (row->words[0] == '\0'));
		assert_true((row->words_min == 0) ==
		    (row->words[0] == '\0' || row->words[0] == '['));
		assert_true(row->options < CN_OPTION_BIT(CN_OPTION_MAX));
		/* Who asks the gateway may be told how long to wait. */
		assert_true(((row->options & asks) != 0) ==
		    ((row->options & CN_OPTION_BIT(CN_OPTION_TIMEOUT)) != 0));
		for (size_t k = i + 1; k < cn_cli_commands_count; k++) {
			const struct cn_cli_command *other =
			    &cn_cli_commands[k];

			if (strcmp(row->group, other->group) != 0) {
				continue;
			}
			/* A group stands together and has different verbs. */
			assert_true(k == i + 1 ||
			    strcmp(cn_cli_commands[k - 1].group, row->group) ==
				0);
			assert_non_null(row->verb);
			assert_non_null(other->verb);
			assert_string_not_equal(row->verb, other->verb);
			assert_false(row->is_default && other->is_default);
		}
	}
}

static void
test_lines_are_short(void **state)
{
	(void)state;
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		const char *text = cn_cli_commands[i].help;

		while (*text != '\0') {
			size_t len = strcspn(text, "\n");

			assert_true(len < 79);
			text += len + (text[len] == '\n' ? 1 : 0);
		}
		assert_true(strlen(cn_cli_commands[i].summary) < 52);
	}
}

static void
test_options(void **state)
{
	(void)state;
	for (int i = 0; i < CN_OPTION_MAX; i++) {
		const struct cn_option_info *info = &cn_option_infos[i];
		uint64_t used =
		    cn_options_common | CN_OPTION_BIT(CN_OPTION_VERSION);

		assert_non_null(info->name);
		assert_true(strlen(info->help) > 5);
		for (int k = i + 1; k < CN_OPTION_MAX; k++) {
			assert_string_not_equal(
			    info->name, cn_option_infos[k].name);
			assert_true(info->letter == '\0' ||
			    info->letter != cn_option_infos[k].letter);
		}
		for (size_t k = 0; k < cn_cli_commands_count; k++) {
			used |= cn_cli_commands[k].options;
		}
		assert_true((used & CN_OPTION_BIT(i)) != 0);
	}
}

static int
run(const char *a, const char *b, const char *c)
{
	char program[] = "compressnet", text[3][64];
	char *argv[] = { program, text[0], text[1], text[2], NULL };
	int argc = c != NULL ? 4 : b != NULL ? 3 : 2;

	(void)snprintf(text[0], sizeof(text[0]), "%s", a);
	(void)snprintf(text[1], sizeof(text[1]), "%s", b != NULL ? b : "");
	(void)snprintf(text[2], sizeof(text[2]), "%s", c != NULL ? c : "");
	argv[argc] = NULL;
	return cn_cli_main(argc, argv);
}

static void
test_usage_errors(void **state)
{
	(void)state;
	assert_int_equal(run("nonsense", NULL, NULL), CN_EXIT_USAGE);
	assert_int_equal(run("status", "word", NULL), CN_EXIT_USAGE);
	assert_int_equal(run("status", "--keep", NULL), CN_EXIT_USAGE);
	assert_int_equal(run("status", "--no-such", NULL), CN_EXIT_USAGE);
	assert_int_equal(run("status", "-X", NULL), CN_EXIT_USAGE);
	assert_int_equal(run("status", "--json=1", NULL), CN_EXIT_USAGE);
	assert_int_equal(run("status", "--socket", NULL), CN_EXIT_USAGE);
	assert_int_equal(run("status", "--timeout=0", NULL), CN_EXIT_USAGE);
	assert_int_equal(run("status", "--interval", "-1"), CN_EXIT_USAGE);
	assert_int_equal(run("streams", "show", NULL), CN_EXIT_USAGE);
	assert_int_equal(run("streams", "show", "0"), CN_EXIT_USAGE);
	assert_int_equal(run("streams", "show", "12x"), CN_EXIT_USAGE);
	assert_int_equal(run("streams", "lst", NULL), CN_EXIT_USAGE);
	assert_int_equal(run("config", NULL, NULL), CN_EXIT_USAGE);
	assert_int_equal(run("key", "--json", NULL), CN_EXIT_USAGE);
	assert_int_equal(run("completion", "tcsh", NULL), CN_EXIT_USAGE);
	assert_int_equal(run("demo", "--rate", "0mbit"), CN_EXIT_USAGE);
	assert_int_equal(run("demo", "--delay", "20"), CN_EXIT_USAGE);
	assert_int_equal(run("demo", "--size", "1GiB"), CN_EXIT_USAGE);
}

static void
test_good_ones(void **state)
{
	static const char nowhere[] = "--socket=/nonexistent/sock";

	(void)state;
	assert_int_equal(run("--help", NULL, NULL), CN_EXIT_OK);
	assert_int_equal(run("help", "streams", "show"), CN_EXIT_OK);
	assert_int_equal(run("--help", "config", NULL), CN_EXIT_OK);
	/* Options may stand anywhere, letters together, "--" ends them. */
	assert_int_equal(run(nowhere, "status", NULL), CN_EXIT_UNREACHABLE);
	assert_int_equal(run("-jn5", "status", nowhere), CN_EXIT_UNREACHABLE);
	assert_int_equal(
	    run(nowhere, "streams", "--limit=3"), CN_EXIT_UNREACHABLE);
	assert_int_equal(run("--", "status", "--json"), CN_EXIT_USAGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_lines_are_short),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_usage_errors),
		cmocka_unit_test(test_good_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
