/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_SERVETLS_H
#define CN_MANAGE_SERVETLS_H

/*
 * The certificate of serve: given by the user, or self-signed with an ECDSA
 * P-256 key of its own, made at the first start.  The gateway's key is never
 * used here: what a browser is shown must not be what peers pin.
 *
 * Thread: any.
 */

#include <openssl/ssl.h>
#include <stdbool.h>

#include "base/attr.h"

#define CN_SERVETLS_WHY_MAX 400u

/*
 * @certificate  PEM with its chain
 * @key          PEM, readable by its owner alone
 * @is_own       make both when the key is missing
 * @why          CN_SERVETLS_WHY_MAX bytes: what is wrong
 *
 * Returns CN_OK, CN_ETLS, CN_EACCES, CN_ENOMEM or the file's error.
 */
int cn_servetls_load(const char *certificate, const char *key, bool is_own,
    char *why, SSL_CTX **ret) CN_MUSTCHECK;

#endif /* CN_MANAGE_SERVETLS_H */
