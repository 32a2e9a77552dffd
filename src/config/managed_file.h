/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONFIG_MANAGED_FILE_H
#define CN_CONFIG_MANAGED_FILE_H

/*
 * conf.d/managed.yaml beside the main file, on the disk: read whole,
 * replaced whole.
 *
 * A write goes to a file of another name in the same folder (one that no
 * loader reads), is flushed, renamed into its place, and the folder is
 * flushed: after a crash either the old or the new one is there.
 *
 * Thread: any; blocks on the file system.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"

#define CN_MANAGED_FILE_PATH_MAX 4096u
/* Room for an etag with its NUL. */
#define CN_MANAGED_FILE_ETAG_MAX 40u
/* Of no file at all. */
#define CN_MANAGED_FILE_ABSENT "absent"

/*
 * The path, from that of the main file, as cn_config_load() names it.
 *
 * @out  CN_MANAGED_FILE_PATH_MAX bytes
 *
 * Returns CN_OK, CN_ENAMETOOLONG.
 */
int cn_managed_file_path(const char *config, char *out) CN_MUSTCHECK;

/*
 * Append what it holds.
 *
 * Returns CN_OK; CN_ENOENT: there is none; CN_EFBIG (more than
 * CN_CONFIG_FILE_MAX); CN_EINVAL: it is no file; CN_ENOMEM; others of open()
 * and read().
 */
int cn_managed_file_read(const char *path, struct cn_buf *out) CN_MUSTCHECK;

/* Tells one content from another; not for secrets.
 * @bytes  NULL: there is no file */
void cn_managed_file_etag(
    const void *bytes, size_t len, char out[CN_MANAGED_FILE_ETAG_MAX]);

/*
 * Replace it, or make it, and its folder where that is missing.  Its mode
 * stays, but that nobody else may write it; a new one has 0640.
 *
 * Returns CN_OK or what the system said; then the old one is still there.
 */
int cn_managed_file_write(
    const char *path, const void *bytes, size_t len) CN_MUSTCHECK;

/* May it be written?  Tries, and leaves nothing; returns as the write. */
int cn_managed_file_check(const char *path) CN_MUSTCHECK;

/* As before it was written: no such file.  Returns CN_OK or the error. */
int cn_managed_file_remove(const char *path) CN_MUSTCHECK;

#endif /* CN_CONFIG_MANAGED_FILE_H */
