/* SPDX-License-Identifier: Apache-2.0 */
#include "base/attr.h"
#include "codec/match.h"
#include "codec/matcher.h"
#include "store/store.h"
#include "wire/limits.h"

/* Chunks that go to the index at a time. */
#define LOT 64u

/* Chunks on their way to the index. */
struct lesson {
	struct cn_matcher *m;
	struct cn_pair *pair;
	uint64_t epoch;
	bool is_mine;
	struct cn_store_chunk lot[LOT];
	size_t count;
	uint64_t last_key;
	bool has_last;
};

static void
send_lot(struct lesson *lesson)
{
	if (lesson->count > 0) {
		cn_pair_learn(lesson->pair, lesson->is_mine, lesson->epoch,
		    lesson->lot, lesson->count);
		lesson->count = 0;
	}
}

/* Of equal chunks in a row only the first is taught: all others would be
 * found through it, and would only drive other hints out. */
static void
teach(struct lesson *lesson, uint64_t key, uint64_t pos)
{
	if (lesson->has_last && lesson->last_key == key) {
		return;
	}
	lesson->last_key = key;
	lesson->has_last = true;
	lesson->lot[lesson->count++] =
	    (struct cn_store_chunk){ .key = key, .pos = pos };
	if (lesson->count == LOT) {
		send_lot(lesson);
	}
}

/*
 * Cut a piece from its begin on, up to `end' of the batch at most, until a
 * cut is one of the chunks from *known on.  Chunks may go on behind the
 * piece, as they do where a match looks for them.
 */
static void
teach_cut(struct lesson *lesson, const struct cn_store_piece *piece,
    size_t *known, size_t chunks)
{
	struct cn_matcher *m = lesson->m;
	const struct cn_found_chunk *chunk = m->found.chunk;
	size_t at = piece->offset;
	size_t end = at + piece->len;

	while (at < end) {
		while (*known < chunks && chunk[*known].offset < at) {
			(*known)++;
		}
		if (*known < chunks && chunk[*known].offset == at) {
			return;
		}

		uint64_t key;
		size_t len = cn_chunker_take(&m->chunker, m->reach.plain + at,
		    m->reach.len - at, m->seed, &key);

		teach(lesson, key, piece->pos + (at - piece->offset));
		at += len;
	}
}

static void
teach_piece(struct lesson *lesson, const struct cn_store_piece *piece,
    size_t *known, size_t chunks)
{
	const struct cn_found_chunk *chunk = lesson->m->found.chunk;

	teach_cut(lesson, piece, known, chunks);
	for (; *known < chunks &&
	     chunk[*known].offset < piece->offset + piece->len;
	     (*known)++) {
		teach(lesson, chunk[*known].key,
		    piece->pos + (chunk[*known].offset - piece->offset));
	}
}

void
cn_match_learn(struct cn_matcher *m, struct cn_pair *pair, uint64_t scope,
    bool is_mine, uint64_t epoch, const uint8_t *plain,
    const struct cn_store_piece *piece, size_t pieces)
{
	struct lesson lesson = {
		.m = m,
		.pair = pair,
		.epoch = epoch,
		.is_mine = is_mine,
	};
	size_t known = 0;

	if (pieces == 0) {
		return;
	}
	if (plain != NULL) {
		m->reach.plain = plain;
		m->reach.len = piece[pieces - 1].offset + piece[pieces - 1].len;
		m->seed = cn_pair_seed(pair, scope);
		m->found.chunks = 0;
	}
	for (size_t i = 0; i < pieces; i++) {
		teach_piece(&lesson, &piece[i], &known, m->found.chunks);
	}
	send_lot(&lesson);
}
