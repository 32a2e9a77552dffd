/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CODEC_CODEC_H
#define CN_CODEC_CODEC_H

/*
 * The coders of one worker: zstd contexts for batches, and the capped pool
 * from which links take lane contexts.
 *
 * Life:   one for each worker; outlives every link of it.
 * Thread: its worker's only.
 * Limits: levels above 15 are refused with libzstd below 1.5.5, which can
 *         write damaged frames there.
 * Design: doc/DESIGN.md, "Codec".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct cn_codec;    /* opaque */
struct cn_lane_enc; /* opaque: one lane's sending context */
struct cn_lane_dec; /* opaque: one lane's receiving context */

/* Smallest window of a lane; the greatest is CN_LANE_WINDOW_LOG_MAX. */
#define CN_CODEC_WINDOW_LOG_MIN 10u

struct cn_codec_config {
	size_t contexts_bytes; /* cap on lane contexts, all links of a worker */
	unsigned lane_window_log; /* of lanes that we send, 10..20 */
	int lane_level;           /* of lanes that we send, 1..9 */
	/* CPU clock to measure coding by, nanoseconds; NULL: not measured
	 * (the simulation must not depend on real time). */
	uint64_t (*clock_ns)(void);
};

/* Returns CN_OK, CN_EINVAL when the config breaks a range, CN_ENOMEM. */
int cn_codec_create(
    const struct cn_codec_config *config, struct cn_codec **ret) CN_MUSTCHECK;
void cn_codec_free(struct cn_codec **cp);
/* The clock of the config; 0 always when it was NULL. */
uint64_t cn_codec_clock_ns(const struct cn_codec *codec);
/* The window of the lanes that we send, as configured. */
unsigned cn_codec_lane_window_log(const struct cn_codec *codec);
/* Bytes of lane contexts in use now. */
size_t cn_codec_contexts_bytes(const struct cn_codec *codec);

/* Highest level that this libzstd may be asked for. */
int cn_codec_level_max(void);

/* ---- batches: independent magicless zstd frames, no content size,
 *      checksum or dictionary id ---- */

/*
 * Bytes of prefix that pay for a batch at that level: more cost more time
 * than they save bytes.  Measured; doc/DESIGN.md, "Codec".
 *
 * @available  bytes of the stream that both ends keep before the batch
 *
 * Returns at most min(available, CN_BATCH_PREFIX_MAX); may be 0.
 */
size_t cn_codec_prefix_len(int level, size_t plain_len, size_t available);

/*
 * Code plain bytes of one stream.
 *
 * @prefix  the stream's bytes just before plain (may be NULL when len is 0);
 *          at most CN_BATCH_PREFIX_MAX
 * @cap     room in out; give less than plain_len to learn early that it
 *          does not pay
 * @ret     coded bytes, >= 1
 *
 * Fastest where the prefix stands right before plain in memory.
 *
 * Returns CN_OK; CN_ENOSPC when it would not fit in cap (send it raw);
 * CN_ENOMEM; CN_EINVAL for a level outside 1..cn_codec_level_max().
 */
int cn_codec_batch_encode(struct cn_codec *codec, int level,
    const uint8_t *prefix, size_t prefix_len, const uint8_t *plain,
    size_t plain_len, uint8_t *out, size_t cap, size_t *ret) CN_MUSTCHECK;

/*
 * Decode into exactly plain_len bytes; window and memory are bounded by
 * plain_len + prefix_len, whatever the frame claims.
 *
 * Fastest where the prefix stands right before out in memory.
 *
 * Returns CN_OK; CN_ECODING when it is no such frame or has another length;
 * CN_ENOMEM.
 */
int cn_codec_batch_decode(struct cn_codec *codec, const uint8_t *prefix,
    size_t prefix_len, const uint8_t *coded, size_t coded_len, uint8_t *out,
    size_t plain_len) CN_MUSTCHECK;

/* ---- lanes: one zstd stream, flushed at the end of every block ---- */

/*
 * A context owns its memory from here on: coding takes no more.
 * Returns CN_OK, CN_EBUSY when the pool's cap is reached, CN_ENOMEM.
 */
int cn_lane_enc_create(
    struct cn_codec *codec, struct cn_lane_enc **ret) CN_MUSTCHECK;
void cn_lane_enc_free(struct cn_lane_enc **lp);
/* Start over with an empty history (a new generation). */
void cn_lane_enc_restart(struct cn_lane_enc *lane);
/*
 * Code and flush one block's plain bytes.  @cap must be at least
 * cn_lane_enc_bound(plain_len), so that it cannot fail for want of room.
 * Returns CN_OK; anything else leaves the context unusable until restart.
 */
int cn_lane_enc_block(struct cn_lane_enc *lane, const uint8_t *plain,
    size_t plain_len, uint8_t *out, size_t cap, size_t *ret) CN_MUSTCHECK;
size_t cn_lane_enc_bound(size_t plain_len);

/*
 * @window_log  greatest that is accepted, 10..CN_LANE_WINDOW_LOG_MAX
 * Returns as above, and CN_EINVAL for another window_log.
 */
int cn_lane_dec_create(struct cn_codec *codec, unsigned window_log,
    struct cn_lane_dec **ret) CN_MUSTCHECK;
void cn_lane_dec_free(struct cn_lane_dec **lp);
void cn_lane_dec_restart(struct cn_lane_dec *lane);
/*
 * Decode one block into exactly plain_len bytes.
 *
 * Returns CN_OK; CN_ECODING or CN_ENOMEM, and the context is unusable (each
 * further block is CN_ECODING) until restart.
 */
int cn_lane_dec_block(struct cn_lane_dec *lane, const uint8_t *coded,
    size_t coded_len, uint8_t *out, size_t plain_len) CN_MUSTCHECK;

#endif /* CN_CODEC_CODEC_H */
