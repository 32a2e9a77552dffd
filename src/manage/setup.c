/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/setup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "ident/identity.h"

enum cn_exit
cn_setup_paths(struct cn_paths *paths)
{
	int err = cn_paths_init(paths, CN_PATHS_AUTO);

	if (err == CN_OK) {
		return CN_EXIT_OK;
	}
	cn_cli_error("no default folders for this user: %s", cn_err_text(err));
	cn_cli_hint("set HOME, or name the file by an option");
	return CN_EXIT_FAILED;
}

/* Where a key of an entry stands in the files. */
static struct cn_diag_place
place_of(const struct cn_config *config, const struct cn_config_place *where)
{
	struct cn_diag_place place = { .file = "", .width = 1 };

	if (where->line > 0 && where->file < config->files_count) {
		place.file = config->files[where->file];
		place.order = where->file;
		place.line = where->line;
		place.column = where->column;
	}
	return place;
}

static bool
check_identity(const struct cn_config *config,
    const struct cn_config_peer *peer, struct cn_diag_list *diags)
{
	uint8_t identity[CN_IDENTITY_BYTES];
	char why[CN_IDENT_WHY_MAX] = "";

	if (peer->identity == NULL ||
	    cn_identity_parse(peer->identity, identity, why, sizeof(why)) ==
		CN_OK) {
		return true;
	}
	struct cn_diag_place place = place_of(config, &peer->entry.place);
	cn_diag_add(diags, CN_DIAG_ERROR, &place,
	    "`compressnet key show' prints it on that host",
	    "peers.%s.identity: %s", peer->entry.name, why);
	return false;
}

int
cn_setup_load(
    const char *file, struct cn_diag_list *diags, struct cn_config **ret)
{
	struct cn_config *config = NULL;
	int err = cn_config_load(file, diags, &config);

	if (err < 0) {
		return err;
	}
	for (size_t i = 0; i < config->peers_count; i++) {
		if (!check_identity(config, &config->peers[i], diags)) {
			err = CN_ECONFIG;
		}
	}
	if (err < 0) {
		cn_config_unref(&config);
		return err;
	}
	*ret = config;
	return CN_OK;
}

static enum cn_exit
copy_path(char *path, size_t size, const char *from)
{
	if (strlen(from) >= size) {
		cn_cli_error("the path of the key is too long");
		return CN_EXIT_FAILED;
	}
	memcpy(path, from, strlen(from) + 1);
	return CN_EXIT_OK;
}

enum cn_exit
cn_setup_key_path(const struct cn_args *args, char *path, size_t size)
{
	const char *file = args->option[CN_OPTION_CONFIG];
	struct cn_config *config = NULL;
	struct cn_diag_list diags;
	struct cn_paths paths;
	enum cn_exit code;

	if (args->option[CN_OPTION_KEY] != NULL) {
		return copy_path(path, size, args->option[CN_OPTION_KEY]);
	}
	code = cn_setup_paths(&paths);
	if (code != CN_EXIT_OK) {
		return code;
	}
	if (file == NULL) {
		if (access(paths.config, F_OK) != 0) {
			return copy_path(path, size, paths.key);
		}
		file = paths.config;
	}
	/*
	 * Peers' identities may well be missing yet: all that matters here is
	 * gateway.key, and a file with errors may still name another place.
	 */
	cn_diag_init(&diags);
	int err = cn_config_load(file, &diags, &config);
	cn_diag_fini(&diags);
	if (err < 0) {
		cn_cli_error("%s: %s", file, cn_err_text(err));
		cn_cli_hint("`compressnet config check %s' tells more; --key "
			    "FILE does without it",
		    file);
		return err == CN_ECONFIG ? CN_EXIT_CONFIG : CN_EXIT_FAILED;
	}
	code = copy_path(path, size,
	    config->gateway.key != NULL ? config->gateway.key : paths.key);
	cn_config_unref(&config);
	return code;
}

int
cn_setup_make_folder(const char *path)
{
	char part[CN_PATHS_MAX];
	size_t len = strlen(path);

	if (len >= sizeof(part)) {
		return CN_ENAMETOOLONG;
	}
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0') {
			continue;
		}
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0700) != 0 && errno != EEXIST) {
			return cn_err_from_errno(errno);
		}
	}
	return CN_OK;
}
