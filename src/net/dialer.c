/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dialer.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "net/fdbudget.h"
#include "net/sockopt.h"

#define TIMEOUT_DEFAULT_MS 10000u

enum attempt_state {
	ATTEMPT_NEW,
	ATTEMPT_CONNECTING, /* poll is open */
	ATTEMPT_OVER,       /* poll closes or closed, fd is -1 */
};

struct attempt {
	uv_poll_t poll;
	struct cn_dialer *dialer;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
	} to;
	socklen_t to_len;
	int fd; /* owned; -1: none */
	enum attempt_state state;
};

enum dialer_state {
	DIALER_RESOLVING,
	DIALER_CONNECTING,
	DIALER_OVER, /* told or cancelled; waits for its handles */
};

struct cn_dialer {
	uv_timer_t timer; /* the next start, or the end of patience */
	uv_getaddrinfo_t resolve;
	uv_loop_t *loop; /* borrowed */
	struct cn_addr addr;
	bool is_reserved;
	enum dialer_state state;
	uint32_t pending; /* handles and requests that loop still holds */

	struct attempt *attempts; /* owned; in the order of trying */
	uint32_t count, next;     /* of attempts; next < count is untried */
	uint32_t live;            /* attempts that connect now */
	uint32_t begun;
	uint64_t start_ms;    /* when the next may start */
	uint64_t deadline_ms; /* of the loop's clock */

	enum cn_reset reason; /* the most telling failure so far */
	int err;
	const char *text;

	void (*on_done)(void *owner, const struct cn_dialer_result *);
	void *owner; /* borrowed */
};

enum cn_reset
cn_dialer_reason(int errnum)
{
	switch (errnum) {
	case ECONNREFUSED:
	case ECONNRESET:
	case EACCES:
	case EPERM:
		return CN_RESET_REFUSED;
	case ETIMEDOUT:
		return CN_RESET_TIMEOUT;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case EAGAIN:
	case EADDRNOTAVAIL: /* local ports are used up */
	case EADDRINUSE:
		return CN_RESET_BUSY;
	default:
		return CN_RESET_UNREACHABLE;
	}
}

/* Which of several failures tells most about the target. */
static int
rank(enum cn_reset reason)
{
	return reason == CN_RESET_REFUSED ? 4
	    : reason == CN_RESET_BUSY     ? 3
	    : reason == CN_RESET_TIMEOUT  ? 2
	    : reason == CN_RESET_NONE     ? 0
					  : 1;
}

static void
record(
    struct cn_dialer *dialer, enum cn_reset reason, int err, const char *text)
{
	if (rank(reason) > rank(dialer->reason)) {
		dialer->reason = reason;
		dialer->err = err;
		dialer->text = text;
	}
}

static void
record_errno(struct cn_dialer *dialer, int errnum)
{
	int err = cn_err_from_errno(errnum);

	record(dialer, cn_dialer_reason(errnum), err, cn_err_text(err));
}

/* ---- endings ---- */

static void
unhold(struct cn_dialer *dialer)
{
	assert(dialer->pending > 0);
	if (--dialer->pending == 0) {
		assert(dialer->state == DIALER_OVER);
		cn_free(dialer->attempts);
		cn_free(dialer);
	}
}

static void
on_timer_closed(uv_handle_t *handle)
{
	unhold(handle->data);
}

static void
on_poll_closed(uv_handle_t *handle)
{
	struct attempt *attempt = handle->data;

	unhold(attempt->dialer);
}

static void
close_fd(struct cn_dialer *dialer, int *fd)
{
	if (dialer->is_reserved) {
		close(*fd);
		*fd = -1;
	} else {
		cn_sockopt_close(fd);
	}
}

/* End an attempt that connects; its descriptor stays. */
static void
end_attempt(struct attempt *attempt)
{
	assert(attempt->state == ATTEMPT_CONNECTING);
	attempt->state = ATTEMPT_OVER;
	attempt->dialer->live--;
	uv_close((uv_handle_t *)&attempt->poll, on_poll_closed);
}

/* Let go of all; what the loop holds keeps the memory until reaped. */
static void
end(struct cn_dialer *dialer)
{
	assert(dialer->state != DIALER_OVER);
	if (dialer->state == DIALER_RESOLVING && dialer->pending > 1) {
		/* Too late if a thread works on it: then it is ignored. */
		(void)uv_cancel((uv_req_t *)&dialer->resolve);
	}
	dialer->state = DIALER_OVER;
	for (uint32_t i = 0; i < dialer->count; i++) {
		struct attempt *attempt = &dialer->attempts[i];

		if (attempt->state == ATTEMPT_CONNECTING) {
			end_attempt(attempt);
			close_fd(dialer, &attempt->fd);
		}
	}
	uv_close((uv_handle_t *)&dialer->timer, on_timer_closed);
}

static void
fail(struct cn_dialer *dialer)
{
	struct cn_dialer_result result = {
		.fd = -1,
		.reason = dialer->reason,
		.err = dialer->err,
		.text = dialer->text,
		.attempts = dialer->begun,
	};

	assert(result.reason != CN_RESET_NONE);
	end(dialer);
	dialer->on_done(dialer->owner, &result);
}

static void
succeed(struct cn_dialer *dialer, int fd)
{
	struct cn_dialer_result result = {
		.fd = fd,
		.reason = CN_RESET_NONE,
		.text = "connected",
		.attempts = dialer->begun,
	};

	result.peer.len = sizeof(result.peer.u);
	if (getpeername(fd, &result.peer.u.any, &result.peer.len) != 0) {
		result.peer.len = 0;
	}
	end(dialer);
	dialer->on_done(dialer->owner, &result);
}

void
cn_dialer_cancel(struct cn_dialer **dp)
{
	struct cn_dialer *dialer = *dp;

	*dp = NULL;
	if (dialer != NULL) {
		end(dialer);
	}
}

/* ---- attempts ---- */

static void advance(struct cn_dialer *dialer);

/*
 * A dial to a free port of this very host may meet itself: the kernel gave
 * it that port as its own, and TCP opens from both ends at once.
 */
static bool
is_self(int fd)
{
	struct cn_sockaddr local, peer;

	memset(&local, 0, sizeof(local));
	memset(&peer, 0, sizeof(peer));
	local.len = sizeof(local.u);
	peer.len = sizeof(peer.u);
	return cn_sockopt_is_tcp(fd) &&
	    getsockname(fd, &local.u.any, &local.len) == 0 &&
	    getpeername(fd, &peer.u.any, &peer.len) == 0 &&
	    cn_sockaddr_equal(&local, &peer);
}

/* What became of a connect that is over; 0: it is connected. */
static int
verdict(int fd)
{
	struct cn_sockaddr peer;
	int errnum = 0;
	socklen_t len = sizeof(errnum);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len) != 0) {
		return errno;
	}
	if (errnum != 0) {
		return errnum;
	}
	peer.len = sizeof(peer.u);
	if (getpeername(fd, &peer.u.any, &peer.len) != 0) {
		return ECONNRESET;
	}
	return is_self(fd) ? ECONNREFUSED : 0;
}

static void
on_connect(uv_poll_t *poll, int status, int events)
{
	struct attempt *attempt = poll->data;
	struct cn_dialer *dialer = attempt->dialer;
	int fd = attempt->fd;
	int errnum = verdict(fd);

	(void)status;
	(void)events;
	end_attempt(attempt);
	if (errnum == 0) {
		attempt->fd = -1;
		succeed(dialer, fd);
		return;
	}
	close_fd(dialer, &attempt->fd);
	record_errno(dialer, errnum);
	/* The next need not wait for its turn. */
	dialer->start_ms = 0;
	advance(dialer);
}

/* Returns 0 (connected), EINPROGRESS, or why it failed. */
static int
begin_connect(struct cn_dialer *dialer, struct attempt *attempt)
{
	int fd, errnum;

	if (!dialer->is_reserved && !cn_fdbudget_take(1)) {
		return EMFILE;
	}
	fd = socket(attempt->to.any.sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		errnum = errno;
		if (!dialer->is_reserved) {
			cn_fdbudget_give(1);
		}
		return errnum;
	}
	dialer->begun++;
	cn_sockopt_arm(fd);
	errnum =
	    connect(fd, &attempt->to.any, attempt->to_len) == 0 ? 0 : errno;
	if (errnum == EINTR) {
		errnum = EINPROGRESS;
	}
	if (errnum == 0 && is_self(fd)) {
		errnum = ECONNREFUSED;
	}
	if (errnum != 0 && errnum != EINPROGRESS) {
		close_fd(dialer, &fd);
		return errnum;
	}
	attempt->fd = fd;
	return errnum;
}

static int
watch(struct cn_dialer *dialer, struct attempt *attempt)
{
	int err = uv_poll_init(dialer->loop, &attempt->poll, attempt->fd);

	if (err != 0) {
		close_fd(dialer, &attempt->fd);
		return -err;
	}
	attempt->poll.data = attempt;
	attempt->state = ATTEMPT_CONNECTING;
	dialer->pending++;
	dialer->live++;
	err = uv_poll_start(&attempt->poll, UV_WRITABLE, on_connect);
	assert(err == 0);
	(void)err;
	return 0;
}

/* Try the next address; false when the dial is over. */
static bool
try_next(struct cn_dialer *dialer, uint64_t now_ms)
{
	struct attempt *attempt = &dialer->attempts[dialer->next];
	int errnum = begin_connect(dialer, attempt);
	int fd;

	if (errnum == 0) {
		fd = attempt->fd;
		attempt->fd = -1;
		succeed(dialer, fd);
		return false;
	}
	if (errnum == EAGAIN && attempt->to.any.sa_family == AF_UNIX) {
		/* Its queue is full, and nothing tells when it is not. */
		record_errno(dialer, errnum);
		dialer->start_ms = now_ms + CN_DIALER_UNIX_RETRY_MS;
		return true;
	}
	dialer->next++;
	if (errnum == EINPROGRESS) {
		errnum = watch(dialer, attempt);
	}
	if (errnum == 0) {
		dialer->start_ms = now_ms + CN_DIALER_STAGGER_MS;
	} else {
		attempt->state = ATTEMPT_OVER;
		record_errno(dialer, errnum);
		dialer->start_ms = 0;
	}
	return true;
}

static void
on_timer(uv_timer_t *timer)
{
	advance(timer->data);
}

/* Do what is due now, and set the timer for what comes next. */
static void
advance(struct cn_dialer *dialer)
{
	uint64_t now_ms = uv_now(dialer->loop);
	uint64_t due_ms = dialer->deadline_ms;
	int err;

	if (now_ms >= dialer->deadline_ms) {
		record(dialer, CN_RESET_TIMEOUT, CN_ETIMEDOUT,
		    dialer->state == DIALER_RESOLVING
			? "the resolver did not answer in time"
			: "no answer in time");
		fail(dialer);
		return;
	}
	if (dialer->state == DIALER_CONNECTING) {
		while (dialer->next < dialer->count &&
		    now_ms >= dialer->start_ms) {
			if (!try_next(dialer, now_ms)) {
				return;
			}
		}
		if (dialer->next == dialer->count && dialer->live == 0) {
			fail(dialer);
			return;
		}
		if (dialer->next < dialer->count && dialer->start_ms < due_ms) {
			due_ms = dialer->start_ms;
		}
	}
	err = uv_timer_start(&dialer->timer, on_timer, due_ms - now_ms, 0);
	assert(err == 0);
	(void)err;
}

/* ---- addresses ---- */

static void
add_attempt(struct cn_dialer *dialer, const struct sockaddr *sa, socklen_t len)
{
	struct attempt *attempt = &dialer->attempts[dialer->count++];

	assert(len <= sizeof(attempt->to));
	memcpy(&attempt->to, sa, len);
	attempt->to_len = len;
	attempt->dialer = dialer;
	attempt->fd = -1;
	if (sa->sa_family == AF_INET) {
		attempt->to.v4.sin_port = htons(dialer->addr.port);
	} else if (sa->sa_family == AF_INET6) {
		attempt->to.v6.sin6_port = htons(dialer->addr.port);
	}
}

static const struct addrinfo *
next_of(const struct addrinfo *ai, bool same, int family)
{
	while (ai != NULL &&
	    ((ai->ai_family != AF_INET && ai->ai_family != AF_INET6) ||
		(ai->ai_family == family) != same)) {
		ai = ai->ai_next;
	}
	return ai;
}

/* The resolver's order, with its first family and the other by turns. */
static void
interleave(struct cn_dialer *dialer, const struct addrinfo *list)
{
	const int family = list->ai_family;
	const struct addrinfo *from[2] = {
		next_of(list, true, family),
		next_of(list, false, family),
	};
	int turn = 0;

	while (dialer->count < CN_DIALER_ADDRS_MAX &&
	    (from[0] != NULL || from[1] != NULL)) {
		const struct addrinfo *ai = from[turn];

		if (ai != NULL) {
			add_attempt(dialer, ai->ai_addr, ai->ai_addrlen);
			from[turn] = next_of(ai->ai_next, turn == 0, family);
		}
		turn = 1 - turn;
	}
}

static int
make_attempts(struct cn_dialer *dialer, uint32_t n)
{
	dialer->attempts = cn_calloc(n, sizeof(*dialer->attempts));
	return dialer->attempts == NULL ? CN_ENOMEM : CN_OK;
}

static void
on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
	struct cn_dialer *dialer = req->data;

	if (dialer->state == DIALER_OVER) {
		uv_freeaddrinfo(list);
		unhold(dialer);
		return;
	}
	if (status == 0 && list != NULL) {
		if (make_attempts(dialer, CN_DIALER_ADDRS_MAX) == CN_OK) {
			interleave(dialer, list);
		} else {
			record_errno(dialer, ENOMEM);
		}
	}
	if (dialer->count == 0) {
		record(dialer, CN_RESET_UNREACHABLE, CN_ENOENT,
		    status != 0 ? uv_strerror(status)
				: "the name has no address");
	}
	uv_freeaddrinfo(list);
	dialer->state = DIALER_CONNECTING;
	/* The timer keeps the memory. */
	unhold(dialer);
	advance(dialer);
}

/* Begin with the resolver, or with the literal in the loop's next turn. */
static int
begin(struct cn_dialer *dialer)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct cn_sockaddr sa;
	int err = cn_addr_to_sockaddr(&dialer->addr, &sa);

	if (err == CN_ENOENT) {
		dialer->resolve.data = dialer;
		err = uv_getaddrinfo(dialer->loop, &dialer->resolve,
		    on_resolved, dialer->addr.name, NULL, &hints);
		if (err == 0) {
			dialer->pending++;
		}
		return err;
	}
	dialer->state = DIALER_CONNECTING;
	if (err != CN_OK) {
		record(dialer, CN_RESET_UNREACHABLE, err,
		    "this host has no such zone");
		return CN_OK;
	}
	err = make_attempts(dialer, 1);
	if (err == CN_OK) {
		add_attempt(dialer, &sa.u.any, sa.len);
	}
	return err;
}

int
cn_dialer_start(uv_loop_t *loop, const struct cn_addr *addr,
    const struct cn_dialer_options *options,
    void (*on_done)(void *owner, const struct cn_dialer_result *result),
    void *owner, struct cn_dialer **ret)
{
	struct cn_dialer *dialer = cn_calloc(1, sizeof(*dialer));
	uint64_t timeout_ms = TIMEOUT_DEFAULT_MS;
	int err;

	if (dialer == NULL) {
		return CN_ENOMEM;
	}
	if (options != NULL) {
		dialer->is_reserved = options->is_reserved;
		if (options->timeout_us != 0) {
			timeout_ms = options->timeout_us / 1000;
		}
	}
	dialer->loop = loop;
	dialer->addr = *addr;
	dialer->on_done = on_done;
	dialer->owner = owner;
	dialer->text = "";
	dialer->deadline_ms = uv_now(loop) + timeout_ms;
	err = uv_timer_init(loop, &dialer->timer);
	assert(err == 0);
	dialer->timer.data = dialer;
	dialer->pending = 1;
	err = begin(dialer);
	if (err != CN_OK) {
		end(dialer);
		return err;
	}
	err = uv_timer_start(&dialer->timer, on_timer,
	    dialer->state == DIALER_RESOLVING ? timeout_ms : 0, 0);
	assert(err == 0);
	*ret = dialer;
	return CN_OK;
}
