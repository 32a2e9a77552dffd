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
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_paths),
	};

	cn_message_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
