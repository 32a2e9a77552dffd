/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/routes.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "control/snapshot.h"

/* clang-format off */
#define NUMBER(name_, to_, place_, help_) \
	{ .name = (name_), .to = (to_), .place = CN_ROUTE_##place_, \
	  .is_number = true, .help = (help_) }
#define NEEDED(name_, to_, place_, help_) \
	{ .name = (name_), .to = (to_), .place = CN_ROUTE_##place_, \
	  .is_number = true, .is_required = true, .help = (help_) }
#define TEXT(name_, to_, place_, help_) \
	{ .name = (name_), .to = (to_), .place = CN_ROUTE_##place_, \
	  .is_required = true, .help = (help_) }
#define SHAPE(name_) \
	.shape = &cn_snap_##name_##_shape, .shape_name = #name_
#define READ(path_, command_, id_, tag_, age_) \
	.method = CN_HTTP_GET, .path = (path_), .command = (command_), \
	.right = CN_RIGHT_READ, .max_age_ms = (age_), .id = (id_), \
	.tag = (tag_)
#define CHANGE(method_, path_, command_, id_, tag_) \
	.method = CN_HTTP_##method_, .path = (path_), .command = (command_), \
	.right = CN_RIGHT_CHANGE, .id = (id_), .tag = (tag_)
#define STREAM_ID NEEDED("id", "stream", PATH, "id of a stream")
#define PEER_NAME TEXT("name", "peer", PATH, "name of a peer")
#define CURSOR NUMBER("cursor", "cursor", QUERY, "`next' of the page before")
#define LIMIT NUMBER("limit", "limit", QUERY, "entries of one page")
/* clang-format on */

const struct cn_route cn_routes[] = {
	{ READ("/api/v1/status", "status", "getStatus", "gateway", 1000),
	    .summary = "The whole picture but the streams", SHAPE(status) },
	{ READ("/api/v1/streams", "streams", "listStreams", "streams", 500),
	    .summary = "Live streams, page by page", SHAPE(streams),
	    .field = { CURSOR, LIMIT } },
	{ READ("/api/v1/streams/{id}", "stream-show", "getStream", "streams",
	      500),
	    .summary = "One stream", SHAPE(stream), .field = { STREAM_ID } },
	{ CHANGE(DELETE, "/api/v1/streams/{id}", "stream-kill", "killStream",
	      "streams"),
	    .summary = "Reset a stream at both ends", .field = { STREAM_ID } },
	{ READ("/api/v1/streams/{id}/why", "stream-why", "explainStream",
	      "streams", 1000),
	    .summary = "Why a stream is not smaller", .field = { STREAM_ID } },
	{ READ("/api/v1/peers", "peers", "listPeers", "peers", 500),
	    .summary = "Peers with their links and carriers", SHAPE(peers) },
	{ CHANGE(POST, "/api/v1/peers/{name}/drain", "peer-drain", "drainPeer",
	      "peers"),
	    .summary = "Take no new streams to or from a peer",
	    .field = { PEER_NAME } },
	{ CHANGE(POST, "/api/v1/peers/{name}/resume", "peer-resume",
	      "resumePeer", "peers"),
	    .summary = "End the draining of a peer", .field = { PEER_NAME } },
	{ CHANGE(DELETE, "/api/v1/peers/{name}", "peer-remove", "removePeer",
	      "peers"),
	    .summary = "Remove a peer from the managed configuration",
	    .field = { PEER_NAME } },
	{ READ("/api/v1/services", "services", "listServices", "services", 500),
	    .summary = "Services and offers", SHAPE(services) },
	{ READ("/api/v1/services/{name}/why", "service-why", "explainService",
	      "services", 1000),
	    .summary = "Why the streams of a service are not smaller",
	    .field = { TEXT(
		"name", "service", PATH, "name of a service or offer") } },
	{ CHANGE(POST, "/api/v1/services/test", "service-test", "testService",
	      "services"),
	    .summary = "Which service takes a connection",
	    .field = { TEXT("target", "target", BODY, "HOST:PORT") } },
	{ READ("/api/v1/store", "store", "getStore", "store", 1000),
	    .summary = "What crossed the WAN before", SHAPE(store) },
	{ CHANGE(
	      POST, "/api/v1/store/trim", "store-trim", "trimStore", "store"),
	    .summary = "Give up the oldest until so much is left",
	    .field = { NEEDED(
		"bytes", "bytes", BODY, "bytes that may be left") } },
	{ CHANGE(
	      POST, "/api/v1/store/clear", "store-trim", "clearStore", "store"),
	    .summary = "Give up all that is stored", .has_zero_bytes = true },
	{ CHANGE(POST, "/api/v1/store/verify", "store-verify", "verifyStore",
	      "store"),
	    .summary = "Check the next segments; go on with `next'",
	    SHAPE(walk), .field = { CURSOR } },
	{ READ("/api/v1/events", "events", "listEvents", "events", 500),
	    .summary = "What happened, page by page",
	    .field = { CURSOR, LIMIT } },
	{ READ("/api/v1/config", "config", "getConfig", "config", 500),
	    .summary = "The configuration in force", .has_etag = true },
	{ CHANGE(PUT, "/api/v1/config", "config-write", "putConfig", "config"),
	    .summary = "Replace the managed configuration and take it over",
	    .has_payload = true, .has_etag = true },
	{ CHANGE(POST, "/api/v1/reload", "reload", "reload", "config"),
	    .summary = "Read the configuration again" },
	{ READ("/api/v1/watch", NULL, "watch", "gateway", 0),
	    .kind = CN_ROUTE_WATCH,
	    .summary = "Status and events as they come (server-sent events)" },
	{ READ("/api/v1/openapi.json", NULL, "getOpenapi", "gateway", 0),
	    .kind = CN_ROUTE_OPENAPI, .summary = "This description" },
	{ .method = CN_HTTP_GET,
	    .path = "/api/v1/session",
	    .kind = CN_ROUTE_SESSION,
	    .right = CN_RIGHT_READ,
	    .id = "getSession",
	    .tag = "session",
	    .summary = "What the caller may do" },
	{ .method = CN_HTTP_POST,
	    .path = "/api/v1/session",
	    .kind = CN_ROUTE_SESSION,
	    .right = CN_RIGHT_NONE,
	    .id = "beginSession",
	    .tag = "session",
	    .summary = "Trade a code of `compressnet dashboard' for a cookie",
	    .field = { TEXT("code", "code", BODY, "64 digits, used once") } },
	{ .method = CN_HTTP_DELETE,
	    .path = "/api/v1/session",
	    .kind = CN_ROUTE_SESSION,
	    .right = CN_RIGHT_READ,
	    .id = "endSession",
	    .tag = "session",
	    .summary = "Sign out" },
	{ .method = CN_HTTP_GET,
	    .path = "/livez",
	    .kind = CN_ROUTE_LIVE,
	    .right = CN_RIGHT_NONE,
	    .id = "getLive",
	    .tag = "health",
	    .summary = "Does serve answer" },
	{ .method = CN_HTTP_GET,
	    .path = "/readyz",
	    .kind = CN_ROUTE_READY,
	    .right = CN_RIGHT_NONE,
	    .id = "getReady",
	    .tag = "health",
	    .summary = "Does the gateway answer, and is it up" },
	{ .method = CN_HTTP_GET,
	    .path = "/metrics",
	    .kind = CN_ROUTE_METRICS,
	    .right = CN_RIGHT_READ,
	    .id = "getMetrics",
	    .tag = "health",
	    .summary = "Metrics in the text format of Prometheus" },
};

const size_t cn_routes_count = CN_ARRAY_LEN(cn_routes);

const char *
cn_http_method_name(enum cn_http_method method)
{
	switch (method) {
	case CN_HTTP_GET:
		return "GET";
	case CN_HTTP_HEAD:
		return "HEAD";
	case CN_HTTP_POST:
		return "POST";
	case CN_HTTP_PUT:
		return "PUT";
	case CN_HTTP_DELETE:
		return "DELETE";
	case CN_HTTP_OTHER:
		break;
	}
	return "OTHER";
}

/* The next part of a path, without its slash. */
static struct cn_http_text
take_part(struct cn_http_text *path)
{
	const char *slash;
	struct cn_http_text part;

	path->at++;
	path->len--;
	slash = memchr(path->at, '/', path->len);
	part = (struct cn_http_text){ path->at,
		slash == NULL ? path->len : (size_t)(slash - path->at) };
	path->at += part.len;
	path->len -= part.len;
	return part;
}

/* Which field of the route a part in braces is. */
static size_t
field_of(const struct cn_route *route, struct cn_http_text part)
{
	for (size_t i = 0; i < CN_ROUTE_FIELDS_MAX; i++) {
		const char *name = route->field[i].name;

		if (name != NULL && route->field[i].place == CN_ROUTE_PATH &&
		    strlen(name) + 2 == part.len &&
		    memcmp(name, part.at + 1, part.len - 2) == 0) {
			return i;
		}
	}
	return CN_ROUTE_FIELDS_MAX;
}

static bool
matches(const struct cn_route *route, struct cn_http_text path,
    struct cn_route_match *ret)
{
	struct cn_http_text pattern = { route->path, strlen(route->path) };

	while (pattern.len > 0 && path.len > 0) {
		struct cn_http_text want = take_part(&pattern);
		struct cn_http_text part = take_part(&path);
		size_t field;

		if (want.len == 0 || want.at[0] != '{') {
			if (want.len != part.len ||
			    memcmp(want.at, part.at, part.len) != 0) {
				return false;
			}
			continue;
		}
		field = field_of(route, want);
		if (field == CN_ROUTE_FIELDS_MAX || part.len == 0 ||
		    cn_http_unescape(
			part, ret->value[field], CN_ROUTE_VALUE_MAX) != CN_OK) {
			return false;
		}
	}
	return pattern.len == 0 && path.len == 0;
}

static void
add_allowed(struct cn_route_match *ret, enum cn_http_method method)
{
	size_t len = strlen(ret->allow);

	(void)snprintf(ret->allow + len, sizeof(ret->allow) - len, "%s%s%s",
	    len > 0 ? ", " : "", cn_http_method_name(method),
	    method == CN_HTTP_GET ? ", HEAD" : "");
}

void
cn_route_find(enum cn_http_method method, struct cn_http_text path,
    struct cn_route_match *ret)
{
	if (method == CN_HTTP_HEAD) {
		method = CN_HTTP_GET;
	}
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < cn_routes_count; i++) {
		const struct cn_route *route = &cn_routes[i];

		if (!matches(route, path, ret)) {
			continue;
		}
		ret->is_path = true;
		add_allowed(ret, route->method);
		if (route->method == method) {
			ret->route = route;
			return;
		}
	}
}
