/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/probeline.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manage/handline.h"

enum cn_exit
cn_probeline_open(struct cn_probeline *line, const struct cn_args *args,
    const char *peer, const char *service, bool is_stored)
{
	struct cn_request request = { .command = CN_COMMAND_PROBE,
		.is_stored = is_stored };
	enum cn_exit code;

	memset(line, 0, sizeof(*line));
	line->fd = -1;
	if (peer[0] == '\0' || strlen(peer) >= sizeof(request.peer)) {
		return cn_cli_usage(args, "'%s' is no name of a peer", peer);
	}
	(void)snprintf(request.peer, sizeof(request.peer), "%s", peer);
	(void)snprintf(request.service, sizeof(request.service), "%s", service);
	code = cn_ask_open(&line->ask, args);
	return code != CN_EXIT_OK
	    ? code
	    : cn_handline_open(&line->ask, &request, &line->fd);
}

static bool
wait_for(struct cn_probeline *line, short events)
{
	struct pollfd poller = { .fd = line->fd, .events = events };
	int n;

	do {
		n = poll(&poller, 1, (int)(CN_PROBELINE_STALL_US / 1000));
	} while (n < 0 && errno == EINTR);
	line->is_cut = line->is_cut || n <= 0;
	return n > 0;
}

bool
cn_probeline_send(struct cn_probeline *line, const uint8_t *bytes, size_t len)
{
	while (len > 0 && !line->is_cut) {
		ssize_t n =
		    send(line->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			(void)wait_for(line, POLLOUT);
		} else if (errno != EINTR) {
			line->is_cut = true;
		}
	}
	return !line->is_cut;
}

bool
cn_probeline_receive(
    struct cn_probeline *line, uint8_t *bytes, size_t len, size_t *got)
{
	*got = 0;
	while (*got < len && !line->is_cut) {
		ssize_t n =
		    recv(line->fd, bytes + *got, len - *got, MSG_DONTWAIT);

		if (n > 0) {
			*got += (size_t)n;
		} else if (n == 0) {
			break;
		} else if (errno == EAGAIN) {
			(void)wait_for(line, POLLIN);
		} else if (errno != EINTR) {
			line->is_cut = true;
		}
	}
	return !line->is_cut;
}

void
cn_probeline_finish(struct cn_probeline *line)
{
	line->is_cut = line->is_cut || shutdown(line->fd, SHUT_WR) != 0;
}

enum cn_exit
cn_probeline_end(struct cn_probeline *line, struct cn_snap_warm *ret)
{
	struct cn_request request = { .command = CN_COMMAND_PROBE_END };
	struct cn_reply reply;
	enum cn_exit code = cn_ask_call(&line->ask, &request, &reply);

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

void
cn_probeline_close(struct cn_probeline *line)
{
	if (line->fd >= 0) {
		(void)close(line->fd);
		line->fd = -1;
	}
	cn_ask_close(&line->ask);
}
