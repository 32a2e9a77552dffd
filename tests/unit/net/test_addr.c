/* SPDX-License-Identifier: Apache-2.0 */
#include "net/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "mutate.h"

static void
good(const char *text, enum cn_addr_use use, enum cn_addr_kind kind,
    const char *name, uint16_t port)
{
	struct cn_addr addr, again;
	char buf[CN_ADDR_TEXT_MAX];

	assert_int_equal(cn_addr_parse(text, use, &addr, NULL), CN_OK);
	assert_int_equal(addr.kind, kind);
	assert_string_equal(addr.name, name);
	assert_int_equal(addr.port, port);
	cn_addr_format(&addr, buf, sizeof(buf));
	assert_int_equal(cn_addr_parse(buf, use, &again, NULL), CN_OK);
	assert_true(cn_addr_equal(&addr, &again));
}

static void
test_good(void **state)
{
	(void)state;
	good("db.example.net:5432", CN_ADDR_TO_REACH, CN_ADDR_HOST,
	    "db.example.net", 5432);
	good("localhost:1", CN_ADDR_TO_REACH, CN_ADDR_HOST, "localhost", 1);
	good("a_b-c.example.:65535", CN_ADDR_TO_REACH, CN_ADDR_HOST,
	    "a_b-c.example.", 65535);
	good("3com.example:80", CN_ADDR_TO_REACH, CN_ADDR_HOST, "3com.example",
	    80);
	good("127.0.0.1:80", CN_ADDR_TO_REACH, CN_ADDR_V4, "127.0.0.1", 80);
	good("0.0.0.0:0", CN_ADDR_TO_LISTEN, CN_ADDR_V4, "0.0.0.0", 0);
	good("[::1]:80", CN_ADDR_TO_REACH, CN_ADDR_V6, "::1", 80);
	good("[2001:DB8:0:0::1]:80", CN_ADDR_TO_REACH, CN_ADDR_V6,
	    "2001:db8::1", 80);
	good("[fe80::1%lo]:80", CN_ADDR_TO_REACH, CN_ADDR_V6, "fe80::1%lo", 80);
	good("*:3", CN_ADDR_TO_LISTEN, CN_ADDR_ANY, "*", 3);
	good("unix:/run/x.sock", CN_ADDR_TO_REACH, CN_ADDR_UNIX, "/run/x.sock",
	    0);
}

static void
bad(const char *text, enum cn_addr_use use, const char *part)
{
	struct cn_addr addr = { .port = 7 };
	const char *why = NULL;

	assert_int_equal(cn_addr_parse(text, use, &addr, &why), CN_EINVAL);
	assert_int_equal(addr.port, 7);
	assert_non_null(why);
	if (strstr(why, part) == NULL) {
		print_error("%s: %s\n", text, why);
	}
	assert_non_null(strstr(why, part));
}

static void
test_bad(void **state)
{
	char text[400];

	(void)state;
	bad("", CN_ADDR_TO_REACH, "port is missing");
	bad("host", CN_ADDR_TO_REACH, "port is missing");
	bad("host:", CN_ADDR_TO_REACH, "port is missing");
	bad(":80", CN_ADDR_TO_REACH, "host is missing");
	bad("host:http", CN_ADDR_TO_REACH, "not a number");
	bad("host:-1", CN_ADDR_TO_REACH, "not a number");
	bad("host: 80", CN_ADDR_TO_REACH, "not a number");
	bad("host:65536", CN_ADDR_TO_REACH, "greater");
	bad("host:4294967297", CN_ADDR_TO_REACH, "greater");
	bad("host:0", CN_ADDR_TO_REACH, "port 0");
	bad("::1:80", CN_ADDR_TO_REACH, "brackets");
	bad("[::1:80", CN_ADDR_TO_REACH, "closing bracket");
	bad("[::1]", CN_ADDR_TO_REACH, "must follow");
	bad("[::1]80", CN_ADDR_TO_REACH, "must follow");
	bad("[::g]:80", CN_ADDR_TO_REACH, "not an IPv6");
	bad("[127.0.0.1]:80", CN_ADDR_TO_REACH, "not an IPv6");
	bad("[fe80::1%]:80", CN_ADDR_TO_REACH, "zone");
	bad("[fe80::1%interface-too-long]:80", CN_ADDR_TO_REACH, "zone");
	bad("1.2.3:80", CN_ADDR_TO_REACH, "not an IPv4");
	bad("1.2.3.256:80", CN_ADDR_TO_REACH, "not an IPv4");
	bad("*:80", CN_ADDR_TO_REACH, "not reached");
	bad("-a:80", CN_ADDR_TO_REACH, "host name");
	bad("a-.b:80", CN_ADDR_TO_REACH, "host name");
	bad("a..b:80", CN_ADDR_TO_REACH, "host name");
	bad("a b:80", CN_ADDR_TO_REACH, "host name");
	bad("http://a:80", CN_ADDR_TO_REACH, "brackets");
	bad("unix:", CN_ADDR_TO_REACH, "begin with /");
	bad("unix:run", CN_ADDR_TO_REACH, "begin with /");
	bad("unix:@abstract", CN_ADDR_TO_REACH, "begin with /");

	memset(text, '/', sizeof(text));
	memcpy(text, "unix:", 5);
	text[5 + 108] = '\0';
	bad(text, CN_ADDR_TO_REACH, "107");
	memset(text, 'a', sizeof(text));
	memcpy(text + 254, ":80", 4);
	bad(text, CN_ADDR_TO_REACH, "253");
	memcpy(text + 64, ":80", 4);
	bad(text, CN_ADDR_TO_REACH, "host name");
}

/* What parses is written so that it parses to the same again. */
static void
check_any(const uint8_t *bytes, size_t len, void *arg)
{
	char *text = cn_alloc(len + 1);
	struct cn_addr addr, again;
	struct cn_sockaddr sa;
	char buf[CN_ADDR_TEXT_MAX];
	const char *why = NULL;

	(void)arg;
	assert_non_null(text);
	memcpy(text, bytes, len);
	text[len] = '\0';
	if (cn_addr_parse(text, CN_ADDR_TO_LISTEN, &addr, &why) == CN_OK) {
		cn_addr_format(&addr, buf, sizeof(buf));
		assert_int_equal(
		    cn_addr_parse(buf, CN_ADDR_TO_LISTEN, &again, &why), CN_OK);
		assert_true(cn_addr_equal(&addr, &again));
		(void)!cn_addr_to_sockaddr(&addr, &sa);
	} else {
		assert_non_null(why);
	}
	cn_free(text);
}

static void
test_mutations(void **state)
{
	static const char *const samples[] = { "host.example:80",
		"192.168.10.1:5432", "[2001:db8::7]:443", "[fe80::1%lo]:9",
		"*:3", "unix:/run/a/b.sock", "localhost:0" };

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(samples); i++) {
		cn_mutate_each((const uint8_t *)samples[i], strlen(samples[i]),
		    check_any, NULL);
	}
}

static void
shows(const char *text, const char *with_port, const char *without)
{
	struct cn_addr addr;
	struct cn_sockaddr sa;
	char buf[CN_ADDR_TEXT_MAX];

	assert_int_equal(
	    cn_addr_parse(text, CN_ADDR_TO_LISTEN, &addr, NULL), CN_OK);
	assert_int_equal(cn_addr_to_sockaddr(&addr, &sa), CN_OK);
	assert_string_equal(
	    cn_sockaddr_format(&sa, true, buf, sizeof(buf)), with_port);
	assert_string_equal(
	    cn_sockaddr_format(&sa, false, buf, sizeof(buf)), without);
}

static void
test_sockaddr(void **state)
{
	struct cn_sockaddr a = { .len = sizeof(sa_family_t) };
	struct cn_sockaddr b;
	struct cn_addr addr;
	char buf[CN_ADDR_TEXT_MAX], small[6];

	(void)state;
	shows("10.1.2.3:80", "10.1.2.3:80", "10.1.2.3");
	shows("[2001:db8::1]:80", "[2001:db8::1]:80", "2001:db8::1");
	shows("[fe80::1%lo]:80", "[fe80::1%lo]:80", "fe80::1%lo");
	shows("[fe80::1%1]:80", "[fe80::1%lo]:80", "fe80::1%lo");
	shows("[::ffff:10.1.2.3]:80", "10.1.2.3:80", "10.1.2.3");
	shows("*:80", "[::]:80", "::");
	shows("unix:/a", "unix:/a", "unix:/a");

	a.u.any.sa_family = AF_UNIX;
	assert_string_equal(
	    cn_sockaddr_format(&a, true, buf, sizeof(buf)), "unix");
	assert_int_equal(
	    cn_addr_parse("10.1.2.3:80", CN_ADDR_TO_REACH, &addr, NULL), CN_OK);
	assert_int_equal(cn_addr_to_sockaddr(&addr, &a), CN_OK);
	assert_string_equal(
	    cn_sockaddr_format(&a, true, small, sizeof(small)), "10.1.");
	assert_int_equal(cn_addr_parse("[::ffff:10.1.2.3]:80", CN_ADDR_TO_REACH,
			     &addr, NULL),
	    CN_OK);
	assert_int_equal(cn_addr_to_sockaddr(&addr, &b), CN_OK);
	assert_true(cn_sockaddr_equal(&a, &b));
	b.u.v6.sin6_port = htons(81);
	assert_false(cn_sockaddr_equal(&a, &b));

	assert_int_equal(
	    cn_addr_parse("some.name:80", CN_ADDR_TO_REACH, &addr, NULL),
	    CN_OK);
	assert_int_equal(cn_addr_to_sockaddr(&addr, &a), CN_ENOENT);
	assert_int_equal(
	    cn_addr_parse("[fe80::1%nope]:80", CN_ADDR_TO_REACH, &addr, NULL),
	    CN_OK);
	assert_int_equal(cn_addr_to_sockaddr(&addr, &a), CN_EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_sockaddr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
