/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two whole engines in one process, with a seeded adversary between them.
 *
 * Each seed makes a world: two links, a few carriers of bytes, a clock, and
 * applications that write, read, half-close and reset as they like.  For a
 * while the adversary cuts carriers at any byte, stalls them, hands over tiny
 * pieces and damages blocks; then it rests, and everything must finish.
 *
 * The judge is a ledger: every byte read must be the byte that was written at
 * that offset; a clean end only on complete data; a reset only where one is
 * explained; no memory kept at the end.
 *
 *   sim [--seeds N] [--first SEED] [--seed SEED] [--verbose]
 *
 * Prints each failing seed with the reason, then `N passed, N failed'.
 */

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/pool.h"
#include "base/rand.h"
#include "codec/codec.h"
#include "hostile.h"
#include "link/link.h"
#include "wire/block.h"

#define SIM_STREAMS 40
#define SIM_SLOTS 3
#define SIM_STEPS_CALM 100000

struct pipe {
	uint8_t *bytes;
	size_t len, cap;
};

struct carrier {
	bool is_up[2]; /* attached at that side */
	uint64_t generation;
	uint64_t dial_at;    /* when it is dialled again, if down */
	struct pipe pipe[2]; /* written by side 0, by side 1 */
	size_t shown[2];     /* bytes of the pipe that arrived so far */
	uint64_t stalled_until[2];
};

enum how { HOW_NOT, HOW_CLEAN, HOW_RESET };

/* One application end of one stream. */
struct end {
	struct cn_stream *stream;
	uint64_t length;   /* that it wants to send */
	uint64_t written;  /* given to the engine */
	uint64_t read;     /* taken from it */
	uint64_t reset_at; /* resets itself once it wrote and read so much */
	uint64_t wakes_at; /* reads nothing before */
	uint32_t write_max, read_max;
	bool is_full;     /* no room: waits for WRITABLE */
	bool is_empty;    /* nothing to read: waits for READABLE */
	bool is_finished; /* said end of file */
	bool is_shut;     /* saw the other's end of file */
	bool did_reset;
	enum how how;
};

struct flow {
	uint32_t key;
	int opener;
	bool is_open, is_accepted, is_text;
	bool is_refused; /* the acceptor resets at once */
	struct end end[2];
};

/* What befalls a world once, besides the adversary's daily work. */
enum fate {
	FATE_NONE,
	FATE_LOST,   /* no carrier comes back: the resume window ends */
	FATE_CRASH,  /* one side's process dies; the other is told so */
	FATE_EVIL,   /* the same, but first it says anything */
	FATE_DRAIN,  /* one side wants to go */
	FATE_MEMORY, /* allocations fail now and then */
	FATE_POOR    /* the pools are small from the start */
};

struct world {
	uint64_t seed, now;
	struct cn_prng prng;
	struct cn_link *link[2];
	struct cn_pool *pool[2];
	struct cn_codec *codec[2];
	struct cn_hello hello[2];
	uint32_t slots;
	struct carrier carrier[SIM_SLOTS];
	struct flow flow[SIM_STREAMS];
	int flows;
	enum fate fate;
	uint64_t fate_step; /* when it strikes */
	bool is_struck;
	bool is_cut_off; /* no carrier comes back */
	int crashed;     /* side whose link is gone; -1: none */
	bool is_calm;    /* the adversary rests */
	bool may_lose;   /* resets by a lost link are explained */
	unsigned cut_chance, flip_chance, stall_chance; /* of 10000 a step */
	bool is_tiny; /* carriers hand over a few bytes at a time */
	bool is_edgy; /* applications move only when told to */
	int dead;     /* carrier that does not come back once cut; -1: none */
	uint64_t cuts, flips;
	bool is_failed;
	char why[256];
};

static bool is_verbose;

static void __attribute__((format(printf, 2, 3)))
fail(struct world *w, const char *format, ...)
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

/* ---- content ---- */

/* What stands at an offset of a direction; text or noise. */
static void
content(
    const struct flow *f, int side, uint64_t offset, uint8_t *out, size_t len)
{
	uint64_t key = (uint64_t)f->key * 2 + (uint64_t)side;

	for (size_t i = 0; i < len;) {
		uint64_t at = offset + i;
		uint64_t word[2] = { key, at / 8 };
		uint64_t h = cn_hash64(word, sizeof(word), 7);
		uint8_t bytes[8];

		if (f->is_text) { /* sixteen words in all */
			h = cn_hash64(&(uint64_t){ h % 16 }, 8, 9);
			for (int j = 0; j < 8; j++) {
				bytes[j] = (uint8_t)('a' + (h >> (j * 8)) % 26);
			}
		} else {
			memcpy(bytes, &h, sizeof(bytes));
		}
		for (size_t j = at % 8; j < 8 && i < len; j++, i++) {
			out[i] = bytes[j];
		}
	}
}

/* ---- applications ---- */

static struct flow *
flow_of(struct world *w, const struct cn_stream *s)
{
	unsigned index = 0;

	for (const char *p = cn_stream_service(s) + 1; *p != '\0'; p++) {
		index = index * 10 + (unsigned)(*p - '0');
	}
	assert(index < (unsigned)w->flows);
	return &w->flow[index];
}

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
	size_t want = CN_MIN((size_t)(e->length - e->written), most);

	if (want == 0) {
		if (!e->is_finished && e->written == e->length) {
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

		content(f, side, e->written + got, spans[i].data, part);
		got += part;
	}
	cn_stream_fill(e->stream, got, cn_prng_chance(&w->prng, 1, 2), w->now);
	e->written += got;
}

static void
end_read(struct world *w, int side, struct flow *f)
{
	static uint8_t expected[1 << 20];
	struct end *e = &f->end[side];
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
	for (size_t i = 0; i < n && taken < most; i++) {
		size_t part = CN_MIN(spans[i].len, most - taken);

		part = CN_MIN(part, sizeof(expected));
		content(f, 1 - side, e->read + taken, expected, part);
		if (memcmp(expected, spans[i].data, part) != 0) {
			fail(w, "flow %u: wrong bytes near %llu", f->key,
			    (unsigned long long)(e->read + taken));
		}
		taken += part;
		if (part < spans[i].len) {
			break;
		}
	}
	cn_stream_consume(e->stream, taken, w->now);
	e->read += taken;
	if (e->read > f->end[1 - side].written) {
		fail(w, "flow %u: read more than was written", f->key);
	}
	if (cn_stream_at_end(e->stream) && !e->is_shut) {
		if (!f->end[1 - side].is_finished ||
		    e->read != f->end[1 - side].length) {
			fail(w, "flow %u: end of file on %llu of %llu bytes",
			    f->key, (unsigned long long)e->read,
			    (unsigned long long)f->end[1 - side].length);
		}
		cn_stream_shut(e->stream, w->now);
		e->is_shut = true;
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

static void
flow_open(struct world *w, struct flow *f)
{
	struct cn_link_open open = { 0 };
	char name[16];
	int r;

	snprintf(name, sizeof(name), "s%u", f->key);
	open.service = name;
	open.scope = f->key % 3;
	open.client = f->key % 2 == 0 ? "192.0.2.1:4711" : NULL;
	open.profile.coalesce_us = (uint32_t)cn_prng_below(&w->prng, 5000);
	open.profile.level_min = 1;
	open.profile.level_max = f->key % 5 == 0 ? 0 : 3;
	if (open.profile.level_max == 0) {
		open.profile.level_min = 0;
	}
	r = cn_stream_open(
	    w->link[f->opener], &open, f, w->now, &f->end[f->opener].stream);
	f->is_open = true;
	if (r != CN_OK) {
		f->end[f->opener].how = HOW_RESET;
		f->end[f->opener].did_reset = true;
		if (!w->is_struck) {
			fail(w, "flow %u: open: %d", f->key, r);
		}
	}
}

/* ---- events ---- */

/* Is a reset at this end explained? */
static bool
is_explained(const struct world *w, const struct flow *f, int side)
{
	return w->may_lose || f->end[1 - side].did_reset || f->is_refused;
}

static void
stream_over(struct world *w, int side, const struct cn_link_event *ev)
{
	struct flow *f = flow_of(w, ev->stream);
	struct end *e = &f->end[side];

	if (ev->type == CN_LINK_EVENT_ENDED) {
		if (!e->is_shut || !e->is_finished ||
		    (f->end[1 - side].how == HOW_RESET && !w->may_lose &&
			!f->end[1 - side].did_reset)) {
			fail(w, "flow %u: clean end too early", f->key);
		}
		e->how = HOW_CLEAN;
	} else {
		if (!is_explained(w, f, side)) {
			fail(w, "flow %u side %d: reset by %llu unexplained",
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
	static const struct cn_link_profile profile = { 2000, 1, 3, true };

	if (f->opener == side || f->is_accepted) {
		fail(w, "flow %u: opened twice", f->key);
		return;
	}
	if (strcmp(cn_stream_client(s),
		f->key % 2 == 0 ? "192.0.2.1:4711" : "") != 0) {
		fail(w, "flow %u: wrong client", f->key);
	}
	f->is_accepted = true;
	f->end[side].stream = s;
	cn_stream_set_profile(s, &profile);
	if (f->is_refused) {
		end_reset(w, side, f, CN_RESET_REFUSED);
	}
}

static void
carrier_down(struct world *w, uint32_t slot, int side)
{
	struct carrier *c = &w->carrier[slot];

	c->is_up[side] = false;
	c->dial_at = w->now +
	    cn_prng_below(
		&w->prng, cn_prng_chance(&w->prng, 1, 10) ? 4000000 : 20000);
}

static void
events(struct world *w, int side)
{
	struct cn_link_event ev;

	while (w->link[side] != NULL && cn_link_event(w->link[side], &ev)) {
		switch (ev.type) {
		case CN_LINK_EVENT_OPEN:
			stream_accepted(w, side, ev.stream);
			break;
		case CN_LINK_EVENT_READABLE:
			flow_of(w, ev.stream)->end[side].is_empty = false;
			break;
		case CN_LINK_EVENT_WRITABLE:
			flow_of(w, ev.stream)->end[side].is_full = false;
			break;
		case CN_LINK_EVENT_ENDED:
		case CN_LINK_EVENT_RESET:
			stream_over(w, side, &ev);
			break;
		case CN_LINK_EVENT_CARRIER:
			if (w->flips == 0 && w->fate < FATE_MEMORY &&
			    ev.reason != CN_CLOSE_TIMEOUT) {
				fail(w, "carrier %u refused by side %d: %llu",
				    ev.slot, side,
				    (unsigned long long)ev.reason);
			}
			carrier_down(w, ev.slot, side);
			break;
		case CN_LINK_EVENT_DRAINING:
			if (w->fate != FATE_DRAIN) {
				fail(w, "draining unasked");
			}
			break;
		case CN_LINK_EVENT_LOST:
			if (!w->may_lose) {
				fail(w, "link lost");
			}
			break;
		}
	}
}

/* ---- carriers ---- */

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
	w->flips++;
}

static void
pull(struct world *w, uint32_t slot, int side)
{
	uint8_t out[CN_FRAGMENT_MAX * 2];
	struct carrier *c = &w->carrier[slot];
	size_t limit = w->is_tiny ? 20000 : 200000;
	size_t n;

	if (w->link[side] == NULL || !c->is_up[side] ||
	    c->pipe[side].len >= limit) {
		return;
	}
	n = cn_link_pull(w->link[side], slot, out,
	    CN_FRAGMENT_MAX + cn_prng_below(&w->prng, CN_FRAGMENT_MAX), w->now);
	if (n == 0) {
		return;
	}
	if (!w->is_calm && cn_prng_chance(&w->prng, w->flip_chance, 10000)) {
		flip(w, out, n);
	}
	pipe_put(&c->pipe[side], out, n);
	if (cn_prng_chance(&w->prng, 1, 4)) {
		cn_link_path(w->link[side], slot,
		    cn_prng_below(&w->prng, 100000000),
		    cn_prng_below(&w->prng, 50000),
		    cn_prng_chance(&w->prng, 1, 2));
	}
}

static void
hand_over(struct world *w, uint32_t slot, int from)
{
	struct carrier *c = &w->carrier[slot];
	struct pipe *p = &c->pipe[from];
	size_t given, used = 0;
	int r;

	if (w->link[1 - from] == NULL || !c->is_up[1 - from] || p->len == 0 ||
	    w->now < c->stalled_until[from]) {
		return;
	}
	given = p->len;
	if (!w->is_calm && (w->is_tiny || cn_prng_chance(&w->prng, 1, 3))) {
		size_t more =
		    1 + cn_prng_below(&w->prng, w->is_tiny ? 1000 : p->len);

		given = CN_MIN(p->len, c->shown[from] + more);
	}
	r = cn_link_receive(
	    w->link[1 - from], slot, p->bytes, given, w->now, &used);
	if (r != CN_OK && w->flips == 0 && w->fate < FATE_MEMORY) {
		fail(w, "side %d refused good bytes: %d", 1 - from, r);
	}
	/* What was not taken stays in front, as in a carrier's buffer. */
	memmove(p->bytes, p->bytes + used, p->len - used);
	p->len -= used;
	c->shown[from] = given - used;
}

static void
cut(struct world *w, uint32_t slot)
{
	struct carrier *c = &w->carrier[slot];

	w->cuts++;
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
		if (c->is_up[side] && w->link[side] != NULL) {
			cn_link_detach(w->link[side], slot, w->now);
		}
		carrier_down(w, slot, side);
	}
}

/* A half-dead carrier: one side has it still. */
static void
redial(struct world *w, uint32_t slot)
{
	struct carrier *c = &w->carrier[slot];

	if ((c->is_up[0] && c->is_up[1]) || w->now < c->dial_at ||
	    w->is_cut_off || w->crashed >= 0 ||
	    (w->dead == (int)slot && c->generation > 0)) {
		return;
	}
	c->generation++;
	for (int side = 0; side < 2; side++) {
		c->pipe[side].len = 0;
		c->shown[side] = 0;
		if (c->is_up[side] && cn_prng_chance(&w->prng, 1, 2)) {
			cn_link_detach(w->link[side], slot, w->now);
		}
		if (cn_link_attach(w->link[side], slot, c->generation,
			&w->hello[1 - side], w->now) != CN_OK) {
			if (!w->may_lose) {
				fail(w, "attach refused");
			}
			carrier_down(w, slot, side);
			return;
		}
		c->is_up[side] = true;
		events(w, side);
	}
}

/* ---- a world ---- */

static void
make_flow(struct world *w, struct flow *f, uint32_t key)
{
	bool is_bulk = cn_prng_chance(&w->prng, 1, 4);

	f->key = key;
	f->opener = (int)cn_prng_below(&w->prng, 2);
	f->is_text = cn_prng_chance(&w->prng, 2, 3);
	f->is_refused = cn_prng_chance(&w->prng, 1, 30);
	for (int side = 0; side < 2; side++) {
		struct end *e = &f->end[side];

		e->length = cn_prng_below(&w->prng, is_bulk ? 600000 : 5000);
		if (cn_prng_chance(&w->prng, 1, 8)) {
			e->length = 0;
		}
		e->reset_at = UINT64_MAX;
		if (cn_prng_chance(&w->prng, 1, 20)) {
			e->reset_at = cn_prng_below(&w->prng, e->length + 1);
		}
		e->write_max = is_bulk ? 100000 : 300;
		e->read_max = cn_prng_chance(&w->prng, 1, 6) ? 50 : 200000;
	}
}

static int
make_world(struct world *w, uint64_t seed)
{
	struct cn_codec_config codec = { .contexts_bytes = 64u << 20,
		.lane_window_log = 17,
		.lane_level = 1 };
	struct cn_link_config config = { 0 };
	uint64_t pool_bytes = UINT64_C(64) << 20;
	int r = CN_OK;

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	cn_prng_init(&w->prng, seed);
	w->now = 1000000 + cn_prng_below(&w->prng, 1000000);
	w->slots = 1 + (uint32_t)cn_prng_below(&w->prng, SIM_SLOTS);
	w->flows = 1 + (int)cn_prng_below(&w->prng, SIM_STREAMS);
	w->crashed = w->dead = -1;
	w->is_edgy = cn_prng_chance(&w->prng, 1, 2);
	if (w->slots > 1 && cn_prng_chance(&w->prng, 1, 4)) {
		w->dead = (int)cn_prng_below(&w->prng, w->slots);
	}
	if (cn_prng_chance(&w->prng, 1, 3)) {
		w->fate = (enum fate)cn_prng_below(&w->prng, 7);
	}
	if (w->fate == FATE_POOR) {
		w->may_lose = w->is_struck = true;
		pool_bytes = (256u << 10) << cn_prng_below(&w->prng, 4);
	}
	w->is_tiny = cn_prng_chance(&w->prng, 1, 4);
	w->cut_chance = cn_prng_chance(&w->prng, 1, 3)
	    ? 0
	    : (unsigned)cn_prng_below(&w->prng, 200);
	w->stall_chance = (unsigned)cn_prng_below(&w->prng, 50);
	w->flip_chance = cn_prng_chance(&w->prng, 2, 3)
	    ? 0
	    : (unsigned)cn_prng_below(&w->prng, 300);
	config.slots = w->slots;
	config.credit_floor = 4096u << cn_prng_below(&w->prng, 4);
	config.window_max = config.credit_floor << cn_prng_below(&w->prng, 8);
	config.window_max = CN_MIN(config.window_max, CN_LINK_WINDOW_MAX);
	config.streams_max = SIM_STREAMS;
	config.lanes = (uint32_t)cn_prng_below(&w->prng, 5);
	config.resume_window_us = UINT64_C(600000000);
	for (int side = 0; side < 2 && r == CN_OK; side++) {
		config.is_dialler = side == 0;
		r = cn_pool_create(pool_bytes, &w->pool[side]);
		if (r == CN_OK) {
			r = cn_codec_create(&codec, &w->codec[side]);
		}
		config.pool = w->pool[side];
		config.codec = w->codec[side];
		if (r == CN_OK) {
			r = cn_link_create(&config, w->now, &w->link[side]);
		}
		cn_link_limits(&config, &w->hello[side]);
	}
	for (int i = 0; i < w->flows; i++) {
		make_flow(w, &w->flow[i], (uint32_t)i);
	}
	return r;
}

static void
free_world(struct world *w)
{
	for (int side = 0; side < 2; side++) {
		cn_link_free(&w->link[side]);
		if (!w->is_failed &&
		    (cn_pool_used(w->pool[side]) != 0 ||
			cn_pool_promised(w->pool[side]) != 0)) {
			fail(w, "side %d keeps %llu bytes, promises %llu", side,
			    (unsigned long long)cn_pool_used(w->pool[side]),
			    (unsigned long long)cn_pool_promised(
				w->pool[side]));
		}
		cn_codec_free(&w->codec[side]);
		if (!w->is_failed) {
			cn_pool_free(&w->pool[side]);
		}
	}
	for (uint32_t i = 0; i < w->slots; i++) {
		free(w->carrier[i].pipe[0].bytes);
		free(w->carrier[i].pipe[1].bytes);
	}
}

static void
adversary(struct world *w)
{
	uint32_t slot = (uint32_t)cn_prng_below(&w->prng, w->slots);
	struct carrier *c = &w->carrier[slot];

	if (cn_prng_chance(&w->prng, w->cut_chance, 10000) &&
	    (c->is_up[0] || c->is_up[1])) {
		cut(w, slot);
	}
	if (cn_prng_chance(&w->prng, w->stall_chance, 10000)) {
		c->stalled_until[cn_prng_below(&w->prng, 2)] =
		    w->now + cn_prng_below(&w->prng, 20000000);
	}
}

/* What was said to the survivor must not kill it, nor keep it busy. */
static void
say_anything(struct world *w, struct cn_link *victim)
{
	uint8_t out[4 * CN_FRAGMENT_MAX];
	struct cn_link_event ev;

	for (int i = 0; i < 300 && !w->is_failed; i++) {
		size_t len = hostile_fragment(&w->prng, out), used;

		if (!cn_link_is_up(victim, 0) &&
		    cn_link_attach(victim, 0, ++w->carrier[0].generation,
			&w->hello[0], w->now) != CN_OK) {
			fail(w, "attach refused after lies");
			return;
		}
		(void)!cn_link_receive(victim, 0, out, len, w->now, &used);
		for (int n = 0;
		     cn_link_pull(victim, 0, out, sizeof(out), w->now) > 0;
		     n++) {
			if (n > 1000) {
				fail(w, "pull has no end");
				return;
			}
		}
		w->now += cn_prng_below(&w->prng, 100000);
		cn_link_tick(victim, w->now);
		if (cn_link_deadline(victim) <= w->now) {
			fail(w, "deadline stays after lies");
		}
		while (cn_link_event(victim, &ev)) {
			if (ev.type == CN_LINK_EVENT_OPEN) {
				cn_stream_reset(
				    ev.stream, CN_RESET_REFUSED, w->now);
			} else if (ev.type == CN_LINK_EVENT_ENDED ||
			    ev.type == CN_LINK_EVENT_RESET) {
				struct flow *f = flow_of(w, ev.stream);
				int side =
				    f->end[0].stream == ev.stream ? 0 : 1;

				f->end[side].stream = NULL;
				f->end[side].how = HOW_RESET;
				cn_stream_release(ev.stream);
			}
		}
	}
}

/* The process of one side dies: its applications see resets, its link and
 * all it knew are gone.  The other side redials and hears LINK_UNKNOWN. */
static void
crash(struct world *w)
{
	int side = (int)cn_prng_below(&w->prng, 2);

	for (uint32_t i = 0; i < w->slots; i++) {
		cut(w, i);
	}
	cn_link_free(&w->link[side]);
	w->crashed = side;
	for (int i = 0; i < w->flows; i++) {
		struct end *e = &w->flow[i].end[side];

		if (e->stream != NULL) {
			e->stream = NULL;
			e->how = HOW_RESET;
			e->did_reset = true;
		}
	}
	events(w, 1 - side);
	if (w->fate == FATE_EVIL) {
		say_anything(w, w->link[1 - side]);
	}
	cn_link_reset_all(w->link[1 - side], CN_RESET_LINK_LOST, w->now);
	events(w, 1 - side);
	cn_link_free(&w->link[1 - side]);
}

static void
strike(struct world *w)
{
	w->is_struck = true;
	w->may_lose = w->fate != FATE_NONE;
	switch (w->fate) {
	case FATE_NONE:
	case FATE_MEMORY:
	case FATE_POOR:
		break;
	case FATE_LOST:
		w->is_cut_off = true;
		for (uint32_t i = 0; i < w->slots; i++) {
			cut(w, i);
		}
		w->now += cn_prng_below(&w->prng, 2) * UINT64_C(700000000);
		break;
	case FATE_CRASH:
	case FATE_EVIL:
		crash(w);
		break;
	case FATE_DRAIN:
		cn_link_drain(w->link[cn_prng_below(&w->prng, 2)]);
		break;
	}
}

static bool
is_all_over(const struct world *w)
{
	if (w->crashed >= 0) {
		return true;
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
step(struct world *w)
{
	struct flow *f = &w->flow[cn_prng_below(&w->prng, (uint64_t)w->flows)];

	w->now += cn_prng_below(
	    &w->prng, cn_prng_chance(&w->prng, 1, 50) ? 30000 : 300);
	if (cn_prng_chance(&w->prng, 1, 3000)) {
		w->now += cn_prng_below(&w->prng, 60000000);
	}
	if (!f->is_open && w->link[f->opener] != NULL) {
		flow_open(w, f);
	}
	for (int side = 0; side < 2 && !w->is_failed; side++) {
		end_step(w, side, f);
	}
	if (!w->is_calm) {
		adversary(w);
	}
	for (uint32_t slot = 0; slot < w->slots; slot++) {
		redial(w, slot);
		for (int side = 0; side < 2; side++) {
			pull(w, slot, side);
			hand_over(w, slot, side);
			events(w, 1 - side);
		}
	}
	for (int side = 0; side < 2; side++) {
		if (w->link[side] == NULL) {
			continue;
		}
		if (cn_link_deadline(w->link[side]) <= w->now) {
			cn_link_tick(w->link[side], w->now);
			if (cn_link_deadline(w->link[side]) <= w->now) {
				fail(w, "side %d: its deadline stays", side);
			}
		}
		events(w, side);
	}
}

static void
judge(struct world *w)
{
	for (int i = 0; i < w->flows && !w->is_failed; i++) {
		struct flow *f = &w->flow[i];
		bool is_reset =
		    w->may_lose || f->end[0].did_reset || f->end[1].did_reset;

		for (int side = 0; side < 2; side++) {
			struct end *e = &f->end[side];

			if (e->stream != NULL || !f->is_open ||
			    (!f->is_accepted && side != f->opener)) {
				continue;
			}
			if (e->how == HOW_NOT ||
			    (e->how == HOW_RESET && !is_reset)) {
				fail(w, "flow %u: side %d ended as %d", f->key,
				    side, (int)e->how);
			}
		}
	}
}

static void
tell_stuck(struct world *w)
{
	for (int i = 0; i < w->flows; i++) {
		struct flow *f = &w->flow[i];

		for (int side = 0; side < 2; side++) {
			struct end *e = &f->end[side];
			struct cn_stream_stats st;

			if (e->stream == NULL) {
				continue;
			}
			cn_stream_stats(e->stream, &st);
			fprintf(stderr,
			    "  flow %u side %d: wrote %llu/%llu "
			    "read %llu of %llu%s%s unacked %llu window %llu "
			    "unread %llu slot %u%s\n",
			    f->key, side, (unsigned long long)e->written,
			    (unsigned long long)e->length,
			    (unsigned long long)e->read,
			    (unsigned long long)f->end[1 - side].length,
			    e->is_finished ? " finished" : "",
			    e->is_shut ? " shut" : "",
			    (unsigned long long)st.unacked,
			    (unsigned long long)st.window_sent,
			    (unsigned long long)st.unread, st.slot,
			    st.is_confirmed ? "" : " unconfirmed");
		}
	}
}

static bool
run_seed(uint64_t seed)
{
	static struct world w;
	uint64_t steps = 0, wild;

	if (make_world(&w, seed) != CN_OK) {
		fail(&w, "no memory");
	}
	wild = 500 + cn_prng_below(&w.prng, 8000);
	w.fate_step = cn_prng_below(&w.prng, wild);
	while (
	    !w.is_failed && steps < wild + SIM_STEPS_CALM && !is_all_over(&w)) {
		w.is_calm = steps >= wild;
		if (w.is_calm) {
			for (uint32_t i = 0; i < w.slots; i++) {
				w.carrier[i].stalled_until[0] = 0;
				w.carrier[i].stalled_until[1] = 0;
			}
		}
		if (steps >= w.fate_step && !w.is_struck) {
			strike(&w);
		}
		if (w.fate == FATE_MEMORY && w.is_struck) {
			cn_alloc_fail_at(
			    w.is_calm ? 0 : 1 + cn_prng_below(&w.prng, 30));
		}
		if (w.is_cut_off && w.is_calm) {
			w.now += 100000;
		}
		step(&w);
		steps++;
	}
	if (!w.is_failed && !is_all_over(&w)) {
		fail(&w, "stuck after %llu steps, %llu cuts, %llu flips",
		    (unsigned long long)steps, (unsigned long long)w.cuts,
		    (unsigned long long)w.flips);
		tell_stuck(&w);
	}
	cn_alloc_fail_at(0);
	judge(&w);
	free_world(&w);
	if (w.is_failed) {
		fprintf(
		    stderr, "seed %llu: %s\n", (unsigned long long)seed, w.why);
	} else if (is_verbose) {
		printf("seed %llu: %d flows, %llu steps, %llu cuts, "
		       "%llu flips\n",
		    (unsigned long long)seed, w.flows,
		    (unsigned long long)steps, (unsigned long long)w.cuts,
		    (unsigned long long)w.flips);
	}
	return !w.is_failed;
}

int
main(int argc, char **argv)
{
	uint64_t first = 1, seeds = 100, failed = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
			seeds = strtoull(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--first") == 0 && i + 1 < argc) {
			first = strtoull(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
			first = strtoull(argv[++i], NULL, 10);
			seeds = 1;
		} else if (strcmp(argv[i], "--verbose") == 0) {
			is_verbose = true;
		} else {
			fprintf(stderr,
			    "usage: sim [--seeds N] "
			    "[--first SEED] [--seed SEED] [--verbose]\n");
			return 2;
		}
	}
	for (uint64_t seed = first; seed < first + seeds; seed++) {
		if (!run_seed(seed)) {
			failed++;
		}
	}
	printf("%llu passed, %llu failed\n",
	    (unsigned long long)(seeds - failed), (unsigned long long)failed);
	return failed == 0 ? 0 : 1;
}
