/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"

#include <assert.h>
#include <zstd_errors.h>

#include "base/alloc.h"
#include "base/err.h"
#include "codec/context.h"
#include "wire/limits.h"

/* libzstd below 1.5.5 can write damaged frames above level 15. */
#define ZSTD_VERSION_HIGH_LEVELS 10505u
#define LEVEL_MAX_OLD 15
#define LEVEL_MAX_NEW 19

static void *
memory_alloc(void *opaque, size_t size)
{
	(void)opaque;
	return cn_alloc(size);
}

static void
memory_free(void *opaque, void *address)
{
	(void)opaque;
	cn_free(address);
}

const ZSTD_customMem cn_context_memory = {
	.customAlloc = memory_alloc,
	.customFree = memory_free,
	.opaque = NULL,
};

int
cn_codec_level_max(void)
{
	return ZSTD_versionNumber() < ZSTD_VERSION_HIGH_LEVELS ? LEVEL_MAX_OLD
							       : LEVEL_MAX_NEW;
}

static bool
config_is_legal(const struct cn_codec_config *config)
{
	return config->lane_window_log >= CN_CODEC_WINDOW_LOG_MIN &&
	    config->lane_window_log <= CN_LANE_WINDOW_LOG_MAX &&
	    config->lane_level >= 1 &&
	    config->lane_level <= cn_codec_level_max();
}

int
cn_codec_create(const struct cn_codec_config *config, struct cn_codec **ret)
{
	if (!config_is_legal(config)) {
		return CN_EINVAL;
	}

	struct cn_codec *codec = cn_calloc(1, sizeof(*codec));

	if (codec == NULL) {
		return CN_ENOMEM;
	}
	codec->config = *config;
	codec->enc = ZSTD_createCCtx_advanced(cn_context_memory);
	codec->dec = ZSTD_createDCtx_advanced(cn_context_memory);
	if (codec->enc == NULL || codec->dec == NULL ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(
		codec->dec, ZSTD_d_format, ZSTD_f_zstd1_magicless))) {
		goto fail;
	}
	*ret = codec;
	return CN_OK;
fail:
	cn_codec_free(&codec);
	return CN_ENOMEM;
}

void
cn_codec_free(struct cn_codec **cp)
{
	struct cn_codec *codec = *cp;

	*cp = NULL;
	if (codec == NULL) {
		return;
	}
	assert(codec->lanes_bytes == 0); /* lanes must not outlive it */
	ZSTD_freeCCtx(codec->enc);
	ZSTD_freeDCtx(codec->dec);
	cn_free(codec);
}

uint64_t
cn_codec_clock_ns(const struct cn_codec *codec)
{
	return codec->config.clock_ns != NULL ? codec->config.clock_ns() : 0;
}

size_t
cn_codec_contexts_bytes(const struct cn_codec *codec)
{
	return codec->lanes_bytes;
}

unsigned
cn_codec_lane_window_log(const struct cn_codec *codec)
{
	return codec->config.lane_window_log;
}

int
cn_context_take(struct cn_codec *codec, size_t bytes)
{
	/* The sum never passes the cap, so this cannot wrap. */
	if (bytes > codec->config.contexts_bytes - codec->lanes_bytes) {
		return CN_EBUSY;
	}
	codec->lanes_bytes += bytes;
	return CN_OK;
}

void
cn_context_give(struct cn_codec *codec, size_t bytes)
{
	assert(bytes <= codec->lanes_bytes);
	codec->lanes_bytes -= bytes;
}

int
cn_context_error(size_t zstd_result)
{
	ZSTD_ErrorCode code = ZSTD_getErrorCode(zstd_result);

	if (code == ZSTD_error_memory_allocation) {
		return CN_ENOMEM;
	}
	if (code == ZSTD_error_dstSize_tooSmall) {
		return CN_ENOSPC;
	}
	return CN_ECODING;
}

bool
cn_context_head_is_legal(const uint8_t *bytes, size_t len, size_t window_max)
{
	/* RFC 8878, 3.1.1.1: descriptor, then the window's exponent (5 bits)
	 * and mantissa (3 bits). */
	if (len < CN_CONTEXT_HEAD_LEN || bytes[0] != 0) {
		return false;
	}

	uint64_t base = UINT64_C(1) << (10 + (bytes[1] >> 3));

	return base + base / 8 * (bytes[1] & 7u) <= window_max;
}

bool
cn_context_blocks_are_whole(const uint8_t *bytes, size_t len, bool is_end)
{
	size_t at = 0;
	bool is_last = false;

	/* RFC 8878, 3.1.1.2: last (1 bit), type (2), size (21). */
	while (at < len) {
		if (is_last || len - at < 3) {
			return false;
		}

		uint32_t head = (uint32_t)bytes[at] |
		    (uint32_t)bytes[at + 1] << 8 |
		    (uint32_t)bytes[at + 2] << 16;
		bool is_rle = (head >> 1 & 3u) == 1;
		size_t size = is_rle ? 1 : head >> 3;

		at += 3;
		if (size > len - at) {
			return false;
		}
		at += size;
		is_last = (head & 1u) != 0;
	}
	return len > 0 && is_last == is_end;
}
