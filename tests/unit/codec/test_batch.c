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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_prefix_pays),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
