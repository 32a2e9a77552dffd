/* SPDX-License-Identifier: Apache-2.0 */
#include "control/message.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "control/line.h"

/* Fields that a request may have beside v, id and cmd. */
#define TAKES_STREAM 0x01u
#define TAKES_PAGE 0x02u

static const struct {
	const char *name;
	enum cn_access access;
	unsigned takes;
} commands[CN_COMMAND_MAX] = {
	[CN_COMMAND_NONE] = { "none", CN_ACCESS_CHANGE, 0 },
	[CN_COMMAND_VERSION] = { "version", CN_ACCESS_READ, 0 },
	[CN_COMMAND_STATUS] = { "status", CN_ACCESS_READ, 0 },
	[CN_COMMAND_STREAMS] = { "streams", CN_ACCESS_READ, TAKES_PAGE },
	[CN_COMMAND_STREAM_SHOW] = { "stream-show", CN_ACCESS_READ,
	    TAKES_STREAM },
	[CN_COMMAND_STREAM_KILL] = { "stream-kill", CN_ACCESS_CHANGE,
	    TAKES_STREAM },
	[CN_COMMAND_PEERS] = { "peers", CN_ACCESS_READ, 0 },
	[CN_COMMAND_SERVICES] = { "services", CN_ACCESS_READ, 0 },
	[CN_COMMAND_CONFIG] = { "config", CN_ACCESS_READ, 0 },
	[CN_COMMAND_RELOAD] = { "reload", CN_ACCESS_CHANGE, 0 },
};

static void *
json_alloc(size_t size)
{
	return cn_alloc(size);
}

void
cn_message_setup(void)
{
	json_set_alloc_funcs(json_alloc, cn_free);
}

const char *
cn_command_name(enum cn_command command)
{
	unsigned index = (unsigned)command;

	return commands[index < CN_COMMAND_MAX ? index : 0].name;
}

enum cn_access
cn_request_access(const struct cn_request *request)
{
	unsigned index = (unsigned)request->command;

	return commands[index < CN_COMMAND_MAX ? index : 0].access;
}

static int CN_PRINTF(3, 4) refuse(
    struct cn_request *request, enum cn_reply_code code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(request->text, sizeof(request->text), fmt, args);
	va_end(args);
	request->code = code;
	return code == CN_REPLY_INTERNAL ? CN_ENOMEM : CN_EPROTO;
}

static int
read_number(const json_t *json, const char *name, uint64_t max,
    struct cn_request *request, uint64_t *ret)
{
	const json_t *value = json_object_get(json, name);

	if (value == NULL) {
		return CN_OK;
	}
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    (uint64_t)json_integer_value(value) > max) {
		return refuse(request, CN_REPLY_BAD_REQUEST,
		    "'%s' must be a whole number from 0 to %llu", name,
		    (unsigned long long)max);
	}
	*ret = (uint64_t)json_integer_value(value);
	return CN_OK;
}

static int
read_head(const json_t *json, struct cn_request *request)
{
	uint64_t version = 0;
	int err = read_number(json, "id", INT64_MAX, request, &request->id);

	if (err == CN_OK) {
		err = read_number(json, "v", INT64_MAX, request, &version);
	}
	if (err < 0) {
		return err;
	}
	if (version != CN_MESSAGE_VERSION) {
		return refuse(request, CN_REPLY_VERSION_MISMATCH,
		    "this gateway speaks version %u of the control socket: "
		    "'v' must be %u",
		    CN_MESSAGE_VERSION, CN_MESSAGE_VERSION);
	}
	const json_t *command = json_object_get(json, "cmd");
	if (!json_is_string(command)) {
		return refuse(request, CN_REPLY_BAD_REQUEST,
		    "'cmd' must be the name of a command");
	}
	for (unsigned i = CN_COMMAND_NONE + 1; i < CN_COMMAND_MAX; i++) {
		if (strcmp(commands[i].name, json_string_value(command)) == 0) {
			request->command = (enum cn_command)i;
			return CN_OK;
		}
	}
	return refuse(request, CN_REPLY_UNKNOWN_COMMAND, "unknown command");
}

/* Every key must be one that the command takes: no silent typing errors. */
static int
check_keys(const json_t *json, struct cn_request *request)
{
	unsigned takes = commands[request->command].takes;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)json, key, value)
	{
		(void)value;
		if (strcmp(key, "v") == 0 || strcmp(key, "id") == 0 ||
		    strcmp(key, "cmd") == 0) {
			continue;
		}
		if ((takes & TAKES_STREAM) != 0 && strcmp(key, "stream") == 0) {
			continue;
		}
		if ((takes & TAKES_PAGE) != 0 &&
		    (strcmp(key, "cursor") == 0 || strcmp(key, "limit") == 0)) {
			continue;
		}
		return refuse(request, CN_REPLY_BAD_REQUEST,
		    "'%s' takes no such field as the one given",
		    cn_command_name(request->command));
	}
	return CN_OK;
}

static int
read_fields(const json_t *json, struct cn_request *request)
{
	unsigned takes = commands[request->command].takes;
	uint64_t limit = CN_SNAP_STREAMS_PAGE;
	int err = check_keys(json, request);

	if (err == CN_OK) {
		err = read_number(
		    json, "stream", INT64_MAX, request, &request->stream);
	}
	if (err == CN_OK) {
		err = read_number(
		    json, "cursor", INT64_MAX, request, &request->cursor);
	}
	if (err == CN_OK) {
		err = read_number(json, "limit", INT64_MAX, request, &limit);
	}
	if (err < 0) {
		return err;
	}
	if ((takes & TAKES_STREAM) != 0 && request->stream == 0) {
		return refuse(request, CN_REPLY_BAD_REQUEST,
		    "'stream' must be the id of a stream");
	}
	if (limit == 0) {
		return refuse(
		    request, CN_REPLY_BAD_REQUEST, "'limit' must be 1 or more");
	}
	request->limit = (uint32_t)CN_MIN(limit, CN_SNAP_STREAMS_PAGE);
	return CN_OK;
}

int
cn_request_decode(const char *line, size_t len, struct cn_request *ret)
{
	json_error_t where;
	int err;

	memset(ret, 0, sizeof(*ret));
	if (len >= CN_REQUEST_MAX) {
		return refuse(ret, CN_REPLY_TOO_LONG,
		    "a request is shorter than %u bytes", CN_REQUEST_MAX);
	}
	json_t *json = json_loadb(line, len, JSON_REJECT_DUPLICATES, &where);
	if (json == NULL) {
		/* The parser's own words may quote the line: leave them. */
		if (json_error_code(&where) == json_error_out_of_memory) {
			return refuse(ret, CN_REPLY_INTERNAL, "out of memory");
		}
		return refuse(ret, CN_REPLY_BAD_REQUEST,
		    "no valid JSON at byte %d of the line", where.position);
	}
	if (!json_is_object(json)) {
		err = refuse(
		    ret, CN_REPLY_BAD_REQUEST, "a request is a JSON object");
	} else {
		err = read_head(json, ret);
	}
	if (err == CN_OK) {
		err = read_fields(json, ret);
	}
	json_decref(json);
	return err;
}

int
cn_request_encode(const struct cn_request *request, struct cn_buf *out)
{
	unsigned takes = commands[request->command].takes;
	json_t *json = json_pack("{s:i, s:I, s:s}", "v",
	    (int)CN_MESSAGE_VERSION, "id", (json_int_t)request->id, "cmd",
	    cn_command_name(request->command));
	int failed = json == NULL ? -1 : 0;

	assert(request->command > CN_COMMAND_NONE);
	assert(request->id <= INT64_MAX && request->stream <= INT64_MAX);
	assert(request->cursor <= INT64_MAX);
	if (failed == 0 && (takes & TAKES_STREAM) != 0) {
		failed = json_object_set_new(
		    json, "stream", json_integer((json_int_t)request->stream));
	}
	if (failed == 0 && (takes & TAKES_PAGE) != 0) {
		failed = json_object_set_new(
		    json, "cursor", json_integer((json_int_t)request->cursor));
	}
	if (failed == 0 && (takes & TAKES_PAGE) != 0 && request->limit != 0) {
		failed = json_object_set_new(
		    json, "limit", json_integer((json_int_t)request->limit));
	}
	int err = failed != 0 ? CN_ENOMEM : cn_line_append(out, json);
	json_decref(json);
	return err;
}
