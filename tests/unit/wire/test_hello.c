/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "hello_samples.h"
#include "mutate.h"
#include "wire/varint.h"

static void
check_hello(const uint8_t *bytes, size_t len, void *arg)
{
	size_t *whole = arg;
	uint8_t out[CN_HELLO_MAX];
	struct cn_hello hello;
	size_t used = SIZE_MAX;
	size_t size;
	int rc;

	rc = cn_hello_decode(bytes, len, &hello, &used);
	if (rc != CN_OK) {
		assert_true(rc == CN_EAGAIN || rc == CN_EPROTO);
		assert_true(used == SIZE_MAX);
		return;
	}
	/* All but the length in front and fields of a later version. */
	size = cn_hello_encode(out, sizeof(out), &hello);
	assert_true(size > 0 && size <= used && used <= len);
	assert_memory_equal(out + 2, bytes + 2, size - 2);
	(*whole)++;
}

static void
test_round_trips(void **state)
{
	uint8_t out[CN_HELLO_MAX + 1];
	uint8_t small[CN_HELLO_MAX];

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(hello_samples); i++) {
		const struct cn_hello *sample = &hello_samples[i];
		size_t size = cn_hello_encode(out, sizeof(out), sample);
		struct cn_hello got;
		size_t used;

		assert_true(size > 0);
		assert_int_equal(
		    cn_hello_decode(out, sizeof(out), &got, &used), CN_OK);
		assert_int_equal(used, size);
		assert_int_equal(got.version_min, sample->version_min);
		assert_int_equal(got.version_max, sample->version_max);
		assert_int_equal(got.status, sample->status);
		assert_int_equal(got.flags, sample->flags);
		assert_true(got.features == sample->features);
		assert_memory_equal(got.identity, sample->identity, 32);
		assert_memory_equal(got.peer, sample->peer, 32);
		assert_memory_equal(got.exporter, sample->exporter, 32);
		assert_memory_equal(got.boot_id, sample->boot_id, 16);
		assert_memory_equal(got.link_id, sample->link_id, 16);
		assert_int_equal(got.slot, sample->slot);
		assert_true(got.generation == sample->generation);
		assert_int_equal(got.workers, sample->workers);
		assert_int_equal(got.credit_floor, sample->credit_floor);
		assert_int_equal(got.lanes, sample->lanes);
		assert_int_equal(got.lane_window_log, sample->lane_window_log);
		assert_int_equal(got.prefix_max, sample->prefix_max);
		assert_true(got.streams_max == sample->streams_max);
		assert_string_equal(got.name, sample->name);
		assert_string_equal(got.text, sample->text);
		for (size_t cap = 0; cap < size; cap++) {
			assert_int_equal(
			    cn_hello_encode(small, cap, sample), 0);
			assert_int_equal(
			    cn_hello_decode(out, cap, &got, &used), CN_EAGAIN);
		}
	}
}

static void
test_damage(void **state)
{
	uint8_t out[CN_HELLO_MAX];

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(hello_samples); i++) {
		size_t size =
		    cn_hello_encode(out, sizeof(out), &hello_samples[i]);
		size_t whole = 0;

		cn_mutate_each(out, size, check_hello, &whole);
		assert_true(whole > 2);
	}
}

static void
test_longest(void **state)
{
	struct cn_hello hello = hello_samples[1];
	uint8_t out[CN_HELLO_MAX];
	size_t whole = 0;

	(void)state;
	memset(hello.name, 'n', CN_NAME_MAX);
	memset(hello.text, 't', CN_TEXT_MAX);
	hello.version_max = UINT32_MAX;
	hello.status = UINT32_MAX;
	hello.flags = UINT32_MAX;
	check_hello(out, cn_hello_encode(out, sizeof(out), &hello), &whole);
	assert_int_equal(whole, 1);
}

static void
test_later_fields_are_skipped(void **state)
{
	uint8_t out[CN_HELLO_MAX + 1] = { 0 };
	struct cn_hello got;
	size_t used;
	size_t whole = 0;

	(void)state;
	assert_true(cn_hello_encode(out, sizeof(out), &hello_samples[0]) > 0);
	cn_be16_put(out, CN_HELLO_MAX - 2);
	check_hello(out, sizeof(out), &whole);
	assert_int_equal(whole, 1);
	assert_int_equal(cn_hello_decode(out, sizeof(out), &got, &used), CN_OK);
	assert_int_equal(used, CN_HELLO_MAX);
	/* Too long is known from the length alone. */
	cn_be16_put(out, CN_HELLO_MAX - 1);
	assert_int_equal(cn_hello_decode(out, 2, &got, &used), CN_EPROTO);
}

/*
 * Set the bytes at an offset of the first sample; true when it still decodes.
 */
static bool
decodes_with(size_t at, const uint8_t *bytes, size_t len, size_t replaced)
{
	uint8_t out[CN_HELLO_MAX] = { 0 };
	uint8_t tail[CN_HELLO_MAX];
	size_t size = cn_hello_encode(out, sizeof(out), &hello_samples[0]);
	struct cn_hello got;
	size_t used;

	assert_true(size > at + replaced);
	memcpy(tail, out + at + replaced, size - at - replaced);
	memcpy(out + at, bytes, len);
	memcpy(out + at + len, tail, size - at - replaced);
	size = size + len - replaced;
	cn_be16_put(out, (uint16_t)(size - 2));
	return cn_hello_decode(out, size, &got, &used) == CN_OK;
}

static bool
decodes(size_t at, uint64_t value, size_t replaced)
{
	uint8_t bytes[8];
	size_t len = cn_varint_put(bytes, value);

	return decodes_with(at, bytes, len, replaced);
}

static void
test_limits(void **state)
{
	/* Where the numbers stand in the first sample. */
	enum {
		VERSION_MIN = 2,
		VERSION_MAX = 3,
		SLOT = 2 + 4 + 8 + 32 * 3 + 16 * 2,
		WORKERS = SLOT + 2,
		FLOOR = WORKERS + 1,
		LANES = FLOOR + 4,
		WINDOW = LANES + 2,
		PREFIX = WINDOW + 1,
		NAME = PREFIX + 4 + 4,
		TEXT = NAME + 1 + 5,
	};
	static const uint8_t bad_name[] = { 1, 0x0a };

	(void)state;
	assert_false(decodes(VERSION_MIN, 0, 1));
	assert_false(decodes(VERSION_MIN, 2, 1));
	assert_false(decodes(VERSION_MAX, 0, 1));
	assert_true(decodes(VERSION_MAX, UINT32_MAX, 1));
	assert_false(decodes(VERSION_MAX, UINT64_C(1) << 32, 1));
	assert_true(decodes(SLOT, CN_SLOTS_MAX - 1, 1));
	assert_false(decodes(SLOT, CN_SLOTS_MAX, 1));
	assert_false(decodes(WORKERS, 0, 1));
	assert_true(decodes(WORKERS, CN_WORKERS_MAX, 1));
	assert_false(decodes(WORKERS, CN_WORKERS_MAX + 1, 1));
	assert_true(decodes(FLOOR, CN_CREDIT_FLOOR_MIN, 4));
	assert_false(decodes(FLOOR, CN_CREDIT_FLOOR_MIN - 1, 4));
	assert_true(decodes(FLOOR, CN_CREDIT_FLOOR_MAX, 4));
	assert_false(decodes(FLOOR, CN_CREDIT_FLOOR_MAX + 1, 4));
	assert_true(decodes(LANES, CN_LANES_MAX, 2));
	assert_false(decodes(LANES, CN_LANES_MAX + 1, 2));
	assert_true(decodes(WINDOW, CN_LANE_WINDOW_LOG_MIN, 1));
	assert_false(decodes(WINDOW, CN_LANE_WINDOW_LOG_MIN - 1, 1));
	assert_false(decodes(WINDOW, CN_LANE_WINDOW_LOG_MAX + 1, 1));
	assert_true(decodes(PREFIX, CN_BATCH_PREFIX_MAX, 4));
	assert_false(decodes(PREFIX, CN_BATCH_PREFIX_MAX + 1, 4));
	assert_false(decodes_with(NAME, bad_name, 2, 6));
	assert_false(decodes(NAME, CN_NAME_MAX + 1, 1));
	assert_false(decodes(TEXT - 6, 7, 1));
}

static void
test_names(void **state)
{
	(void)state;
	assert_string_equal(
	    cn_close_name(CN_CLOSE_LINK_UNKNOWN), "link-unknown");
	assert_string_equal(cn_close_name(CN_CLOSE_INTERNAL), "internal");
	assert_string_equal(cn_close_name(CN_CLOSE_MAX), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_later_fields_are_skipped),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
