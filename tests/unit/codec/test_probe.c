/* SPDX-License-Identifier: Apache-2.0 */
/* The probe's verdicts on bytes of known kinds, and what they cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "codec/codec.h"
#include "codec/probe.h"
#include "codec/samples.h"
#include "wire/limits.h"

#define LEN (256u * 1024u)
#define TRIALS 200u

static const size_t lens[] = { 256, 257, 300, 511, 512, 1000, 1460, 4096, 15000,
	16384, 65536, 100001, LEN };

/* Owned by the group; 2 * LEN. */
static uint8_t *bytes;

static int
set_up(void **state)
{
	(void)state;
	bytes = cn_alloc(2 * LEN);
	return bytes == NULL;
}

static int
tear_down(void **state)
{
	(void)state;
	cn_free(bytes);
	return 0;
}

static unsigned
count_random(size_t len, void fill(uint8_t *, size_t, uint64_t))
{
	unsigned random = 0;

	for (uint64_t seed = 0; seed < TRIALS; seed++) {
		fill(bytes, len, seed + 1);
		random += cn_probe_bytes(bytes, len, false) == CN_PROBE_RANDOM;
	}
	return random;
}

static void
test_random(void **state)
{
	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(lens); i++) {
		/* Chance may make a sample look uneven: one in fifty. */
		assert_true(count_random(lens[i], samples_random) >=
		    TRIALS - TRIALS / 50);
	}
}

static void
test_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(lens); i++) {
		assert_int_equal(count_random(lens[i], samples_text), 0);
	}
}

/* Random bytes as letters: 6 bits of 8. */
static void
fill_base64(uint8_t *out, size_t len, uint64_t seed)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	samples_random(out, len, seed);
	for (size_t i = 0; i < len; i++) {
		out[i] = (uint8_t)letters[out[i] & 63];
	}
}

static void
test_base64(void **state)
{
	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(lens); i++) {
		assert_int_equal(count_random(lens[i], fill_base64), 0);
	}
}

/* Records with a fixed layout: two random bytes, the rest small numbers. */
static void
fill_records(uint8_t *out, size_t len, uint64_t seed)
{
	samples_random(out, len, seed);
	for (size_t i = 0; i < len; i++) {
		if (i % 8 >= 2) {
			out[i] = i % 8 == 7 ? (uint8_t)(out[i] & 15) : 0;
		}
	}
}

static void
test_records(void **state)
{
	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(lens); i++) {
		assert_int_equal(count_random(lens[i], fill_records), 0);
	}
}

/* What our own coder made of text does not code again. */
static void
test_coded_text(void **state)
{
	static const struct cn_codec_config config = {
		.contexts_bytes = 1, .lane_window_log = 20, .lane_level = 3
	};
	struct cn_codec *codec = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(cn_codec_create(&config, &codec), CN_OK);
	for (int level = 1; level <= 9; level++) {
		samples_text(bytes, LEN, (uint64_t)level);
		assert_int_equal(cn_codec_batch_encode(codec, level, NULL, 0,
				     bytes, LEN, bytes + LEN, LEN, &len),
		    CN_OK);
		assert_int_equal(
		    cn_probe_bytes(bytes + LEN, len, false), CN_PROBE_RANDOM);
		/* From inside of it, as the batches of a stream see it. */
		assert_int_equal(
		    cn_probe_bytes(bytes + LEN + 5000, 16384, false),
		    CN_PROBE_RANDOM);
	}
	cn_codec_free(&codec);
}

/* Each byte looks random, but pages come again. */
static void
test_repeated_pages(void **state)
{
	(void)state;
	samples_random(bytes, 4096, 1);
	for (size_t at = 4096; at < LEN; at += 4096) {
		memcpy(bytes + at, bytes, 4096);
	}
	assert_int_equal(
	    cn_probe_bytes(bytes, LEN, false), CN_PROBE_COMPRESSIBLE);
	for (size_t i = 0; i < LEN; i++) {
		bytes[i] = (uint8_t)i;
	}
	assert_int_equal(
	    cn_probe_bytes(bytes, LEN, false), CN_PROBE_COMPRESSIBLE);
}

/* The batch that follows is judged by itself. */
static void
test_halves(void **state)
{
	(void)state;
	samples_random(bytes, LEN, 1);
	samples_text(bytes, LEN / 4, 1);
	assert_int_equal(
	    cn_probe_bytes(bytes, LEN, false), CN_PROBE_COMPRESSIBLE);
	assert_int_equal(
	    cn_probe_bytes(bytes + LEN / 2, LEN / 2, false), CN_PROBE_RANDOM);
}

static void
test_small(void **state)
{
	(void)state;
	for (size_t len = 0; len < 256; len++) {
		samples_random(bytes, 256, len);
		assert_int_equal(
		    cn_probe_bytes(bytes, len, false), CN_PROBE_COMPRESSIBLE);
	}
}

static const struct {
	enum cn_probe probe;
	const char *name;
	uint8_t len;
	uint8_t head[16];
} heads[] = {
	{ CN_PROBE_TLS, "tls", 6, { 22, 3, 1, 2, 0, 1 } },
	{ CN_PROBE_TLS, "tls", 6, { 22, 3, 3, 0, 90, 2 } },
	{ CN_PROBE_GZIP, "gzip", 3, { 0x1f, 0x8b, 8 } },
	{ CN_PROBE_ZSTD, "zstd", 4, { 0x28, 0xb5, 0x2f, 0xfd } },
	{ CN_PROBE_XZ, "xz", 6, { 0xfd, '7', 'z', 'X', 'Z', 0 } },
	{ CN_PROBE_ZIP, "zip", 4, { 'P', 'K', 3, 4 } },
	{ CN_PROBE_JPEG, "jpeg", 3, { 0xff, 0xd8, 0xff } },
	{ CN_PROBE_PNG, "png", 8, { 0x89, 'P', 'N', 'G', 13, 10, 26, 10 } },
	{ CN_PROBE_MP4, "mp4", 8, { 0, 0, 0, 32, 'f', 't', 'y', 'p' } },
	{ CN_PROBE_BZIP2, "bzip2", 10,
	    { 'B', 'Z', 'h', '9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59 } },
	{ CN_PROBE_SSH, "ssh", 8, { 'S', 'S', 'H', '-', '2', '.', '0', '-' } },
};

static void
test_formats(void **state)
{
	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(heads); i++) {
		enum cn_probe probe = heads[i].probe;

		assert_string_equal(cn_probe_name(probe), heads[i].name);
		samples_random(bytes, LEN, i);
		memcpy(bytes, heads[i].head, heads[i].len);
		assert_int_equal(cn_probe_bytes(bytes, LEN, true), probe);
		assert_int_equal(cn_probe_bytes(bytes, 4000, true), probe);
		/* Small: the head alone tells. */
		assert_int_equal(
		    cn_probe_bytes(bytes, heads[i].len, true), probe);
		assert_int_equal(cn_probe_bytes(bytes, heads[i].len - 1, true),
		    CN_PROBE_COMPRESSIBLE);
		/* Not at the start of a stream it means nothing. */
		assert_int_equal(
		    cn_probe_bytes(bytes, LEN, false), CN_PROBE_RANDOM);
		/* An archive of stored text still codes. */
		samples_text(bytes + heads[i].len, 5000, i);
		assert_int_equal(
		    cn_probe_bytes(bytes, 5000, true), CN_PROBE_COMPRESSIBLE);
	}
}

static void
test_names(void **state)
{
	(void)state;
	for (int i = 0; i < CN_PROBE_MAX; i++) {
		assert_string_not_equal(
		    cn_probe_name((enum cn_probe)i), "unknown");
	}
	assert_string_equal(cn_probe_name(CN_PROBE_MAX), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_coded_text),
		cmocka_unit_test(test_repeated_pages),
		cmocka_unit_test(test_halves),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
