/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CODEC_FOUND_H
#define CN_CODEC_FOUND_H

/*
 * What was found out about one batch: its copies, the chunks that the peer
 * does not have, and where older versions of its literals stand.
 *
 * Life:       embedded in a matcher, which is too big for a stack.
 * Thread:     its matcher's.
 * Invariants: copies and chunks are ascending; neither list overlaps itself;
 *             no list outgrows its cap.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/chunker.h"
#include "codec/match.h"
#include "codec/reach.h"
#include "wire/limits.h"

/* Chunks of a batch: all but the last are longer than the least.  So there
 * are no more spans either. */
#define CN_FOUND_CHUNKS_MAX (CN_BATCH_PLAIN_MAX / (CN_CHUNK_MIN + 1u) + 1u)

struct cn_found_chunk {
	uint32_t offset;
	uint32_t len;
	uint64_t key;
};

struct cn_found_log {
	uint64_t epoch;
	bool is_mine;
};

struct cn_found {
	struct cn_match_copy copy[CN_MATCH_COPIES_MAX];
	size_t copies;
	uint32_t copied;
	uint32_t gone; /* bytes of chunks that are known, and not there */
	struct cn_found_chunk chunk[CN_FOUND_CHUNKS_MAX];
	size_t chunks;
	struct cn_store_span span[CN_MATCH_SPANS_MAX];
	size_t spans;
	struct cn_match_copy region[CN_MATCH_REGIONS_MAX];
	size_t regions;
	uint32_t region_bytes;
	struct cn_found_log log[CN_MATCH_LOGS_MAX];
	size_t logs;
};

void cn_found_clear(struct cn_found *found);
/* May a copy from that log still be added? */
bool cn_found_takes(const struct cn_found *found, const struct cn_trail *trail);
/* Is there room for a run, however it is cut by segments? */
bool cn_found_has_room(const struct cn_found *found);
/* Plain [from, to) stands on the trail; behind all that was added before. */
void cn_found_run(struct cn_found *found, const struct cn_trail *trail,
    size_t from, size_t to);
/* The peer has no such chunk; behind all that was added before. */
void cn_found_miss(struct cn_found *found, const struct cn_found_chunk *chunk);
/*
 * Plain [from, to) are literals: where their older version stands, as far as
 * the trails before and behind them tell; at most so many bytes.
 */
struct cn_found_gap {
	const struct cn_trail *before, *behind; /* may be unset */
	size_t from, to;
	size_t most;
};
void cn_found_gap(struct cn_found *found, struct cn_reach *reach,
    const struct cn_found_gap *gap);
/* All of a batch of len bytes is added: choose what is to be stored, and
 * whether the older versions are worth it. */
void cn_found_finish(struct cn_found *found, size_t len);

#endif /* CN_CODEC_FOUND_H */
