/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_SERVE_H
#define CN_MANAGE_SERVE_H

/*
 * `compressnet serve' from its configuration to its end.
 *
 * Life:   cn_serve_plan() reads what it shall be; cn_serve_run() is it, until
 *         SIGTERM or SIGINT.  SIGHUP reads tokens, certificate and names
 *         again.
 * Thread: main; it starts the others.
 */

#include "config/config.h"
#include "config/paths.h"
#include "manage/cli.h"

#define CN_SERVE_LISTEN_MAX 16u
#define CN_SERVE_LISTEN_DEFAULT "127.0.0.1:2"

/* What serve shall be. */
struct cn_serve_plan {
	struct cn_config *config; /* owned; NULL: all defaults */
	struct cn_paths paths;
	struct cn_config_address listen[CN_SERVE_LISTEN_MAX]; /* borrowed */
	size_t listens;
	char host[64]; /* of an address from the command line */
	bool is_tls;
	char certificate[CN_PATHS_MAX + 32], key[CN_PATHS_MAX + 32];
	char token_file[CN_PATHS_MAX + 32], read_token_file[CN_PATHS_MAX + 32];
	char code_folder[CN_PATHS_MAX + 32];
	bool has_own_certificate;
	char socket[256];    /* of the gateway */
	uint64_t timeout_us; /* for its answers */
};

/* On failure the words are on stderr. */
enum cn_exit cn_serve_plan(
    const struct cn_args *args, struct cn_serve_plan *plan);
void cn_serve_plan_fini(struct cn_serve_plan *plan);

enum cn_exit cn_serve_run(
    const struct cn_args *args, struct cn_serve_plan *plan);

#endif /* CN_MANAGE_SERVE_H */
