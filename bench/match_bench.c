/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Measures the matcher alone: what it finds in files that are sent one after
 * the other through a store in memory, and what that takes.
 *
 *   match-bench [-m MIB] [-i MIB] [-l LEVEL] FILE...
 *
 *   -m  memory of the store (2048)    -i  of its index (64)
 *   -l  level that codes literals (3; 0: they are not coded)
 *
 * Each file is a stream of its own; name it twice to see its second pass.
 * Peer and network are left out: what is stored is held at once.
 *
 * Columns: "copies" and "literals" in bytes of the file; "ops", the copies as
 * they stand on the wire; "stored", bytes that go to the log; the literals
 * and ops coded with nothing as prefix, with the stream's own bytes, with the
 * older versions that the matcher points out (the stream's bytes where there
 * are none); then nanoseconds for each byte of the file: matcher, append and
 * learning.  Coded sizes include HEAD_LEN for each batch and STORE_LEN for
 * each piece that is stored, REGION_LEN for each older version.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "codec/chunker.h"
#include "codec/codec.h"
#include "codec/match.h"
#include "store/store.h"
#include "wire/limits.h"

#define HEAD_LEN 30u
#define STORE_LEN 8u
#define REGION_LEN 8u
#define OP_MAX 32u
#define SCOPE 1u
#define PREFIX_MAX CN_BATCH_PREFIX_MAX

struct sums {
	uint64_t copied, copies, ops, stored, pieces, regions, region_bytes;
	uint64_t bare, stream, delta; /* coded */
	uint64_t match_ns, append_ns, learn_ns;
};

struct bench {
	struct cn_store *store;
	struct cn_pair *pair;
	struct cn_matcher *matcher;
	struct cn_codec *codec;
	struct cn_store_user user;
	int level;
	uint64_t now;
	uint8_t *file; /* the file's bytes */
	size_t len;
	uint8_t *work;  /* prefix, then payload */
	uint8_t *coded; /* result of the coder */
};

static _Noreturn void
give_up(const char *what)
{
	fprintf(stderr, "match-bench: %s\n", what);
	exit(1);
}

static void
wake(void *arg)
{
	(void)arg;
}

/* ---- the payload, nearly as on the wire ---- */

static size_t
put_varint(uint8_t *out, uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7) {
		out[n++] = (uint8_t)(v | 0x80);
	}
	out[n++] = (uint8_t)v;
	return n;
}

static size_t
put_ops(uint8_t *out, const struct cn_match *match)
{
	uint64_t expected = 0;
	size_t at = 0, end = 0;

	for (size_t i = 0; i < match->copies; i++) {
		const struct cn_match_copy *copy = &match->copy[i];
		int64_t off = (int64_t)(copy->place.pos - expected);

		at += put_varint(out + at, copy->offset - end);
		at += put_varint(out + at, copy->len);
		at += put_varint(
		    out + at, (uint64_t)off << 1 ^ (uint64_t)(off >> 63));
		end = copy->offset + copy->len;
		expected = copy->place.pos + copy->len;
	}
	return at;
}

static size_t
put_literals(uint8_t *out, const struct cn_match *match, const uint8_t *plain,
    size_t len)
{
	size_t at = 0, end = 0;

	for (size_t i = 0; i <= match->copies; i++) {
		size_t next = i < match->copies ? match->copy[i].offset : len;

		memcpy(out + at, plain + end, next - end);
		at += next - end;
		if (i < match->copies) {
			end = next + match->copy[i].len;
		}
	}
	return at;
}

/* The regions one behind the other. */
static size_t
put_regions(
    const struct bench *bench, uint8_t *out, const struct cn_match *match)
{
	size_t at = 0;

	for (size_t i = 0; i < match->regions; i++) {
		const struct cn_match_copy *region = &match->region[i];
		struct cn_view view;

		if (cn_pair_look_at(bench->pair, &region->place, SCOPE, NULL,
			&view) != CN_OK ||
		    view.after < region->len) {
			give_up("a region is not there");
		}
		memcpy(out + at, view.bytes, region->len);
		at += region->len;
		cn_view_done(&view);
	}
	return at;
}

static uint64_t
code(const struct bench *bench, const uint8_t *prefix, size_t prefix_len,
    const uint8_t *payload, size_t len)
{
	size_t got = len;

	if (len > 0 &&
	    cn_codec_batch_encode(bench->codec, bench->level, prefix,
		prefix_len, payload, len, bench->coded, len, &got) != CN_OK) {
		got = len;
	}
	return got;
}

static void
code_batch(const struct bench *bench, const struct cn_match *match,
    const uint8_t *plain, size_t len, struct sums *sums)
{
	uint8_t *payload = bench->work + CN_BATCH_PREFIX_MAX;
	size_t ops = put_ops(payload, match);
	size_t all = ops + put_literals(payload + ops, match, plain, len);
	size_t own = CN_MIN((size_t)(plain - bench->file), (size_t)PREFIX_MAX);
	uint64_t stream;
	size_t delta;

	sums->ops += ops;
	if (bench->level == 0) {
		return;
	}
	own = cn_codec_prefix_len(bench->level, all, own);
	sums->bare += code(bench, NULL, 0, payload, all);
	stream = code(bench, plain - own, own, payload, all);
	sums->stream += stream;
	delta = put_regions(bench, bench->work, match);
	sums->delta += delta == 0
	    ? stream
	    : code(bench, bench->work, delta, payload, all) +
		match->regions * REGION_LEN;
}

/* ---- a stream ---- */

static void
send_batch(struct bench *bench, struct cn_match_state *state,
    const uint8_t *plain, size_t len, struct sums *sums)
{
	struct cn_store_piece piece[512];
	uint64_t epoch = cn_pair_epoch(bench->pair);
	struct cn_match match;
	uint64_t t0 = cn_clock_thread_ns(), t1, t2;
	size_t pieces;

	if (cn_match_batch(bench->matcher, bench->pair, SCOPE, state,
		&bench->user, plain, len, true, &match) != CN_OK) {
		give_up("the matcher has to wait");
	}
	t1 = cn_clock_thread_ns();
	sums->match_ns += t1 - t0;
	code_batch(bench, &match, plain, len, sums);
	t1 = cn_clock_thread_ns();
	pieces = cn_pair_append(bench->pair, SCOPE, plain, match.miss,
	    match.misses, piece, CN_ARRAY_LEN(piece), bench->now);
	t2 = cn_clock_thread_ns();
	sums->append_ns += t2 - t1;
	cn_match_learn(bench->matcher, bench->pair, SCOPE, true, epoch, NULL,
	    piece, pieces);
	sums->learn_ns += cn_clock_thread_ns() - t2;
	for (size_t i = 0; i < pieces; i++) {
		cn_pair_held(bench->pair, epoch, piece[i].pos, piece[i].len);
		sums->stored += piece[i].len;
	}
	sums->pieces += pieces;
	sums->copies += match.copies;
	sums->copied += match.copied;
	sums->regions += match.regions;
	for (size_t i = 0; i < match.regions; i++) {
		sums->region_bytes += match.region[i].len;
	}
	bench->now += 1000;
}

static void
print_row(const char *path, const struct bench *bench, const struct sums *s)
{
	const char *name = strrchr(path, '/');
	double len = (double)bench->len;
	uint64_t extra = (bench->len / CN_BATCH_PLAIN_MAX + 1) * HEAD_LEN +
	    s->pieces * STORE_LEN;

	printf("%-18.18s %6.1f %10.0f %9zu %7zu %8zu %9zu %6zu %8zu |"
	       " %9zu %9zu %9zu | %5.2f %5.2f %5.2f\n",
	    name == NULL ? path : name + 1, len / 1e6, (double)s->copied,
	    bench->len - (size_t)s->copied, (size_t)s->copies, (size_t)s->ops,
	    (size_t)s->stored, (size_t)s->regions, (size_t)s->region_bytes,
	    (size_t)(s->bare + extra), (size_t)(s->stream + extra),
	    (size_t)(s->delta + extra), (double)s->match_ns / len,
	    (double)s->append_ns / len, (double)s->learn_ns / len);
	fflush(stdout);
}

static void
send_file(struct bench *bench, const char *path)
{
	struct cn_match_state state = { 0 };
	struct sums sums = { 0 };

	for (size_t at = 0; at < bench->len; at += CN_BATCH_PLAIN_MAX) {
		send_batch(bench, &state, bench->file + at,
		    CN_MIN(bench->len - at, (size_t)CN_BATCH_PLAIN_MAX), &sums);
	}
	print_row(path, bench, &sums);
}

static void
read_file(struct bench *bench, const char *path)
{
	FILE *file = fopen(path, "rb");

	if (file == NULL) {
		give_up(cn_err_text(cn_err_from_errno(errno)));
	}
	fseek(file, 0, SEEK_END);
	bench->len = (size_t)ftell(file);
	rewind(file);
	bench->file = cn_alloc(bench->len + 1);
	if (bench->file == NULL || bench->len == 0 ||
	    fread(bench->file, 1, bench->len, file) != bench->len) {
		give_up("cannot read the file");
	}
	fclose(file);
}

/* The parts of a first pass by themselves. */
static void
measure_parts(const struct bench *bench)
{
	struct cn_chunker chunker;
	uint64_t t0 = cn_clock_thread_ns(), t1, sum = 0;
	size_t count = 0;

	cn_chunker_init(&chunker, cn_store_secret(bench->store));
	for (size_t at = 0; at < bench->len; count++) {
		at += cn_chunker_next(
		    &chunker, bench->file + at, bench->len - at);
	}
	t1 = cn_clock_thread_ns();
	for (size_t at = 0; at + CN_CHUNK_MEAN <= bench->len;
	     at += CN_CHUNK_MEAN) {
		sum += cn_hash64(bench->file + at, CN_CHUNK_MEAN, 1);
	}
	printf("chunker %.2f GB/s (chunks of %zu), hash %.1f GB/s%s\n",
	    (double)bench->len / (double)(t1 - t0), bench->len / count,
	    (double)bench->len / (double)(cn_clock_thread_ns() - t1),
	    sum == 0 ? "!" : "");
}

static void
set_up(struct bench *bench, uint64_t memory, uint64_t index)
{
	const struct cn_codec_config codec = { .contexts_bytes = 64u << 20,
		.lane_window_log = 20,
		.lane_level = 3 };
	struct cn_store_config config = {
		.memory_bytes = memory,
		.index_bytes = index,
		.epoch = 1,
	};
	const uint8_t peer[CN_IMAGE_PEER_BYTES] = { 1 };
	const uint8_t boot[CN_STORE_BOOT_BYTES] = { 1 };

	bench->user.wake = wake;
	bench->work = cn_alloc(CN_BATCH_PREFIX_MAX + 2 * CN_BATCH_PLAIN_MAX);
	bench->coded = cn_alloc(2 * CN_BATCH_PLAIN_MAX);
	if (bench->work == NULL || bench->coded == NULL ||
	    cn_store_create(&config, 0, &bench->store) != CN_OK ||
	    cn_codec_create(&codec, &bench->codec) != CN_OK ||
	    cn_matcher_create(bench->store, &bench->matcher) != CN_OK) {
		give_up("no memory");
	}
	cn_store_join(bench->store, &bench->user);
	bench->pair = cn_store_pair(bench->store, peer);
	if (bench->pair == NULL) {
		give_up("no memory");
	}
	(void)cn_pair_meet(bench->pair, boot, 0);
}

static void
tear_down(struct bench *bench)
{
	cn_matcher_free(&bench->matcher);
	cn_pair_put(&bench->pair);
	cn_store_leave(bench->store, &bench->user);
	cn_store_free(&bench->store);
	cn_codec_free(&bench->codec);
	cn_free(bench->work);
	cn_free(bench->coded);
}

int
main(int argc, char **argv)
{
	struct bench bench = { .level = 3 };
	uint64_t memory = 2048, index = 64;
	struct cn_store_stats stats;
	int c;

	while ((c = getopt(argc, argv, "m:i:l:")) != -1) {
		long value = c == '?' ? -1 : strtol(optarg, NULL, 10);

		if (value < 0 || value > 1000000) {
			give_up("usage: [-m MIB] [-i MIB] [-l LEVEL] FILE...");
		}
		if (c == 'm') {
			memory = (uint64_t)value;
		} else if (c == 'i') {
			index = (uint64_t)value;
		} else {
			bench.level = (int)value;
		}
	}
	set_up(&bench, memory << 20, index << 20);
	cn_store_stats(bench.store, &stats);
	printf("hook bits %u\n%-18s %6s %10s %9s %7s %8s %9s %6s %8s | %9s "
	       "%9s %9s | ns/B of match append learn\n",
	    stats.hook_bits, "file", "MB", "copies", "literals", "ops",
	    "op bytes", "stored", "older", "bytes", "bare", "stream", "delta");
	for (int i = optind; i < argc; i++) {
		read_file(&bench, argv[i]);
		if (i == optind) {
			measure_parts(&bench);
		}
		send_file(&bench, argv[i]);
		cn_free(bench.file);
	}
	tear_down(&bench);
	return 0;
}
