/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_WIRE_BLOCK_H
#define CN_WIRE_BLOCK_H

/*
 * Blocks and fragments: what a carrier carries after the hello.
 *
 * A carrier is a sequence of fragments, each at most CN_FRAGMENT_MAX bytes
 * with its head:
 *
 *   lane block   one fragment: raw frames, then, if coded, frames that went
 *                through a lane (one flushed piece of its zstd stream)
 *   batch        first fragment with the batch's head and its first coded
 *                bytes, then more fragments until coded_len bytes are there;
 *                lane blocks may stand between them, another batch may not
 *
 * Blocks are numbered from 0 for each carrier and direction, implicitly, in
 * the order of their first fragments.
 *
 * Hash: XXH3-64 of the plain bytes, seeded with the XXH3-64 of the placing
 * fields, so bytes that were put in the wrong place fail too.  Of a lane
 * block these are all fields but coded_len; of a batch: stream, offset,
 * plain_len and ext, so that the same range hashes equal however it is coded.
 *
 * Pure: no I/O, no clock, no heap.
 * Wire: doc/protocol.md, "Blocks".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "wire/limits.h"

enum cn_fragment_kind {
	CN_FRAGMENT_LANE_RAW = 0x01,   /* lane block without a coded part */
	CN_FRAGMENT_LANE_CODED = 0x02, /* lane block with one */
	CN_FRAGMENT_BATCH = 0x03,      /* head of a batch and its first bytes */
	CN_FRAGMENT_MORE = 0x04,       /* further bytes of the open batch */
};

enum cn_coding {
	CN_CODING_RAW = 0,
	CN_CODING_ZSTD = 1, /* one magicless zstd frame */
};

struct cn_lane_head {
	bool is_coded;
	/* All below but raw_len are zero when not coded. */
	uint64_t lane;       /* < CN_LANES_MAX */
	uint64_t generation; /* grows with each new context of the lane */
	uint64_t sequence;   /* of this block in the generation, from 0 */
	uint32_t raw_len;    /* bytes of raw frames that come first */
	uint32_t plain_len;  /* bytes of coded frames once decoded, >= 1 */
	uint32_t coded_len;  /* bytes of the coded part on the wire, >= 1 */
	uint64_t hash;
};

/* Flags of a batch. */
#define CN_BATCH_KEEP 0x01u /* receiver: keep these bytes as later prefix */
#define CN_BATCH_FLAGS 0x01u

struct cn_batch_head {
	uint64_t stream;
	uint64_t offset;    /* of the first plain byte in its direction */
	uint32_t plain_len; /* 1..CN_BATCH_PLAIN_MAX */
	/*
	 * 1..plain_len.  Without extensions == plain_len when raw; with them
	 * the payload may be shorter, and cn_refs_decode() compares.
	 */
	uint32_t coded_len;
	/*
	 * <= CN_BATCH_PREFIX_MAX; 0 when raw.  Without extensions <= offset;
	 * with them the prefix may come from a log, and cn_refs_decode()
	 * compares.
	 */
	uint32_t prefix_len;
	uint32_t flags;
	enum cn_coding coding;
	uint64_t hash;
	/*
	 * Extension TLVs {varint type, varint length, bytes}, types
	 * ascending: wire/refs.h.  Only their form is checked here: without
	 * features the receiver refuses what is not empty.
	 */
	const uint8_t *ext; /* borrowed from the input */
	size_t ext_len;     /* <= CN_BATCH_EXT_MAX */
};

#define CN_BATCH_EXT_MAX 4096u
/* Head of a fragment: kind byte and length. */
#define CN_FRAGMENT_HEAD_MAX 3u
/* Most bytes of a lane block's or batch's head, without extensions. */
#define CN_LANE_HEAD_MAX 48u
#define CN_BATCH_HEAD_MAX 48u

/* A whole fragment as found in the carrier's bytes. */
struct cn_fragment {
	enum cn_fragment_kind kind;
	struct cn_lane_head lane;   /* kinds LANE_* */
	struct cn_batch_head batch; /* kind BATCH */
	const uint8_t *body;        /* borrowed: after the inner head */
	size_t body_len;
	/*
	 * LANE_*: body is raw_len raw frames, then coded_len coded bytes.
	 * BATCH, MORE: body is coded bytes (may be empty for BATCH only).
	 */
};

/*
 * Find and decode the fragment at the start of bytes.
 *
 * @ret   valid on success only (else it may hold parts of a fragment)
 * @used  bytes that it takes; set on success only
 *
 * Returns CN_OK; CN_EAGAIN when more bytes are needed (never when
 * CN_FRAGMENT_MAX bytes are there); CN_EPROTO when no legal fragment can begin
 * so.
 */
int cn_fragment_decode(const uint8_t *bytes, size_t len,
    struct cn_fragment *ret, size_t *used) CN_MUSTCHECK;

/*
 * Write the head of a fragment (kind, length, inner head); the caller puts
 * body_len body bytes right behind it.
 *
 * Returns the bytes written, <= CN_FRAGMENT_HEAD_MAX + the inner head's
 * maximum (+ ext_len), or 0 when cap is too small.
 */
size_t cn_fragment_lane_head(
    uint8_t *out, size_t cap, const struct cn_lane_head *head);
/* @body_len  coded bytes that stand in this first fragment */
size_t cn_fragment_batch_head(uint8_t *out, size_t cap,
    const struct cn_batch_head *head, size_t body_len);
size_t cn_fragment_more_head(uint8_t *out, size_t cap, size_t body_len);

/*
 * The hash that belongs in head->hash, over the placing fields and the plain
 * bytes.  For a lane block the plain bytes are the raw frames and the decoded
 * frames one behind the other in memory.
 */
uint64_t cn_block_lane_hash(
    const struct cn_lane_head *head, const uint8_t *plain, size_t len);
uint64_t cn_block_batch_hash(
    const struct cn_batch_head *head, const uint8_t *plain, size_t len);

#endif /* CN_WIRE_BLOCK_H */
