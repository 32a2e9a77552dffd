/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONFIG_NEAREST_H
#define CN_CONFIG_NEAREST_H

/*
 * "Did you mean ...?": the word of a list that a mistyped one resembles.
 *
 * Life:   on the stack: init, offer the candidates, ask.
 * Thread: any.
 */

#include <stddef.h>

/* Longer words are never compared. */
#define CN_NEAREST_MAX 64u

struct cn_nearest {
	const char *word; /* borrowed */
	const char *best; /* borrowed; NULL: nothing near enough */
	size_t distance;  /* of best */
};

void cn_nearest_init(struct cn_nearest *nearest, const char *word);
/* One candidate; borrowed until the last question. */
void cn_nearest_offer(struct cn_nearest *nearest, const char *candidate);

/*
 * Edits that turn one word into the other: insert, delete, replace, or
 * swap two neighbours; upper and lower case are equal.  SIZE_MAX when a word
 * is longer than CN_NEAREST_MAX.
 */
size_t cn_nearest_distance(const char *a, const char *b);

#endif /* CN_CONFIG_NEAREST_H */
