/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_REASONS_H
#define CN_GATEWAY_REASONS_H

/*
 * Why a stream's or a service's bytes are no less: what was counted, with
 * what the configuration and the store have to do with it.
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
 * Fill a snapshot; the caller clears it, on failure too.
 *
 * Returns CN_OK; CN_ENOENT: no such stream (by cn_report_stream_why()), or
 * service or offer; CN_ENOMEM.
 */
int cn_reasons_stream(struct cn_daemon *daemon, const struct cn_report *reports,
    size_t count, struct cn_snap_why *ret) CN_MUSTCHECK;
/* Of a service, or of an offer where no service has that name. */
int cn_reasons_service(struct cn_daemon *daemon,
    const struct cn_report *reports, size_t count, const char *name,
    struct cn_snap_why *ret) CN_MUSTCHECK;

#endif /* CN_GATEWAY_REASONS_H */
