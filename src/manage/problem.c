/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/problem.h"

#include <jansson.h>

#include "base/err.h"
#include "control/line.h"

const char *
cn_problem_title(unsigned status)
{
	static const struct {
		unsigned status;
		const char *title;
	} titles[] = {
		{ 200, "OK" },
		{ 204, "No Content" },
		{ 304, "Not Modified" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 409, "Conflict" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" },
		{ 422, "Unprocessable Content" },
		{ 428, "Precondition Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < CN_ARRAY_LEN(titles); i++) {
		if (titles[i].status == status) {
			return titles[i].title;
		}
	}
	return "Error";
}

unsigned
cn_problem_of_reply(enum cn_reply_code code)
{
	switch (code) {
	case CN_REPLY_OK:
		return 200;
	case CN_REPLY_BAD_REQUEST:
	case CN_REPLY_TOO_LONG:
		return 400;
	case CN_REPLY_NOT_ALLOWED:
		return 403;
	case CN_REPLY_NOT_FOUND:
		return 404;
	case CN_REPLY_REFUSED:
		return 409;
	case CN_REPLY_CONFLICT:
		return 412;
	case CN_REPLY_CONFIG:
		return 422;
	case CN_REPLY_UNKNOWN_COMMAND:
	case CN_REPLY_VERSION_MISMATCH:
		return 501;
	case CN_REPLY_BUSY:
		return 503;
	case CN_REPLY_INTERNAL:
	case CN_REPLY_CODE_MAX:
		break;
	}
	return 500;
}

static json_t *
ascii(const char *text)
{
	char plain[CN_REPLY_TEXT_MAX];
	size_t len = 0;

	for (; text[len] != '\0' && len + 1 < sizeof(plain); len++) {
		unsigned char c = (unsigned char)text[len];

		plain[len] = c < ' ' || c > '~' ? '?' : (char)c;
	}
	return json_stringn(plain, len);
}

/* Diagnostics are valid UTF-8 (diag.h). */
static json_t *
diag_json(const struct cn_diag *diag)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:s, s:s*, s:s*}", "severity",
	    diag->severity == CN_DIAG_WARNING ? "warning" : "error", "file",
	    diag->file, "line", (json_int_t)diag->line, "column",
	    (json_int_t)diag->column, "message", diag->message, "hint",
	    diag->hint, "source", diag->source);
}

static int
add_diags(json_t *json, const struct cn_diag_list *diags)
{
	json_t *array = json_array();
	int failed = array == NULL ? -1 : 0;

	for (size_t i = 0; failed == 0 && i < diags->count; i++) {
		failed =
		    json_array_append_new(array, diag_json(&diags->item[i]));
	}
	if (failed == 0) {
		return json_object_set_new(json, "diagnostics", array);
	}
	json_decref(array);
	return failed;
}

int
cn_problem_encode(struct cn_buf *out, unsigned status, const char *code,
    const char *detail, const struct cn_diag_list *diags)
{
	json_t *json = json_pack("{s:s, s:s, s:i, s:s, s:o}", "type",
	    "about:blank", "title", cn_problem_title(status), "status",
	    (int)status, "code", code, "detail", ascii(detail));
	int failed = json == NULL ? -1 : 0;

	if (failed == 0 && diags != NULL && diags->count > 0) {
		failed = add_diags(json, diags);
	}
	int err = failed != 0 ? CN_ENOMEM : cn_line_append(out, json);
	json_decref(json);
	return err;
}
