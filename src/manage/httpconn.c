/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/httpconn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"

/* A head is short as a rule: grow by so much. */
#define STEP_BYTES 1024u
/* What the kernel takes of an answer without waiting for the client. */
#define SEND_BUFFER (208 * 1024)
#define TOTAL_US (4 * CN_HTTP_PATIENCE_US)

static void
name_address(const struct sockaddr_storage *address, char *ret)
{
	const void *raw;

	ret[0] = '\0';
	if (address->ss_family == AF_INET) {
		raw = &((const struct sockaddr_in *)(const void *)address)
			   ->sin_addr;
	} else if (address->ss_family == AF_INET6) {
		raw = &((const struct sockaddr_in6 *)(const void *)address)
			   ->sin6_addr;
	} else {
		return;
	}
	(void)inet_ntop(address->ss_family, raw, ret, CN_HTTP_ADDRESS_MAX);
	if (strncmp(ret, "::ffff:", 7) == 0 && strchr(ret, '.') != NULL) {
		memmove(ret, ret + 7, CN_HTTP_ADDRESS_MAX - 7);
	}
}

static void
name_ends(struct cn_http_conn *conn)
{
	struct sockaddr_storage address = { 0 };
	socklen_t len = sizeof(address);

	if (getpeername(conn->fd, (struct sockaddr *)(void *)&address, &len) ==
	    0) {
		name_address(&address, conn->remote);
	}
	len = sizeof(address);
	if (getsockname(conn->fd, (struct sockaddr *)(void *)&address, &len) ==
	    0) {
		name_address(&address, conn->local);
	}
}

int
cn_http_conn_create(int fd, SSL_CTX *tls, struct cn_http_conn **ret)
{
	struct cn_http_conn *conn = cn_calloc(1, sizeof(*conn));
	int on = 1, room = SEND_BUFFER;

	if (conn == NULL) {
		(void)close(fd);
		return CN_ENOMEM;
	}
	conn->fd = fd;
	cn_list_init(&conn->item);
	cn_buf_init(&conn->in, CN_HTTP_HEAD_MAX);
	name_ends(conn);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	if (tls != NULL) {
		conn->ssl = SSL_new(tls);
		if (conn->ssl == NULL || SSL_set_fd(conn->ssl, fd) != 1) {
			ERR_clear_error();
			cn_http_conn_free(&conn);
			return CN_ENOMEM;
		}
		SSL_set_accept_state(conn->ssl);
	}
	*ret = conn;
	return CN_OK;
}

void
cn_http_conn_free(struct cn_http_conn **cp)
{
	struct cn_http_conn *conn = *cp;

	*cp = NULL;
	if (conn == NULL) {
		return;
	}
	cn_list_remove(&conn->item);
	SSL_free(conn->ssl);
	if (conn->fd >= 0) {
		(void)close(conn->fd);
	}
	cn_buf_fini(&conn->in);
	cn_free(conn);
}

/* What OpenSSL says of a call that did not work. */
static int
tls_error(struct cn_http_conn *conn, int result)
{
	int why = SSL_get_error(conn->ssl, result);

	ERR_clear_error();
	conn->wants_write = why == SSL_ERROR_WANT_WRITE;
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
		return CN_EAGAIN;
	}
	return why == SSL_ERROR_ZERO_RETURN ? CN_ECLOSED : CN_ETLS;
}

static int
read_some(struct cn_http_conn *conn, void *to, size_t room, size_t *ret)
{
	if (conn->ssl != NULL) {
		int n = SSL_read(conn->ssl, to, (int)room);

		if (n <= 0) {
			return tls_error(conn, n);
		}
		conn->wants_write = false;
		*ret = (size_t)n;
		return CN_OK;
	}
	ssize_t n = recv(conn->fd, to, room, 0);
	if (n > 0) {
		*ret = (size_t)n;
		return CN_OK;
	}
	if (n == 0) {
		return CN_ECLOSED;
	}
	return errno == EINTR ? CN_EAGAIN : cn_err_from_errno(errno);
}

int
cn_http_conn_read(struct cn_http_conn *conn)
{
	size_t room = CN_HTTP_HEAD_MAX - conn->in.len;
	size_t n = 0;
	int err;

	if (room == 0) {
		return CN_ELIMIT;
	}
	err = cn_buf_reserve(&conn->in, CN_MIN(room, (size_t)STEP_BYTES));
	if (err == CN_OK) {
		err = read_some(conn, conn->in.data + conn->in.len,
		    CN_MIN(room, conn->in.cap - conn->in.len), &n);
	}
	if (err == CN_OK) {
		cn_buf_commit(&conn->in, n);
	}
	conn->is_ended = conn->is_ended || err == CN_ECLOSED;
	return err;
}

int
cn_http_conn_write(
    struct cn_http_conn *conn, const void *bytes, size_t len, size_t *ret)
{
	if (conn->ssl != NULL) {
		int n = SSL_write(
		    conn->ssl, bytes, (int)CN_MIN(len, (size_t)1 << 20));

		if (n <= 0) {
			int err = tls_error(conn, n);

			return err;
		}
		*ret = (size_t)n;
		return CN_OK;
	}
	ssize_t n = send(conn->fd, bytes, len, MSG_NOSIGNAL);
	if (n >= 0) {
		*ret = (size_t)n;
		return CN_OK;
	}
	return errno == EINTR ? CN_EAGAIN : cn_err_from_errno(errno);
}

/* Wait for the socket; CN_ETIMEDOUT at the deadline. */
static int
wait_for(struct cn_http_conn *conn, short events, uint64_t end_us)
{
	for (;;) {
		struct pollfd poller = { .fd = conn->fd, .events = events };
		uint64_t now = cn_clock_us();
		int n;

		if (now >= end_us) {
			return CN_ETIMEDOUT;
		}
		n = poll(&poller, 1,
		    (int)(CN_MIN(end_us - now, CN_HTTP_PATIENCE_US) / 1000) +
			1);
		if (n > 0) {
			return CN_OK;
		}
		if (n == 0) {
			return CN_ETIMEDOUT;
		}
		if (errno != EINTR) {
			return cn_err_from_errno(errno);
		}
	}
}

int
cn_http_conn_send(struct cn_http_conn *conn, const void *bytes, size_t len)
{
	uint64_t end_us = cn_clock_us() + TOTAL_US;
	const char *at = bytes;

	while (len > 0) {
		size_t n = 0;
		int err = cn_http_conn_write(conn, at, len, &n);

		if (err == CN_EAGAIN) {
			bool must_read =
			    conn->ssl != NULL && !conn->wants_write;

			err = wait_for(
			    conn, must_read ? POLLIN : POLLOUT, end_us);
		}
		if (err < 0) {
			return err;
		}
		at += n;
		len -= n;
	}
	return CN_OK;
}

int
cn_http_conn_body(struct cn_http_conn *conn, size_t n, struct cn_buf *out)
{
	uint64_t end_us = cn_clock_us() + TOTAL_US;
	size_t here = CN_MIN(n, conn->in.len);
	int err = here == 0 ? CN_OK : cn_buf_append(out, conn->in.data, here);

	if (err < 0) {
		return err;
	}
	cn_buf_consume(&conn->in, here);
	for (n -= here; n > 0;) {
		size_t got = 0;

		err = cn_buf_reserve(out, n);
		if (err == CN_OK) {
			err = read_some(conn, out->data + out->len, n, &got);
		}
		if (err == CN_EAGAIN) {
			err = wait_for(
			    conn, conn->wants_write ? POLLOUT : POLLIN, end_us);
		}
		if (err < 0) {
			return err;
		}
		cn_buf_commit(out, got);
		n -= got;
	}
	return CN_OK;
}

void
cn_http_conn_end(struct cn_http_conn *conn)
{
	if (conn->ssl != NULL && SSL_is_init_finished(conn->ssl)) {
		(void)SSL_shutdown(conn->ssl);
		ERR_clear_error();
	}
	(void)shutdown(conn->fd, SHUT_WR);
}
