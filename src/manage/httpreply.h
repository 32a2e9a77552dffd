/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_HTTPREPLY_H
#define CN_MANAGE_HTTPREPLY_H

/*
 * Answers of the HTTP server.  Every one of them carries the headers that
 * keep a browser from doing with it what was not meant.
 *
 * Life:   a reply is filled, sent once, forgotten.
 * Thread: of the worker that has the connection.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "manage/httpconn.h"
#include "manage/httpd.h"

/* Lines of headers that a reply adds. */
#define CN_HTTP_EXTRA_MAX 768u

struct cn_http_reply {
	unsigned status;
	const char *type; /* NULL: no body */
	const void *body; /* borrowed until it is sent */
	size_t len;
	bool is_without_body;          /* an answer to HEAD */
	bool is_last;                  /* close afterwards */
	bool is_stream;                /* no length: the body ends with it */
	bool is_lasting;               /* the cache control is among extra */
	char extra[CN_HTTP_EXTRA_MAX]; /* whole lines, each with CR LF */
};

/* Add a line to extra; what does not fit is a mistake of ours. */
void cn_http_reply_add(struct cn_http_reply *reply, const char *fmt, ...)
    CN_PRINTF(2, 3);

/* Send it; what becomes of the connection. */
enum cn_http_fate cn_http_reply_send(
    struct cn_http_conn *conn, const struct cn_http_reply *reply);

/* A problem as the whole answer (problem.h). */
enum cn_http_fate cn_http_reply_problem(struct cn_http_conn *conn,
    struct cn_http_reply *reply, const char *code, const char *detail);

#endif /* CN_MANAGE_HTTPREPLY_H */
