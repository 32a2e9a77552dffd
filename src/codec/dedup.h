/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CODEC_DEDUP_H
#define CN_CODEC_DEDUP_H

/*
 * References instead of bytes, for one link: turns a batch into copies and
 * literals and back, and keeps what crossed in the logs of the pair.
 *
 * Everything that the engine knows of the store goes through here.
 *
 * Life:       one for each link, created before it with its worker's scratch,
 *             freed after it.
 * Thread:     its worker's; the wake alone comes from any.
 * Invariants: what is referred to is held by the peer and was compared byte
 *             by byte; what is taken in had its block's hash verified first.
 * Wire:       doc/protocol.md, "References".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "codec/match.h"
#include "store/store.h"
#include "wire/block.h"
#include "wire/frame.h"
#include "wire/refs.h"

struct cn_dedup;         /* opaque */
struct cn_dedup_scratch; /* opaque: buffers and matcher of a worker */

/* Returns CN_OK or CN_ENOMEM. */
int cn_dedup_scratch_create(
    struct cn_store *store, struct cn_dedup_scratch **ret) CN_MUSTCHECK;
void cn_dedup_scratch_free(struct cn_dedup_scratch **sp);

/*
 * @wake  called on any thread when what was waited for came: the owner calls
 *        cn_link_woken() on the link's own thread then
 */
int cn_dedup_create(struct cn_store *store, struct cn_dedup_scratch *scratch,
    const uint8_t peer[CN_IMAGE_PEER_BYTES], void (*wake)(void *arg), void *arg,
    struct cn_dedup **ret) CN_MUSTCHECK;
void cn_dedup_free(struct cn_dedup **dp);

/* The logs of the pair: for all that the engine only passes on. */
struct cn_pair *cn_dedup_pair(const struct cn_dedup *dedup);

/* ---- sending ---- */

/* A batch in other words.  All memory is the scratch's, until its next use. */
struct cn_dedup_batch {
	/* What is to be coded: copies and literals, or the plain bytes. */
	const uint8_t *payload;
	size_t payload_len;
	const uint8_t *literals; /* within payload: what a probe looks at */
	size_t literals_len;
	const uint8_t *delta; /* prefix from the logs; NULL: none */
	size_t delta_len;
	uint32_t copied; /* plain bytes that went into copies */
	uint32_t gone;   /* that would have, had they not been evicted */
	struct cn_refs *refs;
};

/*
 * Find copies in a batch, and store the chunks that are new.
 *
 * @stores_max  pieces that may be stored, <= CN_REFS_STORES_MAX; 0: none
 *
 * Returns CN_OK, or CN_EAGAIN: nothing was done, see cn_match_batch().
 */
int cn_dedup_encode(struct cn_dedup *dedup, uint64_t scope,
    struct cn_match_state *state, const uint8_t *plain, size_t len,
    bool is_patient, size_t stores_max, uint64_t now,
    struct cn_dedup_batch *ret) CN_MUSTCHECK;
/*
 * Refer to nothing, and store all of it: for bytes that go again because the
 * peer did not find what they referred to.  What we believe it has may be lost
 * with that.
 */
void cn_dedup_store(struct cn_dedup *dedup, uint64_t scope,
    const uint8_t *plain, size_t len, size_t stores_max, uint64_t now,
    struct cn_dedup_batch *ret);
/* Leave the delta out after all; before cn_dedup_ext(). */
void cn_dedup_no_delta(struct cn_dedup_batch *batch);
/*
 * The ext of the batch, in the scratch.  Returns its length.  What did not
 * fit of the stores is left out of refs->stores: it is dead in our log.
 */
size_t cn_dedup_ext(
    struct cn_dedup *dedup, struct cn_dedup_batch *batch, const uint8_t **ret);

/* ---- receiving ---- */

/* What a batch referred to in vain. */
struct cn_dedup_lack {
	struct cn_place place;
	uint64_t len;
};

/* Room for a payload of CN_BATCH_PLAIN_MAX, until the next call. */
uint8_t *cn_dedup_payload(struct cn_dedup *dedup);

/*
 * The prefix that the batch takes from the logs.
 *
 * Returns CN_OK; CN_ENOENT: lack is set, answer MISS and LACK; CN_EAGAIN:
 * wait for the wake; CN_EPROTO: the peer may not refer to that.
 */
int cn_dedup_prefix(struct cn_dedup *dedup, uint64_t scope,
    const struct cn_refs *refs, const uint8_t **ret,
    struct cn_dedup_lack *lack) CN_MUSTCHECK;
/*
 * Build the plain bytes from the payload, which is not verified yet.
 *
 * Returns as cn_dedup_prefix(), and CN_ECODING when the copies do not add up
 * to plain_len.
 */
int cn_dedup_build(struct cn_dedup *dedup, uint64_t scope,
    const struct cn_refs *refs, const uint8_t *payload, uint8_t *plain,
    size_t plain_len, struct cn_dedup_lack *lack) CN_MUSTCHECK;
/*
 * The batch is verified: keep what it says.  Calls `lacks' for each piece
 * that is not kept.
 *
 * Returns CN_OK, or CN_EPROTO when an extent is another scope's.
 */
int cn_dedup_keep(struct cn_dedup *dedup, uint64_t scope,
    const struct cn_refs *refs, const uint8_t *plain, uint64_t now,
    void (*lacks)(void *arg, const struct cn_dedup_lack *lack),
    void *arg) CN_MUSTCHECK;

#endif /* CN_CODEC_DEDUP_H */
