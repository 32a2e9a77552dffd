/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CODEC_MATCHER_H
#define CN_CODEC_MATCHER_H

/*
 * The inside of a matcher, for match.c and match_learn.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/chunker.h"
#include "codec/found.h"
#include "codec/match.h"
#include "codec/near.h"
#include "codec/reach.h"

/* Chunks whose hints are fetched ahead of their turn. */
#define CN_MATCHER_AHEAD 4u
#define CN_MATCHER_TRAILS 4u

struct cn_matcher {
	struct cn_chunker chunker;
	struct cn_reach reach;
	struct cn_found found;
	struct cn_near *near; /* owned; NULL until a pair has hooks */
	uint64_t seed;        /* of keys, for the batch */
	bool has_hooks;       /* the index takes them only */

	/* Where the batch was found last, the latest first. */
	struct cn_trail trail[CN_MATCHER_TRAILS];
	struct cn_trail last; /* of the last copy, or before the batch */
	size_t literal;       /* end of the last copy */
	size_t credit;        /* of the trails, there: bytes of literals for
			       * which they show an older version */
	size_t cut;           /* end of the last chunk that was missed */
	size_t misses;        /* chunks since the last copy */

	/* Chunks cut ahead, a ring; useless if the next look-up is not where
	 * one of them begins. */
	struct cn_found_chunk ahead[CN_MATCHER_AHEAD];
	size_t ahead_first, ahead_count;
	size_t ahead_end; /* of the last one */
};

#endif /* CN_CODEC_MATCHER_H */
