/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_REFERENCE_H
#define CN_MANAGE_REFERENCE_H

/*
 * The reference of all commands as Markdown, made from the command table:
 * doc/commands.md, of which the manual page compressnet(1) is made.
 *
 * Thread: main.
 */

#include <stdio.h>

/* Write the page; errors of the stream are the caller's to see. */
void cn_reference_markdown(FILE *out);

#endif /* CN_MANAGE_REFERENCE_H */
