/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/httpreply.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "manage/problem.h"

#define HEAD_MAX 2048u
#define PROBLEM_MAX (1024u * 1024u)
/* Head and body in one piece up to here: one packet instead of two. */
#define JOIN_MAX (16u * 1024u)

/* Scripts and styles of our own alone, no frames, nothing from elsewhere. */
static const char guards[] =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; "
    "style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n";

void
cn_http_reply_add(struct cn_http_reply *reply, const char *fmt, ...)
{
	size_t len = strlen(reply->extra);
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(
	    reply->extra + len, sizeof(reply->extra) - len, fmt, args);
	va_end(args);
	assert(n > 0 && (size_t)n + len + 2 < sizeof(reply->extra));
	memcpy(reply->extra + len + (size_t)n, "\r\n", 3);
}

static void
write_date(char *ret, size_t size)
{
	time_t now = time(NULL);
	struct tm utc;

	ret[0] = '\0';
	if (gmtime_r(&now, &utc) != NULL) {
		(void)strftime(ret, size, "%a, %d %b %Y %H:%M:%S GMT", &utc);
	}
}

static int
write_head(const struct cn_http_reply *reply, struct cn_buf *out)
{
	char date[40];
	int err;

	write_date(date, sizeof(date));
	err = cn_buf_printf(out, "HTTP/1.1 %u %s\r\nDate: %s\r\n%s%s%s",
	    reply->status, cn_problem_title(reply->status), date, guards,
	    reply->extra,
	    reply->is_lasting ? "" : "Cache-Control: no-store\r\n");
	if (err == CN_OK && reply->type != NULL) {
		err = cn_buf_printf(out, "Content-Type: %s\r\n", reply->type);
	}
	if (err == CN_OK && !reply->is_stream && reply->status != 204 &&
	    reply->status != 304) {
		err = cn_buf_printf(out, "Content-Length: %zu\r\n", reply->len);
	}
	return err < 0 ? err
		       : cn_buf_printf(out, "Connection: %s\r\n\r\n",
			     reply->is_last ? "close" : "keep-alive");
}

enum cn_http_fate
cn_http_reply_send(struct cn_http_conn *conn, const struct cn_http_reply *reply)
{
	size_t len = reply->is_without_body ? 0 : reply->len;
	struct cn_buf out;
	int err;

	cn_buf_init(&out, HEAD_MAX + JOIN_MAX);
	err = write_head(reply, &out);
	if (err == CN_OK && len > 0 && len <= JOIN_MAX) {
		err = cn_buf_append(&out, reply->body, len);
		len = 0;
	}
	if (err == CN_OK) {
		err = cn_http_conn_send(conn, out.data, out.len);
	}
	if (err == CN_OK && len > 0) {
		err = cn_http_conn_send(conn, reply->body, len);
	}
	cn_buf_fini(&out);
	return err < 0 || reply->is_last ? CN_HTTP_CLOSE : CN_HTTP_KEEP;
}

enum cn_http_fate
cn_http_reply_problem(struct cn_http_conn *conn, struct cn_http_reply *reply,
    const char *code, const char *detail)
{
	enum cn_http_fate fate = CN_HTTP_CLOSE;
	struct cn_buf body;

	cn_buf_init(&body, PROBLEM_MAX);
	if (cn_problem_encode(&body, reply->status, code, detail, NULL) ==
	    CN_OK) {
		reply->type = CN_PROBLEM_TYPE;
		reply->body = body.data;
		reply->len = body.len;
		fate = cn_http_reply_send(conn, reply);
	}
	cn_buf_fini(&body);
	return fate;
}
