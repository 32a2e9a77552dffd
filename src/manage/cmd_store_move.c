/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in a file: what `store export' writes another gateway's `store
 * import' reads.  The gateway seals and opens it, this side only moves bytes.
 */
#include "manage/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "config/paths.h"
#include "manage/keyfile.h"
#include "manage/storewalk.h"

/* Bytes of one step of an import. */
#define PIECE_BYTES (1024u * 1024u)

static bool
is_pipe(const char *path)
{
	return strcmp(path, "-") == 0;
}

static enum cn_exit
read_key(const struct cn_args *args, uint8_t key[CN_KEYFILE_BYTES])
{
	const char *path = args->option[CN_OPTION_KEY_FILE];
	int err;

	if (path == NULL) {
		(void)cn_cli_usage(args, "--key-file is missing");
		cn_cli_hint("`compressnet store key FILE' makes one; both "
			    "sides need the same");
		return CN_EXIT_USAGE;
	}
	err = cn_keyfile_read(path, key);
	if (err == CN_OK) {
		return CN_EXIT_OK;
	}
	if (err == CN_EKEY) {
		cn_cli_error("%s is no key: a file of %u bytes is one", path,
		    CN_KEYFILE_BYTES);
	} else {
		cn_cli_error("cannot use %s: %s", path, cn_err_text(err));
	}
	if (err == CN_EACCES) {
		cn_cli_hint("nobody but its owner may be able to read it: "
			    "chmod 600 %s",
		    path);
		return CN_EXIT_NOT_ALLOWED;
	}
	return CN_EXIT_FAILED;
}

static enum cn_exit
complain(const char *what, const char *path)
{
	cn_cli_error("cannot %s %s: %s", what, path,
	    cn_err_text(cn_err_from_errno(errno)));
	return CN_EXIT_FAILED;
}

/* ---- export ---- */

struct outlet {
	const char *path;
	char part[CN_PATHS_MAX]; /* name until it is whole; "" for a pipe */
	int fd;
};

static enum cn_exit
open_outlet(const struct cn_args *args, struct outlet *outlet)
{
	const char *path = args->word[0];
	int len;

	*outlet = (struct outlet){ .path = path, .fd = -1 };
	if (is_pipe(path)) {
		if (args->option[CN_OPTION_JSON] != NULL ||
		    isatty(STDOUT_FILENO) == 1) {
			return cn_cli_usage(args,
			    "an export to standard output wants no terminal "
			    "and no --json there");
		}
		outlet->fd = STDOUT_FILENO;
		return CN_EXIT_OK;
	}
	if (args->option[CN_OPTION_FORCE] == NULL && access(path, F_OK) == 0) {
		cn_cli_error("%s is there already", path);
		cn_cli_hint("--force replaces it");
		return CN_EXIT_FAILED;
	}
	len = snprintf(outlet->part, sizeof(outlet->part), "%s.XXXXXX", path);
	if (len < 0 || (size_t)len >= sizeof(outlet->part)) {
		outlet->part[0] = '\0';
		errno = ENAMETOOLONG;
		return complain("write", path);
	}
	outlet->fd = mkostemp(outlet->part, O_CLOEXEC); /* mode 0600 */
	if (outlet->fd < 0) {
		outlet->part[0] = '\0';
		return complain("write beside", path);
	}
	return CN_EXIT_OK;
}

static enum cn_exit
put(const struct outlet *outlet, const uint8_t *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(outlet->fd, bytes, len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return complain("write", outlet->path);
		}
		bytes += n;
		len -= (size_t)n;
	}
	return CN_EXIT_OK;
}

/* Give it its name, or leave nothing behind. */
static enum cn_exit
close_outlet(struct outlet *outlet, enum cn_exit code)
{
	if (outlet->part[0] == '\0') {
		return code;
	}
	if (code == CN_EXIT_OK && fsync(outlet->fd) != 0) {
		code = complain("write", outlet->path);
	}
	(void)close(outlet->fd);
	if (code == CN_EXIT_OK && rename(outlet->part, outlet->path) != 0) {
		code = complain("write", outlet->path);
	}
	if (code != CN_EXIT_OK) {
		(void)unlink(outlet->part);
	}
	return code;
}

static enum cn_exit
export_all(struct cn_storewalk *walk, struct cn_request *request,
    const struct outlet *outlet)
{
	enum cn_exit code;

	do {
		const uint8_t *bytes = NULL;
		size_t len = 0;

		code = cn_storewalk_step(walk, request, NULL, &bytes, &len);
		if (code == CN_EXIT_OK && len > 0) {
			code = put(outlet, bytes, len);
		}
	} while (code == CN_EXIT_OK && request->cursor != 0);
	return code;
}

static enum cn_exit
tell_exported(const struct cn_args *args, const struct cn_snap_walk *sum)
{
	if (args->option[CN_OPTION_JSON] != NULL) {
		return cn_storewalk_print(sum);
	}
	(void)fprintf(stderr, "%llu segments were written",
	    (unsigned long long)(sum->segments - sum->damaged));
	if (sum->damaged > 0) {
		(void)fprintf(stderr, ", %llu were damaged and left out",
		    (unsigned long long)sum->damaged);
	}
	(void)fputc('\n', stderr);
	return CN_EXIT_OK;
}

enum cn_exit
cn_cmd_store_export(const struct cn_args *args)
{
	struct cn_request request = { .command = CN_COMMAND_STORE_EXPORT };
	struct cn_storewalk walk = { 0 };
	struct outlet outlet = { .fd = -1 };
	enum cn_exit code = read_key(args, request.key);

	if (code == CN_EXIT_OK) {
		code = cn_storewalk_open(&walk, args, "written");
	}
	if (code == CN_EXIT_OK) {
		code = open_outlet(args, &outlet);
	}
	if (code == CN_EXIT_OK) {
		code = export_all(&walk, &request, &outlet);
	}
	code = close_outlet(&outlet, code);
	cn_storewalk_close(&walk);
	explicit_bzero(&request, sizeof(request));
	return code == CN_EXIT_OK ? tell_exported(args, &walk.sum) : code;
}

/* ---- import ---- */

/* Up to PIECE_BYTES; 0: the end. */
static ssize_t
get(int fd, uint8_t *piece)
{
	size_t len = 0;

	while (len < PIECE_BYTES) {
		ssize_t n = read(fd, piece + len, PIECE_BYTES - len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return n;
		}
		if (n == 0) {
			break;
		}
		len += (size_t)n;
	}
	return (ssize_t)len;
}

static enum cn_exit
import_all(struct cn_storewalk *walk, struct cn_request *request,
    const char *path, int fd)
{
	uint8_t *piece = cn_alloc(PIECE_BYTES);
	enum cn_exit code = CN_EXIT_OK;
	ssize_t n;

	if (piece == NULL) {
		cn_cli_error("%s", cn_err_text(CN_ENOMEM));
		return CN_EXIT_FAILED;
	}
	while (code == CN_EXIT_OK && walk->sum.whole == 0) {
		n = get(fd, piece);
		if (n < 0) {
			code = complain("read", path);
		} else if (n == 0) {
			cn_cli_error("%s ends too early; what came before is "
				     "in the store",
			    path);
			code = CN_EXIT_FAILED;
		} else {
			request->payload = (uint32_t)n;
			code =
			    cn_storewalk_step(walk, request, piece, NULL, NULL);
		}
	}
	cn_free(piece);
	return code;
}

static void
tell_part(uint64_t count, const char *what)
{
	if (count > 0) {
		printf(", %llu %s", (unsigned long long)count, what);
	}
}

static enum cn_exit
tell_imported(const struct cn_args *args, const struct cn_snap_walk *sum)
{
	if (args->option[CN_OPTION_JSON] != NULL) {
		return cn_storewalk_print(sum);
	}
	printf("%llu segments were taken in",
	    (unsigned long long)(sum->segments - sum->known - sum->foreign -
		sum->no_room));
	tell_part(sum->known, "were here already");
	tell_part(sum->foreign, "are of other pairs of gateways");
	tell_part(sum->no_room, "did not fit");
	(void)putchar('\n');
	return CN_EXIT_OK;
}

enum cn_exit
cn_cmd_store_import(const struct cn_args *args)
{
	struct cn_request request = { .command = CN_COMMAND_STORE_IMPORT };
	const char *path = args->word[0];
	struct cn_storewalk walk = { 0 };
	int fd = STDIN_FILENO;
	enum cn_exit code = read_key(args, request.key);

	if (code == CN_EXIT_OK && !is_pipe(path)) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			code = complain("open", path);
		}
	}
	if (code == CN_EXIT_OK) {
		code = cn_storewalk_open(&walk, args, "read");
		walk.total = 0;
	}
	if (code == CN_EXIT_OK) {
		code = import_all(&walk, &request, path, fd);
	}
	cn_storewalk_close(&walk);
	if (fd > STDIN_FILENO) {
		(void)close(fd);
	}
	explicit_bzero(&request, sizeof(request));
	return code == CN_EXIT_OK ? tell_imported(args, &walk.sum) : code;
}
