/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_STORE_AEAD_H
#define CN_STORE_AEAD_H

/*
 * Sealing and keys of the store: AES-256-GCM, HKDF-SHA256 and scrypt.
 *
 * A nonce is the kind (4 bytes) and the number (8 bytes) of a message.  The
 * caller sees to it that no key ever seals two messages under one of them.
 *
 * Pure functions; any thread.
 * Doc: doc/store.md, "Keys"
 */

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define CN_AEAD_KEY_BYTES 32u
#define CN_AEAD_TAG_BYTES 16u
#define CN_AEAD_SALT_BYTES 32u
/* Longest message, bytes. */
#define CN_AEAD_MAX (1u << 30)

/* How a message is sealed; what it points to is borrowed. */
struct cn_aead {
	const uint8_t *key; /* CN_AEAD_KEY_BYTES */
	uint32_t kind;
	uint64_t number;
	const uint8_t *aad; /* authenticated with it, in clear */
	size_t aad_len;     /* <= CN_AEAD_MAX */
};

/*
 * @in   len bytes, <= CN_AEAD_MAX; for none it and out may be NULL
 * @out  len bytes; in itself or not overlapping
 *
 * Returns CN_OK, CN_EIO when the library fails.
 */
int cn_aead_seal(const struct cn_aead *how, const uint8_t *in, size_t len,
    uint8_t *out, uint8_t tag[CN_AEAD_TAG_BYTES]) CN_MUSTCHECK;

/*
 * The way back.
 *
 * Returns CN_OK; CN_ECODING when key, nonce, aad, bytes or tag are not those
 * of the sealing; CN_EIO.  On failure out is zeros.
 */
int cn_aead_open(const struct cn_aead *how, const uint8_t *in, size_t len,
    const uint8_t tag[CN_AEAD_TAG_BYTES], uint8_t *out) CN_MUSTCHECK;

/*
 * A key from a key.
 *
 * @salt  CN_AEAD_SALT_BYTES, or NULL for none
 * @info  what the new key is for, less than 256 bytes
 *
 * Returns CN_OK, CN_EIO.
 */
int cn_aead_derive(const uint8_t key[CN_AEAD_KEY_BYTES], const uint8_t *salt,
    const char *info, uint8_t out[CN_AEAD_KEY_BYTES]) CN_MUSTCHECK;

/*
 * A key from a passphrase: scrypt, N 2^15, r 8, p 1.
 *
 * @salt  CN_AEAD_SALT_BYTES
 *
 * Returns CN_OK, CN_EIO.
 */
int cn_aead_stretch(const char *passphrase, const uint8_t *salt,
    uint8_t out[CN_AEAD_KEY_BYTES]) CN_MUSTCHECK;

#endif /* CN_STORE_AEAD_H */
