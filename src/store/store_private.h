/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_STORE_STORE_PRIVATE_H
#define CN_STORE_STORE_PRIVATE_H

/*
 * What the files of the store share.  Private to src/store.
 *
 *   catalog.c  segments by number, pairs, logs, scopes
 *   room.c     buffers, slots, order, eviction
 *   seal.c     the begin of a segment and the end of its growth
 *   segment.c  one segment: its extents, ranges, window, chunks, sealing
 *   append.c   our logs grow
 *   fill.c     the peers' logs grow; what is held
 *   look.c     reading
 *   load.c     jobs of the disk, who waits for them
 *   agree.c    agreement with a peer
 *   recover.c  what the disk holds at start
 *   walk.c     one image after the other, out and in
 *   store.c    everything's begin, end and pulse
 *
 * Thread:     unless it says otherwise every function here is called with
 *             store->lock held.
 */

#include <pthread.h>

#include "base/map.h"
#include "base/ranges.h"
#include "store/index.h"
#include "store/store.h"

/* Untouched for so long a segment waits for nothing more. */
#define CN_STORE_IDLE_US UINT64_C(10000000)
/* ... nor for so long, when another one needs its place. */
#define CN_STORE_PRESSED_US UINT64_C(2000000)
/* The chunks of what was completed just now may still come. */
#define CN_STORE_SETTLE_US UINT64_C(1000000)
/* Segments between an open one and its log's head before it is sealed. */
#define CN_STORE_BEHIND 4u
/* A scope that wrote so much to us gets segments of its own ... */
#define CN_STORE_OWN_BYTES CN_SEGMENT_BYTES
/* ... and at most so many scopes of a pair at once. */
#define CN_STORE_OWN_MAX 8u
/* Open segments of all logs that one peer writes. */
#define CN_STORE_PEER_OPEN_MAX 32u
/* Ranges of a segment that has holes. */
#define CN_STORE_RANGES_MAX 4096u
/* ... and of what the peer holds of a sealed one: there may be a million, and
 * it is the peer that makes the holes. */
#define CN_STORE_HELD_MAX 128u
/* Segments between the announcement of an eviction and the eviction. */
#define CN_STORE_MARGIN 8u
/* Announcements that wait for a link. */
#define CN_STORE_EVICTED_MAX 256u
/* Failed writes in a row after which the disk is given up. */
#define CN_STORE_WRITE_FAILURES 8u
/* Images on their way to the disk at most. */
#define CN_STORE_WRITES_MAX 4u
/* Segments are allocated by so many. */
#define CN_STORE_SLAB 64u

enum cn_segment_state {
	CN_SEGMENT_FREE,
	CN_SEGMENT_OPEN,
	CN_SEGMENT_SEALED,
};

/* A piece of the peer's log whose chunks nobody learnt yet; in one segment. */
struct cn_store_deferred {
	uint64_t epoch;
	uint64_t pos;
	uint32_t len;
};

/* A scope of one pair; lives while an extent is its, or it writes. */
struct cn_store_scope {
	uint64_t key;
	struct cn_pair *pair;    /* borrowed */
	struct cn_list segments; /* sealed, all of it, oldest first */
	uint32_t extents;        /* of this scope, in all segments */
	uint32_t holders;        /* who must not see it freed */
	uint64_t written;        /* bytes of ours */
	uint64_t used_us;        /* when it last wrote */
	/* Where it writes next; NULL: nowhere yet. */
	struct cn_segment *at;
	uint32_t at_off, at_end; /* in that segment */
	struct cn_list own_item; /* of the pair's owners, or in no list */
	struct cn_segment *own;  /* open segment for it alone, or NULL */
	/* Owned ring, a power of two long, oldest first. */
	struct cn_store_deferred *deferred;
	uint32_t deferred_first, deferred_count, deferred_cap;
};

/* One log: who writes it and when that process began. */
struct cn_store_log {
	struct cn_list item;  /* of the pair's logs, newest first */
	struct cn_pair *pair; /* borrowed */
	uint64_t epoch;
	bool is_mine;
	uint64_t head; /* sequence after the greatest that was ever there */
	/* By sequence: at[first .. end). */
	struct cn_segment **at; /* owned; the segments are the store's */
	size_t first, end, cap;
};

/* The extents of a segment, unless they are full and of one scope. */
struct cn_extents {
	struct cn_store_scope *scope[CN_SEGMENT_EXTENTS]; /* NULL: nobody's */
	uint16_t used[CN_SEGMENT_EXTENTS]; /* open: allocated (ours only) */
};

/* What a segment has only while its bytes are in memory. */
struct cn_body {
	uint8_t *image; /* a buffer; the data stand at CN_IMAGE_DATA_AT */
	/* sealed: of one of store->lru (written), ->unwritten, ->kept */
	struct cn_list item;
	struct cn_segment *segment;   /* whose it is */
	struct cn_ranges claimed;     /* open: valid, or being copied */
	struct cn_ranges valid;       /* open only */
	struct cn_store_chunk *chunk; /* owned; sorted once sealed */
	uint32_t chunks, chunks_cap;
	uint32_t writers;     /* threads that copy bytes in */
	uint32_t spurned;     /* valid bytes that the peer said to lack */
	uint32_t next_extent; /* of ours: first that nobody has */
	uint64_t touched_us;
};

/*
 * A segment in the catalogue.  There may be a million of them, of which most
 * are only on the disk: small on purpose.
 */
struct cn_segment {
	/* free: of store->spare; open: ->open, longest untouched first;
	 * sealed: ->ring, by age */
	struct cn_list item;
	struct cn_list scope_item; /* sealed, of one scope: its segments */
	struct cn_store_log *log;
	struct cn_body *body;         /* NULL: only on the disk */
	struct cn_extents *extents;   /* NULL: all full, of `scope' */
	struct cn_store_scope *scope; /* with extents NULL */
	struct cn_ranges *held;       /* unless is_all_held; NULL: nothing */
	uint64_t sequence;
	uint64_t age;
	uint32_t hash[CN_SEGMENT_EXTENTS]; /* once has_hash */
	uint32_t number;                   /* in spots */
	uint32_t slot;                     /* when is_written */
	uint32_t sealed_s;
	uint32_t valid_bytes;
	uint32_t pins;        /* views and jobs */
	uint8_t state;        /* enum cn_segment_state */
	bool is_all_held : 1; /* all that is valid */
	bool is_doomed : 1;   /* the peer was told of its end */
	bool is_loading : 1;
	bool is_kept : 1; /* in memory alone for good */
	bool is_written : 1;
	bool has_hash : 1;
};

struct cn_pair {
	_Atomic uint64_t deferred; /* pieces that wait in its scopes */
	struct cn_list item;       /* of the store's pairs */
	struct cn_store *store;    /* borrowed */
	uint8_t peer[CN_IMAGE_PEER_BYTES];
	uint32_t holders;
	struct cn_list logs;      /* newest first */
	struct cn_store_log *own; /* ours now; made with the first bytes */
	struct cn_map scopes;     /* key -> struct cn_store_scope, owned */
	struct cn_list owners;    /* scopes with segments of their own, the one
				   * that wrote last at the end */
	uint32_t owner_count;
	struct cn_segment *shared; /* where small scopes write */
	uint32_t peer_open;        /* open segments that the peer writes */
	bool has_boot;
	uint8_t boot[CN_STORE_BOOT_BYTES];
	uint64_t agreed_us;
	bool has_agreed;
	uint64_t agree_left; /* segments that may yet be gone through for it */
	/* Announcements of evictions: a ring. */
	struct cn_place *evicted; /* owned; NULL until the first */
	uint32_t evicted_first;
	_Atomic uint32_t evicted_count;
};

struct cn_store {
	pthread_mutex_t lock;
	pthread_cond_t woken; /* a waker has returned */
	struct cn_store_config config;
	uint64_t secret;
	uint64_t created_us, now_us; /* the latest that anyone said */
	bool is_closed;
	struct cn_index *index;
	struct cn_list pairs;
	struct cn_list users;
	uint64_t wake_round;

	/* Buffers of CN_IMAGE_BYTES. */
	struct cn_list buffers; /* free; the item stands in the buffer */
	uint32_t buffers_made, buffers_max;

	/* Segments: number n is slab[n / CN_STORE_SLAB][n % CN_STORE_SLAB]. */
	struct cn_segment **slab;
	uint32_t slabs, slabs_max;
	struct cn_list spare;
	struct cn_list open;
	struct cn_list ring;
	struct cn_list lru;       /* sealed, written, in memory */
	struct cn_list unwritten; /* sealed, to be written */
	struct cn_list kept;      /* sealed, in memory alone for good */
	uint32_t bodies;          /* segments in memory */
	uint32_t sealed, written, open_mine, open_theirs;
	uint64_t valid_bytes, next_age;
	uint32_t walked; /* number of the segment where a walk is */
	uint64_t scopes;

	/* The disk. */
	uint32_t slots;       /* 0: no disk */
	uint64_t *slot_taken; /* owned bitmap */
	uint32_t slots_free, slot_next;
	uint32_t writes, writes_max; /* jobs now, at most */
	uint32_t failures;           /* in a row */
	bool is_disk_lost;
	struct cn_list write_buffers; /* free; at most writes_max */
	uint64_t *slot_stale;    /* owned bitmap: taken until it is wiped */
	uint32_t wipes, wipe_at; /* jobs now; word of the bitmap */
	uint32_t jobs;           /* of every kind */

	struct cn_store_stats count; /* the counters alone */
};

static inline bool
cn_store_has_disk(const struct cn_store *store)
{
	return store->slots > 0 && !store->is_disk_lost;
}

static inline void
cn_store_at(struct cn_store *store, uint64_t now)
{
	if (now > store->now_us) {
		store->now_us = now;
	}
}

/* ---- room.c ---- */

/* A buffer, made free by whatever may be dropped or evicted; NULL: none.
 * Segments, logs and scopes may be gone after. */
uint8_t *cn_room_buffer(struct cn_store *store);
void cn_room_buffer_put(struct cn_store *store, uint8_t *buffer);
/* Give the free buffers back to the system. */
void cn_room_buffers_free(struct cn_store *store);
/* A sealed segment takes its place: the ring, its scope, lists, counts.  Its
 * scope may be over its quota: the segment may be gone after. */
void cn_room_enter(struct cn_segment *segment);
bool cn_room_is_evictable(const struct cn_segment *segment);
/* Everything of it goes; it must be evictable, or open and nobody in it. */
void cn_room_evict(struct cn_segment *segment);
/* Announce what is about to go. */
void cn_room_doom(struct cn_store *store);
/* Put the body of a sealed segment into the list that it belongs to. */
void cn_room_list_body(struct cn_segment *segment);
/* The disk is lost: what was to be written is kept in memory. */
void cn_room_lose_disk(struct cn_store *store);
/* A free slot, evicting for it if need be; UINT32_MAX: none. */
uint32_t cn_room_slot(struct cn_store *store);
void cn_room_slot_put(struct cn_store *store, uint32_t slot);
void cn_room_slot_claim(struct cn_store *store, uint32_t slot);

/* ---- seal.c ---- */

/*
 * A new open segment, in memory, in its log, which is made if need be.
 * NULL: no room, no memory, or that segment is there.
 */
struct cn_segment *cn_seal_open(
    struct cn_pair *pair, bool is_mine, uint64_t epoch, uint64_t sequence);
/* It was changed now. */
void cn_seal_touch(struct cn_segment *segment);
/* Is every byte of an open segment there? */
bool cn_seal_is_full(const struct cn_segment *segment);
/* Full and, if it is ours, held by the peer: seal it.  The segment may be
 * gone after. */
void cn_seal_if_complete(struct cn_segment *segment);
/*
 * The peer lacks [from, to) of it.  If that is much of what we wrote to an
 * open segment the peer takes no more of it: seal it, and write on in
 * another.  The segment may be gone after.
 */
void cn_seal_if_spurned(struct cn_segment *segment, uint32_t from, uint32_t to);
/* Seal what is full, since room is needed. */
void cn_seal_full(struct cn_store *store);
/* Seal what has been left alone for long enough. */
void cn_seal_idle(struct cn_store *store);
/* Seal all that is open; of one pair alone, unless that is NULL. */
void cn_seal_all(struct cn_store *store, const struct cn_pair *pair);

/* ---- catalog.c ---- */

/* The segment with that number, whatever its state; NULL: there is none. */
struct cn_segment *cn_catalog_number(
    const struct cn_store *store, uint64_t number);
/* A segment that is in no list and zeroed but for its number; NULL: no
 * memory, or too many. */
struct cn_segment *cn_catalog_take(struct cn_store *store);
/* Give back what cn_catalog_take() gave and no list holds. */
void cn_catalog_give(struct cn_store *store, struct cn_segment *segment);

/* The pair with that peer, made if need be; NULL: no memory. */
struct cn_pair *cn_catalog_pair(
    struct cn_store *store, const uint8_t peer[CN_IMAGE_PEER_BYTES]);
/* NULL: there is none, or no memory for it. */
struct cn_store_log *cn_catalog_log(
    struct cn_pair *pair, bool is_mine, uint64_t epoch, bool is_to_make);
/* Free a log that has no segment left and is not our own of now. */
void cn_catalog_log_check(struct cn_store_log *log);
/* Something of it is the newest there is. */
void cn_catalog_log_first(struct cn_store_log *log);
/* Its place in log->at, or that of the next one behind. */
size_t cn_catalog_lower(const struct cn_store_log *log, uint64_t sequence);
struct cn_segment *cn_catalog_find(
    const struct cn_store_log *log, uint64_t sequence);
/* Returns CN_OK, CN_EEXIST, CN_ENOMEM. */
int cn_catalog_insert(
    struct cn_store_log *log, struct cn_segment *segment) CN_MUSTCHECK;
/* Take it out of its log, which may be gone after. */
void cn_catalog_remove(struct cn_segment *segment);

struct cn_store_scope *cn_catalog_scope(
    struct cn_pair *pair, uint64_t key, bool is_to_make);
/* Free a scope that has no extent and does not write. */
void cn_catalog_scope_check(struct cn_store_scope *scope);
/* Free everything; only cn_store_free(). */
void cn_catalog_fini(struct cn_store *store);

/* ---- segment.c ---- */

static inline uint8_t *
cn_segment_data(const struct cn_segment *segment)
{
	return segment->body->image + CN_IMAGE_DATA_AT;
}

static inline struct cn_store *
cn_segment_store(const struct cn_segment *segment)
{
	return segment->log->pair->store;
}

/* A body with a buffer; NULL: no memory.  What cn_room_buffer() says. */
struct cn_body *cn_segment_body(struct cn_store *store);
void cn_segment_body_free(struct cn_store *store, struct cn_body **bp);
/* Whose extent number e is; NULL: nobody's. */
struct cn_store_scope *cn_segment_scope(
    const struct cn_segment *segment, uint32_t e);
/* Sealed: bytes from its start. */
uint32_t cn_segment_used(const struct cn_segment *segment, uint32_t e);
/* The range that v is in. */
bool cn_segment_range(
    const struct cn_ranges *ranges, uint64_t v, struct cn_range *ret);
/*
 * The bytes around `off' that may be read: valid, of the scope and, if asked,
 * held.  False: none.
 */
bool cn_segment_window(const struct cn_segment *segment, uint32_t off,
    const struct cn_store_scope *scope, bool is_for_sending,
    struct cn_range *ret);
/* [from, to) is valid now; false: no memory for the note, so it is not. */
bool cn_segment_publish(struct cn_segment *segment, uint32_t from, uint32_t to);
/* The peer holds, or lacks, [from, to).  Without memory: it lacks. */
void cn_segment_hold(struct cn_segment *segment, uint32_t from, uint32_t to);
void cn_segment_lack(struct cn_segment *segment, uint32_t from, uint32_t to);
void cn_segment_hold_none(struct cn_segment *segment);
void cn_segment_hold_all(struct cn_segment *segment);
/* Open to sealed, in the segment alone: extents, used, chunks. */
void cn_segment_settle(struct cn_segment *segment, bool is_settled);
/* A chunk for the table of an open segment. */
void cn_segment_learn(
    struct cn_segment *segment, const struct cn_store_chunk *chunk);
/* Hashes of the extents of a sealed, pinned segment; without the lock. */
void cn_segment_hash(
    const struct cn_segment *segment, uint32_t hash[CN_SEGMENT_EXTENTS]);
/* What its footer says; hashes only if it has them. */
void cn_segment_info(
    const struct cn_segment *segment, struct cn_image_info *ret);
/* Take over what a footer says: extents, scopes, hashes.  CN_OK, CN_ENOMEM
 * (with nothing of it taken). */
int cn_segment_adopt(
    struct cn_segment *segment, const struct cn_image_info *info) CN_MUSTCHECK;
/* The extents' scopes are no more its. */
void cn_segment_leave_scopes(struct cn_segment *segment);

/* ---- load.c ---- */

/* Begin to read a segment back unless that is under way; false: it cannot
 * be done now. */
bool cn_load_read(struct cn_segment *segment);
/* Begin to write what waits for it, as far as buffers and slots go. */
void cn_load_write(struct cn_store *store);
/* Overwrite the heads of the images in stale slots, which are free then. */
void cn_load_wipe(struct cn_store *store);
/* The image of a pinned, sealed segment in memory; without the lock.  Sets
 * hashes and chunks in info. */
int cn_load_seal(struct cn_store *store, struct cn_image_info *info,
    const struct cn_segment *segment, uint8_t *image) CN_MUSTCHECK;
/* Call whoever waits.  Without the lock. */
void cn_load_wake(struct cn_store *store);

/* ---- agree.c ---- */

/* An agreement begins: so much work may be done for it. */
void cn_agree_begin(struct cn_pair *pair);
/* One segment more is gone through for the peer; false: enough for now. */
bool cn_agree_works(struct cn_pair *pair);

/* ---- defer.c ---- */

/* Forget what waits in the scope. */
void cn_defer_free(struct cn_store_scope *scope);

#endif /* CN_STORE_STORE_PRIVATE_H */
