/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_GOLDEN_BLOCK_H
#define CN_TESTS_GOLDEN_BLOCK_H

/*
 * Blocks of a golden capture: their bytes and what they mean.
 */

#include <stddef.h>
#include <stdint.h>

#define ZSTD_STATIC_LINKING_ONLY /* for the magicless format */
#include <zstd.h>

#include "golden_capture.h"
#include "wire/block.h"
#include "wire/refs.h"

/* One sending lane. */
struct lane {
	ZSTD_CCtx *ctx;
	uint64_t id, generation, sequence;
};

/* A lane block that is not coded; is_verified as for capture_frames(). */
void add_raw_block(struct capture *c, const struct cn_frame *frames,
    size_t count, const char *is_verified);

/* Start, or start over with a higher generation. */
void lane_start(struct lane *lane, uint64_t id, uint64_t generation);

/*
 * A coded lane block of raw_count raw frames, then coded ones.
 *
 * @fate  NULL: it arrives well; "hash": its hash is damaged; "dropped": its
 *        lane failed before
 */
void add_coded_block(struct capture *c, struct lane *lane,
    const struct cn_frame *frames, size_t raw_count, size_t count,
    const char *fate);

struct batch {
	struct cn_batch_head head;
	/* What it refers to; NULL: nothing. */
	struct cn_refs *refs;
	const struct cn_ref_op *op; /* its copies */
	size_t ops;
	const uint8_t *prefix; /* NULL: the bytes of the stream before it */
	const char *nack;      /* NULL: it arrives well */
	/* Set by batch_begin(). */
	uint8_t ext[CN_BATCH_EXT_MAX]; /* of refs */
	uint8_t *body;                 /* owned: coded bytes */
	size_t sent;
	unsigned fragments;
	unsigned block;
};

/*
 * Begin a batch of bytes[offset, offset + len) of a stream; sends its first
 * fragment with at most `first' coded bytes.
 */
void batch_begin(struct capture *c, struct batch *b, const uint8_t *bytes,
    size_t len, size_t first);
/* One MORE fragment of at most so many bytes. */
void batch_more(struct capture *c, struct batch *b, size_t most);
/* The rest, and what all of it means. */
void batch_end(struct capture *c, struct batch *b, const uint8_t *bytes);
/* A batch without anything between its fragments. */
void add_batch(struct capture *c, const struct batch *batch,
    const uint8_t *bytes, size_t len);

/* Bytes that compress well, the same for each length.  Owned by the caller. */
uint8_t *words(size_t len);

/* The capture of what refers to the logs. */
void make_references(const char *folder);

#endif /* CN_TESTS_GOLDEN_BLOCK_H */
