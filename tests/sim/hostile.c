/* SPDX-License-Identifier: Apache-2.0 */
#include "hostile.h"

#include <string.h>

#include "base/rand.h"
#include "wire/block.h"
#include "wire/frame.h"
#include "wire/limits.h"
#include "wire/writer.h"

static uint64_t
wild(struct cn_prng *prng)
{
	switch (cn_prng_below(prng, 6)) {
	case 0:
		return CN_OFFSET_MAX - cn_prng_below(prng, 3);
	case 1:
		return cn_prng_u64(prng) & CN_VARINT_MAX;
	case 2:
		return cn_prng_below(prng, 70000);
	default:
		return cn_prng_below(prng, 90);
	}
}

static void
put_place(struct cn_writer *w, struct cn_prng *prng, unsigned fields)
{
	for (unsigned i = 0; i < fields; i++) {
		cn_writer_varint(w, wild(prng));
	}
}

/* A frame that decodes, most of the time. */
static void
put_frame(struct cn_writer *w, struct cn_prng *prng)
{
	unsigned type = 1 + (unsigned)cn_prng_below(prng, CN_FRAME_CLOSE - 1);
	uint8_t bytes[64] = { 0 };
	size_t len = 1 + (size_t)cn_prng_below(prng, sizeof(bytes));

	cn_writer_u8(w, (uint8_t)type);
	switch (type) {
	case CN_FRAME_OPEN:
		put_place(w, prng, 2);
		cn_writer_u64(w, cn_prng_below(prng, 4));
		/* No flags, a name of digits, no options. */
		cn_writer_bytes(w, "\x00\x02s0\x00", 5);
		break;
	case CN_FRAME_DATA:
		put_place(w, prng, 2);
		cn_writer_varint(w, len);
		cn_writer_bytes(w, bytes, len);
		break;
	case CN_FRAME_FIN:
		put_place(w, prng, 2);
		cn_writer_bytes(w, bytes, CN_DIGEST_BYTES);
		break;
	case CN_FRAME_END:
	case CN_FRAME_DONE:
		put_place(w, prng, 1);
		break;
	case CN_FRAME_BLOCK_ACK:
		put_place(w, prng, 1);
		cn_writer_varint(w, 1);
		put_place(w, prng, 2);
		break;
	case CN_FRAME_MISS:
		put_place(w, prng, 2);
		cn_writer_varint(w, len);
		break;
	case CN_FRAME_PING:
	case CN_FRAME_PONG:
		cn_writer_u64(w, wild(prng));
		break;
	case CN_FRAME_LANE_CLOSE:
		cn_writer_varint(w, cn_prng_below(prng, CN_LANES_MAX));
		put_place(w, prng, 1);
		break;
	case CN_FRAME_RESUME:
		put_place(w, prng, 4);
		cn_writer_varint(w, cn_prng_below(prng, 4));
		break;
	case CN_FRAME_RESUME_END:
	case CN_FRAME_DRAIN:
		break;
	default: /* two varints */
		put_place(w, prng, 2);
		break;
	}
}

size_t
hostile_fragment(struct cn_prng *prng, uint8_t *out)
{
	uint8_t frames[2048];
	struct cn_lane_head lane = { 0 };
	struct cn_batch_head batch = { 0 };
	struct cn_writer w;
	size_t n;

	if (cn_prng_chance(prng, 1, 4)) {
		batch.stream = wild(prng);
		batch.plain_len = batch.coded_len = 100;
		batch.offset = wild(prng) / 2;
		memset(frames, 0, batch.plain_len);
		batch.hash =
		    cn_block_batch_hash(&batch, frames, batch.plain_len);
		n = cn_fragment_batch_head(
		    out, CN_FRAGMENT_MAX, &batch, batch.plain_len);
		memcpy(out + n, frames, batch.plain_len);
		return n + batch.plain_len;
	}
	cn_writer_init(&w, frames, sizeof(frames));
	for (uint64_t i = cn_prng_below(prng, 4) + 1; i > 0; i--) {
		put_frame(&w, prng);
	}
	lane.raw_len = (uint32_t)cn_writer_len(&w);
	lane.hash = cn_block_lane_hash(&lane, frames, lane.raw_len);
	n = cn_fragment_lane_head(out, CN_FRAGMENT_MAX, &lane);
	memcpy(out + n, frames, lane.raw_len);
	return n + lane.raw_len;
}
