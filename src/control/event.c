/* SPDX-License-Identifier: Apache-2.0 */
#include "control/event.h"

#include <string.h>

#include "base/attr.h"

#define INFO CN_EVENT_INFO
#define WARNING CN_EVENT_WARNING
#define ERROR CN_EVENT_ERROR

static const struct cn_event_info infos[CN_EVENT_KIND_MAX] = {
	[CN_EVENT_UNKNOWN] = { "unknown", INFO, 0, 0,
	    "An event that this release does not know" },
	[CN_EVENT_STARTED] = { "started", INFO, 0, 0, "The gateway runs" },
	[CN_EVENT_RELOADED] = { "reloaded", INFO, 0, 0,
	    "A new configuration is in force" },
	[CN_EVENT_RELOAD_REFUSED] = { "reload-refused", ERROR, 0, 60,
	    "The configuration has errors; the one in force stays" },
	[CN_EVENT_CONFIG_WRITTEN] = { "config-written", INFO, 0, 60,
	    "The managed configuration was changed through the gateway" },
	[CN_EVENT_DRAINING] = { "draining", INFO, 0, 0,
	    "The gateway takes nothing new and ends with its streams" },
	[CN_EVENT_PEER_UP] = { "peer-up", INFO, 8, 120,
	    "A first carrier to the peer is up" },
	[CN_EVENT_PEER_DOWN] = { "peer-down", WARNING, 8, 120,
	    "The last carrier to the peer is gone" },
	[CN_EVENT_PEER_DRAINING] = { "peer-draining", INFO, 4, 60,
	    "The peer takes no new streams" },
	[CN_EVENT_PEER_REMOVED] = { "peer-removed", INFO, 2, 60,
	    "The peer is no longer in the configuration" },
	[CN_EVENT_LINK_RESUMED] = { "link-resumed", INFO, 8, 120,
	    "A link has a carrier again; its streams went on" },
	[CN_EVENT_LINK_LOST] = { "link-lost", WARNING, 8, 120,
	    "A link is given up; its streams were reset" },
	[CN_EVENT_CARRIER_LOST] = { "carrier-lost", WARNING, 2, 60,
	    "A connection to the peer broke" },
	[CN_EVENT_CARRIER_FAILED] = { "carrier-failed", WARNING, 1, 60,
	    "A connection to the peer could not be made" },
	[CN_EVENT_HANDSHAKE_REFUSED] = { "handshake-refused", WARNING, 1, 20,
	    "Somebody came with an identity that is not configured" },
	[CN_EVENT_CODING_OFF] = { "coding-off", ERROR, 2, 60,
	    "Blocks came out wrong too often; the link sends raw" },
	[CN_EVENT_STORE_LOST] = { "store-lost", ERROR, 0, 10,
	    "The disk of the store is not in use" },
	[CN_EVENT_STORE_DAMAGED] = { "store-damaged", WARNING, 0, 10,
	    "Segments of the store could not be read or written" },
	[CN_EVENT_MEMORY_LOW] = { "memory-low", WARNING, 4, 60,
	    "A worker has used most of its memory" },
	[CN_EVENT_MEMORY_OK] = { "memory-ok", INFO, 4, 60,
	    "A worker has memory again" },
	[CN_EVENT_SERVICE_LISTENING] = { "service-listening", INFO, 4, 120,
	    "A service accepts connections" },
	[CN_EVENT_SERVICE_PAUSED] = { "service-paused", WARNING, 4, 120,
	    "A service accepts none, for want of descriptors or memory" },
	[CN_EVENT_OFFER_UNREACHABLE] = { "offer-unreachable", WARNING, 1, 60,
	    "The target of an offer could not be connected to" },
};

static const char *const levels[] = { "unknown", "info", "warning", "error",
	NULL };

/* In the order of the kinds; checked against the table by its test. */
static const char *const kinds[] = { "unknown", "started", "reloaded",
	"reload-refused", "config-written", "draining", "peer-up", "peer-down",
	"peer-draining", "peer-removed", "link-resumed", "link-lost",
	"carrier-lost", "carrier-failed", "handshake-refused", "coding-off",
	"store-lost", "store-damaged", "memory-low", "memory-ok",
	"service-listening", "service-paused", "offer-unreachable", NULL };

_Static_assert(CN_ARRAY_LEN(kinds) == CN_EVENT_KIND_MAX + 1,
    "a kind of event has no name");
_Static_assert(CN_ARRAY_LEN(levels) == CN_EVENT_LEVEL_MAX + 1,
    "a level of events has no name");

const struct cn_event_info *
cn_event_info(enum cn_event_kind kind)
{
	unsigned index = (unsigned)kind;

	return index < CN_EVENT_KIND_MAX ? &infos[index] : NULL;
}

const char *
cn_event_level_name(enum cn_event_level level)
{
	unsigned index = (unsigned)level;

	return levels[index < CN_EVENT_LEVEL_MAX ? index : 0];
}

enum cn_event_level
cn_event_level_parse(const char *name)
{
	for (unsigned i = CN_EVENT_INFO; i < CN_EVENT_LEVEL_MAX; i++) {
		if (strcmp(name, levels[i]) == 0) {
			return (enum cn_event_level)i;
		}
	}
	return CN_EVENT_LEVEL_UNKNOWN;
}

/* clang-format off */
#define ROW(kind, member) \
	.name = #member, .type = (kind), .offset = offsetof(S, member)
#define U64(member) { ROW(CN_SHAPE_U64, member) }
#define TEXT(member) \
	{ ROW(CN_SHAPE_TEXT, member), .size = sizeof(((S *)0)->member) }
#define CHOICE(member, of) { ROW(CN_SHAPE_CHOICE, member), .names = (of) }
/* clang-format on */

#define S struct cn_snap_event
static const struct cn_shape_field event_rows[] = {
	U64(id),
	U64(at_us),
	CHOICE(level, levels),
	CHOICE(kind, kinds),
	TEXT(peer),
	TEXT(service),
	U64(stream),
	U64(left_out),
	TEXT(text),
};
const struct cn_shape cn_snap_event_shape = { sizeof(S), event_rows,
	CN_ARRAY_LEN(event_rows) };
#undef S

#define S struct cn_snap_events
static const struct cn_shape_field events_rows[] = {
	U64(started_us),
	U64(latest),
	U64(lost),
	{ ROW(CN_SHAPE_LIST, events), .sub = &cn_snap_event_shape,
	    .max = CN_EVENT_PAGE, .count_offset = offsetof(S, events_count) },
};
const struct cn_shape cn_snap_events_shape = { sizeof(S), events_rows,
	CN_ARRAY_LEN(events_rows) };
#undef S

void
cn_snap_events_clear(struct cn_snap_events *events)
{
	cn_shape_clear(&cn_snap_events_shape, events);
}
