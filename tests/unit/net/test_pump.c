/* SPDX-License-Identifier: Apache-2.0 */
#include "net/pump.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "fakelink.h"
#include "net/fdbudget.h"
#include "net/sockopt.h"
#include "rig.h"

static struct cn_fakelink *
link_of(struct rig *fx)
{
	return fx->link;
}

static bool
next_event(struct rig *fx, struct cn_link_event *ret)
{
	return cn_fakelink_event(link_of(fx), ret);
}

static int
set_up(void **state)
{
	struct rig *fx;

	rig_set_up(state);
	fx = *state;
	fx->link = cn_calloc(1, sizeof(struct cn_fakelink));
	assert_non_null(fx->link);
	fx->next_event = next_event;
	return 0;
}

static int
tear_down(void **state)
{
	struct rig *fx = *state;
	struct cn_fakelink *link = link_of(fx);

	rig_tear_down(state);
	cn_fakelink_fini(link);
	cn_free(link);
	return 0;
}

static void
begin(struct rig *fx, size_t window, int rcvbuf)
{
	int fds[2];

	cn_fakelink_init(link_of(fx), window);
	for (int i = 0; i < 2; i++) {
		rig_tcp_pair(fds, rcvbuf);
		rig_attach(fx, i, fds, link_of(fx)->end[i]);
	}
}

static void
test_both_ways(void **state)
{
	struct rig *fx = *state;

	begin(fx, 65536, 0);
	rig_carry(fx, 3000000, 32768);
	app_shut(fx, 0);
	app_gets_end(fx, 1);
	app_shut(fx, 1);
	app_gets_end(fx, 0);
	rig_assert_both_clean(fx);
	assert_int_equal(link_of(fx)->filled[0], 3000000);
	assert_int_equal(link_of(fx)->filled[1], 3000000);
}

static void
test_tiny_window(void **state)
{
	struct rig *fx = *state;

	begin(fx, 7, 0);
	rig_carry(fx, 20000, 3);
	app_shut(fx, 1);
	app_gets_end(fx, 0);
	app_shut(fx, 0);
	app_gets_end(fx, 1);
	rig_assert_both_clean(fx);
}

static void
test_big_window(void **state)
{
	struct rig *fx = *state;

	begin(fx, 4u << 20, 0);
	rig_carry(fx, 6000000, 32768);
	assert_true(fx->touched > 0);
}

/* What is there before the pump travels with the opening. */
static void
test_first_bytes(void **state)
{
	struct rig *fx = *state;
	int fds[2];

	cn_fakelink_init(link_of(fx), 65536);
	rig_tcp_pair(fds, 0);
	assert_int_equal(send(fds[1], "GET /", 5, 0), 5);
	usleep(2000);
	rig_attach(fx, 0, fds, link_of(fx)->end[0]);
	assert_int_equal(link_of(fx)->filled[0], 5);
	assert_true(fx->touched > 0);
	rig_tcp_pair(fds, 0);
	rig_attach(fx, 1, fds, link_of(fx)->end[1]);
	/* Written by cn_pump_create() itself: no turn of the loop yet. */
	app_gets(fx, 1, "GET /");
}

/* ---- ends ---- */

static void
check_half_close(struct rig *fx, int first)
{
	int second = 1 - first;

	begin(fx, 65536, 0);
	app_send(fx, first, "question");
	app_shut(fx, first);
	app_gets(fx, second, "question");
	app_gets_end(fx, second);
	/* The other direction lives on for as long as it likes. */
	rig_run_ms(fx, 20);
	app_send(fx, second, "answer 1");
	app_gets(fx, first, "answer 1");
	app_send(fx, second, "answer 2");
	app_shut(fx, second);
	app_gets(fx, first, "answer 2");
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
test_close_at_once(void **state)
{
	struct rig *fx = *state;

	begin(fx, 65536, 0);
	app_send(fx, 0, "all");
	app_send(fx, 1, "that");
	app_shut(fx, 0);
	app_shut(fx, 1);
	app_gets(fx, 0, "that");
	app_gets(fx, 1, "all");
	app_gets_end(fx, 0);
	app_gets_end(fx, 1);
	rig_assert_both_clean(fx);
}

/* The gateway is killed in mid-transfer: the kernel closes its sockets. */
static void
test_crash(void **state)
{
	struct rig *fx = *state;
	int fds[2];
	char buf[8];

	rig_tcp_pair(fds, 0);
	cn_sockopt_arm(fds[0]);
	assert_int_equal(send(fds[0], "part", 4, 0), 4);
	close(fds[0]);
	assert_int_equal(recv(fds[1], buf, sizeof(buf), 0), 4);
	assert_int_equal(recv(fds[1], buf, sizeof(buf), 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fds[1]);
	cn_fakelink_init(link_of(fx), 1);
}

/* Ended, but the application reads slowly: nothing of the end is lost. */
static void
test_linger(void **state)
{
	struct rig *fx = *state;
	struct rig_flow flow;
	uint64_t start = cn_clock_us();

	begin(fx, 4u << 20, 4096);
	flow_init(&flow, 0, 1000000);
	app_shut(fx, 1);
	while ((flow.left > 0 || flow.pending_off < flow.pending_len) &&
	    cn_clock_us() - start < RIG_PATIENCE_US) {
		flow_send(fx, &flow);
		rig_turn(fx);
	}
	app_shut(fx, 0);
	app_gets_end(fx, 0);
	/* All of it is in the kernel, and the stream ended. */
	while (link_of(fx)->end[1] != NULL &&
	    cn_clock_us() - start < RIG_PATIENCE_US) {
		rig_turn(fx);
	}
	assert_null(link_of(fx)->end[1]);
	rig_run_ms(fx, 30);
	assert_non_null(fx->side[1].pump);
	assert_int_equal(fx->side[1].closed, 0);
	/* Looks at growing distances, no spin. */
	assert_true(rig_run_ms(fx, 200) < 20);
	while (flow.due > 0 && cn_clock_us() - start < RIG_PATIENCE_US) {
		flow_receive(fx, &flow, 32768);
		rig_turn(fx);
	}
	assert_int_equal(flow.due, 0);
	app_gets_end(fx, 1);
	rig_assert_both_clean(fx);
}

/* The same, but the application dies, or the gateway goes down. */
static void
end_with_unsent(struct rig *fx)
{
	static char junk[400000];
	size_t done = 0;
	uint64_t start = cn_clock_us();

	begin(fx, 4u << 20, 4096);
	app_shut(fx, 1);
	while (done < sizeof(junk) && cn_clock_us() - start < RIG_PATIENCE_US) {
		ssize_t put =
		    send(fx->side[0].app, junk, sizeof(junk) - done, 0);

		done += put > 0 ? (size_t)put : 0;
		rig_turn(fx);
	}
	assert_int_equal(done, sizeof(junk));
	app_shut(fx, 0);
	app_gets_end(fx, 0);
	while (link_of(fx)->end[1] != NULL &&
	    cn_clock_us() - start < RIG_PATIENCE_US) {
		rig_turn(fx);
	}
	assert_null(link_of(fx)->end[1]);
	rig_run_ms(fx, 5);
	assert_non_null(fx->side[1].pump);
}

static void
test_linger_reset(void **state)
{
	struct rig *fx = *state;

	end_with_unsent(fx);
	app_reset(fx, 1);
	rig_run_until_closed(fx);
	assert_int_equal(fx->side[1].end.err, CN_ECONNRESET);
	assert_true(fx->side[0].end.is_clean);
	assert_int_equal(fx->side[0].end.err, CN_OK);
}

static void
test_linger_free(void **state)
{
	struct rig *fx = *state;
	char buf[4096];
	size_t sum = 0;
	long got;

	end_with_unsent(fx);
	cn_pump_free(&fx->side[1].pump);
	assert_null(fx->side[1].pump);
	rig_run_ms(fx, 5);
	assert_int_equal(fx->side[1].closed, 0);
	while ((got = app_read(fx, 1, buf, sizeof(buf))) > 0) {
		sum += (size_t)got;
	}
	assert_int_equal(got, 0);
	assert_int_equal(sum, 400000);
}

static void
test_false_end(void **state)
{
	struct rig *fx = *state;

	begin(fx, 65536, 0);
	link_of(fx)->hold_end = true;
	app_shut(fx, 0);
	app_gets_end(fx, 1);
	/* Application 1 has not finished: whatever the engine says. */
	cn_fakelink_say_ended(link_of(fx), 1);
	app_is_cut(fx, 1);
	app_gets_reset(fx, 0);
	rig_run_until_closed(fx);
	assert_false(fx->side[1].end.is_clean);
	assert_int_equal(fx->side[1].end.reason, CN_RESET_INTERNAL);
}

/* ---- resets ---- */

static void
check_reset(struct rig *fx, int from)
{
	begin(fx, 65536, 0);
	app_send(fx, from, "some");
	app_gets(fx, 1 - from, "some");
	rig_run_ms(fx, 5);
	app_reset(fx, from);
	app_gets_reset(fx, 1 - from);
	rig_run_until_closed(fx);
	assert_int_equal(
	    link_of(fx)->reset_reason[from], CN_RESET_BY_APPLICATION);
	assert_false(fx->side[from].end.is_clean);
	assert_int_equal(fx->side[from].end.err, CN_ECONNRESET);
	assert_false(fx->side[1 - from].end.is_clean);
	assert_int_equal(
	    fx->side[1 - from].end.reason, CN_RESET_BY_APPLICATION);
	assert_int_equal(fx->side[1 - from].end.err, CN_OK);
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
test_reset_after_fin(void **state)
{
	struct rig *fx = *state;

	begin(fx, 65536, 0);
	app_send(fx, 0, "question");
	app_shut(fx, 0);
	app_gets(fx, 1, "question");
	app_gets_end(fx, 1);
	assert_true(rig_run_ms(fx, 20) < 10);
	app_reset(fx, 0);
	app_is_cut(fx, 1);
	rig_run_until_closed(fx);
}

/* Fill the way from application 0 until nothing moves any more. */
static size_t
fill_up(struct rig *fx)
{
	static char junk[65536];
	size_t sum = 0;
	int idle = 0;

	while (idle < 50) {
		ssize_t put = send(fx->side[0].app, junk, sizeof(junk), 0);

		if (put > 0) {
			sum += (size_t)put;
			idle = 0;
		} else {
			idle++;
		}
		rig_turn(fx);
	}
	return sum;
}

/* A reset shows although nothing is read for want of room, and waiting for
 * room costs nothing. */
static void
test_reset_while_starved(void **state)
{
	struct rig *fx = *state;

	begin(fx, 65536, 0);
	fill_up(fx);
	assert_true(rig_run_ms(fx, 50) < 5);
	app_reset(fx, 0);
	app_gets_reset(fx, 1);
	rig_run_until_closed(fx);
}

/* The same with the end of file waiting behind what cannot be read. */
static void
test_fin_while_starved(void **state)
{
	struct rig *fx = *state;
	static char buf[65536];
	size_t sum, sent;
	long got;

	begin(fx, 65536, 0);
	sent = fill_up(fx);
	app_shut(fx, 0);
	assert_true(rig_run_ms(fx, 50) < 8);
	/* Behind the starved half the other way still works. */
	app_send(fx, 1, "reply");
	app_gets(fx, 0, "reply");
	for (sum = 0; (got = app_read(fx, 1, buf, sizeof(buf))) > 0;) {
		sum += (size_t)got;
	}
	assert_int_equal(got, 0);
	assert_int_equal(sum, sent);
	app_shut(fx, 1);
	app_gets_end(fx, 0);
	rig_assert_both_clean(fx);
}

static void
test_fin_then_reset_while_starved(void **state)
{
	struct rig *fx = *state;

	begin(fx, 65536, 0);
	fill_up(fx);
	app_shut(fx, 0);
	rig_run_ms(fx, 20);
	app_reset(fx, 0);
	app_gets_reset(fx, 1);
	rig_run_until_closed(fx);
}

/* Urgent data is no reason to wake for ever, and its byte is a byte. */
static void
test_urgent(void **state)
{
	struct rig *fx = *state;
	static char buf[65536];
	size_t sum, sent;
	long got;

	begin(fx, 65536, 0);
	app_send(fx, 0, "ab");
	assert_int_equal(send(fx->side[0].app, "C", 1, MSG_OOB), 1);
	app_send(fx, 0, "de");
	app_gets(fx, 1, "abCde");
	sent = fill_up(fx);
	if (send(fx->side[0].app, "!", 1, MSG_OOB) == 1) {
		sent++;
	}
	app_shut(fx, 0);
	assert_true(rig_run_ms(fx, 50) < 10);
	for (sum = 0; (got = app_read(fx, 1, buf, sizeof(buf))) > 0;) {
		sum += (size_t)got;
	}
	assert_int_equal(got, 0);
	assert_int_equal(sum, sent);
}

/*
 * Once a socket's error was taken, the kernel says end of file instead of
 * reset.  It is not believed.
 */
static void
test_stolen_error(void **state)
{
	struct rig *fx = *state;
	int fds[2], copy, errnum = 0;
	socklen_t len = sizeof(errnum);

	cn_fakelink_init(link_of(fx), 65536);
	rig_tcp_pair(fds, 0);
	rig_attach(fx, 1, fds, link_of(fx)->end[1]);
	rig_tcp_pair(fds, 0);
	copy = dup(fds[0]);
	rig_attach(fx, 0, fds, link_of(fx)->end[0]);
	app_reset(fx, 0);
	usleep(2000);
	assert_int_equal(
	    getsockopt(copy, SOL_SOCKET, SO_ERROR, &errnum, &len), 0);
	assert_int_equal(errnum, ECONNRESET);
	close(copy);
	app_gets_reset(fx, 1);
	rig_run_until_closed(fx);
}

/* The application closes without reading: what comes for it is refused. */
static void
test_close_unread(void **state)
{
	struct rig *fx = *state;

	begin(fx, 65536, 0);
	app_send(fx, 0, "never read");
	rig_run_ms(fx, 10);
	close(fx->side[1].app);
	fx->side[1].app = -1;
	app_gets_reset(fx, 0);
	rig_run_until_closed(fx);
	assert_int_equal(link_of(fx)->reset_reason[1], CN_RESET_BY_APPLICATION);
}

static void
test_write_after_close(void **state)
{
	struct rig *fx = *state;

	begin(fx, 65536, 0);
	close(fx->side[1].app);
	fx->side[1].app = -1;
	app_gets_end(fx, 0);
	app_send(fx, 0, "nobody");
	app_is_cut(fx, 0);
	rig_run_until_closed(fx);
}

static void
test_reset_by_engine(void **state)
{
	struct rig *fx = *state;

	begin(fx, 65536, 0);
	app_send(fx, 1, "partial");
	app_gets(fx, 0, "partial");
	cn_fakelink_reset(link_of(fx), 0, CN_RESET_LINK_LOST);
	cn_fakelink_reset(link_of(fx), 1, CN_RESET_LINK_LOST);
	app_gets_reset(fx, 0);
	app_gets_reset(fx, 1);
	rig_run_until_closed(fx);
	assert_int_equal(fx->side[0].end.reason, CN_RESET_LINK_LOST);
	assert_int_equal(fx->side[0].end.err, CN_OK);
}

static void
test_kill_and_free(void **state)
{
	struct rig *fx = *state;

	begin(fx, 65536, 0);
	cn_pump_kill(fx->side[0].pump, CN_RESET_ADMIN);
	assert_int_equal(fx->side[0].closed, 0);
	cn_pump_kill(fx->side[0].pump, CN_RESET_ADMIN);
	app_gets_reset(fx, 0);
	app_gets_reset(fx, 1);
	rig_run_until_closed(fx);
	assert_int_equal(fx->side[0].end.reason, CN_RESET_ADMIN);
	assert_int_equal(fx->side[1].end.reason, CN_RESET_ADMIN);
	close(fx->side[0].app);
	close(fx->side[1].app);

	fx->side[1].closed = 0;
	fx->side[0].closed = 0;
	begin(fx, 65536, 0);
	cn_pump_free(&fx->side[0].pump);
	assert_null(fx->side[0].pump);
	assert_int_equal(link_of(fx)->reset_reason[0], CN_RESET_SHUTDOWN);
	app_gets_reset(fx, 0);
	app_gets_reset(fx, 1);
	assert_int_equal(fx->side[0].closed, 0);
}

/* ---- slow readers, Unix sockets, cost ---- */

static void
test_slow_reader(void **state)
{
	struct rig *fx = *state;
	uint64_t filled;

	begin(fx, 65536, 4096);
	fill_up(fx);
	filled = link_of(fx)->filled[0];
	rig_run_ms(fx, 30);
	assert_int_equal(link_of(fx)->filled[0], filled);
	/* The other way is not held up by it. */
	app_send(fx, 1, "still here");
	app_gets(fx, 0, "still here");
}

static void
unix_begin(struct rig *fx)
{
	int fds[2];

	cn_fakelink_init(link_of(fx), 65536);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		rig_attach(fx, i, fds, link_of(fx)->end[i]);
	}
}

static void
test_unix(void **state)
{
	struct rig *fx = *state;

	unix_begin(fx);
	rig_carry(fx, 1000000, 32768);
	app_shut(fx, 0);
	app_gets_end(fx, 1);
	app_send(fx, 1, "late");
	app_gets(fx, 0, "late");
	app_shut(fx, 1);
	app_gets_end(fx, 0);
	rig_assert_both_clean(fx);
}

/* Its peer is gone, which no poll may ask about without end. */
static void
test_unix_gone(void **state)
{
	struct rig *fx = *state;

	unix_begin(fx);
	close(fx->side[0].app);
	fx->side[0].app = -1;
	app_gets_end(fx, 1);
	assert_true(rig_run_ms(fx, 50) < 8);
	app_send(fx, 1, "nobody");
	rig_run_until_closed(fx);
	assert_int_equal(link_of(fx)->reset_reason[0], CN_RESET_BY_APPLICATION);
	assert_int_equal(fx->side[0].end.err, CN_EPIPE);
}

static void
test_unix_gone_starved(void **state)
{
	struct rig *fx = *state;
	static char buf[65536];

	unix_begin(fx);
	fill_up(fx);
	close(fx->side[0].app);
	fx->side[0].app = -1;
	assert_true(rig_run_ms(fx, 50) < 8);
	while (app_read(fx, 1, buf, sizeof(buf)) > 0) {
	}
}

static void
test_cost(void **state)
{
	struct rig *fx = *state;
	struct cn_pump *pump = NULL;
	uint64_t before, calls;
	int fds[2];

	cn_fakelink_init(link_of(fx), 64);
	rig_tcp_pair(fds, 0);
	rig_set_nonblocking(fds[0]);
	cn_alloc_fail_at(1);
	assert_int_equal(cn_pump_create(&fx->loop, fds[0], link_of(fx)->end[0],
			     &rig_ops, &fx->side[0], &pump),
	    CN_ENOMEM);
	cn_alloc_fail_at(0);
	assert_null(pump);
	assert_int_equal(cn_pump_create(&fx->loop, -1, link_of(fx)->end[0],
			     &rig_ops, &fx->side[0], &pump),
	    -EBADF);
	assert_null(pump);
	before = cn_alloc_bytes();
	rig_attach(fx, 0, fds, link_of(fx)->end[0]);
	assert_true(cn_alloc_bytes() - before <= 400);
	/* An idle pump calls nobody. */
	calls = link_of(fx)->calls;
	assert_true(rig_run_ms(fx, 50) < 4);
	assert_int_equal(link_of(fx)->calls, calls);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_both_ways),
		TEST(test_tiny_window),
		TEST(test_big_window),
		TEST(test_first_bytes),
		TEST(test_half_close),
		TEST(test_half_close_other),
		TEST(test_close_at_once),
		TEST(test_crash),
		TEST(test_linger),
		TEST(test_linger_reset),
		TEST(test_linger_free),
		TEST(test_false_end),
		TEST(test_reset),
		TEST(test_reset_other),
		TEST(test_reset_after_fin),
		TEST(test_reset_while_starved),
		TEST(test_fin_while_starved),
		TEST(test_fin_then_reset_while_starved),
		TEST(test_urgent),
		TEST(test_stolen_error),
		TEST(test_close_unread),
		TEST(test_write_after_close),
		TEST(test_reset_by_engine),
		TEST(test_kill_and_free),
		TEST(test_slow_reader),
		TEST(test_unix),
		TEST(test_unix_gone),
		TEST(test_unix_gone_starved),
		TEST(test_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
