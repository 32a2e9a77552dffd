/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_SINK_H
#define CN_GATEWAY_SINK_H

/*
 * Where the bytes of a stream that warms the store end, in place of a target:
 * they are taken at once and thrown away, what was to be kept of them is in
 * the store by then.  Nothing is sent back but the end, once the peer's FIN
 * was verified: by that the peer knows.
 *
 * Life:       none of its own: the session's, which has no socket and handles
 *             the events ENDED and RESET.
 * Thread:     its worker's.
 * Invariants: all that a stream can be read of was consumed after each call.
 * Wire:       doc/protocol.md, WARM in "Streams".
 */

#include <stdint.h>

struct cn_stream;

/* The peer opened it, or an event READABLE.  The link has to be touched after
 * this. */
void cn_sink_take(struct cn_stream *stream, uint64_t now);

#endif /* CN_GATEWAY_SINK_H */
