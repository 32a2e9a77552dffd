/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_SIM_WORLD_H
#define CN_SIM_WORLD_H

/*
 * The world of one seed: two gateways, their stores and disks, the carriers
 * between them, and the applications on both sides.
 *
 *   content.c   what stands at an offset of a direction
 *   apps.c      applications, and the events that they hear
 *   carriers.c  the bytes between the engines
 *   stores.c    stores, dedup and their disks; how they are lost and found
 *   simdisk.c   a disk in memory, with all faults of one
 *   hostile.c   a peer that says anything
 *   fates.c     what befalls a world
 *   world.c     its begin, its steps and its end
 *   judge.c     whether it went as it must
 *   sim.c       the command
 *
 * Everything is drawn from one seeded generator, in a fixed order, and no
 * clock is read: the same seed gives the same world.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/rand.h"
#include "link/link.h"
#include "store/store.h"

#define SIM_STREAMS 80
#define SIM_STREAMS_WILD 64
#define SIM_STREAMS_FIRST 40
#define SIM_SLOTS 3
#define SIM_STEPS_CALM 100000
#define SIM_SCOPES 3u
#define SIM_PIECES 24

struct simdisk;
struct cn_codec;
struct cn_dedup;
struct cn_dedup_scratch;
struct cn_pool;

/* ---- content ---- */

enum kind { KIND_NOISE, KIND_TEXT, KIND_PERIOD };

/* A part of a direction: so many bytes of a document from an offset on. */
struct part {
	uint64_t key;
	uint64_t at;
	uint64_t len;
	enum kind kind;
};

/* All that one direction sends. */
struct content {
	struct part part[SIM_PIECES];
	int parts;
	uint64_t length;
};

/* ---- carriers ---- */

struct pipe {
	uint8_t *bytes;
	size_t len, cap;
};

struct carrier {
	bool is_up[2]; /* attached at that side */
	uint64_t generation;
	uint64_t dial_at;    /* when it is dialled again, if down */
	struct pipe pipe[2]; /* written by side 0, by side 1 */
	size_t shown[2];     /* bytes of the pipe that arrived so far */
	uint64_t stalled_until[2];
};

/* ---- applications ---- */

enum how { HOW_NOT, HOW_CLEAN, HOW_RESET };

/* One application end of one stream. */
struct end {
	struct cn_stream *stream;
	struct content content; /* that it wants to send */
	uint64_t written;       /* given to the engine */
	uint64_t read;          /* taken from it */
	uint64_t reset_at;      /* resets itself after so much of both */
	uint64_t wakes_at;      /* reads nothing before */
	uint32_t write_max, read_max;
	bool is_full;     /* no room: waits for WRITABLE */
	bool is_empty;    /* nothing to read: waits for READABLE */
	bool is_finished; /* said end of file */
	bool is_shut;     /* saw the other's end of file */
	bool did_reset;
	enum how how;
};

struct flow {
	uint32_t key;
	int opener;
	uint64_t scope;
	bool is_unstored;
	bool is_steady; /* writes in large pieces only: it is measured */
	bool is_open, is_accepted;
	bool is_refused; /* the acceptor resets at once */
	bool is_lost;    /* its link went with a process */
	struct end end[2];
};

/* ---- the world ---- */

/* What befalls a world, besides the adversary's daily work. */
enum fate {
	FATE_NONE,
	FATE_LOST,    /* no carrier comes back: the resume window ends */
	FATE_CRASH,   /* one side's process dies; the other is told so */
	FATE_EVIL,    /* the same, but first it says anything */
	FATE_DRAIN,   /* one side wants to go */
	FATE_RESTART, /* processes die and come back, stores with them */
	FATE_MEMORY,  /* allocations fail now and then */
	FATE_POOR,    /* the pools are small from the start */
	FATES
};

/* One gateway's process. */
struct proc {
	struct cn_link *link;
	struct cn_pool *pool;
	struct cn_codec *codec;
	struct cn_hello hello;
	struct cn_store_config store_config;
	struct cn_store *store; /* NULL: without */
	struct cn_dedup_scratch *scratch;
	struct cn_dedup *dedup;
	struct simdisk *disk; /* NULL: memory only */
	bool is_disk_good;    /* what was written is there */
	bool is_woken;        /* the store called the wake */
	uint64_t tick_us;     /* of the store, next */
};

/* What a world met with, for the sums of a run. */
struct tally {
	uint64_t worlds, stores, disks;
	uint64_t cuts, flips;
	uint64_t plain, copied, misses, lacks, nacks, bad_refs;
	uint64_t restarts, forgets, lies, rots, rollbacks, swaps, wipes, torn;
	uint64_t recovered, damaged, loads, load_failures, write_failures;
	uint64_t evicted;
	uint64_t measured, healed, back, apart, kept, found;
};

struct world {
	uint64_t seed, now, steps;
	struct cn_prng prng;
	struct proc proc[2];
	struct cn_link_config config;
	uint32_t slots;
	struct carrier carrier[SIM_SLOTS];
	struct flow flow[SIM_STREAMS];
	int flows;
	uint64_t first_flow; /* those before it are left alone */
	enum fate fate;
	uint64_t fate_step; /* when it strikes */
	unsigned restarts;  /* still to come, of FATE_RESTART */
	bool is_struck;
	bool is_cut_off; /* no carrier comes back */
	bool is_over;    /* both links are gone for good */
	bool is_calm;    /* the adversary rests */
	bool may_lose;   /* resets by a lost link are explained */
	unsigned cut_chance, flip_chance, stall_chance; /* of 10000 a step */
	unsigned forget_chance, lie_chance, rot_chance; /* likewise */
	unsigned cut_soon;  /* steps until a carrier is cut; 0: none */
	unsigned lies_left; /* that the measured stream's receiver tells */
	bool is_heavy;      /* bulk is much more than stores keep in memory */
	bool is_tiny;       /* carriers hand over a few bytes at a time */
	bool is_edgy;       /* applications move only when told to */
	bool was_faulty;    /* anything was damaged, lost or cut */
	int dead;           /* carrier that does not come back once cut */
	uint64_t digest;    /* of all bytes that the carriers took */
	struct tally tally;
	bool is_failed;
	char why[256];
};

/* Tell of every measured sending. */
extern bool world_is_traced;

/* The world fails; the first reason stays. */
void __attribute__((format(printf, 2, 3)))
world_fail(struct world *w, const char *format, ...);

/* ---- content.c ---- */

/* What stands at an offset. */
void content_bytes(
    const struct content *c, uint64_t offset, uint8_t *out, size_t len);
/* So many bytes of a document of its own. */
void content_own(
    struct content *c, uint64_t key, uint64_t length, enum kind kind);
/* About so many bytes of the world's documents, edited. */
void content_shared(struct content *c, struct cn_prng *prng, uint64_t seed,
    uint64_t key, uint64_t length);

/* Another version of a document of its own: text in place of some bytes. */
void content_edited(
    struct content *c, const struct content *of, uint64_t key, uint64_t edit);

/* ---- apps.c ---- */

void flow_make(struct world *w, struct flow *f, uint32_t key);
void flow_open(struct world *w, struct flow *f);
void flow_step(struct world *w, struct flow *f);
struct flow *flow_of(struct world *w, const struct cn_stream *s);
/* Take the events of that side's link. */
void app_events(struct world *w, int side);

/* ---- carriers.c ---- */

void carrier_adversary(struct world *w);
void carrier_cut(struct world *w, uint32_t slot);
void carrier_down(struct world *w, uint32_t slot, int side);
void carrier_redial(struct world *w, uint32_t slot);
/* One turn of a carrier: bytes out of one engine, into the other. */
void carrier_turn(struct world *w, uint32_t slot);
void carriers_free(struct world *w);

/* ---- stores.c ---- */

/* Decide what stores the world has, and create them. */
int stores_make(struct world *w);
int stores_dedup(struct world *w, int side);
void stores_undedup(struct world *w, int side);
/* The process of that side is gone: its store is. */
void stores_lose(struct world *w, int side, bool is_clean);
/* A process comes up again: its store is made and recovered. */
int stores_find(struct world *w, int side);
/* What happens to the disks while processes are down. */
void stores_harm(struct world *w, const bool is_down[2]);
void stores_step(struct world *w);
void stores_adversary(struct world *w);
/*
 * Bytes that the peer will store for a scope are there already, and are
 * others: the store of this side lies about them from now on.
 */
void stores_lie(struct world *w, int side, uint64_t scope);
/* The disks have no faults any more. */
void stores_rest(struct world *w);
void stores_free(struct world *w, int side);

/* ---- fates.c ---- */

void fate_strike(struct world *w);
/*
 * Some processes end, or die, and come back; a new link joins the two.
 *
 * @harm  what befalls the disks meanwhile; NULL: nothing
 */
void fate_restart(struct world *w, const bool is_down[2],
    const bool is_clean[2],
    void (*harm)(struct world *w, const bool is_down[2]));

/* ---- world.c ---- */

int world_make(struct world *w, uint64_t seed);
int world_links(struct world *w);
void world_step(struct world *w);
bool world_is_over(const struct world *w);
/* The whole of it; false when it failed. */
bool world_run(struct world *w, uint64_t seed);

/* ---- judge.c ---- */

void judge_flows(struct world *w);
/* Send the same data again and again: it must go as references. */
void judge_measure(struct world *w);
void judge_tell_stuck(const struct world *w, FILE *out);
/* Add what the link of that side did to the tally. */
void judge_count(struct world *w, int side);

#endif /* CN_SIM_WORLD_H */
