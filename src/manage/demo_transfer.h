/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_DEMO_TRANSFER_H
#define CN_MANAGE_DEMO_TRANSFER_H

/*
 * Senders and a receiver that agree on every byte.
 *
 * A sender connects, writes its piece and half-closes.  The receiver counts
 * and digests (SHA-256) what comes; at the end of file it answers with its
 * count and digest, and the sender compares both with its own.  So a piece
 * is exact only if the half-close and the answer came through as well.
 *
 * Life:       a sink is opened once and serves all transfers; a transfer is
 *             started, watched by its owner's loop and cancelled or, once
 *             done, freed.
 * Thread:     the loop's.
 * Invariants: never more than one write of CHUNK bytes is queued for each
 *             sender.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/attr.h"

#define CN_DEMO_SENDERS_MAX 16u

struct cn_demo_sink;     /* opaque */
struct cn_demo_transfer; /* opaque */

/* Listen on 127.0.0.1 for senders. */
int cn_demo_sink_open(uv_loop_t *loop, struct cn_demo_sink **ret) CN_MUSTCHECK;
/* Clears *@sp; closes in the loop, which then frees; NULL is fine. */
void cn_demo_sink_close(struct cn_demo_sink **sp);
uint16_t cn_demo_sink_port(const struct cn_demo_sink *sink);
/* Bytes that all senders together have brought. */
uint64_t cn_demo_sink_bytes(const struct cn_demo_sink *sink);

struct cn_demo_transfer_config {
	uint16_t port;       /* on 127.0.0.1 */
	const uint8_t *data; /* borrowed until it is freed */
	size_t len;
	unsigned senders; /* pieces, one connection each */
	uint64_t pace_us; /* 0: as fast as it goes; else spread over so long */
};

int cn_demo_transfer_start(uv_loop_t *loop,
    const struct cn_demo_transfer_config *config,
    struct cn_demo_transfer **ret) CN_MUSTCHECK;
/* Stop and free, in the loop; clears *@tp; NULL is fine. */
void cn_demo_transfer_close(struct cn_demo_transfer **tp);

/* All senders have finished, well or badly. */
bool cn_demo_transfer_is_done(const struct cn_demo_transfer *transfer);
/* Done, and every piece was exact. */
bool cn_demo_transfer_is_exact(const struct cn_demo_transfer *transfer);
/* Why it is not: static words; "" if it is. */
const char *cn_demo_transfer_error(const struct cn_demo_transfer *transfer);
/* From the start to the last answer, or until now. */
uint64_t cn_demo_transfer_us(const struct cn_demo_transfer *transfer);

#endif /* CN_MANAGE_DEMO_TRANSFER_H */
