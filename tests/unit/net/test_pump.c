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
#include "base/rand.h"
#include "fakelink.h"
#include "net/fdbudget.h"
#include "net/sockopt.h"

#define PATIENCE_US 8000000u

/* application 0 -- pump 0 == stream == pump 1 -- application 1 */
struct fixture {
	uv_loop_t loop;
	uv_timer_t timer;
	struct cn_fakelink link;
	struct side {
		struct fixture *fx;
		struct cn_pump *pump; /* NULL once closed */
		int app;              /* the application's socket */
		uint32_t closed;      /* calls of on_closed */
		struct cn_pump_end end;
	} side[2];
	uint32_t touched;
	bool is_due;
};

static void
on_touched(void *owner)
{
	struct side *side = owner;

	side->fx->touched++;
}

static void
on_closed(void *owner, struct cn_pump *pump, const struct cn_pump_end *end)
{
	struct side *side = owner;

	assert_ptr_equal(pump, side->pump);
	assert_null(cn_pump_stream(pump));
	side->pump = NULL;
	side->closed++;
	side->end = *end;
}

static const struct cn_pump_ops ops = {
	.on_touched = on_touched,
	.on_closed = on_closed,
};

static void
set_nonblocking(int fd)
{
	assert_int_equal(
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

/* Two ends of a TCP connection over loopback; the first is the gateway's. */
static void
tcp_pair(int fds[2], int rcvbuf)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (rcvbuf != 0) {
		setsockopt(
		    fds[1], SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	}
	assert_int_equal(connect(fds[1], (struct sockaddr *)&sin, len), 0);
	fds[0] = accept(fd, NULL, NULL);
	assert_true(fds[0] >= 0);
	close(fd);
}

static void
attach(struct fixture *fx, int i, const int fds[2])
{
	struct side *side = &fx->side[i];

	set_nonblocking(fds[0]);
	set_nonblocking(fds[1]);
	cn_sockopt_arm(fds[0]);
	assert_true(cn_fdbudget_take(1));
	side->fx = fx;
	side->app = fds[1];
	assert_int_equal(cn_pump_create(&fx->loop, fds[0], fx->link.end[i],
			     &ops, side, &side->pump),
	    CN_OK);
	assert_ptr_equal(cn_pump_owner(side->pump), side);
}

static void
begin(struct fixture *fx, size_t window, int rcvbuf)
{
	int fds[2];

	cn_fakelink_init(&fx->link, window);
	for (int i = 0; i < 2; i++) {
		tcp_pair(fds, rcvbuf);
		attach(fx, i, fds);
	}
}

static int
set_up(void **state)
{
	struct fixture *fx = cn_calloc(1, sizeof(*fx));

	assert_non_null(fx);
	assert_int_equal(uv_loop_init(&fx->loop), 0);
	assert_int_equal(uv_timer_init(&fx->loop, &fx->timer), 0);
	fx->timer.data = fx;
	cn_fdbudget_set_limit(100);
	*state = fx;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *fx = *state;

	for (int i = 0; i < 2; i++) {
		cn_pump_free(&fx->side[i].pump);
		if (fx->side[i].app > 0) {
			close(fx->side[i].app);
		}
	}
	uv_close((uv_handle_t *)&fx->timer, NULL);
	uv_run(&fx->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&fx->loop), 0);
	assert_int_equal(cn_fdbudget_used(), 0);
	cn_fakelink_fini(&fx->link);
	cn_free(fx);
	return 0;
}

/* The owner's turn. */
static void
dispatch(struct fixture *fx)
{
	struct cn_link_event event;

	while (cn_fakelink_event(&fx->link, &event)) {
		cn_pump_event(cn_stream_owner(event.stream), &event);
	}
}

static void
turn(struct fixture *fx)
{
	dispatch(fx);
	uv_run(&fx->loop, UV_RUN_NOWAIT);
	dispatch(fx);
}

static void
on_due(uv_timer_t *timer)
{
	struct fixture *fx = timer->data;

	fx->is_due = true;
}

/* Run for a while; returns how often the loop woke up. */
static uint32_t
run_ms(struct fixture *fx, uint64_t ms)
{
	uint32_t turns = 0;

	fx->is_due = false;
	uv_update_time(&fx->loop);
	assert_int_equal(uv_timer_start(&fx->timer, on_due, ms, 0), 0);
	while (!fx->is_due) {
		dispatch(fx);
		uv_run(&fx->loop, UV_RUN_ONCE);
		turns++;
	}
	dispatch(fx);
	return turns;
}

static void
run_until_closed(struct fixture *fx)
{
	uint64_t start = cn_clock_us();

	while ((fx->side[0].pump != NULL || fx->side[1].pump != NULL) &&
	    cn_clock_us() - start < PATIENCE_US) {
		turn(fx);
	}
	for (int i = 0; i < 2; i++) {
		assert_null(fx->side[i].pump);
		assert_int_equal(fx->side[i].closed, 1);
	}
}

static void
assert_both_clean(struct fixture *fx)
{
	run_until_closed(fx);
	for (int i = 0; i < 2; i++) {
		assert_true(fx->side[i].end.is_clean);
		assert_int_equal(fx->side[i].end.err, CN_OK);
		assert_int_equal(fx->side[i].end.reason, CN_RESET_NONE);
	}
}

/* What the application sees: bytes, 0 for the end, or the errno negated. */
static long
app_read(struct fixture *fx, int i, void *buf, size_t cap)
{
	uint64_t start = cn_clock_us();
	ssize_t got;

	do {
		got = recv(fx->side[i].app, buf, cap, 0);
		if (got >= 0 || errno != EAGAIN) {
			return got < 0 ? -errno : got;
		}
		turn(fx);
	} while (cn_clock_us() - start < PATIENCE_US);
	return -EAGAIN;
}

static void
app_send(struct fixture *fx, int i, const char *text)
{
	assert_int_equal(
	    send(fx->side[i].app, text, strlen(text), 0), strlen(text));
}

static void
app_gets(struct fixture *fx, int i, const char *text)
{
	char buf[64];
	size_t len = 0;
	long got;

	while (len < strlen(text)) {
		got = app_read(fx, i, buf + len, strlen(text) - len);
		assert_true(got > 0);
		len += (size_t)got;
	}
	assert_memory_equal(buf, text, len);
}

static void
app_gets_end(struct fixture *fx, int i)
{
	char byte;

	assert_int_equal(app_read(fx, i, &byte, 1), 0);
}

/* A reset, after whatever bytes; never an end. */
static void
app_gets_reset(struct fixture *fx, int i)
{
	char buf[4096];
	long got;

	do {
		got = app_read(fx, i, buf, sizeof(buf));
	} while (got > 0);
	assert_int_equal(got, -ECONNRESET);
}

/* After an end of file a reset shows no more in reading, only in writing. */
static void
app_is_cut(struct fixture *fx, int i)
{
	uint64_t start = cn_clock_us();
	int errnum = 0;
	socklen_t len = sizeof(errnum);

	do {
		turn(fx);
		assert_int_equal(getsockopt(fx->side[i].app, SOL_SOCKET,
				     SO_ERROR, &errnum, &len),
		    0);
	} while (errnum == 0 && cn_clock_us() - start < PATIENCE_US);
	assert_true(errnum == EPIPE || errnum == ECONNRESET);
}

static void
app_reset(struct fixture *fx, int i)
{
	struct linger linger = { 1, 0 };

	setsockopt(
	    fx->side[i].app, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fx->side[i].app);
	fx->side[i].app = -1;
}

static void
app_shut(struct fixture *fx, int i)
{
	assert_int_equal(shutdown(fx->side[i].app, SHUT_WR), 0);
}

/* ---- bytes ---- */

/* One application's bytes on their way to the other. */
struct flow {
	struct cn_prng out, in;
	int from, to;
	uint64_t left, due; /* to be sent, to be received */
	uint8_t pending[8192];
	size_t pending_len, pending_off;
};

static void
flow_init(struct flow *flow, int from, uint64_t len)
{
	memset(flow, 0, sizeof(*flow));
	cn_prng_init(&flow->out, 7 + (uint64_t)from);
	cn_prng_init(&flow->in, 7 + (uint64_t)from);
	flow->from = from;
	flow->to = 1 - from;
	flow->left = len;
	flow->due = len;
}

static void
flow_send(struct fixture *fx, struct flow *flow)
{
	ssize_t put;

	if (flow->pending_off == flow->pending_len) {
		size_t n =
		    (size_t)CN_MIN(flow->left, (uint64_t)sizeof(flow->pending));

		for (size_t i = 0; i < n; i++) {
			flow->pending[i] = (uint8_t)cn_prng_u64(&flow->out);
		}
		flow->pending_len = n;
		flow->pending_off = 0;
		flow->left -= n;
		if (n == 0) {
			return;
		}
	}
	put = send(fx->side[flow->from].app, flow->pending + flow->pending_off,
	    flow->pending_len - flow->pending_off, 0);
	if (put > 0) {
		flow->pending_off += (size_t)put;
	}
}

static void
flow_receive(struct fixture *fx, struct flow *flow, size_t cap)
{
	uint8_t buf[32768];
	ssize_t got =
	    recv(fx->side[flow->to].app, buf, CN_MIN(cap, sizeof(buf)), 0);

	if (got < 0) {
		assert_int_equal(errno, EAGAIN);
		return;
	}
	assert_true(got > 0 || flow->due == 0);
	assert_true((uint64_t)got <= flow->due);
	for (ssize_t i = 0; i < got; i++) {
		assert_int_equal(buf[i], (uint8_t)cn_prng_u64(&flow->in));
	}
	flow->due -= (uint64_t)got;
}

static void
carry(struct fixture *fx, uint64_t len, size_t read_cap)
{
	struct flow flow[2];
	uint64_t start = cn_clock_us();

	for (int i = 0; i < 2; i++) {
		flow_init(&flow[i], i, len);
	}
	while ((flow[0].due > 0 || flow[1].due > 0) &&
	    cn_clock_us() - start < PATIENCE_US) {
		for (int i = 0; i < 2; i++) {
			flow_send(fx, &flow[i]);
			flow_receive(fx, &flow[i], read_cap);
		}
		turn(fx);
	}
	assert_int_equal(flow[0].due, 0);
	assert_int_equal(flow[1].due, 0);
}

static void
test_both_ways(void **state)
{
	struct fixture *fx = *state;

	begin(fx, 65536, 0);
	carry(fx, 3000000, 32768);
	app_shut(fx, 0);
	app_gets_end(fx, 1);
	app_shut(fx, 1);
	app_gets_end(fx, 0);
	assert_both_clean(fx);
	assert_int_equal(fx->link.filled[0], 3000000);
	assert_int_equal(fx->link.filled[1], 3000000);
}

static void
test_tiny_window(void **state)
{
	struct fixture *fx = *state;

	begin(fx, 7, 0);
	carry(fx, 20000, 3);
	app_shut(fx, 1);
	app_gets_end(fx, 0);
	app_shut(fx, 0);
	app_gets_end(fx, 1);
	assert_both_clean(fx);
}

static void
test_big_window(void **state)
{
	struct fixture *fx = *state;

	begin(fx, 4u << 20, 0);
	carry(fx, 6000000, 32768);
	assert_true(fx->touched > 0);
}

/* What is there before the pump travels with the opening. */
static void
test_first_bytes(void **state)
{
	struct fixture *fx = *state;
	int fds[2];

	cn_fakelink_init(&fx->link, 65536);
	tcp_pair(fds, 0);
	assert_int_equal(send(fds[1], "GET /", 5, 0), 5);
	usleep(2000);
	attach(fx, 0, fds);
	assert_int_equal(fx->link.filled[0], 5);
	assert_true(fx->touched > 0);
	tcp_pair(fds, 0);
	attach(fx, 1, fds);
	/* Written by cn_pump_create() itself: no turn of the loop yet. */
	app_gets(fx, 1, "GET /");
}

/* ---- ends ---- */

static void
check_half_close(struct fixture *fx, int first)
{
	int second = 1 - first;

	begin(fx, 65536, 0);
	app_send(fx, first, "question");
	app_shut(fx, first);
	app_gets(fx, second, "question");
	app_gets_end(fx, second);
	/* The other direction lives on for as long as it likes. */
	run_ms(fx, 20);
	app_send(fx, second, "answer 1");
	app_gets(fx, first, "answer 1");
	app_send(fx, second, "answer 2");
	app_shut(fx, second);
	app_gets(fx, first, "answer 2");
	app_gets_end(fx, first);
	assert_both_clean(fx);
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
	struct fixture *fx = *state;

	begin(fx, 65536, 0);
	app_send(fx, 0, "all");
	app_send(fx, 1, "that");
	app_shut(fx, 0);
	app_shut(fx, 1);
	app_gets(fx, 0, "that");
	app_gets(fx, 1, "all");
	app_gets_end(fx, 0);
	app_gets_end(fx, 1);
	assert_both_clean(fx);
}

/* The gateway is killed in mid-transfer: the kernel closes its sockets. */
static void
test_crash(void **state)
{
	struct fixture *fx = *state;
	int fds[2];
	char buf[8];

	tcp_pair(fds, 0);
	cn_sockopt_arm(fds[0]);
	assert_int_equal(send(fds[0], "part", 4, 0), 4);
	close(fds[0]);
	assert_int_equal(recv(fds[1], buf, sizeof(buf), 0), 4);
	assert_int_equal(recv(fds[1], buf, sizeof(buf), 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fds[1]);
	cn_fakelink_init(&fx->link, 1);
}

/* Ended, but the application reads slowly: nothing of the end is lost. */
static void
test_linger(void **state)
{
	struct fixture *fx = *state;
	struct flow flow;
	uint64_t start = cn_clock_us();

	begin(fx, 4u << 20, 4096);
	flow_init(&flow, 0, 1000000);
	app_shut(fx, 1);
	while ((flow.left > 0 || flow.pending_off < flow.pending_len) &&
	    cn_clock_us() - start < PATIENCE_US) {
		flow_send(fx, &flow);
		turn(fx);
	}
	app_shut(fx, 0);
	app_gets_end(fx, 0);
	/* All of it is in the kernel, and the stream ended. */
	while (fx->link.end[1] != NULL && cn_clock_us() - start < PATIENCE_US) {
		turn(fx);
	}
	assert_null(fx->link.end[1]);
	run_ms(fx, 30);
	assert_non_null(fx->side[1].pump);
	assert_int_equal(fx->side[1].closed, 0);
	/* Looks at growing distances, no spin. */
	assert_true(run_ms(fx, 200) < 20);
	while (flow.due > 0 && cn_clock_us() - start < PATIENCE_US) {
		flow_receive(fx, &flow, 32768);
		turn(fx);
	}
	assert_int_equal(flow.due, 0);
	app_gets_end(fx, 1);
	assert_both_clean(fx);
}

/* The same, but the application dies, or the gateway goes down. */
static void
end_with_unsent(struct fixture *fx)
{
	static char junk[400000];
	size_t done = 0;
	uint64_t start = cn_clock_us();

	begin(fx, 4u << 20, 4096);
	app_shut(fx, 1);
	while (done < sizeof(junk) && cn_clock_us() - start < PATIENCE_US) {
		ssize_t put =
		    send(fx->side[0].app, junk, sizeof(junk) - done, 0);

		done += put > 0 ? (size_t)put : 0;
		turn(fx);
	}
	assert_int_equal(done, sizeof(junk));
	app_shut(fx, 0);
	app_gets_end(fx, 0);
	run_ms(fx, 30);
	assert_null(fx->link.end[1]);
	assert_non_null(fx->side[1].pump);
}

static void
test_linger_reset(void **state)
{
	struct fixture *fx = *state;

	end_with_unsent(fx);
	app_reset(fx, 1);
	run_until_closed(fx);
	assert_int_equal(fx->side[1].end.err, CN_ECONNRESET);
	assert_true(fx->side[0].end.is_clean);
	assert_int_equal(fx->side[0].end.err, CN_OK);
}

static void
test_linger_free(void **state)
{
	struct fixture *fx = *state;
	char buf[4096];
	size_t sum = 0;
	long got;

	end_with_unsent(fx);
	cn_pump_free(&fx->side[1].pump);
	assert_null(fx->side[1].pump);
	run_ms(fx, 5);
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
	struct fixture *fx = *state;

	begin(fx, 65536, 0);
	fx->link.hold_end = true;
	app_shut(fx, 0);
	app_gets_end(fx, 1);
	/* Application 1 has not finished: whatever the engine says. */
	cn_fakelink_say_ended(&fx->link, 1);
	app_is_cut(fx, 1);
	app_gets_reset(fx, 0);
	run_until_closed(fx);
	assert_false(fx->side[1].end.is_clean);
	assert_int_equal(fx->side[1].end.reason, CN_RESET_INTERNAL);
}

/* ---- resets ---- */

static void
check_reset(struct fixture *fx, int from)
{
	begin(fx, 65536, 0);
	app_send(fx, from, "some");
	app_gets(fx, 1 - from, "some");
	run_ms(fx, 5);
	app_reset(fx, from);
	app_gets_reset(fx, 1 - from);
	run_until_closed(fx);
	assert_int_equal(fx->link.reset_reason[from], CN_RESET_BY_APPLICATION);
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
	struct fixture *fx = *state;

	begin(fx, 65536, 0);
	app_send(fx, 0, "question");
	app_shut(fx, 0);
	app_gets(fx, 1, "question");
	app_gets_end(fx, 1);
	assert_true(run_ms(fx, 20) < 10);
	app_reset(fx, 0);
	app_is_cut(fx, 1);
	run_until_closed(fx);
}

/* Fill the way from application 0 until nothing moves any more. */
static size_t
fill_up(struct fixture *fx)
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
		turn(fx);
	}
	return sum;
}

/* A reset shows although nothing is read for want of room, and waiting for
 * room costs nothing. */
static void
test_reset_while_starved(void **state)
{
	struct fixture *fx = *state;

	begin(fx, 65536, 0);
	fill_up(fx);
	assert_true(run_ms(fx, 50) < 5);
	app_reset(fx, 0);
	app_gets_reset(fx, 1);
	run_until_closed(fx);
}

/* The same with the end of file waiting behind what cannot be read. */
static void
test_fin_while_starved(void **state)
{
	struct fixture *fx = *state;
	static char buf[65536];
	size_t sum, sent;
	long got;

	begin(fx, 65536, 0);
	sent = fill_up(fx);
	app_shut(fx, 0);
	assert_true(run_ms(fx, 50) < 8);
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
	assert_both_clean(fx);
}

static void
test_fin_then_reset_while_starved(void **state)
{
	struct fixture *fx = *state;

	begin(fx, 65536, 0);
	fill_up(fx);
	app_shut(fx, 0);
	run_ms(fx, 20);
	app_reset(fx, 0);
	app_gets_reset(fx, 1);
	run_until_closed(fx);
}

/* Urgent data is no reason to wake for ever, and its byte is a byte. */
static void
test_urgent(void **state)
{
	struct fixture *fx = *state;
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
	assert_true(run_ms(fx, 50) < 10);
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
	struct fixture *fx = *state;
	int fds[2], copy, errnum = 0;
	socklen_t len = sizeof(errnum);

	cn_fakelink_init(&fx->link, 65536);
	tcp_pair(fds, 0);
	attach(fx, 1, fds);
	tcp_pair(fds, 0);
	copy = dup(fds[0]);
	attach(fx, 0, fds);
	app_reset(fx, 0);
	usleep(2000);
	assert_int_equal(
	    getsockopt(copy, SOL_SOCKET, SO_ERROR, &errnum, &len), 0);
	assert_int_equal(errnum, ECONNRESET);
	close(copy);
	app_gets_reset(fx, 1);
	run_until_closed(fx);
}

/* The application closes without reading: what comes for it is refused. */
static void
test_close_unread(void **state)
{
	struct fixture *fx = *state;

	begin(fx, 65536, 0);
	app_send(fx, 0, "never read");
	run_ms(fx, 10);
	close(fx->side[1].app);
	fx->side[1].app = -1;
	app_gets_reset(fx, 0);
	run_until_closed(fx);
	assert_int_equal(fx->link.reset_reason[1], CN_RESET_BY_APPLICATION);
}

static void
test_write_after_close(void **state)
{
	struct fixture *fx = *state;

	begin(fx, 65536, 0);
	close(fx->side[1].app);
	fx->side[1].app = -1;
	app_gets_end(fx, 0);
	app_send(fx, 0, "nobody");
	app_is_cut(fx, 0);
	run_until_closed(fx);
}

static void
test_reset_by_engine(void **state)
{
	struct fixture *fx = *state;

	begin(fx, 65536, 0);
	app_send(fx, 1, "partial");
	app_gets(fx, 0, "partial");
	cn_fakelink_reset(&fx->link, 0, CN_RESET_LINK_LOST);
	cn_fakelink_reset(&fx->link, 1, CN_RESET_LINK_LOST);
	app_gets_reset(fx, 0);
	app_gets_reset(fx, 1);
	run_until_closed(fx);
	assert_int_equal(fx->side[0].end.reason, CN_RESET_LINK_LOST);
	assert_int_equal(fx->side[0].end.err, CN_OK);
}

static void
test_kill_and_free(void **state)
{
	struct fixture *fx = *state;

	begin(fx, 65536, 0);
	cn_pump_kill(fx->side[0].pump, CN_RESET_ADMIN);
	assert_int_equal(fx->side[0].closed, 0);
	cn_pump_kill(fx->side[0].pump, CN_RESET_ADMIN);
	app_gets_reset(fx, 0);
	app_gets_reset(fx, 1);
	run_until_closed(fx);
	assert_int_equal(fx->side[0].end.reason, CN_RESET_ADMIN);
	assert_int_equal(fx->side[1].end.reason, CN_RESET_ADMIN);
	close(fx->side[0].app);
	close(fx->side[1].app);

	fx->side[1].closed = 0;
	fx->side[0].closed = 0;
	begin(fx, 65536, 0);
	cn_pump_free(&fx->side[0].pump);
	assert_null(fx->side[0].pump);
	assert_int_equal(fx->link.reset_reason[0], CN_RESET_SHUTDOWN);
	app_gets_reset(fx, 0);
	app_gets_reset(fx, 1);
	assert_int_equal(fx->side[0].closed, 0);
}

/* ---- slow readers, Unix sockets, cost ---- */

static void
test_slow_reader(void **state)
{
	struct fixture *fx = *state;
	uint64_t filled;

	begin(fx, 65536, 4096);
	fill_up(fx);
	filled = fx->link.filled[0];
	run_ms(fx, 30);
	assert_int_equal(fx->link.filled[0], filled);
	/* The other way is not held up by it. */
	app_send(fx, 1, "still here");
	app_gets(fx, 0, "still here");
}

static void
unix_begin(struct fixture *fx)
{
	int fds[2];

	cn_fakelink_init(&fx->link, 65536);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		attach(fx, i, fds);
	}
}

static void
test_unix(void **state)
{
	struct fixture *fx = *state;

	unix_begin(fx);
	carry(fx, 1000000, 32768);
	app_shut(fx, 0);
	app_gets_end(fx, 1);
	app_send(fx, 1, "late");
	app_gets(fx, 0, "late");
	app_shut(fx, 1);
	app_gets_end(fx, 0);
	assert_both_clean(fx);
}

/* Its peer is gone, which no poll may ask about without end. */
static void
test_unix_gone(void **state)
{
	struct fixture *fx = *state;

	unix_begin(fx);
	close(fx->side[0].app);
	fx->side[0].app = -1;
	app_gets_end(fx, 1);
	assert_true(run_ms(fx, 50) < 8);
	app_send(fx, 1, "nobody");
	run_until_closed(fx);
	assert_int_equal(fx->link.reset_reason[0], CN_RESET_BY_APPLICATION);
	assert_int_equal(fx->side[0].end.err, CN_EPIPE);
}

static void
test_unix_gone_starved(void **state)
{
	struct fixture *fx = *state;
	static char buf[65536];

	unix_begin(fx);
	fill_up(fx);
	close(fx->side[0].app);
	fx->side[0].app = -1;
	assert_true(run_ms(fx, 50) < 8);
	while (app_read(fx, 1, buf, sizeof(buf)) > 0) {
	}
}

static void
test_cost(void **state)
{
	struct fixture *fx = *state;
	struct cn_pump *pump = NULL;
	uint64_t before, calls;
	int fds[2];

	cn_fakelink_init(&fx->link, 64);
	tcp_pair(fds, 0);
	set_nonblocking(fds[0]);
	cn_alloc_fail_at(1);
	assert_int_equal(cn_pump_create(&fx->loop, fds[0], fx->link.end[0],
			     &ops, &fx->side[0], &pump),
	    CN_ENOMEM);
	cn_alloc_fail_at(0);
	assert_null(pump);
	assert_int_equal(cn_pump_create(&fx->loop, -1, fx->link.end[0], &ops,
			     &fx->side[0], &pump),
	    -EBADF);
	assert_null(pump);
	before = cn_alloc_bytes();
	attach(fx, 0, fds);
	assert_true(cn_alloc_bytes() - before <= 400);
	/* An idle pump calls nobody. */
	calls = fx->link.calls;
	assert_true(run_ms(fx, 50) < 4);
	assert_int_equal(fx->link.calls, calls);
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
