/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/match.h"
#include "codec/matcher.h"
#include "store/store.h"

size_t
cn_match_table(const struct cn_matcher *m, const struct cn_pair *pair,
    uint64_t scope, const uint8_t *plain, const struct cn_store_piece *piece,
    struct cn_store_chunk *chunk, size_t max)
{
	uint64_t seed = cn_pair_seed(pair, scope);
	size_t at = piece->offset, end = at + piece->len, count = 0;

	while (at < end && count < max) {
		uint64_t key;
		size_t len = cn_chunker_take(
		    &m->chunker, plain + at, end - at, seed, &key);

		/* Of equal ones in a row the first is enough. */
		if (count == 0 || chunk[count - 1].key != key) {
			chunk[count++] = (struct cn_store_chunk){
				.key = key,
				.pos = piece->pos + (at - piece->offset),
			};
		}
		at += len;
	}
	return count;
}
