/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/handline.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"

/* Buffers of the connection: what is in them looks as if it were sent. */
#define SOCKET_BYTES (256 * 1024)
/* Somebody else's connection came first: try again. */
#define PAIR_TRIES 16u

static int
set_buffers(int fd)
{
	static const int bytes = SOCKET_BYTES;

	return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) ==
		    0 &&
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) ==
		    0
	    ? CN_OK
	    : cn_err_from_errno(errno);
}

/* A socket that listens at a port of loopback, where nobody is asked to. */
static int
listen_here(struct sockaddr_in *ret)
{
	socklen_t len = sizeof(*ret);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(ret, 0, sizeof(*ret));
	ret->sin_family = AF_INET;
	ret->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0 &&
	    (set_buffers(fd) != CN_OK ||
		bind(fd, (struct sockaddr *)ret, len) != 0 ||
		listen(fd, (int)PAIR_TRIES) != 0 ||
		getsockname(fd, (struct sockaddr *)ret, &len) != 0)) {
		int errnum = errno;

		(void)close(fd);
		errno = errnum;
		return -1;
	}
	return fd;
}

static int
connect_to(const struct sockaddr_in *to, struct sockaddr_in *from)
{
	static const struct linger at_once = { 1, 0 };
	socklen_t len = sizeof(*from);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 &&
	    (set_buffers(fd) != CN_OK ||
		/* Whoever ends us resets it: a part is not the whole. */
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once,
		    sizeof(at_once)) != 0 ||
		connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0 ||
		getsockname(fd, (struct sockaddr *)from, &len) != 0)) {
		int errnum = errno;

		(void)close(fd);
		errno = errnum;
		return -1;
	}
	return fd;
}

/* The end that belongs to ours: anybody here may connect to the port. */
static int
accept_from(int listener, const struct sockaddr_in *from)
{
	for (unsigned i = 0; i < PAIR_TRIES; i++) {
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);
		int fd = accept4(
		    listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);

		if (fd < 0 ||
		    (peer.sin_port == from->sin_port &&
			peer.sin_addr.s_addr == from->sin_addr.s_addr)) {
			return fd;
		}
		(void)close(fd);
	}
	errno = ECONNABORTED;
	return -1;
}

static int
make_pair(int *ours, int *theirs)
{
	struct sockaddr_in at, from;
	int listener = listen_here(&at);
	int err = CN_OK;

	*ours = *theirs = -1;
	if (listener >= 0) {
		*ours = connect_to(&at, &from);
	}
	if (*ours >= 0) {
		*theirs = accept_from(listener, &from);
	}
	if (*theirs < 0) {
		err = cn_err_from_errno(errno);
	}
	if (listener >= 0) {
		(void)close(listener);
	}
	return err;
}

enum cn_exit
cn_handline_open(struct cn_ask *ask, struct cn_request *request, int *ret)
{
	struct cn_reply reply;
	enum cn_exit code;
	int ours, theirs;
	int err = make_pair(&ours, &theirs);

	if (err != CN_OK) {
		cn_cli_error("cannot connect to ourselves on 127.0.0.1: %s",
		    cn_err_text(err));
		if (ours >= 0) {
			(void)close(ours);
		}
		return CN_EXIT_FAILED;
	}
	code = cn_ask_call_fd(ask, request, theirs, &reply);
	(void)close(theirs);
	if (code != CN_EXIT_OK) {
		(void)close(ours);
		return code;
	}
	cn_reply_fini(&reply);
	*ret = ours;
	return CN_EXIT_OK;
}
