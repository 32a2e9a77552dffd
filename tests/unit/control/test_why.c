/* SPDX-License-Identifier: Apache-2.0 */
/* From counts to findings: their order, shares, words, and what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/err.h"
#include "control/message.h"
#include "control/why.h"

static struct cn_why_facts
some_facts(void)
{
	struct cn_why_facts facts = { .profile = "balanced",
		.scope = "service",
		.peer = "far",
		.coalesce_us = 5000,
		.opened = 3 };

	facts.sent = (struct cn_snap_bytes){ .lan = 10000,
		.wan = 9000,
		.raw = 8000,
		.literal = 2000,
		.coded = 900,
		.framing = 100 };
	facts.received = (struct cn_snap_bytes){ .lan = 1000,
		.wan = 1000,
		.raw = 800,
		.literal = 200,
		.coded = 100,
		.framing = 100 };
	return facts;
}

static void
test_order(void **state)
{
	struct cn_why_facts facts = some_facts();
	struct cn_snap_why why = { 0 };

	(void)state;
	cn_why_add(&facts, true, CN_WHY_COLD, "", "", 900);
	cn_why_add(&facts, true, CN_WHY_COMPRESSED, "gzip", "gzip data", 3000);
	cn_why_add(&facts, true, CN_WHY_COMPRESSED, "xz", "xz data", 5000);
	cn_why_add(&facts, false, CN_WHY_COMPRESSED, "gzip", "gzip data", 800);
	cn_why_add(&facts, false, CN_WHY_AGAIN, "", "", 99);
	cn_why_add(&facts, false, CN_WHY_DAMAGE, "", "", 0);
	assert_int_equal(facts.costs, 5);
	assert_int_equal(cn_why_find(&facts, &why), CN_OK);
	assert_int_equal(why.fates.wan, 10000);
	/* What is below a hundredth is left out: sent again. */
	assert_int_equal(why.findings_count, 4);
	assert_string_equal(why.findings[0].format, "xz");
	assert_int_equal(why.findings[0].share, 500);
	assert_string_equal(why.findings[1].format, "gzip");
	assert_string_equal(why.findings[1].reason, "compressed");
	assert_int_equal(why.findings[1].sent, 3000);
	assert_int_equal(why.findings[1].received, 800);
	assert_int_equal(why.findings[1].bytes, 3800);
	assert_non_null(strstr(why.findings[1].evidence, "gzip data"));
	assert_string_equal(why.findings[2].reason, "cold");
	assert_string_equal(why.findings[3].reason, "small");
	assert_non_null(strstr(why.findings[3].evidence, "5000 us"));
	assert_string_equal(why.why, "xz");
	cn_snap_why_clear(&why);
}

static void
test_words(void **state)
{
	struct cn_why_facts facts = { 0 };

	(void)state;
	assert_string_equal(cn_why_word(&facts), "-");
	facts.sent.lan = 1000;
	facts.sent.wan = 250;
	cn_why_add(&facts, true, CN_WHY_TLS, "tls", "TLS", 250);
	assert_string_equal(cn_why_word(&facts), "ok"); /* 4x */
	facts.sent.wan = 260;
	assert_string_equal(cn_why_word(&facts), "tls");
	/* Nothing that matters much. */
	facts.sent.wan = 3000;
	assert_string_equal(cn_why_word(&facts), "ok");
	facts.costs = 0;
	cn_why_add(&facts, true, CN_WHY_COLD, "", "", 2000);
	assert_string_equal(cn_why_word(&facts), "cold");
	facts.received.framing = 2500;
	facts.received.wan = 2500;
	assert_string_equal(cn_why_word(&facts), "small");
}

static void
test_scope(void **state)
{
	struct cn_why_facts facts = some_facts();
	struct cn_snap_why why = { 0 };

	(void)state;
	cn_why_add(&facts, true, CN_WHY_COLD, "", "", 900);
	facts.scope = "client";
	assert_int_equal(cn_why_find(&facts, &why), CN_OK);
	assert_int_equal(why.findings_count, 2);
	cn_snap_why_clear(&why);
	facts.has_other_clients = true;
	facts.has_unix_eof = true;
	assert_int_equal(cn_why_find(&facts, &why), CN_OK);
	assert_int_equal(why.findings_count, 4);
	assert_string_equal(why.findings[2].reason, "scope");
	assert_int_equal(why.findings[2].bytes, 900);
	assert_string_equal(why.findings[3].reason, "unix-eof");
	cn_snap_why_clear(&why);
}

/* All reasons at once, both ways, and more than there is room for. */
static void
test_caps(void **state)
{
	struct cn_why_facts facts = some_facts();
	struct cn_snap_why why = { 0 }, back = { 0 };
	struct cn_reply reply;
	struct cn_buf out;

	(void)state;
	facts.sent.wan = 1000 * CN_WHY_MAX;
	facts.has_unix_eof = true;
	for (unsigned i = 0; i < 3 * CN_WHY_COSTS_MAX; i++) {
		cn_why_add(&facts, i % 2 == 0,
		    (enum cn_why_reason)(1 + i / 2 % (CN_WHY_MAX - 1)),
		    i % 3 == 0 ? "gzip" : "", "", 1000);
	}
	assert_int_equal(facts.costs, CN_WHY_COSTS_MAX);
	assert_int_equal(cn_why_find(&facts, &why), CN_OK);
	assert_in_range(
	    why.findings_count, CN_WHY_MAX - 2, CN_SNAP_FINDINGS_MAX);
	for (size_t i = 0; i < why.findings_count; i++) {
		assert_true(strlen(why.findings[i].text) > 10);
		/* Words that do not fit would be cut. */
		assert_int_equal(
		    why.findings[i].fix[strlen(why.findings[i].fix) - 1], '.');
		assert_int_equal(
		    why.findings[i].text[strlen(why.findings[i].text) - 1],
		    '.');
	}
	cn_buf_init(&out, CN_REPLY_MAX);
	assert_int_equal(cn_reply_why(&out, 7, &why), CN_OK);
	cn_reply_init(&reply);
	assert_int_equal(
	    cn_reply_decode((const char *)out.data, out.len - 1, &reply),
	    CN_OK);
	assert_int_equal(
	    cn_shape_decode(&cn_snap_why_shape, reply.data, &back), CN_OK);
	assert_int_equal(back.findings_count, why.findings_count);
	assert_string_equal(back.findings[1].fix, why.findings[1].fix);
	cn_snap_why_clear(&back);
	cn_snap_why_clear(&why);
	cn_reply_fini(&reply);
	cn_buf_fini(&out);
}

static void
test_no_memory(void **state)
{
	struct cn_why_facts facts = some_facts();
	struct cn_snap_why why = { 0 };

	(void)state;
	cn_alloc_fail_at(1);
	assert_int_equal(cn_why_find(&facts, &why), CN_ENOMEM);
	cn_alloc_fail_at(0);
	cn_snap_why_clear(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_scope),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_no_memory),
	};

	cn_message_setup();
	return cmocka_run_group_tests_name("why", tests, NULL, NULL);
}
