/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "control/client.h"

/*
 * A gateway that answers every request with the same bytes; a child process,
 * so that the client meets a real socket.
 */
struct server {
	char dir[64];
	char path[96];
	pid_t pid;
};

static void
serve(int listener, const char *answer, size_t piece)
{
	char line[CN_REQUEST_MAX];
	int fd = accept(listener, NULL, NULL);

	while (recv(fd, line, sizeof(line), 0) > 0) {
		for (size_t at = 0; at < strlen(answer); at += piece) {
			size_t n = CN_MIN(piece, strlen(answer) - at);

			if (send(fd, answer + at, n, MSG_NOSIGNAL) < 0) {
				_exit(1);
			}
		}
		if (answer[0] == '\0') {
			break; /* hangs up */
		}
	}
	_exit(0);
}

static void
server_start(struct server *server, const char *answer, size_t piece)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(
	    server->dir, sizeof(server->dir), "%s", "/tmp/cn-test-XXXXXX");
	assert_non_null(mkdtemp(server->dir));
	(void)snprintf(
	    server->path, sizeof(server->path), "%s/sock", server->dir);
	memcpy(address.sun_path, server->path, strlen(server->path) + 1);
	assert_int_equal(
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 5), 0);
	server->pid = fork();
	assert_true(server->pid >= 0);
	if (server->pid == 0) {
		serve(fd, answer, piece);
	}
	(void)close(fd);
}

static void
server_stop(struct server *server)
{
	int status;

	assert_int_equal(waitpid(server->pid, &status, 0), server->pid);
	assert_int_equal(unlink(server->path), 0);
	assert_int_equal(rmdir(server->dir), 0);
}

/* Ask once (twice, if that went well) and return the last result. */
static int
ask(const char *answer, size_t piece, struct cn_reply *reply)
{
	struct cn_request request = { .command = CN_COMMAND_VERSION };
	struct cn_client *client;
	struct server server;

	server_start(&server, answer, piece);
	assert_int_equal(cn_client_open(server.path, 200000, &client), CN_OK);
	cn_reply_init(reply);
	int err = cn_client_call(client, &request, reply);
	assert_int_equal(request.id, 1);
	cn_client_close(&client);
	assert_null(client);
	server_stop(&server);
	return err;
}

static void
test_answers(void **state)
{
	struct cn_reply reply;

	(void)state;
	assert_int_equal(
	    ask("{\"id\":1,\"ok\":true,\"data\":{}}\n", 1000, &reply), CN_OK);
	assert_true(reply.is_ok);
	cn_reply_fini(&reply);
	/* Byte by byte. */
	assert_int_equal(
	    ask("{\"id\":1,\"ok\":true,\"data\":{}}\n", 1, &reply), CN_OK);
	cn_reply_fini(&reply);
	/* An error may come without the request's id: it did not decode. */
	assert_int_equal(ask("{\"id\":0,\"ok\":false,\"error\":{\"code\":"
			     "\"busy\",\"message\":\"later\"}}\n",
			     7, &reply),
	    CN_OK);
	assert_int_equal(reply.code, CN_REPLY_BUSY);
	assert_string_equal(reply.text, "later");
	cn_reply_fini(&reply);
}

/* Raw bytes behind the reply, however they come, and the reply after. */
static void
test_bytes_behind_a_reply(void **state)
{
	static const char answer[] =
	    "{\"id\":1,\"ok\":true,\"data\":{},\"payload\":5}\na\nb\nc"
	    "{\"id\":2,\"ok\":true,\"data\":{}}\n";
	static const size_t pieces[] = { 1, 50, 1000 };

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(pieces); i++) {
		struct cn_request request = { .command = CN_COMMAND_VERSION };
		struct cn_client *client;
		struct cn_reply reply;
		struct server server;
		const uint8_t *bytes;

		server_start(&server, answer, pieces[i]);
		assert_int_equal(
		    cn_client_open(server.path, 200000, &client), CN_OK);
		cn_reply_init(&reply);
		assert_int_equal(
		    cn_client_call_raw(client, &request, NULL, &reply, &bytes),
		    CN_OK);
		assert_int_equal(reply.payload, 5);
		assert_memory_equal(bytes, "a\nb\nc", 5);
		cn_reply_fini(&reply);
		assert_int_equal(
		    cn_client_call(client, &request, &reply), CN_OK);
		assert_int_equal(reply.payload, 0);
		cn_reply_fini(&reply);
		cn_client_close(&client);
		server_stop(&server);
	}
}

/* Raw bytes that never come, and more than may be. */
static void
test_bytes_that_are_missing(void **state)
{
	struct cn_reply reply;

	(void)state;
	assert_int_equal(
	    ask("{\"id\":1,\"ok\":true,\"data\":{},\"payload\":5}\nabcd", 1000,
		&reply),
	    CN_ETIMEDOUT);
	assert_null(reply.data);
	assert_int_equal(
	    ask("{\"id\":1,\"ok\":true,\"data\":{},\"payload\":9999999}\n",
		1000, &reply),
	    CN_EPROTO);
	assert_null(reply.data);
}

/* A gateway that hangs up on it: no signal, no waiting. */
static void
test_bytes_behind_a_request(void **state)
{
	static uint8_t payload[CN_PAYLOAD_MAX];
	struct cn_request request = {
		.command = CN_COMMAND_STORE_IMPORT,
		.payload = sizeof(payload),
	};
	struct cn_client *client;
	struct cn_reply reply;
	const uint8_t *bytes;
	struct server server;

	(void)state;
	server_start(&server, "", 1);
	assert_int_equal(cn_client_open(server.path, 200000, &client), CN_OK);
	cn_reply_init(&reply);
	assert_int_equal(
	    cn_client_call_raw(client, &request, payload, &reply, &bytes),
	    CN_ECLOSED);
	assert_null(bytes);
	cn_client_close(&client);
	server_stop(&server);
}

/* The descriptor comes with the line, and stays the caller's. */
static void
test_descriptor_beside_a_request(void **state)
{
	struct cn_request request = { .command = CN_COMMAND_STORE_WARM,
		.service = "web" };
	char line[CN_REQUEST_MAX], control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { line, sizeof(line) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct cn_client *client;
	struct cn_reply reply;
	char byte = 0;
	int ends[2], listener, fd, got;

	(void)state;
	(void)snprintf(address.sun_path, sizeof(address.sun_path),
	    "/tmp/cn-test-fd-%d", (int)getpid());
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(
	    bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(
	    cn_client_open(address.sun_path, 50000, &client), CN_OK);
	fd = accept(listener, NULL, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	cn_reply_init(&reply);
	assert_int_equal(
	    cn_client_call_fd(client, &request, ends[1], &reply), CN_ETIMEDOUT);
	assert_int_equal(write(ends[1], "a", 1), 1);
	assert_true(recvmsg(fd, &msg, 0) > 0);
	assert_non_null(CMSG_FIRSTHDR(&msg));
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(got));
	assert_int_equal(write(got, "b", 1), 1);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(byte, 'a');
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(byte, 'b');
	cn_client_close(&client);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(close(ends[i]), 0);
	}
	(void)close(got);
	(void)close(fd);
	(void)close(listener);
	assert_int_equal(unlink(address.sun_path), 0);
}

static void
test_bad_answers(void **state)
{
	struct cn_reply reply;

	(void)state;
	assert_int_equal(ask("", 1, &reply), CN_ECLOSED);
	assert_int_equal(ask("\n", 1, &reply), CN_EPROTO);
	assert_int_equal(ask("SSH-2.0-OpenSSH\n", 100, &reply), CN_EPROTO);
	assert_int_equal(
	    ask("{\"id\":2,\"ok\":true,\"data\":{}}\n", 100, &reply),
	    CN_EPROTO);
	/* Never ends its line. */
	assert_int_equal(ask("{", 1, &reply), CN_ETIMEDOUT);
}

static void
test_nobody_there(void **state)
{
	struct cn_client *client = NULL;
	char path[200];

	(void)state;
	assert_int_equal(
	    cn_client_open("/nonexistent/socket", 1000, &client), CN_ENOENT);
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(cn_client_open(path, 1000, &client), CN_ELIMIT);
	assert_null(client);
	cn_client_close(&client);
}

static void
test_paths(void **state)
{
	char path[64];

	(void)state;
	assert_int_equal(setenv("COMPRESSNET_SOCKET", "/a/b", 1), 0);
	assert_int_equal(cn_client_path(NULL, path, sizeof(path)), CN_OK);
	assert_string_equal(path, "/a/b");
	assert_int_equal(cn_client_path("/c", path, sizeof(path)), CN_OK);
	assert_string_equal(path, "/c");
	assert_int_equal(cn_client_path("/cc", path, 3), CN_ELIMIT);
	assert_int_equal(unsetenv("COMPRESSNET_SOCKET"), 0);
	assert_int_equal(cn_client_path(NULL, path, sizeof(path)), CN_OK);
	assert_non_null(strstr(path, "/compressnet/control.sock"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_bytes_behind_a_reply),
		cmocka_unit_test(test_bytes_that_are_missing),
		cmocka_unit_test(test_bytes_behind_a_request),
		cmocka_unit_test(test_descriptor_beside_a_request),
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_paths),
	};

	cn_message_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
