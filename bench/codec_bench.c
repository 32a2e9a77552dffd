/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Measures the codec alone: bytes and processor time of batches with every
 * length of prefix, against zstd streaming the whole file in the same run.
 *
 *   codec-bench [-r ROUNDS] [-m MIB] [-l LEVEL] FILE...
 *
 * Time is this thread's processor time, the best of ROUNDS (3).  Each coded
 * byte count includes HEAD_LEN for each batch, its head and hash on the wire.
 * "chosen" is what cn_codec_prefix_len() gives.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zstd.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/clock.h"
#include "base/err.h"
#include "codec/codec.h"
#include "codec/probe.h"
#include "wire/limits.h"

#define HEAD_LEN 30u
#define STREAM_PIECE 131072u
#define CHOSEN SIZE_MAX
#define MESSAGE_LEN 737u

struct result {
	double enc; /* seconds of CPU */
	double dec;
	size_t coded; /* bytes */
};

static uint8_t *file_bytes;
static size_t file_len;
static uint8_t *work; /* prefix and decoded batch, side by side */
static uint8_t *coded;
static uint8_t *stream; /* the whole file, coded */
static size_t stream_cap;
static struct cn_codec *codec;
static unsigned rounds = 3;

static _Noreturn void
give_up(const char *what)
{
	fprintf(stderr, "codec-bench: %s\n", what);
	exit(1);
}

static double
seconds_since(uint64_t start_ns)
{
	return (double)(cn_clock_thread_ns() - start_ns) * 1e-9;
}

static void
keep_best(struct result *best, const struct result *now)
{
	best->enc = CN_MIN(best->enc, now->enc);
	best->dec = CN_MIN(best->dec, now->dec);
	best->coded = now->coded;
}

/* ---- the reference: one stream over the file, checksum as the tool has --- */

static size_t
stream_encode(int level, uint8_t *out, size_t cap)
{
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	ZSTD_outBuffer to = { out, cap, 0 };
	size_t left = 1;

	if (ctx == NULL) {
		give_up("no memory");
	}
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
	for (size_t at = 0; at < file_len; at += STREAM_PIECE) {
		ZSTD_inBuffer from = { file_bytes + at,
			CN_MIN(file_len - at, (size_t)STREAM_PIECE), 0 };
		bool is_last = file_len - at <= STREAM_PIECE;

		do {
			left = ZSTD_compressStream2(ctx, &to, &from,
			    is_last ? ZSTD_e_end : ZSTD_e_continue);
			if (ZSTD_isError(left)) {
				give_up(ZSTD_getErrorName(left));
			}
		} while (to.pos < to.size &&
		    (from.pos < from.size || (is_last && left > 0)));
	}
	ZSTD_freeCCtx(ctx);
	return to.pos;
}

static void
stream_decode(const uint8_t *in, size_t len)
{
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	ZSTD_inBuffer from = { in, len, 0 };
	size_t sum = 0;

	while (from.pos < from.size) {
		ZSTD_outBuffer to = { work, STREAM_PIECE, 0 };
		size_t result = ZSTD_decompressStream(ctx, &to, &from);

		if (ZSTD_isError(result)) {
			give_up(ZSTD_getErrorName(result));
		}
		sum += to.pos;
	}
	if (sum != file_len) {
		give_up("the reference lost bytes");
	}
	ZSTD_freeDCtx(ctx);
}

static struct result
measure_stream(int level)
{
	struct result now;
	uint64_t start = cn_clock_thread_ns();

	now.coded = stream_encode(level, stream, stream_cap);
	now.enc = seconds_since(start);
	start = cn_clock_thread_ns();
	stream_decode(stream, now.coded);
	now.dec = seconds_since(start);
	return now;
}

/* ---- batches ---- */

static void
run_batch(
    int level, size_t at, size_t len, size_t prefix_len, struct result *sum)
{
	const uint8_t *plain = file_bytes + at;
	size_t got = 0;
	uint64_t start = cn_clock_thread_ns();
	int err = cn_codec_batch_encode(codec, level, plain - prefix_len,
	    prefix_len, plain, len, coded, len, &got);

	sum->enc += seconds_since(start);
	if (err == CN_ENOSPC) {
		sum->coded += len + HEAD_LEN; /* raw */
		return;
	}
	if (err != CN_OK) {
		give_up(cn_err_text(err));
	}
	memcpy(work, plain - prefix_len, prefix_len);
	start = cn_clock_thread_ns();
	err = cn_codec_batch_decode(
	    codec, work, prefix_len, coded, got, work + prefix_len, len);
	sum->dec += seconds_since(start);
	if (err != CN_OK || memcmp(work + prefix_len, plain, len) != 0) {
		give_up("a batch did not come back");
	}
	sum->coded += got + HEAD_LEN;
}

static struct result
measure_batches(int level, size_t batch, size_t prefix)
{
	struct result now = { 0, 0, 0 };

	for (size_t at = 0; at < file_len; at += batch) {
		size_t len = CN_MIN(batch, file_len - at);
		size_t most = CN_MIN(at, (size_t)CN_BATCH_PREFIX_MAX);

		run_batch(level, at, len,
		    prefix == CHOSEN ? cn_codec_prefix_len(level, len, most)
				     : CN_MIN(prefix, most),
		    &now);
	}
	return now;
}

static void
print_row(const char *name, const struct result *r, const struct result *ref)
{
	double mb = (double)file_len / 1e6;

	printf("%-22s %10zu  %6.3f  %5.3f  %6.0f %6.0f  %5.2f\n", name,
	    r->coded, (double)file_len / (double)r->coded,
	    (double)r->coded / (double)ref->coded, mb / r->enc, mb / r->dec,
	    (r->enc + r->dec) / (ref->enc + ref->dec));
	fflush(stdout);
}

/* Rounds go over all rows, so that each meets the machine's moods alike. */
static void
measure_level(int level)
{
	static const size_t batches[] = { 262144, 65536, 32768 };
	static const size_t prefixes[] = { 0, 65536, 131072, 262144, 524288,
		1048576, CHOSEN };
	enum { ROWS = 1 + CN_ARRAY_LEN(batches) * CN_ARRAY_LEN(prefixes) };
	struct result best[ROWS];
	char name[64];

	for (unsigned i = 0; i < rounds; i++) {
		for (size_t row = 0; row < ROWS; row++) {
			size_t b = (row - 1) / CN_ARRAY_LEN(prefixes);
			size_t p = (row - 1) % CN_ARRAY_LEN(prefixes);
			struct result now = row == 0
			    ? measure_stream(level)
			    : measure_batches(level, batches[b], prefixes[p]);

			if (i == 0) {
				best[row] = now;
			} else {
				keep_best(&best[row], &now);
			}
		}
	}
	snprintf(name, sizeof(name), "zstd -%d", level);
	print_row(name, &best[0], &best[0]);
	for (size_t row = 1; row < ROWS; row++) {
		size_t batch = batches[(row - 1) / CN_ARRAY_LEN(prefixes)];
		size_t prefix = prefixes[(row - 1) % CN_ARRAY_LEN(prefixes)];

		if (prefix == CHOSEN) {
			snprintf(name, sizeof(name), "  %zuK prefix chosen",
			    batch >> 10);
		} else {
			snprintf(name, sizeof(name), "  %zuK prefix %zuK",
			    batch >> 10, prefix >> 10);
		}
		print_row(name, &best[row], &best[0]);
	}
}

/* ---- lanes and the probe ---- */

static void
measure_lane(void)
{
	struct cn_lane_enc *enc = NULL;
	struct cn_lane_dec *dec = NULL;
	struct result sum = { 0, 0, 0 };
	size_t count = 0;
	uint8_t out[MESSAGE_LEN];
	size_t most = CN_MIN(file_len, (size_t)8 << 20);

	if (cn_lane_enc_create(codec, &enc) != CN_OK ||
	    cn_lane_dec_create(codec, 20, &dec) != CN_OK) {
		give_up("no lane");
	}
	for (size_t at = 0; at + MESSAGE_LEN <= most; at += MESSAGE_LEN) {
		size_t got = 0;
		uint64_t start = cn_clock_thread_ns();
		int err = cn_lane_enc_block(enc, file_bytes + at, MESSAGE_LEN,
		    coded, cn_lane_enc_bound(MESSAGE_LEN), &got);

		sum.enc += seconds_since(start);
		start = cn_clock_thread_ns();
		if (err == CN_OK) {
			err = cn_lane_dec_block(
			    dec, coded, got, out, MESSAGE_LEN);
		}
		sum.dec += seconds_since(start);
		if (err != CN_OK) {
			give_up("a lane block did not come back");
		}
		sum.coded += got;
		count++;
	}
	if (count > 0) {
		printf("lane, %u-byte messages: ratio %.3f, %.1f us to code, "
		       "%.1f us to decode\n",
		    MESSAGE_LEN,
		    (double)(count * MESSAGE_LEN) / (double)sum.coded,
		    sum.enc * 1e6 / (double)count,
		    sum.dec * 1e6 / (double)count);
	}
	cn_lane_enc_free(&enc);
	cn_lane_dec_free(&dec);
}

static void
measure_probe(size_t len)
{
	size_t count = 0, random = 0;
	uint64_t start = cn_clock_thread_ns();
	double took;

	for (size_t at = 0; at + len <= file_len; at += len) {
		random += cn_probe_bytes(file_bytes + at, len, false) != 0;
		count++;
	}
	took = seconds_since(start);
	if (count > 0) {
		printf("probe of %zu KiB: %.2f us, %zu of %zu raw\n", len >> 10,
		    took * 1e6 / (double)count, random, count);
	}
}

static void
read_file(const char *path, size_t most)
{
	FILE *file = fopen(path, "rb");

	if (file == NULL) {
		give_up(cn_err_text(cn_err_from_errno(errno)));
	}
	fseek(file, 0, SEEK_END);
	file_len = CN_MIN((size_t)ftell(file), most);
	rewind(file);
	file_bytes = cn_alloc(file_len + 1);
	if (file_bytes == NULL ||
	    fread(file_bytes, 1, file_len, file) != file_len || file_len == 0) {
		give_up("cannot read the file");
	}
	fclose(file);
	stream_cap = ZSTD_compressBound(file_len);
	stream = cn_alloc(stream_cap);
	if (stream == NULL) {
		give_up("no memory");
	}
	memset(stream, 1, stream_cap); /* a first touch costs a lot */
}

int
main(int argc, char **argv)
{
	static const int ladder[] = { 1, 2, 3, 5, 6, 9 };
	const struct cn_codec_config config = { .contexts_bytes = 64u << 20,
		.lane_window_log = 20,
		.lane_level = 3 };
	size_t work_len = CN_BATCH_PREFIX_MAX + CN_BATCH_PLAIN_MAX;
	size_t most = SIZE_MAX;
	int only = 0;
	int c;

	while ((c = getopt(argc, argv, "r:m:l:")) != -1) {
		long value = c == '?' ? 0 : strtol(optarg, NULL, 10);

		if (value < 1 || value > 100000) {
			give_up("usage: [-r ROUNDS] [-m MIB] [-l LEVEL] FILE");
		}
		if (c == 'r') {
			rounds = (unsigned)value;
		} else if (c == 'm') {
			most = (size_t)value << 20;
		} else {
			only = (int)value;
		}
	}
	work = cn_alloc(work_len);
	coded = cn_alloc(CN_BATCH_PLAIN_MAX + 4096);
	if (work == NULL || coded == NULL ||
	    cn_codec_create(&config, &codec) != CN_OK) {
		give_up("no memory");
	}
	memset(work, 1, work_len);
	for (int i = optind; i < argc; i++) {
		read_file(argv[i], most);
		printf("%s: %zu bytes, libzstd %s\n", argv[i], file_len,
		    ZSTD_versionString());
		printf("%-22s %10s  %6s  %5s  %6s %6s  %5s\n", "", "bytes",
		    "ratio", "bytes", "code", "decode", "CPU");
		printf("%-22s %10s  %6s  %5s  %6s %6s  %5s\n", "", "", "",
		    "/ref", "MB/s", "MB/s", "/ref");
		for (size_t l = 0; l < CN_ARRAY_LEN(ladder); l++) {
			if (only == 0 || only == ladder[l]) {
				measure_level(ladder[l]);
			}
		}
		measure_lane();
		measure_probe(65536);
		measure_probe(262144);
		cn_free(file_bytes);
		cn_free(stream);
	}
	cn_codec_free(&codec);
	cn_free(work);
	cn_free(coded);
	return 0;
}
