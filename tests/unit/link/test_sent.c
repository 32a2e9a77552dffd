/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/rand.h"
#include "link/state.h"

/* The table alone: a link and a slot of which nothing else is used. */
static struct cn_link link;

static void
init(struct cn_slot *slot)
{
	memset(slot, 0, sizeof(*slot));
	cn_list_init(&link.parked);
	cn_ranges_init(&slot->nacked, CN_LINK_WITHHELD_MAX);
	cn_ranges_init(&slot->withheld, CN_LINK_WITHHELD_MAX);
}

static void
fini(struct cn_slot *slot)
{
	cn_sent_fini(&slot->sent);
	cn_ranges_fini(&slot->nacked);
	cn_ranges_fini(&slot->withheld);
}

static void
send_block(struct cn_slot *slot, size_t entries)
{
	assert_true(cn_sent_has_room(&slot->sent, entries));
	assert_int_equal(cn_sent_begin(&slot->sent, entries), CN_OK);
	for (size_t i = 0; i < entries; i++) {
		cn_sent_add(&slot->sent, CN_FRAME_DATA, i, i, 1);
	}
	cn_sent_end(&slot->sent, CN_SENT_NO_LANE, 0);
}

/* Against an array of flags: what is forgotten is the settled front. */
static void
test_model(void **state)
{
	static bool settled[20000];

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct cn_slot slot;
		struct cn_prng prng;
		uint64_t sent = 0, front = 0, entries[20000];

		memset(settled, 0, sizeof(settled));
		init(&slot);
		cn_prng_init(&prng, seed);
		while (sent < 19000) {
			struct cn_frame_block_ack ack = { 0 };
			uint64_t at, sum = 0;

			for (uint64_t n = cn_prng_below(&prng, 60);
			     n > 0 && cn_sent_has_room(&slot.sent, 20); n--) {
				entries[sent] = cn_prng_below(&prng, 20);
				send_block(&slot, entries[sent]);
				sent++;
			}
			ack.next = cn_prng_chance(&prng, 1, 2)
			    ? front
			    : front + cn_prng_below(&prng, sent - front + 1);
			at = ack.next;
			while (ack.ranges < CN_BLOCK_ACK_RANGES_MAX &&
			    sent - at >= 2) {
				uint64_t skip =
				    1 + cn_prng_below(&prng, (sent - at) / 2);
				uint64_t run =
				    1 + cn_prng_below(&prng, sent - at - skip);

				ack.range[ack.ranges].skip = skip;
				ack.range[ack.ranges].run = run;
				ack.ranges++;
				at += skip + run;
				for (uint64_t i = at - run; i < at; i++) {
					settled[i] = true;
				}
			}
			for (uint64_t i = front; i < ack.next; i++) {
				settled[i] = true;
			}
			assert_int_equal(
			    cn_sent_settle(&link, &slot, &ack), CN_OK);
			while (front < sent && settled[front]) {
				front++;
			}
			for (uint64_t i = front; i < sent; i++) {
				sum += entries[i];
			}
			assert_int_equal(slot.sent.first_block, front);
			assert_int_equal(slot.sent.next_block, sent);
			assert_int_equal(
			    slot.sent.next_entry - slot.sent.first_entry, sum);
		}
		fini(&slot);
	}
}

static void
test_caps(void **state)
{
	struct cn_slot slot;
	struct cn_frame_block_ack ack = { 0 };

	(void)state;
	init(&slot);
	for (unsigned i = 0; i < CN_SENT_BLOCKS; i++) {
		send_block(&slot, 1);
	}
	assert_false(cn_sent_has_room(&slot.sent, 0));
	ack.next = CN_SENT_BLOCKS;
	assert_int_equal(cn_sent_settle(&link, &slot, &ack), CN_OK);
	for (unsigned i = 0; i < CN_SENT_ENTRIES / 512; i++) {
		send_block(&slot, 512);
	}
	assert_true(cn_sent_has_room(&slot.sent, 0));
	assert_false(cn_sent_has_room(&slot.sent, 1));
	fini(&slot);
}

/* What no honest peer says. */
static void
test_absurd(void **state)
{
	struct cn_slot slot;
	struct cn_frame_block_ack ack = { .next = 4 };

	(void)state;
	init(&slot);
	for (unsigned i = 0; i < 3; i++) {
		send_block(&slot, 1);
	}
	assert_int_equal(cn_sent_settle(&link, &slot, &ack), CN_EPROTO);
	ack.next = 0;
	ack.ranges = 1;
	ack.range[0].skip = 3;
	ack.range[0].run = 1;
	assert_int_equal(cn_sent_settle(&link, &slot, &ack), CN_EPROTO);
	ack.range[0].skip = CN_VARINT_MAX;
	ack.range[0].run = CN_VARINT_MAX;
	assert_int_equal(cn_sent_settle(&link, &slot, &ack), CN_EPROTO);
	assert_int_equal(cn_sent_rebuild(NULL, &slot, 3, false, 0), CN_EPROTO);
	assert_int_equal(
	    cn_sent_rebuild(NULL, &slot, CN_VARINT_MAX, false, 0), CN_EPROTO);
	fini(&slot);
}

/* A block that carries a NACK of block 6 is acknowledged. */
static int
settle_nack(struct cn_slot *slot)
{
	const struct cn_reply nack = { .type = CN_FRAME_NACK, .stream = 6 };
	struct cn_frame_block_ack ack = { .next = 1 };

	assert_int_equal(cn_sent_begin(&slot->sent, 1), CN_OK);
	cn_sent_add_reply(&slot->sent, &nack);
	cn_sent_end(&slot->sent, CN_SENT_NO_LANE, 0);
	return cn_sent_settle(&link, slot, &ack);
}

/* A run that cannot be split ends the carrier: else what is left out would
 * stay so, and the peer would wait for it. */
static void
test_no_room_to_split(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct cn_slot slot;

		init(&slot);
		cn_ranges_fini(&slot.nacked);
		cn_ranges_fini(&slot.withheld);
		cn_ranges_init(&slot.nacked, i == 0 ? 1 : 2);
		cn_ranges_init(&slot.withheld, i == 1 ? 1 : 2);
		assert_int_equal(
		    cn_ranges_add(&slot.nacked, i == 1 ? 6 : 5, 8), CN_OK);
		assert_int_equal(cn_ranges_add(&slot.withheld, 5, 8), CN_OK);
		assert_int_equal(
		    settle_nack(&slot), i == 2 ? CN_OK : CN_ELIMIT);
		fini(&slot);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_absurd),
		cmocka_unit_test(test_no_room_to_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
