/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_NET_PUMP_H
#define CN_NET_PUMP_H

/*
 * Moves bytes between a connected local socket and a stream of the engine.
 *
 *   socket --readv--> cn_stream_fill_spans     (into the send ring itself)
 *   socket <-sendmsg- cn_stream_read_spans     (from verified pages)
 *
 * It owns no buffer.  Back-pressure is the absence of reading: without room
 * in the stream the socket is not read, only watched for a reset; without
 * room in the socket the stream is not consumed.
 *
 *   socket says           the stream is told
 *   bytes                 cn_stream_fill
 *   end of file           cn_stream_finish
 *   reset, any error      cn_stream_reset(BY_APPLICATION), socket reset
 *
 *   stream says           the socket is told
 *   bytes                 sendmsg, then cn_stream_consume
 *   verified end          shutdown(SHUT_WR), then cn_stream_shut
 *   ENDED                 once the kernel has sent everything: linger off,
 *                         close; cn_stream_release at once
 *   RESET                 close with a reset, cn_stream_release
 *
 *   OPEN -> LINGERING (ended, the kernel still sends) -> CLOSING -> freed
 *     \------------------------------------------------^
 *
 * Life:       from cn_pump_create() until on_closed has run, or
 *             cn_pump_free(); memory goes back in the loop's reap.
 * Thread:     its loop's.
 * Invariants: the socket is shut for writing only after
 *             cn_stream_at_end() was true; it is disarmed only after ENDED;
 *             the stream is touched only in OPEN; on_closed runs at most
 *             once, never inside a call of ours.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/attr.h"
#include "link/link.h"

/* Bytes asked of the socket in one readv, when the stream has the room. */
#define CN_PUMP_READ_MAX (256u * 1024u)
/* Bytes moved in one direction in one wake-up: others get their turn. */
#define CN_PUMP_WAKE_MAX (1024u * 1024u)
/* Spans in one readv or sendmsg. */
#define CN_PUMP_SPANS_MAX 8u
/* An ended socket that takes no byte for so long is left to the kernel. */
#define CN_PUMP_LINGER_US (300u * UINT64_C(1000000))

struct cn_pump; /* opaque */

/* How it ended. */
struct cn_pump_end {
	bool is_clean;        /* ENDED, and all was sent */
	enum cn_reset reason; /* else why */
	int err;              /* errno of the socket, negated; CN_OK if the
			       * socket was not at fault */
};

/* What the owner is told. */
struct cn_pump_ops {
	/*
	 * The engine was called: events may wait and bytes may be pulled.
	 * May run inside any call and often; it only marks the link so that
	 * the loop runs its turn, and calls neither engine nor pump.
	 */
	void (*on_touched)(void *owner);
	/*
	 * The stream is about to be given back: a last look at what it did.
	 * May be NULL.
	 */
	void (*on_release)(void *owner, const struct cn_stream *stream);
	/*
	 * Last call: the socket is closed, the stream released, the handle
	 * dead.  From the loop.
	 */
	void (*on_closed)(
	    void *owner, struct cn_pump *pump, const struct cn_pump_end *end);
};

/*
 * Begin to pump.  What the socket holds already is read at once, so that it
 * travels with OPEN; what the stream holds is written.
 *
 * @fd      connected, non-blocking, armed (net/sockopt.h), within the budget
 *          (net/fdbudget.h); owned by the pump on success only
 * @stream  its handle passes to the pump on success only; the owner calls
 *          it no more, but for reading names and stats until on_closed or
 *          an event ENDED or RESET
 * @ops     borrowed; outlives the pump
 * @owner   given back to each callback, never read
 *
 * Sets the stream's owner to the pump, so that events find their way:
 * cn_pump_event(cn_stream_owner(event.stream), &event).
 *
 * Returns CN_OK, CN_ENOMEM or a negated errno from the loop.  on_touched may
 * run inside.
 */
int cn_pump_create(uv_loop_t *loop, int fd, struct cn_stream *stream,
    const struct cn_pump_ops *ops, void *owner,
    struct cn_pump **ret) CN_MUSTCHECK;

/* An event READABLE, WRITABLE, ENDED or RESET of its stream.  After the last
 * two the stream is gone. */
void cn_pump_event(struct cn_pump *pump, const struct cn_link_event *event);

/* End both sides badly, the stream with that reason; on_closed follows. */
void cn_pump_kill(struct cn_pump *pump, enum cn_reset reason);

/*
 * End *pp at once and silently: the stream and the socket are reset, no
 * callback follows; clears it, NULL is fine.  The loop must run once more
 * to reap it.
 */
void cn_pump_free(struct cn_pump **pp);

/* The stream, or NULL once it was released. */
struct cn_stream *cn_pump_stream(const struct cn_pump *pump);
void *cn_pump_owner(const struct cn_pump *pump);

#endif /* CN_NET_PUMP_H */
