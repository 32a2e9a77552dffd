/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_LINKHOST_H
#define CN_GATEWAY_LINKHOST_H

/*
 * A link of the engine at home in its worker: its carriers, its dials, its
 * turn.
 *
 *   slot, dialler:  WAIT -> DIAL -> SHAKE -> LIVE -> (lost) DIAL at once
 *                     ^       |       |
 *                     +-------+-------+  refused, failed: pause grows
 *   slot, acceptor: EMPTY -> LIVE -> (lost) EMPTY
 *
 * The link ends when its window without carriers is over, when the peer
 * does not know it (any more), when it has no carrier and the peer is another
 * process by now, or when the peer is removed; its streams are reset then,
 * and on the dialler's side a new link takes its place.
 *
 * Life:       from cn_linkhost_create() until it frees itself, in a turn or
 *             in cn_linkhost_end(); handles follow in the loop.
 * Thread:     its worker's.
 * Invariants: a slot is attached in the engine exactly while its carrier is
 *             live; every dial of a slot has a higher generation.
 */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/attr.h"
#include "base/list.h"
#include "base/log.h"
#include "control/event.h"
#include "gateway/registry.h"
#include "gateway/worker.h"
#include "link/link.h"
#include "net/carrier.h"
#include "net/dialer.h"
#include "net/gate.h"

/* Between two lines of the log about streams that were refused. */
#define CN_LINKHOST_REFUSED_US 20000u
/* The first pause after a failed dial; each further one is twice as long. */
#define CN_LINKHOST_PAUSE_US 100000u
/* Without a carrier for longer, new streams are not given to a link unless
 * their service lets them wait: a loss that is mended at once is no reason to
 * refuse anybody. */
#define CN_LINKHOST_GRACE_US 3000000u

struct cn_linkhost;

struct cn_linkhost_slot {
	struct cn_linkhost *host; /* borrowed: whose slot */
	uint32_t index;
	struct cn_carrier *carrier; /* owned; shaking hands or live */
	bool is_live;
	enum cn_close farewell; /* last word of the engine; OK: none */
	/* Dialler's side. */
	struct cn_dialer *dial; /* owned */
	uint64_t generation;    /* of the last dial */
	uint64_t pause_us;      /* after the last failure; 0: none failed */
	uint64_t dial_us;       /* when to dial next; 0: not */
	uv_timer_t timer;       /* for that */
	uint64_t up_us;         /* since when it is live */
	uint64_t rate_bps, rtt_us;
	/* Of the carriers that it had. */
	uint64_t wan_in, wan_out;
	char error[CN_TEXT_MAX + 1];
	struct cn_log_limit up_limit, lost_limit;
};

struct cn_linkhost {
	struct cn_list item;     /* in the worker's hosts */
	struct cn_list sessions; /* struct cn_session: its streams */
	struct cn_list touched;  /* in the worker's touched, or in none */
	struct cn_worker *worker;
	struct cn_registry_link *entry; /* ours to remove */
	struct cn_link *link;           /* owned */
	struct cn_dedup *dedup;         /* owned; NULL: there is no store */
	uint8_t peer[CN_IDENTITY_BYTES];
	uint8_t id[CN_LINK_ID_BYTES];
	uint8_t peer_boot[CN_BOOT_ID_BYTES];
	char name[CN_NAME_MAX + 1]; /* of the peer, from the plan */
	bool is_dialler;
	bool was_up;      /* some carrier came up; the peer knows the link */
	bool is_outlived; /* its peer is another process now */
	bool is_ended;
	bool is_coding_off; /* that was told */
	/* Opens of the peer, in millionths; they wear off with time. */
	uint64_t opens_debt, opens_us;
	struct cn_log_limit refuse_limit; /* of lines about refused ones */
	uint64_t born_us;
	uint64_t down_us; /* since when no carrier is up; 0: one is */
	struct cn_linkhost_slot slot[CN_LINK_SLOTS_MAX];
	uv_timer_t deadline; /* the engine's */
	unsigned handles;    /* open in the loop; the last close frees */
};

/*
 * Make a link in this worker.
 *
 * @entry  of the registry; owned by the host, by the caller on failure
 *
 * A dialler begins to dial.  Returns CN_OK, CN_ENOENT when the plan has no
 * such peer, CN_ENOMEM, or CN_EINVAL.
 */
int cn_linkhost_create(struct cn_worker *worker, struct cn_registry_link *entry,
    struct cn_linkhost **ret) CN_MUSTCHECK;

struct cn_linkhost *cn_linkhost_find(struct cn_worker *worker,
    const uint8_t peer[CN_IDENTITY_BYTES], const uint8_t id[CN_LINK_ID_BYTES]);
/* The link of the peer in this worker that takes new streams; or NULL. */
struct cn_linkhost *cn_linkhost_for_stream(
    struct cn_worker *worker, const uint8_t peer[CN_IDENTITY_BYTES]);

/* Has it been without a carrier for longer than the grace? */
bool cn_linkhost_is_down(const struct cn_linkhost *host, uint64_t now);

/* The engine was called: its turn comes before the loop sleeps. */
void cn_linkhost_touch(struct cn_linkhost *host);
/* The turn. */
void cn_linkhost_turn(struct cn_linkhost *host);

/*
 * An accepted carrier whose hello belongs to this link.  Takes the carrier,
 * and closes it if the hello is refused.
 *
 * Returns the status that was answered.
 */
enum cn_close cn_linkhost_accept(
    struct cn_linkhost *host, struct cn_carrier **cp);

/* End the link: reset its streams, say why to the peer, free it. */
void cn_linkhost_end(
    struct cn_linkhost *host, enum cn_reset reason, enum cn_close code);

/* The peer came back as another process: its links that have no carrier are
 * lost, whoever's. */
void cn_linkhost_sweep(
    struct cn_worker *worker, const uint8_t peer[CN_IDENTITY_BYTES]);

/* The plan changed: number of carriers, name.  Each second: housekeeping. */
void cn_linkhost_replan(struct cn_linkhost *host);
void cn_linkhost_tick(struct cn_linkhost *host, uint64_t now);

/* What we say of ourselves in a hello; the rest is the caller's. */
void cn_linkhost_hello(const struct cn_worker *worker, struct cn_hello *ret);
/* Refuse an accepted hello and close its carrier. */
void cn_linkhost_refuse(struct cn_worker *worker, struct cn_carrier **cp,
    enum cn_close status, const char *text);

/* ---- linkhost_slot.c, for linkhost.c alone ---- */

/* Something happened to this link, or its peer. */
void cn_linkhost_tell(struct cn_linkhost *host, enum cn_event_kind kind,
    const char *fmt, ...) CN_PRINTF(3, 4);
/* Dial now (or when the peer has an address). */
void cn_linkhost_dial(struct cn_linkhost_slot *slot);
/* The live carrier is lost: detach, count, dial again or wait. */
void cn_linkhost_lost(
    struct cn_linkhost_slot *slot, int why, const char *detail);
/* Close its carrier and its dial, say why; nothing follows. */
void cn_linkhost_shut(struct cn_linkhost_slot *slot, enum cn_close code);
/* A carrier is accepted on both sides. */
void cn_linkhost_live(
    struct cn_linkhost_slot *slot, const struct cn_hello *peer);
/* Operations of live carriers. */
extern const struct cn_carrier_ops cn_linkhost_carrier_ops;
void cn_linkhost_on_timer(uv_timer_t *timer);

#endif /* CN_GATEWAY_LINKHOST_H */
