/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/fakestore.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/rand.h"

/* Segments of a log in spots. */
#define LOG_SHIFT 8u

struct cn_pair *
fake_pair(uint64_t start)
{
	struct cn_pair *pair = cn_calloc(1, sizeof(*pair));

	assert(pair != NULL);
	pair->hint = cn_calloc(FAKE_HINTS, sizeof(*pair->hint));
	assert(pair->hint != NULL);
	(void)fake_add_log(pair, 1, true, start);
	return pair;
}

void
fake_free(struct cn_pair **pp)
{
	struct cn_pair *pair = *pp;

	assert(pair->pins == 0);
	for (size_t i = 0; i < pair->logs; i++) {
		cn_free(pair->log[i].bytes);
		cn_free(pair->log[i].mark);
	}
	cn_free(pair->hint);
	cn_free(pair);
	*pp = NULL;
}

size_t
fake_add_log(struct cn_pair *pair, uint64_t epoch, bool is_mine, uint64_t start)
{
	struct fake_log *log = &pair->log[pair->logs];

	assert(pair->logs < FAKE_LOGS);
	log->epoch = epoch;
	log->is_mine = is_mine;
	log->start = start;
	log->bytes = cn_alloc(FAKE_LOG_BYTES);
	log->mark = cn_calloc(1, FAKE_LOG_BYTES);
	assert(log->bytes != NULL && log->mark != NULL);
	return pair->logs++;
}

uint64_t
fake_add(struct cn_pair *pair, size_t i, const uint8_t *bytes, size_t len,
    uint8_t mark)
{
	struct fake_log *log = &pair->log[i];
	uint64_t pos = log->start + log->len;

	assert(len <= FAKE_LOG_BYTES - log->len);
	memcpy(log->bytes + log->len, bytes, len);
	memset(log->mark + log->len, mark, len);
	log->len += len;
	return pos;
}

size_t
fake_append(struct cn_pair *pair, uint8_t mark, const uint8_t *plain,
    const struct cn_store_span *spans, size_t count,
    struct cn_store_piece *pieces, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		size_t done = 0;

		while (done < spans[i].len) {
			size_t len = spans[i].len - done;
			uint64_t pos;

			if (pair->piece_max > 0 && len > pair->piece_max) {
				len = pair->piece_max;
			}
			if (pair->piece_max > 0) {
				fake_add(pair, 0, plain, 1, 0); /* a hole */
			}
			assert(n < max);
			pos = fake_add(
			    pair, 0, plain + spans[i].offset + done, len, mark);
			pieces[n++] = (struct cn_store_piece){
				.offset = spans[i].offset + (uint32_t)done,
				.len = (uint32_t)len,
				.pos = pos,
			};
			done += len;
		}
	}
	return n;
}

void
fake_mark(
    struct cn_pair *pair, size_t i, uint64_t from, uint64_t to, uint8_t mark)
{
	struct fake_log *log = &pair->log[i];

	assert(from >= log->start && to <= log->start + log->len);
	memset(log->mark + (from - log->start), mark, to - from);
}

static const struct fake_log *
log_of(const struct cn_pair *pair, const struct cn_place *place)
{
	for (size_t i = 0; i < pair->logs; i++) {
		const struct fake_log *log = &pair->log[i];

		if (log->epoch == place->epoch &&
		    log->is_mine == place->is_mine) {
			return log;
		}
	}
	return NULL;
}

const uint8_t *
fake_bytes(const struct cn_pair *pair, const struct cn_place *place, size_t len,
    uint8_t mark)
{
	const struct fake_log *log = log_of(pair, place);
	size_t at;

	if (log == NULL || place->pos < log->start ||
	    place->pos + len > log->start + log->len) {
		return NULL;
	}
	at = (size_t)(place->pos - log->start);
	for (size_t i = 0; i < len; i++) {
		if (log->mark[at + i] != mark) {
			return NULL;
		}
	}
	return log->bytes + at;
}

/* ---- what the matcher calls ---- */

uint64_t
cn_store_secret(const struct cn_store *store)
{
	(void)store;
	return 7;
}

uint64_t
cn_pair_seed(const struct cn_pair *pair, uint64_t scope)
{
	(void)pair;
	return scope * 1000003;
}

/* How many marks from mark[0] on, or back from it, are the same. */
static size_t
same_marks(const uint8_t *mark, size_t max, bool is_back)
{
	size_t n = 0;

	while (max - n > 256 &&
	    memcmp(is_back ? mark - n - 255 : mark + n,
		is_back ? mark - n - 256 : mark + n + 1, 256) == 0) {
		n += 256;
	}
	while (n < max && (is_back ? *(mark - n) : mark[n]) == mark[0]) {
		n++;
	}
	return n;
}

/* Never fails, whatever others are to meet. */
static uint8_t *
own_copy(struct cn_pair *pair, const uint8_t *bytes, size_t len)
{
	uint8_t *copy;

	pair->has_failed = pair->has_failed || cn_alloc_has_failed();
	cn_alloc_fail_at(0);
	copy = cn_memdup(bytes, len);
	assert(copy != NULL);
	cn_alloc_fail_at(pair->is_short && !pair->has_failed ? 1 : 0);
	return copy;
}

static int
view_of(struct cn_pair *pair, const struct fake_log *log, uint64_t pos,
    uint64_t scope, struct cn_view *ret)
{
	size_t at = (size_t)(pos - log->start);
	size_t offset = (size_t)(pos % CN_SEGMENT_BYTES);
	size_t from, to;
	uint8_t *copy;

	if (log->mark[at] != scope) {
		return CN_ENOENT;
	}
	to = at +
	    same_marks(log->mark + at,
		CN_MIN(log->len - at, CN_SEGMENT_BYTES - offset), false);
	from =
	    at + 1 - same_marks(log->mark + at, CN_MIN(at, offset) + 1, true);
	copy = own_copy(pair, log->bytes + from, to - from);
	*ret = (struct cn_view){
		.pair = pair,
		.segment = copy,
		.place = { log->epoch, pos, log->is_mine },
		.bytes = copy + (at - from),
		.before = at - from,
		.after = to - at,
	};
	pair->pins++;
	return CN_OK;
}

static bool
must_wait(struct cn_pair *pair)
{
	pair->looks++;
	return pair->is_on_disk && pair->looks > pair->disk_after;
}

int
cn_pair_look(struct cn_pair *pair, uint64_t spot, uint64_t scope,
    struct cn_store_user *user, struct cn_view *ret)
{
	size_t i = (size_t)(spot >> (CN_SEGMENT_SHIFT + LOG_SHIFT));
	const struct fake_log *log;
	uint64_t pos;

	(void)user;
	if (must_wait(pair)) {
		return CN_EAGAIN;
	}
	if (i >= pair->logs) {
		return CN_ENOENT;
	}
	log = &pair->log[i];
	pos = (log->start & ~(uint64_t)(CN_SEGMENT_BYTES - 1)) +
	    spot % ((uint64_t)CN_SEGMENT_BYTES << LOG_SHIFT);
	if (pos < log->start || pos >= log->start + log->len) {
		return CN_ENOENT;
	}
	return view_of(pair, log, pos, scope, ret);
}

int
cn_pair_look_at(struct cn_pair *pair, const struct cn_place *place,
    uint64_t scope, struct cn_store_user *user, struct cn_view *ret)
{
	const struct fake_log *log = log_of(pair, place);

	(void)user;
	assert(place->pos < CN_PLACE_END);
	if (must_wait(pair)) {
		return CN_EAGAIN;
	}
	if (log == NULL || place->pos < log->start ||
	    place->pos >= log->start + log->len) {
		return CN_ENOENT;
	}
	return view_of(pair, log, place->pos, scope, ret);
}

void
cn_view_done(struct cn_view *view)
{
	if (view->segment != NULL) {
		view->pair->pins--;
		cn_free(view->segment);
		view->segment = NULL;
	}
}

size_t
cn_view_chunks(const struct cn_view *view, const struct cn_store_chunk **ret)
{
	view->pair->tables++;
	*ret = view->pair->table;
	return view->pair->table_len;
}

void
cn_pair_learn(struct cn_pair *pair, bool is_mine, uint64_t epoch,
    const struct cn_store_chunk *chunk, size_t count)
{
	const struct cn_place place = { epoch, 0, is_mine };
	const struct fake_log *log = log_of(pair, &place);
	uint64_t base;

	assert(log != NULL);
	base = log->start & ~(uint64_t)(CN_SEGMENT_BYTES - 1);
	for (size_t i = 0; i < count; i++) {
		uint64_t mask = ((uint64_t)1 << pair->hook_bits) - 1;

		pair->learned++;
		assert(chunk[i].pos >= log->start &&
		    chunk[i].pos < log->start + log->len);
		if ((chunk[i].key & mask) != 0) {
			continue;
		}
		pair->hint[pair->hints++ % FAKE_HINTS] = (struct fake_hint){
			.key = chunk[i].key,
			.spot = ((uint64_t)(log - pair->log)
				    << (CN_SEGMENT_SHIFT + LOG_SHIFT)) +
			    (chunk[i].pos - base),
			.is_set = true,
		};
	}
}

size_t
cn_pair_find(const struct cn_pair *pair, uint64_t key, uint64_t spots[4])
{
	struct cn_prng prng;
	size_t count = CN_MIN(pair->hints, (size_t)FAKE_HINTS);
	size_t n = 0;

	cn_prng_init(&prng, pair->lie + key);
	while (pair->lie != 0 && n < 3 && cn_prng_chance(&prng, 1, 2)) {
		spots[n++] = cn_prng_below(&prng, 14)
			<< (CN_SEGMENT_SHIFT + LOG_SHIFT) |
		    cn_prng_below(&prng, UINT64_C(3) << CN_SEGMENT_SHIFT);
	}
	for (size_t i = count; i > 0 && n < CN_INDEX_HINTS; i--) {
		if (pair->hint[i - 1].key == key) {
			spots[n++] = pair->hint[i - 1].spot;
		}
	}
	return n;
}

void
cn_pair_prefetch(const struct cn_pair *pair, uint64_t key)
{
	(void)pair;
	(void)key;
}

bool
cn_pair_has_hooks(const struct cn_pair *pair)
{
	return pair->hook_bits > 0;
}
