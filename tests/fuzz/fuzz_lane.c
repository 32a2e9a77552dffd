/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The pieces of a lane from a peer: {plain length, coded length: two bytes
 * each, big endian; coded bytes}, again and again.  A piece of coded length 0
 * starts the lane over.
 */

#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/err.h"
#include "codec/codec.h"
#include "wire/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct cn_codec_config config = {
	.contexts_bytes = 8u << 20,
	.lane_window_log = 16,
	.lane_level = 3,
};

static void
fail_unless(int is_true)
{
	if (!is_true) {
		abort();
	}
}

static void
check_piece(struct cn_lane_dec *dec, const uint8_t *coded, size_t coded_len,
    size_t plain_len)
{
	/* Blocks of the exact sizes, so that a step outside shows. */
	uint8_t *in = cn_memdup(coded, coded_len);
	uint8_t *out = cn_alloc(plain_len);
	int err;

	fail_unless(in != NULL && out != NULL);
	err = cn_lane_dec_block(dec, in, coded_len, out, plain_len);
	fail_unless(err == CN_OK || err == CN_ECODING);
	cn_free(in);
	cn_free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct cn_codec *codec;
	static struct cn_lane_dec *dec;

	if (codec == NULL) {
		fail_unless(cn_codec_create(&config, &codec) == CN_OK);
		fail_unless(cn_lane_dec_create(codec, 16, &dec) == CN_OK);
	}
	cn_lane_dec_restart(dec);
	while (len >= 4) {
		size_t plain_len =
		    1 + ((size_t)data[0] << 8 | data[1]) % CN_LANE_PLAIN_MAX;
		size_t coded_len = (size_t)data[2] << 8 | data[3];

		data += 4;
		len -= 4;
		if (coded_len == 0) {
			cn_lane_dec_restart(dec);
			continue;
		}
		if (coded_len > len) {
			coded_len = len;
		}
		if (coded_len > 0) {
			check_piece(dec, data, coded_len, plain_len);
		}
		data += coded_len;
		len -= coded_len;
	}
	return 0;
}
