/* SPDX-License-Identifier: Apache-2.0 */

/*
 * CPU that two engines cost for each byte, without sockets and TLS: one
 * stream, bytes of a file (or random ones) from one link to the other.
 *
 *   link_bench FILE|random [MEGABYTES] [LEVEL]
 *
 * Prints CPU-seconds for each gigabyte, of both ends together, and the bytes
 * on the carrier as a share of the plain ones.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/rand.h"
#include "codec/codec.h"
#include "link/link.h"
#include "wire/limits.h"

struct side {
	struct cn_pool *pool;
	struct cn_codec *codec;
	struct cn_link *link;
	struct cn_stream *stream;
};

static uint64_t carried, taken;

static void
make_side(struct side *s, bool is_dialler)
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

int
main(int argc, char **argv)
{
	struct cn_hello hello = { .credit_floor = 16384,
		.lanes = 32,
		.lane_window_log = 20,
		.prefix_max = 1 << 20,
		.streams_max = 100 };
	struct cn_link_open open = {
		.service = "bench", .scope = 1, .profile = { 2000, 1, 9 }
	};
	size_t total = 256, data_len, at = 0;
	struct side a = { 0 }, b = { 0 };
	uint8_t *data;
	uint64_t t0;

	if (argc < 2) {
		fprintf(stderr, "usage: link_bench FILE|random [MB] [LEVEL]\n");
		return 2;
	}
	total = (argc > 2 ? strtoull(argv[2], NULL, 10) : 256) * 1000000;
	if (argc > 3) {
		open.profile.level_min = open.profile.level_max =
		    (int)strtol(argv[3], NULL, 10);
	}
	data = malloc(total);
	if (data == NULL) {
		return 1;
	}
	if (strcmp(argv[1], "random") == 0) {
		struct cn_prng prng;

		cn_prng_init(&prng, 1);
		for (size_t i = 0; i + 8 <= total; i += 8) {
			uint64_t v = cn_prng_u64(&prng);

			memcpy(data + i, &v, 8);
		}
		data_len = total;
	} else {
		FILE *f = fopen(argv[1], "rb");

		if (f == NULL) {
			perror(argv[1]);
			return 1;
		}
		data_len = fread(data, 1, total, f);
		fclose(f);
		total = data_len;
	}
	make_side(&a, true);
	make_side(&b, false);
	if (cn_link_attach(a.link, 0, 1, &hello, cn_clock_us()) != CN_OK ||
	    cn_link_attach(b.link, 0, 1, &hello, cn_clock_us()) != CN_OK ||
	    cn_stream_open(a.link, &open, NULL, cn_clock_us(), &a.stream) !=
		CN_OK) {
		return 1;
	}
	cn_link_path(a.link, 0, 1000000000, 100, false);
	t0 = cn_clock_thread_ns();
	while (taken < total) {
		struct cn_span spans[4];
		size_t n = cn_stream_fill_spans(a.stream, spans, 4), got = 0;

		for (size_t i = 0; i < n && at < total; i++) {
			size_t part = CN_MIN(spans[i].len, total - at);

			memcpy(spans[i].data, data + at, part);
			at += part;
			got += part;
		}
		cn_stream_fill(a.stream, got, false, cn_clock_us());
		if (at == total) {
			cn_stream_finish(a.stream, cn_clock_us());
		}
		turn(&a, &b);
		drain(&b);
		turn(&b, &a);
		cn_link_tick(a.link, cn_clock_us());
		cn_link_tick(b.link, cn_clock_us());
	}
	printf("%.3f CPU-s/GB, %.3f %% on the carrier\n",
	    (double)(cn_clock_thread_ns() - t0) / (double)total,
	    100.0 * (double)carried / (double)total);
	return 0;
}
