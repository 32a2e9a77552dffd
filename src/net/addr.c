/* SPDX-License-Identifier: Apache-2.0 */
#include "net/addr.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

#define LABEL_MAX 63u

static bool
parse_port(
    const char *text, enum cn_addr_use use, uint16_t *ret, const char **why)
{
	uint32_t port = 0;
	size_t i;

	for (i = 0; text[i] != '\0'; i++) {
		if (text[i] < '0' || text[i] > '9') {
			*why = "the port is not a number";
			return false;
		}
		if (i >= 5) {
			*why = "the port is greater than 65535";
			return false;
		}
		port = port * 10 + (uint32_t)(text[i] - '0');
	}
	if (i == 0) {
		*why = "the port is missing";
		return false;
	}
	if (port > UINT16_MAX) {
		*why = "the port is greater than 65535";
		return false;
	}
	if (port == 0 && use == CN_ADDR_TO_REACH) {
		*why = "nothing can be reached at port 0";
		return false;
	}
	*ret = (uint16_t)port;
	return true;
}

/* A host name by the letters it may have; DNS itself is more liberal. */
static bool
is_name(const char *name)
{
	size_t label = 0;

	for (size_t i = 0; name[i] != '\0'; i++) {
		if (name[i] == '.') {
			if (label == 0 || name[i - 1] == '-') {
				return false;
			}
			label = 0;
			continue;
		}
		if (!isalnum((unsigned char)name[i]) && name[i] != '_' &&
		    (name[i] != '-' || label == 0)) {
			return false;
		}
		if (++label > LABEL_MAX) {
			return false;
		}
	}
	return true;
}

static bool
parse_host(struct cn_addr *addr, const char **why)
{
	struct in_addr v4;

	if (addr->name[0] == '\0') {
		*why = "the host is missing (\"*\" means every address)";
		return false;
	}
	if (strcmp(addr->name, "*") == 0) {
		addr->kind = CN_ADDR_ANY;
		return true;
	}
	if (strchr(addr->name, ':') != NULL) {
		*why = "an IPv6 address needs brackets, as in [::1]:80";
		return false;
	}
	if (addr->name[strspn(addr->name, "0123456789.")] == '\0') {
		addr->kind = CN_ADDR_V4;
		*why = "this is not an IPv4 address";
		return inet_pton(AF_INET, addr->name, &v4) == 1;
	}
	addr->kind = CN_ADDR_HOST;
	*why = "this is not a host name";
	return is_name(addr->name);
}

/* Puts the address in its one canonical spelling; keeps the zone. */
static bool
parse_v6(struct cn_addr *addr, const char **why)
{
	char zone[IF_NAMESIZE + 1] = "";
	char *percent = strchr(addr->name, '%');
	struct in6_addr v6;
	size_t len;

	addr->kind = CN_ADDR_V6;
	if (percent != NULL) {
		len = strlen(percent + 1);
		if (len == 0 || len >= IF_NAMESIZE) {
			*why = "the zone after % is no interface's name";
			return false;
		}
		memcpy(zone, percent, len + 2);
		*percent = '\0';
	}
	if (inet_pton(AF_INET6, addr->name, &v6) != 1) {
		*why = "this is not an IPv6 address";
		return false;
	}
	inet_ntop(AF_INET6, &v6, addr->name, sizeof(addr->name));
	len = strlen(addr->name);
	memcpy(addr->name + len, zone, strlen(zone) + 1);
	return true;
}

static bool
parse_unix(const char *path, struct cn_addr *addr, const char **why)
{
	size_t len = strlen(path);

	if (path[0] != '/') {
		*why = "the path of a Unix socket must begin with /";
		return false;
	}
	if (len > CN_ADDR_PATH_MAX) {
		*why = "the path of a Unix socket has at most 107 bytes";
		return false;
	}
	addr->kind = CN_ADDR_UNIX;
	memcpy(addr->name, path, len + 1);
	return true;
}

static bool
parse_inet(const char *text, enum cn_addr_use use, struct cn_addr *addr,
    const char **why)
{
	bool is_bracketed = text[0] == '[';
	const char *host = is_bracketed ? text + 1 : text;
	const char *end = is_bracketed ? strchr(host, ']') : strrchr(host, ':');
	size_t len;

	if (end == NULL) {
		*why = is_bracketed ? "the closing bracket is missing"
				    : "the port is missing";
		return false;
	}
	if (is_bracketed && end[1] != ':') {
		*why = "a port must follow the bracket, as in [::1]:80";
		return false;
	}
	len = (size_t)(end - host);
	if (len > CN_ADDR_HOST_MAX) {
		*why = "a host name has at most 253 letters";
		return false;
	}
	memcpy(addr->name, host, len);
	addr->name[len] = '\0';
	if (is_bracketed ? !parse_v6(addr, why) : !parse_host(addr, why)) {
		return false;
	}
	if (addr->kind == CN_ADDR_ANY && use == CN_ADDR_TO_REACH) {
		*why = "\"*\" can be listened on, not reached";
		return false;
	}
	return parse_port(end + (is_bracketed ? 2 : 1), use, &addr->port, why);
}

int
cn_addr_parse(const char *text, enum cn_addr_use use, struct cn_addr *ret,
    const char **why)
{
	struct cn_addr addr = { .kind = CN_ADDR_HOST };
	const char *reason = "";
	bool is_fine;

	if (strncmp(text, "unix:", 5) == 0) {
		is_fine = parse_unix(text + 5, &addr, &reason);
	} else {
		is_fine = parse_inet(text, use, &addr, &reason);
	}
	if (!is_fine) {
		if (why != NULL) {
			*why = reason;
		}
		return CN_EINVAL;
	}
	*ret = addr;
	return CN_OK;
}

const char *
cn_addr_format(const struct cn_addr *addr, char *buf, size_t cap)
{
	switch (addr->kind) {
	case CN_ADDR_HOST:
	case CN_ADDR_V4:
	case CN_ADDR_ANY:
		snprintf(buf, cap, "%s:%u", addr->name, addr->port);
		break;
	case CN_ADDR_V6:
		snprintf(buf, cap, "[%s]:%u", addr->name, addr->port);
		break;
	case CN_ADDR_UNIX:
		snprintf(buf, cap, "unix:%s", addr->name);
		break;
	}
	return buf;
}

bool
cn_addr_equal(const struct cn_addr *a, const struct cn_addr *b)
{
	if (a->kind != b->kind || a->port != b->port) {
		return false;
	}
	if (a->kind == CN_ADDR_HOST) {
		return strcasecmp(a->name, b->name) == 0;
	}
	return strcmp(a->name, b->name) == 0;
}

/* The number of a zone given by an interface's name or by the number. */
static uint32_t
zone_index(const char *zone)
{
	uint32_t index = if_nametoindex(zone);

	if (index != 0 || zone[strspn(zone, "0123456789")] != '\0') {
		return index;
	}
	for (size_t i = 0; zone[i] != '\0' && i < 9; i++) {
		index = index * 10 + (uint32_t)(zone[i] - '0');
	}
	return index;
}

static int
v6_to_sockaddr(const struct cn_addr *addr, struct cn_sockaddr *sa)
{
	char host[CN_ADDR_HOST_MAX + 1];
	char *zone;

	snprintf(host, sizeof(host), "%s", addr->name);
	zone = strchr(host, '%');
	if (zone != NULL) {
		*zone = '\0';
		sa->u.v6.sin6_scope_id = zone_index(zone + 1);
		if (sa->u.v6.sin6_scope_id == 0) {
			return CN_EINVAL;
		}
	}
	return inet_pton(AF_INET6, host, &sa->u.v6.sin6_addr) == 1 ? CN_OK
								   : CN_EINVAL;
}

int
cn_addr_to_sockaddr(const struct cn_addr *addr, struct cn_sockaddr *ret)
{
	struct cn_sockaddr sa;
	int err = CN_OK;

	memset(&sa, 0, sizeof(sa));
	switch (addr->kind) {
	case CN_ADDR_HOST:
		return CN_ENOENT;
	case CN_ADDR_V4:
		sa.u.v4.sin_family = AF_INET;
		sa.u.v4.sin_port = htons(addr->port);
		sa.len = sizeof(sa.u.v4);
		if (inet_pton(AF_INET, addr->name, &sa.u.v4.sin_addr) != 1) {
			err = CN_EINVAL;
		}
		break;
	case CN_ADDR_ANY:
	case CN_ADDR_V6:
		sa.u.v6.sin6_family = AF_INET6;
		sa.u.v6.sin6_port = htons(addr->port);
		sa.len = sizeof(sa.u.v6);
		if (addr->kind == CN_ADDR_V6) {
			err = v6_to_sockaddr(addr, &sa);
		}
		break;
	case CN_ADDR_UNIX:
		sa.u.un.sun_family = AF_UNIX;
		memcpy(sa.u.un.sun_path, addr->name, strlen(addr->name) + 1);
		sa.len = sizeof(sa.u.un);
		break;
	}
	if (err == CN_OK) {
		*ret = sa;
	}
	return err;
}

static bool
is_mapped(const struct cn_sockaddr *sa)
{
	return sa->u.any.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_V4MAPPED(&sa->u.v6.sin6_addr);
}

static void
format_v6(const struct sockaddr_in6 *v6, bool with_port, char *buf, size_t cap)
{
	char host[INET6_ADDRSTRLEN] = "";
	char name[IF_NAMESIZE] = "";
	char zone[IF_NAMESIZE + 1] = "";

	inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
	if (v6->sin6_scope_id != 0) {
		if (if_indextoname(v6->sin6_scope_id, name) == NULL) {
			snprintf(name, sizeof(name), "%u", v6->sin6_scope_id);
		}
		snprintf(zone, sizeof(zone), "%%%s", name);
	}
	if (with_port) {
		snprintf(
		    buf, cap, "[%s%s]:%u", host, zone, ntohs(v6->sin6_port));
	} else {
		snprintf(buf, cap, "%s%s", host, zone);
	}
}

static void
format_v4(
    const void *in_addr, uint16_t port, bool with_port, char *buf, size_t cap)
{
	char host[INET_ADDRSTRLEN] = "";

	inet_ntop(AF_INET, in_addr, host, sizeof(host));
	if (with_port) {
		snprintf(buf, cap, "%s:%u", host, port);
	} else {
		snprintf(buf, cap, "%s", host);
	}
}

const char *
cn_sockaddr_format(
    const struct cn_sockaddr *sa, bool with_port, char *buf, size_t cap)
{
	size_t path;

	if (is_mapped(sa)) {
		format_v4(&sa->u.v6.sin6_addr.s6_addr[12],
		    ntohs(sa->u.v6.sin6_port), with_port, buf, cap);
	} else if (sa->u.any.sa_family == AF_INET6) {
		format_v6(&sa->u.v6, with_port, buf, cap);
	} else if (sa->u.any.sa_family == AF_INET) {
		format_v4(&sa->u.v4.sin_addr, ntohs(sa->u.v4.sin_port),
		    with_port, buf, cap);
	} else if (sa->u.any.sa_family == AF_UNIX &&
	    sa->len > offsetof(struct sockaddr_un, sun_path) &&
	    sa->u.un.sun_path[0] != '\0') {
		/* The kernel may leave out the terminator. */
		path = sa->len - offsetof(struct sockaddr_un, sun_path);
		snprintf(buf, cap, "unix:%.*s", (int)path, sa->u.un.sun_path);
	} else {
		snprintf(buf, cap, "unix");
	}
	return buf;
}

bool
cn_sockaddr_equal(const struct cn_sockaddr *a, const struct cn_sockaddr *b)
{
	char text_a[CN_ADDR_TEXT_MAX], text_b[CN_ADDR_TEXT_MAX];

	cn_sockaddr_format(a, true, text_a, sizeof(text_a));
	cn_sockaddr_format(b, true, text_b, sizeof(text_b));
	return strcmp(text_a, text_b) == 0;
}
