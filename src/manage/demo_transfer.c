/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/demo_transfer.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"

#define CHUNK (64u * 1024u)
#define DIGEST 32u
/* The receiver's answer: 8 bytes of count, big endian, and the digest. */
#define ANSWER (8u + DIGEST)
#define BACKLOG 64
/* A paced sender writes so often. */
#define PACE_MS 20u

struct cn_demo_sink {
	uv_tcp_t listener;
	uv_loop_t *loop;         /* borrowed */
	struct cn_list arrivals; /* open ones */
	uint64_t bytes;
	uint16_t port;
};

/* One connection at the receiver. */
struct arrival {
	struct cn_list item; /* in the sink's list while open */
	uv_tcp_t socket;
	uv_write_t write;
	uv_shutdown_t shutdown;
	struct cn_demo_sink *sink; /* borrowed */
	EVP_MD_CTX *digest;        /* owned */
	uint64_t bytes;
	uint8_t answer[ANSWER];
	char room[CHUNK];
};

struct sender {
	uv_tcp_t socket;
	uv_connect_t connect;
	uv_write_t write;
	uv_shutdown_t shutdown;
	struct cn_demo_transfer *transfer; /* borrowed */
	const uint8_t *data;
	size_t len, sent;
	size_t writing; /* bytes of the write on its way; 0: none */
	uint8_t expected[ANSWER];
	char got[ANSWER + 1];
	size_t got_len;
	bool is_connected, is_shut, is_closed, is_exact;
};

struct cn_demo_transfer {
	uv_timer_t pacer;
	struct cn_demo_transfer_config config;
	uint64_t started_us, done_us;
	unsigned running; /* senders that have not finished */
	unsigned handles; /* not yet closed, the pacer's included */
	bool is_closing;
	const char *error;
	struct sender senders[CN_DEMO_SENDERS_MAX];
};

static void
make_answer(uint8_t answer[ANSWER], uint64_t count)
{
	for (unsigned i = 0; i < 8; i++) {
		answer[i] = (uint8_t)(count >> (56 - 8 * i));
	}
}

/* ---- the receiver ---- */

static void
arrival_closed(uv_handle_t *handle)
{
	struct arrival *arrival = handle->data;

	EVP_MD_CTX_free(arrival->digest);
	cn_free(arrival);
}

static void
arrival_close(struct arrival *arrival)
{
	if (uv_is_closing((uv_handle_t *)&arrival->socket) == 0) {
		cn_list_remove(&arrival->item);
		uv_close((uv_handle_t *)&arrival->socket, arrival_closed);
	}
}

static void
arrival_room(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
	struct arrival *arrival = handle->data;

	(void)hint;
	*buf = uv_buf_init(arrival->room, sizeof(arrival->room));
}

static void
arrival_shut(uv_shutdown_t *request, int status)
{
	(void)status;
	arrival_close(request->data);
}

static void
arrival_answered(uv_write_t *request, int status)
{
	struct arrival *arrival = request->data;

	arrival->shutdown.data = arrival;
	if (status < 0 ||
	    uv_shutdown(&arrival->shutdown, (uv_stream_t *)&arrival->socket,
		arrival_shut) != 0) {
		arrival_close(arrival);
	}
}

static void
arrival_answer(struct arrival *arrival)
{
	uv_buf_t buf = uv_buf_init((char *)arrival->answer, ANSWER);

	make_answer(arrival->answer, arrival->bytes);
	arrival->write.data = arrival;
	if (EVP_DigestFinal_ex(arrival->digest, arrival->answer + 8, NULL) !=
		1 ||
	    uv_write(&arrival->write, (uv_stream_t *)&arrival->socket, &buf, 1,
		arrival_answered) != 0) {
		arrival_close(arrival);
	}
}

static void
arrival_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct arrival *arrival = stream->data;

	if (n > 0) {
		if (EVP_DigestUpdate(arrival->digest, buf->base, (size_t)n) !=
		    1) {
			arrival_close(arrival);
			return;
		}
		arrival->bytes += (uint64_t)n;
		arrival->sink->bytes += (uint64_t)n;
	} else if (n == UV_EOF) {
		(void)uv_read_stop(stream);
		arrival_answer(arrival);
	} else if (n < 0) {
		arrival_close(arrival); /* reset: the sender sees no answer */
	}
}

static void
sink_accept(uv_stream_t *listener, int status)
{
	struct cn_demo_sink *sink = listener->data;

	if (status < 0) {
		return;
	}
	struct arrival *arrival = cn_calloc(1, sizeof(*arrival));
	if (arrival == NULL || uv_tcp_init(sink->loop, &arrival->socket) != 0) {
		cn_free(arrival);
		return;
	}
	arrival->socket.data = arrival;
	cn_list_append(&sink->arrivals, &arrival->item);
	arrival->sink = sink;
	arrival->digest = EVP_MD_CTX_new();
	if (arrival->digest == NULL ||
	    EVP_DigestInit_ex(arrival->digest, EVP_sha256(), NULL) != 1 ||
	    uv_accept(listener, (uv_stream_t *)&arrival->socket) != 0 ||
	    uv_read_start((uv_stream_t *)&arrival->socket, arrival_room,
		arrival_read) != 0) {
		arrival_close(arrival);
	}
}

static void
sink_closed(uv_handle_t *handle)
{
	cn_free(handle->data);
}

int
cn_demo_sink_open(uv_loop_t *loop, struct cn_demo_sink **ret)
{
	struct cn_demo_sink *sink = cn_calloc(1, sizeof(*sink));
	struct sockaddr_in address;
	int len = sizeof(address);

	if (sink == NULL) {
		return CN_ENOMEM;
	}
	sink->loop = loop;
	cn_list_init(&sink->arrivals);
	int err = uv_tcp_init(loop, &sink->listener);
	if (err != 0) {
		cn_free(sink);
		return err;
	}
	sink->listener.data = sink;
	(void)uv_ip4_addr("127.0.0.1", 0, &address);
	err =
	    uv_tcp_bind(&sink->listener, (const struct sockaddr *)&address, 0);
	if (err == 0) {
		err = uv_listen(
		    (uv_stream_t *)&sink->listener, BACKLOG, sink_accept);
	}
	if (err == 0) {
		err = uv_tcp_getsockname(
		    &sink->listener, (struct sockaddr *)&address, &len);
	}
	if (err != 0) {
		cn_demo_sink_close(&sink);
		return err;
	}
	sink->port = ntohs(address.sin_port);
	*ret = sink;
	return CN_OK;
}

void
cn_demo_sink_close(struct cn_demo_sink **sp)
{
	struct cn_demo_sink *sink = *sp;

	if (sink != NULL) {
		struct cn_list *item, *next;

		*sp = NULL;
		CN_LIST_EACH_SAFE(&sink->arrivals, item, next)
		{
			arrival_close(
			    CN_LIST_ENTRY(item, struct arrival, item));
		}
		uv_close((uv_handle_t *)&sink->listener, sink_closed);
	}
}

uint16_t
cn_demo_sink_port(const struct cn_demo_sink *sink)
{
	return sink->port;
}

uint64_t
cn_demo_sink_bytes(const struct cn_demo_sink *sink)
{
	return sink->bytes;
}

/* ---- the senders ---- */

static void
handle_closed(uv_handle_t *handle)
{
	struct cn_demo_transfer *transfer = handle->data;

	assert(transfer->handles > 0);
	if (--transfer->handles == 0 && transfer->is_closing) {
		cn_free(transfer);
	}
}

static void
sender_closed(uv_handle_t *handle)
{
	struct sender *sender = handle->data;

	handle->data = sender->transfer;
	handle_closed(handle);
}

/* This sender is through; error is NULL if its piece was exact. */
static void
sender_end(struct sender *sender, const char *error)
{
	struct cn_demo_transfer *transfer = sender->transfer;

	if (sender->is_closed) {
		return;
	}
	sender->is_closed = true;
	if (error != NULL && transfer->error == NULL) {
		transfer->error = error;
	}
	if (--transfer->running == 0) {
		transfer->done_us = cn_clock_us();
	}
	uv_close((uv_handle_t *)&sender->socket, sender_closed);
}

static void
sender_room(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
	struct sender *sender = handle->data;

	(void)hint;
	*buf = uv_buf_init(sender->got + sender->got_len,
	    (unsigned)(sizeof(sender->got) - sender->got_len));
}

static void
sender_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct sender *sender = stream->data;

	(void)buf;
	if (n > 0) {
		sender->got_len += (size_t)n;
		if (sender->got_len > ANSWER) {
			sender_end(sender, "more came back than was sent");
		}
	} else if (n == UV_EOF && sender->got_len == ANSWER) {
		sender_end(sender,
		    memcmp(sender->got, sender->expected, ANSWER) == 0
			? NULL
			: "THE RECEIVER'S DIGEST DIFFERS");
	} else if (n == UV_EOF) {
		sender_end(sender, "a connection ended without an answer");
	} else if (n < 0) {
		sender_end(sender, "a connection was reset");
	}
}

static void sender_go_on(struct sender *sender);

static void
sender_wrote(uv_write_t *request, int status)
{
	struct sender *sender = request->data;

	if (sender->is_closed) {
		return;
	}
	if (status < 0) {
		sender_end(sender, "a connection broke while sending");
		return;
	}
	sender->sent += sender->writing;
	sender->writing = 0;
	/* A paced one waits for the pacer, or it would write byte by byte. */
	if (sender->transfer->config.pace_us == 0 ||
	    sender->sent == sender->len) {
		sender_go_on(sender);
	}
}

static void
sender_was_shut(uv_shutdown_t *request, int status)
{
	struct sender *sender = request->data;

	if (status < 0 && !sender->is_closed) {
		sender_end(sender, "a half-close failed");
	}
}

/* Bytes that may have been written by now. */
static size_t
sender_allowed(const struct sender *sender)
{
	const struct cn_demo_transfer *transfer = sender->transfer;
	uint64_t pace_us = transfer->config.pace_us;
	uint64_t age_us = cn_clock_us() - transfer->started_us;

	if (pace_us == 0 || age_us >= pace_us) {
		return sender->len;
	}
	return (size_t)((double)sender->len * (double)age_us / (double)pace_us);
}

static void
sender_go_on(struct sender *sender)
{
	size_t allowed = sender_allowed(sender);

	if (sender->is_closed || !sender->is_connected || sender->writing > 0 ||
	    sender->is_shut) {
		return;
	}
	if (sender->sent == sender->len) {
		sender->is_shut = true;
		sender->shutdown.data = sender;
		if (uv_shutdown(&sender->shutdown,
			(uv_stream_t *)&sender->socket, sender_was_shut) != 0) {
			sender_end(sender, "a half-close failed");
		}
		return;
	}
	if (allowed <= sender->sent) {
		return; /* the pacer comes again */
	}
	sender->writing = CN_MIN(allowed - sender->sent, CHUNK);
	sender->write.data = sender;
	/* libuv does not write to it, but has no type that says so. */
	uv_buf_t buf =
	    uv_buf_init((char *)(uintptr_t)(sender->data + sender->sent),
		(unsigned)sender->writing);
	if (uv_write(&sender->write, (uv_stream_t *)&sender->socket, &buf, 1,
		sender_wrote) != 0) {
		sender_end(sender, "a connection broke while sending");
	}
}

static void
sender_connected(uv_connect_t *request, int status)
{
	struct sender *sender = request->data;

	if (sender->is_closed) {
		return;
	}
	if (status < 0 ||
	    uv_read_start((uv_stream_t *)&sender->socket, sender_room,
		sender_read) != 0) {
		sender_end(sender, "a connection could not be made");
		return;
	}
	sender->is_connected = true;
	sender_go_on(sender);
}

static void
pace(uv_timer_t *timer)
{
	struct cn_demo_transfer *transfer = timer->data;

	for (unsigned i = 0; i < transfer->config.senders; i++) {
		sender_go_on(&transfer->senders[i]);
	}
}

static int
sender_start(struct cn_demo_transfer *transfer, unsigned index, uv_loop_t *loop)
{
	const struct cn_demo_transfer_config *config = &transfer->config;
	struct sender *sender = &transfer->senders[index];
	size_t from = config->len / config->senders * index;
	size_t to = index + 1 == config->senders
	    ? config->len
	    : config->len / config->senders * (index + 1);
	struct sockaddr_in address;

	sender->transfer = transfer;
	sender->data = config->data + from;
	sender->len = to - from;
	make_answer(sender->expected, sender->len);
	if (EVP_Digest(sender->data, sender->len, sender->expected + 8, NULL,
		EVP_sha256(), NULL) != 1) {
		return CN_ENOMEM;
	}
	int err = uv_tcp_init(loop, &sender->socket);
	if (err != 0) {
		return err;
	}
	sender->socket.data = sender;
	transfer->handles++;
	transfer->running++;
	(void)uv_ip4_addr("127.0.0.1", config->port, &address);
	sender->connect.data = sender;
	err = uv_tcp_connect(&sender->connect, &sender->socket,
	    (const struct sockaddr *)&address, sender_connected);
	if (err != 0) {
		sender_end(sender, "a connection could not be made");
	}
	return CN_OK;
}

int
cn_demo_transfer_start(uv_loop_t *loop,
    const struct cn_demo_transfer_config *config, struct cn_demo_transfer **ret)
{
	struct cn_demo_transfer *transfer = cn_calloc(1, sizeof(*transfer));

	assert(config->senders >= 1);
	assert(config->senders <= CN_DEMO_SENDERS_MAX);
	if (transfer == NULL) {
		return CN_ENOMEM;
	}
	transfer->config = *config;
	int err = uv_timer_init(loop, &transfer->pacer);
	if (err != 0) {
		cn_free(transfer);
		return err;
	}
	transfer->pacer.data = transfer;
	transfer->handles = 1;
	transfer->started_us = cn_clock_us();
	for (unsigned i = 0; i < config->senders; i++) {
		err = sender_start(transfer, i, loop);
		if (err != 0) {
			cn_demo_transfer_close(&transfer);
			return err;
		}
	}
	/* Digesting the data beforehand is not part of the time. */
	transfer->started_us = cn_clock_us();
	if (config->pace_us > 0) {
		(void)uv_timer_start(&transfer->pacer, pace, PACE_MS, PACE_MS);
	}
	*ret = transfer;
	return CN_OK;
}

void
cn_demo_transfer_close(struct cn_demo_transfer **tp)
{
	struct cn_demo_transfer *transfer = *tp;

	if (transfer == NULL) {
		return;
	}
	*tp = NULL;
	transfer->is_closing = true;
	for (unsigned i = 0; i < CN_DEMO_SENDERS_MAX; i++) {
		if (transfer->senders[i].transfer != NULL &&
		    transfer->senders[i].socket.data != NULL &&
		    !transfer->senders[i].is_closed) {
			sender_end(&transfer->senders[i], "stopped");
		}
	}
	uv_close((uv_handle_t *)&transfer->pacer, handle_closed);
}

bool
cn_demo_transfer_is_done(const struct cn_demo_transfer *transfer)
{
	return transfer->running == 0;
}

bool
cn_demo_transfer_is_exact(const struct cn_demo_transfer *transfer)
{
	return transfer->running == 0 && transfer->error == NULL;
}

const char *
cn_demo_transfer_error(const struct cn_demo_transfer *transfer)
{
	return transfer->error != NULL ? transfer->error : "";
}

uint64_t
cn_demo_transfer_us(const struct cn_demo_transfer *transfer)
{
	return (transfer->running == 0 ? transfer->done_us : cn_clock_us()) -
	    transfer->started_us;
}
