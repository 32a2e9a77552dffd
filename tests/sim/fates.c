/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/pool.h"
#include "codec/dedup.h"
#include "hostile.h"
#include "wire/block.h"
#include "world.h"

/* Lies that one peer tells. */
#define LIES 300
/* Bytes that they may make the victim hold, its store apart: answers that
 * wait for a carrier, the notes of a carrier, scratch. */
#define LIES_BYTES (UINT64_C(24) << 20)

/* ---- a peer that says anything ---- */

static void
hear_lies(struct world *w, struct cn_link *victim)
{
	struct cn_link_event ev;

	while (cn_link_event(victim, &ev)) {
		if (ev.type == CN_LINK_EVENT_OPEN) {
			cn_stream_reset(ev.stream, CN_RESET_REFUSED, w->now);
		} else if (ev.type == CN_LINK_EVENT_ENDED ||
		    ev.type == CN_LINK_EVENT_RESET) {
			struct flow *f = flow_of(w, ev.stream);
			int side = f->end[0].stream == ev.stream ? 0 : 1;

			f->end[side].stream = NULL;
			f->end[side].how = HOW_RESET;
			cn_stream_release(ev.stream);
		}
	}
}

/* All that the victim wants to answer: it must come to an end. */
static void
take_answers(struct world *w, struct cn_link *victim)
{
	uint8_t out[4 * CN_FRAGMENT_MAX];
	int n = 0;

	while (cn_link_pull(victim, 0, out, sizeof(out), w->now) > 0) {
		if (++n > 1000) {
			world_fail(w, "pull has no end");
			return;
		}
	}
}

/* What it can know of the victim. */
static void
look_around(const struct world *w, struct cn_link *victim, struct hostile *h)
{
	struct cn_stream *s = NULL;

	for (int i = 0; i < 2; i++) {
		h->epoch[i] = w->proc[i].store_config.epoch;
	}
	h->streams = 0;
	while (h->streams < CN_ARRAY_LEN(h->stream) &&
	    (s = cn_link_next_stream(victim, s)) != NULL) {
		h->stream[h->streams++] = cn_stream_id(s);
	}
}

/* What was said to the survivor must not kill it, nor keep it busy. */
static void
say_anything(struct world *w, int side)
{
	struct cn_link *victim = w->proc[side].link;
	uint8_t out[CN_FRAGMENT_MAX];
	struct hostile h = { .prng = &w->prng };
	uint64_t before = cn_alloc_bytes();

	for (int i = 0; i < LIES && !w->is_failed; i++) {
		size_t len, used;

		look_around(w, victim, &h);
		len = hostile_fragment(&h, out);

		if (!cn_link_is_up(victim, 0) &&
		    cn_link_attach(victim, 0, ++w->carrier[0].generation,
			&w->proc[1 - side].hello, w->now) != CN_OK) {
			world_fail(w, "attach refused after lies");
			return;
		}
		(void)!cn_link_receive(victim, 0, out, len, w->now, &used);
		take_answers(w, victim);
		w->now += cn_prng_below(&w->prng, 100000);
		cn_link_tick(victim, w->now);
		stores_step(w);
		if (cn_link_deadline(victim) <= w->now) {
			world_fail(w, "deadline stays after lies");
		}
		hear_lies(w, victim);
	}
	if (cn_alloc_bytes() >
	    before + LIES_BYTES + w->proc[side].store_config.memory_bytes) {
		world_fail(w, "lies cost %llu bytes",
		    (unsigned long long)(cn_alloc_bytes() - before));
	}
}

/* ---- processes die ---- */

static void
cut_all(struct world *w)
{
	for (uint32_t i = 0; i < w->slots; i++) {
		carrier_cut(w, i);
	}
}

/* The applications of a dead process see resets. */
static void
kill_ends(struct world *w, int side)
{
	for (int i = 0; i < w->flows; i++) {
		struct end *e = &w->flow[i].end[side];

		if (e->stream != NULL) {
			e->stream = NULL;
			e->how = HOW_RESET;
			e->did_reset = true;
		}
	}
}

static void
kill_link(struct world *w, int side)
{
	judge_count(w, side);
	cn_link_free(&w->proc[side].link);
	kill_ends(w, side);
}

/* A link that lives in its process, but whose peer is another now. */
static void
end_link(struct world *w, int side)
{
	app_events(w, side);
	cn_link_reset_all(w->proc[side].link, CN_RESET_LINK_LOST, w->now);
	app_events(w, side);
	judge_count(w, side);
	cn_link_free(&w->proc[side].link);
}

/* The process of one side dies for good: its link and all it knew are gone.
 * The other side redials and hears LINK_UNKNOWN. */
static void
crash(struct world *w)
{
	int side = (int)cn_prng_below(&w->prng, 2);

	cut_all(w);
	kill_link(w, side);
	w->is_over = true;
	app_events(w, 1 - side);
	if (w->fate == FATE_EVIL) {
		say_anything(w, 1 - side);
	}
	end_link(w, 1 - side);
}

/* What was under way is lost with the link. */
static void
lose_flows(struct world *w)
{
	for (int i = 0; i < w->flows; i++) {
		struct flow *f = &w->flow[i];

		if (f->is_open &&
		    (f->end[0].stream != NULL || f->end[1].stream != NULL)) {
			f->is_lost = true;
		}
	}
}

static void
check_pool(struct world *w, int side)
{
	if (cn_pool_used(w->proc[side].pool) != 0) {
		world_fail(w, "side %d keeps %llu bytes of a lost link", side,
		    (unsigned long long)cn_pool_used(w->proc[side].pool));
	}
}

void
fate_restart(struct world *w, const bool is_down[2], const bool is_clean[2],
    void (*harm)(struct world *w, const bool is_down[2]))
{
	lose_flows(w);
	cut_all(w);
	for (int side = 0; side < 2; side++) {
		if (is_down[side]) {
			kill_link(w, side);
			stores_lose(w, side, is_clean[side]);
		}
	}
	if (harm != NULL) {
		harm(w, is_down);
	}
	for (int side = 0; side < 2; side++) {
		if (!is_down[side]) { /* it hears of it now */
			end_link(w, side);
			stores_undedup(w, side);
		} else if (stores_find(w, side) != CN_OK) {
			world_fail(w, "no store after a restart");
			return;
		}
		check_pool(w, side);
	}
	if (world_links(w) != CN_OK) {
		world_fail(w, "no link after a restart");
	}
	w->tally.restarts++;
}

/* Processes die, disks are harmed, and all begins again: a new link. */
static void
restart(struct world *w)
{
	uint64_t who = cn_prng_below(&w->prng, 4);
	bool is_down[2] = { (who & 1) != 0, (who & 2) != 0 };
	bool is_clean[2] = { cn_prng_chance(&w->prng, 1, 2),
		cn_prng_chance(&w->prng, 1, 2) };
	int more = 3 + (int)cn_prng_below(&w->prng, 4);

	fate_restart(w, is_down, is_clean, stores_harm);
	for (int i = 0; i < more && w->flows < SIM_STREAMS_WILD; i++) {
		flow_make(w, &w->flow[w->flows], (uint32_t)w->flows);
		w->flows++;
	}
	/* Now and then in the middle of the agreement. */
	w->cut_soon = (unsigned)cn_prng_below(&w->prng, 40);
}

void
fate_strike(struct world *w)
{
	w->is_struck = true;
	w->may_lose |= w->fate != FATE_NONE && w->fate != FATE_RESTART;
	switch (w->fate) {
	case FATE_NONE:
	case FATE_MEMORY:
	case FATE_POOR:
	case FATES:
		break;
	case FATE_LOST:
		w->is_cut_off = true;
		cut_all(w);
		w->now += cn_prng_below(&w->prng, 2) * UINT64_C(700000000);
		break;
	case FATE_CRASH:
	case FATE_EVIL:
		crash(w);
		break;
	case FATE_DRAIN:
		cn_link_drain(w->proc[cn_prng_below(&w->prng, 2)].link);
		break;
	case FATE_RESTART:
		restart(w);
		w->is_struck = --w->restarts == 0;
		w->fate_step = w->steps + cn_prng_below(&w->prng, 1500);
		break;
	}
}
