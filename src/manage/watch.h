/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_WATCH_H
#define CN_MANAGE_WATCH_H

/*
 * Server-sent events: the status each second and what happens, asked for
 * once and sent to all who look.
 *
 *   event: status   data: as of GET /api/v1/status
 *   event: events   data: as of GET /api/v1/events, new ones alone
 *   event: problem  data: why there is no status
 *
 * A viewer who reads too slowly misses statuses, never half of one; one who
 * reads nothing for 15 seconds is let go.
 *
 * Life:   cn_watch_create(), cn_watch_start(), cn_watch_stop(),
 *         cn_watch_free().  Without viewers nothing is asked.
 * Thread: one of its own has the viewers' connections; add from any.
 */

#include "base/attr.h"
#include "manage/asker.h"
#include "manage/httpconn.h"

#define CN_WATCH_VIEWERS_MAX 16u

struct cn_watch; /* opaque */

/* @asker  borrowed */
int cn_watch_create(struct cn_asker *asker, struct cn_watch **ret) CN_MUSTCHECK;
int cn_watch_start(struct cn_watch *watch) CN_MUSTCHECK;
void cn_watch_stop(struct cn_watch *watch);
void cn_watch_free(struct cn_watch **wp);

/*
 * One more viewer, whose head is answered already.
 *
 * Returns CN_OK: the connection is the watch's now; CN_ELIMIT: there are too
 * many.
 */
int cn_watch_add(
    struct cn_watch *watch, struct cn_http_conn *conn) CN_MUSTCHECK;
/* Is there room for one more?  Only a hint. */
bool cn_watch_has_room(struct cn_watch *watch);

#endif /* CN_MANAGE_WATCH_H */
