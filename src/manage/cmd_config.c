/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "config/config.h"
#include "config/manual.h"
#include "config/paths.h"
#include "manage/ask.h"
#include "manage/setup.h"

/* Output of the schema and the manual. */
#define TEXT_MAX (4u * 1024u * 1024u)

static json_t *
diag_json(const struct cn_diag *diag)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:s, s:s*}", "severity",
	    diag->severity == CN_DIAG_WARNING ? "warning" : "error", "file",
	    diag->file, "line", (int)diag->line, "column", (int)diag->column,
	    "message", diag->message, "hint", diag->hint);
}

static enum cn_exit
print_check_json(const char *file, bool is_ok, const struct cn_diag_list *diags)
{
	json_t *array = json_array();
	int failed = array == NULL ? -1 : 0;

	for (size_t i = 0; failed == 0 && i < diags->count; i++) {
		failed =
		    json_array_append_new(array, diag_json(&diags->item[i]));
	}
	json_t *json = failed != 0
	    ? NULL
	    : json_pack("{s:s, s:b, s:O}", "file", file, "ok", is_ok ? 1 : 0,
		  "diagnostics", array);
	enum cn_exit code = CN_EXIT_FAILED;
	if (json != NULL) {
		code = cn_ask_print(json, false);
	} else {
		cn_cli_error("%s", cn_err_text(CN_ENOMEM));
	}
	json_decref(json);
	json_decref(array);
	return code;
}

enum cn_exit
cn_cmd_config_check(const struct cn_args *args)
{
	const char *file =
	    args->words > 0 ? args->word[0] : args->option[CN_OPTION_CONFIG];
	struct cn_config *config = NULL;
	struct cn_diag_list diags;
	struct cn_paths paths;
	enum cn_exit code = CN_EXIT_OK;

	if (file == NULL) {
		code = cn_setup_paths(&paths);
		if (code != CN_EXIT_OK) {
			return code;
		}
		file = paths.config;
	}
	cn_diag_init(&diags);
	int err = cn_setup_load(file, &diags, &config);
	if (args->option[CN_OPTION_JSON] != NULL) {
		code = print_check_json(file, err == CN_OK, &diags);
	} else {
		cn_cli_print_diags(args, &diags);
	}
	if (err == CN_OK && code == CN_EXIT_OK &&
	    args->option[CN_OPTION_JSON] == NULL) {
		printf("%s: no errors\n", file);
	} else if (err == CN_ECONFIG) {
		code = CN_EXIT_CONFIG;
	} else if (err < 0) {
		cn_cli_error("%s: %s", file, cn_err_text(err));
		code = CN_EXIT_FAILED;
	}
	cn_config_unref(&config);
	cn_diag_fini(&diags);
	return code;
}

static enum cn_exit
print_yaml(
    const struct cn_args *args, const char *file, const char *yaml, size_t len)
{
	if (args->option[CN_OPTION_JSON] == NULL) {
		(void)fwrite(yaml, 1, len, stdout);
		return CN_EXIT_OK;
	}
	json_t *json =
	    json_pack("{s:s, s:s%}", "file", file, "yaml", yaml, len);
	if (json == NULL) {
		cn_cli_error("%s", cn_err_text(CN_ENOMEM));
		return CN_EXIT_FAILED;
	}
	enum cn_exit code = cn_ask_print(json, false);
	json_decref(json);
	return code;
}

static enum cn_exit
show_file(const struct cn_args *args, const char *file)
{
	struct cn_config *config = NULL;
	enum cn_exit code = CN_EXIT_OK;
	struct cn_diag_list diags;
	struct cn_buf text;

	cn_diag_init(&diags);
	cn_buf_init(&text, TEXT_MAX);
	int err = cn_setup_load(file, &diags, &config);
	cn_cli_print_diags(args, &diags);
	if (err == CN_OK) {
		err = cn_config_dump(config, &text);
	}
	if (err == CN_OK) {
		code =
		    print_yaml(args, file, (const char *)text.data, text.len);
	} else if (err == CN_ECONFIG) {
		code = CN_EXIT_CONFIG;
	} else {
		cn_cli_error("%s: %s", file, cn_err_text(err));
		code = CN_EXIT_FAILED;
	}
	cn_config_unref(&config);
	cn_buf_fini(&text);
	cn_diag_fini(&diags);
	return code;
}

enum cn_exit
cn_cmd_config_show(const struct cn_args *args)
{
	struct cn_reply reply;

	if (args->option[CN_OPTION_CONFIG] != NULL) {
		return show_file(args, args->option[CN_OPTION_CONFIG]);
	}
	enum cn_exit code = cn_ask_once(args, CN_COMMAND_CONFIG, &reply);
	if (code == CN_EXIT_UNREACHABLE) {
		cn_cli_hint("--config FILE shows a file without a gateway");
	}
	if (code != CN_EXIT_OK) {
		return code;
	}
	const json_t *yaml = json_object_get(reply.data, "yaml");
	const char *file =
	    json_string_value(json_object_get(reply.data, "file"));
	if (!json_is_string(yaml) || file == NULL) {
		cn_cli_error("the gateway's answer makes no sense");
		code = CN_EXIT_FAILED;
	} else {
		code = print_yaml(args, file, json_string_value(yaml),
		    json_string_length(yaml));
	}
	cn_reply_fini(&reply);
	return code;
}

enum cn_exit
cn_cmd_config_schema(const struct cn_args *args)
{
	struct cn_buf text;

	cn_buf_init(&text, TEXT_MAX);
	int err = args->option[CN_OPTION_MARKDOWN] != NULL
	    ? cn_manual_markdown(&text)
	    : cn_manual_json_schema(&text);
	if (err == CN_OK) {
		(void)fwrite(text.data, 1, text.len, stdout);
	} else {
		cn_cli_error("%s", cn_err_text(err));
	}
	cn_buf_fini(&text);
	return err == CN_OK ? CN_EXIT_OK : CN_EXIT_FAILED;
}

enum cn_exit
cn_cmd_config_reload(const struct cn_args *args)
{
	struct cn_reply reply;
	enum cn_exit code = cn_ask_once(args, CN_COMMAND_RELOAD, &reply);

	if (code != CN_EXIT_OK) {
		return code;
	}
	const char *changes =
	    json_string_value(json_object_get(reply.data, "changes"));
	if (args->option[CN_OPTION_JSON] != NULL) {
		code = cn_ask_print(reply.data, false);
	} else {
		cn_cli_print_diags(args, &reply.diags);
		(void)fputs(changes != NULL && changes[0] != '\0'
			? "taken over:\n"
			: "taken over; nothing differs\n",
		    stderr);
		if (changes != NULL && changes[0] != '\0') {
			size_t len = strlen(changes);

			printf("%s%s", changes,
			    changes[len - 1] == '\n' ? "" : "\n");
		}
	}
	cn_reply_fini(&reply);
	return code;
}

enum cn_exit
cn_cmd_config_diff(const struct cn_args *args)
{
	struct cn_reply reply;
	enum cn_exit code = cn_ask_once(args, CN_COMMAND_CONFIG_DIFF, &reply);

	if (code != CN_EXIT_OK) {
		return code;
	}
	const char *changes =
	    json_string_value(json_object_get(reply.data, "changes"));
	if (changes == NULL) {
		cn_cli_error("the gateway's answer makes no sense");
		code = CN_EXIT_FAILED;
	} else if (args->option[CN_OPTION_JSON] != NULL) {
		code = cn_ask_print(reply.data, false);
	} else {
		cn_cli_print_diags(args, &reply.diags);
		(void)fputs(changes, stdout);
	}
	if (code == CN_EXIT_OK && changes[0] != '\0') {
		code = CN_EXIT_FINDINGS;
	}
	cn_reply_fini(&reply);
	return code;
}
