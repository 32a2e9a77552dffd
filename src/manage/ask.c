/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/ask.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define TIMEOUT_MS 5000u

static void
hint_groups(void)
{
	cn_cli_hint("members of the group '%s' may look, of '%s' change; or "
		    "use sudo",
	    CN_ACCESS_READ_GROUP, CN_ACCESS_CHANGE_GROUP);
}

/* Why no connection came about, and what to do. */
static enum cn_exit
explain(const struct cn_ask *ask, int err)
{
	if (err == CN_EACCES || err == CN_EPERM) {
		cn_cli_error(
		    "not allowed to talk to the gateway at %s", ask->path);
		hint_groups();
		return CN_EXIT_NOT_ALLOWED;
	}
	cn_cli_error(
	    "no gateway answers at %s: %s", ask->path, cn_err_text(err));
	if (err == CN_ENOENT) {
		cn_cli_hint("is compressnetd running?  start it by "
			    "`systemctl start compressnetd' or "
			    "`compressnetd -c FILE'");
		cn_cli_hint("a gateway with another control.socket is named "
			    "by --socket or COMPRESSNET_SOCKET");
	} else if (err == CN_ECONNREFUSED) {
		cn_cli_hint("the socket is there but nobody listens: "
			    "compressnetd has ended; see its log");
	} else if (err == CN_ETIMEDOUT) {
		cn_cli_hint("the process may be stopped or overloaded; "
			    "--timeout waits longer");
	} else if (err == CN_EPROTO) {
		cn_cli_hint("is that a control socket of compressnetd, and "
			    "of the same release?");
	}
	return CN_EXIT_UNREACHABLE;
}

enum cn_exit
cn_ask_open(struct cn_ask *ask, const struct cn_args *args)
{
	uint64_t timeout_ms;

	memset(ask, 0, sizeof(*ask));
	ask->args = args;
	if (!cn_cli_number(
		args, CN_OPTION_TIMEOUT, TIMEOUT_MS, 1, 600000, &timeout_ms)) {
		return CN_EXIT_USAGE;
	}
	int err = cn_client_path(
	    args->option[CN_OPTION_SOCKET], ask->path, sizeof(ask->path));
	if (err == CN_OK) {
		err =
		    cn_client_open(ask->path, timeout_ms * 1000, &ask->client);
	}
	return err < 0 ? explain(ask, err) : CN_EXIT_OK;
}

void
cn_ask_close(struct cn_ask *ask)
{
	cn_client_close(&ask->client);
}

/* The gateway said no. */
static enum cn_exit
refused(const struct cn_ask *ask, const struct cn_reply *reply)
{
	cn_cli_print_diags(ask->args, &reply->diags);
	cn_cli_error("%s", reply->text);
	switch (reply->code) {
	case CN_REPLY_NOT_ALLOWED:
		hint_groups();
		return CN_EXIT_NOT_ALLOWED;
	case CN_REPLY_CONFIG:
		return CN_EXIT_CONFIG;
	case CN_REPLY_UNKNOWN_COMMAND:
	case CN_REPLY_VERSION_MISMATCH:
		cn_cli_hint("compressnet is version %s; the gateway may be of "
			    "another: compressnet version",
		    CN_VERSION);
		return CN_EXIT_FAILED;
	case CN_REPLY_OK:
	case CN_REPLY_BAD_REQUEST:
	case CN_REPLY_TOO_LONG:
	case CN_REPLY_NOT_FOUND:
	case CN_REPLY_CONFLICT:
	case CN_REPLY_REFUSED:
	case CN_REPLY_BUSY:
	case CN_REPLY_INTERNAL:
	case CN_REPLY_CODE_MAX:
		break;
	}
	return CN_EXIT_FAILED;
}

enum cn_exit
cn_ask_call(
    struct cn_ask *ask, struct cn_request *request, struct cn_reply *reply)
{
	const uint8_t *bytes;

	return cn_ask_call_raw(ask, request, NULL, reply, &bytes);
}

/* The reply, or what became of the call, in words. */
static enum cn_exit
answered(struct cn_ask *ask, int err, struct cn_reply *reply)
{
	enum cn_exit code;

	if (err == CN_ENOMEM) {
		cn_cli_error("%s", cn_err_text(err));
		return CN_EXIT_FAILED;
	}
	if (err < 0) {
		return explain(ask, err);
	}
	if (reply->is_ok) {
		return CN_EXIT_OK;
	}
	code = refused(ask, reply);
	cn_reply_fini(reply);
	return code;
}

enum cn_exit
cn_ask_call_fd(struct cn_ask *ask, struct cn_request *request, int fd,
    struct cn_reply *reply)
{
	cn_reply_init(reply);
	return answered(
	    ask, cn_client_call_fd(ask->client, request, fd, reply), reply);
}

enum cn_exit
cn_ask_call_raw(struct cn_ask *ask, struct cn_request *request,
    const uint8_t *payload, struct cn_reply *reply, const uint8_t **bytes)
{
	cn_reply_init(reply);
	return answered(ask,
	    cn_client_call_raw(ask->client, request, payload, reply, bytes),
	    reply);
}

enum cn_exit
cn_ask_once(
    const struct cn_args *args, enum cn_command command, struct cn_reply *reply)
{
	struct cn_request request = { .command = command };
	struct cn_ask ask;
	enum cn_exit code = cn_ask_open(&ask, args);

	if (code == CN_EXIT_OK) {
		code = cn_ask_call(&ask, &request, reply);
	}
	cn_ask_close(&ask);
	return code;
}

enum cn_exit
cn_ask_print(const json_t *json, bool is_line)
{
	size_t flags = is_line ? JSON_COMPACT : JSON_INDENT(2);

	if (json_dumpf(json, stdout, flags) != 0 ||
	    fputc('\n', stdout) == EOF) {
		cn_cli_error("cannot write the output");
		return CN_EXIT_FAILED;
	}
	return CN_EXIT_OK;
}
