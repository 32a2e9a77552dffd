/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_FAKELINK_H
#define CN_TESTS_FAKELINK_H

/*
 * Two streams joined by nothing: the part of link/link.h that a pump calls,
 * with a window of the test's choice and without a network between.
 *
 * What one side fills is at once what the other reads.  It checks that its
 * user keeps the rules of link.h, and asserts where he does not.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link/link.h"

struct cn_fakelink {
	struct cn_stream *end[2]; /* NULL once given back */
	uint64_t filled[2];       /* bytes that side read from its socket */
	uint64_t calls;
	uint64_t reset_reason[2]; /* with which that side reset */
	bool hold_end;            /* do not tell ENDED by itself */
};

/* Two streams; each direction holds at most window bytes. */
void cn_fakelink_init(struct cn_fakelink *link, size_t window);
void cn_fakelink_fini(struct cn_fakelink *link);

/* The next event of either side; its stream tells which. */
bool cn_fakelink_event(struct cn_fakelink *link, struct cn_link_event *ret);

/* As if the peer or the engine had reset that side. */
void cn_fakelink_reset(
    struct cn_fakelink *link, int side, enum cn_reset reason);
/* Tell that side that it ended, true or not. */
void cn_fakelink_say_ended(struct cn_fakelink *link, int side);

#endif /* CN_TESTS_FAKELINK_H */
