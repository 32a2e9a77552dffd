/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/fdbudget.h"
#include "net/sockopt.h"

static void
on_touched(void *owner)
{
	struct rig_side *side = owner;

	side->fx->touched++;
}

static void
on_closed(void *owner, struct cn_pump *pump, const struct cn_pump_end *end)
{
	struct rig_side *side = owner;

	assert_ptr_equal(pump, side->pump);
	assert_null(cn_pump_stream(pump));
	side->pump = NULL;
	side->closed++;
	side->end = *end;
}

const struct cn_pump_ops rig_ops = {
	.on_touched = on_touched,
	.on_closed = on_closed,
};

void
rig_set_nonblocking(int fd)
{
	assert_int_equal(
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

void
rig_tcp_pair(int fds[2], int rcvbuf)
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

void
rig_attach(struct rig *fx, int i, const int fds[2], struct cn_stream *stream)
{
	struct rig_side *side = &fx->side[i];

	rig_set_nonblocking(fds[0]);
	rig_set_nonblocking(fds[1]);
	cn_sockopt_arm(fds[0]);
	assert_true(cn_fdbudget_take(1));
	side->fx = fx;
	side->app = fds[1];
	assert_int_equal(cn_pump_create(&fx->loop, fds[0], stream, &rig_ops,
			     side, &side->pump),
	    CN_OK);
	assert_ptr_equal(cn_pump_owner(side->pump), side);
}

int
rig_set_up(void **state)
{
	struct rig *fx = cn_calloc(1, sizeof(*fx));

	assert_non_null(fx);
	assert_int_equal(uv_loop_init(&fx->loop), 0);
	assert_int_equal(uv_timer_init(&fx->loop, &fx->timer), 0);
	fx->timer.data = fx;
	cn_fdbudget_set_limit(100);
	*state = fx;
	return 0;
}

int
rig_tear_down(void **state)
{
	struct rig *fx = *state;

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
	cn_free(fx);
	return 0;
}

void
rig_dispatch(struct rig *fx)
{
	struct cn_link_event event;
	bool is_busy;

	do {
		is_busy = false;
		while (fx->next_event(fx, &event)) {
			cn_pump_event(cn_stream_owner(event.stream), &event);
			is_busy = true;
		}
		if (fx->work != NULL && fx->work(fx)) {
			is_busy = true;
		}
	} while (is_busy);
}

void
rig_turn(struct rig *fx)
{
	rig_dispatch(fx);
	uv_run(&fx->loop, UV_RUN_NOWAIT);
	rig_dispatch(fx);
}

static void
on_due(uv_timer_t *timer)
{
	struct rig *fx = timer->data;

	fx->is_due = true;
}

uint32_t
rig_run_ms(struct rig *fx, uint64_t ms)
{
	uint32_t turns = 0;

	fx->is_due = false;
	uv_update_time(&fx->loop);
	assert_int_equal(uv_timer_start(&fx->timer, on_due, ms, 0), 0);
	while (!fx->is_due) {
		rig_dispatch(fx);
		uv_run(&fx->loop, UV_RUN_ONCE);
		turns++;
	}
	rig_dispatch(fx);
	return turns;
}

void
rig_run_until_closed(struct rig *fx)
{
	uint64_t start = cn_clock_us();

	while ((fx->side[0].pump != NULL || fx->side[1].pump != NULL) &&
	    cn_clock_us() - start < RIG_PATIENCE_US) {
		rig_turn(fx);
	}
	for (int i = 0; i < 2; i++) {
		assert_null(fx->side[i].pump);
		assert_int_equal(fx->side[i].closed, 1);
	}
}

void
rig_assert_both_clean(struct rig *fx)
{
	rig_run_until_closed(fx);
	for (int i = 0; i < 2; i++) {
		assert_true(fx->side[i].end.is_clean);
		assert_int_equal(fx->side[i].end.err, CN_OK);
		assert_int_equal(fx->side[i].end.reason, CN_RESET_NONE);
	}
}

long
app_read(struct rig *fx, int i, void *buf, size_t cap)
{
	uint64_t start = cn_clock_us();
	ssize_t got;

	do {
		got = recv(fx->side[i].app, buf, cap, 0);
		if (got >= 0 || errno != EAGAIN) {
			return got < 0 ? -errno : got;
		}
		rig_turn(fx);
	} while (cn_clock_us() - start < RIG_PATIENCE_US);
	return -EAGAIN;
}

void
app_send(struct rig *fx, int i, const char *text)
{
	assert_int_equal(
	    send(fx->side[i].app, text, strlen(text), 0), strlen(text));
}

void
app_gets(struct rig *fx, int i, const char *text)
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

void
app_gets_end(struct rig *fx, int i)
{
	char byte;

	assert_int_equal(app_read(fx, i, &byte, 1), 0);
}

void
app_gets_reset(struct rig *fx, int i)
{
	char buf[4096];
	long got;

	do {
		got = app_read(fx, i, buf, sizeof(buf));
	} while (got > 0);
	assert_int_equal(got, -ECONNRESET);
}

void
app_is_cut(struct rig *fx, int i)
{
	uint64_t start = cn_clock_us();
	int errnum = 0;
	socklen_t len = sizeof(errnum);

	do {
		rig_turn(fx);
		assert_int_equal(getsockopt(fx->side[i].app, SOL_SOCKET,
				     SO_ERROR, &errnum, &len),
		    0);
	} while (errnum == 0 && cn_clock_us() - start < RIG_PATIENCE_US);
	assert_true(errnum == EPIPE || errnum == ECONNRESET);
}

void
app_reset(struct rig *fx, int i)
{
	struct linger linger = { 1, 0 };

	setsockopt(
	    fx->side[i].app, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fx->side[i].app);
	fx->side[i].app = -1;
}

void
app_shut(struct rig *fx, int i)
{
	assert_int_equal(shutdown(fx->side[i].app, SHUT_WR), 0);
}

void
flow_init(struct rig_flow *flow, int from, uint64_t len)
{
	memset(flow, 0, sizeof(*flow));
	cn_prng_init(&flow->out, 7 + (uint64_t)from);
	cn_prng_init(&flow->in, 7 + (uint64_t)from);
	flow->from = from;
	flow->to = 1 - from;
	flow->left = len;
	flow->due = len;
}

void
flow_send(struct rig *fx, struct rig_flow *flow)
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

void
flow_receive(struct rig *fx, struct rig_flow *flow, size_t cap)
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

void
rig_carry(struct rig *fx, uint64_t len, size_t read_cap)
{
	struct rig_flow flow[2];
	uint64_t start = cn_clock_us();

	for (int i = 0; i < 2; i++) {
		flow_init(&flow[i], i, len);
	}
	while ((flow[0].due > 0 || flow[1].due > 0) &&
	    cn_clock_us() - start < RIG_PATIENCE_US) {
		for (int i = 0; i < 2; i++) {
			flow_send(fx, &flow[i]);
			flow_receive(fx, &flow[i], read_cap);
		}
		rig_turn(fx);
	}
	assert_int_equal(flow[0].due, 0);
	assert_int_equal(flow[1].due, 0);
}
