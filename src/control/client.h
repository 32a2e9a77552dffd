/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONTROL_CLIENT_H
#define CN_CONTROL_CLIENT_H

/*
 * A blocking caller of a gateway's control socket.
 *
 * Life:    cn_client_open(), any number of calls, cn_client_close().
 * Thread:  one at a time.
 * Time:    each call ends within its timeout, whatever the gateway does.
 */

#include <stdint.h>

#include "base/attr.h"
#include "control/message.h"

struct cn_client; /* opaque */

/*
 * Where the socket is: given, else $COMPRESSNET_SOCKET, else the first of
 * /run/compressnet/control.sock and $XDG_RUNTIME_DIR/compressnet/control.sock
 * that exists (root: only the former).
 *
 * @given  path or NULL
 *
 * Returns CN_OK, or CN_ELIMIT: no Unix socket's path is so long.
 */
int cn_client_path(const char *given, char *path, size_t size) CN_MUSTCHECK;

/*
 * Connect.
 *
 * Returns CN_OK; CN_ENOENT, CN_ECONNREFUSED, CN_EACCES ... of connect();
 * CN_ETIMEDOUT; CN_ELIMIT (path); CN_ENOMEM.
 */
int cn_client_open(
    const char *path, uint64_t timeout_us, struct cn_client **ret) CN_MUSTCHECK;

/* Close; clears *@cp; NULL is fine. */
void cn_client_close(struct cn_client **cp);

/*
 * Ask, and wait for the reply.  The id is the client's: that of the request
 * is overwritten.
 *
 * @reply  after cn_reply_init() or _fini()
 *
 * Returns as cn_reply_decode(); or CN_ETIMEDOUT, CN_ECLOSED (the gateway
 * hung up), or the socket's error.  After an error close the client.
 */
int cn_client_call(struct cn_client *client, struct cn_request *request,
    struct cn_reply *reply) CN_MUSTCHECK;

/*
 * The same as cn_client_call(), with a descriptor beside the request.
 *
 * @fd  the gateway gets a copy; it stays the caller's
 */
int cn_client_call_fd(struct cn_client *client, struct cn_request *request,
    int fd, struct cn_reply *reply) CN_MUSTCHECK;

/*
 * The same, with raw bytes behind the request (request->payload of them) or
 * behind the reply.
 *
 * @payload  what follows the request; NULL: nothing
 * @bytes    reply->payload bytes, the client's, until its next call; NULL
 *           where there are none
 */
int cn_client_call_raw(struct cn_client *client, struct cn_request *request,
    const uint8_t *payload, struct cn_reply *reply,
    const uint8_t **bytes) CN_MUSTCHECK;

/*
 * Ask by name, for a caller that only passes questions on and need not know
 * them.
 *
 * @command  may be one that this release does not know
 * @fields   a JSON object, borrowed; NULL: none
 * @payload  what follows the request; NULL: nothing
 *
 * Returns as cn_client_call(); CN_EINVAL: the request would pass
 * CN_REQUEST_MAX.
 */
int cn_client_pass(struct cn_client *client, const char *command,
    const json_t *fields, const struct cn_buf *payload,
    struct cn_reply *reply) CN_MUSTCHECK;

#endif /* CN_CONTROL_CLIENT_H */
