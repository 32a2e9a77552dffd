/* SPDX-License-Identifier: Apache-2.0 */
#include "config_helper.h"

#include "config/nearest.h"

static void
test_distance(void **state)
{
	static const struct {
		const char *a, *b;
		size_t distance;
	} cases[] = {
		{ "", "", 0 },
		{ "", "abc", 3 },
		{ "abc", "", 3 },
		{ "listen", "listen", 0 },
		{ "Listen", "lISTEN", 0 },
		{ "listn", "listen", 1 },
		{ "lisetn", "listen", 1 }, /* neighbours swapped */
		{ "adress", "address", 1 },
		{ "kitten", "sitting", 3 },
		{ "ca", "abc", 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cn_nearest_distance(cases[i].a, cases[i].b),
		    cases[i].distance);
		assert_int_equal(cn_nearest_distance(cases[i].b, cases[i].a),
		    cases[i].distance);
	}
}

static void
test_long_words(void **state)
{
	char word[CN_NEAREST_MAX + 2];

	(void)state;
	memset(word, 'a', sizeof(word));
	word[CN_NEAREST_MAX + 1] = '\0';
	assert_int_equal(cn_nearest_distance(word, "a"), SIZE_MAX);
	assert_int_equal(cn_nearest_distance("a", word), SIZE_MAX);
	word[CN_NEAREST_MAX] = '\0';
	assert_int_equal(cn_nearest_distance(word, word), 0);
	assert_int_equal(cn_nearest_distance(word, ""), CN_NEAREST_MAX);
}

static const char *
nearest_of(const char *word)
{
	static const char *const words[] = { "peer", "profile", "level",
		"listen", "on_peer_down" };
	struct cn_nearest nearest;

	cn_nearest_init(&nearest, word);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		cn_nearest_offer(&nearest, words[i]);
	}
	return nearest.best;
}

static void
test_choice(void **state)
{
	(void)state;
	assert_string_equal(nearest_of("pear"), "peer");
	assert_string_equal(nearest_of("lisen"), "listen");
	assert_string_equal(nearest_of("on-peer-down"), "on_peer_down");
	assert_string_equal(nearest_of("PROFIL"), "profile");
	assert_null(nearest_of("store"));
	assert_null(nearest_of("x"));
	assert_null(nearest_of(""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_long_words),
		cmocka_unit_test(test_choice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
