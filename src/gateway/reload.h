/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_RELOAD_H
#define CN_GATEWAY_RELOAD_H

/*
 * Another configuration for a running gateway: read again from the files, or
 * with a new conf.d/managed.yaml.  It is taken over whole, or nothing
 * changes, neither in memory nor on the disk.
 *
 * Thread: the main thread's; blocks on the file system.
 */

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "config/config.h"
#include "config/diag.h"

struct cn_daemon;

/*
 * Read the files again and take them over.
 *
 * @diags    initialised; receives what is wrong
 * @changes  receives one line for each change; may be NULL
 *
 * Returns CN_OK; CN_ECONFIG or CN_ENOMEM: nothing has changed; CN_EBUSY:
 * the gateway goes down.
 */
int cn_reload_files(struct cn_daemon *daemon, struct cn_diag_list *diags,
    struct cn_buf *changes) CN_MUSTCHECK;

/*
 * Write conf.d/managed.yaml anew, and take it over with the other files as
 * they are.
 *
 * Returns as cn_reload_files(); CN_ECONFIG also when the file cannot be
 * written (it is in diags).
 */
int cn_reload_managed(struct cn_daemon *daemon, const void *yaml, size_t len,
    struct cn_diag_list *diags, struct cn_buf *changes) CN_MUSTCHECK;

/*
 * Would cn_reload_managed() do it?  Listening sockets are opened for a
 * moment, and the folder is written to, to see that it can be.
 */
int cn_reload_try(struct cn_daemon *daemon, const void *yaml, size_t len,
    struct cn_diag_list *diags) CN_MUSTCHECK;

/*
 * How the files differ from what is in force: one line for each change.
 *
 * Returns CN_OK, CN_ECONFIG (see diags), CN_ENOMEM, CN_ELIMIT.
 */
int cn_reload_diff(struct cn_daemon *daemon, struct cn_diag_list *diags,
    struct cn_buf *changes) CN_MUSTCHECK;

/* Each diagnostic as a line of the log. */
void cn_reload_log_diags(const struct cn_diag_list *diags);

#endif /* CN_GATEWAY_RELOAD_H */
