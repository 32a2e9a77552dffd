/* SPDX-License-Identifier: Apache-2.0 */
/* The line between two engines, and what bytes are: manage/offline.h,
 * manage/content.h. */
#include "manage/offline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/hash.h"
#include "manage/content.h"

static const struct cn_offline_config config = {
	.rate_bps = 2500000,
	.delay_us = 20000,
	.coding = { 2000, 1, 9, true },
	.store_bytes = 16u << 20,
};

/* Text that takes about a third, or noise. */
static void
fill(uint8_t *out, size_t len, bool is_text)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t at = i / 8;
		uint64_t h = cn_hash64(&at, sizeof(at), 5);

		h = is_text ? h % 999 * UINT64_C(0x9e3779b97f4a7c15) : h;
		out[i] = (uint8_t)(h >> (i % 8 * 8));
		out[i] = is_text ? 'a' + out[i] % 26 : out[i];
	}
}

/* One connection with its bytes; WAN bytes both ways. */
static uint64_t
send_all(struct cn_offline *o, const uint8_t *bytes, size_t len,
    struct cn_offline_bill *bill)
{
	struct cn_offline_line before[2], after[2];
	struct cn_offline_flow *flow;

	cn_offline_line(o, before);
	assert_int_equal(cn_offline_open(o, 1, bill, &flow), CN_OK);
	assert_int_equal(
	    cn_offline_send(o, flow, CN_OFFLINE_UP, bytes, len, true), CN_OK);
	cn_offline_finish(o, flow, CN_OFFLINE_UP);
	cn_offline_finish(o, flow, CN_OFFLINE_DOWN);
	assert_int_equal(cn_offline_settle(o), CN_OK);
	cn_offline_line(o, after);
	return after[0].bytes + after[1].bytes - before[0].bytes -
	    before[1].bytes;
}

static void
what_crossed_is_told(void **state CN_UNUSED)
{
	size_t len = 400000;
	uint8_t *bytes = cn_alloc(len);
	struct cn_offline_bill bill = { 0 }, again = { 0 }, noise = { 0 };
	struct cn_offline *o;
	uint64_t wan;

	assert_non_null(bytes);
	assert_int_equal(cn_offline_create(&config, &o), CN_OK);
	fill(bytes, len, true);
	wan = send_all(o, bytes, len, &bill);
	assert_int_equal(bill.way[0].lan, len);
	assert_int_equal(bill.connections, 1);
	assert_int_equal(
	    bill.way[0].literal + bill.way[0].raw + bill.way[0].copied, len);
	assert_in_range(wan, len / 50, len / 2);
	assert_true(bill.way[0].wan < wan);
	/* The peer has it. */
	wan = send_all(o, bytes, len, &again);
	assert_true(wan < len / 50);
	assert_true(again.way[0].copied > len / 10 * 9);
	fill(bytes, len, false);
	wan = send_all(o, bytes, len, &noise);
	assert_true(wan > len && wan < len + len / 50);
	cn_offline_free(&o);
	assert_null(o);
	cn_free(bytes);
}

static void
waiting_saves_where_messages_are_small(void **state CN_UNUSED)
{
	uint64_t wan[2];

	for (int i = 0; i < 2; i++) {
		struct cn_offline_config mine = config;
		struct cn_offline_bill bill = { 0 };
		struct cn_offline_flow *flow[8];
		struct cn_offline_line line[2];
		struct cn_offline *o;

		mine.coding.coalesce_us = i == 0 ? 0 : 20000;
		/* Slow, so that the carrier is busy. */
		mine.rate_bps = 12500;
		assert_int_equal(cn_offline_create(&mine, &o), CN_OK);
		for (size_t k = 0; k < CN_ARRAY_LEN(flow); k++) {
			assert_int_equal(
			    cn_offline_open(o, 1, &bill, &flow[k]), CN_OK);
		}
		for (uint64_t t = 1; t < 2000; t++) {
			assert_int_equal(cn_offline_pass(o, t * 1000), CN_OK);
			assert_int_equal(
			    cn_offline_send(o, flow[t % 8], CN_OFFLINE_UP,
				(const uint8_t *)"select 1 from t", 15, true),
			    CN_OK);
		}
		for (size_t k = 0; k < CN_ARRAY_LEN(flow); k++) {
			cn_offline_finish(o, flow[k], CN_OFFLINE_UP);
			cn_offline_finish(o, flow[k], CN_OFFLINE_DOWN);
		}
		assert_int_equal(cn_offline_settle(o), CN_OK);
		cn_offline_line(o, line);
		wan[i] = line[0].bytes;
		assert_int_equal(bill.way[0].lan, 1999 * 15);
		cn_offline_free(&o);
	}
	assert_true(wan[1] < wan[0]);
}

static void
nothing_is_left_without_memory(void **state CN_UNUSED)
{
	uint64_t before = cn_alloc_count();
	bool has_failed = true;

	for (uint64_t n = 1; has_failed; n++) {
		struct cn_offline *o = NULL;
		int err;

		cn_alloc_fail_at(n);
		err = cn_offline_create(&config, &o);
		has_failed = cn_alloc_has_failed();
		cn_alloc_fail_at(0);
		assert_true(err == CN_OK || (has_failed && o == NULL));
		cn_offline_free(&o);
		assert_int_equal(cn_alloc_count(), before);
	}
}

static void
take(struct cn_content *content, const char *text, size_t pad, bool is_noise,
    struct cn_content_bytes *sum)
{
	uint8_t bytes[8192];
	size_t len = strlen(text);

	fill(bytes, sizeof(bytes), !is_noise);
	if (!is_noise) {
		memset(bytes, 'a', sizeof(bytes));
	}
	memcpy(bytes, text, len);
	cn_content_take(content, bytes, len + pad, sum);
}

static void
contents_are_told_apart(void **state CN_UNUSED)
{
	struct cn_content_bytes sum = { 0 };
	struct cn_content tls = { 0 }, ssh = { 0 }, http = { 0 }, gzip = { 0 };
	static const char hello[] = "\x16\x03\x01\x01\x20\x01";
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n"
				   "content-encoding: gzip\r\n\r\n";

	take(&tls, "STARTTLS\r\n", 0, false, &sum);
	assert_int_equal(sum.kind[CN_PROBE_COMPRESSIBLE], 10);
	take(&tls, hello, 300, true, &sum);
	take(&tls, "more", 100, false, &sum);
	assert_int_equal(sum.kind[CN_PROBE_TLS], sizeof(hello) - 1 + 404);
	take(&ssh, "SSH-2.0-OpenSSH\r\n", 0, false, &sum);
	take(&ssh, "", 4000, true, &sum);
	assert_int_equal(
	    cn_content_encrypted(&sum), sizeof(hello) - 1 + 404 + 4017);
	take(&http, head, 1000, true, &sum);
	take(&http, "", 2500, true, &sum);
	assert_int_equal(sum.kind[CN_CONTENT_HTTP], 3000);
	assert_int_equal(sum.kind[CN_PROBE_RANDOM], 500);
	take(&http, "HTTP/1.1 200 OK\r\n\r\n", 1000, false, &sum);
	assert_int_equal(sum.kind[CN_CONTENT_HTTP], 3000);
	take(&gzip, "\x1f\x8b\x08", 5000, true, &sum);
	assert_int_equal(sum.kind[CN_PROBE_GZIP], 5003);
	assert_int_equal(cn_content_compressed(&sum), 8003);
	assert_int_equal(cn_content_main(&sum), CN_PROBE_GZIP);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_crossed_is_told),
		cmocka_unit_test(waiting_saves_where_messages_are_small),
		cmocka_unit_test(nothing_is_left_without_memory),
		cmocka_unit_test(contents_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
