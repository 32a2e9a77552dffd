/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_HELP_H
#define CN_MANAGE_HELP_H

/*
 * Help texts made of the command table.
 *
 * Thread: main.
 */

#include <stdio.h>

#include "manage/cli.h"

/* All commands with their summaries. */
void cn_help_overview(FILE *out);
/* The verbs of a group. */
void cn_help_group(FILE *out, const char *group);
/* One command: synopsis, help, options, examples. */
void cn_help_command(FILE *out, const struct cn_cli_command *command);

/* "compressnet streams show ID", without a newline. */
void cn_help_synopsis(FILE *out, const struct cn_cli_command *command);

#endif /* CN_MANAGE_HELP_H */
