/* SPDX-License-Identifier: Apache-2.0 */

/*
 * CPU that two engines cost for each byte, without sockets and TLS: one
 * stream, bytes of a file (or random ones) from one link to the other.
 *
 *   link_bench [-s STORE_MB] [-f FILE2] FILE|random [MEGABYTES] [LEVEL]
 *
 *   -s  with stores of so much memory; then the same goes a second time
 *   -f  a second file goes between these two
 *
 * Prints, for each pass, CPU-seconds for each gigabyte, of both ends together,
 * and the bytes on the carrier as a share of the plain ones.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/rand.h"
#include "codec/codec.h"
#include "codec/dedup.h"
#include "link/link.h"
#include "wire/limits.h"

struct side {
	struct cn_pool *pool;
	struct cn_codec *codec;
	struct cn_store *store;
	struct cn_dedup_scratch *scratch;
	struct cn_dedup *dedup;
	struct cn_link *link;
	struct cn_stream *stream;
};

static uint64_t carried, taken;

static void
on_wake(void *arg)
{
	(void)arg; /* nothing is on a disk */
}

static void
make_store(struct side *s, uint64_t mb)
{
	struct cn_store_config config = { .memory_bytes = mb << 20,
		.index_bytes = mb << 16,
		.epoch = (uint64_t)(uintptr_t)s };
	static const uint8_t peer[CN_IMAGE_PEER_BYTES];

	if (cn_store_create(&config, cn_clock_us(), &s->store) != CN_OK ||
	    cn_dedup_scratch_create(s->store, &s->scratch) != CN_OK ||
	    cn_dedup_create(
		s->store, s->scratch, peer, on_wake, s, &s->dedup) != CN_OK) {
		exit(1);
	}
}

static void
make_side(struct side *s, bool is_dialler, uint64_t store_mb)
{
	struct cn_codec_config codec = { .contexts_bytes = 64u << 20,
		.lane_window_log = 20,
		.lane_level = 3,
		.clock_ns = cn_clock_thread_ns };
	struct cn_link_config config = { .is_dialler = is_dialler,
		.slots = 1,
		.credit_floor = 16384,
		.window_max = 16u << 20,
		.streams_max = 100,
		.lanes = 32,
		.resume_window_us = 60000000 };

	if (cn_pool_create(UINT64_C(256) << 20, &s->pool) != CN_OK ||
	    cn_codec_create(&codec, &s->codec) != CN_OK) {
		exit(1);
	}
	if (store_mb > 0) {
		make_store(s, store_mb);
	}
	config.dedup = s->dedup;
	config.pool = s->pool;
	config.codec = s->codec;
	if (cn_link_create(&config, cn_clock_us(), &s->link) != CN_OK) {
		exit(1);
	}
}

static void
turn(struct side *from, struct side *to)
{
	static uint8_t buf[64 * 1024];
	struct cn_link_event ev;
	size_t n, used;

	while ((n = cn_link_pull(
		    from->link, 0, buf, CN_FRAGMENT_MAX, cn_clock_us())) > 0) {
		carried += n;
		if (cn_link_receive(
			to->link, 0, buf, n, cn_clock_us(), &used) != CN_OK ||
		    used != n) {
			exit(1);
		}
	}
	while (cn_link_event(to->link, &ev)) {
		if (ev.type == CN_LINK_EVENT_OPEN) {
			to->stream = ev.stream;
		}
	}
}

static void
drain(struct side *s)
{
	struct cn_span spans[8];
	size_t n, len;

	if (s->stream == NULL) {
		return;
	}
	do {
		len = 0;
		n = cn_stream_read_spans(s->stream, spans, 8);
		for (size_t i = 0; i < n; i++) {
			len += spans[i].len;
		}
		cn_stream_consume(s->stream, len, cn_clock_us());
		taken += len;
	} while (len > 0);
}

/* A file, or random bytes; at most *len of them. */
static uint8_t *
load(const char *name, size_t *len)
{
	uint8_t *data = malloc(*len);
	struct cn_prng prng;
	FILE *f;

	if (data == NULL) {
		exit(1);
	}
	if (strcmp(name, "random") == 0) {
		cn_prng_init(&prng, 1);
		for (size_t i = 0; i + 8 <= *len; i += 8) {
			uint64_t v = cn_prng_u64(&prng);

			memcpy(data + i, &v, 8);
		}
		return data;
	}
	f = fopen(name, "rb");
	if (f == NULL) {
		perror(name);
		exit(1);
	}
	*len = fread(data, 1, *len, f);
	fclose(f);
	return data;
}

/* Carry all of it over a stream of its own. */
static void
carry(struct side *a, struct side *b, const struct cn_link_open *open,
    const uint8_t *data, size_t total)
{
	size_t at = 0;
	uint64_t t0 = cn_clock_thread_ns();

	carried = taken = 0;
	if (cn_stream_open(a->link, open, NULL, cn_clock_us(), &a->stream) !=
	    CN_OK) {
		exit(1);
	}
	while (taken < total) {
		struct cn_span spans[4];
		size_t n = cn_stream_fill_spans(a->stream, spans, 4), got = 0;

		for (size_t i = 0; i < n && at < total; i++) {
			size_t part = CN_MIN(spans[i].len, total - at);

			memcpy(spans[i].data, data + at, part);
			at += part;
			got += part;
		}
		cn_stream_fill(a->stream, got, false, cn_clock_us());
		if (at == total) {
			cn_stream_finish(a->stream, cn_clock_us());
		}
		turn(a, b);
		drain(b);
		turn(b, a);
		cn_link_tick(a->link, cn_clock_us());
		cn_link_tick(b->link, cn_clock_us());
	}
	printf("%.3f CPU-s/GB, %.3f %% on the carrier\n",
	    (double)(cn_clock_thread_ns() - t0) / (double)total,
	    100.0 * (double)carried / (double)total);
	cn_stream_reset(a->stream, CN_RESET_ADMIN, cn_clock_us());
	turn(a, b);
	b->stream = NULL;
}

int
main(int argc, char **argv)
{
	struct cn_hello hello = { .credit_floor = 16384,
		.lanes = 32,
		.lane_window_log = 20,
		.prefix_max = 1 << 20,
		.streams_max = 100,
		.features = CN_FEATURE_DEDUP };
	struct cn_link_open open = {
		.service = "bench", .scope = 1, .profile = { 2000, 1, 9, true }
	};
	size_t len = 256 * 1000000, other_len;
	struct side a = { 0 }, b = { 0 };
	const char *other_name = NULL;
	uint64_t store_mb = 0;
	uint8_t *data, *other;
	int i = 1;

	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (argv[i][1] == 's') {
			store_mb = strtoull(argv[i + 1], NULL, 10);
		} else {
			other_name = argv[i + 1];
		}
	}
	if (i >= argc) {
		fprintf(stderr,
		    "usage: link_bench [-s STORE_MB] [-f FILE2] "
		    "FILE|random [MB] [LEVEL]\n");
		return 2;
	}
	if (i + 1 < argc) {
		len = strtoull(argv[i + 1], NULL, 10) * 1000000;
	}
	other_len = len;
	if (i + 2 < argc) {
		open.profile.level_min = open.profile.level_max =
		    (int)strtol(argv[i + 2], NULL, 10);
	}
	data = load(argv[i], &len);
	make_side(&a, true, store_mb);
	make_side(&b, false, store_mb);
	if (cn_link_attach(a.link, 0, 1, &hello, cn_clock_us()) != CN_OK ||
	    cn_link_attach(b.link, 0, 1, &hello, cn_clock_us()) != CN_OK) {
		return 1;
	}
	cn_link_path(a.link, 0, 1000000000, 100, false);
	carry(&a, &b, &open, data, len);
	if (other_name != NULL) {
		other = load(other_name, &other_len);
		carry(&a, &b, &open, other, other_len);
	}
	if (store_mb > 0) {
		carry(&a, &b, &open, data, len);
	}
	return 0;
}
