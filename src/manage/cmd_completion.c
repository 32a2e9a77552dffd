/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <stdio.h>
#include <string.h>

/*
 * The scripts are made of the command table and know nothing else: words of
 * the first place, verbs of a group, options of a command, files after
 * options that take one.
 */

/* The first row of each group. */
static bool
is_first(size_t index)
{
	return index == 0 ||
	    strcmp(cn_cli_commands[index].group,
		cn_cli_commands[index - 1].group) != 0;
}

static void
print_groups(void)
{
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		if (is_first(i)) {
			printf(
			    "%s%s", i > 0 ? " " : "", cn_cli_commands[i].group);
		}
	}
}

static void
print_verbs(const char *group)
{
	bool is_next = false;

	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		const struct cn_cli_command *row = &cn_cli_commands[i];

		if (strcmp(row->group, group) == 0 && row->verb != NULL) {
			printf("%s%s", is_next ? " " : "", row->verb);
			is_next = true;
		}
	}
}

/* Text inside single quotes of zsh and fish, with what zsh's specs mean. */
static void
print_quoted(const char *text, const char *escaped)
{
	for (; *text != '\0'; text++) {
		if (*text == '\'') {
			(void)fputs("'\\''", stdout);
			continue;
		}
		if (strchr(escaped, *text) != NULL) {
			(void)putchar('\\');
		}
		(void)putchar(*text);
	}
}

/* What to say of a group: its verbs, or the summary of its one command. */
static void
print_about(const struct cn_cli_command *row, const char *escaped)
{
	if (row->verb != NULL) {
		print_verbs(row->group);
	} else {
		print_quoted(row->summary, escaped);
	}
}

static void
print_options(const struct cn_cli_command *row)
{
	uint64_t options = row->options | cn_options_common;
	bool is_next = false;

	for (int i = 0; i < CN_OPTION_MAX; i++) {
		if ((options & CN_OPTION_BIT(i)) != 0) {
			printf("%s--%s", is_next ? " " : "",
			    cn_option_infos[i].name);
			is_next = true;
		}
	}
}

/* Is the option's argument a file? */
static bool
takes_file(int option)
{
	const char *argument = cn_option_infos[option].argument;

	return argument != NULL &&
	    (strcmp(argument, "FILE") == 0 || strcmp(argument, "PATH") == 0);
}

static void
print_bash_case(const struct cn_cli_command *row)
{
	if (row->verb != NULL) {
		printf("\t'%s %s'", row->group, row->verb);
		if (row->is_default) {
			printf(" | '%s '", row->group);
		}
	} else {
		printf("\t'%s' | '%s '*", row->group, row->group);
	}
	printf(")\n\t\toptions='");
	print_options(row);
	printf("'\n");
	if (row->choices != NULL) {
		printf("\t\twords='%s'\n", row->choices);
	}
	if (strstr(row->words, "FILE") != NULL) {
		printf("\t\tfiles=1\n");
	}
	printf("\t\t;;\n");
}

static void
print_bash(void)
{
	printf("# bash completion for compressnet\n"
	       "_compressnet() {\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev= group= verb= i\n"
	       "\tlocal options= words= files=\n"
	       "\tCOMPREPLY=()\n"
	       "\t[ \"$COMP_CWORD\" -gt 0 ] && "
	       "prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	       "\tcase $prev in\n\t");
	bool is_next = false;
	for (int i = 0; i < CN_OPTION_MAX; i++) {
		if (takes_file(i)) {
			printf("%s--%s", is_next ? " | " : "",
			    cn_option_infos[i].name);
			is_next = true;
			if (cn_option_infos[i].letter != '\0') {
				printf(" | -%c", cn_option_infos[i].letter);
			}
		}
	}
	printf(")\n"
	       "\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n"
	       "\t\treturn\n\t\t;;\n\tesac\n"
	       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "\t\tcase ${COMP_WORDS[i]} in\n"
	       "\t\t-*) ;;\n"
	       "\t\t*) if [ -z \"$group\" ]; then "
	       "group=${COMP_WORDS[i]}; elif [ -z \"$verb\" ]; then "
	       "verb=${COMP_WORDS[i]}; fi ;;\n"
	       "\t\tesac\n\tdone\n"
	       "\tcase \"$group${group:+ }$verb\" in\n"
	       "\t'')\n\t\twords='");
	print_groups();
	printf("'\n\t\toptions='--help --version'\n\t\t;;\n");
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		print_bash_case(&cn_cli_commands[i]);
	}
	printf("\tesac\n\tif [ -n \"$group\" ] && [ -z \"$verb\" ]; then\n"
	       "\t\tcase $group in\n");
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		if (is_first(i) && cn_cli_commands[i].verb != NULL) {
			printf("\t\t%s) words='", cn_cli_commands[i].group);
			print_verbs(cn_cli_commands[i].group);
			printf("' ;;\n");
		}
	}
	printf("\t\tesac\n\tfi\n"
	       "\tcase $cur in\n"
	       "\t-*) COMPREPLY=($(compgen -W \"$options\" -- \"$cur\")) ;;\n"
	       "\t*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	       "\t\t[ -n \"$files\" ] && "
	       "COMPREPLY+=($(compgen -f -- \"$cur\")) ;;\n"
	       "\tesac\n}\n"
	       "complete -o filenames -F _compressnet compressnet\n");
}

static void
print_zsh_options(const struct cn_cli_command *row)
{
	uint64_t options = row->options | cn_options_common;

	for (int i = 0; i < CN_OPTION_MAX; i++) {
		const struct cn_option_info *info = &cn_option_infos[i];

		if ((options & CN_OPTION_BIT(i)) == 0) {
			continue;
		}
		printf(" \\\n\t\t\t'--%s[", info->name);
		print_quoted(info->help, "[]:\\");
		printf("]");
		if (info->argument != NULL) {
			printf(":%s:%s", info->argument,
			    takes_file(i) ? "_files" : "");
		}
		printf("'");
	}
}

static void
print_zsh_command(const struct cn_cli_command *row)
{
	if (row->verb != NULL) {
		printf("\t'%s %s')\n", row->group, row->verb);
	} else {
		printf("\t'%s '*)\n", row->group);
	}
	printf("\t\t_arguments -s");
	print_zsh_options(row);
	if (row->choices != NULL) {
		printf(" \\\n\t\t\t'*:word:(%s)'", row->choices);
	} else if (strstr(row->words, "FILE") != NULL) {
		printf(" \\\n\t\t\t'*:file:_files'");
	}
	printf("\n\t\t;;\n");
}

static void
print_zsh(void)
{
	printf("#compdef compressnet\n"
	       "# zsh completion for compressnet\n"
	       "_compressnet() {\n"
	       "\tlocal group=${words[2]} verb=${words[3]}\n"
	       "\tlocal -a names\n"
	       "\tif ((CURRENT == 2)); then\n"
	       "\t\tnames=(\n");
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		if (is_first(i)) {
			printf("\t\t\t'%s:", cn_cli_commands[i].group);
			print_about(&cn_cli_commands[i], ":\\");
			printf("'\n");
		}
	}
	printf("\t\t)\n\t\t_describe command names\n\t\treturn\n\tfi\n"
	       "\tif ((CURRENT == 3)); then\n\t\tnames=()\n"
	       "\t\tcase $group in\n");
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		if (is_first(i) && cn_cli_commands[i].verb != NULL) {
			printf("\t\t%s) names=(", cn_cli_commands[i].group);
			print_verbs(cn_cli_commands[i].group);
			printf(") ;;\n");
		}
	}
	printf("\t\tesac\n\t\tif ((${#names})); then\n"
	       "\t\t\t_describe command names\n\t\t\treturn\n\t\tfi\n\tfi\n"
	       "\tcase \"$group $verb\" in\n");
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		print_zsh_command(&cn_cli_commands[i]);
	}
	printf("\tesac\n}\n"
	       "if [ \"$funcstack[1]\" = _compressnet ]; then\n"
	       "\t_compressnet \"$@\"\nelse\n"
	       "\tcompdef _compressnet compressnet\nfi\n");
}

static void
print_fish_condition(const struct cn_cli_command *row)
{
	printf("complete -c compressnet -n '__fish_seen_subcommand_from %s",
	    row->group);
	if (row->verb != NULL) {
		printf("; and __fish_seen_subcommand_from %s", row->verb);
	}
	printf("'");
}

static void
print_fish_command(const struct cn_cli_command *row)
{
	uint64_t options = row->options | cn_options_common;

	for (int i = 0; i < CN_OPTION_MAX; i++) {
		const struct cn_option_info *info = &cn_option_infos[i];

		if ((options & CN_OPTION_BIT(i)) == 0) {
			continue;
		}
		print_fish_condition(row);
		printf(" -l %s", info->name);
		if (info->letter != '\0') {
			printf(" -s %c", info->letter);
		}
		if (info->argument != NULL) {
			printf(takes_file(i) ? " -r -F" : " -x");
		}
		printf(" -d '");
		print_quoted(info->help, "\\");
		printf("'\n");
	}
	if (row->choices != NULL) {
		print_fish_condition(row);
		printf(" -a '%s'\n", row->choices);
	} else if (strstr(row->words, "FILE") != NULL) {
		print_fish_condition(row);
		printf(" -F\n");
	}
}

static void
print_fish(void)
{
	printf("# fish completion for compressnet\n"
	       "complete -c compressnet -f\n");
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		const struct cn_cli_command *row = &cn_cli_commands[i];

		if (is_first(i)) {
			printf("complete -c compressnet -n "
			       "__fish_use_subcommand -a %s -d '",
			    row->group);
			print_about(row, "\\");
			printf("'\n");
		}
		if (is_first(i) && row->verb != NULL) {
			printf("complete -c compressnet -n "
			       "'__fish_seen_subcommand_from %s; and not "
			       "__fish_seen_subcommand_from ",
			    row->group);
			print_verbs(row->group);
			printf("' -a '");
			print_verbs(row->group);
			printf("'\n");
		}
		print_fish_command(row);
	}
}

enum cn_exit
cn_cmd_completion(const struct cn_args *args)
{
	const char *shell = args->word[0];

	if (strcmp(shell, "bash") == 0) {
		print_bash();
	} else if (strcmp(shell, "zsh") == 0) {
		print_zsh();
	} else if (strcmp(shell, "fish") == 0) {
		print_fish();
	} else {
		return cn_cli_usage(args,
		    "no completion for '%s', only for bash, zsh and fish",
		    shell);
	}
	return CN_EXIT_OK;
}
