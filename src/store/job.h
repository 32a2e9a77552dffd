/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_STORE_JOB_H
#define CN_STORE_JOB_H

/*
 * How the store reaches a disk and other processors without doing I/O: it
 * submits jobs; the shell (src/disk) or the simulator carries them out.
 *
 *   the store                      who carries out
 *   submit(job) ----------------->  READ:  bytes from the slot, then work()
 *                                   WRITE: work(), then bytes to the slot
 *   done(job)   <-----------------  exactly once, after either
 *
 * Life:       a job is the store's; it is lent from submit() to done().
 * Thread:     submit() is called on any thread and never waits; work() and
 *             done() are called on any thread, never inside submit().
 * Invariants: jobs of one slot are carried out in the order of submission.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

enum cn_job_kind {
	CN_JOB_READ,
	CN_JOB_WRITE,
};

struct cn_job {
	struct cn_list item; /* of who carries it out, between the calls */
	enum cn_job_kind kind;
	uint64_t slot;  /* of the disk: an image's place, from 0 */
	uint8_t *image; /* the store's; CN_IMAGE_BYTES, aligned to 4 KiB */
	size_t at, len; /* what to transfer of it; multiples of 4 KiB */
	int result;     /* CN_OK or the error of the transfer; set before work()
			 * of a READ and before done() */
	/* The part for another processor; may change result.  NULL: none. */
	void (*work)(struct cn_job *job);
	void (*done)(struct cn_job *job);
};

/* Who carries jobs out. */
struct cn_job_ops {
	void (*submit)(void *ctx, struct cn_job *job);
	/*
	 * Read now, for the recovery at start, which alone may wait.
	 *
	 * Returns CN_OK; CN_EEND when nothing was ever written so far out;
	 * or a negated errno.
	 */
	int (*read_now)(
	    void *ctx, uint64_t slot, size_t at, uint8_t *out, size_t len);
	void *ctx; /* borrowed */
};

#endif /* CN_STORE_JOB_H */
