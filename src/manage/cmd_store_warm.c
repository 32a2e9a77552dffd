/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `store warm': files into a connection whose other end the gateway has; the
 * gateway sends them to the peer's store.
 */
#include "manage/cmd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "manage/ask.h"
#include "manage/filewalk.h"
#include "manage/handline.h"
#include "manage/human.h"

#define READ_BYTES (256u * 1024u)
/* Between two lines of progress. */
#define SHOW_US 500000u

struct warming {
	const struct cn_args *args;
	struct cn_ask ask;
	uint8_t *buf; /* owned: READ_BYTES */
	int fd;       /* our end; -1 */
	uint64_t total, sent;
	uint64_t files, bad;
	uint64_t start_us, shown_us;
	bool has_line; /* of progress, on the terminal */
	bool is_cut;   /* the gateway reset the connection */
};

static bool
has_option(const struct warming *w, enum cn_option option)
{
	return w->args->option[option] != NULL;
}

/* ---- progress ---- */

static void
end_line(struct warming *w)
{
	if (w->has_line) {
		(void)fputs("\r\x1b[K", stderr);
		w->has_line = false;
	}
}

static void
show_json(const struct warming *w, uint64_t us)
{
	(void)printf("{\"event\":\"progress\",\"bytes\":%llu,\"total\":%llu,"
		     "\"files\":%llu,\"us\":%llu}\n",
	    (unsigned long long)w->sent, (unsigned long long)w->total,
	    (unsigned long long)w->files, (unsigned long long)us);
	(void)fflush(stdout);
}

static void
show_line(struct warming *w, uint64_t us)
{
	uint64_t left = w->total > w->sent ? w->total - w->sent : 0;

	(void)fprintf(stderr, "\r\x1b[K%s of %s, %s",
	    cn_human_bytes(w->sent).text, cn_human_bytes(w->total).text,
	    cn_human_rate(w->sent, us).text);
	if (left == 0) {
		(void)fputs(", waiting for the peer", stderr);
	} else if (w->sent > 0) {
		(void)fprintf(stderr, ", %s left",
		    cn_human_duration(
			(uint64_t)((double)us * (double)left / (double)w->sent))
			.text);
	}
	w->has_line = true;
}

static void
show(struct warming *w)
{
	uint64_t now = cn_clock_us();

	if (now - w->shown_us < SHOW_US || has_option(w, CN_OPTION_QUIET)) {
		return;
	}
	w->shown_us = now;
	if (has_option(w, CN_OPTION_JSON)) {
		show_json(w, now - w->start_us);
	} else if (isatty(STDERR_FILENO) == 1) {
		show_line(w, now - w->start_us);
	}
}

/* ---- sending ---- */

/* Wait for the socket, showing how far it is. */
static void
wait_for(struct warming *w, short events)
{
	struct pollfd poller = { .fd = w->fd, .events = events };

	while (poll(&poller, 1, (int)(SHOW_US / 1000)) <= 0) {
		show(w);
	}
	show(w);
}

static bool
send_all(struct warming *w, const uint8_t *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n =
		    send(w->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
			w->sent += (uint64_t)n;
		} else if (errno == EAGAIN || errno == EINTR) {
			wait_for(w, POLLOUT);
		} else {
			w->is_cut = true;
			return false;
		}
	}
	return true;
}

static void
on_bad(void *arg, const char *path, int err)
{
	struct warming *w = arg;

	end_line(w);
	cn_cli_error("cannot read %s: %s", path,
	    err == CN_EINVAL ? "neither file nor directory" : cn_err_text(err));
	w->bad++;
}

/* The first time they are only looked at: what is wrong is told later. */
static void
on_bad_early(void *arg CN_UNUSED, const char *path CN_UNUSED, int err CN_UNUSED)
{
}

static bool
count_file(
    void *arg, const char *path CN_UNUSED, int fd CN_UNUSED, uint64_t size)
{
	struct warming *w = arg;

	w->total += size;
	w->files++;
	return true;
}

/* As much as the file had when it was opened: a log may grow for ever. */
static bool
send_file(void *arg, const char *path, int fd, uint64_t size)
{
	struct warming *w = arg;
	uint64_t left = size;

	while (left > 0) {
		ssize_t n = read(
		    fd, w->buf, (size_t)CN_MIN(left, (uint64_t)READ_BYTES));

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			on_bad(w, path, cn_err_from_errno(errno));
			return true;
		}
		if (n == 0) {
			break;
		}
		left -= (uint64_t)n;
		if (!send_all(w, w->buf, (size_t)n)) {
			return false;
		}
		show(w);
	}
	w->files++;
	return true;
}

static void
walk_all(struct warming *w,
    bool (*file)(void *arg, const char *path, int fd, uint64_t size),
    void (*bad)(void *arg, const char *path, int err))
{
	struct cn_filewalk walk = { file, bad, w };
	bool goes_on = true;

	w->files = 0;
	for (size_t i = 1; i < w->args->words && goes_on; i++) {
		goes_on = cn_filewalk_run(&walk, w->args->word[i]);
	}
}

/* Our end is over; the gateway's is when the peer has verified everything. */
static void
wait_end(struct warming *w)
{
	uint8_t byte;
	ssize_t n = -1;

	if (shutdown(w->fd, SHUT_WR) != 0) {
		w->is_cut = true;
		return;
	}
	while (n != 0) {
		wait_for(w, POLLIN);
		n = recv(w->fd, &byte, 1, MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			w->is_cut = true;
			return;
		}
	}
}

/* ---- the command ---- */

/* Hand the other end of our connection to the gateway. */
static enum cn_exit
begin(struct warming *w)
{
	struct cn_request request = { .command = CN_COMMAND_STORE_WARM };
	const char *client = w->args->option[CN_OPTION_CLIENT];

	if (strlen(w->args->word[0]) >= sizeof(request.service) ||
	    w->args->word[0][0] == '\0') {
		return cn_cli_usage(
		    w->args, "'%s' is no name of a service", w->args->word[0]);
	}
	if (client != NULL &&
	    (client[0] == '\0' || strlen(client) >= sizeof(request.client))) {
		return cn_cli_usage(w->args, "'%s' is no address", client);
	}
	(void)snprintf(
	    request.service, sizeof(request.service), "%s", w->args->word[0]);
	(void)snprintf(request.client, sizeof(request.client), "%s",
	    client == NULL ? "" : client);
	return cn_handline_open(&w->ask, &request, &w->fd);
}

static enum cn_exit
ask_end(struct warming *w, struct cn_snap_warm *ret)
{
	struct cn_request request = { .command = CN_COMMAND_STORE_WARM_END };
	struct cn_reply reply;
	enum cn_exit code = cn_ask_call(&w->ask, &request, &reply);

	if (code != CN_EXIT_OK) {
		return code;
	}
	if (cn_shape_decode(&cn_snap_warm_shape, reply.data, ret) < 0) {
		cn_cli_error("the gateway's answer makes no sense");
		code = CN_EXIT_FAILED;
	}
	cn_reply_fini(&reply);
	return code;
}

static void
print_end(const struct warming *w, const struct cn_snap_warm *end)
{
	if (has_option(w, CN_OPTION_JSON)) {
		(void)printf("{\"event\":\"end\",\"is_clean\":%s,"
			     "\"reason\":\"%s\",\"files\":%llu,"
			     "\"unread\":%llu,\"bytes\":%llu,\"copied\":%llu,"
			     "\"wan\":%llu,\"us\":%llu}\n",
		    end->is_clean ? "true" : "false", end->reason,
		    (unsigned long long)w->files, (unsigned long long)w->bad,
		    (unsigned long long)end->lan,
		    (unsigned long long)end->copied,
		    (unsigned long long)end->wan, (unsigned long long)end->us);
	} else if (end->is_clean && !has_option(w, CN_OPTION_QUIET)) {
		(void)printf("%llu files, %s in %s; %s of it were there "
			     "already, %s crossed the WAN\n",
		    (unsigned long long)w->files, cn_human_bytes(end->lan).text,
		    cn_human_duration(end->us).text,
		    cn_human_bytes(end->copied).text,
		    cn_human_bytes(end->wan).text);
	}
}

static enum cn_exit
run(struct warming *w)
{
	struct cn_snap_warm end = { 0 };
	enum cn_exit code = cn_ask_open(&w->ask, w->args);

	if (code == CN_EXIT_OK) {
		code = begin(w);
	}
	if (code != CN_EXIT_OK) {
		return code;
	}
	w->start_us = w->shown_us = cn_clock_us();
	walk_all(w, send_file, on_bad);
	if (!w->is_cut) {
		wait_end(w);
	}
	end_line(w);
	code = ask_end(w, &end);
	if (code != CN_EXIT_OK) {
		return code;
	}
	print_end(w, &end);
	if (!end.is_clean) {
		cn_cli_error("not all of it reached the peer: the stream was "
			     "reset: %s",
		    end.reason);
	}
	return end.is_clean && w->bad == 0 ? CN_EXIT_OK : CN_EXIT_FAILED;
}

enum cn_exit
cn_cmd_store_warm(const struct cn_args *args)
{
	struct warming w = { .args = args, .fd = -1 };
	enum cn_exit code = CN_EXIT_FAILED;

	w.buf = cn_alloc(READ_BYTES);
	walk_all(&w, count_file, on_bad_early);
	if (w.buf == NULL) {
		cn_cli_error("%s", cn_err_text(CN_ENOMEM));
	} else if (w.files == 0) {
		/* Say why, if there is a reason. */
		walk_all(&w, count_file, on_bad);
		cn_cli_error("there is no file to send");
	} else {
		code = run(&w);
	}
	cn_ask_close(&w.ask);
	if (w.fd >= 0) {
		(void)close(w.fd);
	}
	cn_free(w.buf);
	return code;
}
