/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "control/message.h"
#include "mutate.h"

/*
 * Fill every field of a struct with values that differ from each other, so
 * that one sent in another's place is seen.
 */
static uint64_t
fill(const struct cn_shape *shape, void *object, uint64_t seed)
{
	for (size_t i = 0; i < shape->count; i++) {
		const struct cn_shape_field *field = &shape->fields[i];
		char *p = (char *)object + field->offset;
		uint32_t narrow = (uint32_t)++seed;
		uint32_t choice = 1 + narrow % 13;
		bool truth = (seed & 1) != 0;
		size_t count = CN_MIN(field->max, 2);
		char *items;

		switch (field->type) {
		case CN_SHAPE_U64:
			memcpy(p, &seed, sizeof(seed));
			break;
		case CN_SHAPE_U32:
			memcpy(p, &narrow, sizeof(narrow));
			break;
		case CN_SHAPE_BOOL:
			memcpy(p, &truth, sizeof(truth));
			break;
		case CN_SHAPE_TEXT:
			(void)snprintf(
			    p, field->size, "text %u \" \\ \xc3\xa9", narrow);
			break;
		case CN_SHAPE_CHOICE:
			memcpy(p, &choice, sizeof(choice));
			break;
		case CN_SHAPE_STRUCT:
			seed = fill(field->sub, p, seed);
			break;
		case CN_SHAPE_LIST:
			items = cn_calloc(count, field->sub->size);
			assert_non_null(items);
			memcpy(p, &items, sizeof(items));
			memcpy((char *)object + field->count_offset, &count,
			    sizeof(count));
			for (size_t k = 0; k < count; k++) {
				seed = fill(field->sub,
				    items + k * field->sub->size, seed);
			}
			break;
		}
	}
	return seed;
}

static void
assert_round_trip(const struct cn_shape *shape)
{
	void *object = cn_calloc(1, shape->size);
	void *back = cn_calloc(1, shape->size);
	json_t *json, *again;

	assert_non_null(object);
	assert_non_null(back);
	assert_true(fill(shape, object, 0) > 0);
	assert_int_equal(cn_shape_encode(shape, object, &json), CN_OK);
	assert_int_equal(cn_shape_decode(shape, json, back), CN_OK);
	assert_int_equal(cn_shape_encode(shape, back, &again), CN_OK);
	assert_true(json_equal(json, again));
	json_decref(json);
	json_decref(again);
	cn_shape_clear(shape, object);
	cn_shape_clear(shape, back);
	cn_free(object);
	cn_free(back);
}

static void
test_round_trips(void **state)
{
	(void)state;
	assert_round_trip(&cn_snap_status_shape);
	assert_round_trip(&cn_snap_streams_shape);
	assert_round_trip(&cn_snap_stream_shape);
	assert_round_trip(&cn_snap_peers_shape);
	assert_round_trip(&cn_snap_services_shape);
	assert_round_trip(&cn_snap_store_shape);
	assert_round_trip(&cn_snap_walk_shape);
	assert_round_trip(&cn_snap_warm_shape);
}

/* A table with two rows for one field, or one forgotten, is a typing error. */
static void
assert_covered(const struct cn_shape *shape)
{
	size_t end = 0;

	for (size_t i = 0; i < shape->count; i++) {
		const struct cn_shape_field *field = &shape->fields[i];
		size_t size = sizeof(uint64_t);

		/* In the order of the struct, gaps only by alignment. */
		assert_true(field->offset >= end);
		assert_true(field->offset < end + sizeof(uint64_t));
		if (field->type == CN_SHAPE_U32 ||
		    field->type == CN_SHAPE_CHOICE) {
			size = sizeof(uint32_t);
		} else if (field->type == CN_SHAPE_BOOL) {
			size = sizeof(bool);
		} else if (field->type == CN_SHAPE_TEXT) {
			size = field->size;
		} else if (field->type == CN_SHAPE_STRUCT) {
			size = field->sub->size;
			assert_covered(field->sub);
		} else if (field->type == CN_SHAPE_LIST) {
			size = sizeof(void *) + sizeof(size_t);
			assert_int_equal(field->count_offset,
			    field->offset + sizeof(void *));
			assert_covered(field->sub);
		}
		end = field->offset + size;
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(
			    shape->fields[k].name, field->name);
		}
	}
	assert_true(end <= shape->size && shape->size < end + 8);
}

static void
test_tables_cover_their_structs(void **state)
{
	(void)state;
	assert_covered(&cn_snap_status_shape);
	assert_covered(&cn_snap_streams_shape);
	assert_covered(&cn_snap_peers_shape);
	assert_covered(&cn_snap_services_shape);
	assert_covered(&cn_snap_store_shape);
	assert_covered(&cn_snap_walk_shape);
	assert_covered(&cn_snap_warm_shape);
}

static void
test_full_page_fits_a_reply(void **state)
{
	struct cn_snap_streams streams = { .total = 100000 };
	struct cn_buf buf;

	(void)state;
	streams.streams =
	    cn_calloc(CN_SNAP_STREAMS_PAGE, sizeof(*streams.streams));
	assert_non_null(streams.streams);
	streams.streams_count = CN_SNAP_STREAMS_PAGE;
	for (size_t i = 0; i < streams.streams_count; i++) {
		struct cn_snap_stream *stream = &streams.streams[i];

		assert_true(
		    fill(&cn_snap_stream_shape, stream, UINT64_C(1) << 61) > 0);
		/* The worst text: six bytes of JSON for each of ours. */
		memset(stream->client, 1, CN_SNAP_TEXT - 1);
		memset(stream->target, 1, CN_SNAP_TEXT - 1);
	}
	cn_buf_init(&buf, CN_REPLY_MAX);
	assert_int_equal(cn_reply_streams(&buf, 1, &streams, 9), CN_OK);
	assert_true(buf.len < CN_REPLY_MAX);
	cn_buf_fini(&buf);
	cn_snap_streams_clear(&streams);
	assert_null(streams.streams);
}

static void
test_numbers_and_bad_text(void **state)
{
	struct cn_snap_stream stream = { .id = UINT64_MAX }, got = { 0 };
	json_t *json;

	(void)state;
	cn_snap_text(stream.client, sizeof(stream.client), "a\xff\xfe z");
	assert_int_equal(
	    cn_shape_encode(&cn_snap_stream_shape, &stream, &json), CN_OK);
	assert_int_equal(
	    cn_shape_decode(&cn_snap_stream_shape, json, &got), CN_OK);
	assert_true(got.id == INT64_MAX);
	assert_string_equal(got.client, "a?? z");
	json_decref(json);
}

static void
test_text_is_cut_between_characters(void **state)
{
	char room[5];

	(void)state;
	cn_snap_text(room, sizeof(room), "abc\xc3\xa9");
	assert_string_equal(room, "abc");
	cn_snap_text(room, sizeof(room), "ab\xc3\xa9");
	assert_string_equal(room, "ab\xc3\xa9");
	cn_snap_text(room, 1, "abc");
	assert_string_equal(room, "");
}

static void
test_other_releases(void **state)
{
	struct cn_snap_peers peers = { 0 };
	json_t *json = json_loads("{\"peers\":[{\"name\":\"tokyo\",\"state\":"
				  "\"levitating\",\"new\":[1]}]}",
	    0, NULL);

	(void)state;
	assert_non_null(json);
	assert_int_equal(
	    cn_shape_decode(&cn_snap_peers_shape, json, &peers), CN_OK);
	assert_int_equal(peers.peers_count, 1);
	assert_string_equal(peers.peers[0].name, "tokyo");
	assert_int_equal(peers.peers[0].state, CN_SNAP_UNKNOWN);
	assert_string_equal(
	    cn_snap_state_name(peers.peers[0].state), "unknown");
	assert_string_equal(
	    cn_snap_state_name((enum cn_snap_state)999), "unknown");
	assert_string_equal(cn_snap_state_name(CN_SNAP_ENDING), "ending");
	cn_snap_peers_clear(&peers);
	json_decref(json);
}

static int
decode_peers(const char *text)
{
	struct cn_snap_peers peers = { 0 };
	json_t *json = json_loads(text, 0, NULL);

	assert_non_null(json);
	int err = cn_shape_decode(&cn_snap_peers_shape, json, &peers);
	json_decref(json);
	if (err < 0) {
		assert_null(peers.peers);
		assert_int_equal(peers.peers_count, 0);
	}
	cn_snap_peers_clear(&peers);
	return err;
}

static void
test_wrong_values(void **state)
{
	char text[512];

	(void)state;
	assert_int_equal(decode_peers("{\"peers\":{}}"), CN_EPROTO);
	assert_int_equal(decode_peers("{\"peers\":[1]}"), CN_EPROTO);
	assert_int_equal(
	    decode_peers("{\"peers\":[{\"streams\":-1}]}"), CN_EPROTO);
	assert_int_equal(
	    decode_peers("{\"peers\":[{\"streams\":\"1\"}]}"), CN_EPROTO);
	assert_int_equal(
	    decode_peers("{\"peers\":[{\"state\":1}]}"), CN_EPROTO);
	assert_int_equal(decode_peers("{\"peers\":[{\"name\":1}]}"), CN_EPROTO);
	assert_int_equal(
	    decode_peers("{\"peers\":[{\"links\":[{\"is_coding_off\":1}]}]}"),
	    CN_EPROTO);
	assert_int_equal(
	    decode_peers("{\"peers\":[{\"links\":[{\"worker\":4294967296}]}]}"),
	    CN_EPROTO);
	/* A name of 64 bytes is one too many. */
	(void)snprintf(
	    text, sizeof(text), "{\"peers\":[{\"name\":\"%064d\"}]}", 0);
	assert_int_equal(decode_peers(text), CN_ELIMIT);
	(void)snprintf(
	    text, sizeof(text), "{\"peers\":[{\"name\":\"%063d\"}]}", 0);
	assert_int_equal(decode_peers(text), CN_OK);
	/* Nine carriers are one too many. */
	assert_int_equal(decode_peers("{\"peers\":[{\"links\":[{\"carriers\":"
				      "[{},{},{},{},{},{},{},{},{}]}]}]}"),
	    CN_ELIMIT);
	assert_int_equal(decode_peers("{\"peers\":[{\"links\":[{\"carriers\":"
				      "[{},{},{},{},{},{},{},{}]}]}]}"),
	    CN_OK);
}

static void
check_shapes(const uint8_t *bytes, size_t len, void *arg)
{
	struct cn_snap_status status = { 0 };
	size_t *accepted = arg;
	json_t *json = json_loadb((const char *)bytes, len, 0, NULL);

	if (json == NULL) {
		return;
	}
	if (cn_shape_decode(&cn_snap_status_shape, json, &status) == CN_OK) {
		json_t *again;

		assert_int_equal(
		    cn_shape_encode(&cn_snap_status_shape, &status, &again),
		    CN_OK);
		json_decref(again);
		(*accepted)++;
	}
	cn_snap_status_clear(&status);
	json_decref(json);
}

static void
test_damaged_status(void **state)
{
	static const char sample[] =
	    "{\"gateway\":{\"name\":\"a\",\"pid\":1,\"state\":\"up\"},"
	    "\"peers\":[{\"name\":\"b\",\"links\":[{\"id\":\"c\",\"carriers\""
	    ":[{\"slot\":0,\"is_dialler\":true}]}]}],\"services\":[{}]}";
	size_t accepted = 0;

	(void)state;
	cn_mutate_each((const uint8_t *)sample, sizeof(sample) - 1,
	    check_shapes, &accepted);
	assert_true(accepted > 0);
}

static void
test_allocation_failures(void **state)
{
	struct cn_snap_status status = { 0 };
	bool has_failed = true;

	(void)state;
	assert_true(fill(&cn_snap_status_shape, &status, 0) > 0);
	for (uint64_t n = 1; has_failed; n++) {
		uint64_t before = cn_alloc_count();
		struct cn_snap_status got = { 0 };
		json_t *json = NULL;

		cn_alloc_fail_at(n);
		int err =
		    cn_shape_encode(&cn_snap_status_shape, &status, &json);
		if (err == CN_OK) {
			err =
			    cn_shape_decode(&cn_snap_status_shape, json, &got);
		}
		has_failed = cn_alloc_has_failed();
		cn_alloc_fail_at(0);
		/* A text may go with '?' where there is no memory to check. */
		assert_true(err == CN_OK || (has_failed && err == CN_ENOMEM));
		json_decref(json);
		cn_snap_status_clear(&got);
		assert_true(cn_alloc_count() == before);
	}
	cn_snap_status_clear(&status);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_tables_cover_their_structs),
		cmocka_unit_test(test_full_page_fits_a_reply),
		cmocka_unit_test(test_numbers_and_bad_text),
		cmocka_unit_test(test_text_is_cut_between_characters),
		cmocka_unit_test(test_other_releases),
		cmocka_unit_test(test_wrong_values),
		cmocka_unit_test(test_damaged_status),
		cmocka_unit_test(test_allocation_failures),
	};

	cn_message_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
