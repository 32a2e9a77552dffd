/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_DISK_DISK_H
#define CN_DISK_DISK_H

/*
 * The store's jobs on a real file: one file of slots, and a thread or two
 * that carry jobs out.
 *
 * The file is locked, so that two processes never share it.  It grows slot by
 * slot, up to its cap, and is read and written past the page cache where the
 * file system allows that.  No fsync: the store is a cache, and what a crash
 * leaves half-written does not open.
 *
 * Life:       opened before the store, closed after cn_store_close(): close
 *             waits for all jobs; then the store is freed.
 * Thread:     open and close by one; the operations by any.
 */

#include <stdint.h>

#include "base/attr.h"
#include "store/job.h"

struct cn_disk; /* opaque */

/*
 * Open or create `folder'/segments; the folder is made (0700) if its parent
 * is there.  The file is 0600.
 *
 * @threads  1..8
 *
 * Returns CN_OK, CN_EBUSY when another process has it, CN_ENOMEM, or a
 * negated errno.
 */
int cn_disk_open(
    const char *folder, unsigned threads, struct cn_disk **ret) CN_MUSTCHECK;
/* What the store's config wants; valid until close. */
const struct cn_job_ops *cn_disk_ops(struct cn_disk *disk);
/* Wait until every job was carried out. */
void cn_disk_drain(struct cn_disk *disk);
/* Drain, end the threads, close.  Clears *dp; NULL is fine. */
void cn_disk_close(struct cn_disk **dp);

#endif /* CN_DISK_DISK_H */
