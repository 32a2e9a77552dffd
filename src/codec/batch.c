/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "base/attr.h"
#include "base/err.h"
#include "codec/codec.h"
#include "codec/context.h"
#include "wire/limits.h"

/* Covers the largest batch with the largest prefix; zstd narrows it to what
 * a frame and its prefix need, and the header tells the narrowed one. */
#define BATCH_WINDOW_LOG 22

/*
 * From level 7 on zstd's own tables grow to 12 MiB for a batch with its
 * prefix; 2 MiB code 0.5 % worse, in less time.  0 leaves zstd's own.
 */
#define LEVEL_HASH_OWN 6
#define HASH_LOG_MAX 19

_Static_assert(
    CN_BATCH_PLAIN_MAX + CN_BATCH_PREFIX_MAX <= (1u << BATCH_WINDOW_LOG),
    "the window covers every batch");

/* The smallest window that zstd can name (1 KiB at least). */
static size_t
window_covering(size_t bytes)
{
	size_t window = 1024;

	while (window < bytes) {
		window *= 2;
	}
	return window;
}

/*
 * Indexing a prefix takes a tenth to a fifth of the time of coding as many
 * bytes at levels 1 to 3, and a third above.  Level 1 is chosen where time is
 * short, so it takes what costs nothing measurable; the others run where the
 * link is the bottleneck and take the whole.  Level 5 goes between: from there
 * on indexing costs the most, so it is as fast as it can be without, for
 * links on which 6 would be too slow.
 */
size_t
cn_codec_prefix_len(int level, size_t plain_len, size_t available)
{
	size_t floor = 32768, ceiling = 1048576, wanted = plain_len * 16;

	if (level <= 1 || level == 5) {
		ceiling = 131072;
		wanted = plain_len / 2;
	} else if (level == 2) {
		ceiling = 262144;
		wanted = plain_len * 2;
	}
	wanted = CN_MIN(CN_MAX(wanted, floor), ceiling);
	return CN_MIN(wanted, available);
}

static void
set_level(struct cn_codec *codec, int level)
{
	const struct {
		ZSTD_cParameter name;
		int value;
	} params[] = {
		{ ZSTD_c_compressionLevel, level },
		{ ZSTD_c_windowLog, BATCH_WINDOW_LOG },
		{ ZSTD_c_hashLog, level > LEVEL_HASH_OWN ? HASH_LOG_MAX : 0 },
		{ ZSTD_c_format, ZSTD_f_zstd1_magicless },
		{ ZSTD_c_contentSizeFlag, 0 },
		{ ZSTD_c_checksumFlag, 0 },
		{ ZSTD_c_dictIDFlag, 0 },
	};

	if (codec->enc_level == level) {
		return;
	}
	for (size_t i = 0; i < CN_ARRAY_LEN(params); i++) {
		size_t result = ZSTD_CCtx_setParameter(
		    codec->enc, params[i].name, params[i].value);

		assert(!ZSTD_isError(result)); /* all are in range */
	}
	codec->enc_level = level;
}

int
cn_codec_batch_encode(struct cn_codec *codec, int level, const uint8_t *prefix,
    size_t prefix_len, const uint8_t *plain, size_t plain_len, uint8_t *out,
    size_t cap, size_t *ret)
{
	assert(plain_len >= 1 && plain_len <= CN_BATCH_PLAIN_MAX);
	assert(prefix_len <= CN_BATCH_PREFIX_MAX);
	if (level < 1 || level > cn_codec_level_max()) {
		return CN_EINVAL;
	}

	/* A failed batch before may have left a session, in which parameters
	 * cannot be set. */
	size_t result = ZSTD_CCtx_reset(codec->enc, ZSTD_reset_session_only);

	assert(!ZSTD_isError(result));
	set_level(codec, level);
	result = ZSTD_CCtx_refPrefix(codec->enc, prefix, prefix_len);
	assert(!ZSTD_isError(result));
	result = ZSTD_compress2(codec->enc, out, cap, plain, plain_len);
	if (ZSTD_isError(result)) {
		return cn_context_error(result);
	}
	*ret = result;
	return CN_OK;
}

int
cn_codec_batch_decode(struct cn_codec *codec, const uint8_t *prefix,
    size_t prefix_len, const uint8_t *coded, size_t coded_len, uint8_t *out,
    size_t plain_len)
{
	assert(plain_len >= 1 && plain_len <= CN_BATCH_PLAIN_MAX);
	assert(prefix_len <= CN_BATCH_PREFIX_MAX);

	/*
	 * One-shot decoding allocates no window, so a great one could not
	 * hurt; but what is not exactly one frame of ours is refused.
	 */
	if (!cn_context_head_is_legal(
		coded, coded_len, window_covering(plain_len + prefix_len)) ||
	    !cn_context_blocks_are_whole(coded + CN_CONTEXT_HEAD_LEN,
		coded_len - CN_CONTEXT_HEAD_LEN, true)) {
		return CN_ECODING;
	}

	size_t result = ZSTD_DCtx_reset(codec->dec, ZSTD_reset_session_only);

	assert(!ZSTD_isError(result));
	result = ZSTD_DCtx_refPrefix(codec->dec, prefix, prefix_len);
	if (!ZSTD_isError(result)) {
		result = ZSTD_decompressDCtx(
		    codec->dec, out, plain_len, coded, coded_len);
	}
	if (ZSTD_isError(result)) {
		int err = cn_context_error(result);

		return err == CN_ENOMEM ? CN_ENOMEM : CN_ECODING;
	}
	return result == plain_len ? CN_OK : CN_ECODING;
}
