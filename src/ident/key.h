/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_IDENT_KEY_H
#define CN_IDENT_KEY_H

/*
 * The private key of a gateway: Ed25519, kept as PEM (PKCS #8, not
 * encrypted) in a file that only its owner may read, and a self-signed
 * certificate made of it in memory, which is nothing but its container.
 *
 * Life:       created by generate or load, freed by its owner; OpenSSL
 *             wipes it.
 * Thread:     any, one at a time; what is read from it never changes.
 * Invariants: certificate and identity belong to the key.
 */

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "ident/identity.h"

struct cn_key; /* opaque */

/* Most bytes that a key file may hold. */
#define CN_KEY_FILE_MAX 16384u
/* A derived secret, and the longest label of one. */
#define CN_KEY_SECRET_BYTES 32u
#define CN_KEY_LABEL_MAX 64u

/*
 * In all of these `why' (may be NULL, CN_IDENT_WHY_MAX fits all) receives on
 * failure what is wrong and what to do about it, for people.
 */

/* A new key.  Returns CN_OK, CN_ENOMEM or CN_EKEY (no random numbers). */
int cn_key_generate(struct cn_key **ret) CN_MUSTCHECK;

/*
 * Read a key from a file.  Refused are files that others than the owner may
 * read or write, files that are not ours, keys of other kinds and encrypted
 * keys.  A credential of systemd ($CREDENTIALS_DIRECTORY) may also belong to
 * root, which is what systemd makes of it.
 *
 * Returns CN_OK; CN_EACCES (refused for its owner or mode, or not readable);
 * CN_EKEY (no usable key in it); CN_ENOENT and others of open() and read();
 * CN_ENOMEM.
 */
int cn_key_load(const char *path, struct cn_key **ret, char *why,
    size_t why_cap) CN_MUSTCHECK;

/*
 * Write it to a file of mode 0600, whole or not at all: never does a part
 * of it or a wider mode stand under that name.
 *
 * @overwrite  take the place of a file that is there
 *
 * Returns CN_OK; CN_EEXIST (there is one; it stays); CN_ENOMEM; others of
 * open(), write() and rename().
 */
int cn_key_save(const struct cn_key *key, const char *path, bool overwrite,
    char *why, size_t why_cap) CN_MUSTCHECK;

/* Free *kp and clear it; NULL is fine. */
void cn_key_free(struct cn_key **kp);

/* Its identity; lives as long as the key. */
const uint8_t *cn_key_identity(const struct cn_key *key);
/* For a TLS context, which takes references of its own. */
EVP_PKEY *cn_key_pkey(const struct cn_key *key);
X509 *cn_key_cert(const struct cn_key *key);

/*
 * A secret for another use: HKDF-SHA256 (RFC 5869, no salt) of the private
 * seed, with the label as its info.  The same key and label give the same
 * secret; from a secret neither the key nor another label's secret can be
 * found.
 *
 * @label  1..CN_KEY_LABEL_MAX bytes
 *
 * Returns CN_OK, CN_EINVAL (the label), CN_EKEY (the library would not).
 */
int cn_key_derive(const struct cn_key *key, const char *label,
    uint8_t out[CN_KEY_SECRET_BYTES]) CN_MUSTCHECK;

#endif /* CN_IDENT_KEY_H */
