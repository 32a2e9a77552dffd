/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/api.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "manage/assets.h"
#include "manage/httpreply.h"
#include "manage/metrics.h"
#include "manage/problem.h"
#include "manage/routes.h"

/* One request and what is known of it. */
struct visit {
	struct cn_api *api;
	struct cn_http_conn *conn;
	const struct cn_http_head *head;
	struct cn_guard_verdict verdict;
	struct cn_route_match match;
	struct cn_http_reply reply;
	bool is_body_read;
};

void
cn_api_refuse(void *owner CN_UNUSED, struct cn_http_conn *conn, unsigned status,
    const char *why)
{
	struct cn_http_reply reply = { .status = status, .is_last = true };

	(void)cn_http_reply_problem(conn, &reply, "bad-request", why);
}

/* A body that nobody read, or a client without a right: no second request
 * comes this way. */
static void
settle(struct visit *visit)
{
	visit->reply.is_without_body = visit->head->method == CN_HTTP_HEAD;
	visit->reply.is_last = !visit->head->is_kept ||
	    visit->verdict.right == CN_RIGHT_NONE ||
	    (visit->head->body > 0 && !visit->is_body_read);
}

static enum cn_http_fate
problem(
    struct visit *visit, unsigned status, const char *code, const char *detail)
{
	visit->reply.status = status;
	settle(visit);
	return cn_http_reply_problem(visit->conn, &visit->reply, code, detail);
}

static enum cn_http_fate
send_bytes(struct visit *visit, unsigned status, const char *type,
    const void *body, size_t len)
{
	visit->reply.status = status;
	visit->reply.type = type;
	visit->reply.body = body;
	visit->reply.len = len;
	settle(visit);
	return cn_http_reply_send(visit->conn, &visit->reply);
}

static enum cn_http_fate
refuse(struct visit *visit)
{
	const struct cn_guard_verdict *verdict = &visit->verdict;

	if (verdict->status == 401) {
		cn_http_reply_add(&visit->reply,
		    "WWW-Authenticate: Bearer realm=\"CompressNET\"");
	}
	if (verdict->status == 429) {
		cn_http_reply_add(&visit->reply, "Retry-After: 1");
	}
	return problem(visit, verdict->status, verdict->code, verdict->detail);
}

/* ---- bodies ---- */

/* Read the body; a status other than 0: the answer is that problem. */
static int
read_body(struct visit *visit, struct cn_buf *out)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const struct cn_http_head *head = visit->head;
	int err = CN_OK;

	if (head->body > CN_API_BODY_MAX) {
		return CN_ELIMIT;
	}
	if (head->is_waiting && head->body > 0) {
		err = cn_http_conn_send(visit->conn, go_on, sizeof(go_on) - 1);
	}
	if (err == CN_OK) {
		err = cn_http_conn_body(visit->conn, (size_t)head->body, out);
	}
	visit->is_body_read = err == CN_OK;
	return err;
}

/* A JSON object, or none at all. */
static int
read_json(struct visit *visit, json_t **ret)
{
	json_error_t where;
	struct cn_buf body;
	int err;

	cn_buf_init(&body, CN_API_BODY_MAX);
	err = read_body(visit, &body);
	if (err == CN_OK && body.len > 0) {
		*ret = json_loadb((const char *)body.data, body.len,
		    JSON_REJECT_DUPLICATES, &where);
		err = json_is_object(*ret) ? CN_OK : CN_EINVAL;
	}
	cn_buf_fini(&body);
	return err;
}

/* ---- fields ---- */

static int
set_number(json_t *fields, const char *name, const char *text)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' ||
	    value > INT64_MAX) {
		return CN_EINVAL;
	}
	return json_object_set_new(
		   fields, name, json_integer((json_int_t)value)) == 0
	    ? CN_OK
	    : CN_ENOMEM;
}

static int
set_text(json_t *fields, const struct cn_route_field *field, const char *text)
{
	if (field->is_number) {
		return set_number(fields, field->to, text);
	}
	json_t *value = json_string(text);
	return value == NULL                                     ? CN_EINVAL
	    : json_object_set_new(fields, field->to, value) == 0 ? CN_OK
								 : CN_ENOMEM;
}

static int
set_json(json_t *fields, const struct cn_route_field *field, json_t *value)
{
	if (value == NULL) {
		return field->is_required ? CN_EINVAL : CN_OK;
	}
	if (field->is_number
		? !json_is_integer(value) || json_integer_value(value) < 0
		: !json_is_string(value)) {
		return CN_EINVAL;
	}
	return json_object_set(fields, field->to, value) == 0 ? CN_OK
							      : CN_ENOMEM;
}

static int
set_field(struct visit *visit, size_t i, json_t *body, json_t *fields)
{
	const struct cn_route_field *field = &visit->match.route->field[i];
	char text[CN_ROUTE_VALUE_MAX];
	int err;

	switch (field->place) {
	case CN_ROUTE_PATH:
		return set_text(fields, field, visit->match.value[i]);
	case CN_ROUTE_QUERY:
		err = cn_http_query(
		    visit->head->query, field->name, text, sizeof(text));
		if (err == CN_ENOENT) {
			return field->is_required ? CN_EINVAL : CN_OK;
		}
		return err < 0 ? CN_EINVAL : set_text(fields, field, text);
	case CN_ROUTE_BODY:
		return set_json(
		    fields, field, json_object_get(body, field->name));
	}
	return CN_EINVAL;
}

/* Is every name of the query one that the route knows? */
static bool
is_query_known(const struct visit *visit)
{
	struct cn_http_text rest = visit->head->query;

	while (rest.len > 0) {
		const char *amp = memchr(rest.at, '&', rest.len);
		size_t len = amp != NULL ? (size_t)(amp - rest.at) : rest.len;
		const char *equals = memchr(rest.at, '=', len);
		struct cn_http_text name = { rest.at,
			equals != NULL ? (size_t)(equals - rest.at) : len };
		bool is_known = false;

		for (size_t i = 0; i < CN_ROUTE_FIELDS_MAX; i++) {
			const struct cn_route_field *field =
			    &visit->match.route->field[i];

			is_known = is_known ||
			    (field->name != NULL &&
				field->place == CN_ROUTE_QUERY &&
				cn_http_is(name, field->name));
		}
		if (!is_known) {
			return false;
		}
		len += amp != NULL ? 1 : 0;
		rest.at += len;
		rest.len -= len;
	}
	return true;
}

/* Fill the fields; on CN_EINVAL *wrong names what is wrong. */
static int
set_fields(
    struct visit *visit, json_t *body, json_t *fields, const char **wrong)
{
	const struct cn_route *route = visit->match.route;
	size_t used = 0;
	int err = CN_OK;

	*wrong = "query";
	if (!is_query_known(visit)) {
		return CN_EINVAL;
	}
	for (size_t i = 0; err == CN_OK && i < CN_ROUTE_FIELDS_MAX; i++) {
		if (route->field[i].name == NULL) {
			break;
		}
		*wrong = route->field[i].name;
		err = set_field(visit, i, body, fields);
		used += route->field[i].place == CN_ROUTE_BODY &&
			json_object_get(body, route->field[i].name) != NULL
		    ? 1
		    : 0;
	}
	if (err == CN_OK && json_object_size(body) > used) {
		*wrong = "body";
		err = CN_EINVAL;
	}
	if (err == CN_OK && route->has_zero_bytes &&
	    json_object_set_new(fields, "bytes", json_integer(0)) != 0) {
		err = CN_ENOMEM;
	}
	return err;
}

/* ---- the gateway's commands ---- */

/* The tag that If-Match names; false: there is none, or several. */
static bool
take_etag(struct visit *visit, json_t *fields)
{
	struct cn_http_text match = cn_http_field(visit->head, "if-match");

	return match.len > 2 && match.at[0] == '"' &&
	    match.at[match.len - 1] == '"' &&
	    memchr(match.at + 1, '"', match.len - 2) == NULL &&
	    json_object_set_new(
		fields, "etag", json_stringn(match.at + 1, match.len - 2)) == 0;
}

static enum cn_http_fate
answer(struct visit *visit, const struct cn_answer *answer)
{
	if (answer->next != 0) {
		cn_http_reply_add(&visit->reply,
		    "Link: <?cursor=%llu>; rel=\"next\"",
		    (unsigned long long)answer->next);
	}
	if (visit->match.route->has_etag && answer->etag[0] != '\0') {
		cn_http_reply_add(&visit->reply, "ETag: \"%s\"", answer->etag);
	}
	if (answer->status == 503) {
		cn_http_reply_add(&visit->reply, "Retry-After: 1");
	}
	return send_bytes(visit, answer->status,
	    answer->status == 200 ? "application/json" : CN_PROBLEM_TYPE,
	    answer->body, answer->len);
}

static enum cn_http_fate
ask(struct visit *visit, json_t *fields, const struct cn_buf *payload)
{
	const struct cn_route *route = visit->match.route;
	struct cn_question question = {
		.command = route->command,
		.fields = fields,
		.payload = payload,
		.max_age_us = (uint64_t)route->max_age_ms * 1000,
		.is_change = route->right == CN_RIGHT_CHANGE,
		.timeout_us = route->max_age_ms == 0 ? UINT64_C(30000000) : 0,
	};
	struct cn_answer *got = NULL;
	enum cn_http_fate fate;

	if (cn_asker_ask(visit->api->asker, &question, &got) != CN_OK) {
		return problem(visit, 500, "internal", "out of memory");
	}
	if (question.is_change) {
		CN_LOG(CN_LOG_INFO, "change", "command=%s client=%s status=%u",
		    route->command, CN_LOG_STR(visit->conn->remote),
		    got->status);
	}
	fate = answer(visit, got);
	cn_answer_free(&got);
	return fate;
}

static enum cn_http_fate
handle_payload(struct visit *visit, json_t *fields)
{
	enum cn_http_fate fate;
	struct cn_buf body;
	int err;

	if (cn_http_field(visit->head, "if-match").at == NULL) {
		return problem(visit, 428, "no-etag",
		    "send the ETag of what you read as If-Match");
	}
	if (!take_etag(visit, fields)) {
		return problem(visit, 412, "conflict",
		    "If-Match must be one ETag in double quotes");
	}
	cn_buf_init(&body, CN_API_BODY_MAX);
	err = read_body(visit, &body);
	if (err == CN_ELIMIT) {
		fate = problem(
		    visit, 413, "too-long", "a body has at most 1048576 bytes");
	} else if (err < 0) {
		fate = CN_HTTP_CLOSE;
	} else if (body.len == 0) {
		fate = problem(visit, 400, "bad-request",
		    "the body must be the managed configuration, as YAML");
	} else {
		fate = ask(visit, fields, &body);
	}
	cn_buf_fini(&body);
	return fate;
}

static enum cn_http_fate
say_wrong(struct visit *visit, const char *wrong)
{
	char detail[128];

	(void)snprintf(detail, sizeof(detail),
	    "'%s' is missing, unknown here, or not of its kind", wrong);
	return problem(visit, 400, "bad-request", detail);
}

/* Give fields, and what the body says, to a function of the route. */
static enum cn_http_fate
with_fields(struct visit *visit,
    enum cn_http_fate (*then)(struct visit *visit, json_t *fields))
{
	json_t *fields = json_object(), *body = NULL;
	const char *wrong = "body";
	enum cn_http_fate fate;
	int err = fields == NULL ? CN_ENOMEM : CN_OK;

	if (err == CN_OK && !visit->match.route->has_payload) {
		err = read_json(visit, &body);
	}
	if (err == CN_OK) {
		err = set_fields(visit, body, fields, &wrong);
	}
	if (err == CN_OK) {
		fate = then(visit, fields);
	} else if (err == CN_EINVAL) {
		fate = say_wrong(visit, wrong);
	} else if (err == CN_ELIMIT) {
		fate = problem(
		    visit, 413, "too-long", "a body has at most 1048576 bytes");
	} else if (err == CN_ENOMEM) {
		fate = problem(visit, 500, "internal", "out of memory");
	} else {
		fate = CN_HTTP_CLOSE; /* the client went away */
	}
	json_decref(body);
	json_decref(fields);
	return fate;
}

static enum cn_http_fate
ask_plain(struct visit *visit, json_t *fields)
{
	return visit->match.route->has_payload ? handle_payload(visit, fields)
					       : ask(visit, fields, NULL);
}

/* ---- sessions ---- */

static enum cn_http_fate
sign_in(struct visit *visit, json_t *fields)
{
	static const char done[] = "{\"right\":\"change\"}\n";
	const char *code = json_string_value(json_object_get(fields, "code"));
	char session[CN_GUARD_DIGITS + 1];

	if (cn_http_field(visit->head, "x-compressnet").len == 0) {
		return problem(visit, 403, "not-from-page",
		    "signing in needs the header X-CompressNET");
	}
	if (cn_guard_sign_in(visit->api->guard, visit->conn, code, session) !=
	    CN_OK) {
		return problem(visit, 401, "wrong-code",
		    "this address was used, or is older than five minutes: "
		    "ask `compressnet dashboard' for another");
	}
	visit->verdict.right = CN_RIGHT_CHANGE;
	cn_http_reply_add(&visit->reply,
	    "Set-Cookie: cn_session=%s; Path=/; HttpOnly; SameSite=Strict; "
	    "Max-Age=43200%s",
	    session, visit->api->is_tls ? "; Secure" : "");
	return send_bytes(
	    visit, 200, "application/json", done, sizeof(done) - 1);
}

static enum cn_http_fate
handle_session(struct visit *visit)
{
	static const char change[] = "{\"right\":\"change\"}\n";
	static const char read[] = "{\"right\":\"read\"}\n";

	if (visit->head->method == CN_HTTP_POST) {
		return with_fields(visit, sign_in);
	}
	if (visit->head->method == CN_HTTP_DELETE) {
		cn_guard_sign_out(visit->api->guard, visit->head);
		cn_http_reply_add(&visit->reply,
		    "Set-Cookie: cn_session=; Path=/; HttpOnly; "
		    "SameSite=Strict; Max-Age=0");
		return send_bytes(visit, 204, NULL, NULL, 0);
	}
	return visit->verdict.right == CN_RIGHT_CHANGE
	    ? send_bytes(
		  visit, 200, "application/json", change, sizeof(change) - 1)
	    : send_bytes(
		  visit, 200, "application/json", read, sizeof(read) - 1);
}

/* ---- others ---- */

static enum cn_http_fate
handle_watch(struct visit *visit)
{
	if (visit->head->method == CN_HTTP_HEAD) {
		return send_bytes(visit, 200, "text/event-stream", NULL, 0);
	}
	if (!cn_watch_has_room(visit->api->watch)) {
		cn_http_reply_add(&visit->reply, "Retry-After: 10");
		return problem(
		    visit, 503, "busy", "as many as may are watching already");
	}
	visit->reply.status = 200;
	visit->reply.type = "text/event-stream";
	visit->reply.is_stream = true;
	settle(visit);
	visit->reply.is_last = true;
	cn_http_reply_add(&visit->reply, "X-Accel-Buffering: no");
	(void)cn_http_reply_send(visit->conn, &visit->reply);
	cn_buf_clear(&visit->conn->in);
	return cn_watch_add(visit->api->watch, visit->conn) == CN_OK
	    ? CN_HTTP_TAKEN
	    : CN_HTTP_CLOSE;
}

static enum cn_http_fate
handle_ready(struct visit *visit)
{
	static const char ready[] = "ready\n";
	struct cn_question question = { .command = "status",
		.max_age_us = 1000000 };
	struct cn_answer *got = NULL;
	const char *state = NULL;
	enum cn_http_fate fate;

	if (cn_asker_ask(visit->api->asker, &question, &got) == CN_OK &&
	    got->status == 200) {
		state = json_string_value(json_object_get(
		    json_object_get(got->data, "gateway"), "state"));
	}
	if (state != NULL &&
	    (strcmp(state, "up") == 0 || strcmp(state, "degraded") == 0)) {
		fate = send_bytes(visit, 200, "text/plain; charset=utf-8",
		    ready, sizeof(ready) - 1);
	} else {
		fate = problem(visit, 503, "not-ready",
		    state != NULL ? "the gateway is not up"
				  : "no gateway answers");
	}
	cn_answer_free(&got);
	return fate;
}

static enum cn_http_fate
handle_metrics(struct visit *visit)
{
	struct cn_metrics_serve serve = {
		.failures = cn_guard_failures(visit->api->guard),
		.asked = cn_asker_asked(visit->api->asker),
	};
	enum cn_http_fate fate;
	struct cn_buf text;

	cn_httpd_counts(visit->api->httpd, &serve.counts);
	cn_buf_init(&text, CN_METRICS_MAX);
	if (cn_metrics_make(visit->api->asker, &serve, &text) == CN_OK) {
		fate = send_bytes(visit, 200,
		    "text/plain; version=0.0.4; charset=utf-8", text.data,
		    text.len);
	} else {
		fate = problem(visit, 500, "internal", "out of memory");
	}
	cn_buf_fini(&text);
	return fate;
}

static enum cn_http_fate
handle_route(struct visit *visit)
{
	static const char live[] = "ok\n";

	switch (visit->match.route->kind) {
	case CN_ROUTE_ASK:
		return with_fields(visit, ask_plain);
	case CN_ROUTE_WATCH:
		return handle_watch(visit);
	case CN_ROUTE_SESSION:
		return handle_session(visit);
	case CN_ROUTE_OPENAPI:
		return send_bytes(visit, 200, "application/json",
		    visit->api->openapi, visit->api->openapi_len);
	case CN_ROUTE_LIVE:
		return send_bytes(visit, 200, "text/plain; charset=utf-8", live,
		    sizeof(live) - 1);
	case CN_ROUTE_READY:
		return handle_ready(visit);
	case CN_ROUTE_METRICS:
		return handle_metrics(visit);
	}
	return problem(visit, 500, "internal", "no such kind of route");
}

/* ---- the dashboard's files ---- */

static const struct cn_asset *
find_asset(struct cn_http_text path)
{
	if (cn_http_is(path, "/")) {
		path = (struct cn_http_text){ "/index.html", 11 };
	}
	for (size_t i = 0; i < cn_assets_count; i++) {
		if (cn_http_is(path, cn_assets[i].path)) {
			return &cn_assets[i];
		}
	}
	return NULL;
}

static bool
takes_gzip(const struct cn_http_head *head)
{
	struct cn_http_text text = cn_http_field(head, "accept-encoding");

	/* "gzip;q=0" is nobody's wish in earnest; gzip is read by all. */
	return text.at != NULL && memmem(text.at, text.len, "gzip", 4) != NULL;
}

static enum cn_http_fate
handle_asset(struct visit *visit, const struct cn_asset *asset)
{
	struct cn_http_text known = cn_http_field(visit->head, "if-none-match");
	bool is_packed = takes_gzip(visit->head);

	if (visit->head->method != CN_HTTP_GET &&
	    visit->head->method != CN_HTTP_HEAD) {
		cn_http_reply_add(&visit->reply, "Allow: GET, HEAD");
		return problem(
		    visit, 405, "bad-method", "files can only be read");
	}
	visit->reply.is_lasting = true;
	cn_http_reply_add(&visit->reply, "Cache-Control: no-cache");
	cn_http_reply_add(&visit->reply, "Vary: Accept-Encoding");
	/* Weak: the same file, packed or not. */
	cn_http_reply_add(&visit->reply, "ETag: W/%s", asset->etag);
	if (known.at != NULL &&
	    memmem(known.at, known.len, asset->etag, strlen(asset->etag)) !=
		NULL) {
		return send_bytes(visit, 304, NULL, NULL, 0);
	}
	if (!is_packed) {
		return send_bytes(
		    visit, 200, asset->type, asset->plain, asset->plain_len);
	}
	cn_http_reply_add(&visit->reply, "Content-Encoding: gzip");
	return send_bytes(
	    visit, 200, asset->type, asset->gzip, asset->gzip_len);
}

/* ---- the handler ---- */

static bool
begins_with(struct cn_http_text text, const char *prefix)
{
	size_t len = strlen(prefix);

	return text.len >= len && memcmp(text.at, prefix, len) == 0;
}

static enum cn_right
needed_right(const struct visit *visit)
{
	const struct cn_route *route = visit->match.route;

	if (route == NULL) {
		/* What there is in the API is not told to everyone. */
		return visit->match.is_path ||
			begins_with(visit->head->path, "/api/")
		    ? CN_RIGHT_READ
		    : CN_RIGHT_NONE;
	}
	if (route->kind == CN_ROUTE_METRICS &&
	    atomic_load(&visit->api->is_metrics_open)) {
		return CN_RIGHT_NONE;
	}
	return route->right;
}

static enum cn_http_fate
dispatch(struct visit *visit)
{
	const struct cn_asset *asset;

	if (visit->match.route != NULL) {
		return handle_route(visit);
	}
	if (visit->match.is_path) {
		cn_http_reply_add(
		    &visit->reply, "Allow: %s", visit->match.allow);
		return problem(visit, 405, "bad-method",
		    "this path has other methods: see Allow");
	}
	asset = find_asset(visit->head->path);
	return asset != NULL
	    ? handle_asset(visit, asset)
	    : problem(visit, 404, "not-found", "there is nothing here");
}

enum cn_http_fate
cn_api_handle(
    void *owner, struct cn_http_conn *conn, const struct cn_http_head *head)
{
	struct visit visit = { .api = owner, .conn = conn, .head = head };
	bool is_change =
	    head->method != CN_HTTP_GET && head->method != CN_HTTP_HEAD;

	cn_route_find(head->method, head->path, &visit.match);
	cn_guard_check(visit.api->guard, conn, head, needed_right(&visit),
	    is_change, &visit.verdict);
	if (visit.verdict.status != 0) {
		return refuse(&visit);
	}
	return dispatch(&visit);
}
