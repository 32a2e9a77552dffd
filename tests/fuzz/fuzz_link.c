/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One engine against a peer that says anything.  The input is a script: the
 * peer's frames, wrapped in blocks with correct hashes, batches and raw
 * bytes, between local opens, reads, writes, ends, cuts and the passing of
 * time.  It must not crash, keep memory or pass its limits, and its deadline
 * must move on when it was served.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/pool.h"
#include "codec/codec.h"
#include "link/link.h"
#include "wire/block.h"
#include "wire/frame.h"
#include "wire/limits.h"
#include "wire/writer.h"

#define POOL_BYTES (4u << 20)
#define STREAMS 16
#define SLOTS 2
/* What the peer sends is all zeros, so that digests can be right. */

static uint8_t zeros[CN_BATCH_PLAIN_MAX];

struct fuzz {
	const uint8_t *at, *end; /* the script */
	struct cn_link *link;
	struct cn_hello hello;
	uint64_t now, generation;
	uint64_t lane_generation[SLOTS], lane_sequence[SLOTS];
	struct cn_lane_enc *enc[SLOTS];
	struct cn_stream *stream[STREAMS];
	uint8_t frames[CN_LANE_PLAIN_MAX];
	struct cn_writer w; /* on frames */
};

static struct cn_pool *pool;
static struct cn_codec *codec, *peer_codec;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
need(bool is_so)
{
	if (!is_so) {
		abort();
	}
}

/* ---- the script ---- */

static uint8_t
byte(struct fuzz *f)
{
	return f->at < f->end ? *f->at++ : 0;
}

/* Mostly small, sometimes at an edge. */
static uint64_t
value(struct fuzz *f)
{
	static const uint64_t edges[] = { CN_OFFSET_MAX, CN_OFFSET_MAX - 1,
		CN_OFFSET_MAX - 65536, 16384, 16383, 65536, 4096, 262144,
		UINT64_C(1) << 32, UINT64_C(1) << 61, 15000, 1 << 20 };
	uint8_t b = byte(f);

	if (b < 128) {
		return b;
	}
	if (b < 192) {
		return (uint64_t)(b - 128) << 8 | byte(f);
	}
	return edges[b % CN_ARRAY_LEN(edges)];
}

static uint64_t
value_to(struct fuzz *f, uint64_t most)
{
	uint64_t v = value(f);

	return CN_MIN(v, most);
}

/* ---- the peer's frames ---- */

static void
put_digest(struct fuzz *f, uint64_t length)
{
	struct cn_digest digest;
	uint8_t bytes[CN_DIGEST_BYTES];

	cn_digest_init(&digest);
	cn_digest_update(&digest, zeros, CN_MIN(length, sizeof(zeros)));
	cn_digest_final(&digest, bytes);
	bytes[0] ^= byte(f) == 255;
	cn_writer_bytes(&f->w, bytes, sizeof(bytes));
}

/* Fields by letter: v varint, q fixed u64, d digest of the last varint,
 * z zeros with their length, n name with its length, r ranges. */
static const char *const shapes[] = {
	[CN_FRAME_OPEN] = "vvqvnz",
	[CN_FRAME_DATA] = "vvz",
	[CN_FRAME_FIN] = "vvd",
	[CN_FRAME_RESET] = "vv",
	[CN_FRAME_END] = "v",
	[CN_FRAME_DONE] = "v",
	[CN_FRAME_CREDIT] = "vv",
	[CN_FRAME_ACK] = "vv",
	[CN_FRAME_ACK_FIN] = "vv",
	[CN_FRAME_BLOCK_ACK] = "vr",
	[CN_FRAME_NACK] = "vv",
	[CN_FRAME_MISS] = "vvv",
	[CN_FRAME_PING] = "q",
	[CN_FRAME_PONG] = "q",
	[CN_FRAME_LANE_CLOSE] = "vv",
	[CN_FRAME_RESUME] = "vvvvv",
	[CN_FRAME_RESUME_END] = "",
	[CN_FRAME_DRAIN] = "",
	[CN_FRAME_CLOSE] = "vn",
};

static void
put_field(struct fuzz *f, char shape, uint64_t *last)
{
	uint64_t n;

	switch (shape) {
	case 'v':
		*last = value(f);
		cn_writer_varint(&f->w, *last);
		break;
	case 'q':
		cn_writer_u64(&f->w, byte(f) % 3);
		break;
	case 'd':
		put_digest(f, *last);
		break;
	case 'z':
		n = value_to(f, CN_DATA_MAX);
		cn_writer_varint(&f->w, n);
		cn_writer_bytes(&f->w, zeros, (size_t)n);
		break;
	case 'n':
		n = byte(f) % 8;
		cn_writer_varint(&f->w, n);
		cn_writer_bytes(&f->w, "abcdefgh", (size_t)n);
		break;
	default:
		n = byte(f) % 4;
		cn_writer_varint(&f->w, n);
		for (uint64_t i = 0; i < n * 2; i++) {
			cn_writer_varint(&f->w, value(f));
		}
		break;
	}
}

static void
put_frame(struct fuzz *f)
{
	size_t mark = cn_writer_mark(&f->w);
	unsigned type = byte(f) % CN_ARRAY_LEN(shapes);
	uint64_t last = 0;

	if (shapes[type] == NULL) {
		return;
	}
	cn_writer_u8(&f->w, (uint8_t)type);
	for (const char *p = shapes[type]; *p != '\0'; p++) {
		put_field(f, *p, &last);
	}
	if (cn_writer_failed(&f->w)) {
		cn_writer_rollback(&f->w, mark);
	}
}

/* ---- the peer's blocks ---- */

static void
give(struct fuzz *f, uint32_t slot, const uint8_t *bytes, size_t len)
{
	size_t used = 0;

	if (!cn_link_is_up(f->link, slot)) {
		return;
	}
	(void)!cn_link_receive(f->link, slot, bytes, len, f->now, &used);
	need(used <= len);
}

/* The frames so far as a block; coded when a lane is there for it. */
static void
give_block(struct fuzz *f, uint32_t slot, bool is_coded)
{
	uint8_t out[CN_FRAGMENT_MAX * 2], coded[CN_FRAGMENT_MAX * 2];
	struct cn_lane_head head = { 0 };
	size_t len = cn_writer_len(&f->w), coded_len = 0, n;

	if (len == 0) {
		return;
	}
	head.raw_len = (uint32_t)len;
	if (is_coded && len < CN_LANE_PLAIN_MAX - 1024 &&
	    f->enc[slot] != NULL) {
		uint64_t skew = byte(f);

		need(cn_lane_enc_block(f->enc[slot], f->frames, len, coded,
			 sizeof(coded), &coded_len) == CN_OK);
		head.is_coded = true;
		head.raw_len = 0;
		head.plain_len = (uint32_t)len;
		head.coded_len = (uint32_t)coded_len;
		head.lane = skew >= 240 ? skew % 40 : 0;
		head.generation = f->lane_generation[slot] + (skew == 239);
		head.sequence = f->lane_sequence[slot]++ + (skew == 238);
	}
	head.hash = cn_block_lane_hash(&head, f->frames, len);
	n = cn_fragment_lane_head(out, sizeof(out), &head);
	if (head.is_coded) {
		memcpy(out + n, coded, coded_len);
		len = coded_len;
	} else {
		memcpy(out + n, f->frames, len);
	}
	if (n + len <= CN_FRAGMENT_MAX) {
		give(f, slot, out, n + len);
	}
	cn_writer_init(&f->w, f->frames, sizeof(f->frames));
}

static void
give_batch(struct fuzz *f, uint32_t slot)
{
	static uint8_t out[2 * CN_FRAGMENT_MAX], coded[CN_BATCH_CODED_MAX];
	struct cn_batch_head head = { .stream = value(f), .offset = value(f) };
	const uint8_t *bytes = zeros;
	size_t sent = 0, len = 0;
	uint8_t how = byte(f);

	head.plain_len = 1 + (uint32_t)value_to(f, CN_BATCH_PLAIN_MAX - 1);
	head.coded_len = head.plain_len;
	if (head.offset > CN_OFFSET_MAX - head.plain_len) {
		head.offset = CN_OFFSET_MAX - head.plain_len;
	}
	head.flags = how % 2 == 0 ? CN_BATCH_KEEP : 0;
	head.hash = cn_block_batch_hash(&head, zeros, head.plain_len);
	if (how % 8 == 7) {
		head.hash++;
	}
	if ((how & 16) != 0 &&
	    cn_codec_batch_encode(peer_codec, 1, NULL, 0, zeros, head.plain_len,
		coded, head.plain_len, &len) == CN_OK) {
		head.coding = CN_CODING_ZSTD;
		head.coded_len = (uint32_t)len;
		head.prefix_len =
		    (how & 32) != 0 && head.offset >= 1000 ? 1000 : 0;
		bytes = coded;
	}
	while (sent < head.coded_len) {
		size_t body = CN_MIN(head.coded_len - sent, (size_t)16000);
		size_t n = sent == 0
		    ? cn_fragment_batch_head(out, sizeof(out), &head, body)
		    : cn_fragment_more_head(out, sizeof(out), body);

		memcpy(out + n, bytes + sent, body);
		give(f, slot, out, n + body);
		sent += body;
		if (how >= 250) {
			break; /* the rest never comes, or not now */
		}
	}
}

static void
give_bytes(struct fuzz *f, uint32_t slot)
{
	size_t len = byte(f);

	len = CN_MIN(len, (size_t)(f->end - f->at));

	give(f, slot, f->at, len);
	f->at += len;
}

/* ---- the owner ---- */

static void
forget(struct fuzz *f, const struct cn_stream *s)
{
	for (int i = 0; i < STREAMS; i++) {
		if (f->stream[i] == s) {
			f->stream[i] = NULL;
			return;
		}
	}
	need(false); /* an event of a stream that nobody holds */
}

static void
adopt(struct fuzz *f, struct cn_stream *s)
{
	for (int i = 0; i < STREAMS; i++) {
		if (f->stream[i] == NULL) {
			f->stream[i] = s;
			return;
		}
	}
	cn_stream_reset(s, CN_RESET_BUSY, f->now);
}

static void
events(struct fuzz *f)
{
	struct cn_link_event ev;

	while (cn_link_event(f->link, &ev)) {
		if (ev.type == CN_LINK_EVENT_OPEN) {
			adopt(f, ev.stream);
		} else if (ev.type == CN_LINK_EVENT_ENDED ||
		    ev.type == CN_LINK_EVENT_RESET) {
			need(!cn_stream_at_end(ev.stream));
			forget(f, ev.stream);
			cn_stream_release(ev.stream);
		}
	}
}

static void
open_stream(struct fuzz *f)
{
	struct cn_link_open open = { .service = "web",
		.scope = byte(f) % 3,
		.profile = { 1000, 1, 3 } };
	struct cn_stream *s;

	if (cn_stream_open(f->link, &open, NULL, f->now, &s) == CN_OK) {
		adopt(f, s);
	}
}

static void
write_stream(struct fuzz *f, struct cn_stream *s, size_t want)
{
	struct cn_span spans[4];
	size_t n = cn_stream_fill_spans(s, spans, CN_ARRAY_LEN(spans));
	size_t got = 0;

	for (size_t i = 0; i < n && got < want; i++) {
		size_t part = CN_MIN(spans[i].len, want - got);

		memset(spans[i].data, (int)(want * 7), part);
		got += part;
	}
	cn_stream_fill(s, got, want % 2 == 0, f->now);
}

static void
read_stream(struct fuzz *f, struct cn_stream *s, size_t most)
{
	struct cn_span spans[4];
	size_t n = cn_stream_read_spans(s, spans, CN_ARRAY_LEN(spans));
	size_t got = 0;

	for (size_t i = 0; i < n; i++) {
		got += spans[i].len;
	}
	cn_stream_consume(s, CN_MIN(got, most), f->now);
	if (cn_stream_at_end(s)) {
		cn_stream_shut(s, f->now);
	}
}

static void
attach(struct fuzz *f, uint32_t slot)
{
	need(cn_link_attach(
		 f->link, slot, ++f->generation, &f->hello, f->now) == CN_OK ||
	    cn_link_deadline(f->link) == UINT64_MAX);
	f->lane_generation[slot]++;
	f->lane_sequence[slot] = 0;
	if (f->enc[slot] == NULL) {
		(void)!cn_lane_enc_create(peer_codec, &f->enc[slot]);
	} else {
		cn_lane_enc_restart(f->enc[slot]);
	}
}

/* What is pulled is well-formed; everything due is served. */
static void
turn(struct fuzz *f)
{
	static uint8_t out[4 * CN_FRAGMENT_MAX];
	uint64_t pulled = 0;

	cn_link_tick(f->link, f->now);
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		size_t n;

		while ((n = cn_link_pull(
			    f->link, slot, out, sizeof(out), f->now)) > 0) {
			size_t at = 0, used;
			struct cn_fragment fragment;

			while (at < n) {
				need(cn_fragment_decode(out + at, n - at,
					 &fragment, &used) == CN_OK);
				at += used;
			}
			pulled += n;
			need(pulled < (64u << 20)); /* it comes to an end */
		}
	}
	need(cn_link_deadline(f->link) > f->now);
}

static void
local(struct fuzz *f, unsigned op)
{
	uint8_t which = byte(f);
	struct cn_stream *s = f->stream[which % STREAMS];

	if (s == NULL) {
		return;
	}
	switch (op) {
	case 0:
		write_stream(f, s, (size_t)value_to(f, 65536));
		break;
	case 1:
		read_stream(f, s, which < 128 ? SIZE_MAX : which);
		break;
	case 2:
		cn_stream_finish(s, f->now);
		break;
	default:
		forget(f, s);
		cn_stream_reset(s, CN_RESET_BY_APPLICATION, f->now);
		break;
	}
}

static void
step(struct fuzz *f)
{
	uint8_t op = byte(f);
	uint32_t slot = (op >> 5) % SLOTS;

	switch (op % 16) {
	case 0:
	case 1:
	case 2:
		put_frame(f);
		break;
	case 3:
		give_block(f, slot, false);
		break;
	case 4:
		give_block(f, slot, true);
		break;
	case 5:
		give_batch(f, slot);
		break;
	case 6:
		give_bytes(f, slot);
		break;
	case 7:
		open_stream(f);
		break;
	case 8:
	case 9:
	case 10:
	case 11:
		local(f, op % 16 - 8);
		break;
	case 12:
		f->now += (uint64_t)byte(f) * 1000 * (op >= 240 ? 1000 : 1);
		turn(f);
		break;
	case 13:
		turn(f);
		break;
	case 14:
		if (op >= 128) {
			cn_link_detach(f->link, slot, f->now);
		} else {
			attach(f, slot);
		}
		break;
	default:
		cn_link_path(f->link, slot, value(f) * 1000, 1000, op >= 128);
		if (op == 255) {
			cn_link_drain(f->link);
		}
		break;
	}
	events(f);
}

static void
set_up(struct fuzz *f)
{
	struct cn_codec_config coding = { .contexts_bytes = 4u << 20,
		.lane_window_log = 12,
		.lane_level = 1 };
	struct cn_link_config config = { .slots = SLOTS,
		.is_dialler = true,
		.credit_floor = 16384,
		.window_max = 1u << 20,
		.streams_max = 8,
		.lanes = 4,
		.resume_window_us = UINT64_C(60000000) };

	if (pool == NULL) {
		need(cn_pool_create(POOL_BYTES, &pool) == CN_OK);
		need(cn_codec_create(&coding, &codec) == CN_OK);
		need(cn_codec_create(&coding, &peer_codec) == CN_OK);
	}
	config.pool = pool;
	config.codec = codec;
	f->now = 1000000;
	need(cn_link_create(&config, f->now, &f->link) == CN_OK);
	cn_link_limits(&config, &f->hello);
	cn_writer_init(&f->w, f->frames, sizeof(f->frames));
	attach(f, 0);
	open_stream(f);
	open_stream(f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct fuzz f;

	memset(&f, 0, sizeof(f));
	f.at = data;
	f.end = data + len;
	set_up(&f);
	while (f.at < f.end) {
		step(&f);
	}
	turn(&f);
	events(&f);
	cn_link_free(&f.link);
	for (int i = 0; i < SLOTS; i++) {
		cn_lane_enc_free(&f.enc[i]);
	}
	need(cn_pool_used(pool) == 0 && cn_pool_promised(pool) == 0);
	need(cn_codec_contexts_bytes(codec) == 0);
	cn_pool_trim(pool);
	return 0;
}
