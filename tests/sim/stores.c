/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "base/attr.h"
#include "base/err.h"
#include "codec/dedup.h"
#include "simdisk.h"
#include "world.h"

/* Pause between two pulses of a store, microseconds. */
#define TICK_US UINT64_C(1000000)

/* ---- life ---- */

static void
on_wake(void *arg)
{
	struct proc *p = arg;

	p->is_woken = true;
}

static void
peer_of(int side, uint8_t out[CN_IMAGE_PEER_BYTES])
{
	memset(out, 'A' + 1 - side, CN_IMAGE_PEER_BYTES);
}

int
stores_dedup(struct world *w, int side)
{
	struct proc *p = &w->proc[side];
	uint8_t peer[CN_IMAGE_PEER_BYTES];

	if (p->store == NULL) {
		return CN_OK;
	}
	peer_of(side, peer);
	p->is_woken = false;
	p->hello.features = CN_FEATURE_DEDUP;
	return cn_dedup_create(
	    p->store, p->scratch, peer, on_wake, p, &p->dedup);
}

void
stores_undedup(struct world *w, int side)
{
	cn_dedup_free(&w->proc[side].dedup);
}

int
stores_find(struct world *w, int side)
{
	struct proc *p = &w->proc[side];
	int r;

	/* Another process: another epoch, another boot. */
	cn_prng_bytes(&w->prng, p->hello.boot_id, sizeof(p->hello.boot_id));
	p->store_config.epoch = cn_prng_u64(&w->prng);
	if (p->store_config.memory_bytes == 0) {
		return CN_OK;
	}
	r = cn_store_create(&p->store_config, w->now, &p->store);
	if (r != CN_OK) {
		return r;
	}
	if (p->disk != NULL) {
		cn_store_recover(p->store, w->now);
	}
	p->tick_us = w->now;
	return cn_dedup_scratch_create(p->store, &p->scratch);
}

static void
count(struct world *w, struct cn_store *store)
{
	struct cn_store_stats stats;

	cn_store_stats(store, &stats);
	w->tally.recovered += stats.recovered;
	w->tally.damaged += stats.damaged;
	w->tally.loads += stats.loads;
	w->tally.load_failures += stats.load_failures;
	w->tally.write_failures += stats.write_failures;
	w->tally.evicted += stats.evicted;
	if (stats.memory_bytes > stats.memory_cap ||
	    (stats.has_disk && stats.disk_bytes > stats.disk_cap)) {
		world_fail(w, "a store keeps %llu and %llu bytes",
		    (unsigned long long)stats.memory_bytes,
		    (unsigned long long)stats.disk_bytes);
	}
}

void
stores_lose(struct world *w, int side, bool is_clean)
{
	struct proc *p = &w->proc[side];

	cn_dedup_free(&p->dedup);
	cn_dedup_scratch_free(&p->scratch);
	if (p->store == NULL) {
		return;
	}
	if (is_clean) {
		cn_store_close(p->store, w->now);
		if (p->disk != NULL) {
			simdisk_drain(p->disk);
		}
	} else if (p->disk != NULL) {
		simdisk_abort(p->disk);
		w->tally.torn++;
	}
	count(w, p->store);
	cn_store_free(&p->store);
}

void
stores_free(struct world *w, int side)
{
	stores_lose(w, side, cn_prng_chance(&w->prng, 1, 2));
	simdisk_free(&w->proc[side].disk);
}

/* ---- what stores a world has ---- */

static void
make_disk(struct world *w, struct proc *p)
{
	struct simdisk_faults faults = { .slots = SIMDISK_SLOTS };
	uint64_t slots = 2 + cn_prng_below(&w->prng, 20);

	p->disk = simdisk_create(cn_prng_u64(&w->prng));
	faults.delay_us = UINT64_C(100) << cn_prng_below(&w->prng, 16);
	if (cn_prng_chance(&w->prng, 1, 3)) {
		faults.read_fails = (unsigned)cn_prng_below(&w->prng, 2000);
		faults.write_fails = (unsigned)cn_prng_below(&w->prng, 2000);
	}
	if (cn_prng_chance(&w->prng, 1, 3)) {
		faults.damaged = (unsigned)cn_prng_below(&w->prng, 3000);
		faults.torn = (unsigned)cn_prng_below(&w->prng, 1000);
	}
	if (cn_prng_chance(&w->prng, 1, 4)) { /* smaller than it says */
		faults.slots = (unsigned)cn_prng_below(&w->prng, slots);
	}
	simdisk_set_faults(p->disk, &faults);
	p->is_disk_good =
	    faults.write_fails + faults.damaged + faults.torn + w->rot_chance ==
		0 &&
	    faults.slots == SIMDISK_SLOTS && slots >= 12;
	p->store_config.disk = simdisk_ops(p->disk);
	p->store_config.disk_bytes = slots * CN_IMAGE_BYTES;
	w->tally.disks++;
}

static void
make_config(struct world *w, struct proc *p, const uint8_t *key)
{
	struct cn_store_config *config = &p->store_config;

	config->memory_bytes = CN_STORE_MEMORY_MIN
	    << (w->is_heavy ? 0 : cn_prng_below(&w->prng, 4));
	config->index_bytes = cn_prng_chance(&w->prng, 3, 4)
	    ? UINT64_C(4) << 20
	    : UINT64_C(4096) << cn_prng_below(&w->prng, 8);
	if (cn_prng_chance(&w->prng, 1, 6)) {
		config->quota_bytes = UINT64_C(65536)
		    << cn_prng_below(&w->prng, 6);
	}
	if (key != NULL) {
		memcpy(config->key, key, sizeof(config->key));
	} else {
		cn_prng_bytes(&w->prng, config->key, sizeof(config->key));
	}
}

int
stores_make(struct world *w)
{
	bool is_same_key = cn_prng_chance(&w->prng, 1, 8);
	int r = CN_OK;

	if (!cn_prng_chance(&w->prng, 2, 3)) {
		return CN_OK;
	}
	w->tally.stores = 1;
	if (cn_prng_chance(&w->prng, 1, 3)) {
		w->forget_chance = (unsigned)cn_prng_below(&w->prng, 60);
	}
	if (cn_prng_chance(&w->prng, 1, 4)) {
		w->lie_chance = (unsigned)cn_prng_below(&w->prng, 60);
	}
	if (cn_prng_chance(&w->prng, 1, 3)) {
		w->rot_chance = (unsigned)cn_prng_below(&w->prng, 60);
	}
	for (int side = 0; side < 2 && r == CN_OK; side++) {
		struct proc *p = &w->proc[side];

		if (cn_prng_chance(&w->prng, 1, 20)) {
			continue; /* that one has none */
		}
		make_config(w, p,
		    side == 1 && is_same_key ? w->proc[0].store_config.key
					     : NULL);
		if (w->is_heavy || cn_prng_chance(&w->prng, 1, 2)) {
			make_disk(w, p);
		}
		r = stores_find(w, side);
	}
	if (w->proc[0].disk != NULL && w->proc[1].disk != NULL) {
		simdisk_set_other(w->proc[0].disk, w->proc[1].disk);
		simdisk_set_other(w->proc[1].disk, w->proc[0].disk);
	}
	return r;
}

/* ---- what befalls them ---- */

void
stores_lie(struct world *w, int side, uint64_t scope)
{
	struct cn_dedup *peer = w->proc[1 - side].dedup;
	struct cn_dedup *mine = w->proc[side].dedup;
	struct cn_store_span span = { 0, 16 };
	struct cn_store_piece piece[2];
	uint8_t bytes[4096];
	uint64_t pos, len;
	size_t n;

	if (peer == NULL || mine == NULL) {
		return;
	}
	cn_prng_bytes(&w->prng, bytes, sizeof(bytes));
	n = cn_pair_append(cn_dedup_pair(peer), scope, bytes, &span, 1, piece,
	    CN_ARRAY_LEN(piece), w->now);
	if (n == 0) {
		return;
	}
	pos = piece[n - 1].pos + piece[n - 1].len;
	len = 1 + cn_prng_below(&w->prng, sizeof(bytes));
	len = CN_MIN(len, CN_EXTENT_BYTES - pos % CN_EXTENT_BYTES);
	if (pos % CN_EXTENT_BYTES != 0 &&
	    cn_pair_fill(cn_dedup_pair(mine),
		cn_pair_epoch(cn_dedup_pair(peer)), pos, scope, bytes, len,
		w->now) == CN_OK) {
		w->tally.lies++;
		w->was_faulty = true;
	}
}

static void
forget(struct world *w, struct proc *p)
{
	uint64_t keep = cn_prng_chance(&w->prng, 1, 3)
	    ? 0
	    : cn_prng_below(&w->prng, UINT64_C(6) << 20);

	if (p->store != NULL) {
		cn_store_trim(p->store, keep);
		w->tally.forgets++;
		w->was_faulty = true;
	}
}

void
stores_adversary(struct world *w)
{
	int side = (int)cn_prng_below(&w->prng, 2);
	struct proc *p = &w->proc[side];

	if (w->tally.stores == 0) {
		return;
	}
	if (cn_prng_chance(&w->prng, w->forget_chance, 10000)) {
		forget(w, p);
	}
	if (cn_prng_chance(&w->prng, w->lie_chance, 10000)) {
		stores_lie(w, side, cn_prng_below(&w->prng, SIM_SCOPES));
	}
	if (p->disk != NULL && cn_prng_chance(&w->prng, w->rot_chance, 10000)) {
		simdisk_rot(p->disk, 1);
		w->tally.rots++;
		w->was_faulty = true;
	}
	if (p->disk != NULL && w->restarts > 0 &&
	    cn_prng_chance(&w->prng, 1, 2000)) {
		simdisk_snapshot(p->disk);
	}
}

/* One disk, while its process is down. */
static void
harm_disk(struct world *w, struct simdisk *disk)
{
	switch (cn_prng_below(&w->prng, 6)) {
	case 0:
		simdisk_wipe(disk);
		w->tally.wipes++;
		break;
	case 1:
		if (simdisk_roll_back(disk)) {
			w->tally.rollbacks++;
		}
		break;
	case 2:
		simdisk_rot(disk, 1 + (unsigned)cn_prng_below(&w->prng, 6));
		w->tally.rots++;
		break;
	default: /* kept */
		break;
	}
}

void
stores_harm(struct world *w, const bool is_down[2])
{
	struct simdisk *a = w->proc[0].disk, *b = w->proc[1].disk;

	for (int side = 0; side < 2; side++) {
		if (is_down[side] && w->proc[side].disk != NULL) {
			harm_disk(w, w->proc[side].disk);
		}
	}
	if (is_down[0] && is_down[1] && a != NULL && b != NULL &&
	    cn_prng_chance(&w->prng, 1, 3)) {
		simdisk_swap(a, b);
		w->tally.swaps++;
	}
}

void
stores_step(struct world *w)
{
	for (int side = 0; side < 2; side++) {
		struct proc *p = &w->proc[side];

		if (p->disk != NULL) {
			simdisk_run(p->disk, w->now);
		}
		if (p->is_woken && p->link != NULL) {
			p->is_woken = false;
			cn_link_woken(p->link, w->now);
			app_events(w, side);
		}
		if (p->store != NULL && w->now >= p->tick_us) {
			cn_store_tick(p->store, w->now);
			p->tick_us = w->now + TICK_US;
		}
	}
}

void
stores_rest(struct world *w)
{
	static const struct simdisk_faults none = { .slots = SIMDISK_SLOTS,
		.delay_us = 2000 };

	for (int side = 0; side < 2; side++) {
		if (w->proc[side].disk != NULL) {
			simdisk_set_faults(w->proc[side].disk, &none);
		}
	}
}
