/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CODEC_CHUNKER_H
#define CN_CODEC_CHUNKER_H

/*
 * Content-defined chunking: gear hash with normalised cuts, 512 bytes to 8
 * KiB, 2 KiB on average (FastCDC, USENIX ATC 2016).  The table is the store's
 * own, so nobody outside can tell where it cuts.
 *
 * Pure; the table is read only after init.
 */

#include <stddef.h>
#include <stdint.h>

#define CN_CHUNK_MIN 512u
#define CN_CHUNK_MEAN 2048u
#define CN_CHUNK_MAX 8192u

struct cn_chunker {
	uint64_t gear[256];
};

void cn_chunker_init(struct cn_chunker *chunker, uint64_t seed);
/*
 * Length of the chunk that begins at bytes; len >= 1.  What is shorter than
 * the least chunk, or has no cut, is one chunk.
 */
size_t cn_chunker_next(
    const struct cn_chunker *chunker, const uint8_t *bytes, size_t len);

#endif /* CN_CODEC_CHUNKER_H */
