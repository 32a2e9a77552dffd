/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONTROL_EVENT_H
#define CN_CONTROL_EVENT_H

/*
 * What happened to a gateway that people care about: kinds, and events as
 * the control socket carries them.
 *
 * A new kind is one value here and one row in event.c; the gateway tells it
 * by cn_events_add() (gateway/events.h).
 *
 * Thread: any.
 */

#include <stddef.h>
#include <stdint.h>

#include "control/snapshot.h"

/* Events in one reply; more come by the cursor. */
#define CN_EVENT_PAGE CN_SNAP_STREAMS_PAGE

enum cn_event_kind {
	CN_EVENT_UNKNOWN, /* from a newer gateway */
	CN_EVENT_STARTED,
	CN_EVENT_RELOADED,
	CN_EVENT_RELOAD_REFUSED,
	CN_EVENT_CONFIG_WRITTEN,
	CN_EVENT_DRAINING,
	CN_EVENT_PEER_UP,
	CN_EVENT_PEER_DOWN,
	CN_EVENT_PEER_DRAINING,
	CN_EVENT_PEER_REMOVED,
	CN_EVENT_LINK_RESUMED,
	CN_EVENT_LINK_LOST,
	CN_EVENT_CARRIER_LOST,
	CN_EVENT_CARRIER_FAILED,
	CN_EVENT_HANDSHAKE_REFUSED,
	CN_EVENT_CODING_OFF,
	CN_EVENT_STORE_LOST,
	CN_EVENT_STORE_DAMAGED,
	CN_EVENT_MEMORY_LOW,
	CN_EVENT_MEMORY_OK,
	CN_EVENT_SERVICE_LISTENING,
	CN_EVENT_SERVICE_PAUSED,
	CN_EVENT_OFFER_UNREACHABLE,
	CN_EVENT_KIND_MAX
};

enum cn_event_level {
	CN_EVENT_LEVEL_UNKNOWN,
	CN_EVENT_INFO,
	CN_EVENT_WARNING,
	CN_EVENT_ERROR,
	CN_EVENT_LEVEL_MAX
};

struct cn_event_info {
	const char *name; /* "peer-up" */
	enum cn_event_level level;
	/* Most in a minute about one subject (peer, service and source), and
	 * of the kind at all; 0: no limit. */
	uint32_t subject_limit, kind_limit;
	const char *help; /* one sentence, without full stop */
};

/* NULL for what is no kind. */
const struct cn_event_info *cn_event_info(enum cn_event_kind kind);
/* "warning"; "unknown" for what is no level. */
const char *cn_event_level_name(enum cn_event_level level);
/* The level of that name, or CN_EVENT_LEVEL_UNKNOWN. */
enum cn_event_level cn_event_level_parse(const char *name);

struct cn_snap_event {
	/* Rises by one from event to event; of a later start greater, as
	 * long as the clock is not set back. */
	uint64_t id;
	uint64_t at_us; /* wall clock, since 1970 */
	enum cn_event_level level;
	enum cn_event_kind kind;
	char peer[CN_SNAP_NAME];    /* "" where it concerns none */
	char service[CN_SNAP_NAME]; /* or offer */
	uint64_t stream;            /* 0: none */
	uint64_t left_out;          /* of the kind, before it, by the limits */
	char text[CN_SNAP_TEXT];
};

struct cn_snap_events {
	uint64_t started_us; /* of the process, wall clock: tells a restart */
	uint64_t latest;     /* id of the last event; 0: none yet */
	uint64_t lost;       /* after the cursor, but no longer kept */
	struct cn_snap_event *events;
	size_t events_count;
};

void cn_snap_events_clear(struct cn_snap_events *events);

extern const struct cn_shape cn_snap_event_shape;
extern const struct cn_shape cn_snap_events_shape;

#endif /* CN_CONTROL_EVENT_H */
