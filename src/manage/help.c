/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/help.h"

#include <string.h>

static void
print_name(FILE *out, const struct cn_cli_command *command)
{
	(void)fprintf(out, "%s%s%s", command->group,
	    command->verb != NULL ? " " : "",
	    command->verb != NULL ? command->verb : "");
}

void
cn_help_synopsis(FILE *out, const struct cn_cli_command *command)
{
	(void)fputs("compressnet ", out);
	print_name(out, command);
	if (command->words[0] != '\0') {
		(void)fprintf(out, " %s", command->words);
	}
	for (int i = 0; i < CN_OPTION_MAX; i++) {
		const struct cn_option_info *info = &cn_option_infos[i];

		if ((command->options & CN_OPTION_BIT(i)) == 0) {
			continue;
		}
		if (info->argument != NULL) {
			(void)fprintf(
			    out, " [--%s %s]", info->name, info->argument);
		} else {
			(void)fprintf(out, " [--%s]", info->name);
		}
	}
}

static void
print_summary(FILE *out, const struct cn_cli_command *command)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "%s%s%s%s%s", command->group,
	    command->verb != NULL ? " " : "",
	    command->verb != NULL ? command->verb : "",
	    command->words[0] != '\0' ? " " : "", command->words);
	(void)fprintf(out, "  %-26s %s\n", name, command->summary);
}

static void
print_options(FILE *out, uint64_t options)
{
	for (int i = 0; i < CN_OPTION_MAX; i++) {
		const struct cn_option_info *info = &cn_option_infos[i];
		char name[64];

		if ((options & CN_OPTION_BIT(i)) == 0) {
			continue;
		}
		(void)snprintf(name, sizeof(name), "--%s%s%s", info->name,
		    info->argument != NULL ? " " : "",
		    info->argument != NULL ? info->argument : "");
		if (info->letter != '\0') {
			(void)fprintf(out, "  -%c, %-20s %s\n", info->letter,
			    name, info->help);
		} else {
			(void)fprintf(
			    out, "      %-20s %s\n", name, info->help);
		}
	}
}

void
cn_help_overview(FILE *out)
{
	(void)fputs("compressnet: see and steer a CompressNET gateway\n\n"
		    "usage: compressnet [COMMAND] [OPTIONS]\n\n"
		    "commands (`status' when none is given):\n",
	    out);
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		print_summary(out, &cn_cli_commands[i]);
	}
	(void)fputs("\noptions of every command:\n", out);
	print_options(out, cn_options_common);
	(void)fputs("\nexit codes: 0 ok, 1 failed, 2 usage, 3 configuration, "
		    "4 no gateway answers,\n            5 findings, "
		    "6 not allowed\n\n"
		    "compressnet COMMAND --help tells more of one.\n",
	    out);
}

void
cn_help_group(FILE *out, const char *group)
{
	(void)fputs("commands:\n", out);
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		if (strcmp(cn_cli_commands[i].group, group) == 0) {
			print_summary(out, &cn_cli_commands[i]);
		}
	}
	(void)fprintf(
	    out, "compressnet %s COMMAND --help tells more.\n", group);
}

void
cn_help_command(FILE *out, const struct cn_cli_command *command)
{
	(void)fputs("compressnet ", out);
	print_name(out, command);
	(void)fprintf(out, ": %s\n\nusage: ", command->summary);
	cn_help_synopsis(out, command);
	(void)fputc('\n', out);
	if (command->help[0] != '\0') {
		(void)fprintf(out, "\n%s\n", command->help);
	}
	(void)fputs("\noptions:\n", out);
	print_options(out, command->options | cn_options_common);
	if (command->examples[0] != '\0') {
		(void)fprintf(out, "\nexamples:\n%s\n", command->examples);
	}
}
