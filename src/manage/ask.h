/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_ASK_H
#define CN_MANAGE_ASK_H

/*
 * Asking the running gateway, with words for everything that can go wrong.
 *
 * Life:   cn_ask_open(), calls, cn_ask_close().
 * Thread: main.
 */

#include "control/client.h"
#include "manage/cli.h"

struct cn_ask {
	const struct cn_args *args; /* borrowed */
	struct cn_client *client;   /* owned; NULL while closed */
	char path[256];
};

/* Connect; on failure says why on stderr and returns the exit code. */
enum cn_exit cn_ask_open(struct cn_ask *ask, const struct cn_args *args);
void cn_ask_close(struct cn_ask *ask);

/*
 * One question.  On CN_EXIT_OK the reply holds data, and the caller calls
 * cn_reply_fini(); else the words are on stderr already and the reply is
 * empty.
 */
enum cn_exit cn_ask_call(
    struct cn_ask *ask, struct cn_request *request, struct cn_reply *reply);

/* The same, with raw bytes behind request and reply, as
 * cn_client_call_raw(). */
enum cn_exit cn_ask_call_raw(struct cn_ask *ask, struct cn_request *request,
    const uint8_t *payload, struct cn_reply *reply, const uint8_t **bytes);

/* The same, with a descriptor beside the request, as cn_client_call_fd(). */
enum cn_exit cn_ask_call_fd(struct cn_ask *ask, struct cn_request *request,
    int fd, struct cn_reply *reply);

/* Open, ask one question without arguments, close. */
enum cn_exit cn_ask_once(const struct cn_args *args, enum cn_command command,
    struct cn_reply *reply);

/* Print JSON to stdout: indented, or as one line. */
enum cn_exit cn_ask_print(const json_t *json, bool is_line);

#endif /* CN_MANAGE_ASK_H */
