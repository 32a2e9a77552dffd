/* SPDX-License-Identifier: Apache-2.0 */
#include "control/message.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "control/line.h"

static const char *const codes[CN_REPLY_CODE_MAX] = {
	[CN_REPLY_OK] = "ok",
	[CN_REPLY_BAD_REQUEST] = "bad-request",
	[CN_REPLY_UNKNOWN_COMMAND] = "unknown-command",
	[CN_REPLY_VERSION_MISMATCH] = "version-mismatch",
	[CN_REPLY_TOO_LONG] = "too-long",
	[CN_REPLY_NOT_ALLOWED] = "not-allowed",
	[CN_REPLY_NOT_FOUND] = "not-found",
	[CN_REPLY_CONFIG] = "config",
	[CN_REPLY_CONFLICT] = "conflict",
	[CN_REPLY_REFUSED] = "refused",
	[CN_REPLY_BUSY] = "busy",
	[CN_REPLY_INTERNAL] = "internal",
};

/* One diagnostic as it travels; texts are cut to what the list keeps. */
struct wire_diag {
	bool is_warning;
	uint32_t line, column, width;
	char file[CN_SNAP_PATH];
	char message[CN_DIAG_TEXT_MAX + 1];
	char hint[CN_DIAG_TEXT_MAX + 1];
	char source[CN_DIAG_TEXT_MAX + 1];
};

struct wire_diags {
	struct wire_diag *diagnostics;
	size_t diagnostics_count;
};

/* clang-format off */
#define FIELD(kind, S, member) \
	.name = #member, .type = (kind), .offset = offsetof(S, member)
#define TEXT(S, member) \
	{ FIELD(CN_SHAPE_TEXT, S, member), .size = sizeof(((S *)0)->member) }

static const struct cn_shape_field diag_rows[] = {
	{ FIELD(CN_SHAPE_BOOL, struct wire_diag, is_warning) },
	{ FIELD(CN_SHAPE_U32, struct wire_diag, line) },
	{ FIELD(CN_SHAPE_U32, struct wire_diag, column) },
	{ FIELD(CN_SHAPE_U32, struct wire_diag, width) },
	TEXT(struct wire_diag, file),
	TEXT(struct wire_diag, message),
	TEXT(struct wire_diag, hint),
	TEXT(struct wire_diag, source),
};
static const struct cn_shape diag_shape = {
	sizeof(struct wire_diag), diag_rows, CN_ARRAY_LEN(diag_rows)
};
static const struct cn_shape_field diags_rows[] = {
	{ FIELD(CN_SHAPE_LIST, struct wire_diags, diagnostics),
	  .sub = &diag_shape, .max = CN_DIAG_MAX,
	  .count_offset = offsetof(struct wire_diags, diagnostics_count) },
};
static const struct cn_shape diags_shape = {
	sizeof(struct wire_diags), diags_rows, CN_ARRAY_LEN(diags_rows)
};
/* clang-format on */

const char *
cn_reply_code_name(enum cn_reply_code code)
{
	unsigned index = (unsigned)code;

	return index < CN_REPLY_CODE_MAX ? codes[index] : "unknown";
}

/*
 * Consumes data, also on failure; NULL data is an allocation that failed.
 *
 * @next, payload  0: not told
 */
static int
reply_more(struct cn_buf *out, uint64_t id, json_t *data, uint64_t next,
    uint32_t payload)
{
	assert(next <= INT64_MAX);
	if (data == NULL) {
		return CN_ENOMEM;
	}
	json_t *json = json_pack(
	    "{s:I, s:b, s:o}", "id", (json_int_t)id, "ok", 1, "data", data);
	int err = CN_ENOMEM;
	if (json != NULL &&
	    (next == 0 ||
		json_object_set_new(
		    json, "next", json_integer((json_int_t)next)) == 0) &&
	    (payload == 0 ||
		json_object_set_new(
		    json, "payload", json_integer((json_int_t)payload)) == 0)) {
		err = cn_line_append(out, json);
	}
	json_decref(json);
	return err;
}

static int
reply_data(struct cn_buf *out, uint64_t id, json_t *data, uint64_t next)
{
	return reply_more(out, id, data, next, 0);
}

static int
reply_shape(struct cn_buf *out, uint64_t id, const struct cn_shape *shape,
    const void *object, uint64_t next)
{
	json_t *data;
	int err = cn_shape_encode(shape, object, &data);

	return err < 0 ? err : reply_data(out, id, data, next);
}

int
cn_reply_version(struct cn_buf *out, uint64_t id)
{
	return reply_data(out, id,
	    json_pack("{s:s, s:i}", "version", CN_VERSION, "control",
		(int)CN_MESSAGE_VERSION),
	    0);
}

int
cn_reply_status(
    struct cn_buf *out, uint64_t id, const struct cn_snap_status *status)
{
	return reply_shape(out, id, &cn_snap_status_shape, status, 0);
}

int
cn_reply_streams(struct cn_buf *out, uint64_t id,
    const struct cn_snap_streams *streams, uint64_t next)
{
	return reply_shape(out, id, &cn_snap_streams_shape, streams, next);
}

int
cn_reply_stream(
    struct cn_buf *out, uint64_t id, const struct cn_snap_stream *stream)
{
	return reply_shape(out, id, &cn_snap_stream_shape, stream, 0);
}

int
cn_reply_peers(
    struct cn_buf *out, uint64_t id, const struct cn_snap_peers *peers)
{
	return reply_shape(out, id, &cn_snap_peers_shape, peers, 0);
}

int
cn_reply_services(
    struct cn_buf *out, uint64_t id, const struct cn_snap_services *services)
{
	return reply_shape(out, id, &cn_snap_services_shape, services, 0);
}

int
cn_reply_why(struct cn_buf *out, uint64_t id, const struct cn_snap_why *why)
{
	return reply_shape(out, id, &cn_snap_why_shape, why, 0);
}

int
cn_reply_test(struct cn_buf *out, uint64_t id, const struct cn_snap_test *test)
{
	return reply_shape(out, id, &cn_snap_test_shape, test, 0);
}

int
cn_reply_events(struct cn_buf *out, uint64_t id,
    const struct cn_snap_events *events, uint64_t next)
{
	return reply_shape(out, id, &cn_snap_events_shape, events, next);
}

int
cn_reply_store(
    struct cn_buf *out, uint64_t id, const struct cn_snap_store *store)
{
	return reply_shape(out, id, &cn_snap_store_shape, store, 0);
}

int
cn_reply_walk(struct cn_buf *out, uint64_t id, const struct cn_snap_walk *walk,
    uint64_t next, uint32_t payload)
{
	json_t *data;
	int err = cn_shape_encode(&cn_snap_walk_shape, walk, &data);

	assert(payload <= CN_PAYLOAD_MAX);
	return err < 0 ? err : reply_more(out, id, data, next, payload);
}

int
cn_reply_warm(struct cn_buf *out, uint64_t id, const struct cn_snap_warm *warm)
{
	json_t *data;
	int err = cn_shape_encode(&cn_snap_warm_shape, warm, &data);

	return err < 0 ? err : reply_data(out, id, data, 0);
}

/*
 * Text of a file as JSON can carry it: one that is no UTF-8 is shown with
 * '?' for each byte outside ASCII.
 */
static json_t *
file_text(const char *text, size_t len)
{
	json_t *json = json_stringn(text, len);
	char *plain;

	if (json != NULL || len == 0) {
		return json;
	}
	plain = cn_memdup(text, len);
	if (plain == NULL) {
		return NULL;
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)plain[i] > 0x7e) {
			plain[i] = '?';
		}
	}
	json = json_stringn(plain, len);
	cn_free(plain);
	return json;
}

int
cn_reply_config(
    struct cn_buf *out, uint64_t id, const struct cn_reply_config *config)
{
	json_t *managed = config->managed_len > 0
	    ? file_text(config->managed, config->managed_len)
	    : json_string("");

	return reply_data(out, id,
	    json_pack("{s:s, s:s%, s:s, s:o}", "file", config->file, "yaml",
		config->yaml, config->yaml_len, "etag", config->etag, "managed",
		managed),
	    0);
}

int
cn_reply_invite(
    struct cn_buf *out, uint64_t id, const struct cn_snap_invite *invite)
{
	return reply_shape(out, id, &cn_snap_invite_shape, invite, 0);
}

int
cn_reply_join(
    struct cn_buf *out, uint64_t id, const struct cn_snap_join *joined)
{
	return reply_shape(out, id, &cn_snap_join_shape, joined, 0);
}

int
cn_reply_done(struct cn_buf *out, uint64_t id)
{
	return reply_data(out, id, json_object(), 0);
}

static void
copy_diag(struct wire_diag *to, const struct cn_diag *from)
{
	to->is_warning = from->severity == CN_DIAG_WARNING;
	to->line = from->line;
	to->column = from->column;
	to->width = from->width;
	cn_snap_text(to->file, sizeof(to->file), from->file);
	cn_snap_text(to->message, sizeof(to->message), from->message);
	if (from->hint != NULL) {
		cn_snap_text(to->hint, sizeof(to->hint), from->hint);
	}
	if (from->source != NULL) {
		cn_snap_text(to->source, sizeof(to->source), from->source);
	}
}

/* {"diagnostics":[...]}: one at a time, for a whole list is 170 KiB. */
static int
encode_diags(const struct cn_diag_list *list, json_t **ret)
{
	json_t *json = json_pack("{s:[]}", "diagnostics");
	json_t *array = json_object_get(json, "diagnostics");
	size_t count = list == NULL ? 0 : CN_MIN(list->count, CN_DIAG_MAX);
	int err = array == NULL ? CN_ENOMEM : CN_OK;

	for (size_t i = 0; err == CN_OK && i < count; i++) {
		struct wire_diag diag = { 0 };
		json_t *item;

		copy_diag(&diag, &list->item[i]);
		err = cn_shape_encode(&diag_shape, &diag, &item);
		if (err == CN_OK && json_array_append_new(array, item) != 0) {
			err = CN_ENOMEM;
		}
	}
	if (err < 0) {
		json_decref(json);
		return err;
	}
	*ret = json;
	return CN_OK;
}

int
cn_reply_reload(struct cn_buf *out, uint64_t id, const char *changes,
    const struct cn_diag_list *diags)
{
	json_t *data;
	int err = encode_diags(diags, &data);

	if (err < 0) {
		return err;
	}
	if (json_object_set_new(data, "changes", json_string(changes)) != 0) {
		json_decref(data);
		return CN_ENOMEM;
	}
	return reply_data(out, id, data, 0);
}

static int
reply_error(struct cn_buf *out, uint64_t id, enum cn_reply_code code,
    const struct cn_diag_list *diags, const char *text)
{
	json_t *error;
	int err = encode_diags(diags, &error);

	if (err < 0) {
		return err;
	}
	if (json_object_set_new(
		error, "code", json_string(cn_reply_code_name(code))) != 0 ||
	    json_object_set_new(error, "message", json_string(text)) != 0) {
		json_decref(error);
		return CN_ENOMEM;
	}
	json_t *json = json_pack(
	    "{s:I, s:b, s:o}", "id", (json_int_t)id, "ok", 0, "error", error);
	err = json == NULL ? CN_ENOMEM : cn_line_append(out, json);
	json_decref(json);
	return err;
}

/* The words may quote a path or a name: keep them valid UTF-8. */
static void
make_printable(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p != '\0'; p++) {
		if (*p < 0x20 || *p > 0x7e) {
			*p = '?';
		}
	}
}

int
cn_reply_error(struct cn_buf *out, uint64_t id, enum cn_reply_code code,
    const struct cn_diag_list *diags, const char *fmt, ...)
{
	char text[CN_REPLY_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	make_printable(text);
	return reply_error(out, id, code, diags, text);
}

int
cn_reply_refused(struct cn_buf *out, const struct cn_request *request)
{
	return reply_error(
	    out, request->id, request->code, NULL, request->text);
}

void
cn_reply_init(struct cn_reply *reply)
{
	memset(reply, 0, sizeof(*reply));
	cn_diag_init(&reply->diags);
}

void
cn_reply_fini(struct cn_reply *reply)
{
	json_decref(reply->data);
	cn_diag_fini(&reply->diags);
	cn_reply_init(reply);
}

static int
decode_diags(const json_t *json, struct cn_diag_list *ret)
{
	struct wire_diags diags = { 0 };
	int err = cn_shape_decode(&diags_shape, json, &diags);

	if (err < 0) {
		return err;
	}
	for (size_t i = 0; i < diags.diagnostics_count; i++) {
		const struct wire_diag *diag = &diags.diagnostics[i];
		const struct cn_diag_place place = {
			.file = diag->file,
			.line = diag->line,
			.column = diag->column,
			.width = diag->width,
			.source = diag->source[0] != '\0' ? diag->source : NULL,
			.source_len = strlen(diag->source),
		};

		cn_diag_add(ret,
		    diag->is_warning ? CN_DIAG_WARNING : CN_DIAG_ERROR, &place,
		    diag->hint[0] != '\0' ? diag->hint : NULL, "%s",
		    diag->message);
	}
	cn_shape_clear(&diags_shape, &diags);
	return CN_OK;
}

static int
decode_error(const json_t *error, struct cn_reply *reply)
{
	const char *code = json_string_value(json_object_get(error, "code"));
	const char *text = json_string_value(json_object_get(error, "message"));

	if (code == NULL || text == NULL) {
		return CN_EPROTO;
	}
	reply->code = CN_REPLY_INTERNAL; /* and for codes of newer gateways */
	for (unsigned i = CN_REPLY_OK + 1; i < CN_REPLY_CODE_MAX; i++) {
		if (strcmp(codes[i], code) == 0) {
			reply->code = (enum cn_reply_code)i;
		}
	}
	cn_snap_text(reply->text, sizeof(reply->text), text);
	make_printable(reply->text);
	return decode_diags(error, &reply->diags);
}

static int
decode_body(json_t *json, struct cn_reply *reply)
{
	const json_t *id = json_object_get(json, "id");
	const json_t *ok = json_object_get(json, "ok");
	const json_t *next = json_object_get(json, "next");
	const json_t *payload = json_object_get(json, "payload");
	json_t *data = json_object_get(json, "data");

	if (!json_is_integer(id) || json_integer_value(id) < 0 ||
	    !json_is_boolean(ok)) {
		return CN_EPROTO;
	}
	reply->id = (uint64_t)json_integer_value(id);
	if (!json_is_true(ok)) {
		return decode_error(json_object_get(json, "error"), reply);
	}
	if (next != NULL) {
		if (!json_is_integer(next) || json_integer_value(next) < 0) {
			return CN_EPROTO;
		}
		reply->next = (uint64_t)json_integer_value(next);
	}
	if (payload != NULL) {
		if (!json_is_integer(payload) ||
		    json_integer_value(payload) < 0 ||
		    json_integer_value(payload) > (json_int_t)CN_PAYLOAD_MAX) {
			return CN_EPROTO;
		}
		reply->payload = (uint32_t)json_integer_value(payload);
	}
	if (!json_is_object(data)) {
		return CN_EPROTO;
	}
	reply->is_ok = true;
	reply->data = json_incref(data);
	/* Only a reload has some; elsewhere the name is absent. */
	return decode_diags(data, &reply->diags);
}

int
cn_reply_decode(const char *line, size_t len, struct cn_reply *reply)
{
	json_error_t where;
	int err;

	if (len >= CN_REPLY_MAX) {
		return CN_ELIMIT;
	}
	json_t *json = json_loadb(line, len, JSON_REJECT_DUPLICATES, &where);
	if (json == NULL) {
		return json_error_code(&where) == json_error_out_of_memory
		    ? CN_ENOMEM
		    : CN_EPROTO;
	}
	err = decode_body(json, reply);
	json_decref(json);
	if (err < 0) {
		cn_reply_fini(reply);
	}
	return err;
}
