/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_AMEND_H
#define CN_GATEWAY_AMEND_H

/*
 * Changes of conf.d/managed.yaml by the gateway itself: what a pairing adds,
 * what `peers remove' takes out.  Each is made on the file as it is on the
 * disk, checked together with all other files, written, and obeyed; or
 * nothing happens.
 *
 * Thread: the main thread's; blocks on the file system.
 */

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "config/diag.h"
#include "config/managed.h"
#include "config/managed_file.h"

struct cn_daemon;

/* The file as it is on the disk. */
struct cn_amend_file {
	char path[CN_MANAGED_FILE_PATH_MAX];
	struct cn_buf text; /* owned */
	char etag[CN_MANAGED_FILE_ETAG_MAX];
};

/*
 * Read it; there need be none.
 *
 * @ret  to be freed by cn_amend_file_fini() in any case
 *
 * Returns CN_OK, or as cn_managed_file_read().
 */
int cn_amend_file_read(
    struct cn_daemon *daemon, struct cn_amend_file *ret) CN_MUSTCHECK;
void cn_amend_file_fini(struct cn_amend_file *file);

/* What a pairing adds; all borrowed. */
struct cn_amend {
	struct cn_managed_peer peer;
	const struct cn_managed_service *services;
	size_t services_count;
	const struct cn_managed_offer *offers;
	size_t offers_count;
};

/*
 * Would cn_amend_add() do it?  And do it.
 *
 * Returns as cn_reload_managed(): CN_ECONFIG with the reasons in diags.
 */
int cn_amend_try(struct cn_daemon *daemon, const struct cn_amend *amend,
    struct cn_diag_list *diags) CN_MUSTCHECK;
int cn_amend_add(struct cn_daemon *daemon, const struct cn_amend *amend,
    struct cn_diag_list *diags) CN_MUSTCHECK;

/*
 * Take a peer out, with what points to it.
 *
 * Returns as cn_reload_managed(); CN_ENOENT: it is not in that file.
 */
int cn_amend_remove(struct cn_daemon *daemon, const char *peer,
    struct cn_diag_list *diags, struct cn_buf *changes) CN_MUSTCHECK;

/* The first error as one line, "file:line:column: text". */
void cn_amend_words(
    const struct cn_diag_list *diags, int err, char *out, size_t cap);

#endif /* CN_GATEWAY_AMEND_H */
