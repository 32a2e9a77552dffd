/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/err.h"
#include "codec/codec.h"
#include "codec/context.h"
#include "wire/limits.h"

struct cn_lane_enc {
	struct cn_codec *codec; /* borrowed; outlives the lane */
	ZSTD_CCtx *ctx;         /* owned */
	size_t accounted;       /* bytes taken from the codec's cap */
	bool is_broken;         /* until restart */
};

struct cn_lane_dec {
	struct cn_codec *codec; /* borrowed; outlives the lane */
	ZSTD_DCtx *ctx;         /* owned */
	size_t accounted;       /* bytes taken from the codec's cap */
	size_t window_max;      /* bytes */
	bool is_started;        /* the frame header was seen */
	bool is_broken;         /* until restart */
};

/* No search table needs more slots than twice the window's bytes, and none
 * is worth more than 2 MiB of a lane. */
#define TABLE_LOG_MAX 19u

/* zstd's own choice, with tables that fit the window: it narrows them only
 * where it knows the whole length. */
static ZSTD_compressionParameters
enc_params(const struct cn_codec_config *config)
{
	ZSTD_compressionParameters params =
	    ZSTD_getCParams(config->lane_level, 0, 0);
	unsigned log = CN_MIN(config->lane_window_log + 1, TABLE_LOG_MAX);

	params.windowLog = config->lane_window_log;
	params.hashLog = CN_MIN(params.hashLog, log);
	params.chainLog = CN_MIN(params.chainLog, log);
	return ZSTD_adjustCParams(params, 0, 0);
}

static void
enc_set_params(ZSTD_CCtx *ctx, const struct cn_codec_config *config)
{
	ZSTD_compressionParameters own = enc_params(config);
	const struct {
		ZSTD_cParameter name;
		int value;
	} params[] = {
		{ ZSTD_c_compressionLevel, config->lane_level },
		{ ZSTD_c_windowLog, (int)own.windowLog },
		{ ZSTD_c_hashLog, (int)own.hashLog },
		{ ZSTD_c_chainLog, (int)own.chainLog },
		{ ZSTD_c_format, ZSTD_f_zstd1_magicless },
		{ ZSTD_c_contentSizeFlag, 0 },
		{ ZSTD_c_checksumFlag, 0 },
		{ ZSTD_c_dictIDFlag, 0 },
	};

	for (size_t i = 0; i < CN_ARRAY_LEN(params); i++) {
		size_t result = ZSTD_CCtx_setParameter(
		    ctx, params[i].name, params[i].value);

		assert(!ZSTD_isError(result)); /* config was checked */
	}
}

/*
 * zstd takes a context's memory with its first bytes: code nothing, so that
 * want of it shows here and never in the middle of a lane.
 */
static int
enc_prepare(struct cn_lane_enc *lane)
{
	ZSTD_inBuffer from = { NULL, 0, 0 };
	ZSTD_outBuffer to = { NULL, 0, 0 };

	lane->ctx = ZSTD_createCCtx_advanced(cn_context_memory);
	if (lane->ctx == NULL) {
		return CN_ENOMEM;
	}
	enc_set_params(lane->ctx, &lane->codec->config);

	size_t result =
	    ZSTD_compressStream2(lane->ctx, &to, &from, ZSTD_e_flush);

	return ZSTD_isError(result) ? cn_context_error(result) : CN_OK;
}

int
cn_lane_enc_create(struct cn_codec *codec, struct cn_lane_enc **ret)
{
	size_t bytes =
	    ZSTD_estimateCStreamSize_usingCParams(enc_params(&codec->config));
	struct cn_lane_enc *lane = cn_calloc(1, sizeof(*lane));

	if (lane == NULL) {
		return CN_ENOMEM;
	}
	lane->codec = codec;

	int err = cn_context_take(codec, bytes);

	if (err != CN_OK) {
		goto fail;
	}
	lane->accounted = bytes;
	err = enc_prepare(lane);
	if (err != CN_OK) {
		goto fail;
	}
	*ret = lane;
	return CN_OK;
fail:
	cn_lane_enc_free(&lane);
	return err;
}

void
cn_lane_enc_free(struct cn_lane_enc **lp)
{
	struct cn_lane_enc *lane = *lp;

	*lp = NULL;
	if (lane == NULL) {
		return;
	}
	ZSTD_freeCCtx(lane->ctx);
	cn_context_give(lane->codec, lane->accounted);
	cn_free(lane);
}

void
cn_lane_enc_restart(struct cn_lane_enc *lane)
{
	size_t result = ZSTD_CCtx_reset(lane->ctx, ZSTD_reset_session_only);

	assert(!ZSTD_isError(result));
	lane->is_broken = false;
}

size_t
cn_lane_enc_bound(size_t plain_len)
{
	/* The header, and a block that may be cut in two by the end of
	 * zstd's input ring; with this room it codes without a copy. */
	return CN_CONTEXT_HEAD_LEN + ZSTD_compressBound(plain_len) +
	    ZSTD_compressBound(0);
}

int
cn_lane_enc_block(struct cn_lane_enc *lane, const uint8_t *plain,
    size_t plain_len, uint8_t *out, size_t cap, size_t *ret)
{
	ZSTD_inBuffer from = { plain, plain_len, 0 };
	ZSTD_outBuffer to = { out, cap, 0 };

	assert(plain_len >= 1 && plain_len <= CN_LANE_PLAIN_MAX);
	assert(cap >= cn_lane_enc_bound(plain_len));
	if (lane->is_broken) {
		return CN_ECODING;
	}

	size_t left = ZSTD_compressStream2(lane->ctx, &to, &from, ZSTD_e_flush);

	if (ZSTD_isError(left) || left != 0 || from.pos != plain_len) {
		lane->is_broken = true;
		return ZSTD_isError(left) ? cn_context_error(left) : CN_ECODING;
	}
	*ret = to.pos;
	return CN_OK;
}

int
cn_lane_dec_create(
    struct cn_codec *codec, unsigned window_log, struct cn_lane_dec **ret)
{
	struct cn_lane_dec *lane = NULL;
	int err = CN_ENOMEM;

	if (window_log < CN_CODEC_WINDOW_LOG_MIN ||
	    window_log > CN_LANE_WINDOW_LOG_MAX) {
		return CN_EINVAL;
	}
	lane = cn_calloc(1, sizeof(*lane));
	if (lane == NULL) {
		return CN_ENOMEM;
	}
	lane->codec = codec;
	lane->window_max = (size_t)1 << window_log;

	size_t bytes = ZSTD_estimateDStreamSize(lane->window_max);

	err = cn_context_take(codec, bytes);
	if (err != CN_OK) {
		goto fail;
	}
	lane->accounted = bytes;
	err = CN_ENOMEM;
	lane->ctx = ZSTD_createDCtx_advanced(cn_context_memory);
	if (lane->ctx == NULL ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(
		lane->ctx, ZSTD_d_format, ZSTD_f_zstd1_magicless)) ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(
		lane->ctx, ZSTD_d_windowLogMax, (int)window_log))) {
		goto fail;
	}
	*ret = lane;
	return CN_OK;
fail:
	cn_lane_dec_free(&lane);
	return err;
}

void
cn_lane_dec_free(struct cn_lane_dec **lp)
{
	struct cn_lane_dec *lane = *lp;

	*lp = NULL;
	if (lane == NULL) {
		return;
	}
	ZSTD_freeDCtx(lane->ctx);
	cn_context_give(lane->codec, lane->accounted);
	cn_free(lane);
}

void
cn_lane_dec_restart(struct cn_lane_dec *lane)
{
	size_t result = ZSTD_DCtx_reset(lane->ctx, ZSTD_reset_session_only);

	assert(!ZSTD_isError(result));
	lane->is_started = false;
	lane->is_broken = false;
}

/* Whole zstd blocks, none the last; the first after a header of ours. */
static bool
piece_is_legal(const struct cn_lane_dec *lane, const uint8_t *coded, size_t len)
{
	if (!lane->is_started) {
		if (!cn_context_head_is_legal(coded, len, lane->window_max)) {
			return false;
		}
		coded += CN_CONTEXT_HEAD_LEN;
		len -= CN_CONTEXT_HEAD_LEN;
	}
	return cn_context_blocks_are_whole(coded, len, false);
}

/* Run zstd until it moves no more; its error or 0. */
static size_t
dec_run(ZSTD_DCtx *ctx, ZSTD_outBuffer *to, ZSTD_inBuffer *from)
{
	for (;;) {
		size_t had = from->pos + to->pos;
		size_t result = ZSTD_decompressStream(ctx, to, from);

		if (ZSTD_isError(result)) {
			return result;
		}
		if (to->pos == to->size || from->pos + to->pos == had) {
			return 0;
		}
	}
}

int
cn_lane_dec_block(struct cn_lane_dec *lane, const uint8_t *coded,
    size_t coded_len, uint8_t *out, size_t plain_len)
{
	uint8_t extra;
	ZSTD_inBuffer from = { coded, coded_len, 0 };
	ZSTD_outBuffer to = { out, plain_len, 0 };
	ZSTD_outBuffer past = { &extra, 1, 0 };

	assert(plain_len >= 1 && plain_len <= CN_LANE_PLAIN_MAX);
	if (lane->is_broken || !piece_is_legal(lane, coded, coded_len)) {
		lane->is_broken = true;
		return CN_ECODING;
	}

	/* zstd may take all input and hold back what found no room: what
	 * still comes when there is room for one more was too much. */
	size_t result = dec_run(lane->ctx, &to, &from);

	if (!ZSTD_isError(result)) {
		result = dec_run(lane->ctx, &past, &from);
	}
	if (ZSTD_isError(result) || from.pos != coded_len ||
	    to.pos != plain_len || past.pos != 0) {
		lane->is_broken = true;
		return ZSTD_isError(result) &&
			cn_context_error(result) == CN_ENOMEM
		    ? CN_ENOMEM
		    : CN_ECODING;
	}
	lane->is_started = true;
	return CN_OK;
}
