/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_GUARD_H
#define CN_MANAGE_GUARD_H

/*
 * Who may do what over HTTP.
 *
 * A request is let through when its Host is one of ours (against names that
 * are bound to our address from outside), its Origin, if it has one, is that
 * Host (against pages of others), and it brings a token or the cookie of a
 * session with the right that the route asks for.  A change by cookie needs
 * an Origin and the header X-CompressNET too, which no form and no link can
 * send.
 *
 * Tokens stand in files that nobody else can read.  A session begins with a
 * code that `compressnet dashboard' leaves in a folder: its file's name is
 * the code's SHA-256, and whoever removes the file has used the code.
 *
 * Life:   cn_guard_create(), cn_guard_load() at start and at each reload,
 *         cn_guard_free().
 * Thread: any, but create and free.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "manage/httpconn.h"

#define CN_GUARD_TOKEN_MIN 32u
#define CN_GUARD_TOKEN_MAX 128u
#define CN_GUARD_SESSIONS_MAX 64u
#define CN_GUARD_SESSION_US (12 * UINT64_C(3600000000))
/* How long a code may wait to be used, seconds. */
#define CN_GUARD_CODE_S 300u
/* Hexadecimal digits of codes, sessions and hashes. */
#define CN_GUARD_DIGITS 64u
#define CN_GUARD_HOSTS_MAX 272u
#define CN_GUARD_WHY_MAX 400u

enum cn_right {
	CN_RIGHT_NONE,
	CN_RIGHT_READ,
	CN_RIGHT_CHANGE, /* includes reading */
};

struct cn_guard_options {
	const char *token_file; /* borrowed, as are the others */
	const char *read_token_file;
	const char *code_folder;
	const char *const *hosts; /* names in Host beside the usual */
	size_t hosts_count;
};

struct cn_guard_verdict {
	enum cn_right right; /* that the request has */
	bool is_by_cookie;
	unsigned status; /* 0: let it through */
	const char *code;
	const char *detail;
};

struct cn_guard; /* opaque */

int cn_guard_create(struct cn_guard **ret) CN_MUSTCHECK;
void cn_guard_free(struct cn_guard **gp);

/*
 * Read the tokens, making the files that are missing; take the names over.
 * On failure what was in force stays.
 *
 * @why  CN_GUARD_WHY_MAX bytes: what is wrong, in words
 */
int cn_guard_load(struct cn_guard *guard,
    const struct cn_guard_options *options, char *why) CN_MUSTCHECK;

/*
 * Judge a request.
 *
 * @needed     right that the route asks for
 * @is_change  it would change something
 */
void cn_guard_check(struct cn_guard *guard, const struct cn_http_conn *conn,
    const struct cn_http_head *head, enum cn_right needed, bool is_change,
    struct cn_guard_verdict *ret);

/*
 * Begin a session.
 *
 * @code     what the page sent
 * @session  CN_GUARD_DIGITS + 1 bytes: the cookie's value
 *
 * Returns CN_OK; CN_EACCES: no such code, or it is too old or used.
 */
int cn_guard_sign_in(struct cn_guard *guard, const struct cn_http_conn *conn,
    const char *code, char *session) CN_MUSTCHECK;
/* End the session of this request, if it has one. */
void cn_guard_sign_out(struct cn_guard *guard, const struct cn_http_head *head);

/* Refusals for want of a right token, since the start. */
uint64_t cn_guard_failures(struct cn_guard *guard);

/*
 * Make a code for one session.
 *
 * @folder  made if it is missing
 * @code    CN_GUARD_DIGITS + 1 bytes
 */
int cn_guard_make_code(const char *folder, char *code) CN_MUSTCHECK;

#endif /* CN_MANAGE_GUARD_H */
