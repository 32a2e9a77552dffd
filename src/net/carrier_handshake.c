/* SPDX-License-Identifier: Apache-2.0 */
#include "net/carrier_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "base/alloc.h"
#include "base/err.h"

/* Enough to tell TLS from the others. */
#define SNIFF_BYTES 8

/* ---- ending ---- */

/* The gate's word for an accepted carrier that failed in TLS. */
static enum cn_gate_end
gate_end(const struct cn_carrier *carrier, int err)
{
	if (carrier->peer.wants_join) {
		return CN_GATE_JOIN;
	}
	if (carrier->peer.lacks_alpn) {
		return CN_GATE_NO_ALPN;
	}
	if (carrier->peer.has_identity && !carrier->peer.is_pinned) {
		return CN_GATE_UNPINNED;
	}
	if (err == CN_ELIMIT) {
		return CN_GATE_TOO_LONG;
	}
	return err == CN_ETLS || err == CN_EPROTO ? CN_GATE_TLS : CN_GATE_CUT;
}

/* End before the carrier was live. */
void
cn_carrier_fail(struct cn_carrier *carrier, int why, enum cn_gate_end end)
{
	carrier->gate_end = end;
	cn_carrier_end(carrier, why);
}

void
cn_carrier_fail_tls(struct cn_carrier *carrier, int why)
{
	cn_carrier_fail(carrier, why, gate_end(carrier, why));
}

/* ---- OpenSSL's errors ---- */

static int
library_error(struct cn_carrier *carrier)
{
	unsigned long code = ERR_peek_error();
	int reason = ERR_GET_REASON(code);

	carrier->detail = ERR_reason_error_string(code);
	if (ERR_GET_LIB(code) != ERR_LIB_SSL) {
		return CN_ETLS;
	}
	if (carrier->peer.has_identity && !carrier->peer.is_pinned) {
		return CN_EKEY;
	}
	switch (reason) {
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		return CN_EPIPE;
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
		return CN_EACCES;
	case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
	case SSL_R_NO_APPLICATION_PROTOCOL:
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
		return CN_EPROTO;
	default:
		return CN_ETLS;
	}
}

/* More was read than anybody needs before authentication. */
static bool
is_too_long(struct cn_carrier *carrier)
{
	return carrier->state != CN_CARRIER_LIVE &&
	    BIO_number_read(SSL_get_rbio(carrier->ssl)) >
	    CN_CARRIER_PREAUTH_MAX;
}

int
cn_carrier_ssl_error(struct cn_carrier *carrier, int n)
{
	int saved = errno;
	int err;

	if (is_too_long(carrier)) {
		carrier->detail = "too many bytes before authentication";
		ERR_clear_error();
		return CN_ELIMIT;
	}
	switch (SSL_get_error(carrier->ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return CN_EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return CN_ECLOSED;
	case SSL_ERROR_SYSCALL:
		err = saved == 0 ? CN_EPIPE : cn_err_from_errno(saved);
		break;
	default:
		err = library_error(carrier);
		break;
	}
	ERR_clear_error();
	return err;
}

/* ---- hellos ---- */

/* The value that binds a hello to this connection. */
static int
exporter(struct cn_carrier *carrier, uint8_t ret[CN_EXPORTER_BYTES])
{
	static const char label[] = CN_TLSCTX_EXPORTER;

	if (SSL_export_keying_material(carrier->ssl, ret, CN_EXPORTER_BYTES,
		label, sizeof(label) - 1, NULL, 0, 0) != 1) {
		ERR_clear_error();
		return CN_ETLS;
	}
	return CN_OK;
}

/* Complete what is ours to know in a hello, and send it. */
int
cn_carrier_say(struct cn_carrier *carrier, const struct cn_hello *hello)
{
	struct cn_hello filled = *hello;
	int err;

	assert(carrier->out_len == 0);
	memcpy(filled.identity, cn_tlsctx_identity(carrier->shared->tls),
	    CN_IDENTITY_BYTES);
	memcpy(filled.peer, carrier->peer.identity, CN_IDENTITY_BYTES);
	err = exporter(carrier, filled.exporter);
	if (err != CN_OK) {
		return err;
	}
	if (carrier->out == NULL) {
		carrier->out = cn_alloc(CN_FRAGMENT_MAX);
		if (carrier->out == NULL) {
			return CN_ENOMEM;
		}
	}
	carrier->out_len =
	    cn_hello_encode(carrier->out, CN_FRAGMENT_MAX, &filled);
	assert(carrier->out_len > 0);
	err = cn_carrier_write_out(carrier);
	return err == CN_EAGAIN ? CN_OK : err;
}

/* Refuse an accepted hello that its owner shall not even see. */
static void
refuse(struct cn_carrier *carrier, enum cn_close status, const char *text)
{
	struct cn_hello hello = {
		.version_min = CN_WIRE_VERSION,
		.version_max = CN_WIRE_VERSION,
		.status = status,
		.workers = 1,
		.credit_floor = CN_CREDIT_FLOOR_MIN,
		.lane_window_log = CN_LANE_WINDOW_LOG_MIN,
	};
	size_t len = strlen(text);

	assert(len <= CN_TEXT_MAX);
	memcpy(hello.text, text, len);
	carrier->detail = text;
	if (cn_carrier_say(carrier, &hello) != CN_OK) {
		carrier->detail = "its hello was refused, and it is gone";
	}
	cn_carrier_fail(carrier, CN_EPEER, CN_GATE_HELLO);
}

/* Is what the hello says about the two of us true? */
static bool
is_true(struct cn_carrier *carrier, const struct cn_hello *hello)
{
	uint8_t bound[CN_EXPORTER_BYTES];

	return exporter(carrier, bound) == CN_OK &&
	    CRYPTO_memcmp(hello->exporter, bound, sizeof(bound)) == 0 &&
	    memcmp(hello->identity, carrier->peer.identity,
		CN_IDENTITY_BYTES) == 0 &&
	    memcmp(hello->peer, cn_tlsctx_identity(carrier->shared->tls),
		CN_IDENTITY_BYTES) == 0;
}

static void
take_hello(struct cn_carrier *carrier, const struct cn_hello *hello)
{
	if (!is_true(carrier, hello)) {
		if (carrier->is_dialler) {
			carrier->detail = "hello is not of this connection";
			cn_carrier_end(carrier, CN_EPEER);
		} else {
			refuse(carrier, CN_CLOSE_IDENTITY,
			    "hello is not of this connection");
		}
		return;
	}
	if (hello->version_min > CN_WIRE_VERSION ||
	    hello->version_max < CN_WIRE_VERSION) {
		if (!carrier->is_dialler) {
			refuse(carrier, CN_CLOSE_VERSION,
			    "this gateway speaks version 1 alone");
			return;
		}
		if (hello->status == CN_CLOSE_OK) {
			carrier->detail = "answer in a version not offered";
			cn_carrier_end(carrier, CN_EPROTO);
			return;
		}
	}
	carrier->state = CN_CARRIER_ANSWER;
	cn_carrier_poll(carrier, carrier->is_full ? UV_WRITABLE : 0);
	carrier->hello = *hello;
	carrier->ops->on_hello(carrier, &carrier->hello);
}

void
cn_carrier_read_hello(struct cn_carrier *carrier)
{
	struct cn_hello hello;
	size_t used;
	int n;
	int err;

	/* Never more than the message: what follows is the link's. */
	errno = 0;
	n = SSL_read(carrier->ssl, carrier->rest + carrier->rest_len,
	    (int)(CN_FRAGMENT_MAX - carrier->rest_len));
	if (n <= 0) {
		err = cn_carrier_ssl_error(carrier, n);
		if (err != CN_EAGAIN) {
			cn_carrier_fail_tls(carrier, err);
		}
		return;
	}
	carrier->rest_len += (size_t)n;
	err = cn_hello_decode(carrier->rest, carrier->rest_len, &hello, &used);
	if (err == CN_EAGAIN && carrier->rest_len < CN_HELLO_MAX) {
		return;
	}
	if (err != CN_OK) {
		if (carrier->is_dialler) {
			carrier->detail = "answer is no hello";
			cn_carrier_end(carrier, CN_EPROTO);
		} else {
			refuse(carrier, CN_CLOSE_PROTOCOL, "that is no hello");
		}
		return;
	}
	carrier->rest_len -= used;
	memmove(carrier->rest, carrier->rest + used, carrier->rest_len);
	take_hello(carrier, &hello);
}

/*
 * A write failed: the other end has closed.  It may have said why before,
 * in an alert that waits to be read: who refuses our certificate does so
 * after the handshake has ended here.
 */
static int
last_word(struct cn_carrier *carrier, int failure)
{
	uint8_t byte;
	int err;
	int n;

	errno = 0;
	n = SSL_read(carrier->ssl, &byte, sizeof(byte));
	err = n > 0 ? CN_EAGAIN : cn_carrier_ssl_error(carrier, n);
	return err == CN_EACCES || err == CN_EPROTO ? err : failure;
}

static void
start_hello(struct cn_carrier *carrier)
{
	int err = CN_OK;

	carrier->state = CN_CARRIER_HELLO;
	carrier->rest = cn_alloc(CN_FRAGMENT_MAX);
	if (carrier->rest == NULL) {
		cn_carrier_fail(carrier, CN_ENOMEM, CN_GATE_CUT);
		return;
	}
	cn_carrier_poll(carrier, UV_READABLE);
	if (carrier->is_dialler) {
		err = cn_carrier_say(carrier, &carrier->hello);
	}
	if (err != CN_OK) {
		cn_carrier_fail_tls(carrier, last_word(carrier, err));
		return;
	}
	/* The hello may have come with the end of the handshake. */
	if (SSL_has_pending(carrier->ssl) != 0) {
		cn_carrier_read_hello(carrier);
	}
}

/* ---- handshake ---- */

static void
check_server(struct cn_carrier *carrier)
{
	const unsigned char *alpn;
	unsigned len;

	SSL_get0_alpn_selected(carrier->ssl, &alpn, &len);
	if (len != strlen(CN_WIRE_ALPN)) {
		carrier->detail = "the other end does not speak compressnet/1";
		cn_carrier_end(carrier, CN_EPROTO);
		return;
	}
	if (CRYPTO_memcmp(carrier->peer.identity, carrier->hello.peer,
		CN_IDENTITY_BYTES) != 0) {
		carrier->detail = "another peer answers at this address";
		cn_carrier_end(carrier, CN_EPEER);
		return;
	}
	start_hello(carrier);
}

void
cn_carrier_handshake(struct cn_carrier *carrier)
{
	int n;
	int err;

	errno = 0;
	n = SSL_do_handshake(carrier->ssl);
	if (n == 1) {
		if (carrier->is_dialler) {
			check_server(carrier);
		} else if (carrier->peer.is_joining) {
			carrier->state = CN_CARRIER_ANSWER;
			cn_carrier_poll(carrier, 0);
			carrier->ops->on_join(carrier);
		} else {
			start_hello(carrier);
		}
		return;
	}
	err = cn_carrier_ssl_error(carrier, n);
	if (err == CN_EAGAIN) {
		cn_carrier_poll(carrier,
		    SSL_want_write(carrier->ssl) ? UV_READABLE | UV_WRITABLE
						 : UV_READABLE);
		return;
	}
	cn_carrier_fail_tls(carrier, err);
}

/* One call of TLS may read as long as bytes come: end it at the limit. */
static long
limit_reading(BIO *bio, int oper, const char *argp CN_UNUSED,
    size_t len CN_UNUSED, int argi CN_UNUSED, long argl CN_UNUSED, int ret,
    size_t *processed CN_UNUSED)
{
	if (oper == BIO_CB_READ &&
	    BIO_number_read(bio) > CN_CARRIER_PREAUTH_MAX) {
		return -1;
	}
	return ret;
}

int
cn_carrier_start_tls(struct cn_carrier *carrier)
{
	int err = cn_tlsctx_connection(carrier->shared->tls, carrier->fd,
	    carrier->is_dialler, &carrier->peer, &carrier->ssl);

	if (err == CN_OK) {
		carrier->state = CN_CARRIER_TLS;
		BIO_set_callback_ex(SSL_get_rbio(carrier->ssl), limit_reading);
	}
	return err;
}

/* Look at the first bytes before there is a TLS state for them, so that
 * strangers cost little and hear nothing. */
void
cn_carrier_sniff(struct cn_carrier *carrier)
{
	uint8_t bytes[SNIFF_BYTES];
	ssize_t n =
	    recv(carrier->fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	enum cn_gate_end end;
	int err;

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n <= 0) {
		cn_carrier_fail(carrier,
		    n == 0 ? CN_EPIPE : cn_err_from_errno(errno), CN_GATE_CUT);
		return;
	}
	end = cn_gate_sniff(bytes, (size_t)n);
	if (end != CN_GATE_ACCEPTED) {
		cn_carrier_fail(carrier, CN_EPROTO, end);
		return;
	}
	err = cn_carrier_start_tls(carrier);
	if (err != CN_OK) {
		cn_carrier_fail(carrier, err, CN_GATE_CUT);
		return;
	}
	cn_carrier_handshake(carrier);
}
