/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONTROL_SNAPSHOT_H
#define CN_CONTROL_SNAPSHOT_H

/*
 * What may be asked of a running gateway, as plain structs: the gateway
 * fills them, the control socket carries them as JSON, the Management
 * Utility reads them.
 *
 * The names of the fields in JSON are the names here.
 *
 * Life:       filled by the asker's worker; lists are memory of cn_calloc()
 *             that the snapshot owns; cn_snap_*_clear() gives them back.
 * Thread:     any; a snapshot is a copy and shares nothing.
 * Units:      bytes; *_us microseconds (ages, not points in time, but
 *             where said); *_bps bytes a second; counts since the start of
 *             the process, closed streams included.
 *
 * Directions are the gateway's: `sent' towards the peer, `received' from it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/shape.h"

#define CN_SNAP_NAME 64u  /* names: 63 bytes */
#define CN_SNAP_TEXT 192u /* addresses, identities, errors; cut to fit */
#define CN_SNAP_PATH 512u
#define CN_SNAP_TOKEN 640u

/* Most elements of the lists; the gateway never has more. */
#define CN_SNAP_PEERS_MAX 4096u
#define CN_SNAP_SERVICES_MAX 4096u
#define CN_SNAP_LINKS_MAX 1024u
#define CN_SNAP_CARRIERS_MAX 8u
#define CN_SNAP_COUNTERS_MAX 1024u
#define CN_SNAP_JOIN_NAMES_MAX 32u
/* Streams in one reply; more come by the cursor. */
#define CN_SNAP_STREAMS_PAGE 512u

enum cn_snap_state {
	CN_SNAP_UNKNOWN, /* from a newer gateway */
	CN_SNAP_STARTING,
	CN_SNAP_UP,       /* works; a service: listens */
	CN_SNAP_DEGRADED, /* some carriers or links of it are down */
	CN_SNAP_RESUMING, /* no carrier; streams wait in the resume window */
	CN_SNAP_DIALLING, /* a connection is being made */
	CN_SNAP_WAITING,  /* until the next dial; or for the peer to dial */
	CN_SNAP_DOWN,
	CN_SNAP_DRAINING, /* takes nothing new */
	CN_SNAP_PAUSED,   /* a service that does not accept now: see error */
	CN_SNAP_FAILED,   /* cannot work until something is changed */
	CN_SNAP_OPENING,  /* a stream: the target is being dialled */
	CN_SNAP_HALF,     /* a stream: one direction has ended */
	CN_SNAP_ENDING,   /* a stream: both ended, not yet confirmed */
};

/* One direction's bytes; a stream's, or a sum. */
struct cn_snap_bytes {
	uint64_t lan; /* plain bytes of the applications */
	/*
	 * On the wire.  Of a stream or service: coded + raw + framing, before
	 * TLS.  Of a carrier, link, peer or gateway: the socket's bytes, TLS
	 * and handshakes included.
	 */
	uint64_t wan;
	uint64_t literal; /* of lan: went through zstd */
	uint64_t raw;     /* of lan: went as they are */
	uint64_t copied;  /* of lan: went as references to the store */
	uint64_t coded;   /* of wan: carried the literal ones */
	uint64_t framing; /* of wan: heads, frames and control */
};

struct cn_snap_carrier {
	uint32_t slot;
	enum cn_snap_state state;
	bool is_dialler; /* we dialled it */
	char local[CN_SNAP_TEXT];
	char remote[CN_SNAP_TEXT];
	uint64_t generation;
	uint64_t age_us;    /* since it came up; 0: is not */
	uint64_t redial_us; /* until the next dial; 0: none planned */
	uint64_t rtt_us;    /* smoothed; 0: unknown */
	uint64_t rate_bps;  /* measured delivery; 0: unknown */
	/* Segments of TCP with data, and those of them that went again; of the
	 * connection that is up. */
	uint64_t segments_data, segments_resent;
	uint64_t wan_sent; /* all carriers that the slot had */
	uint64_t wan_received;
	char error[CN_SNAP_TEXT]; /* of the last failure; "" */
};

struct cn_snap_link {
	char id[CN_SNAP_NAME]; /* hex */
	uint32_t worker;
	enum cn_snap_state state;
	uint64_t age_us;
	uint64_t down_us; /* without a carrier for so long; 0: has one */
	uint64_t streams; /* live now */
	uint64_t streams_opened, streams_accepted;
	uint64_t resumes;
	uint64_t resent; /* bytes sent more than once */
	uint64_t nacks_sent, nacks_received;
	uint64_t misses_sent, misses_received;
	bool is_coding_off; /* three bad hashes in ten minutes */
	struct cn_snap_bytes sent, received;
	struct cn_snap_carrier *carriers;
	size_t carriers_count;
};

struct cn_snap_peer {
	char name[CN_SNAP_NAME];
	char identity[CN_SNAP_TEXT];
	char address[CN_SNAP_TEXT]; /* configured; "" when it dials us */
	enum cn_snap_state state;
	bool is_drained; /* by `peers drain': nothing new to or from it */
	char gateway[CN_SNAP_NAME]; /* its own name, from its hello; "" */
	uint64_t streams;
	uint64_t resumes;
	uint64_t rtt_us; /* least of its carriers; 0: unknown */
	struct cn_snap_bytes sent, received;
	char error[CN_SNAP_TEXT]; /* why it is not up; "" */
	struct cn_snap_link *links;
	size_t links_count;
};

/* A way in: connections that come here and go to a peer. */
struct cn_snap_service {
	char name[CN_SNAP_NAME];
	char way[CN_SNAP_NAME];    /* "forward" */
	char listen[CN_SNAP_TEXT]; /* addresses, comma between */
	char peer[CN_SNAP_NAME];
	char offer[CN_SNAP_NAME];
	char profile[CN_SNAP_NAME];
	char scope[CN_SNAP_NAME];
	enum cn_snap_state state;
	uint64_t streams; /* live now */
	uint64_t opened;  /* connections accepted */
	uint64_t refused; /* of these: reset before the peer confirmed */
	uint64_t resets;  /* of these: ended badly later */
	struct cn_snap_bytes sent, received;
	char error[CN_SNAP_TEXT]; /* "" */
};

/* What peers may reach through this gateway. */
struct cn_snap_offer {
	char name[CN_SNAP_NAME];
	char target[CN_SNAP_TEXT];
	char peers[CN_SNAP_TEXT]; /* who may, comma between; cut to fit */
	uint64_t streams;
	uint64_t opened;
	uint64_t refused; /* the target could not be reached */
	uint64_t resets;
	struct cn_snap_bytes sent, received;
	char error[CN_SNAP_TEXT]; /* of the last refused dial; "" */
};

struct cn_snap_stream {
	/* Of this process, never used again, 1..INT64_MAX; users type it. */
	uint64_t id;
	bool is_ours; /* a service here opened it, else the peer */
	char service[CN_SNAP_NAME]; /* ours: service; else: offer */
	char peer[CN_SNAP_NAME];
	char client[CN_SNAP_TEXT];
	char target[CN_SNAP_TEXT]; /* accepted ones: where it was dialled */
	enum cn_snap_state state;
	uint32_t worker;
	char link[CN_SNAP_NAME]; /* hex id */
	uint64_t link_stream;    /* its id within the link */
	uint32_t slot;
	uint64_t age_us;
	uint64_t idle_us;     /* since the last byte either way */
	uint64_t unacked;     /* bytes kept until the peer's socket took them */
	uint64_t window_sent; /* bytes the peer would still take */
	uint64_t unread;      /* bytes that wait for the local socket */
	uint64_t resent;
	bool is_confirmed;
	bool fin_sent, fin_received;
	struct cn_snap_bytes sent, received;
};

struct cn_snap_counter {
	char name[CN_SNAP_NAME]; /* "resets-refused" */
	char unit[CN_SNAP_NAME]; /* "bytes", "streams"; "" */
	char help[CN_SNAP_TEXT];
	uint64_t value;
};

struct cn_snap_memory {
	uint64_t pool_used, pool_limit; /* all workers */
	uint64_t pool_promised;         /* credit granted */
	uint64_t heap;                  /* live bytes, pools included */
	uint64_t resident;              /* of the process */
};

/* What crossed the WAN before.  All zero where there is no store. */
struct cn_snap_store {
	bool is_on;
	bool has_disk;     /* configured */
	bool is_disk_lost; /* but not in use: see error */
	char path[CN_SNAP_PATH];
	char error[CN_SNAP_TEXT]; /* why the disk is not in use; "" */
	uint64_t segments, memory_segments, disk_segments, open_segments;
	uint64_t memory_bytes, memory_cap; /* of segments */
	uint64_t disk_bytes, disk_cap;
	uint64_t index_bytes;
	uint64_t hook_bits; /* the index holds one chunk of 2^hook_bits */
	uint64_t quota;     /* of one scope, bytes; 0: none */
	uint64_t scopes;
	uint64_t valid_bytes;          /* that are here */
	uint64_t oldest_us;            /* age; 0: there is nothing */
	uint64_t appended, filled;     /* bytes sent and received, stored */
	uint64_t evicted;              /* segments */
	uint64_t refused;              /* bytes without room */
	uint64_t loads, load_failures; /* segments read back */
	uint64_t write_failures;
	uint64_t recovered, damaged; /* segments found at start; of them bad */
	/* Of all streams' bytes, both directions: these went as references. */
	uint64_t lan, copied;
};

struct cn_snap_gateway {
	char version[CN_SNAP_NAME];
	char name[CN_SNAP_NAME];
	char identity[CN_SNAP_TEXT];
	char listen[CN_SNAP_TEXT]; /* for carriers; comma between; "" */
	enum cn_snap_state state;
	uint32_t pid;
	uint32_t workers;
	uint64_t uptime_us;
	uint64_t started_us; /* wall clock, since 1970 */
	uint64_t cpu_us;     /* user and system, all threads */
	uint64_t descriptors, descriptors_limit;
	char config[CN_SNAP_PATH];       /* the main file */
	uint64_t config_age_us;          /* since it was last taken over */
	char config_error[CN_SNAP_TEXT]; /* the last reload failed so; "" */
	uint64_t log_dropped;            /* lines */
};

/* The whole picture but the streams. */
struct cn_snap_status {
	struct cn_snap_gateway gateway;
	struct cn_snap_memory memory;
	struct cn_snap_store store;
	uint64_t streams; /* live now */
	uint64_t streams_opened, streams_accepted;
	struct cn_snap_bytes sent, received; /* all peers */
	struct cn_snap_peer *peers;
	size_t peers_count;
	struct cn_snap_service *services;
	size_t services_count;
	struct cn_snap_offer *offers;
	size_t offers_count;
	struct cn_snap_counter *counters;
	size_t counters_count;
};

/* A page of streams. */
struct cn_snap_streams {
	uint64_t total;                 /* live now in the whole gateway */
	struct cn_snap_stream *streams; /* <= CN_SNAP_STREAMS_PAGE */
	size_t streams_count;
};

struct cn_snap_peers {
	struct cn_snap_peer *peers;
	size_t peers_count;
};

struct cn_snap_services {
	struct cn_snap_service *services;
	size_t services_count;
	struct cn_snap_offer *offers;
	size_t offers_count;
};

/* What one step of a walk over the store did. */
struct cn_snap_walk {
	uint64_t segments; /* looked at, or taken in */
	uint64_t bytes;    /* of their data */
	uint64_t damaged;  /* of them: damaged, and given up */
	uint64_t known;    /* of an import: was here already */
	uint64_t foreign;  /* of an import: of a peer that is not ours */
	uint64_t no_room;  /* of an import: did not fit */
	uint64_t whole;    /* of an import: 1 when its end has come */
};

/* What became of a connection that was handed over, to warm or to probe;
 * until it is over only its stream is known. */
struct cn_snap_warm {
	uint64_t stream; /* cn_snap_stream.id */
	bool is_clean;   /* all of it was verified and kept by the peer */
	char reason[CN_SNAP_NAME]; /* else why it was reset; "" */
	uint64_t lan;              /* bytes that were sent */
	uint64_t copied;           /* of them: the peer had them before */
	uint64_t wan;              /* what they took, without TLS */
	uint64_t lan_received;     /* bytes that came back */
	uint64_t copied_received;  /* of them: we had them before */
	uint64_t wan_received;     /* what they took, without TLS */
	uint64_t us;               /* how long it took */
};

/* An invitation that was opened. */
struct cn_snap_invite {
	char token[CN_SNAP_TOKEN]; /* secret */
	char peer[CN_SNAP_NAME];
	char address[CN_SNAP_PATH];
	uint64_t expires_us; /* from now on */
};

struct cn_snap_name {
	char name[CN_SNAP_NAME];
};

/* What became of a joining. */
struct cn_snap_join {
	char peer[CN_SNAP_NAME];
	char gateway[CN_SNAP_NAME]; /* what the peer calls itself */
	char address[CN_SNAP_PATH];
	char identity[CN_SNAP_TEXT];
	struct cn_snap_name *offers; /* what we may reach there */
	size_t offers_count;
	struct cn_snap_name *services; /* that were made here */
	size_t services_count;
};

/* Free the lists and zero the struct; harmless twice. */
void cn_snap_status_clear(struct cn_snap_status *status);
void cn_snap_streams_clear(struct cn_snap_streams *streams);
void cn_snap_peers_clear(struct cn_snap_peers *peers);
void cn_snap_services_clear(struct cn_snap_services *services);
void cn_snap_join_clear(struct cn_snap_join *joined);

/* Copy a text, cut where it is too long; dst_size >= 1. */
void cn_snap_text(char *dst, size_t dst_size, const char *src);

/* Sum into *sum. */
void cn_snap_bytes_add(
    struct cn_snap_bytes *sum, const struct cn_snap_bytes *more);

/* Short name of a state: "up", "resuming". */
const char *cn_snap_state_name(enum cn_snap_state state);

/* The tables, for cn_shape_encode() and cn_shape_decode(). */
extern const struct cn_shape cn_snap_status_shape;
extern const struct cn_shape cn_snap_streams_shape;
extern const struct cn_shape cn_snap_stream_shape;
extern const struct cn_shape cn_snap_peers_shape;
extern const struct cn_shape cn_snap_services_shape;
extern const struct cn_shape cn_snap_store_shape;
extern const struct cn_shape cn_snap_walk_shape;
extern const struct cn_shape cn_snap_warm_shape;
extern const struct cn_shape cn_snap_invite_shape;
extern const struct cn_shape cn_snap_join_shape;

#endif /* CN_CONTROL_SNAPSHOT_H */
