/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_IDENT_IDENTITY_H
#define CN_IDENT_IDENTITY_H

/*
 * The identity of a gateway, the SHA-256 of its public key (the DER of its
 * SPKI), and the text that people copy:
 *
 *   CN7Q-XDLI-...-4F2A     14 groups of 4, 69 characters
 *
 * The 256 bits, most significant first, and 4 zero bits are 52 letters of
 * RFC 4648's base32 alphabet (A-Z and 2-7, values 0 to 31).  They are two
 * halves of 26; each is followed by two check letters, which makes 7 groups:
 * a Reed-Solomon code over GF(32) = GF(2)[x] / (x^5 + x^2 + 1), with a = x.
 * With c[0..27] the letters of a half, check letters last:
 *
 *   c[0] + c[1] + ... + c[27] = 0
 *   c[0] a^27 + c[1] a^26 + ... + c[27] a^0 = 0
 *
 * Any one or two wrong letters in each half are found, so also any swap of
 * neighbours; of other damage one in 1,024 is not.  A single wrong letter is
 * located, and the error names its group; so is a swap, where the groups
 * named may be several.
 *
 * Read are: either case, with or without dashes and spaces, 0 for O, 8 for
 * B, and 1 for I or L, up to three in each half.
 *
 * Thread: any; nothing is kept.
 */

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* The same as in the hello. */
#define CN_IDENTITY_BYTES 32u

/* Room for the text with its NUL. */
#define CN_IDENTITY_TEXT_MAX 70u
/* Room for the short text with its NUL. */
#define CN_IDENTITY_BRIEF_MAX 10u
/* Room that any message of this layer fits, NUL included. */
#define CN_IDENT_WHY_MAX 512u

/* Write the text. */
void cn_identity_format(
    const uint8_t identity[CN_IDENTITY_BYTES], char out[CN_IDENTITY_TEXT_MAX]);

/* Its first two groups, to tell gateways apart in a log; nobody's proof. */
void cn_identity_brief(
    const uint8_t identity[CN_IDENTITY_BYTES], char out[CN_IDENTITY_BRIEF_MAX]);

/*
 * Read a text.
 *
 * @ret      set on success only
 * @why      on failure: what is wrong and in which group, for people; may be
 *           NULL
 * @why_cap  room in it; CN_IDENT_WHY_MAX fits all
 *
 * Returns CN_OK, or CN_EKEY.
 */
int cn_identity_parse(const char *text, uint8_t ret[CN_IDENTITY_BYTES],
    char *why, size_t why_cap) CN_MUSTCHECK;

/* Whether they are the same, in a time that tells nothing of where not. */
bool cn_identity_equal(
    const uint8_t a[CN_IDENTITY_BYTES], const uint8_t b[CN_IDENTITY_BYTES]);
/* Which is lower, as memcmp() says it; not for secrets, nor are they. */
int cn_identity_compare(
    const uint8_t a[CN_IDENTITY_BYTES], const uint8_t b[CN_IDENTITY_BYTES]);
/* Whether all bytes are 0: "not known". */
bool cn_identity_is_zero(const uint8_t identity[CN_IDENTITY_BYTES]);

/*
 * The identity of a public or private key.
 *
 * Returns CN_OK; CN_EKEY when it is no Ed25519 key; CN_ENOMEM.
 */
int cn_identity_of_key(
    const EVP_PKEY *key, uint8_t ret[CN_IDENTITY_BYTES]) CN_MUSTCHECK;
/* The identity of the key in a certificate; errors likewise. */
int cn_identity_of_cert(
    const X509 *cert, uint8_t ret[CN_IDENTITY_BYTES]) CN_MUSTCHECK;

#endif /* CN_IDENT_IDENTITY_H */
