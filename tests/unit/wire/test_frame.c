/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "frame_samples.h"
#include "mutate.h"
#include "wire/cursor.h"
#include "wire/writer.h"

#define SIZE_MAX_HERE 1024u

static size_t
encode(const struct cn_frame *frame, uint8_t *out, size_t cap)
{
	struct cn_writer w;

	cn_writer_init(&w, out, cap);
	cn_frame_encode(&w, frame);
	return cn_writer_ok(&w) ? cn_writer_len(&w) : 0;
}

/*
 * Whatever decodes must encode to the bytes that it came from.  Counts the
 * inputs that decode whole.
 */
static void
check_frames(const uint8_t *bytes, size_t len, void *arg)
{
	size_t *whole = arg;
	uint8_t out[SIZE_MAX_HERE];
	struct cn_cursor in;
	struct cn_frame frame;
	int rc;

	cn_cursor_init(&in, bytes, len);
	while ((rc = cn_frame_decode(&in, &frame)) == CN_OK) {
		size_t size = encode(&frame, out, sizeof(out));

		assert_true(size > 0);
		assert_int_equal(size, cn_frame_size(&frame));
		assert_true(size <= (size_t)(in.at - bytes));
		assert_memory_equal(out, in.at - size, size);
		assert_string_not_equal(cn_frame_name(frame.type), "?");
	}
	if (rc == CN_EEND) {
		assert_int_equal(cn_cursor_remaining(&in), 0);
		(*whole)++;
	} else {
		assert_int_equal(rc, CN_EPROTO);
		assert_true(cn_cursor_failed(&in));
		assert_int_equal(cn_frame_decode(&in, &frame), CN_EPROTO);
	}
}

static void
test_round_trips(void **state)
{
	bool seen[CN_FRAME_LACK + 1] = { false };
	uint8_t out[SIZE_MAX_HERE];

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(frame_samples); i++) {
		const struct cn_frame *sample = &frame_samples[i];
		size_t size = encode(sample, out, sizeof(out));
		size_t whole = 0;

		seen[sample->type] = true;
		assert_true(size > 0);
		check_frames(out, size, &whole);
		assert_int_equal(whole, 1);
		/* Full to the last byte; one less writes nothing. */
		assert_int_equal(encode(sample, out, size), size);
		for (size_t cap = 0; cap < size; cap++) {
			struct cn_writer w;

			cn_writer_init(&w, out, cap);
			cn_frame_encode(&w, sample);
			assert_true(cn_writer_failed(&w));
			assert_int_equal(cn_writer_len(&w), 0);
		}
	}
	for (size_t i = CN_FRAME_OPEN; i < CN_ARRAY_LEN(seen); i++) {
		assert_true(seen[i]);
	}
}

static void
test_damage(void **state)
{
	uint8_t out[SIZE_MAX_HERE];

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(frame_samples); i++) {
		size_t size = encode(&frame_samples[i], out, sizeof(out));
		size_t whole = 0;

		cn_mutate_each(out, size, check_frames, &whole);
		/* The empty cut, the sample, the sample twice at least. */
		assert_true(whole >= 3);
	}
}

/* Fields come out as they went in, not only as the same bytes. */
static void
test_fields(void **state)
{
	static const uint8_t open[] = { 0x01, 0x02, 0x80, 0x00, 0x40, 0x00, 1,
		2, 3, 4, 5, 6, 7, 8, 0x01, 0x02, 'd', 'b', 0x03, 1, 1, 'c' };
	static const uint8_t resume[] = { 0x10, 0x04, 0x03, 0x02, 0x05, 0x01 };
	static const uint8_t ack[] = { 0x0a, 0x05, 0x01, 0x02, 0x03 };
	struct cn_cursor in;
	struct cn_frame f;

	(void)state;
	cn_cursor_init(&in, open, sizeof(open));
	assert_int_equal(cn_frame_decode(&in, &f), CN_OK);
	assert_int_equal(f.type, CN_FRAME_OPEN);
	assert_int_equal(f.u.open.stream, 2);
	assert_int_equal(f.u.open.credit, 16384);
	assert_true(f.u.open.scope == UINT64_C(0x0102030405060708));
	assert_int_equal(f.u.open.flags, 1);
	assert_int_equal(f.u.open.service_len, 2);
	assert_memory_equal(f.u.open.service, "db", 2);
	assert_int_equal(f.u.open.options_len, 3);
	cn_cursor_init(&in, resume, sizeof(resume));
	assert_int_equal(cn_frame_decode(&in, &f), CN_OK);
	assert_int_equal(f.u.resume.stream, 4);
	assert_int_equal(f.u.resume.received, 3);
	assert_int_equal(f.u.resume.written, 2);
	assert_int_equal(f.u.resume.credit, 5);
	assert_int_equal(f.u.resume.flags, CN_RESUME_FIN_KNOWN);
	cn_cursor_init(&in, ack, sizeof(ack));
	assert_int_equal(cn_frame_decode(&in, &f), CN_OK);
	assert_int_equal(f.u.block_ack.next, 5);
	assert_int_equal(f.u.block_ack.ranges, 1);
	assert_int_equal(f.u.block_ack.range[0].skip, 2);
	assert_int_equal(f.u.block_ack.range[0].run, 3);
}

static int
decode_one(const uint8_t *bytes, size_t len)
{
	struct cn_cursor in;
	struct cn_frame frame;

	cn_cursor_init(&in, bytes, len);
	return cn_frame_decode(&in, &frame);
}

#define DECODE(...)                                                            \
	decode_one((const uint8_t[]){ __VA_ARGS__ },                           \
	    sizeof((const uint8_t[]){ __VA_ARGS__ }))

#define MAX8 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
#define MAX8_LESS_3 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfc
/* Type, stream, credit, scope, flags. */
#define OPEN_HEAD 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0

static void
test_limits(void **state)
{
	(void)state;
	/* Types: 0, the first and the last unknown before may-ignore. */
	assert_int_equal(DECODE(0x00), CN_EPROTO);
	assert_int_equal(DECODE(0x18), CN_EPROTO);
	assert_int_equal(DECODE(0x7f), CN_EPROTO);
	/* DATA of no bytes; past the greatest offset by one. */
	assert_int_equal(DECODE(0x02, 0, 0, 0), CN_EPROTO);
	assert_int_equal(DECODE(0x02, 0, MAX8, 1, 'x'), CN_EPROTO);
	/* RESET and NACK need a reason. */
	assert_int_equal(DECODE(0x04, 0, 0), CN_EPROTO);
	assert_int_equal(DECODE(0x0b, 0, 0), CN_EPROTO);
	/* BLOCK_ACK: empty skip, empty run, past the greatest number. */
	assert_int_equal(DECODE(0x0a, 0, 1, 1, 1), CN_OK);
	assert_int_equal(DECODE(0x0a, 0, 1, 0, 1), CN_EPROTO);
	assert_int_equal(DECODE(0x0a, 0, 1, 1, 0), CN_EPROTO);
	assert_int_equal(DECODE(0x0a, MAX8, 0), CN_OK);
	assert_int_equal(DECODE(0x0a, MAX8, 1, 1, 1), CN_EPROTO);
	assert_int_equal(DECODE(0x0a, MAX8_LESS_3, 1, 1, 2), CN_OK);
	assert_int_equal(DECODE(0x0a, MAX8_LESS_3, 2, 1, 1, 1, 1), CN_EPROTO);
	assert_int_equal(DECODE(0x0a, 0, 33), CN_EPROTO);
	/* MISS: no bytes; one more than a batch has; past the offsets. */
	assert_int_equal(DECODE(0x0c, 0, 0, 0), CN_EPROTO);
	assert_int_equal(DECODE(0x0c, 0, 0, 0x80, 4, 0, 0), CN_OK);
	assert_int_equal(DECODE(0x0c, 0, 0, 0x80, 4, 0, 1), CN_EPROTO);
	assert_int_equal(DECODE(0x0c, 0, MAX8, 1), CN_EPROTO);
	/* LANE_CLOSE: the first lane too many. */
	assert_int_equal(DECODE(0x0f, 0x43, 0xff, 0), CN_OK);
	assert_int_equal(DECODE(0x0f, 0x44, 0x00, 0), CN_EPROTO);
	/* RESUME: written > received; credit < received; flags. */
	assert_int_equal(DECODE(0x10, 0, 5, 5, 5, 3), CN_OK);
	assert_int_equal(DECODE(0x10, 0, 5, 6, 6, 0), CN_EPROTO);
	assert_int_equal(DECODE(0x10, 0, 5, 5, 4, 0), CN_EPROTO);
	assert_int_equal(DECODE(0x10, 0, 5, 5, 5, 4), CN_EPROTO);
	/* OPEN: legal; no service; a bad one; options that are none. */
	assert_int_equal(DECODE(OPEN_HEAD, 1, 'x', 0), CN_OK);
	assert_int_equal(DECODE(OPEN_HEAD, 0, 0), CN_EPROTO);
	assert_int_equal(DECODE(OPEN_HEAD, 1, 0x1f, 0), CN_EPROTO);
	assert_int_equal(DECODE(OPEN_HEAD, 1, 'x', 2, 1, 0), CN_OK);
	assert_int_equal(DECODE(OPEN_HEAD, 1, 'x', 1, 1), CN_EPROTO);
	assert_int_equal(DECODE(OPEN_HEAD, 1, 'x', 4, 1, 0, 1, 0), CN_EPROTO);
	assert_int_equal(DECODE(OPEN_HEAD, 1, 'x', 3, 1, 1, '1'), CN_OK);
	assert_int_equal(DECODE(OPEN_HEAD, 1, 'x', 3, 1, 1, 0), CN_EPROTO);
	assert_int_equal(DECODE(OPEN_HEAD, 1, 'x', 3, 2, 1, 0), CN_OK);
}

#define EPOCH 1, 2, 3, 4, 5, 6, 7, 8

static void
test_log_fields(void **state)
{
	static const uint8_t have[] = { 0x14, 1, EPOCH, 2, 5, 0, 0, 0, 0, 0, 0,
		0, 9 };
	static const uint8_t want[] = { 0x15, 0, EPOCH, 10, 0 };
	static const uint8_t lack[] = { 0x17, 1, EPOCH, 0x40, 70, 3 };
	uint8_t extents[1 + 1 + 8 + 1 + 4 * CN_LOG_EXTENTS] = { 0x16, 0, EPOCH,
		6, 1, 2, 3, 4 };
	struct cn_cursor in;
	struct cn_frame f;

	(void)state;
	extents[sizeof(extents) - 1] = 8;
	cn_cursor_init(&in, have, sizeof(have));
	assert_int_equal(cn_frame_decode(&in, &f), CN_OK);
	assert_int_equal(f.type, CN_FRAME_HAVE);
	assert_int_equal(f.u.have.flags, CN_LOG_OF_RECEIVER);
	assert_true(f.u.have.epoch == UINT64_C(0x0102030405060708));
	assert_int_equal(f.u.have.level, 2);
	assert_int_equal(f.u.have.index, 5);
	assert_int_equal(f.u.have.hash, 9);
	cn_cursor_init(&in, want, sizeof(want));
	assert_int_equal(cn_frame_decode(&in, &f), CN_OK);
	assert_int_equal(f.u.want.flags, 0);
	assert_int_equal(f.u.want.level, 10);
	assert_int_equal(f.u.want.index, 0);
	cn_cursor_init(&in, lack, sizeof(lack));
	assert_int_equal(cn_frame_decode(&in, &f), CN_OK);
	assert_int_equal(f.u.lack.flags, CN_LOG_OF_RECEIVER);
	assert_int_equal(f.u.lack.pos, 70);
	assert_int_equal(f.u.lack.len, 3);
	cn_cursor_init(&in, extents, sizeof(extents));
	assert_int_equal(cn_frame_decode(&in, &f), CN_OK);
	assert_int_equal(f.u.extents.sequence, 6);
	assert_int_equal(f.u.extents.hash[0], 0x01020304);
	assert_int_equal(f.u.extents.hash[1], 0);
	assert_int_equal(f.u.extents.hash[31], 8);
}

/* 2^60 - 1, 2^60, 2^60 - 3; 2^40 - 1, 2^40. */
#define LAST 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
#define END 0xd0, 0, 0, 0, 0, 0, 0, 0
#define LAST_LESS_2 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfd
#define SEGMENT_LAST 0xc0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff
#define SEGMENT_END 0xc0, 0, 1, 0, 0, 0, 0, 0

static void
test_log_limits(void **state)
{
	uint8_t extents[18 + 4 * CN_LOG_EXTENTS] = { 0x16, 0, EPOCH,
		SEGMENT_LAST };

	(void)state;
	/* WANT: flags; level; index in its level. */
	assert_int_equal(DECODE(0x15, 1, EPOCH, 0, 0), CN_OK);
	assert_int_equal(DECODE(0x15, 2, EPOCH, 0, 0), CN_EPROTO);
	assert_int_equal(DECODE(0x15, 0, EPOCH, 11, 0), CN_EPROTO);
	assert_int_equal(DECODE(0x15, 0, EPOCH, 10, 1), CN_EPROTO);
	assert_int_equal(DECODE(0x15, 0, EPOCH, 9, 15), CN_OK);
	assert_int_equal(DECODE(0x15, 0, EPOCH, 9, 16), CN_EPROTO);
	assert_int_equal(DECODE(0x15, 0, EPOCH, 0, SEGMENT_LAST), CN_OK);
	assert_int_equal(DECODE(0x15, 0, EPOCH, 0, SEGMENT_END), CN_EPROTO);
	/* HAVE: the same, and a hash. */
	assert_int_equal(DECODE(0x14, 0, EPOCH, 9, 15, EPOCH), CN_OK);
	assert_int_equal(DECODE(0x14, 0, EPOCH, 9, 16, EPOCH), CN_EPROTO);
	assert_int_equal(DECODE(0x14, 2, EPOCH, 9, 15, EPOCH), CN_EPROTO);
	assert_int_equal(DECODE(0x14, 0, EPOCH, 9, 15), CN_EPROTO);
	/* LACK: flags; nothing; position; end. */
	assert_int_equal(DECODE(0x17, 2, EPOCH, 0, 1), CN_EPROTO);
	assert_int_equal(DECODE(0x17, 0, EPOCH, 0, 0), CN_EPROTO);
	assert_int_equal(DECODE(0x17, 0, EPOCH, LAST, 1), CN_OK);
	assert_int_equal(DECODE(0x17, 0, EPOCH, LAST, 2), CN_EPROTO);
	assert_int_equal(DECODE(0x17, 0, EPOCH, END, 1), CN_EPROTO);
	assert_int_equal(DECODE(0x17, 0, EPOCH, LAST_LESS_2, 3), CN_OK);
	assert_int_equal(DECODE(0x17, 0, EPOCH, LAST_LESS_2, 4), CN_EPROTO);
	assert_int_equal(DECODE(0x17, 0, EPOCH, 0, END), CN_OK);
	assert_int_equal(DECODE(0x17, 0, EPOCH, 1, END), CN_EPROTO);
	/* EXTENTS: the last segment, the first that is none; flags. */
	assert_int_equal(decode_one(extents, sizeof(extents)), CN_OK);
	extents[1] = 2;
	assert_int_equal(decode_one(extents, sizeof(extents)), CN_EPROTO);
	memcpy(extents, (const uint8_t[]){ 0x16, 0, EPOCH, SEGMENT_END }, 18);
	assert_int_equal(decode_one(extents, sizeof(extents)), CN_EPROTO);
}

/* Frames whose length is the limit, and one byte beyond. */
static void
test_long_limits(void **state)
{
	static uint8_t bytes[CN_IGNORE_MAX + CN_DATA_MAX];
	static const uint8_t zero[CN_DATA_MAX];
	uint8_t options[CN_OPEN_OPTIONS_MAX] = { 2, 0x41, 0xfd };
	char text[CN_TEXT_MAX];
	struct cn_frame f = { .type = CN_FRAME_DATA,
		.u.data = { .stream = CN_VARINT_MAX,
		    .offset = CN_OFFSET_MAX - CN_DATA_MAX,
		    .data = zero,
		    .len = CN_DATA_MAX } };
	size_t size = encode(&f, bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(size, CN_DATA_MAX + CN_FRAME_DATA_HEAD_MAX);
	assert_int_equal(decode_one(bytes, size), CN_OK);
	/* The length stands in two bytes before the data. */
	cn_be16_put(
	    bytes + CN_FRAME_DATA_HEAD_MAX - 2, 0x4000u | (CN_DATA_MAX + 1));
	cn_be64_put(bytes + 9, 0xc000000000000000u);
	assert_int_equal(decode_one(bytes, sizeof(bytes)), CN_EPROTO);

	memset(text, 't', sizeof(text));
	f = (struct cn_frame){ .type = CN_FRAME_CLOSE,
		.u.close = { .text = text, .text_len = CN_TEXT_MAX } };
	size = encode(&f, bytes, sizeof(bytes));
	assert_int_equal(decode_one(bytes, size), CN_OK);
	cn_be16_put(bytes + 2, 0x4000u | (CN_TEXT_MAX + 1));
	assert_int_equal(decode_one(bytes, sizeof(bytes)), CN_EPROTO);

	f = (struct cn_frame){ .type = CN_FRAME_OPEN,
		.u.open = { .service = text,
		    .service_len = CN_NAME_MAX,
		    .options = options,
		    .options_len = sizeof(options) } };
	size = encode(&f, bytes, sizeof(bytes));
	assert_int_equal(decode_one(bytes, size), CN_OK);
	/* A client's address as long as may be, and longer. */
	options[0] = CN_OPEN_CLIENT;
	memset(options + 3, 'c', sizeof(options) - 3);
	cn_be16_put(options + 1, 0x4000u | CN_TEXT_MAX);
	f.u.open.options_len = 3 + CN_TEXT_MAX;
	size = encode(&f, bytes, sizeof(bytes));
	assert_int_equal(decode_one(bytes, size), CN_OK);
	cn_be16_put(options + 1, 0x4000u | (CN_TEXT_MAX + 1));
	f.u.open.options_len++;
	size = encode(&f, bytes, sizeof(bytes));
	assert_int_equal(decode_one(bytes, size), CN_EPROTO);
	cn_be16_put(options + 1, 0x4000u | CN_TEXT_MAX);
	size = encode(&f, bytes, sizeof(bytes));
	assert_int_equal(decode_one(bytes, size), CN_EPROTO);
}

static void
test_block_ack_is_full(void **state)
{
	struct cn_frame f = { .type = CN_FRAME_BLOCK_ACK,
		.u.block_ack = {
		    .next = 0, .ranges = CN_BLOCK_ACK_RANGES_MAX } };
	uint8_t bytes[SIZE_MAX_HERE];
	size_t whole = 0;
	size_t size;

	(void)state;
	for (size_t i = 0; i < CN_BLOCK_ACK_RANGES_MAX; i++) {
		f.u.block_ack.range[i].skip = UINT64_C(1) << 40;
		f.u.block_ack.range[i].run = 1;
	}
	size = encode(&f, bytes, sizeof(bytes));
	assert_true(size > 0);
	check_frames(bytes, size, &whole);
	assert_int_equal(whole, 1);
}

static void
test_unknown_frames_may_be_ignored(void **state)
{
	static uint8_t bytes[8 + CN_IGNORE_MAX];
	struct cn_cursor in;
	struct cn_frame f;

	(void)state;
	/* Two unknown ones, PING, an unknown one at the end. */
	static const uint8_t mixed[] = { 0x80, 0, 0xff, 2, 0x00, 0x7f, 0x0d, 0,
		0, 0, 0, 0, 0, 0, 7, 0x93, 1, 1 };
	cn_cursor_init(&in, mixed, sizeof(mixed));
	assert_int_equal(cn_frame_decode(&in, &f), CN_OK);
	assert_int_equal(f.type, CN_FRAME_PING);
	assert_int_equal(f.u.ping.token, 7);
	assert_int_equal(cn_frame_decode(&in, &f), CN_EEND);
	/* Cut in its body; as long as may be; one byte more. */
	assert_int_equal(DECODE(0x80, 2, 0), CN_EPROTO);
	assert_int_equal(DECODE(0x80), CN_EPROTO);
	bytes[0] = 0x80;
	cn_be16_put(bytes + 1, 0x4000u | CN_IGNORE_MAX);
	assert_int_equal(decode_one(bytes, 3 + CN_IGNORE_MAX), CN_EEND);
	cn_be16_put(bytes + 1, 0x4000u | (CN_IGNORE_MAX + 1));
	assert_int_equal(decode_one(bytes, 4 + CN_IGNORE_MAX), CN_EPROTO);
}

static void
test_data_reserve(void **state)
{
	uint8_t a[64], b[64];
	struct cn_frame f = { .type = CN_FRAME_DATA,
		.u.data = { .stream = 70,
		    .offset = 20000,
		    .data = (const uint8_t *)"hello",
		    .len = 5 } };
	size_t size = encode(&f, a, sizeof(a));
	struct cn_writer w;
	uint8_t *p;

	(void)state;
	cn_writer_init(&w, b, size);
	p = cn_frame_data_reserve(&w, 70, 20000, 5);
	assert_non_null(p);
	memcpy(p, "hello", 5);
	assert_int_equal(cn_writer_len(&w), size);
	assert_memory_equal(a, b, size);
	cn_writer_init(&w, b, size - 1);
	assert_null(cn_frame_data_reserve(&w, 70, 20000, 5));
	assert_int_equal(cn_writer_len(&w), 0);
}

static void
test_names(void **state)
{
	(void)state;
	assert_string_equal(cn_frame_name(CN_FRAME_ACK_FIN), "ack-fin");
	assert_string_equal(cn_frame_name(CN_FRAME_HAVE), "have");
	assert_string_equal(cn_frame_name(CN_FRAME_LACK), "lack");
	assert_string_equal(cn_frame_name((enum cn_frame_type)0), "?");
	assert_string_equal(cn_frame_name((enum cn_frame_type)0x18), "?");
	assert_string_equal(cn_reset_name(CN_RESET_REFUSED), "refused");
	assert_string_equal(cn_reset_name(CN_RESET_MAX), "unknown");
	assert_string_equal(cn_nack_name(CN_NACK_GAPS), "gaps");
	assert_string_equal(cn_nack_name(CN_NACK_MAX), "unknown");
	assert_string_equal(cn_nack_name(UINT64_MAX), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_log_fields),
		cmocka_unit_test(test_log_limits),
		cmocka_unit_test(test_long_limits),
		cmocka_unit_test(test_block_ack_is_full),
		cmocka_unit_test(test_unknown_frames_may_be_ignored),
		cmocka_unit_test(test_data_reserve),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
