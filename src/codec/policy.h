/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CODEC_POLICY_H
#define CN_CODEC_POLICY_H

/*
 * Which zstd level the next batch of a carrier gets: up while the WAN is the
 * bottleneck, down while the processor is.  Arithmetic only: time and
 * measurements are passed in.
 *
 * Life:   embedded, one for each carrier and direction.
 * Design: doc/DESIGN.md, "Policy": maximise min(S * cores, R * r) with
 *         the ladder 1, 2, 3, 6, 9; ties to the higher ratio; every 32nd
 *         batch tries a neighbour.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CN_POLICY_LEVELS 5u /* 1, 2, 3, 6, 9 */

struct cn_policy {
	struct {
		double speed; /* plain bytes a second of CPU, smoothed */
		double ratio; /* plain / coded, smoothed */
		bool is_measured;
	} level[CN_POLICY_LEVELS];
	uint64_t chosen_us; /* when the choice was last made */
	unsigned choice;    /* index into the ladder */
	unsigned batches;   /* since start, for the trials */
};

void cn_policy_init(struct cn_policy *policy);

/*
 * Choose a level for the next batch.
 *
 * @level_min, @level_max  the profile's range; equal: returned as it is
 * @rate_bps  drain rate of the carrier, bytes a second; 0: unknown
 * @is_busy   the carrier's queue was not empty when asked
 *
 * Returns a zstd level in the range (0 when the range is 0..0: raw).
 */
int cn_policy_level(struct cn_policy *policy, int level_min, int level_max,
    uint64_t rate_bps, bool is_busy, uint64_t now);

/* What one batch did: plain and coded bytes and the time that it took. */
void cn_policy_learn(struct cn_policy *policy, int level, size_t plain_len,
    size_t coded_len, uint64_t took_ns);

#endif /* CN_CODEC_POLICY_H */
