/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CODEC_CONTEXT_H
#define CN_CODEC_CONTEXT_H

/*
 * What batches and lanes share inside this layer: the worker's coders, the
 * accounting of lane contexts, and the shape of a frame that we accept.
 *
 * Not for other layers.
 */

#define ZSTD_STATIC_LINKING_ONLY /* magicless format, memory, estimates */
#include <zstd.h>

#include "codec/codec.h"

struct cn_codec {
	struct cn_codec_config config;
	size_t lanes_bytes; /* estimates of the live lane contexts, summed */
	ZSTD_CCtx *enc;     /* owned; for batches */
	ZSTD_DCtx *dec;     /* owned; for batches */
	int enc_level;      /* whose parameters enc has now; 0: none yet */
};

/* Every byte that zstd takes comes from base/alloc.h. */
extern const ZSTD_customMem cn_context_memory;

/* Account for one more lane context: CN_OK or CN_EBUSY (cap reached). */
int cn_context_take(struct cn_codec *codec, size_t bytes) CN_MUSTCHECK;
void cn_context_give(struct cn_codec *codec, size_t bytes);

/*
 * What an error of zstd means here: CN_ENOMEM, CN_ENOSPC (no room in the
 * output), else CN_ECODING.
 */
int cn_context_error(size_t zstd_result);

/* Bytes of the only frame header that we write or accept. */
#define CN_CONTEXT_HEAD_LEN 2u

/*
 * True when bytes begin with our frame header (no content size, checksum or
 * dictionary id) and its window is at most window_max.
 */
bool cn_context_head_is_legal(
    const uint8_t *bytes, size_t len, size_t window_max);

/*
 * Walk zstd block headers, without decoding.  True when the bytes are whole
 * blocks, at least one, and exactly the final one is marked as last of its
 * frame if is_end, none if not.
 */
bool cn_context_blocks_are_whole(const uint8_t *bytes, size_t len, bool is_end);

#endif /* CN_CODEC_CONTEXT_H */
