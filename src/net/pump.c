/* SPDX-License-Identifier: Apache-2.0 */
#include "net/pump.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/sockopt.h"

/* Looks at an ended socket that still sends: the first, and the greatest
 * distance of those that follow. */
#define LINGER_FIRST_MS 1u
#define LINGER_MAX_MS 250u
/* Spans to read into when the last read found little. */
#define SPANS_FEW 2u

enum pump_state {
	PUMP_OPEN,
	PUMP_ENDED,     /* the poll handle closes, then the timer begins */
	PUMP_LINGERING, /* the timer looks whether all was sent */
	PUMP_CLOSING,   /* socket and stream are gone, a handle closes */
};

struct cn_pump {
	/* An ended pump needs no poll and an open one no timer. */
	union {
		uv_poll_t poll;
		uv_timer_t timer;
	} handle;
	uv_loop_t *loop;          /* borrowed */
	struct cn_stream *stream; /* ours to call while PUMP_OPEN, then NULL */
	const struct cn_pump_ops *ops; /* borrowed */
	void *owner;                   /* borrowed */
	int fd;                        /* owned; -1 when closed */
	enum pump_state state;
	int mask; /* what the poll watches now; 0: it is stopped */

	bool is_tcp;
	bool is_eager;     /* the last read was filled: ask for more */
	bool is_starved;   /* the stream has no room: do not read */
	bool is_read_over; /* end of file was read */
	bool is_blocked;   /* the socket is full: wait to write */
	bool is_shut;      /* our FIN was sent */
	bool is_quiet;     /* UV_PRIORITIZED fires for nothing: leave it */
	bool is_silent;    /* freed by its owner: no callback */
	bool was_touched;  /* the engine was called in this turn */

	uint16_t linger_ms;
	size_t unsent;    /* at the last look */
	uint64_t look_us; /* when unsent last shrank */
	struct cn_pump_end end;
};

static void on_poll(uv_poll_t *poll, int status, int events);

/*
 * What is worth waking up for.  Errors and resets always wake a poll that
 * watches anything at all; so one that wants nothing else still watches for
 * what never comes (urgent data), unless both directions are over.
 */
static int
wanted(const struct cn_pump *pump)
{
	int mask = 0;

	if (!pump->is_read_over && !pump->is_starved) {
		mask |= UV_READABLE;
	}
	if (pump->is_blocked) {
		mask |= UV_WRITABLE;
	}
	if (mask == 0 && !pump->is_quiet &&
	    !(pump->is_read_over && pump->is_shut)) {
		mask = UV_PRIORITIZED;
	}
	return mask;
}

/* The end of each turn: watch what is wanted, tell that the engine ran. */
static void
settle(struct cn_pump *pump)
{
	int mask, err;

	if (pump->state == PUMP_OPEN) {
		mask = wanted(pump);
		if (mask != pump->mask) {
			pump->mask = mask;
			err = mask == 0
			    ? uv_poll_stop(&pump->handle.poll)
			    : uv_poll_start(&pump->handle.poll, mask, on_poll);
			assert(err == 0);
			(void)err;
		}
	}
	if (pump->was_touched) {
		pump->was_touched = false;
		pump->ops->on_touched(pump->owner);
	}
}

/* ---- endings ---- */

static void
on_reaped(uv_handle_t *handle)
{
	struct cn_pump *pump = handle->data;

	assert(pump->state == PUMP_CLOSING);
	assert(pump->fd < 0 && pump->stream == NULL);
	if (!pump->is_silent) {
		pump->ops->on_closed(pump->owner, pump, &pump->end);
	}
	cn_free(pump);
}

static void on_look(uv_timer_t *timer);

/* The poll handle of an ended pump is closed: look from time to time. */
static void
on_ended(uv_handle_t *handle)
{
	struct cn_pump *pump = handle->data;
	int err;

	if (pump->state == PUMP_CLOSING) {
		on_reaped(handle);
		return;
	}
	assert(pump->state == PUMP_ENDED);
	pump->state = PUMP_LINGERING;
	err = uv_timer_init(pump->loop, &pump->handle.timer);
	assert(err == 0);
	pump->handle.timer.data = pump;
	pump->linger_ms = LINGER_FIRST_MS;
	err = uv_timer_start(&pump->handle.timer, on_look, pump->linger_ms, 0);
	assert(err == 0);
	(void)err;
}

/* Close the socket, as it is armed or not, and wait to be reaped. */
static void
close_socket(struct cn_pump *pump)
{
	assert(pump->stream == NULL);
	switch (pump->state) {
	case PUMP_OPEN:
		uv_close((uv_handle_t *)&pump->handle.poll, on_reaped);
		break;
	case PUMP_ENDED:
		break; /* on_ended() comes */
	case PUMP_LINGERING:
		uv_close((uv_handle_t *)&pump->handle.timer, on_reaped);
		break;
	case PUMP_CLOSING:
		return;
	}
	pump->state = PUMP_CLOSING;
	cn_sockopt_close(&pump->fd);
}

/* The stream's handle goes back: the owner may look at it once more. */
static struct cn_stream *
part_with_stream(struct cn_pump *pump)
{
	struct cn_stream *stream = pump->stream;

	if (pump->ops->on_release != NULL && !pump->is_silent) {
		pump->ops->on_release(pump->owner, stream);
	}
	pump->stream = NULL;
	pump->was_touched = true;
	return stream;
}

/* End the stream with a reason and the socket with a reset. */
static void
reset(struct cn_pump *pump, enum cn_reset reason, int err)
{
	assert(pump->state == PUMP_OPEN);
	pump->end.reason = reason;
	pump->end.err = err;
	cn_stream_reset(part_with_stream(pump), reason, cn_clock_us());
	close_socket(pump);
}

/* The socket failed: that is the application's reset. */
static void
fail(struct cn_pump *pump, int errnum)
{
	reset(pump, CN_RESET_BY_APPLICATION, cn_err_from_errno(errnum));
}

/* An ended socket: close it cleanly when the kernel has sent everything. */
static bool
finish(struct cn_pump *pump)
{
	size_t unsent = cn_sockopt_unsent(pump->fd);
	uint64_t now = cn_clock_us();

	if (unsent != 0 && cn_sockopt_is_dead(pump->fd)) {
		pump->end.err = CN_ECONNRESET;
		close_socket(pump);
		return true;
	}
	if (pump->look_us == 0 || unsent < pump->unsent) {
		pump->look_us = now;
		pump->unsent = unsent;
	}
	if (unsent != 0 && now - pump->look_us < CN_PUMP_LINGER_US) {
		return false;
	}
	if (unsent != 0) {
		pump->end.err = CN_ETIMEDOUT;
	}
	cn_sockopt_disarm(pump->fd);
	close_socket(pump);
	return true;
}

static void
on_look(uv_timer_t *timer)
{
	struct cn_pump *pump = timer->data;
	int err;

	assert(pump->state == PUMP_LINGERING);
	if (finish(pump)) {
		return;
	}
	pump->linger_ms = (uint16_t)CN_MIN(pump->linger_ms * 2u, LINGER_MAX_MS);
	err = uv_timer_start(timer, on_look, pump->linger_ms, 0);
	assert(err == 0);
	(void)err;
}

static void
on_stream_ended(struct cn_pump *pump)
{
	if (!pump->is_read_over || !pump->is_shut) {
		/* Not what the engine promises: never show a clean end. */
		reset(pump, CN_RESET_INTERNAL, CN_OK);
		return;
	}
	cn_stream_release(part_with_stream(pump));
	pump->end.is_clean = true;
	if (finish(pump)) {
		return;
	}
	pump->state = PUMP_ENDED;
	uv_close((uv_handle_t *)&pump->handle.poll, on_ended);
}

static void
on_stream_reset(struct cn_pump *pump, uint64_t reason)
{
	cn_stream_release(part_with_stream(pump));
	pump->end.reason = reason > CN_RESET_NONE && reason < CN_RESET_MAX
	    ? (enum cn_reset)reason
	    : CN_RESET_PROTOCOL;
	close_socket(pump);
}

/* ---- socket -> stream ---- */

/*
 * An end of file is believed only if the connection still lives: once its
 * error was taken, a reset socket reads as ended, too.
 */
static void
on_end_of_file(struct cn_pump *pump)
{
	if (pump->is_tcp && !pump->is_shut && cn_sockopt_is_dead(pump->fd)) {
		fail(pump, ECONNRESET);
		return;
	}
	pump->is_read_over = true;
	cn_stream_finish(pump->stream, cn_clock_us());
}

/* Read once, as much as the stream takes; false when there is no more. */
static bool
read_once(struct cn_pump *pump, size_t *left)
{
	struct cn_span spans[CN_PUMP_SPANS_MAX];
	struct iovec iov[CN_PUMP_SPANS_MAX];
	size_t cap = CN_MIN(*left, (size_t)CN_PUMP_READ_MAX);
	size_t asked = 0;
	size_t n, used;
	ssize_t got;
	int errnum;

	n = cn_stream_fill_spans(pump->stream, spans,
	    pump->is_eager ? CN_ARRAY_LEN(spans) : SPANS_FEW);
	if (n == 0) {
		pump->is_starved = true;
		return false;
	}
	for (used = 0; used < n && asked < cap; used++) {
		iov[used].iov_base = spans[used].data;
		iov[used].iov_len = CN_MIN(spans[used].len, cap - asked);
		asked += iov[used].iov_len;
	}
	do {
		got = readv(pump->fd, iov, (int)used);
	} while (got < 0 && errno == EINTR);
	errnum = errno;
	pump->was_touched = true;
	pump->is_eager = got == (ssize_t)asked;
	cn_stream_fill(pump->stream, got > 0 ? (size_t)got : 0,
	    got < (ssize_t)asked, cn_clock_us());
	if (got == 0) {
		on_end_of_file(pump);
	} else if (got < 0 && errnum != EAGAIN) {
		fail(pump, errnum);
	} else if (got > 0) {
		*left -= (size_t)got;
	}
	return got == (ssize_t)asked;
}

static void
pump_in(struct cn_pump *pump)
{
	size_t left = CN_PUMP_WAKE_MAX;

	while (pump->state == PUMP_OPEN && !pump->is_read_over &&
	    !pump->is_starved && left > 0 && read_once(pump, &left)) {
	}
}

/* ---- stream -> socket ---- */

static void
shut_down(struct cn_pump *pump)
{
	if (shutdown(pump->fd, SHUT_WR) != 0) {
		fail(pump, errno);
		return;
	}
	pump->is_shut = true;
	pump->was_touched = true;
	cn_stream_shut(pump->stream, cn_clock_us());
}

/* Write once; false when the socket is full or there is no more. */
static bool
write_once(struct cn_pump *pump, size_t *left)
{
	struct cn_span spans[CN_PUMP_SPANS_MAX];
	struct iovec iov[CN_PUMP_SPANS_MAX];
	struct msghdr msg = { .msg_iov = iov };
	size_t asked = 0;
	size_t n;
	ssize_t put;

	n = cn_stream_read_spans(pump->stream, spans, CN_ARRAY_LEN(spans));
	if (n == 0) {
		return false;
	}
	for (msg.msg_iovlen = 0; msg.msg_iovlen < n && asked < *left;
	     msg.msg_iovlen++) {
		struct iovec *io = &iov[msg.msg_iovlen];

		io->iov_base = spans[msg.msg_iovlen].data;
		io->iov_len = CN_MIN(spans[msg.msg_iovlen].len, *left - asked);
		asked += io->iov_len;
	}
	do {
		put = sendmsg(pump->fd, &msg, MSG_NOSIGNAL);
	} while (put < 0 && errno == EINTR);
	if (put < 0 && errno != EAGAIN) {
		fail(pump, errno);
		return false;
	}
	if (put > 0) {
		*left -= (size_t)put;
		pump->was_touched = true;
		cn_stream_consume(pump->stream, (size_t)put, cn_clock_us());
	}
	pump->is_blocked = put < (ssize_t)asked;
	return !pump->is_blocked;
}

static void
pump_out(struct cn_pump *pump)
{
	size_t left = CN_PUMP_WAKE_MAX;

	pump->is_blocked = false;
	while (left > 0 && write_once(pump, &left)) {
	}
	if (pump->state != PUMP_OPEN) {
		return;
	}
	if (left == 0) {
		/* No event tells of the rest again: come back for it. */
		pump->is_blocked = true;
	}
	if (!pump->is_shut && cn_stream_at_end(pump->stream)) {
		shut_down(pump);
	}
}

/* ---- what the loop and the owner say ---- */

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	struct cn_pump *pump = poll->data;
	int errnum = 0;
	socklen_t len = sizeof(errnum);

	assert(pump->state == PUMP_OPEN);
	if (status < 0) {
		/* Reset, timed out or unreachable; libuv stopped the poll. */
		(void)getsockopt(pump->fd, SOL_SOCKET, SO_ERROR, &errnum, &len);
		fail(pump, errnum != 0 ? errnum : ECONNRESET);
		settle(pump);
		return;
	}
	if ((events & UV_PRIORITIZED) != 0) {
		pump->is_quiet = true;
	}
	if ((events & UV_WRITABLE) != 0) {
		pump_out(pump);
	}
	if ((events & UV_READABLE) != 0) {
		pump_in(pump);
	}
	settle(pump);
}

int
cn_pump_create(uv_loop_t *loop, int fd, struct cn_stream *stream,
    const struct cn_pump_ops *ops, void *owner, struct cn_pump **ret)
{
	struct cn_pump *pump = cn_calloc(1, sizeof(*pump));
	int err;

	if (pump == NULL) {
		return CN_ENOMEM;
	}
	err = uv_poll_init(loop, &pump->handle.poll, fd);
	if (err != 0) {
		cn_free(pump);
		return err;
	}
	pump->handle.poll.data = pump;
	pump->loop = loop;
	pump->stream = stream;
	pump->ops = ops;
	pump->owner = owner;
	pump->fd = fd;
	pump->is_tcp = cn_sockopt_is_tcp(fd);
	cn_stream_set_owner(stream, pump);
	pump_out(pump);
	pump_in(pump);
	pump->was_touched = true;
	settle(pump);
	*ret = pump;
	return CN_OK;
}

void
cn_pump_event(struct cn_pump *pump, const struct cn_link_event *event)
{
	if (pump->state != PUMP_OPEN) {
		return;
	}
	switch (event->type) {
	case CN_LINK_EVENT_READABLE:
		if (!pump->is_blocked) {
			pump_out(pump);
		}
		break;
	case CN_LINK_EVENT_WRITABLE:
		pump->is_starved = false;
		pump->is_quiet = false;
		pump_in(pump);
		break;
	case CN_LINK_EVENT_ENDED:
		on_stream_ended(pump);
		break;
	case CN_LINK_EVENT_RESET:
		on_stream_reset(pump, event->reason);
		break;
	case CN_LINK_EVENT_OPEN:
	case CN_LINK_EVENT_CARRIER:
	case CN_LINK_EVENT_DRAINING:
	case CN_LINK_EVENT_LOST:
		break; /* the link's, not a stream's */
	}
	settle(pump);
}

void
cn_pump_kill(struct cn_pump *pump, enum cn_reset reason)
{
	if (pump->state == PUMP_OPEN) {
		reset(pump, reason, CN_OK);
		settle(pump);
	}
}

void
cn_pump_free(struct cn_pump **pp)
{
	struct cn_pump *pump = *pp;

	*pp = NULL;
	if (pump == NULL) {
		return;
	}
	pump->is_silent = true;
	if (pump->state == PUMP_OPEN) {
		reset(pump, CN_RESET_SHUTDOWN, CN_OK);
		settle(pump);
	} else if (pump->state != PUMP_CLOSING) {
		/* Its end was verified: the kernel sends the rest alone. */
		cn_sockopt_disarm(pump->fd);
		close_socket(pump);
	}
}

struct cn_stream *
cn_pump_stream(const struct cn_pump *pump)
{
	return pump->stream;
}

void *
cn_pump_owner(const struct cn_pump *pump)
{
	return pump->owner;
}
