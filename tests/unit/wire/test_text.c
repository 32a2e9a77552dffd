/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "mutate.h"
#include "wire/cursor.h"
#include "wire/text.h"

static bool
is_clean(const char *text)
{
	return cn_text_is_clean((const uint8_t *)text, strlen(text));
}

static void
test_texts(void **state)
{
	static const char *const clean[] = { "", "plain ~", "\xc2\xa0",
		"\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
		"\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
		"gr\xc3\xb6\xc3\xbcn" };
	static const char *const unclean[] = {
		"\x01", /* control characters */
		"a\nb",
		"\x7f",
		"\x1b[31m",
		"\xc2\x80",
		"\xc2\x9f",
		"\x80", /* continuation alone */
		"\xc3",
		"\xe2\x82",
		"\xf0\x9f\x92", /* cut */
		"\xc0\xaf",
		"\xc1\xbf", /* too long forms */
		"\xe0\x9f\xbf",
		"\xf0\x8f\xbf\xbf",
		"\xed\xa0\x80",
		"\xed\xbf\xbf", /* surrogates */
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xff", /* too great */
		"\xe2\x28\xa1",
		"\xe2\x82\x28",
	};

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(clean); i++) {
		assert_true(is_clean(clean[i]));
	}
	for (size_t i = 0; i < CN_ARRAY_LEN(unclean); i++) {
		assert_false(is_clean(unclean[i]));
	}
	assert_false(cn_text_is_clean((const uint8_t *)"a\0b", 3));
}

static void
test_tlvs(void **state)
{
	static const uint8_t list[] = { 0, 0, 1, 2, 'a', 'b', 0x40, 0x40, 1,
		'c' };
	static const uint8_t twice[] = { 1, 0, 1, 0 };
	static const uint8_t falling[] = { 2, 0, 1, 0 };
	struct cn_cursor in;
	struct cn_tlv tlv;

	(void)state;
	assert_true(cn_tlv_is_list(NULL, 0));
	assert_true(cn_tlv_is_list(list, sizeof(list)));
	assert_false(cn_tlv_is_list(list, sizeof(list) - 1));
	assert_false(cn_tlv_is_list(list, 1));
	assert_false(cn_tlv_is_list(twice, sizeof(twice)));
	assert_false(cn_tlv_is_list(falling, sizeof(falling)));

	cn_cursor_init(&in, list, sizeof(list));
	assert_true(cn_tlv_next(&in, &tlv));
	assert_true(tlv.type == 0 && tlv.len == 0);
	assert_true(cn_tlv_next(&in, &tlv));
	assert_true(tlv.type == 1 && tlv.len == 2);
	assert_memory_equal(tlv.data, "ab", 2);
	assert_true(cn_tlv_next(&in, &tlv));
	assert_true(tlv.type == 64 && tlv.len == 1);
	assert_false(cn_tlv_next(&in, &tlv));
	assert_true(cn_cursor_is_finished(&in));
}

static void
check_list(const uint8_t *bytes, size_t len, void *arg)
{
	struct cn_cursor in;
	struct cn_tlv tlv;
	size_t sum = 0;
	size_t *legal = arg;

	cn_cursor_init(&in, bytes, len);
	while (cn_tlv_next(&in, &tlv)) {
		sum += cn_varint_size(tlv.type) + cn_varint_size(tlv.len) +
		    tlv.len;
	}
	if (cn_tlv_is_list(bytes, len)) {
		assert_int_equal(sum, len);
		(*legal)++;
	}
	(void)cn_text_is_clean(bytes, len);
}

static void
test_damaged_tlvs(void **state)
{
	static const uint8_t list[] = { 1, 2, 0xc3, 0xb6, 0x40, 0x40, 1, 'c' };
	size_t legal = 0;

	(void)state;
	cn_mutate_each(list, sizeof(list), check_list, &legal);
	assert_true(legal > 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_tlvs),
		cmocka_unit_test(test_damaged_tlvs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
