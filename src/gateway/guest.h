/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_GUEST_H
#define CN_GATEWAY_GUEST_H

/*
 * A connection on the carriers' port, from accept to the hello that tells
 * which link it belongs to; then its carrier goes to that link, in this
 * worker or in another.
 *
 * Life:   frees itself; cn_guest_reap() ends those that are left.
 * Thread: the accepting worker's.
 */

#include "gateway/worker.h"
#include "net/listener.h"

/* Take an accepted connection; its descriptor is owned in any case. */
void cn_guest_accept(
    struct cn_worker *worker, const struct cn_listener_accepted *accepted);

/* Close all that have not got in yet. */
void cn_guest_reap(struct cn_worker *worker);

#endif /* CN_GATEWAY_GUEST_H */
