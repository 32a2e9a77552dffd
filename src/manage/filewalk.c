/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/filewalk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"

/* Where the walk is. */
struct place {
	const struct cn_filewalk *walk;
	char path[CN_FILEWALK_PATH_MAX]; /* of what is looked at */
	size_t len;
	unsigned depth;
};

struct names {
	char **name; /* owned, as each */
	size_t count, cap;
};

static bool enter(struct place *place, int folder, const char *name);

static void
free_names(struct names *names)
{
	for (size_t i = 0; i < names->count; i++) {
		cn_free(names->name[i]);
	}
	cn_free(names->name);
}

static int
add_name(struct names *names, const char *name)
{
	if (names->count == CN_FILEWALK_NAMES_MAX) {
		return CN_ELIMIT;
	}
	if (names->count == names->cap) {
		size_t cap = names->cap == 0 ? 64 : names->cap * 2;
		char **more = cn_realloc(names->name, cap * sizeof(*more));

		if (more == NULL) {
			return CN_ENOMEM;
		}
		names->name = more;
		names->cap = cap;
	}
	names->name[names->count] = cn_strdup(name);
	if (names->name[names->count] == NULL) {
		return CN_ENOMEM;
	}
	names->count++;
	return CN_OK;
}

static int
read_names(DIR *dir, struct names *names)
{
	const struct dirent *entry;
	int err = CN_OK;

	errno = 0;
	while (err == CN_OK && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0) {
			err = add_name(names, entry->d_name);
		}
		errno = 0;
	}
	return err == CN_OK && errno != 0 ? cn_err_from_errno(errno) : err;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
tell_bad(const struct place *place, int err)
{
	place->walk->bad(place->walk->arg, place->path, err);
}

/* All that is in a directory; takes fd. */
static bool
walk_folder(struct place *place, int fd)
{
	struct names names = { 0 };
	DIR *dir = fdopendir(fd);
	bool goes_on = true;
	int err;

	if (dir == NULL) {
		tell_bad(place, cn_err_from_errno(errno));
		(void)close(fd);
		return true;
	}
	err = place->depth == CN_FILEWALK_DEPTH_MAX ? CN_ELIMIT
						    : read_names(dir, &names);
	if (err != CN_OK) {
		tell_bad(place, err);
	}
	if (names.count > 0) {
		qsort(names.name, names.count, sizeof(*names.name), compare);
	}
	place->depth++;
	for (size_t i = 0; i < names.count && goes_on; i++) {
		goes_on = enter(place, fd, names.name[i]);
	}
	place->depth--;
	free_names(&names);
	(void)closedir(dir);
	return goes_on;
}

/* A file or directory that was opened; takes fd. */
static bool
look_at(struct place *place, int fd, bool is_named)
{
	struct stat st;
	bool goes_on = true;

	if (fstat(fd, &st) != 0) {
		tell_bad(place, cn_err_from_errno(errno));
	} else if (S_ISDIR(st.st_mode)) {
		return walk_folder(place, fd);
	} else if (S_ISREG(st.st_mode)) {
		goes_on = place->walk->file(
		    place->walk->arg, place->path, fd, (uint64_t)st.st_size);
	} else if (is_named) {
		tell_bad(place, CN_EINVAL);
	}
	(void)close(fd);
	return goes_on;
}

/* Nothing but files and directories is opened: opening a device does things,
 * and a pipe waits. */
static bool
is_of_interest(const struct stat *st)
{
	return S_ISREG(st->st_mode) || S_ISDIR(st->st_mode);
}

/* A name in a directory; place->path is that of the directory. */
static bool
enter(struct place *place, int folder, const char *name)
{
	size_t before = place->len, len = strlen(name);
	bool has_slash = before > 0 && place->path[before - 1] == '/';
	bool goes_on = true;
	struct stat st;
	int fd;

	if (before + 1 + len >= sizeof(place->path)) {
		tell_bad(place, CN_ENAMETOOLONG);
		return true;
	}
	if (!has_slash) {
		place->path[place->len++] = '/';
	}
	memcpy(place->path + place->len, name, len + 1);
	place->len += len;
	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		tell_bad(place, cn_err_from_errno(errno));
	} else if (is_of_interest(&st)) {
		fd = openat(folder, name,
		    O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
		if (fd < 0) {
			tell_bad(place, cn_err_from_errno(errno));
		} else {
			goes_on = look_at(place, fd, false);
		}
	}
	place->len = before;
	place->path[before] = '\0';
	return goes_on;
}

bool
cn_filewalk_run(const struct cn_filewalk *walk, const char *path)
{
	struct place *place = cn_calloc(1, sizeof(*place));
	bool goes_on = true;
	struct stat st;
	int fd;

	if (place == NULL || strlen(path) >= sizeof(place->path)) {
		walk->bad(walk->arg, path,
		    place == NULL ? CN_ENOMEM : CN_ENAMETOOLONG);
		cn_free(place);
		return true;
	}
	place->walk = walk;
	place->len = strlen(path);
	memcpy(place->path, path, place->len + 1);
	if (stat(path, &st) != 0) {
		tell_bad(place, cn_err_from_errno(errno));
	} else if (!is_of_interest(&st)) {
		tell_bad(place, CN_EINVAL);
	} else {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd < 0) {
			tell_bad(place, cn_err_from_errno(errno));
		} else {
			goes_on = look_at(place, fd, true);
		}
	}
	cn_free(place);
	return goes_on;
}
