/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/policy.h"

#include <string.h>

#include "base/attr.h"

#define LEVEL_REST 3
/* Socket, chunk hash and TLS work that each plain byte costs besides coding,
 * seconds. */
#define OTHER_COST 1.0e-9
/* Scores closer than this are equal: the ratio decides. */
#define TIE 0.02
/* Ratios closer than this are equal too: the lower level costs less. */
#define TIE_RATIO 0.005
/* Share of the time above which coding is what holds the carrier back. */
#define SPENT_HIGH 0.25
/* Weight of a new measure, for the running level and for a trial. */
#define WEIGHT_RUNNING 0.125
#define WEIGHT_TRIAL 0.25
/* Batches after a change of level before its news are taken as news about the
 * data: until then they correct what was thought of that level. */
#define SETTLE_BATCHES 16u
/* Steps above the choice that a trial may cost; below it costs nothing. */
#define TRIAL_STEPS_UP 2u
/* A batch shorter than this weighs less in proportion. */
#define FULL_WEIGHT_LEN 65536.0

/* What is typical of text and binaries; only the proportions matter once one
 * level was measured. */
static const struct {
	int level;
	double speed;
	double ratio;
} ladder[CN_POLICY_LEVELS] = {
	{ 1, 400e6, 3.00 },
	{ 2, 350e6, 3.15 },
	{ 3, 270e6, 3.35 },
	{ 6, 105e6, 3.60 },
	{ 9, 60e6, 3.72 },
};

struct range {
	unsigned first; /* indices into the ladder */
	unsigned last;
};

struct estimate {
	double speed;
	double ratio;
};

void
cn_policy_init(struct cn_policy *policy)
{
	memset(policy, 0, sizeof(*policy));
}

/* The part of the ladder inside the levels; false when there is none. */
static bool
find_range(int level_min, int level_max, struct range *ret)
{
	bool is_found = false;

	for (unsigned i = 0; i < CN_POLICY_LEVELS; i++) {
		if (ladder[i].level < level_min ||
		    ladder[i].level > level_max) {
			continue;
		}
		if (!is_found) {
			ret->first = i;
		}
		ret->last = i;
		is_found = true;
	}
	return is_found;
}

/* The step of the range that is nearest to the level of rest. */
static unsigned
rest_of(struct range range)
{
	unsigned i = range.first;

	while (i < range.last && ladder[i].level < LEVEL_REST) {
		i++;
	}
	return i;
}

static unsigned
distance(unsigned a, unsigned b)
{
	return a > b ? a - b : b - a;
}

static struct estimate
estimate_of(const struct cn_policy *policy, unsigned step)
{
	unsigned nearest = CN_POLICY_LEVELS;

	for (unsigned i = 0; i < CN_POLICY_LEVELS; i++) {
		if (policy->level[i].is_measured &&
		    (nearest == CN_POLICY_LEVELS ||
			distance(i, step) < distance(nearest, step))) {
			nearest = i;
		}
	}
	if (nearest == CN_POLICY_LEVELS) {
		return (
		    struct estimate){ ladder[step].speed, ladder[step].ratio };
	}
	return (struct estimate){
		policy->level[nearest].speed * ladder[step].speed /
		    ladder[nearest].speed,
		policy->level[nearest].ratio * ladder[step].ratio /
		    ladder[nearest].ratio,
	};
}

/* Plain bytes a second that a level carries: the slower of both parts. */
static double
score_of(struct estimate estimate, double rate)
{
	double coded = 1 / (1 / estimate.speed + OTHER_COST);

	return CN_MIN(coded, rate * estimate.ratio);
}

/*
 * The level with the best score.  Of those that tie, the running one stays
 * unless another has a ratio that is really higher; else the lowest of about
 * the highest ratio, so that what pays nothing is not paid for long.
 */
static unsigned
best_of(const struct cn_policy *policy, struct range range, double rate)
{
	struct estimate e[CN_POLICY_LEVELS];
	bool is_tied[CN_POLICY_LEVELS];
	double top = 0;
	double ratio = 0; /* the highest of those that tie with the top */

	for (unsigned i = range.first; i <= range.last; i++) {
		e[i] = estimate_of(policy, i);
		top = CN_MAX(top, score_of(e[i], rate));
	}
	for (unsigned i = range.first; i <= range.last; i++) {
		is_tied[i] = score_of(e[i], rate) >= top * (1 - TIE);
		if (is_tied[i]) {
			ratio = CN_MAX(ratio, e[i].ratio);
		}
	}

	unsigned choice = policy->choice;

	if (choice >= range.first && choice <= range.last && is_tied[choice] &&
	    e[choice].ratio >= ratio * (1 - TIE)) {
		ratio = e[choice].ratio;
	}

	unsigned best = range.first;

	while (best < range.last &&
	    (!is_tied[best] || e[best].ratio < ratio * (1 - TIE_RATIO))) {
		best++;
	}
	return best;
}

static unsigned
step_towards(unsigned from, unsigned to)
{
	return from < to ? from + 1 : from > to ? from - 1 : from;
}

static void
choose(struct cn_policy *policy, struct range range, uint64_t rate_bps,
    uint64_t now)
{
	double passed_ns = (double)(now - policy->chosen_us) * 1e3;
	bool is_busy = policy->busy * 2 >= policy->asked;
	unsigned before = policy->choice;

	if (is_busy) {
		policy->choice = rate_bps == 0
		    ? rest_of(range)
		    : best_of(policy, range, (double)rate_bps);
	} else if ((double)policy->spent_ns >= passed_ns * SPENT_HIGH &&
	    policy->spent_ns > 0) {
		policy->choice = step_towards(policy->choice, range.first);
	} else {
		policy->choice = step_towards(policy->choice, rest_of(range));
	}
	if (policy->choice != before) {
		policy->settled = 0;
	}
	policy->chosen_us = now;
	policy->spent_ns = 0;
	policy->asked = 0;
	policy->busy = 0;
}

/* The step that this batch tries; the choice itself when it is no trial. */
static unsigned
trial_of(const struct cn_policy *policy, struct range range, bool is_busy)
{
	unsigned choice = policy->choice;

	if (policy->batches % CN_POLICY_TRIAL_EVERY != 0 ||
	    choice < range.first || choice > range.last) {
		return choice;
	}

	unsigned last =
	    is_busy ? CN_MIN(range.last, choice + TRIAL_STEPS_UP) : choice;
	unsigned others = last - range.first; /* the choice not counted */

	if (others == 0) {
		return choice;
	}

	unsigned turn = policy->batches / CN_POLICY_TRIAL_EVERY;
	unsigned step = range.first + turn % others;

	return step < choice ? step : step + 1;
}

int
cn_policy_level(struct cn_policy *policy, int level_min, int level_max,
    uint64_t rate_bps, bool is_busy, uint64_t now)
{
	struct range range = { 0, 0 };

	if (level_min >= level_max) {
		return level_max;
	}
	if (!find_range(level_min, level_max, &range)) {
		return CN_MAX(level_min, 1);
	}
	/* Streams with other ranges share the carrier and its policy. */
	if (!policy->is_started) {
		policy->is_started = true;
		policy->chosen_us = now;
		policy->choice = rest_of(range);
	}
	policy->asked++;
	policy->busy += is_busy;
	if (now - policy->chosen_us >= CN_POLICY_INTERVAL_US) {
		choose(policy, range, rate_bps, now);
	}
	policy->batches++;

	unsigned step = trial_of(policy, range, is_busy);

	return ladder[CN_MIN(CN_MAX(step, range.first), range.last)].level;
}

/* Mean of what is spent for each byte, so of the inverses. */
static double
smooth(double old, double measured, double weight)
{
	return 1 / ((1 - weight) / old + weight / measured);
}

/* The running level's news are news about the data: they move all others. */
static void
scale_others(
    struct cn_policy *policy, unsigned step, double speed, double ratio)
{
	for (unsigned i = 0; i < CN_POLICY_LEVELS; i++) {
		if (i != step) {
			policy->level[i].speed *= speed;
			policy->level[i].ratio *= ratio;
		}
	}
}

static void
learn_step(struct cn_policy *policy, unsigned step, double speed, double ratio,
    double share)
{
	double old_speed = policy->level[step].speed;
	double old_ratio = policy->level[step].ratio;
	bool is_running = step == policy->choice;
	double weight = share * (is_running ? WEIGHT_RUNNING : WEIGHT_TRIAL);

	if (!policy->level[step].is_measured) {
		policy->level[step].speed =
		    speed > 0 ? speed : ladder[step].speed;
		policy->level[step].ratio = ratio;
		policy->level[step].is_measured = true;
		return;
	}
	if (speed > 0) {
		policy->level[step].speed = smooth(old_speed, speed, weight);
	}
	policy->level[step].ratio = smooth(old_ratio, ratio, weight);
	if (!is_running) {
		return;
	}
	if (policy->settled < SETTLE_BATCHES) {
		policy->settled++;
	} else {
		scale_others(policy, step,
		    policy->level[step].speed / old_speed,
		    policy->level[step].ratio / old_ratio);
	}
}

void
cn_policy_learn(struct cn_policy *policy, int level, size_t plain_len,
    size_t coded_len, uint64_t took_ns)
{
	if (plain_len == 0 || coded_len == 0) {
		return;
	}
	policy->spent_ns += took_ns;

	double plain = (double)plain_len;
	double speed = took_ns > 0 ? plain * 1e9 / (double)took_ns : 0;
	double ratio = plain / (double)coded_len;
	double share = CN_MIN(plain / FULL_WEIGHT_LEN, 1.0);

	for (unsigned i = 0; i < CN_POLICY_LEVELS; i++) {
		if (ladder[i].level == level) {
			learn_step(policy, i, speed, ratio, share);
		}
	}
}
