/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/policy.h"

#include <string.h>

#include "base/attr.h"

#define LEVEL_REST 3
/* … while the carrier is known to be the bottleneck, but not by how much. */
#define LEVEL_BUSY 5
/* Socket, chunk hash and TLS work that each plain byte costs besides coding,
 * seconds. */
#define OTHER_COST 1.0e-9
/* Scores closer than this are equal: the ratio decides. */
#define TIE 0.05
/* A ratio is worth a change of level from here on. */
#define WORTH 0.02
/* Ratios closer than this are equal too: the lower level costs less. */
#define TIE_RATIO 0.005
/* Share of the time above which coding is what holds the carrier back. */
#define SPENT_HIGH 0.25
/* Choices in a row of which that must be true: the buffers of a path take as
 * much as the coder makes until they are full. */
#define SPENT_PATIENCE 4u
/* Weight of a new measure, for the running level and for a trial. */
#define WEIGHT_RUNNING 0.125
#define WEIGHT_TRIAL 0.25
/* A level that comes for a single batch has its tables to clear, and is slower
 * by so much than one that goes on. */
#define TRIAL_COLD 1.25
/* Batches after a change of level in which its speed is news about the level
 * rather than about the data. */
#define SETTLE_BATCHES 16u
/* Steps above the choice that a trial may cost; below it costs little. */
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
	{ 5, 150e6, 3.50 },
	{ 6, 75e6, 3.60 },
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

/* The step of the range that is nearest to a level. */
static unsigned
nearest_to(int level, struct range range)
{
	unsigned i = range.first;

	while (i < range.last && ladder[i].level < level) {
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
	    e[choice].ratio >= ratio * (1 - WORTH)) {
		ratio = e[choice].ratio;
	}

	unsigned best = range.first;

	while (best < range.last &&
	    (!is_tied[best] || e[best].ratio < ratio * (1 - TIE_RATIO))) {
		best++;
	}
	return best;
}

/*
 * The choice of a busy carrier: a step that was measured.  Down only when two
 * choices in a row are for it: bytes of a moment that code very well make the
 * processor the bottleneck for as long as they last.
 */
static unsigned
busy_choice(struct cn_policy *policy, struct range range, uint64_t rate_bps)
{
	unsigned choice = policy->choice;
	unsigned best;
	bool was_low = policy->is_low;

	policy->is_low = false;
	if (rate_bps == 0) {
		return nearest_to(LEVEL_BUSY, range);
	}
	best = best_of(policy, range, (double)rate_bps);
	if (choice < range.first || choice > range.last) {
		return best;
	}
	policy->is_low = best < choice;
	if (!policy->level[best].is_measured) {
		policy->wanted = best;
		policy->is_wanted = true;
		return choice;
	}
	return policy->is_low && !was_low ? choice : best;
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
	bool is_spent = !is_busy && policy->spent_ns > 0 &&
	    (double)policy->spent_ns >= passed_ns * SPENT_HIGH;

	policy->spent = is_spent ? policy->spent + 1 : 0;
	if (is_busy) {
		policy->choice = busy_choice(policy, range, rate_bps);
	} else if (policy->spent >= SPENT_PATIENCE ||
	    (is_spent && policy->choice > nearest_to(LEVEL_REST, range))) {
		policy->choice = step_towards(policy->choice, range.first);
	} else if (!is_spent) {
		policy->choice =
		    step_towards(policy->choice, nearest_to(LEVEL_REST, range));
	}
	if (policy->choice != before) {
		policy->settled = 0;
		/* How do the two stand to each other? */
		policy->wanted = before;
		policy->is_wanted = true;
	}
	policy->chosen_us = now;
	policy->spent_ns = 0;
	policy->asked = 0;
	policy->busy = 0;
}

/* The step that this batch tries, too; the choice itself when none. */
static unsigned
trial_of(const struct cn_policy *policy, struct range range, bool is_busy)
{
	unsigned choice = policy->choice;

	if (choice < range.first || choice > range.last) {
		return choice;
	}
	if (policy->is_wanted && policy->wanted >= range.first &&
	    policy->wanted <= range.last) {
		return policy->wanted;
	}
	if (policy->batches % CN_POLICY_TRIAL_EVERY != 0) {
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

	policy->trial = 0;
	policy->tried_len = 0;
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
		policy->choice = nearest_to(LEVEL_REST, range);
	}
	policy->asked++;
	policy->busy += is_busy;
	if (now - policy->chosen_us >= CN_POLICY_INTERVAL_US) {
		choose(policy, range, rate_bps, now);
	}
	policy->batches++;

	unsigned step = trial_of(policy, range, is_busy);

	policy->is_wanted = false;
	if (step != policy->choice) {
		policy->trial = ladder[step].level;
		policy->trial_step = step;
	}
	step = CN_MIN(CN_MAX(policy->choice, range.first), range.last);
	return ladder[step].level;
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

/*
 * What the trial made of the bytes of which the level of step made this:
 * the quotient says how the two levels stand to each other, whatever these
 * bytes are like.
 */
static void
learn_trial(
    struct cn_policy *policy, unsigned step, size_t coded_len, uint64_t took_ns)
{
	unsigned tried = policy->trial_step;
	double ratio = policy->level[step].ratio * (double)coded_len /
	    (double)policy->tried_len;
	double speed = policy->level[step].speed;

	if (took_ns > 0 && policy->tried_ns > 0) {
		speed *=
		    TRIAL_COLD * (double)took_ns / (double)policy->tried_ns;
	} else {
		speed *= ladder[tried].speed / ladder[step].speed;
	}
	policy->tried_len = 0;
	if (!policy->level[tried].is_measured) {
		/* The first time takes memory, too: rather believe a guess. */
		policy->level[tried].speed =
		    CN_MAX(speed, estimate_of(policy, tried).speed);
		policy->level[tried].ratio = ratio;
		policy->level[tried].is_measured = true;
		return;
	}
	policy->level[tried].speed =
	    smooth(policy->level[tried].speed, speed, WEIGHT_TRIAL);
	policy->level[tried].ratio =
	    smooth(policy->level[tried].ratio, ratio, WEIGHT_TRIAL);
}

/* News of the level that runs. */
static void
learn_step(struct cn_policy *policy, unsigned step, double speed, double ratio,
    double share)
{
	double weight = share * WEIGHT_RUNNING;
	struct estimate old = estimate_of(policy, step);

	if (!policy->is_taught) {
		old.ratio = ratio;
		old.speed = speed > 0 ? speed : old.speed;
	}
	policy->is_taught = true;
	policy->level[step].is_measured = true;
	policy->level[step].speed =
	    speed > 0 ? smooth(old.speed, speed, weight) : old.speed;
	policy->level[step].ratio = smooth(old.ratio, ratio, weight);
	scale_others(policy, step,
	    policy->settled < SETTLE_BATCHES
		? 1
		: policy->level[step].speed / old.speed,
	    policy->level[step].ratio / old.ratio);
	policy->settled += policy->settled < SETTLE_BATCHES;
}

void
cn_policy_tried(struct cn_policy *policy, size_t coded_len, uint64_t took_ns)
{
	policy->tried_len = policy->trial == 0 ? 0 : coded_len;
	policy->tried_ns = took_ns;
	policy->spent_ns += took_ns;
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
		if (ladder[i].level != level) {
			continue;
		}
		learn_step(policy, i, speed, ratio, share);
		if (policy->tried_len > 0 && i != policy->trial_step) {
			learn_trial(policy, i, coded_len, took_ns);
		}
	}
}
