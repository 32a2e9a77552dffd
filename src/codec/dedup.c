/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/dedup.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "wire/cursor.h"
#include "wire/limits.h"

/* Bytes learnt late for each byte sent, and at least for each batch. */
#define CATCH_UP_RATIO 8u
#define CATCH_UP_LEAST ((size_t)256 * 1024)
/* Segments that one batch may have the disk read: an honest one refers to few
 * that are not in memory. */
#define PENDING_MAX 32u
/* A region shorter than this helps nobody. */
#define REGION_LEAST 16u

struct cn_dedup_scratch {
	struct cn_matcher *matcher; /* owned */
	struct cn_refs refs;        /* of the batch being sent */
	struct cn_store_piece piece[CN_REFS_STORES_MAX];
	uint8_t ext[CN_BATCH_EXT_MAX];
	uint8_t ops[CN_MATCH_COPIES_MAX * CN_REFS_OP_MAX];
	uint8_t payload[CN_BATCH_PLAIN_MAX];
	uint8_t delta[CN_REFS_DELTA_MAX];
};

struct cn_dedup {
	struct cn_store *store;           /* borrowed */
	struct cn_dedup_scratch *scratch; /* borrowed */
	struct cn_pair *pair;             /* counted */
	struct cn_store_user user;
};

/* ---- life ---- */

int
cn_dedup_scratch_create(struct cn_store *store, struct cn_dedup_scratch **ret)
{
	struct cn_dedup_scratch *scratch = cn_calloc(1, sizeof(*scratch));

	if (scratch == NULL ||
	    cn_matcher_create(store, &scratch->matcher) != CN_OK) {
		cn_free(scratch);
		return CN_ENOMEM;
	}
	*ret = scratch;
	return CN_OK;
}

void
cn_dedup_scratch_free(struct cn_dedup_scratch **sp)
{
	struct cn_dedup_scratch *scratch = *sp;

	if (scratch == NULL) {
		return;
	}
	*sp = NULL;
	cn_matcher_free(&scratch->matcher);
	cn_free(scratch);
}

int
cn_dedup_create(struct cn_store *store, struct cn_dedup_scratch *scratch,
    const uint8_t peer[CN_IMAGE_PEER_BYTES], void (*wake)(void *arg), void *arg,
    struct cn_dedup **ret)
{
	struct cn_dedup *dedup = cn_calloc(1, sizeof(*dedup));

	if (dedup == NULL) {
		return CN_ENOMEM;
	}
	dedup->pair = cn_store_pair(store, peer);
	if (dedup->pair == NULL) {
		cn_free(dedup);
		return CN_ENOMEM;
	}
	dedup->store = store;
	dedup->scratch = scratch;
	dedup->user.wake = wake;
	dedup->user.arg = arg;
	cn_store_join(store, &dedup->user);
	*ret = dedup;
	return CN_OK;
}

void
cn_dedup_free(struct cn_dedup **dp)
{
	struct cn_dedup *dedup = *dp;

	if (dedup == NULL) {
		return;
	}
	*dp = NULL;
	cn_store_leave(dedup->store, &dedup->user);
	cn_pair_put(&dedup->pair);
	cn_free(dedup);
}

struct cn_pair *
cn_dedup_pair(const struct cn_dedup *dedup)
{
	return dedup->pair;
}

/* ---- sending ---- */

/* The log's number in the batch; SIZE_MAX when there is no room for it. */
static size_t
log_of(struct cn_refs *refs, const struct cn_place *place)
{
	for (size_t i = 0; i < refs->logs; i++) {
		if (refs->log[i].epoch == place->epoch &&
		    refs->log[i].is_senders == place->is_mine) {
			return i;
		}
	}
	if (refs->logs == CN_REFS_LOGS_MAX) {
		return SIZE_MAX;
	}
	refs->log[refs->logs].epoch = place->epoch;
	refs->log[refs->logs].is_senders = place->is_mine;
	return refs->logs++;
}

/* Write the copies as ops; what finds no log stays literal. */
static size_t
write_ops(struct cn_dedup_scratch *scratch, const struct cn_match *match)
{
	struct cn_ref_cursor at = { 0 };
	uint32_t done = 0;
	size_t used = 0, kept = 0;

	for (size_t i = 0; i < match->copies; i++) {
		const struct cn_match_copy *copy = &match->copy[i];
		size_t log = log_of(&scratch->refs, &copy->place);
		struct cn_ref_op op = {
			.literal = copy->offset - done,
			.copy = copy->len,
			.log = (uint32_t)log,
			.pos = copy->place.pos,
		};

		if (log == SIZE_MAX) {
			continue;
		}
		used += cn_ref_op_encode(
		    scratch->ops + used, sizeof(scratch->ops) - used, &at, &op);
		done = copy->offset + copy->len;
		match->copy[kept++] = *copy;
	}
	scratch->refs.ops_len = (uint32_t)used;
	return kept;
}

/* Payload = ops, then what lies between the copies. */
static void
write_payload(struct cn_dedup_scratch *scratch, const struct cn_match *match,
    size_t copies, const uint8_t *plain, size_t len,
    struct cn_dedup_batch *batch)
{
	size_t ops_len = scratch->refs.ops_len, literals = len, at;
	uint32_t done = 0;

	for (size_t i = 0; i < copies; i++) {
		literals -= match->copy[i].len;
	}
	if (copies == 0 || ops_len + literals > len) {
		scratch->refs.ops_len = 0;
		scratch->refs.logs = 0;
		return;
	}
	memcpy(scratch->payload, scratch->ops, ops_len);
	at = ops_len;
	for (size_t i = 0; i <= copies; i++) {
		uint32_t to =
		    i < copies ? match->copy[i].offset : (uint32_t)len;

		memcpy(scratch->payload + at, plain + done, to - done);
		at += to - done;
		done = i < copies ? to + match->copy[i].len : to;
	}
	assert(at == ops_len + literals);
	scratch->refs.has_copies = true;
	scratch->refs.literal_len = (uint32_t)literals;
	batch->payload = scratch->payload;
	batch->payload_len = at;
	batch->literals = scratch->payload + ops_len;
	batch->literals_len = literals;
	batch->copied = (uint32_t)(len - literals);
}

/* Put the older versions of the literals one behind the other. */
static void
gather_delta(struct cn_dedup *dedup, uint64_t scope,
    const struct cn_match *match, struct cn_dedup_batch *batch)
{
	struct cn_dedup_scratch *scratch = dedup->scratch;
	struct cn_refs *refs = &scratch->refs;
	size_t used = 0;

	for (size_t i = 0;
	     i < match->regions && refs->regions < CN_REFS_REGIONS_MAX; i++) {
		const struct cn_match_copy *region = &match->region[i];
		size_t len =
		    CN_MIN((size_t)region->len, sizeof(scratch->delta) - used);
		struct cn_view view = { 0 };
		size_t log;

		if (len < REGION_LEAST ||
		    cn_pair_look_at(dedup->pair, &region->place, scope,
			&dedup->user, &view) != CN_OK) {
			continue;
		}
		len = CN_MIN(len, view.after);
		log = log_of(refs, &region->place);
		if (log != SIZE_MAX && len >= REGION_LEAST) {
			memcpy(scratch->delta + used, view.bytes, len);
			used += len;
			refs->region[refs->regions].log = (uint32_t)log;
			refs->region[refs->regions].pos = region->place.pos;
			refs->region[refs->regions].len = (uint32_t)len;
			refs->regions++;
		}
		cn_view_done(&view);
	}
	refs->delta_len = (uint32_t)used;
	batch->delta = used > 0 ? scratch->delta : NULL;
	batch->delta_len = used;
}

static void
store_spans(struct cn_dedup *dedup, uint64_t scope, const uint8_t *plain,
    const struct cn_store_span *span, size_t spans, size_t max, uint64_t now)
{
	struct cn_dedup_scratch *scratch = dedup->scratch;
	struct cn_refs *refs = &scratch->refs;
	size_t n = cn_pair_append(
	    dedup->pair, scope, plain, span, spans, scratch->piece, max, now);

	refs->store_epoch = cn_pair_epoch(dedup->pair);
	for (size_t i = 0; i < n; i++) {
		refs->store[i].offset = scratch->piece[i].offset;
		refs->store[i].len = scratch->piece[i].len;
		refs->store[i].pos = scratch->piece[i].pos;
	}
	refs->stores = n;
}

/* No copies, nothing stored: the payload is the plain bytes. */
static void
begin_batch(struct cn_dedup_scratch *scratch, const uint8_t *plain, size_t len,
    struct cn_dedup_batch *ret)
{
	struct cn_refs *refs = &scratch->refs;

	refs->logs = refs->regions = refs->stores = 0;
	refs->has_copies = false;
	refs->ops_len = refs->literal_len = refs->delta_len = 0;
	*ret = (struct cn_dedup_batch){
		.payload = plain,
		.payload_len = len,
		.literals = plain,
		.literals_len = len,
		.refs = refs,
	};
}

/*
 * What came in of the scope and nobody looked for yet is learnt now, eight
 * times as fast as the scope sends: in the order in which it came, so that
 * what goes back in that order is found from the first batch on.
 */
static void
catch_up(struct cn_dedup *dedup, uint64_t scope, size_t len)
{
	size_t budget = CN_MAX(len * CATCH_UP_RATIO, CATCH_UP_LEAST);
	struct cn_store_piece piece;
	struct cn_place place = { .is_mine = false };

	while (cn_pair_deferred(dedup->pair, scope, &place.epoch, &piece)) {
		struct cn_view view = { 0 };

		place.pos = piece.pos;
		if (cn_pair_look_at(dedup->pair, &place, scope, NULL, &view) ==
		    CN_OK) {
			piece.len =
			    (uint32_t)CN_MIN((size_t)piece.len, view.after);
			cn_match_learn(dedup->scratch->matcher, dedup->pair,
			    scope, false, place.epoch, view.bytes, &piece, 1);
			cn_view_done(&view);
		}
		if (budget <= piece.len) {
			return;
		}
		budget -= piece.len;
	}
}

int
cn_dedup_encode(struct cn_dedup *dedup, uint64_t scope,
    struct cn_match_state *state, const uint8_t *plain, size_t len,
    bool is_patient, size_t stores_max, uint64_t now,
    struct cn_dedup_batch *ret)
{
	struct cn_dedup_scratch *scratch = dedup->scratch;
	struct cn_match match;
	size_t copies;
	int r;

	catch_up(dedup, scope, len);
	r = cn_match_batch(scratch->matcher, dedup->pair, scope, state,
	    &dedup->user, plain, len, is_patient, &match);
	if (r != CN_OK) {
		return r;
	}
	begin_batch(scratch, plain, len, ret);
	copies = write_ops(scratch, &match);
	write_payload(scratch, &match, copies, plain, len, ret);
	ret->gone = match.gone;
	if (scratch->refs.has_copies && ret->literals_len > 0) {
		gather_delta(dedup, scope, &match, ret);
	}
	if (match.misses > 0 && stores_max > 0) {
		store_spans(dedup, scope, plain, match.miss, match.misses,
		    CN_MIN(stores_max, (size_t)CN_REFS_STORES_MAX), now);
		cn_match_learn(scratch->matcher, dedup->pair, scope, true,
		    scratch->refs.store_epoch, NULL, scratch->piece,
		    scratch->refs.stores);
	}
	return CN_OK;
}

void
cn_dedup_store(struct cn_dedup *dedup, uint64_t scope, const uint8_t *plain,
    size_t len, size_t stores_max, uint64_t now, struct cn_dedup_batch *ret)
{
	struct cn_dedup_scratch *scratch = dedup->scratch;
	const struct cn_store_span all = { .offset = 0, .len = (uint32_t)len };

	begin_batch(scratch, plain, len, ret);
	/* What of it we believe to be there may be what the peer lacks, and is
	 * about to say. */
	if (stores_max > 0) {
		store_spans(dedup, scope, plain, &all, 1,
		    CN_MIN(stores_max, (size_t)CN_REFS_STORES_MAX), now);
		cn_match_learn(scratch->matcher, dedup->pair, scope, true,
		    scratch->refs.store_epoch, plain, scratch->piece,
		    scratch->refs.stores);
	}
}

void
cn_dedup_no_delta(struct cn_dedup_batch *batch)
{
	batch->delta = NULL;
	batch->delta_len = 0;
	batch->refs->regions = 0;
	batch->refs->delta_len = 0;
}

size_t
cn_dedup_ext(
    struct cn_dedup *dedup, struct cn_dedup_batch *batch, const uint8_t **ret)
{
	struct cn_dedup_scratch *scratch = dedup->scratch;

	*ret = scratch->ext;
	return cn_refs_encode(scratch->ext, sizeof(scratch->ext), batch->refs);
}

/* ---- receiving ---- */

uint8_t *
cn_dedup_payload(struct cn_dedup *dedup)
{
	return dedup->scratch->payload;
}

static struct cn_place
place_of(const struct cn_refs *refs, uint32_t log, uint64_t pos)
{
	return (struct cn_place){
		.epoch = refs->log[log].epoch,
		.pos = pos,
		.is_mine = !refs->log[log].is_senders,
	};
}

/* The view reaches over these bytes already. */
static bool
is_in_view(const struct cn_view *view, const struct cn_place *place, size_t len)
{
	uint64_t from = view->place.pos - view->before;
	uint64_t to = view->place.pos + view->after;

	return view->segment != NULL && view->place.epoch == place->epoch &&
	    view->place.is_mine == place->is_mine && place->pos >= from &&
	    place->pos <= to && len <= to - place->pos;
}

/*
 * Copy bytes of a place out, through a view that is kept from one call to
 * the next.
 */
static int
copy_place(struct cn_dedup *dedup, uint64_t scope, struct cn_view *view,
    const struct cn_place *place, size_t len, uint8_t *out,
    struct cn_dedup_lack *lack)
{
	int r;

	if (!is_in_view(view, place, len)) {
		cn_view_done(view);
		r = cn_pair_resolve(
		    dedup->pair, place, len, scope, &dedup->user, view);
		if (r != CN_OK) {
			view->segment = NULL;
			lack->place = *place;
			lack->len = len;
			return r;
		}
	}
	memcpy(out,
	    view->bytes + ((int64_t)place->pos - (int64_t)view->place.pos),
	    len);
	return CN_OK;
}

/* The segments that one batch waits for. */
struct pending {
	struct cn_place segment[PENDING_MAX]; /* pos: its first */
	size_t count;
};

/* It waits for that one, too; false: it would wait for too many. */
static bool
wait_for(struct pending *pending, const struct cn_place *place)
{
	struct cn_place segment = *place;

	segment.pos &= ~(uint64_t)(CN_SEGMENT_BYTES - 1);
	for (size_t i = 0; i < pending->count; i++) {
		const struct cn_place *other = &pending->segment[i];

		if (other->pos == segment.pos &&
		    other->epoch == segment.epoch &&
		    other->is_mine == segment.is_mine) {
			return true;
		}
	}
	if (pending->count == PENDING_MAX) {
		return false;
	}
	pending->segment[pending->count++] = segment;
	return true;
}

/*
 * What a place that is not here yet means for its batch: CN_OK, have the others
 * read as well; or a miss, of which the place is no cause, it is here.
 */
static int
look_further(struct pending *pending, struct cn_dedup_lack *lack)
{
	if (wait_for(pending, &lack->place)) {
		return CN_OK;
	}
	lack->len = 0;
	return CN_ENOENT;
}

int
cn_dedup_prefix(struct cn_dedup *dedup, uint64_t scope,
    const struct cn_refs *refs, const uint8_t **ret, struct cn_dedup_lack *lack)
{
	struct cn_view view = { 0 };
	struct pending pending;
	size_t used = 0;
	int r = CN_OK;

	pending.count = 0;

	for (size_t i = 0; i < refs->regions; i++) {
		const struct cn_ref_region *region = &refs->region[i];
		struct cn_place place =
		    place_of(refs, region->log, region->pos);

		r = copy_place(dedup, scope, &view, &place, region->len,
		    dedup->scratch->delta + used, lack);
		if (r == CN_EAGAIN) {
			r = look_further(&pending, lack);
		}
		if (r != CN_OK) {
			break;
		}
		used += region->len;
	}
	cn_view_done(&view);
	*ret = dedup->scratch->delta;
	return r == CN_OK && pending.count > 0 ? CN_EAGAIN : r;
}

/* One op: its literals, then its copy.  Moves *literals and *done on. */
static int
build_op(struct cn_dedup *dedup, uint64_t scope, const struct cn_refs *refs,
    const struct cn_ref_op *op, struct cn_view *view, const uint8_t **literals,
    const uint8_t *literals_end, uint8_t *plain, size_t plain_len, size_t *done,
    struct cn_dedup_lack *lack)
{
	struct cn_place place = place_of(refs, op->log, op->pos);

	if (op->literal > (size_t)(literals_end - *literals) ||
	    op->literal > plain_len - *done ||
	    op->copy > plain_len - *done - op->literal) {
		return CN_ECODING;
	}
	memcpy(plain + *done, *literals, op->literal);
	*literals += op->literal;
	*done += op->literal + op->copy;
	return copy_place(dedup, scope, view, &place, op->copy,
	    plain + *done - op->copy, lack);
}

int
cn_dedup_build(struct cn_dedup *dedup, uint64_t scope,
    const struct cn_refs *refs, const uint8_t *payload, uint8_t *plain,
    size_t plain_len, struct cn_dedup_lack *lack)
{
	const uint8_t *literals = payload + refs->ops_len;
	const uint8_t *end = literals + refs->literal_len;
	struct cn_view view = { 0 };
	struct cn_ref_cursor at = { 0 };
	struct cn_ref_op op;
	struct pending pending;
	struct cn_cursor in;
	size_t done = 0;
	int r;

	pending.count = 0;
	cn_cursor_init(&in, payload, refs->ops_len);
	for (;;) {
		r = cn_ref_op_decode(&in, &at, refs->logs, &op);
		if (r != CN_OK) {
			r = r == CN_EEND ? CN_OK : CN_ECODING;
			break;
		}
		r = build_op(dedup, scope, refs, &op, &view, &literals, end,
		    plain, plain_len, &done, lack);
		if (r == CN_EAGAIN) {
			r = look_further(&pending, lack);
		}
		if (r != CN_OK) {
			break;
		}
	}
	cn_view_done(&view);
	if (r != CN_OK) {
		return r;
	}
	if ((size_t)(end - literals) != plain_len - done) {
		return CN_ECODING;
	}
	memcpy(plain + done, literals, plain_len - done);
	return pending.count > 0 ? CN_EAGAIN : CN_OK;
}

int
cn_dedup_keep(struct cn_dedup *dedup, uint64_t scope,
    const struct cn_refs *refs, const uint8_t *plain, uint64_t now,
    void (*lacks)(void *arg, const struct cn_dedup_lack *lack), void *arg)
{
	struct cn_store_piece *piece = dedup->scratch->piece;
	size_t kept = 0;

	for (size_t i = 0; i < refs->stores; i++) {
		const struct cn_ref_store *store = &refs->store[i];
		int r = cn_pair_fill(dedup->pair, refs->store_epoch, store->pos,
		    scope, plain + store->offset, store->len, now);

		if (r == CN_EPROTO) {
			return r;
		}
		if (r != CN_OK) {
			struct cn_dedup_lack lack = {
				.place = { .epoch = refs->store_epoch,
				    .pos = store->pos,
				    .is_mine = false },
				.len = store->len,
			};

			lacks(arg, &lack);
			continue;
		}
		piece[kept].offset = store->offset;
		piece[kept].len = store->len;
		piece[kept].pos = store->pos;
		kept += !cn_pair_defer(
		    dedup->pair, scope, refs->store_epoch, &piece[kept]);
	}
	cn_match_learn(dedup->scratch->matcher, dedup->pair, scope, false,
	    refs->store_epoch, plain, piece, kept);
	return CN_OK;
}
