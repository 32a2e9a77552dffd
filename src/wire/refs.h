/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_WIRE_REFS_H
#define CN_WIRE_REFS_H

/*
 * The extensions of a batch that refer to the logs of the pair, and the list
 * of copies in its payload.
 *
 *   ext 1  LOGS    the logs that this batch speaks of
 *   ext 2  COPIES  the payload is a list of copies, then literals
 *   ext 3  DELTA   regions of the logs that stand before the payload as the
 *                  frame's prefix, in place of the stream's own bytes
 *   ext 4  STORES  pieces of the plain bytes to keep, and where
 *
 * A batch with COPIES codes its payload, not its plain bytes: ops_len bytes
 * of copies, then literal_len bytes.  Both ends build the plain bytes by
 * going through the copies; what is left over after the last are literals.
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
/* Bytes of one copy in the list: 4 varints. */
#define CN_REFS_OP_MAX 32u
/* Bytes of log in the regions of one batch, all together. */
#define CN_REFS_DELTA_MAX (256u * 1024u)

struct cn_ref_log {
	uint64_t epoch;
	bool is_senders; /* written by the sender of the batch */
};

struct cn_ref_region {
	uint32_t log; /* index into logs */
	uint32_t len; /* 1..CN_REFS_DELTA_MAX */
	uint64_t pos;
};

/* Plain [offset, offset + len) goes to pos of the sender's present log. */
struct cn_ref_store {
	uint32_t offset;
	uint32_t len;
	uint64_t pos;
};

struct cn_refs {
	struct cn_ref_log log[CN_REFS_LOGS_MAX];
	size_t logs;
	bool has_copies;
	uint32_t ops_len, literal_len; /* of the payload */
	struct cn_ref_region region[CN_REFS_REGIONS_MAX];
	size_t regions;
	uint32_t delta_len; /* sum of the regions */
	uint64_t store_epoch;
	struct cn_ref_store store[CN_REFS_STORES_MAX]; /* ascending */
	size_t stores;
};

/*
 * The ext of a batch: as many stores as fit are written, the rest is left
 * out of it and of refs->stores.
 *
 * Returns its length, 0 when it is empty or does not fit into cap.
 */
size_t cn_refs_encode(uint8_t *out, size_t cap, struct cn_refs *refs);

/*
 * Decode and check the ext of a batch against its head: every index, length
 * and sum; places below 2^60; stores ascending, within plain_len, each at
 * least one byte; payload = ops_len + literal_len <= plain_len and, when
 * raw, == coded_len; prefix_len == delta_len with DELTA.
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
	uint32_t literal;
	uint32_t copy; /* >= 1 */
	uint32_t log;
	uint64_t pos;
};

/* Where the next copy is expected; zero it first, the same at both ends. */
struct cn_ref_cursor {
	uint32_t log;
	uint64_t pos;
};

/* Returns the bytes written; cap >= CN_REFS_OP_MAX. */
size_t cn_ref_op_encode(uint8_t *out, size_t cap, struct cn_ref_cursor *at,
    const struct cn_ref_op *op);

struct cn_cursor;
/*
 * Returns CN_OK; CN_EEND at the exact end; CN_EPROTO for a log that is not in
 * the list, a place beyond 2^60 or bytes that are no copy.
 */
int cn_ref_op_decode(struct cn_cursor *in, struct cn_ref_cursor *at,
    size_t logs, struct cn_ref_op *ret) CN_MUSTCHECK;

#endif /* CN_WIRE_REFS_H */
