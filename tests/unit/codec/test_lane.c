/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes: blocks in order, restarts, limits, pieces that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "codec/codec.h"
#include "codec/samples.h"
#include "wire/limits.h"

#define TEXT_LEN (3u << 20)
#define CODED_MAX 20000u

static const struct cn_codec_config config = {
	.contexts_bytes = 64u << 20,
	.lane_window_log = 20,
	.lane_level = 3,
};

struct state {
	struct cn_codec *codec;
	struct cn_lane_enc *enc;
	struct cn_lane_dec *dec;
	uint8_t *text; /* more than two windows */
};

static int
set_up(void **ret)
{
	static struct state state;

	assert_int_equal(cn_codec_create(&config, &state.codec), CN_OK);
	assert_int_equal(cn_lane_enc_create(state.codec, &state.enc), CN_OK);
	assert_int_equal(
	    cn_lane_dec_create(state.codec, 20, &state.dec), CN_OK);
	state.text = cn_alloc(TEXT_LEN);
	assert_non_null(state.text);
	samples_text(state.text, TEXT_LEN, 2);
	*ret = &state;
	return 0;
}

static int
tear_down(void **ret)
{
	struct state *s = *ret;

	cn_lane_enc_free(&s->enc);
	cn_lane_dec_free(&s->dec);
	assert_int_equal(cn_codec_contexts_bytes(s->codec), 0);
	cn_codec_free(&s->codec);
	cn_free(s->text);
	return 0;
}

static size_t
round_trip(struct state *s, const uint8_t *plain, size_t len)
{
	uint8_t coded[CODED_MAX];
	uint8_t out[CN_LANE_PLAIN_MAX];
	size_t coded_len = 0;

	assert_int_equal(cn_lane_enc_block(s->enc, plain, len, coded,
			     cn_lane_enc_bound(len), &coded_len),
	    CN_OK);
	assert_true(coded_len >= 1);
	assert_int_equal(
	    cn_lane_dec_block(s->dec, coded, coded_len, out, len), CN_OK);
	assert_memory_equal(out, plain, len);
	return coded_len;
}

/* Blocks of all sizes, far past the window's end. */
static void
test_blocks_in_order(void **ret)
{
	struct state *s = *ret;
	struct cn_prng prng;
	size_t at = 0;

	cn_prng_init(&prng, 3);
	for (size_t n = 1;; n++) {
		size_t len = n <= 64
		    ? n
		    : 1 + (size_t)cn_prng_below(&prng, CN_LANE_PLAIN_MAX);

		if (at + len > TEXT_LEN) {
			break;
		}
		(void)round_trip(s, s->text + at, len);
		at += len;
	}
}

/* The history is what lanes are for: a repeated message is a few bytes. */
static void
test_history_pays(void **ret)
{
	struct state *s = *ret;

	(void)round_trip(s, s->text, 700);
	assert_true(round_trip(s, s->text, 700) < 16);
}

static void
test_restart(void **ret)
{
	struct state *s = *ret;
	size_t first;

	cn_lane_enc_restart(s->enc);
	cn_lane_dec_restart(s->dec);
	first = round_trip(s, s->text, 5000);
	(void)round_trip(s, s->text, 5000);
	cn_lane_enc_restart(s->enc);
	cn_lane_dec_restart(s->dec);
	assert_int_equal(round_trip(s, s->text, 5000), first);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_in_order),
		cmocka_unit_test(test_history_pays),
		cmocka_unit_test(test_restart),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
