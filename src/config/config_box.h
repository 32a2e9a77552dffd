/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONFIG_CONFIG_BOX_H
#define CN_CONFIG_CONFIG_BOX_H

/*
 * What a configuration is made of behind its plain structs; for the files of
 * this layer that build one.
 *
 * Life:   created empty by the loader, which fills it; freed by the last
 *         cn_config_unref() of its config.
 * Thread: the loader's until it is handed out; then as config.h says.
 */

#include <stdatomic.h>

#include "base/attr.h"
#include "config/arena.h"
#include "config/config.h"
#include "config/diag.h"

struct cn_config_box {
	struct cn_config config; /* first: its address is the box's */
	struct cn_arena arena;   /* of everything that config points to */
	atomic_uint holders;
};

/* The texts that a configuration comes from; for places in diagnostics. */
struct cn_config_sources {
	const struct cn_config_text *texts; /* borrowed */
	size_t count;
};

/* An empty one with one holder; NULL: out of memory. */
struct cn_config_box *cn_config_box_create(void);

/* A field of a section or entry, by its key's offset. */
void *cn_config_field(const void *section, size_t offset);

/*
 * Add a diagnostic that points at a place; line 0 points at the file.
 */
void cn_config_complain(const struct cn_config_sources *sources,
    struct cn_diag_list *diags, enum cn_diag_severity severity,
    const struct cn_config_place *place, const char *hint, const char *fmt, ...)
    CN_PRINTF(6, 7);

/*
 * Resolve and check what reaches from one entry to another: peers, profiles,
 * levels, listeners.  Errors and warnings go to diags.
 *
 * Returns CN_OK (diags tells whether the configuration is good), CN_ENOMEM.
 */
int cn_config_check(struct cn_config_box *box,
    const struct cn_config_sources *sources,
    struct cn_diag_list *diags) CN_MUSTCHECK;

/* The built-in profiles, sorted by name. */
const struct cn_config_profile *cn_config_builtin(size_t *count);

/*
 * A key's value as in YAML, on one line; nothing is written for a value
 * that is not given and has no default.
 *
 * Returns CN_OK, CN_ENOMEM or CN_ELIMIT.
 */
struct cn_schema_key;
int cn_config_dump_value(const struct cn_schema_key *key, const void *section,
    struct cn_buf *out) CN_MUSTCHECK;

#endif /* CN_CONFIG_CONFIG_BOX_H */
