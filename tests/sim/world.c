/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <stdarg.h>
#include <string.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/pool.h"
#include "codec/codec.h"
#include "codec/dedup.h"

bool world_is_traced;

void
world_fail(struct world *w, const char *format, ...)
{
	va_list args;

	if (w->is_failed) {
		return;
	}
	w->is_failed = true;
	va_start(args, format);
	vsnprintf(w->why, sizeof(w->why), format, args);
	va_end(args);
}

/* ---- begin ---- */

/* The character of the adversary, the carriers and the applications. */
static void
draw_manners(struct world *w)
{
	w->now = 1000000 + cn_prng_below(&w->prng, 1000000);
	w->slots = 1 + (uint32_t)cn_prng_below(&w->prng, SIM_SLOTS);
	w->flows = 1 + (int)cn_prng_below(&w->prng, SIM_STREAMS_FIRST);
	w->dead = -1;
	w->is_edgy = cn_prng_chance(&w->prng, 1, 2);
	if (w->slots > 1 && cn_prng_chance(&w->prng, 1, 4)) {
		w->dead = (int)cn_prng_below(&w->prng, w->slots);
	}
	if (cn_prng_chance(&w->prng, 1, 3)) {
		w->fate = (enum fate)cn_prng_below(&w->prng, FATES);
	} else if (cn_prng_chance(&w->prng, 1, 3)) {
		w->fate = FATE_RESTART;
	}
	if (w->fate == FATE_RESTART) {
		w->restarts = 1 + (unsigned)cn_prng_below(&w->prng, 3);
	}
	w->is_heavy = cn_prng_chance(&w->prng, 1, 30);
	w->is_tiny = !w->is_heavy && cn_prng_chance(&w->prng, 1, 4);
	w->cut_chance = cn_prng_chance(&w->prng, 1, 3)
	    ? 0
	    : (unsigned)cn_prng_below(&w->prng, 200);
	w->stall_chance = (unsigned)cn_prng_below(&w->prng, 50);
	w->flip_chance = cn_prng_chance(&w->prng, 2, 3)
	    ? 0
	    : (unsigned)cn_prng_below(&w->prng, 300);
}

static void
draw_config(struct world *w)
{
	struct cn_link_config *config = &w->config;

	config->slots = w->slots;
	config->credit_floor = 4096u << cn_prng_below(&w->prng, 4);
	config->window_max = config->credit_floor << cn_prng_below(&w->prng, 9);
	config->window_max = CN_MIN(config->window_max, CN_LINK_WINDOW_MAX);
	config->streams_max = SIM_STREAMS;
	config->lanes = (uint32_t)cn_prng_below(&w->prng, 5);
	config->resume_window_us = UINT64_C(600000000);
}

static int
make_proc(struct world *w, int side, uint64_t pool_bytes)
{
	struct cn_codec_config codec = { .contexts_bytes = 64u << 20,
		.lane_window_log = 17,
		.lane_level = 1 };
	int r = cn_pool_create(pool_bytes, &w->proc[side].pool);

	return r == CN_OK ? cn_codec_create(&codec, &w->proc[side].codec) : r;
}

int
world_links(struct world *w)
{
	int r = CN_OK;

	for (int side = 0; side < 2 && r == CN_OK; side++) {
		struct proc *p = &w->proc[side];

		r = stores_dedup(w, side);
		w->config.is_dialler = side == 0;
		w->config.pool = p->pool;
		w->config.codec = p->codec;
		w->config.dedup = p->dedup;
		if (r == CN_OK) {
			r = cn_link_create(&w->config, w->now, &p->link);
		}
		cn_link_limits(&w->config, &p->hello);
	}
	return r;
}

int
world_make(struct world *w, uint64_t seed)
{
	uint64_t pool_bytes = UINT64_C(64) << 20;
	int r = CN_OK;

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->tally.worlds = 1;
	cn_prng_init(&w->prng, seed);
	draw_manners(w);
	draw_config(w);
	if (w->fate == FATE_POOR) {
		w->may_lose = w->is_struck = true;
		pool_bytes = (256u << 10) << cn_prng_below(&w->prng, 4);
	}
	for (int side = 0; side < 2 && r == CN_OK; side++) {
		r = make_proc(w, side, pool_bytes);
	}
	if (r == CN_OK) {
		r = stores_make(w);
	}
	if (r == CN_OK) {
		r = world_links(w);
	}
	for (int i = 0; i < w->flows; i++) {
		flow_make(w, &w->flow[i], (uint32_t)i);
	}
	return r;
}

/* ---- end ---- */

static void
free_proc(struct world *w, int side)
{
	struct proc *p = &w->proc[side];

	cn_link_free(&p->link);
	stores_free(w, side);
	if (!w->is_failed && p->pool != NULL &&
	    (cn_pool_used(p->pool) != 0 || cn_pool_promised(p->pool) != 0)) {
		world_fail(w, "side %d keeps %llu bytes, promises %llu", side,
		    (unsigned long long)cn_pool_used(p->pool),
		    (unsigned long long)cn_pool_promised(p->pool));
	}
	cn_codec_free(&p->codec);
	if (!w->is_failed) {
		cn_pool_free(&p->pool);
	}
}

static void
free_world(struct world *w)
{
	for (int side = 0; side < 2; side++) {
		judge_count(w, side);
		free_proc(w, side);
	}
	carriers_free(w);
}

/* ---- steps ---- */

bool
world_is_over(const struct world *w)
{
	if (w->is_over) {
		return true;
	}
	if (w->restarts > 0 && !w->is_calm) {
		return false;
	}
	for (int i = 0; i < w->flows; i++) {
		const struct flow *f = &w->flow[i];

		if ((!f->is_open && !w->is_cut_off) ||
		    f->end[0].stream != NULL || f->end[1].stream != NULL) {
			return false;
		}
	}
	return true;
}

static void
tick(struct world *w, int side)
{
	struct cn_link *link = w->proc[side].link;

	if (link == NULL) {
		return;
	}
	if (cn_link_deadline(link) <= w->now) {
		cn_link_tick(link, w->now);
		if (cn_link_deadline(link) <= w->now) {
			world_fail(w, "side %d: its deadline stays", side);
		}
	}
	app_events(w, side);
}

void
world_step(struct world *w)
{
	uint64_t flow = w->first_flow +
	    cn_prng_below(&w->prng, (uint64_t)w->flows - w->first_flow);

	w->now += cn_prng_below(
	    &w->prng, cn_prng_chance(&w->prng, 1, 50) ? 30000 : 300);
	if (cn_prng_chance(&w->prng, 1, 3000)) {
		w->now += cn_prng_below(&w->prng, 60000000);
	}
	flow_step(w, &w->flow[flow]);
	if (!w->is_calm) {
		carrier_adversary(w);
		stores_adversary(w);
	}
	stores_step(w);
	for (uint32_t slot = 0; slot < w->slots; slot++) {
		carrier_turn(w, slot);
	}
	for (int side = 0; side < 2; side++) {
		tick(w, side);
	}
	w->steps++;
}

/* The adversary goes to rest. */
static void
calm_down(struct world *w)
{
	w->is_calm = true;
	for (uint32_t i = 0; i < w->slots; i++) {
		w->carrier[i].stalled_until[0] = 0;
		w->carrier[i].stalled_until[1] = 0;
	}
	stores_rest(w);
}

static void
run_steps(struct world *w)
{
	uint64_t wild = 500 + cn_prng_below(&w->prng, 8000);

	w->fate_step = cn_prng_below(&w->prng, wild);
	while (!w->is_failed && w->steps < wild + SIM_STEPS_CALM &&
	    !world_is_over(w)) {
		if (w->steps >= wild && !w->is_calm) {
			calm_down(w);
		}
		if (w->steps >= w->fate_step && !w->is_struck && !w->is_calm) {
			fate_strike(w);
		}
		if (w->fate == FATE_MEMORY && w->is_struck) {
			cn_alloc_fail_at(
			    w->is_calm ? 0 : 1 + cn_prng_below(&w->prng, 30));
		}
		if (w->is_cut_off && w->is_calm) {
			w->now += 100000;
		}
		world_step(w);
	}
	cn_alloc_fail_at(0);
}

bool
world_run(struct world *w, uint64_t seed)
{
	if (world_make(w, seed) != CN_OK) {
		world_fail(w, "no memory");
	}
	run_steps(w);
	if (!w->is_failed && !world_is_over(w)) {
		world_fail(w, "stuck after %llu steps, %llu cuts, %llu flips",
		    (unsigned long long)w->steps,
		    (unsigned long long)w->tally.cuts,
		    (unsigned long long)w->tally.flips);
		judge_tell_stuck(w, stderr);
	}
	judge_flows(w);
	if (!w->is_failed) {
		calm_down(w);
		judge_measure(w);
	}
	free_world(w);
	return !w->is_failed;
}
