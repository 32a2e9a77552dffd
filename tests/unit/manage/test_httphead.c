/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "../mutate.h"
#include "base/err.h"
#include "manage/httphead.h"
#include "manage/routes.h"

#define H "GET / HTTP/1.1\r\nHost: x\r\n"

static unsigned
status_of(const char *text)
{
	struct cn_http_head head;

	return cn_http_head_parse(text, strlen(text), &head) == CN_OK
	    ? 200
	    : head.status;
}

static void
test_good(void **state)
{
	static const char text[] =
	    "PUT /a/b%20c?x=1&y=a%2Fb HTTP/1.1\r\nHost: h:2\r\n"
	    "content-LENGTH: 12\r\nConnection: x, Close\r\n"
	    "Expect: 100-continue\r\nX:\t v \r\n\r\n";
	struct cn_http_head head;
	char value[16];

	(void)state;
	assert_int_equal(
	    cn_http_head_parse(text, sizeof(text) - 1, &head), CN_OK);
	assert_int_equal(head.method, CN_HTTP_PUT);
	assert_true(cn_http_is(head.path, "/a/b%20c"));
	assert_int_equal(head.body, 12);
	assert_false(head.is_kept);
	assert_true(head.is_waiting);
	assert_true(cn_http_is(cn_http_field(&head, "x"), "v"));
	assert_null(cn_http_field(&head, "y").at);
	assert_int_equal(
	    cn_http_query(head.query, "y", value, sizeof(value)), CN_OK);
	assert_string_equal(value, "a/b");
	assert_int_equal(
	    cn_http_query(head.query, "z", value, sizeof(value)), CN_ENOENT);
}

static void
test_refused(void **state)
{
	(void)state;
	assert_int_equal(status_of(H "\r\n"), 200);
	assert_int_equal(status_of("GET / HTTP/1.0\r\n\r\n"), 200);
	assert_int_equal(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
	assert_int_equal(status_of("GET / HTTP/1.1\nHost: x\r\n\r\n"), 400);
	assert_int_equal(status_of("GET / HTTP/2.0\r\n\r\n"), 505);
	assert_int_equal(status_of("GET http://x/ HTTP/1.1\r\n\r\n"), 400);
	assert_int_equal(status_of("GET  / HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
	assert_int_equal(status_of("G@T / HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
	/* Two lengths, or one that two readers would read differently. */
	assert_int_equal(status_of(H "Content-Length: 1\r\n"
				     "Transfer-Encoding: chunked\r\n\r\n"),
	    400);
	assert_int_equal(
	    status_of(H "Transfer-Encoding: chunked\r\n\r\n"), 501);
	assert_int_equal(status_of(H "Content-Length: 1\r\n"
				     "Content-Length: 1\r\n\r\n"),
	    400);
	assert_int_equal(status_of(H "Content-Length: +1\r\n\r\n"), 400);
	assert_int_equal(status_of(H "Content-Length: 1, 1\r\n\r\n"), 400);
	assert_int_equal(status_of(H "Content-Length : 1\r\n\r\n"), 400);
	assert_int_equal(status_of(H "X: a\r\n folded\r\n\r\n"), 400);
	assert_int_equal(status_of(H "Host: y\r\n\r\n"), 400);
	assert_int_equal(status_of(H "X: \x01\r\n\r\n"), 400);
	assert_int_equal(status_of(H "Expect: more\r\n\r\n"), 417);
}

static void
test_caps(void **state)
{
	char *text = calloc(1, CN_HTTP_HEAD_MAX + 8);
	size_t from = 0, len = 0, at;

	(void)state;
	assert_non_null(text);
	memset(text, 'a', CN_HTTP_HEAD_MAX);
	assert_int_equal(
	    cn_http_head_find(text, CN_HTTP_HEAD_MAX - 1, &from, &len),
	    CN_EAGAIN);
	assert_int_equal(
	    cn_http_head_find(text, CN_HTTP_HEAD_MAX, &from, &len), CN_ELIMIT);
	memcpy(text + CN_HTTP_HEAD_MAX - 4, "\r\n\r\n", 4);
	from = CN_HTTP_HEAD_MAX - 1; /* all but the last byte was seen */
	assert_int_equal(
	    cn_http_head_find(text, CN_HTTP_HEAD_MAX, &from, &len), CN_OK);
	assert_int_equal(len, CN_HTTP_HEAD_MAX);
	at = strlen(H);
	memcpy(text, H, at);
	for (unsigned i = 0; i < CN_HTTP_FIELDS_MAX; i++) {
		memcpy(text + at, "x: y\r\n", 6);
		at += 6;
	}
	memcpy(text + at, "\r\n", 3);
	assert_int_equal(status_of(text), 431);
	memset(text, 'a', CN_HTTP_TARGET_MAX + 6);
	memcpy(text, "GET /", 5);
	memcpy(text + CN_HTTP_TARGET_MAX + 5, " HTTP/1.1\r\n\r\n", 14);
	assert_int_equal(status_of(text), 414);
	free(text);
}

/* Whatever it is, it is read within its bounds, and refused with a reason. */
static void
check_damaged(const uint8_t *bytes, size_t len, void *arg)
{
	struct cn_http_head head;
	struct cn_route_match match;
	size_t from = 0, end = 0;
	char value[8];

	(void)arg;
	if (cn_http_head_find((const char *)bytes, len, &from, &end) != CN_OK) {
		return;
	}
	if (cn_http_head_parse((const char *)bytes, end, &head) != CN_OK) {
		assert_true(head.status >= 400 && head.status < 600);
		assert_non_null(head.why);
		return;
	}
	(void)!cn_http_query(head.query, "cursor", value, sizeof(value));
	cn_route_find(head.method, head.path, &match);
}

static void
test_damage(void **state)
{
	static const char sample[] =
	    "GET /api/v1/streams/%37?cursor=%31 HTTP/1.1\r\nHost: a:2\r\n"
	    "Cookie: cn_session=0; b=c\r\nContent-Length: 3\r\n\r\nabc";

	(void)state;
	cn_mutate_each(
	    (const uint8_t *)sample, sizeof(sample) - 1, check_damaged, NULL);
}

static void
test_routes(void **state)
{
	struct cn_route_match match;

	(void)state;
	cn_route_find(CN_HTTP_DELETE,
	    (struct cn_http_text){ "/api/v1/streams/42", 18 }, &match);
	assert_non_null(match.route);
	assert_string_equal(match.route->command, "stream-kill");
	assert_string_equal(match.value[0], "42");
	cn_route_find(
	    CN_HTTP_GET, (struct cn_http_text){ "/api/v1/reload", 14 }, &match);
	assert_null(match.route);
	assert_true(match.is_path);
	assert_string_equal(match.allow, "POST");
	/* No route that changes something is a GET, and each needs a right. */
	for (size_t i = 0; i < cn_routes_count; i++) {
		const struct cn_route *route = &cn_routes[i];

		if (route->right == CN_RIGHT_CHANGE) {
			assert_int_not_equal(route->method, CN_HTTP_GET);
		} else if (route->kind == CN_ROUTE_ASK) {
			assert_int_equal(route->method, CN_HTTP_GET);
			assert_int_equal(route->right, CN_RIGHT_READ);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
