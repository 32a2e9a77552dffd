/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dialer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/fdbudget.h"
#include "net/sockopt.h"

#define FILL_MAX 16

/*
 * The resolver of this test, in place of the C library's: names and answers
 * that every machine has.
 */
struct answer {
	struct addrinfo ai;
	struct sockaddr_in6 room;
};

static struct addrinfo *
new_answer(const char *text, struct addrinfo *next)
{
	struct answer *answer = calloc(1, sizeof(*answer));
	struct sockaddr_in *v4 = (struct sockaddr_in *)&answer->room;

	answer->ai.ai_addr = (struct sockaddr *)&answer->room;
	answer->ai.ai_next = next;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		answer->ai.ai_family = AF_INET;
		answer->ai.ai_addrlen = sizeof(*v4);
	} else {
		answer->ai.ai_family = AF_INET6;
		answer->ai.ai_addrlen = sizeof(answer->room);
		inet_pton(AF_INET6, text, &answer->room.sin6_addr);
	}
	answer->room.sin6_family = (sa_family_t)answer->ai.ai_family;
	return &answer->ai;
}

int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
    struct addrinfo **ret)
{
	(void)service;
	(void)hints;
	if (strcmp(node, "two.test") == 0) {
		*ret = new_answer("::1", new_answer("127.0.0.1", NULL));
	} else if (strcmp(node, "four.test") == 0) {
		*ret = new_answer(
		    "::1", new_answer("::1", new_answer("127.0.0.1", NULL)));
	} else if (strcmp(node, "one.test") == 0) {
		*ret = new_answer("127.0.0.1", NULL);
	} else if (strcmp(node, "slow.test") == 0) {
		usleep(400000);
		*ret = new_answer("127.0.0.1", NULL);
	} else {
		return EAI_NONAME;
	}
	return 0;
}

void
freeaddrinfo(struct addrinfo *list)
{
	while (list != NULL) {
		struct addrinfo *next = list->ai_next;

		free(list);
		list = next;
	}
}

struct fixture {
	uv_loop_t loop;
	uint32_t calls;
	struct cn_dialer_result result;
	char text[200];
	uint64_t took_us;
	uint64_t started_us;
};

static int
set_up(void **state)
{
	struct fixture *fx = cn_calloc(1, sizeof(*fx));

	assert_non_null(fx);
	assert_int_equal(uv_loop_init(&fx->loop), 0);
	cn_fdbudget_set_limit(100);
	*state = fx;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *fx = *state;

	uv_run(&fx->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&fx->loop), 0);
	assert_int_equal(cn_fdbudget_used(), 0);
	cn_free(fx);
	return 0;
}

static void
on_done(void *owner, const struct cn_dialer_result *result)
{
	struct fixture *fx = owner;

	fx->calls++;
	fx->result = *result;
	snprintf(fx->text, sizeof(fx->text), "%s", result->text);
	fx->took_us = cn_clock_us() - fx->started_us;
}

static struct cn_dialer *
begin(struct fixture *fx, const char *text, uint64_t timeout_ms)
{
	struct cn_dialer_options options = {
		.timeout_us = timeout_ms * 1000,
	};
	struct cn_dialer *dialer;
	struct cn_addr addr;

	assert_int_equal(
	    cn_addr_parse(text, CN_ADDR_TO_REACH, &addr, NULL), CN_OK);
	fx->calls = 0;
	uv_update_time(&fx->loop);
	fx->started_us = cn_clock_us();
	assert_int_equal(
	    cn_dialer_start(&fx->loop, &addr, &options, on_done, fx, &dialer),
	    CN_OK);
	assert_int_equal(fx->calls, 0);
	return dialer;
}

static void
dial(struct fixture *fx, const char *text, uint64_t timeout_ms)
{
	begin(fx, text, timeout_ms);
	uv_run(&fx->loop, UV_RUN_DEFAULT);
	assert_int_equal(fx->calls, 1);
	assert_true(
	    (fx->result.fd >= 0) == (fx->result.reason == CN_RESET_NONE));
	assert_true(fx->text[0] != '\0');
}

/* A listening socket at an address of this host, or -1; its port. */
static int
try_listen(const char *host, uint16_t port, int backlog, uint16_t *ret)
{
	struct cn_sockaddr sa;
	struct cn_addr addr;
	char text[80];
	int one = 1;
	int fd;

	snprintf(text, sizeof(text), "%s:%u", host, port);
	assert_int_equal(
	    cn_addr_parse(text, CN_ADDR_TO_LISTEN, &addr, NULL), CN_OK);
	assert_int_equal(cn_addr_to_sockaddr(&addr, &sa), CN_OK);
	fd = socket(sa.u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (sa.u.any.sa_family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	}
	if (bind(fd, &sa.u.any, sa.len) != 0 || listen(fd, backlog) != 0) {
		close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, &sa.u.any, &sa.len), 0);
	*ret = ntohs(sa.u.v4.sin_port);
	return fd;
}

static int
listen_at(const char *host, uint16_t port, int backlog, uint16_t *ret)
{
	int fd = try_listen(host, port, backlog, ret);

	assert_true(fd >= 0);
	return fd;
}

/* Two at the same port of both families, the first with a full queue. */
static void
listen_twice(int *silent, int *talks, uint16_t *port)
{
	*talks = -1;
	for (int i = 0; i < 50 && *talks < 0; i++) {
		*silent = listen_at("[::1]", 0, 0, port);
		*talks = try_listen("127.0.0.1", *port, 8, port);
		if (*talks < 0) {
			close(*silent);
		}
	}
	assert_true(*talks >= 0);
}

static int
connect_begin(const char *host, uint16_t port)
{
	struct cn_sockaddr sa;
	struct cn_addr addr;
	char text[80];
	int fd;

	snprintf(text, sizeof(text), "%s:%u", host, port);
	assert_int_equal(
	    cn_addr_parse(text, CN_ADDR_TO_REACH, &addr, NULL), CN_OK);
	assert_int_equal(cn_addr_to_sockaddr(&addr, &sa), CN_OK);
	fd = socket(
	    sa.u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	(void)!connect(fd, &sa.u.any, sa.len);
	return fd;
}

/* Fill the queue of a listener with a backlog of 0, so that it no longer
 * answers: a target that does not say anything. */
static void
fill_queue(const char *host, uint16_t port, int *fds)
{
	for (int i = 0; i < FILL_MAX; i++) {
		fds[i] = connect_begin(host, port);
	}
	usleep(20000);
}

static void
check_connected(struct fixture *fx, int listening)
{
	struct linger linger;
	socklen_t len = sizeof(linger);
	char byte;
	int fd;

	assert_int_equal(fx->result.reason, CN_RESET_NONE);
	assert_int_equal(fx->result.err, CN_OK);
	assert_true((fcntl(fx->result.fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(fx->result.fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(
	    getsockopt(fx->result.fd, SOL_SOCKET, SO_LINGER, &linger, &len), 0);
	assert_int_equal(linger.l_onoff, 1);
	assert_int_equal(cn_fdbudget_used(), 1);
	fd = accept(listening, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(write(fx->result.fd, "x", 1), 1);
	assert_int_equal(read(fd, &byte, 1), 1);
	cn_sockopt_close(&fx->result.fd);
	close(fd);
}

static void
check_connect(struct fixture *fx, const char *host, const char *as)
{
	char text[80], peer[CN_ADDR_TEXT_MAX];
	uint16_t port;
	int fd = listen_at(host, 0, 8, &port);

	snprintf(text, sizeof(text), "%s:%u", as, port);
	dial(fx, text, 2000);
	cn_sockaddr_format(&fx->result.peer, true, peer, sizeof(peer));
	snprintf(text, sizeof(text), "%s:%u", host, port);
	assert_string_equal(peer, text);
	check_connected(fx, fd);
	close(fd);
}

static void
test_connect(void **state)
{
	check_connect(*state, "127.0.0.1", "127.0.0.1");
	check_connect(*state, "[::1]", "[::1]");
}

/* A name with both families, of which one listens: whichever it is. */
static void
test_fallback(void **state)
{
	check_connect(*state, "127.0.0.1", "two.test");
	check_connect(*state, "[::1]", "two.test");
	check_connect(*state, "127.0.0.1", "one.test");
}

static void
test_refused(void **state)
{
	struct fixture *fx = *state;
	char text[80];
	uint16_t port;

	close(listen_at("127.0.0.1", 0, 1, &port));
	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	dial(fx, text, 2000);
	assert_int_equal(fx->result.reason, CN_RESET_REFUSED);
	assert_int_equal(fx->result.err, CN_ECONNREFUSED);
	assert_true(fx->took_us < 1000000);
	snprintf(text, sizeof(text), "two.test:%u", port);
	dial(fx, text, 2000);
	assert_int_equal(fx->result.attempts, 2);
	assert_int_equal(fx->result.reason, CN_RESET_REFUSED);
	assert_true(fx->took_us < 1000000);
}

static void
test_timeout(void **state)
{
	struct fixture *fx = *state;
	int fds[FILL_MAX];
	char text[80];
	uint16_t port;
	int fd = listen_at("127.0.0.1", 0, 0, &port);

	fill_queue("127.0.0.1", port, fds);
	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	dial(fx, text, 150);
	assert_int_equal(fx->result.reason, CN_RESET_TIMEOUT);
	assert_int_equal(fx->result.err, CN_ETIMEDOUT);
	assert_true(fx->took_us >= 140000 && fx->took_us < 1000000);
	for (int i = 0; i < FILL_MAX; i++) {
		close(fds[i]);
	}
	close(fd);
}

/*
 * The first address is silent: the other family is tried after the stagger,
 * before the second of the same, and wins.
 */
static void
test_stagger(void **state)
{
	struct fixture *fx = *state;
	char text[80];
	int fds[FILL_MAX];
	uint16_t port;
	int silent, talks;

	listen_twice(&silent, &talks, &port);
	fill_queue("[::1]", port, fds);
	snprintf(text, sizeof(text), "four.test:%u", port);
	dial(fx, text, 3000);
	assert_true(fx->took_us >= 240000 && fx->took_us < 2000000);
	assert_int_equal(fx->result.attempts, 2);
	check_connected(fx, talks);

	/* Silent and refused: what was said counts. */
	close(talks);
	dial(fx, text, 450);
	assert_int_equal(fx->result.reason, CN_RESET_REFUSED);
	assert_true(fx->took_us >= 440000);
	for (int i = 0; i < FILL_MAX; i++) {
		close(fds[i]);
	}
	close(silent);
}

static void
test_slow_resolver(void **state)
{
	struct fixture *fx = *state;

	dial(fx, "slow.test:80", 50);
	assert_int_equal(fx->result.reason, CN_RESET_TIMEOUT);
	assert_non_null(strstr(fx->text, "resolver"));
	assert_true(fx->took_us < 350000);
}

static void
test_no_name(void **state)
{
	struct fixture *fx = *state;

	dial(fx, "none.test:80", 4000);
	assert_int_equal(fx->result.reason, CN_RESET_UNREACHABLE);
	assert_non_null(strstr(fx->text, "unknown"));
	dial(fx, "[fe80::1%nope]:80", 1000);
	assert_int_equal(fx->result.reason, CN_RESET_UNREACHABLE);
}

static void
test_unix(void **state)
{
	struct fixture *fx = *state;
	char dir[] = "/tmp/cn-dialer-XXXXXX";
	struct cn_sockaddr sa;
	struct cn_addr addr;
	char text[80];
	int fds[FILL_MAX];
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(text, sizeof(text), "unix:%s/s", dir);
	dial(fx, text, 1000);
	assert_int_equal(fx->result.reason, CN_RESET_UNREACHABLE);
	assert_int_equal(fx->result.err, CN_ENOENT);

	assert_int_equal(
	    cn_addr_parse(text, CN_ADDR_TO_REACH, &addr, NULL), CN_OK);
	assert_int_equal(cn_addr_to_sockaddr(&addr, &sa), CN_OK);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, &sa.u.any, sa.len), 0);
	dial(fx, text, 1000);
	assert_int_equal(fx->result.reason, CN_RESET_REFUSED);
	assert_int_equal(listen(fd, 0), 0);
	dial(fx, text, 1000);
	check_connected(fx, fd);

	/* A full queue is tried again until it has room, or time is up. */
	for (int i = 0; i < FILL_MAX; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fds[i], &sa.u.any, sa.len);
	}
	dial(fx, text, 100);
	assert_int_equal(fx->result.reason, CN_RESET_BUSY);
	assert_true(fx->took_us >= 90000);
	assert_true(fx->result.attempts < 30);
	for (int i = 0; i < FILL_MAX; i++) {
		close(fds[i]);
	}
	close(fd);
	snprintf(text, sizeof(text), "%s/s", dir);
	assert_int_equal(unlink(text), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void
test_budget(void **state)
{
	struct fixture *fx = *state;
	struct cn_dialer_options options = { .is_reserved = true };
	struct cn_dialer *dialer;
	struct cn_addr addr;
	char text[80];
	uint16_t port;
	int fd = listen_at("127.0.0.1", 0, 8, &port);

	cn_fdbudget_set_limit(0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	dial(fx, text, 1000);
	assert_int_equal(fx->result.reason, CN_RESET_BUSY);
	assert_int_equal(fx->result.attempts, 0);

	assert_int_equal(
	    cn_addr_parse(text, CN_ADDR_TO_REACH, &addr, NULL), CN_OK);
	assert_int_equal(
	    cn_dialer_start(&fx->loop, &addr, &options, on_done, fx, &dialer),
	    CN_OK);
	uv_run(&fx->loop, UV_RUN_DEFAULT);
	assert_int_equal(fx->result.reason, CN_RESET_NONE);
	assert_int_equal(cn_fdbudget_used(), 0);
	close(fx->result.fd);
	close(fd);
}

static void
test_cancel(void **state)
{
	struct fixture *fx = *state;
	struct cn_dialer *dialer;
	int fds[FILL_MAX];
	char text[80];
	uint16_t port;
	int fd = listen_at("127.0.0.1", 0, 0, &port);

	fill_queue("127.0.0.1", port, fds);
	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	/* At once, while connecting, while resolving, and of nothing. */
	dialer = begin(fx, text, 1000);
	cn_dialer_cancel(&dialer);
	assert_null(dialer);
	dialer = begin(fx, text, 1000);
	for (int i = 0; i < 3; i++) {
		uv_run(&fx->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(cn_fdbudget_used(), 1);
	cn_dialer_cancel(&dialer);
	assert_int_equal(cn_fdbudget_used(), 0);
	dialer = begin(fx, "two.test:1", 1000);
	cn_dialer_cancel(&dialer);
	dialer = begin(fx, "two.test:1", 1000);
	usleep(5000);
	cn_dialer_cancel(&dialer);
	cn_dialer_cancel(&dialer);
	uv_run(&fx->loop, UV_RUN_DEFAULT);
	assert_int_equal(fx->calls, 0);
	for (int i = 0; i < FILL_MAX; i++) {
		close(fds[i]);
	}
	close(fd);
}

static void
test_torture(void **state)
{
	struct fixture *fx = *state;
	struct cn_dialer *dialer = NULL;
	struct cn_addr addr;
	int err;

	assert_int_equal(
	    cn_addr_parse("127.0.0.1:1", CN_ADDR_TO_REACH, &addr, NULL), CN_OK);
	for (uint64_t nth = 1; nth <= 3; nth++) {
		cn_alloc_fail_at(nth);
		err = cn_dialer_start(
		    &fx->loop, &addr, NULL, on_done, fx, &dialer);
		cn_alloc_fail_at(0);
		if (err == CN_OK) {
			assert_int_equal(nth, 3);
			cn_dialer_cancel(&dialer);
			break;
		}
		assert_int_equal(err, CN_ENOMEM);
		assert_null(dialer);
	}
	uv_run(&fx->loop, UV_RUN_DEFAULT);
	/* The resolver's answer finds no memory. */
	dialer = begin(fx, "two.test:1", 1000);
	cn_alloc_fail_at(1);
	uv_run(&fx->loop, UV_RUN_DEFAULT);
	cn_alloc_fail_at(0);
	assert_int_equal(fx->calls, 1);
	assert_int_equal(fx->result.reason, CN_RESET_BUSY);
}

static void
test_reasons(void **state)
{
	(void)state;
	assert_int_equal(cn_dialer_reason(ECONNREFUSED), CN_RESET_REFUSED);
	assert_int_equal(cn_dialer_reason(ETIMEDOUT), CN_RESET_TIMEOUT);
	assert_int_equal(cn_dialer_reason(EHOSTUNREACH), CN_RESET_UNREACHABLE);
	assert_int_equal(cn_dialer_reason(ENETUNREACH), CN_RESET_UNREACHABLE);
	assert_int_equal(cn_dialer_reason(EMFILE), CN_RESET_BUSY);
	assert_int_equal(cn_dialer_reason(EADDRNOTAVAIL), CN_RESET_BUSY);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_connect),
		TEST(test_fallback),
		TEST(test_refused),
		TEST(test_timeout),
		TEST(test_stagger),
		TEST(test_slow_resolver),
		TEST(test_no_name),
		TEST(test_unix),
		TEST(test_budget),
		TEST(test_cancel),
		TEST(test_torture),
		TEST(test_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
