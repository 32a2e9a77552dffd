/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_FILEWALK_H
#define CN_MANAGE_FILEWALK_H

/*
 * Regular files of a tree, in the order of their names: the same tree always
 * gives the same bytes in the same order.
 *
 * What is named itself may be a symbolic link; below it none is followed,
 * neither to files nor out of the tree, whatever is moved meanwhile.  What is
 * neither file nor directory is left alone.
 *
 * Thread: any.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

/* Directories in directories, names in one, bytes of a path. */
#define CN_FILEWALK_DEPTH_MAX 64u
#define CN_FILEWALK_NAMES_MAX 1000000u
#define CN_FILEWALK_PATH_MAX 8192u

struct cn_filewalk {
	/*
	 * A file, open for reading; fd is borrowed.  False ends the walk.
	 *
	 * @size  bytes that it has now
	 */
	bool (*file)(void *arg, const char *path, int fd, uint64_t size);
	/* What could not be read, and why; the walk goes on. */
	void (*bad)(void *arg, const char *path, int err);
	void *arg;
};

/* One file or tree; false: it was ended. */
bool cn_filewalk_run(const struct cn_filewalk *walk, const char *path);

#endif /* CN_MANAGE_FILEWALK_H */
