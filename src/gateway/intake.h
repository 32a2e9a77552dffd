/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_INTAKE_H
#define CN_GATEWAY_INTAKE_H

/*
 * What comes in at a worker: it watches every listening socket of the plan,
 * sends carriers to the door, and local connections to a worker that owns a
 * link to the service's peer, unread.  Where the peer is down they are reset
 * or wait, as the service says.
 *
 * Life:   part of its worker.
 * Thread: its worker's.
 */

#include "gateway/worker.h"

/* Clients that may wait for peers at one worker. */
#define CN_INTAKE_WAITING_MAX 4096u

/* Watch what the worker's plan says, and only that. */
void cn_intake_plan(struct cn_worker *worker);
/* Stop accepting local connections; carriers may still come. */
void cn_intake_drain(struct cn_worker *worker);
/* Stop everything; who waits is reset. */
void cn_intake_stop(struct cn_worker *worker);
/* Look after those who wait: once a second, and when a link came up. */
void cn_intake_retry(struct cn_worker *worker);

#endif /* CN_GATEWAY_INTAKE_H */
