/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Writes the golden captures: gen_golden FOLDER makes NAME.bin, the bytes of
 * one direction of a carrier, and NAME.json, what they mean.  The meaning is
 * written from what was encoded, never by decoding.
 *
 * The bytes are the same in each run with the same libzstd; its version
 * stands in the JSON.
 */

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ZSTD_STATIC_LINKING_ONLY /* for the magicless format */
#include <xxhash.h>
#include <zstd.h>

#include "base/hash.h"
#include "frame_samples.h"
#include "golden_capture.h"
#include "hello_samples.h"
#include "wire/block.h"
#include "wire/cursor.h"
#include "wire/text.h"
#include "wire/writer.h"

#define LANE_WINDOW_LOG 17

/* One sending lane. */
struct lane {
	ZSTD_CCtx *ctx;
	uint64_t id, generation, sequence;
};

static const char *folder;

/* ---- lane blocks ---- */

static size_t
encode(const struct cn_frame *frames, size_t count, uint8_t *out, size_t cap)
{
	struct cn_writer w;

	cn_writer_init(&w, out, cap);
	for (size_t i = 0; i < count; i++) {
		cn_frame_encode(&w, &frames[i]);
	}
	assert(cn_writer_ok(&w));
	return cn_writer_len(&w);
}

static void
add_raw_block(struct capture *c, const struct cn_frame *frames, size_t count,
    const char *is_verified)
{
	uint8_t plain[CN_LANE_PLAIN_MAX], out[CN_FRAGMENT_MAX];
	struct cn_lane_head head = { .is_coded = false };
	size_t len = encode(frames, count, plain, sizeof(plain));

	head.raw_len = (uint32_t)len;
	head.hash = cn_block_lane_hash(&head, plain, len);
	capture_add(c, out, cn_fragment_lane_head(out, sizeof(out), &head));
	capture_add(c, plain, len);
	capture_item(c);
	fprintf(c->json, "\"block\": %u, \"kind\": \"lane-raw\"", c->block++);
	capture_hash(c, "hash", head.hash);
	fputs(", \"frames\": [", c->json);
	capture_frames(c, frames, count, is_verified);
	fputs("]}", c->json);
}

static void
set(ZSTD_CCtx *ctx, ZSTD_cParameter name, int value)
{
	size_t rc = ZSTD_CCtx_setParameter(ctx, name, value);

	assert(!ZSTD_isError(rc));
	(void)rc;
}

static void
set_all(ZSTD_CCtx *ctx, int window_log)
{
	assert(ctx != NULL);
	set(ctx, ZSTD_c_format, ZSTD_f_zstd1_magicless);
	set(ctx, ZSTD_c_compressionLevel, 3);
	set(ctx, ZSTD_c_windowLog, window_log);
	set(ctx, ZSTD_c_contentSizeFlag, 0);
	set(ctx, ZSTD_c_checksumFlag, 0);
	set(ctx, ZSTD_c_dictIDFlag, 0);
}

/* Start, or start over with a higher generation. */
static void
lane_start(struct lane *lane, uint64_t id, uint64_t generation)
{
	ZSTD_freeCCtx(lane->ctx);
	*lane = (struct lane){
		.ctx = ZSTD_createCCtx(), .id = id, .generation = generation
	};
	set_all(lane->ctx, LANE_WINDOW_LOG);
}

/*
 * A coded lane block of raw_count raw frames, then coded ones.
 *
 * @fate  NULL: it arrives well; "hash": its hash is damaged; "dropped": its
 *        lane failed before
 */
static void
add_coded_block(struct capture *c, struct lane *lane,
    const struct cn_frame *frames, size_t raw_count, size_t count,
    const char *fate)
{
	uint8_t plain[CN_LANE_PLAIN_MAX], coded[CN_FRAGMENT_MAX];
	uint8_t out[CN_FRAGMENT_MAX];
	struct cn_lane_head head = { .is_coded = true,
		.lane = lane->id,
		.generation = lane->generation,
		.sequence = lane->sequence++ };
	size_t raw = encode(frames, raw_count, plain, sizeof(plain));
	size_t len = raw +
	    encode(frames + raw_count, count - raw_count, plain + raw,
		sizeof(plain) - raw);
	ZSTD_inBuffer from = { plain + raw, len - raw, 0 };
	ZSTD_outBuffer to = { coded, sizeof(coded), 0 };
	size_t rc = ZSTD_compressStream2(lane->ctx, &to, &from, ZSTD_e_flush);

	assert(rc == 0);
	(void)rc;
	head.raw_len = (uint32_t)raw;
	head.plain_len = (uint32_t)(len - raw);
	head.coded_len = (uint32_t)to.pos;
	head.hash = cn_block_lane_hash(&head, plain, len);
	if (fate != NULL && strcmp(fate, "hash") == 0) {
		head.hash ^= 1;
	}
	capture_add(c, out, cn_fragment_lane_head(out, sizeof(out), &head));
	capture_add(c, plain, raw);
	capture_add(c, coded, to.pos);
	capture_item(c);
	fprintf(c->json, "\"block\": %u, \"kind\": \"lane-coded\"", c->block++);
	capture_number(c, "lane", head.lane);
	capture_number(c, "generation", head.generation);
	capture_number(c, "sequence", head.sequence);
	capture_number(c, "raw_len", head.raw_len);
	capture_number(c, "plain_len", head.plain_len);
	capture_number(c, "coded_len", head.coded_len);
	capture_hash(c, "hash", head.hash);
	if (fate == NULL) {
		fputs(", \"frames\": [", c->json);
		capture_frames(c, frames, count, "null");
		fputs("]}", c->json);
	} else if (strcmp(fate, "dropped") == 0) {
		fputs(", \"dropped\": true}", c->json);
	} else {
		fprintf(c->json, ", \"nack\": \"%s\"}", fate);
	}
}

/* ---- batches ---- */

struct batch {
	struct cn_batch_head head;
	uint8_t *body; /* owned: coded bytes */
	size_t sent;
	unsigned fragments;
	unsigned block;
};

/*
 * Begin a batch of bytes[offset, offset + len) of a stream; sends its first
 * fragment with at most `first' coded bytes.
 *
 * @prefix_len  of the bytes before; used when zstd
 */
static void
batch_begin(struct capture *c, struct batch *b, const uint8_t *bytes,
    size_t len, size_t first)
{
	const uint8_t *plain = bytes + b->head.offset;
	uint8_t out[CN_FRAGMENT_MAX];
	size_t head;

	b->body = malloc(CN_BATCH_CODED_MAX);
	assert(b->body != NULL);
	b->head.plain_len = (uint32_t)len;
	if (b->head.coding == CN_CODING_RAW) {
		memcpy(b->body, plain, len);
		b->head.coded_len = (uint32_t)len;
	} else {
		ZSTD_CCtx *ctx = ZSTD_createCCtx();
		size_t rc;

		set_all(ctx, 22);
		rc = ZSTD_CCtx_refPrefix(
		    ctx, plain - b->head.prefix_len, b->head.prefix_len);
		assert(!ZSTD_isError(rc));
		rc = ZSTD_compress2(
		    ctx, b->body, CN_BATCH_CODED_MAX, plain, len);
		assert(!ZSTD_isError(rc) && rc <= len);
		b->head.coded_len = (uint32_t)rc;
		ZSTD_freeCCtx(ctx);
	}
	b->head.hash = cn_block_batch_hash(&b->head, plain, len);
	b->block = c->block++;
	b->sent = CN_MIN(first, b->head.coded_len);
	b->fragments = 1;
	head = cn_fragment_batch_head(out, sizeof(out), &b->head, b->sent);
	assert(head > 0);
	capture_add(c, out, head);
	capture_add(c, b->body, b->sent);
}

/* One MORE fragment of at most so many bytes. */
static void
batch_more(struct capture *c, struct batch *b, size_t most)
{
	size_t len = CN_MIN(most, b->head.coded_len - b->sent);
	uint8_t out[CN_FRAGMENT_HEAD_MAX];

	capture_add(c, out, cn_fragment_more_head(out, sizeof(out), len));
	capture_add(c, b->body + b->sent, len);
	b->sent += len;
	b->fragments++;
}

static void
batch_end(struct capture *c, struct batch *b, const uint8_t *bytes)
{
	const struct cn_batch_head *h = &b->head;
	struct cn_cursor in;
	struct cn_tlv tlv;

	while (b->sent < h->coded_len) {
		batch_more(c, b, CN_FRAGMENT_MAX - CN_FRAGMENT_HEAD_MAX);
	}
	capture_item(c);
	fprintf(c->json, "\"block\": %u, \"kind\": \"batch\"", b->block);
	capture_number(c, "stream", h->stream);
	capture_number(c, "offset", h->offset);
	capture_number(c, "plain_len", h->plain_len);
	capture_number(c, "coded_len", h->coded_len);
	fprintf(c->json, ", \"keep\": %s, \"coding\": \"%s\"",
	    (h->flags & CN_BATCH_KEEP) != 0 ? "true" : "false",
	    h->coding == CN_CODING_ZSTD ? "zstd" : "raw");
	capture_number(c, "prefix_len", h->prefix_len);
	fputs(", \"ext\": [", c->json);
	cn_cursor_init(&in, h->ext, h->ext_len);
	while (cn_tlv_next(&in, &tlv)) {
		fprintf(c->json, "[%" PRIu64 ", ", tlv.type);
		capture_hex(c->json, tlv.data, tlv.len);
		fputc(']', c->json);
	}
	fputc(']', c->json);
	capture_hash(c, "hash", h->hash);
	capture_number(c, "fragments", b->fragments);
	capture_hash(
	    c, "plain_xxh64", XXH64(bytes + h->offset, h->plain_len, 0));
	fputc('}', c->json);
	free(b->body);
}

/* A batch without anything between its fragments. */
static void
add_batch(struct capture *c, const struct cn_batch_head *head,
    const uint8_t *bytes, size_t len)
{
	struct batch b = { .head = *head };

	batch_begin(c, &b, bytes, len, 8000);
	batch_end(c, &b, bytes);
}

/* ---- captures ---- */

static struct cn_frame
data_frame(uint64_t stream, uint64_t offset, const void *data, size_t len)
{
	return (struct cn_frame){ .type = CN_FRAME_DATA,
		.u.data = { .stream = stream,
		    .offset = offset,
		    .data = data,
		    .len = len } };
}

static void
make_hellos(void)
{
	static const char *const names[] = { "hello-new", "hello-answer",
		"hello-refusal" };
	struct capture c;

	for (size_t i = 0; i < CN_ARRAY_LEN(names); i++) {
		capture_begin(&c, folder, names[i]);
		capture_hello(&c, &hello_samples[i], i == 1 ? 7 : 0);
		capture_end(&c);
	}
}

/* Every frame, one block each, then all but the unknown in one block. */
static void
make_frames(void)
{
	/* An unknown frame that may be ignored, then PING. */
	static const uint8_t unknown[] = { 0x93, 3, 1, 2, 3, 0x0d, 0, 0, 0, 0,
		0, 0, 0, 9 };
	struct cn_lane_head head = { .raw_len = sizeof(unknown) };
	uint8_t out[64];
	struct capture c;

	capture_begin(&c, folder, "frames");
	capture_hello(&c, &hello_samples[0], 0);
	for (size_t i = 0; i < CN_ARRAY_LEN(frame_samples); i++) {
		add_raw_block(&c, &frame_samples[i], 1, "false");
	}
	add_raw_block(&c, frame_samples, CN_ARRAY_LEN(frame_samples), "false");
	head.hash = cn_block_lane_hash(&head, unknown, sizeof(unknown));
	capture_add(&c, out, cn_fragment_lane_head(out, sizeof(out), &head));
	capture_add(&c, unknown, sizeof(unknown));
	capture_item(&c);
	fprintf(c.json, "\"block\": %u, \"kind\": \"lane-raw\"", c.block++);
	capture_hash(&c, "hash", head.hash);
	fputs(", \"frames\": [{\"type\": \"ignored\", \"code\": 147, "
	      "\"length\": 3}, {\"type\": \"ping\", "
	      "\"token\": \"0000000000000009\"}]}",
	    c.json);
	capture_end(&c);
}

/* The example of the document. */
static void
make_example(void)
{
	static const char request[] = "GET / HTTP/1.0\n";
	struct cn_frame frames[2] = { frame_samples[0],
		data_frame(0, 0, request, sizeof(request) - 1) };
	struct capture c;

	capture_begin(&c, folder, "example");
	capture_hello(&c, &hello_samples[0], 0);
	add_raw_block(&c, frames, CN_ARRAY_LEN(frames), "null");
	capture_end(&c);
}

/* Messages of two scopes, a lane that ends, one that starts over. */
static void
make_lanes(void)
{
	static const char text[] =
	    "{\"id\": 17, \"state\": \"new\", \"owner\": "
	    "\"nobody\", \"tags\": []}\n";
	const size_t len = sizeof(text) - 1;
	struct lane a = { 0 }, b = { 0 };
	struct cn_frame f[4];
	struct capture c;

	capture_begin(&c, folder, "lanes");
	capture_hello(&c, &hello_samples[0], 0);
	lane_start(&a, 0, 1);
	lane_start(&b, CN_LANES_MAX - 1, 70);
	f[0] = frame_samples[0];
	f[1] = data_frame(0, 0, text, len);
	add_coded_block(&c, &a, f, 0, 2, NULL);
	f[0].u.open.stream = 2;
	f[1] = data_frame(2, 0, text, len);
	add_coded_block(&c, &b, f, 0, 2, NULL);
	/* Raw frames before the coded ones. */
	f[0] = (struct cn_frame){ .type = CN_FRAME_PING, .u.ping.token = 1 };
	f[1] = (struct cn_frame){ .type = CN_FRAME_ACK,
		.u.ack = { .stream = 1, .offset = 5 } };
	f[2] = data_frame(0, len, text, len);
	f[3] = data_frame(4, 0, text, len);
	add_coded_block(&c, &a, f, 2, 4, NULL);
	f[0] = data_frame(2, len, text, len);
	add_coded_block(&c, &b, f, 0, 1, NULL);
	/* The first starts over, the second ends and starts again. */
	lane_start(&a, a.id, 2);
	f[0] = data_frame(0, 2 * len, text, len);
	add_coded_block(&c, &a, f, 0, 1, NULL);
	f[0] = (struct cn_frame){ .type = CN_FRAME_LANE_CLOSE,
		.u.lane_close = { .lane = b.id, .generation = 70 } };
	add_raw_block(&c, f, 1, "null");
	lane_start(&b, b.id, 71);
	f[0] = data_frame(2, 2 * len, text, len);
	add_coded_block(&c, &b, f, 0, 1, NULL);
	f[0] = data_frame(0, 3 * len, text, len);
	add_coded_block(&c, &a, f, 0, 1, NULL);
	capture_end(&c);
	ZSTD_freeCCtx(a.ctx);
	ZSTD_freeCCtx(b.ctx);
}

/* A damaged block; the generation is lost with it, the next is good. */
static void
make_lane_failure(void)
{
	static const char text[] = "one two three four five six seven";
	const size_t len = sizeof(text) - 1;
	struct lane a = { 0 };
	struct cn_frame f[2] = { frame_samples[0] };
	struct capture c;

	capture_begin(&c, folder, "lane-failure");
	capture_hello(&c, &hello_samples[0], 0);
	lane_start(&a, 3, 5);
	f[1] = data_frame(0, 0, text, len);
	add_coded_block(&c, &a, f, 0, 2, NULL);
	f[1] = data_frame(0, len, text, len);
	add_coded_block(&c, &a, f + 1, 0, 1, "hash");
	f[1] = data_frame(0, 2 * len, text, len);
	add_coded_block(&c, &a, f + 1, 0, 1, "dropped");
	f[0] = (struct cn_frame){ .type = CN_FRAME_PING, .u.ping.token = 2 };
	add_raw_block(&c, f, 1, "null");
	lane_start(&a, 3, 6);
	f[0] = data_frame(0, len, text, len);
	f[1] = data_frame(0, 2 * len, text, len);
	add_coded_block(&c, &a, f, 0, 2, NULL);
	a.sequence++; /* a gap */
	add_coded_block(&c, &a, f, 0, 1, "generation");
	capture_end(&c);
	ZSTD_freeCCtx(a.ctx);
}

/* Bytes that compress well: phrases in a seeded order. */
static uint8_t *
words(size_t len)
{
	static const char *const word[] = { "the carrier takes the block, ",
		"the stream waits for credit; ", "a lane starts over. ",
		"the batch goes raw, ", "an offset never goes back, ",
		"0x1f 0x2e 0x3d 0x4c ", "acknowledged and forgotten.\n",
		"kept until it is acknowledged; ", "a block, then a block, ",
		"the peer resets it, ", "and a frame is made again. ",
		"nothing is lost\n", "of 262144 bytes ", "in order, ",
		"the hash matches: ", "to its end. " };
	uint8_t *bytes = malloc(len);
	uint64_t seed = 1;
	size_t at = 0;

	assert(bytes != NULL);
	while (at < len) {
		const char *w;
		size_t n;

		seed = seed * UINT64_C(6364136223846793005) +
		    UINT64_C(1442695040888963407);
		w = word[seed >> 60];
		n = CN_MIN(strlen(w), len - at);
		memcpy(bytes + at, w, n);
		at += n;
	}
	return bytes;
}

/* One stream in batches of every kind and in DATA, to its verified end. */
static void
make_batches(void)
{
	struct cn_hello hello = hello_samples[0];
	static const uint8_t ext[] = { 3, 2, 0xab, 0xcd };
	const size_t total = 370000;
	uint8_t *bytes = words(total);
	struct cn_batch_head h = { .stream = 6 };
	struct cn_frame fin = { .type = CN_FRAME_FIN,
		.u.fin = { .stream = 6, .length = total } };
	struct cn_digest digest;
	struct batch b;
	struct cn_frame f;
	struct capture c;

	/* An experimental feature, so that there may be an extension. */
	hello.features = UINT64_C(1) << 63;
	capture_begin(&c, folder, "batches");
	capture_hello(&c, &hello, 0);
	f = frame_samples[0];
	f.u.open.stream = 6;
	add_raw_block(&c, &f, 1, "null");
	/* Raw, in three fragments. */
	add_batch(&c, &h, bytes, 20000);
	/* zstd without prefix, kept. */
	h.coding = CN_CODING_ZSTD;
	h.flags = CN_BATCH_KEEP;
	h.offset = 20000;
	add_batch(&c, &h, bytes, 30000);
	/* With that as prefix; fragments with a lane block between them. */
	b = (struct batch){ .head = h };
	b.head.offset = 50000;
	b.head.prefix_len = 30000;
	batch_begin(&c, &b, bytes, CN_BATCH_PLAIN_MAX, 0);
	batch_more(&c, &b, 1);
	batch_more(&c, &b, 3000);
	f = (struct cn_frame){ .type = CN_FRAME_PING, .u.ping.token = 3 };
	add_raw_block(&c, &f, 1, "null");
	batch_end(&c, &b, bytes);
	/* FIN may come before the bytes. */
	cn_digest_init(&digest);
	cn_digest_update(&digest, bytes, total);
	cn_digest_final(&digest, fin.u.fin.digest);
	add_raw_block(&c, &fin, 1, "null");
	/* DATA, then a batch whose prefix covers that too; an extension. */
	h.offset = 50000 + CN_BATCH_PLAIN_MAX;
	f = data_frame(6, h.offset, bytes + h.offset, 500);
	add_raw_block(&c, &f, 1, "null");
	h.offset += 500;
	h.prefix_len = CN_BATCH_PLAIN_MAX + 30000 + 500;
	h.flags = 0;
	h.ext = ext;
	h.ext_len = sizeof(ext);
	add_batch(&c, &h, bytes, 50000);
	/* The tail, then FIN again. */
	h = (struct cn_batch_head){ .stream = 6, .offset = h.offset + 50000 };
	add_batch(&c, &h, bytes, total - h.offset);
	add_raw_block(&c, &fin, 1, "true");
	capture_end(&c);
	free(bytes);
}

/* The second carrier of a slot. */
static void
make_resume(void)
{
	struct cn_hello hello = hello_samples[0];
	struct cn_frame f[5] = {
		{ .type = CN_FRAME_RESUME,
		    .u.resume = { .stream = 1,
			.received = 70000,
			.written = 65536,
			.credit = 135072,
			.flags = CN_RESUME_FIN_KNOWN } },
		{ .type = CN_FRAME_RESET,
		    .u.reset = { .stream = 3, .reason = CN_RESET_TIMEOUT } },
		{ .type = CN_FRAME_END, .u.end = { .stream = 5 } },
		{ .type = CN_FRAME_RESUME_END },
		{ .type = CN_FRAME_CLOSE,
		    .u.close = { .code = CN_CLOSE_SHUTDOWN,
			.text = "goodbye",
			.text_len = 7 } },
	};
	struct cn_frame data = data_frame(1, 123456, "on it goes", 10);
	struct capture c;

	hello.flags = 0;
	hello.generation = 2;
	capture_begin(&c, folder, "resume");
	capture_hello(&c, &hello, 0);
	add_raw_block(&c, f, 4, "null");
	add_raw_block(&c, &data, 1, "null");
	add_raw_block(&c, f + 4, 1, "null");
	capture_end(&c);
}

int
main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: gen_golden FOLDER\n");
		return 2;
	}
	folder = argv[1];
	make_hellos();
	make_frames();
	make_example();
	make_lanes();
	make_lane_failure();
	make_batches();
	make_resume();
	return 0;
}
