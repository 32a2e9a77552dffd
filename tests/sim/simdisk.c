/* SPDX-License-Identifier: Apache-2.0 */
#include "simdisk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/rand.h"
#include "store/image.h"

/* Jobs that wait at a time: far more than the store ever has. */
#define JOBS_MAX 512u

struct slot {
	uint8_t *now, *before; /* owned; NULL: never written */
};

struct waiting {
	struct cn_job *job;
	uint64_t ready_us;
};

struct simdisk {
	struct cn_job_ops ops;
	struct cn_prng prng;
	struct simdisk_faults faults;
	const struct simdisk *other;
	uint64_t now_us;
	struct slot slot[SIMDISK_SLOTS];
	uint8_t *kept[SIMDISK_SLOTS]; /* owned: the snapshot */
	bool has_kept;
	struct waiting waiting[JOBS_MAX]; /* in order of submission */
	size_t waits;
};

/* Test code: must not fail when the code under test has no memory. */
static uint8_t *
image_alloc(void)
{
	uint8_t *image = malloc(CN_IMAGE_BYTES);

	assert(image != NULL);
	return image;
}

static bool
happens(struct simdisk *d, unsigned chance)
{
	return chance > 0 && cn_prng_chance(&d->prng, chance, 10000);
}

/* ---- what is read ---- */

/* The image that a read brings: mostly that of its slot. */
static const uint8_t *
choose_image(struct simdisk *d, uint64_t slot)
{
	uint64_t any = cn_prng_below(&d->prng, SIMDISK_SLOTS);

	switch (cn_prng_below(&d->prng, 4)) {
	case 0:
		return d->slot[slot].before;
	case 1:
		return d->slot[any].now;
	case 2:
		return d->other != NULL ? d->other->slot[slot].now : NULL;
	default:
		return d->slot[slot].now;
	}
}

static void
harm_bytes(struct simdisk *d, uint8_t *out, size_t len)
{
	uint64_t at = cn_prng_below(&d->prng, len);

	if (cn_prng_chance(&d->prng, 1, 4)) {
		memset(out + at, 0, len - at);
	} else {
		out[at] ^= (uint8_t)(1u << cn_prng_below(&d->prng, 8));
	}
}

static int
read_slot(struct simdisk *d, uint64_t slot, size_t at, uint8_t *out, size_t len)
{
	bool is_harmed = happens(d, d->faults.damaged);
	const uint8_t *from;

	assert(at + len <= CN_IMAGE_BYTES);
	if (happens(d, d->faults.read_fails)) {
		return -EIO;
	}
	if (slot >= SIMDISK_SLOTS) {
		return CN_EEND;
	}
	from = is_harmed ? choose_image(d, slot) : d->slot[slot].now;
	if (from == NULL) {
		memset(out, 0, len);
		return d->slot[slot].now == NULL ? CN_EEND : CN_OK;
	}
	memcpy(out, from + at, len);
	if (is_harmed && cn_prng_chance(&d->prng, 1, 2)) {
		harm_bytes(d, out, len);
	}
	return CN_OK;
}

/* ---- what is written ---- */

/* Put the first bytes of the transfer in place. */
static void
put_image(struct simdisk *d, const struct cn_job *job, size_t len)
{
	struct slot *slot = &d->slot[job->slot];
	uint8_t *image = slot->before;

	if (image == NULL) {
		image = image_alloc();
	}
	if (slot->now != NULL) {
		memcpy(image, slot->now, CN_IMAGE_BYTES);
	} else {
		memset(image, 0, CN_IMAGE_BYTES);
	}
	memcpy(image + job->at, job->image + job->at, len);
	slot->before = slot->now;
	slot->now = image;
}

static int
write_slot(struct simdisk *d, const struct cn_job *job)
{
	size_t part = (size_t)cn_prng_below(&d->prng, job->len + 1);

	assert(job->at + job->len <= CN_IMAGE_BYTES);
	if (job->slot >= SIMDISK_SLOTS || job->slot >= d->faults.slots) {
		return -ENOSPC;
	}
	if (happens(d, d->faults.write_fails)) {
		if (cn_prng_chance(&d->prng, 1, 2)) {
			put_image(d, job, part);
		}
		return -EIO;
	}
	put_image(d, job, happens(d, d->faults.torn) ? part : job->len);
	return CN_OK;
}

/* ---- jobs ---- */

static void
carry_out(struct simdisk *d, struct cn_job *job)
{
	if (job->kind == CN_JOB_READ) {
		job->result = read_slot(
		    d, job->slot, job->at, job->image + job->at, job->len);
		if (job->work != NULL) {
			job->work(job);
		}
	} else {
		job->result = CN_OK;
		if (job->work != NULL) {
			job->work(job);
		}
		if (job->result == CN_OK) {
			job->result = write_slot(d, job);
		}
	}
	job->done(job);
}

static void
submit(void *ctx, struct cn_job *job)
{
	struct simdisk *d = ctx;

	assert(d->waits < JOBS_MAX);
	d->waiting[d->waits].job = job;
	d->waiting[d->waits].ready_us =
	    d->now_us + cn_prng_below(&d->prng, d->faults.delay_us + 1);
	d->waits++;
}

static int
read_now(void *ctx, uint64_t slot, size_t at, uint8_t *out, size_t len)
{
	return read_slot(ctx, slot, at, out, len);
}

/* May number i go before all that were submitted earlier? */
static bool
is_first_of_slot(const struct simdisk *d, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (d->waiting[j].job->slot == d->waiting[i].job->slot) {
			return false;
		}
	}
	return true;
}

static struct cn_job *
take(struct simdisk *d, size_t i)
{
	struct cn_job *job = d->waiting[i].job;

	d->waits--;
	memmove(&d->waiting[i], &d->waiting[i + 1],
	    (d->waits - i) * sizeof(d->waiting[0]));
	return job;
}

/* A job that is ready, any of them; NULL: none. */
static struct cn_job *
next_ready(struct simdisk *d)
{
	size_t begin = d->waits > 0 ? cn_prng_below(&d->prng, d->waits) : 0;

	for (size_t n = 0; n < d->waits; n++) {
		size_t i = (begin + n) % d->waits;

		if (d->waiting[i].ready_us <= d->now_us &&
		    is_first_of_slot(d, i)) {
			return take(d, i);
		}
	}
	return NULL;
}

void
simdisk_run(struct simdisk *d, uint64_t now)
{
	struct cn_job *job;

	d->now_us = now;
	for (int n = 0; n < 16 && (job = next_ready(d)) != NULL; n++) {
		carry_out(d, job);
	}
}

void
simdisk_drain(struct simdisk *d)
{
	while (d->waits > 0) {
		carry_out(d, take(d, 0));
	}
}

static void
half_write(struct simdisk *d, struct cn_job *job)
{
	job->result = CN_OK;
	if (job->work != NULL) {
		job->work(job);
	}
	if (job->result == CN_OK && job->slot < SIMDISK_SLOTS &&
	    cn_prng_chance(&d->prng, 1, 2)) {
		put_image(
		    d, job, (size_t)cn_prng_below(&d->prng, job->len + 1));
	}
}

void
simdisk_abort(struct simdisk *d)
{
	while (d->waits > 0) {
		struct cn_job *job = take(d, 0);

		if (job->kind == CN_JOB_WRITE) {
			half_write(d, job);
		}
		job->result = -EIO;
		if (job->kind == CN_JOB_READ && job->work != NULL) {
			job->work(job);
		}
		job->done(job);
	}
}

/* ---- life ---- */

struct simdisk *
simdisk_create(uint64_t seed)
{
	struct simdisk *d = calloc(1, sizeof(*d));

	assert(d != NULL);
	cn_prng_init(&d->prng, seed);
	d->ops.submit = submit;
	d->ops.read_now = read_now;
	d->ops.ctx = d;
	d->faults.slots = SIMDISK_SLOTS;
	return d;
}

static void
drop_snapshot(struct simdisk *d)
{
	for (size_t i = 0; i < SIMDISK_SLOTS; i++) {
		free(d->kept[i]);
		d->kept[i] = NULL;
	}
	d->has_kept = false;
}

void
simdisk_free(struct simdisk **dp)
{
	struct simdisk *d = *dp;

	if (d == NULL) {
		return;
	}
	*dp = NULL;
	assert(d->waits == 0);
	simdisk_wipe(d);
	drop_snapshot(d);
	free(d);
}

const struct cn_job_ops *
simdisk_ops(struct simdisk *d)
{
	return &d->ops;
}

void
simdisk_set_other(struct simdisk *d, const struct simdisk *other)
{
	d->other = other;
}

void
simdisk_set_faults(struct simdisk *d, const struct simdisk_faults *faults)
{
	d->faults = *faults;
}

/* ---- harm ---- */

void
simdisk_rot(struct simdisk *d, unsigned flips)
{
	uint64_t used[SIMDISK_SLOTS], n = 0;

	for (uint64_t i = 0; i < SIMDISK_SLOTS; i++) {
		if (d->slot[i].now != NULL) {
			used[n++] = i;
		}
	}
	for (unsigned i = 0; i < flips && n > 0; i++) {
		uint64_t slot = used[cn_prng_below(&d->prng, n)];
		/* Half of them where the footer stands. */
		uint64_t end = cn_prng_chance(&d->prng, 1, 2) ? CN_IMAGE_DATA_AT
							      : CN_IMAGE_BYTES;
		uint64_t at = cn_prng_below(&d->prng, end);

		d->slot[slot].now[at] ^=
		    (uint8_t)(1u << cn_prng_below(&d->prng, 8));
	}
}

void
simdisk_wipe(struct simdisk *d)
{
	for (size_t i = 0; i < SIMDISK_SLOTS; i++) {
		free(d->slot[i].now);
		free(d->slot[i].before);
		memset(&d->slot[i], 0, sizeof(d->slot[i]));
	}
}

void
simdisk_snapshot(struct simdisk *d)
{
	drop_snapshot(d);
	d->has_kept = true;
	for (size_t i = 0; i < SIMDISK_SLOTS; i++) {
		if (d->slot[i].now != NULL) {
			d->kept[i] = image_alloc();
			memcpy(d->kept[i], d->slot[i].now, CN_IMAGE_BYTES);
		}
	}
}

bool
simdisk_roll_back(struct simdisk *d)
{
	if (!d->has_kept) {
		return false;
	}
	simdisk_wipe(d);
	for (size_t i = 0; i < SIMDISK_SLOTS; i++) {
		d->slot[i].now = d->kept[i];
		d->kept[i] = NULL;
	}
	d->has_kept = false;
	return true;
}

void
simdisk_swap(struct simdisk *a, struct simdisk *b)
{
	assert(a->waits == 0 && b->waits == 0);
	for (size_t i = 0; i < SIMDISK_SLOTS; i++) {
		struct slot slot = a->slot[i];

		a->slot[i] = b->slot[i];
		b->slot[i] = slot;
	}
}
