/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONFIG_CONFIG_LOADER_H
#define CN_CONFIG_CONFIG_LOADER_H

/*
 * What the files that load a configuration share.
 *
 * Life:   on the stack of cn_config_parse().
 * Thread: the caller's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/arena.h"
#include "config/config.h"
#include "config/config_box.h"
#include "config/schema.h"
#include "config/yaml.h"

/* Bytes of a key's path in messages, and of a hint that is put together. */
#define CN_CONFIG_WHERE_MAX 160u
#define CN_CONFIG_HINT_MAX 256u

/* What is being loaded: a section or an entry, from one file. */
struct cn_config_target {
	const struct cn_schema_section *section;
	struct cn_config_entry *entry; /* first member of its struct */
	uint32_t file;
	char where[CN_CONFIG_WHERE_MAX]; /* "peers.tokyo", "gateway", "" */
};

struct cn_config_loader {
	struct cn_config_sources sources;
	struct cn_diag_list *diags;
	struct cn_config_box *box;
	struct cn_arena trees;
	struct cn_config_found *found; /* borrowed; of config_load.c */
	bool is_broken;                /* a file could not be parsed at all */
};

/* Where a node stands. */
struct cn_config_place cn_config_place_of(
    uint32_t file, const struct cn_yaml_node *node);

/* An error that points at a node. */
#define CN_CONFIG_COMPLAIN(loader, file, node, hint, ...)                      \
	do {                                                                   \
		struct cn_config_place place_ =                                \
		    cn_config_place_of(file, node);                            \
		cn_config_complain(&(loader)->sources, (loader)->diags,        \
		    CN_DIAG_ERROR, &place_, hint, __VA_ARGS__);                \
	} while (0)

/* "peers.tokyo.identity" */
void cn_config_path_text(const struct cn_config_target *target, const char *key,
    char out[CN_CONFIG_WHERE_MAX]);

/* "a list", "nothing", ... */
const char *cn_config_kind_text(enum cn_yaml_kind kind);

/* "a" or "an" */
const char *cn_config_article(const char *noun);

/*
 * Load the value of a key that is no section into the target's field.
 *
 * @node  a scalar, or a list where the key takes one
 *
 * Returns CN_OK, CN_ECONFIG (the reason is in diags), CN_ENOMEM.
 */
int cn_config_load_value(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_schema_key *key,
    const struct cn_yaml_node *node) CN_MUSTCHECK;

/*
 * Read a file and its conf.d.
 *
 * @managed  stands in for the file of its name, and is copied; or NULL
 * @texts    filled in; each name and text is of the arena
 *
 * Returns CN_OK, CN_ECONFIG (the reason is in diags), CN_ENOMEM.
 */
int cn_config_read_files(const char *path, const struct cn_config_text *managed,
    struct cn_arena *arena, struct cn_diag_list *diags,
    struct cn_config_text *texts, size_t *count) CN_MUSTCHECK;

#endif /* CN_CONFIG_CONFIG_LOADER_H */
