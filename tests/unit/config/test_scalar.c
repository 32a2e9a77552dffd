/* SPDX-License-Identifier: Apache-2.0 */
#include "config_helper.h"

#include "config/arena.h"
#include "config/scalar.h"
#include "config/schema.h"

static void
test_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
		const char *shown;
	} good[] = {
		{ "0", 0, "0" },
		{ "1000", 1000, "1000" },
		{ "17B", 17, "17" },
		{ "1kB", 1000, "1000" },
		{ "64KiB", 65536, "64KiB" },
		{ "5MB", 5000000, "5000000" },
		{ "10 GiB", UINT64_C(10) << 30, "10GiB" },
		{ "3TB", UINT64_C(3000000000000), "2929687500KiB" },
		{ "2TiB", UINT64_C(2) << 40, "2TiB" },
		{ "1024KiB", 1 << 20, "1MiB" },
		{ "18446744073709551615", UINT64_MAX, "18446744073709551615" },
	};
	static const char *const bad[] = { "", "KiB", "-1", "1.5GiB", "1KB",
		"1kib", "1K", "18446744073709551616", "16777216TiB", "1 B ",
		" 1", "0x10", "1e3" };
	char shown[CN_SCALAR_TEXT_MAX];
	const char *hint = NULL;
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(good); i++) {
		assert_int_equal(
		    cn_scalar_size(good[i].text, &bytes, &hint), CN_OK);
		assert_true(bytes == good[i].bytes);
		cn_scalar_size_text(bytes, shown);
		assert_string_equal(shown, good[i].shown);
		assert_int_equal(cn_scalar_size(shown, &bytes, &hint), CN_OK);
		assert_true(bytes == good[i].bytes);
	}
	for (size_t i = 0; i < CN_ARRAY_LEN(bad); i++) {
		assert_int_equal(
		    cn_scalar_size(bad[i], &bytes, &hint), CN_EINVAL);
		assert_non_null(hint);
	}
}

static void
test_durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t us;
		const char *shown;
	} good[] = {
		{ "0", 0, "0" },
		{ "0ms", 0, "0" },
		{ "250us", 250, "250us" },
		{ "5ms", 5000, "5ms" },
		{ "1500ms", 1500000, "1500ms" },
		{ "60s", 60000000, "1m" },
		{ "90 s", 90000000, "90s" },
		{ "24h", UINT64_C(86400000000), "1d" },
		{ "2d", UINT64_C(172800000000), "2d" },
	};
	static const char *const bad[] = { "", "5", "ms", "1.5s", "5 MS",
		"5min", "-5ms", "213503983d" };
	char shown[CN_SCALAR_TEXT_MAX];
	const char *hint = NULL;
	uint64_t us;

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(good); i++) {
		assert_int_equal(
		    cn_scalar_duration(good[i].text, &us, &hint), CN_OK);
		assert_true(us == good[i].us);
		cn_scalar_duration_text(us, shown);
		assert_string_equal(shown, good[i].shown);
	}
	for (size_t i = 0; i < CN_ARRAY_LEN(bad); i++) {
		assert_int_equal(
		    cn_scalar_duration(bad[i], &us, &hint), CN_EINVAL);
	}
}

static void
test_levels(void **state)
{
	static const char *const bad[] = { "", "0", "16", "1..16", "0..3",
		"9..1", "1-9", "1...9", "1..", "..9", "a", "1..9x", "-1" };
	struct cn_config_level level = { 0 };
	const char *hint = NULL;

	(void)state;
	assert_int_equal(cn_scalar_level("3", &level, &hint), CN_OK);
	assert_true(level.is_set && level.min == 3 && level.max == 3);
	assert_int_equal(cn_scalar_level("1..15", &level, &hint), CN_OK);
	assert_true(level.min == 1 && level.max == 15);
	for (size_t i = 0; i < CN_ARRAY_LEN(bad); i++) {
		assert_int_equal(
		    cn_scalar_level(bad[i], &level, &hint), CN_EINVAL);
	}
}

static void
test_words(void **state)
{
	const char *hint = NULL;
	char name[65];
	bool is_true = false;
	uint64_t count = 0;

	(void)state;
	memset(name, 'n', sizeof(name));
	name[64] = '\0';
	assert_int_equal(cn_scalar_name(name, &hint), CN_EINVAL);
	name[63] = '\0';
	assert_int_equal(cn_scalar_name(name, &hint), CN_OK);
	assert_int_equal(cn_scalar_name("a-B_9.c", &hint), CN_OK);
	assert_int_equal(cn_scalar_name("7", &hint), CN_OK);
	assert_int_equal(cn_scalar_name("", &hint), CN_EINVAL);
	assert_int_equal(cn_scalar_name(".a", &hint), CN_EINVAL);
	assert_int_equal(cn_scalar_name("a b", &hint), CN_EINVAL);
	assert_int_equal(cn_scalar_name("\xc3\xa9", &hint), CN_EINVAL);
	assert_int_equal(cn_scalar_word("bbr", &hint), CN_OK);
	assert_int_equal(cn_scalar_word("fifteen_letters", &hint), CN_OK);
	assert_int_equal(cn_scalar_word("sixteen__letters", &hint), CN_EINVAL);
	assert_int_equal(cn_scalar_identity(LONDON, &hint), CN_OK);
	assert_int_equal(cn_scalar_identity("CN7Q-", &hint), CN_EINVAL);
	assert_int_equal(cn_scalar_path("/a", &hint), CN_OK);
	assert_int_equal(cn_scalar_path("/", &hint), CN_EINVAL);
	assert_int_equal(cn_scalar_path("a/b", &hint), CN_EINVAL);
	assert_int_equal(cn_scalar_bool("true", &is_true, &hint), CN_OK);
	assert_true(is_true);
	assert_int_equal(cn_scalar_bool("True", &is_true, &hint), CN_EINVAL);
	assert_int_equal(cn_scalar_bool("false", &is_true, &hint), CN_OK);
	assert_false(is_true);
	assert_int_equal(cn_scalar_count("12", &count, &hint), CN_OK);
	assert_int_equal(count, 12);
	assert_int_equal(cn_scalar_count("12 ", &count, &hint), CN_EINVAL);
}

struct address_case {
	const char *text;
	unsigned flags;
	bool listen;
	const char *shown; /* NULL: refused */
	uint8_t family;
};

#define UNIX CN_SCHEMA_UNIX
#define CARRIER CN_SCHEMA_CARRIER

static const struct address_case addresses[] = {
	{ "127.0.0.1:80", 0, true, "127.0.0.1:80", 4 },
	{ "[::1]:80", 0, true, "[::1]:80", 6 },
	{ "[0:0::0001]:80", 0, false, "[::1]:80", 6 },
	{ "[fe80::1%eth0]:80", 0, true, "[fe80::1%eth0]:80", 6 },
	{ "*:80", 0, true, "*:80", 0 },
	{ "*", CARRIER, true, "*:3", 0 },
	{ "10.0.0.1:0", 0, true, "10.0.0.1:0", 4 },
	{ "db.example.net:5432", 0, false, "db.example.net:5432", 0 },
	{ "db_1:5432", 0, false, "db_1:5432", 0 },
	{ "db.example.net.:1", 0, false, "db.example.net.:1", 0 },
	{ "gw.example.net", CARRIER, false, "gw.example.net:3", 0 },
	{ "[2001:db8::1]", CARRIER, false, "[2001:db8::1]:3", 6 },
	{ "192.0.2.1", CARRIER, true, "192.0.2.1:3", 4 },
	{ "unix:/run/a", UNIX, true, "unix:/run/a", 0 },
	{ "127.0.0.1", 0, true, NULL, 0 },
	{ "5432", 0, false, NULL, 0 },
	{ ":80", 0, true, NULL, 0 },
	{ "", 0, true, NULL, 0 },
	{ "a:", 0, false, NULL, 0 },
	{ "a:x", 0, false, NULL, 0 },
	{ "a:-1", 0, false, NULL, 0 },
	{ "a:65536", 0, false, NULL, 0 },
	{ "a:0", 0, false, NULL, 0 },
	{ "a:99999999999999999999999", 0, false, NULL, 0 },
	{ "::1:80", 0, true, NULL, 0 },
	{ "[::1", CARRIER, true, NULL, 0 },
	{ "[::1]80", 0, true, NULL, 0 },
	{ "[]:80", 0, true, NULL, 0 },
	{ "[1.2.3.4]:80", 0, true, NULL, 0 },
	{ "[::1%]:80", 0, true, NULL, 0 },
	{ "[::1%sixteen__letters]:80", 0, true, NULL, 0 },
	{ "[host]:80", 0, false, NULL, 0 },
	{ "localhost:80", 0, true, NULL, 0 },
	{ "*:80", 0, false, NULL, 0 },
	{ "300.1.1.1:80", 0, false, NULL, 0 },
	{ "10.0.0:80", 0, false, NULL, 0 },
	{ "a..b:80", 0, false, NULL, 0 },
	{ "-a:80", 0, false, NULL, 0 },
	{ "a b:80", 0, false, NULL, 0 },
	{ ".:80", 0, false, NULL, 0 },
	{ "unix:/run/a", 0, true, NULL, 0 },
	{ "unix:run/a", UNIX, true, NULL, 0 },
	{ "unix:/", UNIX, true, NULL, 0 },
};

static void
test_addresses(void **state)
{
	struct cn_arena arena;

	(void)state;
	cn_arena_init(&arena);
	for (size_t i = 0; i < CN_ARRAY_LEN(addresses); i++) {
		const struct address_case *one = &addresses[i];
		struct cn_config_address address = { 0 };
		const char *hint = NULL;
		int err = cn_scalar_address(one->text, one->flags, one->listen,
		    &arena, &address, &hint);

		if (one->shown == NULL) {
			if (err != CN_EINVAL) {
				fail_msg("taken: %s", one->text);
			}
			assert_non_null(hint);
			assert_int_equal(address.kind, CN_CONFIG_ADDRESS_NONE);
			continue;
		}
		if (err != CN_OK) {
			fail_msg("%s: %s", one->text, hint);
		}
		assert_string_equal(address.text, one->shown);
		assert_int_equal(address.family, one->family);
	}
	cn_arena_fini(&arena);
}

/* A path of 107 bytes fits into a socket's address, one of 108 does not. */
static void
test_long_addresses(void **state)
{
	struct cn_config_address address;
	const char *hint = NULL;
	struct cn_arena arena;
	char text[400];

	(void)state;
	cn_arena_init(&arena);
	memset(text, 'p', sizeof(text));
	memcpy(text, "unix:/", 6);
	text[5 + 108] = '\0';
	assert_int_equal(
	    cn_scalar_address(text, UNIX, true, &arena, &address, &hint),
	    CN_EINVAL);
	text[5 + 107] = '\0';
	assert_int_equal(
	    cn_scalar_address(text, UNIX, true, &arena, &address, &hint),
	    CN_OK);
	memset(text, 'h', sizeof(text));
	for (size_t i = 63; i < sizeof(text); i += 64) {
		text[i] = '.';
	}
	text[254] = '\0';
	assert_int_equal(
	    cn_scalar_address(text, CARRIER, false, &arena, &address, &hint),
	    CN_EINVAL);
	text[253] = '\0';
	assert_int_equal(
	    cn_scalar_address(text, CARRIER, false, &arena, &address, &hint),
	    CN_OK);
	cn_arena_fini(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_long_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
