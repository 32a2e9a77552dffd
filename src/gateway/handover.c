/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/handover.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "gateway/builtin.h"
#include "gateway/daemon.h"
#include "gateway/scope.h"
#include "gateway/session.h"
#include "net/fdbudget.h"
#include "net/sockopt.h"

/* Handed on so often: then somebody's picture is old. */
#define HOPS_MAX 3u

static int CN_PRINTF(3, 4) refuse(struct cn_handover_refusal *why,
    enum cn_reply_code code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(why->text, sizeof(why->text), fmt, args);
	va_end(args);
	why->code = code;
	return CN_EINVAL;
}

/* ---- home again ---- */

static void
free_if_over(struct cn_handover *handover)
{
	if (handover->is_released && handover->state == CN_HANDOVER_OVER &&
	    !handover->is_telling) {
		cn_free(handover);
	}
}

static void
tell(struct cn_handover *handover, enum cn_handover_state state)
{
	handover->state = state;
	if (!handover->is_released) {
		handover->is_telling = true;
		handover->told(handover, handover->owner);
		handover->is_telling = false;
	}
	free_if_over(handover);
}

static void
drop_opened(struct cn_task *task)
{
	struct cn_handover *handover =
	    CN_CONTAINER_OF(task, struct cn_handover, task);

	tell(handover,
	    handover->has_opened ? CN_HANDOVER_RUNNING : CN_HANDOVER_OVER);
}

static void
on_opened(struct cn_task *task, void *owner CN_UNUSED)
{
	drop_opened(task);
}

static void
drop_ended(struct cn_task *task)
{
	tell(CN_CONTAINER_OF(task, struct cn_handover, last), CN_HANDOVER_OVER);
}

static void
on_ended(struct cn_task *task, void *owner CN_UNUSED)
{
	drop_ended(task);
}

void
cn_handover_ended(struct cn_handover *handover)
{
	handover->last.run = on_ended;
	handover->last.drop = drop_ended;
	cn_mailbox_post(&handover->daemon->mailbox, &handover->last);
}

static void
send_home(struct cn_handover *handover)
{
	handover->task.run = on_opened;
	handover->task.drop = drop_opened;
	cn_mailbox_post(&handover->daemon->mailbox, &handover->task);
}

/* ---- in workers ---- */

/* Words for what the engine says. */
static int
explain(struct cn_handover_refusal *why, const char *peer, int err)
{
	switch (err) {
	case CN_ENOTCONN:
		return refuse(
		    why, CN_REPLY_BUSY, "peer '%s' is not connected", peer);
	case CN_ENOSYS:
		return refuse(why, CN_REPLY_BAD_REQUEST,
		    "peer '%s' has no store, so nothing can be kept there",
		    peer);
	case CN_ECODING:
		return refuse(why, CN_REPLY_BUSY,
		    "blocks to peer '%s' failed too often: nothing is coded "
		    "or stored until the link is made anew",
		    peer);
	case CN_EBUSY:
	case CN_ENOMEM:
	case CN_ELIMIT:
		return refuse(why, CN_REPLY_BUSY,
		    "a limit is reached: streams, memory or descriptors");
	case CN_EDRAIN:
		return refuse(
		    why, CN_REPLY_BUSY, "one of the two gateways goes down");
	default:
		return refuse(why, CN_REPLY_INTERNAL, "%s", cn_err_text(err));
	}
}

/* The service as the worker knows it; a reload may just have changed it. */
static const struct cn_plan_service *
find_service(const struct cn_worker *worker, struct cn_handover *handover)
{
	const struct cn_plan_service *service =
	    cn_plan_service(worker->plan, handover->service);

	if (service == NULL || cn_scope_is_unstored(service->config) ||
	    (service->config->scope == CN_CONFIG_SCOPE_CLIENT &&
		handover->client[0] == '\0')) {
		(void)refuse(&handover->why, CN_REPLY_BUSY,
		    "the configuration has just changed");
		return NULL;
	}
	return service;
}

/* The peer as the worker knows it. */
static const struct cn_plan_peer *
find_peer(const struct cn_worker *worker, struct cn_handover *handover,
    const struct cn_plan_service **service)
{
	const struct cn_plan_peer *peer;

	*service = NULL;
	if (worker->is_draining) {
		(void)refuse(
		    &handover->why, CN_REPLY_BUSY, "the gateway goes down");
		return NULL;
	}
	if (handover->peer[0] == '\0') {
		*service = find_service(worker, handover);
		return *service == NULL ? NULL : (*service)->peer;
	}
	peer = cn_plan_peer_named(worker->plan, handover->peer);
	if (peer == NULL) {
		(void)refuse(&handover->why, CN_REPLY_BUSY,
		    "the configuration has just changed");
	}
	return peer;
}

/* Open the stream here; true when a session has it. */
static bool
open_here(struct cn_worker *worker, const struct cn_plan_peer *peer,
    const struct cn_plan_service *service, struct cn_handover *handover)
{
	struct cn_linkhost *host =
	    cn_linkhost_for_stream(worker, peer->identity);
	int fd = handover->fd;
	int err = CN_ENOTCONN;

	if (host != NULL && !cn_linkhost_is_down(host, cn_clock_us())) {
		handover->fd = -1;
		err = service != NULL
		    ? cn_session_warm(host, service, fd, handover)
		    : cn_session_probe(host, fd, handover);
	}
	if (err != CN_OK) {
		(void)explain(&handover->why, peer->config->entry.name, err);
	}
	return err == CN_OK;
}

static void
run_work(struct cn_task *task, void *owner)
{
	struct cn_handover *handover =
	    CN_CONTAINER_OF(task, struct cn_handover, task);
	struct cn_worker *worker = owner;
	const struct cn_plan_service *service;
	const struct cn_plan_peer *peer = find_peer(worker, handover, &service);
	uint32_t to = worker->index;

	if (peer != NULL &&
	    cn_registry_pick(worker->shared->registry, peer->identity,
		worker->index, false, cn_clock_us(), &to) == CN_OK &&
	    to != worker->index && handover->hops < HOPS_MAX) {
		handover->hops++;
		cn_worker_post(worker->shared->worker[to], &handover->task);
		return;
	}
	handover->has_opened =
	    peer != NULL && open_here(worker, peer, service, handover);
	handover->is_refused = !handover->has_opened;
	cn_sockopt_close(&handover->fd);
	send_home(handover);
}

/* The worker is gone. */
static void
drop_work(struct cn_task *task)
{
	struct cn_handover *handover =
	    CN_CONTAINER_OF(task, struct cn_handover, task);

	(void)refuse(&handover->why, CN_REPLY_BUSY, "the gateway goes down");
	handover->is_refused = true;
	cn_sockopt_close(&handover->fd);
	send_home(handover);
}

/* ---- the caller's side ---- */

/* What goes into the key of a scope: an address with some port. */
static int
read_client(
    const char *text, char *ret, size_t cap, struct cn_handover_refusal *why)
{
	struct cn_sockaddr sa = { 0 };

	if (inet_pton(AF_INET, text, &sa.u.v4.sin_addr) == 1) {
		sa.u.v4.sin_family = AF_INET;
		sa.len = sizeof(sa.u.v4);
	} else if (inet_pton(AF_INET6, text, &sa.u.v6.sin6_addr) == 1) {
		sa.u.v6.sin6_family = AF_INET6;
		sa.len = sizeof(sa.u.v6);
	} else {
		return refuse(why, CN_REPLY_BAD_REQUEST,
		    "'%s' is no IP address of a client", text);
	}
	(void)cn_sockaddr_format(&sa, true, ret, cap);
	return CN_OK;
}

/* Is there such a peer?  What it offers of itself only it can say. */
static int
check_probe(const struct cn_daemon *daemon, const struct cn_request *request,
    struct cn_handover_refusal *why)
{
	if (request->client[0] != '\0') {
		return refuse(
		    why, CN_REPLY_BAD_REQUEST, "what probes has no client");
	}
	if (!cn_builtin_is_name(request->service)) {
		return refuse(why, CN_REPLY_BAD_REQUEST,
		    "'%s' is not of those that every gateway has, such as "
		    "/echo",
		    request->service);
	}
	return cn_plan_peer_named(daemon->plan, request->peer) != NULL
	    ? CN_OK
	    : refuse(why, CN_REPLY_NOT_FOUND, "no peer '%s'", request->peer);
}

/* Does what the service carries get into stores at all? */
static int
check_service(const struct cn_daemon *daemon, const struct cn_request *request,
    struct cn_handover_refusal *why)
{
	const struct cn_plan_service *service =
	    cn_plan_service(daemon->plan, request->service);
	const char *name = request->service;
	bool has_client = request->client[0] != '\0';

	if (service == NULL) {
		return refuse(why, CN_REPLY_NOT_FOUND, "no service '%s'", name);
	}
	if (daemon->depot == NULL) {
		return refuse(why, CN_REPLY_NOT_FOUND,
		    "this gateway has no store: store.memory is 0");
	}
	if (service->config->scope == CN_CONFIG_SCOPE_CONNECTION) {
		return refuse(why, CN_REPLY_BAD_REQUEST,
		    "service '%s' has the scope connection: nothing of it is "
		    "stored",
		    name);
	}
	if (cn_scope_is_unstored(service->config)) {
		return refuse(why, CN_REPLY_BAD_REQUEST,
		    "the profile of service '%s' is without dedup: nothing of "
		    "it is stored",
		    name);
	}
	if (service->config->scope == CN_CONFIG_SCOPE_CLIENT && !has_client) {
		return refuse(why, CN_REPLY_BAD_REQUEST,
		    "service '%s' has the scope client: say for which client's "
		    "address",
		    name);
	}
	if (service->config->scope != CN_CONFIG_SCOPE_CLIENT && has_client) {
		return refuse(why, CN_REPLY_BAD_REQUEST,
		    "service '%s' has not the scope client: all clients share "
		    "what is stored",
		    name);
	}
	return CN_OK;
}

/*
 * Make it a socket as if it had been accepted.  A Unix socket will not do:
 * its end cannot be told from a failure.
 */
static int
adopt(int fd, struct cn_handover_refusal *why)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int flags;

	if (!cn_sockopt_is_tcp(fd) ||
	    getpeername(fd, (struct sockaddr *)&peer, &len) != 0) {
		return refuse(why, CN_REPLY_BAD_REQUEST,
		    "one end of a TCP connection must come with the request");
	}
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
		return refuse(why, CN_REPLY_INTERNAL, "%s",
		    cn_err_text(cn_err_from_errno(errno)));
	}
	if (!cn_fdbudget_take(1)) {
		return refuse(
		    why, CN_REPLY_BUSY, "there are too many open descriptors");
	}
	cn_sockopt_arm(fd);
	return CN_OK;
}

/* Its other end must not read an end of file that was not verified. */
static void
turn_away(int fd)
{
	if (fd >= 0) {
		if (cn_sockopt_is_tcp(fd)) {
			cn_sockopt_arm(fd);
		}
		(void)close(fd);
	}
}

static int
check_last(struct cn_handover **last, struct cn_handover_refusal *why)
{
	if (*last != NULL && (*last)->state == CN_HANDOVER_OVER) {
		cn_handover_release(last);
	}
	return *last == NULL
	    ? CN_OK
	    : refuse(why, CN_REPLY_BUSY, "the last one is not over");
}

int
cn_handover_start(struct cn_daemon *daemon, const struct cn_request *request,
    int fd, void (*told)(struct cn_handover *handover, void *owner),
    void *owner, struct cn_handover_refusal *why, struct cn_handover **ret)
{
	struct cn_handover *handover = cn_calloc(1, sizeof(*handover));
	int err = handover == NULL ? CN_ENOMEM : check_last(ret, why);

	if (err == CN_OK) {
		err = request->command == CN_COMMAND_PROBE
		    ? check_probe(daemon, request, why)
		    : check_service(daemon, request, why);
	}
	if (err == CN_OK && request->client[0] != '\0') {
		err = read_client(request->client, handover->client,
		    sizeof(handover->client), why);
	}
	if (err == CN_OK) {
		err = adopt(fd, why);
	}
	if (err != CN_OK) {
		turn_away(fd);
		cn_free(handover);
		return err;
	}
	CN_LOG(CN_LOG_INFO, "handover",
	    "command=%s peer=%s service=%s client=%s",
	    cn_command_name(request->command), CN_LOG_STR(request->peer),
	    CN_LOG_STR(request->service), CN_LOG_STR(handover->client));
	handover->daemon = daemon;
	handover->told = told;
	handover->owner = owner;
	handover->fd = fd;
	cn_snap_text(
	    handover->service, sizeof(handover->service), request->service);
	cn_snap_text(handover->peer, sizeof(handover->peer), request->peer);
	handover->is_unstored = !request->is_stored;
	handover->task.run = run_work;
	handover->task.drop = drop_work;
	*ret = handover;
	cn_worker_post(daemon->shared.worker[0], &handover->task);
	return CN_OK;
}

void
cn_handover_release(struct cn_handover **hp)
{
	struct cn_handover *handover = *hp;

	*hp = NULL;
	if (handover != NULL) {
		handover->is_released = true;
		free_if_over(handover);
	}
}
