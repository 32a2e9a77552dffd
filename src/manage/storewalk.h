/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_STOREWALK_H
#define CN_MANAGE_STOREWALK_H

/*
 * Going through a gateway's store, step by step, with a line of progress on
 * the terminal.
 *
 * Life:   open, steps, close; sum stays after close.
 * Thread: main.
 */

#include "manage/ask.h"

struct cn_storewalk {
	struct cn_ask ask;
	const char *what; /* "verified"; borrowed */
	uint64_t total;   /* segments there were; 0: unknown */
	struct cn_snap_walk sum;
	bool has_line; /* of progress, on the terminal */
};

/* Connect, and ask how many segments there are.  Words for what goes wrong
 * are on stderr. */
enum cn_exit cn_storewalk_open(
    struct cn_storewalk *walk, const struct cn_args *args, const char *what);
void cn_storewalk_close(struct cn_storewalk *walk);

/*
 * One step; moves request->cursor to the next one, 0 after the last.
 *
 * @payload  request->payload bytes, or NULL
 * @bytes    NULL, or set to what came behind the reply, *len bytes; until the
 *           next step
 */
enum cn_exit cn_storewalk_step(struct cn_storewalk *walk,
    struct cn_request *request, const uint8_t *payload, const uint8_t **bytes,
    size_t *len);

/* The sum as JSON on stdout. */
enum cn_exit cn_storewalk_print(const struct cn_snap_walk *sum);

#endif /* CN_MANAGE_STOREWALK_H */
