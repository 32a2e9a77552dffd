/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bundle.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "manage/redact.h"

extern char **environ;

static int
join(char *out, size_t size, const char *folder, const char *name)
{
	int len = snprintf(out, size, "%s/%s", folder, name);

	return len < 0 || (size_t)len >= size ? CN_ENAMETOOLONG : CN_OK;
}

int
cn_bundle_open(struct cn_bundle *bundle)
{
	cn_buf_init(&bundle->manifest, CN_BUNDLE_MANIFEST_MAX);
	(void)snprintf(bundle->folder, sizeof(bundle->folder), "%s",
	    "/tmp/compressnet-bundle-XXXXXX");
	if (mkdtemp(bundle->folder) == NULL) {
		int err = cn_err_from_errno(errno);

		bundle->folder[0] = '\0';
		return err;
	}
	return CN_OK;
}

static int
write_all(int fd, const uint8_t *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return cn_err_from_errno(errno);
		}
		bytes += n;
		len -= (size_t)n;
	}
	return CN_OK;
}

static int
write_file(
    const struct cn_bundle *bundle, const char *name, const struct cn_buf *text)
{
	char path[PATH_MAX];
	int err = join(path, sizeof(path), bundle->folder, name);
	int fd;

	if (err != CN_OK) {
		return err;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		return cn_err_from_errno(errno);
	}
	err = write_all(fd, text->data, text->len);
	if (close(fd) != 0 && err == CN_OK) {
		err = cn_err_from_errno(errno);
	}
	return err;
}

void
cn_bundle_lacks(struct cn_bundle *bundle, const char *name, const char *why)
{
	/* Without memory for this line the archive lacks it, no more. */
	(void)!cn_buf_printf(
	    &bundle->manifest, "%-20s not there: %s\n", name, why);
}

void
cn_bundle_text(
    struct cn_bundle *bundle, const char *name, const void *text, size_t len)
{
	struct cn_buf clean;
	int err;

	cn_buf_init(&clean, CN_BUNDLE_TEXT_MAX);
	err = cn_redact_text(text, len, &clean);
	if (err == CN_OK) {
		err = write_file(bundle, name, &clean);
	}
	if (err == CN_OK) {
		(void)!cn_buf_printf(
		    &bundle->manifest, "%-20s %zu bytes\n", name, clean.len);
	} else {
		cn_bundle_lacks(bundle, name, cn_err_text(err));
	}
	cn_buf_fini(&clean);
}

void
cn_bundle_json(struct cn_bundle *bundle, const char *name, json_t *json)
{
	struct cn_buf text;
	char *dump = NULL;
	int err = cn_redact_json(json);

	cn_buf_init(&text, CN_BUNDLE_TEXT_MAX);
	if (err == CN_OK) {
		dump = json_dumps(json, JSON_INDENT(2));
		err = dump == NULL ? CN_ENOMEM
				   : cn_buf_printf(&text, "%s\n", dump);
	}
	if (err == CN_OK) {
		err = write_file(bundle, name, &text);
	}
	if (err == CN_OK) {
		(void)!cn_buf_printf(
		    &bundle->manifest, "%-20s %zu bytes\n", name, text.len);
	} else {
		cn_bundle_lacks(bundle, name, cn_err_text(err));
	}
	cn_free(dump);
	cn_buf_fini(&text);
}

/* Run tar over the folder, its output to fd. */
static int
run_tar(const struct cn_bundle *bundle, int fd)
{
	const char *const argv[] = { "tar", "-c", "-z", "-f", "-",
		"--sort=name", "--owner=root:0", "--group=root:0", "-C",
		bundle->folder, "--transform", "s,^\\.,compressnet-support,",
		".", NULL };
	posix_spawn_file_actions_t actions;
	int status;
	pid_t pid;
	int err = posix_spawn_file_actions_init(&actions);

	if (err != 0) {
		return cn_err_from_errno(err);
	}
	err = posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
	if (err == 0) {
		/* POSIX: the texts are not changed. */
		err = posix_spawnp(&pid, "tar", &actions, NULL,
		    (char *const *)(uintptr_t)argv, environ);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	if (err != 0) {
		return cn_err_from_errno(err);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			return cn_err_from_errno(errno);
		}
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? CN_OK : CN_EIO;
}

/* The whole file appears under its name at once, or not at all. */
static int
publish(const char *temporary, const char *path, bool is_forced)
{
	int failed =
	    is_forced ? rename(temporary, path) : link(temporary, path);

	return failed == 0 ? CN_OK : cn_err_from_errno(errno);
}

int
cn_bundle_write(struct cn_bundle *bundle, const char *path, bool is_forced)
{
	char temporary[PATH_MAX];
	int len = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	int err, fd;

	if (len < 0 || (size_t)len >= sizeof(temporary)) {
		return CN_ENAMETOOLONG;
	}
	if (!is_forced && access(path, F_OK) == 0) {
		return CN_EEXIST;
	}
	err = write_file(bundle, "manifest.txt", &bundle->manifest);
	if (err != CN_OK) {
		return err;
	}
	fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
	if (fd < 0) {
		return cn_err_from_errno(errno);
	}
	err = run_tar(bundle, fd);
	if (close(fd) != 0 && err == CN_OK) {
		err = cn_err_from_errno(errno);
	}
	if (err == CN_OK) {
		err = publish(temporary, path, is_forced);
	}
	(void)unlink(temporary);
	return err;
}

void
cn_bundle_close(struct cn_bundle *bundle)
{
	DIR *dir = bundle->folder[0] != '\0' ? opendir(bundle->folder) : NULL;
	const struct dirent *entry;
	char path[PATH_MAX];

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (join(path, sizeof(path), bundle->folder, entry->d_name) ==
		    CN_OK) {
			(void)unlink(path); /* not "." and ".." */
		}
	}
	if (dir != NULL) {
		(void)closedir(dir);
		(void)rmdir(bundle->folder);
	}
	bundle->folder[0] = '\0';
	cn_buf_fini(&bundle->manifest);
}
