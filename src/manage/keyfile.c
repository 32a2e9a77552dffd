/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/rand.h"

int
cn_keyfile_make(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	uint8_t key[CN_KEYFILE_BYTES];
	int err = CN_OK;

	if (fd < 0) {
		return cn_err_from_errno(errno);
	}
	cn_rand_bytes(key, sizeof(key));
	errno = ENOSPC;
	if (write(fd, key, sizeof(key)) != (ssize_t)sizeof(key) ||
	    fsync(fd) != 0) {
		err = cn_err_from_errno(errno);
	}
	explicit_bzero(key, sizeof(key));
	if (close(fd) != 0 && err == CN_OK) {
		err = cn_err_from_errno(errno);
	}
	if (err != CN_OK) {
		(void)unlink(path);
	}
	return err;
}

static int
read_from(int fd, uint8_t key[CN_KEYFILE_BYTES])
{
	uint8_t bytes[CN_KEYFILE_BYTES + 1];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0) {
		return cn_err_from_errno(errno);
	}
	if (!S_ISREG(st.st_mode)) {
		return CN_EKEY;
	}
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
		return CN_EACCES;
	}
	/* One byte more tells a file that is too long. */
	n = read(fd, bytes, sizeof(bytes));
	if (n < 0) {
		return cn_err_from_errno(errno);
	}
	if (n == (ssize_t)CN_KEYFILE_BYTES) {
		memcpy(key, bytes, CN_KEYFILE_BYTES);
	}
	explicit_bzero(bytes, sizeof(bytes));
	return n == (ssize_t)CN_KEYFILE_BYTES ? CN_OK : CN_EKEY;
}

int
cn_keyfile_read(const char *path, uint8_t key[CN_KEYFILE_BYTES])
{
	/* Not waiting for the other end, should it be a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int err;

	if (fd < 0) {
		return cn_err_from_errno(errno);
	}
	err = read_from(fd, key);
	(void)close(fd);
	return err;
}
