/* SPDX-License-Identifier: Apache-2.0 */
#include "hostile.h"

#include <string.h>

#include "base/attr.h"
#include "base/rand.h"
#include "wire/block.h"
#include "wire/frame.h"
#include "wire/limits.h"
#include "wire/refs.h"
#include "wire/writer.h"

/* Streams and scopes that exist, with luck. */
#define STREAMS 90u
/* Batches are so long at most: each fits one fragment. */
#define PLAIN_MAX 2000u

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
		return cn_prng_below(prng, STREAMS);
	}
}

static void
put_numbers(struct cn_writer *w, struct cn_prng *prng, unsigned fields)
{
	for (unsigned i = 0; i < fields; i++) {
		cn_writer_varint(w, wild(prng));
	}
}

static uint64_t
epoch(const struct hostile *h)
{
	uint64_t which = cn_prng_below(h->prng, 4);

	return which < 2 ? h->epoch[which] : wild(h->prng);
}

static uint64_t
stream(const struct hostile *h)
{
	return h->streams > 0 && cn_prng_chance(h->prng, 3, 4)
	    ? h->stream[cn_prng_below(h->prng, h->streams)]
	    : cn_prng_below(h->prng, STREAMS);
}

/* A position of a log: near its begin, near its end, anywhere. */
static uint64_t
position(struct cn_prng *prng)
{
	switch (cn_prng_below(prng, 4)) {
	case 0:
		return CN_LOG_END - 1 - cn_prng_below(prng, 70000);
	case 1:
		return cn_prng_u64(prng) % CN_LOG_END;
	default:
		return cn_prng_below(prng, UINT64_C(4) << 20);
	}
}

/* ---- frames ---- */

/* A node of the tree that can be; mostly one of the first few. */
static void
put_node(const struct hostile *h, struct cn_writer *w)
{
	uint64_t level = cn_prng_below(h->prng, CN_LOG_LEVEL_MAX + 1);
	uint64_t nodes = CN_LOG_SEGMENTS_MAX >> 4 * level;

	cn_writer_varint(w, level);
	cn_writer_varint(w,
	    cn_prng_below(h->prng,
		cn_prng_chance(h->prng, 3, 4) ? CN_MIN(nodes, UINT64_C(3))
					      : nodes));
}

/* HAVE, WANT, EXTENTS or LACK. */
static void
put_agreement(const struct hostile *h, struct cn_writer *w, unsigned type)
{
	uint64_t pos = position(h->prng);

	cn_writer_varint(w, cn_prng_below(h->prng, 2));
	cn_writer_u64(w, epoch(h));
	switch (type) {
	case CN_FRAME_HAVE:
	case CN_FRAME_WANT:
		put_node(h, w);
		if (type == CN_FRAME_HAVE) {
			cn_writer_u64(w, cn_prng_u64(h->prng));
		}
		break;
	case CN_FRAME_EXTENTS:
		cn_writer_varint(w, cn_prng_below(h->prng, 5));
		for (unsigned i = 0; i < CN_LOG_EXTENTS * 4; i++) {
			cn_writer_u8(w, (uint8_t)cn_prng_u64(h->prng));
		}
		break;
	default:
		cn_writer_varint(w, pos);
		cn_writer_varint(
		    w, 1 + cn_prng_below(h->prng, CN_LOG_END - pos));
		break;
	}
}

/* A frame that decodes, most of the time. */
static void
put_frame(const struct hostile *h, struct cn_writer *w)
{
	struct cn_prng *prng = h->prng;
	unsigned type = 1 + (unsigned)cn_prng_below(prng, CN_FRAME_LACK);
	uint8_t bytes[64] = { 0 };
	size_t len = 1 + (size_t)cn_prng_below(prng, sizeof(bytes));

	if (type == CN_FRAME_CLOSE) {
		type = CN_FRAME_PING;
	}
	cn_writer_u8(w, (uint8_t)type);
	switch (type) {
	case CN_FRAME_OPEN:
		put_numbers(w, prng, 2);
		cn_writer_u64(w, cn_prng_below(prng, 4));
		/* No flags or NO_STORE, a name of digits, no options. */
		cn_writer_u8(w, cn_prng_chance(prng, 1, 4) ? 2 : 0);
		cn_writer_bytes(w, "\x02s0\x00", 4);
		break;
	case CN_FRAME_DATA:
		put_numbers(w, prng, 2);
		cn_writer_varint(w, len);
		cn_writer_bytes(w, bytes, len);
		break;
	case CN_FRAME_FIN:
		put_numbers(w, prng, 2);
		cn_writer_bytes(w, bytes, CN_DIGEST_BYTES);
		break;
	case CN_FRAME_END:
	case CN_FRAME_DONE:
		put_numbers(w, prng, 1);
		break;
	case CN_FRAME_BLOCK_ACK:
		put_numbers(w, prng, 1);
		cn_writer_varint(w, 1);
		put_numbers(w, prng, 2);
		break;
	case CN_FRAME_MISS:
		put_numbers(w, prng, 2);
		cn_writer_varint(w, len);
		break;
	case CN_FRAME_PING:
	case CN_FRAME_PONG:
		cn_writer_u64(w, wild(prng));
		break;
	case CN_FRAME_LANE_CLOSE:
		cn_writer_varint(w, cn_prng_below(prng, CN_LANES_MAX));
		put_numbers(w, prng, 1);
		break;
	case CN_FRAME_RESUME:
		put_numbers(w, prng, 4);
		cn_writer_varint(w, cn_prng_below(prng, 4));
		break;
	case CN_FRAME_RESUME_END:
	case CN_FRAME_DRAIN:
		break;
	case CN_FRAME_HAVE:
	case CN_FRAME_WANT:
	case CN_FRAME_EXTENTS:
	case CN_FRAME_LACK:
		put_agreement(h, w, type);
		break;
	default: /* two varints */
		put_numbers(w, prng, 2);
		break;
	}
}

/* ---- batches that refer ---- */

static void
draw_stores(const struct hostile *h, struct cn_refs *refs, uint32_t plain_len)
{
	uint32_t at = 0;
	uint64_t most = 1 + cn_prng_below(h->prng, 40);

	refs->store_epoch = epoch(h);
	while (refs->stores < most && at < plain_len) {
		struct cn_ref_store *store = &refs->store[refs->stores++];

		store->offset =
		    at + (uint32_t)cn_prng_below(h->prng, plain_len - at);
		store->len = 1 +
		    (uint32_t)cn_prng_below(h->prng, plain_len - store->offset);
		store->pos = position(h->prng);
		store->pos =
		    CN_MIN(store->pos, CN_LOG_END - (uint64_t)store->len);
		at = store->offset + store->len;
	}
}

static void
draw_logs(const struct hostile *h, struct cn_refs *refs)
{
	refs->logs = 2;
	refs->log[0].epoch = epoch(h);
	refs->log[0].is_senders = cn_prng_chance(h->prng, 1, 2);
	refs->log[1].epoch = cn_prng_u64(h->prng);
	refs->log[1].is_senders = cn_prng_chance(h->prng, 1, 2);
}

/* Regions; they need a coded batch, which this one will not be. */
static void
draw_delta(const struct hostile *h, struct cn_refs *refs)
{
	refs->regions = 1 + cn_prng_below(h->prng, CN_REFS_REGIONS_MAX);
	for (size_t i = 0; i < refs->regions; i++) {
		struct cn_ref_region *region = &refs->region[i];

		region->log = (uint32_t)cn_prng_below(h->prng, refs->logs);
		region->pos = position(h->prng) & ~UINT64_C(4095);
		region->len = 1 + (uint32_t)cn_prng_below(h->prng, 4096);
		refs->delta_len += region->len;
	}
}

/* Copies that are one, into out; the plain bytes that they make. */
static uint32_t
draw_copies(const struct hostile *h, struct cn_refs *refs, uint8_t *out)
{
	struct cn_ref_cursor at = { 0 };
	uint64_t most = 1 + cn_prng_below(h->prng, 6);
	uint32_t plain_len = 0;

	refs->has_copies = true;
	for (uint64_t i = 0; i < most; i++) {
		struct cn_ref_op op = {
			.copy = CN_REFS_OP_MAX +
			    (uint32_t)cn_prng_below(h->prng, 900),
			.log = (uint32_t)cn_prng_below(h->prng, refs->logs),
			.pos = position(h->prng),
		};

		op.pos &= ~UINT64_C(16383); /* within one segment */
		refs->ops_len += (uint32_t)cn_ref_op_encode(
		    out + refs->ops_len, PLAIN_MAX - refs->ops_len, &at, &op);
		plain_len += op.copy;
	}
	return plain_len;
}

/* Bytes of zeros as a batch; what it stores is believed. */
static size_t
hostile_batch(const struct hostile *h, uint8_t *out)
{
	static const uint8_t zeros[CN_BATCH_PLAIN_MAX];
	struct cn_batch_head head = { .stream = stream(h) };
	uint8_t ext[CN_BATCH_EXT_MAX], payload[PLAIN_MAX];
	struct cn_refs refs = { 0 };
	uint32_t len = 1 + (uint32_t)cn_prng_below(h->prng, PLAIN_MAX);
	size_t n;

	memset(payload, 0, sizeof(payload));
	head.plain_len = len;
	if (cn_prng_chance(h->prng, 1, 2)) {
		draw_logs(h, &refs);
		head.plain_len = draw_copies(h, &refs, payload);
		len = refs.ops_len;
		if (cn_prng_chance(h->prng, 1, 3)) {
			draw_delta(h, &refs);
			head.coding = CN_CODING_ZSTD;
			head.prefix_len = refs.delta_len;
		}
	}
	if (cn_prng_chance(h->prng, 3, 4)) {
		draw_stores(h, &refs, head.plain_len);
	}
	head.coded_len = len;
	/* Mostly where credit is, so that it is looked at. */
	head.offset = cn_prng_chance(h->prng, 1, 20)
	    ? wild(h->prng) / 2
	    : cn_prng_below(h->prng, 2000);
	head.ext = ext;
	head.ext_len = cn_refs_encode(ext, sizeof(ext), &refs);
	if (head.ext_len > 0 && cn_prng_chance(h->prng, 1, 8)) {
		ext[cn_prng_below(h->prng, head.ext_len)] ^=
		    (uint8_t)(1 + cn_prng_below(h->prng, 255));
	}
	head.hash = cn_block_batch_hash(&head, zeros, head.plain_len);
	n = cn_fragment_batch_head(out, CN_FRAGMENT_MAX, &head, len);
	memcpy(out + n, payload, len);
	return n + len;
}

/* ---- fragments ---- */

static size_t
lane_fragment(uint8_t *out, const uint8_t *frames, size_t len)
{
	struct cn_lane_head lane = { .raw_len = (uint32_t)len };
	size_t n;

	lane.hash = cn_block_lane_hash(&lane, frames, len);
	n = cn_fragment_lane_head(out, CN_FRAGMENT_MAX, &lane);
	memcpy(out + n, frames, len);
	return n + len;
}

size_t
hostile_fragment(const struct hostile *h, uint8_t *out)
{
	uint8_t frames[2048];
	struct cn_writer w;

	switch (cn_prng_below(h->prng, 12)) {
	case 0:
		return hostile_agreement(h, out);
	case 1:
	case 2:
	case 3:
	case 4:
		return hostile_batch(h, out);
	default:
		break;
	}
	cn_writer_init(&w, frames, sizeof(frames));
	for (uint64_t i = cn_prng_below(h->prng, 4) + 1; i > 0; i--) {
		put_frame(h, &w);
	}
	return lane_fragment(out, frames, cn_writer_len(&w));
}

size_t
hostile_agreement(const struct hostile *h, uint8_t *out)
{
	uint8_t frames[CN_LANE_PLAIN_MAX];
	struct cn_writer w;

	cn_writer_init(&w, frames, sizeof(frames));
	while (cn_writer_len(&w) + 200 < sizeof(frames)) {
		unsigned type =
		    CN_FRAME_HAVE + (unsigned)cn_prng_below(h->prng, 4);

		cn_writer_u8(&w, (uint8_t)type);
		put_agreement(h, &w, type);
	}
	return lane_fragment(out, frames, cn_writer_len(&w));
}
