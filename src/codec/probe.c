/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/probe.h"

#include <string.h>

#include "base/attr.h"

/* Below this a sample says nothing, and a lane's history may still know the
 * bytes: code it. */
#define SMALL_LEN 256u
#define SAMPLE_LEN 256u
#define SAMPLES_MAX 16u
/* Bytes at the start of each sample that are compared with the others. */
#define REPEAT_LEN 8u

struct format {
	enum cn_probe probe;
	uint8_t at; /* offset of the magic */
	uint8_t len;
	uint8_t magic[10];
};

static const struct format formats[] = {
	{ CN_PROBE_GZIP, 0, 3, { 0x1f, 0x8b, 0x08 } },
	{ CN_PROBE_ZSTD, 0, 4, { 0x28, 0xb5, 0x2f, 0xfd } },
	{ CN_PROBE_XZ, 0, 6, { 0xfd, '7', 'z', 'X', 'Z', 0 } },
	{ CN_PROBE_ZIP, 0, 4, { 'P', 'K', 3, 4 } },
	{ CN_PROBE_JPEG, 0, 3, { 0xff, 0xd8, 0xff } },
	{ CN_PROBE_PNG, 0, 8, { 0x89, 'P', 'N', 'G', 13, 10, 26, 10 } },
	{ CN_PROBE_MP4, 4, 4, { 'f', 't', 'y', 'p' } },
	/* After "BZh" and the level comes the first block's mark. */
	{ CN_PROBE_BZIP2, 4, 6, { 0x31, 0x41, 0x59, 0x26, 0x53, 0x59 } },
	{ CN_PROBE_SSH, 0, 8, { 'S', 'S', 'H', '-', '2', '.', '0', '-' } },
};

static const char *const names[CN_PROBE_MAX] = {
	[CN_PROBE_COMPRESSIBLE] = "compressible",
	[CN_PROBE_RANDOM] = "random",
	[CN_PROBE_TLS] = "tls",
	[CN_PROBE_GZIP] = "gzip",
	[CN_PROBE_ZSTD] = "zstd",
	[CN_PROBE_XZ] = "xz",
	[CN_PROBE_ZIP] = "zip",
	[CN_PROBE_JPEG] = "jpeg",
	[CN_PROBE_PNG] = "png",
	[CN_PROBE_MP4] = "mp4",
	[CN_PROBE_BZIP2] = "bzip2",
	[CN_PROBE_SSH] = "ssh",
};

/* A record of a handshake: type 22, version 3.x, a length of 2^14 at most. */
static bool
is_tls(const uint8_t *bytes, size_t len)
{
	return len >= 6 && bytes[0] == 22 && bytes[1] == 3 && bytes[2] <= 4 &&
	    bytes[3] <= 0x40 && (bytes[5] == 1 || bytes[5] == 2);
}

/* The format that the first bytes name, or CN_PROBE_COMPRESSIBLE. */
static enum cn_probe
find_format(const uint8_t *bytes, size_t len)
{
	if (is_tls(bytes, len)) {
		return CN_PROBE_TLS;
	}
	for (size_t i = 0; i < CN_ARRAY_LEN(formats); i++) {
		const struct format *format = &formats[i];

		if (len >= (size_t)format->at + format->len &&
		    memcmp(bytes + format->at, format->magic, format->len) ==
			0) {
			return format->probe;
		}
	}
	return CN_PROBE_COMPRESSIBLE;
}

/* True when two samples begin alike: what repeats codes well, however
 * random each byte looks. */
static bool
has_repeats(const uint8_t *bytes, size_t samples, size_t stride)
{
	for (size_t i = 1; i < samples; i++) {
		for (size_t j = 0; j < i; j++) {
			if (memcmp(bytes + i * stride, bytes + j * stride,
				REPEAT_LEN) == 0) {
				return true;
			}
		}
	}
	return false;
}

/*
 * Collision entropy: of n random bytes, n(n-1)/256 ordered pairs are equal.
 * What has hardly more is taken as random.  The margin is 8 % and three
 * standard deviations of what chance does to so few samples.
 */
static bool
looks_random(const uint8_t *bytes, size_t len)
{
	size_t samples = CN_MIN(len / SAMPLE_LEN, (size_t)SAMPLES_MAX);
	size_t stride = len / samples;
	/* Two tables, so that equal neighbours do not wait for each other. */
	uint16_t counts[2][256] = { { 0 } };

	for (size_t i = 0; i < samples; i++) {
		const uint8_t *sample = bytes + i * stride;

		for (size_t j = 0; j < SAMPLE_LEN; j += 2) {
			counts[0][sample[j]]++;
			counts[1][sample[j + 1]]++;
		}
	}

	uint64_t n = samples * SAMPLE_LEN;
	uint64_t pairs = 0;

	for (size_t i = 0; i < 256; i++) {
		uint64_t c = (uint64_t)counts[0][i] + counts[1][i];

		pairs += c * c;
	}
	pairs -= n; /* sum of c(c-1) */

	/* pairs * 256 / (n * (n-1)) < 1.08 + 70/n, without division. */
	if (pairs * 25600 >= (108 * n + 7000) * (n - 1)) {
		return false;
	}
	return !has_repeats(bytes, samples, stride);
}

enum cn_probe
cn_probe_bytes(const uint8_t *bytes, size_t len, bool is_start)
{
	enum cn_probe format =
	    is_start ? find_format(bytes, len) : CN_PROBE_COMPRESSIBLE;

	if (len < SMALL_LEN) {
		return format;
	}
	if (!looks_random(bytes, len)) {
		return CN_PROBE_COMPRESSIBLE;
	}
	return format != CN_PROBE_COMPRESSIBLE ? format : CN_PROBE_RANDOM;
}

const char *
cn_probe_name(enum cn_probe probe)
{
	return (unsigned)probe < CN_PROBE_MAX ? names[probe] : "unknown";
}
