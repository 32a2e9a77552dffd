/* SPDX-License-Identifier: Apache-2.0 */
/* Batches: round trips, prefixes, limits, and frames that lie. */
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
#include "mutate.h"
#include "wire/limits.h"

#define PREFIX_LEN (1024u * 1024u)

static const struct cn_codec_config config = {
	.contexts_bytes = 64u << 20,
	.lane_window_log = 20,
	.lane_level = 3,
};

struct state {
	struct cn_codec *codec;
	uint8_t *text;  /* PREFIX_LEN + CN_BATCH_PLAIN_MAX of log lines */
	uint8_t *coded; /* CN_BATCH_PLAIN_MAX + 1024 */
	uint8_t *out;   /* CN_BATCH_PLAIN_MAX */
};

static int
set_up(void **ret)
{
	static struct state state;

	assert_int_equal(cn_codec_create(&config, &state.codec), CN_OK);
	state.text = cn_alloc(PREFIX_LEN + CN_BATCH_PLAIN_MAX);
	state.coded = cn_alloc(CN_BATCH_PLAIN_MAX + 1024);
	state.out = cn_alloc(CN_BATCH_PLAIN_MAX);
	assert_non_null(state.text);
	assert_non_null(state.coded);
	assert_non_null(state.out);
	samples_text(state.text, PREFIX_LEN + CN_BATCH_PLAIN_MAX, 1);
	*ret = &state;
	return 0;
}

static int
tear_down(void **ret)
{
	struct state *state = *ret;

	cn_codec_free(&state->codec);
	cn_free(state->text);
	cn_free(state->coded);
	cn_free(state->out);
	return 0;
}

/* Code, decode, compare; returns the coded length. */
static size_t
round_trip(struct state *s, int level, size_t prefix_len, size_t plain_len)
{
	const uint8_t *plain = s->text + PREFIX_LEN;
	size_t len = 0;

	assert_int_equal(cn_codec_batch_encode(s->codec, level,
			     plain - prefix_len, prefix_len, plain, plain_len,
			     s->coded, CN_BATCH_PLAIN_MAX + 1024, &len),
	    CN_OK);
	assert_true(len >= 1);
	memset(s->out, 0x5a, plain_len);
	assert_int_equal(cn_codec_batch_decode(s->codec, plain - prefix_len,
			     prefix_len, s->coded, len, s->out, plain_len),
	    CN_OK);
	assert_memory_equal(s->out, plain, plain_len);
	return len;
}

static void
test_round_trips(void **ret)
{
	static const int levels[] = { 1, 2, 3, 6, 9 };
	static const size_t lens[] = { 1, 2, 3, 63, 64, 1000, 4096, 65535,
		65536, 131072, 131073, CN_BATCH_PLAIN_MAX };
	static const size_t prefixes[] = { 0, 1, 7, 1000, 65536, PREFIX_LEN };

	for (size_t l = 0; l < 5; l++) {
		for (size_t i = 0; i < 12; i++) {
			for (size_t p = 0; p < 6; p += l == 0 ? 1 : 5) {
				(void)round_trip(
				    *ret, levels[l], prefixes[p], lens[i]);
			}
		}
	}
}

/* What the prefix holds costs next to nothing, at every level. */
static void
test_prefix_pays(void **ret)
{
	static const int levels[] = { 1, 2, 3, 6, 9 };
	struct state *s = *ret;
	uint8_t *prefix = s->text + PREFIX_LEN - 65536;

	samples_random(prefix, 65536, 5);
	memcpy(s->text + PREFIX_LEN, prefix + 1000, 32768);
	for (size_t i = 0; i < 5; i++) {
		assert_true(round_trip(s, levels[i], 0, 32768) > 32768);
		assert_true(round_trip(s, levels[i], 65536, 32768) < 400);
	}
}

/* A prefix is bytes, even when it begins like a zstd dictionary. */
static void
test_prefix_like_dictionary(void **ret)
{
	static const uint8_t magic[] = { 0x37, 0xa4, 0x30, 0xec };
	struct state *s = *ret;

	memcpy(s->text + PREFIX_LEN - 5000, magic, sizeof(magic));
	(void)round_trip(s, 3, 5000, 40000);
	(void)round_trip(s, 1, 5000, 40000);
}

static void
test_prefix_len(void **ret)
{
	(void)ret;
	for (int level = 1; level <= 9; level++) {
		for (size_t len = 1; len <= CN_BATCH_PLAIN_MAX; len *= 2) {
			size_t most = cn_codec_prefix_len(level, len, SIZE_MAX);

			assert_true(most <= CN_BATCH_PREFIX_MAX);
			assert_int_equal(cn_codec_prefix_len(level, len, 0), 0);
			assert_int_equal(
			    cn_codec_prefix_len(level, len, 1000), 1000);
		}
	}
	assert_int_equal(
	    cn_codec_prefix_len(3, CN_BATCH_PLAIN_MAX, SIZE_MAX), 1u << 20);
}

/* What does not fit says so, and the coder goes on with another level. */
static void
test_no_room(void **ret)
{
	struct state *s = *ret;
	const uint8_t *plain = s->text + PREFIX_LEN;
	size_t len = round_trip(s, 3, 0, 65536);
	size_t got = 77;

	for (size_t cap = 0; cap < len; cap += 1 + len / 50) {
		assert_int_equal(cn_codec_batch_encode(s->codec, 3, NULL, 0,
				     plain, 65536, s->coded, cap, &got),
		    CN_ENOSPC);
		assert_int_equal(got, 77);
		(void)round_trip(s, 1, 4096, 1000);
	}
	assert_int_equal(round_trip(s, 3, 0, 65536), len);
	samples_random(s->out, 65536, 9);
	assert_int_equal(cn_codec_batch_encode(s->codec, 1, NULL, 0, s->out,
			     65536, s->coded, 65535, &got),
	    CN_ENOSPC);
}

static void
test_levels(void **ret)
{
	struct state *s = *ret;
	size_t got;

	assert_int_equal(cn_codec_batch_encode(s->codec, 0, NULL, 0, s->text,
			     10, s->coded, 1000, &got),
	    CN_EINVAL);
	assert_int_equal(
	    cn_codec_batch_encode(s->codec, cn_codec_level_max() + 1, NULL, 0,
		s->text, 10, s->coded, 1000, &got),
	    CN_EINVAL);
	(void)round_trip(s, cn_codec_level_max(), 1000, 20000);
}

/* ---- frames that lie ---- */

struct damage {
	struct state *s;
	size_t plain_len;
	unsigned accepted;
};

static void
check_damaged(const uint8_t *bytes, size_t len, void *arg)
{
	struct damage *d = arg;
	/* Heap blocks of the exact sizes: a sanitizer sees each step out. */
	uint8_t *out = cn_alloc(d->plain_len);
	uint8_t *prefix = cn_memdup(d->s->text, 500);
	int err;

	assert_non_null(out);
	assert_non_null(prefix);
	err = cn_codec_batch_decode(
	    d->s->codec, prefix, 500, bytes, len, out, d->plain_len);
	assert_true(err == CN_OK || err == CN_ECODING);
	d->accepted += err == CN_OK;
	cn_free(out);
	cn_free(prefix);
}

static void
test_damage(void **ret)
{
	struct state *s = *ret;
	struct damage d = { s, 700, 0 };
	uint8_t *sample;
	size_t len = 0;

	assert_int_equal(cn_codec_batch_encode(s->codec, 3, s->text, 500,
			     s->text + 500, 700, s->coded, 1000, &len),
	    CN_OK);
	sample = cn_memdup(s->coded, len);
	assert_non_null(sample);
	cn_mutate_each(sample, len, check_damaged, &d);
	assert_true(d.accepted >= 1); /* the sample itself at least */
	cn_free(sample);
}

static int
decode(struct state *s, const uint8_t *coded, size_t len, size_t plain_len)
{
	return cn_codec_batch_decode(
	    s->codec, NULL, 0, coded, len, s->out, plain_len);
}

static void
test_other_length(void **ret)
{
	struct state *s = *ret;
	size_t len = round_trip(s, 3, 0, 5000);

	assert_int_equal(decode(s, s->coded, len, 5000), CN_OK);
	assert_int_equal(decode(s, s->coded, len, 4999), CN_ECODING);
	assert_int_equal(decode(s, s->coded, len, 5001), CN_ECODING);
	assert_int_equal(decode(s, s->coded, len, 1), CN_ECODING);
}

/* 21 bits of an RLE block, again and again: far more than was announced. */
static void
test_bomb(void **ret)
{
	struct state *s = *ret;
	size_t at = 2;

	s->coded[0] = 0;
	s->coded[1] = 8 << 3; /* window of 256 KiB */
	for (int i = 0; i < 1000; i++) {
		/* not last, RLE, 128 KiB of 'x' */
		s->coded[at++] = 1 << 1;
		s->coded[at++] = 0;
		s->coded[at++] = 0x10;
		s->coded[at++] = 'x';
	}
	s->coded[at++] = 1; /* last, raw, empty */
	s->coded[at++] = 0;
	s->coded[at++] = 0;
	assert_int_equal(
	    decode(s, s->coded, at, CN_BATCH_PLAIN_MAX), CN_ECODING);
	/* Two of them are exactly a batch. */
	s->coded[10] = 1;
	s->coded[11] = 0;
	s->coded[12] = 0;
	assert_int_equal(decode(s, s->coded, 13, CN_BATCH_PLAIN_MAX), CN_OK);
	/* Only blocks of nothing. */
	memset(s->coded + 2, 0, 3000);
	s->coded[2999] = 1;
	assert_int_equal(decode(s, s->coded, 3002, 1), CN_ECODING);
}

/* Every other frame header than ours is refused, legal zstd or not. */
static void
test_headers(void **ret)
{
	/* {descriptor, window}, then one last raw block of one byte */
	uint8_t frame[] = { 0, 0, 1 | 1 << 3, 0, 0, 'a' };
	struct state *s = *ret;

	assert_int_equal(decode(s, frame, 6, 1), CN_OK);
	for (unsigned i = 1; i < 256; i++) {
		frame[0] = (uint8_t)i;
		assert_int_equal(decode(s, frame, 6, 1), CN_ECODING);
	}
	frame[0] = 0;
	/* One plain byte may have a window of 1 KiB, not an eighth more. */
	for (unsigned i = 1; i < 256; i++) {
		frame[1] = (uint8_t)i;
		assert_int_equal(decode(s, frame, 6, 1), CN_ECODING);
	}
	frame[1] = 0;
	frame[2] = 0 | 1 << 3; /* not the last */
	assert_int_equal(decode(s, frame, 6, 1), CN_ECODING);
	frame[2] = 1 | 3 << 1 | 1 << 3; /* reserved type */
	assert_int_equal(decode(s, frame, 6, 1), CN_ECODING);
}

/* Exactly one frame: another behind it is refused. */
static void
test_two_frames(void **ret)
{
	const uint8_t frames[] = { 0, 0, 1 | 1 << 3, 0, 0, 'a', 0, 0,
		1 | 1 << 3, 0, 0, 'b' };
	struct state *s = *ret;

	assert_int_equal(decode(s, frames, 6, 1), CN_OK);
	assert_int_equal(decode(s, frames, 12, 2), CN_ECODING);
	assert_int_equal(decode(s, frames, 0, 1), CN_ECODING);
}

/* A prefix that the frame needs and does not get. */
static void
test_prefix_missing(void **ret)
{
	struct state *s = *ret;
	const uint8_t *plain = s->text + PREFIX_LEN;
	size_t len;
	int err;

	memcpy(s->text + PREFIX_LEN, s->text + PREFIX_LEN - 65536, 30000);
	len = round_trip(s, 3, 65536, 30000);
	err = decode(s, s->coded, len, 30000);
	assert_int_equal(err, CN_ECODING);
	/* Other bytes of that length: wrong bytes, which the hash catches. */
	err = cn_codec_batch_decode(
	    s->codec, s->text, 65536, s->coded, len, s->out, 30000);
	assert_true(err == CN_ECODING ||
	    (err == CN_OK && memcmp(s->out, plain, 30000) != 0));
}

/* ---- want of memory ---- */

static bool
torture_once(struct state *s, uint64_t nth)
{
	const uint8_t *plain = s->text + PREFIX_LEN;
	struct cn_codec *codec = NULL;
	size_t len = 0;
	bool is_reached;
	int err;

	cn_alloc_fail_at(nth);
	err = cn_codec_create(&config, &codec);
	if (err == CN_OK) {
		err = cn_codec_batch_encode(codec, 3, plain - 9000, 9000, plain,
		    9000, s->coded, 20000, &len);
	}
	if (err == CN_OK) {
		err = cn_codec_batch_decode(
		    codec, plain - 9000, 9000, s->coded, len, s->out, 9000);
	}
	is_reached = cn_alloc_has_failed();
	cn_alloc_fail_at(0);
	assert_int_equal(err, is_reached ? CN_ENOMEM : CN_OK);
	/* The coder is whole again as soon as there is memory. */
	if (codec != NULL) {
		struct state other = *s;

		other.codec = codec;
		(void)round_trip(&other, 3, 9000, 9000);
	}
	cn_codec_free(&codec);
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
	assert_true(nth > 4); /* codec, both contexts, workspace, prefix */
	assert_int_equal(cn_alloc_count(), blocks);
}

static void
test_config(void **ret)
{
	struct cn_codec_config bad = config;
	struct cn_codec *codec = NULL;

	(void)ret;
	bad.lane_window_log = 21;
	assert_int_equal(cn_codec_create(&bad, &codec), CN_EINVAL);
	bad.lane_window_log = 9;
	assert_int_equal(cn_codec_create(&bad, &codec), CN_EINVAL);
	bad = config;
	bad.lane_level = 0;
	assert_int_equal(cn_codec_create(&bad, &codec), CN_EINVAL);
	assert_null(codec);
	cn_codec_free(&codec);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_prefix_pays),
		cmocka_unit_test(test_prefix_like_dictionary),
		cmocka_unit_test(test_prefix_len),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_other_length),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_two_frames),
		cmocka_unit_test(test_prefix_missing),
		cmocka_unit_test(test_torture),
		cmocka_unit_test(test_config),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
