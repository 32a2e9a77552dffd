/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/reference.h"

#include <string.h>

#include "manage/cli.h"

/* Characters that Markdown would read; words of the tables hold no others. */
#define SPECIAL "*_<>|[]\\`"

static const char head[] =
    "# Commands\n"
    "\n"
    "This page is made from the command table of the program itself\n"
    "(`src/manage/commands.c`); `compressnet help --markdown` prints it.\n"
    "\n"
    "## Synopsis\n"
    "\n"
    "`compressnet [command] [options]`\n"
    "\n"
    "## Description\n"
    "\n"
    "The Management Utility shows and steers the gateway (`compressnetd`)\n"
    "that runs on the same host. It asks over a local socket; which of them:\n"
    "`--socket`, else `$COMPRESSNET_SOCKET`, else\n"
    "`/run/compressnet/control.sock`, else, for a user other than root, the\n"
    "one in `$XDG_RUNTIME_DIR/compressnet`. Without a command it shows the\n"
    "status.\n"
    "\n"
    "Data goes to standard output, everything else to standard error.\n"
    "\n";

static const char tail[] =
    "## Exit status\n"
    "\n"
    "- **0**: ok\n"
    "- **1**: failed\n"
    "- **2**: the command line is wrong\n"
    "- **3**: a configuration is wrong\n"
    "- **4**: no gateway answers\n"
    "- **5**: a check found something\n"
    "- **6**: not allowed\n"
    "\n"
    "## Environment\n"
    "\n"
    "- `COMPRESSNET_SOCKET`: the gateway's control socket, where `--socket`\n"
    "  is not given\n"
    "- `NO_COLOR`: when set and not empty, no colours; nor are there any\n"
    "  where `TERM` is `dumb` or the output is no terminal\n"
    "- `XDG_RUNTIME_DIR`, `XDG_CONFIG_HOME`, `XDG_STATE_HOME`: where a user\n"
    "  other than root has socket, configuration and state\n"
    "\n"
    "## Files\n"
    "\n"
    "- `/etc/compressnet/compressnet.yaml`: the configuration, with\n"
    "  `conf.d/*.yaml` beside it\n"
    "- `/run/compressnet/control.sock`: the control socket\n"
    "- `/var/lib/compressnet`: key and state\n";

static void
print_escaped(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (strchr(SPECIAL, *text) != NULL) {
			(void)fputc('\\', out);
		}
		(void)fputc(*text, out);
	}
}

/* A paragraph of the table, which has hard line ends. */
static void
print_paragraph(FILE *out, const char *text)
{
	if (text[0] != '\0') {
		print_escaped(out, text);
		(void)fputs("\n\n", out);
	}
}

static void
print_option(FILE *out, const struct cn_option_info *info)
{
	(void)fputs("- `", out);
	if (info->letter != '\0') {
		(void)fprintf(out, "-%c`, `", info->letter);
	}
	(void)fprintf(out, "--%s%s%s`: ", info->name,
	    info->argument != NULL ? " " : "",
	    info->argument != NULL ? info->argument : "");
	print_escaped(out, info->help);
	(void)fputc('\n', out);
}

static void
print_options(FILE *out, uint64_t options)
{
	for (int i = 0; i < CN_OPTION_MAX; i++) {
		if ((options & CN_OPTION_BIT(i)) != 0) {
			print_option(out, &cn_option_infos[i]);
		}
	}
	if (options != 0) {
		(void)fputc('\n', out);
	}
}

static void
print_command(FILE *out, const struct cn_cli_command *command)
{
	(void)fprintf(out, "### compressnet %s%s%s%s", command->group,
	    command->verb != NULL ? " " : "",
	    command->verb != NULL ? command->verb : "",
	    command->words[0] != '\0' ? " " : "");
	print_escaped(out, command->words);
	(void)fputs("\n\n", out);
	(void)fputc(command->summary[0] & ~0x20, out);
	print_escaped(out, command->summary + 1);
	(void)fputs(".\n\n", out);
	if (command->is_default) {
		(void)fprintf(out, "`compressnet %s` alone does the same.\n\n",
		    command->group);
	}
	print_paragraph(out, command->help);
	print_options(out, command->options);
	if (command->examples[0] != '\0') {
		(void)fprintf(out, "```\n%s\n```\n\n", command->examples);
	}
}

void
cn_reference_markdown(FILE *out)
{
	(void)fputs(head, out);
	(void)fputs("Every command takes these:\n\n", out);
	print_options(out, cn_options_common);
	(void)fputs("## Commands\n\n", out);
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		print_command(out, &cn_cli_commands[i]);
	}
	(void)fputs(tail, out);
}
