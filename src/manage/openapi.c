/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/openapi.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "manage/routes.h"

static json_t *shape_schema(const struct cn_shape *shape);

static json_t *
choice_schema(const struct cn_shape_field *field)
{
	json_t *names = json_array();

	for (size_t i = 0; names != NULL && field->names[i] != NULL; i++) {
		(void)json_array_append_new(
		    names, json_string(field->names[i]));
	}
	return json_pack("{s:s, s:o}", "type", "string", "enum", names);
}

static json_t *
field_schema(const struct cn_shape_field *field)
{
	switch (field->type) {
	case CN_SHAPE_U64:
		return json_pack("{s:s, s:s, s:i}", "type", "integer", "format",
		    "int64", "minimum", 0);
	case CN_SHAPE_U32:
		return json_pack("{s:s, s:i, s:I}", "type", "integer",
		    "minimum", 0, "maximum", (json_int_t)UINT32_MAX);
	case CN_SHAPE_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case CN_SHAPE_TEXT:
		return json_pack("{s:s, s:I}", "type", "string", "maxLength",
		    (json_int_t)field->size - 1);
	case CN_SHAPE_CHOICE:
		return choice_schema(field);
	case CN_SHAPE_STRUCT:
		return shape_schema(field->sub);
	case CN_SHAPE_LIST:
		return json_pack("{s:s, s:I, s:o}", "type", "array", "maxItems",
		    (json_int_t)field->max, "items", shape_schema(field->sub));
	}
	return NULL;
}

static json_t *
shape_schema(const struct cn_shape *shape)
{
	json_t *properties = json_object(), *required = json_array();

	for (size_t i = 0; i < shape->count; i++) {
		(void)json_object_set_new(properties, shape->fields[i].name,
		    field_schema(&shape->fields[i]));
		(void)json_array_append_new(
		    required, json_string(shape->fields[i].name));
	}
	return json_pack("{s:s, s:o, s:o}", "type", "object", "properties",
	    properties, "required", required);
}

static json_t *
problem_schema(void)
{
	return json_pack(
	    "{s:s, s:[s,s,s,s,s], s:{s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}, "
	    "s:{s:s}, s:{s:s, s:{s:s, s:[s,s,s,s,s], s:{s:{s:s, s:[s,s]}, "
	    "s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}}}}}}",
	    "type", "object", "required", "type", "title", "status", "code",
	    "detail", "properties", "type", "type", "string", "title", "type",
	    "string", "status", "type", "integer", "code", "type", "string",
	    "detail", "type", "string", "diagnostics", "type", "array", "items",
	    "type", "object", "required", "severity", "file", "line", "column",
	    "message", "properties", "severity", "type", "string", "enum",
	    "error", "warning", "file", "type", "string", "line", "type",
	    "integer", "column", "type", "integer", "message", "type", "string",
	    "hint", "type", "string", "source", "type", "string");
}

static json_t *
parameters_of(const struct cn_route *route)
{
	json_t *list = json_array();

	for (size_t i = 0; i < CN_ROUTE_FIELDS_MAX; i++) {
		const struct cn_route_field *field = &route->field[i];

		if (field->name == NULL || field->place == CN_ROUTE_BODY) {
			continue;
		}
		(void)json_array_append_new(list,
		    json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", field->name,
			"in", field->place == CN_ROUTE_PATH ? "path" : "query",
			"required", field->is_required ? 1 : 0, "description",
			field->help, "schema",
			field->is_number
			    ? json_pack("{s:s, s:s, s:i}", "type", "integer",
				  "format", "int64", "minimum", 0)
			    : json_pack("{s:s}", "type", "string")));
	}
	if (route->has_payload) {
		(void)json_array_append_new(list,
		    json_pack("{s:s, s:s, s:b, s:s, s:{s:s}}", "name",
			"If-Match", "in", "header", "required", 1,
			"description", "ETag of what was read", "schema",
			"type", "string"));
	}
	return list;
}

/* NULL: the route takes no body. */
static json_t *
body_of(const struct cn_route *route)
{
	json_t *properties, *required;

	if (route->has_payload) {
		return json_pack("{s:b, s:{s:{s:{s:s}}}}", "required", 1,
		    "content", "application/yaml", "schema", "type", "string");
	}
	properties = json_object();
	required = json_array();
	for (size_t i = 0; i < CN_ROUTE_FIELDS_MAX; i++) {
		const struct cn_route_field *field = &route->field[i];

		if (field->name == NULL || field->place != CN_ROUTE_BODY) {
			continue;
		}
		(void)json_object_set_new(properties, field->name,
		    json_pack("{s:s, s:s}", "type",
			field->is_number ? "integer" : "string", "description",
			field->help));
		(void)json_array_append_new(required, json_string(field->name));
	}
	if (json_object_size(properties) == 0) {
		json_decref(properties);
		json_decref(required);
		return NULL;
	}
	return json_pack("{s:b, s:{s:{s:{s:s, s:o, s:o, s:b}}}}", "required", 1,
	    "content", "application/json", "schema", "type", "object",
	    "properties", properties, "required", required,
	    "additionalProperties", 0);
}

static json_t *
content_of(const struct cn_route *route)
{
	const char *type = "application/json";
	json_t *schema;
	char reference[96];

	if (route->shape != NULL) {
		(void)snprintf(reference, sizeof(reference),
		    "#/components/schemas/%s", route->shape_name);
		schema = json_pack("{s:s}", "$ref", reference);
	} else if (route->kind == CN_ROUTE_ASK ||
	    route->kind == CN_ROUTE_SESSION ||
	    route->kind == CN_ROUTE_OPENAPI) {
		schema = json_pack("{s:s}", "type", "object");
	} else {
		type = route->kind == CN_ROUTE_WATCH ? "text/event-stream"
						     : "text/plain";
		schema = json_pack("{s:s}", "type", "string");
	}
	return json_pack("{s:{s:o}}", type, "schema", schema);
}

static json_t *
answers_of(const struct cn_route *route)
{
	bool is_empty =
	    route->kind == CN_ROUTE_SESSION && route->method == CN_HTTP_DELETE;
	json_t *answers = json_object();

	(void)json_object_set_new(answers, is_empty ? "204" : "200",
	    is_empty ? json_pack("{s:s}", "description", "done")
		     : json_pack("{s:s, s:o}", "description", route->summary,
			   "content", content_of(route)));
	(void)json_object_set_new(answers, "4XX",
	    json_pack("{s:s}", "$ref", "#/components/responses/problem"));
	(void)json_object_set_new(answers, "5XX",
	    json_pack("{s:s}", "$ref", "#/components/responses/problem"));
	return answers;
}

static json_t *
operation_of(const struct cn_route *route)
{
	json_t *operation =
	    json_pack("{s:s, s:s, s:[s], s:o, s:o}", "operationId", route->id,
		"summary", route->summary, "tags", route->tag, "parameters",
		parameters_of(route), "responses", answers_of(route));
	json_t *body = body_of(route);

	if (body != NULL) {
		(void)json_object_set_new(operation, "requestBody", body);
	}
	if (route->right == CN_RIGHT_NONE) {
		(void)json_object_set_new(operation, "security", json_array());
	}
	return operation;
}

static void
lower(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text >= 'A' && *text <= 'Z') {
			*text = (char)(*text - 'A' + 'a');
		}
	}
}

static json_t *
paths(void)
{
	json_t *all = json_object();

	for (size_t i = 0; i < cn_routes_count; i++) {
		const struct cn_route *route = &cn_routes[i];
		json_t *path = json_object_get(all, route->path);
		char method[16];

		if (path == NULL) {
			path = json_object();
			(void)json_object_set_new(all, route->path, path);
		}
		(void)snprintf(method, sizeof(method), "%s",
		    cn_http_method_name(route->method));
		lower(method);
		(void)json_object_set_new(path, method, operation_of(route));
	}
	return all;
}

static json_t *
schemas(void)
{
	json_t *all = json_object();

	for (size_t i = 0; i < cn_routes_count; i++) {
		const struct cn_route *route = &cn_routes[i];

		if (route->shape != NULL) {
			(void)json_object_set_new(
			    all, route->shape_name, shape_schema(route->shape));
		}
	}
	(void)json_object_set_new(all, "problem", problem_schema());
	return all;
}

static json_t *
tags(void)
{
	json_t *all = json_array();

	for (size_t i = 0; i < cn_routes_count; i++) {
		bool is_known = false;
		size_t n;
		json_t *tag;

		json_array_foreach(all, n, tag)
		{
			is_known = is_known ||
			    strcmp(
				json_string_value(json_object_get(tag, "name")),
				cn_routes[i].tag) == 0;
		}
		if (!is_known) {
			(void)json_array_append_new(
			    all, json_pack("{s:s}", "name", cn_routes[i].tag));
		}
	}
	return all;
}

static json_t *
components(void)
{
	return json_pack("{s:o, s:{s:{s:s, s:{s:{s:{s:s}}}}}, "
			 "s:{s:{s:s, s:s}, s:{s:s, s:s, s:s}}}",
	    "schemas", schemas(), "responses", "problem", "description",
	    "What is wrong (RFC 9457)", "content", "application/problem+json",
	    "schema", "$ref", "#/components/schemas/problem", "securitySchemes",
	    "token", "type", "http", "scheme", "bearer", "session", "type",
	    "apiKey", "in", "cookie", "name", "cn_session");
}

static int
append(const char *bytes, size_t len, void *data)
{
	return cn_buf_append(data, bytes, len) == CN_OK ? 0 : -1;
}

int
cn_openapi_make(struct cn_buf *out)
{
	json_t *json =
	    json_pack("{s:s, s:{s:s, s:s, s:s, s:{s:s, s:s}}, s:[{s:s}], "
		      "s:[{s:[]}, {s:[]}], s:o, s:o, s:o}",
		"openapi", "3.1.0", "info", "title", "CompressNET", "version",
		CN_VERSION, "description",
		"A running gateway, by way of `compressnet serve`.", "license",
		"name", "Apache-2.0", "identifier", "Apache-2.0", "servers",
		"url", "/", "security", "token", "session", "tags", tags(),
		"paths", paths(), "components", components());
	int failed = json == NULL
	    ? -1
	    : json_dump_callback(json, append, out, JSON_INDENT(1));

	json_decref(json);
	if (failed == 0) {
		failed = cn_buf_append(out, "\n", 1);
	}
	return failed == 0 ? CN_OK : CN_ENOMEM;
}
