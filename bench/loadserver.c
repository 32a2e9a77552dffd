/* SPDX-License-Identifier: Apache-2.0 */

/* The servers of cn-echoload: one thread, epoll, level-triggered. */

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "echoload.h"

#define EVENTS_MAX 256
#define BACKLOG 4096
/* Bytes that an echo connection holds before it stops reading. */
#define HELD_MAX 65536u

struct guest {
	int fd;
	uint32_t events;
	bool has_ended;
	/* Echo: bytes to send back. */
	uint8_t *held; /* owned; NULL while there are none */
	size_t from;
	size_t to;
	/* Sink: the transfer under way. */
	uint8_t head[CN_LOAD_HEAD];
	size_t head_len;
	uint64_t left;
	uint64_t total;
	struct cn_digest digest;
	/* Sink: bytes that this one still fetches. */
	uint64_t owed;
};

struct server {
	int epoll;
	int listener;
	bool is_sink;
	/* Sink: what can be fetched, and its length and digest. */
	const uint8_t *file;
	size_t file_len;
	uint8_t file_head[CN_LOAD_ANSWER];
	uint8_t buffer[256 * 1024];
};

static void
watch(struct server *server, struct guest *guest, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = guest };

	if (guest->events != events) {
		guest->events = events;
		(void)epoll_ctl(
		    server->epoll, EPOLL_CTL_MOD, guest->fd, &event);
	}
}

static void
part(struct guest *guest)
{
	close(guest->fd);
	free(guest->held);
	free(guest);
}

static void
welcome(struct server *server)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct guest *guest;
	int fd;

	while ((fd = accept4(server->listener, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		guest = calloc(1, sizeof(*guest));
		if (!guest) {
			cn_load_die("calloc");
		}
		guest->fd = fd;
		guest->events = EPOLLIN;
		event.data.ptr = guest;
		if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
			cn_load_die("epoll_ctl");
		}
	}
}

/* Returns false when the guest is gone. */
static bool
echo_out(struct server *server, struct guest *guest)
{
	while (guest->from < guest->to) {
		ssize_t n = send(guest->fd, guest->held + guest->from,
		    guest->to - guest->from, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			watch(server, guest, EPOLLOUT);
			return true;
		}
		if (n < 0) {
			return false;
		}
		guest->from += (size_t)n;
	}
	free(guest->held);
	guest->held = NULL;
	guest->from = guest->to = 0;
	watch(server, guest, EPOLLIN);
	return !guest->has_ended;
}

static bool
echo(struct server *server, struct guest *guest, uint32_t events)
{
	ssize_t n, sent;

	if (guest->held) {
		return (events & EPOLLERR) == 0 && echo_out(server, guest);
	}
	n = recv(guest->fd, server->buffer, HELD_MAX, 0);
	if (n < 0) {
		return errno == EAGAIN;
	}
	if (n == 0) {
		return false;
	}
	sent = send(guest->fd, server->buffer, (size_t)n, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN) {
		return false;
	}
	sent = sent < 0 ? 0 : sent;
	if (sent < n) {
		guest->held = malloc((size_t)(n - sent));
		if (!guest->held) {
			cn_load_die("malloc");
		}
		guest->from = 0;
		guest->to = (size_t)(n - sent);
		memcpy(guest->held, server->buffer + sent, guest->to);
		watch(server, guest, EPOLLOUT);
	}
	return true;
}

static bool
answer(struct guest *guest)
{
	uint8_t text[CN_LOAD_ANSWER];

	cn_load_put64(text, guest->total);
	cn_digest_final(&guest->digest, text + 8);
	guest->head_len = 0;
	return send(guest->fd, text, sizeof(text), MSG_NOSIGNAL) ==
	    (ssize_t)sizeof(text);
}

/* Send on what is fetched; returns false when the guest is gone. */
static bool
give(struct server *server, struct guest *guest)
{
	while (guest->owed > 0) {
		ssize_t n = send(guest->fd,
		    server->file + server->file_len - guest->owed,
		    (size_t)guest->owed, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			watch(server, guest, EPOLLOUT);
			return true;
		}
		if (n < 0) {
			return false;
		}
		guest->owed -= (uint64_t)n;
	}
	watch(server, guest, EPOLLIN);
	return true;
}

/* Begin to send the file. */
static bool
begin_fetch(struct server *server, struct guest *guest)
{
	guest->head_len = 0;
	guest->owed = server->file_len;
	return server->file &&
	    send(guest->fd, server->file_head, CN_LOAD_ANSWER, MSG_NOSIGNAL) ==
	    (ssize_t)CN_LOAD_ANSWER &&
	    give(server, guest);
}

/* Take in bytes of a transfer, or of several. */
static bool
swallow(
    struct server *server, struct guest *guest, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t n;

		if (guest->head_len < CN_LOAD_HEAD) {
			n = CN_MIN(len, CN_LOAD_HEAD - guest->head_len);
			memcpy(guest->head + guest->head_len, data, n);
			guest->head_len += n;
			if (guest->head_len == CN_LOAD_HEAD) {
				guest->left = cn_load_get64(guest->head);
				guest->total = guest->left;
				cn_digest_init(&guest->digest);
				if (guest->total == CN_LOAD_FETCH) {
					/* It waits for all before it asks. */
					return len == n &&
					    begin_fetch(server, guest);
				}
			}
		} else {
			n = (size_t)CN_MIN((uint64_t)len, guest->left);
			cn_digest_update(&guest->digest, data, n);
			guest->left -= n;
		}
		data += n;
		len -= n;
		if (guest->head_len == CN_LOAD_HEAD && guest->left == 0 &&
		    !answer(guest)) {
			return false;
		}
	}
	return true;
}

static bool
sink(struct server *server, struct guest *guest)
{
	ssize_t n;

	if (guest->owed > 0) {
		return give(server, guest);
	}
	n = recv(guest->fd, server->buffer, sizeof(server->buffer), 0);
	if (n < 0) {
		return errno == EAGAIN;
	}
	return n > 0 && swallow(server, guest, server->buffer, (size_t)n);
}

static int
serve(const struct cn_load_options *options, bool is_sink)
{
	static struct server server;
	struct epoll_event events[EVENTS_MAX] = { { .events = EPOLLIN } };
	struct sockaddr_in bound = options->address;
	socklen_t len = sizeof(bound);
	int one = 1;

	server.is_sink = is_sink;
	if (is_sink && options->file) {
		server.file = cn_load_map(options->file, &server.file_len);
		cn_load_answer(server.file_head, server.file, server.file_len);
	}
	server.epoll = epoll_create1(EPOLL_CLOEXEC);
	server.listener = cn_load_socket();
	(void)setsockopt(
	    server.listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (server.epoll < 0 ||
	    bind(server.listener, (struct sockaddr *)&bound, len) != 0 ||
	    listen(server.listener, BACKLOG) != 0 ||
	    getsockname(server.listener, (struct sockaddr *)&bound, &len) !=
		0 ||
	    epoll_ctl(server.epoll, EPOLL_CTL_ADD, server.listener,
		&events[0]) != 0) {
		cn_load_die("listen");
	}
	printf("{\"port\": %u}\n", (unsigned)ntohs(bound.sin_port));
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(server.epoll, events, EVENTS_MAX, -1);

		for (int i = 0; i < n; i++) {
			struct guest *guest = events[i].data.ptr;

			if (!guest) {
				welcome(&server);
			} else if (is_sink
				? !sink(&server, guest)
				: !echo(&server, guest, events[i].events)) {
				part(guest);
			}
		}
	}
}

int
cn_load_serve_echo(const struct cn_load_options *options)
{
	return serve(options, false);
}

int
cn_load_serve_sink(const struct cn_load_options *options)
{
	return serve(options, true);
}
