/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "net/fdbudget.h"
#include "net/sockopt.h"

#define CLIENTS_MAX 64

struct fixture {
	uv_loop_t loop;
	uv_timer_t timer;
	bool is_due;
	int accepted[CLIENTS_MAX];
	uint32_t count;
	char text[CN_ADDR_TEXT_MAX];
	struct cn_listener_watch *end_inside;
};

static void
on_due(uv_timer_t *timer)
{
	struct fixture *fx = timer->data;

	fx->is_due = true;
}

static int
set_up(void **state)
{
	struct fixture *fx = cn_calloc(1, sizeof(*fx));

	assert_non_null(fx);
	assert_int_equal(uv_loop_init(&fx->loop), 0);
	assert_int_equal(uv_timer_init(&fx->loop, &fx->timer), 0);
	fx->timer.data = fx;
	cn_fdbudget_set_limit(1000);
	*state = fx;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *fx = *state;

	for (uint32_t i = 0; i < fx->count; i++) {
		cn_sockopt_close(&fx->accepted[i]);
	}
	uv_close((uv_handle_t *)&fx->timer, NULL);
	uv_run(&fx->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&fx->loop), 0);
	assert_int_equal(cn_fdbudget_used(), 0);
	cn_free(fx);
	return 0;
}

/* Run the loop for a while; returns how often it woke up. */
static uint32_t
run_ms(struct fixture *fx, uint64_t ms)
{
	uint32_t turns = 0;

	fx->is_due = false;
	uv_update_time(&fx->loop);
	assert_int_equal(uv_timer_start(&fx->timer, on_due, ms, 0), 0);
	while (!fx->is_due) {
		uv_run(&fx->loop, UV_RUN_ONCE);
		turns++;
	}
	return turns;
}

static void
run_until(struct fixture *fx, uint32_t count)
{
	for (int i = 0; i < 400 && fx->count < count; i++) {
		run_ms(fx, 5);
	}
	assert_int_equal(fx->count, count);
}

static void
on_accept(void *owner, const struct cn_listener_accepted *accepted)
{
	struct fixture *fx = owner;

	assert_true(fx->count < CLIENTS_MAX);
	fx->accepted[fx->count++] = accepted->fd;
	snprintf(fx->text, sizeof(fx->text), "%s", accepted->text);
	if (fx->end_inside != NULL) {
		cn_listener_unwatch(&fx->end_inside);
	}
}

static struct cn_listener *
open_at(const char *text, const struct cn_listener_options *options)
{
	struct cn_listener *listener;
	struct cn_addr addr;

	assert_int_equal(
	    cn_addr_parse(text, CN_ADDR_TO_LISTEN, &addr, NULL), CN_OK);
	assert_int_equal(cn_listener_open(&addr, options, &listener), CN_OK);
	return listener;
}

static int
connect_to(const struct cn_sockaddr *sa)
{
	int fd = socket(sa->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &sa->u.any, sa->len), 0);
	return fd;
}

static int
option_of(int fd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
	return value;
}

static void
assert_armed(int fd)
{
	struct linger linger = { 0, 77 };
	socklen_t len = sizeof(linger);

	assert_int_equal(
	    getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len), 0);
	assert_int_equal(linger.l_onoff, 1);
	assert_int_equal(linger.l_linger, 0);
	assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_OOBINLINE), 1);
}

static void
check_tcp(void **state, const char *at)
{
	struct fixture *fx = *state;
	struct cn_listener *listener = open_at(at, NULL);
	struct cn_listener_watch *watch;
	struct cn_listener_stats stats;
	struct cn_sockaddr local, client;
	char text[CN_ADDR_TEXT_MAX];
	int fd;

	assert_int_equal(
	    cn_listener_watch(listener, &fx->loop, on_accept, fx, &watch),
	    CN_OK);
	cn_listener_local(listener, &local);
	assert_true(ntohs(local.u.v4.sin_port) != 0);
	fd = connect_to(&local);
	run_until(fx, 1);
	client.len = sizeof(client.u);
	assert_int_equal(getsockname(fd, &client.u.any, &client.len), 0);
	cn_sockaddr_format(&client, true, text, sizeof(text));
	assert_string_equal(fx->text, text);
	assert_armed(fx->accepted[0]);
	assert_true((fcntl(fx->accepted[0], F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(fx->accepted[0], F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(cn_fdbudget_used(), 1);
	cn_listener_stats(listener, &stats);
	assert_int_equal(stats.accepted, 1);
	cn_listener_unwatch(&watch);
	cn_listener_close(&listener, false);
	assert_null(watch);
	assert_null(listener);
	close(fd);
}

static void
test_tcp(void **state)
{
	check_tcp(state, "127.0.0.1:0");
}

static void
test_tcp6(void **state)
{
	check_tcp(state, "[::1]:0");
}

/* A crash closes what nobody accepted yet; that must be a reset as well. */
static void
test_inherited(void **state)
{
	struct fixture *fx = *state;
	struct cn_listener *listener = open_at("127.0.0.1:0", NULL);
	struct cn_sockaddr local;
	char byte;
	int fd, peer;

	(void)fx;
	cn_listener_local(listener, &local);
	fd = connect_to(&local);
	peer = accept(cn_listener_fd(listener), NULL, NULL);
	assert_true(peer >= 0);
	assert_armed(peer);
	close(peer);
	assert_int_equal(read(fd, &byte, 1), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	fd = connect_to(&local);
	cn_listener_close(&listener, false);
	assert_int_equal(read(fd, &byte, 1), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
}

static void
test_any(void **state)
{
	struct fixture *fx = *state;
	struct cn_listener *listener = open_at("*:0", NULL);
	struct cn_listener_watch *watch;
	struct cn_sockaddr local, v4, v6;
	int fds[2];

	assert_int_equal(
	    cn_listener_watch(listener, &fx->loop, on_accept, fx, &watch),
	    CN_OK);
	cn_listener_local(listener, &local);
	v6 = local;
	v6.u.v6.sin6_addr = in6addr_loopback;
	memset(&v4, 0, sizeof(v4));
	v4.len = sizeof(v4.u.v4);
	v4.u.v4.sin_family = AF_INET;
	v4.u.v4.sin_port = local.u.v6.sin6_port;
	v4.u.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fds[0] = connect_to(&v6);
	run_until(fx, 1);
	assert_memory_equal(fx->text, "[::1]:", 6);
	fds[1] = connect_to(&v4);
	run_until(fx, 2);
	assert_memory_equal(fx->text, "127.0.0.1:", 10);
	cn_listener_unwatch(&watch);
	cn_listener_close(&listener, false);
	close(fds[0]);
	close(fds[1]);
}

static void
test_errors(void **state)
{
	struct cn_listener *listener = open_at("localhost:0", NULL);
	struct cn_listener *second = NULL;
	struct cn_sockaddr local;
	struct cn_addr addr;
	char text[CN_ADDR_TEXT_MAX];
	int pair[2];

	(void)state;
	cn_listener_local(listener, &local);
	cn_sockaddr_format(&local, true, text, sizeof(text));
	assert_memory_equal(text, "127.0.0.1:", 10);
	assert_int_equal(
	    cn_addr_parse(text, CN_ADDR_TO_LISTEN, &addr, NULL), CN_OK);
	assert_int_equal(cn_listener_open(&addr, NULL, &second), CN_EADDRINUSE);
	assert_int_equal(
	    cn_addr_parse("a.name:80", CN_ADDR_TO_LISTEN, &addr, NULL), CN_OK);
	assert_int_equal(cn_listener_open(&addr, NULL, &second), CN_EINVAL);
	assert_int_equal(
	    cn_addr_parse("203.0.113.1:80", CN_ADDR_TO_LISTEN, &addr, NULL),
	    CN_OK);
	assert_int_equal(
	    cn_listener_open(&addr, NULL, &second), CN_EADDRNOTAVAIL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(cn_listener_adopt(pair[0], NULL, &second), CN_EINVAL);
	assert_int_equal(cn_listener_adopt(-1, NULL, &second), CN_EINVAL);
	close(pair[0]);
	close(pair[1]);
	cn_listener_close(&listener, false);
	cn_listener_close(&listener, false);
	assert_null(second);
}

static void
test_adopt(void **state)
{
	struct fixture *fx = *state;
	struct cn_listener *listener = open_at("127.0.0.1:0", NULL);
	struct cn_listener *taken;
	struct cn_listener_watch *watch;
	struct cn_sockaddr local;
	int fd = dup(cn_listener_fd(listener));

	assert_int_equal(cn_listener_adopt(fd, NULL, &taken), CN_OK);
	cn_listener_close(&listener, false);
	cn_listener_local(taken, &local);
	assert_int_equal(
	    cn_listener_watch(taken, &fx->loop, on_accept, fx, &watch), CN_OK);
	/* The watch keeps it listening. */
	cn_listener_close(&taken, false);
	fd = connect_to(&local);
	run_until(fx, 1);
	cn_listener_unwatch(&watch);
	run_ms(fx, 1);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, &local.u.any, local.len), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(fd);
}

/* Shut, it refuses although a watch holds it; an adopted one is spared. */
static void
test_shut(void **state)
{
	struct fixture *fx = *state;
	struct cn_listener *listener = open_at("127.0.0.1:0", NULL);
	struct cn_listener *adopted;
	struct cn_listener_watch *watch;
	struct cn_sockaddr local;
	int fd = dup(cn_listener_fd(listener));

	assert_int_equal(cn_listener_adopt(fd, NULL, &adopted), CN_OK);
	cn_listener_local(listener, &local);
	assert_int_equal(
	    cn_listener_watch(listener, &fx->loop, on_accept, fx, &watch),
	    CN_OK);
	cn_listener_shut(adopted);
	fd = connect_to(&local);
	run_until(fx, 1);
	close(fd);
	cn_listener_shut(listener);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, &local.u.any, local.len), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(fd);
	/* The watch sees it and does not spin. */
	run_ms(fx, 3);
	cn_listener_unwatch(&watch);
	cn_listener_close(&listener, false);
	cn_listener_close(&adopted, false);
	run_ms(fx, 1);
}

/* ---- Unix sockets ---- */

static void
test_unix(void **state)
{
	struct fixture *fx = *state;
	char dir[] = "/tmp/cn-listener-XXXXXX";
	char path[64], at[80], expected[64];
	struct cn_listener_options options = { .unix_mode = 0600 };
	struct cn_listener *listener, *second = NULL;
	struct cn_listener_watch *watch;
	struct cn_sockaddr local;
	struct cn_addr addr;
	struct stat st;
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	snprintf(at, sizeof(at), "unix:%s", path);
	listener = open_at(at, &options);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	cn_listener_local(listener, &local);
	assert_int_equal(
	    cn_listener_watch(listener, &fx->loop, on_accept, fx, &watch),
	    CN_OK);
	fd = connect_to(&local);
	run_until(fx, 1);
	snprintf(expected, sizeof(expected), "unix:uid=%u", getuid());
	assert_string_equal(fx->text, expected);
	close(fd);

	/* In use: left alone. */
	assert_int_equal(
	    cn_addr_parse(at, CN_ADDR_TO_LISTEN, &addr, NULL), CN_OK);
	assert_int_equal(cn_listener_open(&addr, NULL, &second), CN_EADDRINUSE);
	assert_int_equal(stat(path, &st), 0);

	/* Kept, then stale: replaced. */
	cn_listener_unwatch(&watch);
	cn_listener_close(&listener, true);
	run_ms(fx, 1);
	assert_int_equal(stat(path, &st), 0);
	listener = open_at(at, NULL);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);

	/* Another's file in its place is not removed; no socket, no. */
	assert_int_equal(unlink(path), 0);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	cn_listener_close(&listener, false);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(cn_listener_open(&addr, NULL, &second), CN_EEXIST);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(unlink(path), 0);
	listener = open_at(at, NULL);
	cn_listener_close(&listener, false);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(rmdir(dir), 0);
	assert_null(second);
}

/* ---- shortage ---- */

static void
check_shortage(struct fixture *fx, struct cn_listener *listener,
    void (*mend)(void *arg), void *arg)
{
	struct cn_listener_stats stats;
	uint32_t before = fx->count;

	/* It rests: a few looks in 300 ms, no spin, nobody closed. */
	assert_true(run_ms(fx, 300) < 30);
	assert_int_equal(fx->count, before);
	cn_listener_stats(listener, &stats);
	assert_true(stats.pauses >= 1);
	assert_int_equal(stats.errors, 0);
	mend(arg);
	run_until(fx, before + 1);
}

static void
mend_budget(void *arg)
{
	struct fixture *fx = arg;

	cn_sockopt_close(&fx->accepted[0]);
}

static void
test_budget(void **state)
{
	struct fixture *fx = *state;
	struct cn_listener *listener = open_at("127.0.0.1:0", NULL);
	struct cn_listener_watch *watch;
	struct cn_sockaddr local;
	int fds[3];
	char byte = 0;

	cn_fdbudget_set_limit(2);
	cn_listener_local(listener, &local);
	assert_int_equal(
	    cn_listener_watch(listener, &fx->loop, on_accept, fx, &watch),
	    CN_OK);
	for (int i = 0; i < 3; i++) {
		fds[i] = connect_to(&local);
	}
	run_until(fx, 2);
	check_shortage(fx, listener, mend_budget, fx);
	/* The one who waited has a working connection. */
	assert_int_equal(write(fx->accepted[2], "x", 1), 1);
	assert_int_equal(read(fds[2], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	cn_listener_unwatch(&watch);
	cn_listener_close(&listener, false);
	for (int i = 0; i < 3; i++) {
		close(fds[i]);
	}
	/* It was set to -1 when it was closed above. */
	assert_int_equal(fx->accepted[0], -1);
}

static void
mend_rlimit(void *arg)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, arg), 0);
}

static void
test_emfile(void **state)
{
	struct fixture *fx = *state;
	struct cn_listener *listener = open_at("127.0.0.1:0", NULL);
	struct cn_listener_watch *watch;
	struct cn_sockaddr local;
	struct rlimit old, low;
	int fd;

	cn_listener_local(listener, &local);
	assert_int_equal(
	    cn_listener_watch(listener, &fx->loop, on_accept, fx, &watch),
	    CN_OK);
	run_ms(fx, 1);
	fd = connect_to(&local);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	check_shortage(fx, listener, mend_rlimit, &old);
	assert_int_equal(cn_fdbudget_used(), 1);
	cn_listener_unwatch(&watch);
	cn_listener_close(&listener, false);
	close(fd);
}

/* Carriers come in when the streams' budget is used up. */
static void
test_reserved(void **state)
{
	struct fixture *fx = *state;
	struct cn_listener_options options = { .is_reserved = true };
	struct cn_listener *listener = open_at("127.0.0.1:0", &options);
	struct cn_listener_watch *watch;
	struct cn_sockaddr local;
	int fd;

	cn_fdbudget_set_limit(0);
	cn_listener_local(listener, &local);
	assert_int_equal(
	    cn_listener_watch(listener, &fx->loop, on_accept, fx, &watch),
	    CN_OK);
	fd = connect_to(&local);
	run_until(fx, 1);
	assert_int_equal(cn_fdbudget_used(), 0);
	close(fx->accepted[0]);
	fx->accepted[0] = -1;
	cn_listener_unwatch(&watch);
	cn_listener_close(&listener, false);
	close(fd);
}

static void
test_stop(void **state)
{
	struct fixture *fx = *state;
	struct cn_listener *listener = open_at("127.0.0.1:0", NULL);
	struct cn_listener_watch *watch;
	struct cn_listener_stats stats;
	struct cn_sockaddr local;
	int fds[2];

	cn_listener_local(listener, &local);
	assert_int_equal(
	    cn_listener_watch(listener, &fx->loop, on_accept, fx, &watch),
	    CN_OK);
	cn_listener_watch_stop(watch);
	fds[0] = connect_to(&local);
	run_ms(fx, 20);
	assert_int_equal(fx->count, 0);
	cn_listener_watch_start(watch);
	run_until(fx, 1);
	/* Stopped and ended while it rests: the count of those is right. */
	cn_fdbudget_set_limit(0);
	fds[1] = connect_to(&local);
	run_ms(fx, 20);
	cn_listener_stats(listener, &stats);
	assert_int_equal(stats.paused, 1);
	cn_listener_watch_stop(watch);
	cn_listener_stats(listener, &stats);
	assert_int_equal(stats.paused, 0);
	cn_listener_watch_start(watch);
	run_ms(fx, 20);
	cn_listener_unwatch(&watch);
	cn_listener_stats(listener, &stats);
	assert_int_equal(stats.paused, 0);
	cn_listener_close(&listener, false);
	close(fds[0]);
	close(fds[1]);
}

static void
test_unwatch_inside(void **state)
{
	struct fixture *fx = *state;
	struct cn_listener *listener = open_at("127.0.0.1:0", NULL);
	struct cn_sockaddr local;
	int fds[2];

	cn_listener_local(listener, &local);
	assert_int_equal(cn_listener_watch(listener, &fx->loop, on_accept, fx,
			     &fx->end_inside),
	    CN_OK);
	fds[0] = connect_to(&local);
	fds[1] = connect_to(&local);
	run_ms(fx, 20);
	assert_int_equal(fx->count, 1);
	cn_listener_close(&listener, false);
	close(fds[0]);
	close(fds[1]);
}

/* ---- many loops ---- */

struct thread {
	pthread_t id;
	struct cn_listener *listener;
	uv_async_t stop;
	uint32_t count;
};

static void
on_thread_accept(void *owner, const struct cn_listener_accepted *accepted)
{
	struct thread *thread = owner;
	int fd = accepted->fd;

	thread->count++;
	cn_sockopt_close(&fd);
}

static void
on_stop(uv_async_t *stop)
{
	uv_stop(stop->loop);
}

static void *
thread_main(void *arg)
{
	struct thread *thread = arg;
	struct cn_listener_watch *watch;

	if (cn_listener_watch(thread->listener, thread->stop.loop,
		on_thread_accept, thread, &watch) != CN_OK) {
		return NULL;
	}
	uv_run(thread->stop.loop, UV_RUN_DEFAULT);
	cn_listener_unwatch(&watch);
	uv_close((uv_handle_t *)&thread->stop, NULL);
	uv_run(thread->stop.loop, UV_RUN_DEFAULT);
	return NULL;
}

static void
test_loops(void **state)
{
	enum { THREADS = 3, CLIENTS = 200 };
	struct cn_listener *listener = open_at("127.0.0.1:0", NULL);
	struct thread threads[THREADS] = { 0 };
	uv_loop_t loops[THREADS];
	struct cn_listener_stats stats;
	struct cn_sockaddr local;
	uint32_t sum = 0;
	char byte;

	(void)state;
	cn_listener_local(listener, &local);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(uv_loop_init(&loops[i]), 0);
		assert_int_equal(
		    uv_async_init(&loops[i], &threads[i].stop, on_stop), 0);
		threads[i].listener = listener;
		assert_int_equal(pthread_create(&threads[i].id, NULL,
				     thread_main, &threads[i]),
		    0);
	}
	for (int i = 0; i < CLIENTS; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		/* The reset may come before connect() has returned. */
		if (connect(fd, &local.u.any, local.len) == 0) {
			assert_int_equal(read(fd, &byte, 1), -1);
		}
		assert_int_equal(errno, ECONNRESET);
		close(fd);
	}
	for (int i = 0; i < THREADS; i++) {
		uv_async_send(&threads[i].stop);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i].id, NULL), 0);
		assert_int_equal(uv_loop_close(&loops[i]), 0);
		sum += threads[i].count;
	}
	assert_int_equal(sum, CLIENTS);
	cn_listener_stats(listener, &stats);
	assert_int_equal(stats.accepted, CLIENTS);
	cn_listener_close(&listener, false);
}

static void
test_torture(void **state)
{
	struct fixture *fx = *state;
	struct cn_listener *listener = NULL;
	struct cn_listener_watch *watch = NULL;
	struct cn_addr addr;

	assert_int_equal(
	    cn_addr_parse("127.0.0.1:0", CN_ADDR_TO_LISTEN, &addr, NULL),
	    CN_OK);
	cn_alloc_fail_at(1);
	assert_int_equal(cn_listener_open(&addr, NULL, &listener), CN_ENOMEM);
	assert_null(listener);
	listener = open_at("127.0.0.1:0", NULL);
	cn_alloc_fail_at(1);
	assert_int_equal(
	    cn_listener_watch(listener, &fx->loop, on_accept, fx, &watch),
	    CN_ENOMEM);
	cn_alloc_fail_at(0);
	assert_null(watch);
	cn_listener_close(&listener, false);
}

static void
test_fdbudget(void **state)
{
	struct rlimit rl;

	(void)state;
	cn_fdbudget_set_limit(3);
	assert_true(cn_fdbudget_take(2));
	assert_false(cn_fdbudget_take(2));
	assert_int_equal(cn_fdbudget_used(), 2);
	assert_true(cn_fdbudget_take(1));
	cn_fdbudget_set_limit(1);
	assert_false(cn_fdbudget_take(1));
	assert_false(cn_fdbudget_take(UINT32_MAX));
	cn_fdbudget_give(3);
	assert_true(cn_fdbudget_take(1));
	cn_fdbudget_give(1);
	assert_true(cn_fdbudget_init(64) > 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	assert_int_equal(rl.rlim_cur, rl.rlim_max);
	assert_int_equal(cn_fdbudget_limit(), rl.rlim_cur - 64);
	assert_int_equal(cn_fdbudget_init(UINT32_MAX), rl.rlim_cur / 4);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_tcp),
		TEST(test_tcp6),
		TEST(test_inherited),
		TEST(test_any),
		TEST(test_errors),
		TEST(test_adopt),
		TEST(test_shut),
		TEST(test_unix),
		TEST(test_budget),
		TEST(test_emfile),
		TEST(test_reserved),
		TEST(test_stop),
		TEST(test_unwatch_inside),
		TEST(test_loops),
		TEST(test_torture),
		TEST(test_fdbudget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
