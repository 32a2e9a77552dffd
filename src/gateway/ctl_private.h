/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_CTL_PRIVATE_H
#define CN_GATEWAY_CTL_PRIVATE_H

/*
 * The inside of the control socket, shared by
 *
 *   ctl.c            callers, their requests and replies
 *   ctl_questions.c  what all workers are asked
 *   ctl_config.c     the configuration, and the peers in it
 *   ctl_pairing.c    invitations and joinings
 *   ctl_store.c      work on the store, connections that are handed over
 *
 * Thread: the daemon's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "base/list.h"
#include "control/access.h"
#include "control/message.h"
#include "gateway/handover.h"

struct cn_ctl_handed; /* ctl.c's: a descriptor that came */
struct cn_daemon;
struct cn_depot_stream;
struct cn_listener;
struct cn_listener_watch;

struct cn_ctl_caller {
	struct cn_list item;
	struct cn_ctl *ctl; /* NULL once it hung up */
	uv_pipe_t pipe;
	uv_write_t write;
	enum cn_access grant;
	bool is_asking;  /* a request is being answered */
	bool is_writing; /* its reply is on its way */
	bool is_last;    /* close after this reply */
	bool is_closed;
	char line[CN_REQUEST_MAX];
	size_t len;
	struct cn_buf reply;
	/* What follows a request, until all of it is here. */
	struct cn_request request;
	uint8_t *payload; /* owned; NULL: nothing is to come */
	size_t payload_len;
	struct cn_depot_stream *stream; /* owned; NULL: none yet */
	struct cn_handover *handover;   /* the last that it began; or NULL */
	enum cn_handover_state awaited; /* by a request; OPENING: none */
	struct cn_ctl_handed *handed; /* owned; its descriptor came; or NULL */
};

struct cn_ctl {
	struct cn_daemon *daemon;     /* borrowed */
	struct cn_listener *listener; /* owned */
	struct cn_listener_watch *watch;
	struct cn_access_rule rule;
	struct cn_list callers;
	unsigned callers_count;
};

/*
 * The reply of a request stands in caller->reply: send it, or free a caller
 * that hung up meanwhile.  An err other than CN_OK is told in its place.
 */
void cn_ctl_finish(struct cn_ctl_caller *caller, uint64_t id, int err);
/* The descriptor that came beside the request; the caller owns it from here
 * on; -1: none came. */
int cn_ctl_own_handed(struct cn_ctl_caller *caller);

/*
 * Serve a request.  Returns CN_OK: the reply is there; CN_EAGAIN: it follows
 * by cn_ctl_finish(); or an error to be told.
 */
int cn_ctl_step(struct cn_ctl_caller *caller, const struct cn_request *request);
int cn_ctl_handover(
    struct cn_ctl_caller *caller, const struct cn_request *request);
int cn_ctl_handover_end(
    struct cn_ctl_caller *caller, const struct cn_request *request);
int cn_ctl_config(
    struct cn_ctl_caller *caller, const struct cn_request *request);
int cn_ctl_invite(
    struct cn_ctl_caller *caller, const struct cn_request *request);
int cn_ctl_join(struct cn_ctl_caller *caller, const struct cn_request *request);
/* Ask every worker.  CN_OK: the reply follows. */
int cn_ctl_ask(struct cn_ctl_caller *caller, const struct cn_request *request);

#endif /* CN_GATEWAY_CTL_PRIVATE_H */
