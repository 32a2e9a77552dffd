/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/log.h"
#include "gateway/ctl_private.h"
#include "gateway/daemon.h"
#include "gateway/depot.h"

/* ---- work on the store ---- */

/* The words for a step that failed. */
static int
reply_failed(const struct cn_depot_work *work, uint64_t id, struct cn_buf *out)
{
	const char *why;

	switch (work->err) {
	case CN_EINVAL:
		why = "a stream goes on where it is, or begins with cursor 0";
		break;
	case CN_EKEY:
		why = "the export was sealed with another key, or its head "
		      "is damaged";
		break;
	case CN_ESTALE:
		why = "the export is of another version";
		break;
	case CN_ECODING:
		why = "this is no export of a store, or it is damaged; what "
		      "came before is in the store";
		break;
	default:
		return work->err;
	}
	return cn_reply_error(out, id, CN_REPLY_BAD_REQUEST, NULL, "%s", why);
}

static int
reply_step(const struct cn_depot_work *work, const struct cn_request *request,
    struct cn_buf *out)
{
	size_t before = out->len;
	int err;

	if (work->err != CN_OK) {
		return reply_failed(work, request->id, out);
	}
	if (work->step == CN_DEPOT_TRIM) {
		return cn_reply_done(out, request->id);
	}
	if (work->step != CN_DEPOT_EXPORT) {
		return cn_reply_walk(
		    out, request->id, &work->walk, work->next, 0);
	}
	err = cn_reply_walk(
	    out, request->id, &work->walk, work->next, (uint32_t)work->len);
	if (err == CN_OK && work->len > 0) {
		err = cn_buf_append(out, work->bytes, work->len);
		if (err != CN_OK) {
			out->len = before;
		}
	}
	return err;
}

static void
on_step(struct cn_depot_work *work)
{
	struct cn_ctl_caller *caller = work->owner;
	uint64_t id = caller->request.id;
	int err = reply_step(work, &caller->request, &caller->reply);

	cn_depot_work_free(&work);
	cn_ctl_finish(caller, id, err);
}

static enum cn_depot_step
step_of(enum cn_command command)
{
	return command == CN_COMMAND_STORE_VERIFY ? CN_DEPOT_VERIFY
	    : command == CN_COMMAND_STORE_TRIM    ? CN_DEPOT_TRIM
	    : command == CN_COMMAND_STORE_EXPORT  ? CN_DEPOT_EXPORT
						  : CN_DEPOT_IMPORT;
}

/* Is it a command of its own, and not the next step of one? */
static bool
is_first(const struct cn_request *request)
{
	return request->command == CN_COMMAND_STORE_TRIM ||
	    request->cursor == 0;
}

/* A caller has one export or import under way at most. */
static bool
make_stream(struct cn_ctl_caller *caller, const struct cn_request *request)
{
	if (caller->stream == NULL &&
	    (request->command == CN_COMMAND_STORE_EXPORT ||
		request->command == CN_COMMAND_STORE_IMPORT)) {
		caller->stream = cn_depot_stream_create();
		return caller->stream != NULL;
	}
	return true;
}

/* One step; its reply follows. */
int
cn_ctl_step(struct cn_ctl_caller *caller, const struct cn_request *request)
{
	struct cn_depot *depot = caller->ctl->daemon->depot;
	struct cn_depot_work *work;
	int err;

	if (depot == NULL) {
		err = cn_reply_error(&caller->reply, request->id,
		    CN_REPLY_NOT_FOUND, NULL,
		    "this gateway has no store: store.memory is 0");
		return err;
	}
	work = cn_calloc(1, sizeof(*work));
	if (work == NULL || !make_stream(caller, request)) {
		cn_free(work);
		return CN_ENOMEM;
	}
	caller->request = *request;
	work->step = step_of(request->command);
	work->cursor = request->command == CN_COMMAND_STORE_TRIM
	    ? request->bytes
	    : request->cursor;
	memcpy(work->key, request->key, sizeof(work->key));
	work->stream = caller->stream;
	work->bytes = caller->payload;
	work->len = caller->payload_len;
	caller->payload = NULL;
	caller->payload_len = 0;
	work->done = on_step;
	work->owner = caller;
	/* Once for the whole of it; never with the key. */
	CN_LOG(is_first(request) ? CN_LOG_INFO : CN_LOG_DEBUG, "store-command",
	    "command=%s cursor=%llu", cn_command_name(request->command),
	    (unsigned long long)work->cursor);
	cn_depot_work(depot, work);
	return CN_EAGAIN;
}

/* ---- connections that are handed over ---- */

static int
reply_handover(struct cn_ctl_caller *caller, uint64_t id)
{
	const struct cn_handover *handover = caller->handover;
	struct cn_snap_warm running = { 0 };

	if (handover->is_refused) {
		return cn_reply_error(&caller->reply, id, handover->why.code,
		    NULL, "%s", handover->why.text);
	}
	if (handover->state == CN_HANDOVER_OVER) {
		return cn_reply_warm(&caller->reply, id, &handover->end);
	}
	running.stream = handover->end.stream; /* the rest is its worker's */
	return cn_reply_warm(&caller->reply, id, &running);
}

/* It runs, or is over: the caller may be waiting for that. */
static void
on_handover(struct cn_handover *handover, void *owner)
{
	struct cn_ctl_caller *caller = owner;

	if (caller->awaited != CN_HANDOVER_OPENING &&
	    handover->state >= caller->awaited) {
		caller->awaited = CN_HANDOVER_OPENING;
		cn_ctl_finish(caller, caller->request.id,
		    reply_handover(caller, caller->request.id));
	}
}

int
cn_ctl_handover(struct cn_ctl_caller *caller, const struct cn_request *request)
{
	struct cn_handover_refusal why;
	int fd = cn_ctl_own_handed(caller);
	int err;

	err = cn_handover_start(caller->ctl->daemon, request, fd, on_handover,
	    caller, &why, &caller->handover);
	if (err == CN_EINVAL) {
		return cn_reply_error(&caller->reply, request->id, why.code,
		    NULL, "%s", why.text);
	}
	if (err != CN_OK) {
		return err;
	}
	caller->request = *request;
	caller->awaited = CN_HANDOVER_RUNNING;
	return CN_EAGAIN;
}

int
cn_ctl_handover_end(
    struct cn_ctl_caller *caller, const struct cn_request *request)
{
	if (caller->handover == NULL) {
		return cn_reply_error(&caller->reply, request->id,
		    CN_REPLY_NOT_FOUND, NULL,
		    "nothing was handed over on this connection");
	}
	if (caller->handover->state == CN_HANDOVER_OVER) {
		return reply_handover(caller, request->id);
	}
	caller->request = *request;
	caller->awaited = CN_HANDOVER_OVER;
	return CN_EAGAIN;
}
