/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_BUILTIN_H
#define CN_GATEWAY_BUILTIN_H

/*
 * What a gateway offers to every peer by itself, without a target: ends of
 * streams that test the path between the two, and the end of streams that
 * warm the store.
 *
 *   /echo      what comes goes back, and so does the end
 *   /sink      what comes is thrown away; the end comes back once the peer's
 *              was verified
 *   /source/N  N pseudo-random bytes come, then the end; what is sent is
 *              thrown away
 *
 * No offer of a configuration can have such a name.
 *
 * Life:       owned by the session, which has no socket and handles the
 *             events ENDED and RESET.
 * Thread:     its worker's.
 * Invariants: after each call of cn_builtin_step() nothing could be moved
 *             that was not; an echo holds no byte itself: what it cannot send
 *             stays in the stream, inside its credit.
 * Wire:       doc/protocol.md, "Streams".
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "link/link.h"

/* Bytes of a source: as much as a test may need. */
#define CN_BUILTIN_SOURCE_MAX (UINT64_C(1) << 40)

struct cn_builtin; /* opaque */

/* How their streams trade bytes against delay: as the profile `balanced'. */
extern const struct cn_link_profile cn_builtin_profile;

/* Is it a name of this kind, known or not? */
bool cn_builtin_is_name(const char *service);

/*
 * Make the end that a name means.
 *
 * Returns CN_OK, CN_ENOENT (there is none of that name) or CN_ENOMEM.
 */
int cn_builtin_create(
    const char *service, struct cn_builtin **ret) CN_MUSTCHECK;
/* Clears *bp; NULL is fine. */
void cn_builtin_free(struct cn_builtin **bp);

/* The peer opened the stream, or an event READABLE or WRITABLE.  The link has
 * to be touched after this. */
void cn_builtin_step(
    struct cn_builtin *builtin, struct cn_stream *stream, uint64_t now);

#endif /* CN_GATEWAY_BUILTIN_H */
