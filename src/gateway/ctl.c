/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/log.h"
#include "control/message.h"
#include "gateway/ctl_private.h"
#include "gateway/daemon.h"
#include "gateway/depot.h"
#include "gateway/events.h"
#include "gateway/handover.h"
#include "gateway/rules.h"
#include "net/listener.h"

#define FOLDER_MODE 0750

/* A descriptor that came beside a request. */
struct cn_ctl_handed {
	uv_tcp_t tcp;
};

static void next_request(struct cn_ctl_caller *caller);

/* ---- descriptors ---- */

static void
on_handed_closed(uv_handle_t *handle)
{
	cn_free(handle->data);
}

static void
drop_handed(struct cn_ctl_caller *caller)
{
	if (caller->handed != NULL) {
		uv_close((uv_handle_t *)&caller->handed->tcp, on_handed_closed);
		caller->handed = NULL;
	}
}

/*
 * Take what came beside the bytes just read; false: that was not for the
 * caller to send.  One at a time, so that nobody fills our table of
 * descriptors.
 */
static bool
take_handed(struct cn_ctl_caller *caller)
{
	int count = uv_pipe_pending_count(&caller->pipe);

	if (count == 0) {
		return true;
	}
	if (count > 1 || caller->handed != NULL ||
	    caller->grant < CN_ACCESS_CHANGE) {
		return false;
	}
	caller->handed = cn_calloc(1, sizeof(*caller->handed));
	if (caller->handed == NULL) {
		return false;
	}
	(void)uv_tcp_init(caller->pipe.loop, &caller->handed->tcp);
	caller->handed->tcp.data = caller->handed;
	return uv_accept((uv_stream_t *)&caller->pipe,
		   (uv_stream_t *)&caller->handed->tcp) == 0;
}

/* A descriptor of our own for it; -1: none came, or there is none left. */
int
cn_ctl_own_handed(struct cn_ctl_caller *caller)
{
	uv_os_fd_t theirs;
	int fd = -1;

	if (caller->handed != NULL &&
	    uv_fileno((uv_handle_t *)&caller->handed->tcp, &theirs) == 0) {
		fd = fcntl(theirs, F_DUPFD_CLOEXEC, 0);
	}
	drop_handed(caller);
	return fd;
}

/* ---- hanging up ---- */

static void
free_if_over(struct cn_ctl_caller *caller)
{
	if (caller->is_closed && !caller->is_asking) {
		cn_buf_fini(&caller->reply);
		cn_free(caller->payload);
		cn_depot_stream_free(&caller->stream);
		cn_handover_release(&caller->handover);
		cn_free(caller);
	}
}

static void
on_closed(uv_handle_t *handle)
{
	struct cn_ctl_caller *caller = handle->data;

	caller->is_closed = true;
	free_if_over(caller);
}

/* Its answer may still be asked of workers: that finds nobody then. */
static void
hang_up(struct cn_ctl_caller *caller)
{
	if (caller->ctl == NULL) {
		return;
	}
	cn_list_remove(&caller->item);
	caller->ctl->callers_count--;
	caller->ctl = NULL;
	drop_handed(caller);
	uv_close((uv_handle_t *)&caller->pipe, on_closed);
}

/* ---- replies ---- */

static void
on_written(uv_write_t *write, int status)
{
	struct cn_ctl_caller *caller = write->data;

	caller->is_writing = false;
	if (caller->ctl == NULL) {
		return;
	}
	cn_buf_clear(&caller->reply);
	if (status != 0 || caller->is_last) {
		hang_up(caller);
		return;
	}
	next_request(caller);
}

/* The reply is made; err: it could not be. */
void
cn_ctl_finish(struct cn_ctl_caller *caller, uint64_t id, int err)
{
	uv_buf_t bytes;

	caller->is_asking = false;
	if (caller->ctl == NULL) {
		free_if_over(caller);
		return;
	}
	if (err != CN_OK) {
		cn_counter_add(caller->ctl->daemon->counters,
		    CN_COUNTER_CONTROL_ERRORS, 1);
		err = cn_reply_error(&caller->reply, id, CN_REPLY_INTERNAL,
		    NULL, "%s", cn_err_text(err));
	}
	if (err != CN_OK) {
		hang_up(caller);
		return;
	}
	bytes = uv_buf_init(
	    (char *)caller->reply.data, (unsigned)caller->reply.len);
	caller->write.data = caller;
	caller->is_writing = true;
	if (uv_write(&caller->write, (uv_stream_t *)&caller->pipe, &bytes, 1,
		on_written) != 0) {
		caller->is_writing = false;
		hang_up(caller);
	}
}

/* ---- questions for the daemon itself ---- */

static int
reply_test(struct cn_daemon *daemon, const struct cn_request *request,
    struct cn_buf *out)
{
	struct cn_snap_test test;
	const char *what = NULL;
	int err = cn_rules_test(daemon, request->target, &test, &what);

	if (err == CN_OK) {
		err = cn_reply_test(out, request->id, &test);
	} else if (err == CN_EINVAL) {
		err = cn_reply_error(out, request->id, CN_REPLY_BAD_REQUEST,
		    NULL, "'target' is no address: %s", what);
	}
	cn_snap_test_clear(&test);
	return err;
}

static int
reply_events(struct cn_daemon *daemon, const struct cn_request *request,
    struct cn_buf *out)
{
	struct cn_snap_events events;
	uint64_t next;
	int err = cn_events_read(daemon->shared.events, request->cursor,
	    request->limit, &events, &next);

	if (err == CN_OK) {
		err = cn_reply_events(out, request->id, &events, next);
	}
	cn_snap_events_clear(&events);
	return err;
}

/* Returns CN_EAGAIN when the reply follows later. */
static int
serve(struct cn_ctl_caller *caller, const struct cn_request *request)
{
	int err;

	switch (request->command) {
	case CN_COMMAND_VERSION:
		return cn_reply_version(&caller->reply, request->id);
	case CN_COMMAND_SERVICE_TEST:
		return reply_test(caller->ctl->daemon, request, &caller->reply);
	case CN_COMMAND_CONFIG:
	case CN_COMMAND_CONFIG_DIFF:
	case CN_COMMAND_CONFIG_WRITE:
	case CN_COMMAND_RELOAD:
	case CN_COMMAND_PEER_DRAIN:
	case CN_COMMAND_PEER_RESUME:
	case CN_COMMAND_PEER_REMOVE:
		return cn_ctl_config(caller, request);
	case CN_COMMAND_EVENTS:
		return reply_events(
		    caller->ctl->daemon, request, &caller->reply);
	case CN_COMMAND_INVITE:
		return cn_ctl_invite(caller, request);
	case CN_COMMAND_JOIN:
		return cn_ctl_join(caller, request);
	case CN_COMMAND_STATUS:
	case CN_COMMAND_STREAMS:
	case CN_COMMAND_STREAM_SHOW:
	case CN_COMMAND_STREAM_KILL:
	case CN_COMMAND_STREAM_WHY:
	case CN_COMMAND_SERVICE_WHY:
	case CN_COMMAND_PEERS:
	case CN_COMMAND_SERVICES:
	case CN_COMMAND_STORE:
		err = cn_ctl_ask(caller, request);
		return err == CN_OK ? CN_EAGAIN : err;
	case CN_COMMAND_STORE_VERIFY:
	case CN_COMMAND_STORE_TRIM:
	case CN_COMMAND_STORE_EXPORT:
	case CN_COMMAND_STORE_IMPORT:
		return cn_ctl_step(caller, request);
	case CN_COMMAND_STORE_WARM:
	case CN_COMMAND_PROBE:
		return cn_ctl_handover(caller, request);
	case CN_COMMAND_STORE_WARM_END:
	case CN_COMMAND_PROBE_END:
		return cn_ctl_handover_end(caller, request);
	case CN_COMMAND_NONE:
	case CN_COMMAND_MAX:
		break;
	}
	return CN_EINVAL;
}

/* ---- requests ---- */

/* Answer a request that is here with all that follows it. */
static void
answer(struct cn_ctl_caller *caller, const struct cn_request *request)
{
	int err;

	caller->is_asking = true;
	err = serve(caller, request);
	cn_free(caller->payload);
	caller->payload = NULL;
	if (err != CN_EAGAIN) {
		cn_ctl_finish(caller, request->id, err);
	}
}

/*
 * Say no.  What follows such a request is not read: where it ends is known,
 * but who sends it to one who may not is not worth the memory.
 */
static void
say_no(struct cn_ctl_caller *caller, const struct cn_request *request, int err)
{
	if (err == CN_OK) { /* else it is counted there */
		cn_counter_add(caller->ctl->daemon->counters,
		    CN_COUNTER_CONTROL_ERRORS, 1);
	}
	caller->is_asking = true;
	caller->is_last = caller->is_last || request->payload > 0;
	cn_ctl_finish(caller, request->id, err);
}

/* Make room for what follows, and begin it with what is here. */
static void
begin_payload(struct cn_ctl_caller *caller, const struct cn_request *request)
{
	caller->payload = cn_alloc(request->payload);
	if (caller->payload == NULL) {
		say_no(caller, request, CN_ENOMEM);
		return;
	}
	caller->request = *request;
	caller->payload_len = CN_MIN(caller->len, (size_t)request->payload);
	memcpy(caller->payload, caller->line, caller->payload_len);
	caller->len -= caller->payload_len;
	memmove(caller->line, caller->line + caller->payload_len, caller->len);
	next_request(caller);
}

static void
on_line(struct cn_ctl_caller *caller, const char *line, size_t len)
{
	struct cn_daemon *daemon = caller->ctl->daemon;
	struct cn_request request = { 0 };

	cn_counter_add(daemon->counters, CN_COUNTER_CONTROL_REQUESTS, 1);
	if (cn_request_decode(line, len, &request) != CN_OK) {
		say_no(caller, &request,
		    cn_reply_refused(&caller->reply, &request));
	} else if (caller->grant < cn_request_access(&request)) {
		say_no(caller, &request,
		    cn_reply_error(&caller->reply, request.id,
			CN_REPLY_NOT_ALLOWED, NULL,
			"this needs root, the gateway's user or a member of "
			"the group %s",
			CN_ACCESS_CHANGE_GROUP));
	} else if (request.payload > 0) {
		begin_payload(caller, &request);
	} else {
		answer(caller, &request);
	}
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

/* Is all here that follows a request? */
static bool
is_complete(const struct cn_ctl_caller *caller)
{
	return caller->payload != NULL &&
	    caller->payload_len == caller->request.payload;
}

/* The next whole line, or the rest of what follows one; what is not there is
 * read. */
static void
next_request(struct cn_ctl_caller *caller)
{
	char line[CN_REQUEST_MAX];
	char *end = memchr(caller->line, '\n', caller->len);
	size_t len;

	assert(!caller->is_asking && !caller->is_writing);
	(void)uv_read_stop((uv_stream_t *)&caller->pipe);
	if (is_complete(caller)) {
		struct cn_request request = caller->request;

		answer(caller, &request);
	} else if (caller->payload == NULL && end != NULL) {
		len = (size_t)(end - caller->line);
		memcpy(line, caller->line, len);
		caller->len -= len + 1;
		memmove(caller->line, end + 1, caller->len);
		on_line(caller, line, len);
	} else if (caller->payload == NULL &&
	    caller->len == sizeof(caller->line)) {
		caller->is_last = caller->is_asking = true;
		cn_ctl_finish(caller, 0,
		    cn_reply_error(&caller->reply, 0, CN_REPLY_TOO_LONG, NULL,
			"a request has at most %u bytes", CN_REQUEST_MAX));
	} else if (uv_read_start(
		       (uv_stream_t *)&caller->pipe, on_room, on_read) != 0) {
		hang_up(caller);
	}
}

/* There is room always: what is full is answered, not read on. */
static void
on_room(uv_handle_t *handle, size_t suggested CN_UNUSED, uv_buf_t *ret)
{
	struct cn_ctl_caller *caller = handle->data;

	if (caller->payload != NULL) {
		*ret = uv_buf_init(
		    (char *)caller->payload + caller->payload_len,
		    (unsigned)(caller->request.payload - caller->payload_len));
		return;
	}
	*ret = uv_buf_init(caller->line + caller->len,
	    (unsigned)(sizeof(caller->line) - caller->len));
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf CN_UNUSED)
{
	struct cn_ctl_caller *caller = stream->data;

	if (n < 0 || !take_handed(caller)) {
		hang_up(caller);
	} else if (n > 0) {
		if (caller->payload != NULL) {
			caller->payload_len += (size_t)n;
		} else {
			caller->len += (size_t)n;
		}
		next_request(caller);
	}
}

/* ---- callers ---- */

static enum cn_access
grant_of(const struct cn_ctl *ctl, int fd)
{
	struct cn_access_caller *who = cn_alloc(sizeof(*who));
	enum cn_access grant = CN_ACCESS_NONE;

	if (who != NULL && cn_access_caller_of(fd, who) == CN_OK) {
		grant = cn_access_grant(&ctl->rule, who);
	}
	cn_free(who);
	return grant;
}

/* Say why and hang up.  The line fits: the socket is new and empty. */
static void
turn_away(int fd, enum cn_access grant)
{
	struct cn_buf line;

	cn_buf_init(&line, CN_REQUEST_MAX);
	int err = grant == CN_ACCESS_NONE
	    ? cn_reply_error(&line, 0, CN_REPLY_NOT_ALLOWED, NULL,
		  "this user may not ask the gateway anything")
	    : cn_reply_error(&line, 0, CN_REPLY_BUSY, NULL,
		  "there are %u callers already", CN_CONTROL_CALLERS_MAX);
	if (err == CN_OK) {
		(void)send(
		    fd, line.data, line.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	cn_buf_fini(&line);
	(void)close(fd);
}

static void
on_accept(void *owner, const struct cn_listener_accepted *accepted)
{
	struct cn_ctl *ctl = owner;
	struct cn_ctl_caller *caller = NULL;
	enum cn_access grant = grant_of(ctl, accepted->fd);

	if (grant != CN_ACCESS_NONE &&
	    ctl->callers_count < CN_CONTROL_CALLERS_MAX) {
		caller = cn_calloc(1, sizeof(*caller));
	}
	if (caller == NULL) {
		turn_away(accepted->fd, grant);
		return;
	}
	caller->ctl = ctl;
	caller->grant = grant;
	cn_buf_init(&caller->reply, CN_REPLY_MAX);
	cn_list_init(&caller->item);
	cn_list_append(&ctl->callers, &caller->item);
	ctl->callers_count++;
	/* One over which descriptors may come. */
	(void)uv_pipe_init(&ctl->daemon->loop, &caller->pipe, 1);
	caller->pipe.data = caller;
	if (uv_pipe_open(&caller->pipe, accepted->fd) != 0) {
		(void)close(accepted->fd);
		hang_up(caller);
	} else if (uv_read_start(
		       (uv_stream_t *)&caller->pipe, on_room, on_read) != 0) {
		hang_up(caller);
	}
}

/* ---- life ---- */

/* The folder of the socket, one level, if it is missing. */
static void
make_folder(const char *path)
{
	char folder[CN_ADDR_PATH_MAX + 1];
	char *slash;

	cn_snap_text(folder, sizeof(folder), path);
	slash = strrchr(folder, '/');
	if (slash != NULL && slash != folder) {
		*slash = '\0';
		/* Its failure shows when the socket is bound. */
		(void)mkdir(folder, FOLDER_MODE);
	}
}

int
cn_ctl_open(struct cn_daemon *daemon, const char *path, struct cn_ctl **ret)
{
	struct cn_listener_options options = { .is_reserved = true };
	struct cn_addr addr = { .kind = CN_ADDR_UNIX };
	struct cn_ctl *ctl = cn_calloc(1, sizeof(*ctl));
	int err;

	if (ctl == NULL) {
		return CN_ENOMEM;
	}
	ctl->daemon = daemon;
	cn_list_init(&ctl->callers);
	cn_access_rule_init(&ctl->rule);
	make_folder(path);
	err = strlen(path) > CN_ADDR_PATH_MAX ? CN_ENAMETOOLONG : CN_OK;
	if (err == CN_OK) {
		cn_snap_text(addr.name, sizeof(addr.name), path);
		err = cn_listener_open(&addr, &options, &ctl->listener);
	}
	if (err == CN_OK) {
		if (ctl->rule.has_read_group &&
		    chown(path, (uid_t)-1, ctl->rule.read_group) != 0) {
			CN_LOG(CN_LOG_WARN, "control-group", "path=%s",
			    CN_LOG_STR(path));
		}
		err = cn_listener_watch(
		    ctl->listener, &daemon->loop, on_accept, ctl, &ctl->watch);
	}
	if (err != CN_OK) {
		CN_LOG(CN_LOG_ERROR, "control-failed", "path=%s error=%s",
		    CN_LOG_STR(path), CN_LOG_STR(cn_err_text(err)));
		cn_ctl_close(&ctl);
		return err;
	}
	*ret = ctl;
	return CN_OK;
}

void
cn_ctl_close(struct cn_ctl **cp)
{
	struct cn_ctl *ctl = *cp;
	struct cn_list *item;

	*cp = NULL;
	if (ctl == NULL) {
		return;
	}
	while ((item = cn_list_first(&ctl->callers)) != NULL) {
		hang_up(CN_LIST_ENTRY(item, struct cn_ctl_caller, item));
	}
	cn_listener_unwatch(&ctl->watch);
	cn_listener_close(&ctl->listener, false);
	cn_free(ctl);
}
