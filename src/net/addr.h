/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_NET_ADDR_H
#define CN_NET_ADDR_H

/*
 * Endpoints: the text that people write, and the socket address that the
 * kernel wants.
 *
 *   host:port        a name or an IPv4 address
 *   [v6]:port        an IPv6 address, a %zone allowed
 *   *:port           every address of this host (to listen on)
 *   unix:/path       a Unix socket; abstract names are not supported
 *
 * Life:       plain values; nothing to free.
 * Thread:     any; no state.
 * Invariants: what cn_addr_format() writes parses to the same value.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/attr.h"

/* Longest host name, and longest path of a Unix socket, no terminator. */
#define CN_ADDR_HOST_MAX 253u
#define CN_ADDR_PATH_MAX 107u
/* Room for the text of any address, terminator included. */
#define CN_ADDR_TEXT_MAX 272u

enum cn_addr_kind {
	CN_ADDR_HOST, /* a name, still to be resolved */
	CN_ADDR_V4,
	CN_ADDR_V6,
	CN_ADDR_ANY, /* "*": both families */
	CN_ADDR_UNIX,
};

struct cn_addr {
	enum cn_addr_kind kind;
	uint16_t port;                   /* host order; 0 for Unix */
	char name[CN_ADDR_HOST_MAX + 1]; /* host without brackets, or path */
};

/* A socket address of any family that we use. */
struct cn_sockaddr {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
		struct sockaddr_storage room;
	} u;
	socklen_t len;
};

/* What an address is wanted for: decides "*" and port 0. */
enum cn_addr_use {
	CN_ADDR_TO_LISTEN, /* "*" and port 0 (any free port) are fine */
	CN_ADDR_TO_REACH,  /* neither is */
};

/*
 * Parse an endpoint.
 *
 * @why  may be NULL; on failure a static sentence without a full stop that
 *       says what is wrong
 *
 * Returns CN_OK or CN_EINVAL.
 */
int cn_addr_parse(const char *text, enum cn_addr_use use, struct cn_addr *ret,
    const char **why) CN_MUSTCHECK;

/*
 * Write the text of an address, always terminated and cut to cap.
 *
 * Returns buf.
 */
const char *cn_addr_format(const struct cn_addr *addr, char *buf, size_t cap);

bool cn_addr_equal(const struct cn_addr *a, const struct cn_addr *b);

/*
 * The socket address of a literal; needs no resolver.  "*" becomes the IPv6
 * wildcard.
 *
 * Returns CN_OK; CN_ENOENT when it is a name; CN_EINVAL for a zone that this
 * host has not.
 */
int cn_addr_to_sockaddr(
    const struct cn_addr *addr, struct cn_sockaddr *ret) CN_MUSTCHECK;

/*
 * Text of a socket address: "192.0.2.1:80", "[2001:db8::1]:80",
 * "unix:/path", "unix" for one without a name.  IPv4 inside IPv6 is shown as
 * IPv4.  Always terminated.
 *
 * @with_port  false: the host alone, no brackets (to group by client)
 *
 * Returns buf.
 */
const char *cn_sockaddr_format(
    const struct cn_sockaddr *sa, bool with_port, char *buf, size_t cap);

/* Same family, host and port; IPv4 inside IPv6 equals IPv4. */
bool cn_sockaddr_equal(
    const struct cn_sockaddr *a, const struct cn_sockaddr *b);

#endif /* CN_NET_ADDR_H */
