/* SPDX-License-Identifier: Apache-2.0 */
#include "config/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"

static bool
is_equal(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

size_t
cn_nearest_distance(const char *a, const char *b)
{
	size_t rows[3][CN_NEAREST_MAX + 1];
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > CN_NEAREST_MAX || b_len > CN_NEAREST_MAX) {
		return SIZE_MAX;
	}
	for (size_t j = 0; j <= b_len; j++) {
		rows[0][j] = j;
	}
	for (size_t i = 1; i <= a_len; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i - 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t cost = is_equal(a[i - 1], b[j - 1]) ? 0 : 1;
			size_t best = above[j - 1] + cost;

			best = CN_MIN(best, above[j] + 1);
			best = CN_MIN(best, row[j - 1] + 1);
			if (i > 1 && j > 1 && is_equal(a[i - 1], b[j - 2]) &&
			    is_equal(a[i - 2], b[j - 1])) {
				best =
				    CN_MIN(best, rows[(i - 2) % 3][j - 2] + 1);
			}
			row[j] = best;
		}
	}
	return rows[a_len % 3][b_len];
}

void
cn_nearest_init(struct cn_nearest *nearest, const char *word)
{
	nearest->word = word;
	nearest->best = NULL;
	nearest->distance = SIZE_MAX;
}

void
cn_nearest_offer(struct cn_nearest *nearest, const char *candidate)
{
	size_t longest = CN_MAX(strlen(nearest->word), strlen(candidate));
	size_t distance = cn_nearest_distance(nearest->word, candidate);

	/* One edit for each three letters, or every word resembles all. */
	if (distance > CN_MAX(longest / 3, (size_t)1) || longest < 2) {
		return;
	}
	if (distance < nearest->distance) {
		nearest->distance = distance;
		nearest->best = candidate;
	}
}
