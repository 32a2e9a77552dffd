/* SPDX-License-Identifier: Apache-2.0 */
#include "control/client.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "control/line.h"

#define SYSTEM_PATH "/run/compressnet/control.sock"
#define READ_BYTES (64u * 1024u)

struct cn_client {
	int fd;
	uint64_t timeout_us;
	uint64_t last_id;
	struct cn_buf in;  /* bytes that came, the next line first */
	struct cn_buf out; /* one request */
	size_t payload;    /* bytes in front of `in' that the caller has read */
};

static int
format_path(char *path, size_t size, const char *dir, const char *name)
{
	int len = snprintf(path, size, "%s%s", dir, name);

	return len < 0 || (size_t)len >= size ? CN_ELIMIT : CN_OK;
}

int
cn_client_path(const char *given, char *path, size_t size)
{
	const char *set = getenv("COMPRESSNET_SOCKET");
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (given == NULL && set != NULL && set[0] != '\0') {
		given = set;
	}
	if (given != NULL) {
		return format_path(path, size, given, "");
	}
	if (geteuid() != 0 && runtime != NULL && runtime[0] == '/' &&
	    access(SYSTEM_PATH, F_OK) != 0) {
		return format_path(
		    path, size, runtime, "/compressnet/control.sock");
	}
	return format_path(path, size, SYSTEM_PATH, "");
}

/* Wait until the socket is ready; CN_ETIMEDOUT when the deadline passes. */
static int
wait_for(int fd, short events, uint64_t deadline)
{
	for (;;) {
		struct pollfd poller = { .fd = fd, .events = events };
		uint64_t now = cn_clock_us();

		if (now >= deadline) {
			return CN_ETIMEDOUT;
		}
		uint64_t left_ms = (deadline - now + 999) / 1000;
		int n = poll(&poller, 1, (int)CN_MIN(left_ms, (uint64_t)60000));
		if (n > 0) {
			return CN_OK;
		}
		if (n < 0 && errno != EINTR) {
			return cn_err_from_errno(errno);
		}
	}
}

static int
connect_to(int fd, const char *path, uint64_t deadline)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path)) {
		return CN_ELIMIT;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	for (;;) {
		if (connect(fd, (const struct sockaddr *)&address,
			sizeof(address)) == 0) {
			return CN_OK;
		}
		if (errno != EAGAIN && errno != EINTR) {
			return cn_err_from_errno(errno);
		}
		/* A full backlog: Unix sockets cannot be polled for it. */
		if (cn_clock_us() >= deadline) {
			return CN_ETIMEDOUT;
		}
		(void)poll(NULL, 0, 10);
	}
}

int
cn_client_open(const char *path, uint64_t timeout_us, struct cn_client **ret)
{
	struct cn_client *client = cn_calloc(1, sizeof(*client));
	int err;

	if (client == NULL) {
		return CN_ENOMEM;
	}
	cn_buf_init(&client->in, CN_REPLY_MAX + READ_BYTES);
	cn_buf_init(&client->out, CN_REQUEST_MAX);
	client->timeout_us = timeout_us;
	client->fd =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (client->fd < 0) {
		err = cn_err_from_errno(errno);
		goto fail;
	}
	err = connect_to(client->fd, path, cn_clock_us() + timeout_us);
	if (err < 0) {
		goto fail;
	}
	*ret = client;
	return CN_OK;
fail:
	cn_client_close(&client);
	return err;
}

void
cn_client_close(struct cn_client **cp)
{
	struct cn_client *client = *cp;

	if (client == NULL) {
		return;
	}
	*cp = NULL;
	if (client->fd >= 0) {
		(void)close(client->fd);
	}
	cn_buf_fini(&client->in);
	cn_buf_fini(&client->out);
	cn_free(client);
}

/* Send some bytes, and beside the first of them a descriptor unless it is
 * -1. */
static ssize_t
send_some(int to, const uint8_t *bytes, size_t len, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.room);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
	}
	return sendmsg(to, &msg, MSG_NOSIGNAL);
}

static int
send_all(struct cn_client *client, const uint8_t *bytes, size_t len, int fd,
    uint64_t deadline)
{
	while (len > 0) {
		ssize_t n = send_some(client->fd, bytes, len, fd);

		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
			fd = -1;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			return errno == EPIPE || errno == ECONNRESET
			    ? CN_ECLOSED
			    : cn_err_from_errno(errno);
		}
		int err = wait_for(client->fd, POLLOUT, deadline);
		if (err < 0) {
			return err;
		}
	}
	return CN_OK;
}

/* More of what the gateway says: at least a byte. */
static int
receive(struct cn_client *client, uint64_t deadline)
{
	for (;;) {
		int err = wait_for(client->fd, POLLIN, deadline);
		if (err == CN_OK) {
			err = cn_buf_reserve(&client->in, READ_BYTES);
		}
		if (err < 0) {
			return err;
		}
		ssize_t n = recv(client->fd, client->in.data + client->in.len,
		    READ_BYTES, 0);
		if (n > 0) {
			cn_buf_commit(&client->in, (size_t)n);
			return CN_OK;
		}
		if (n == 0 || errno == ECONNRESET) {
			return CN_ECLOSED;
		}
		if (errno != EAGAIN && errno != EINTR) {
			return cn_err_from_errno(errno);
		}
	}
}

/* The length of the next line with its newline. */
static int
receive_line(struct cn_client *client, uint64_t deadline, size_t *ret)
{
	size_t looked = 0;

	for (;;) {
		const uint8_t *end = client->in.len == looked
		    ? NULL
		    : memchr(client->in.data + looked, '\n',
			  client->in.len - looked);

		if (end != NULL) {
			*ret = (size_t)(end - client->in.data) + 1;
			return CN_OK;
		}
		looked = client->in.len;
		if (looked >= CN_REPLY_MAX) {
			return CN_ELIMIT;
		}
		int err = receive(client, deadline);
		if (err < 0) {
			return err;
		}
	}
}

/* The reply to what was sent; its line is taken out of what came. */
static int
receive_reply(
    struct cn_client *client, uint64_t deadline, struct cn_reply *reply)
{
	size_t len = 0;
	int err = receive_line(client, deadline, &len);

	if (err < 0) {
		return err;
	}
	err = cn_reply_decode((const char *)client->in.data, len - 1, reply);
	cn_buf_consume(&client->in, len);
	while (err == CN_OK && client->in.len < reply->payload) {
		err = receive(client, deadline);
	}
	return err;
}

/* What follows a request. */
struct more {
	const uint8_t *payload; /* NULL: nothing */
	size_t payload_len;
	int fd; /* -1: none */
};

/* Bytes of an earlier reply are done with. */
static uint64_t
begin(struct cn_client *client)
{
	cn_buf_consume(&client->in, client->payload);
	client->payload = 0;
	cn_buf_clear(&client->out);
	return ++client->last_id;
}

/* Send what is in `out' and what follows it; wait for the reply. */
static int
exchange(struct cn_client *client, uint64_t id, const struct more *more,
    struct cn_reply *reply)
{
	uint64_t deadline = cn_clock_us() + client->timeout_us;
	int err = send_all(
	    client, client->out.data, client->out.len, more->fd, deadline);

	if (err == CN_OK && more->payload != NULL) {
		err = send_all(
		    client, more->payload, more->payload_len, -1, deadline);
	}
	/* A gateway that refuses us may say so before it hangs up. */
	if (err == CN_OK || err == CN_ECLOSED) {
		err = receive_reply(client, deadline, reply);
	}
	if (err == CN_OK && reply->id != id && reply->is_ok) {
		err = CN_EPROTO;
	}
	if (err < 0) {
		cn_reply_fini(reply);
		return err;
	}
	client->payload = reply->payload;
	return CN_OK;
}

static int
call(struct cn_client *client, struct cn_request *request,
    const struct more *more, struct cn_reply *reply, const uint8_t **bytes)
{
	*bytes = NULL;
	request->id = begin(client);
	int err = cn_request_encode(request, &client->out);
	if (err == CN_OK) {
		err = exchange(client, request->id, more, reply);
	}
	if (err < 0) {
		return err;
	}
	*bytes = reply->payload == 0 ? NULL : client->in.data;
	return CN_OK;
}

int
cn_client_call_raw(struct cn_client *client, struct cn_request *request,
    const uint8_t *payload, struct cn_reply *reply, const uint8_t **bytes)
{
	struct more more = { payload, request->payload, -1 };

	return call(client, request, &more, reply, bytes);
}

int
cn_client_call_fd(struct cn_client *client, struct cn_request *request, int fd,
    struct cn_reply *reply)
{
	struct more more = { NULL, 0, fd };
	const uint8_t *bytes;

	return call(client, request, &more, reply, &bytes);
}

int
cn_client_call(struct cn_client *client, struct cn_request *request,
    struct cn_reply *reply)
{
	const uint8_t *bytes;

	return cn_client_call_raw(client, request, NULL, reply, &bytes);
}

/* The request with its fields as one line in `out'. */
static int
encode_passed(struct cn_client *client, uint64_t id, const char *command,
    const json_t *fields, size_t payload)
{
	json_t *json = json_pack("{s:i, s:I, s:s}", "v",
	    (int)CN_MESSAGE_VERSION, "id", (json_int_t)id, "cmd", command);
	int failed = json == NULL ? -1 : 0;

	if (failed == 0 && fields != NULL) {
		failed = json_object_update_missing(
		    json, (json_t *)(uintptr_t)fields);
	}
	if (failed == 0 && payload > 0) {
		failed = json_object_set_new(
		    json, "payload", json_integer((json_int_t)payload));
	}
	int err = failed != 0 ? CN_ENOMEM : cn_line_append(&client->out, json);
	json_decref(json);
	return err == CN_ELIMIT ? CN_EINVAL : err;
}

int
cn_client_pass(struct cn_client *client, const char *command,
    const json_t *fields, const struct cn_buf *payload, struct cn_reply *reply)
{
	struct more more = { NULL, 0, -1 };
	uint64_t id = begin(client);

	if (payload != NULL && payload->len > 0) {
		more.payload = payload->data;
		more.payload_len = payload->len;
	}
	int err = encode_passed(client, id, command, fields, more.payload_len);
	return err < 0 ? err : exchange(client, id, &more, reply);
}
