/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "base/alloc.h"
#include "base/err.h"
#include "gateway/ctl_private.h"
#include "gateway/daemon.h"
#include "gateway/picture.h"
#include "gateway/reasons.h"
#include "gateway/report.h"

struct question {
	struct cn_ctl_caller *caller; /* waits for it */
	struct cn_daemon *daemon;     /* borrowed */
	struct cn_request request;
	uint32_t waiting; /* workers that have not answered */
	struct cn_report *reports;
	struct part *parts;
};

struct part {
	struct cn_task task;
	struct question *question;
	uint32_t worker;
};

static void
free_question(struct question *question)
{
	for (uint32_t i = 0; i < question->daemon->shared.workers; i++) {
		cn_report_clear(&question->reports[i]);
	}
	cn_free(question->reports);
	cn_free(question->parts);
	cn_free(question);
}

static int
reply_status(struct question *question, struct cn_buf *out)
{
	struct cn_snap_status status;
	int err = cn_picture_status(question->daemon, question->reports,
	    question->daemon->shared.workers, &status);

	if (err == CN_OK) {
		err = cn_reply_status(out, question->request.id, &status);
	}
	cn_snap_status_clear(&status);
	return err;
}

static int
reply_store(struct question *question, struct cn_buf *out)
{
	struct cn_snap_store store;
	int err = cn_picture_store(question->daemon, question->reports,
	    question->daemon->shared.workers, &store);

	return err != CN_OK ? err
			    : cn_reply_store(out, question->request.id, &store);
}

static int
reply_peers(struct question *question, struct cn_buf *out)
{
	struct cn_snap_peers peers;
	int err = cn_picture_peers(question->daemon, question->reports,
	    question->daemon->shared.workers, &peers);

	if (err == CN_OK) {
		err = cn_reply_peers(out, question->request.id, &peers);
	}
	cn_snap_peers_clear(&peers);
	return err;
}

static int
reply_services(struct question *question, struct cn_buf *out)
{
	struct cn_snap_services services;
	int err = cn_picture_services(question->daemon, question->reports,
	    question->daemon->shared.workers, &services);

	if (err == CN_OK) {
		err = cn_reply_services(out, question->request.id, &services);
	}
	cn_snap_services_clear(&services);
	return err;
}

static int
reply_streams(struct question *question, struct cn_buf *out)
{
	struct cn_snap_streams streams;
	uint64_t next;
	int err = cn_picture_streams(question->daemon, question->reports,
	    question->daemon->shared.workers, question->request.limit, &streams,
	    &next);

	if (err == CN_OK) {
		err =
		    cn_reply_streams(out, question->request.id, &streams, next);
	}
	cn_snap_streams_clear(&streams);
	return err;
}

/* About one stream, which one worker has, or none. */
static int
reply_stream(struct question *question, struct cn_buf *out)
{
	const struct cn_request *request = &question->request;

	for (uint32_t i = 0; i < question->daemon->shared.workers; i++) {
		if (!question->reports[i].is_found) {
			continue;
		}
		return request->command == CN_COMMAND_STREAM_KILL
		    ? cn_reply_done(out, request->id)
		    : cn_reply_stream(
			  out, request->id, question->reports[i].streams);
	}
	return cn_reply_error(out, request->id, CN_REPLY_NOT_FOUND, NULL,
	    "no stream %llu", (unsigned long long)request->stream);
}

/* Why a stream, or a service or offer, is no less. */
static int
reply_why(struct question *question, struct cn_buf *out)
{
	const struct cn_request *request = &question->request;
	bool is_stream = request->command == CN_COMMAND_STREAM_WHY;
	uint32_t workers = question->daemon->shared.workers;
	struct cn_snap_why why;
	int err = is_stream
	    ? cn_reasons_stream(
		  question->daemon, question->reports, workers, &why)
	    : cn_reasons_service(question->daemon, question->reports, workers,
		  request->service, &why);

	if (err == CN_OK) {
		err = cn_reply_why(out, request->id, &why);
	} else if (err == CN_ENOENT && is_stream) {
		err = cn_reply_error(out, request->id, CN_REPLY_NOT_FOUND, NULL,
		    "no stream %llu", (unsigned long long)request->stream);
	} else if (err == CN_ENOENT) {
		err = cn_reply_error(out, request->id, CN_REPLY_NOT_FOUND, NULL,
		    "no service or offer is called '%s'", request->service);
	}
	cn_snap_why_clear(&why);
	return err;
}

static int
compose(struct question *question, struct cn_buf *out)
{
	for (uint32_t i = 0; i < question->daemon->shared.workers; i++) {
		if (question->reports[i].err != CN_OK) {
			return question->reports[i].err;
		}
	}
	switch (question->request.command) {
	case CN_COMMAND_STATUS:
		return reply_status(question, out);
	case CN_COMMAND_PEERS:
		return reply_peers(question, out);
	case CN_COMMAND_SERVICES:
		return reply_services(question, out);
	case CN_COMMAND_STREAMS:
		return reply_streams(question, out);
	case CN_COMMAND_STREAM_SHOW:
	case CN_COMMAND_STREAM_KILL:
		return reply_stream(question, out);
	case CN_COMMAND_STORE:
		return reply_store(question, out);
	case CN_COMMAND_STREAM_WHY:
	case CN_COMMAND_SERVICE_WHY:
		return reply_why(question, out);
	case CN_COMMAND_SERVICE_TEST:
	case CN_COMMAND_NONE:
	case CN_COMMAND_EVENTS:
	case CN_COMMAND_VERSION:
	case CN_COMMAND_CONFIG:
	case CN_COMMAND_CONFIG_DIFF:
	case CN_COMMAND_CONFIG_WRITE:
	case CN_COMMAND_RELOAD:
	case CN_COMMAND_PEER_DRAIN:
	case CN_COMMAND_PEER_RESUME:
	case CN_COMMAND_PEER_REMOVE:
	case CN_COMMAND_INVITE:
	case CN_COMMAND_JOIN:
	case CN_COMMAND_STORE_VERIFY:
	case CN_COMMAND_STORE_TRIM:
	case CN_COMMAND_STORE_EXPORT:
	case CN_COMMAND_STORE_IMPORT:
	case CN_COMMAND_STORE_WARM:
	case CN_COMMAND_STORE_WARM_END:
	case CN_COMMAND_PROBE:
	case CN_COMMAND_PROBE_END:
	case CN_COMMAND_MAX:
		break;
	}
	return CN_EINVAL;
}

/* One more worker has answered, or will not any more. */
static void
answered(struct question *question)
{
	struct cn_ctl_caller *caller = question->caller;
	uint64_t id = question->request.id;
	int err;

	assert(question->waiting > 0);
	question->waiting--;
	if (question->waiting > 0) {
		return;
	}
	err = compose(question, &caller->reply);
	free_question(question);
	cn_ctl_finish(caller, id, err);
}

static void
on_answer(struct cn_task *task, void *owner CN_UNUSED)
{
	answered(CN_CONTAINER_OF(task, struct part, task)->question);
}

static void
drop_answer(struct cn_task *task)
{
	answered(CN_CONTAINER_OF(task, struct part, task)->question);
}

/* Send the part home; from any thread. */
static void
send_home(struct part *part)
{
	part->task.run = on_answer;
	part->task.drop = drop_answer;
	cn_mailbox_post(&part->question->daemon->mailbox, &part->task);
}

/* The worker is gone. */
static void
drop_part(struct cn_task *task)
{
	struct part *part = CN_CONTAINER_OF(task, struct part, task);

	part->question->reports[part->worker].err = CN_ECLOSED;
	send_home(part);
}

/* In the worker. */
static void
ask_worker(struct cn_task *task, void *owner)
{
	struct part *part = CN_CONTAINER_OF(task, struct part, task);
	struct question *question = part->question;
	const struct cn_request *request = &question->request;
	struct cn_report *report = &question->reports[part->worker];
	struct cn_worker *worker = owner;

	switch (request->command) {
	case CN_COMMAND_STREAMS:
		cn_report_streams(
		    worker, request->cursor, request->limit, report);
		break;
	case CN_COMMAND_STREAM_SHOW:
		cn_report_stream(worker, request->stream, report);
		break;
	case CN_COMMAND_STREAM_KILL:
		cn_report_kill(worker, request->stream, report);
		break;
	case CN_COMMAND_STREAM_WHY:
		cn_report_stream_why(worker, request->stream, report);
		break;
	case CN_COMMAND_SERVICE_WHY:
		cn_report_service_why(worker, request->service, report);
		break;
	case CN_COMMAND_STATUS:
	case CN_COMMAND_PEERS:
	case CN_COMMAND_SERVICES:
	case CN_COMMAND_SERVICE_TEST:
	case CN_COMMAND_STORE:
	case CN_COMMAND_NONE:
	case CN_COMMAND_EVENTS:
	case CN_COMMAND_VERSION:
	case CN_COMMAND_CONFIG:
	case CN_COMMAND_CONFIG_DIFF:
	case CN_COMMAND_CONFIG_WRITE:
	case CN_COMMAND_RELOAD:
	case CN_COMMAND_PEER_DRAIN:
	case CN_COMMAND_PEER_RESUME:
	case CN_COMMAND_PEER_REMOVE:
	case CN_COMMAND_INVITE:
	case CN_COMMAND_JOIN:
	case CN_COMMAND_STORE_VERIFY:
	case CN_COMMAND_STORE_TRIM:
	case CN_COMMAND_STORE_EXPORT:
	case CN_COMMAND_STORE_IMPORT:
	case CN_COMMAND_STORE_WARM:
	case CN_COMMAND_STORE_WARM_END:
	case CN_COMMAND_PROBE:
	case CN_COMMAND_PROBE_END:
	case CN_COMMAND_MAX:
		cn_report_status(worker, report);
		break;
	}
	send_home(part);
}

/* Ask every worker; the reply follows. */
int
cn_ctl_ask(struct cn_ctl_caller *caller, const struct cn_request *request)
{
	struct cn_daemon *daemon = caller->ctl->daemon;
	uint32_t workers = daemon->shared.workers;
	struct question *question = cn_calloc(1, sizeof(*question));

	if (question == NULL) {
		return CN_ENOMEM;
	}
	question->daemon = daemon;
	question->caller = caller;
	question->request = *request;
	question->waiting = workers;
	question->reports = cn_calloc(workers, sizeof(*question->reports));
	question->parts = cn_calloc(workers, sizeof(*question->parts));
	if (question->reports == NULL || question->parts == NULL) {
		cn_free(question->reports);
		cn_free(question->parts);
		cn_free(question);
		return CN_ENOMEM;
	}
	for (uint32_t i = 0; i < workers; i++) {
		struct part *part = &question->parts[i];

		part->question = question;
		part->worker = i;
		part->task.run = ask_worker;
		part->task.drop = drop_part;
		cn_worker_post(daemon->shared.worker[i], &part->task);
	}
	return CN_OK;
}
