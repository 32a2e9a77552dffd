/* SPDX-License-Identifier: Apache-2.0 */
#include "control/snapshot.h"

#include <assert.h>
#include <string.h>

#include "base/attr.h"

/* In the order of enum cn_snap_state. */
static const char *const states[] = { "unknown", "starting", "up", "degraded",
	"resuming", "dialling", "waiting", "down", "draining", "paused",
	"failed", "opening", "half", "ending", NULL };

/* The choices are read as unsigned. */
_Static_assert(sizeof(enum cn_snap_state) == sizeof(unsigned),
    "an enum is not as wide as an int");

/*
 * One row for each field; S is the struct's tag.  A row names its field
 * once, so that it cannot be sent under another name.
 */
/* clang-format off */
#define ROW(kind, member) \
	.name = #member, .type = (kind), .offset = offsetof(S, member)
#define U64(member) { ROW(CN_SHAPE_U64, member) }
#define U32(member) { ROW(CN_SHAPE_U32, member) }
#define BOOL(member) { ROW(CN_SHAPE_BOOL, member) }
#define STATE(member) { ROW(CN_SHAPE_CHOICE, member), .names = states }
#define TEXT(member) \
	{ ROW(CN_SHAPE_TEXT, member), .size = sizeof(((S *)0)->member) }
#define STRUCT(member, shape) { ROW(CN_SHAPE_STRUCT, member), .sub = &(shape) }
#define LIST(member, shape, most) \
	{ ROW(CN_SHAPE_LIST, member), .sub = &(shape), .max = (most), \
	  .count_offset = offsetof(S, member##_count) }
#define SHAPE(rows) \
	{ .size = sizeof(S), .fields = (rows), .count = CN_ARRAY_LEN(rows) }
/* clang-format on */

#define S struct cn_snap_bytes
static const struct cn_shape_field bytes_rows[] = {
	U64(lan),
	U64(wan),
	U64(literal),
	U64(raw),
	U64(copied),
	U64(coded),
	U64(framing),
};
static const struct cn_shape bytes_shape = SHAPE(bytes_rows);
#undef S

#define S struct cn_snap_carrier
static const struct cn_shape_field carrier_rows[] = {
	U32(slot),
	STATE(state),
	BOOL(is_dialler),
	TEXT(local),
	TEXT(remote),
	U64(generation),
	U64(age_us),
	U64(redial_us),
	U64(rtt_us),
	U64(rate_bps),
	U64(segments_data),
	U64(segments_resent),
	U64(wan_sent),
	U64(wan_received),
	TEXT(error),
};
static const struct cn_shape carrier_shape = SHAPE(carrier_rows);
#undef S

#define S struct cn_snap_link
static const struct cn_shape_field link_rows[] = {
	TEXT(id),
	U32(worker),
	STATE(state),
	U64(age_us),
	U64(down_us),
	U64(streams),
	U64(streams_opened),
	U64(streams_accepted),
	U64(resumes),
	U64(resent),
	U64(nacks_sent),
	U64(nacks_received),
	U64(misses_sent),
	U64(misses_received),
	BOOL(is_coding_off),
	STRUCT(sent, bytes_shape),
	STRUCT(received, bytes_shape),
	LIST(carriers, carrier_shape, CN_SNAP_CARRIERS_MAX),
};
static const struct cn_shape link_shape = SHAPE(link_rows);
#undef S

#define S struct cn_snap_peer
static const struct cn_shape_field peer_rows[] = {
	TEXT(name),
	TEXT(identity),
	TEXT(address),
	STATE(state),
	BOOL(is_drained),
	TEXT(gateway),
	U64(streams),
	U64(resumes),
	U64(rtt_us),
	STRUCT(sent, bytes_shape),
	STRUCT(received, bytes_shape),
	TEXT(error),
	LIST(links, link_shape, CN_SNAP_LINKS_MAX),
};
static const struct cn_shape peer_shape = SHAPE(peer_rows);
#undef S

#define S struct cn_snap_service
static const struct cn_shape_field service_rows[] = {
	TEXT(name),
	TEXT(way),
	TEXT(listen),
	TEXT(peer),
	TEXT(offer),
	TEXT(profile),
	TEXT(scope),
	STATE(state),
	U64(streams),
	U64(opened),
	U64(refused),
	U64(resets),
	STRUCT(sent, bytes_shape),
	STRUCT(received, bytes_shape),
	TEXT(error),
};
static const struct cn_shape service_shape = SHAPE(service_rows);
#undef S

#define S struct cn_snap_offer
static const struct cn_shape_field offer_rows[] = {
	TEXT(name),
	TEXT(target),
	TEXT(peers),
	U64(streams),
	U64(opened),
	U64(refused),
	U64(resets),
	STRUCT(sent, bytes_shape),
	STRUCT(received, bytes_shape),
	TEXT(error),
};
static const struct cn_shape offer_shape = SHAPE(offer_rows);
#undef S

#define S struct cn_snap_stream
static const struct cn_shape_field stream_rows[] = {
	U64(id),
	BOOL(is_ours),
	TEXT(service),
	TEXT(peer),
	TEXT(client),
	TEXT(target),
	STATE(state),
	U32(worker),
	TEXT(link),
	U64(link_stream),
	U32(slot),
	U64(age_us),
	U64(idle_us),
	U64(unacked),
	U64(window_sent),
	U64(unread),
	U64(resent),
	BOOL(is_confirmed),
	BOOL(fin_sent),
	BOOL(fin_received),
	STRUCT(sent, bytes_shape),
	STRUCT(received, bytes_shape),
};
const struct cn_shape cn_snap_stream_shape = SHAPE(stream_rows);
#undef S

#define S struct cn_snap_counter
static const struct cn_shape_field counter_rows[] = {
	TEXT(name),
	TEXT(unit),
	TEXT(help),
	U64(value),
};
static const struct cn_shape counter_shape = SHAPE(counter_rows);
#undef S

#define S struct cn_snap_memory
static const struct cn_shape_field memory_rows[] = {
	U64(pool_used),
	U64(pool_limit),
	U64(pool_promised),
	U64(heap),
	U64(resident),
};
static const struct cn_shape memory_shape = SHAPE(memory_rows);
#undef S

#define S struct cn_snap_store
static const struct cn_shape_field store_rows[] = {
	BOOL(is_on),
	BOOL(has_disk),
	BOOL(is_disk_lost),
	TEXT(path),
	TEXT(error),
	U64(segments),
	U64(memory_segments),
	U64(disk_segments),
	U64(open_segments),
	U64(memory_bytes),
	U64(memory_cap),
	U64(disk_bytes),
	U64(disk_cap),
	U64(index_bytes),
	U64(hook_bits),
	U64(quota),
	U64(scopes),
	U64(valid_bytes),
	U64(oldest_us),
	U64(appended),
	U64(filled),
	U64(evicted),
	U64(refused),
	U64(loads),
	U64(load_failures),
	U64(write_failures),
	U64(recovered),
	U64(damaged),
	U64(lan),
	U64(copied),
};
const struct cn_shape cn_snap_store_shape = SHAPE(store_rows);
#undef S

#define S struct cn_snap_walk
static const struct cn_shape_field walk_rows[] = {
	U64(segments),
	U64(bytes),
	U64(damaged),
	U64(known),
	U64(foreign),
	U64(no_room),
	U64(whole),
};
const struct cn_shape cn_snap_walk_shape = SHAPE(walk_rows);
#undef S

#define S struct cn_snap_warm
static const struct cn_shape_field warm_rows[] = {
	U64(stream),
	BOOL(is_clean),
	TEXT(reason),
	U64(lan),
	U64(copied),
	U64(wan),
	U64(lan_received),
	U64(copied_received),
	U64(wan_received),
	U64(us),
};
const struct cn_shape cn_snap_warm_shape = SHAPE(warm_rows);
#undef S

#define S struct cn_snap_invite
static const struct cn_shape_field invite_rows[] = {
	TEXT(token),
	TEXT(peer),
	TEXT(address),
	U64(expires_us),
};
const struct cn_shape cn_snap_invite_shape = SHAPE(invite_rows);
#undef S

#define S struct cn_snap_name
static const struct cn_shape_field name_rows[] = {
	TEXT(name),
};
static const struct cn_shape name_shape = SHAPE(name_rows);
#undef S

#define S struct cn_snap_join
static const struct cn_shape_field join_rows[] = {
	TEXT(peer),
	TEXT(gateway),
	TEXT(address),
	TEXT(identity),
	LIST(offers, name_shape, CN_SNAP_JOIN_NAMES_MAX),
	LIST(services, name_shape, CN_SNAP_JOIN_NAMES_MAX),
};
const struct cn_shape cn_snap_join_shape = SHAPE(join_rows);
#undef S

#define S struct cn_snap_gateway
static const struct cn_shape_field gateway_rows[] = {
	TEXT(version),
	TEXT(name),
	TEXT(identity),
	TEXT(listen),
	STATE(state),
	U32(pid),
	U32(workers),
	U64(uptime_us),
	U64(started_us),
	U64(cpu_us),
	U64(descriptors),
	U64(descriptors_limit),
	TEXT(config),
	U64(config_age_us),
	TEXT(config_error),
	U64(log_dropped),
};
static const struct cn_shape gateway_shape = SHAPE(gateway_rows);
#undef S

#define S struct cn_snap_status
static const struct cn_shape_field status_rows[] = {
	STRUCT(gateway, gateway_shape),
	STRUCT(memory, memory_shape),
	STRUCT(store, cn_snap_store_shape),
	U64(streams),
	U64(streams_opened),
	U64(streams_accepted),
	STRUCT(sent, bytes_shape),
	STRUCT(received, bytes_shape),
	LIST(peers, peer_shape, CN_SNAP_PEERS_MAX),
	LIST(services, service_shape, CN_SNAP_SERVICES_MAX),
	LIST(offers, offer_shape, CN_SNAP_SERVICES_MAX),
	LIST(counters, counter_shape, CN_SNAP_COUNTERS_MAX),
};
const struct cn_shape cn_snap_status_shape = SHAPE(status_rows);
#undef S

#define S struct cn_snap_streams
static const struct cn_shape_field streams_rows[] = {
	U64(total),
	LIST(streams, cn_snap_stream_shape, CN_SNAP_STREAMS_PAGE),
};
const struct cn_shape cn_snap_streams_shape = SHAPE(streams_rows);
#undef S

#define S struct cn_snap_peers
static const struct cn_shape_field peers_rows[] = {
	LIST(peers, peer_shape, CN_SNAP_PEERS_MAX),
};
const struct cn_shape cn_snap_peers_shape = SHAPE(peers_rows);
#undef S

#define S struct cn_snap_services
static const struct cn_shape_field services_rows[] = {
	LIST(services, service_shape, CN_SNAP_SERVICES_MAX),
	LIST(offers, offer_shape, CN_SNAP_SERVICES_MAX),
};
const struct cn_shape cn_snap_services_shape = SHAPE(services_rows);
#undef S

void
cn_snap_status_clear(struct cn_snap_status *status)
{
	cn_shape_clear(&cn_snap_status_shape, status);
}

void
cn_snap_streams_clear(struct cn_snap_streams *streams)
{
	cn_shape_clear(&cn_snap_streams_shape, streams);
}

void
cn_snap_peers_clear(struct cn_snap_peers *peers)
{
	cn_shape_clear(&cn_snap_peers_shape, peers);
}

void
cn_snap_services_clear(struct cn_snap_services *services)
{
	cn_shape_clear(&cn_snap_services_shape, services);
}

void
cn_snap_join_clear(struct cn_snap_join *joined)
{
	cn_shape_clear(&cn_snap_join_shape, joined);
}

void
cn_snap_text(char *dst, size_t dst_size, const char *src)
{
	size_t len = strlen(src);

	assert(dst_size >= 1);
	if (len >= dst_size) {
		len = dst_size - 1;
		/* Not through the middle of a character of UTF-8. */
		while (len > 0 && ((unsigned char)src[len] & 0xc0u) == 0x80u) {
			len--;
		}
	}
	memcpy(dst, src, len);
	dst[len] = '\0';
}

void
cn_snap_bytes_add(struct cn_snap_bytes *sum, const struct cn_snap_bytes *more)
{
	sum->lan += more->lan;
	sum->wan += more->wan;
	sum->literal += more->literal;
	sum->raw += more->raw;
	sum->copied += more->copied;
	sum->coded += more->coded;
	sum->framing += more->framing;
}

const char *
cn_snap_state_name(enum cn_snap_state state)
{
	unsigned index = (unsigned)state;

	return states[index < CN_ARRAY_LEN(states) - 1 ? index : 0];
}
