/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a configuration: the one that was named, and what lies in
 * conf.d beside it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "config/config_loader.h"

#define FOLDER "conf.d"
#define SUFFIX ".yaml"
#define PATH_MAX_BYTES 4096u

struct reading {
	const struct cn_config_text *managed; /* in place of a file, or NULL */
	struct cn_arena *arena;
	struct cn_diag_list *diags;
	struct cn_config_text *texts;
	size_t count;
	size_t total;
};

static int
complain(struct reading *reading, const char *name, const char *hint,
    const char *what, const char *why)
{
	struct cn_diag_place place = {
		.file = name,
		.order = (uint32_t)reading->count,
	};

	cn_diag_add(reading->diags, CN_DIAG_ERROR, &place, hint, "%s%s%s", what,
	    why[0] != '\0' ? ": " : "", why);
	return CN_ECONFIG;
}

/* Read what an open file holds, up to its cap; one byte more tells. */
static int
read_open(struct reading *reading, int fd, const char *name)
{
	struct cn_config_text *text = &reading->texts[reading->count];
	struct stat status;
	size_t len = 0, cap;
	char *data;

	if (fstat(fd, &status) != 0) {
		return complain(
		    reading, name, NULL, "cannot read", cn_err_text(-errno));
	}
	if (!S_ISREG(status.st_mode)) {
		return complain(reading, name, NULL, "not a file", "");
	}
	if (status.st_size > (off_t)CN_CONFIG_FILE_MAX) {
		return complain(
		    reading, name, NULL, "the file is larger than 1 MiB", "");
	}
	cap = (size_t)status.st_size + 1;
	data = cn_arena_take(reading->arena, cap);
	if (data == NULL) {
		return CN_ENOMEM;
	}
	while (len < cap) {
		ssize_t got = read(fd, data + len, cap - len);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			return complain(reading, name, NULL, "cannot read",
			    cn_err_text(-errno));
		}
		if (got == 0) {
			break;
		}
		len += (size_t)got;
	}
	if (len == cap) {
		return complain(reading, name, "try again",
		    "the file grew while it was read", "");
	}
	reading->total += len;
	if (reading->total > CN_CONFIG_TOTAL_MAX) {
		return complain(reading, name, NULL,
		    "all files together are larger than 8 MiB", "");
	}
	*text = (struct cn_config_text){ name, data, len };
	reading->count++;
	return CN_OK;
}

static int
read_file(struct reading *reading, const char *name)
{
	int fd, err;

	if (reading->count == CN_CONFIG_FILES_MAX) {
		return complain(reading, name, NULL, "more files than 256", "");
	}
	/* Non-blocking, or a pipe of that name would hold us for ever. */
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		return complain(
		    reading, name, NULL, "cannot open", cn_err_text(-errno));
	}
	err = read_open(reading, fd, name);
	close(fd);
	return err;
}

/* Take a text in place of the file of its name. */
static int
take_managed(struct reading *reading, const char *name)
{
	struct cn_config_text *text = &reading->texts[reading->count];
	size_t len = reading->managed->len;
	char *data;

	if (reading->count == CN_CONFIG_FILES_MAX) {
		return complain(reading, name, NULL, "more files than 256", "");
	}
	if (len > CN_CONFIG_FILE_MAX) {
		return complain(
		    reading, name, NULL, "the file is larger than 1 MiB", "");
	}
	reading->total += len;
	if (reading->total > CN_CONFIG_TOTAL_MAX) {
		return complain(reading, name, NULL,
		    "all files together are larger than 8 MiB", "");
	}
	data = cn_arena_text(reading->arena, reading->managed->text, len);
	if (data == NULL) {
		return CN_ENOMEM;
	}
	*text = (struct cn_config_text){ name, data, len };
	reading->count++;
	return CN_OK;
}

static bool
is_managed(const struct reading *reading, const char *name)
{
	return reading->managed != NULL &&
	    strcmp(reading->managed->name, name) == 0;
}

static bool
is_wanted(const char *name)
{
	size_t len = strlen(name);

	return name[0] != '.' && len > strlen(SUFFIX) &&
	    strcmp(name + len - strlen(SUFFIX), SUFFIX) == 0;
}

/* One more name, of the arena. */
static int
add_name(struct reading *reading, const char *name, const char **names,
    size_t *count)
{
	if (*count == CN_CONFIG_FILES_MAX) {
		return complain(reading, name, NULL, "more files than 256", "");
	}
	names[*count] = cn_arena_text(reading->arena, name, strlen(name));
	if (names[*count] == NULL) {
		return CN_ENOMEM;
	}
	(*count)++;
	return CN_OK;
}

/* Names of a folder's files, each as path/name, at most cap of them. */
static int
list_folder(struct reading *reading, const char *folder, DIR *dir,
    const char **names, size_t *count)
{
	struct dirent *entry;

	for (;;) {
		char whole[PATH_MAX_BYTES];
		int len, err;

		errno = 0;
		entry = readdir(dir);
		if (entry == NULL && errno != 0) {
			return complain(reading, folder, NULL, "cannot read",
			    cn_err_text(-errno));
		}
		if (entry == NULL) {
			return CN_OK;
		}
		if (!is_wanted(entry->d_name)) {
			continue;
		}
		len = snprintf(
		    whole, sizeof(whole), "%s/%s", folder, entry->d_name);
		if (len < 0 || (size_t)len >= sizeof(whole)) {
			return complain(
			    reading, folder, NULL, "the path is too long", "");
		}
		if (is_managed(reading, whole)) {
			continue; /* what stands in for it is added once */
		}
		err = add_name(reading, whole, names, count);
		if (err != CN_OK) {
			return err;
		}
	}
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int
read_folder(struct reading *reading, const char *folder)
{
	const char *names[CN_CONFIG_FILES_MAX];
	size_t count = 0;
	DIR *dir = opendir(folder);
	int err = CN_OK, result = CN_OK;

	if (dir == NULL && errno != ENOENT && errno != ENOTDIR) {
		return complain(
		    reading, folder, NULL, "cannot open", cn_err_text(-errno));
	}
	if (dir != NULL) {
		err = list_folder(reading, folder, dir, names, &count);
		closedir(dir);
	}
	if (err == CN_OK && reading->managed != NULL) {
		err = add_name(reading, reading->managed->name, names, &count);
	}
	if (err != CN_OK) {
		return err;
	}
	qsort(names, count, sizeof(names[0]), compare_names);
	for (size_t i = 0; i < count && result != CN_ENOMEM; i++) {
		err = is_managed(reading, names[i])
		    ? take_managed(reading, names[i])
		    : read_file(reading, names[i]);
		result = err != CN_OK ? err : result;
	}
	return result;
}

int
cn_config_read_files(const char *path, const struct cn_config_text *managed,
    struct cn_arena *arena, struct cn_diag_list *diags,
    struct cn_config_text *texts, size_t *count)
{
	struct reading reading = {
		.managed = managed,
		.arena = arena,
		.diags = diags,
		.texts = texts,
	};
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX_BYTES];
	int len, err;

	len = snprintf(folder, sizeof(folder), "%.*s" FOLDER,
	    slash == NULL ? 0 : (int)(slash - path) + 1, path);
	if (len < 0 || (size_t)len >= sizeof(folder)) {
		return complain(
		    &reading, path, NULL, "the path is too long", "");
	}
	err = read_file(&reading, path);
	if (err == CN_OK) {
		err = read_folder(&reading, folder);
	}
	*count = reading.count;
	return err;
}

int
cn_config_load_managed(const char *path, const struct cn_config_text *managed,
    struct cn_diag_list *diags, struct cn_config **ret)
{
	struct cn_config_text *texts;
	struct cn_arena arena;
	size_t count = 0;
	int err = CN_ENOMEM;

	cn_arena_init(&arena);
	texts = cn_arena_array(&arena, CN_CONFIG_FILES_MAX, sizeof(*texts));
	if (texts != NULL) {
		err = cn_config_read_files(
		    path, managed, &arena, diags, texts, &count);
	}
	if (err == CN_OK) {
		err = cn_config_parse(texts, count, diags, ret);
	}
	cn_arena_fini(&arena);
	return err;
}

int
cn_config_load(
    const char *path, struct cn_diag_list *diags, struct cn_config **ret)
{
	return cn_config_load_managed(path, NULL, diags, ret);
}
