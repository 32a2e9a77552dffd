/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_LEDGER_H
#define CN_MANAGE_LEDGER_H

/*
 * Bytes that can be told again: a sequence that a seed and a kind determine,
 * for tests of what came back.
 *
 * Life:       cn_ledger_init(); no end.
 * Thread:     one.
 * Invariants: the same seed and kind give the same bytes, in whatever pieces
 *             they are taken.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/rand.h"

#define CN_LEDGER_LINE 160u

enum cn_ledger_kind {
	CN_LEDGER_RANDOM, /* cannot be compressed */
	CN_LEDGER_TEXT,   /* lines of a log */
	CN_LEDGER_MIXED,  /* stretches of both, and of zeros */
};

struct cn_ledger {
	enum cn_ledger_kind kind;
	struct cn_prng prng;
	uint64_t count; /* pieces so far */
	uint8_t line[CN_LEDGER_LINE];
	size_t at, len; /* within line */
};

void cn_ledger_init(
    struct cn_ledger *ledger, enum cn_ledger_kind kind, uint64_t seed);
/* The next len bytes. */
void cn_ledger_take(struct cn_ledger *ledger, void *out, size_t len);

/* Where in-coming bytes first differ from the next len ones: len if nowhere.
 * The ledger moves on by len in any case. */
size_t cn_ledger_compare(
    struct cn_ledger *ledger, const uint8_t *bytes, size_t len);

#endif /* CN_MANAGE_LEDGER_H */
