/* SPDX-License-Identifier: Apache-2.0 */
#include "net/pairing.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/err.h"

#define EXPORTER "EXPORTER-compressnet-join"
/* What may wait to be sent: there are three messages a side. */
#define OUT_MAX (4u * CN_JOIN_MESSAGE_MAX)

enum state {
	SHAKING, /* dialled */
	TALKING,
	ENDED, /* on_end was called */
	CLOSED,
};

struct cn_pairing {
	const struct cn_pairing_ops *ops; /* borrowed */
	void *owner;                      /* borrowed */
	enum state state;
	struct cn_carrier_tls tls; /* owned */
	uv_poll_t poll;
	int polled;
	uv_timer_t deadline;
	unsigned handles;
	uint8_t in[CN_JOIN_MESSAGE_MAX];
	size_t in_len;
	struct cn_buf out;
};

/* ---- ends ---- */

static void
set_poll(struct cn_pairing *pairing, int events)
{
	if (pairing->polled == events) {
		return;
	}
	pairing->polled = events;
	if (events == 0) {
		(void)uv_poll_stop(&pairing->poll);
	} else {
		/* It fails only for a descriptor that is not ours. */
		int err = uv_poll_start(
		    &pairing->poll, events, pairing->poll.poll_cb);

		assert(err == 0);
		(void)err;
	}
}

static void
end(struct cn_pairing *pairing, int why)
{
	if (pairing->state == SHAKING || pairing->state == TALKING) {
		pairing->state = ENDED;
		set_poll(pairing, 0);
		(void)uv_timer_stop(&pairing->deadline);
		pairing->ops->on_end(pairing->owner, why);
	}
}

static int
library_error(const struct cn_pairing *pairing)
{
	unsigned long code = ERR_peek_error();

	if (ERR_GET_LIB(code) != ERR_LIB_SSL) {
		return CN_ETLS;
	}
	switch (ERR_GET_REASON(code)) {
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		return CN_EPIPE;
	case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
		return CN_ENOENT;
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return pairing->tls.peer->has_expected ? CN_EPEER : CN_EKEY;
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
		return CN_EPROTO;
	default:
		return CN_ETLS;
	}
}

/* Why a call of TLS did not go; CN_EAGAIN: it only has to wait. */
static int
ssl_error(struct cn_pairing *pairing, int n)
{
	int saved = errno;
	int err;

	if (BIO_number_read(SSL_get_rbio(pairing->tls.ssl)) >
	    CN_PAIRING_READ_MAX) {
		ERR_clear_error();
		return CN_ELIMIT;
	}
	switch (SSL_get_error(pairing->tls.ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return CN_EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return CN_ECLOSED;
	case SSL_ERROR_SYSCALL:
		err = saved == 0 ? CN_EPIPE : cn_err_from_errno(saved);
		break;
	default:
		err = library_error(pairing);
		break;
	}
	ERR_clear_error();
	return err;
}

/* ---- messages ---- */

/* Write what waits.  CN_EAGAIN is waited for. */
static int
flush(struct cn_pairing *pairing)
{
	int n, err;

	if (pairing->out.len == 0) {
		set_poll(pairing, UV_READABLE);
		return CN_OK;
	}
	errno = 0;
	n = SSL_write(
	    pairing->tls.ssl, pairing->out.data, (int)pairing->out.len);
	if (n > 0) {
		cn_buf_clear(&pairing->out);
		set_poll(pairing, UV_READABLE);
		return CN_OK;
	}
	err = ssl_error(pairing, n);
	if (err == CN_EAGAIN) {
		set_poll(pairing, UV_READABLE | UV_WRITABLE);
		return CN_OK;
	}
	return err;
}

int
cn_pairing_send(struct cn_pairing *pairing, const struct cn_join *message)
{
	uint8_t bytes[CN_JOIN_MESSAGE_MAX];
	size_t len = cn_join_encode(bytes, sizeof(bytes), message);
	int err;

	assert(len > 0);
	if (pairing->state != TALKING) {
		return CN_ECLOSED;
	}
	err = cn_buf_append(&pairing->out, bytes, len);
	return err != CN_OK ? err : flush(pairing);
}

/* Hand out whole messages; false when it is over. */
static bool
give_messages(struct cn_pairing *pairing)
{
	while (pairing->state == TALKING) {
		struct cn_join message;
		size_t used;
		int err = cn_join_decode(
		    pairing->in, pairing->in_len, &message, &used);

		if (err == CN_EAGAIN) {
			return true;
		}
		if (err != CN_OK) {
			end(pairing, CN_EPROTO);
			return false;
		}
		pairing->in_len -= used;
		memmove(pairing->in, pairing->in + used, pairing->in_len);
		pairing->ops->on_message(pairing->owner, &message);
	}
	return false;
}

static void
read_messages(struct cn_pairing *pairing)
{
	for (;;) {
		int n, err;

		errno = 0;
		/* A full buffer would hold a whole message. */
		assert(pairing->in_len < sizeof(pairing->in));
		n = SSL_read(pairing->tls.ssl, pairing->in + pairing->in_len,
		    (int)(sizeof(pairing->in) - pairing->in_len));
		if (n <= 0) {
			err = ssl_error(pairing, n);
			if (err != CN_EAGAIN) {
				end(pairing, err);
			}
			return;
		}
		pairing->in_len += (size_t)n;
		if (!give_messages(pairing)) {
			return;
		}
	}
}

static void
shake(struct cn_pairing *pairing)
{
	const unsigned char *alpn;
	unsigned len;
	int n, err;

	errno = 0;
	n = SSL_do_handshake(pairing->tls.ssl);
	if (n != 1) {
		err = ssl_error(pairing, n);
		if (err != CN_EAGAIN) {
			end(pairing, err);
			return;
		}
		set_poll(pairing,
		    SSL_want_write(pairing->tls.ssl) ? UV_READABLE | UV_WRITABLE
						     : UV_READABLE);
		return;
	}
	SSL_get0_alpn_selected(pairing->tls.ssl, &alpn, &len);
	if (len != sizeof(CN_JOIN_ALPN) - 1) {
		end(pairing, CN_EPROTO);
		return;
	}
	pairing->state = TALKING;
	set_poll(pairing, UV_READABLE);
	pairing->ops->on_ready(pairing->owner);
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	struct cn_pairing *pairing = poll->data;
	int err = CN_OK;

	if (status < 0) {
		pairing->polled = 0; /* libuv has stopped it */
	}
	if (pairing->state == SHAKING) {
		shake(pairing);
	} else {
		if ((events & UV_WRITABLE) != 0) {
			err = flush(pairing);
		}
		if (err != CN_OK) {
			end(pairing, err);
		} else {
			read_messages(pairing);
		}
	}
	if (status < 0) {
		end(pairing, CN_EPIPE);
	}
}

static void
on_deadline(uv_timer_t *timer)
{
	end(timer->data, CN_ETIMEDOUT);
}

/* ---- life ---- */

static void
on_handle_closed(uv_handle_t *handle)
{
	struct cn_pairing *pairing = handle->data;

	pairing->handles--;
	if (pairing->handles == 0) {
		cn_buf_fini(&pairing->out);
		cn_free(pairing);
	}
}

/* Into the loop; the first turn comes at once, for what came before. */
static int
start(struct cn_pairing *pairing, uv_loop_t *loop)
{
	int err = uv_poll_init(loop, &pairing->poll, pairing->tls.fd);

	if (err != 0) {
		return err;
	}
	pairing->poll.data = pairing;
	pairing->poll.poll_cb = on_poll;
	(void)uv_timer_init(loop, &pairing->deadline);
	pairing->deadline.data = pairing;
	pairing->handles = 2;
	cn_buf_init(&pairing->out, OUT_MAX);
	set_poll(pairing, UV_READABLE | UV_WRITABLE);
	return CN_OK;
}

int
cn_pairing_dial(uv_loop_t *loop, struct cn_tlsctx *tls, int fd,
    const uint8_t inviter[CN_IDENTITY_BYTES], const struct cn_pairing_ops *ops,
    void *owner, struct cn_pairing **ret)
{
	struct cn_pairing *pairing = cn_calloc(1, sizeof(*pairing));
	int err = CN_ENOMEM;

	if (pairing == NULL) {
		return CN_ENOMEM;
	}
	pairing->tls.fd = fd;
	pairing->tls.peer = cn_calloc(1, sizeof(*pairing->tls.peer));
	if (pairing->tls.peer != NULL) {
		err = cn_tlsctx_join(
		    tls, fd, inviter, pairing->tls.peer, &pairing->tls.ssl);
	}
	pairing->ops = ops;
	pairing->owner = owner;
	pairing->state = SHAKING;
	if (err == CN_OK) {
		err = start(pairing, loop);
	}
	if (err != CN_OK) {
		pairing->tls.fd = -1; /* still the caller's */
		cn_carrier_tls_fini(&pairing->tls);
		cn_free(pairing);
		return err;
	}
	cn_pairing_deadline(pairing, CN_PAIRING_WHOLE_US);
	*ret = pairing;
	return CN_OK;
}

int
cn_pairing_adopt(uv_loop_t *loop, struct cn_carrier_tls *tls,
    const struct cn_pairing_ops *ops, void *owner, struct cn_pairing **ret)
{
	struct cn_pairing *pairing = cn_calloc(1, sizeof(*pairing));
	int err;

	if (pairing == NULL) {
		return CN_ENOMEM;
	}
	pairing->tls = *tls;
	pairing->ops = ops;
	pairing->owner = owner;
	pairing->state = TALKING;
	err = start(pairing, loop);
	if (err != CN_OK) {
		cn_free(pairing);
		return err;
	}
	*tls = (struct cn_carrier_tls){ .fd = -1 };
	cn_pairing_deadline(pairing, CN_PAIRING_PROOF_US);
	*ret = pairing;
	return CN_OK;
}

void
cn_pairing_deadline(struct cn_pairing *pairing, uint64_t us)
{
	(void)uv_timer_start(&pairing->deadline, on_deadline, us / 1000u, 0);
}

const uint8_t *
cn_pairing_peer(const struct cn_pairing *pairing)
{
	return pairing->tls.peer->identity;
}

int
cn_pairing_exporter(
    struct cn_pairing *pairing, uint8_t ret[CN_TOKEN_EXPORTER_BYTES])
{
	static const char label[] = EXPORTER;

	if (SSL_export_keying_material(pairing->tls.ssl, ret,
		CN_TOKEN_EXPORTER_BYTES, label, sizeof(label) - 1, NULL, 0,
		0) != 1) {
		ERR_clear_error();
		return CN_ETLS;
	}
	return CN_OK;
}

void
cn_pairing_close(struct cn_pairing **pp)
{
	struct cn_pairing *pairing = *pp;

	*pp = NULL;
	if (pairing == NULL) {
		return;
	}
	if (pairing->state == TALKING) {
		(void)SSL_shutdown(pairing->tls.ssl);
		ERR_clear_error();
	}
	set_poll(pairing, 0);
	pairing->state = CLOSED;
	uv_close((uv_handle_t *)&pairing->poll, on_handle_closed);
	uv_close((uv_handle_t *)&pairing->deadline, on_handle_closed);
	cn_carrier_tls_fini(&pairing->tls);
}
