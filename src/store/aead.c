/* SPDX-License-Identifier: Apache-2.0 */
#include "store/aead.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "store/bytes.h"

#define NONCE_BYTES 12
#define INFO_MAX 255u
/* What scrypt takes and a little: 128 * N * r is 32 MiB. */
#define SCRYPT_N (UINT64_C(1) << 15)
#define SCRYPT_R 8u
#define SCRYPT_P 1u
#define SCRYPT_BYTES_MAX (UINT64_C(40) << 20)

/* Key, nonce and aad; the direction is 1 to seal and 0 to open. */
static bool
begin(EVP_CIPHER_CTX *ctx, const struct cn_aead *how, int direction)
{
	uint8_t nonce[NONCE_BYTES];
	int n = 0;

	assert(how->aad_len <= CN_AEAD_MAX);
	cn_bytes_put32(nonce, how->kind);
	cn_bytes_put64(nonce + 4, how->number);
	/* 12 bytes are what this mode takes if nothing else is said. */
	return EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, how->key, nonce,
		   direction) == 1 &&
	    (how->aad_len == 0 ||
		EVP_CipherUpdate(ctx, NULL, &n, how->aad, (int)how->aad_len) ==
		    1);
}

/* The bytes themselves; GCM gives out as many as it takes. */
static bool
update(EVP_CIPHER_CTX *ctx, const uint8_t *in, size_t len, uint8_t *out)
{
	int n = 0;

	assert(len <= CN_AEAD_MAX);
	return len == 0 ||
	    (EVP_CipherUpdate(ctx, out, &n, in, (int)len) == 1 &&
		(size_t)n == len);
}

int
cn_aead_seal(const struct cn_aead *how, const uint8_t *in, size_t len,
    uint8_t *out, uint8_t tag[CN_AEAD_TAG_BYTES])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t rest[EVP_MAX_BLOCK_LENGTH];
	int n = 0;
	bool is_done;

	is_done = ctx != NULL && begin(ctx, how, 1) &&
	    update(ctx, in, len, out) &&
	    EVP_EncryptFinal_ex(ctx, rest, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(
		ctx, EVP_CTRL_AEAD_GET_TAG, CN_AEAD_TAG_BYTES, tag) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!is_done) {
		/* What OpenSSL has to say is of no use to anyone later. */
		ERR_clear_error();
		return CN_EIO;
	}
	return CN_OK;
}

int
cn_aead_open(const struct cn_aead *how, const uint8_t *in, size_t len,
    const uint8_t tag[CN_AEAD_TAG_BYTES], uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t expected[CN_AEAD_TAG_BYTES];
	uint8_t rest[EVP_MAX_BLOCK_LENGTH];
	int rc = CN_EIO;
	int n = 0;

	memcpy(
	    expected, tag, sizeof(expected)); /* the library wants no const */
	if (ctx != NULL && begin(ctx, how, 0) && update(ctx, in, len, out) &&
	    EVP_CIPHER_CTX_ctrl(
		ctx, EVP_CTRL_AEAD_SET_TAG, CN_AEAD_TAG_BYTES, expected) == 1) {
		rc = EVP_DecryptFinal_ex(ctx, rest, &n) == 1 ? CN_OK
							     : CN_ECODING;
	}
	EVP_CIPHER_CTX_free(ctx);
	if (rc != CN_OK) {
		/* Nothing that is not authentic leaves this function. */
		if (len > 0) {
			memset(out, 0, len);
		}
		ERR_clear_error();
	}
	return rc;
}

int
cn_aead_derive(const uint8_t key[CN_AEAD_KEY_BYTES], const uint8_t *salt,
    const char *info, uint8_t out[CN_AEAD_KEY_BYTES])
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
	char digest[] = "SHA256";
	uint8_t key_copy[CN_AEAD_KEY_BYTES]; /* OSSL_PARAM knows no const */
	uint8_t salt_copy[CN_AEAD_SALT_BYTES];
	char info_copy[INFO_MAX + 1];
	size_t info_len = strlen(info);
	OSSL_PARAM params[5], *p = params;
	bool is_done;

	assert(info_len > 0 && info_len <= INFO_MAX);
	memcpy(key_copy, key, sizeof(key_copy));
	memcpy(info_copy, info, info_len + 1);
	*p++ = OSSL_PARAM_construct_utf8_string(
	    OSSL_KDF_PARAM_DIGEST, digest, sizeof(digest) - 1);
	*p++ = OSSL_PARAM_construct_octet_string(
	    OSSL_KDF_PARAM_KEY, key_copy, sizeof(key_copy));
	*p++ = OSSL_PARAM_construct_octet_string(
	    OSSL_KDF_PARAM_INFO, info_copy, info_len);
	if (salt != NULL) {
		memcpy(salt_copy, salt, sizeof(salt_copy));
		*p++ = OSSL_PARAM_construct_octet_string(
		    OSSL_KDF_PARAM_SALT, salt_copy, sizeof(salt_copy));
	}
	*p = OSSL_PARAM_construct_end();
	is_done = ctx != NULL &&
	    EVP_KDF_derive(ctx, out, CN_AEAD_KEY_BYTES, params) == 1;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	OPENSSL_cleanse(key_copy, sizeof(key_copy));
	if (!is_done) {
		ERR_clear_error();
		return CN_EIO;
	}
	return CN_OK;
}

int
cn_aead_stretch(
    const char *passphrase, const uint8_t *salt, uint8_t out[CN_AEAD_KEY_BYTES])
{
	if (EVP_PBE_scrypt(passphrase, strlen(passphrase), salt,
		CN_AEAD_SALT_BYTES, SCRYPT_N, SCRYPT_R, SCRYPT_P,
		SCRYPT_BYTES_MAX, out, CN_AEAD_KEY_BYTES) != 1) {
		ERR_clear_error();
		return CN_EIO;
	}
	return CN_OK;
}
