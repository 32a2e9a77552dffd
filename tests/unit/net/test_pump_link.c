/* SPDX-License-Identifier: Apache-2.0 */
#include "net/pump.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/pool.h"
#include "codec/codec.h"
#include "link/link.h"
#include "rig.h"
#include "wire/limits.h"

/* Two real engines whose carrier is a buffer of this process. */
struct joint {
	struct cn_pool *pool[2];
	struct cn_codec *codec[2];
	struct cn_link *link[2];
	struct cn_hello hello[2];
	uint64_t generation;
	bool refuses; /* side 1 resets what is opened */
	uint8_t bytes[4 * CN_FRAGMENT_MAX];
};

static struct joint *
joint_of(struct rig *fx)
{
	return fx->link;
}

static void
attach_carrier(struct joint *joint)
{
	joint->generation++;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
		    cn_link_attach(joint->link[i], 0, joint->generation,
			&joint->hello[1 - i], cn_clock_us()),
		    CN_OK);
	}
}

static void
cut_carrier(struct joint *joint)
{
	for (int i = 0; i < 2; i++) {
		cn_link_detach(joint->link[i], 0, cn_clock_us());
	}
}

/* The far side: what the peer opens gets a socket, or is refused. */
static void
on_open(struct rig *fx, struct cn_stream *stream)
{
	int fds[2];

	assert_string_equal(cn_stream_service(stream), "echo");
	if (joint_of(fx)->refuses) {
		cn_stream_reset(stream, CN_RESET_REFUSED, cn_clock_us());
		return;
	}
	rig_tcp_pair(fds, 0);
	rig_attach(fx, 1, fds, stream);
}

static bool
next_event(struct rig *fx, struct cn_link_event *ret)
{
	for (int i = 0; i < 2; i++) {
		while (cn_link_event(joint_of(fx)->link[i], ret)) {
			switch (ret->type) {
			case CN_LINK_EVENT_OPEN:
				assert_int_equal(i, 1);
				on_open(fx, ret->stream);
				break;
			case CN_LINK_EVENT_READABLE:
			case CN_LINK_EVENT_WRITABLE:
			case CN_LINK_EVENT_ENDED:
			case CN_LINK_EVENT_RESET:
				return true;
			case CN_LINK_EVENT_CARRIER:
			case CN_LINK_EVENT_DRAINING:
			case CN_LINK_EVENT_LOST:
				fail_msg("event %d", (int)ret->type);
				break;
			}
		}
	}
	return false;
}

static bool
work(struct rig *fx)
{
	struct joint *joint = joint_of(fx);
	bool did = false;

	for (int i = 0; i < 2; i++) {
		uint64_t now = cn_clock_us();
		size_t len, used;

		if (cn_link_deadline(joint->link[i]) <= now) {
			cn_link_tick(joint->link[i], now);
		}
		len = cn_link_pull(
		    joint->link[i], 0, joint->bytes, sizeof(joint->bytes), now);
		if (len > 0 && cn_link_is_up(joint->link[1 - i], 0)) {
			assert_int_equal(cn_link_receive(joint->link[1 - i], 0,
					     joint->bytes, len, now, &used),
			    CN_OK);
			assert_int_equal(used, len);
			did = true;
		}
	}
	return did;
}

static int
set_up(void **state)
{
	struct joint *joint = cn_calloc(1, sizeof(*joint));
	struct cn_codec_config codec = {
		.contexts_bytes = 8u << 20,
		.lane_window_log = 16,
		.lane_level = 3,
	};
	struct cn_link_config config = {
		.slots = 1,
		.credit_floor = 16384,
		.window_max = 1u << 20,
		.streams_max = 100,
		.lanes = 32,
		.resume_window_us = 60000000,
	};
	struct rig *fx;

	assert_non_null(joint);
	rig_set_up(state);
	fx = *state;
	fx->link = joint;
	fx->next_event = next_event;
	fx->work = work;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
		    cn_pool_create(64u << 20, &joint->pool[i]), CN_OK);
		assert_int_equal(
		    cn_codec_create(&codec, &joint->codec[i]), CN_OK);
		config.is_dialler = i == 0;
		config.pool = joint->pool[i];
		config.codec = joint->codec[i];
		assert_int_equal(
		    cn_link_create(&config, cn_clock_us(), &joint->link[i]),
		    CN_OK);
		cn_link_limits(&config, &joint->hello[i]);
	}
	attach_carrier(joint);
	return 0;
}

static int
tear_down(void **state)
{
	struct rig *fx = *state;
	struct joint *joint = joint_of(fx);

	/* All that was given out is back before the engines go. */
	rig_tear_down(state);
	for (int i = 0; i < 2; i++) {
		cn_link_free(&joint->link[i]);
		cn_codec_free(&joint->codec[i]);
		cn_pool_free(&joint->pool[i]);
	}
	cn_free(joint);
	return 0;
}

/* A client connects to the near side. */
static void
begin(struct rig *fx)
{
	struct cn_link_open open = {
		.service = "echo",
		.scope = 7,
		.profile = { .level_min = 1, .level_max = 3 },
	};
	struct cn_stream *stream;
	int fds[2];

	assert_int_equal(cn_stream_open(joint_of(fx)->link[0], &open, NULL,
			     cn_clock_us(), &stream),
	    CN_OK);
	rig_tcp_pair(fds, 0);
	rig_attach(fx, 0, fds, stream);
	rig_dispatch(fx);
}

/* ---- tests ---- */

static void
test_both_ways(void **state)
{
	struct rig *fx = *state;

	begin(fx);
	rig_carry(fx, 3000000, 32768);
	app_shut(fx, 0);
	app_gets_end(fx, 1);
	app_shut(fx, 1);
	app_gets_end(fx, 0);
	rig_assert_both_clean(fx);
	assert_int_equal(cn_link_streams(joint_of(fx)->link[0]), 0);
	assert_int_equal(cn_link_streams(joint_of(fx)->link[1]), 0);
}

/* The carrier dies again and again; the applications do not notice. */
static void
test_cuts(void **state)
{
	struct rig *fx = *state;
	struct joint *joint = joint_of(fx);
	struct rig_flow flow[2];
	uint64_t start = cn_clock_us();
	int turns = 0;

	begin(fx);
	for (int i = 0; i < 2; i++) {
		flow_init(&flow[i], i, 1500000);
	}
	while ((flow[0].due > 0 || flow[1].due > 0) &&
	    cn_clock_us() - start < RIG_PATIENCE_US) {
		for (int i = 0; i < 2; i++) {
			if (fx->side[i].app > 0) {
				flow_send(fx, &flow[i]);
			}
			if (fx->side[1 - i].app > 0) {
				flow_receive(fx, &flow[i], 32768);
			}
		}
		if (++turns % 7 == 3) {
			cut_carrier(joint);
		} else if (turns % 7 == 5) {
			attach_carrier(joint);
		}
		rig_turn(fx);
	}
	assert_int_equal(flow[0].due, 0);
	assert_int_equal(flow[1].due, 0);
	assert_true(turns > 30);
	if (turns % 7 == 3 || turns % 7 == 4) {
		attach_carrier(joint);
	}
	app_shut(fx, 1);
	app_shut(fx, 0);
	app_gets_end(fx, 0);
	app_gets_end(fx, 1);
	rig_assert_both_clean(fx);
}

static void
check_half_close(struct rig *fx, int first)
{
	begin(fx);
	app_send(fx, first, "question");
	app_shut(fx, first);
	app_gets(fx, 1 - first, "question");
	app_gets_end(fx, 1 - first);
	for (int i = 0; i < 20; i++) {
		rig_turn(fx);
	}
	app_send(fx, 1 - first, "answer");
	app_gets(fx, first, "answer");
	app_shut(fx, 1 - first);
	app_gets_end(fx, first);
	rig_assert_both_clean(fx);
}

static void
test_half_close(void **state)
{
	check_half_close(*state, 0);
}

static void
test_half_close_other(void **state)
{
	check_half_close(*state, 1);
}

static void
check_reset(struct rig *fx, int from)
{
	begin(fx);
	app_send(fx, from, "some");
	app_gets(fx, 1 - from, "some");
	app_reset(fx, from);
	app_gets_reset(fx, 1 - from);
	rig_run_until_closed(fx);
	assert_int_equal(fx->side[0].end.reason, CN_RESET_BY_APPLICATION);
	assert_int_equal(fx->side[1].end.reason, CN_RESET_BY_APPLICATION);
	assert_int_equal(cn_link_streams(joint_of(fx)->link[0]), 0);
	assert_int_equal(cn_link_streams(joint_of(fx)->link[1]), 0);
}

static void
test_reset(void **state)
{
	check_reset(*state, 0);
}

static void
test_reset_other(void **state)
{
	check_reset(*state, 1);
}

static void
test_reset_in_full_flow(void **state)
{
	static char junk[65536];
	struct rig *fx = *state;

	begin(fx);
	/* The first bytes make the far side, which reads none of the rest. */
	for (int idle = 0; idle < 50;) {
		idle = send(fx->side[0].app, junk, sizeof(junk), 0) > 0
		    ? 0
		    : idle + 1;
		rig_turn(fx);
	}
	app_reset(fx, 0);
	app_gets_reset(fx, 1);
	rig_run_until_closed(fx);
}

static void
test_reset_after_fin(void **state)
{
	struct rig *fx = *state;

	begin(fx);
	app_send(fx, 0, "question");
	app_shut(fx, 0);
	app_gets(fx, 1, "question");
	app_gets_end(fx, 1);
	app_reset(fx, 0);
	app_is_cut(fx, 1);
	rig_run_until_closed(fx);
	assert_int_equal(fx->side[1].end.reason, CN_RESET_BY_APPLICATION);
}

static void
test_refused(void **state)
{
	struct rig *fx = *state;

	joint_of(fx)->refuses = true;
	begin(fx);
	app_gets_reset(fx, 0);
	/* There is no far side to close. */
	fx->side[1].closed = 1;
	rig_run_until_closed(fx);
	assert_int_equal(fx->side[0].end.reason, CN_RESET_REFUSED);
}

/* No carrier comes back in time. */
static void
test_link_reset(void **state)
{
	struct rig *fx = *state;

	begin(fx);
	app_send(fx, 0, "some");
	app_gets(fx, 1, "some");
	for (int i = 0; i < 2; i++) {
		cn_link_reset_all(
		    joint_of(fx)->link[i], CN_RESET_LINK_LOST, cn_clock_us());
	}
	app_gets_reset(fx, 0);
	app_gets_reset(fx, 1);
	rig_run_until_closed(fx);
	assert_int_equal(fx->side[0].end.reason, CN_RESET_LINK_LOST);
	assert_int_equal(fx->side[1].end.reason, CN_RESET_LINK_LOST);
}

/* An idle stream has no page of the pool and calls nobody. */
static void
test_idle(void **state)
{
	struct rig *fx = *state;
	struct joint *joint = joint_of(fx);
	uint64_t start = cn_clock_us();

	begin(fx);
	app_send(fx, 0, "ping");
	app_gets(fx, 1, "ping");
	app_send(fx, 1, "pong");
	app_gets(fx, 0, "pong");
	while (cn_clock_us() - start < 100000) {
		rig_turn(fx);
	}
	assert_true(rig_run_ms(fx, 50) < 5);
	for (int i = 0; i < 2; i++) {
		struct cn_stream_stats stats;

		cn_stream_stats(cn_pump_stream(fx->side[i].pump), &stats);
		assert_int_equal(stats.unacked, 0);
		assert_int_equal(stats.unread, 0);
		/* No page: what is left is the stream itself. */
		assert_true(cn_pool_used(joint->pool[i]) <= 1024);
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_both_ways),
		TEST(test_cuts),
		TEST(test_half_close),
		TEST(test_half_close_other),
		TEST(test_reset),
		TEST(test_reset_other),
		TEST(test_reset_in_full_flow),
		TEST(test_reset_after_fin),
		TEST(test_refused),
		TEST(test_link_reset),
		TEST(test_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
