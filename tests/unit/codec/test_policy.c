/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy against simulated carriers: a coder with the speeds and ratios
 * of one kind of data feeds a link with a rate and a short queue.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/rand.h"
#include "codec/policy.h"

#define BATCH (256u * 1024u)
#define LEVELS 10u

/* What a level does to one kind of data; by zstd level. */
struct data {
	double speed[LEVELS]; /* plain bytes a second */
	double ratio[LEVELS];
};

static const struct data text = {
	{ 0, 400e6, 340e6, 250e6, 0, 150e6, 105e6, 0, 0, 60e6 },
	{ 1, 4.2, 4.4, 4.7, 1, 5.1, 5.4, 1, 1, 5.7 },
};
/* Level 1 beats 3 in ratio and speed. */
static const struct data json = {
	{ 0, 630e6, 420e6, 277e6, 0, 170e6, 120e6, 0, 0, 75e6 },
	{ 1, 5.37, 5.10, 5.0, 1, 5.2, 5.30, 1, 1, 5.32 },
};
/* Nothing gained above 2. */
static const struct data flat = {
	{ 0, 400e6, 340e6, 250e6, 0, 150e6, 105e6, 0, 0, 60e6 },
	{ 1, 2.00, 2.10, 2.101, 1, 2.102, 2.102, 1, 1, 2.103 },
};

struct carrier {
	struct cn_policy policy;
	struct cn_prng prng;
	int level_min, level_max;
	double rate;       /* of the link, bytes a second */
	double source;     /* offered load, plain bytes a second */
	bool is_rate_told; /* else 0 is passed */
	double now;        /* seconds */
	double sent;       /* when the link has sent all that it was given */
	unsigned count[LEVELS]; /* batches at each level, since reset */
	double plain;           /* bytes, since reset */
};

static void
start(struct carrier *c, int level_min, int level_max, double rate)
{
	memset(c, 0, sizeof(*c));
	cn_policy_init(&c->policy);
	cn_prng_init(&c->prng, 1);
	c->level_min = level_min;
	c->level_max = level_max;
	c->rate = rate;
	c->source = 1e12;
	c->is_rate_told = true;
}

/* Batches differ by as much as a tenth. */
static double
noise(struct carrier *c)
{
	return 0.9 + 0.2 * (double)cn_prng_below(&c->prng, 1000) / 1000;
}

/* Try the level that is asked for on the bytes of a batch whose ratios are so
 * much better than the data's; returns seconds. */
static double
try_out(struct carrier *c, const struct data *data, double better)
{
	int level = cn_policy_trial(&c->policy);
	double took;

	if (level == 0) {
		return 0;
	}
	assert_true(level >= c->level_min && level <= c->level_max);
	assert_true(data->speed[level] > 0);
	/* A level that comes once is slower than one that goes on. */
	took = 1.25 * BATCH / (data->speed[level] * noise(c));
	cn_policy_tried(&c->policy,
	    (size_t)(BATCH / (data->ratio[level] * better)),
	    (uint64_t)(took * 1e9));
	return took;
}

/* Code and send for so many seconds; a queue of 20 ms blocks the coder. */
static void
run(struct carrier *c, const struct data *data, double seconds)
{
	double end = c->now + seconds;

	memset(c->count, 0, sizeof(c->count));
	c->plain = 0;
	while (c->now < end) {
		/* more than the kernel takes at once is waiting */
		bool is_busy = c->sent > c->now + 0.005;
		int level = cn_policy_level(&c->policy, c->level_min,
		    c->level_max, c->is_rate_told ? (uint64_t)c->rate : 0,
		    is_busy, (uint64_t)(c->now * 1e6));
		double better = noise(c);
		double tried, took, coded;

		assert_true(level >= c->level_min && level <= c->level_max);
		assert_true(data->speed[level] > 0);
		tried = try_out(c, data, better);
		took = BATCH / (data->speed[level] * noise(c));
		coded = BATCH / (data->ratio[level] * better);
		cn_policy_learn(&c->policy, level, BATCH, (size_t)coded,
		    (uint64_t)(took * 1e9));
		c->count[level]++;
		c->plain += BATCH;
		/* coding, and the other work for each byte */
		c->now += tried + took + BATCH * 1e-9;
		c->sent = CN_MAX(c->sent, c->now) + coded / c->rate;
		c->now = CN_MAX(c->now, c->sent - 0.020);
		/* the source may be what is slow */
		c->now += CN_MAX(0.0, BATCH / c->source - took);
	}
}

/* The level that most batches had; nine in ten must. */
static int
mostly(const struct carrier *c)
{
	unsigned sum = 0;
	int best = 0;

	for (int i = 0; i < (int)LEVELS; i++) {
		sum += c->count[i];
		if (c->count[i] > c->count[best]) {
			best = i;
		}
	}
	assert_true(c->count[best] * 10 >= sum * 9);
	return best;
}

static void
test_slow_link_climbs(void **state)
{
	struct carrier c;

	(void)state;
	start(&c, 1, 9, 1.25e6); /* 10 Mb/s */
	run(&c, &text, 5);
	run(&c, &text, 20);
	assert_int_equal(mostly(&c), 9);
}

static void
test_fast_link_descends(void **state)
{
	struct carrier c;

	(void)state;
	start(&c, 1, 9, 1.25e9); /* 10 Gb/s: the processor is what is slow */
	run(&c, &text, 2);
	run(&c, &text, 5);
	assert_int_equal(mostly(&c), 1);
}

static void
test_middle(void **state)
{
	struct carrier c;

	(void)state;
	/* 1 Gb/s through level 1 is faster than the coder: 1; 100 Mb/s
	 * carries 5.4 * 12.5 = 67 MB/s, which level 6 just makes. */
	start(&c, 1, 9, 125e6);
	run(&c, &text, 2);
	run(&c, &text, 5);
	assert_int_equal(mostly(&c), 1);
	start(&c, 1, 9, 12.5e6);
	run(&c, &text, 3);
	run(&c, &text, 10);
	assert_int_equal(mostly(&c), 6);
}

/* Never slower than the best fixed level by more than the trials cost. */
static void
test_near_the_best(void **state)
{
	static const double rates[] = { 1e6, 5e6, 12e6, 20e6, 40e6, 80e6, 200e6,
		1e9 };
	static const int levels[] = { 1, 2, 3, 5, 6, 9 };
	static const struct data *const kinds[] = { &text, &json, &flat };

	(void)state;
	for (size_t k = 0; k < CN_ARRAY_LEN(kinds); k++) {
		for (size_t r = 0; r < CN_ARRAY_LEN(rates); r++) {
			struct carrier c;
			double best = 0;

			for (size_t l = 0; l < CN_ARRAY_LEN(levels); l++) {
				start(&c, levels[l], levels[l], rates[r]);
				run(&c, kinds[k], 5);
				best = CN_MAX(best, c.plain);
			}
			start(&c, 1, 9, rates[r]);
			run(&c, kinds[k], 10); /* 30 batches a trial, or so */
			run(&c, kinds[k], 5);
			assert_true(c.plain >= best * 0.93);
		}
	}
}

static void
test_trials_find_one(void **state)
{
	struct carrier c;

	(void)state;
	start(&c, 1, 3, 5e6);
	run(&c, &json, 30);
	run(&c, &json, 10);
	assert_int_equal(mostly(&c), 1);
}

/* Of levels that carry alike, the one with the higher ratio. */
static void
test_ties(void **state)
{
	struct cn_policy p;
	static const size_t coded[] = { 0, BATCH / 4, BATCH * 10 / 43,
		BATCH * 10 / 46 };
	int level = 0;

	(void)state;
	cn_policy_init(&p);
	/* All are as fast, and at 100 MB/s that is what is slow. */
	for (uint64_t now = 0; now < 2000000; now += 1000) {
		level = cn_policy_level(&p, 1, 3, 100000000, true, now);
		if (cn_policy_trial(&p) != 0) {
			cn_policy_tried(
			    &p, coded[cn_policy_trial(&p)], BATCH * 10 / 3);
		}
		cn_policy_learn(&p, level, BATCH, coded[level], BATCH * 10 / 4);
	}
	assert_int_equal(level, 3);
}

static void
test_rate_unknown(void **state)
{
	/* Range; the level of a carrier that waits for us, and of one that we
	 * wait for. */
	static const int ranges[][4] = { { 1, 9, 3, 5 }, { 1, 2, 2, 2 },
		{ 6, 9, 6, 6 }, { 0, 9, 3, 5 }, { 1, 3, 3, 3 }, { 4, 9, 5, 5 },
		{ 1, 5, 3, 5 } };

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(ranges); i++) {
		const int *range = ranges[i];
		struct cn_policy p;
		uint64_t now = 0;

		cn_policy_init(&p);
		assert_int_equal(
		    cn_policy_level(&p, range[0], range[1], 0, true, now),
		    range[2]);
		for (unsigned is_busy = 0; is_busy <= 1; is_busy++) {
			for (unsigned j = 0; j < 8; j++) {
				now += 50000;
				(void)cn_policy_level(&p, range[0], range[1], 0,
				    is_busy == 1, now);
			}
			assert_int_equal(cn_policy_level(&p, range[0], range[1],
					     0, is_busy == 1, now),
			    range[2 + is_busy]);
		}
	}
}

/* A slow source on a link that is not full: rest, whatever was before. */
static void
test_idle_carrier_rests(void **state)
{
	struct carrier c;

	(void)state;
	start(&c, 1, 9, 1.25e6);
	run(&c, &text, 10);
	assert_int_equal(cn_policy_level(&c.policy, 1, 9, 1250000, true,
			     (uint64_t)(c.now * 1e6)),
	    9);
	c.source = 1e6;
	run(&c, &text, 2);
	run(&c, &text, 20);
	assert_int_equal(mostly(&c), 3);
}

/* Not busy because the coder is slow: down, though the rate be unknown. */
static void
test_coder_is_slow(void **state)
{
	struct carrier c;

	(void)state;
	start(&c, 1, 9, 1.25e9);
	c.is_rate_told = false;
	run(&c, &text, 1);
	run(&c, &text, 5);
	assert_int_equal(mostly(&c), 1);
}

/*
 * A path that takes all at first, since its buffers are empty, and the bytes
 * of a moment: neither makes the level go down.
 */
static void
test_moments_pass(void **state)
{
	struct carrier c;
	uint64_t now;

	(void)state;
	start(&c, 1, 9, 1.25e9);
	run(&c, &text, 0.3);
	assert_int_equal(mostly(&c), 3);
	start(&c, 1, 3, 12.5e6);
	run(&c, &text, 5);
	assert_int_equal(mostly(&c), 3);
	/* Zeros: the coder is what is slow, and 1 is the fastest. */
	now = (uint64_t)(c.now * 1e6);
	for (unsigned i = 0; i < 100; i++) {
		int level =
		    cn_policy_level(&c.policy, 1, 3, 12500000, true, now);

		cn_policy_learn(
		    &c.policy, level, BATCH, BATCH / 500, BATCH * 10 / 5);
	}
	now += CN_POLICY_INTERVAL_US;
	assert_int_equal(
	    cn_policy_level(&c.policy, 1, 3, 12500000, true, now), 3);
	/* But if it goes on it is more than a moment. */
	now += CN_POLICY_INTERVAL_US;
	assert_int_equal(
	    cn_policy_level(&c.policy, 1, 3, 12500000, true, now), 1);
}

/* The data changes: what was learned of the other levels moves along. */
static void
test_data_changes(void **state)
{
	struct carrier c;

	(void)state;
	start(&c, 1, 9, 12.5e6);
	run(&c, &text, 10);
	run(&c, &flat, 15);
	run(&c, &flat, 20);
	/* 9 gains nothing on 2, and the trials see it through the noise. */
	assert_true(c.count[2] + c.count[3] > c.count[6] + c.count[9]);
	assert_true(c.plain >= 0.97 * 20 * 12.5e6 * 2.1);
	run(&c, &text, 15);
	run(&c, &text, 5);
	assert_int_equal(mostly(&c), 6);
}

static void
test_fixed(void **state)
{
	struct carrier c;

	(void)state;
	start(&c, 2, 2, 1e6);
	run(&c, &text, 5);
	assert_int_equal(mostly(&c), 2);
	assert_true(c.count[2] > 10 && c.count[1] + c.count[3] == 0);
	assert_int_equal(
	    cn_policy_level(&c.policy, 0, 0, 1000, true, 1000000), 0);
	/* No step of the ladder inside: the lowest that is allowed. */
	assert_int_equal(
	    cn_policy_level(&c.policy, 7, 8, 1000, true, 1000000), 7);
}

/* Any range, any news, any time: the answer is in the range. */
static void
test_always_in_range(void **state)
{
	struct cn_policy p;
	struct cn_prng prng;
	uint64_t now = 0;

	(void)state;
	cn_policy_init(&p);
	cn_prng_init(&prng, 4);
	for (unsigned i = 0; i < 200000; i++) {
		int low = (int)cn_prng_below(&prng, 10);
		int high = low + (int)cn_prng_below(&prng, 10 - (uint64_t)low);
		uint64_t rate = cn_prng_u64(&prng) >> cn_prng_below(&prng, 64);
		int level;

		now += cn_prng_below(&prng, 200000);
		level = cn_policy_level(
		    &p, low, high, rate, cn_prng_chance(&prng, 1, 2), now);
		assert_true(level >= low && level <= high);
		assert_true(level > 0 || high == 0);
		cn_policy_learn(&p, (int)cn_prng_below(&prng, 12),
		    (size_t)cn_prng_below(&prng, BATCH),
		    (size_t)cn_prng_below(&prng, BATCH),
		    cn_prng_u64(&prng) >> cn_prng_below(&prng, 64));
	}
}

/* Without a clock (the simulation) typical speeds are assumed. */
static void
test_no_clock(void **state)
{
	struct cn_policy p;
	int level = 0;

	(void)state;
	cn_policy_init(&p);
	for (uint64_t now = 0; now < 10000000; now += 10000) {
		level = cn_policy_level(&p, 1, 9, 1000000, true, now);
		cn_policy_tried(&p, BATCH / 4, 0);
		cn_policy_learn(&p, level, BATCH, BATCH / 4, 0);
	}
	assert_true(level >= 1 && level <= 9);
	/* No level gains on another here: the one that costs least. */
	assert_int_equal(p.choice, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_link_climbs),
		cmocka_unit_test(test_fast_link_descends),
		cmocka_unit_test(test_middle),
		cmocka_unit_test(test_near_the_best),
		cmocka_unit_test(test_trials_find_one),
		cmocka_unit_test(test_ties),
		cmocka_unit_test(test_rate_unknown),
		cmocka_unit_test(test_idle_carrier_rests),
		cmocka_unit_test(test_coder_is_slow),
		cmocka_unit_test(test_moments_pass),
		cmocka_unit_test(test_data_changes),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_always_in_range),
		cmocka_unit_test(test_no_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
