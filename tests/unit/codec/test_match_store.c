/* SPDX-License-Identifier: Apache-2.0 */
/* The matcher and the store itself: held, lacking, scopes, both logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/err.h"
#include "codec/match.h"
#include "codec/samples.h"
#include "store/store.h"
#include "wire/limits.h"
#include "wire/refs.h"

#define DATA_LEN (5u << 19) /* crosses segments */
#define BATCH 150000u
#define EPOCH 77u

struct rig {
	struct cn_store *store;
	struct cn_pair *pair;
	struct cn_matcher *matcher;
	struct cn_store_user user;
	uint8_t *data;
	size_t copied, stored, regions; /* of the last pass */
};

static void
wake(void *arg)
{
	(void)arg;
}

static int
set_up(void **ret)
{
	static struct rig rig;
	const struct cn_store_config config = {
		.memory_bytes = 24u * CN_SEGMENT_BYTES,
		.index_bytes = 1u << 20,
		.epoch = EPOCH,
		.key = { 9 },
	};
	const uint8_t peer[CN_IMAGE_PEER_BYTES] = { 1 };
	const uint8_t boot[CN_STORE_BOOT_BYTES] = { 2 };

	rig = (struct rig){ .user = { .wake = wake } };
	assert_int_equal(cn_store_create(&config, 0, &rig.store), CN_OK);
	cn_store_join(rig.store, &rig.user);
	rig.pair = cn_store_pair(rig.store, peer);
	assert_non_null(rig.pair);
	assert_true(cn_pair_meet(rig.pair, boot, 0));
	assert_int_equal(cn_matcher_create(rig.store, &rig.matcher), CN_OK);
	rig.data = cn_alloc(DATA_LEN);
	assert_non_null(rig.data);
	samples_random(rig.data, DATA_LEN, 1);
	*ret = &rig;
	return 0;
}

static int
tear_down(void **ret)
{
	struct rig *rig = *ret;

	cn_matcher_free(&rig->matcher);
	cn_store_leave(rig->store, &rig->user);
	cn_pair_put(&rig->pair);
	cn_store_free(&rig->store);
	cn_free(rig->data);
	return 0;
}

/* The bytes of a place, as the peer would get them. */
static void
check_place(struct rig *rig, uint64_t scope, const struct cn_place *place,
    const uint8_t *bytes, size_t len)
{
	struct cn_view view;

	assert_int_equal(
	    cn_pair_look_at(rig->pair, place, scope, NULL, &view), CN_OK);
	assert_true(view.after >= len);
	if (bytes != NULL) {
		assert_memory_equal(view.bytes, bytes, len);
	}
	cn_view_done(&view);
}

static void
send_batch(struct rig *rig, uint64_t scope, struct cn_match_state *state,
    const uint8_t *plain, size_t len, bool is_held)
{
	struct cn_store_piece piece[CN_REFS_STORES_MAX];
	struct cn_match match;
	size_t pieces;

	assert_int_equal(cn_match_batch(rig->matcher, rig->pair, scope, state,
			     &rig->user, plain, len, true, &match),
	    CN_OK);
	for (size_t i = 0; i < match.copies; i++) {
		check_place(rig, scope, &match.copy[i].place,
		    plain + match.copy[i].offset, match.copy[i].len);
	}
	for (size_t i = 0; i < match.regions; i++) {
		check_place(rig, scope, &match.region[i].place, NULL,
		    match.region[i].len);
	}
	rig->copied += match.copied;
	rig->regions += match.regions;
	pieces = cn_pair_append(rig->pair, scope, plain, match.miss,
	    match.misses, piece, CN_ARRAY_LEN(piece), 0);
	cn_match_learn(
	    rig->matcher, rig->pair, scope, true, EPOCH, NULL, piece, pieces);
	for (size_t i = 0; i < pieces; i++) {
		rig->stored += piece[i].len;
		if (is_held) {
			cn_pair_held(
			    rig->pair, EPOCH, piece[i].pos, piece[i].len);
		}
	}
}

static void
send_all(struct rig *rig, uint64_t scope, bool is_held)
{
	struct cn_match_state state = { 0 };

	rig->copied = rig->stored = rig->regions = 0;
	for (size_t at = 0; at < DATA_LEN; at += BATCH) {
		send_batch(rig, scope, &state, rig->data + at,
		    CN_MIN(BATCH, DATA_LEN - at), is_held);
	}
}

static void
test_held(void **ret)
{
	struct rig *rig = *ret;

	send_all(rig, 1, false);
	assert_int_equal(rig->stored, DATA_LEN);
	/* Here, but not known to be there. */
	send_all(rig, 1, true);
	assert_int_equal(rig->copied, 0);
	assert_int_equal(rig->stored, DATA_LEN);
	send_all(rig, 1, true);
	assert_int_equal(rig->copied, DATA_LEN);
	assert_int_equal(rig->stored, 0);
}

/* What the peer says it lacks is sent again, and only that. */
static void
test_lacks(void **ret)
{
	struct rig *rig = *ret;
	struct cn_place place = { EPOCH, CN_SEGMENT_BYTES - 50000, true };

	send_all(rig, 1, true);
	cn_pair_lacks(rig->pair, &place, 100000);
	send_all(rig, 1, true);
	assert_in_range(rig->copied, DATA_LEN - 120000, DATA_LEN - 100000);
	send_all(rig, 1, true);
	assert_int_equal(rig->copied, DATA_LEN);
}

/* Nothing of one scope helps another. */
static void
test_scopes(void **ret)
{
	struct rig *rig = *ret;

	send_all(rig, 1, true);
	send_all(rig, 2, true);
	assert_int_equal(rig->copied, 0);
	assert_int_equal(rig->regions, 0);
	assert_int_equal(rig->stored, DATA_LEN);
	send_all(rig, 2, true);
	assert_int_equal(rig->copied, DATA_LEN);
}

/* Several scopes that write in turns take extents from the same segments:
 * what is one piece of a stream is many of the log. */
static void
test_scopes_in_turns(void **ret)
{
	struct rig *rig = *ret;

	for (int pass = 0; pass < 2; pass++) {
		struct cn_match_state state[3] = { 0 };

		rig->copied = rig->stored = 0;
		for (size_t at = 0; at < DATA_LEN; at += BATCH) {
			for (uint64_t scope = 0; scope < 3; scope++) {
				send_batch(rig, scope + 1, &state[scope],
				    rig->data + at,
				    CN_MIN(BATCH, DATA_LEN - at), true);
			}
		}
		assert_int_equal(rig->copied, pass == 0 ? 0 : 3 * DATA_LEN);
		assert_int_equal(rig->stored, pass == 0 ? 3 * DATA_LEN : 0);
	}
}

/* What came from the peer goes back as references. */
static void
test_peers_log(void **ret)
{
	struct rig *rig = *ret;
	uint64_t pos = 0;

	for (uint32_t at = 0; at < DATA_LEN; at += BATCH) {
		struct cn_store_piece piece = { 0, CN_MIN(BATCH, DATA_LEN - at),
			pos };

		assert_int_equal(cn_pair_fill(rig->pair, 5, pos, 1,
				     rig->data + at, piece.len, 0),
		    CN_OK);
		cn_match_learn(rig->matcher, rig->pair, 1, false, 5,
		    rig->data + at, &piece, 1);
		pos += piece.len;
	}
	send_all(rig, 1, true);
	assert_int_equal(rig->copied, DATA_LEN);
}

int
main(void)
{
#define RIGGED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		RIGGED(test_held),
		RIGGED(test_lacks),
		RIGGED(test_scopes),
		RIGGED(test_scopes_in_turns),
		RIGGED(test_peers_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
