/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "config/config.h"
#include "config/managed_file.h"
#include "config/paths.h"
#include "ident/key.h"
#include "manage/setup.h"

#define TEXT_MAX 4096u

/* A name for this gateway, from the host's: its first label. */
static void
default_name(char *out, size_t size)
{
	size_t len;

	if (gethostname(out, size) != 0) {
		out[0] = '\0';
	}
	out[size - 1] = '\0';
	out[strcspn(out, ".")] = '\0';
	len = strspn(out,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789-_");
	if (out[len] != '\0' || len == 0 || out[0] == '-' || out[0] == '_') {
		(void)snprintf(out, size, "gateway");
	}
}

static int
compose(const struct cn_args *args, const char *name, struct cn_buf *out)
{
	const char *listen = args->option[CN_OPTION_LISTEN];
	const char *key = args->option[CN_OPTION_KEY];
	int err = cn_buf_printf(out,
	    "# The configuration of this gateway; doc/config.md has every "
	    "key.\n"
	    "# Peers, services and offers may stand here too.  What "
	    "`compressnet join' and\n"
	    "# `invite' write goes to conf.d/managed.yaml beside this file.\n"
	    "gateway:\n"
	    "  name: \"%s\"\n",
	    name);

	if (err == CN_OK && listen != NULL) {
		err = cn_buf_printf(out, "  listen: \"%s\"\n", listen);
	} else if (err == CN_OK) {
		err = cn_buf_printf(out,
		    "  # Where peers reach this gateway.  Without it, it dials "
		    "them.\n"
		    "  # listen: \"0.0.0.0:3\"\n");
	}
	if (err == CN_OK && key != NULL) {
		err = cn_buf_printf(out, "  key: \"%s\"\n", key);
	}
	return err;
}

/* What was put together must be a configuration. */
static enum cn_exit
check(const struct cn_args *args, const char *file, const struct cn_buf *text)
{
	const struct cn_config_text one = { file, (const char *)text->data,
		text->len };
	struct cn_config *config = NULL;
	struct cn_diag_list diags;
	int err;

	cn_diag_init(&diags);
	err = cn_config_parse(&one, 1, &diags, &config);
	if (err != CN_OK) {
		cn_cli_print_diags(args, &diags);
		cn_cli_error("nothing was written");
	}
	cn_diag_fini(&diags);
	cn_config_unref(&config);
	return err == CN_OK     ? CN_EXIT_OK
	    : err == CN_ECONFIG ? CN_EXIT_CONFIG
				: CN_EXIT_FAILED;
}

static int
make_parent(const char *path)
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

/* Never over a file that is there. */
static int
write_new(const char *path, const struct cn_buf *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int err = CN_OK;

	if (fd < 0) {
		return cn_err_from_errno(errno);
	}
	errno = ENOSPC;
	if (write(fd, text->data, text->len) != (ssize_t)text->len) {
		err = cn_err_from_errno(errno);
	}
	if (close(fd) != 0 && err == CN_OK) {
		err = cn_err_from_errno(errno);
	}
	if (err != CN_OK) {
		(void)unlink(path);
	}
	return err;
}

/* The folder that the gateway writes to. */
static void
make_conf_d(const char *file)
{
	char path[CN_MANAGED_FILE_PATH_MAX];

	if (cn_managed_file_path(file, path) == CN_OK) {
		*strrchr(path, '/') = '\0';
		/* Its failure shows when something is to be written. */
		(void)!mkdir(path, 0755);
	}
}

/* The key, unless there is one. */
static enum cn_exit
make_key(const struct cn_args *args, const struct cn_paths *paths)
{
	const char *path = args->option[CN_OPTION_KEY] != NULL
	    ? args->option[CN_OPTION_KEY]
	    : paths->key;
	char why[CN_IDENT_WHY_MAX] = "";
	char text[CN_IDENTITY_TEXT_MAX];
	struct cn_key *key = NULL;
	int err = cn_key_load(path, &key, why, sizeof(why));

	if (err == CN_ENOENT) {
		err = make_parent(path);
		if (err == CN_OK) {
			err = cn_key_generate(&key);
		}
		if (err == CN_OK) {
			err = cn_key_save(key, path, false, why, sizeof(why));
		}
		if (err == CN_OK) {
			(void)fprintf(stderr, "wrote %s\n", path);
		}
	}
	if (err != CN_OK) {
		cn_cli_error(
		    "%s: %s", path, why[0] != '\0' ? why : cn_err_text(err));
	} else {
		cn_identity_format(cn_key_identity(key), text);
		(void)fprintf(stderr, "this gateway's identity:\n");
		printf("%s\n", text);
	}
	cn_key_free(&key);
	return err == CN_OK ? CN_EXIT_OK : CN_EXIT_FAILED;
}

enum cn_exit
cn_cmd_config_init(const struct cn_args *args)
{
	const char *file = args->option[CN_OPTION_CONFIG];
	char name[CN_CONFIG_NAME_MAX + 1];
	struct cn_paths paths;
	struct cn_buf text;
	enum cn_exit code = cn_setup_paths(&paths);
	int err;

	if (code != CN_EXIT_OK) {
		return code;
	}
	file = file != NULL ? file : paths.config;
	default_name(name, sizeof(name));
	cn_buf_init(&text, TEXT_MAX);
	err = compose(args,
	    args->option[CN_OPTION_NAME] != NULL ? args->option[CN_OPTION_NAME]
						 : name,
	    &text);
	if (err == CN_OK) {
		code = check(args, file, &text);
	}
	if (err == CN_OK && code == CN_EXIT_OK) {
		err = make_parent(file);
		if (err == CN_OK) {
			err = write_new(file, &text);
		}
	}
	cn_buf_fini(&text);
	if (err != CN_OK) {
		cn_cli_error("%s: %s", file, cn_err_text(err));
		if (err == CN_EEXIST) {
			cn_cli_hint("what is there is never overwritten: edit "
				    "it, or move it away");
		}
		return CN_EXIT_FAILED;
	}
	if (code != CN_EXIT_OK) {
		return code;
	}
	(void)fprintf(stderr, "wrote %s\n", file);
	make_conf_d(file);
	return make_key(args, &paths);
}
