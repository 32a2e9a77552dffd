/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BASE_LOG_H
#define CN_BASE_LOG_H

/*
 * The log: one line for each event, made of key=value pairs, written to one
 * descriptor.
 *
 *   2026-11-22T22:39:53.123456Z info carrier-up peer=tokyo slot=0
 *   <6>info carrier-up peer=tokyo slot=0                 (under journald)
 *
 * Logging never fails, waits for a reader or kills the caller: a line that
 * cannot be written now is dropped and counted.  Control characters in a
 * line become '?'; texts that others chose go through CN_LOG_STR().
 *
 * Life:   cn_log_open() at start; until then errors and warnings go to
 *         standard error.
 * Thread: any.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum cn_log_level {
	CN_LOG_ERROR,
	CN_LOG_WARN,
	CN_LOG_INFO,
	CN_LOG_DEBUG,
};

/* Longest line with its newline; what is longer is cut and marked. */
#define CN_LOG_LINE_MAX 4096u
/* Room for a quoted text, NUL included; what is longer is cut and marked. */
#define CN_LOG_QUOTED_MAX 320u
/* A limit's interval when it says none: a line a minute. */
#define CN_LOG_LIMIT_US UINT64_C(60000000)

/*
 * Say where the log goes.
 *
 * @level           least important that is still written
 * @fd              borrowed; open while anything may log
 * @journal_prefix  begin each line with its syslog priority, without time
 */
void cn_log_open(enum cn_log_level level, int fd, bool journal_prefix);
/* Change the level alone, as a reload does. */
void cn_log_set_level(enum cn_log_level level);
bool cn_log_is_on(enum cn_log_level level);

/* "error", "warn", "info", "debug". */
const char *cn_log_level_name(enum cn_log_level level);
/* The level of that name.  Returns CN_OK or CN_EINVAL. */
int cn_log_level_parse(const char *name, enum cn_log_level *ret) CN_MUSTCHECK;

/* Write a line; use CN_LOG(), which skips the arguments of unwanted ones. */
void cn_log_write(enum cn_log_level level, const char *event, const char *fmt,
    ...) CN_PRINTF(3, 4);

/*
 * CN_LOG(CN_LOG_INFO, "carrier-up", "peer=%s slot=%u", name, slot);
 * The event is words joined by '-'.  fmt may be "%s", "" for no pairs.
 */
#define CN_LOG(level, event, ...)                                              \
	do {                                                                   \
		if (cn_log_is_on(level)) {                                     \
			cn_log_write(level, event, __VA_ARGS__);               \
		}                                                              \
	} while (0)

/*
 * Write text as a value: as it is when it is plain, else in double quotes
 * with \", \\, \n, \r, \t and \xNN.
 *
 * @cap   room in buf, at least 8
 * @text  NULL gives -
 *
 * Returns buf.
 */
const char *cn_log_quote(char *buf, size_t cap, const char *text);

/* The same in an argument of CN_LOG(); lives until the block ends. */
#define CN_LOG_STR(text)                                                       \
	cn_log_quote((char[CN_LOG_QUOTED_MAX]){ 0 }, CN_LOG_QUOTED_MAX, text)

/* Lines that could not be written since the start. */
uint64_t cn_log_dropped(void);

/*
 * Keeps an event from filling the log; one for each kind of event and
 * thread.  Zeroed: a line a minute.
 */
struct cn_log_limit {
	uint64_t interval_us; /* 0: CN_LOG_LIMIT_US */
	uint64_t next_us;     /* when the next line may go */
	uint64_t waiting;     /* left out since the last line */
	uint64_t left_out;    /* left out before the line that may go now */
};

/*
 * Whether to leave this line out.  On false, limit->left_out tells how many
 * were left out before it, so that the line can say so.
 */
bool cn_log_limited(struct cn_log_limit *limit, uint64_t now_us);

#endif /* CN_BASE_LOG_H */
