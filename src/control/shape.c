/* SPDX-License-Identifier: Apache-2.0 */
#include "control/shape.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

/* Nesting of shapes; they are constant, so this only checks the tables. */
#define DEPTH_MAX 8

static int encode(
    const struct cn_shape *shape, const void *object, int depth, json_t **ret);
static int decode(
    const struct cn_shape *shape, const json_t *json, void *object, int depth);

/*
 * Fields lie at offsets of the caller's struct: copying by memcpy keeps this
 * free of casts between pointer types.
 */
static const char *
at(const void *object, size_t offset)
{
	return (const char *)object + offset;
}

static char *
at_mutable(void *object, size_t offset)
{
	return (char *)object + offset;
}

static int
encode_text(const char *text, size_t size, json_t **ret)
{
	size_t len = strnlen(text, size);

	assert(len < size);
	json_t *json = json_stringn(text, len);
	if (json == NULL) {
		/* Not UTF-8, or no memory; the second try tells. */
		char *plain = cn_memdup(text, len + 1);

		if (plain == NULL) {
			return CN_ENOMEM;
		}
		for (size_t i = 0; i < len; i++) {
			if ((unsigned char)plain[i] > 0x7e) {
				plain[i] = '?';
			}
		}
		json = json_stringn(plain, len);
		cn_free(plain);
	}
	if (json == NULL) {
		return CN_ENOMEM;
	}
	*ret = json;
	return CN_OK;
}

static int
encode_u64(uint64_t value, json_t **ret)
{
	json_t *json =
	    json_integer((json_int_t)(value > INT64_MAX ? INT64_MAX : value));

	if (json == NULL) {
		return CN_ENOMEM;
	}
	*ret = json;
	return CN_OK;
}

static int
encode_choice(
    const struct cn_shape_field *field, const void *object, json_t **ret)
{
	unsigned value, known = 0;

	memcpy(&value, at(object, field->offset), sizeof(value));
	while (field->names[known] != NULL) {
		known++;
	}
	const char *name = field->names[value < known ? value : 0];
	return encode_text(name, strlen(name) + 1, ret);
}

static int
encode_list(const struct cn_shape_field *field, const void *object, int depth,
    json_t **ret)
{
	const char *items;
	size_t count;
	int err = CN_ENOMEM;

	memcpy(&items, at(object, field->offset), sizeof(items));
	memcpy(&count, at(object, field->count_offset), sizeof(count));
	if (count > field->max) {
		return CN_ELIMIT;
	}
	json_t *array = json_array();
	if (array == NULL) {
		return CN_ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		json_t *item;

		err = encode(
		    field->sub, items + i * field->sub->size, depth, &item);
		if (err < 0) {
			goto fail;
		}
		if (json_array_append_new(array, item) != 0) {
			err = CN_ENOMEM;
			goto fail;
		}
	}
	*ret = array;
	return CN_OK;
fail:
	json_decref(array);
	return err;
}

static int
encode_field(const struct cn_shape_field *field, const void *object, int depth,
    json_t **ret)
{
	uint64_t u64;
	uint32_t u32;
	bool truth;

	switch (field->type) {
	case CN_SHAPE_U64:
		memcpy(&u64, at(object, field->offset), sizeof(u64));
		return encode_u64(u64, ret);
	case CN_SHAPE_U32:
		memcpy(&u32, at(object, field->offset), sizeof(u32));
		return encode_u64(u32, ret);
	case CN_SHAPE_BOOL:
		memcpy(&truth, at(object, field->offset), sizeof(truth));
		*ret = json_boolean(truth);
		return CN_OK;
	case CN_SHAPE_TEXT:
		return encode_text(at(object, field->offset), field->size, ret);
	case CN_SHAPE_CHOICE:
		return encode_choice(field, object, ret);
	case CN_SHAPE_STRUCT:
		return encode(
		    field->sub, at(object, field->offset), depth, ret);
	case CN_SHAPE_LIST:
		return encode_list(field, object, depth, ret);
	}
	assert(false && "a shape of unknown type");
	return CN_EINVAL;
}

static int
encode(
    const struct cn_shape *shape, const void *object, int depth, json_t **ret)
{
	int err = CN_ENOMEM;

	assert(depth < DEPTH_MAX);
	json_t *json = json_object();
	if (json == NULL) {
		return CN_ENOMEM;
	}
	for (size_t i = 0; i < shape->count; i++) {
		json_t *value;

		err =
		    encode_field(&shape->fields[i], object, depth + 1, &value);
		if (err < 0) {
			goto fail;
		}
		if (json_object_set_new(json, shape->fields[i].name, value) !=
		    0) {
			err = CN_ENOMEM;
			goto fail;
		}
	}
	*ret = json;
	return CN_OK;
fail:
	json_decref(json);
	return err;
}

int
cn_shape_encode(const struct cn_shape *shape, const void *object, json_t **ret)
{
	return encode(shape, object, 0, ret);
}

static int
decode_u64(const json_t *value, uint64_t max, uint64_t *ret)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    (uint64_t)json_integer_value(value) > max) {
		return CN_EPROTO;
	}
	*ret = (uint64_t)json_integer_value(value);
	return CN_OK;
}

static int
decode_text(
    const struct cn_shape_field *field, const json_t *value, void *object)
{
	if (!json_is_string(value)) {
		return CN_EPROTO;
	}
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);
	if (len >= field->size) {
		return CN_ELIMIT;
	}
	memcpy(at_mutable(object, field->offset), text, len + 1);
	return CN_OK;
}

static int
decode_choice(
    const struct cn_shape_field *field, const json_t *value, void *object)
{
	unsigned found = 0;

	if (!json_is_string(value)) {
		return CN_EPROTO;
	}
	for (unsigned i = 0; field->names[i] != NULL; i++) {
		if (strcmp(field->names[i], json_string_value(value)) == 0) {
			found = i;
		}
	}
	memcpy(at_mutable(object, field->offset), &found, sizeof(found));
	return CN_OK;
}

static int
decode_list(const struct cn_shape_field *field, const json_t *value,
    void *object, int depth)
{
	if (!json_is_array(value)) {
		return CN_EPROTO;
	}
	size_t count = json_array_size(value);
	if (count > field->max) {
		return CN_ELIMIT;
	}
	if (count == 0) {
		return CN_OK;
	}
	char *items = cn_calloc(count, field->sub->size);
	if (items == NULL) {
		return CN_ENOMEM;
	}
	/* From here on the caller's clear gives it back, also half full. */
	memcpy(at_mutable(object, field->offset), &items, sizeof(items));
	memcpy(at_mutable(object, field->count_offset), &count, sizeof(count));
	for (size_t i = 0; i < count; i++) {
		int err = decode(field->sub, json_array_get(value, i),
		    items + i * field->sub->size, depth);
		if (err < 0) {
			return err;
		}
	}
	return CN_OK;
}

static int
decode_field(const struct cn_shape_field *field, const json_t *value,
    void *object, int depth)
{
	uint64_t number;
	int err;

	switch (field->type) {
	case CN_SHAPE_U64:
		err = decode_u64(value, INT64_MAX, &number);
		if (err == CN_OK) {
			memcpy(at_mutable(object, field->offset), &number,
			    sizeof(number));
		}
		return err;
	case CN_SHAPE_U32:
		err = decode_u64(value, UINT32_MAX, &number);
		if (err == CN_OK) {
			uint32_t narrow = (uint32_t)number;

			memcpy(at_mutable(object, field->offset), &narrow,
			    sizeof(narrow));
		}
		return err;
	case CN_SHAPE_BOOL: {
		bool truth = json_is_true(value);

		if (!json_is_boolean(value)) {
			return CN_EPROTO;
		}
		memcpy(
		    at_mutable(object, field->offset), &truth, sizeof(truth));
		return CN_OK;
	}
	case CN_SHAPE_TEXT:
		return decode_text(field, value, object);
	case CN_SHAPE_CHOICE:
		return decode_choice(field, value, object);
	case CN_SHAPE_STRUCT:
		return decode(field->sub, value,
		    at_mutable(object, field->offset), depth);
	case CN_SHAPE_LIST:
		return decode_list(field, value, object, depth);
	}
	assert(false && "a shape of unknown type");
	return CN_EINVAL;
}

static int
decode(
    const struct cn_shape *shape, const json_t *json, void *object, int depth)
{
	assert(depth < DEPTH_MAX);
	if (!json_is_object(json)) {
		return CN_EPROTO;
	}
	for (size_t i = 0; i < shape->count; i++) {
		const json_t *value =
		    json_object_get(json, shape->fields[i].name);

		if (value == NULL) {
			continue;
		}
		int err =
		    decode_field(&shape->fields[i], value, object, depth + 1);
		if (err < 0) {
			return err;
		}
	}
	return CN_OK;
}

int
cn_shape_decode(const struct cn_shape *shape, const json_t *json, void *object)
{
	int err = decode(shape, json, object, 0);

	if (err < 0) {
		cn_shape_clear(shape, object);
	}
	return err;
}

void
cn_shape_clear(const struct cn_shape *shape, void *object)
{
	for (size_t i = 0; i < shape->count; i++) {
		const struct cn_shape_field *field = &shape->fields[i];
		char *items;
		size_t count;

		if (field->type == CN_SHAPE_STRUCT) {
			cn_shape_clear(
			    field->sub, at_mutable(object, field->offset));
		}
		if (field->type != CN_SHAPE_LIST) {
			continue;
		}
		memcpy(&items, at(object, field->offset), sizeof(items));
		memcpy(&count, at(object, field->count_offset), sizeof(count));
		for (size_t k = 0; items != NULL && k < count; k++) {
			cn_shape_clear(
			    field->sub, items + k * field->sub->size);
		}
		cn_free(items);
	}
	memset(object, 0, shape->size);
}
