/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_REGISTRY_H
#define CN_GATEWAY_REGISTRY_H

/*
 * Which links there are, to which peers, and which worker owns each: what
 * workers must know of each other to route a new connection.
 *
 * Rules that live here and nowhere else:
 *   - Between two gateways there are as many links as the larger number of
 *     workers; each goes to the worker with the fewest.
 *   - The side that has an address dials.  When both have, the one with the
 *     lower identity does: the other waits a moment first, and gives way
 *     when a link comes in.
 *   - A new local connection goes to the link with the fewest streams, to
 *     the asking worker's own if that has not many more.
 *
 * Life:       one for the process.
 * Thread:     any; a lock is held for the length of a look-up, never on the
 *             way of data.
 * Invariants: a link has one entry from the decision to have it until its
 *             worker freed it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "gateway/plan.h"
#include "wire/hello.h"

struct cn_registry; /* opaque */

/* The higher identity waits so long for the lower one's dial. */
#define CN_REGISTRY_YIELD_US 300000u
/* After a peer said that it dials us itself. */
#define CN_REGISTRY_HOLD_US 10000000u
/* Links of one peer at most, whoever made them. */
#define CN_REGISTRY_LINKS_MAX 1024u

/* One link, for its worker to keep up to date. */
struct cn_registry_link {
	struct cn_list item; /* the registry's, as all but streams */
	uint8_t peer[CN_IDENTITY_BYTES];
	uint8_t id[CN_LINK_ID_BYTES];
	uint32_t worker;
	bool is_dialler; /* we made it */
	bool was_up;     /* takes streams: up, or within its window */
	bool is_up;
	bool is_draining;
	_Atomic uint32_t streams; /* written by its worker alone */
};

int cn_registry_create(const uint8_t own[CN_IDENTITY_BYTES], uint32_t workers,
    struct cn_registry **ret) CN_MUSTCHECK;
void cn_registry_free(struct cn_registry **rp);

/*
 * Take over the peers of a plan.  Links to peers that are gone stay until
 * their workers remove them.
 *
 * Returns CN_OK or CN_ENOMEM; then nothing has changed.
 */
int cn_registry_plan(struct cn_registry *registry, const struct cn_plan *plan,
    uint64_t now) CN_MUSTCHECK;

/* We refuse new links from now on and make none. */
void cn_registry_drain(struct cn_registry *registry);

/*
 * Take nothing new to or from a peer, or take it again; streams that run go
 * on.  Forgotten when the process ends or the peer is removed.
 *
 * False: no such peer.
 */
bool cn_registry_drain_peer(struct cn_registry *registry,
    const uint8_t peer[CN_IDENTITY_BYTES], bool is_drained);
bool cn_registry_is_drained(
    struct cn_registry *registry, const uint8_t peer[CN_IDENTITY_BYTES]);

struct cn_registry_route {
	enum cn_close status; /* OK, or refuse with it and text */
	const char *text;     /* static */
	uint32_t worker;      /* that owns the link, or shall */
};

/* Where an accepted hello belongs; makes the entry of a new link. */
void cn_registry_route(struct cn_registry *registry,
    const struct cn_hello *hello, struct cn_registry_route *ret);

/*
 * The entry of a link that its worker makes now for an accepted hello: that
 * of the route, or a new one if it is gone meanwhile; NULL without memory or
 * peer.
 */
struct cn_registry_link *cn_registry_claim(struct cn_registry *registry,
    const uint8_t peer[CN_IDENTITY_BYTES], const uint8_t id[CN_LINK_ID_BYTES],
    uint32_t worker);

/*
 * A link that should be made and dialled now.
 *
 * Returns its new entry, for cn_registry_link.worker to make; NULL: none is
 * missing.  Call until NULL.
 */
struct cn_registry_link *cn_registry_missing(
    struct cn_registry *registry, uint64_t now);

/*
 * What a link's worker tells.
 *
 * @is_first  whether no link of the peer was up before
 *
 * Returns whether the peer is another process than the one that was last
 * heard of.
 */
bool cn_registry_up(struct cn_registry *registry, struct cn_registry_link *link,
    const struct cn_hello *peer, bool *is_first);
/* Another process of the peer was heard of since the one with this boot id:
 * a link to that one which has no carrier is lost. */
bool cn_registry_is_outlived(struct cn_registry *registry,
    const uint8_t peer[CN_IDENTITY_BYTES],
    const uint8_t boot_id[CN_BOOT_ID_BYTES]);
/* True: it was the peer's last link that was up. */
bool cn_registry_down(
    struct cn_registry *registry, struct cn_registry_link *link);
void cn_registry_set_draining(
    struct cn_registry *registry, struct cn_registry_link *link);
/* The link is gone; clears *lp. */
void cn_registry_remove(
    struct cn_registry *registry, struct cn_registry_link **lp, uint64_t now);
/* The peer dials us itself: make no links for a while. */
void cn_registry_hold(struct cn_registry *registry,
    const uint8_t peer[CN_IDENTITY_BYTES], uint64_t until);

/*
 * A worker that owns a link to the peer for a new stream.
 *
 * @own  the asking worker
 *
 * Returns CN_OK, or CN_ENOENT: no link is up or within its window, or the
 * peer is drained.
 */
int cn_registry_pick(struct cn_registry *registry,
    const uint8_t peer[CN_IDENTITY_BYTES], uint32_t own,
    uint32_t *ret) CN_MUSTCHECK;

/* The last that went wrong with a peer, in words; "" when it is mended. */
void cn_registry_set_error(struct cn_registry *registry,
    const uint8_t peer[CN_IDENTITY_BYTES], const char *text);

/* What a link moved before it ended; a peer's sums live longer. */
void cn_registry_account(struct cn_registry *registry,
    const uint8_t peer[CN_IDENTITY_BYTES], const struct cn_snap_bytes *sent,
    const struct cn_snap_bytes *received, uint64_t resumes);

struct cn_registry_peer_info {
	struct cn_snap_bytes sent, received; /* of links that ended */
	uint64_t resumes;                    /* likewise */
	char gateway[CN_NAME_MAX + 1];       /* its own name; "" */
	char error[CN_TEXT_MAX + 1];
	uint32_t workers; /* of the peer; 0: unknown */
	uint32_t links, links_up;
	bool is_drained;
};
/* False: no such peer. */
bool cn_registry_peer_info(struct cn_registry *registry,
    const uint8_t peer[CN_IDENTITY_BYTES], struct cn_registry_peer_info *ret);

#endif /* CN_GATEWAY_REGISTRY_H */
