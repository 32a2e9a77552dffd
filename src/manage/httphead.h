/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_HTTPHEAD_H
#define CN_MANAGE_HTTPHEAD_H

/*
 * The head of an HTTP/1 request, read strictly.
 *
 * What two readers could understand in two ways is refused: line ends other
 * than CR LF, folded lines, space before a colon, a length that is not plain
 * digits, a field that must be single given twice, Transfer-Encoding (no
 * client of ours needs it), targets that are not a path.
 *
 * Life:   a head points into the bytes that it was read from.
 * Thread: any; functions of bytes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Bytes of a head, its empty line included. */
#define CN_HTTP_HEAD_MAX (16u * 1024u)
/* Fields of a head. */
#define CN_HTTP_FIELDS_MAX 64u
/* Bytes of a target. */
#define CN_HTTP_TARGET_MAX 2048u

enum cn_http_method {
	CN_HTTP_GET,
	CN_HTTP_HEAD,
	CN_HTTP_POST,
	CN_HTTP_PUT,
	CN_HTTP_DELETE,
	CN_HTTP_OTHER, /* a token that is none of these */
};

/* Bytes within the head; borrowed. */
struct cn_http_text {
	const char *at;
	size_t len;
};

struct cn_http_field {
	struct cn_http_text name;
	struct cn_http_text value; /* without space around it */
};

struct cn_http_head {
	enum cn_http_method method;
	struct cn_http_text path;  /* begins with '/'; as it was sent */
	struct cn_http_text query; /* behind '?'; empty where there is none */
	bool is_old;               /* HTTP/1.0 */
	bool is_kept;              /* the client would go on afterwards */
	bool is_waiting;           /* Expect: 100-continue */
	uint64_t body;             /* Content-Length; 0 where there is none */
	struct cn_http_field field[CN_HTTP_FIELDS_MAX];
	size_t fields;
	/* Of a head that was refused: what to answer, and why. */
	unsigned status;
	const char *why;
};

/*
 * Where the head ends.
 *
 * @from  bytes looked at by an earlier call on the same bytes; updated
 * @ret   length of the head, its empty line included
 *
 * Returns CN_OK; CN_EAGAIN: it is not whole yet; CN_ELIMIT: it is longer
 * than CN_HTTP_HEAD_MAX.
 */
int cn_http_head_find(
    const char *bytes, size_t len, size_t *from, size_t *ret) CN_MUSTCHECK;

/*
 * Read a whole head.
 *
 * @len  as cn_http_head_find() told
 *
 * Returns CN_OK, or CN_EPROTO with status and why: answer that and close.
 */
int cn_http_head_parse(
    const char *bytes, size_t len, struct cn_http_head *ret) CN_MUSTCHECK;

/*
 * A field's value; .at is NULL where the head has none.
 *
 * @name  in lower case
 */
struct cn_http_text cn_http_field(
    const struct cn_http_head *head, const char *name);

/* Is that exactly this text? */
bool cn_http_is(struct cn_http_text text, const char *other);

/*
 * The value of name=value in a query, %XX undone.
 *
 * @ret  size bytes, terminated
 *
 * Returns CN_OK; CN_ENOENT: it is not there; CN_EPROTO: given twice, bad
 * %XX, a control character, or too long.
 */
int cn_http_query(struct cn_http_text query, const char *name, char *ret,
    size_t size) CN_MUSTCHECK;

/* Undo %XX of a path's part; as cn_http_query() but a '+' is a plus. */
int cn_http_unescape(
    struct cn_http_text part, char *ret, size_t size) CN_MUSTCHECK;

#endif /* CN_MANAGE_HTTPHEAD_H */
