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
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "frame_samples.h"
#include "golden_block.h"
#include "hello_samples.h"
#include "wire/block.h"

static const char *folder;

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
	struct cn_hello hello = hello_samples[0];
	uint8_t out[64];
	struct capture c;

	hello.features = CN_FEATURE_DEDUP;
	capture_begin(&c, folder, "frames");
	capture_hello(&c, &hello, 0);
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

/* One stream in batches of every kind and in DATA, to its verified end. */
static void
make_batches(void)
{
	struct cn_hello hello = hello_samples[0];
	static const uint8_t ext[] = { 3, 2, 0xab, 0xcd };
	const size_t total = 370000;
	uint8_t *bytes = words(total);
	struct batch h = { .head.stream = 6 };
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
	h.head.coding = CN_CODING_ZSTD;
	h.head.flags = CN_BATCH_KEEP;
	h.head.offset = 20000;
	add_batch(&c, &h, bytes, 30000);
	/* With that as prefix; fragments with a lane block between them. */
	b = h;
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
	h.head.offset = 50000 + CN_BATCH_PLAIN_MAX;
	f = data_frame(6, h.head.offset, bytes + h.head.offset, 500);
	add_raw_block(&c, &f, 1, "null");
	h.head.offset += 500;
	h.head.prefix_len = CN_BATCH_PLAIN_MAX + 30000 + 500;
	h.head.flags = 0;
	h.head.ext = ext;
	h.head.ext_len = sizeof(ext);
	add_batch(&c, &h, bytes, 50000);
	/* The tail, then FIN again. */
	h = (struct batch){ .head.stream = 6,
		.head.offset = h.head.offset + 50000 };
	add_batch(&c, &h, bytes, total - h.head.offset);
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
	make_references(folder);
	make_resume();
	return 0;
}
