/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_SIM_SIMDISK_H
#define CN_SIM_SIMDISK_H

/*
 * A disk in memory that carries the store's jobs out late, in another order,
 * wrongly or not at all.
 *
 * Jobs of one slot keep their order, as store/job.h promises; nothing else is
 * promised: a read may bring what the slot held before, what another slot or
 * another gateway's disk holds, with bits flipped or the end cut off; a write
 * may fail, or say that it went well and leave half of it.
 *
 * Life:       outlives the processes of its gateway.
 * Thread:     one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/job.h"

struct simdisk; /* opaque */

#define SIMDISK_SLOTS 48u

/* Chances, of 10000 transfers. */
struct simdisk_faults {
	unsigned read_fails, write_fails;
	unsigned damaged;  /* what is read is not what was written */
	unsigned torn;     /* writes that leave a part of it and say nothing */
	uint64_t delay_us; /* longest that a job takes */
	unsigned slots;    /* that fit on it, <= SIMDISK_SLOTS */
};

struct simdisk *simdisk_create(uint64_t seed);
void simdisk_free(struct simdisk **dp);
const struct cn_job_ops *simdisk_ops(struct simdisk *d);
/* From where images may stray into this one's reads; NULL: nowhere. */
void simdisk_set_other(struct simdisk *d, const struct simdisk *other);
void simdisk_set_faults(struct simdisk *d, const struct simdisk_faults *faults);
/* Carry out what is ready by now. */
void simdisk_run(struct simdisk *d, uint64_t now);
/* Carry everything out, however late: the caller waits. */
void simdisk_drain(struct simdisk *d);
/* The power fails: what was under way is left out or half-written. */
void simdisk_abort(struct simdisk *d);

/* Flip bits in what is stored. */
void simdisk_rot(struct simdisk *d, unsigned flips);
void simdisk_wipe(struct simdisk *d);
/* Keep a copy of everything; go back to it (false: there is none). */
void simdisk_snapshot(struct simdisk *d);
bool simdisk_roll_back(struct simdisk *d);
/* Two disks change places. */
void simdisk_swap(struct simdisk *a, struct simdisk *b);

#endif /* CN_SIM_SIMDISK_H */
