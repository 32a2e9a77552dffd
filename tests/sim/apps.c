/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "base/attr.h"
#include "base/err.h"
#include "world.h"

/* ---- flows ---- */

static enum kind
own_kind(struct world *w)
{
	return cn_prng_chance(&w->prng, 2, 3) ? KIND_TEXT : KIND_NOISE;
}

static void
make_end(struct world *w, struct flow *f, int side, bool is_bulk)
{
	struct end *e = &f->end[side];
	uint64_t key = w->seed << 20 | (uint64_t)f->key << 1 | (uint64_t)side;
	uint64_t length = cn_prng_below(&w->prng, is_bulk ? 600000 : 5000);

	if (is_bulk && w->is_heavy) {
		length *= 5;
	}
	if (cn_prng_chance(&w->prng, 1, 8)) {
		length = 0;
	}
	if (cn_prng_chance(&w->prng, 1, 2)) {
		content_own(&e->content, key, length, own_kind(w));
	} else {
		content_shared(&e->content, &w->prng, w->seed, key, length);
	}
	e->reset_at = UINT64_MAX;
	if (cn_prng_chance(&w->prng, 1, 20)) {
		e->reset_at = cn_prng_below(&w->prng, length + 1);
	}
	e->write_max = is_bulk ? 100000 : 300;
	e->read_max = cn_prng_chance(&w->prng, 1, 6) ? 50 : 200000;
}

void
flow_make(struct world *w, struct flow *f, uint32_t key)
{
	bool is_bulk = cn_prng_chance(&w->prng, 1, 4);

	f->key = key;
	f->opener = (int)cn_prng_below(&w->prng, 2);
	f->scope = cn_prng_below(&w->prng, SIM_SCOPES);
	f->is_unstored = cn_prng_chance(&w->prng, 1, 8);
	f->is_refused = cn_prng_chance(&w->prng, 1, 30);
	for (int side = 0; side < 2; side++) {
		make_end(w, f, side, is_bulk);
	}
}

struct flow *
flow_of(struct world *w, const struct cn_stream *s)
{
	unsigned index = 0;

	for (const char *p = cn_stream_service(s) + 1; *p != '\0'; p++) {
		index = index * 10 + (unsigned)(*p - '0');
	}
	assert(index < (unsigned)w->flows);
	return &w->flow[index];
}

void
flow_open(struct world *w, struct flow *f)
{
	struct cn_link_open open = { 0 };
	char name[16];
	int r;

	snprintf(name, sizeof(name), "s%u", f->key);
	open.service = name;
	open.scope = f->scope;
	open.client = f->key % 2 == 0 ? "192.0.2.1:4711" : NULL;
	open.is_unstored = f->is_unstored;
	open.profile.coalesce_us = (uint32_t)cn_prng_below(&w->prng, 5000);
	open.profile.level_min = 1;
	open.profile.level_max = f->key % 5 == 0 ? 0 : 3;
	open.profile.dedup = f->is_steady || f->key % 7 != 0;
	if (open.profile.level_max == 0) {
		open.profile.level_min = 0;
	}
	r = cn_stream_open(w->proc[f->opener].link, &open, f, w->now,
	    &f->end[f->opener].stream);
	f->is_open = true;
	if (r != CN_OK) {
		f->end[f->opener].how = HOW_RESET;
		f->end[f->opener].did_reset = true;
		if (!w->may_lose && w->fate != FATE_MEMORY) {
			world_fail(w, "flow %u: open: %d", f->key, r);
		}
	}
}

/* ---- what an application does ---- */

static void
end_reset(struct world *w, int side, struct flow *f, enum cn_reset reason)
{
	struct end *e = &f->end[side];

	cn_stream_reset(e->stream, reason, w->now);
	e->stream = NULL;
	e->did_reset = true;
	e->how = HOW_RESET;
}

static void
end_write(struct world *w, int side, struct flow *f)
{
	struct end *e = &f->end[side];
	struct cn_span spans[8];
	size_t n, got = 0, most = 1 + cn_prng_below(&w->prng, e->write_max);
	size_t want = CN_MIN((size_t)(e->content.length - e->written), most);
	bool is_drained = cn_prng_chance(&w->prng, 1, 2) && !f->is_steady;

	if (want == 0) {
		if (!e->is_finished && e->written == e->content.length) {
			cn_stream_finish(e->stream, w->now);
			e->is_finished = true;
		}
		return;
	}
	if (w->is_edgy && e->is_full) {
		return;
	}
	n = cn_stream_fill_spans(
	    e->stream, spans, 1 + cn_prng_below(&w->prng, CN_ARRAY_LEN(spans)));
	e->is_full = n == 0;
	for (size_t i = 0; i < n && got < want; i++) {
		size_t part = CN_MIN(spans[i].len, want - got);

		content_bytes(
		    &e->content, e->written + got, spans[i].data, part);
		got += part;
	}
	cn_stream_fill(e->stream, got, is_drained, w->now);
	e->written += got;
}

/* The other's end of file. */
static void
end_hear_end(struct world *w, int side, struct flow *f)
{
	struct end *e = &f->end[side];
	const struct end *other = &f->end[1 - side];

	if (!other->is_finished || e->read != other->content.length) {
		world_fail(w, "flow %u: end of file on %llu of %llu bytes",
		    f->key, (unsigned long long)e->read,
		    (unsigned long long)other->content.length);
	}
	cn_stream_shut(e->stream, w->now);
	e->is_shut = true;
}

static void
end_read(struct world *w, int side, struct flow *f)
{
	static uint8_t expected[1 << 20];
	struct end *e = &f->end[side];
	const struct end *other = &f->end[1 - side];
	struct cn_span spans[8];
	size_t taken = 0;
	size_t most = 1 +
	    cn_prng_below(
		&w->prng, w->is_calm ? sizeof(expected) : e->read_max);
	size_t n;

	if (w->is_edgy && e->is_empty) {
		return;
	}
	n = cn_stream_read_spans(e->stream, spans, 8);
	e->is_empty = n == 0;
	for (size_t i = 0; i < n && taken < most && !w->is_failed; i++) {
		size_t part = CN_MIN(spans[i].len, most - taken);

		part = CN_MIN(part, sizeof(expected));
		if (e->read + taken + part > other->written) {
			world_fail(
			    w, "flow %u: read more than was written", f->key);
			return;
		}
		content_bytes(&other->content, e->read + taken, expected, part);
		if (memcmp(expected, spans[i].data, part) != 0) {
			world_fail(w, "flow %u: wrong bytes near %llu", f->key,
			    (unsigned long long)(e->read + taken));
		}
		taken += part;
		if (part < spans[i].len) {
			break;
		}
	}
	cn_stream_consume(e->stream, taken, w->now);
	e->read += taken;
	if (cn_stream_at_end(e->stream) && !e->is_shut) {
		end_hear_end(w, side, f);
	}
}

static void
end_step(struct world *w, int side, struct flow *f)
{
	struct end *e = &f->end[side];

	if (e->stream == NULL) {
		return;
	}
	if (e->written + e->read >= e->reset_at) {
		end_reset(w, side, f, CN_RESET_BY_APPLICATION);
		return;
	}
	if (cn_prng_chance(&w->prng, 2, 3)) {
		end_write(w, side, f);
	}
	if (w->now >= e->wakes_at && cn_prng_chance(&w->prng, 2, 3)) {
		end_read(w, side, f);
		if (!w->is_calm && cn_prng_chance(&w->prng, 1, 200)) {
			e->wakes_at = w->now + cn_prng_below(&w->prng, 5000000);
		}
	}
}

void
flow_step(struct world *w, struct flow *f)
{
	if (!f->is_open && w->proc[f->opener].link != NULL) {
		flow_open(w, f);
	}
	for (int side = 0; side < 2 && !w->is_failed; side++) {
		end_step(w, side, f);
	}
}

/* ---- events ---- */

/* Is a reset at this end explained? */
static bool
is_explained(const struct world *w, const struct flow *f, int side)
{
	return w->may_lose || f->is_lost || f->end[1 - side].did_reset ||
	    f->is_refused;
}

static void
stream_over(struct world *w, int side, const struct cn_link_event *ev)
{
	struct flow *f = flow_of(w, ev->stream);
	struct end *e = &f->end[side];

	if (ev->type == CN_LINK_EVENT_ENDED) {
		if (!e->is_shut || !e->is_finished ||
		    (f->end[1 - side].how == HOW_RESET && !w->may_lose &&
			!f->is_lost && !f->end[1 - side].did_reset)) {
			world_fail(w, "flow %u: clean end too early", f->key);
		}
		e->how = HOW_CLEAN;
	} else {
		if (!is_explained(w, f, side)) {
			world_fail(w,
			    "flow %u side %d: reset by %llu unexplained",
			    f->key, side, (unsigned long long)ev->reason);
		}
		e->how = HOW_RESET;
	}
	cn_stream_release(ev->stream);
	e->stream = NULL;
}

static void
stream_accepted(struct world *w, int side, struct cn_stream *s)
{
	struct flow *f = flow_of(w, s);
	static const struct cn_link_profile profile = { 2000, 1, 3, true,
		false };

	if (f->opener == side || f->is_accepted) {
		world_fail(w, "flow %u: opened twice", f->key);
		return;
	}
	if (strcmp(cn_stream_client(s),
		f->key % 2 == 0 ? "192.0.2.1:4711" : "") != 0) {
		world_fail(w, "flow %u: wrong client", f->key);
	}
	f->is_accepted = true;
	f->end[side].stream = s;
	cn_stream_set_profile(s, &profile);
	if (f->is_refused) {
		end_reset(w, side, f, CN_RESET_REFUSED);
	}
}

/* The engine gave a carrier up: never for good bytes. */
static void
carrier_refused(struct world *w, int side, const struct cn_link_event *ev)
{
	if (w->tally.flips == 0 && w->fate < FATE_MEMORY &&
	    ev->reason != CN_CLOSE_TIMEOUT) {
		world_fail(w, "carrier %u refused by side %d: %llu", ev->slot,
		    side, (unsigned long long)ev->reason);
	}
	carrier_down(w, ev->slot, side);
}

static void
handle(struct world *w, int side, const struct cn_link_event *ev)
{
	switch (ev->type) {
	case CN_LINK_EVENT_OPEN:
		stream_accepted(w, side, ev->stream);
		break;
	case CN_LINK_EVENT_READABLE:
		flow_of(w, ev->stream)->end[side].is_empty = false;
		break;
	case CN_LINK_EVENT_WRITABLE:
		flow_of(w, ev->stream)->end[side].is_full = false;
		break;
	case CN_LINK_EVENT_ENDED:
	case CN_LINK_EVENT_RESET:
		stream_over(w, side, ev);
		break;
	case CN_LINK_EVENT_CARRIER:
		carrier_refused(w, side, ev);
		break;
	case CN_LINK_EVENT_DRAINING:
		if (w->fate != FATE_DRAIN) {
			world_fail(w, "draining unasked");
		}
		break;
	case CN_LINK_EVENT_LOST:
		if (!w->may_lose) {
			world_fail(w, "link lost");
		}
		break;
	}
}

void
app_events(struct world *w, int side)
{
	struct cn_link_event ev;

	while (w->proc[side].link != NULL &&
	    cn_link_event(w->proc[side].link, &ev)) {
		handle(w, side, &ev);
	}
}
