/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rand.h"
#include "ident/identity.h"
#include "mutate.h"

#define TEXT_LEN (CN_IDENTITY_TEXT_MAX - 1)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static int
parse(const char *text, uint8_t ret[CN_IDENTITY_BYTES])
{
	return cn_identity_parse(text, ret, NULL, 0);
}

/* The groups that the message about this text names, as bits. */
static unsigned int
named_groups(const char *text)
{
	uint8_t identity[CN_IDENTITY_BYTES];
	char why[CN_IDENT_WHY_MAX] = "";
	unsigned int groups = 0;
	char *p;

	assert_int_equal(
	    cn_identity_parse(text, identity, why, sizeof(why)), CN_EKEY);
	p = strstr(why, "group ");
	/* What follows a parenthesis or a colon names none. */
	for (p = p == NULL ? NULL : p + 6; p != NULL && *p != '\0';) {
		if (*p >= '0' && *p <= '9') {
			groups |= 1u << strtoul(p, &p, 10);
		} else if (*p == ',' || *p == ' ' || *p == 'o' || *p == 'r') {
			p++;
		} else {
			break;
		}
	}
	return groups;
}

static void
make_text(uint64_t seed, uint8_t identity[CN_IDENTITY_BYTES],
    char text[CN_IDENTITY_TEXT_MAX])
{
	struct cn_prng prng;

	cn_prng_init(&prng, seed);
	cn_prng_bytes(&prng, identity, CN_IDENTITY_BYTES);
	cn_identity_format(identity, text);
}

static void
check_round(const uint8_t identity[CN_IDENTITY_BYTES])
{
	char text[CN_IDENTITY_TEXT_MAX], brief[CN_IDENTITY_BRIEF_MAX];
	uint8_t back[CN_IDENTITY_BYTES];

	memset(text, 'x', sizeof(text));
	cn_identity_format(identity, text);
	assert_int_equal(strlen(text), TEXT_LEN);
	for (size_t i = 0; i < TEXT_LEN; i++) {
		if (i % 5 == 4) {
			assert_int_equal(text[i], '-');
		} else {
			assert_non_null(strchr(alphabet, text[i]));
		}
	}
	memset(back, 0xee, sizeof(back));
	assert_int_equal(parse(text, back), CN_OK);
	assert_memory_equal(back, identity, sizeof(back));
	cn_identity_brief(identity, brief);
	assert_int_equal(strlen(brief), 9);
	assert_memory_equal(brief, text, 9);
}

static void
test_round_trip(void **state CN_UNUSED)
{
	uint8_t identity[CN_IDENTITY_BYTES];
	struct cn_prng prng;

	cn_prng_init(&prng, 1);
	for (int i = 0; i < 2000; i++) {
		cn_prng_bytes(&prng, identity, sizeof(identity));
		check_round(identity);
	}
	memset(identity, 0, sizeof(identity));
	check_round(identity);
	memset(identity, 0xff, sizeof(identity));
	check_round(identity);
	for (size_t bit = 0; bit < 256; bit++) {
		memset(identity, 0, sizeof(identity));
		identity[bit / 8] = (uint8_t)(0x80u >> bit % 8);
		check_round(identity);
	}
}

/* People keep these texts: the form never changes. */
static void
test_form_is_frozen(void **state CN_UNUSED)
{
	uint8_t identity[CN_IDENTITY_BYTES];
	char text[CN_IDENTITY_TEXT_MAX];

	for (size_t i = 0; i < sizeof(identity); i++) {
		identity[i] = (uint8_t)(i * 7 + 1);
	}
	cn_identity_format(identity, text);
	assert_string_equal(text,
	    "AEEA-6FQ5-EQVT-EOKA-I5HF-KXDD-NJ4W-YXQ7-4GRW-KJXI-VJWC-335R-OM2P-"
	    "NAD4");
}

static void
test_what_people_make_of_it(void **state CN_UNUSED)
{
	uint8_t identity[CN_IDENTITY_BYTES], back[CN_IDENTITY_BYTES];
	char text[CN_IDENTITY_TEXT_MAX], other[300];

	for (uint64_t seed = 0; seed < 200; seed++) {
		size_t n = 0;

		make_text(seed, identity, text);
		/* Lower case, zeros and eights, spaces instead of dashes. */
		for (size_t i = 0; i < TEXT_LEN; i++) {
			char ch = text[i];

			other[n++] = ch == 'O'       ? '0'
			    : ch == 'B'              ? '8'
			    : ch == '-'              ? ' '
			    : ch >= 'A' && ch <= 'Z' ? (char)(ch + 32)
						     : ch;
		}
		other[n] = '\0';
		assert_int_equal(parse(other, back), CN_OK);
		assert_memory_equal(back, identity, sizeof(back));
		/* No dashes at all; dashes everywhere and a line break. */
		n = 0;
		for (size_t i = 0; i < TEXT_LEN; i++) {
			if (text[i] != '-') {
				other[n++] = text[i];
			}
		}
		other[n] = '\0';
		assert_int_equal(parse(other, back), CN_OK);
		assert_memory_equal(back, identity, sizeof(back));
		n = 0;
		other[n++] = ' ';
		for (size_t i = 0; i < TEXT_LEN; i++) {
			if (text[i] != '-') {
				other[n++] = text[i];
				other[n++] = i % 3 == 0 ? '-' : '\n';
			}
		}
		other[n] = '\0';
		assert_int_equal(parse(other, back), CN_OK);
		assert_memory_equal(back, identity, sizeof(back));
	}
}

/* A 1 is the letter of I and L that fits. */
static void
test_ones(void **state CN_UNUSED)
{
	uint8_t identity[CN_IDENTITY_BYTES], back[CN_IDENTITY_BYTES];
	char text[CN_IDENTITY_TEXT_MAX];
	int read = 0;

	for (uint64_t seed = 0; seed < 500; seed++) {
		size_t ones[2] = { 0, 0 };

		make_text(seed, identity, text);
		for (size_t i = 0; i < TEXT_LEN; i++) {
			if (text[i] == 'I' || text[i] == 'L') {
				text[i] = '1';
				ones[i >= TEXT_LEN / 2]++;
			}
		}
		if (ones[0] <= 3 && ones[1] <= 3) {
			assert_int_equal(parse(text, back), CN_OK);
			assert_memory_equal(back, identity, sizeof(back));
			read++;
		} else {
			/* More might be read as two identities. */
			assert_int_equal(parse(text, back), CN_EKEY);
		}
	}
	assert_true(read > 300);
	/* A 1 does not hide what is wrong elsewhere. */
	for (uint64_t seed = 0; seed < 50; seed++) {
		char *one;

		make_text(seed, identity, text);
		one = strpbrk(text, "IL");
		if (one == NULL) {
			continue;
		}
		*one = '1';
		for (size_t i = 0; i < TEXT_LEN; i++) {
			char right = text[i];

			if (right == '-' || right == '1') {
				continue;
			}
			text[i] = right == 'A' ? 'C' : 'A';
			assert_int_equal(parse(text, back), CN_EKEY);
			text[i] = right;
		}
	}
}

static void
test_any_wrong_letter_is_found_in_its_group(void **state CN_UNUSED)
{
	uint8_t identity[CN_IDENTITY_BYTES];
	char text[CN_IDENTITY_TEXT_MAX];
	unsigned int damaged = 0;

	for (uint64_t seed = 0; seed < 3; seed++) {
		make_text(seed, identity, text);
		for (size_t i = 0; i < TEXT_LEN; i++) {
			char right = text[i];

			if (right == '-') {
				continue;
			}
			for (size_t a = 0; a < 32; a++) {
				if (alphabet[a] == right) {
					continue;
				}
				text[i] = alphabet[a];
				damaged++;
				assert_int_equal(
				    named_groups(text), 1u << (i / 5 + 1));
			}
			text[i] = right;
		}
	}
	assert_int_equal(damaged, 3 * 56 * 31);
}

static void
test_any_two_wrong_letters_of_a_half_are_found(void **state CN_UNUSED)
{
	uint8_t identity[CN_IDENTITY_BYTES], back[CN_IDENTITY_BYTES];
	char text[CN_IDENTITY_TEXT_MAX];

	make_text(4, identity, text);
	for (size_t i = 0; i < TEXT_LEN / 2; i++) {
		for (size_t j = i + 1; j < TEXT_LEN / 2; j++) {
			char a = text[i], b = text[j];

			if (a == '-' || b == '-') {
				continue;
			}
			for (size_t k = 1; k < 32 * 32; k++) {
				text[i] = alphabet[k / 32];
				text[j] = alphabet[k % 32];
				if (text[i] != a || text[j] != b) {
					assert_int_equal(
					    parse(text, back), CN_EKEY);
				}
			}
			text[i] = a;
			text[j] = b;
		}
	}
}

static void
test_any_swap_is_found_in_its_group(void **state CN_UNUSED)
{
	uint8_t identity[CN_IDENTITY_BYTES];
	int count = 0, swaps = 0;
	char text[CN_IDENTITY_TEXT_MAX];

	for (uint64_t seed = 0; seed < 50; seed++) {
		make_text(seed, identity, text);
		for (size_t i = 0; i + 1 < TEXT_LEN; i++) {
			size_t j = text[i + 1] == '-' ? i + 2 : i + 1;
			char a = text[i], b = text[j];
			unsigned int groups;

			if (a == '-' || a == b) {
				continue;
			}
			text[i] = b;
			text[j] = a;
			groups = named_groups(text);
			if (i < 34 && j > 34) {
				/* Over the middle each half has one error. */
				assert_int_equal(groups, 1u << 7);
			} else {
				unsigned int want =
				    1u << (i / 5 + 1) | 1u << (j / 5 + 1);

				assert_int_equal(groups & want, want);
				count += __builtin_popcount(groups);
				swaps++;
			}
			text[i] = a;
			text[j] = b;
		}
	}
	/* Few others fit, too. */
	assert_true(count < 3 * swaps);
}

static void
test_other_damage_is_found_mostly(void **state CN_UNUSED)
{
	uint8_t identity[CN_IDENTITY_BYTES], back[CN_IDENTITY_BYTES];
	char text[CN_IDENTITY_TEXT_MAX];
	struct cn_prng prng;
	int accepted = 0;

	make_text(5, identity, text);
	cn_prng_init(&prng, 6);
	for (int i = 0; i < 50000; i++) {
		/* The first half at random, the second left alone. */
		for (size_t at = 0; at < 34; at++) {
			if (text[at] != '-') {
				text[at] = alphabet[cn_prng_below(&prng, 32)];
			}
		}
		accepted += parse(text, back) == CN_OK;
	}
	/* One of 1,024, hence about 49. */
	assert_in_range(accepted, 15, 100);
}

static void
test_wrong_shapes(void **state CN_UNUSED)
{
	uint8_t identity[CN_IDENTITY_BYTES], back[CN_IDENTITY_BYTES];
	char text[CN_IDENTITY_TEXT_MAX], other[200];
	char why[CN_IDENT_WHY_MAX];

	make_text(7, identity, text);
	memset(back, 0x55, sizeof(back));
	memcpy(identity, back, sizeof(back));
	assert_int_equal(parse("", back), CN_EKEY);
	assert_int_equal(parse("---- ----", back), CN_EKEY);
	/* A letter lost or doubled in group 6. */
	(void)snprintf(other, sizeof(other), "%.26s%s", text, text + 27);
	assert_int_equal(named_groups(other), 1u << 6);
	(void)snprintf(other, sizeof(other), "%.27s%s", text, text + 26);
	assert_int_equal(named_groups(other), 1u << 6);
	/* A whole group lost or doubled: no single one is uneven. */
	(void)snprintf(other, sizeof(other), "%.25s%s", text, text + 30);
	assert_int_equal(
	    cn_identity_parse(other, back, why, sizeof(why)), CN_EKEY);
	assert_string_equal(
	    why, "there are 52 letters in 13 groups, an identity has 56 in 14");
	(void)snprintf(other, sizeof(other), "%s%s", text, text);
	assert_int_equal(parse(other, back), CN_EKEY);
	/* Letters that there are none of. */
	memcpy(other, text, sizeof(text));
	other[11] = '9';
	assert_int_equal(named_groups(other), 1u << 3);
	other[11] = '\xc3';
	assert_int_equal(named_groups(other), 1u << 3);
	assert_memory_equal(back, identity, sizeof(back));
	/* A message is cut to its room; without room there is none. */
	memset(why, 'Z', sizeof(why));
	assert_int_equal(cn_identity_parse("?", back, why, 5), CN_EKEY);
	assert_int_equal(strlen(why), 4);
	assert_int_equal(why[5], 'Z');
	assert_int_equal(cn_identity_parse("?", back, why, 0), CN_EKEY);
}

/*
 * The four bits behind the 256 must be zero, or one identity would have
 * several texts.  The check letters of the changed half are found by trying.
 */
static void
test_spare_bits_are_zero(void **state CN_UNUSED)
{
	uint8_t identity[CN_IDENTITY_BYTES], back[CN_IDENTITY_BYTES];
	char text[CN_IDENTITY_TEXT_MAX], why[CN_IDENT_WHY_MAX];
	int found = 0;

	make_text(8, identity, text);
	/* The last data letter is the second of the last group. */
	for (size_t a = 0; a < 32; a++) {
		text[TEXT_LEN - 3] = alphabet[a];
		for (size_t k = 0; k < 32 * 32; k++) {
			text[TEXT_LEN - 2] = alphabet[k / 32];
			text[TEXT_LEN - 1] = alphabet[k % 32];
			if (cn_identity_parse(text, back, why, sizeof(why)) ==
			    CN_OK) {
				assert_true(a == 0 || a == 16);
				found++;
			} else if (strstr(why, "bits") != NULL) {
				assert_true(a % 16 != 0);
				found++;
			}
		}
	}
	assert_int_equal(found, 32);
}

/* Whatever is accepted is the identity whose text it is. */
static void
check_damaged(const uint8_t *bytes, size_t len, void *arg)
{
	uint8_t identity[CN_IDENTITY_BYTES], back[CN_IDENTITY_BYTES];
	char text[CN_IDENTITY_TEXT_MAX], why[CN_IDENT_WHY_MAX] = "";
	char *copy = cn_alloc(len + 1);

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	copy[len] = '\0';
	if (cn_identity_parse(copy, identity, why, sizeof(why)) == CN_OK) {
		/* Damage of one place is never accepted as another. */
		assert_memory_equal(identity, arg, sizeof(identity));
		cn_identity_format(identity, text);
		assert_int_equal(parse(text, back), CN_OK);
		assert_memory_equal(identity, back, sizeof(back));
	} else {
		assert_true(strlen(why) > 0);
	}
	cn_free(copy);
}

static void
test_mutations(void **state CN_UNUSED)
{
	uint8_t identity[CN_IDENTITY_BYTES];
	char text[CN_IDENTITY_TEXT_MAX];

	for (uint64_t seed = 20; seed < 23; seed++) {
		make_text(seed, identity, text);
		cn_mutate_each(
		    (const uint8_t *)text, TEXT_LEN, check_damaged, identity);
	}
}

static void
test_comparing(void **state CN_UNUSED)
{
	uint8_t a[CN_IDENTITY_BYTES], b[CN_IDENTITY_BYTES];

	memset(a, 1, sizeof(a));
	memcpy(b, a, sizeof(b));
	assert_true(cn_identity_equal(a, b));
	assert_int_equal(cn_identity_compare(a, b), 0);
	assert_false(cn_identity_is_zero(a));
	for (size_t i = 0; i < sizeof(b); i++) {
		b[i] ^= 0x80;
		assert_false(cn_identity_equal(a, b));
		assert_true(cn_identity_compare(a, b) < 0);
		assert_true(cn_identity_compare(b, a) > 0);
		b[i] ^= 0x80;
	}
	memset(a, 0, sizeof(a));
	assert_true(cn_identity_is_zero(a));
	a[31] = 1;
	assert_false(cn_identity_is_zero(a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_form_is_frozen),
		cmocka_unit_test(test_what_people_make_of_it),
		cmocka_unit_test(test_ones),
		cmocka_unit_test(test_any_wrong_letter_is_found_in_its_group),
		cmocka_unit_test(
		    test_any_two_wrong_letters_of_a_half_are_found),
		cmocka_unit_test(test_any_swap_is_found_in_its_group),
		cmocka_unit_test(test_other_damage_is_found_mostly),
		cmocka_unit_test(test_wrong_shapes),
		cmocka_unit_test(test_spare_bits_are_zero),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_comparing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
