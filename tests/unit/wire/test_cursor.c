/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/attr.h"
#include "mutate.h"
#include "wire/cursor.h"
#include "wire/writer.h"

/* RFC 9000, appendix A.1, and the edges of each size. */
static const struct {
	uint64_t value;
	size_t size;
	uint8_t bytes[8];
} varints[] = {
	{ UINT64_C(151288809941952652), 8,
	    { 0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c } },
	{ 494878333, 4, { 0x9d, 0x7f, 0x3e, 0x7d } },
	{ 15293, 2, { 0x7b, 0xbd } },
	{ 37, 1, { 0x25 } },
	{ 0, 1, { 0x00 } },
	{ 63, 1, { 0x3f } },
	{ 64, 2, { 0x40, 0x40 } },
	{ 16383, 2, { 0x7f, 0xff } },
	{ 16384, 4, { 0x80, 0x00, 0x40, 0x00 } },
	{ (1u << 30) - 1, 4, { 0xbf, 0xff, 0xff, 0xff } },
	{ 1u << 30, 8, { 0xc0, 0, 0, 0, 0x40, 0, 0, 0 } },
	{ CN_VARINT_MAX, 8,
	    { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
};

static void
test_varints(void **state)
{
	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(varints); i++) {
		size_t size = varints[i].size;
		uint8_t out[9];
		struct cn_writer w;
		struct cn_cursor c;

		assert_int_equal(cn_varint_size(varints[i].value), size);
		cn_writer_init(&w, out, size);
		cn_writer_varint(&w, varints[i].value);
		assert_true(cn_writer_ok(&w));
		assert_int_equal(cn_writer_len(&w), size);
		assert_memory_equal(out, varints[i].bytes, size);

		cn_cursor_init(&c, out, size);
		assert_true(cn_cursor_varint(&c) == varints[i].value);
		assert_true(cn_cursor_is_finished(&c));

		/* One byte less: neither reads nor writes. */
		cn_cursor_init(&c, out, size - 1);
		assert_true(cn_cursor_varint(&c) == 0);
		assert_true(cn_cursor_failed(&c));
		cn_writer_init(&w, out, size - 1);
		cn_writer_varint(&w, varints[i].value);
		assert_true(cn_writer_failed(&w));
		assert_int_equal(cn_writer_len(&w), 0);
	}
}

static void
test_longer_forms_are_refused(void **state)
{
	static const uint8_t longer[][8] = {
		{ 0x40, 0x25 },
		{ 0x40, 0x3f },
		{ 0x80, 0, 0, 0x25 },
		{ 0x80, 0, 0x3f, 0xff },
		{ 0xc0, 0, 0, 0, 0, 0, 0, 0x25 },
		{ 0xc0, 0, 0, 0, 0x3f, 0xff, 0xff, 0xff },
	};

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(longer); i++) {
		struct cn_cursor c;

		cn_cursor_init(&c, longer[i], sizeof(longer[i]));
		assert_true(cn_cursor_varint(&c) == 0);
		assert_true(cn_cursor_failed(&c));
		assert_int_equal(cn_cursor_remaining(&c), 0);
	}
}

static void
test_cursor_reads_and_sticks(void **state)
{
	static const uint8_t in[] = { 1, 0x02, 0x03, 4, 5, 6, 7, 8, 9, 10, 11,
		12, 13, 14, 15, 16, 17, 18 };
	struct cn_cursor c;
	uint8_t copy[2] = { 9, 9 };

	(void)state;
	cn_cursor_init(&c, in, sizeof(in));
	assert_int_equal(cn_cursor_u8(&c), 1);
	assert_int_equal(cn_cursor_u16(&c), 0x0203);
	assert_int_equal(cn_cursor_u32(&c), 0x04050607);
	assert_true(cn_cursor_u64(&c) == UINT64_C(0x08090a0b0c0d0e0f));
	cn_cursor_skip(&c, 1);
	assert_ptr_equal(cn_cursor_bytes(&c, 1), in + 16);
	assert_int_equal(cn_cursor_remaining(&c), 1);
	assert_false(cn_cursor_is_finished(&c));
	assert_int_equal(cn_cursor_u16(&c), 0);
	assert_true(cn_cursor_failed(&c));
	/* The last byte is not to be had any more. */
	assert_int_equal(cn_cursor_u8(&c), 0);
	assert_null(cn_cursor_bytes(&c, 0));
	assert_true(cn_cursor_varint(&c) == 0);
	cn_cursor_copy(&c, copy, 2);
	assert_int_equal(copy[0] | copy[1], 0);
	assert_int_equal(cn_cursor_remaining(&c), 0);
	assert_false(cn_cursor_is_finished(&c));

	cn_cursor_init(&c, NULL, 0);
	assert_non_null(cn_cursor_bytes(&c, 0));
	assert_true(cn_cursor_is_finished(&c));
	cn_cursor_skip(&c, SIZE_MAX);
	assert_true(cn_cursor_failed(&c));
}

static void
test_cursor_ranges(void **state)
{
	static const uint8_t in[] = { 5, 5, 5 };
	struct cn_cursor c;

	(void)state;
	cn_cursor_init(&c, in, sizeof(in));
	assert_true(cn_cursor_varint_in(&c, 5, 5) == 5);
	assert_true(cn_cursor_varint_in(&c, 0, 4) == 0);
	assert_true(cn_cursor_failed(&c));
	cn_cursor_init(&c, in, sizeof(in));
	assert_true(cn_cursor_varint_in(&c, 6, 9) == 0);
	assert_true(cn_cursor_failed(&c));
}

static void
test_writer_writes_and_sticks(void **state)
{
	static const uint8_t want[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
		13, 14, 15, 'a', 'b' };
	uint8_t out[17];
	struct cn_writer w;

	(void)state;
	cn_writer_init(&w, out, sizeof(out));
	cn_writer_u8(&w, 1);
	cn_writer_u16(&w, 0x0203);
	cn_writer_u32(&w, 0x04050607);
	cn_writer_u64(&w, UINT64_C(0x08090a0b0c0d0e0f));
	assert_int_equal(cn_writer_room(&w), 2);
	cn_writer_u32(&w, 1);
	assert_true(cn_writer_failed(&w));
	assert_int_equal(cn_writer_room(&w), 0);
	/* It would fit, but the writer is failed. */
	cn_writer_u8(&w, 1);
	cn_writer_varint(&w, 1);
	cn_writer_bytes(&w, "x", 1);
	assert_int_equal(cn_writer_len(&w), 15);
	cn_writer_rollback(&w, cn_writer_mark(&w));
	assert_true(cn_writer_ok(&w));
	cn_writer_bytes(&w, "ab", 2);
	assert_int_equal(cn_writer_len(&w), sizeof(want));
	assert_memory_equal(out, want, sizeof(want));

	cn_writer_rollback(&w, 1);
	cn_writer_bytes(&w, NULL, 0);
	assert_int_equal(cn_writer_len(&w), 1);
	assert_non_null(cn_writer_reserve(&w, 16));
	assert_null(cn_writer_reserve(&w, 1));

	cn_writer_init(&w, NULL, 0);
	cn_writer_bytes(&w, NULL, 0);
	assert_true(cn_writer_ok(&w));
	cn_writer_u8(&w, 1);
	assert_true(cn_writer_failed(&w));
}

/* What is read as a varint is written as the same bytes. */
static void
check_varint(const uint8_t *bytes, size_t len, void *arg)
{
	struct cn_cursor c;
	struct cn_writer w;
	uint8_t out[8];
	uint64_t v;

	(void)arg;
	cn_cursor_init(&c, bytes, len);
	v = cn_cursor_varint(&c);
	if (cn_cursor_failed(&c)) {
		return;
	}
	cn_writer_init(&w, out, sizeof(out));
	cn_writer_varint(&w, v);
	assert_int_equal(cn_writer_len(&w), len - cn_cursor_remaining(&c));
	assert_memory_equal(out, bytes, cn_writer_len(&w));
}

static void
test_damaged_varints(void **state)
{
	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(varints); i++) {
		cn_mutate_each(
		    varints[i].bytes, varints[i].size, check_varint, NULL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_varints),
		cmocka_unit_test(test_longer_forms_are_refused),
		cmocka_unit_test(test_cursor_reads_and_sticks),
		cmocka_unit_test(test_cursor_ranges),
		cmocka_unit_test(test_writer_writes_and_sticks),
		cmocka_unit_test(test_damaged_varints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
