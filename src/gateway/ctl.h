/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_CTL_H
#define CN_GATEWAY_CTL_H

/*
 * The control socket: lines of JSON from local callers, answered with what
 * the workers report.  Loops are never held up: what concerns workers goes
 * to them as tasks, the reply follows when all have answered.
 *
 * Life:       opened and closed by the daemon.
 * Thread:     the main thread's.
 * Invariants: each caller's replies come in the order of its requests, one
 *             at a time; at most CN_CONTROL_CALLERS_MAX callers.
 * Document:   doc/management.md, "Control socket".
 */

#include "base/attr.h"

struct cn_ctl; /* opaque */
struct cn_daemon;

/*
 * Returns CN_OK, CN_ENOMEM, or why it cannot listen there (logged).
 */
int cn_ctl_open(struct cn_daemon *daemon, const char *path,
    struct cn_ctl **ret) CN_MUSTCHECK;

/* Hang up on all callers; clears *cp, NULL is fine.  The loop must run once
 * more. */
void cn_ctl_close(struct cn_ctl **cp);

#endif /* CN_GATEWAY_CTL_H */
