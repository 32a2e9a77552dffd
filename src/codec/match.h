/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CODEC_MATCH_H
#define CN_CODEC_MATCH_H

/*
 * What of a batch the peer has already: candidates by the keys of chunks,
 * each compared with our own copy, extended both ways, followed on its
 * diagonal over small edits.  A match that went on to the end of one batch is
 * first tried at the begin of the next, before anything is hashed.
 *
 * Life:       one matcher for each worker; one state for each direction of a
 *             stream that sends.
 * Thread:     its worker's.
 * Invariants: every copy was compared byte by byte with bytes that the peer
 *             holds; copies are ascending and do not overlap; each lies in
 *             one segment and has at least CN_MATCH_MIN bytes, or as many as
 *             the state asks for (less only at the end of the batch or of a
 *             segment, within a longer run).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "store/place.h"

struct cn_store;
struct cn_store_user;
struct cn_pair;
struct cn_matcher; /* opaque: scratch and the chunker */

#define CN_MATCH_MIN 64u
/* Most that a state may ask for: a known chunk is never shorter. */
#define CN_MATCH_LEAST_MAX 256u
/* Copies and stored spans of one batch; the rest goes as literals. */
#define CN_MATCH_COPIES_MAX 2048u
#define CN_MATCH_SPANS_MAX 512u
/* Logs that the copies and regions of one batch may name. */
#define CN_MATCH_LOGS_MAX 8u
/* Regions of the log that may help to code the literals. */
#define CN_MATCH_REGIONS_MAX 64u

/* Where the last batch's match would go on.  All zero: nowhere. */
struct cn_match_state {
	struct cn_place next;
	uint32_t credit; /* literals after which that is not believed */
	uint16_t least;  /* shortest copy; below CN_MATCH_MIN: that */
	bool is_set;
};

/* Plain [offset, offset + len) is what stands at the place. */
struct cn_match_copy {
	uint32_t offset;
	uint32_t len;
	struct cn_place place;
};

struct cn_match {
	struct cn_match_copy *copy; /* the matcher's, until its next call */
	size_t copies;
	uint32_t copied; /* bytes in copies */
	uint32_t gone;   /* in chunks that were known, and are held no more */
	/* Whole chunks that the peer does not have, to be stored; ascending,
	 * neighbours merged.  Copies may lie in them. */
	struct cn_store_span *miss;
	size_t misses;
	/* Where older versions of literals stand: as the frame's prefix, one
	 * behind the other, they help more than the stream's own bytes;
	 * where they would not there are none.  Held by the peer and valid
	 * here, each in one segment, all together at most
	 * CN_REFS_DELTA_MAX; offset is that of the literals. */
	struct cn_match_copy *region;
	size_t regions;
};

/* Returns CN_OK or CN_ENOMEM. */
int cn_matcher_create(
    struct cn_store *store, struct cn_matcher **ret) CN_MUSTCHECK;
void cn_matcher_free(struct cn_matcher **mp);

/*
 * Match one batch.
 *
 * @state       read, and moved on unless CN_EAGAIN
 * @user        see cn_pair_look()
 * @is_patient  a place that is only on the disk is waited for; else passed
 * @ret         set on CN_OK
 *
 * Returns CN_OK, or CN_EAGAIN: call again with the same bytes when woken, or
 * without patience.
 */
int cn_match_batch(struct cn_matcher *matcher, struct cn_pair *pair,
    uint64_t scope, struct cn_match_state *state, struct cn_store_user *user,
    const uint8_t *plain, size_t len, bool is_patient,
    struct cn_match *ret) CN_MUSTCHECK;

/*
 * Bytes were stored in a log: find their chunks and teach the index.
 *
 * @plain  the batch or bytes of a segment, CN_SEGMENT_BYTES at most; NULL: the
 * one that the last cn_match_batch() of this matcher was given, whose misses
 * went to the pieces and whose bytes are still where they were.  Its chunks are
 * known and need not be cut again.
 * @piece  where parts of it went; ascending in offset
 */
void cn_match_learn(struct cn_matcher *matcher, struct cn_pair *pair,
    uint64_t scope, bool is_mine, uint64_t epoch, const uint8_t *plain,
    const struct cn_store_piece *piece, size_t pieces);

/*
 * The chunks of a piece of plain, without teaching them: for a segment that
 * comes whole.
 *
 * @chunk  room for max of them; pos counts from piece->pos
 *
 * Returns how many were set.
 */
size_t cn_match_table(const struct cn_matcher *matcher,
    const struct cn_pair *pair, uint64_t scope, const uint8_t *plain,
    const struct cn_store_piece *piece, struct cn_store_chunk *chunk,
    size_t max);

#endif /* CN_CODEC_MATCH_H */
