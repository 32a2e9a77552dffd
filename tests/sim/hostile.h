/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_SIM_HOSTILE_H
#define CN_SIM_HOSTILE_H

/*
 * A peer that says anything: frames of every type with wild values, and
 * batches that refer to the logs, in blocks with right hashes, so that they
 * are believed.
 */

#include <stddef.h>
#include <stdint.h>

struct cn_prng;

struct hostile {
	struct cn_prng *prng; /* borrowed */
	uint64_t epoch[2];    /* logs that there are, by side */
	uint64_t stream[16];  /* live streams */
	size_t streams;
};

/* One fragment of up to CN_FRAGMENT_MAX bytes; returns its length. */
size_t hostile_fragment(const struct hostile *h, uint8_t *out);
/* One of agreement alone: as many HAVE, WANT, EXTENTS and LACK as fit. */
size_t hostile_agreement(const struct hostile *h, uint8_t *out);

#endif /* CN_SIM_HOSTILE_H */
