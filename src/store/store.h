/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_STORE_STORE_H
#define CN_STORE_STORE_H

/*
 * What crossed the WAN before: the logs of every pair that this gateway is
 * half of, in memory and, if there is a disk, on it.
 *
 * The store is a cache.  Whatever it loses or never got is told (CN_ENOENT)
 * and comes again over the WAN; nothing that it says of a place is wrong
 * without the hash of the block finding out.
 *
 *   segment:  open  ->  sealed  ->  (written)  ->  (dropped from memory)
 *                          \____________\______________\__> evicted
 *     open     bytes are added; at most a few of each log
 *     sealed   nothing changes any more: all its extents are full, or it is
 *              far behind the head of its log and was left alone for long,
 *              or the store closes
 *     written  its image is on the disk, so its memory may be taken
 *     evicted  gone; the peer is told a while before
 *
 * Which bytes may be used:
 *   valid  bytes of a segment that are here (ranges)
 *   held   bytes that the peer is known to hold: of its log what came from
 *          it, of ours what it acknowledged (cn_pair_held()), of both what
 *          was agreed at the start of a link; less what it said it lacks
 *
 * Life:       created before the workers, closed and freed after them.
 * Thread:     any; one lock guards the catalogue and is held briefly; bytes
 *             of a segment are written once, before they become valid, and
 *             are read without it.
 * Invariants: doc/INVARIANTS.md, "Store".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "store/image.h"
#include "store/job.h"
#include "store/place.h"

struct cn_store; /* opaque */
struct cn_pair;  /* opaque: this gateway and one peer */

#define CN_STORE_BOOT_BYTES 16u
/* Least memory: open segments of a few logs. */
#define CN_STORE_MEMORY_MIN (UINT64_C(8) * CN_SEGMENT_BYTES)

struct cn_store_config {
	uint64_t memory_bytes; /* cap on segments in memory */
	uint64_t index_bytes;  /* cap on the index */
	uint64_t disk_bytes;   /* cap on images; 0: no disk */
	uint64_t quota_bytes;  /* what one scope may hold; 0: no quota */
	uint64_t epoch;        /* random, of this process */
	uint64_t wall_s;       /* wall clock at the creation, seconds since
				* 1970; 0: images carry no time */
	uint8_t key[CN_IMAGE_KEY_BYTES]; /* secret of this gateway */
	const struct cn_job_ops *disk;   /* borrowed; NULL: no disk */
};

/*
 * Create an empty store.  With a disk, call cn_store_recover() next.
 * Returns CN_OK, CN_EINVAL (a range of the config), CN_ENOMEM.
 */
int cn_store_create(const struct cn_store_config *config, uint64_t now,
    struct cn_store **ret) CN_MUSTCHECK;
/*
 * Read the footers on the disk and take over what is whole; everything else
 * is an empty slot.  Blocks.  Nothing is an error: without memory the rest
 * is left out, a failing disk is given up.
 */
void cn_store_recover(struct cn_store *store, uint64_t now);
/*
 * Seal what is open and hand all that is not written to the disk; the caller
 * waits until its disk has carried the jobs out, then frees.
 */
void cn_store_close(struct cn_store *store, uint64_t now);
/* All users have left, all jobs are done.  Clears *sp; NULL is fine. */
void cn_store_free(struct cn_store **sp);
/* Now and then (each second): seal what was left alone, evict. */
void cn_store_tick(struct cn_store *store, uint64_t now);

/* 64 bits that only this store knows, the same after a restart: seeds of
 * chunking and of keys. */
uint64_t cn_store_secret(const struct cn_store *store);

/*
 * Who waits for segments to be read.  `wake' is called on any thread, under
 * no lock, when something that some user waits for has come or failed, if
 * is_waiting was set; it is unset then.
 */
struct cn_store_user {
	struct cn_list item; /* the store's */
	void (*wake)(void *arg);
	void *arg;
	_Atomic bool is_waiting; /* set by the store when it says CN_EAGAIN */
	uint64_t round;          /* the store's */
	uint32_t wakes;          /* the store's: calls of wake right now */
};
void cn_store_join(struct cn_store *store, struct cn_store_user *user);
/* After this wake is not called again; waits for one that is running, so
 * never from within it. */
void cn_store_leave(struct cn_store *store, struct cn_store_user *user);

/* ---- pairs ---- */

/* The pair with that peer, made on first use; one holder more.  NULL: no
 * memory. */
struct cn_pair *cn_store_pair(
    struct cn_store *store, const uint8_t peer[CN_IMAGE_PEER_BYTES]);
/* One holder less; its logs stay. */
void cn_pair_put(struct cn_pair **pp);
/* The epoch of our own log now. */
uint64_t cn_pair_epoch(const struct cn_pair *pair);
/* Seed for the keys of a scope's chunks: scopes and pairs have nothing in
 * common in the index. */
uint64_t cn_pair_seed(const struct cn_pair *pair, uint64_t scope);

/*
 * A carrier to the peer came up.  If the peer is another process than before,
 * nothing is held any more: its store may be another too.
 *
 * Returns true when the two should agree on what they have: at the first
 * meeting, and at most every ten seconds after.
 */
bool cn_pair_meet(struct cn_pair *pair, const uint8_t boot[CN_STORE_BOOT_BYTES],
    uint64_t now);

/* ---- writing ---- */

/*
 * Add bytes to our log: the spans of plain, one behind the other.
 *
 * @spans   ascending, not overlapping
 * @pieces  where they went; neighbours both ways are one piece
 * @max     room in pieces; what would need more is not added
 *
 * Returns how many pieces were set; 0 when there is no room.  The bytes are
 * valid here, and held by the peer once cn_pair_held() says so.
 */
size_t cn_pair_append(struct cn_pair *pair, uint64_t scope,
    const uint8_t *plain, const struct cn_store_span *spans, size_t count,
    struct cn_store_piece *pieces, size_t max, uint64_t now);

/*
 * The peer's log has these bytes at pos; they may span segments.  Idempotent.
 *
 * Returns CN_OK; CN_EPROTO when an extent there is another scope's, or beyond
 * CN_PLACE_END; CN_ENOSPC when they are not kept: sealed, evicted, no memory.
 */
int cn_pair_fill(struct cn_pair *pair, uint64_t epoch, uint64_t pos,
    uint64_t scope, const uint8_t *bytes, size_t len,
    uint64_t now) CN_MUSTCHECK;

/* The peer acknowledged a block that stored this piece of our log. */
void cn_pair_held(
    struct cn_pair *pair, uint64_t epoch, uint64_t pos, uint64_t len);
/* The peer says that it does not have this; any place, any length. */
void cn_pair_lacks(
    struct cn_pair *pair, const struct cn_place *place, uint64_t len);
/*
 * What we are about to evict: the next segment that the peer has to be told
 * of, if any.  Cheap when there is none.
 */
bool cn_pair_evicted(struct cn_pair *pair, struct cn_place *ret, uint64_t *len);

/* ---- reading ---- */

/*
 * Bytes of a segment, pinned: they stay where they are until cn_view_done().
 * bytes[-before .. after) may be read: all valid, all of the asked scope and,
 * for sending, all held by the peer.
 */
struct cn_view {
	struct cn_pair *pair; /* borrowed */
	void *segment;        /* the store's; NULL: nothing is pinned */
	struct cn_place place;
	const uint8_t *bytes; /* of place */
	size_t before, after;
};

/*
 * For sending: look where a hint points, or where a place is.
 *
 * @user  NULL: nobody waits
 *
 * Returns CN_OK; CN_ENOENT (nothing there that may be used); CN_EAGAIN: it is
 * being read from the disk, user->wake is called when to ask again.
 */
int cn_pair_look(struct cn_pair *pair, uint64_t spot, uint64_t scope,
    struct cn_store_user *user, struct cn_view *ret) CN_MUSTCHECK;
int cn_pair_look_at(struct cn_pair *pair, const struct cn_place *place,
    uint64_t scope, struct cn_store_user *user,
    struct cn_view *ret) CN_MUSTCHECK;
/*
 * For receiving: the peer refers to len bytes there, within one segment.
 *
 * Returns CN_OK with after >= len; CN_ENOENT: they are not here, a miss;
 * CN_EAGAIN as above; CN_EPROTO: an extent of another scope, beyond what we
 * ever wrote in this epoch, or across segments.
 */
int cn_pair_resolve(struct cn_pair *pair, const struct cn_place *place,
    size_t len, uint64_t scope, struct cn_store_user *user,
    struct cn_view *ret) CN_MUSTCHECK;
/* Unpins; clears segment; harmless twice. */
void cn_view_done(struct cn_view *view);
/* The chunks of a pinned segment, for the neighbours of a hook.  *ret stays
 * until cn_view_done(); only of a sealed segment, else 0. */
size_t cn_view_chunks(
    const struct cn_view *view, const struct cn_store_chunk **ret);

/* ---- hints ---- */

/* These chunks stand in a log: put them into the index and the segment's own
 * table.  What is not (or no more) there is left out. */
void cn_pair_learn(struct cn_pair *pair, bool is_mine, uint64_t epoch,
    const struct cn_store_chunk *chunk, size_t count);
/*
 * A piece of the peer's log was kept: its chunks are to be learnt when bytes
 * of that scope are sent, if they ever are.  What only comes in would be cut
 * and hashed for nothing.
 *
 * @piece  within one segment; its offset is not looked at
 *
 * Returns false when it must be learnt now: there is a disk, whose images hold
 * tables of chunks, or too much waits.
 */
bool cn_pair_defer(struct cn_pair *pair, uint64_t scope, uint64_t epoch,
    const struct cn_store_piece *piece);
/* The oldest such piece of the scope, which waits no more; false: none.  Cheap
 * when none waits.  It may be gone by now. */
bool cn_pair_deferred(struct cn_pair *pair, uint64_t scope, uint64_t *epoch,
    struct cn_store_piece *ret);
/* Spots for a key; see store/index.h. */
size_t cn_pair_find(
    const struct cn_pair *pair, uint64_t key, uint64_t spots[4]);
void cn_pair_prefetch(const struct cn_pair *pair, uint64_t key);
/* True when the index takes hooks only, so that neighbours matter. */
bool cn_pair_has_hooks(const struct cn_pair *pair);

/* ---- agreement on sealed segments ----
 *
 * A node is an aligned range of segments of one log: level 0 one of them,
 * level n 16^n.  Its hash covers the sequence and the hash of every sealed
 * segment in it; level 0: cn_image_hash().  Equal hash: both hold the same.
 */
#define CN_AGREE_LEVELS 11u /* 16^10 = 2^40 segments */

struct cn_agree_node {
	bool is_mine;
	uint64_t epoch;
	uint32_t level; /* < CN_AGREE_LEVELS */
	uint64_t index; /* of the node in its level */
	uint64_t hash;
};

/* The smallest node over everything sealed of each log, newest log first;
 * without hashes, which cn_pair_node() makes when they are sent.  Returns how
 * many were set. */
size_t cn_pair_tops(
    struct cn_pair *pair, struct cn_agree_node *nodes, size_t max);
/* Fills node->hash.  Returns false when nothing sealed is in it. */
bool cn_pair_node(struct cn_pair *pair, struct cn_agree_node *node);
/*
 * The peer has a node with that hash (is_mine is ours to see).
 *
 * Returns CN_OK: the same here, held from now on; CN_ENOENT: nothing of it
 * here; CN_ESTALE: something else here.
 */
int cn_pair_agree(
    struct cn_pair *pair, const struct cn_agree_node *node) CN_MUSTCHECK;
/* The hashes of a sealed segment's extents (0: unused); false: not here. */
bool cn_pair_extents(struct cn_pair *pair, bool is_mine, uint64_t epoch,
    uint64_t sequence, uint32_t hash[CN_SEGMENT_EXTENTS]);
/* The peer has that segment with these; extents that are the same are held. */
void cn_pair_agree_extents(struct cn_pair *pair, bool is_mine, uint64_t epoch,
    uint64_t sequence, const uint32_t hash[CN_SEGMENT_EXTENTS]);

/* ---- care and figures ---- */

struct cn_store_stats {
	uint64_t segments, memory_segments, disk_segments, open_segments;
	uint64_t memory_bytes, memory_cap; /* of segments */
	uint64_t disk_bytes, disk_cap;
	uint64_t index_bytes;
	uint64_t scopes;
	uint64_t valid_bytes;      /* bytes of the logs that are here */
	uint64_t appended, filled; /* bytes since start */
	uint64_t evicted;          /* segments since start */
	uint64_t refused;          /* appends and fills without room, bytes */
	uint64_t loads, load_failures; /* segments read back */
	uint64_t write_failures;
	uint64_t recovered, damaged; /* images found at start; of them bad */
	uint64_t oldest_s;           /* wall clock of the oldest; 0: none */
	unsigned hook_bits;
	bool has_disk;     /* configured */
	bool is_disk_lost; /* it failed: memory only from then on */
};
void cn_store_stats(struct cn_store *store, struct cn_store_stats *ret);

/* Evict until at most so many bytes of segments are left. */
void cn_store_trim(struct cn_store *store, uint64_t bytes);

/*
 * One segment after the other, for verify and export: the one with the least
 * age above *age that is sealed; sets *age to its.
 *
 * @image  CN_IMAGE_BYTES: read from the disk if it is there, else made
 *
 * Returns CN_OK, CN_EEND when there is none, CN_ECODING when it is damaged
 * (it is evicted then, or written anew if it is in memory, too), or an error
 * of the disk.  Blocks on the disk.
 */
int cn_store_walk(
    struct cn_store *store, uint64_t *age, uint8_t *image) CN_MUSTCHECK;
/*
 * Take an image in that was sealed with the store's key: of an export that
 * was sealed anew.  Nothing of it is held before it was agreed on.
 *
 * Returns CN_OK; CN_EEXIST (that segment is here); CN_EAGAIN when the disk is
 * behind: later; CN_ENOSPC; CN_ENOMEM; or as cn_image_open_data().
 */
int cn_store_adopt(
    struct cn_store *store, const uint8_t *image, uint64_t now) CN_MUSTCHECK;

#endif /* CN_STORE_STORE_H */
