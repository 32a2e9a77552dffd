/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_JOIN_SAMPLES_H
#define CN_TESTS_JOIN_SAMPLES_H

/* A message of each type. */

#include "wire/join.h"

static const struct cn_join join_samples[] = {
	{ .type = CN_JOIN_PROOF,
	    .version = 1,
	    .id = { 1, 2, 3, 4, 5, 6, 7, 8 },
	    .proof = { 0xaa, 0xbb },
	    .name = "london" },
	{ .type = CN_JOIN_WELCOME,
	    .proof = { 0xcc },
	    .name = "tokyo",
	    .offers_count = 2,
	    .offers = { "orders-db", "web" } },
	{ .type = CN_JOIN_WELCOME, .name = "t" },
	{ .type = CN_JOIN_READY },
	{ .type = CN_JOIN_WRITTEN },
	{ .type = CN_JOIN_REFUSED,
	    .code = CN_JOIN_CODE_UNKNOWN,
	    .text = "the token has expired" },
	{ .type = CN_JOIN_REFUSED, .code = 4711 },
};

#endif /* CN_TESTS_JOIN_SAMPLES_H */
