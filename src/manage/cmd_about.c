/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "manage/ask.h"
#include "manage/help.h"
#include "manage/reference.h"
#include "manage/table.h"

/* Does a gateway answer?  Quietly: none is no error here. */
static void
ask_version(const struct cn_args *args, char *version, size_t size)
{
	struct cn_request request = { .command = CN_COMMAND_VERSION };
	struct cn_client *client = NULL;
	struct cn_reply reply;
	char path[256];

	version[0] = '\0';
	cn_reply_init(&reply);
	if (cn_client_path(
		args->option[CN_OPTION_SOCKET], path, sizeof(path)) == CN_OK &&
	    cn_client_open(path, 1000000, &client) == CN_OK &&
	    cn_client_call(client, &request, &reply) == CN_OK && reply.is_ok) {
		const char *text =
		    json_string_value(json_object_get(reply.data, "version"));

		if (text != NULL) {
			cn_table_clean(version, size, text);
		}
	}
	cn_reply_fini(&reply);
	cn_client_close(&client);
}

enum cn_exit
cn_cmd_version(const struct cn_args *args)
{
	char gateway[64];

	ask_version(args, gateway, sizeof(gateway));
	if (args->option[CN_OPTION_JSON] != NULL) {
		json_t *json = json_pack("{s:s, s:s*}", "version", CN_VERSION,
		    "gateway", gateway[0] != '\0' ? gateway : NULL);
		enum cn_exit code =
		    json != NULL ? cn_ask_print(json, false) : CN_EXIT_FAILED;

		json_decref(json);
		return code;
	}
	printf("compressnet %s\n", CN_VERSION);
	if (gateway[0] != '\0') {
		printf("the running gateway: %s\n", gateway);
	}
	return CN_EXIT_OK;
}

enum cn_exit
cn_cmd_help(const struct cn_args *args)
{
	bool has_verb = args->words > 1, is_found = false;

	if (args->option[CN_OPTION_MARKDOWN] != NULL) {
		cn_reference_markdown(stdout);
		return CN_EXIT_OK;
	}
	if (args->words == 0) {
		cn_help_overview(stdout);
		return CN_EXIT_OK;
	}
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		const struct cn_cli_command *row = &cn_cli_commands[i];

		if (strcmp(row->group, args->word[0]) != 0) {
			continue;
		}
		if (row->verb == NULL && !has_verb) {
			cn_help_command(stdout, row);
			return CN_EXIT_OK;
		}
		if (row->verb != NULL && has_verb &&
		    strcmp(row->verb, args->word[1]) == 0) {
			cn_help_command(stdout, row);
			return CN_EXIT_OK;
		}
		is_found = is_found || row->verb != NULL;
	}
	if (is_found && !has_verb) {
		cn_help_group(stdout, args->word[0]);
		return CN_EXIT_OK;
	}
	return cn_cli_usage(args, "no such command");
}
