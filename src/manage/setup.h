/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_SETUP_H
#define CN_MANAGE_SETUP_H

/*
 * This host's files as the commands that work without a gateway see them.
 *
 * Thread: main.
 */

#include "config/config.h"
#include "config/paths.h"
#include "manage/cli.h"

/* The default places; on failure the words are on stderr. */
enum cn_exit cn_setup_paths(struct cn_paths *paths);

/*
 * Load a configuration as the gateway would, and check what only its start
 * would find: that the identities of peers read as such.
 *
 * Returns as cn_config_load().
 */
int cn_setup_load(const char *file, struct cn_diag_list *diags,
    struct cn_config **ret) CN_MUSTCHECK;

/*
 * The key file that the options mean: --key, else the key of --config, else
 * the key of the default configuration if there is one, else the default.
 *
 * @path  size bytes
 */
enum cn_exit cn_setup_key_path(
    const struct cn_args *args, char *path, size_t size);

/* Make a folder and those above it, mode 0700 where they are missing. */
int cn_setup_make_folder(const char *path) CN_MUSTCHECK;

#endif /* CN_MANAGE_SETUP_H */
