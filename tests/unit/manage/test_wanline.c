/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/rand.h"
#include "manage/wanline.h"

#define MBIT UINT64_C(1000000)
#define MS UINT64_C(1000)

static void
put(struct cn_wanline *line, void *owner, uint32_t len, uint64_t now)
{
	struct cn_wanline_piece *piece =
	    cn_wanline_piece_create(owner, CN_WANLINE_DATA, len);

	assert_non_null(piece);
	memset(piece->data, (int)len, len);
	cn_wanline_put(line, piece, now);
}

/* The length of the next piece, or -1 when none has arrived. */
static int
take(struct cn_wanline *line, uint64_t now)
{
	struct cn_wanline_piece *piece = cn_wanline_take(line, now);
	int len = piece ? (int)piece->len : -1;

	if (piece) {
		cn_wanline_piece_free(&piece);
	}
	return len;
}

static void
test_delivers_after_wire_and_delay(void **state)
{
	struct cn_wanline line;

	(void)state;
	/* 1,250 bytes take 1 ms at 10 Mb/s. */
	cn_wanline_init(&line, 10 * MBIT, 20 * MS, 65536);
	put(&line, NULL, 1250, 1000);
	put(&line, NULL, 2500, 1000);
	assert_int_equal(cn_wanline_deadline(&line), 1000 + 21 * MS);
	assert_int_equal(take(&line, 1000 + 21 * MS - 1), -1);
	assert_int_equal(take(&line, 1000 + 21 * MS), 1250);
	assert_int_equal(take(&line, 1000 + 23 * MS - 1), -1);
	assert_int_equal(take(&line, 1000 + 23 * MS), 2500);
	assert_int_equal(cn_wanline_deadline(&line), CN_WANLINE_NEVER);
	assert_int_equal(line.passed, 3750);
	/* After a pause the wire starts anew. */
	put(&line, NULL, 1250, 100 * MS);
	assert_int_equal(take(&line, 121 * MS - 1), -1);
	assert_int_equal(take(&line, 121 * MS), 1250);
	cn_wanline_fini(&line);
}

static void
test_room_ends_at_the_queue(void **state)
{
	struct cn_wanline line;

	(void)state;
	cn_wanline_init(&line, 10 * MBIT, 5 * MS, 10240);
	assert_int_equal(cn_wanline_room(&line), 1448);
	while (cn_wanline_room(&line) > 0) {
		put(&line, NULL, 1000, 0);
	}
	assert_int_equal(line.queued, 11000);
	/* The first 1,000 bytes leave after 0.8 ms; that makes room. */
	assert_int_equal(cn_wanline_deadline(&line), 800);
	assert_int_equal(take(&line, 799), -1);
	assert_int_equal(cn_wanline_room(&line), 0);
	assert_int_equal(take(&line, 800), -1);
	assert_int_equal(line.queued, 10000);
	assert_true(cn_wanline_room(&line) > 0);
	assert_int_equal(line.held, 11000);
	cn_wanline_fini(&line);
}

static void
test_no_rate_has_no_wire(void **state)
{
	struct cn_wanline line;

	(void)state;
	cn_wanline_init(&line, 0, 0, 100000);
	assert_int_equal(cn_wanline_room(&line), CN_WANLINE_PIECE_MAX);
	put(&line, NULL, 65536, 7);
	put(&line, NULL, 65536, 7);
	assert_int_equal(cn_wanline_room(&line), 0);
	assert_int_equal(cn_wanline_deadline(&line), 7);
	assert_int_equal(take(&line, 7), 65536);
	assert_int_equal(take(&line, 7), 65536);
	assert_true(cn_wanline_room(&line) > 0);
	cn_wanline_fini(&line);
}

static void
test_stall_shifts_everything(void **state)
{
	struct cn_wanline line;

	(void)state;
	cn_wanline_init(&line, 10 * MBIT, 20 * MS, 65536);
	put(&line, NULL, 1250, 0);
	cn_wanline_stall(&line, 10 * MS);
	cn_wanline_stall(&line, 12 * MS);
	assert_int_equal(cn_wanline_deadline(&line), CN_WANLINE_NEVER);
	assert_int_equal(take(&line, 50 * MS), -1);
	/* Put while stalled: as if put when the stall began. */
	put(&line, NULL, 2500, 60 * MS);
	cn_wanline_resume(&line, 110 * MS);
	cn_wanline_resume(&line, 115 * MS);
	assert_int_equal(cn_wanline_deadline(&line), 121 * MS);
	assert_int_equal(take(&line, 121 * MS - 1), -1);
	assert_int_equal(take(&line, 121 * MS), 1250);
	assert_int_equal(take(&line, 132 * MS - 1), -1);
	assert_int_equal(take(&line, 132 * MS), 2500);
	cn_wanline_fini(&line);
}

static void
test_drop_takes_only_the_owners(void **state)
{
	struct cn_wanline line;
	int a, b;
	uint64_t live = cn_alloc_count();

	(void)state;
	cn_wanline_init(&line, 10 * MBIT, 0, 65536);
	put(&line, &a, 1250, 0);
	put(&line, &b, 1250, 0);
	put(&line, &a, 1250, 0);
	put(&line, &b, 1250, 0);
	put(&line, &a, 1250, 0);
	assert_int_equal(take(&line, 1000), 1250);
	cn_wanline_drop(&line, &a);
	assert_int_equal(line.queued, 2500);
	assert_int_equal(line.held, 2500);
	put(&line, &a, 77, 1000);
	assert_int_equal(take(&line, 2000), 1250);
	assert_int_equal(take(&line, 4000), 1250);
	assert_int_equal(take(&line, 10 * MS), 77);
	assert_int_equal(take(&line, 10 * MS), -1);
	put(&line, &a, 5, 10 * MS);
	cn_wanline_drop(&line, NULL);
	assert_int_equal(line.queued, 0);
	assert_int_equal(line.held, 0);
	cn_wanline_fini(&line);
	assert_int_equal(cn_alloc_count(), live);
}

static void
test_marks_keep_their_place(void **state)
{
	struct cn_wanline line;
	struct cn_wanline_piece *piece;

	(void)state;
	cn_wanline_init(&line, 10 * MBIT, 3 * MS, 1448);
	put(&line, NULL, 2000, 0);
	assert_int_equal(cn_wanline_room(&line), 0);
	piece = cn_wanline_piece_create(NULL, CN_WANLINE_END, 0);
	assert_non_null(piece);
	cn_wanline_put(&line, piece, 0);
	assert_int_equal(take(&line, 4600), 2000);
	piece = cn_wanline_take(&line, 4600);
	assert_non_null(piece);
	assert_int_equal(piece->kind, CN_WANLINE_END);
	cn_wanline_piece_free(&piece);
	cn_wanline_fini(&line);
}

/* Whatever is put and however time goes: order, rate and delay hold. */
static void
test_holds_its_settings(void **state)
{
	struct cn_prng prng;

	(void)state;
	cn_prng_init(&prng, 20);
	for (unsigned round = 0; round < 200; round++) {
		uint64_t rate = 1000 + cn_prng_below(&prng, 1000 * MBIT);
		uint64_t delay = cn_prng_below(&prng, 300 * MS);
		uint64_t now = 1 + cn_prng_below(&prng, MBIT), begun = now;
		uint64_t sent = 0, got = 0, last_put = now;
		uint32_t seen = 0, next = 0;
		struct cn_wanline line;

		cn_wanline_init(&line, rate, delay, 20000);
		while (next < 200 || seen < next) {
			struct cn_wanline_piece *piece;
			size_t room = cn_wanline_room(&line);

			if (next < 200 && room > 0) {
				uint32_t len =
				    1 + (uint32_t)cn_prng_below(&prng, room);

				piece = cn_wanline_piece_create(
				    NULL, CN_WANLINE_DATA, len);
				assert_non_null(piece);
				/* No rounding: the model's own field. */
				piece->done = next++;
				sent += len;
				last_put = now;
				cn_wanline_put(&line, piece, now);
				continue;
			}
			assert_int_not_equal(
			    cn_wanline_deadline(&line), CN_WANLINE_NEVER);
			now = CN_MAX(now, cn_wanline_deadline(&line));
			while ((piece = cn_wanline_take(&line, now)) != NULL) {
				double us = (double)(now - begun - delay);

				assert_int_equal(piece->done, seen++);
				got += piece->len;
				/* Never faster than the wire. */
				assert_true((double)got * 8e6 <=
				    (us + 0.2) * (double)rate + 8e6);
				cn_wanline_piece_free(&piece);
			}
		}
		assert_int_equal(got, sent);
		/* Nor slower: it was never idle. */
		assert_true((double)(now - last_put) <= (double)delay + 200.0 +
			(20000.0 + 65536.0) * 8e6 / (double)rate);
		cn_wanline_fini(&line);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delivers_after_wire_and_delay),
		cmocka_unit_test(test_room_ends_at_the_queue),
		cmocka_unit_test(test_no_rate_has_no_wire),
		cmocka_unit_test(test_stall_shifts_everything),
		cmocka_unit_test(test_drop_takes_only_the_owners),
		cmocka_unit_test(test_marks_keep_their_place),
		cmocka_unit_test(test_holds_its_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
