/* SPDX-License-Identifier: Apache-2.0 */
#include "ident/token.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#define PREFIX "cnj"
#define VERSION '1'
#define GROUP 4u
#define CHECK_LETTERS 4u
#define CHECK_LABEL "compressnet token 1"
#define ID_LABEL "compressnet join id"
#define KEY_LABEL "compressnet join key"
#define PROOF_LABEL "compressnet join proof"
#define LABEL_MAX 32u
#define FIXED_BYTES (CN_TOKEN_SECRET_BYTES + CN_IDENTITY_BYTES)
#define BYTES_MAX (FIXED_BYTES + CN_TOKEN_ENDPOINT_MAX)
#define LETTERS_MAX ((BYTES_MAX * 8u + 4u) / 5u)

_Static_assert(LETTERS_MAX == 512, "as the header says");
_Static_assert(sizeof(PREFIX) + 1 + (LETTERS_MAX + CHECK_LETTERS) / GROUP * 5 <=
	CN_TOKEN_TEXT_MAX,
    "the longest text fits");

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* SHA-256 of a label and bytes; false: the library would not. */
static bool
hash(const char *label, const uint8_t *bytes, size_t len, uint8_t out[32])
{
	uint8_t work[LABEL_MAX + BYTES_MAX];
	size_t label_len = strlen(label);
	unsigned size = 0;
	bool is_done;

	assert(label_len <= LABEL_MAX && len <= BYTES_MAX);
	memcpy(work, label, label_len);
	memcpy(work + label_len, bytes, len);
	is_done = EVP_Digest(work, label_len + len, out, &size, EVP_sha256(),
		      NULL) == 1;
	explicit_bzero(work, sizeof(work));
	return is_done && size == 32;
}

/* The check letters' values; false as above. */
static bool
check_of(const uint8_t *bytes, size_t len, uint8_t out[CHECK_LETTERS])
{
	uint8_t sum[32];
	uint32_t bits;

	if (!hash(CHECK_LABEL, bytes, len, sum)) {
		return false;
	}
	bits = (uint32_t)sum[0] << 12 | (uint32_t)sum[1] << 4 | sum[2] >> 4;
	for (size_t i = 0; i < CHECK_LETTERS; i++) {
		out[i] = (uint8_t)(bits >> (15 - 5 * i) & 0x1fu);
	}
	return true;
}

static bool
is_endpoint(const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] <= 0x20 || text[i] > 0x7e) {
			return false;
		}
	}
	return len >= 1 && len <= CN_TOKEN_ENDPOINT_MAX;
}

/* ---- writing ---- */

struct letters {
	char *at;
	size_t count;
};

static void
put_letter(struct letters *out, unsigned value)
{
	if (out->count > 0 && out->count % GROUP == 0) {
		*out->at++ = '-';
	}
	*out->at++ = alphabet[value & 0x1fu];
	out->count++;
}

void
cn_token_format(const struct cn_token *token, char out[CN_TOKEN_TEXT_MAX])
{
	size_t endpoint_len = strnlen(token->endpoint, sizeof(token->endpoint));
	size_t len = FIXED_BYTES + endpoint_len;
	uint8_t bytes[BYTES_MAX], check[CHECK_LETTERS];
	struct letters letters = { .at = out };
	unsigned bits = 0, held = 0;
	bool is_checked;

	assert(is_endpoint((const uint8_t *)token->endpoint, endpoint_len));
	memcpy(bytes, token->secret, CN_TOKEN_SECRET_BYTES);
	memcpy(
	    bytes + CN_TOKEN_SECRET_BYTES, token->identity, CN_IDENTITY_BYTES);
	memcpy(bytes + FIXED_BYTES, token->endpoint, endpoint_len);
	/* Without SHA-256 there is no TLS either: we would not be here. */
	is_checked = check_of(bytes, len, check);
	assert(is_checked);
	(void)is_checked;
	letters.at += snprintf(out, CN_TOKEN_TEXT_MAX, PREFIX "%c-", VERSION);
	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | bytes[i];
		held += 8;
		while (held >= 5) {
			held -= 5;
			put_letter(&letters, bits >> held);
		}
		bits &= (1u << held) - 1;
	}
	if (held > 0) {
		put_letter(&letters, bits << (5 - held));
	}
	for (size_t i = 0; i < CHECK_LETTERS; i++) {
		put_letter(&letters, check[i]);
	}
	*letters.at = '\0';
	explicit_bzero(bytes, sizeof(bytes));
}

/* ---- reading ---- */

static int
refuse(char *why, size_t why_cap, const char *text)
{
	if (why != NULL && why_cap > 0) {
		(void)snprintf(why, why_cap, "%s", text);
	}
	return CN_EKEY;
}

/* -1: no letter of a token. */
static int
letter_value(char ch)
{
	const char *at;

	if (ch >= 'a' && ch <= 'z') {
		ch = (char)(ch - 'a' + 'A');
	}
	if (ch == '0') {
		ch = 'O';
	} else if (ch == '8') {
		ch = 'B';
	}
	at = ch == '\0' ? NULL : strchr(alphabet, ch);
	return at == NULL ? -1 : (int)(at - alphabet);
}

static bool
is_gap(char ch)
{
	return ch == '-' || ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

/* The prefix; NULL: refused, with the reason in why. */
static const char *
skip_prefix(const char *text, char *why, size_t why_cap)
{
	while (is_gap(*text)) {
		text++;
	}
	if (strncasecmp(text, PREFIX, strlen(PREFIX)) != 0) {
		(void)refuse(why, why_cap,
		    "a token begins with cnj1-: copy the whole line that "
		    "`compressnet invite' printed");
		return NULL;
	}
	text += strlen(PREFIX);
	if (*text != VERSION) {
		(void)refuse(why, why_cap,
		    "this token is of another version: both gateways want "
		    "the same release");
		return NULL;
	}
	return text + 1;
}

/* Read letters into values; how many, or -1. */
static int
read_letters(const char *text, uint8_t *values, size_t max)
{
	size_t count = 0;

	for (; *text != '\0'; text++) {
		int value = letter_value(*text);

		if (is_gap(*text)) {
			continue;
		}
		if (value < 0 || count == max) {
			return -1;
		}
		values[count++] = (uint8_t)value;
	}
	return (int)count;
}

/* Put the bits together; the bytes, or -1 when spare bits are not zero. */
static int
join_bits(const uint8_t *values, size_t count, uint8_t *bytes)
{
	unsigned bits = 0, held = 0;
	int len = 0;

	for (size_t i = 0; i < count; i++) {
		bits = bits << 5 | values[i];
		held += 5;
		if (held >= 8) {
			held -= 8;
			bytes[len++] = (uint8_t)(bits >> held);
			bits &= (1u << held) - 1;
		}
	}
	/* A whole letter of nothing is one that nobody wrote. */
	return bits != 0 || held >= 5 ? -1 : len;
}

static int
parse(const char *text, struct cn_token *ret, char *why, size_t why_cap)
{
	uint8_t values[LETTERS_MAX + CHECK_LETTERS], check[CHECK_LETTERS];
	uint8_t bytes[BYTES_MAX];
	int count = read_letters(text, values, sizeof(values));
	size_t endpoint_len;
	int len;

	if (count < 0) {
		return refuse(why, why_cap,
		    "the token holds a character that no token has, or is too "
		    "long");
	}
	if (count <= (int)CHECK_LETTERS) {
		return refuse(why, why_cap, "the token is cut off");
	}
	len = join_bits(values, (size_t)count - CHECK_LETTERS, bytes);
	if (len <= (int)FIXED_BYTES || !check_of(bytes, (size_t)len, check) ||
	    memcmp(check, values + count - CHECK_LETTERS, CHECK_LETTERS) != 0) {
		return refuse(why, why_cap,
		    "the token is damaged or cut off: its check letters do "
		    "not fit");
	}
	endpoint_len = (size_t)len - FIXED_BYTES;
	if (!is_endpoint(bytes + FIXED_BYTES, endpoint_len)) {
		return refuse(why, why_cap, "the token's endpoint is none");
	}
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->secret, bytes, CN_TOKEN_SECRET_BYTES);
	memcpy(ret->identity, bytes + CN_TOKEN_SECRET_BYTES, CN_IDENTITY_BYTES);
	memcpy(ret->endpoint, bytes + FIXED_BYTES, endpoint_len);
	explicit_bzero(values, sizeof(values));
	explicit_bzero(bytes, sizeof(bytes));
	return CN_OK;
}

int
cn_token_parse(
    const char *text, struct cn_token *ret, char *why, size_t why_cap)
{
	text = skip_prefix(text, why, why_cap);
	return text == NULL ? CN_EKEY : parse(text, ret, why, why_cap);
}

/* ---- proofs ---- */

int
cn_token_trace(
    const uint8_t secret[CN_TOKEN_SECRET_BYTES], struct cn_token_trace *ret)
{
	struct cn_token_trace trace;
	uint8_t sum[32];

	if (!hash(ID_LABEL, secret, CN_TOKEN_SECRET_BYTES, sum) ||
	    !hash(KEY_LABEL, secret, CN_TOKEN_SECRET_BYTES, trace.key)) {
		return CN_EKEY;
	}
	memcpy(trace.id, sum, sizeof(trace.id));
	*ret = trace;
	explicit_bzero(&trace, sizeof(trace));
	return CN_OK;
}

int
cn_token_prove(const uint8_t key[CN_TOKEN_KEY_BYTES], enum cn_token_side side,
    const struct cn_token_bond *bond, uint8_t out[CN_TOKEN_PROOF_BYTES])
{
	static const char label[] = PROOF_LABEL;
	uint8_t text[sizeof(label) + CN_TOKEN_EXPORTER_BYTES +
	    CN_IDENTITY_BYTES * 2];
	uint8_t *at = text;
	unsigned size = 0;

	memcpy(at, label, sizeof(label) - 1);
	at += sizeof(label) - 1;
	*at++ = (uint8_t)side;
	memcpy(at, bond->exporter, CN_TOKEN_EXPORTER_BYTES);
	at += CN_TOKEN_EXPORTER_BYTES;
	memcpy(at, bond->joiner, CN_IDENTITY_BYTES);
	at += CN_IDENTITY_BYTES;
	memcpy(at, bond->inviter, CN_IDENTITY_BYTES);
	if (HMAC(EVP_sha256(), key, (int)CN_TOKEN_KEY_BYTES, text, sizeof(text),
		out, &size) == NULL ||
	    size != CN_TOKEN_PROOF_BYTES) {
		return CN_EKEY;
	}
	return CN_OK;
}
