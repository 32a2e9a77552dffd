/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_PICTURE_H
#define CN_GATEWAY_PICTURE_H

/*
 * The whole gateway in snapshots, put together from the reports of its
 * workers.
 *
 * Thread: the main thread's.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "control/snapshot.h"
#include "gateway/report.h"

struct cn_daemon;

/*
 * Fill snapshots; the caller clears them (cn_snap_*_clear), on failure too.
 *
 * @reports  one for each worker; lists are taken out of them
 *
 * All return CN_OK or CN_ENOMEM.
 */
int cn_picture_status(struct cn_daemon *daemon, struct cn_report *reports,
    size_t count, struct cn_snap_status *ret) CN_MUSTCHECK;
int cn_picture_peers(struct cn_daemon *daemon, struct cn_report *reports,
    size_t count, struct cn_snap_peers *ret) CN_MUSTCHECK;
int cn_picture_services(struct cn_daemon *daemon,
    const struct cn_report *reports, size_t count,
    struct cn_snap_services *ret) CN_MUSTCHECK;
int cn_picture_store(struct cn_daemon *daemon, const struct cn_report *reports,
    size_t count, struct cn_snap_store *ret) CN_MUSTCHECK;

/* What a service's or offer's streams moved, the ended and the live. */
void cn_picture_sum(const struct cn_tally *tally,
    const struct cn_report *reports, size_t count, struct cn_snap_bytes *sent,
    struct cn_snap_bytes *received);
/* The name of a scope. */
const char *cn_picture_scope(enum cn_config_scope scope);

/* @next  cursor of the following page; 0: this is the last */
int cn_picture_streams(struct cn_daemon *daemon,
    const struct cn_report *reports, size_t count, size_t limit,
    struct cn_snap_streams *ret, uint64_t *next) CN_MUSTCHECK;

#endif /* CN_GATEWAY_PICTURE_H */
