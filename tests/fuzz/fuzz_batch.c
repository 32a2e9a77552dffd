/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A batch from a peer: first two bytes name the plain length, the third a
 * prefix of known bytes, the rest is the frame.  And the way back: the same
 * bytes as plain must come out as they went in.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "codec/codec.h"
#include "codec/probe.h"
#include "wire/limits.h"

#define PREFIX_UNIT 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct cn_codec_config config = {
	.contexts_bytes = 8u << 20,
	.lane_window_log = 20,
	.lane_level = 3,
};

static void
fail_unless(int is_true)
{
	if (!is_true) {
		abort();
	}
}

/* Bytes that a frame can refer to, in a block of exactly that size. */
static uint8_t *
make_prefix(size_t len)
{
	uint8_t *prefix = cn_alloc(len > 0 ? len : 1);

	fail_unless(prefix != NULL);
	for (size_t i = 0; i < len; i++) {
		prefix[i] = (uint8_t)((size_t) "prefix of the batch "[i % 20] ^
		    i / 200);
	}
	return prefix;
}

static void
check_decode(struct cn_codec *codec, const uint8_t *data, size_t len)
{
	size_t plain_len = 1 + ((size_t)data[0] << 8 | data[1]);
	size_t prefix_len = data[2] * PREFIX_UNIT;
	uint8_t *prefix = make_prefix(prefix_len);
	uint8_t *out = cn_alloc(plain_len);
	int err;

	fail_unless(out != NULL);
	err = cn_codec_batch_decode(
	    codec, prefix, prefix_len, data + 3, len - 3, out, plain_len);
	fail_unless(err == CN_OK || err == CN_ECODING);
	cn_free(out);
	cn_free(prefix);
}

static void
check_round_trip(struct cn_codec *codec, const uint8_t *data, size_t len)
{
	int level = 1 + (int)(len % 9);
	uint8_t *prefix = make_prefix(len % 1000);
	uint8_t *coded = cn_alloc(len + 100);
	uint8_t *out = cn_alloc(len);
	size_t coded_len = 0;

	fail_unless(coded != NULL && out != NULL);
	fail_unless(cn_codec_batch_encode(codec, level, prefix, len % 1000,
			data, len, coded, len + 100, &coded_len) == CN_OK);
	fail_unless(cn_codec_batch_decode(codec, prefix, len % 1000, coded,
			coded_len, out, len) == CN_OK);
	fail_unless(memcmp(out, data, len) == 0);
	cn_free(prefix);
	cn_free(coded);
	cn_free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct cn_codec *codec; /* kept: making one costs more */

	if (codec == NULL) {
		fail_unless(cn_codec_create(&config, &codec) == CN_OK);
	}
	(void)cn_probe_bytes(data, len, true);
	if (len < 3 || len > CN_BATCH_PLAIN_MAX) {
		return 0;
	}
	check_decode(codec, data, len);
	check_round_trip(codec, data, len);
	return 0;
}
