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
#define TAKES_CURSOR 0x02u
#define TAKES_LIMIT 0x04u
#define TAKES_BYTES 0x08u
#define TAKES_PAYLOAD 0x10u
#define TAKES_KEY 0x20u
#define TAKES_SERVICE 0x40u
#define TAKES_CLIENT 0x80u
#define TAKES_TARGET 0x100u
#define TAKES_PEER 0x200u
#define TAKES_ETAG 0x400u
#define TAKES_INVITE 0x800u /* address, offers, expires_s */
#define TAKES_JOIN 0x1000u  /* token, forwards */
#define TAKES_STORED 0x2000u

static const struct {
	const char *name;
	enum cn_access access;
	unsigned takes;
} commands[CN_COMMAND_MAX] = {
	[CN_COMMAND_NONE] = { "none", CN_ACCESS_CHANGE, 0 },
	[CN_COMMAND_VERSION] = { "version", CN_ACCESS_READ, 0 },
	[CN_COMMAND_STATUS] = { "status", CN_ACCESS_READ, 0 },
	[CN_COMMAND_STREAMS] = { "streams", CN_ACCESS_READ,
	    TAKES_CURSOR | TAKES_LIMIT },
	[CN_COMMAND_STREAM_SHOW] = { "stream-show", CN_ACCESS_READ,
	    TAKES_STREAM },
	[CN_COMMAND_STREAM_WHY] = { "stream-why", CN_ACCESS_READ,
	    TAKES_STREAM },
	[CN_COMMAND_STREAM_KILL] = { "stream-kill", CN_ACCESS_CHANGE,
	    TAKES_STREAM },
	[CN_COMMAND_PEERS] = { "peers", CN_ACCESS_READ, 0 },
	[CN_COMMAND_SERVICES] = { "services", CN_ACCESS_READ, 0 },
	[CN_COMMAND_SERVICE_WHY] = { "service-why", CN_ACCESS_READ,
	    TAKES_SERVICE },
	[CN_COMMAND_SERVICE_TEST] = { "service-test", CN_ACCESS_READ,
	    TAKES_TARGET },
	[CN_COMMAND_CONFIG] = { "config", CN_ACCESS_READ, 0 },
	[CN_COMMAND_CONFIG_DIFF] = { "config-diff", CN_ACCESS_READ, 0 },
	[CN_COMMAND_CONFIG_WRITE] = { "config-write", CN_ACCESS_CHANGE,
	    TAKES_ETAG | TAKES_PAYLOAD },
	[CN_COMMAND_RELOAD] = { "reload", CN_ACCESS_CHANGE, 0 },
	[CN_COMMAND_EVENTS] = { "events", CN_ACCESS_READ,
	    TAKES_CURSOR | TAKES_LIMIT },
	[CN_COMMAND_PEER_DRAIN] = { "peer-drain", CN_ACCESS_CHANGE,
	    TAKES_PEER },
	[CN_COMMAND_PEER_RESUME] = { "peer-resume", CN_ACCESS_CHANGE,
	    TAKES_PEER },
	[CN_COMMAND_PEER_REMOVE] = { "peer-remove", CN_ACCESS_CHANGE,
	    TAKES_PEER },
	[CN_COMMAND_INVITE] = { "invite", CN_ACCESS_CHANGE,
	    TAKES_PEER | TAKES_INVITE },
	[CN_COMMAND_JOIN] = { "join", CN_ACCESS_CHANGE,
	    TAKES_PEER | TAKES_JOIN },
	[CN_COMMAND_STORE] = { "store", CN_ACCESS_READ, 0 },
	[CN_COMMAND_STORE_VERIFY] = { "store-verify", CN_ACCESS_CHANGE,
	    TAKES_CURSOR },
	[CN_COMMAND_STORE_TRIM] = { "store-trim", CN_ACCESS_CHANGE,
	    TAKES_BYTES },
	[CN_COMMAND_STORE_EXPORT] = { "store-export", CN_ACCESS_CHANGE,
	    TAKES_CURSOR | TAKES_KEY },
	[CN_COMMAND_STORE_IMPORT] = { "store-import", CN_ACCESS_CHANGE,
	    TAKES_CURSOR | TAKES_PAYLOAD | TAKES_KEY },
	[CN_COMMAND_STORE_WARM] = { "store-warm", CN_ACCESS_CHANGE,
	    TAKES_SERVICE | TAKES_CLIENT },
	[CN_COMMAND_STORE_WARM_END] = { "store-warm-end", CN_ACCESS_CHANGE, 0 },
	[CN_COMMAND_PROBE] = { "probe", CN_ACCESS_CHANGE,
	    TAKES_PEER | TAKES_SERVICE | TAKES_STORED },
	[CN_COMMAND_PROBE_END] = { "probe-end", CN_ACCESS_CHANGE, 0 },
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
	uint64_t payload = 0;
	int err = read_number(json, "id", INT64_MAX, request, &request->id);

	if (err == CN_OK) {
		err = read_number(
		    json, "payload", CN_PAYLOAD_MAX, request, &payload);
		request->payload = (uint32_t)payload;
	}
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

static const struct {
	const char *name;
	unsigned takes;
} fields[] = {
	{ "v", 0 },
	{ "id", 0 },
	{ "cmd", 0 },
	{ "stream", TAKES_STREAM },
	{ "cursor", TAKES_CURSOR },
	{ "limit", TAKES_LIMIT },
	{ "bytes", TAKES_BYTES },
	{ "payload", TAKES_PAYLOAD },
	{ "key", TAKES_KEY },
	{ "service", TAKES_SERVICE },
	{ "client", TAKES_CLIENT },
	{ "target", TAKES_TARGET },
	{ "peer", TAKES_PEER },
	{ "etag", TAKES_ETAG },
	{ "address", TAKES_INVITE },
	{ "offers", TAKES_INVITE },
	{ "expires_s", TAKES_INVITE },
	{ "token", TAKES_JOIN },
	{ "forwards", TAKES_JOIN },
	{ "stored", TAKES_STORED },
};

static bool
is_field(const char *key, unsigned takes)
{
	for (size_t i = 0; i < CN_ARRAY_LEN(fields); i++) {
		if (strcmp(key, fields[i].name) == 0) {
			return (fields[i].takes & ~takes) == 0;
		}
	}
	return false;
}

/* Every key must be one that the command takes: no silent typing errors. */
static int
check_keys(const json_t *json, struct cn_request *request)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)json, key, value)
	{
		(void)value;
		if (!is_field(key, commands[request->command].takes)) {
			return refuse(request, CN_REPLY_BAD_REQUEST,
			    "'%s' takes no such field as the one given",
			    cn_command_name(request->command));
		}
	}
	return CN_OK;
}

static int
digit_of(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits);
}

/* Hexadecimal, lower case. */
static int
read_key(const json_t *json, struct cn_request *request)
{
	const json_t *value = json_object_get(json, "key");
	const char *text = json_string_value(value);
	bool is_good = text != NULL &&
	    json_string_length(value) == (size_t)2 * CN_REQUEST_KEY_BYTES;

	for (size_t i = 0; is_good && i < CN_REQUEST_KEY_BYTES; i++) {
		int high = digit_of(text[2 * i]);
		int low = digit_of(text[2 * i + 1]);

		is_good = high >= 0 && low >= 0;
		if (is_good) {
			request->key[i] = (uint8_t)(high * 16 + low);
		}
	}
	return is_good ? CN_OK
		       : refuse(request, CN_REPLY_BAD_REQUEST,
			     "'key' must be %u hexadecimal digits",
			     2 * CN_REQUEST_KEY_BYTES);
}

/* Copy a text without control characters that is not empty. */
static int
copy_text(const json_t *value, const char *name, struct cn_request *request,
    char *ret, size_t size)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);
	bool is_good = text != NULL && len > 0 && len < size;

	for (size_t i = 0; is_good && i < len; i++) {
		is_good = (unsigned char)text[i] >= ' ' && text[i] != 0x7f;
	}
	if (!is_good) {
		return refuse(request, CN_REPLY_BAD_REQUEST,
		    "'%s' must be a text of 1 to %zu bytes", name, size - 1);
	}
	memcpy(ret, text, len + 1);
	return CN_OK;
}

/* The same of a field; empty only where it is not given. */
static int
read_text(const json_t *json, const char *name, struct cn_request *request,
    char *ret, size_t size)
{
	const json_t *value = json_object_get(json, name);

	return value == NULL ? CN_OK
			     : copy_text(value, name, request, ret, size);
}

/* A text that must be given. */
static int
need_text(const json_t *json, const char *name, struct cn_request *request,
    char *ret, size_t size)
{
	return copy_text(json_object_get(json, name), name, request, ret, size);
}

/* A list of texts, or nothing. */
static int
read_items(const json_t *json, const char *name, struct cn_request *request)
{
	const json_t *list = json_object_get(json, name);
	size_t count = json_array_size(list);
	int err = CN_OK;

	if (list != NULL &&
	    (!json_is_array(list) || count > CN_REQUEST_ITEMS_MAX)) {
		return refuse(request, CN_REPLY_BAD_REQUEST,
		    "'%s' must be a list of at most %u texts", name,
		    CN_REQUEST_ITEMS_MAX);
	}
	for (size_t i = 0; i < count && err == CN_OK; i++) {
		err = copy_text(json_array_get(list, i), name, request,
		    request->items[i], CN_REQUEST_ITEM_MAX);
		request->items_count = (uint32_t)i + 1;
	}
	return err;
}

static int
read_invite(const json_t *json, struct cn_request *request)
{
	uint64_t expires = CN_REQUEST_EXPIRES_S;
	int err = need_text(json, "address", request, request->address,
	    sizeof(request->address));

	if (err == CN_OK) {
		err = read_items(json, "offers", request);
	}
	if (err == CN_OK) {
		err = read_number(json, "expires_s", CN_REQUEST_EXPIRES_MAX_S,
		    request, &expires);
	}
	if (err == CN_OK && expires == 0) {
		return refuse(request, CN_REPLY_BAD_REQUEST,
		    "'expires_s' must be 1 or more");
	}
	request->expires_s = (uint32_t)expires;
	return err;
}

static int
read_join(const json_t *json, struct cn_request *request)
{
	int err = need_text(
	    json, "token", request, request->token, sizeof(request->token));

	return err != CN_OK ? err : read_items(json, "forwards", request);
}

/* What has to do with peers and the configuration. */
static int
read_pairing(const json_t *json, unsigned takes, struct cn_request *request)
{
	int err = CN_OK;

	if ((takes & TAKES_PEER) != 0) {
		err = need_text(json, "peer", request, request->peer,
		    sizeof(request->peer));
	}
	if (err == CN_OK && (takes & TAKES_ETAG) != 0) {
		err = need_text(json, "etag", request, request->etag,
		    sizeof(request->etag));
	}
	if (err == CN_OK && (takes & TAKES_INVITE) != 0) {
		err = read_invite(json, request);
	}
	if (err == CN_OK && (takes & TAKES_JOIN) != 0) {
		err = read_join(json, request);
	}
	return err;
}

static int
read_service(const json_t *json, struct cn_request *request)
{
	int err = read_text(json, "service", request, request->service,
	    sizeof(request->service));

	if (err == CN_OK) {
		err = read_text(json, "client", request, request->client,
		    sizeof(request->client));
	}
	if (err == CN_OK && request->service[0] == '\0') {
		return refuse(request, CN_REPLY_BAD_REQUEST,
		    "'service' must be the name of a service");
	}
	return err;
}

static int
read_target(const json_t *json, struct cn_request *request)
{
	int err = read_text(
	    json, "target", request, request->target, sizeof(request->target));

	if (err == CN_OK && request->target[0] == '\0') {
		return refuse(request, CN_REPLY_BAD_REQUEST,
		    "'target' must be an address, HOST:PORT");
	}
	return err;
}

static int
read_truth(
    const json_t *json, const char *name, struct cn_request *request, bool *ret)
{
	const json_t *value = json_object_get(json, name);

	if (value != NULL && !json_is_boolean(value)) {
		return refuse(request, CN_REPLY_BAD_REQUEST,
		    "'%s' must be true or false", name);
	}
	*ret = json_is_true(value);
	return CN_OK;
}

static int
read_numbers(const json_t *json, struct cn_request *request)
{
	uint64_t limit = CN_SNAP_STREAMS_PAGE;
	int err =
	    read_number(json, "stream", INT64_MAX, request, &request->stream);

	if (err == CN_OK) {
		err = read_number(
		    json, "cursor", INT64_MAX, request, &request->cursor);
	}
	if (err == CN_OK) {
		err = read_number(
		    json, "bytes", INT64_MAX, request, &request->bytes);
	}
	if (err == CN_OK) {
		err = read_number(json, "limit", INT64_MAX, request, &limit);
	}
	if (err == CN_OK && limit == 0) {
		return refuse(
		    request, CN_REPLY_BAD_REQUEST, "'limit' must be 1 or more");
	}
	request->limit = (uint32_t)CN_MIN(limit, CN_SNAP_STREAMS_PAGE);
	return err;
}

static int
read_fields(const json_t *json, struct cn_request *request)
{
	unsigned takes = commands[request->command].takes;
	int err = check_keys(json, request);

	if (err == CN_OK) {
		err = read_numbers(json, request);
	}
	if (err == CN_OK && (takes & TAKES_KEY) != 0) {
		err = read_key(json, request);
	}
	if (err == CN_OK && (takes & TAKES_SERVICE) != 0) {
		err = read_service(json, request);
	}
	if (err == CN_OK && (takes & TAKES_TARGET) != 0) {
		err = read_target(json, request);
	}
	if (err == CN_OK) {
		err = read_pairing(json, takes, request);
	}
	if (err == CN_OK && (takes & TAKES_STORED) != 0) {
		err = read_truth(json, "stored", request, &request->is_stored);
	}
	if (err < 0) {
		return err;
	}
	if ((takes & TAKES_STREAM) != 0 && request->stream == 0) {
		return refuse(request, CN_REPLY_BAD_REQUEST,
		    "'stream' must be the id of a stream");
	}
	if ((takes & TAKES_BYTES) != 0 &&
	    json_object_get(json, "bytes") == NULL) {
		return refuse(request, CN_REPLY_BAD_REQUEST,
		    "'bytes' must say how much may be left");
	}
	if ((takes & TAKES_PAYLOAD) != 0 && request->payload == 0) {
		return refuse(request, CN_REPLY_BAD_REQUEST,
		    "'payload' must say how many bytes follow");
	}
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

/* Adds a number; *failed stays what it is once it is not 0. */
static void
put_number(json_t *json, const char *name, uint64_t value, int *failed)
{
	assert(value <= INT64_MAX);
	if (*failed == 0) {
		*failed = json_object_set_new(
		    json, name, json_integer((json_int_t)value));
	}
}

static void
put_key(json_t *json, const uint8_t *key, int *failed)
{
	char text[2 * CN_REQUEST_KEY_BYTES + 1];

	for (size_t i = 0; i < CN_REQUEST_KEY_BYTES; i++) {
		(void)snprintf(text + 2 * i, 3, "%02x", key[i]);
	}
	if (*failed == 0) {
		*failed = json_object_set_new(json, "key", json_string(text));
	}
}

static void
put_text(json_t *json, const char *name, const char *text, int *failed)
{
	if (*failed == 0 && text[0] != '\0') {
		*failed = json_object_set_new(json, name, json_string(text));
	}
}

static void
put_items(json_t *json, const char *name, const struct cn_request *request,
    int *failed)
{
	json_t *list = json_array();

	assert(request->items_count <= CN_REQUEST_ITEMS_MAX);
	for (uint32_t i = 0; i < request->items_count && *failed == 0; i++) {
		*failed =
		    json_array_append_new(list, json_string(request->items[i]));
	}
	if (*failed == 0) {
		*failed = json_object_set(json, name, list);
	}
	json_decref(list);
}

static void
put_pairing(
    json_t *json, unsigned takes, const struct cn_request *request, int *failed)
{
	if ((takes & TAKES_PEER) != 0) {
		put_text(json, "peer", request->peer, failed);
	}
	if ((takes & TAKES_ETAG) != 0) {
		put_text(json, "etag", request->etag, failed);
	}
	if ((takes & TAKES_INVITE) != 0) {
		put_text(json, "address", request->address, failed);
		put_items(json, "offers", request, failed);
		if (request->expires_s != 0) {
			put_number(
			    json, "expires_s", request->expires_s, failed);
		}
	}
	if ((takes & TAKES_JOIN) != 0) {
		put_text(json, "token", request->token, failed);
		put_items(json, "forwards", request, failed);
	}
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
	assert(request->id <= INT64_MAX);
	if ((takes & TAKES_STREAM) != 0) {
		put_number(json, "stream", request->stream, &failed);
	}
	if ((takes & TAKES_CURSOR) != 0) {
		put_number(json, "cursor", request->cursor, &failed);
	}
	if ((takes & TAKES_LIMIT) != 0 && request->limit != 0) {
		put_number(json, "limit", request->limit, &failed);
	}
	if ((takes & TAKES_BYTES) != 0) {
		put_number(json, "bytes", request->bytes, &failed);
	}
	if ((takes & TAKES_PAYLOAD) != 0) {
		put_number(json, "payload", request->payload, &failed);
	}
	if ((takes & TAKES_KEY) != 0) {
		put_key(json, request->key, &failed);
	}
	if ((takes & TAKES_SERVICE) != 0) {
		put_text(json, "service", request->service, &failed);
	}
	if ((takes & TAKES_CLIENT) != 0) {
		put_text(json, "client", request->client, &failed);
	}
	if ((takes & TAKES_TARGET) != 0) {
		put_text(json, "target", request->target, &failed);
	}
	put_pairing(json, takes, request, &failed);
	if ((takes & TAKES_STORED) != 0 && request->is_stored && failed == 0) {
		failed = json_object_set_new(json, "stored", json_true());
	}
	int err = failed != 0 ? CN_ENOMEM : cn_line_append(out, json);
	json_decref(json);
	return err;
}
