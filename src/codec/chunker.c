/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/chunker.h"

#include <assert.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/hash.h"
#include "base/rand.h"

/*
 * A cut is where the top bits of the hash of the last 64 bytes are zero: two
 * more than the mean asks for before it, two fewer behind it, which keeps
 * lengths near the mean.  The top bits alone see the whole window.
 */
#define WINDOW 64u
#define TOP_BITS(n) (~UINT64_C(0) << (64 - (n)))

struct shape {
	uint32_t min, mean, max;
	uint64_t early, late; /* masks, before and behind the mean */
};

static const struct shape fine = {
	.min = CN_CHUNK_MIN,
	.mean = CN_CHUNK_MEAN,
	.max = CN_CHUNK_MAX,
	.early = TOP_BITS(11 + 2),
	.late = TOP_BITS(11 - 2),
};

static const struct shape coarse = {
	.min = CN_CHUNK_COARSE_MIN,
	.mean = CN_CHUNK_COARSE_MEAN,
	.max = CN_CHUNK_COARSE_MAX,
	.early = TOP_BITS(14 + 2),
	.late = TOP_BITS(14 - 2),
};

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

size_t
cn_chunker_next(
    const struct cn_chunker *chunker, const uint8_t *bytes, size_t len)
{
	const uint64_t *gear = chunker->gear;
	const struct shape *shape = &fine;
	size_t end, mean, i;
	uint64_t hash = 0;

	assert(len >= 1);
	if (len <= fine.min) {
		return len;
	}
	if (looks_random(bytes)) {
		shape = &coarse;
	}
	if (len <= shape->min) {
		return len;
	}
	end = CN_MIN(len, (size_t)shape->max);
	mean = CN_MIN(end, (size_t)shape->mean);
	/* A full window at the first cut, so that none depends on where we
	 * began. */
	for (i = shape->min - (WINDOW - 1); i < shape->min; i++) {
		hash = (hash << 1) + gear[bytes[i]];
	}
	i = find_cut(gear, bytes, i, mean, &hash, shape->early);
	if (i == mean) {
		i = find_cut(gear, bytes, i, end, &hash, shape->late);
	}
	return CN_MIN(i + 1, end);
}

uint64_t
cn_chunker_key(const uint8_t *bytes, size_t len, uint64_t seed)
{
	if (len > CN_CHUNK_KEY && looks_random(bytes)) {
		len = CN_CHUNK_KEY;
	}
	return cn_hash64(bytes, len, seed);
}
