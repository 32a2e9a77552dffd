/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_WANLINE_H
#define CN_MANAGE_WANLINE_H

/*
 * One direction of an emulated WAN line: a queue of bounded length in front
 * of a wire that takes so many bits a second and delivers them so much
 * later.  Arithmetic of a passed-in time; no I/O.
 *
 *      put --> [ queued: waits for the wire ] --> [ flying ] --> take
 *                      <= queue_max                 delay
 *
 * Life:       embedded; init and fini by the owner, which fini frees all
 *             that is still on the way.
 * Thread:     its owner's.
 * Invariants: pieces are delivered in the order in which they were put, and
 *             none earlier than its bits and the delay allow; queued <=
 *             queue_max + one piece; held <= CN_WANLINE_HELD_MAX + one piece.
 * Time:       `now' is monotonic microseconds and never goes back.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Most bytes of data in one piece. */
#define CN_WANLINE_PIECE_MAX 65536u
/* Most bytes on the way in a line, waiting or flying. */
#define CN_WANLINE_HELD_MAX (64u * 1024u * 1024u)
/* Nothing will happen by itself. */
#define CN_WANLINE_NEVER UINT64_MAX

enum cn_wanline_kind {
	CN_WANLINE_DATA,
	CN_WANLINE_END,   /* no more data of this owner */
	CN_WANLINE_RESET, /* the owner's connection broke */
};

/* Something on the way. */
struct cn_wanline_piece {
	struct cn_wanline_piece *next; /* in the line, then the receiver's */
	void *owner;                   /* borrowed; whose bytes these are */
	uint64_t extra_us;   /* delay beyond the line's; set before put */
	uint64_t departs_us; /* last bit on the wire */
	uint64_t arrives_us;
	enum cn_wanline_kind kind;
	uint32_t len;  /* bytes of data; 0 unless DATA */
	uint32_t done; /* for the receiver: bytes of them written */
	uint8_t data[];
};

struct cn_wanline {
	uint64_t rate_bps;   /* bits a second; 0: no limit */
	uint64_t delay_us;   /* from the last bit sent to its arrival */
	size_t queue_max;    /* bytes that may wait for the wire */
	size_t queued;       /* bytes that wait now */
	size_t held;         /* bytes that wait or fly */
	uint64_t free_ns;    /* when the wire has sent all that is put */
	uint64_t last_us;    /* arrival of the piece put last */
	uint64_t stalled_us; /* since when; 0: not stalled */
	uint64_t lost_us;    /* spent stalled, all time */
	uint64_t passed;     /* bytes delivered, all time */
	struct cn_wanline_piece *first;     /* owned, all until last */
	struct cn_wanline_piece **end;      /* where the next one goes */
	struct cn_wanline_piece *departing; /* borrowed; first that waits */
};

/*
 * @rate_bps   bits a second; 0: no limit
 * @delay_us   one way
 * @queue_max  bytes, at least 1
 */
void cn_wanline_init(struct cn_wanline *line, uint64_t rate_bps,
    uint64_t delay_us, size_t queue_max);

void cn_wanline_fini(struct cn_wanline *line);

/* A piece for len bytes, to be filled and put; NULL: no memory. */
struct cn_wanline_piece *cn_wanline_piece_create(
    void *owner, enum cn_wanline_kind kind, uint32_t len) CN_MUSTCHECK;

void cn_wanline_piece_free(struct cn_wanline_piece **pp);

/*
 * Bytes that may be put now, up to one piece; 0: wait until the deadline.
 * It is at most what the wire sends in about a millisecond (a packet at
 * least), so that pieces of several senders take turns.
 */
size_t cn_wanline_room(const struct cn_wanline *line);

/* Put a piece; takes it over.  END and RESET need no room. */
void cn_wanline_put(
    struct cn_wanline *line, struct cn_wanline_piece *piece, uint64_t now_us);

/*
 * Let time pass.  Returns the next piece that has arrived, which is the
 * caller's then, or NULL; call it until it is NULL.
 */
struct cn_wanline_piece *cn_wanline_take(
    struct cn_wanline *line, uint64_t now_us);

/* When cn_wanline_take() or _room() will next change; CN_WANLINE_NEVER. */
uint64_t cn_wanline_deadline(const struct cn_wanline *line);

/* Nothing departs or arrives until cn_wanline_resume(); idempotent both. */
void cn_wanline_stall(struct cn_wanline *line, uint64_t now_us);
void cn_wanline_resume(struct cn_wanline *line, uint64_t now_us);

/* Free all that is on the way from this owner; NULL: from all. */
void cn_wanline_drop(struct cn_wanline *line, const void *owner);

#endif /* CN_MANAGE_WANLINE_H */
