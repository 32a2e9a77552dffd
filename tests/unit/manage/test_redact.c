/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "control/message.h"
#include "manage/redact.h"

#define HEX64 "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"

static void
assert_text(const char *from, const char *to)
{
	struct cn_buf out;

	cn_buf_init(&out, 65536);
	assert_int_equal(cn_redact_text(from, strlen(from), &out), CN_OK);
	assert_int_equal(cn_buf_append(&out, "", 1), CN_OK);
	assert_string_equal((const char *)out.data, to);
	cn_buf_fini(&out);
}

static void
test_text(void **state)
{
	(void)state;
	assert_text("", "");
	assert_text("gateway:\n  name: london\n", "gateway:\n  name: london\n");
	assert_text("no newline", "no newline\n");
	assert_text(
	    "a:\n  token: abc\n  b: 1\n", "a:\n  token: [redacted]\n  b: 1\n");
	assert_text("API_KEY=abc PassWord = x\n", "API_KEY= [redacted]\n");
	assert_text("/" HEX64 "/token=x\n", "/[redacted]/token= [redacted]\n");
	/* A value of several lines. */
	assert_text("password: |\n  first\n\n  second\nname: x\n",
	    "password: [redacted]\nname: x\n");
	assert_text("x\n-----BEGIN PRIVATE KEY-----\nMC4CAQ\n"
		    "-----END PRIVATE KEY-----\ny\n",
	    "x\n[redacted]\ny\n");
	assert_text("-----BEGIN EC PRIVATE KEY-----\ncut off", "[redacted]\n");
	assert_text("http://me:pw@host/x https://host/a@b\n",
	    "http://[redacted]@host/x https://host/a@b\n");
	assert_text("k " HEX64 ".\n", "k [redacted].\n");
	/* Ids of links are shorter, identities are no such digits. */
	assert_text("0123456789abcdef0123456789abcdef CKKF-K5R4\n",
	    "0123456789abcdef0123456789abcdef CKKF-K5R4\n");
	/* A name without a value is a word. */
	assert_text("the token was refused\n", "the token was refused\n");
}

static void
test_json(void **state)
{
	json_t *json =
	    json_pack("{s:s, s:{s:[s, s], s:i}, s:b}", "auth_token", "abc",
		"deep", "list", HEX64, "plain", "tokens", 7, "is_private", 1);

	(void)state;
	assert_int_equal(cn_redact_json(json), CN_OK);
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(text,
	    "{\"auth_token\":\"[redacted]\",\"deep\":{\"list\":[\"[redacted]\","
	    "\"plain\"],\"tokens\":7},\"is_private\":true}");
	cn_free(text);
	json_decref(json);
}

static void
test_memory(void **state)
{
	static const char text[] = "a: 1\ntoken: 2\n";
	struct cn_buf out;
	int err = CN_ENOMEM;

	(void)state;
	for (unsigned i = 1; err != CN_OK; i++) {
		cn_buf_init(&out, 65536);
		cn_alloc_fail_at(i);
		err = cn_redact_text(text, strlen(text), &out);
		cn_alloc_fail_at(0);
		assert_true(err == CN_OK || err == CN_ENOMEM);
		cn_buf_fini(&out);
		assert_true(i < 100);
	}
	cn_buf_init(&out, 4);
	assert_int_equal(cn_redact_text(text, strlen(text), &out), CN_ELIMIT);
	cn_buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_memory),
	};

	cn_message_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
