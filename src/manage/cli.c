/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "config/diag.h"
#include "control/message.h"
#include "manage/cmd.h"
#include "manage/help.h"

/* Words on the command line, the command's own included. */
#define WORDS_MAX (CN_ARGS_WORDS_MAX + 2)
/* All diagnostics as text. */
#define DIAGS_TEXT_MAX (1024u * 1024u)

struct parse {
	int argc;
	char **argv;
	struct cn_args args;
	const char *word[WORDS_MAX];
	size_t words;
};

static void say(const char *what, const char *fmt, va_list args)
    CN_PRINTF(2, 0);

static void
say(const char *what, const char *fmt, va_list args)
{
	(void)fprintf(stderr, "%s: ", what);
	(void)vfprintf(stderr, fmt, args);
	(void)fputc('\n', stderr);
}

void
cn_cli_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say("error", fmt, args);
	va_end(args);
}

void
cn_cli_hint(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say("hint", fmt, args);
	va_end(args);
}

enum cn_exit
cn_cli_usage(const struct cn_args *args, const char *fmt, ...)
{
	va_list list;

	va_start(list, fmt);
	say("error", fmt, list);
	va_end(list);
	if (args->command != NULL) {
		(void)fputs("usage: ", stderr);
		cn_help_synopsis(stderr, args->command);
		(void)fputc('\n', stderr);
	} else {
		(void)fputs("usage: compressnet COMMAND [OPTIONS]; "
			    "see compressnet --help\n",
		    stderr);
	}
	return CN_EXIT_USAGE;
}

bool
cn_cli_is_coloured(const struct cn_args *args, int fd)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return args->option[CN_OPTION_NO_COLOR] == NULL &&
	    (no_color == NULL || no_color[0] == '\0') && isatty(fd) == 1 &&
	    term != NULL && strcmp(term, "dumb") != 0;
}

void
cn_cli_print_diags(const struct cn_args *args, const struct cn_diag_list *diags)
{
	struct cn_buf text;

	cn_buf_init(&text, DIAGS_TEXT_MAX);
	if (cn_diag_render_all(
		diags, cn_cli_is_coloured(args, STDERR_FILENO), &text) < 0) {
		cn_cli_error("the configuration has errors, and there is no "
			     "memory to show them");
	} else if (text.len > 0) {
		(void)fwrite(text.data, 1, text.len, stderr);
	}
	cn_buf_fini(&text);
}

bool
cn_cli_number(const struct cn_args *args, enum cn_option option,
    uint64_t fallback, uint64_t min, uint64_t max, uint64_t *ret)
{
	const char *text = args->option[option];
	char *end;

	if (text == NULL) {
		*ret = fallback;
		return true;
	}
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 ||
	    value < min || value > max) {
		(void)cn_cli_usage(args,
		    "--%s takes a whole number from %llu to %llu, not '%s'",
		    cn_option_infos[option].name, (unsigned long long)min,
		    (unsigned long long)max, text);
		return false;
	}
	*ret = value;
	return true;
}

static int
find_long(const char *name, size_t len)
{
	for (int i = 0; i < CN_OPTION_MAX; i++) {
		if (strlen(cn_option_infos[i].name) == len &&
		    memcmp(cn_option_infos[i].name, name, len) == 0) {
			return i;
		}
	}
	return -1;
}

static int
find_short(char letter)
{
	for (int i = 0; i < CN_OPTION_MAX; i++) {
		if (cn_option_infos[i].letter == letter) {
			return i;
		}
	}
	return -1;
}

/* Record one; *at moves on where its argument is the next word. */
static bool
take_option(struct parse *parse, int option, const char *argument, int *at)
{
	const struct cn_option_info *info = &cn_option_infos[option];

	if (info->argument == NULL) {
		if (argument != NULL) {
			(void)cn_cli_usage(
			    &parse->args, "--%s takes no argument", info->name);
			return false;
		}
		argument = "";
	} else if (argument == NULL) {
		if (*at + 1 >= parse->argc) {
			(void)cn_cli_usage(&parse->args, "--%s needs %s",
			    info->name, info->argument);
			return false;
		}
		argument = parse->argv[++*at];
	}
	if (info->is_repeated) {
		struct cn_args *args = &parse->args;

		if (args->repeats == CN_ARGS_REPEATS_MAX) {
			(void)cn_cli_usage(args, "too many --%s", info->name);
			return false;
		}
		args->repeat[args->repeats].option = (enum cn_option)option;
		args->repeat[args->repeats++].value = argument;
	}
	parse->args.option[option] = argument;
	return true;
}

static bool
parse_long(struct parse *parse, int *at)
{
	const char *name = parse->argv[*at] + 2;
	const char *equals = strchr(name, '=');
	size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
	int option = find_long(name, len);

	if (option < 0) {
		(void)cn_cli_usage(
		    &parse->args, "unknown option --%.*s", (int)len, name);
		return false;
	}
	return take_option(
	    parse, option, equals != NULL ? equals + 1 : NULL, at);
}

/* "-jw", "-n5", "-n 5". */
static bool
parse_short(struct parse *parse, int *at)
{
	const char *letters = parse->argv[*at] + 1;

	for (; *letters != '\0'; letters++) {
		int option = find_short(*letters);

		if (option < 0) {
			(void)cn_cli_usage(
			    &parse->args, "unknown option -%c", *letters);
			return false;
		}
		if (cn_option_infos[option].argument != NULL) {
			return take_option(parse, option,
			    letters[1] != '\0' ? letters + 1 : NULL, at);
		}
		if (!take_option(parse, option, NULL, at)) {
			return false;
		}
	}
	return true;
}

static bool
parse_all(struct parse *parse)
{
	bool is_over = false;

	for (int i = 1; i < parse->argc; i++) {
		const char *arg = parse->argv[i];

		if (!is_over && strcmp(arg, "--") == 0) {
			is_over = true;
		} else if (!is_over && strncmp(arg, "--", 2) == 0) {
			if (!parse_long(parse, &i)) {
				return false;
			}
		} else if (!is_over && arg[0] == '-' && arg[1] != '\0') {
			if (!parse_short(parse, &i)) {
				return false;
			}
		} else if (parse->words == WORDS_MAX) {
			(void)cn_cli_usage(&parse->args, "too many arguments");
			return false;
		} else {
			parse->word[parse->words++] = arg;
		}
	}
	return true;
}

static bool
is_group(const char *word)
{
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		if (strcmp(cn_cli_commands[i].group, word) == 0) {
			return true;
		}
	}
	return false;
}

/*
 * The command that the words name; *used says how many of them did.  NULL:
 * a group that needs a verb, or no such group.
 */
static const struct cn_cli_command *
find_command(const struct parse *parse, size_t *used)
{
	const char *group = parse->words > 0 ? parse->word[0] : "status";
	const char *verb = parse->words > 1 ? parse->word[1] : NULL;
	const struct cn_cli_command *fallback = NULL;

	*used = parse->words > 0 ? 1 : 0;
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		const struct cn_cli_command *row = &cn_cli_commands[i];

		if (strcmp(row->group, group) != 0) {
			continue;
		}
		if (row->verb == NULL || (verb == NULL && row->is_default)) {
			fallback = row;
		} else if (verb != NULL && strcmp(row->verb, verb) == 0) {
			*used = 2;
			return row;
		}
	}
	return fallback;
}

/* Letters to change to make one word of the other; small words only. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[32], la = strlen(a), lb = strlen(b);

	if (la >= CN_ARRAY_LEN(row) || lb >= CN_ARRAY_LEN(row)) {
		return SIZE_MAX;
	}
	for (size_t k = 0; k <= lb; k++) {
		row[k] = k;
	}
	for (size_t i = 1; i <= la; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t k = 1; k <= lb; k++) {
			size_t above = row[k];
			size_t change = corner + (a[i - 1] != b[k - 1]);

			row[k] = CN_MIN(CN_MIN(above, row[k - 1]) + 1, change);
			corner = above;
		}
	}
	return row[lb];
}

static enum cn_exit
unknown_command(const struct parse *parse)
{
	const char *word = parse->word[0], *best = NULL;
	size_t least = 3;

	if (is_group(word)) {
		if (parse->words > 1) {
			cn_cli_error(
			    "unknown command '%s %s'", word, parse->word[1]);
		} else {
			cn_cli_error("'%s' needs a command", word);
		}
		cn_help_group(stderr, word);
		return CN_EXIT_USAGE;
	}
	for (size_t i = 0; i < cn_cli_commands_count; i++) {
		size_t far = distance(word, cn_cli_commands[i].group);

		if (far < least) {
			least = far;
			best = cn_cli_commands[i].group;
		}
	}
	if (best != NULL) {
		return cn_cli_usage(&parse->args,
		    "unknown command '%s'; did you mean '%s'?", word, best);
	}
	return cn_cli_usage(&parse->args, "unknown command '%s'", word);
}

/* --help and --version go before everything that may be wrong. */
static bool
early(struct parse *parse, const struct cn_cli_command *command,
    enum cn_exit *ret)
{
	if (parse->args.option[CN_OPTION_HELP] != NULL) {
		*ret = CN_EXIT_OK;
		if (parse->words == 0) {
			cn_help_overview(stdout);
		} else if (command != NULL &&
		    (parse->words > 1 || command->verb == NULL)) {
			cn_help_command(stdout, command);
		} else if (is_group(parse->word[0])) {
			cn_help_group(stdout, parse->word[0]);
		} else {
			*ret = unknown_command(parse);
		}
		return true;
	}
	if (parse->args.option[CN_OPTION_VERSION] != NULL) {
		*ret = cn_cmd_version(&parse->args);
		return true;
	}
	return false;
}

static enum cn_exit
dispatch(struct parse *parse)
{
	struct cn_args *args = &parse->args;
	size_t used;
	const struct cn_cli_command *command = find_command(parse, &used);
	enum cn_exit code;

	if (early(parse, command, &code)) {
		return code;
	}
	if (command == NULL) {
		return unknown_command(parse);
	}
	if (parse->words > used && used < 2 && command->verb != NULL) {
		/* `streams lst': not a word for the default verb. */
		return unknown_command(parse);
	}
	args->command = command;
	for (size_t i = used; i < parse->words; i++) {
		if (args->words == command->words_max) {
			return cn_cli_usage(
			    args, "what is '%s' for?", parse->word[i]);
		}
		args->word[args->words++] = parse->word[i];
	}
	for (int i = 0; i < CN_OPTION_MAX; i++) {
		if (args->option[i] != NULL &&
		    ((command->options | cn_options_common) &
			CN_OPTION_BIT(i)) == 0) {
			return cn_cli_usage(args, "no option --%s here",
			    cn_option_infos[i].name);
		}
	}
	if (args->words < command->words_min) {
		return cn_cli_usage(args, "%s is missing", command->words);
	}
	return command->run(args);
}

int
cn_cli_main(int argc, char **argv)
{
	struct parse parse = { .argc = argc, .argv = argv };
	enum cn_exit code;

	cn_message_setup();
	if (!parse_all(&parse)) {
		return CN_EXIT_USAGE;
	}
	code = dispatch(&parse);
	/* A full disk must not look like an empty list. */
	if ((fflush(stdout) != 0 || ferror(stdout) != 0) &&
	    code == CN_EXIT_OK) {
		cn_cli_error("cannot write the output: %s",
		    cn_err_text(cn_err_from_errno(errno)));
		code = CN_EXIT_FAILED;
	}
	return (int)code;
}
