/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <stdio.h>
#include <unistd.h>

#include "manage/ask.h"
#include "manage/top.h"

/* Columns of what goes to a file, and rows unless more are asked for. */
#define BATCH_WIDTH 120u
#define BATCH_ROWS 20u

static enum cn_exit
print_look(const struct cn_top *top, bool is_json, uint64_t limit)
{
	char line[CN_TOP_LINE_MAX];
	enum cn_exit code;
	json_t *json;

	if (is_json) {
		json = cn_top_json(top, limit);
		if (json == NULL) {
			cn_cli_error("out of memory");
			return CN_EXIT_FAILED;
		}
		code = cn_ask_print(json, true);
		json_decref(json);
		return code;
	}
	cn_top_head(top, BATCH_WIDTH, line);
	printf("%s\n", line);
	cn_top_sums(top, BATCH_WIDTH, line);
	printf("%s\n", line);
	cn_top_titles(top, BATCH_WIDTH, line);
	printf("%s\n", line);
	for (size_t i = 0; i < top->rows.count && i < limit; i++) {
		cn_top_line(top, &top->rows.row[i], BATCH_WIDTH, line);
		printf("%s\n", line);
	}
	(void)putchar('\n');
	return CN_EXIT_OK;
}

static enum cn_exit
print_looks(
    struct cn_top *top, struct cn_ask *ask, uint64_t interval, uint64_t count)
{
	bool is_json = ask->args->option[CN_OPTION_JSON] != NULL;
	enum cn_exit code = CN_EXIT_OK;
	uint64_t limit;

	if (!cn_cli_number(ask->args, CN_OPTION_LIMIT, BATCH_ROWS, 1,
		CN_TOP_ROWS_MAX, &limit)) {
		return CN_EXIT_USAGE;
	}
	while (code == CN_EXIT_OK && count-- > 0) {
		code = cn_top_look(top, ask);
		if (code == CN_EXIT_OK) {
			code = print_look(top, is_json, limit);
		}
		if (fflush(stdout) != 0) {
			break; /* told by the caller */
		}
		if (code == CN_EXIT_OK && count > 0) {
			(void)sleep((unsigned)interval);
		}
	}
	return code;
}

enum cn_exit
cn_cmd_top(const struct cn_args *args)
{
	bool is_batch = args->option[CN_OPTION_BATCH] != NULL ||
	    args->option[CN_OPTION_JSON] != NULL;
	uint64_t interval, count;
	struct cn_top top;
	struct cn_ask ask;
	enum cn_exit code;

	if (!cn_cli_number(args, CN_OPTION_INTERVAL, 1, 1, 3600, &interval) ||
	    !cn_cli_number(
		args, CN_OPTION_COUNT, UINT64_MAX, 1, UINT64_MAX, &count)) {
		return CN_EXIT_USAGE;
	}
	if (!is_batch &&
	    (isatty(STDOUT_FILENO) != 1 || isatty(STDIN_FILENO) != 1)) {
		return cn_cli_usage(
		    args, "this is no terminal: use --batch or --json");
	}
	code = cn_ask_open(&ask, args);
	if (code != CN_EXIT_OK) {
		return code;
	}
	cn_top_init(&top);
	code = is_batch ? print_looks(&top, &ask, interval, count)
			: cn_top_screen(&top, &ask, interval * 1000000, count);
	cn_top_fini(&top);
	cn_ask_close(&ask);
	return code;
}
