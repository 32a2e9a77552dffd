/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_RULES_H
#define CN_GATEWAY_RULES_H

/*
 * Which service or offer would carry what is meant for an address, and why
 * not the others.  Names are compared, never resolved: the answer is about
 * the configuration, and must not wait.
 *
 * Thread: the main thread's.
 */

#include "base/attr.h"
#include "control/snapshot.h"

struct cn_daemon;

/*
 * @target  HOST:PORT
 * @ret     the caller clears it, on failure too
 * @what    with CN_EINVAL: what is wrong with the target, static
 *
 * Returns CN_OK, CN_EINVAL or CN_ENOMEM.
 */
int cn_rules_test(struct cn_daemon *daemon, const char *target,
    struct cn_snap_test *ret, const char **what) CN_MUSTCHECK;

#endif /* CN_GATEWAY_RULES_H */
