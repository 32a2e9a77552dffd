/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rand.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void
cn_rand_bytes(void *out, size_t len)
{
	uint8_t *p = out;

	while (len != 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0) {
			if (errno == EINTR) {
				continue;
			}
			(void)fputs(
			    "no random numbers: getrandom failed\n", stderr);
			abort();
		}
		p += n;
		len -= (size_t)n;
	}
}

uint64_t
cn_rand_u64(void)
{
	uint64_t v;

	cn_rand_bytes(&v, sizeof(v));
	return v;
}

static uint64_t
rotate(uint64_t v, unsigned int by)
{
	return (v << by) | (v >> (64 - by));
}

void
cn_prng_init(struct cn_prng *prng, uint64_t seed)
{
	/* splitmix64 spreads any seed, 0 too, over the whole state. */
	for (size_t i = 0; i < CN_ARRAY_LEN(prng->s); i++) {
		uint64_t z;

		seed += UINT64_C(0x9e3779b97f4a7c15);
		z = seed;
		z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
		prng->s[i] = z ^ (z >> 31);
	}
}

uint64_t
cn_prng_u64(struct cn_prng *prng)
{
	uint64_t *s = prng->s;
	uint64_t result = rotate(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

uint64_t
cn_prng_below(struct cn_prng *prng, uint64_t n)
{
	uint64_t v, rest;

	assert(n > 0);
	/* Values below 2^64 mod n would favour the small results. */
	rest = (0 - n) % n;
	do {
		v = cn_prng_u64(prng);
	} while (v < rest);
	return v % n;
}

bool
cn_prng_chance(struct cn_prng *prng, uint64_t num, uint64_t den)
{
	return cn_prng_below(prng, den) < num;
}

void
cn_prng_bytes(struct cn_prng *prng, void *out, size_t len)
{
	uint8_t *p = out;

	while (len != 0) {
		uint64_t v = cn_prng_u64(prng);
		size_t n = CN_MIN(len, sizeof(v));

		/* Little endian, so that a seed means the same everywhere. */
		for (size_t i = 0; i < n; i++) {
			p[i] = (uint8_t)(v >> (8 * i));
		}
		p += n;
		len -= n;
	}
}
