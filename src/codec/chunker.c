/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/chunker.h"

#include <assert.h>

#include "base/attr.h"
#include "base/rand.h"

/*
 * A cut is where the top bits of the hash of the last 64 bytes are zero: two
 * more than the mean asks for before it, two fewer behind it, which keeps
 * lengths near the mean.  The top bits alone see the whole window.
 */
#define WINDOW 64u
#define EARLY_MASK (UINT64_C(0x1fff) << 51) /* 11 + 2 bits */
#define LATE_MASK (UINT64_C(0x1ff) << 55)   /* 11 - 2 bits */

void
cn_chunker_init(struct cn_chunker *chunker, uint64_t seed)
{
	struct cn_prng prng;

	cn_prng_init(&prng, seed);
	for (size_t i = 0; i < CN_ARRAY_LEN(chunker->gear); i++) {
		chunker->gear[i] = cn_prng_u64(&prng);
	}
}

/*
 * The first cut by the mask in [i, end), or end; *hash goes along.  Four
 * bytes a turn: a third faster than one, and more are no better.
 */
static inline size_t
find_cut(const uint64_t *gear, const uint8_t *bytes, size_t i, size_t end,
    uint64_t *hash, uint64_t mask)
{
	uint64_t h = *hash;

	for (; i + 4 <= end; i += 4) {
		h = (h << 1) + gear[bytes[i]];
		if ((h & mask) == 0) {
			return i;
		}
		h = (h << 1) + gear[bytes[i + 1]];
		if ((h & mask) == 0) {
			return i + 1;
		}
		h = (h << 1) + gear[bytes[i + 2]];
		if ((h & mask) == 0) {
			return i + 2;
		}
		h = (h << 1) + gear[bytes[i + 3]];
		if ((h & mask) == 0) {
			return i + 3;
		}
	}
	for (; i < end; i++) {
		h = (h << 1) + gear[bytes[i]];
		if ((h & mask) == 0) {
			return i;
		}
	}
	*hash = h;
	return end;
}

size_t
cn_chunker_next(
    const struct cn_chunker *chunker, const uint8_t *bytes, size_t len)
{
	const uint64_t *gear = chunker->gear;
	size_t end = CN_MIN(len, (size_t)CN_CHUNK_MAX);
	size_t mean = CN_MIN(end, (size_t)CN_CHUNK_MEAN);
	size_t i = CN_CHUNK_MIN - (WINDOW - 1);
	uint64_t hash = 0;

	assert(len >= 1);
	if (len <= CN_CHUNK_MIN) {
		return len;
	}
	/* A full window at the first cut, so that none depends on where we
	 * began. */
	for (; i < CN_CHUNK_MIN; i++) {
		hash = (hash << 1) + gear[bytes[i]];
	}
	i = find_cut(gear, bytes, i, mean, &hash, EARLY_MASK);
	if (i == mean) {
		i = find_cut(gear, bytes, i, end, &hash, LATE_MASK);
	}
	return CN_MIN(i + 1, end);
}
