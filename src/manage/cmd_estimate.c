/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "config/config_box.h"
#include "manage/ask.h"
#include "manage/estimating.h"
#include "manage/human.h"

/* The emulated line, as that of the demo. */
#define RATE "20mbit"
#define DELAY "20ms"
/* As store.memory by default. */
#define STORE_BYTES (UINT64_C(256) * 1024 * 1024)
#define ROWS 20u

int
cn_estimating_count(struct cn_estimating *run, enum cn_estimate_pass pass)
{
	struct cn_offline_line line[CN_OFFLINE_WAYS];
	int err = cn_offline_settle(run->offline);

	cn_offline_line(run->offline, line);
	for (int i = 0; i < CN_OFFLINE_WAYS; i++) {
		run->estimate->line[pass][i].bytes +=
		    line[i].bytes - run->before[i].bytes;
		run->estimate->line[pass][i].records +=
		    line[i].records - run->before[i].records;
		run->before[i] = line[i];
	}
	return err;
}

enum cn_exit
cn_estimating_failed(struct cn_estimating *run, int err)
{
	cn_progress_clear(&run->progress);
	if (err == CN_ENOMEM) {
		cn_cli_error("%s", cn_err_text(err));
	} else {
		cn_cli_error(
		    "the two engines do not go on: %s", cn_err_text(err));
		cn_cli_hint("this is a defect of CompressNET; please report it "
			    "with what was read");
	}
	return CN_EXIT_FAILED;
}

/* ---- options ---- */

static bool
take_profile(const struct cn_args *args, struct cn_estimate *e)
{
	const char *name = args->option[CN_OPTION_PROFILE];
	struct cn_config_coding *coding = &e->offline.coding;
	size_t count;
	const struct cn_config_profile *all = cn_config_builtin(&count);

	name = name == NULL ? "balanced" : name;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(all[i].entry.name, name) == 0) {
			e->profile = all[i].entry.name;
			coding->coalesce_us = (uint32_t)all[i].coalesce_us;
			coding->level_min = (int)all[i].level_min;
			coding->level_max = (int)all[i].level_max;
			coding->dedup = all[i].dedup;
			return true;
		}
	}
	(void)cn_cli_usage(args,
	    "--profile is one of balanced, max-reduction, min-latency and off, "
	    "not '%s'",
	    name);
	return false;
}

/* "6" or "1-9". */
static bool
take_level(const struct cn_args *args, struct cn_estimate *e)
{
	const char *text = args->option[CN_OPTION_LEVELS];
	char *end;
	long min, max;

	if (text == NULL) {
		return true;
	}
	errno = 0;
	min = max = strtol(text, &end, 10);
	if (end != text && *end == '-') {
		const char *second = end + 1;

		max = strtol(second, &end, 10);
		end = end == second ? (char *)(uintptr_t)text : end;
	}
	if (end == text || *end != '\0' || errno != 0 || text[0] < '0' ||
	    text[0] > '9' || min < 1 || max < min ||
	    max > CN_CONFIG_LEVEL_MAX) {
		(void)cn_cli_usage(args,
		    "--levels takes a level from 1 to %d, or a range as 1-9, "
		    "not '%s'",
		    CN_CONFIG_LEVEL_MAX, text);
		return false;
	}
	e->offline.coding.level_min = (int)min;
	e->offline.coding.level_max = (int)max;
	return true;
}

/* "0.09", "0.09/GB", "90/TB". */
static bool
take_price(const struct cn_args *args, struct cn_estimate *e)
{
	const char *text = args->option[CN_OPTION_PRICE];
	double divisor = 1;
	char *end;

	if (text == NULL) {
		return true;
	}
	errno = 0;
	e->price = strtod(text, &end);
	if (strcmp(end, "/TB") == 0) {
		divisor = 1000;
	} else if (*end != '\0' && strcmp(end, "/GB") != 0) {
		end = (char *)(uintptr_t)text;
	}
	if (end == text || errno != 0 || text[0] < '0' || text[0] > '9' ||
	    !isfinite(e->price)) {
		(void)cn_cli_usage(args,
		    "--price takes money per GB, as 0.09/GB, not '%s'", text);
		return false;
	}
	e->price /= divisor;
	return true;
}

static bool
take_line(const struct cn_args *args, struct cn_estimate *e)
{
	const char *rate = args->option[CN_OPTION_RATE];
	const char *delay = args->option[CN_OPTION_DELAY];
	uint64_t bits;

	rate = rate == NULL ? RATE : rate;
	delay = delay == NULL ? DELAY : delay;
	if (cn_human_parse_rate(rate, &bits) != CN_OK || bits < 8000) {
		(void)cn_cli_usage(
		    args, "--rate takes a rate as 20mbit, not '%s'", rate);
		return false;
	}
	if (cn_human_parse_duration(delay, &e->offline.delay_us) != CN_OK ||
	    e->offline.delay_us > UINT64_C(10000000)) {
		(void)cn_cli_usage(args,
		    "--delay takes a time up to 10s, as 20ms, not '%s'", delay);
		return false;
	}
	e->offline.rate_bps = bits / 8;
	e->offline.store_bytes = STORE_BYTES;
	return true;
}

/* All words are captures, or none is; sets *ret. */
static bool
take_words(const struct cn_args *args, bool *ret)
{
	size_t captures = 0;

	for (size_t i = 0; i < args->words; i++) {
		captures += cn_estimating_is_capture(args->word[i]);
	}
	if (captures > 0 && captures < args->words) {
		(void)cn_cli_usage(args,
		    "captures and other files are estimated apart: run it "
		    "twice");
		return false;
	}
	*ret = captures > 0;
	return true;
}

/* ---- the command ---- */

static enum cn_exit
print(const struct cn_args *args, struct cn_estimate *e, size_t limit)
{
	enum cn_exit code = CN_EXIT_OK;

	cn_estimate_sort(e);
	if (args->option[CN_OPTION_JSON] != NULL) {
		json_t *json = cn_estimate_json(e, limit);

		code = cn_ask_print(json, false);
		json_decref(json);
	} else {
		cn_estimate_print(
		    e, limit, cn_cli_is_coloured(args, STDOUT_FILENO));
	}
	return code != CN_EXIT_OK || e->is_complete ? code : CN_EXIT_FAILED;
}

static enum cn_exit
run(const struct cn_args *args, struct cn_estimate *e, bool is_capture,
    size_t limit)
{
	struct cn_estimating run = { .args = args, .estimate = e };
	int err = cn_offline_create(&e->offline, &run.offline);
	enum cn_exit code;

	if (err != CN_OK) {
		cn_cli_error("%s", cn_err_text(err));
		return CN_EXIT_FAILED;
	}
	cn_progress_begin(&run.progress);
	code = is_capture ? cn_estimating_captures(&run)
			  : cn_estimating_files(&run);
	cn_progress_end(&run.progress);
	/* The engines need not end in order. */
	cn_offline_free(&run.offline);
	return code == CN_EXIT_OK ? print(args, e, limit) : code;
}

enum cn_exit
cn_cmd_estimate(const struct cn_args *args)
{
	struct cn_estimate estimate;
	enum cn_exit code = CN_EXIT_USAGE;
	bool is_capture;
	uint64_t limit;

	cn_estimate_init(&estimate);
	if (take_profile(args, &estimate) && take_level(args, &estimate) &&
	    take_price(args, &estimate) && take_line(args, &estimate) &&
	    cn_cli_number(
		args, CN_OPTION_LIMIT, ROWS, 1, CN_ESTIMATE_ROWS_MAX, &limit) &&
	    take_words(args, &is_capture)) {
		code = run(args, &estimate, is_capture, (size_t)limit);
	}
	cn_estimate_fini(&estimate);
	return code;
}
