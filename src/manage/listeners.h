/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_LISTENERS_H
#define CN_MANAGE_LISTENERS_H

/*
 * Who listens on a port of this host, from /proc.
 *
 * Thread: any.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

/* Listeners that are shown; more are counted only. */
#define CN_LISTENERS_MAX 256u
#define CN_LISTENERS_LINE_MAX 512u

struct cn_listener {
	bool is_udp, is_v6;
	uint16_t port;
	uint8_t address[16]; /* network order; IPv4: the first four */
	uid_t uid;
	uint64_t inode;
	pid_t pid;        /* 0: not found */
	char program[64]; /* as the process calls itself; "" */
	char path[256];   /* of its executable; "" */
	char user[64];    /* name or number */
};

struct cn_listeners {
	struct cn_listener item[CN_LISTENERS_MAX];
	size_t count;
	bool is_cut;    /* there were more */
	bool is_denied; /* not all processes may be looked into */
};

/* One line of /proc/net/tcp and so on: true when it is a listener. */
bool cn_listeners_line(
    const char *line, bool is_udp, bool is_v6, struct cn_listener *ret);

/* All listeners on these ports, with their processes.  Returns CN_OK, or the
 * error of /proc. */
int cn_listeners_find(
    const uint16_t *ports, size_t count, struct cn_listeners *ret) CN_MUSTCHECK;

/* "0.0.0.0:3", "[::]:3" */
void cn_listeners_address(
    const struct cn_listener *listener, char *out, size_t size);

#endif /* CN_MANAGE_LISTENERS_H */
