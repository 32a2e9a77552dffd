/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BASE_COUNTER_H
#define CN_BASE_COUNTER_H

/*
 * Counters of a gateway: declared once in the table below with unit and
 * meaning, counted by each worker in a set of its own, summed by the reader.
 * Status, metrics and their documentation come from the same table.
 *
 * A new counter is a new line there, nothing else.  Counters only grow; what
 * goes up and down (streams, memory) is asked of its owner instead.  What
 * has a service or a peer as a label is counted where that is known.
 *
 * Life:   a set is created by its worker and freed after the last reader.
 * Thread: one thread adds to a set; any thread reads it.  A sum is of no
 *         single moment, but never goes back.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/*
 * X(id, name, unit, help).  The name is that of the metric, without prefix
 * and _total; units are "1", "bytes" or "us".
 */
#define CN_COUNTER_TABLE(X)                                                    \
	X(STREAMS_OPENED, "streams_opened", "1",                               \
	    "Streams opened for local connections")                            \
	X(STREAMS_ACCEPTED, "streams_accepted", "1",                           \
	    "Streams opened by peers and accepted")                            \
	X(STREAMS_REFUSED, "streams_refused", "1",                             \
	    "Streams opened by peers and refused")                             \
	X(STREAMS_ENDED, "streams_ended", "1",                                 \
	    "Streams that ended cleanly, both digests matching")               \
	X(STREAMS_RESET, "streams_reset", "1",                                 \
	    "Streams that ended by a reset, for any reason")                   \
	X(LAN_IN, "lan_in", "bytes", "Bytes read from local sockets")          \
	X(LAN_OUT, "lan_out", "bytes", "Bytes written to local sockets")       \
	X(WAN_IN, "wan_in", "bytes", "Bytes read from carriers, TLS included") \
	X(WAN_OUT, "wan_out", "bytes",                                         \
	    "Bytes written to carriers, TLS included")                         \
	X(ACCEPTS, "accepts", "1", "Local connections accepted")               \
	X(ACCEPT_PAUSES, "accept_pauses", "1",                                 \
	    "Times that accepting stopped for want of descriptors or memory")  \
	X(ACCEPT_ERRORS, "accept_errors", "1",                                 \
	    "Local connections that failed while being accepted")              \
	X(DIALS, "dials", "1", "Connections dialled to local targets")         \
	X(DIAL_FAILURES, "dial_failures", "1",                                 \
	    "Local targets that could not be reached")                         \
	X(RESOLVES, "resolves", "1", "Names looked up")                        \
	X(RESOLVE_FAILURES, "resolve_failures", "1",                           \
	    "Names that could not be resolved")                                \
	X(CARRIER_DIALS, "carrier_dials", "1", "Carriers dialled to peers")    \
	X(CARRIER_ACCEPTS, "carrier_accepts", "1",                             \
	    "Connections accepted on the carrier port")                        \
	X(CARRIER_UPS, "carrier_ups", "1",                                     \
	    "Carriers that came up, both hellos accepted")                     \
	X(CARRIER_RESUMES, "carrier_resumes", "1",                             \
	    "Carriers that took over a link's streams from an earlier one")    \
	X(CARRIER_LOSSES, "carrier_losses", "1",                               \
	    "Carriers that were up and died")                                  \
	X(CARRIER_REKEYS, "carrier_rekeys", "1", "TLS key updates begun")      \
	X(HANDSHAKE_FAILURES, "handshake_failures", "1",                       \
	    "TLS handshakes that failed, for any reason")                      \
	X(HANDSHAKE_TIMEOUTS, "handshake_timeouts", "1",                       \
	    "Connections dropped because they did not finish in time")         \
	X(HANDSHAKE_REFUSALS, "handshake_refusals", "1",                       \
	    "Connections dropped unheard by the limits before handshakes")     \
	X(UNKNOWN_PEERS, "unknown_peers", "1",                                 \
	    "Handshakes with an identity that is not pinned")                  \
	X(HELLO_REFUSALS, "hello_refusals", "1",                               \
	    "Hellos refused: version, link, generation or identity")           \
	X(LINKS_OPENED, "links_opened", "1", "Links that were created")        \
	X(LINKS_LOST, "links_lost", "1",                                       \
	    "Links given up: resume window ended or unknown to the peer")      \
	X(PROTOCOL_ERRORS, "protocol_errors", "1",                             \
	    "Carriers closed because the peer broke the protocol")             \
	X(BLOCKS_SENT, "blocks_sent", "1", "Blocks sent")                      \
	X(BLOCKS_RECEIVED, "blocks_received", "1",                             \
	    "Blocks received and verified")                                    \
	X(NACKS_SENT, "nacks_sent", "1",                                       \
	    "Blocks of peers that failed their hash or did not decode")        \
	X(NACKS_RECEIVED, "nacks_received", "1",                               \
	    "Blocks of ours that peers could not use")                         \
	X(MISSES_SENT, "misses_sent", "1",                                     \
	    "Copies of peers whose place was not there")                       \
	X(MISSES_RECEIVED, "misses_received", "1",                             \
	    "Copies of ours whose place was not there")                        \
	X(BYTES_RESENT, "bytes_resent", "bytes",                               \
	    "Plain bytes sent more than once")                                 \
	X(COPIED_OUT, "copied_out", "bytes",                                   \
	    "Plain bytes sent as references to the store")                     \
	X(COPIED_IN, "copied_in", "bytes",                                     \
	    "Plain bytes received as references to the store")                 \
	X(LACKS_SENT, "lacks_sent", "1",                                       \
	    "Places of the store that peers were told are not here")           \
	X(LACKS_RECEIVED, "lacks_received", "1",                               \
	    "Places of the store that peers said are not there")               \
	X(HOSTILE_REFERENCES, "hostile_references", "1",                       \
	    "References of peers to another scope's bytes, or to what never "  \
	    "was")                                                             \
	X(STORE_REFUSED, "store_refused", "bytes",                             \
	    "Bytes that the store had no room for")                            \
	X(STORE_EVICTED, "store_evicted", "1",                                 \
	    "Segments that the store gave up for newer ones")                  \
	X(MEMORY_REFUSALS, "memory_refusals", "1",                             \
	    "Streams refused or reset for want of memory")                     \
	X(HANDOVERS, "handovers", "1",                                         \
	    "Connections and carriers handed to another worker")               \
	X(CONTROL_REQUESTS, "control_requests", "1",                           \
	    "Requests on the control socket")                                  \
	X(CONTROL_ERRORS, "control_errors", "1",                               \
	    "Requests on the control socket that were refused")                \
	X(RELOADS, "reloads", "1", "Configurations taken over")                \
	X(RELOAD_FAILURES, "reload_failures", "1",                             \
	    "Configurations refused, the running one kept")

enum cn_counter {
#define CN_COUNTER_ID(id, name, unit, help) CN_COUNTER_##id,
	CN_COUNTER_TABLE(CN_COUNTER_ID)
#undef CN_COUNTER_ID
	    CN_COUNTER_COUNT,
};

/* What the table says of a counter. */
struct cn_counter_info {
	const char *name;
	const char *unit;
	const char *help;
};

/* Never NULL; static storage. */
const struct cn_counter_info *cn_counter_info(enum cn_counter counter);

/* The counters of one worker; cn_counters_create() gives it whole lines. */
struct cn_counters {
	_Atomic uint64_t value[CN_COUNTER_COUNT];
};

/* A zeroed set on cache lines of its own.  Returns CN_OK or CN_ENOMEM. */
int cn_counters_create(struct cn_counters **ret) CN_MUSTCHECK;
/* Free *cp and clear it; NULL is fine. */
void cn_counters_free(struct cn_counters **cp);

/* Add to a counter; only the thread that owns the set. */
static inline void
cn_counter_add(struct cn_counters *set, enum cn_counter counter, uint64_t n)
{
	/* One writer: no locked instruction is needed. */
	uint64_t old =
	    atomic_load_explicit(&set->value[counter], memory_order_relaxed);

	atomic_store_explicit(
	    &set->value[counter], old + n, memory_order_relaxed);
}

/* Read one counter of one set. */
uint64_t cn_counter_get(const struct cn_counters *set, enum cn_counter counter);

/*
 * Add the values of a set to sums, CN_COUNTER_COUNT of them: call it with
 * zeroed sums for the first set and go on with the others.
 */
void cn_counters_sum(const struct cn_counters *set, uint64_t *sums);

#endif /* CN_BASE_COUNTER_H */
