/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The storm of cn-echoload: many streams to an echo server, all sending and
 * receiving at once as fast as they can.  Each byte that comes back is
 * checked; the ends are counted: complete, reset, ended early (a clean end
 * on incomplete data, which must never be), wrong (a byte differs).
 */

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "echoload.h"

#define EVENTS_MAX 256
#define US_PER_S UINT64_C(1000000)
#define TURN_MS 100

enum fate { LIVE, COMPLETE, RESET, EARLY, WRONG, FATES };

struct stream {
	int fd;
	enum fate fate;
	bool is_paused; /* see is_ahead() */
	uint64_t number;
	uint64_t sent;
	uint64_t got;
	uint64_t moved_us;   /* when a byte last came back */
	uint64_t longest_us; /* greatest time between two that did */
};

struct storm {
	const struct cn_load_options *options;
	int epoll;
	struct stream *streams;
	uint64_t live;
	uint64_t counts[FATES];
	uint64_t moved_us; /* any stream */
	bool is_over;      /* nothing new is sent */
};

static void
watch(struct storm *storm, struct stream *stream, int how, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = stream };

	(void)epoll_ctl(storm->epoll, how, stream->fd, &event);
}

static void
end(struct storm *storm, struct stream *stream, enum fate fate)
{
	stream->fate = fate;
	storm->counts[fate]++;
	storm->live--;
	close(stream->fd);
	stream->fd = -1;
}

static bool
has_more(const struct storm *storm, const struct stream *stream)
{
	if (storm->options->bytes != 0) {
		return stream->sent < storm->options->bytes;
	}
	return !storm->is_over;
}

/* So much is under way that it waits for some of it to come back. */
static bool
is_ahead(const struct storm *storm, const struct stream *stream)
{
	return storm->options->ahead != 0 &&
	    stream->sent - stream->got >= storm->options->ahead;
}

/* Returns false when the stream has ended. */
static bool
push(struct storm *storm, struct stream *stream)
{
	uint8_t data[CN_LOAD_PATTERN];

	while (has_more(storm, stream)) {
		size_t len;
		ssize_t n;

		if (is_ahead(storm, stream)) {
			stream->is_paused = true;
			break;
		}
		len = cn_load_pattern(
		    storm->options->seed, stream->number, stream->sent, data);

		if (storm->options->bytes != 0) {
			len = (size_t)CN_MIN((uint64_t)len,
			    storm->options->bytes - stream->sent);
		}
		n = send(stream->fd, data, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			return true;
		}
		if (n < 0) {
			end(storm, stream, RESET);
			return false;
		}
		stream->sent += (uint64_t)n;
	}
	watch(storm, stream, EPOLL_CTL_MOD, EPOLLIN);
	return true;
}

/* Whether the bytes are those of the pattern that come next. */
static bool
check(const struct storm *storm, struct stream *stream, const uint8_t *data,
    size_t len)
{
	uint8_t expected[CN_LOAD_PATTERN];

	while (len > 0) {
		size_t n = cn_load_pattern(storm->options->seed, stream->number,
		    stream->got, expected);

		n = CN_MIN(n, len);
		if (memcmp(data, expected, n) != 0) {
			return false;
		}
		stream->got += n;
		data += n;
		len -= n;
	}
	return stream->got <= stream->sent;
}

static bool
pull(struct storm *storm, struct stream *stream, uint64_t now)
{
	uint8_t data[65536];
	ssize_t n = recv(stream->fd, data, sizeof(data), 0);

	if (n < 0 && errno == EAGAIN) {
		return true;
	}
	if (n <= 0) {
		end(storm, stream, n == 0 ? EARLY : RESET);
		return false;
	}
	stream->longest_us = CN_MAX(stream->longest_us, now - stream->moved_us);
	stream->moved_us = now;
	storm->moved_us = now;
	if (!check(storm, stream, data, (size_t)n)) {
		end(storm, stream, WRONG);
		return false;
	}
	if (!has_more(storm, stream) && stream->got == stream->sent) {
		end(storm, stream, COMPLETE);
		return false;
	}
	if (stream->is_paused && !is_ahead(storm, stream)) {
		stream->is_paused = false;
		watch(storm, stream, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	}
	return true;
}

static void
begin(struct storm *storm)
{
	uint64_t count = storm->options->streams, now = cn_clock_us();

	storm->streams = calloc((size_t)count + 1, sizeof(*storm->streams));
	storm->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!storm->streams || storm->epoll < 0) {
		cn_load_die("storm");
	}
	for (uint64_t i = 0; i < count; i++) {
		struct stream *stream = &storm->streams[i];

		stream->number = i;
		stream->moved_us = now;
		stream->fd = cn_load_socket();
		if (connect(stream->fd,
			(const struct sockaddr *)&storm->options->address,
			sizeof(storm->options->address)) != 0 &&
		    errno != EINPROGRESS) {
			cn_load_die("connect");
		}
		watch(storm, stream, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
	}
	storm->live = count;
	storm->moved_us = now;
}

static void
report(const struct storm *storm, uint64_t began)
{
	uint64_t total = 0, least = UINT64_MAX, longest = 0, sent = 0;

	for (uint64_t i = 0; i < storm->options->streams; i++) {
		const struct stream *stream = &storm->streams[i];

		total += stream->got;
		sent += stream->sent;
		least = CN_MIN(least, stream->got);
		longest = CN_MAX(longest, stream->longest_us);
	}
	printf("{\"streams\": %" PRIu64 ", \"complete\": %" PRIu64
	       ", \"reset\": %" PRIu64 ", \"early\": %" PRIu64
	       ", \"wrong\": %" PRIu64 ", \"stuck\": %" PRIu64
	       ", \"sent\": %" PRIu64 ", \"bytes\": %" PRIu64
	       ", \"least_bytes\": %" PRIu64 ", \"longest_pause_us\": %" PRIu64
	       ", \"seconds\": %.3f}\n",
	    storm->options->streams, storm->counts[COMPLETE],
	    storm->counts[RESET], storm->counts[EARLY], storm->counts[WRONG],
	    storm->live, sent, total, least, longest,
	    (double)(cn_clock_us() - began) / 1e6);
}

/* The time is over: nothing new, but what was sent must still come back. */
static void
wind_up(struct storm *storm)
{
	storm->is_over = true;
	for (uint64_t i = 0; i < storm->options->streams; i++) {
		struct stream *stream = &storm->streams[i];

		if (stream->fate == LIVE && !has_more(storm, stream) &&
		    stream->got == stream->sent) {
			end(storm, stream, COMPLETE);
		}
	}
}

int
cn_load_storm(const struct cn_load_options *options)
{
	struct storm storm = { .options = options };
	struct epoll_event events[EVENTS_MAX];
	uint64_t began, now;

	begin(&storm);
	now = began = cn_clock_us();
	while (storm.live > 0 &&
	    now - storm.moved_us < options->patience_s * US_PER_S) {
		int n = epoll_wait(storm.epoll, events, EVENTS_MAX, TURN_MS);

		now = cn_clock_us();
		if (!storm.is_over && options->bytes == 0 &&
		    now - began >= options->seconds * US_PER_S) {
			wind_up(&storm);
		}
		for (int i = 0; i < n; i++) {
			struct stream *stream = events[i].data.ptr;

			if (stream->fate != LIVE) {
				continue;
			}
			/* First what came: a clean end must not be missed. */
			if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0 &&
			    !pull(&storm, stream, now)) {
				continue;
			}
			if ((events[i].events & EPOLLOUT) != 0) {
				(void)push(&storm, stream);
			}
		}
	}
	report(&storm, began);
	return storm.counts[COMPLETE] == options->streams ? 0 : 1;
}
