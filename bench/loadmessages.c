/* SPDX-License-Identifier: Apache-2.0 */

/* Pieces of a file as messages to an echo server, several under way. */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "echoload.h"

#define INFLIGHT_MAX 256u
#define MESSAGE_MAX 65536u

/* The messages of a file. */
struct script {
	const uint8_t *data;
	size_t size;
	uint64_t count;
};

/* One connection that carries one message. */
struct call {
	const uint8_t *message;
	size_t got;
};

static struct script
open_script(const struct cn_load_options *options)
{
	struct script script = { .size = (size_t)options->size,
		.count = options->count };
	size_t len;

	script.data = cn_load_map(options->file, &len);
	if (options->size > MESSAGE_MAX || options->inflight > INFLIGHT_MAX ||
	    options->count > len / options->size) {
		errno = EINVAL;
		cn_load_die("count, size and inflight");
	}
	return script;
}

static void
print_done(const struct script *script, uint64_t began)
{
	printf("{\"count\": %" PRIu64 ", \"bytes\": %" PRIu64
	       ", \"seconds\": %.6f}\n",
	    script->count, script->count * script->size,
	    (double)(cn_clock_us() - began) / 1e6);
}

static void
check(const void *got, const void *sent, size_t len)
{
	if (memcmp(got, sent, len) != 0) {
		errno = EBADMSG;
		cn_load_die("echo");
	}
}

int
cn_load_messages(const struct cn_load_options *options)
{
	static uint8_t in[MESSAGE_MAX];
	struct script script = open_script(options);
	int fd = cn_load_connect(&options->address);
	uint64_t sent = 0, got = 0, began = cn_clock_us();

	while (got < script.count) {
		while (sent < script.count && sent - got < options->inflight) {
			cn_load_send_all(
			    fd, script.data + sent * script.size, script.size);
			sent++;
		}
		cn_load_receive_all(fd, in, script.size);
		check(in, script.data + got * script.size, script.size);
		got++;
	}
	print_done(&script, began);
	close(fd);
	return 0;
}

/* Returns true when the call is complete. */
static bool
hear(struct call *call, int fd, size_t size)
{
	static uint8_t in[MESSAGE_MAX];
	ssize_t n = recv(fd, in, size - call->got, 0);

	if (n <= 0) {
		errno = n == 0 ? EPIPE : errno;
		cn_load_die("recv");
	}
	check(in, call->message + call->got, (size_t)n);
	call->got += (size_t)n;
	return call->got == size;
}

int
cn_load_calls(const struct cn_load_options *options)
{
	static struct call calls[INFLIGHT_MAX];
	static struct pollfd fds[INFLIGHT_MAX];
	struct script script = open_script(options);
	uint64_t begun = 0, done = 0, began = cn_clock_us();

	for (size_t i = 0; i < options->inflight; i++) {
		fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	}
	while (done < script.count) {
		for (size_t i = 0; i < options->inflight; i++) {
			if (fds[i].fd >= 0 || begun == script.count) {
				continue;
			}
			calls[i].message = script.data + begun * script.size;
			calls[i].got = 0;
			fds[i].fd = cn_load_connect(&options->address);
			cn_load_send_all(
			    fds[i].fd, calls[i].message, script.size);
			begun++;
		}
		if (poll(fds, (nfds_t)options->inflight, -1) < 0) {
			cn_load_die("poll");
		}
		for (size_t i = 0; i < options->inflight; i++) {
			if (fds[i].fd >= 0 && fds[i].revents != 0 &&
			    hear(&calls[i], fds[i].fd, script.size)) {
				close(fds[i].fd);
				fds[i].fd = -1;
				done++;
			}
		}
	}
	print_done(&script, began);
	return 0;
}
