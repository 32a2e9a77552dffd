/* SPDX-License-Identifier: Apache-2.0 */

/* The plain clients of cn-echoload: blocking sockets, one thing at a time. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "echoload.h"

/* Round trips before those that count. */
#define WARM_UP 20u
#define MESSAGE_MAX 65536u

void
cn_load_send_all(int fd, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	while (len > 0) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0) {
			cn_load_die("send");
		}
		bytes += n;
		len -= (size_t)n;
	}
}

void
cn_load_receive_all(int fd, void *data, size_t len)
{
	uint8_t *bytes = data;

	while (len > 0) {
		ssize_t n = recv(fd, bytes, len, 0);

		if (n <= 0) {
			errno = n == 0 ? EPIPE : errno;
			cn_load_die("recv");
		}
		bytes += n;
		len -= (size_t)n;
	}
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
print_times(uint64_t *times, uint64_t count, uint64_t total_us)
{
	qsort(times, (size_t)count, sizeof(*times), compare);
	printf("{\"count\": %" PRIu64
	       ", \"seconds\": %.6f, \"min_us\": %" PRIu64
	       ", \"p50_us\": %" PRIu64 ", \"p90_us\": %" PRIu64
	       ", \"p99_us\": %" PRIu64 ", \"max_us\": %" PRIu64 "}\n",
	    count, (double)total_us / 1e6, times[0], times[count / 2],
	    times[count * 90 / 100], times[count * 99 / 100], times[count - 1]);
}

/* Text that is alike from message to message, as requests are. */
static void
fill_message(uint8_t *message, size_t size, uint64_t number)
{
	char text[96];
	int n = snprintf(text, sizeof(text),
	    "GET /api/v1/orders/%08" PRIu64 "/items?limit=20 session=%06" PRIu64
	    "-ok\n",
	    number % 100000000, number * 7919 % 1000000);

	for (size_t i = 0; i < size; i++) {
		message[i] = (uint8_t)text[i % (size_t)n];
	}
}

static uint64_t *
times_for(const struct cn_load_options *options)
{
	uint64_t *times = calloc((size_t)options->count + 1, sizeof(*times));

	if (!times || options->count == 0 || options->size > MESSAGE_MAX) {
		errno = EINVAL;
		cn_load_die("count and size");
	}
	return times;
}

int
cn_load_rtt(const struct cn_load_options *options)
{
	uint64_t *times = times_for(options);
	uint64_t sent = 0, got = 0, warm = CN_MIN(WARM_UP, options->count);
	uint64_t total = options->count + warm, began = 0;
	uint64_t *sent_at = calloc((size_t)total, sizeof(*sent_at));
	static uint8_t out[MESSAGE_MAX], in[MESSAGE_MAX];
	int fd = cn_load_connect(&options->address);

	if (!sent_at) {
		cn_load_die("calloc");
	}
	while (got < total) {
		while (sent < total && sent - got < options->inflight) {
			if (options->gap_us > 0) {
				usleep((useconds_t)options->gap_us);
			}
			fill_message(out, (size_t)options->size, sent);
			sent_at[sent++] = cn_clock_us();
			cn_load_send_all(fd, out, (size_t)options->size);
		}
		cn_load_receive_all(fd, in, (size_t)options->size);
		fill_message(out, (size_t)options->size, got);
		if (memcmp(in, out, (size_t)options->size) != 0) {
			errno = EBADMSG;
			cn_load_die("echo");
		}
		if (got >= warm) {
			times[got - warm] = cn_clock_us() - sent_at[got];
		} else if (got + 1 == warm) {
			began = cn_clock_us();
		}
		got++;
	}
	print_times(times, options->count, cn_clock_us() - began);
	close(fd);
	free(sent_at);
	free(times);
	return 0;
}

int
cn_load_connects(const struct cn_load_options *options)
{
	uint64_t *times = times_for(options), began = cn_clock_us();
	static uint8_t out[MESSAGE_MAX], in[MESSAGE_MAX];

	for (uint64_t i = 0; i < options->count; i++) {
		uint64_t start = cn_clock_us();
		int fd = cn_load_connect(&options->address);

		fill_message(out, (size_t)options->size, i);
		cn_load_send_all(fd, out, (size_t)options->size);
		cn_load_receive_all(fd, in, (size_t)options->size);
		times[i] = cn_clock_us() - start;
		if (memcmp(in, out, (size_t)options->size) != 0) {
			errno = EBADMSG;
			cn_load_die("echo");
		}
		close(fd);
	}
	print_times(times, options->count, cn_clock_us() - began);
	free(times);
	return 0;
}

int
cn_load_idle(const struct cn_load_options *options)
{
	int *fds = calloc((size_t)options->count + 1, sizeof(*fds));
	uint8_t byte = 'x';

	if (!fds) {
		cn_load_die("calloc");
	}
	for (uint64_t i = 0; i < options->count; i++) {
		fds[i] = cn_load_connect(&options->address);
		cn_load_send_all(fds[i], &byte, 1);
		cn_load_receive_all(fds[i], &byte, 1);
	}
	printf("{\"ready\": %" PRIu64 "}\n", options->count);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0) {
	}
	/* They all still work. */
	for (uint64_t i = 0; i < options->count; i++) {
		cn_load_send_all(fds[i], &byte, 1);
		cn_load_receive_all(fds[i], &byte, 1);
		close(fds[i]);
	}
	printf("{\"alive\": %" PRIu64 "}\n", options->count);
	free(fds);
	return 0;
}
