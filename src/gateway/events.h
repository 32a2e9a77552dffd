/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_EVENTS_H
#define CN_GATEWAY_EVENTS_H

/*
 * What happened lately: a ring of the last events, for people.
 *
 * A subject that repeats itself, and a kind that strangers can cause, have a
 * limit a minute each (control/event.h); what is left out is counted and
 * told with the next of its kind.
 *
 * Life:       made before the workers, freed after them.
 * Thread:     any; a lock is held for the length of a copy.
 * Invariants: ids rise by one; at most CN_EVENTS_MAX are kept.
 */

#include <stdint.h>

#include "base/attr.h"
#include "control/event.h"

#define CN_EVENTS_MAX 1024u
/* Subjects whose limits are known; one that shares the place of another
 * begins anew. */
#define CN_EVENTS_SUBJECTS 512u

struct cn_events; /* opaque */

/*
 * @started_us  of the process, wall clock: ids begin above it.  Nothing tells
 *              a million events a second, so those of a later start are
 *              greater, and all are exact in the double of a JSON reader
 */
int cn_events_create(uint64_t started_us, struct cn_events **ret) CN_MUSTCHECK;
/* Clears *ep; NULL is fine. */
void cn_events_free(struct cn_events **ep);

/* What an event is about; NULL and 0 for nothing. */
struct cn_events_about {
	const char *peer, *service;
	const char *source; /* for the limits alone: an address */
	uint64_t stream;
};

/*
 * Something happened.
 *
 * @events  NULL is fine: nobody listens
 * @about   NULL: the gateway as a whole
 */
void cn_events_add(struct cn_events *events, enum cn_event_kind kind,
    const struct cn_events_about *about, const char *fmt, ...) CN_PRINTF(4, 5);

/*
 * Events with ids above the cursor, the oldest first.
 *
 * @cursor  0: all that are kept
 * @limit   1..CN_EVENT_PAGE
 * @ret     the caller's to clear
 * @next    cursor of the following page; 0: these were the last
 *
 * Returns CN_OK or CN_ENOMEM.
 */
int cn_events_read(struct cn_events *events, uint64_t cursor, size_t limit,
    struct cn_snap_events *ret, uint64_t *next) CN_MUSTCHECK;

#endif /* CN_GATEWAY_EVENTS_H */
