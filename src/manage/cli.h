/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_CLI_H
#define CN_MANAGE_CLI_H

/*
 * The command table of `compressnet': names, arguments, options, help and
 * functions.  Dispatch, --help, usage errors, shell completion and the
 * manual's synopsis all come from it, so that they cannot disagree.
 *
 * A new command is one row in commands.c and one function in a cmd_*.c; a
 * new option is one value here and one row in options of commands.c.
 *
 * Life:   constant data; struct cn_args lives for one run.
 * Thread: main.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Exit codes, part of the interface (doc/management.md). */
enum cn_exit {
	CN_EXIT_OK = 0,
	CN_EXIT_FAILED = 1,
	CN_EXIT_USAGE = 2,
	CN_EXIT_CONFIG = 3,      /* the configuration is wrong */
	CN_EXIT_UNREACHABLE = 4, /* no gateway answers */
	CN_EXIT_FINDINGS = 5,    /* a check found something */
	CN_EXIT_NOT_ALLOWED = 6,
};

enum cn_option {
	CN_OPTION_HELP,
	CN_OPTION_VERSION,
	CN_OPTION_SOCKET,
	CN_OPTION_TIMEOUT,
	CN_OPTION_JSON,
	CN_OPTION_NO_COLOR,
	CN_OPTION_WATCH,
	CN_OPTION_INTERVAL,
	CN_OPTION_COUNT,
	CN_OPTION_SERVICE,
	CN_OPTION_PEER,
	CN_OPTION_LIMIT,
	CN_OPTION_CONFIG,
	CN_OPTION_MARKDOWN,
	CN_OPTION_KEY,
	CN_OPTION_KEY_FILE,
	CN_OPTION_FORCE,
	CN_OPTION_RATE,
	CN_OPTION_DELAY,
	CN_OPTION_SIZE,
	CN_OPTION_KEEP,
	CN_OPTION_CLIENT,
	CN_OPTION_QUIET,
	CN_OPTION_FOLLOW,
	CN_OPTION_SINCE_ID,
	CN_OPTION_LEVEL,
	CN_OPTION_ADDRESS,
	CN_OPTION_OFFER,
	CN_OPTION_FORWARD,
	CN_OPTION_EXPIRES,
	CN_OPTION_NAME,
	CN_OPTION_LISTEN,
	CN_OPTION_BATCH,
	CN_OPTION_PLAIN,
	CN_OPTION_OPENAPI,
	CN_OPTION_METRICS,
	CN_OPTION_SECONDS,
	CN_OPTION_PROFILE,
	CN_OPTION_LEVELS,
	CN_OPTION_PRICE,
	CN_OPTION_NFT,
	CN_OPTION_MAX
};

/* Values of options that may be given several times. */
#define CN_ARGS_REPEATS_MAX 64u
/* Words after the command. */
#define CN_ARGS_WORDS_MAX 1024u

struct cn_cli_command;

struct cn_args {
	const struct cn_cli_command *command;
	/* NULL: not given; "" for an option without an argument. */
	const char *option[CN_OPTION_MAX];
	/* All of those that may be repeated, in their order. */
	struct {
		enum cn_option option;
		const char *value;
	} repeat[CN_ARGS_REPEATS_MAX];
	size_t repeats;
	const char *word[CN_ARGS_WORDS_MAX];
	size_t words;
};

struct cn_cli_command {
	const char *group; /* "streams" */
	const char *verb;  /* "list", or NULL where the group has none */
	bool is_default;   /* of its group, when no verb is given */
	const char *words; /* "ID", "[FILE]", "" */
	size_t words_min, words_max;
	uint64_t options;     /* bits 1 << enum cn_option */
	const char *summary;  /* one line, lower case, without full stop */
	const char *help;     /* paragraphs, lines under 78 characters; "" */
	const char *examples; /* lines of commands; "" */
	const char *choices;  /* what the first word may be, for completion */
	enum cn_exit (*run)(const struct cn_args *args);
};

struct cn_option_info {
	const char *name;     /* "interval" */
	char letter;          /* 0: none */
	const char *argument; /* "SECONDS"; NULL: takes none */
	const char *help;
	bool is_repeated; /* may be given several times */
};

#define CN_OPTION_BIT(option) (UINT64_C(1) << (option))

/* The tables (commands.c). */
extern const struct cn_cli_command cn_cli_commands[];
extern const size_t cn_cli_commands_count;
extern const struct cn_option_info cn_option_infos[CN_OPTION_MAX];
/* Options that every command takes. */
extern const uint64_t cn_options_common;

/* Parse and run; returns the exit code. */
int cn_cli_main(int argc, char **argv);

/* A usage error: words on stderr, the way to the help. */
enum cn_exit cn_cli_usage(const struct cn_args *args, const char *fmt, ...)
    CN_PRINTF(2, 3);

/* An option's whole number, or fallback; false after a usage error. */
bool cn_cli_number(const struct cn_args *args, enum cn_option option,
    uint64_t fallback, uint64_t min, uint64_t max, uint64_t *ret) CN_MUSTCHECK;

/* The first word as the id of a stream; false after a usage error. */
bool cn_cli_stream(const struct cn_args *args, uint64_t *ret) CN_MUSTCHECK;

/* "error: ..." and "hint: ..." on stderr. */
void cn_cli_error(const char *fmt, ...) CN_PRINTF(1, 2);
void cn_cli_hint(const char *fmt, ...) CN_PRINTF(1, 2);

/* What is wrong with a configuration, on stderr. */
struct cn_diag_list;
void cn_cli_print_diags(
    const struct cn_args *args, const struct cn_diag_list *diags);

/* Whether to colour what goes to stdout or stderr. */
bool cn_cli_is_coloured(const struct cn_args *args, int fd);

#endif /* CN_MANAGE_CLI_H */
