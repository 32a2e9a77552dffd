/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_WIRE_REFS_H
#define CN_WIRE_REFS_H

/*
 * The extensions of a batch that refer to the logs of the pair, and the list
 * of copies in its payload.
 *
 *   ext 1  LOGS    the logs that this batch refers to
 *   ext 2  COPIES  the payload is a list of copies, then literals
 *   ext 3  DELTA   regions of the logs that stand before the payload as the
 *                  frame's prefix, in place of the stream's own bytes
 *   ext 4  STORES  pieces of the plain bytes to keep, and where
 *
 * Their values, all numbers varints but the epochs (8 bytes, big endian):
 *
 *   LOGS    count, then count times {flags, epoch}; flags bit 0: the
 *           receiver of the batch writes that log, else its sender
 *   COPIES  ops_len, literal_len
 *   DELTA   count, then count times {log, pos, len}
 *   STORES  epoch, then for each piece {skip, len, move}: skip plain bytes
 *           from the end of the last piece; move from where that ended in
 *           the log (first: 0) to pos, as zigzag
 *
 * LOGS stands with COPIES or DELTA, never alone; none stands empty.
 *
 * A batch with COPIES codes its payload, not its plain bytes: ops_len bytes
 * of copies, then literal_len bytes.  Both ends build the plain bytes by
 * going through the copies; what is left over after the last are literals.
 *
 * One copy in the list is {literal << 1 | placed, copy[, place]}.  Expected
 * is the place where the last copy ended, moved on by as many bytes as
 * literals now come between (the first copy: position 0 of log 0):
 *
 *   placed 0               at the place expected: 3 bytes for a copy below
 *                          16 KiB after less than 32 literals
 *   placed 1, move << 1    in the same log, moved by zigzag from expected
 *   placed 1, log << 1 | 1, pos   anywhere
 *
 * zigzag of a move m: 2m forwards (m >= 0), -2m - 1 backwards.
 *
 * Pure: no I/O, no clock, no heap.
 * Wire: doc/protocol.md, "References".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "wire/block.h"

#define CN_REFS_LOGS_MAX 8u
#define CN_REFS_REGIONS_MAX 64u
#define CN_REFS_STORES_MAX 512u
/* Bytes of one copy in the list: 4 + 4, then 1 + 8 or 8. */
#define CN_REFS_OP_MAX 17u
/* Bytes of the list: 2048 of the longest. */
#define CN_REFS_OPS_MAX (2048u * CN_REFS_OP_MAX)
/* Bytes of log in the regions of one batch, all together. */
#define CN_REFS_DELTA_MAX (256u * 1024u)

struct cn_ref_log {
	uint64_t epoch;
	bool is_senders; /* written by the sender of the batch */
};

/* Within one segment. */
struct cn_ref_region {
	uint32_t log; /* index into logs */
	uint32_t len; /* 1..CN_REFS_DELTA_MAX */
	uint64_t pos;
};

/* Plain [offset, offset + len) goes to pos of the sender's log of
 * store_epoch; may go on in the next segments. */
struct cn_ref_store {
	uint32_t offset;
	uint32_t len; /* >= 1 */
	uint64_t pos;
};

struct cn_refs {
	struct cn_ref_log log[CN_REFS_LOGS_MAX]; /* none twice */
	size_t logs;
	bool has_copies;
	uint32_t ops_len; /* 2..CN_REFS_OPS_MAX with copies, else 0 */
	uint32_t literal_len;
	struct cn_ref_region region[CN_REFS_REGIONS_MAX];
	size_t regions;
	uint32_t delta_len; /* sum of the regions; encode reads the regions */
	uint64_t store_epoch;
	/* Ascending in plain, not overlapping. */
	struct cn_ref_store store[CN_REFS_STORES_MAX];
	size_t stores;
};

/*
 * The ext of a batch: as many stores as fit are written, the rest is left
 * out of it and of refs->stores; so are logs that nothing refers to.
 * The caller keeps to the limits; asserts check them.
 *
 * Returns its length, <= CN_BATCH_EXT_MAX; 0 when it is empty or does not
 * fit into cap.
 */
size_t cn_refs_encode(uint8_t *out, size_t cap, struct cn_refs *refs);

/*
 * Decode and check the ext of a batch against its head: every index, length
 * and sum; places below 2^60, copied ones within a segment; stores
 * ascending, within plain_len, each at least one byte; payload = ops_len +
 * literal_len <= plain_len; coded_len <= payload and, when raw, == payload;
 * prefix_len == delta_len with DELTA, else <= offset.  An empty ext is one
 * without references.
 *
 * Returns CN_OK or CN_EPROTO; ret is valid on CN_OK only.
 */
int cn_refs_decode(
    const struct cn_batch_head *head, struct cn_refs *ret) CN_MUSTCHECK;

/* Bytes that the coding of the batch turns into coded_len ones. */
static inline uint32_t
cn_refs_payload(const struct cn_batch_head *head, const struct cn_refs *refs)
{
	return refs->has_copies ? refs->ops_len + refs->literal_len
				: head->plain_len;
}

/* One copy: `literal' bytes from the literals, then `copy' from a log. */
struct cn_ref_op {
	uint32_t literal; /* <= CN_BATCH_PLAIN_MAX */
	uint32_t copy;    /* 1..CN_BATCH_PLAIN_MAX, within one segment */
	uint32_t log;
	uint64_t pos;
};

/* Where the last copy ended; zero it first, the same at both ends. */
struct cn_ref_cursor {
	uint32_t log;
	uint64_t pos; /* <= CN_LOG_END */
};

/* Returns the bytes written; cap >= CN_REFS_OP_MAX. */
size_t cn_ref_op_encode(uint8_t *out, size_t cap, struct cn_ref_cursor *at,
    const struct cn_ref_op *op);

struct cn_cursor;
/*
 * The next copy.  Its lengths are those of some batch: that the literals and
 * the plain bytes suffice the caller checks, or cn_refs_check_ops().
 *
 * Returns CN_OK; CN_EEND at the exact end; CN_EPROTO for a log that is not in
 * the list, a place beyond 2^60, a copy across segments or bytes that are no
 * copy.  at and ret are set on CN_OK only.
 */
int cn_ref_op_decode(struct cn_cursor *in, struct cn_ref_cursor *at,
    size_t logs, struct cn_ref_op *ret) CN_MUSTCHECK;

/*
 * Check the whole list of a payload before anything is looked up: every
 * copy is one, the literals suffice, and all of them with the copies are
 * exactly plain_len bytes.
 *
 * @ops     refs->ops_len bytes
 * @copies  how many there are, set on CN_OK
 *
 * Returns CN_OK or CN_EPROTO.
 */
int cn_refs_check_ops(const struct cn_refs *refs, const uint8_t *ops,
    uint32_t plain_len, size_t *copies) CN_MUSTCHECK;

#endif /* CN_WIRE_REFS_H */
