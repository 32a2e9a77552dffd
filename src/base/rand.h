/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BASE_RAND_H
#define CN_BASE_RAND_H

/*
 * Random bytes of the system, for ids and keys, and a seeded generator, for
 * tests, the simulation and jitter.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/*
 * Fill with bytes fit for keys.  Cannot fail: a system that has none stops
 * the program, since going on with guessable ids would be worse.
 */
void cn_rand_bytes(void *out, size_t len);
uint64_t cn_rand_u64(void);

/* xoshiro256**; the same seed gives the same numbers everywhere. */
struct cn_prng {
	uint64_t s[4];
};

void cn_prng_init(struct cn_prng *prng, uint64_t seed);
uint64_t cn_prng_u64(struct cn_prng *prng);
/* Even in 0..n-1; n > 0. */
uint64_t cn_prng_below(struct cn_prng *prng, uint64_t n);
/* True num times in den; den > 0. */
bool cn_prng_chance(struct cn_prng *prng, uint64_t num, uint64_t den);
void cn_prng_bytes(struct cn_prng *prng, void *out, size_t len);

#endif /* CN_BASE_RAND_H */
