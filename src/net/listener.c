/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listener.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "net/fdbudget.h"
#include "net/sockopt.h"

struct cn_listener {
	int fd; /* owned */
	struct cn_listener_options options;
	bool is_adopted;
	struct cn_sockaddr local;
	dev_t file_dev; /* the file of a Unix socket, to remove no other */
	ino_t file_ino; /* 0: none that is ours */

	_Atomic uint32_t refs; /* the opener and the watches */
	_Atomic uint64_t accepted;
	_Atomic uint64_t pauses;
	_Atomic uint64_t errors;
	_Atomic uint32_t paused;
};

enum watch_state {
	WATCH_POLLING,
	WATCH_PAUSED,  /* no descriptors: the timer runs */
	WATCH_STOPPED, /* by the owner */
	WATCH_CLOSING,
};

struct cn_listener_watch {
	uv_poll_t poll;
	uv_timer_t timer;
	struct cn_listener *listener; /* holds a reference */
	enum watch_state state;
	int open_handles; /* of the two above, still to be closed */
	void (*on_accept)(void *owner, const struct cn_listener_accepted *);
	void *owner; /* borrowed */
};

static void
unref(struct cn_listener *listener)
{
	if (atomic_fetch_sub(&listener->refs, 1) == 1) {
		close(listener->fd);
		cn_free(listener);
	}
}

static int
last_error(void)
{
	return cn_err_from_errno(errno);
}

/* ---- opening ---- */

static void
set_on(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

static int
new_socket(const struct cn_addr *addr, struct cn_sockaddr *sa, int *ret)
{
	const int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
	int fd = socket(sa->u.any.sa_family, type, 0);

	if (fd < 0 && errno == EAFNOSUPPORT && addr->kind == CN_ADDR_ANY) {
		uint16_t port = sa->u.v6.sin6_port;

		memset(sa, 0, sizeof(*sa));
		sa->u.v4.sin_family = AF_INET;
		sa->u.v4.sin_port = port;
		sa->len = sizeof(sa->u.v4);
		fd = socket(AF_INET, type, 0);
	}
	if (fd < 0) {
		return last_error();
	}
	if (sa->u.any.sa_family == AF_INET6) {
		set_on(
		    fd, IPPROTO_IPV6, IPV6_V6ONLY, addr->kind != CN_ADDR_ANY);
	}
	*ret = fd;
	return CN_OK;
}

/* Nobody listens behind that file any more, and it is a socket. */
static int
check_stale(const struct cn_sockaddr *sa)
{
	struct stat st;
	int fd, err;

	if (lstat(sa->u.un.sun_path, &st) != 0) {
		return last_error();
	}
	if (!S_ISSOCK(st.st_mode)) {
		return CN_EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return last_error();
	}
	err = connect(fd, &sa->u.any, sa->len) == 0 ? 0 : errno;
	close(fd);
	return err == ECONNREFUSED ? CN_OK : cn_err_from_errno(EADDRINUSE);
}

/*
 * The file gets its mode before anyone can connect: until listen() a Unix
 * socket refuses.
 */
static int
bind_unix(struct cn_listener *listener, const struct cn_sockaddr *sa)
{
	mode_t mode = listener->options.unix_mode;
	const char *path = sa->u.un.sun_path;
	struct stat st;
	int err;

	if (bind(listener->fd, &sa->u.any, sa->len) != 0) {
		if (errno != EADDRINUSE) {
			return last_error();
		}
		err = check_stale(sa);
		if (err != CN_OK) {
			return err;
		}
		if (unlink(path) != 0 ||
		    bind(listener->fd, &sa->u.any, sa->len) != 0) {
			return last_error();
		}
	}
	if (chmod(path, mode == 0 ? 0660 : mode) != 0 ||
	    lstat(path, &st) != 0) {
		err = last_error();
		unlink(path);
		return err;
	}
	listener->file_dev = st.st_dev;
	listener->file_ino = st.st_ino;
	return CN_OK;
}

static int
bind_inet(struct cn_listener *listener, const struct cn_sockaddr *sa)
{
	set_on(listener->fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (listener->options.is_transparent) {
		bool is_v6 = sa->u.any.sa_family == AF_INET6;
		int one = 1;

		if (setsockopt(listener->fd, is_v6 ? SOL_IPV6 : SOL_IP,
			is_v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &one,
			sizeof(one)) != 0) {
			return last_error();
		}
	}
	if (bind(listener->fd, &sa->u.any, sa->len) != 0) {
		return last_error();
	}
	return CN_OK;
}

static void
remove_file(struct cn_listener *listener)
{
	const char *path = listener->local.u.un.sun_path;
	struct stat st;

	if (listener->file_ino != 0 && lstat(path, &st) == 0 &&
	    st.st_dev == listener->file_dev &&
	    st.st_ino == listener->file_ino) {
		unlink(path);
	}
	listener->file_ino = 0;
}

static struct cn_listener *
new_listener(int fd, const struct cn_listener_options *options)
{
	struct cn_listener *listener = cn_calloc(1, sizeof(*listener));

	if (listener == NULL) {
		return NULL;
	}
	if (options != NULL) {
		listener->options = *options;
	}
	listener->fd = fd;
	atomic_init(&listener->refs, 1);
	return listener;
}

static void
read_local(struct cn_listener *listener)
{
	listener->local.len = sizeof(listener->local.u);
	if (getsockname(listener->fd, &listener->local.u.any,
		&listener->local.len) != 0) {
		listener->local.len = 0;
	}
}

int
cn_listener_open(const struct cn_addr *addr,
    const struct cn_listener_options *options, struct cn_listener **ret)
{
	struct cn_listener *listener;
	struct cn_addr literal = *addr;
	struct cn_sockaddr sa;
	int backlog, err, fd = -1;

	if (addr->kind == CN_ADDR_HOST &&
	    strcmp(addr->name, "localhost") == 0) {
		literal.kind = CN_ADDR_V4;
		snprintf(literal.name, sizeof(literal.name), "127.0.0.1");
	}
	if (cn_addr_to_sockaddr(&literal, &sa) != CN_OK) {
		return CN_EINVAL;
	}
	err = new_socket(&literal, &sa, &fd);
	if (err != CN_OK) {
		return err;
	}
	listener = new_listener(fd, options);
	if (listener == NULL) {
		close(fd);
		return CN_ENOMEM;
	}
	/* Accepted sockets inherit it: no moment unarmed. */
	cn_sockopt_arm(fd);
	err = sa.u.any.sa_family == AF_UNIX ? bind_unix(listener, &sa)
					    : bind_inet(listener, &sa);
	if (err != CN_OK) {
		goto fail;
	}
	read_local(listener);
	backlog = listener->options.backlog;
	if (listen(fd, backlog > 0 ? backlog : SOMAXCONN) != 0) {
		err = last_error();
		goto fail;
	}
	/* A port 0 is known only now where listen() binds. */
	read_local(listener);
	*ret = listener;
	return CN_OK;

fail:
	cn_listener_close(&listener, false);
	return err;
}

int
cn_listener_adopt(
    int fd, const struct cn_listener_options *options, struct cn_listener **ret)
{
	struct cn_listener *listener;
	int listens = 0, type = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) != 0 ||
	    listens == 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 ||
	    type != SOCK_STREAM) {
		return CN_EINVAL;
	}
	listener = new_listener(fd, options);
	if (listener == NULL) {
		return CN_ENOMEM;
	}
	listener->is_adopted = true;
	cn_sockopt_arm(fd);
	read_local(listener);
	*ret = listener;
	return CN_OK;
}

void
cn_listener_shut(struct cn_listener *listener)
{
	if (!listener->is_adopted) {
		(void)shutdown(listener->fd, SHUT_RDWR);
	}
}

void
cn_listener_close(struct cn_listener **lp, bool keep_file)
{
	struct cn_listener *listener = *lp;

	*lp = NULL;
	if (listener == NULL) {
		return;
	}
	if (!keep_file) {
		remove_file(listener);
	}
	unref(listener);
}

int
cn_listener_fd(const struct cn_listener *listener)
{
	return listener->fd;
}

void
cn_listener_local(const struct cn_listener *listener, struct cn_sockaddr *ret)
{
	*ret = listener->local;
}

void
cn_listener_stats(
    const struct cn_listener *listener, struct cn_listener_stats *ret)
{
	ret->accepted = atomic_load(&listener->accepted);
	ret->pauses = atomic_load(&listener->pauses);
	ret->errors = atomic_load(&listener->errors);
	ret->paused = atomic_load(&listener->paused);
}

/* ---- accepting ---- */

static void on_readiness(uv_poll_t *poll, int status, int events);
static void on_timer(uv_timer_t *timer);

/* Leave what the old state needs, enter what the new one does. */
static void
enter(struct cn_listener_watch *watch, enum watch_state state)
{
	struct cn_listener *listener = watch->listener;
	int err = 0;

	if (watch->state == WATCH_PAUSED) {
		uv_timer_stop(&watch->timer);
		atomic_fetch_sub(&listener->paused, 1);
	}
	watch->state = state;
	switch (state) {
	case WATCH_POLLING:
		err = uv_poll_start(&watch->poll, UV_READABLE, on_readiness);
		break;
	case WATCH_PAUSED:
		uv_poll_stop(&watch->poll);
		atomic_fetch_add(&listener->paused, 1);
		atomic_fetch_add(&listener->pauses, 1);
		err = uv_timer_start(
		    &watch->timer, on_timer, CN_LISTENER_PAUSE_MS, 0);
		break;
	case WATCH_STOPPED:
	case WATCH_CLOSING:
		uv_poll_stop(&watch->poll);
		break;
	}
	/* Both starts fail only for handles that close or lack a callback. */
	assert(err == 0);
	(void)err;
}

/* What accept4() says of the client or its network, not of us. */
static bool
is_clients_fault(int errnum)
{
	return errnum == EINTR || errnum == ECONNABORTED || errnum == EPROTO ||
	    errnum == EPERM || errnum == ENETDOWN || errnum == ENOPROTOOPT ||
	    errnum == EHOSTDOWN || errnum == ENONET || errnum == EHOSTUNREACH ||
	    errnum == EOPNOTSUPP || errnum == ENETUNREACH;
}

/* A Unix client has no address: its user stands for it. */
static void
describe(int fd, const struct cn_sockaddr *peer, char *buf, size_t cap)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	cn_sockaddr_format(peer, true, buf, cap);
	if (peer->u.any.sa_family == AF_UNIX &&
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0) {
		snprintf(buf, cap, "unix:uid=%u", cred.uid);
	}
}

/* Returns 0 or the errno of accept4(); EMFILE when the budget is used up. */
static int
accept_one(struct cn_listener_watch *watch)
{
	struct cn_listener *listener = watch->listener;
	bool is_counted = !listener->options.is_reserved;
	struct cn_listener_accepted accepted;
	char text[CN_ADDR_TEXT_MAX];
	int errnum;

	if (is_counted && !cn_fdbudget_take(1)) {
		return EMFILE;
	}
	memset(&accepted.peer, 0, sizeof(accepted.peer));
	accepted.peer.len = sizeof(accepted.peer.u);
	accepted.fd = accept4(listener->fd, &accepted.peer.u.any,
	    &accepted.peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (accepted.fd < 0) {
		errnum = errno;
		if (is_counted) {
			cn_fdbudget_give(1);
		}
		return errnum;
	}
	cn_sockopt_arm(accepted.fd);
	describe(accepted.fd, &accepted.peer, text, sizeof(text));
	accepted.text = text;
	atomic_fetch_add(&listener->accepted, 1);
	watch->on_accept(watch->owner, &accepted);
	return 0;
}

static void
on_readiness(uv_poll_t *poll, int status, int events)
{
	struct cn_listener_watch *watch = poll->data;
	int errnum = 0;

	(void)events;
	if (status < 0) {
		/* libuv stopped the poll; look again later. */
		enter(watch, WATCH_PAUSED);
		return;
	}
	/* The callback may stop or end the watch: it stays until reaped. */
	for (uint32_t i = 0;
	     i < CN_LISTENER_ACCEPTS_MAX && watch->state == WATCH_POLLING;
	     i++) {
		errnum = accept_one(watch);
		if (errnum == EAGAIN) {
			return;
		}
		if (is_clients_fault(errnum)) {
			atomic_fetch_add(&watch->listener->errors, 1);
		} else if (errnum != 0) {
			/* Descriptors or memory, or what no repeat mends:
			 * rest, never spin. */
			enter(watch, WATCH_PAUSED);
			return;
		}
	}
}

static void
on_timer(uv_timer_t *timer)
{
	struct cn_listener_watch *watch = timer->data;

	assert(watch->state == WATCH_PAUSED);
	enter(watch, WATCH_POLLING);
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct cn_listener_watch *watch = handle->data;

	if (--watch->open_handles == 0) {
		unref(watch->listener);
		cn_free(watch);
	}
}

int
cn_listener_watch(struct cn_listener *listener, uv_loop_t *loop,
    void (*on_accept)(void *owner, const struct cn_listener_accepted *accepted),
    void *owner, struct cn_listener_watch **ret)
{
	struct cn_listener_watch *watch = cn_calloc(1, sizeof(*watch));
	int err;

	if (watch == NULL) {
		return CN_ENOMEM;
	}
	err = uv_poll_init(loop, &watch->poll, listener->fd);
	if (err != 0) {
		cn_free(watch);
		return err;
	}
	err = uv_timer_init(loop, &watch->timer);
	assert(err == 0);
	watch->poll.data = watch;
	watch->timer.data = watch;
	watch->open_handles = 2;
	watch->listener = listener;
	watch->on_accept = on_accept;
	watch->owner = owner;
	atomic_fetch_add(&listener->refs, 1);
	enter(watch, WATCH_POLLING);
	*ret = watch;
	return CN_OK;
}

void
cn_listener_watch_stop(struct cn_listener_watch *watch)
{
	if (watch->state != WATCH_STOPPED) {
		enter(watch, WATCH_STOPPED);
	}
}

void
cn_listener_watch_start(struct cn_listener_watch *watch)
{
	if (watch->state == WATCH_STOPPED) {
		enter(watch, WATCH_POLLING);
	}
}

void
cn_listener_unwatch(struct cn_listener_watch **wp)
{
	struct cn_listener_watch *watch = *wp;

	*wp = NULL;
	if (watch == NULL) {
		return;
	}
	enter(watch, WATCH_CLOSING);
	uv_close((uv_handle_t *)&watch->poll, on_handle_closed);
	uv_close((uv_handle_t *)&watch->timer, on_handle_closed);
}
