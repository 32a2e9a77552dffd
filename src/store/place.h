/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_STORE_PLACE_H
#define CN_STORE_PLACE_H

/*
 * Places in the logs of a pair of gateways.
 *
 * Each gateway writes one log to each peer: the bytes that it sent and that
 * were not there yet, at positions that it alone gives out.  Both sides keep
 * both logs of the pair, and either may refer to either.  A process begins a
 * new log, with a random epoch, so no place ever gets other bytes.
 *
 *   log       (who writes it, epoch); a byte of it has a position from 0
 *   segment   1 MiB of a log, the unit of the disk and of eviction
 *   extent    32 KiB of a segment; belongs to one scope
 *
 * Doc: doc/store.md
 */

#include <stdbool.h>
#include <stdint.h>

#define CN_SEGMENT_SHIFT 20u
#define CN_SEGMENT_BYTES (1u << CN_SEGMENT_SHIFT)
#define CN_EXTENT_SHIFT 15u
#define CN_EXTENT_BYTES (1u << CN_EXTENT_SHIFT)
#define CN_SEGMENT_EXTENTS (CN_SEGMENT_BYTES / CN_EXTENT_BYTES)
/* Greatest position plus one: segments are numbered below 2^40. */
#define CN_PLACE_END (UINT64_C(1) << 60)

struct cn_place {
	uint64_t epoch;
	uint64_t pos;
	bool is_mine; /* in our log to the peer; else in the peer's to us */
};

/* A piece of a batch's plain bytes. */
struct cn_store_span {
	uint32_t offset;
	uint32_t len;
};

/* Plain bytes [offset, offset + len) stand at pos of a log. */
struct cn_store_piece {
	uint32_t offset;
	uint32_t len;
	uint64_t pos;
};

/* A chunk of a log, as a hint: bytes that hash to key begin there. */
struct cn_store_chunk {
	uint64_t key;
	uint64_t pos; /* in a segment's own table: offset in the segment */
};

#endif /* CN_STORE_PLACE_H */
