/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/err.h"
#include "manage/demo_data.h"
#include "manage/demo_transfer.h"

static void
test_log(void **state)
{
	struct cn_demo_data a, b, c;
	size_t lines = 0;

	(void)state;
	assert_int_equal(cn_demo_data_log(50000, 1, &a), CN_OK);
	assert_int_equal(cn_demo_data_log(50000, 1, &b), CN_OK);
	assert_int_equal(cn_demo_data_log(50000, 2, &c), CN_OK);
	assert_int_equal(a.len, 50000);
	assert_memory_equal(a.bytes, b.bytes, a.len);
	assert_memory_not_equal(a.bytes, c.bytes, a.len);
	for (size_t i = 0; i < a.len; i++) {
		lines += a.bytes[i] == '\n';
	}
	assert_in_range(lines, 50000 / 250, 50000 / 100);
	cn_demo_data_fini(&a);
	cn_demo_data_fini(&b);
	cn_demo_data_fini(&c);
}

static void
test_files(void **state)
{
	struct cn_demo_data data;

	(void)state;
	assert_int_equal(cn_demo_data_files(300000, &data), CN_OK);
	assert_int_equal(data.len, 300000);
	assert_true(data.files >= 3);
	cn_demo_data_fini(&data);
	assert_null(data.bytes);
}

/* Straight from the senders to the sink. */
static void
test_transfer(void **state)
{
	struct cn_demo_transfer *transfer;
	struct cn_demo_data data;
	struct cn_demo_sink *sink;
	uint64_t before = cn_alloc_count();
	uv_loop_t loop;

	(void)state;
	assert_int_equal(cn_demo_data_log(700001, 3, &data), CN_OK);
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(cn_demo_sink_open(&loop, &sink), CN_OK);
	struct cn_demo_transfer_config config = { .data = data.bytes,
		.port = cn_demo_sink_port(sink),
		.len = data.len,
		.senders = 3 };
	assert_int_equal(
	    cn_demo_transfer_start(&loop, &config, &transfer), CN_OK);
	assert_false(cn_demo_transfer_is_exact(transfer));
	while (!cn_demo_transfer_is_done(transfer)) {
		assert_int_not_equal(uv_run(&loop, UV_RUN_ONCE), 0);
	}
	assert_true(cn_demo_transfer_is_exact(transfer));
	assert_string_equal(cn_demo_transfer_error(transfer), "");
	assert_true(cn_demo_sink_bytes(sink) == data.len);
	cn_demo_transfer_close(&transfer);
	assert_null(transfer);
	/* Nobody listens there. */
	config.port = 1;
	assert_int_equal(
	    cn_demo_transfer_start(&loop, &config, &transfer), CN_OK);
	while (!cn_demo_transfer_is_done(transfer)) {
		assert_int_not_equal(uv_run(&loop, UV_RUN_ONCE), 0);
	}
	assert_false(cn_demo_transfer_is_exact(transfer));
	assert_true(strlen(cn_demo_transfer_error(transfer)) > 0);
	cn_demo_transfer_close(&transfer);
	/* Stopped in the middle. */
	config.port = cn_demo_sink_port(sink);
	config.pace_us = 100 * 1000 * 1000;
	assert_int_equal(
	    cn_demo_transfer_start(&loop, &config, &transfer), CN_OK);
	for (unsigned i = 0; i < 10; i++) {
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	assert_false(cn_demo_transfer_is_done(transfer));
	cn_demo_transfer_close(&transfer);
	cn_demo_sink_close(&sink);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&loop), 0);
	cn_demo_data_fini(&data);
	assert_true(cn_alloc_count() == before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_transfer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
