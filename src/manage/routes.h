/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_ROUTES_H
#define CN_MANAGE_ROUTES_H

/*
 * The table of the HTTP API: each path with its method, the command of the
 * control socket behind it, its fields, and the right that it asks for.
 * Dispatch, the OpenAPI file and the matrix of tests come from it.
 *
 * Life:   constant data.
 * Thread: any.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/shape.h"
#include "manage/guard.h"
#include "manage/httphead.h"

#define CN_ROUTE_FIELDS_MAX 6u
#define CN_ROUTE_VALUE_MAX 512u

enum cn_route_kind {
	CN_ROUTE_ASK,     /* a command of the control socket */
	CN_ROUTE_WATCH,   /* server-sent events */
	CN_ROUTE_SESSION, /* GET: which right; POST: begin; DELETE: end */
	CN_ROUTE_OPENAPI,
	CN_ROUTE_LIVE,
	CN_ROUTE_READY,
	CN_ROUTE_METRICS,
};

enum cn_route_place {
	CN_ROUTE_PATH,
	CN_ROUTE_QUERY,
	CN_ROUTE_BODY, /* of a JSON object */
};

struct cn_route_field {
	const char *name; /* as in the path, query or body */
	const char *to;   /* the control socket's name for it */
	enum cn_route_place place;
	bool is_number;
	bool is_required;
	const char *help;
};

struct cn_route {
	enum cn_http_method method;
	const char *path; /* parts in braces are fields */
	enum cn_route_kind kind;
	const char *command; /* of ASK */
	enum cn_right right;
	unsigned max_age_ms; /* an answer may be so old; 0: is always asked */
	bool has_payload;    /* the body goes behind the request as it is */
	bool has_zero_bytes; /* store-trim to nothing */
	bool has_etag;       /* GET: ETag; PUT: If-Match is needed */
	const char *id;      /* operationId */
	const char *tag;
	const char *summary;
	const struct cn_shape *shape; /* of the data; NULL: an object */
	const char *shape_name;
	struct cn_route_field field[CN_ROUTE_FIELDS_MAX];
};

extern const struct cn_route cn_routes[];
extern const size_t cn_routes_count;

/* A field's value as found in a path. */
struct cn_route_match {
	const struct cn_route *route; /* NULL: see is_path */
	bool is_path; /* the path is there, with other methods */
	char value[CN_ROUTE_FIELDS_MAX][CN_ROUTE_VALUE_MAX]; /* of PATH */
	char allow[64]; /* methods that the path has: "GET, PUT" */
};

/* HEAD goes where GET goes. */
void cn_route_find(enum cn_http_method method, struct cn_http_text path,
    struct cn_route_match *ret);

const char *cn_http_method_name(enum cn_http_method method);

#endif /* CN_MANAGE_ROUTES_H */
