/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_CODEC_MATCHRIG_H
#define CN_TESTS_CODEC_MATCHRIG_H

/*
 * A matcher with a fake store, and what has to hold of each of its answers.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/fakestore.h"
#include "codec/match.h"

#define SCOPE 1
/* Where logs start: a segment ends soon after. */
#define START (7u * CN_SEGMENT_BYTES - 5000u)

struct rig {
	struct cn_matcher *matcher;
	struct cn_pair *pair;
	struct cn_store_user user;
	struct cn_match_state state;
	/* Sums since they were zeroed. */
	size_t copied, copies, stored, regions;
};

/* For cmocka. */
int matchrig_set_up(void **ret);
int matchrig_tear_down(void **ret);
#define RIGGED(test)                                                           \
	cmocka_unit_test_setup_teardown(                                       \
	    test, matchrig_set_up, matchrig_tear_down)

/* A new store and a new stream. */
void matchrig_renew(struct rig *rig);
void matchrig_new_stream(struct rig *rig);

/* Copies are true, ascending, long enough and in one segment each. */
void matchrig_check_copies(struct rig *rig, const struct cn_match *match,
    const uint8_t *plain, size_t len);
/* Every byte that goes as a literal is stored, a few at the end excepted
 * that are known and too short to refer to. */
void matchrig_check_misses(const struct cn_match *match, size_t len);

/* Match one batch and check the answer. */
void matchrig_match(
    struct rig *rig, const uint8_t *plain, size_t len, struct cn_match *match);
/* Match, store and learn in batches, each in a block of its exact size; the
 * bytes are held at once.  Zeroes the sums first. */
void matchrig_send(
    struct rig *rig, const uint8_t *bytes, size_t len, size_t batch);
/* On the heap; the caller's. */
/* Bytes without repeats, cut finely: of 64 values. */
void matchrig_fill(uint8_t *bytes, size_t len, uint64_t seed);
uint8_t *matchrig_random(size_t len, uint64_t seed);

#endif /* CN_TESTS_CODEC_MATCHRIG_H */
