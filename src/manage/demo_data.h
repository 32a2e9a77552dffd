/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_DEMO_DATA_H
#define CN_MANAGE_DEMO_DATA_H

/*
 * What the demonstration sends: files of this machine, one after the other,
 * and log lines that are made up but repeatable.
 *
 * Life:   filled by one of the functions, freed by cn_demo_data_fini().
 * Thread: any.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Most bytes that a demonstration holds in memory, once. */
#define CN_DEMO_DATA_MAX (512u * 1024u * 1024u)

struct cn_demo_data {
	uint8_t *bytes; /* owned */
	size_t len;
	size_t files;
};

/*
 * Read files from the usual folders of a system, up to limit bytes, a share
 * from each folder; the last file is cut.
 *
 * Returns CN_OK; CN_ENOENT when there is nothing to read; CN_ENOMEM.
 */
int cn_demo_data_files(size_t limit, struct cn_demo_data *ret) CN_MUSTCHECK;

/* About so many bytes of log lines; the same for the same seed. */
int cn_demo_data_log(
    size_t len, uint64_t seed, struct cn_demo_data *ret) CN_MUSTCHECK;

void cn_demo_data_fini(struct cn_demo_data *data);

#endif /* CN_MANAGE_DEMO_DATA_H */
