/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_REFS_SAMPLES_H
#define CN_TESTS_REFS_SAMPLES_H

/* References of batches, for unit tests and seeds. */

#include "wire/refs.h"

static const struct cn_refs refs_samples[] = {
	/* Everything. */
	{ .logs = 2,
	    .log = { { .epoch = UINT64_C(0x1122334455667788),
			 .is_senders = true },
		{ .epoch = UINT64_MAX, .is_senders = false } },
	    .has_copies = true,
	    .ops_len = 300,
	    .literal_len = 5000,
	    .regions = 2,
	    .region = { { .log = 0, .len = 4000, .pos = 1u << 20 },
		{ .log = 1, .len = 1, .pos = CN_LOG_END - 1 } },
	    .store_epoch = UINT64_C(0x1122334455667788),
	    .stores = 4,
	    /* On and on; elsewhere, ahead and back. */
	    .store = { { .offset = 0, .len = 100, .pos = 5u << 20 },
		{ .offset = 100, .len = 20, .pos = (5u << 20) + 100 },
		{ .offset = 5000, .len = 70000, .pos = 6u << 20 },
		{ .offset = 80000, .len = 1, .pos = 0 } } },
	/* Copies only. */
	{ .logs = 1,
	    .log = { { .epoch = 1, .is_senders = false } },
	    .has_copies = true,
	    .ops_len = 2,
	    .literal_len = 0 },
	/* A prefix from a log only. */
	{ .logs = 1,
	    .log = { { .epoch = 2, .is_senders = true } },
	    .regions = 1,
	    .region = { { .log = 0, .len = 65536, .pos = 0 } } },
	/* Stores only: the whole batch, at the end of the log. */
	{ .store_epoch = 3,
	    .stores = 1,
	    .store = { { .offset = 0,
		.len = CN_BATCH_PLAIN_MAX,
		.pos = CN_LOG_END - CN_BATCH_PLAIN_MAX } } },
};

#endif /* CN_TESTS_REFS_SAMPLES_H */
