/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/knock.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/err.h"

#define ALPN                                                                   \
	"\x0d"                                                                 \
	"compressnet/1"

/* Wait for the socket until the deadline; false: it came. */
static bool
wait_for(int fd, short events, uint64_t deadline)
{
	struct pollfd poller = { .fd = fd, .events = events };
	uint64_t now;
	int n;

	do {
		now = cn_clock_us();
		if (now >= deadline) {
			return false;
		}
		n = poll(&poller, 1, (int)((deadline - now) / 1000) + 1);
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

/* 0, ETIMEDOUT, or the errno of connect(). */
static int
connect_to(int fd, const struct addrinfo *to, uint64_t deadline)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (connect(fd, to->ai_addr, to->ai_addrlen) == 0) {
		return 0;
	}
	if (errno != EINPROGRESS) {
		return errno;
	}
	if (!wait_for(fd, POLLOUT, deadline)) {
		return ETIMEDOUT;
	}
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 ? errno
								       : error;
}

/* Whose key it is decides; who signed it nobody asks.  That the other end
 * holds the key is checked by the handshake itself. */
static int
take_cert(X509_STORE_CTX *store, void *arg)
{
	struct cn_knock *ret = arg;
	const X509 *leaf = X509_STORE_CTX_get0_cert(store);

	return leaf != NULL &&
	    cn_identity_of_cert(leaf, ret->identity) == CN_OK;
}

static SSL_CTX *
make_context(struct cn_knock *ret)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL) {
		return NULL;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, take_cert, ret);
	/* Zero means yes, in the last of them alone. */
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set1_sigalgs_list(ctx, "ed25519") != 1 ||
	    SSL_CTX_set_alpn_protos(
		ctx, (const unsigned char *)ALPN, sizeof(ALPN) - 1) != 0) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static bool
shake(SSL *ssl, int fd, uint64_t deadline)
{
	for (;;) {
		int n = SSL_connect(ssl), error;

		if (n == 1) {
			return true;
		}
		error = SSL_get_error(ssl, n);
		if (error != SSL_ERROR_WANT_READ &&
		    error != SSL_ERROR_WANT_WRITE) {
			return false;
		}
		if (!wait_for(fd,
			error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT,
			deadline)) {
			return false;
		}
	}
}

static void
prove(int fd, uint64_t deadline, struct cn_knock *ret)
{
	SSL_CTX *ctx = make_context(ret);
	SSL *ssl = ctx == NULL ? NULL : SSL_new(ctx);
	const unsigned char *alpn = NULL;
	unsigned len = 0;

	ret->kind = CN_KNOCK_STRANGER;
	(void)snprintf(
	    ret->why, sizeof(ret->why), "it does not speak compressnet/1");
	if (ssl != NULL && SSL_set_fd(ssl, fd) == 1 &&
	    shake(ssl, fd, deadline)) {
		SSL_get0_alpn_selected(ssl, &alpn, &len);
		if (len == sizeof(ALPN) - 2 &&
		    memcmp(alpn, &ALPN[1], len) == 0) {
			ret->kind = CN_KNOCK_GATEWAY;
			ret->why[0] = '\0';
		}
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	ERR_clear_error();
}

/* True: somebody is there, or refuses; the other addresses do not matter. */
static bool
try_one(const struct addrinfo *to, struct cn_knock *ret)
{
	uint64_t deadline = cn_clock_us() + CN_KNOCK_US;
	int fd = socket(
	    to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	(void)getnameinfo(to->ai_addr, to->ai_addrlen, ret->address,
	    sizeof(ret->address), NULL, 0, NI_NUMERICHOST);
	error = fd < 0 ? errno : connect_to(fd, to, deadline);
	if (error == 0) {
		prove(fd, deadline, ret);
	} else {
		ret->kind = error == ECONNREFUSED ? CN_KNOCK_CLOSED
		    : error == ETIMEDOUT          ? CN_KNOCK_FILTERED
						  : CN_KNOCK_UNREACHABLE;
		(void)snprintf(ret->why, sizeof(ret->why), "%s",
		    cn_err_text(cn_err_from_errno(error)));
	}
	if (fd >= 0) {
		(void)close(fd);
	}
	return ret->kind == CN_KNOCK_GATEWAY || ret->kind == CN_KNOCK_STRANGER;
}

void
cn_knock(const char *host, uint16_t port, struct cn_knock *ret)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *all = NULL;
	char service[8];
	unsigned tried = 0;
	int error;

	memset(ret, 0, sizeof(*ret));
	ret->kind = CN_KNOCK_UNREACHABLE;
	(void)snprintf(service, sizeof(service), "%u", port);
	error = getaddrinfo(host, service, &hints, &all);
	if (error != 0) {
		(void)snprintf(
		    ret->why, sizeof(ret->why), "%s", gai_strerror(error));
		return;
	}
	for (const struct addrinfo *at = all;
	     at != NULL && tried < CN_KNOCK_ADDRESSES_MAX; at = at->ai_next) {
		tried++;
		if (try_one(at, ret)) {
			break;
		}
	}
	freeaddrinfo(all);
}
