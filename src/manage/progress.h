/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_PROGRESS_H
#define CN_MANAGE_PROGRESS_H

/*
 * A bar on stderr while something takes long, and the wish to stop it.
 *
 * Nothing is shown where stderr is no terminal, nor in the first half second.
 * SIGINT and SIGTERM ask to stop once; a second one ends the program.
 *
 * Life:   begin, show as often as one likes, end.  One at a time.
 * Thread: main.
 */

#include <stdbool.h>
#include <stdint.h>

struct cn_progress {
	uint64_t begun_us, shown_us;
	bool is_live;  /* stderr is a terminal */
	bool has_line; /* something stands there */
};

void cn_progress_begin(struct cn_progress *progress);
/* At most ten times a second. */
void cn_progress_show(struct cn_progress *progress, const char *what,
    uint64_t done, uint64_t total, uint64_t wan);
/* Take the line away, for other words or for good. */
void cn_progress_clear(struct cn_progress *progress);
void cn_progress_end(struct cn_progress *progress);
/* Somebody asked to stop. */
bool cn_progress_is_stopped(void);

#endif /* CN_MANAGE_PROGRESS_H */
