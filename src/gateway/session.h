/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_SESSION_H
#define CN_GATEWAY_SESSION_H

/*
 * A stream together with its local socket: from the accepted connection or
 * the peer's OPEN to the line in the log.
 *
 *   of a service:  accepted -> stream opened -> PUMP -> OVER -> freed
 *   of an offer:   OPEN came -> DIAL -> PUMP -> OVER -> freed
 *   handed over:   as of a service, to warm or to probe
 *   builtin:       as of an offer, but OPEN came -> BUILTIN -> freed
 *
 * Life:       frees itself when its pump has closed the socket, or when its
 *             dial failed.
 * Thread:     its worker's.
 * Invariants: the stream's handle is the session's in DIAL and BUILTIN, the
 *             pump's in PUMP, and gone in OVER; the stream's owner is the
 *             session.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "gateway/linkhost.h"
#include "gateway/tally.h"
#include "link/link.h"
#include "net/dialer.h"
#include "net/pump.h"

/* Streams that a peer may open on one link in a second, and at once. */
#define CN_SESSION_OPENS_MAX 20000u

struct cn_session {
	struct cn_list item; /* in the host's sessions or worker's orphans */
	uint64_t id;         /* of the process */
	struct cn_worker *worker;
	struct cn_linkhost *host; /* NULL once the stream is over */
	struct cn_stream *stream; /* NULL once it is over */
	struct cn_pump *pump;
	struct cn_dialer *dial;
	struct cn_tally *tally; /* counted */
	char *client;           /* owned; text */
	uint64_t born_us;
	uint64_t touched_us;          /* when bytes last moved, about */
	bool is_ours;                 /* opened by a service here */
	bool was_through;             /* both ends were connected */
	bool is_warm;                 /* for the store alone */
	struct cn_builtin *builtin;   /* owned; in place of a target; or NULL */
	struct cn_handover *handover; /* who is to hear of its end; or NULL */
	/* Of the whole stream, once it is over. */
	uint64_t lan_sent, wan_sent, lan_received, wan_received;
	uint64_t copied_sent;     /* of lan_sent: the peer had it */
	uint64_t copied_received; /* of lan_received: we had it */
};

/*
 * A local connection of a service becomes a stream to its peer.
 *
 * @fd  owned by the session in any case: reset if it cannot be served
 */
void cn_session_open(struct cn_linkhost *host,
    const struct cn_plan_service *service, int fd, const char *client);

/*
 * The same for a connection that was handed over to warm the peer's store.
 *
 * @fd    owned by the session in any case
 * @handover  its client is looked at; on success its stream is set, and
 *            cn_handover_ended() follows
 *
 * Returns as cn_stream_open(), or the loop's error.
 */
int cn_session_warm(struct cn_linkhost *host,
    const struct cn_plan_service *service, int fd,
    struct cn_handover *handover) CN_MUSTCHECK;

/* The same for one that goes to an end that the peer has by itself. */
int cn_session_probe(struct cn_linkhost *host, int fd,
    struct cn_handover *handover) CN_MUSTCHECK;

/* An event of a stream of that link. */
void cn_session_event(
    struct cn_linkhost *host, const struct cn_link_event *event);

/* End it for a reason, as by hand. */
void cn_session_kill(struct cn_session *session, enum cn_reset reason);

/* The link goes: what still holds streams of it lets go. */
void cn_session_forget(struct cn_linkhost *host);
/* The worker goes: free all that lingers. */
void cn_session_reap(struct cn_worker *worker);

#endif /* CN_GATEWAY_SESSION_H */
