/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/attr.h"
#include "net/inflight.h"

/*
 * A sender over one bottleneck, in steps of a millisecond: what is under way
 * stands in the queue or flies.  The kernel's own control is taken to have
 * no limit but a great window, as one that fills every queue.
 */
struct path {
	double rate;        /* bytes a microsecond */
	uint64_t flight_us; /* round trip without a queue */
	double window;      /* of the kernel, bytes */
	double others_us;   /* delay that others' bytes in the queue cause */

	double sent, served;  /* bytes */
	double history[4000]; /* served, by millisecond, for the acks */
	uint64_t now;
	double srtt;
	double busy_us; /* time that the bottleneck had work */
	double queue_sum;
	uint64_t steps;
};

static void
path_init(struct path *path, double mbit, uint64_t rtt_us)
{
	memset(path, 0, sizeof(*path));
	path->rate = mbit / 8;
	path->flight_us = rtt_us;
	path->window = 1e9;
	path->now = 1000000;
	path->srtt = (double)rtt_us;
}

static double
acked(const struct path *path)
{
	uint64_t ago = path->flight_us / 1000;
	uint64_t step = path->now / 1000;

	return step < ago + 1001 ? 0 : path->history[(step - ago) % 4000];
}

/* One millisecond of sending as much as may be. */
static void
path_step(struct path *path, struct cn_inflight *inflight)
{
	double limit = path->window;
	double queue, served;

	if (inflight->limit != 0 && (double)inflight->limit < limit) {
		limit = (double)inflight->limit;
	}
	if (path->sent - acked(path) < limit) {
		path->sent = acked(path) + limit;
	}
	served = path->rate * 1000;
	if (path->others_us > 0) {
		/* Others take their part of what the queue lets through. */
		served /= 2;
	}
	if (served > path->sent - path->served) {
		served = path->sent - path->served;
	}
	path->busy_us += served / path->rate;
	path->served += served;
	queue = (path->sent - path->served) / path->rate + path->others_us;
	path->queue_sum += queue;
	path->now += 1000;
	path->steps++;
	path->history[(path->now / 1000) % 4000] = path->served;
	path->srtt += ((double)path->flight_us + queue - path->srtt) / 8;
	if (path->steps % 50 == 0) {
		cn_inflight_sample(inflight, path->now, (uint64_t)acked(path),
		    (uint64_t)path->srtt, path->flight_us);
	}
}

/* Run, and return the mean queue in microseconds and the share of time that
 * the path was used. */
static double
path_run(
    struct path *path, struct cn_inflight *inflight, uint64_t ms, double *use)
{
	uint64_t before = path->steps;
	double queue = path->queue_sum;
	double busy = path->busy_us;

	while (path->steps < before + ms) {
		path_step(path, inflight);
	}
	*use = (path->busy_us - busy) / (double)(ms * 1000);
	return (path->queue_sum - queue) / (double)ms;
}

static void
expect_short_queue(double mbit, uint64_t rtt_us)
{
	struct path path;
	struct cn_inflight inflight;
	uint64_t slack = CN_MAX(rtt_us / 8, CN_INFLIGHT_SLACK_US);
	double queue, use;

	path_init(&path, mbit, rtt_us);
	path.window = path.rate * (double)(rtt_us + 200000);
	cn_inflight_init(&inflight);
	queue = path_run(&path, &inflight, 3000, &use);
	queue = path_run(&path, &inflight, 10000, &use);
	assert_true(inflight.limit > 0);
	assert_true(inflight.full < inflight.limit);
	assert_in_range(inflight.full,
	    (uint64_t)(path.rate * 0.95 * (double)rtt_us),
	    (uint64_t)(path.rate * 1.05 * (double)rtt_us));
	assert_true(queue < 2.0 * (double)slack);
	assert_true(use > 0.98);
	assert_in_range(inflight.rate_bps, (uint64_t)(path.rate * 0.95e6),
	    (uint64_t)(path.rate * 1.05e6));
}

static void
test_queues_stay_short_and_paths_busy(void **state)
{
	(void)state;
	expect_short_queue(10, 40000);
	expect_short_queue(100, 20000);
	expect_short_queue(50, 300000);
	expect_short_queue(1000, 10000);
}

static void
test_a_path_that_changes(void **state)
{
	struct path path;
	struct cn_inflight inflight;
	double queue, use;

	(void)state;
	path_init(&path, 10, 40000);
	path.window = 200000;
	cn_inflight_init(&inflight);
	(void)path_run(&path, &inflight, 5000, &use);
	/* Four times as fast: found within seconds. */
	path.rate *= 4;
	path.window *= 4;
	(void)path_run(&path, &inflight, 4000, &use);
	(void)path_run(&path, &inflight, 2000, &use);
	assert_true(use > 0.97);
	/* And slower again: the queue goes. */
	path.rate /= 8;
	(void)path_run(&path, &inflight, 25000, &use);
	queue = path_run(&path, &inflight, 3000, &use);
	assert_true(queue < 20000);
	assert_true(use > 0.97);
}

static void
test_others_on_the_path(void **state)
{
	struct path path;
	struct cn_inflight inflight;
	unsigned limited = 0;
	double use;

	(void)state;
	path_init(&path, 10, 40000);
	path.window = 100000;
	path.others_us = 60000;
	cn_inflight_init(&inflight);
	for (unsigned s = 0; s < 60; s++) {
		(void)path_run(&path, &inflight, 1000, &use);
		limited += inflight.limit != 0;
	}
	/* A second or two out of each twelve is spent on trying. */
	assert_in_range(limited, 1, 15);
}

static void
test_short_paths_and_idle_ones(void **state)
{
	struct path path;
	struct cn_inflight inflight;
	double use;

	(void)state;
	path_init(&path, 1000, 1000);
	path.window = 4e6;
	cn_inflight_init(&inflight);
	(void)path_run(&path, &inflight, 2000, &use);
	assert_int_equal(inflight.limit, 0);
	/* Little to send is no slow path. */
	cn_inflight_init(&inflight);
	inflight.rate_bps = 1000000;
	for (uint64_t i = 1; i < 50; i++) {
		cn_inflight_idle(&inflight);
		cn_inflight_sample(
		    &inflight, i * 100000, i * 1000, 40000, 40000);
	}
	assert_int_equal(inflight.rate_bps, 1000000);
	assert_int_equal(inflight.limit, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queues_stay_short_and_paths_busy),
		cmocka_unit_test(test_a_path_that_changes),
		cmocka_unit_test(test_others_on_the_path),
		cmocka_unit_test(test_short_paths_and_idle_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
