/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

/* Stands at the end of what had to be cut. */
#define CUT_MARK "..."

static const struct {
	const char *name;
	int priority; /* of syslog */
} levels[] = {
	[CN_LOG_ERROR] = { "error", 3 },
	[CN_LOG_WARN] = { "warn", 4 },
	[CN_LOG_INFO] = { "info", 6 },
	[CN_LOG_DEBUG] = { "debug", 7 },
};

static _Atomic int log_level = CN_LOG_WARN;
static _Atomic uint64_t log_dropped;

/* Where it goes; the lock keeps lines whole. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = STDERR_FILENO;
static bool is_socket;
static bool is_journal;
static bool is_torn; /* the last line was written in part only */

void
cn_log_open(enum cn_log_level level, int fd, bool journal_prefix)
{
	struct stat st;

	cn_log_set_level(level);
	(void)pthread_mutex_lock(&lock);
	log_fd = fd;
	is_journal = journal_prefix;
	is_socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
	is_torn = false;
	(void)pthread_mutex_unlock(&lock);
}

void
cn_log_set_level(enum cn_log_level level)
{
	assert(level < CN_ARRAY_LEN(levels));
	atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

bool
cn_log_is_on(enum cn_log_level level)
{
	return (int)level <=
	    atomic_load_explicit(&log_level, memory_order_relaxed);
}

const char *
cn_log_level_name(enum cn_log_level level)
{
	assert(level < CN_ARRAY_LEN(levels));
	return levels[level].name;
}

int
cn_log_level_parse(const char *name, enum cn_log_level *ret)
{
	for (size_t i = 0; i < CN_ARRAY_LEN(levels); i++) {
		if (strcmp(name, levels[i].name) == 0) {
			*ret = (enum cn_log_level)i;
			return CN_OK;
		}
	}
	return CN_EINVAL;
}

/* Whether a write of one line will neither wait nor raise SIGPIPE. */
static bool
can_write(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	int n;

	do {
		n = poll(&pfd, 1, 0);
	} while (n < 0 && errno == EINTR);
	return n == 1 && (pfd.revents & POLLOUT) != 0 &&
	    (pfd.revents & (POLLERR | POLLNVAL)) == 0;
}

/*
 * Write bytes if that is possible at once.  A pipe that is writable takes a
 * whole line, which is not longer than PIPE_BUF, without waiting.
 */
static ssize_t
write_now(const char *bytes, size_t len)
{
	ssize_t n;

	do {
		if (is_socket) {
			n = send(
			    log_fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		} else if (can_write(log_fd)) {
			n = write(log_fd, bytes, len);
		} else {
			return -1;
		}
	} while (n < 0 && errno == EINTR);
	return n;
}

/* Write a line, or drop and count it. */
static void
put_line(const char *line, size_t len)
{
	int saved = errno;
	bool is_written = false;

	/* End what a full disk or socket cut, before the next begins. */
	if (is_torn && write_now("\n", 1) == 1) {
		is_torn = false;
	}
	if (!is_torn) {
		ssize_t n = write_now(line, len);

		is_written = n == (ssize_t)len;
		is_torn = n > 0 && !is_written;
	}
	if (!is_written) {
		atomic_fetch_add_explicit(
		    &log_dropped, 1, memory_order_relaxed);
	}
	errno = saved;
}

/* The time, or the priority for the journal, which has its own time. */
static size_t
put_prefix(char *line, size_t cap, enum cn_log_level level)
{
	uint64_t now;
	time_t seconds;
	struct tm tm;
	int n;

	if (is_journal) {
		n = snprintf(line, cap, "<%d>", levels[level].priority);
		return (size_t)n;
	}
	now = cn_clock_wall_us();
	seconds = (time_t)(now / 1000000);
	if (gmtime_r(&seconds, &tm) == NULL) {
		tm = (struct tm){ 0 };
	}
	n = snprintf(line, cap, "%04d-%02d-%02dT%02d:%02d:%02d.%06uZ ",
	    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
	    tm.tm_sec, (unsigned int)(now % 1000000));
	return (size_t)n;
}

/* No line may end early or speak to a terminal. */
static void
tame(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7f) {
			text[i] = '?';
		}
	}
}

/* Add what snprintf() said it wrote, cutting at the end of the line. */
static size_t
advance(char *line, size_t len, size_t cap, int n)
{
	if (n < 0) {
		return len;
	}
	if ((size_t)n < cap - len) {
		return len + (size_t)n;
	}
	memcpy(line + cap - sizeof(CUT_MARK), CUT_MARK, sizeof(CUT_MARK));
	return cap - 1;
}

void
cn_log_write(enum cn_log_level level, const char *event, const char *fmt, ...)
{
	char line[CN_LOG_LINE_MAX + 1]; /* the newline takes the NUL's place */
	const size_t cap = sizeof(line) - 1;
	size_t prefix, len;
	va_list args;

	if (!cn_log_is_on(level)) {
		return;
	}
	assert(level < CN_ARRAY_LEN(levels));
	(void)pthread_mutex_lock(&lock);
	prefix = put_prefix(line, cap, level);
	len = advance(line, prefix, cap,
	    snprintf(line + prefix, cap - prefix, "%s %s ", levels[level].name,
		event));
	va_start(args, fmt);
	len = advance(
	    line, len, cap, vsnprintf(line + len, cap - len, fmt, args));
	va_end(args);
	while (len > prefix && line[len - 1] == ' ') {
		len--;
	}
	tame(line + prefix, len - prefix);
	line[len++] = '\n';
	put_line(line, len);
	(void)pthread_mutex_unlock(&lock);
}

/* Plain: readable by every tool without quotes. */
static bool
is_plain(const char *text)
{
	if (text[0] == '\0' || strcmp(text, "-") == 0) {
		return false;
	}
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' ||
		    c == '=') {
			return false;
		}
	}
	return true;
}

/* The escape of one byte; returns its length. */
static size_t
escape(char out[5], unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char special[] = "\"\\\n\r\t";
	static const char letters[] = "\"\\nrt";
	const char *at = c == '\0' ? NULL : strchr(special, c);

	if (at != NULL) {
		out[0] = '\\';
		out[1] = letters[at - special];
		return 2;
	}
	if (c >= 0x20 && c < 0x7f) {
		out[0] = (char)c;
		return 1;
	}
	out[0] = '\\';
	out[1] = 'x';
	out[2] = hex[c >> 4];
	out[3] = hex[c & 15];
	return 4;
}

const char *
cn_log_quote(char *buf, size_t cap, const char *text)
{
	size_t len = 0;

	assert(cap >= 8);
	if (text == NULL) {
		memcpy(buf, "-", 2);
		return buf;
	}
	if (strlen(text) < cap && is_plain(text)) {
		memcpy(buf, text, strlen(text) + 1);
		return buf;
	}
	buf[len++] = '"';
	for (; *text != '\0'; text++) {
		char out[5];
		size_t n = escape(out, (unsigned char)*text);

		/* Leave room for the mark, the quote and the NUL. */
		if (len + n + sizeof(CUT_MARK) + 1 > cap) {
			memcpy(buf + len, CUT_MARK, strlen(CUT_MARK));
			len += strlen(CUT_MARK);
			break;
		}
		memcpy(buf + len, out, n);
		len += n;
	}
	buf[len++] = '"';
	buf[len] = '\0';
	return buf;
}

uint64_t
cn_log_dropped(void)
{
	return atomic_load_explicit(&log_dropped, memory_order_relaxed);
}

bool
cn_log_limited(struct cn_log_limit *limit, uint64_t now_us)
{
	if (now_us < limit->next_us) {
		limit->waiting++;
		return true;
	}
	limit->next_us = now_us +
	    (limit->interval_us == 0 ? CN_LOG_LIMIT_US : limit->interval_us);
	limit->left_out = limit->waiting;
	limit->waiting = 0;
	return false;
}
