/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "ident/token.h"
#include "mutate.h"

static struct cn_token
sample(const char *endpoint)
{
	struct cn_token token;

	memset(&token, 0, sizeof(token));
	for (size_t i = 0; i < sizeof(token.secret); i++) {
		token.secret[i] = (uint8_t)(i * 17 + 3);
	}
	for (size_t i = 0; i < sizeof(token.identity); i++) {
		token.identity[i] = (uint8_t)(255 - i);
	}
	(void)snprintf(token.endpoint, sizeof(token.endpoint), "%s", endpoint);
	return token;
}

static void
test_round_trips(void **state)
{
	char endpoint[CN_TOKEN_ENDPOINT_MAX + 1];
	char text[CN_TOKEN_TEXT_MAX], why[CN_IDENT_WHY_MAX];

	(void)state;
	for (size_t len = 1; len <= CN_TOKEN_ENDPOINT_MAX; len++) {
		struct cn_token token, got;

		memset(endpoint, 'x', len);
		endpoint[len] = '\0';
		token = sample(endpoint);
		cn_token_format(&token, text);
		assert_true(strlen(text) < CN_TOKEN_TEXT_MAX);
		assert_memory_equal(text, "cnj1-", 5);
		assert_int_equal(
		    cn_token_parse(text, &got, why, sizeof(why)), CN_OK);
		assert_memory_equal(&got, &token, sizeof(got));
	}
}

/* As it may come back from a chat or a hand. */
static void
test_forms(void **state)
{
	struct cn_token token = sample("tokyo.example.net:3"), got;
	char text[CN_TOKEN_TEXT_MAX], other[2 * CN_TOKEN_TEXT_MAX];
	char *to = other;

	(void)state;
	cn_token_format(&token, text);
	*to++ = ' ';
	for (const char *at = text; *at != '\0'; at++) {
		char ch = *at;

		if (ch == 'O') {
			ch = '0';
		} else if (ch == 'B') {
			ch = '8';
		} else if (ch >= 'A' && ch <= 'Z') {
			ch = (char)(ch - 'A' + 'a');
		}
		if (ch != '-' || at - text < 5) {
			*to++ = ch;
		}
		if (at - text == 40) {
			*to++ = '\n';
		}
	}
	*to = '\0';
	assert_int_equal(cn_token_parse(other, &got, NULL, 0), CN_OK);
	assert_memory_equal(&got, &token, sizeof(got));
}

static void
check_token(const uint8_t *bytes, size_t len, void *arg)
{
	const struct cn_token *good = arg;
	char text[2 * CN_TOKEN_TEXT_MAX], why[CN_IDENT_WHY_MAX] = "";
	struct cn_token got;

	if (len >= sizeof(text)) {
		return;
	}
	memcpy(text, bytes, len);
	text[len] = '\0';
	if (cn_token_parse(text, &got, why, sizeof(why)) == CN_OK) {
		/* Whatever was changed, it was not the token. */
		assert_memory_equal(&got, good, sizeof(got));
	} else {
		assert_true(why[0] != '\0');
	}
}

static void
test_damage(void **state)
{
	struct cn_token token = sample("[2001:db8::1]:3");
	char text[CN_TOKEN_TEXT_MAX];

	(void)state;
	cn_token_format(&token, text);
	cn_mutate_each(
	    (const uint8_t *)text, strlen(text), check_token, &token);
}

static void
test_words(void **state)
{
	static const struct {
		const char *text;
		const char *words;
	} bad[] = {
		{ "", "begins with cnj1-" },
		{ "QFA3-BRVA-KOOR", "begins with cnj1-" },
		{ "cnj2-AAAA", "another version" },
		{ "cnj1-", "cut off" },
		{ "cnj1-AAAA", "cut off" },
		{ "cnj1-AAAA-AAAA-AAAA", "check letters" },
		{ "cnj1-AAAA-1AAA", "no token has" },
		{ "cnj1-AAAA-\xc3\xa4", "no token has" },
	};
	char long_text[8192];
	char why[CN_IDENT_WHY_MAX];
	struct cn_token got;

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(bad); i++) {
		assert_int_equal(
		    cn_token_parse(bad[i].text, &got, why, sizeof(why)),
		    CN_EKEY);
		assert_non_null(strstr(why, bad[i].words));
	}
	memset(long_text, 'A', sizeof(long_text));
	memcpy(long_text, "cnj1-", 5);
	long_text[sizeof(long_text) - 1] = '\0';
	assert_int_equal(
	    cn_token_parse(long_text, &got, why, sizeof(why)), CN_EKEY);
}

/* Each part of what a proof is bound to changes it. */
static void
test_proofs(void **state)
{
	struct cn_token token = sample("a:3");
	struct cn_token_trace trace, other;
	struct cn_token_bond bond;
	uint8_t first[CN_TOKEN_PROOF_BYTES], proof[CN_TOKEN_PROOF_BYTES];
	uint8_t *part[] = { bond.exporter, bond.joiner, bond.inviter,
		trace.key };

	(void)state;
	memset(&bond, 7, sizeof(bond));
	assert_int_equal(cn_token_trace(token.secret, &trace), CN_OK);
	assert_int_equal(
	    cn_token_prove(trace.key, CN_TOKEN_JOINER, &bond, first), CN_OK);
	assert_int_equal(
	    cn_token_prove(trace.key, CN_TOKEN_JOINER, &bond, proof), CN_OK);
	assert_memory_equal(first, proof, sizeof(proof));
	assert_int_equal(
	    cn_token_prove(trace.key, CN_TOKEN_INVITER, &bond, proof), CN_OK);
	assert_memory_not_equal(first, proof, sizeof(proof));
	for (size_t i = 0; i < CN_ARRAY_LEN(part); i++) {
		part[i][31] ^= 1;
		assert_int_equal(
		    cn_token_prove(trace.key, CN_TOKEN_JOINER, &bond, proof),
		    CN_OK);
		assert_memory_not_equal(first, proof, sizeof(proof));
		part[i][31] ^= 1;
	}
	token.secret[15] ^= 1;
	assert_int_equal(cn_token_trace(token.secret, &other), CN_OK);
	assert_memory_not_equal(other.id, trace.id, sizeof(other.id));
	assert_memory_not_equal(other.key, trace.key, sizeof(other.key));
	assert_memory_not_equal(trace.key, trace.id, sizeof(trace.id));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_proofs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
