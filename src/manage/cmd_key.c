/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "config/paths.h"
#include "ident/key.h"
#include "manage/ask.h"
#include "manage/setup.h"

static enum cn_exit
print_identity(
    const struct cn_args *args, const struct cn_key *key, const char *path)
{
	char text[CN_IDENTITY_TEXT_MAX];

	cn_identity_format(cn_key_identity(key), text);
	if (args->option[CN_OPTION_JSON] == NULL) {
		printf("%s\n", text);
		return CN_EXIT_OK;
	}
	json_t *json = json_pack("{s:s, s:s}", "identity", text, "file", path);
	if (json == NULL) {
		cn_cli_error("the path is no UTF-8, or memory ran out");
		return CN_EXIT_FAILED;
	}
	enum cn_exit code = cn_ask_print(json, false);
	json_decref(json);
	return code;
}

/* Make the folder that the file is to stand in. */
static int
make_room(const char *path)
{
	char folder[CN_PATHS_MAX];
	const char *slash = strrchr(path, '/');

	if (slash == NULL || slash == path) {
		return CN_OK;
	}
	if ((size_t)(slash - path) >= sizeof(folder)) {
		return CN_ENAMETOOLONG;
	}
	memcpy(folder, path, (size_t)(slash - path));
	folder[slash - path] = '\0';
	return cn_setup_make_folder(folder);
}

static enum cn_exit
save(const struct cn_args *args, const struct cn_key *key, const char *path)
{
	char why[CN_IDENT_WHY_MAX] = "";
	int err = make_room(path);

	if (err < 0) {
		cn_cli_error(
		    "cannot make the folder of %s: %s", path, cn_err_text(err));
		return CN_EXIT_FAILED;
	}
	err = cn_key_save(
	    key, path, args->option[CN_OPTION_FORCE] != NULL, why, sizeof(why));
	if (err == CN_EEXIST) {
		cn_cli_error("%s: there is a key already", path);
		cn_cli_hint("`compressnet key show' prints its identity; "
			    "--force makes a new one, and then no peer knows "
			    "this gateway until it is told");
		return CN_EXIT_FAILED;
	}
	if (err < 0) {
		cn_cli_error(
		    "%s: %s", path, why[0] != '\0' ? why : cn_err_text(err));
		return CN_EXIT_FAILED;
	}
	return CN_EXIT_OK;
}

enum cn_exit
cn_cmd_key_gen(const struct cn_args *args)
{
	char path[CN_PATHS_MAX];
	struct cn_key *key = NULL;
	enum cn_exit code = cn_setup_key_path(args, path, sizeof(path));

	if (code != CN_EXIT_OK) {
		return code;
	}
	int err = cn_key_generate(&key);
	if (err < 0) {
		cn_cli_error("cannot make a key: %s", cn_err_text(err));
		return CN_EXIT_FAILED;
	}
	code = save(args, key, path);
	if (code == CN_EXIT_OK) {
		(void)fprintf(stderr,
		    "wrote %s\nthis gateway's identity, for its peers:\n",
		    path);
		code = print_identity(args, key, path);
	}
	cn_key_free(&key);
	return code;
}

enum cn_exit
cn_cmd_key_show(const struct cn_args *args)
{
	char path[CN_PATHS_MAX], why[CN_IDENT_WHY_MAX] = "";
	struct cn_key *key = NULL;
	enum cn_exit code = cn_setup_key_path(args, path, sizeof(path));

	if (code != CN_EXIT_OK) {
		return code;
	}
	int err = cn_key_load(path, &key, why, sizeof(why));
	if (err < 0) {
		cn_cli_error(
		    "%s: %s", path, why[0] != '\0' ? why : cn_err_text(err));
		if (err == CN_ENOENT) {
			cn_cli_hint("`compressnet key gen' makes one");
		}
		return err == CN_EACCES ? CN_EXIT_NOT_ALLOWED : CN_EXIT_FAILED;
	}
	code = print_identity(args, key, path);
	cn_key_free(&key);
	return code;
}
