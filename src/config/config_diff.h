/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONFIG_CONFIG_DIFF_H
#define CN_CONFIG_CONFIG_DIFF_H

/*
 * What differs between two configurations, and which of it a running
 * gateway can take over.
 *
 * Life:   filled by cn_config_diff(), freed by cn_config_diff_fini().
 * Thread: any; reads two immutable configurations.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "config/config.h"
#include "config/schema.h"

enum cn_config_change_kind {
	CN_CONFIG_ADDED,   /* an entry: peer, service, offer, profile */
	CN_CONFIG_REMOVED, /* likewise */
	CN_CONFIG_CHANGED, /* one key */
};

struct cn_config_change {
	enum cn_config_change_kind kind;
	enum cn_schema_reload reload;
	char *path;   /* owned; "services.orders-db.listen" */
	char *before; /* owned; as in YAML; "" for an added entry */
	char *after;  /* owned; "" for a removed entry */
};

struct cn_config_diff {
	struct cn_config_change *item; /* owned */
	size_t count;
	size_t restarts; /* of them: not before a restart */
};

/*
 * Compare.
 *
 * @ret  filled on success, to be freed by cn_config_diff_fini()
 *
 * Returns CN_OK or CN_ENOMEM.
 */
int cn_config_diff(const struct cn_config *before,
    const struct cn_config *after, struct cn_config_diff *ret) CN_MUSTCHECK;

void cn_config_diff_fini(struct cn_config_diff *diff);

/* One line for each change: "~ log.level: info -> debug (at once)". */
int cn_config_diff_render(
    const struct cn_config_diff *diff, struct cn_buf *out) CN_MUSTCHECK;

#endif /* CN_CONFIG_CONFIG_DIFF_H */
