/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_SIM_HOSTILE_H
#define CN_SIM_HOSTILE_H

/*
 * A peer that says anything: frames of every type with wild values, in blocks
 * with right hashes, so that they are believed.
 */

#include <stddef.h>
#include <stdint.h>

struct cn_prng;

/* One fragment of up to CN_FRAGMENT_MAX bytes; returns its length. */
size_t hostile_fragment(struct cn_prng *prng, uint8_t *out);

#endif /* CN_SIM_HOSTILE_H */
