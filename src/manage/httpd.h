/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_HTTPD_H
#define CN_MANAGE_HTTPD_H

/*
 * The HTTP server: a door and workers.
 *
 * The door is one thread that never waits for a client.  It accepts, shakes
 * hands under TLS, and keeps each connection until a whole head has come;
 * only then a worker gets it, and after the answer the door has it back to
 * wait for the next.  So a client that says nothing, or says it slowly,
 * costs a descriptor and a few bytes, never a thread.
 *
 *                 +------------- kept for another request -------------+
 *                 v                                                    |
 *   accept --> HALF-OPEN --whole head--> READY --> a worker: handler --+
 *                 |                                                    |
 *                 +-- too late: closed     LINGER <--- answered, over -+
 *
 * The oldest half-open connection makes room for a new one when there are
 * too many: who has something to say says it at once.
 *
 * Life:   cn_httpd_create(), cn_httpd_start(), cn_httpd_stop(),
 *         cn_httpd_free().
 * Thread: create, stop and free by the owner; the handler runs in workers.
 */

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "manage/httpconn.h"

#define CN_HTTPD_LISTENERS_MAX 16u
/* Connections without a whole head; of these under TLS, which cost more. */
#define CN_HTTPD_HALF_OPEN_MAX 20000u
#define CN_HTTPD_HALF_OPEN_TLS_MAX 2000u
/* Time for a head, the handshake included. */
#define CN_HTTPD_HEAD_US UINT64_C(5000000)
/* Connections that wait for another request, and for how long. */
#define CN_HTTPD_KEPT_MAX 1024u
#define CN_HTTPD_KEPT_US UINT64_C(60000000)
/* Connections that were answered and wait for the client to close. */
#define CN_HTTPD_LINGER_MAX 1024u
#define CN_HTTPD_LINGER_US UINT64_C(2000000)
/* Whole heads that wait for a worker, and workers. */
#define CN_HTTPD_READY_MAX 1024u
#define CN_HTTPD_WORKERS_MAX 64u

enum cn_http_fate {
	CN_HTTP_KEEP,  /* the answer is sent; more may come */
	CN_HTTP_CLOSE, /* the answer is sent, and it was the last */
	CN_HTTP_TAKEN, /* the handler has the connection now */
};

struct cn_httpd_options {
	int listener[CN_HTTPD_LISTENERS_MAX]; /* owned by the server */
	size_t listeners;
	/*
	 * Answer one request.  The head is good until it returns; what
	 * follows the head is in conn->in and on the socket.
	 */
	enum cn_http_fate (*handler)(void *owner, struct cn_http_conn *conn,
	    const struct cn_http_head *head);
	/* Answer what is no request: status and why are the parser's. */
	void (*refuser)(void *owner, struct cn_http_conn *conn, unsigned status,
	    const char *why);
	void *owner; /* borrowed */
};

/* What the server counted since its start. */
struct cn_httpd_counts {
	uint64_t accepted;
	uint64_t half_open;  /* now */
	uint64_t kept;       /* now */
	uint64_t timeouts;   /* heads that did not come in time */
	uint64_t pushed_out; /* of half-open ones, by newer ones */
	uint64_t refused;    /* heads that were none */
	uint64_t overloads;  /* answered 503: no worker was free for long */
};

struct cn_httpd; /* opaque */

/* Takes the listeners; on failure they are closed. */
int cn_httpd_create(
    const struct cn_httpd_options *options, struct cn_httpd **ret) CN_MUSTCHECK;
/* @tls  for connections from now on; a reference is taken; NULL: plain */
void cn_httpd_set_tls(struct cn_httpd *httpd, SSL_CTX *tls);
int cn_httpd_start(struct cn_httpd *httpd) CN_MUSTCHECK;
/* Take nothing new, end what runs, join all threads. */
void cn_httpd_stop(struct cn_httpd *httpd);
/* Clears *hp; NULL is fine; stopped or never started. */
void cn_httpd_free(struct cn_httpd **hp);

void cn_httpd_counts(struct cn_httpd *httpd, struct cn_httpd_counts *ret);

#endif /* CN_MANAGE_HTTPD_H */
