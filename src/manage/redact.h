/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_REDACT_H
#define CN_MANAGE_REDACT_H

/*
 * Takes out of texts what may be a secret, before they leave the machine:
 * private keys, what is named a secret, password, token or the like, users
 * and passwords in addresses, and 64 or more hexadecimal digits in a row.
 *
 * The texts are our own, where nothing secret is meant to be; this is for
 * what somebody typed into the wrong place.
 *
 * Thread: any.
 */

#include <jansson.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"

#define CN_REDACT_WORD "[redacted]"
/* Hexadecimal digits in a row that may be a key. */
#define CN_REDACT_HEX 64u

/*
 * Append the text without its secrets, line by line.
 *
 * Returns CN_OK, CN_ENOMEM or CN_ELIMIT.
 */
int cn_redact_text(
    const char *text, size_t len, struct cn_buf *out) CN_MUSTCHECK;

/*
 * The same for each text of a JSON value, and by the names of its members.
 *
 * @json  changed in place
 *
 * Returns CN_OK or CN_ENOMEM.
 */
int cn_redact_json(json_t *json) CN_MUSTCHECK;

#endif /* CN_MANAGE_REDACT_H */
