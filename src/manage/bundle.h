/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_BUNDLE_H
#define CN_MANAGE_BUNDLE_H

/*
 * A folder of texts that becomes one compressed archive, with a manifest
 * that says of each what became of it.  All texts lose their secrets on the
 * way in (manage/redact.h).
 *
 * Life:   cn_bundle_open(), any number of texts, cn_bundle_close().
 * Thread: main.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"

/* One text, and the manifest; what is longer is refused. */
#define CN_BUNDLE_TEXT_MAX (16u * 1024u * 1024u)
#define CN_BUNDLE_MANIFEST_MAX (64u * 1024u)

struct cn_bundle {
	char folder[64];        /* temporary; "" when closed */
	struct cn_buf manifest; /* owned */
};

/* Returns CN_OK or why there is no temporary folder. */
int cn_bundle_open(struct cn_bundle *bundle) CN_MUSTCHECK;

/* A text under a plain name; what fails is told in the manifest. */
void cn_bundle_text(
    struct cn_bundle *bundle, const char *name, const void *text, size_t len);
/* @json  changed: its secrets are taken out */
void cn_bundle_json(struct cn_bundle *bundle, const char *name, json_t *json);
/* What could not be had. */
void cn_bundle_lacks(
    struct cn_bundle *bundle, const char *name, const char *why);

/*
 * Write the archive, readable by its owner alone.
 *
 * @is_forced  replace the file that is there
 *
 * Returns CN_OK; CN_EEXIST; CN_EIO when tar failed; or the system's error.
 */
int cn_bundle_write(
    struct cn_bundle *bundle, const char *path, bool is_forced) CN_MUSTCHECK;

/* Remove the folder. */
void cn_bundle_close(struct cn_bundle *bundle);

#endif /* CN_MANAGE_BUNDLE_H */
