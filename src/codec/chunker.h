/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CODEC_CHUNKER_H
#define CN_CODEC_CHUNKER_H

/*
 * Content-defined chunking: gear hash with normalised cuts, 512 bytes to 8
 * KiB, 2 KiB on average (FastCDC, USENIX ATC 2016).  The table is the store's
 * own, so nobody outside can tell where it cuts.
 *
 * A chunk that begins with bytes which look random, as compressed and
 * encrypted ones do, is coarse: 1 to 32 KiB, 9 KiB on average, cut behind two
 * bytes that the table chooses.  Random bytes need no hash to be told apart,
 * and come again as a whole or not at all.  How a chunk begins decides alone,
 * so the same content is cut alike wherever it stands.
 *
 * Pure; the table is read only after init.
 */

#include <stddef.h>
#include <stdint.h>

#define CN_CHUNK_MIN 512u
#define CN_CHUNK_MEAN 2048u
#define CN_CHUNK_MAX 8192u
#define CN_CHUNK_COARSE_MIN 1024u
#define CN_CHUNK_COARSE_MEAN (9u * 1024u)
#define CN_CHUNK_COARSE_MAX (32u * 1024u)
/* Bytes at the begin that decide, and different ones among them that look
 * random: of random bytes 101 are different, plus or minus 3. */
#define CN_CHUNK_LOOK 128u
#define CN_CHUNK_LOOK_RANDOM 90u

struct cn_chunker {
	uint64_t gear[256];
};

/* Bytes of a coarse chunk that its key is of. */
#define CN_CHUNK_KEY 512u

void cn_chunker_init(struct cn_chunker *chunker, uint64_t seed);
/*
 * Length of the chunk that begins at bytes; len >= 1.  What is shorter than
 * the least chunk, or has no cut, is one chunk.
 */
size_t cn_chunker_next(
    const struct cn_chunker *chunker, const uint8_t *bytes, size_t len);

/*
 * The same, and the key of that chunk: equal for equal chunks, as a hint.  That
 * of a coarse one is of its first bytes alone, so that it is found, too, where
 * a batch holds no more of it; what follows is compared in any case.  Its key
 * ends in three zeros: it is a hook where one chunk in eight is.
 */
size_t cn_chunker_take(const struct cn_chunker *chunker, const uint8_t *bytes,
    size_t len, uint64_t seed, uint64_t *key);

#endif /* CN_CODEC_CHUNKER_H */
