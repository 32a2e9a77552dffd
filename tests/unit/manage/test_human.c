/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "manage/human.h"

static void
test_bytes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = { { 0, "0 B" }, { 1, "1 B" }, { 999, "999 B" },
		{ 1000, "1.00 kB" }, { 1234, "1.23 kB" }, { 9994, "9.99 kB" },
		{ 9996, "10.0 kB" }, { 99940, "99.9 kB" }, { 99960, "100 kB" },
		{ 999499, "999 kB" }, { 999600, "1.00 MB" },
		{ 12345678, "12.3 MB" }, { UINT64_MAX, "18.4 EB" } };

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(cases); i++) {
		assert_string_equal(
		    cn_human_bytes(cases[i].bytes).text, cases[i].text);
	}
	assert_string_equal(cn_human_memory(512ull << 20).text, "512 MiB");
	assert_string_equal(cn_human_memory(1536).text, "1.50 KiB");
	assert_string_equal(cn_human_rate(500, 1000000).text, "500 B/s");
	assert_string_equal(cn_human_rate(5000000, 2000000).text, "2.50 MB/s");
	assert_string_equal(cn_human_rate(5, 0).text, "0 B/s");
}

static void
test_durations(void **state)
{
	static const struct {
		uint64_t us;
		const char *text;
	} cases[] = { { 0, "0 us" }, { 999, "999 us" }, { 1000, "1.00 ms" },
		{ 41234, "41.2 ms" }, { 999499, "999 ms" },
		{ 999500, "1.00 s" }, { 9810000, "9.81 s" },
		{ 59949999, "59.9 s" }, { 60000000, "1 min 0 s" },
		{ 192000000, "3 min 12 s" }, { 3600000000, "1 h 0 min" },
		{ 11520000000, "3 h 12 min" }, { 86400000000, "1 d 0 h" },
		{ UINT64_MAX, "213503982 d 8 h" } };

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(cases); i++) {
		assert_string_equal(
		    cn_human_duration(cases[i].us).text, cases[i].text);
	}
	assert_string_equal(cn_human_rtt(0).text, "-");
	assert_string_equal(cn_human_rtt(41234).text, "41.2 ms");
}

static void
test_savings(void **state)
{
	(void)state;
	assert_string_equal(cn_human_ratio(0, 5).text, "-");
	assert_string_equal(cn_human_ratio(5, 0).text, "-");
	assert_string_equal(cn_human_ratio(593, 100).text, "5.93x");
	assert_string_equal(cn_human_ratio(100, 102).text, "0.98x");
	assert_string_equal(cn_human_ratio(100000, 1).text, "100000x");
	assert_string_equal(cn_human_saved(0, 5).text, "-");
	assert_string_equal(cn_human_saved(1000, 169).text, "83.1 %");
	assert_string_equal(cn_human_saved(1000, 0).text, "100.0 %");
	/* A loss is shown as one, and nothing as nothing. */
	assert_string_equal(cn_human_saved(1000, 1024).text, "-2.4 %");
	assert_string_equal(cn_human_saved(100000, 100001).text, "0.0 %");
	assert_string_equal(cn_human_saved(1, 1000000).text, "<-999 %");
}

static void
test_parse(void **state)
{
	static const char *const bad[] = { "", "x", "-1mbit", "1 furlong",
		"nan", "inf", "0x10", "1e999", "20mbitx", "1e18gbit" };
	uint64_t value = 77;

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(bad); i++) {
		assert_int_equal(
		    cn_human_parse_rate(bad[i], &value), CN_EINVAL);
		assert_int_equal(value, 77);
	}
	assert_int_equal(cn_human_parse_rate("20mbit", &value), CN_OK);
	assert_int_equal(value, 20000000);
	assert_int_equal(cn_human_parse_rate("1.5 Gbit/s", &value), CN_OK);
	assert_int_equal(value, 1500000000);
	assert_int_equal(cn_human_parse_rate("64000", &value), CN_OK);
	assert_int_equal(value, 64000);
	assert_int_equal(cn_human_parse_duration("20ms", &value), CN_OK);
	assert_int_equal(value, 20000);
	assert_int_equal(cn_human_parse_duration("1.5s", &value), CN_OK);
	assert_int_equal(value, 1500000);
	assert_int_equal(cn_human_parse_duration("20", &value), CN_EINVAL);
	assert_int_equal(cn_human_parse_size("12MB", &value), CN_OK);
	assert_int_equal(value, 12000000);
	assert_int_equal(cn_human_parse_size("2MiB", &value), CN_OK);
	assert_int_equal(value, 2097152);
	assert_int_equal(cn_human_parse_size("12mb", &value), CN_EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_savings),
		cmocka_unit_test(test_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
