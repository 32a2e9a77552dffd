/* SPDX-License-Identifier: Apache-2.0 */
#include "net/carrier_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "base/alloc.h"
#include "base/err.h"

/* Defaults of rekeying: far inside AES-GCM's limit of 2^24.5 records. */
#define REKEY_BYTES (UINT64_C(32) << 30)
#define REKEY_US (UINT64_C(3600) * 1000000u)

int
cn_carrier_shared_init(
    struct cn_carrier_shared *shared, uv_loop_t *loop, struct cn_tlsctx *tls)
{
	memset(shared, 0, sizeof(*shared));
	shared->read_buffer = cn_alloc(CN_CARRIER_READ_BUFFER);
	if (shared->read_buffer == NULL) {
		return CN_ENOMEM;
	}
	shared->loop = loop;
	shared->tls = tls;
	shared->rekey_bytes = REKEY_BYTES;
	shared->rekey_us = REKEY_US;
	return CN_OK;
}

void
cn_carrier_shared_fini(struct cn_carrier_shared *shared)
{
	cn_free(shared->read_buffer);
	shared->read_buffer = NULL;
}

/* ---- ending ---- */

void
cn_carrier_end(struct cn_carrier *carrier, int why)
{
	if (carrier->state >= CN_CARRIER_ENDED) {
		return;
	}
	carrier->state = CN_CARRIER_ENDED;
	cn_carrier_poll(carrier, 0);
	(void)uv_timer_stop(&carrier->timer);
	carrier->ops->on_end(carrier, why);
}

void
cn_carrier_poll(struct cn_carrier *carrier, int events)
{
	if (carrier->polled == events) {
		return;
	}
	carrier->polled = events;
	if (events == 0) {
		(void)uv_poll_stop(&carrier->poll);
	} else {
		/* It fails only for a descriptor that is not ours. */
		int err = uv_poll_start(
		    &carrier->poll, events, carrier->poll.poll_cb);

		assert(err == 0);
		(void)err;
	}
}

int
cn_carrier_write_out(struct cn_carrier *carrier)
{
	int n;
	int err;

	errno = 0;
	n = SSL_write(carrier->ssl, carrier->out, (int)carrier->out_len);
	if (n > 0) {
		assert((size_t)n == carrier->out_len);
		carrier->out_len = 0;
		return CN_OK;
	}
	err = cn_carrier_ssl_error(carrier, n);
	if (err == CN_EAGAIN) {
		carrier->is_full = true;
		cn_carrier_poll(carrier,
		    carrier->is_deaf ? UV_WRITABLE : UV_READABLE | UV_WRITABLE);
	}
	return err;
}

/* ---- the loop's callbacks ---- */

static void
on_writable(struct cn_carrier *carrier)
{
	int err;

	carrier->is_full = false;
	carrier->unpolled = 0;
	if (carrier->out_len > 0) {
		err = cn_carrier_write_out(carrier);
		if (err == CN_EAGAIN) {
			return;
		}
		if (err != CN_OK) {
			cn_carrier_fail_tls(carrier, err);
			return;
		}
	}
	cn_carrier_poll(carrier,
	    carrier->is_deaf || carrier->state == CN_CARRIER_ANSWER
		? 0
		: UV_READABLE);
	if (carrier->state == CN_CARRIER_LIVE) {
		carrier->ops->on_writable(carrier);
	}
}

static void
on_readable(struct cn_carrier *carrier)
{
	switch (carrier->state) {
	case CN_CARRIER_SNIFF:
		cn_carrier_sniff(carrier);
		break;
	case CN_CARRIER_TLS:
		cn_carrier_handshake(carrier);
		break;
	case CN_CARRIER_HELLO:
		cn_carrier_read_hello(carrier);
		break;
	case CN_CARRIER_LIVE:
		cn_carrier_read(carrier);
		return;
	case CN_CARRIER_ANSWER:
	case CN_CARRIER_ENDED:
	case CN_CARRIER_LINGER:
	case CN_CARRIER_CLOSED:
		return;
	}
}

static void linger(struct cn_carrier *carrier);

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	struct cn_carrier *carrier = poll->data;

	if (status < 0) {
		/* An error on the socket: reading tells which.  libuv has
		 * stopped the poll. */
		carrier->polled = 0;
		events = UV_READABLE;
	}
	if (carrier->state == CN_CARRIER_LINGER) {
		linger(carrier);
		return;
	}
	if (carrier->state == CN_CARRIER_TLS) {
		cn_carrier_handshake(carrier);
	} else {
		if ((events & UV_WRITABLE) != 0 && carrier->is_full) {
			on_writable(carrier);
		}
		if ((events & UV_READABLE) != 0) {
			on_readable(carrier);
		}
	}
	if (status < 0 && carrier->state != CN_CARRIER_ANSWER) {
		cn_carrier_fail(
		    carrier, CN_EPIPE, CN_GATE_CUT); /* if it still lives */
	}
}

static void
on_deadline(uv_timer_t *timer)
{
	struct cn_carrier *carrier = timer->data;

	if (carrier->has_deadline) {
		cn_carrier_fail(carrier, CN_ETIMEDOUT, CN_GATE_TIMEOUT);
	}
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct cn_carrier *carrier = handle->data;

	assert(carrier->handles > 0);
	carrier->handles--;
	if (carrier->handles == 0) {
		cn_free(carrier);
	}
}

/* ---- life ---- */

/* Put the carrier into its loop. */
static int
enter_loop(struct cn_carrier *carrier)
{
	uv_loop_t *loop = carrier->shared->loop;
	int err = uv_poll_init(loop, &carrier->poll, carrier->fd);

	if (err != 0) {
		return err;
	}
	carrier->poll.data = carrier;
	carrier->poll.poll_cb = on_poll;
	(void)uv_timer_init(loop, &carrier->timer);
	carrier->timer.data = carrier;
	carrier->handles = 2;
	return CN_OK;
}

/* Take it out again; its memory follows. */
static void
leave_loop(struct cn_carrier *carrier)
{
	cn_carrier_poll(carrier, 0);
	carrier->state = CN_CARRIER_CLOSED;
	uv_close((uv_handle_t *)&carrier->poll, on_handle_closed);
	uv_close((uv_handle_t *)&carrier->timer, on_handle_closed);
}

/* What the carrier owns but its handles and itself. */
static void
drop(struct cn_carrier *carrier)
{
	SSL_free(carrier->ssl);
	carrier->ssl = NULL;
	if (carrier->fd >= 0) {
		(void)close(carrier->fd);
		carrier->fd = -1;
	}
	cn_free(carrier->rest);
	carrier->rest = NULL;
	cn_free(carrier->out);
	carrier->out = NULL;
	cn_free(carrier->farewell);
	carrier->farewell = NULL;
}

int
cn_carrier_create(struct cn_carrier_shared *shared,
    const struct cn_carrier_ops *ops, void *owner, int fd,
    const struct cn_hello *hello, struct cn_carrier **ret)
{
	struct cn_carrier *carrier = cn_calloc(1, sizeof(*carrier));
	socklen_t len = sizeof(carrier->address);
	int err;

	if (carrier == NULL) {
		return CN_ENOMEM;
	}
	carrier->shared = shared;
	carrier->ops = ops;
	carrier->owner = owner;
	carrier->fd = fd;
	carrier->born_us = carrier->heard_us = cn_clock_us();
	carrier->gate_end = CN_GATE_CUT;
	(void)getpeername(fd, &carrier->address.any, &len);
	if (hello != NULL) {
		carrier->is_dialler = true;
		carrier->hello = *hello;
		err = cn_carrier_start_tls(carrier);
		if (err != CN_OK) {
			goto fail;
		}
	}
	err = enter_loop(carrier);
	if (err != CN_OK) {
		goto fail;
	}
	cn_carrier_tune(carrier);
	carrier->has_deadline = true;
	(void)uv_timer_start(
	    &carrier->timer, on_deadline, CN_CARRIER_HANDSHAKE_US / 1000u, 0);
	/* The dialler speaks first: it can write at once. */
	cn_carrier_poll(
	    carrier, carrier->is_dialler ? UV_WRITABLE : UV_READABLE);
	*ret = carrier;
	return CN_OK;

fail:
	carrier->fd = -1; /* still the caller's */
	drop(carrier);
	cn_free(carrier);
	return err;
}

int
cn_carrier_answer(struct cn_carrier *carrier, const struct cn_hello *hello)
{
	int err;

	assert(carrier->state == CN_CARRIER_ANSWER && !carrier->is_dialler);
	err = cn_carrier_say(carrier, hello);
	if (err != CN_OK) {
		return err;
	}
	if (hello->status == CN_CLOSE_OK) {
		carrier->gate_end = CN_GATE_ACCEPTED;
		cn_carrier_start_data(carrier);
	} else {
		carrier->gate_end = CN_GATE_HELLO;
	}
	return CN_OK;
}

void
cn_carrier_go(struct cn_carrier *carrier)
{
	assert(carrier->state == CN_CARRIER_ANSWER && carrier->is_dialler);
	cn_carrier_start_data(carrier);
}

/* ---- the last word ---- */

/*
 * A socket that is closed while bytes wait in it is reset by the kernel, and
 * the reset overtakes what was written: the peer would never hear why, nor
 * that its streams are over.  So a live carrier writes its farewell behind
 * what is on its way, shuts its direction, and throws away what still comes
 * until the peer has closed, too, or the time is over.
 */

static void
end_linger(struct cn_carrier *carrier)
{
	leave_loop(carrier);
	drop(carrier);
}

static void
on_linger_end(uv_timer_t *timer)
{
	end_linger(timer->data);
}

/* Write what there is.  CN_EAGAIN: the socket is full. */
static int
say_farewell(struct cn_carrier *carrier)
{
	int err = CN_OK;

	while (err == CN_OK && carrier->out_len > 0) {
		err = cn_carrier_write_out(carrier);
		if (err == CN_OK && carrier->farewell_len > 0) {
			memcpy(carrier->out, carrier->farewell,
			    carrier->farewell_len);
			carrier->out_len = carrier->farewell_len;
			carrier->farewell_len = 0;
		}
	}
	if (err != CN_OK) {
		return err;
	}
	(void)SSL_shutdown(carrier->ssl);
	ERR_clear_error();
	return shutdown(carrier->fd, SHUT_WR) == 0 ? CN_OK
						   : cn_err_from_errno(errno);
}

/* Throw away what came.  CN_EAGAIN: more may come. */
static int
hear_out(struct cn_carrier *carrier)
{
	ssize_t n;

	do {
		n = recv(carrier->fd, carrier->shared->read_buffer,
		    CN_CARRIER_READ_BUFFER, MSG_DONTWAIT);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n == 0 ? CN_ECLOSED : cn_err_from_errno(errno);
}

static void
linger(struct cn_carrier *carrier)
{
	int err;

	if (carrier->out_len > 0) {
		err = say_farewell(carrier);
		if (err != CN_OK && err != CN_EAGAIN) {
			end_linger(carrier);
			return;
		}
	}
	if (hear_out(carrier) != CN_EAGAIN) {
		end_linger(carrier);
		return;
	}
	cn_carrier_poll(carrier,
	    carrier->out_len > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

/* Returns false when there is no last word to be said. */
static bool
start_linger(struct cn_carrier *carrier, const uint8_t *farewell, size_t len)
{
	if (carrier->state != CN_CARRIER_LIVE || len == 0) {
		return false;
	}
	assert(len <= CN_FRAGMENT_MAX);
	carrier->farewell = cn_memdup(farewell, len);
	if (carrier->farewell == NULL) {
		return false;
	}
	if (carrier->out == NULL) {
		carrier->out = cn_alloc(CN_FRAGMENT_MAX);
		if (carrier->out == NULL) {
			return false;
		}
	}
	if (carrier->out_len == 0) {
		memcpy(carrier->out, farewell, len);
		carrier->out_len = len;
	} else {
		carrier->farewell_len = len;
	}
	carrier->state = CN_CARRIER_LINGER;
	(void)uv_timer_start(
	    &carrier->timer, on_linger_end, CN_CARRIER_LINGER_US / 1000u, 0);
	linger(carrier);
	return true;
}

void
cn_carrier_close(struct cn_carrier **cp, const uint8_t *farewell, size_t len)
{
	struct cn_carrier *carrier = *cp;

	*cp = NULL;
	if (carrier == NULL) {
		return;
	}
	assert(carrier->state != CN_CARRIER_CLOSED &&
	    carrier->state != CN_CARRIER_LINGER);
	if (start_linger(carrier, farewell, len)) {
		return;
	}
	if (carrier->ssl != NULL && SSL_is_init_finished(carrier->ssl) &&
	    carrier->out_len == 0 && carrier->state != CN_CARRIER_ENDED) {
		(void)SSL_shutdown(carrier->ssl);
		ERR_clear_error();
	}
	leave_loop(carrier);
	drop(carrier);
}

/* ---- handover ---- */

struct cn_carrier_parcel {
	struct cn_carrier carrier; /* without handles, in no loop */
};

int
cn_carrier_part(struct cn_carrier **cp, struct cn_carrier_parcel **ret)
{
	struct cn_carrier *carrier = *cp;
	struct cn_carrier_parcel *parcel;

	assert(carrier->state == CN_CARRIER_ANSWER && !carrier->is_dialler);
	parcel = cn_alloc(sizeof(*parcel));
	if (parcel == NULL) {
		return CN_ENOMEM;
	}
	cn_carrier_poll(carrier, 0);
	parcel->carrier = *carrier;
	cn_tlsctx_move(carrier->ssl, &parcel->carrier.peer);
	carrier->ssl = NULL;
	carrier->fd = -1;
	carrier->rest = carrier->out = NULL;
	leave_loop(carrier);
	*cp = NULL;
	*ret = parcel;
	return CN_OK;
}

int
cn_carrier_adopt(struct cn_carrier_shared *shared,
    const struct cn_carrier_ops *ops, void *owner,
    struct cn_carrier_parcel **pp, struct cn_carrier **ret)
{
	struct cn_carrier *carrier = cn_alloc(sizeof(*carrier));
	int err;

	if (carrier == NULL) {
		return CN_ENOMEM;
	}
	*carrier = (*pp)->carrier;
	carrier->shared = shared;
	carrier->ops = ops;
	carrier->owner = owner;
	carrier->polled = 0;
	err = enter_loop(carrier);
	if (err != CN_OK) {
		cn_free(carrier);
		return err;
	}
	cn_tlsctx_move(carrier->ssl, &carrier->peer);
	cn_free(*pp);
	*pp = NULL;
	*ret = carrier;
	return CN_OK;
}

const struct cn_hello *
cn_carrier_parcel_hello(const struct cn_carrier_parcel *parcel)
{
	return &parcel->carrier.hello;
}

void
cn_carrier_parcel_free(struct cn_carrier_parcel **pp)
{
	if (*pp != NULL) {
		drop(&(*pp)->carrier);
		cn_free(*pp);
		*pp = NULL;
	}
}

/* ---- joining ---- */

int
cn_carrier_yield(struct cn_carrier **cp, struct cn_carrier_tls *ret)
{
	struct cn_carrier *carrier = *cp;
	struct cn_tlsctx_peer *peer =
	    cn_memdup(&carrier->peer, sizeof(carrier->peer));

	assert(carrier->state == CN_CARRIER_ANSWER && !carrier->is_dialler);
	if (peer == NULL) {
		return CN_ENOMEM;
	}
	cn_carrier_poll(carrier, 0);
	cn_tlsctx_move(carrier->ssl, peer);
	ret->fd = carrier->fd;
	ret->ssl = carrier->ssl;
	ret->peer = peer;
	carrier->ssl = NULL;
	carrier->fd = -1;
	leave_loop(carrier);
	drop(carrier);
	*cp = NULL;
	return CN_OK;
}

void
cn_carrier_tls_fini(struct cn_carrier_tls *tls)
{
	SSL_free(tls->ssl);
	tls->ssl = NULL;
	if (tls->fd >= 0) {
		(void)close(tls->fd);
		tls->fd = -1;
	}
	cn_free(tls->peer);
	tls->peer = NULL;
}

/* ---- questions ---- */

void *
cn_carrier_owner(const struct cn_carrier *carrier)
{
	return carrier->owner;
}

void
cn_carrier_set_owner(
    struct cn_carrier *carrier, const struct cn_carrier_ops *ops, void *owner)
{
	carrier->ops = ops;
	carrier->owner = owner;
}

const uint8_t *
cn_carrier_peer(const struct cn_carrier *carrier)
{
	return carrier->peer.identity;
}

const struct cn_hello *
cn_carrier_hello(const struct cn_carrier *carrier)
{
	return &carrier->hello;
}

const struct sockaddr *
cn_carrier_address(const struct cn_carrier *carrier)
{
	return &carrier->address.any;
}

int
cn_carrier_fd(const struct cn_carrier *carrier)
{
	return carrier->fd;
}

const char *
cn_carrier_detail(const struct cn_carrier *carrier)
{
	return carrier->detail;
}

enum cn_gate_end
cn_carrier_gate_end(const struct cn_carrier *carrier)
{
	return carrier->gate_end;
}

void
cn_carrier_stats(const struct cn_carrier *carrier, struct cn_carrier_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (carrier->ssl != NULL) {
		ret->bytes_in = BIO_number_read(SSL_get_rbio(carrier->ssl));
		ret->bytes_out = BIO_number_written(SSL_get_wbio(carrier->ssl));
	}
	ret->rate_bps = carrier->rate_bps;
	ret->rtt_us = carrier->rtt_us;
	ret->rekeys = carrier->rekeys;
	ret->born_us = carrier->born_us;
	ret->heard_us = carrier->heard_us;
	ret->is_full = carrier->is_full;
}
