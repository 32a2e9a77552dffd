/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/match.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/err.h"
#include "codec/matcher.h"
#include "store/index.h"
#include "store/store.h"
#include "wire/limits.h"

/*
 * A batch is gone through once.  Wherever a run of copies ended, and at each
 * cut of what the peer does not have, these are asked, the cheapest first:
 *
 *   the trails   is it here what stands on the diagonals of the last runs?
 *   the hints    is the chunk that begins here known?
 *   resync       do the bytes a little further on stand on the diagonal?
 *
 * A chunk whose key is unknown is stored even where trails then lead over
 * most of it: the next time its key is found at the same place.
 */

/* A candidate so long is taken without looking at others. */
#define LONG_RUN (16u * 1024u)
/* How far a mismatch is looked past on the same trail. */
#define RESYNC_AHEAD 256u
/*
 * How far trails are believed to show the older version of literals: so many
 * times the length of what was the same, and never farther than the most.
 * Changed programs have long stretches without a copy, whose older version
 * still helps; a few equal lines in something new say nothing.
 */
#define CREDIT_RATE 8u
#define CREDIT_MOST (4u * 1024u * 1024u)

_Static_assert(CN_MATCH_LEAST_MAX <= CN_CHUNK_MIN,
    "what is known and not stored again is long enough for a copy");

int
cn_matcher_create(struct cn_store *store, struct cn_matcher **ret)
{
	struct cn_matcher *m = cn_calloc(1, sizeof(*m));

	if (m == NULL) {
		return CN_ENOMEM;
	}
	cn_chunker_init(&m->chunker, cn_store_secret(store));
	*ret = m;
	return CN_OK;
}

void
cn_matcher_free(struct cn_matcher **mp)
{
	struct cn_matcher *m = *mp;

	*mp = NULL;
	if (m != NULL) {
		cn_near_free(&m->near);
		cn_free(m);
	}
}

/* ---- chunks ---- */

/* Cut one more chunk ahead, behind those that are. */
static void
cut_ahead(struct cn_matcher *m)
{
	const uint8_t *bytes = m->reach.plain + m->ahead_end;
	uint64_t key;
	size_t len = cn_chunker_take(
	    &m->chunker, bytes, m->reach.len - m->ahead_end, m->seed, &key);
	size_t i = (m->ahead_first + m->ahead_count) % CN_MATCHER_AHEAD;

	m->ahead[i] = (struct cn_found_chunk){
		.offset = (uint32_t)m->ahead_end,
		.len = (uint32_t)len,
		.key = key,
	};
	m->ahead_count++;
	m->ahead_end += len;
	cn_pair_prefetch(m->reach.pair, key);
}

static void
drop_ahead(struct cn_matcher *m)
{
	m->ahead_first = (m->ahead_first + 1) % CN_MATCHER_AHEAD;
	m->ahead_count--;
}

/*
 * The chunk that begins at `at'.  The longer nothing was found, the more are
 * cut ahead: after a run most of that would be for nothing.
 */
static struct cn_found_chunk
chunk_at(struct cn_matcher *m, size_t at)
{
	size_t want = CN_MIN(m->misses + 1, (size_t)CN_MATCHER_AHEAD);
	struct cn_found_chunk chunk;

	while (m->ahead_count > 0 && m->ahead[m->ahead_first].offset < at) {
		drop_ahead(m);
	}
	if (m->ahead_count == 0 || m->ahead[m->ahead_first].offset != at) {
		m->ahead_count = 0;
		m->ahead_end = at;
	}
	while (m->ahead_count < want && m->ahead_end < m->reach.len) {
		cut_ahead(m);
	}
	chunk = m->ahead[m->ahead_first];
	drop_ahead(m);
	return chunk;
}

/* ---- runs ---- */

/* The trail is the latest now; that which was not used for longest goes. */
static void
follow(struct cn_matcher *m, const struct cn_trail *trail)
{
	struct cn_trail now = *trail;

	for (size_t i = 0; i < CN_MATCHER_TRAILS; i++) {
		struct cn_trail next = m->trail[i];

		m->trail[i] = now;
		if (cn_trail_is_same(&next, trail)) {
			break;
		}
		now = next;
	}
	m->last = *trail;
}

/* Copies come from there: its other chunks will be asked for soon. */
static void
learn_near(struct cn_matcher *m, const struct cn_trail *trail, size_t at)
{
	const struct cn_view *view = cn_reach_view(&m->reach, trail, at);

	if (m->near == NULL) {
		m->near = cn_near_create();
	}
	if (m->near != NULL && view != NULL) {
		cn_near_learn(m->near, view);
	}
}

/* What is left of the credit after the literals up to `at'. */
static size_t
credit_at(const struct cn_matcher *m, size_t at)
{
	return m->credit - CN_MIN(m->credit, at - m->literal);
}

/* Plain [from, to) goes as copies. */
static void
take_run(
    struct cn_matcher *m, const struct cn_trail *trail, size_t from, size_t to)
{
	size_t earned = CREDIT_RATE * (to - from);
	const struct cn_found_gap gap = {
		.before = &m->last,
		.behind = trail,
		.from = m->literal,
		.to = from,
		.most = CN_MAX(m->credit, earned),
	};

	if (m->has_hooks) {
		learn_near(m, trail, from);
		learn_near(m, trail, to - 1);
	}
	cn_found_gap(&m->found, &m->reach, &gap);
	cn_found_run(&m->found, trail, from, to);
	m->credit = CN_MIN(credit_at(m, from) + earned, (size_t)CREDIT_MOST);
	m->literal = to;
	m->misses = 0;
	follow(m, trail);
}

/* Does one of the last trails go through here?  *at: moves to the end. */
static bool
try_trails(struct cn_matcher *m, size_t *at)
{
	for (size_t i = 0; i < CN_MATCHER_TRAILS; i++) {
		struct cn_trail trail = m->trail[i];
		size_t from, to;

		if (!trail.is_set) {
			continue;
		}
		to = cn_reach_forward(&m->reach, &trail, *at);
		if (to - *at < CN_REACH_TAIL) {
			continue;
		}
		from = cn_reach_backward(&m->reach, &trail, m->literal, *at);
		if (cn_reach_is_enough(&m->reach, from, to) &&
		    cn_found_takes(&m->found, &trail)) {
			take_run(m, &trail, from, to);
			*at = to;
			return true;
		}
	}
	return false;
}

/* The best of what hints say of a chunk. */
struct candidate {
	struct cn_trail trail;
	size_t from, to;
	bool is_gone; /* a hint leads to what may not be used any more */
};

/* Look at one more trail through the chunk. */
static void
consider(struct cn_matcher *m, size_t at, const struct cn_trail *trail,
    struct candidate *best)
{
	size_t to = cn_reach_forward(&m->reach, trail, at);
	size_t from;

	if (to == at || !cn_found_takes(&m->found, trail)) {
		return;
	}
	from = cn_reach_backward(&m->reach, trail, m->literal, at);
	if (to - from > best->to - best->from) {
		best->trail = *trail;
		best->from = from;
		best->to = to;
	}
}

static void
find_candidate(struct cn_matcher *m, const struct cn_found_chunk *chunk,
    struct candidate *best)
{
	uint64_t spots[CN_INDEX_HINTS];
	struct cn_place place;
	struct cn_trail trail;
	size_t count;

	if (m->near != NULL && cn_near_find(m->near, chunk->key, &place)) {
		trail = cn_trail_through(&place, chunk->offset);
		consider(m, chunk->offset, &trail, best);
		if (best->to >= chunk->offset + chunk->len) {
			return;
		}
	}
	count = cn_pair_find(m->reach.pair, chunk->key, spots);
	for (size_t i = 0; i < count && best->to - best->from < LONG_RUN; i++) {
		if (cn_reach_spot(&m->reach, spots[i], chunk->offset, &trail)) {
			consider(m, chunk->offset, &trail, best);
		} else {
			/* Without patience it may only be on the disk. */
			best->is_gone = m->reach.is_patient;
		}
	}
}

/* Is the chunk that begins here known?  What is not is to be stored. */
static bool
try_chunk(struct cn_matcher *m, size_t *at)
{
	struct cn_found_chunk chunk;
	struct candidate best = { 0 };

	if (*at < m->cut) {
		return false;
	}
	chunk = chunk_at(m, *at);
	find_candidate(m, &chunk, &best);
	if (best.trail.is_set &&
	    cn_reach_is_enough(&m->reach, best.from, best.to)) {
		take_run(m, &best.trail, best.from, best.to);
		*at = best.to;
		return true;
	}
	/* Known, and too short to refer to: no reason to store it. */
	if (best.to < chunk.offset + chunk.len) {
		cn_found_miss(&m->found, &chunk);
		m->found.gone +=
		    best.is_gone && best.to == best.from ? chunk.len : 0;
	}
	m->cut = chunk.offset + chunk.len;
	m->misses++;
	return false;
}

/*
 * Does the last trail go on behind a small edit?  The edit must end within
 * the chunk that was missed, so that all of it is stored.
 */
static bool
try_resync(struct cn_matcher *m, size_t *at)
{
	size_t ahead = CN_MIN(m->cut - *at, (size_t)RESYNC_AHEAD);
	struct cn_trail trail = m->trail[0];
	size_t from, to;

	if (!trail.is_set || !cn_found_takes(&m->found, &trail) ||
	    !cn_reach_resync(&m->reach, &trail, *at, ahead, &from, &to)) {
		return false;
	}
	take_run(m, &trail, from, to);
	*at = to;
	return true;
}

/* ---- a batch ---- */

static void
begin(struct cn_matcher *m, struct cn_pair *pair, uint64_t scope,
    const struct cn_match_state *state)
{
	m->reach.pair = pair;
	m->reach.scope = scope;
	m->reach.least = CN_MAX(state->least, CN_MATCH_MIN);
	m->reach.must_wait = false;
	m->seed = cn_pair_seed(pair, scope);
	m->has_hooks = cn_pair_has_hooks(pair);
	for (size_t i = 0; i < CN_MATCHER_TRAILS; i++) {
		m->trail[i] = (struct cn_trail){ 0 };
	}
	if (state->is_set) {
		m->trail[0] = cn_trail_through(&state->next, 0);
	}
	m->last = m->trail[0];
	m->literal = 0;
	m->credit = state->credit;
	m->cut = 0;
	m->misses = 0;
	m->ahead_count = 0;
	cn_found_clear(&m->found);
}

/* Where the next batch begins to look. */
static void
move_on(const struct cn_matcher *m, struct cn_match_state *state)
{
	size_t credit = credit_at(m, m->reach.len);

	*state = (struct cn_match_state){ .least = state->least };
	if (m->last.is_set && credit > 0) {
		state->next = cn_trail_place(&m->last, m->reach.len);
		state->credit = (uint32_t)credit;
		state->is_set = true;
	}
}

static void
finish(struct cn_matcher *m, struct cn_match_state *state, struct cn_match *ret)
{
	const struct cn_trail none = { 0 };
	struct cn_found *found = &m->found;
	const struct cn_found_gap gap = {
		.before = &m->last,
		.behind = &none,
		.from = m->literal,
		.to = m->reach.len,
		.most = m->credit,
	};

	cn_found_gap(found, &m->reach, &gap);
	cn_found_finish(found, m->reach.len);
	move_on(m, state);
	*ret = (struct cn_match){
		.copy = found->copy,
		.copies = found->copies,
		.copied = found->copied,
		.gone = found->gone,
		.miss = found->span,
		.misses = found->spans,
		.region = found->region,
		.regions = found->regions,
	};
}

int
cn_match_batch(struct cn_matcher *m, struct cn_pair *pair, uint64_t scope,
    struct cn_match_state *state, struct cn_store_user *user,
    const uint8_t *plain, size_t len, bool is_patient, struct cn_match *ret)
{
	size_t at = 0;

	assert(len >= 1 && len <= CN_BATCH_PLAIN_MAX);
	m->reach.user = user;
	m->reach.plain = plain;
	m->reach.len = len;
	m->reach.is_patient = is_patient;
	begin(m, pair, scope, state);
	while (
	    at < len && cn_found_has_room(&m->found) && !m->reach.must_wait) {
		if (!try_trails(m, &at) && !try_chunk(m, &at) &&
		    !try_resync(m, &at)) {
			at = m->cut;
		}
	}
	if (!m->reach.must_wait) {
		finish(m, state, ret);
	}
	cn_reach_end(&m->reach);
	return m->reach.must_wait ? CN_EAGAIN : CN_OK;
}
