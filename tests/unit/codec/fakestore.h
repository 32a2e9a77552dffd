/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_CODEC_FAKESTORE_H
#define CN_TESTS_CODEC_FAKESTORE_H

/*
 * A store of one pair as the matcher sees it: a few logs in plain arrays.
 *
 * Each view is a block of its own and of its exact size, freed when it is
 * done, so that the address sanitizer sees any use outside of it.
 *
 * Every byte of a log has a mark: the scope that may use it, or 0 while the
 * peer does not hold it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/index.h"
#include "store/store.h"

#define FAKE_LOGS 12u
#define FAKE_LOG_BYTES (8u << 20)
#define FAKE_HINTS 65536u

struct fake_log {
	uint64_t epoch;
	bool is_mine;
	uint64_t start; /* position of bytes[0] */
	size_t len;
	uint8_t *bytes; /* FAKE_LOG_BYTES */
	uint8_t *mark;
};

struct fake_hint {
	uint64_t key;
	uint64_t spot;
	bool is_set;
};

struct cn_pair {
	struct fake_log log[FAKE_LOGS];
	size_t logs;
	struct fake_hint *hint; /* FAKE_HINTS; later ones go first */
	size_t hints;
	size_t pins;  /* views that are not done */
	size_t looks; /* calls that asked for a view */
	unsigned hook_bits;
	bool is_on_disk;   /* every look is told to wait */
	size_t disk_after; /* ... after so many looks that are not */
	uint64_t lie;      /* seed: hints point anywhere besides; 0: none do */
	size_t piece_max;  /* appended pieces are no longer; 0: no limit */
	size_t learned;    /* chunks, ever */
	struct cn_store_chunk *table; /* what cn_view_chunks() says */
	size_t table_len;
	size_t tables; /* calls of cn_view_chunks() */
	bool is_short; /* what others allocate next fails */
	bool has_failed;
};

/* Log 0 is ours, and the one that is appended to.  NULL: no memory. */
struct cn_pair *fake_pair(uint64_t start);
void fake_free(struct cn_pair **pp);
/* One more log; its number. */
size_t fake_add_log(
    struct cn_pair *pair, uint64_t epoch, bool is_mine, uint64_t start);
/* Bytes at the end of a log; the position of the first. */
uint64_t fake_add(struct cn_pair *pair, size_t log, const uint8_t *bytes,
    size_t len, uint8_t mark);
/* As cn_pair_append(), into log 0; the bytes get the mark. */
size_t fake_append(struct cn_pair *pair, uint8_t mark, const uint8_t *plain,
    const struct cn_store_span *spans, size_t count,
    struct cn_store_piece *pieces, size_t max);
/* Marks for [from, to) of a log, positions. */
void fake_mark(
    struct cn_pair *pair, size_t log, uint64_t from, uint64_t to, uint8_t mark);
/* The bytes at a place, NULL if not all of len are there with that mark. */
const uint8_t *fake_bytes(const struct cn_pair *pair,
    const struct cn_place *place, size_t len, uint8_t mark);

#endif /* CN_TESTS_CODEC_FAKESTORE_H */
