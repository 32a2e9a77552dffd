/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_HTTPCONN_H
#define CN_MANAGE_HTTPCONN_H

/*
 * One connection of an HTTP client, plain or under TLS, and the bytes of it
 * that nobody has read yet.
 *
 * Life:   made by the door (httpd.h) of an accepted socket; handed to a
 *         worker with each whole head, and back; freed by whoever has it.
 * Thread: of whoever has it; never two at once.
 */

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/list.h"
#include "manage/httphead.h"

/* How long writing an answer or reading a body may stand still. */
#define CN_HTTP_PATIENCE_US UINT64_C(10000000)
/* Numeric address, zone and NUL. */
#define CN_HTTP_ADDRESS_MAX 64u

struct cn_http_conn {
	struct cn_list item; /* of one of the door's lists */
	int fd;              /* owned, non-blocking */
	SSL *ssl;            /* owned; NULL: plain */
	bool wants_write;    /* TLS must write before it can read on */
	bool is_ended;       /* the client sends no more */
	struct cn_buf in;    /* read and not used, CN_HTTP_HEAD_MAX at most */
	size_t looked;       /* of it: hold no end of a head */
	size_t head;         /* of it: the head, once it is whole */
	uint64_t deadline_us;
	int state;                        /* the door's */
	bool is_reading, is_writing;      /* what the door watches for */
	char remote[CN_HTTP_ADDRESS_MAX]; /* the client, without port */
	char local[CN_HTTP_ADDRESS_MAX];  /* where it came in */
};

/*
 * Take over an accepted socket, which is closed on failure too.
 *
 * @tls  NULL: plain; else a reference is taken
 */
int cn_http_conn_create(
    int fd, SSL_CTX *tls, struct cn_http_conn **ret) CN_MUSTCHECK;
/* Close and free; clears *cp; NULL is fine. */
void cn_http_conn_free(struct cn_http_conn **cp);

/*
 * Read what is there into `in', without waiting.
 *
 * Returns CN_OK: something came; CN_EAGAIN: nothing is there now (see
 * wants_write); CN_ELIMIT: `in' is full; CN_ECLOSED: the client has ended;
 * or an error.
 */
int cn_http_conn_read(struct cn_http_conn *conn) CN_MUSTCHECK;

/*
 * Write some without waiting.
 *
 * @ret  bytes that were taken
 *
 * Returns CN_OK, CN_EAGAIN or an error.
 */
int cn_http_conn_write(struct cn_http_conn *conn, const void *bytes, size_t len,
    size_t *ret) CN_MUSTCHECK;

/* Write all; waits at most CN_HTTP_PATIENCE_US for each step forward, and
 * four times that in all. */
int cn_http_conn_send(
    struct cn_http_conn *conn, const void *bytes, size_t len) CN_MUSTCHECK;

/*
 * Append n bytes behind the head to a buffer, waiting for them as
 * cn_http_conn_send() does; the head is no longer in `in'.
 */
int cn_http_conn_body(
    struct cn_http_conn *conn, size_t n, struct cn_buf *out) CN_MUSTCHECK;

/* Say that nothing more comes (close_notify, FIN). */
void cn_http_conn_end(struct cn_http_conn *conn);

#endif /* CN_MANAGE_HTTPCONN_H */
