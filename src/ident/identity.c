/* SPDX-License-Identifier: Apache-2.0 */
#include "ident/identity.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#define HALVES 2u
#define HALF_DATA 26u
#define HALF_LETTERS 28u /* with its check letters */
#define LETTERS (HALVES * HALF_LETTERS)
#define GROUP 4u
/* The groups of a half, as people count them. */
#define FIRST_GROUP(half) ((unsigned int)(half)*HALF_LETTERS / GROUP + 1)
#define LAST_GROUP(half) (FIRST_GROUP((half) + 1) - 1)
/* Ones of a half that are tried as I and as L. */
#define ONES_MAX 3u
/* A letter that was typed as 1. */
#define AMBIGUOUS 0xffu

#define LETTER_I 8u
#define LETTER_L 11u

#define FIELD_UNITS 31u  /* order of the field's multiplicative group */
#define FIELD_POLY 0x25u /* x^5 + x^2 + 1, primitive */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

_Static_assert(LETTERS + LETTERS / GROUP == CN_IDENTITY_TEXT_MAX,
    "a dash or the NUL after each group");

/* v times a in the field. */
static uint8_t
times_a(uint8_t v)
{
	unsigned int shifted = (unsigned int)v << 1;

	return (
	    uint8_t)((shifted & 0x20u) != 0 ? shifted ^ FIELD_POLY : shifted);
}

/* v times a to the n. */
static uint8_t
times_power(uint8_t v, size_t n)
{
	for (; n != 0; n--) {
		v = times_a(v);
	}
	return v;
}

/* The two sums of a half; both are 0 when it is whole. */
struct sums {
	uint8_t plain;    /* of c[i] */
	uint8_t weighted; /* of c[i] a^(27 - i) */
};

static struct sums
sum_half(const uint8_t c[HALF_LETTERS])
{
	struct sums s = { 0, 0 };

	for (size_t i = 0; i < HALF_LETTERS; i++) {
		s.plain ^= c[i];
		s.weighted = times_a(s.weighted) ^ c[i];
	}
	return s;
}

static bool
is_whole(const uint8_t c[HALF_LETTERS])
{
	struct sums s = sum_half(c);

	return s.plain == 0 && s.weighted == 0;
}

/* Set the check letters, the last two. */
static void
seal_half(uint8_t c[HALF_LETTERS])
{
	struct sums s;

	c[HALF_DATA] = c[HALF_DATA + 1] = 0;
	s = sum_half(c);
	/*
	 * p and q must give p + q = plain and p a + q = weighted, hence
	 * p (a + 1) = plain + weighted; in this field 1 / (a + 1) = a^13,
	 * since a + 1 = a^18.
	 */
	c[HALF_DATA] = times_power(s.plain ^ s.weighted, 13);
	c[HALF_DATA + 1] = s.plain ^ c[HALF_DATA];
}

/* Bits [5 * i, 5 * i + 5) of the identity, zeros behind its end. */
static uint8_t
five_bits(const uint8_t identity[CN_IDENTITY_BYTES], size_t i)
{
	size_t bit = i * 5, byte = bit / 8;
	unsigned int pair = (unsigned int)identity[byte] << 8;

	if (byte + 1 < CN_IDENTITY_BYTES) {
		pair |= identity[byte + 1];
	}
	return (uint8_t)(pair >> (11 - bit % 8) & 0x1fu);
}

void
cn_identity_format(
    const uint8_t identity[CN_IDENTITY_BYTES], char out[CN_IDENTITY_TEXT_MAX])
{
	char *p = out;

	for (size_t half = 0; half < HALVES; half++) {
		uint8_t c[HALF_LETTERS];

		for (size_t i = 0; i < HALF_DATA; i++) {
			c[i] = five_bits(identity, half * HALF_DATA + i);
		}
		seal_half(c);
		for (size_t i = 0; i < HALF_LETTERS; i++) {
			*p++ = alphabet[c[i]];
			if (i % GROUP == GROUP - 1) {
				*p++ = '-';
			}
		}
	}
	p[-1] = '\0';
}

void
cn_identity_brief(
    const uint8_t identity[CN_IDENTITY_BYTES], char out[CN_IDENTITY_BRIEF_MAX])
{
	char text[CN_IDENTITY_TEXT_MAX];

	cn_identity_format(identity, text);
	memcpy(out, text, CN_IDENTITY_BRIEF_MAX - 1);
	out[CN_IDENTITY_BRIEF_MAX - 1] = '\0';
}

/* Where messages go; cap 0 when nobody wants them. */
struct sink {
	char *text;
	size_t cap;
};

CN_PRINTF(2, 3)
static int
refuse(const struct sink *sink, const char *fmt, ...)
{
	va_list args;

	if (sink->cap != 0) {
		va_start(args, fmt);
		(void)vsnprintf(sink->text, sink->cap, fmt, args);
		va_end(args);
	}
	return CN_EKEY;
}

/*
 * The value of a character; AMBIGUOUS for 1, -1 for none.  Not by toupper(),
 * which would ask the locale.
 */
static int
letter_value(char ch)
{
	if (ch >= 'a' && ch <= 'z') {
		return ch - 'a';
	}
	if (ch >= 'A' && ch <= 'Z') {
		return ch - 'A';
	}
	if (ch >= '2' && ch <= '7') {
		return ch - '2' + 26;
	}
	switch (ch) {
	case '0':
		return 'O' - 'A';
	case '8':
		return 'B' - 'A';
	case '1':
		return AMBIGUOUS;
	default:
		return -1;
	}
}

/* Read the letters; what stands between them separates groups. */
static int
read_letters(const char *text, uint8_t c[LETTERS], const struct sink *sink)
{
	size_t count = 0;        /* letters */
	size_t group = 0;        /* letters of the group that is read */
	unsigned int uneven = 0; /* first group that has not 4 letters */
	unsigned int groups = 0; /* whole groups read */
	bool is_grouped = false;

	for (;; text++) {
		int value = letter_value(*text);

		if (value >= 0) {
			if (count < LETTERS) {
				c[count] = (uint8_t)value;
			}
			count++;
			group++;
			continue;
		}
		if (group != 0) {
			groups++;
			if (group != GROUP && uneven == 0) {
				uneven = groups;
			}
			group = 0;
		}
		if (*text == '\0') {
			break;
		}
		if (*text != '-' && *text != ' ' && *text != '\t' &&
		    *text != '\r' && *text != '\n') {
			return refuse(sink,
			    "group %zu holds a character that no identity "
			    "has (0x%02x)",
			    count / GROUP + 1, (unsigned char)*text);
		}
		is_grouped = true;
	}
	if (count == LETTERS) {
		return CN_OK;
	}
	if (count == 0) {
		return refuse(sink, "the identity is empty");
	}
	if (is_grouped && uneven != 0) {
		return refuse(sink,
		    "group %u has not 4 letters (there are %zu in all, an "
		    "identity has %u)",
		    uneven, count, LETTERS);
	}
	return refuse(sink,
	    "there are %zu letters in %u groups, an identity has %u in %u",
	    count, groups, LETTERS, LETTERS / GROUP);
}

/*
 * Put I or L where 1 was typed, as the check letters want it; all I where
 * no choice fits.  I and L differ by the same value at each place, so that
 * no two choices of up to three ones can both fit; four may, and false is
 * returned.
 */
static bool
resolve_ones(uint8_t c[HALF_LETTERS])
{
	size_t at[HALF_LETTERS];
	size_t ones = 0;

	for (size_t i = 0; i < HALF_LETTERS; i++) {
		if (c[i] == AMBIGUOUS) {
			at[ones++] = i;
			c[i] = LETTER_I;
		}
	}
	if (ones > ONES_MAX) {
		return false;
	}
	/* Counting down, the last choice is all I. */
	for (unsigned int pick = 1u << ones; pick-- > 0;) {
		for (size_t i = 0; i < ones; i++) {
			c[at[i]] = (pick >> i & 1u) != 0 ? LETTER_L : LETTER_I;
		}
		if (is_whole(c)) {
			break;
		}
	}
	return true;
}

/* The letter whose change alone would mend the half; -1: none. */
static int
locate_wrong(const uint8_t c[HALF_LETTERS])
{
	struct sums s = sum_half(c);

	/* One error e at place i: plain = e, weighted = e a^(27 - i). */
	for (size_t i = 0; s.plain != 0 && i < HALF_LETTERS; i++) {
		if (times_power(s.plain, HALF_LETTERS - 1 - i) == s.weighted) {
			return (int)i;
		}
	}
	return -1;
}

/*
 * The groups of a half, as bits, in which a swap of two neighbours would
 * mend it.  A swap leaves the plain sum at 0, so it is never taken for one
 * wrong letter; but several swaps may fit.
 */
static unsigned int
locate_swaps(const uint8_t c[HALF_LETTERS])
{
	uint8_t work[HALF_LETTERS];
	unsigned int groups = 0;

	for (size_t i = 0; i + 1 < HALF_LETTERS; i++) {
		memcpy(work, c, sizeof(work));
		work[i] = c[i + 1];
		work[i + 1] = c[i];
		if (is_whole(work)) {
			groups |= 1u << i / GROUP | 1u << (i + 1) / GROUP;
		}
	}
	return groups;
}

/* Write the numbers of groups given as bits: "3, 4 or 7". */
static void
list_groups(char *out, size_t cap, unsigned int groups, unsigned int first)
{
	size_t len = 0;

	out[0] = '\0';
	for (unsigned int i = 0; groups >> i != 0; i++) {
		const char *before = len == 0 ? ""
		    : groups >> (i + 1) == 0  ? " or "
					      : ", ";

		if ((groups >> i & 1u) == 0) {
			continue;
		}
		len += (size_t)snprintf(
		    out + len, cap - len, "%s%u", before, first + i);
	}
}

/* Say of a half that is not whole what is the likeliest reason. */
static int
refuse_half(const uint8_t *c, size_t half, const struct sink *sink)
{
	unsigned int first = FIRST_GROUP(half);
	unsigned int swaps = locate_swaps(c);
	int wrong = locate_wrong(c);
	char list[32]; /* at most seven numbers of two digits */

	if (wrong >= 0) {
		return refuse(sink, "group %u is wrong: check its letters",
		    first + (unsigned int)wrong / GROUP);
	}
	if (swaps != 0) {
		list_groups(list, sizeof(list), swaps, first);
		return refuse(sink,
		    "two neighbouring letters seem swapped, in group %s", list);
	}
	return refuse(sink, "groups %u to %u are wrong in more than one place",
	    first, LAST_GROUP(half));
}

/* Put the data letters together; false when the spare bits are not zero. */
static bool
join_bits(const uint8_t c[LETTERS], uint8_t identity[CN_IDENTITY_BYTES])
{
	unsigned int bits = 0, held = 0;
	size_t len = 0;

	for (size_t i = 0; i < LETTERS; i++) {
		if (i % HALF_LETTERS >= HALF_DATA) {
			continue;
		}
		bits = bits << 5 | c[i];
		held += 5;
		if (held >= 8) {
			held -= 8;
			identity[len++] = (uint8_t)(bits >> held);
			bits &= (1u << held) - 1;
		}
	}
	return bits == 0;
}

int
cn_identity_parse(
    const char *text, uint8_t ret[CN_IDENTITY_BYTES], char *why, size_t why_cap)
{
	struct sink sink = { why, why == NULL ? 0 : why_cap };
	uint8_t c[LETTERS], identity[CN_IDENTITY_BYTES];
	int rc;

	rc = read_letters(text, c, &sink);
	if (rc != CN_OK) {
		return rc;
	}
	for (size_t half = 0; half < HALVES; half++) {
		uint8_t *letters = c + half * HALF_LETTERS;

		if (!resolve_ones(letters)) {
			return refuse(&sink,
			    "groups %u to %u hold too many 1: an identity has "
			    "I and L, but no 1",
			    FIRST_GROUP(half), LAST_GROUP(half));
		}
		if (!is_whole(letters)) {
			return refuse_half(letters, half, &sink);
		}
	}
	if (!join_bits(c, identity)) {
		return refuse(
		    &sink, "the last groups hold bits that no identity has");
	}
	memcpy(ret, identity, sizeof(identity));
	return CN_OK;
}

bool
cn_identity_equal(
    const uint8_t a[CN_IDENTITY_BYTES], const uint8_t b[CN_IDENTITY_BYTES])
{
	return CRYPTO_memcmp(a, b, CN_IDENTITY_BYTES) == 0;
}

int
cn_identity_compare(
    const uint8_t a[CN_IDENTITY_BYTES], const uint8_t b[CN_IDENTITY_BYTES])
{
	return memcmp(a, b, CN_IDENTITY_BYTES);
}

bool
cn_identity_is_zero(const uint8_t identity[CN_IDENTITY_BYTES])
{
	static const uint8_t zeros[CN_IDENTITY_BYTES];

	return cn_identity_equal(identity, zeros);
}

int
cn_identity_of_key(const EVP_PKEY *key, uint8_t ret[CN_IDENTITY_BYTES])
{
	uint8_t hash[CN_IDENTITY_BYTES];
	unsigned char *der = NULL;
	unsigned int size = 0;
	int len, is_hashed;

	if (key == NULL || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) {
		return CN_EKEY;
	}
	len = i2d_PUBKEY(key, &der);
	if (len <= 0) {
		return CN_ENOMEM;
	}
	is_hashed =
	    EVP_Digest(der, (size_t)len, hash, &size, EVP_sha256(), NULL);
	OPENSSL_free(der);
	if (is_hashed != 1 || size != sizeof(hash)) {
		return CN_ENOMEM;
	}
	memcpy(ret, hash, sizeof(hash));
	return CN_OK;
}

int
cn_identity_of_cert(const X509 *cert, uint8_t ret[CN_IDENTITY_BYTES])
{
	return cn_identity_of_key(X509_get0_pubkey(cert), ret);
}
