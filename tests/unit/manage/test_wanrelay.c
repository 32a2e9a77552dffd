/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/rand.h"
#include "manage/wanrelay.h"

#define MS UINT64_C(1000)
/* A test that waits longer has failed. */
#define PATIENCE_US (5000 * MS)

/* A server socket, a relay to it, and the two ends of one connection. */
struct rig {
	uv_loop_t loop;
	int server;
	int near;
	int far;
	struct cn_wanrelay *relay;
	bool is_closed;
};

static struct sockaddr_in
loopback(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET };

	address.sin_port = htons(port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static void
rig_open(struct rig *rig, struct cn_wanrelay_config *config)
{
	struct sockaddr_in address = loopback(0);
	socklen_t len = sizeof(address);
	char to[64];

	memset(rig, 0, sizeof(*rig));
	rig->near = rig->far = -1;
	assert_int_equal(uv_loop_init(&rig->loop), 0);
	rig->server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_true(rig->server >= 0);
	assert_int_equal(
	    bind(rig->server, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(rig->server, 16), 0);
	assert_int_equal(
	    getsockname(rig->server, (struct sockaddr *)&address, &len), 0);
	snprintf(to, sizeof(to), "127.0.0.1:%u", ntohs(address.sin_port));
	config->listen = "127.0.0.1:0";
	config->to = to;
	assert_int_equal(
	    cn_wanrelay_open(&rig->loop, config, &rig->relay), CN_OK);
}

static void
turn_once(struct rig *rig)
{
	uv_run(&rig->loop, UV_RUN_NOWAIT);
	poll(NULL, 0, 1);
}

static int
dial(struct rig *rig)
{
	struct sockaddr_in address = loopback(cn_wanrelay_port(rig->relay));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	(void)connect(fd, (struct sockaddr *)&address, sizeof(address));
	return fd;
}

static void
rig_connect(struct rig *rig)
{
	uint64_t until = cn_clock_us() + PATIENCE_US;

	rig->near = dial(rig);
	while (
	    (rig->far = accept4(rig->server, NULL, NULL, SOCK_NONBLOCK)) < 0) {
		assert_true(cn_clock_us() < until);
		turn_once(rig);
	}
}

static void
on_closed(void *arg)
{
	bool *is_closed = arg;

	*is_closed = true;
}

static void
rig_close(struct rig *rig)
{
	cn_wanrelay_close(&rig->relay, on_closed, &rig->is_closed);
	assert_null(rig->relay);
	uv_run(&rig->loop, UV_RUN_DEFAULT);
	assert_true(rig->is_closed);
	assert_int_equal(uv_loop_close(&rig->loop), 0);
	close(rig->server);
	if (rig->near >= 0) {
		close(rig->near);
	}
	if (rig->far >= 0) {
		close(rig->far);
	}
}

/* Read once there is something; returns as recv, or -errno. */
static int
receive(struct rig *rig, int fd, void *data, size_t len)
{
	uint64_t until = cn_clock_us() + PATIENCE_US;
	ssize_t n;

	while ((n = recv(fd, data, len, 0)) < 0 && errno == EAGAIN) {
		assert_true(cn_clock_us() < until);
		turn_once(rig);
	}
	return n < 0 ? -errno : (int)n;
}

/* Send all of it and receive it at the other end, both at once. */
static void
carry(struct rig *rig, int from, int to, const uint8_t *data, size_t len,
    uint8_t *got)
{
	uint64_t until = cn_clock_us() + PATIENCE_US;
	size_t sent = 0, received = 0;

	while (received < len) {
		ssize_t n;

		assert_true(cn_clock_us() < until);
		n = send(from, data + sent, len - sent, MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		n = recv(to, got + received, len - received, 0);
		received += n > 0 ? (size_t)n : 0;
		turn_once(rig);
	}
	assert_int_equal(sent, len);
}

static void
test_carries_both_ways_and_half_closes(void **state)
{
	static uint8_t data[300000], got[sizeof(data)];
	struct cn_wanrelay_config config = { .seed = 1 };
	struct cn_wanrelay_stats stats;
	struct cn_prng prng;
	struct rig rig;
	uint8_t byte;

	(void)state;
	cn_prng_init(&prng, 3);
	cn_prng_bytes(&prng, data, sizeof(data));
	rig_open(&rig, &config);
	rig_connect(&rig);
	carry(&rig, rig.near, rig.far, data, sizeof(data), got);
	assert_memory_equal(got, data, sizeof(data));
	shutdown(rig.near, SHUT_WR);
	assert_int_equal(receive(&rig, rig.far, &byte, 1), 0);
	/* The other direction still works. */
	memset(got, 0, sizeof(got));
	carry(&rig, rig.far, rig.near, data, sizeof(data), got);
	assert_memory_equal(got, data, sizeof(data));
	shutdown(rig.far, SHUT_WR);
	assert_int_equal(receive(&rig, rig.near, &byte, 1), 0);
	cn_wanrelay_stats(rig.relay, &stats);
	assert_int_equal(stats.up_in, sizeof(data));
	assert_int_equal(stats.up_out, sizeof(data));
	assert_int_equal(stats.down_in, sizeof(data));
	assert_int_equal(stats.down_out, sizeof(data));
	assert_int_equal(stats.accepted, 1);
	assert_int_equal(stats.live, 0);
	rig_close(&rig);
}

static void
test_keeps_rate_and_delay(void **state)
{
	static uint8_t data[125000], got[sizeof(data)];
	struct cn_wanrelay_config config = {
		.rate_bps = 10 * 1000 * 1000,
		.delay_us = 50 * MS,
		.queue_bytes = 16384,
	};
	uint64_t begun, took;
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig_connect(&rig);
	begun = cn_clock_us();
	carry(&rig, rig.near, rig.far, data, sizeof(data), got);
	took = cn_clock_us() - begun;
	/* 100 ms on the wire and 50 on the way; a busy machine adds some. */
	assert_true(took >= 149 * MS);
	assert_true(took < 3000 * MS);
	rig_close(&rig);
}

static void
test_queue_stops_the_sender(void **state)
{
	static uint8_t data[1 << 20];
	struct cn_wanrelay_config config = {
		.rate_bps = 8000,
		.queue_bytes = 10240,
	};
	struct cn_wanrelay_stats stats;
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig_connect(&rig);
	for (int i = 0; i < 50; i++) {
		(void)send(rig.near, data, sizeof(data), MSG_NOSIGNAL);
		turn_once(&rig);
	}
	cn_wanrelay_stats(rig.relay, &stats);
	assert_true(stats.up_in >= 10240);
	assert_true(stats.up_in < 10240 + 2 * 1448);
	rig_close(&rig);
}

static void
test_slow_reader_stops_only_itself(void **state)
{
	static uint8_t data[1 << 20], got[20000];
	struct cn_wanrelay_config config = { .queue_bytes = 65536 };
	struct cn_wanrelay_stats stats;
	struct rig rig;
	uint64_t sent = 0;
	int near, far;

	(void)state;
	rig_open(&rig, &config);
	rig_connect(&rig);
	for (int i = 0; i < 100; i++) {
		ssize_t n = send(rig.near, data, sizeof(data), MSG_NOSIGNAL);

		sent += n > 0 ? (uint64_t)n : 0;
		turn_once(&rig);
	}
	cn_wanrelay_stats(rig.relay, &stats);
	/* It holds a backlog and no more. */
	assert_true(sent > stats.up_in);
	assert_true(stats.up_in <= stats.up_out + 3 * 65536u);
	near = rig.near;
	far = rig.far;
	rig_connect(&rig);
	carry(&rig, rig.near, rig.far, data, sizeof(got), got);
	close(near);
	close(far);
	rig_close(&rig);
}

static void
test_cut_resets_both_sides(void **state)
{
	struct cn_wanrelay_config config = { .delay_us = 1000 * MS };
	struct cn_wanrelay_stats stats;
	struct rig rig;
	uint8_t byte;

	(void)state;
	rig_open(&rig, &config);
	rig_connect(&rig);
	assert_int_equal(send(rig.near, "x", 1, 0), 1);
	turn_once(&rig);
	cn_wanrelay_cut(rig.relay);
	assert_int_equal(receive(&rig, rig.near, &byte, 1), -ECONNRESET);
	assert_int_equal(receive(&rig, rig.far, &byte, 1), -ECONNRESET);
	cn_wanrelay_stats(rig.relay, &stats);
	assert_int_equal(stats.cut_connections, 1);
	assert_int_equal(stats.live, 0);
	/* And new ones are taken. */
	close(rig.near);
	close(rig.far);
	rig_connect(&rig);
	rig_close(&rig);
}

static void
test_cuts_by_itself(void **state)
{
	struct cn_wanrelay_config config = { .cut_every_us = 20 * MS };
	struct cn_wanrelay_stats stats;
	uint64_t until = cn_clock_us() + 300 * MS;
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	while (cn_clock_us() < until) {
		turn_once(&rig);
	}
	cn_wanrelay_stats(rig.relay, &stats);
	assert_in_range(stats.cuts, 3, 30);
	rig_close(&rig);
}

static void
test_stall_holds_and_resume_lets_go(void **state)
{
	struct cn_wanrelay_config config = { .seed = 1 };
	uint64_t begun;
	struct rig rig;
	uint8_t byte;

	(void)state;
	rig_open(&rig, &config);
	rig_connect(&rig);
	cn_wanrelay_stall(rig.relay, 0);
	assert_int_equal(send(rig.near, "x", 1, 0), 1);
	for (int i = 0; i < 30; i++) {
		turn_once(&rig);
	}
	assert_int_equal(recv(rig.far, &byte, 1, 0), -1);
	cn_wanrelay_resume(rig.relay);
	assert_int_equal(receive(&rig, rig.far, &byte, 1), 1);
	begun = cn_clock_us();
	cn_wanrelay_stall(rig.relay, 80 * MS);
	assert_int_equal(send(rig.far, "y", 1, 0), 1);
	assert_int_equal(receive(&rig, rig.near, &byte, 1), 1);
	assert_true(cn_clock_us() - begun >= 80 * MS);
	assert_int_equal(byte, 'y');
	rig_close(&rig);
}

static void
test_passes_a_reset_on(void **state)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	struct cn_wanrelay_config config = { .seed = 1 };
	struct rig rig;
	uint8_t byte;

	(void)state;
	rig_open(&rig, &config);
	rig_connect(&rig);
	setsockopt(rig.near, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(rig.near);
	rig.near = -1;
	assert_int_equal(receive(&rig, rig.far, &byte, 1), -ECONNRESET);
	rig_close(&rig);
}

static void
test_resets_when_the_target_refuses(void **state)
{
	struct cn_wanrelay_config config = { .seed = 1 };
	struct cn_wanrelay_stats stats;
	struct rig rig;
	uint8_t byte;

	(void)state;
	rig_open(&rig, &config);
	close(rig.server);
	rig.server = -1;
	rig.near = dial(&rig);
	assert_int_equal(receive(&rig, rig.near, &byte, 1), -ECONNRESET);
	cn_wanrelay_stats(rig.relay, &stats);
	assert_int_equal(stats.failed, 1);
	rig_close(&rig);
}

static void
test_flips_bits_when_asked(void **state)
{
	static uint8_t data[200000], got[sizeof(data)];
	struct cn_wanrelay_config config = { .flip_every = 1000, .seed = 9 };
	struct cn_wanrelay_stats stats;
	uint64_t wrong = 0;
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig_connect(&rig);
	carry(&rig, rig.near, rig.far, data, sizeof(data), got);
	for (size_t i = 0; i < sizeof(data); i++) {
		wrong += got[i] != data[i];
	}
	cn_wanrelay_stats(rig.relay, &stats);
	assert_int_equal(wrong, stats.flips);
	assert_in_range(wrong, 100, 400);
	rig_close(&rig);
}

static void
test_refuses_bad_addresses(void **state)
{
	static const char *const bad[] = { "", "127.0.0.1",
		"127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "host:1",
		"[::1:1", "unix:", ":80", "300.0.0.1:1" };
	struct cn_wanrelay_config config = { .listen = "127.0.0.1:0" };
	struct cn_wanrelay *relay = NULL;
	uv_loop_t loop;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	for (size_t i = 0; i < CN_ARRAY_LEN(bad); i++) {
		config.to = bad[i];
		assert_int_equal(
		    cn_wanrelay_open(&loop, &config, &relay), CN_EINVAL);
		config.to = "127.0.0.1:9";
		config.listen = bad[i];
		assert_int_equal(
		    cn_wanrelay_open(&loop, &config, &relay), CN_EINVAL);
		config.listen = "127.0.0.1:0";
	}
	assert_null(relay);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void
test_survives_failed_allocations(void **state)
{
	uint64_t live = cn_alloc_count();

	(void)state;
	for (uint64_t nth = 1; nth < 20; nth++) {
		struct cn_wanrelay_config config = { .seed = 1 };
		struct rig rig;
		uint8_t byte;
		int n;

		rig_open(&rig, &config);
		cn_alloc_fail_at(nth);
		rig.near = dial(&rig);
		(void)send(rig.near, "x", 1, MSG_NOSIGNAL);
		shutdown(rig.near, SHUT_WR);
		for (int i = 0; i < 5; i++) {
			turn_once(&rig);
		}
		rig.far = accept4(rig.server, NULL, NULL, SOCK_NONBLOCK);
		cn_alloc_fail_at(0);
		if (rig.far >= 0) {
			/* A clean end only after the byte. */
			n = receive(&rig, rig.far, &byte, 1);
			if (n == 1) {
				n = receive(&rig, rig.far, &byte, 1);
				assert_true(n == 0 || n == -ECONNRESET);
			} else {
				assert_int_equal(n, -ECONNRESET);
			}
		}
		rig_close(&rig);
		assert_int_equal(cn_alloc_count(), live);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_carries_both_ways_and_half_closes),
		cmocka_unit_test(test_keeps_rate_and_delay),
		cmocka_unit_test(test_queue_stops_the_sender),
		cmocka_unit_test(test_slow_reader_stops_only_itself),
		cmocka_unit_test(test_cut_resets_both_sides),
		cmocka_unit_test(test_cuts_by_itself),
		cmocka_unit_test(test_stall_holds_and_resume_lets_go),
		cmocka_unit_test(test_passes_a_reset_on),
		cmocka_unit_test(test_resets_when_the_target_refuses),
		cmocka_unit_test(test_flips_bits_when_asked),
		cmocka_unit_test(test_refuses_bad_addresses),
		cmocka_unit_test(test_survives_failed_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
