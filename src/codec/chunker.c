/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/chunker.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/attr.h"
#include "base/hash.h"
#include "base/rand.h"

/*
 * A cut is where the top bits of the hash of the last 64 bytes are zero: two
 * more than the mean asks for before it, two fewer behind it, which keeps
 * lengths near the mean.  The top bits alone see the whole window.
 */
#define WINDOW 64u
#define EARLY_MASK (UINT64_C(0x1fff) << 51) /* 11 + 2 bits */
#define LATE_MASK (UINT64_C(0x1ff) << 55)   /* 11 - 2 bits */

/* A coarse chunk stands for several fine ones: where the index takes one of
 * eight, those whose keys end in zeros, it takes every coarse one. */
#define COARSE_MASK UINT64_C(7)

/* Bits of the byte behind the first that a coarse cut asks for. */
#define COARSE_BITS 0x1fu

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

/* Do the first bytes, CN_CHUNK_LOOK of them, look random? */
static bool
looks_random(const uint8_t *bytes)
{
	uint64_t seen[4] = { 0 };
	int different = 0;

	for (size_t i = 0; i < CN_CHUNK_LOOK; i++) {
		seen[bytes[i] / 64] |= UINT64_C(1) << bytes[i] % 64;
	}
	for (size_t i = 0; i < CN_ARRAY_LEN(seen); i++) {
		different += __builtin_popcountll(seen[i]);
	}
	return different >= (int)CN_CHUNK_LOOK_RANDOM;
}

/* One of 256 * 32 places, found at the speed of memchr(). */
static size_t
next_coarse(const struct cn_chunker *chunker, const uint8_t *bytes, size_t len)
{
	const uint8_t first = (uint8_t)chunker->gear[0];
	const uint8_t second = (uint8_t)chunker->gear[1];
	size_t end = CN_MIN(len, (size_t)CN_CHUNK_COARSE_MAX);
	size_t i = CN_CHUNK_COARSE_MIN;

	while (i + 1 < end) {
		const uint8_t *at = memchr(bytes + i, first, end - 1 - i);

		if (at == NULL) {
			break;
		}
		if (((at[1] ^ second) & COARSE_BITS) == 0) {
			return (size_t)(at - bytes) + 2;
		}
		i = (size_t)(at - bytes) + 1;
	}
	return end;
}

/* The cut of a chunk that does not look random. */
static size_t
next_fine(const struct cn_chunker *chunker, const uint8_t *bytes, size_t len)
{
	const uint64_t *gear = chunker->gear;
	size_t end = CN_MIN(len, (size_t)CN_CHUNK_MAX);
	size_t mean = CN_MIN(end, (size_t)CN_CHUNK_MEAN);
	size_t i = CN_CHUNK_MIN - (WINDOW - 1);
	uint64_t hash = 0;

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

_Static_assert(CN_CHUNK_KEY <= CN_CHUNK_MIN,
    "what is too short to be cut has a key of all its bytes");

size_t
cn_chunker_next(
    const struct cn_chunker *chunker, const uint8_t *bytes, size_t len)
{
	assert(len >= 1);
	if (len <= CN_CHUNK_MIN) {
		return len;
	}
	return looks_random(bytes) ? next_coarse(chunker, bytes, len)
				   : next_fine(chunker, bytes, len);
}

size_t
cn_chunker_take(const struct cn_chunker *chunker, const uint8_t *bytes,
    size_t len, uint64_t seed, uint64_t *key)
{
	size_t cut;

	assert(len >= 1);
	if (len > CN_CHUNK_MIN && looks_random(bytes)) {
		cut = next_coarse(chunker, bytes, len);
		*key = cn_hash64(bytes, CN_CHUNK_KEY, seed) & ~COARSE_MASK;
		return cut;
	}
	cut = len > CN_CHUNK_MIN ? next_fine(chunker, bytes, len) : len;
	*key = cn_hash64(bytes, cut, seed);
	return cut;
}
