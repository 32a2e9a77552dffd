/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_DISK_DISK_PRIVATE_H
#define CN_DISK_DISK_PRIVATE_H

/*
 * The system calls of a disk, to be replaced by tests: a disk that is full,
 * breaks or does things by halves is hard to come by.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "base/attr.h"
#include "disk/disk.h"

/* As pread() and pwrite(), errno included. */
struct cn_disk_io {
	ssize_t (*read)(int fd, void *out, size_t len, off_t at);
	ssize_t (*write)(int fd, const void *in, size_t len, off_t at);
};

/* As cn_disk_open(); io is borrowed. */
int cn_disk_open_io(const char *folder, unsigned threads,
    const struct cn_disk_io *io, struct cn_disk **ret) CN_MUSTCHECK;
/* Does it still go past the page cache? */
bool cn_disk_is_direct(const struct cn_disk *disk);

#endif /* CN_DISK_DISK_PRIVATE_H */
