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
#include "mutate.h"

#define KEY "00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff"
#define KEY_BAD                                                                \
	"00FF00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff"

static int
decode(const char *line, struct cn_request *ret)
{
	return cn_request_decode(line, strlen(line), ret);
}

static void
assert_refused(const char *line, enum cn_reply_code code, uint64_t id)
{
	struct cn_request request;

	assert_int_equal(decode(line, &request), CN_EPROTO);
	assert_int_equal(request.code, code);
	assert_true(request.id == id);
	assert_true(strlen(request.text) > 0);
}

static void
test_requests_round_trip(void **state)
{
	(void)state;
	for (unsigned i = CN_COMMAND_NONE + 1; i < CN_COMMAND_MAX; i++) {
		struct cn_request in = { .id = i + 7,
			.command = (enum cn_command)i,
			.stream = 4711,
			.cursor = INT64_MAX,
			.limit = 17,
			.bytes = 12,
			.payload = CN_PAYLOAD_MAX,
			.key = { 0x01, 0xfe },
			.service = "web",
			.client = "192.0.2.1",
			.target = "192.0.2.1:5432",
			.peer = "tokyo",
			.etag = "absent",
			.token = "cnj1-AAAA",
			.address = "192.0.2.7:3",
			.expires_s = 60,
			.items = { "db=10.0.0.5:1", "web" },
			.items_count = 2,
			.is_stored = true };
		struct cn_request got;
		struct cn_buf buf;

		cn_buf_init(&buf, CN_REQUEST_MAX);
		assert_int_equal(cn_request_encode(&in, &buf), CN_OK);
		assert_int_equal(buf.data[buf.len - 1], '\n');
		assert_int_equal(cn_request_decode(
				     (const char *)buf.data, buf.len - 1, &got),
		    CN_OK);
		assert_int_equal(got.command, i);
		assert_true(got.id == i + 7);
		if (i == CN_COMMAND_STREAMS) {
			assert_true(got.cursor == INT64_MAX);
			assert_int_equal(got.limit, 17);
		}
		if (i == CN_COMMAND_STREAM_SHOW ||
		    i == CN_COMMAND_STREAM_KILL || i == CN_COMMAND_STREAM_WHY) {
			assert_int_equal(got.stream, 4711);
		}
		if (i == CN_COMMAND_STORE_VERIFY ||
		    i == CN_COMMAND_STORE_EXPORT ||
		    i == CN_COMMAND_STORE_IMPORT) {
			assert_true(got.cursor == INT64_MAX);
		}
		assert_int_equal(
		    got.bytes, i == CN_COMMAND_STORE_TRIM ? 12 : 0);
		assert_int_equal(got.payload,
		    i == CN_COMMAND_STORE_IMPORT || i == CN_COMMAND_CONFIG_WRITE
			? CN_PAYLOAD_MAX
			: 0);
		if (i == CN_COMMAND_STORE_IMPORT ||
		    i == CN_COMMAND_STORE_EXPORT) {
			assert_memory_equal(got.key, in.key, sizeof(in.key));
		}
		bool is_probe = i == CN_COMMAND_PROBE;
		bool is_warm = i == CN_COMMAND_STORE_WARM;
		bool has_service =
		    is_warm || is_probe || i == CN_COMMAND_SERVICE_WHY;
		assert_string_equal(got.service, has_service ? in.service : "");
		assert_string_equal(
		    got.target, i == CN_COMMAND_SERVICE_TEST ? in.target : "");
		assert_string_equal(got.client, is_warm ? in.client : "");
		bool is_invite = i == CN_COMMAND_INVITE;
		bool is_join = i == CN_COMMAND_JOIN;
		bool has_peer = is_probe || is_invite || is_join ||
		    i == CN_COMMAND_PEER_DRAIN || i == CN_COMMAND_PEER_RESUME ||
		    i == CN_COMMAND_PEER_REMOVE;
		assert_string_equal(got.peer, has_peer ? in.peer : "");
		assert_string_equal(
		    got.etag, i == CN_COMMAND_CONFIG_WRITE ? in.etag : "");
		assert_string_equal(got.token, is_join ? in.token : "");
		assert_string_equal(got.address, is_invite ? in.address : "");
		assert_int_equal(got.expires_s, is_invite ? 60 : 0);
		assert_int_equal(got.items_count, is_invite || is_join ? 2 : 0);
		assert_string_equal(
		    got.items[1], is_invite || is_join ? "web" : "");
		assert_true(got.is_stored == is_probe);
		cn_buf_fini(&buf);
	}
}

static void
test_what_changes_needs_more(void **state)
{
	static const enum cn_command changing[] = { CN_COMMAND_STREAM_KILL,
		CN_COMMAND_RELOAD, CN_COMMAND_STORE_VERIFY,
		CN_COMMAND_STORE_TRIM, CN_COMMAND_STORE_EXPORT,
		CN_COMMAND_STORE_IMPORT, CN_COMMAND_STORE_WARM,
		CN_COMMAND_STORE_WARM_END, CN_COMMAND_CONFIG_WRITE,
		CN_COMMAND_PEER_DRAIN, CN_COMMAND_PEER_RESUME,
		CN_COMMAND_PEER_REMOVE, CN_COMMAND_INVITE, CN_COMMAND_JOIN,
		CN_COMMAND_PROBE, CN_COMMAND_PROBE_END };

	(void)state;
	for (unsigned i = CN_COMMAND_NONE + 1; i < CN_COMMAND_MAX; i++) {
		struct cn_request request = { .command = (enum cn_command)i };
		enum cn_access access = CN_ACCESS_READ;

		for (size_t k = 0; k < CN_ARRAY_LEN(changing); k++) {
			if (changing[k] == request.command) {
				access = CN_ACCESS_CHANGE;
			}
		}
		assert_int_equal(cn_request_access(&request), access);
	}
	/* What is no command needs the most. */
	struct cn_request none = { 0 };
	assert_int_equal(cn_request_access(&none), CN_ACCESS_CHANGE);
}

static void
test_page_limit_is_capped(void **state)
{
	struct cn_request request;

	(void)state;
	assert_int_equal(
	    decode("{\"v\":1,\"id\":1,\"cmd\":\"streams\"}", &request), CN_OK);
	assert_int_equal(request.limit, CN_SNAP_STREAMS_PAGE);
	assert_int_equal(decode("{\"v\":1,\"id\":1,\"cmd\":\"streams\","
				"\"limit\":99999999999}",
			     &request),
	    CN_OK);
	assert_int_equal(request.limit, CN_SNAP_STREAMS_PAGE);
}

/* What follows a request follows it also when it is refused. */
static void
test_payload_of_the_refused(void **state)
{
	struct cn_request request;

	(void)state;
	assert_int_equal(decode("{\"v\":1,\"id\":9,\"cmd\":\"store-import\","
				"\"payload\":77}",
			     &request),
	    CN_EPROTO);
	assert_int_equal(request.payload, 77);
	assert_int_equal(
	    decode("{\"v\":2,\"payload\":77}", &request), CN_EPROTO);
	assert_int_equal(request.payload, 77);
}

/* One byte too long. */
#define LONG_SERVICE                                                           \
	",\"service\":\""                                                      \
	"0123456789012345678901234567890123456789012345678901234567890123\""

static const char *const bad_services[] = {
	"",
	",\"service\":\"\"",
	",\"service\":7",
	",\"service\":null",
	",\"service\":\"a\\nb\"",
	",\"service\":\"a\\u007fb\"",
	LONG_SERVICE,
	",\"service\":\"web\",\"client\":\"\"",
	",\"service\":\"web\",\"client\":[]",
	",\"client\":\"192.0.2.1\"",
	",\"service\":\"web\",\"stream\":1",
};

static const char *const bad_pairings[] = {
	"\"peer-drain\"",
	"\"peer-remove\",\"peer\":\"\"",
	"\"peer-remove\",\"peer\":7",
	"\"config-write\",\"payload\":1",
	"\"config-write\",\"etag\":\"absent\"",
	"\"invite\",\"peer\":\"p\"",
	"\"invite\",\"peer\":\"p\",\"address\":\"h:3\",\"offers\":\"o\"",
	"\"invite\",\"peer\":\"p\",\"address\":\"h:3\",\"offers\":[7]",
	"\"invite\",\"peer\":\"p\",\"address\":\"h:3\",\"offers\":[\"\"]",
	"\"invite\",\"peer\":\"p\",\"address\":\"h:3\",\"expires_s\":0",
	"\"invite\",\"peer\":\"p\",\"address\":\"h:3\",\"expires_s\":86401",
	("\"invite\",\"peer\":\"p\",\"address\":\"h:3\",\"offers\":"
	 "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]"),
	"\"join\",\"peer\":\"p\"",
	"\"join\",\"token\":\"t\"",
	"\"join\",\"token\":\"t\",\"peer\":\"p\",\"offers\":[]",
};

static void
test_bad_requests(void **state)
{
	char *line;

	(void)state;
	assert_refused("", CN_REPLY_BAD_REQUEST, 0);
	assert_refused("GET / HTTP/1.1", CN_REPLY_BAD_REQUEST, 0);
	assert_refused("[]", CN_REPLY_BAD_REQUEST, 0);
	assert_refused("{}", CN_REPLY_VERSION_MISMATCH, 0);
	assert_refused("{\"v\":2,\"id\":5,\"cmd\":\"status\"}",
	    CN_REPLY_VERSION_MISMATCH, 5);
	assert_refused("{\"v\":1,\"id\":5}", CN_REPLY_BAD_REQUEST, 5);
	assert_refused("{\"v\":1,\"id\":5,\"cmd\":7}", CN_REPLY_BAD_REQUEST, 5);
	assert_refused(
	    "{\"v\":1,\"id\":5,\"cmd\":\"none\"}", CN_REPLY_UNKNOWN_COMMAND, 5);
	assert_refused("{\"v\":1,\"id\":5,\"cmd\":\"shutdown\"}",
	    CN_REPLY_UNKNOWN_COMMAND, 5);
	assert_refused(
	    "{\"v\":1,\"id\":-1,\"cmd\":\"status\"}", CN_REPLY_BAD_REQUEST, 0);
	assert_refused(
	    "{\"v\":1,\"id\":1.5,\"cmd\":\"status\"}", CN_REPLY_BAD_REQUEST, 0);
	assert_refused("{\"v\":1,\"id\":9,\"cmd\":\"status\",\"stream\":1}",
	    CN_REPLY_BAD_REQUEST, 9);
	assert_refused("{\"v\":1,\"id\":9,\"cmd\":\"stream-kill\"}",
	    CN_REPLY_BAD_REQUEST, 9);
	assert_refused(
	    "{\"v\":1,\"id\":9,\"cmd\":\"stream-kill\",\"stream\":0}",
	    CN_REPLY_BAD_REQUEST, 9);
	assert_refused("{\"v\":1,\"id\":9,\"cmd\":\"streams\",\"limit\":0}",
	    CN_REPLY_BAD_REQUEST, 9);
	/* The store's. */
	assert_refused("{\"v\":1,\"id\":9,\"cmd\":\"store-trim\"}",
	    CN_REPLY_BAD_REQUEST, 9);
	assert_refused("{\"v\":1,\"id\":9,\"cmd\":\"store-trim\",\"bytes\":-1}",
	    CN_REPLY_BAD_REQUEST, 9);
	assert_refused("{\"v\":1,\"id\":9,\"cmd\":\"store\",\"bytes\":1}",
	    CN_REPLY_BAD_REQUEST, 9);
	assert_refused(
	    "{\"v\":1,\"id\":9,\"cmd\":\"store-verify\",\"key\":\"" KEY "\"}",
	    CN_REPLY_BAD_REQUEST, 9);
	assert_refused("{\"v\":1,\"id\":9,\"cmd\":\"store-export\"}",
	    CN_REPLY_BAD_REQUEST, 9);
	assert_refused("{\"v\":1,\"id\":9,\"cmd\":\"store-export\",\"key\":"
		       "\"" KEY "0\"}",
	    CN_REPLY_BAD_REQUEST, 9);
	assert_refused("{\"v\":1,\"id\":9,\"cmd\":\"store-export\",\"key\":"
		       "\"" KEY_BAD "\"}",
	    CN_REPLY_BAD_REQUEST, 9);
	assert_refused("{\"v\":1,\"id\":9,\"cmd\":\"store-import\",\"key\":"
		       "\"" KEY "\"}",
	    CN_REPLY_BAD_REQUEST, 9);
	assert_refused("{\"v\":1,\"id\":9,\"cmd\":\"store-import\",\"key\":"
		       "\"" KEY "\",\"payload\":2097153}",
	    CN_REPLY_BAD_REQUEST, 9);
	for (size_t i = 0; i < CN_ARRAY_LEN(bad_services); i++) {
		char text[200];

		(void)snprintf(text, sizeof(text),
		    "{\"v\":1,\"id\":9,\"cmd\":\"store-warm\"%s}",
		    bad_services[i]);
		assert_refused(text, CN_REPLY_BAD_REQUEST, 9);
	}
	assert_refused("{\"v\":1,\"id\":9,\"cmd\":\"probe\","
		       "\"service\":\"/echo\"}",
	    CN_REPLY_BAD_REQUEST, 9);
	assert_refused("{\"v\":1,\"id\":9,\"cmd\":\"probe\","
		       "\"service\":\"/echo\",\"peer\":\"\"}",
	    CN_REPLY_BAD_REQUEST, 9);
	assert_refused("{\"v\":1,\"id\":9,\"cmd\":\"probe\",\"stored\":1,"
		       "\"service\":\"/echo\",\"peer\":\"a\"}",
	    CN_REPLY_BAD_REQUEST, 9);
	assert_refused(
	    "{\"v\":1,\"id\":9,\"cmd\":\"status\",\"service\":\"x\"}",
	    CN_REPLY_BAD_REQUEST, 9);
	for (size_t i = 0; i < CN_ARRAY_LEN(bad_pairings); i++) {
		char text[200];

		(void)snprintf(text, sizeof(text),
		    "{\"v\":1,\"id\":9,\"cmd\":%s}", bad_pairings[i]);
		assert_refused(text, CN_REPLY_BAD_REQUEST, 9);
	}
	/* Twice the same name: which one would count? */
	assert_refused("{\"v\":1,\"id\":9,\"id\":8,\"cmd\":\"status\"}",
	    CN_REPLY_BAD_REQUEST, 0);
	line = cn_alloc(CN_REQUEST_MAX + 1);
	assert_non_null(line);
	memset(line, '[', CN_REQUEST_MAX);
	line[CN_REQUEST_MAX] = '\0';
	assert_refused(line, CN_REPLY_TOO_LONG, 0);
	/* As deep as a line can be: an answer, no overflow of the stack. */
	line[CN_REQUEST_MAX - 1] = '\0';
	assert_refused(line, CN_REPLY_BAD_REQUEST, 0);
	cn_free(line);
}

static void
check_request(const uint8_t *bytes, size_t len, void *arg)
{
	struct cn_request request, again;
	size_t *accepted = arg;
	struct cn_buf buf;

	if (cn_request_decode((const char *)bytes, len, &request) < 0) {
		assert_true(request.code != CN_REPLY_OK);
		cn_buf_init(&buf, CN_REPLY_MAX);
		assert_int_equal(cn_reply_refused(&buf, &request), CN_OK);
		cn_buf_fini(&buf);
		return;
	}
	cn_buf_init(&buf, CN_REQUEST_MAX);
	assert_int_equal(cn_request_encode(&request, &buf), CN_OK);
	assert_int_equal(
	    cn_request_decode((const char *)buf.data, buf.len - 1, &again),
	    CN_OK);
	assert_true(again.command == request.command &&
	    again.id == request.id && again.stream == request.stream &&
	    again.cursor == request.cursor && again.limit == request.limit);
	cn_buf_fini(&buf);
	(*accepted)++;
}

static void
test_damaged_requests(void **state)
{
	static const char *const samples[] = {
		"{\"v\":1,\"id\":7,\"cmd\":\"streams\",\"cursor\":12,"
		"\"limit\":100}",
		"{\"v\":1,\"id\":9223372036854775807,\"cmd\":\"stream-kill\","
		"\"stream\":4711}",
		"{\"v\":1,\"id\":7,\"cmd\":\"invite\",\"peer\":\"p\","
		"\"address\":\"h:3\",\"offers\":[\"a=b:1\",\"c\"]}",
		"{\"v\":1,\"id\":7,\"cmd\":\"join\",\"peer\":\"p\","
		"\"token\":\"cnj1\",\"forwards\":[]}",
	};
	size_t accepted = 0;

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(samples); i++) {
		cn_mutate_each((const uint8_t *)samples[i], strlen(samples[i]),
		    check_request, &accepted);
	}
	assert_true(accepted > 0);
}

static void
reply_of(const struct cn_buf *buf, struct cn_reply *reply)
{
	assert_true(buf->len > 1 && buf->data[buf->len - 1] == '\n');
	assert_null(memchr(buf->data, '\n', buf->len - 1));
	cn_reply_init(reply);
	assert_int_equal(
	    cn_reply_decode((const char *)buf->data, buf->len - 1, reply),
	    CN_OK);
}

static void
test_errors_round_trip(void **state)
{
	const struct cn_diag_place place = { .file = "a.yaml",
		.line = 3,
		.column = 5,
		.width = 6,
		.source = "  adress: x",
		.source_len = 11 };
	struct cn_diag_list diags;
	struct cn_reply reply;
	struct cn_buf buf;

	(void)state;
	cn_diag_init(&diags);
	cn_diag_add(&diags, CN_DIAG_ERROR, &place, "did you mean 'address'?",
	    "unknown key '%s'", "adress");
	cn_diag_add(&diags, CN_DIAG_WARNING, &place, NULL, "odd");
	cn_buf_init(&buf, CN_REPLY_MAX);
	assert_int_equal(cn_reply_error(&buf, 12, CN_REPLY_CONFIG, &diags,
			     "not taken over: %s", "bad\n\x1b[2J\xff"),
	    CN_OK);
	reply_of(&buf, &reply);
	assert_false(reply.is_ok);
	assert_null(reply.data);
	assert_int_equal(reply.id, 12);
	assert_int_equal(reply.code, CN_REPLY_CONFIG);
	/* Nothing that would drive a terminal. */
	assert_string_equal(reply.text, "not taken over: bad??[2J?");
	assert_int_equal(reply.diags.count, 2);
	assert_int_equal(reply.diags.errors, 1);
	assert_int_equal(reply.diags.warnings, 1);
	assert_string_equal(
	    reply.diags.item[0].message, "unknown key 'adress'");
	assert_string_equal(
	    reply.diags.item[0].hint, "did you mean 'address'?");
	assert_string_equal(reply.diags.item[0].source, "  adress: x");
	assert_int_equal(reply.diags.item[0].line, 3);
	assert_int_equal(reply.diags.item[0].column, 5);
	assert_int_equal(reply.diags.item[0].width, 6);
	assert_null(reply.diags.item[1].hint);
	cn_reply_fini(&reply);
	cn_buf_fini(&buf);
	cn_diag_fini(&diags);
}

static void
test_codes_round_trip(void **state)
{
	(void)state;
	for (unsigned i = CN_REPLY_OK + 1; i < CN_REPLY_CODE_MAX; i++) {
		struct cn_reply reply;
		struct cn_buf buf;

		cn_buf_init(&buf, CN_REPLY_MAX);
		assert_int_equal(
		    cn_reply_error(&buf, 1, (enum cn_reply_code)i, NULL, "x"),
		    CN_OK);
		reply_of(&buf, &reply);
		assert_int_equal(reply.code, i);
		cn_reply_fini(&reply);
		cn_buf_fini(&buf);
	}
}

static void
test_plain_replies(void **state)
{
	struct cn_reply reply;
	struct cn_buf buf;

	(void)state;
	cn_buf_init(&buf, CN_REPLY_MAX);
	assert_int_equal(cn_reply_version(&buf, 1), CN_OK);
	reply_of(&buf, &reply);
	assert_true(reply.is_ok);
	assert_string_equal(
	    json_string_value(json_object_get(reply.data, "version")),
	    CN_VERSION);
	cn_reply_fini(&reply);
	cn_buf_clear(&buf);
	assert_int_equal(cn_reply_config(&buf, 2,
			     &(const struct cn_reply_config){ .file = "/etc/x",
				 .yaml = "a: \"b\"\nrest",
				 .yaml_len = 8,
				 .etag = "absent" }),
	    CN_OK);
	reply_of(&buf, &reply);
	assert_string_equal(
	    json_string_value(json_object_get(reply.data, "yaml")),
	    "a: \"b\"\nr");
	cn_reply_fini(&reply);
	cn_buf_clear(&buf);
	assert_int_equal(
	    cn_reply_reload(&buf, 3, "peers: tokyo added", NULL), CN_OK);
	reply_of(&buf, &reply);
	assert_int_equal(reply.diags.count, 0);
	cn_reply_fini(&reply);
	cn_buf_clear(&buf);
	assert_int_equal(cn_reply_done(&buf, 4), CN_OK);
	reply_of(&buf, &reply);
	assert_true(reply.is_ok && reply.id == 4 && reply.next == 0);
	cn_reply_fini(&reply);
	cn_buf_fini(&buf);
}

/* A reply that does not fit leaves what was there before. */
static void
test_full_buffer(void **state)
{
	struct cn_buf buf;

	(void)state;
	cn_buf_init(&buf, 32);
	assert_int_equal(cn_buf_append(&buf, "before", 6), CN_OK);
	assert_int_equal(cn_reply_error(&buf, 1, CN_REPLY_BUSY, NULL,
			     "so long that it does not fit in there"),
	    CN_ELIMIT);
	assert_int_equal(buf.len, 6);
	assert_memory_equal(buf.data, "before", 6);
	cn_buf_fini(&buf);
}

static void
check_reply(const uint8_t *bytes, size_t len, void *arg)
{
	struct cn_reply reply;
	size_t *accepted = arg;

	cn_reply_init(&reply);
	int err = cn_reply_decode((const char *)bytes, len, &reply);
	if (err < 0) {
		assert_true(err == CN_EPROTO || err == CN_ELIMIT);
		assert_null(reply.data);
		assert_int_equal(reply.diags.count, 0);
		return;
	}
	assert_true(reply.is_ok == (reply.data != NULL));
	cn_reply_fini(&reply);
	(*accepted)++;
}

static void
test_damaged_replies(void **state)
{
	static const char *const samples[] = {
		"{\"id\":7,\"ok\":true,\"data\":{\"total\":3,\"streams\":[]},"
		"\"next\":12}",
		"{\"id\":7,\"ok\":false,\"error\":{\"code\":\"config\","
		"\"message\":\"no\",\"diagnostics\":[{\"is_warning\":true,"
		"\"line\":1,\"column\":2,\"width\":3,\"file\":\"f\","
		"\"message\":\"m\",\"hint\":\"h\",\"source\":\"s\"}]}}",
	};
	size_t accepted = 0;

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(samples); i++) {
		cn_mutate_each((const uint8_t *)samples[i], strlen(samples[i]),
		    check_reply, &accepted);
	}
	assert_true(accepted > 0);
}

/* The nth allocation fails: a clean error, nothing lost, nothing half. */
static void
test_allocation_failures(void **state)
{
	static const char line[] = "{\"id\":7,\"ok\":false,\"error\":{\"code\""
				   ":\"config\",\"message\":\"no\","
				   "\"diagnostics\":[{\"line\":1,\"file\":"
				   "\"f\",\"message\":\"m\"}]}}";
	static const char asked[] = "{\"v\":1,\"id\":7,\"cmd\":\"streams\"}";
	bool has_failed = true;

	(void)state;
	for (uint64_t n = 1; has_failed; n++) {
		uint64_t before = cn_alloc_count();
		struct cn_request request;
		struct cn_reply reply;
		struct cn_buf buf;

		assert_true(n < 1000);
		cn_buf_init(&buf, CN_REPLY_MAX);
		cn_reply_init(&reply);
		cn_alloc_fail_at(n);
		int err = cn_request_decode(asked, sizeof(asked) - 1, &request);
		if (err == CN_OK) {
			err = cn_request_encode(&request, &buf);
		}
		if (err == CN_OK) {
			err = cn_reply_decode(line, sizeof(line) - 1, &reply);
		}
		if (err == CN_OK) {
			err = cn_reply_error(&buf, 7, reply.code, &reply.diags,
			    "%s", reply.text);
		}
		has_failed = cn_alloc_has_failed();
		cn_alloc_fail_at(0);
		/*
		 * A list of diagnostics goes on without one of them; and
		 * jansson calls a token that it has no memory for invalid.
		 */
		assert_true(err == CN_OK ||
		    (has_failed && (err == CN_ENOMEM || err == CN_EPROTO)));
		cn_reply_fini(&reply);
		cn_buf_fini(&buf);
		assert_true(cn_alloc_count() == before);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_round_trip),
		cmocka_unit_test(test_what_changes_needs_more),
		cmocka_unit_test(test_page_limit_is_capped),
		cmocka_unit_test(test_payload_of_the_refused),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_damaged_requests),
		cmocka_unit_test(test_errors_round_trip),
		cmocka_unit_test(test_codes_round_trip),
		cmocka_unit_test(test_plain_replies),
		cmocka_unit_test(test_full_buffer),
		cmocka_unit_test(test_damaged_replies),
		cmocka_unit_test(test_allocation_failures),
	};

	cn_message_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
