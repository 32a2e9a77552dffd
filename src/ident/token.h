/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_IDENT_TOKEN_H
#define CN_IDENT_TOKEN_H

/*
 * The token of an invitation: one word that tells another gateway where we
 * are, who we are, and a secret that proves that it was invited.
 *
 *   cnj1-AAAA-BBBB-...       version 1, groups of 4 letters of RFC 4648's
 *                            base32 alphabet
 *
 *   secret     16 bytes
 *   identity   32 bytes, the inviter's
 *   endpoint   the rest: host:port, 1..CN_TOKEN_ENDPOINT_MAX bytes of
 *              printable ASCII
 *
 * The bits, most significant first and filled up with zeros to a letter, are
 * followed by 4 check letters: the first 20 bits of the SHA-256 of
 * "compressnet token 1" and those bytes.  Any damage is found but for one in
 * a million.  Read are: either case, with or without dashes and spaces, 0
 * for O and 8 for B.
 *
 * The proofs of a joining come from the secret (doc/protocol.md, "Joining").
 *
 * Life:   plain values; wipe a token when it is done with.
 * Thread: any.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "ident/identity.h"

#define CN_TOKEN_SECRET_BYTES 16u
#define CN_TOKEN_ENDPOINT_MAX 272u
/* Room for the text of any token, NUL included: 5 of the prefix, 512 letters
 * and 4 check letters, a dash between groups. */
#define CN_TOKEN_TEXT_MAX 656u
/* What an invitation is found by, and what proves it. */
#define CN_TOKEN_ID_BYTES 8u
#define CN_TOKEN_KEY_BYTES 32u
#define CN_TOKEN_PROOF_BYTES 32u
#define CN_TOKEN_EXPORTER_BYTES 32u

struct cn_token {
	uint8_t secret[CN_TOKEN_SECRET_BYTES];
	uint8_t identity[CN_IDENTITY_BYTES];
	char endpoint[CN_TOKEN_ENDPOINT_MAX + 1];
};

/* Write the text; the endpoint is valid. */
void cn_token_format(const struct cn_token *token, char out[CN_TOKEN_TEXT_MAX]);

/*
 * Read a text.
 *
 * @ret  set on success only
 * @why  on failure: what is wrong, for people; never a part of the token
 *
 * Returns CN_OK, CN_EKEY.
 */
int cn_token_parse(const char *text, struct cn_token *ret, char *why,
    size_t why_cap) CN_MUSTCHECK;

/* What an inviter keeps: the secret cannot be found from either. */
struct cn_token_trace {
	uint8_t id[CN_TOKEN_ID_BYTES];
	uint8_t key[CN_TOKEN_KEY_BYTES]; /* of the proofs: a secret too */
};
/* Returns CN_OK, or CN_EKEY (the library would not). */
int cn_token_trace(const uint8_t secret[CN_TOKEN_SECRET_BYTES],
    struct cn_token_trace *ret) CN_MUSTCHECK;

enum cn_token_side {
	CN_TOKEN_JOINER = 1,
	CN_TOKEN_INVITER = 2,
};

/* What a proof is bound to. */
struct cn_token_bond {
	uint8_t exporter[CN_TOKEN_EXPORTER_BYTES]; /* of the connection */
	uint8_t joiner[CN_IDENTITY_BYTES];
	uint8_t inviter[CN_IDENTITY_BYTES];
};

/* HMAC-SHA256 under the key.  Returns CN_OK, or CN_EKEY. */
int cn_token_prove(const uint8_t key[CN_TOKEN_KEY_BYTES],
    enum cn_token_side side, const struct cn_token_bond *bond,
    uint8_t out[CN_TOKEN_PROOF_BYTES]) CN_MUSTCHECK;

#endif /* CN_IDENT_TOKEN_H */
