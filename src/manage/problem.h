/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_PROBLEM_H
#define CN_MANAGE_PROBLEM_H

/*
 * What went wrong, as the HTTP API tells it (RFC 9457), and which status
 * stands for it.
 *
 *   {"type":"about:blank","title":"Not Found","status":404,
 *    "code":"not-found","detail":"no such stream"}
 *
 * `code' is the control socket's where the gateway refused, else one of
 * serve's own.  A refused configuration brings `diagnostics' with the lines
 * and columns that the command line shows.
 *
 * Thread: any.
 */

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "control/message.h"

#define CN_PROBLEM_TYPE "application/problem+json"

/* "Not Found"; "Error" for a status that is never sent. */
const char *cn_problem_title(unsigned status);

/*
 * Append the JSON of a problem.
 *
 * @detail  any bytes; shown as ASCII
 * @diags   NULL or empty: none
 */
int cn_problem_encode(struct cn_buf *out, unsigned status, const char *code,
    const char *detail, const struct cn_diag_list *diags) CN_MUSTCHECK;

/* The status for a refusal of the gateway. */
unsigned cn_problem_of_reply(enum cn_reply_code code);

#endif /* CN_MANAGE_PROBLEM_H */
