/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BASE_HASH_H
#define CN_BASE_HASH_H

/*
 * Checksums: one for a block's bytes, one for a whole direction of a stream.
 * They find damage; neither keeps out an attacker, which is TLS's work.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define CN_DIGEST_SIZE 16u

/* The seeds of the two halves of a digest; part of the protocol. */
#define CN_DIGEST_SEED_0 UINT64_C(0x636f6d7072657373) /* "compress" */
#define CN_DIGEST_SEED_1 UINT64_C(0x6e65742f31)       /* "net/1" */

/* XXH3-64 of the bytes with a seed. */
uint64_t cn_hash64(const void *data, size_t len, uint64_t seed);

/*
 * A 128-bit digest of a byte stream: XXH64 with each of the two seeds.  Small
 * on purpose, since each direction of an idle stream keeps one.
 */
struct cn_digest {
	uint64_t lane[2][4]; /* one row for each seed */
	uint64_t len;
	uint8_t tail[32]; /* the len % 32 bytes that are not in the lanes */
};

void cn_digest_init(struct cn_digest *digest);
void cn_digest_update(struct cn_digest *digest, const void *data, size_t len);
/* The digest so far, each half big endian; more may be added after. */
void cn_digest_final(
    const struct cn_digest *digest, uint8_t out[CN_DIGEST_SIZE]);

#endif /* CN_BASE_HASH_H */
