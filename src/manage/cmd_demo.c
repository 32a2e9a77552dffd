/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "manage/ask.h"
#include "manage/demo_data.h"
#include "manage/demo_run.h"
#include "manage/human.h"
#include "manage/table.h"

#define RATE_DEFAULT "20mbit"
#define RATE_MIN UINT64_C(64000)
#define RATE_MAX UINT64_C(2000000000)
#define DELAY_DEFAULT "20ms"
#define DELAY_MAX UINT64_C(500000)
#define SIZE_DEFAULT "12MB"

static bool
read_options(const struct cn_args *args, struct cn_demo_plan *plan)
{
	const char *rate = args->option[CN_OPTION_RATE];
	const char *delay = args->option[CN_OPTION_DELAY];
	const char *size = args->option[CN_OPTION_SIZE];

	if (cn_human_parse_rate(
		rate != NULL ? rate : RATE_DEFAULT, &plan->rate_bps) < 0 ||
	    plan->rate_bps < RATE_MIN || plan->rate_bps > RATE_MAX) {
		(void)cn_cli_usage(args,
		    "--rate takes 64kbit to 2gbit, such as 20mbit, not '%s'",
		    rate);
		return false;
	}
	if (cn_human_parse_duration(
		delay != NULL ? delay : DELAY_DEFAULT, &plan->delay_us) < 0 ||
	    plan->delay_us > DELAY_MAX) {
		(void)cn_cli_usage(args,
		    "--delay takes 0ms to 500ms, such as 20ms, not '%s'",
		    delay);
		return false;
	}
	if (cn_human_parse_size(
		size != NULL ? size : SIZE_DEFAULT, &plan->files_bytes) < 0 ||
	    plan->files_bytes < 1000 || plan->files_bytes > CN_DEMO_DATA_MAX) {
		(void)cn_cli_usage(args,
		    "--size takes 1kB to 512MiB, such as 12MB, not '%s'", size);
		return false;
	}
	return true;
}

static void
print_table(const struct cn_demo_plan *plan, bool is_bold)
{
	static const struct cn_table_column columns[] = { { "", false },
		{ "LAN", true }, { "WAN", true }, { "SAVED", true },
		{ "RATIO", true }, { "TIME", true }, { "BARE LINK", true },
		{ "FASTER", true } };
	struct cn_table table;

	cn_table_init(&table, columns, CN_ARRAY_LEN(columns));
	for (size_t i = 0; i < CN_DEMO_STEPS; i++) {
		const struct cn_demo_result *result = &plan->results[i];
		const struct cn_human lan = cn_human_bytes(result->lan);
		const struct cn_human wan = cn_human_bytes(result->wan);
		const struct cn_human saved =
		    cn_human_saved(result->lan, result->wan);
		const struct cn_human ratio =
		    cn_human_ratio(result->lan, result->wan);
		const struct cn_human time = cn_human_duration(result->us);
		const struct cn_human bare = cn_human_duration(result->bare_us);
		const struct cn_human faster =
		    cn_human_ratio(result->bare_us, result->us);

		cn_table_row(&table,
		    (const char *const[]){ result->name, lan.text, wan.text,
			saved.text, ratio.text, time.text, bare.text,
			i == CN_DEMO_LOG ? "paced" : faster.text });
	}
	(void)putchar('\n');
	cn_table_print(&table, stdout, is_bold, 0);
	cn_table_fini(&table);
}

static void
print_words(const struct cn_demo_plan *plan)
{
	printf("\nEvery byte was exact: %u connections, SHA-256 and length "
	       "equal at both ends.\n"
	       "WAN counts both ways, TLS included.  The log was written at "
	       "a service's pace, so\n"
	       "its time says nothing.  The second pass over the same files "
	       "went as references to\n"
	       "what both gateways had kept in memory of the first.\n",
	    plan->connections);
	if (plan->folder[0] != '\0') {
		printf("Keys, configurations and logs are left in %s\n",
		    plan->folder);
	}
}

static json_t *
result_json(const struct cn_demo_result *result)
{
	return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I}", "name", result->name,
	    "exact", result->is_exact && result->is_bare_exact ? 1 : 0, "lan",
	    (json_int_t)result->lan, "wan", (json_int_t)result->wan, "us",
	    (json_int_t)result->us, "bare_us", (json_int_t)result->bare_us);
}

static enum cn_exit
print_json(const struct cn_demo_plan *plan, bool is_exact)
{
	json_t *runs = json_array();
	int failed = runs == NULL ? -1 : 0;

	for (size_t i = 0; failed == 0 && i < CN_DEMO_STEPS; i++) {
		if (plan->results[i].name != NULL) {
			failed = json_array_append_new(
			    runs, result_json(&plan->results[i]));
		}
	}
	json_t *json = failed != 0
	    ? NULL
	    : json_pack("{s:b, s:I, s:I, s:i, s:O, s:s*}", "exact",
		  is_exact ? 1 : 0, "rate_bps", (json_int_t)plan->rate_bps,
		  "delay_us", (json_int_t)plan->delay_us, "connections",
		  (int)plan->connections, "runs", runs, "folder",
		  plan->folder[0] != '\0' ? plan->folder : NULL);
	enum cn_exit code =
	    json != NULL ? cn_ask_print(json, false) : CN_EXIT_FAILED;

	json_decref(json);
	json_decref(runs);
	return code;
}

enum cn_exit
cn_cmd_demo(const struct cn_args *args)
{
	bool is_json = args->option[CN_OPTION_JSON] != NULL;
	struct cn_demo_plan plan = {
		.is_kept = args->option[CN_OPTION_KEEP] != NULL,
		.is_quiet = is_json,
	};

	if (!read_options(args, &plan)) {
		return CN_EXIT_USAGE;
	}
	int err = cn_demo_run(&plan);
	enum cn_exit code = err == CN_OK ? CN_EXIT_OK : CN_EXIT_FAILED;
	if (is_json) {
		enum cn_exit printed = print_json(&plan, err == CN_OK);

		return code != CN_EXIT_OK ? code : printed;
	}
	if (err == CN_OK) {
		print_table(&plan, cn_cli_is_coloured(args, STDOUT_FILENO));
		print_words(&plan);
	} else if (plan.folder[0] != '\0') {
		(void)fprintf(stderr, "left in %s\n", plan.folder);
	}
	return code;
}
