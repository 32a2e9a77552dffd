/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_METRICS_H
#define CN_MANAGE_METRICS_H

/*
 * The gateway's status as text for Prometheus (format 0.0.4).
 *
 * Labels are services, offers, peers and directions alone, which the
 * configuration bounds: the text does not grow with clients or streams.
 * Counters keep the names, units and words of base/counter.h, which come
 * with the status.
 *
 * Thread: any.
 */

#include "base/attr.h"
#include "base/buf.h"
#include "control/snapshot.h"
#include "manage/asker.h"
#include "manage/httpd.h"

#define CN_METRICS_MAX (16u * 1024u * 1024u)

/* What serve itself counts. */
struct cn_metrics_serve {
	struct cn_httpd_counts counts;
	uint64_t failures;
	uint64_t asked;
};

/* A gateway that does not answer gives compressnet_up 0 and serve's own. */
int cn_metrics_make(struct cn_asker *asker,
    const struct cn_metrics_serve *serve, struct cn_buf *out) CN_MUSTCHECK;

/* @status  NULL: no gateway answers */
int cn_metrics_write(const struct cn_snap_status *status,
    const struct cn_metrics_serve *serve, struct cn_buf *out) CN_MUSTCHECK;

/* Every family with its type and help, as a table of Markdown. */
int cn_metrics_reference(struct cn_buf *out) CN_MUSTCHECK;

#endif /* CN_MANAGE_METRICS_H */
