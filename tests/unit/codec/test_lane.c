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
#include "base/attr.h"
#include "base/err.h"
#include "codec/codec.h"
#include "codec/samples.h"
#include "mutate.h"
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

/* What does not code at all still fits in the bound. */
static void
test_random_fits(void **ret)
{
	static uint8_t plain[CN_LANE_PLAIN_MAX];
	struct state *s = *ret;

	for (uint64_t i = 0; i < 300; i++) {
		size_t len = i % 3 == 0 ? CN_LANE_PLAIN_MAX : 1 + i * 7;

		samples_random(plain, len, 100 + i);
		/* zstd's raw block costs 3 bytes; two where its ring ends. */
		assert_true(round_trip(s, plain, len) <= len + 8);
	}
}

/* ---- pieces that lie ---- */

struct damage {
	struct state *s;
	struct cn_lane_dec *dec; /* owned; at the place of the piece */
	const uint8_t *head;     /* piece before it, borrowed */
	size_t head_len;
	unsigned accepted;
};

#define HEAD_PLAIN 300u
#define PIECE_PLAIN 200u

static void
check_damaged(const uint8_t *bytes, size_t len, void *arg)
{
	struct damage *d = arg;
	uint8_t *out = cn_alloc(HEAD_PLAIN);
	int err;

	assert_non_null(out);
	cn_lane_dec_restart(d->dec);
	assert_int_equal(
	    cn_lane_dec_block(d->dec, d->head, d->head_len, out, HEAD_PLAIN),
	    CN_OK);
	cn_free(out);
	out = cn_alloc(PIECE_PLAIN);
	assert_non_null(out);
	err = cn_lane_dec_block(d->dec, bytes, len, out, PIECE_PLAIN);
	assert_true(err == CN_OK || err == CN_ECODING);
	d->accepted += err == CN_OK;
	if (err != CN_OK) {
		/* Nothing decodes any more until a restart. */
		assert_int_equal(cn_lane_dec_block(d->dec, d->head, d->head_len,
				     out, PIECE_PLAIN),
		    CN_ECODING);
	}
	cn_free(out);
}

static void
test_damage(void **ret)
{
	struct state *s = *ret;
	uint8_t head[1000];
	uint8_t piece[1000];
	struct damage d = { .s = s, .head = head };
	size_t len = 0;

	cn_lane_enc_restart(s->enc);
	assert_int_equal(cn_lane_enc_block(s->enc, s->text, HEAD_PLAIN, head,
			     sizeof(head), &d.head_len),
	    CN_OK);
	assert_int_equal(cn_lane_enc_block(s->enc, s->text + HEAD_PLAIN,
			     PIECE_PLAIN, piece, sizeof(piece), &len),
	    CN_OK);
	assert_int_equal(cn_lane_dec_create(s->codec, 20, &d.dec), CN_OK);
	cn_mutate_each(piece, len, check_damaged, &d);
	assert_true(d.accepted >= 1);
	cn_lane_dec_free(&d.dec);
}

/* Like a block that was lost: its successor is refused or decodes to other
 * bytes, which the block's hash catches; never more, and a restart mends. */
static void
test_skipped_block(void **ret)
{
	struct state *s = *ret;
	uint8_t coded[CODED_MAX];
	uint8_t out[CN_LANE_PLAIN_MAX];
	size_t wrong = 0;
	size_t len;

	for (unsigned i = 0; i < 40; i++) {
		const uint8_t *plain = s->text + i * 3000;
		int err;

		cn_lane_enc_restart(s->enc);
		cn_lane_dec_restart(s->dec);
		(void)round_trip(s, plain, 3000);
		assert_int_equal(cn_lane_enc_block(s->enc, plain + 50000, 3000,
				     coded, sizeof(coded), &len),
		    CN_OK); /* lost */
		assert_int_equal(cn_lane_enc_block(s->enc, plain + 50700, 2000,
				     coded, sizeof(coded), &len),
		    CN_OK);
		err = cn_lane_dec_block(s->dec, coded, len, out, 2000);
		assert_true(err == CN_ECODING || err == CN_OK);
		wrong +=
		    err == CN_ECODING || memcmp(out, plain + 50700, 2000) != 0;
	}
	assert_int_equal(wrong, 40);
	test_restart(ret);
}

/* zstd holds back what found no room: too much is noticed at once. */
static void
test_other_length(void **ret)
{
	static const size_t lens[] = { 1, 999, 1001, CN_LANE_PLAIN_MAX };
	struct state *s = *ret;
	uint8_t coded[CODED_MAX];
	uint8_t out[CN_LANE_PLAIN_MAX];
	size_t len;

	for (size_t i = 0; i < CN_ARRAY_LEN(lens); i++) {
		cn_lane_enc_restart(s->enc);
		cn_lane_dec_restart(s->dec);
		assert_int_equal(cn_lane_enc_block(s->enc, s->text, 1000, coded,
				     sizeof(coded), &len),
		    CN_OK);
		assert_int_equal(
		    cn_lane_dec_block(s->dec, coded, len, out, lens[i]),
		    CN_ECODING);
	}
	test_restart(ret);
}

static void
test_bomb(void **ret)
{
	/* header, then 128 KiB of 'x' in one RLE block */
	static const uint8_t bomb[] = { 0, 10 << 3, 1 << 1, 0, 0x10, 'x' };
	struct state *s = *ret;
	uint8_t out[CN_LANE_PLAIN_MAX];

	cn_lane_dec_restart(s->dec);
	assert_int_equal(cn_lane_dec_block(s->dec, bomb, sizeof(bomb), out,
			     CN_LANE_PLAIN_MAX),
	    CN_ECODING);
	cn_lane_dec_restart(s->dec);
}

/* A window above the announced one is refused before any memory for it. */
static void
test_window_bound(void **ret)
{
	struct cn_lane_dec *dec = NULL;
	struct state *s = *ret;
	uint8_t coded[CODED_MAX];
	uint8_t out[1000];
	uint64_t bytes;
	size_t len;

	cn_lane_enc_restart(s->enc); /* window log 20 */
	assert_int_equal(
	    cn_lane_enc_block(s->enc, s->text, 1000, coded, CODED_MAX, &len),
	    CN_OK);
	assert_int_equal(cn_lane_dec_create(s->codec, 19, &dec), CN_OK);
	bytes = cn_alloc_bytes();
	assert_int_equal(
	    cn_lane_dec_block(dec, coded, len, out, 1000), CN_ECODING);
	assert_int_equal(cn_alloc_bytes(), bytes);
	cn_lane_dec_free(&dec);
	assert_int_equal(cn_lane_dec_create(s->codec, 20, &dec), CN_OK);
	assert_int_equal(cn_lane_dec_block(dec, coded, len, out, 1000), CN_OK);
	cn_lane_dec_free(&dec);
	assert_int_equal(cn_lane_dec_create(s->codec, 21, &dec), CN_EINVAL);
	assert_int_equal(cn_lane_dec_create(s->codec, 9, &dec), CN_EINVAL);
	assert_null(dec);
}

/* A frame never ends in a lane, and its header comes once. */
static void
test_frame_end(void **ret)
{
	uint8_t ended[] = { 0, 0, 1 | 1 << 3, 0, 0, 'a' };
	struct state *s = *ret;
	uint8_t out[1];

	cn_lane_dec_restart(s->dec);
	assert_int_equal(
	    cn_lane_dec_block(s->dec, ended, 6, out, 1), CN_ECODING);
	cn_lane_dec_restart(s->dec);
	ended[2] = 0 | 1 << 3;
	assert_int_equal(cn_lane_dec_block(s->dec, ended, 6, out, 1), CN_OK);
	assert_int_equal(
	    cn_lane_dec_block(s->dec, ended + 2, 4, out, 1), CN_OK);
	assert_int_equal(
	    cn_lane_dec_block(s->dec, ended, 6, out, 1), CN_ECODING);
	cn_lane_dec_restart(s->dec);
}

/* ---- memory ---- */

/* Contexts end at the cap, and what is accounted is not less than taken. */
static void
test_cap(void **ret)
{
	struct cn_codec_config small = config;
	struct cn_lane_enc *enc[4] = { NULL };
	struct cn_lane_dec *dec[4] = { NULL };
	struct cn_codec *codec = NULL;
	struct state *s = *ret;
	uint8_t coded[CODED_MAX];
	uint8_t out[CN_LANE_PLAIN_MAX];
	uint64_t base;
	size_t len;
	unsigned i;

	small.contexts_bytes = 10u << 20;
	assert_int_equal(cn_codec_create(&small, &codec), CN_OK);
	base = cn_alloc_bytes();
	for (i = 0; i < 4; i++) {
		int err = cn_lane_enc_create(codec, &enc[i]);

		if (err == CN_OK) {
			assert_int_equal(cn_lane_enc_block(enc[i], s->text,
					     9000, coded, CODED_MAX, &len),
			    CN_OK);
			err = cn_lane_dec_create(codec, 20, &dec[i]);
		}
		if (err != CN_OK) {
			assert_int_equal(err, CN_EBUSY);
			break;
		}
		assert_int_equal(
		    cn_lane_dec_block(dec[i], coded, len, out, 9000), CN_OK);
		/* malloc rounds each to pages. */
		assert_true(cn_alloc_bytes() - base <=
		    cn_codec_contexts_bytes(codec) + (i + 1) * 16384);
	}
	assert_int_equal(i, 2); /* 2.5 and 1.5 MiB each */
	assert_true(cn_codec_contexts_bytes(codec) <= small.contexts_bytes);
	cn_lane_enc_free(&enc[2]);
	cn_lane_dec_free(&dec[0]);
	cn_lane_enc_free(&enc[0]);
	assert_int_equal(cn_lane_enc_create(codec, &enc[3]), CN_OK);
	for (i = 0; i < 4; i++) {
		cn_lane_enc_free(&enc[i]);
		cn_lane_dec_free(&dec[i]);
	}
	assert_int_equal(cn_codec_contexts_bytes(codec), 0);
	cn_codec_free(&codec);
}

static bool
torture_once(struct state *s, uint64_t nth)
{
	struct cn_lane_enc *enc = NULL;
	struct cn_lane_dec *dec = NULL;
	size_t taken = cn_codec_contexts_bytes(s->codec);
	uint8_t coded[CODED_MAX];
	uint8_t out[1000];
	size_t len = 0;
	bool is_reached;
	int err;

	cn_alloc_fail_at(nth);
	err = cn_lane_enc_create(s->codec, &enc);
	if (err == CN_OK) {
		/* A lane that exists codes without further memory. */
		uint64_t bytes = cn_alloc_bytes();

		assert_int_equal(cn_lane_enc_block(enc, s->text, 1000, coded,
				     CODED_MAX, &len),
		    CN_OK);
		assert_int_equal(cn_alloc_bytes(), bytes);
		err = cn_lane_dec_create(s->codec, 20, &dec);
	}
	if (err == CN_OK) {
		err = cn_lane_dec_block(dec, coded, len, out, 1000);
	}
	is_reached = cn_alloc_has_failed();
	cn_alloc_fail_at(0);
	assert_int_equal(err, is_reached ? CN_ENOMEM : CN_OK);
	if (dec != NULL && err != CN_OK) {
		cn_lane_dec_restart(dec);
		assert_int_equal(
		    cn_lane_dec_block(dec, coded, len, out, 1000), CN_OK);
	}
	cn_lane_enc_free(&enc);
	cn_lane_dec_free(&dec);
	assert_int_equal(cn_codec_contexts_bytes(s->codec), taken);
	return is_reached;
}

static void
test_torture(void **ret)
{
	uint64_t blocks = cn_alloc_count();
	uint64_t nth = 1;

	while (torture_once(*ret, nth)) {
		nth++;
	}
	assert_true(nth > 5);
	assert_int_equal(cn_alloc_count(), blocks);
}

/* The smallest window, and the levels that the config allows. */
static void
test_other_configs(void **ret)
{
	struct state *s = *ret;

	for (int level = 1; level <= 9; level++) {
		struct cn_codec_config other = { .contexts_bytes = 64u << 20,
			.lane_window_log = level % 2 == 0 ? 10 : 16,
			.lane_level = level };
		struct state t = { .text = s->text };

		assert_int_equal(cn_codec_create(&other, &t.codec), CN_OK);
		assert_int_equal(cn_lane_enc_create(t.codec, &t.enc), CN_OK);
		assert_int_equal(
		    cn_lane_dec_create(t.codec, other.lane_window_log, &t.dec),
		    CN_OK);
		for (size_t at = 0; at < 100000; at += 5000) {
			(void)round_trip(&t, s->text + at, 5000);
		}
		cn_lane_enc_free(&t.enc);
		cn_lane_dec_free(&t.dec);
		cn_codec_free(&t.codec);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_in_order),
		cmocka_unit_test(test_history_pays),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_random_fits),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_skipped_block),
		cmocka_unit_test(test_other_length),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_window_bound),
		cmocka_unit_test(test_frame_end),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_torture),
		cmocka_unit_test(test_other_configs),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
