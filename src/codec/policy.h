/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CODEC_POLICY_H
#define CN_CODEC_POLICY_H

/*
 * Which zstd level the next batch of a carrier gets: up while the WAN is the
 * bottleneck, down while the processor is.  Arithmetic only: time and
 * measurements are passed in.
 *
 * Each level of the ladder 1, 2, 3, 5, 6, 9 has a speed S and a ratio r,
 * measured or, until then, inferred from the nearest measured one.  Every 100
 * ms:
 *
 *   carrier busy, rate R known   the level with the greatest min(S, R * r);
 *                                within 5 % the higher ratio wins, but
 *                                what gains less than 2 % in ratio is not
 *                                climbed for, and what loses less than
 *                                0.5 % is left for a lower level.  It must
 *                                have been tried, and to go down it must be
 *                                the best twice in a row
 *   carrier busy, R unknown      level 5, or the range's nearest
 *   carrier not busy             one step down each time once coding took a
 *                                quarter of the time four times in a row,
 *                                else one step to rest: level 3, or the
 *                                range's nearest
 *
 * Every 32nd batch is coded a second time to try another level in turn,
 * since on some data level 1 beats 3 in ratio and speed: any lower one, and,
 * while the carrier is busy, those up to two steps above.  The same bytes are
 * compared, since batches differ by more than levels do, and what is sent is
 * the running level's.
 *
 * Life:   embedded, one for each carrier and direction.
 * Design: doc/DESIGN.md, "Codec".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CN_POLICY_LEVELS 6u /* 1, 2, 3, 5, 6, 9 */
#define CN_POLICY_INTERVAL_US 100000u
#define CN_POLICY_TRIAL_EVERY 32u

struct cn_policy {
	struct {
		double speed; /* plain bytes a second of CPU, smoothed */
		double ratio; /* plain / coded, smoothed */
		bool is_measured;
	} level[CN_POLICY_LEVELS];
	uint64_t chosen_us; /* when the choice was last made */
	uint64_t spent_ns;  /* coding since then */
	unsigned choice;    /* index into the ladder */
	unsigned batches;   /* since start, for the trials; wraps */
	unsigned asked;     /* batches since the choice */
	unsigned busy;      /* of these, with a busy carrier */
	unsigned settled;   /* batches learned since the choice changed */
	unsigned spent;     /* choices in a row that coding held back */
	bool is_low;        /* the last choice was for a lower level */
	unsigned wanted;    /* step to try next, being better as a guess */
	bool is_wanted;
	bool is_started; /* a choice was made */
	bool is_taught;  /* some batch was learned */
	/* The trial of the running batch: its level (0: none) and step, and
	 * what it did (length 0: nothing yet). */
	int trial;
	unsigned trial_step;
	size_t tried_len;
	uint64_t tried_ns;
};

void cn_policy_init(struct cn_policy *policy);

/*
 * Choose a level for the next batch.
 *
 * @level_min, @level_max  the profile's range; equal: returned as it is
 * @rate_bps  drain rate of the carrier, bytes a second; 0: unknown
 * @is_busy   the carrier's queue was not empty when asked
 *
 * Returns a zstd level in the range (0 when the range is 0..0: raw).  A range
 * that begins at 0 begins at 1: raw is for the probe to decide.
 */
int cn_policy_level(struct cn_policy *policy, int level_min, int level_max,
    uint64_t rate_bps, bool is_busy, uint64_t now);

/*
 * The level to try on the same bytes before they are coded, or 0; asked after
 * cn_policy_level().
 */
static inline int
cn_policy_trial(const struct cn_policy *policy)
{
	return policy->trial;
}

/* What that trial did; cn_policy_learn() of the same bytes follows. */
void cn_policy_tried(
    struct cn_policy *policy, size_t coded_len, uint64_t took_ns);

/*
 * What one coded batch did: plain and coded bytes and the time that it took
 * (0: not measured; typical speeds are assumed then).  A level that is not on
 * the ladder teaches nothing.
 */
void cn_policy_learn(struct cn_policy *policy, int level, size_t plain_len,
    size_t coded_len, uint64_t took_ns);

#endif /* CN_CODEC_POLICY_H */
