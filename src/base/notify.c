/* SPDX-License-Identifier: Apache-2.0 */
#include "base/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

static struct sockaddr_un where;
static socklen_t where_len;
static uint64_t interval_us;

static uint64_t
number(const char *text)
{
	unsigned long long value;
	char *end;

	if (text == NULL) {
		return 0;
	}
	errno = 0;
	value = strtoull(text, &end, 10);
	return errno != 0 || *end != '\0' || end == text ? 0 : value;
}

void
cn_notify_init(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	const char *pid = getenv("WATCHDOG_PID");
	size_t len = path != NULL ? strlen(path) : 0;

	if (len < 2 || len >= sizeof(where.sun_path) ||
	    (path[0] != '/' && path[0] != '@')) {
		return;
	}
	where.sun_family = AF_UNIX;
	memcpy(where.sun_path, path, len);
	if (path[0] == '@') {
		where.sun_path[0] = '\0'; /* an abstract name */
	}
	where_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (pid == NULL || number(pid) == (uint64_t)getpid()) {
		/* Twice in each interval, as the manual asks. */
		interval_us = number(getenv("WATCHDOG_USEC")) / 2;
	}
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

static void
say(const char *text)
{
	int fd;

	if (where_len == 0) {
		return;
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return;
	}
	/* Who does not listen is not told. */
	(void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL,
	    (const struct sockaddr *)&where, where_len);
	(void)close(fd);
}

void
cn_notify_ready(void)
{
	say("READY=1\nSTATUS=Running");
}

void
cn_notify_reloading(void)
{
	char text[80];

	(void)snprintf(text, sizeof(text),
	    "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reloading",
	    (unsigned long long)cn_clock_us());
	say(text);
}

void
cn_notify_stopping(void)
{
	say("STOPPING=1\nSTATUS=Draining");
}

void
cn_notify_alive(void)
{
	say("WATCHDOG=1");
}

uint64_t
cn_notify_interval_us(void)
{
	return interval_us;
}
