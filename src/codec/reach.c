/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/reach.h"

#include <string.h>

#include "base/attr.h"
#include "base/err.h"
#include "codec/match.h"

#define WORD 8u
/* Long runs are compared by the library's memcmp, in such pieces. */
#define STRIDE 1024u

/* ---- comparing ---- */

static uint64_t
load_word(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

/* Equal bytes at the begin, word by word. */
static size_t
same_words(const uint8_t *a, const uint8_t *b, size_t max)
{
	size_t n = 0;

	for (; n + WORD <= max; n += WORD) {
		uint64_t diff = load_word(a + n) ^ load_word(b + n);

		if (diff != 0) {
			return n + (size_t)__builtin_ctzll(diff) / 8;
		}
	}
	while (n < max && a[n] == b[n]) {
		n++;
	}
	return n;
}

static size_t
same_forward(const uint8_t *a, const uint8_t *b, size_t max)
{
	size_t n = CN_MIN(max, (size_t)CN_MATCH_MIN);

	/* Most candidates that differ do so at once. */
	if (same_words(a, b, n) < n) {
		return same_words(a, b, n);
	}
	while (max - n >= STRIDE && memcmp(a + n, b + n, STRIDE) == 0) {
		n += STRIDE;
	}
	return n + same_words(a + n, b + n, max - n);
}

/* Equal bytes that end where a and b point. */
static size_t
same_backward(const uint8_t *a, const uint8_t *b, size_t max)
{
	size_t n = 0;

	for (; n + WORD <= max; n += WORD) {
		uint64_t diff =
		    load_word(a - n - WORD) ^ load_word(b - n - WORD);

		if (diff != 0) {
			return n + (size_t)__builtin_clzll(diff) / 8;
		}
	}
	while (n < max && *(a - n - 1) == *(b - n - 1)) {
		n++;
	}
	return n;
}

/* ---- trails ---- */

struct cn_trail
cn_trail_through(const struct cn_place *place, size_t offset)
{
	return (struct cn_trail){
		.epoch = place->epoch,
		.base = place->pos - offset,
		.is_mine = place->is_mine,
		.is_set = true,
	};
}

struct cn_place
cn_trail_place(const struct cn_trail *trail, size_t offset)
{
	return (struct cn_place){
		.epoch = trail->epoch,
		.pos = trail->base + offset,
		.is_mine = trail->is_mine,
	};
}

bool
cn_trail_is_same(const struct cn_trail *a, const struct cn_trail *b)
{
	return a->is_set && b->is_set && a->base == b->base &&
	    a->epoch == b->epoch && a->is_mine == b->is_mine;
}

/* ---- views ---- */

void
cn_reach_end(struct cn_reach *reach)
{
	for (size_t i = 0; i < CN_REACH_SLOTS; i++) {
		cn_view_done(&reach->slot[i].view);
	}
}

static bool
slot_holds(const struct cn_reach_slot *slot, const struct cn_place *place)
{
	const struct cn_view *view = &slot->view;

	return view->segment != NULL && view->place.epoch == place->epoch &&
	    view->place.is_mine == place->is_mine &&
	    place->pos - (view->place.pos - view->before) <
	    view->before + view->after;
}

/* An empty slot, which the next call takes no more. */
static struct cn_reach_slot *
free_slot(struct cn_reach *reach)
{
	struct cn_reach_slot *slot = &reach->slot[reach->next];

	reach->next = (reach->next + 1) % CN_REACH_SLOTS;
	cn_view_done(&slot->view);
	slot->has_number = false;
	return slot;
}

static bool
is_found(struct cn_reach *reach, int err)
{
	if (err == CN_EAGAIN && reach->is_patient) {
		reach->must_wait = true;
	}
	return err == CN_OK;
}

static const struct cn_reach_slot *
pinned_slot(const struct cn_reach *reach, const struct cn_place *place)
{
	for (size_t i = 0; i < CN_REACH_SLOTS; i++) {
		if (slot_holds(&reach->slot[i], place)) {
			return &reach->slot[i];
		}
	}
	return NULL;
}

static const struct cn_reach_slot *
slot_of(struct cn_reach *reach, const struct cn_place *place)
{
	const struct cn_reach_slot *pinned = pinned_slot(reach, place);
	struct cn_reach_slot *slot;

	if (pinned != NULL) {
		return pinned;
	}
	if (reach->must_wait || place->pos >= CN_PLACE_END) {
		return NULL;
	}
	slot = free_slot(reach);
	if (!is_found(reach,
		cn_pair_look_at(reach->pair, place, reach->scope, reach->user,
		    &slot->view))) {
		return NULL;
	}
	return slot_holds(slot, place) ? slot : NULL;
}

const uint8_t *
cn_reach_at(struct cn_reach *reach, const struct cn_trail *trail, size_t offset,
    size_t *before, size_t *after)
{
	struct cn_place place = cn_trail_place(trail, offset);
	const struct cn_reach_slot *slot = slot_of(reach, &place);
	const struct cn_view *view;
	uint64_t from;

	if (slot == NULL) {
		return NULL;
	}
	view = &slot->view;
	from = place.pos - (view->place.pos - view->before);
	*before = (size_t)from;
	*after = view->before + view->after - (size_t)from;
	return view->bytes - view->before + from;
}

const struct cn_view *
cn_reach_view(
    const struct cn_reach *reach, const struct cn_trail *trail, size_t offset)
{
	struct cn_place place = cn_trail_place(trail, offset);
	const struct cn_reach_slot *slot = pinned_slot(reach, &place);

	return slot == NULL ? NULL : &slot->view;
}

/* A hint into a segment that is pinned, though maybe not into the view. */
static bool
spot_in_slot(
    const struct cn_reach_slot *slot, uint64_t spot, struct cn_place *ret)
{
	const uint64_t mask = CN_SEGMENT_BYTES - 1;

	if (slot->view.segment == NULL || !slot->has_number ||
	    slot->number != spot >> CN_SEGMENT_SHIFT) {
		return false;
	}
	*ret = slot->view.place;
	ret->pos = (ret->pos & ~mask) | (spot & mask);
	return true;
}

bool
cn_reach_spot(
    struct cn_reach *reach, uint64_t spot, size_t offset, struct cn_trail *ret)
{
	struct cn_reach_slot *slot;
	struct cn_place place;

	for (size_t i = 0; i < CN_REACH_SLOTS; i++) {
		if (spot_in_slot(&reach->slot[i], spot, &place)) {
			*ret = cn_trail_through(&place, offset);
			return true;
		}
	}
	if (reach->must_wait) {
		return false;
	}
	slot = free_slot(reach);
	if (!is_found(reach,
		cn_pair_look(reach->pair, spot, reach->scope, reach->user,
		    &slot->view))) {
		return false;
	}
	slot->number = spot >> CN_SEGMENT_SHIFT;
	slot->has_number = true;
	*ret = cn_trail_through(&slot->view.place, offset);
	return true;
}

/* ---- following ---- */

size_t
cn_reach_forward(
    struct cn_reach *reach, const struct cn_trail *trail, size_t at)
{
	while (at < reach->len) {
		size_t before, after;
		const uint8_t *log =
		    cn_reach_at(reach, trail, at, &before, &after);

		if (log == NULL) {
			break;
		}
		after = CN_MIN(after, reach->len - at);

		size_t same = same_forward(reach->plain + at, log, after);

		at += same;
		if (same < after) {
			break;
		}
	}
	return at;
}

size_t
cn_reach_backward(struct cn_reach *reach, const struct cn_trail *trail,
    size_t floor, size_t at)
{
	while (at > floor) {
		size_t before, after;
		const uint8_t *log =
		    cn_reach_at(reach, trail, at - 1, &before, &after);

		if (log == NULL) {
			break;
		}
		before = CN_MIN(before + 1, at - floor);

		size_t same = same_backward(reach->plain + at, log + 1, before);

		at -= same;
		if (same < before) {
			break;
		}
	}
	return at;
}

bool
cn_reach_is_enough(const struct cn_reach *reach, size_t from, size_t to)
{
	return to - from >= reach->least ||
	    (to == reach->len && to - from >= CN_REACH_TAIL);
}

bool
cn_reach_resync(struct cn_reach *reach, const struct cn_trail *trail, size_t at,
    size_t ahead, size_t *from, size_t *to)
{
	size_t before, after;
	const uint8_t *log = cn_reach_at(reach, trail, at, &before, &after);
	const uint8_t *plain = reach->plain + at;
	size_t i = 1;

	if (log == NULL) {
		return false;
	}
	after = CN_MIN(after, reach->len - at);
	/* What is long enough holds a whole word at some step. */
	while (i <= ahead && i + WORD <= after) {
		if (load_word(plain + i) != load_word(log + i)) {
			i += WORD;
			continue;
		}

		size_t back = same_backward(plain + i, log + i, i);
		size_t fore = same_forward(plain + i, log + i, after - i);

		*from = at + i - back;
		*to = at + i + fore;
		if (fore == after - i) {
			*to = cn_reach_forward(reach, trail, *to);
		}
		if (cn_reach_is_enough(reach, *from, *to)) {
			return true;
		}
		i += fore + 1;
		log = cn_reach_at(reach, trail, at, &before, &after);
		if (log == NULL) {
			return false;
		}
		after = CN_MIN(after, reach->len - at);
	}
	return false;
}
