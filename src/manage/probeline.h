/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_PROBELINE_H
#define CN_MANAGE_PROBELINE_H

/*
 * A stream to one of the ends that every gateway has by itself (/echo, /sink,
 * /source/N), for commands that test the path to a peer.
 *
 * Life:   cn_probeline_open(), moves, cn_probeline_end(),
 *         cn_probeline_close() in any case.
 * Thread: main.
 * Time:   every wait ends after CN_PROBELINE_STALL_US without a byte.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/snapshot.h"
#include "manage/ask.h"

#define CN_PROBELINE_STALL_US UINT64_C(30000000)

struct cn_probeline {
	struct cn_ask ask; /* its own: the gateway wants one for each */
	int fd;            /* -1 */
	bool is_cut;       /* reset, or nothing moved for too long */
};

/*
 * Open a stream.
 *
 * @service    "/echo"
 * @is_stored  both sides may keep its bytes
 *
 * On failure the words are on stderr already.
 */
enum cn_exit cn_probeline_open(struct cn_probeline *line,
    const struct cn_args *args, const char *peer, const char *service,
    bool is_stored);

/* Send all; false: is_cut. */
bool cn_probeline_send(
    struct cn_probeline *line, const uint8_t *bytes, size_t len);
/* Receive exactly len bytes, or to the end: *got tells; false: is_cut. */
bool cn_probeline_receive(
    struct cn_probeline *line, uint8_t *bytes, size_t len, size_t *got);
/* Nothing more is sent. */
void cn_probeline_finish(struct cn_probeline *line);

/* Once both ways have ended: what the gateway has to say of it. */
enum cn_exit cn_probeline_end(
    struct cn_probeline *line, struct cn_snap_warm *ret);
void cn_probeline_close(struct cn_probeline *line);

#endif /* CN_MANAGE_PROBELINE_H */
