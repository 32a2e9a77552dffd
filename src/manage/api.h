/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_API_H
#define CN_MANAGE_API_H

/*
 * What the HTTP server answers: the routes, and the dashboard's files for
 * every other path.
 *
 * Life:   the parts belong to serve.c and outlive the server.
 * Thread: workers'.
 */

#include "manage/asker.h"
#include "manage/guard.h"
#include "manage/httpd.h"
#include "manage/watch.h"

/* A body that is taken. */
#define CN_API_BODY_MAX (1024u * 1024u)

struct cn_api {
	struct cn_asker *asker; /* borrowed, as are the others */
	struct cn_guard *guard;
	struct cn_watch *watch;
	struct cn_httpd *httpd;
	_Atomic bool is_metrics_open;
	bool is_tls;
	const char *openapi; /* JSON */
	size_t openapi_len;
};

/* The handler and the refuser of the server; owner: struct cn_api. */
enum cn_http_fate cn_api_handle(
    void *owner, struct cn_http_conn *conn, const struct cn_http_head *head);
void cn_api_refuse(
    void *owner, struct cn_http_conn *conn, unsigned status, const char *why);

#endif /* CN_MANAGE_API_H */
