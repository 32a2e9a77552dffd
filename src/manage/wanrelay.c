/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/wanrelay.h"

#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/rand.h"
#include "manage/wanline.h"

#define QUEUE_DEFAULT 65536u
/* A rated relay talks in packets and holds little outside of its queue. */
#define SEGMENT_BYTES 1400
/* Faster than that, packets cost more than they teach. */
#define RATED_MAX_BPS UINT64_C(200000000)
#define SOCKET_BUFFER_MIN 8192u
#define SOCKET_BUFFER_MAX 131072u
/* Pieces read from one socket before others have their turn. */
#define READS_MAX 16u
#define ACCEPTS_MAX 64u
#define LISTEN_BACKLOG 1024
#define US_PER_S 1000000u
#define NS_PER_US 1000u

/* The lines and the ends of a connection: UP goes from NEAR to FAR. */
enum { UP, DOWN, WAYS };
enum { NEAR, FAR, ENDS };

struct connection;

/* One socket of a connection. */
struct end {
	struct connection *connection; /* borrowed */
	uv_poll_t poll;
	int fd;                 /* owned; -1: closed */
	int events;             /* that the poll has now */
	bool is_connecting;     /* the far one, at first */
	bool has_ended;         /* its end of file was read */
	bool is_finishing;      /* to be shut down once all is written */
	bool is_finished;       /* was shut down */
	struct cn_list waiting; /* in relay.waiting: the line was full */
	size_t backlog;         /* bytes that wait to be written */
	struct cn_wanline_piece *first; /* owned: these bytes */
	struct cn_wanline_piece **next;
};

struct connection {
	struct cn_list item;       /* in relay.connections */
	struct cn_wanrelay *relay; /* borrowed */
	struct end end[ENDS];
	unsigned handles; /* polls that the loop still knows */
};

struct cn_wanrelay {
	uv_loop_t *loop; /* borrowed */
	uv_poll_t listen_poll;
	uv_poll_t timer_poll;
	int listen_fd;
	int timer_fd;
	bool is_accepting;
	uint16_t port;
	struct sockaddr_storage to;
	socklen_t to_len;
	bool is_rated; /* sockets get small buffers */
	struct cn_wanline line[WAYS];
	struct cn_list waiting[WAYS]; /* ends that wait for room */
	struct cn_list connections;
	struct cn_prng prng;
	uint64_t cut_every_us;
	uint64_t cut_at_us;
	uint64_t resume_at_us; /* 0: not by itself */
	uint64_t flip_every;
	uint64_t flip_in;  /* bytes until the next flip */
	uint64_t armed_us; /* what the timer is set to; 0: nothing */
	struct cn_wanrelay_stats stats;
	unsigned handles;
	bool is_closing;
	void (*closed)(void *arg);
	void *arg;
};

static void turn(struct cn_wanrelay *relay);

/*
 * Addresses and sockets.
 */

static int
parse_port(const char *text, uint16_t *ret)
{
	char *end;
	long port = strtol(text, &end, 10);

	if (end == text || *end != '\0' || port < 0 || port > UINT16_MAX) {
		return CN_EINVAL;
	}
	*ret = (uint16_t)port;
	return CN_OK;
}

static int
parse_unix(const char *path, struct sockaddr_storage *ret, socklen_t *len)
{
	struct sockaddr_un *un = (struct sockaddr_un *)ret;
	size_t n = strlen(path);

	if (n == 0 || n >= sizeof(un->sun_path)) {
		return CN_EINVAL;
	}
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, n + 1);
	*len = (socklen_t)sizeof(*un);
	return CN_OK;
}

/* "1.2.3.4:5", "[::1]:5", "unix:PATH" */
static int
parse_address(const char *text, struct sockaddr_storage *ret, socklen_t *len)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	uint16_t port;
	size_t n;

	memset(ret, 0, sizeof(*ret));
	if (strncmp(text, "unix:", 5) == 0) {
		return parse_unix(text + 5, ret, len);
	}
	n = colon ? (size_t)(colon - text) : 0;
	if (n == 0 || n >= sizeof(host) || parse_port(colon + 1, &port) != 0) {
		return CN_EINVAL;
	}
	memcpy(host, text, n);
	host[n] = '\0';
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		*len = (socklen_t)sizeof(*in6);
		return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1
		    ? CN_OK
		    : CN_EINVAL;
	}
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	*len = (socklen_t)sizeof(*in);
	return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? CN_OK : CN_EINVAL;
}

static void
set_option(int fd, int level, int option, int value)
{
	/* A socket that cannot have it works all the same. */
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

/* Before listen and connect, so that windows and segments fit. */
static void
tune_socket(const struct cn_wanrelay *relay, int fd)
{
	size_t bytes = relay->line[UP].queue_max / 2;

	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (relay->is_rated) {
		bytes = CN_MAX(bytes, SOCKET_BUFFER_MIN);
		bytes = CN_MIN(bytes, SOCKET_BUFFER_MAX);
		set_option(fd, SOL_SOCKET, SO_RCVBUF, (int)bytes);
		set_option(fd, SOL_SOCKET, SO_SNDBUF, (int)bytes);
		set_option(fd, IPPROTO_TCP, TCP_MAXSEG, SEGMENT_BYTES);
	}
}

static void
close_fd(int *fd, bool is_reset)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	if (*fd < 0) {
		return;
	}
	if (is_reset) {
		(void)setsockopt(
		    *fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	close(*fd);
	*fd = -1;
}

/*
 * Ends and connections.
 */

static size_t
index_of(const struct end *end)
{
	return end == &end->connection->end[NEAR] ? NEAR : FAR;
}

static struct end *
other_end(struct end *end)
{
	return &end->connection->end[index_of(end) == NEAR ? FAR : NEAR];
}

/* The line that what is read from an end goes into. */
static size_t
way_of(const struct end *end)
{
	return index_of(end) == NEAR ? UP : DOWN;
}

/* Whether an end may be read but for the line, which may be full. */
static bool
may_read(struct end *end)
{
	size_t backlog_max = end->connection->relay->line[UP].queue_max;

	return end->fd >= 0 && !end->is_connecting && !end->has_ended &&
	    other_end(end)->backlog < backlog_max;
}

static void on_end(uv_poll_t *poll, int status, int events);

/* Make the poll wait for what the state of the end asks for. */
static void
update_events(struct end *end)
{
	int events = 0;

	if (end->fd < 0) {
		return;
	}
	if (end->is_connecting || end->backlog > 0) {
		events |= UV_WRITABLE;
	}
	if (may_read(end) && cn_list_is_empty(&end->waiting)) {
		events |= UV_READABLE;
	}
	if (events == end->events) {
		return;
	}
	end->events = events;
	if (events == 0) {
		uv_poll_stop(&end->poll);
	} else {
		uv_poll_start(&end->poll, events, on_end);
	}
}

/* One handle less that the loop knows; after the last one all is free. */
static void
release(struct cn_wanrelay *relay)
{
	void (*closed)(void *arg) = relay->closed;
	void *arg = relay->arg;

	relay->handles--;
	if (relay->handles > 0) {
		return;
	}
	cn_free(relay);
	if (closed) {
		closed(arg);
	}
}

static void
connection_closed(uv_handle_t *handle)
{
	struct end *end = handle->data;
	struct connection *connection = end->connection;
	struct cn_wanrelay *relay = connection->relay;

	connection->handles--;
	if (connection->handles == 0) {
		cn_free(connection);
		release(relay);
	}
}

static void
free_backlog(struct end *end)
{
	struct cn_wanline_piece *piece;

	while ((piece = end->first) != NULL) {
		end->first = piece->next;
		cn_wanline_piece_free(&piece);
	}
	end->next = &end->first;
	end->backlog = 0;
}

static void accept_again(struct cn_wanrelay *relay);

/* Close both sockets; the memory goes when the loop has let go of it. */
static void
connection_end(struct connection *connection, bool is_reset)
{
	struct cn_wanrelay *relay = connection->relay;

	cn_list_remove(&connection->item);
	relay->stats.live--;
	for (size_t i = 0; i < WAYS; i++) {
		cn_wanline_drop(&relay->line[i], connection);
	}
	for (size_t i = 0; i < ENDS; i++) {
		struct end *end = &connection->end[i];

		cn_list_remove(&end->waiting);
		free_backlog(end);
		uv_close((uv_handle_t *)&end->poll, connection_closed);
		close_fd(&end->fd, is_reset);
	}
	accept_again(relay);
}

/* Returns false if the connection is gone. */
static bool
finish_end(struct end *end)
{
	struct end *other = other_end(end);

	if (end->is_finishing && !end->is_finished && end->backlog == 0) {
		(void)shutdown(end->fd, SHUT_WR);
		end->is_finished = true;
	}
	if (end->is_finished && other->is_finished) {
		connection_end(end->connection, false);
		return false;
	}
	return true;
}

/* Write what waits.  Returns false if the connection is gone. */
static bool
write_end(struct end *end)
{
	struct cn_wanrelay *relay = end->connection->relay;
	struct cn_wanline_piece *piece;
	ssize_t n;

	while (!end->is_connecting && (piece = end->first) != NULL) {
		n = send(end->fd, piece->data + piece->done,
		    piece->len - piece->done, MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			break;
		}
		if (n < 0) {
			connection_end(end->connection, true);
			return false;
		}
		piece->done += (uint32_t)n;
		end->backlog -= (size_t)n;
		if (way_of(end) == UP) {
			relay->stats.down_out += (uint64_t)n;
		} else {
			relay->stats.up_out += (uint64_t)n;
		}
		if (piece->done < piece->len) {
			break;
		}
		end->first = piece->next;
		if (!end->first) {
			end->next = &end->first;
		}
		cn_wanline_piece_free(&piece);
	}
	if (!end->is_connecting && !finish_end(end)) {
		return false;
	}
	update_events(end);
	update_events(other_end(end));
	return true;
}

/*
 * From a socket into a line.
 */

static void
flip_bits(struct cn_wanrelay *relay, uint8_t *data, size_t len)
{
	size_t at = 0;

	if (relay->flip_every == 0) {
		return;
	}
	while (relay->flip_in < len - at) {
		at += (size_t)relay->flip_in;
		data[at] ^= (uint8_t)(1u << cn_prng_below(&relay->prng, 8));
		relay->stats.flips++;
		relay->flip_in =
		    1 + cn_prng_below(&relay->prng, 2 * relay->flip_every);
	}
	relay->flip_in -= len - at;
}

static void
put_mark(struct end *end, enum cn_wanline_kind kind)
{
	struct cn_wanrelay *relay = end->connection->relay;
	struct cn_wanline_piece *mark =
	    cn_wanline_piece_create(end->connection, kind, 0);

	end->has_ended = true;
	if (!mark) {
		connection_end(end->connection, true);
		return;
	}
	cn_wanline_put(&relay->line[way_of(end)], mark, cn_clock_us());
}

/* One piece.  Returns false when there is no more to read now. */
static bool
read_piece(struct end *end, size_t room)
{
	struct cn_wanrelay *relay = end->connection->relay;
	size_t way = way_of(end);
	struct cn_wanline_piece *piece;
	/* The greatest piece is 64 KiB: fit for the stack, copied once. */
	uint8_t data[CN_WANLINE_PIECE_MAX];
	ssize_t n = recv(end->fd, data, room, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return false;
	}
	if (n <= 0) {
		put_mark(end, n == 0 ? CN_WANLINE_END : CN_WANLINE_RESET);
		return false;
	}
	piece = cn_wanline_piece_create(
	    end->connection, CN_WANLINE_DATA, (uint32_t)n);
	if (!piece) {
		connection_end(end->connection, true);
		return false;
	}
	memcpy(piece->data, data, (size_t)n);
	if (way == UP) {
		relay->stats.up_in += (uint64_t)n;
	} else {
		relay->stats.down_in += (uint64_t)n;
	}
	flip_bits(relay, piece->data, (size_t)n);
	cn_wanline_put(&relay->line[way], piece, cn_clock_us());
	return (size_t)n == room;
}

/* Read while the line has room, then wait for some in turn. */
static void
read_end(struct end *end)
{
	struct cn_wanrelay *relay = end->connection->relay;
	size_t way = way_of(end), room = 0;

	for (unsigned i = 0; i < READS_MAX; i++) {
		room = cn_wanline_room(&relay->line[way]);
		if (room == 0 || !read_piece(end, room)) {
			break;
		}
	}
	if (end->fd < 0) {
		return;
	}
	if (room == 0 && !end->has_ended) {
		cn_list_append(&relay->waiting[way], &end->waiting);
	}
	update_events(end);
}

/* The far end's connect came to something.  Returns false if to nothing. */
static bool
connected(struct end *end)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0 ||
	    err != 0) {
		end->connection->relay->stats.failed++;
		connection_end(end->connection, true);
		return false;
	}
	end->is_connecting = false;
	return write_end(end);
}

static void
on_end(uv_poll_t *poll, int status, int events)
{
	struct end *end = poll->data;
	struct cn_wanrelay *relay = end->connection->relay;

	if (status < 0) {
		/* The socket's own error comes out of the next call on it. */
		events = UV_READABLE | UV_WRITABLE;
	}
	if (end->is_connecting) {
		if (!connected(end)) {
			turn(relay);
			return;
		}
	} else if ((events & UV_WRITABLE) != 0 && !write_end(end)) {
		turn(relay);
		return;
	}
	if ((events & UV_READABLE) != 0 && may_read(end) &&
	    cn_list_is_empty(&end->waiting)) {
		read_end(end);
	}
	turn(relay);
}

/*
 * New connections.
 */

static void
end_init(struct connection *connection, size_t i)
{
	struct end *end = &connection->end[i];

	end->connection = connection;
	end->fd = -1;
	end->next = &end->first;
	cn_list_init(&end->waiting);
	end->poll.data = end;
}

/* Takes fd over.  Errors end in its being reset. */
static void
connection_begin(struct cn_wanrelay *relay, int fd)
{
	struct connection *connection = cn_calloc(1, sizeof(*connection));
	struct end *far;
	int err;

	relay->stats.accepted++;
	if (!connection || relay->stats.live >= CN_WANRELAY_CONNECTIONS_MAX) {
		goto fail;
	}
	connection->relay = relay;
	end_init(connection, NEAR);
	end_init(connection, FAR);
	far = &connection->end[FAR];
	far->fd = socket(
	    relay->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (far->fd < 0) {
		goto fail;
	}
	tune_socket(relay, fd);
	tune_socket(relay, far->fd);
	far->is_connecting = true;
	err = connect(
	    far->fd, (const struct sockaddr *)&relay->to, relay->to_len);
	if (err != 0 && errno != EINPROGRESS) {
		close_fd(&far->fd, false);
		goto fail;
	}
	connection->end[NEAR].fd = fd;
	/* They fail only for descriptors that epoll cannot take. */
	err = uv_poll_init(relay->loop, &connection->end[NEAR].poll, fd);
	assert(err == 0);
	err = uv_poll_init(relay->loop, &far->poll, far->fd);
	assert(err == 0);
	connection->handles = ENDS;
	relay->handles++;
	relay->stats.live++;
	cn_list_append(&relay->connections, &connection->item);
	update_events(&connection->end[NEAR]);
	update_events(far);
	return;
fail:
	relay->stats.failed++;
	close_fd(&fd, true);
	cn_free(connection);
}

static void
on_listen(uv_poll_t *poll, int status, int events CN_UNUSED)
{
	struct cn_wanrelay *relay = poll->data;
	int fd;

	for (unsigned i = 0; status == 0 && i < ACCEPTS_MAX; i++) {
		fd = accept4(
		    relay->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			connection_begin(relay, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE) {
			/* Until a connection ends: no spinning meanwhile. */
			relay->is_accepting = false;
			uv_poll_stop(poll);
		}
		break;
	}
	turn(relay);
}

static void
accept_again(struct cn_wanrelay *relay)
{
	if (!relay->is_accepting && !relay->is_closing) {
		relay->is_accepting = true;
		uv_poll_start(&relay->listen_poll, UV_READABLE, on_listen);
	}
}

/*
 * Time.
 */

static void
deliver(struct cn_wanline_piece *piece, size_t way)
{
	struct connection *connection = piece->owner;
	struct end *to = &connection->end[way == UP ? FAR : NEAR];

	switch (piece->kind) {
	case CN_WANLINE_DATA:
		*to->next = piece;
		to->next = &piece->next;
		to->backlog += piece->len;
		write_end(to);
		return;
	case CN_WANLINE_END:
		to->is_finishing = true;
		write_end(to);
		break;
	case CN_WANLINE_RESET:
		connection_end(connection, true);
		break;
	}
	cn_wanline_piece_free(&piece);
}

static uint64_t
next_cut(struct cn_wanrelay *relay, uint64_t now_us)
{
	return now_us + relay->cut_every_us / 2 +
	    cn_prng_below(&relay->prng, relay->cut_every_us + 1);
}

static void
set_timer(struct cn_wanrelay *relay, uint64_t at_us)
{
	struct itimerspec when = { .it_value.tv_sec = 0 };

	if (at_us == relay->armed_us) {
		return;
	}
	relay->armed_us = at_us;
	if (at_us != CN_WANLINE_NEVER) {
		when.it_value.tv_sec = (time_t)(at_us / US_PER_S);
		when.it_value.tv_nsec = (long)(at_us % US_PER_S * NS_PER_US);
	}
	(void)timerfd_settime(relay->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* All that time and room make possible now; then sleep until more is. */
static void
turn(struct cn_wanrelay *relay)
{
	uint64_t now = cn_clock_us(), at = CN_WANLINE_NEVER;

	if (relay->is_closing) {
		return;
	}
	if (relay->resume_at_us != 0 && relay->resume_at_us <= now) {
		cn_wanrelay_resume(relay);
	}
	if (relay->cut_every_us != 0 && relay->cut_at_us <= now) {
		relay->cut_at_us = next_cut(relay, now);
		cn_wanrelay_cut(relay);
	}
	for (size_t way = 0; way < WAYS; way++) {
		struct cn_wanline *line = &relay->line[way];
		struct cn_list *waiting = &relay->waiting[way];
		struct cn_wanline_piece *piece;

		while ((piece = cn_wanline_take(line, now)) != NULL) {
			deliver(piece, way);
		}
		while (
		    cn_wanline_room(line) > 0 && !cn_list_is_empty(waiting)) {
			struct end *end = CN_LIST_ENTRY(
			    cn_list_first(waiting), struct end, waiting);

			cn_list_remove(&end->waiting);
			if (may_read(end) &&
			    read_piece(end, cn_wanline_room(line))) {
				cn_list_append(waiting, &end->waiting);
			}
			update_events(end);
		}
		at = CN_MIN(at, cn_wanline_deadline(line));
	}
	if (relay->cut_every_us != 0) {
		at = CN_MIN(at, relay->cut_at_us);
	}
	if (relay->resume_at_us != 0) {
		at = CN_MIN(at, relay->resume_at_us);
	}
	set_timer(relay, at);
}

static void
on_timer(uv_poll_t *poll, int status CN_UNUSED, int events CN_UNUSED)
{
	struct cn_wanrelay *relay = poll->data;
	uint64_t fired;

	if (read(relay->timer_fd, &fired, sizeof(fired)) > 0) {
		relay->armed_us = 0;
	}
	turn(relay);
}

/*
 * Life.
 */

static int
open_listener(struct cn_wanrelay *relay, const char *listen_at)
{
	struct sockaddr_storage address;
	socklen_t len;
	int err = parse_address(listen_at, &address, &len);

	if (err != CN_OK) {
		return err;
	}
	if (address.ss_family == AF_UNIX) {
		return CN_EINVAL;
	}
	relay->listen_fd = socket(
	    address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (relay->listen_fd < 0) {
		return cn_err_from_errno(errno);
	}
	set_option(relay->listen_fd, SOL_SOCKET, SO_REUSEADDR, 1);
	tune_socket(relay, relay->listen_fd);
	if (bind(relay->listen_fd, (struct sockaddr *)&address, len) != 0 ||
	    listen(relay->listen_fd, LISTEN_BACKLOG) != 0 ||
	    getsockname(relay->listen_fd, (struct sockaddr *)&address, &len) !=
		0) {
		return cn_err_from_errno(errno);
	}
	relay->port = ntohs(address.ss_family == AF_INET
		? ((struct sockaddr_in *)&address)->sin_port
		: ((struct sockaddr_in6 *)&address)->sin6_port);
	return CN_OK;
}

static int
start_polls(struct cn_wanrelay *relay)
{
	int err =
	    uv_poll_init(relay->loop, &relay->listen_poll, relay->listen_fd);

	if (err != 0) {
		return err;
	}
	err = uv_poll_init(relay->loop, &relay->timer_poll, relay->timer_fd);
	/* A fresh epoll takes the second where it took the first. */
	assert(err == 0);
	relay->listen_poll.data = relay;
	relay->timer_poll.data = relay;
	/* These two, and one for each connection. */
	relay->handles = 2;
	uv_poll_start(&relay->listen_poll, UV_READABLE, on_listen);
	uv_poll_start(&relay->timer_poll, UV_READABLE, on_timer);
	relay->is_accepting = true;
	return CN_OK;
}

static void
init_state(struct cn_wanrelay *relay, uv_loop_t *loop,
    const struct cn_wanrelay_config *config)
{
	size_t queue =
	    config->queue_bytes ? config->queue_bytes : QUEUE_DEFAULT;

	relay->loop = loop;
	relay->listen_fd = -1;
	relay->timer_fd = -1;
	relay->is_rated =
	    config->rate_bps != 0 && config->rate_bps <= RATED_MAX_BPS;
	for (size_t i = 0; i < WAYS; i++) {
		cn_wanline_init(
		    &relay->line[i], config->rate_bps, config->delay_us, queue);
		cn_list_init(&relay->waiting[i]);
	}
	cn_list_init(&relay->connections);
	cn_prng_init(&relay->prng, config->seed);
	relay->cut_every_us = config->cut_every_us;
	relay->cut_at_us = next_cut(relay, cn_clock_us());
	relay->flip_every = config->flip_every;
	relay->flip_in =
	    cn_prng_below(&relay->prng, 2 * config->flip_every + 1);
}

int
cn_wanrelay_open(uv_loop_t *loop, const struct cn_wanrelay_config *config,
    struct cn_wanrelay **ret)
{
	struct cn_wanrelay *relay = cn_calloc(1, sizeof(*relay));
	int err = CN_ENOMEM;

	if (!relay) {
		return CN_ENOMEM;
	}
	init_state(relay, loop, config);
	err = parse_address(config->to, &relay->to, &relay->to_len);
	if (err != CN_OK) {
		goto fail;
	}
	err = open_listener(relay, config->listen);
	if (err != CN_OK) {
		goto fail;
	}
	relay->timer_fd =
	    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (relay->timer_fd < 0) {
		err = cn_err_from_errno(errno);
		goto fail;
	}
	err = start_polls(relay);
	if (err != CN_OK) {
		goto fail;
	}
	turn(relay);
	*ret = relay;
	return CN_OK;
fail:
	close_fd(&relay->listen_fd, false);
	close_fd(&relay->timer_fd, false);
	cn_free(relay);
	return err;
}

static void
own_poll_closed(uv_handle_t *handle)
{
	release(handle->data);
}

void
cn_wanrelay_close(
    struct cn_wanrelay **relayp, void (*closed)(void *arg), void *arg)
{
	struct cn_wanrelay *relay = *relayp;

	if (!relay) {
		return;
	}
	*relayp = NULL;
	relay->is_closing = true;
	relay->closed = closed;
	relay->arg = arg;
	cn_wanrelay_cut(relay);
	for (size_t i = 0; i < WAYS; i++) {
		cn_wanline_fini(&relay->line[i]);
	}
	uv_close((uv_handle_t *)&relay->listen_poll, own_poll_closed);
	close_fd(&relay->listen_fd, false);
	uv_close((uv_handle_t *)&relay->timer_poll, own_poll_closed);
	close_fd(&relay->timer_fd, false);
}

uint16_t
cn_wanrelay_port(const struct cn_wanrelay *relay)
{
	return relay->port;
}

void
cn_wanrelay_cut(struct cn_wanrelay *relay)
{
	struct cn_list *item;

	relay->stats.cuts++;
	while ((item = cn_list_first(&relay->connections)) != NULL) {
		relay->stats.cut_connections++;
		connection_end(
		    CN_LIST_ENTRY(item, struct connection, item), true);
	}
}

void
cn_wanrelay_stall(struct cn_wanrelay *relay, uint64_t for_us)
{
	uint64_t now = cn_clock_us();

	cn_wanline_stall(&relay->line[UP], now);
	cn_wanline_stall(&relay->line[DOWN], now);
	relay->resume_at_us = for_us == 0 ? 0 : now + for_us;
	turn(relay);
}

void
cn_wanrelay_resume(struct cn_wanrelay *relay)
{
	uint64_t now = cn_clock_us();

	cn_wanline_resume(&relay->line[UP], now);
	cn_wanline_resume(&relay->line[DOWN], now);
	relay->resume_at_us = 0;
	/* Let the timer do the rest: we may be inside of turn(). */
	set_timer(relay, now);
}

void
cn_wanrelay_set_line(
    struct cn_wanrelay *relay, uint64_t rate_bps, uint64_t delay_us)
{
	for (size_t i = 0; i < WAYS; i++) {
		relay->line[i].rate_bps = rate_bps;
		relay->line[i].delay_us = delay_us;
	}
}

void
cn_wanrelay_stats(
    const struct cn_wanrelay *relay, struct cn_wanrelay_stats *ret)
{
	*ret = relay->stats;
}
