/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_ESTIMATING_H
#define CN_MANAGE_ESTIMATING_H

/*
 * Reading what is to be estimated, files or captures, through the line: once
 * as it is, and once more.
 *
 * Thread: main.
 */

#include "base/attr.h"
#include "manage/cli.h"
#include "manage/estimate.h"
#include "manage/progress.h"

/*
 * So much is sent before it is sent again: half of the store, as if the store
 * were always big enough for what comes again.
 */
#define CN_ESTIMATING_PORTION_SHARE 2u
/* Pieces of files in a portion. */
#define CN_ESTIMATING_PIECES_MAX 65536u
/* Longest capture file name, read by the user's own hand. */
#define CN_ESTIMATING_READ_BYTES (256u * 1024u)

struct cn_estimating {
	const struct cn_args *args;   /* borrowed */
	struct cn_estimate *estimate; /* borrowed */
	struct cn_offline *offline;   /* borrowed */
	struct cn_progress progress;
	uint64_t done, total;                           /* bytes, for the bar */
	struct cn_offline_line before[CN_OFFLINE_WAYS]; /* not counted again */
};

/* What crossed the line since the last call belongs to that pass.  Returns
 * CN_OK, or why the engines do not go on. */
int cn_estimating_count(
    struct cn_estimating *run, enum cn_estimate_pass pass) CN_MUSTCHECK;
/* Words for an error of the engines, on stderr. */
enum cn_exit cn_estimating_failed(struct cn_estimating *run, int err);

/* Whether a file begins like a capture. */
bool cn_estimating_is_capture(const char *path);

/* All the words as files and folders, or as captures.  What goes wrong is on
 * stderr. */
enum cn_exit cn_estimating_files(struct cn_estimating *run);
enum cn_exit cn_estimating_captures(struct cn_estimating *run);

#endif /* CN_MANAGE_ESTIMATING_H */
