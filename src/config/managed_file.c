/* SPDX-License-Identifier: Apache-2.0 */
#include "config/managed_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/hash.h"
#include "config/config.h"

#define NAME "conf.d/managed.yaml"
/* No loader reads it: it begins with a dot and does not end in .yaml. */
#define TEMPORARY "/.managed.yaml.new"
#define FOLDER_MODE 0755
#define FILE_MODE 0640
#define SEED_0 UINT64_C(1)
#define SEED_1 UINT64_C(2)

int
cn_managed_file_path(const char *config, char *out)
{
	const char *slash = strrchr(config, '/');
	int len = snprintf(out, CN_MANAGED_FILE_PATH_MAX, "%.*s" NAME,
	    slash == NULL ? 0 : (int)(slash - config) + 1, config);

	return len < 0 || (size_t)len >= CN_MANAGED_FILE_PATH_MAX
	    ? CN_ENAMETOOLONG
	    : CN_OK;
}

static int
read_all(int fd, struct cn_buf *out)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		return cn_err_from_errno(errno);
	}
	if (!S_ISREG(st.st_mode)) {
		return CN_EINVAL;
	}
	for (size_t len = 0;;) {
		ssize_t n;
		int err = cn_buf_reserve(out, 4096);

		if (err != CN_OK) {
			return err == CN_ELIMIT ? CN_EFBIG : err;
		}
		n = read(fd, out->data + out->len, 4096);
		if (n == 0) {
			return CN_OK;
		}
		if (n < 0 && errno != EINTR) {
			return cn_err_from_errno(errno);
		}
		if (n > 0) {
			cn_buf_commit(out, (size_t)n);
			len += (size_t)n;
		}
		if (len > CN_CONFIG_FILE_MAX) {
			return CN_EFBIG;
		}
	}
}

int
cn_managed_file_read(const char *path, struct cn_buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int err;

	if (fd < 0) {
		return cn_err_from_errno(errno);
	}
	err = read_all(fd, out);
	(void)close(fd);
	return err;
}

void
cn_managed_file_etag(
    const void *bytes, size_t len, char out[CN_MANAGED_FILE_ETAG_MAX])
{
	if (bytes == NULL) {
		(void)snprintf(out, CN_MANAGED_FILE_ETAG_MAX, "%s",
		    CN_MANAGED_FILE_ABSENT);
		return;
	}
	(void)snprintf(out, CN_MANAGED_FILE_ETAG_MAX, "%016llx%016llx",
	    (unsigned long long)cn_hash64(bytes, len, SEED_0),
	    (unsigned long long)cn_hash64(bytes, len, SEED_1));
}

/* ---- writing ---- */

static int
folder_of(const char *path, char out[CN_MANAGED_FILE_PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL || strlen(path) >= CN_MANAGED_FILE_PATH_MAX) {
		return CN_ENAMETOOLONG;
	}
	memcpy(out, path, (size_t)(slash - path));
	out[slash - path] = '\0';
	return CN_OK;
}

static int
write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n == 0 ? CN_EIO : cn_err_from_errno(errno);
		}
		bytes += n;
		len -= (size_t)n;
	}
	return CN_OK;
}

/* The new file under its temporary name, complete and flushed. */
static int
write_temporary(const char *path, const void *bytes, size_t len, mode_t mode)
{
	int fd, err;

	/* One that a crash left; nobody else writes there. */
	if (unlink(path) != 0 && errno != ENOENT) {
		return cn_err_from_errno(errno);
	}
	fd = open(
	    path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		return cn_err_from_errno(errno);
	}
	err = write_all(fd, bytes, len);
	if (err == CN_OK && fchmod(fd, mode) != 0) {
		err = cn_err_from_errno(errno);
	}
	if (err == CN_OK && fsync(fd) != 0) {
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

static int
flush_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = CN_OK;

	if (fd < 0) {
		return cn_err_from_errno(errno);
	}
	if (fsync(fd) != 0) {
		err = cn_err_from_errno(errno);
	}
	(void)close(fd);
	return err;
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
		return FILE_MODE;
	}
	return (st.st_mode & 0744) | 0600;
}

/* Folder and temporary name; the folder is made if it is missing. */
static int
prepare(const char *path, char folder[CN_MANAGED_FILE_PATH_MAX],
    char temporary[CN_MANAGED_FILE_PATH_MAX])
{
	int err = folder_of(path, folder);
	int len;

	if (err != CN_OK) {
		return err;
	}
	len = snprintf(
	    temporary, CN_MANAGED_FILE_PATH_MAX, "%s" TEMPORARY, folder);
	if (len < 0 || (size_t)len >= CN_MANAGED_FILE_PATH_MAX) {
		return CN_ENAMETOOLONG;
	}
	if (mkdir(folder, FOLDER_MODE) != 0 && errno != EEXIST) {
		return cn_err_from_errno(errno);
	}
	return CN_OK;
}

int
cn_managed_file_write(const char *path, const void *bytes, size_t len)
{
	char folder[CN_MANAGED_FILE_PATH_MAX];
	char temporary[CN_MANAGED_FILE_PATH_MAX];
	int err = prepare(path, folder, temporary);

	if (err == CN_OK) {
		err = write_temporary(temporary, bytes, len, mode_of(path));
	}
	if (err == CN_OK && rename(temporary, path) != 0) {
		err = cn_err_from_errno(errno);
		(void)unlink(temporary);
	}
	/* It is in its place: an error here would deny what is so. */
	if (err == CN_OK) {
		(void)!flush_folder(folder);
	}
	return err;
}

int
cn_managed_file_check(const char *path)
{
	char folder[CN_MANAGED_FILE_PATH_MAX];
	char temporary[CN_MANAGED_FILE_PATH_MAX];
	int err = prepare(path, folder, temporary);

	if (err == CN_OK) {
		err = write_temporary(temporary, "", 0, FILE_MODE);
	}
	if (err == CN_OK) {
		(void)unlink(temporary);
	}
	return err;
}

int
cn_managed_file_remove(const char *path)
{
	char folder[CN_MANAGED_FILE_PATH_MAX];
	int err = folder_of(path, folder);

	if (err == CN_OK && unlink(path) != 0 && errno != ENOENT) {
		err = cn_err_from_errno(errno);
	}
	return err != CN_OK ? err : flush_folder(folder);
}
