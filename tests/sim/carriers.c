/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "wire/block.h"
#include "world.h"

static void
pipe_put(struct pipe *p, const uint8_t *bytes, size_t len)
{
	if (p->len + len > p->cap) {
		p->cap = (p->len + len) * 2;
		p->bytes = realloc(p->bytes, p->cap); /* test code */
		assert(p->bytes != NULL);
	}
	memcpy(p->bytes + p->len, bytes, len);
	p->len += len;
}

/* Damage one byte behind the fragment's outer head: TLS would not let it
 * happen, a faulty coder or memory would. */
static void
flip(struct world *w, uint8_t *bytes, size_t len)
{
	struct cn_fragment f;
	size_t used, at;

	if (cn_fragment_decode(bytes, len, &f, &used) != CN_OK ||
	    f.body_len == 0) {
		return;
	}
	at = (size_t)(f.body - bytes) + cn_prng_below(&w->prng, f.body_len);
	bytes[at] ^= (uint8_t)(1u << cn_prng_below(&w->prng, 8));
	w->tally.flips++;
	w->was_faulty = true;
}

static void
pull(struct world *w, uint32_t slot, int side)
{
	uint8_t out[CN_FRAGMENT_MAX * 2];
	struct carrier *c = &w->carrier[slot];
	struct cn_link *link = w->proc[side].link;
	size_t limit = w->is_tiny ? 20000 : 200000;
	size_t n;

	if (link == NULL || !c->is_up[side] || c->pipe[side].len >= limit) {
		return;
	}
	n = cn_link_pull(link, slot, out,
	    CN_FRAGMENT_MAX + cn_prng_below(&w->prng, CN_FRAGMENT_MAX), w->now);
	if (n == 0) {
		return;
	}
	w->digest = cn_hash64(out, n, w->digest + slot * 2 + (uint64_t)side);
	if (!w->is_calm && cn_prng_chance(&w->prng, w->flip_chance, 10000)) {
		flip(w, out, n);
	}
	pipe_put(&c->pipe[side], out, n);
	if (cn_prng_chance(&w->prng, 1, 4)) {
		cn_link_path(link, slot, cn_prng_below(&w->prng, 100000000),
		    cn_prng_below(&w->prng, 50000),
		    cn_prng_chance(&w->prng, 1, 2));
	}
}

static void
hand_over(struct world *w, uint32_t slot, int from)
{
	struct carrier *c = &w->carrier[slot];
	struct cn_link *link = w->proc[1 - from].link;
	struct pipe *p = &c->pipe[from];
	size_t given, used = 0;
	int r;

	if (link == NULL || !c->is_up[1 - from] || p->len == 0 ||
	    w->now < c->stalled_until[from]) {
		return;
	}
	given = p->len;
	if (!w->is_calm && (w->is_tiny || cn_prng_chance(&w->prng, 1, 3))) {
		size_t more =
		    1 + cn_prng_below(&w->prng, w->is_tiny ? 1000 : p->len);

		given = CN_MIN(p->len, c->shown[from] + more);
	}
	r = cn_link_receive(link, slot, p->bytes, given, w->now, &used);
	if (r != CN_OK && w->tally.flips == 0 && w->fate < FATE_MEMORY) {
		world_fail(w, "side %d refused good bytes: %d", 1 - from, r);
	}
	/* What was not taken stays in front, as in a carrier's buffer. */
	memmove(p->bytes, p->bytes + used, p->len - used);
	p->len -= used;
	c->shown[from] = given - used;
}

void
carrier_down(struct world *w, uint32_t slot, int side)
{
	struct carrier *c = &w->carrier[slot];

	c->is_up[side] = false;
	c->dial_at = w->now +
	    cn_prng_below(
		&w->prng, cn_prng_chance(&w->prng, 1, 10) ? 4000000 : 20000);
}

void
carrier_cut(struct world *w, uint32_t slot)
{
	struct carrier *c = &w->carrier[slot];

	w->tally.cuts++;
	w->was_faulty = true;
	for (int side = 0; side < 2; side++) {
		/* Some bytes on their way still arrive, cut anywhere. */
		size_t keep = cn_prng_below(&w->prng, c->pipe[side].len + 1);

		c->pipe[side].len = keep;
		c->shown[side] = CN_MIN(c->shown[side], keep);
		if (cn_prng_chance(&w->prng, 1, 2)) {
			hand_over(w, slot, side);
		}
		c->pipe[side].len = 0;
		c->shown[side] = 0;
	}
	for (int side = 0; side < 2; side++) {
		if (c->is_up[side] && w->proc[side].link != NULL) {
			cn_link_detach(w->proc[side].link, slot, w->now);
		}
		carrier_down(w, slot, side);
	}
}

/* A half-dead carrier: one side has it still. */
void
carrier_redial(struct world *w, uint32_t slot)
{
	struct carrier *c = &w->carrier[slot];

	if ((c->is_up[0] && c->is_up[1]) || w->now < c->dial_at ||
	    w->is_cut_off || w->is_over ||
	    (w->dead == (int)slot && c->generation > 0)) {
		return;
	}
	c->generation++;
	for (int side = 0; side < 2; side++) {
		struct cn_link *link = w->proc[side].link;

		c->pipe[side].len = 0;
		c->shown[side] = 0;
		if (c->is_up[side] && cn_prng_chance(&w->prng, 1, 2)) {
			cn_link_detach(link, slot, w->now);
		}
		if (cn_link_attach(link, slot, c->generation,
			&w->proc[1 - side].hello, w->now) != CN_OK) {
			if (!w->may_lose && w->fate != FATE_MEMORY) {
				world_fail(w, "attach refused");
			}
			carrier_down(w, slot, side);
			return;
		}
		c->is_up[side] = true;
		app_events(w, side);
	}
}

void
carrier_adversary(struct world *w)
{
	uint32_t slot = (uint32_t)cn_prng_below(&w->prng, w->slots);
	struct carrier *c = &w->carrier[slot];
	bool is_due = w->cut_soon > 0 && --w->cut_soon == 0;

	if ((is_due || cn_prng_chance(&w->prng, w->cut_chance, 10000)) &&
	    (c->is_up[0] || c->is_up[1])) {
		carrier_cut(w, slot);
	}
	if (cn_prng_chance(&w->prng, w->stall_chance, 10000)) {
		c->stalled_until[cn_prng_below(&w->prng, 2)] =
		    w->now + cn_prng_below(&w->prng, 20000000);
	}
}

void
carrier_turn(struct world *w, uint32_t slot)
{
	carrier_redial(w, slot);
	for (int side = 0; side < 2; side++) {
		pull(w, slot, side);
		hand_over(w, slot, side);
		app_events(w, 1 - side);
	}
}

void
carriers_free(struct world *w)
{
	for (uint32_t i = 0; i < w->slots; i++) {
		free(w->carrier[i].pipe[0].bytes);
		free(w->carrier[i].pipe[1].bytes);
	}
}
