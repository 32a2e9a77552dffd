/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_OPENAPI_H
#define CN_MANAGE_OPENAPI_H

/*
 * The description of the HTTP API (OpenAPI 3.1), made from the table of
 * routes and the shapes of the control socket, so that it cannot differ from
 * what is served.
 *
 * Thread: any.
 */

#include "base/attr.h"
#include "base/buf.h"

#define CN_OPENAPI_MAX (2u * 1024u * 1024u)

/* Append it as JSON.  CN_OK or CN_ENOMEM. */
int cn_openapi_make(struct cn_buf *out) CN_MUSTCHECK;

#endif /* CN_MANAGE_OPENAPI_H */
