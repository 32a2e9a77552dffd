/* SPDX-License-Identifier: Apache-2.0 */
#include "net/carrier_private.h"

#include <assert.h>
#include <string.h>

#include <openssl/err.h>

#include "base/alloc.h"
#include "base/err.h"

/* A carrier that moved nothing for so long gives its buffers back. */
#define IDLE_US 2000000u
#define MINUTE_US 60000000u

/* ---- receiving ---- */

/* Keep what the owner did not take for the next time. */
static int
keep_rest(struct cn_carrier *carrier, const uint8_t *bytes, size_t len)
{
	assert(len <= CN_FRAGMENT_MAX);
	if (len > 0 && carrier->rest == NULL) {
		carrier->rest = cn_alloc(CN_FRAGMENT_MAX);
		if (carrier->rest == NULL) {
			return CN_ENOMEM;
		}
	}
	if (len > 0) {
		memmove(carrier->rest, bytes, len);
	}
	carrier->rest_len = len;
	return CN_OK;
}

/*
 * Read records behind what is left from the last time.
 *
 * Returns CN_OK when there may be more, CN_EAGAIN when the socket is empty,
 * or why the carrier ends; *len is right in each case.
 */
static int
fill(struct cn_carrier *carrier, uint8_t *buffer, size_t *len)
{
	int n;

	while (CN_CARRIER_READ_BUFFER - *len >= CN_FRAGMENT_MAX) {
		n = SSL_read(carrier->ssl, buffer + *len,
		    (int)(CN_CARRIER_READ_BUFFER - *len));
		if (n <= 0) {
			return cn_carrier_ssl_error(carrier, n);
		}
		*len += (size_t)n;
		/* A short record with nothing behind it: the socket would
		 * have nothing either, the poll will tell. */
		if ((size_t)n < CN_FRAGMENT_MAX &&
		    SSL_has_pending(carrier->ssl) == 0) {
			return CN_EAGAIN;
		}
	}
	return CN_OK;
}

/* Push bytes to the owner; false when it wants no more or closed us. */
static bool
push(struct cn_carrier *carrier, const uint8_t *bytes, size_t len)
{
	size_t used = 0;
	int err = carrier->ops->on_bytes(carrier, bytes, len, &used);

	if (carrier->state != CN_CARRIER_LIVE) {
		return false;
	}
	if (err != CN_OK) {
		carrier->is_deaf = true;
		cn_carrier_poll(carrier, carrier->is_full ? UV_WRITABLE : 0);
		return false;
	}
	assert(used <= len);
	err = keep_rest(carrier, bytes + used, len - used);
	if (err != CN_OK) {
		cn_carrier_end(carrier, err);
		return false;
	}
	return true;
}

void
cn_carrier_read(struct cn_carrier *carrier)
{
	uint8_t *buffer = carrier->shared->read_buffer;
	size_t taken = 0;
	size_t before, len;
	int err = CN_OK;

	while (err == CN_OK && !carrier->is_deaf) {
		before = len = carrier->rest_len;
		if (len > 0) {
			memcpy(buffer, carrier->rest, len);
		}
		err = fill(carrier, buffer, &len);
		if (len > before) {
			carrier->heard_us = carrier->busy_us = cn_clock_us();
			carrier->peer.keyupdates = 0;
			if (!push(carrier, buffer, len)) {
				return;
			}
			taken += len - before;
		}
		/* What TLS holds already no poll would announce. */
		if (err == CN_OK && taken >= CN_CARRIER_WAKE_MAX &&
		    SSL_has_pending(carrier->ssl) == 0) {
			return;
		}
	}
	if (carrier->peer.keyupdates > CN_TLSCTX_KEYUPDATES_MAX) {
		carrier->detail = "flood of key updates";
		err = CN_EPROTO;
	}
	if (err != CN_OK && err != CN_EAGAIN) {
		cn_carrier_end(carrier, err);
	}
}

/* What came with the hello, or was parted with it. */
static void
on_kick(uv_timer_t *timer)
{
	struct cn_carrier *carrier = timer->data;
	size_t len = carrier->rest_len;

	if (carrier->state != CN_CARRIER_LIVE) {
		return;
	}
	if (len > 0) {
		memcpy(carrier->shared->read_buffer, carrier->rest, len);
		if (!push(carrier, carrier->shared->read_buffer, len)) {
			return;
		}
	}
	cn_carrier_read(carrier);
}

void
cn_carrier_start_data(struct cn_carrier *carrier)
{
	uint64_t now = cn_clock_us();

	carrier->state = CN_CARRIER_LIVE;
	carrier->has_deadline = false;
	carrier->keyed_us = carrier->flood_us = now;
	carrier->heard_us = carrier->busy_us = now;
	BIO_set_callback_ex(SSL_get_rbio(carrier->ssl), NULL);
	/* Several records for each call of the kernel, from now on.  The
	 * handshake's buffer goes if it is empty, else it serves on. */
	SSL_set_read_ahead(carrier->ssl, 1);
	SSL_set_default_read_buffer_len(carrier->ssl, CN_CARRIER_READ_AHEAD);
	(void)SSL_free_buffers(carrier->ssl);
	cn_carrier_poll(
	    carrier, UV_READABLE | (carrier->is_full ? UV_WRITABLE : 0));
	(void)uv_timer_start(&carrier->timer, on_kick, 0, 0);
	carrier->path_us = 0;
	cn_carrier_look(carrier, now);
}

/* ---- sending ---- */

/* Our sending key has served long enough: change it before it writes on. */
static int
rekey(struct cn_carrier *carrier, uint64_t now)
{
	uint64_t sent = BIO_number_written(SSL_get_wbio(carrier->ssl));

	if (sent - carrier->keyed_bytes < carrier->shared->rekey_bytes &&
	    now - carrier->keyed_us < carrier->shared->rekey_us) {
		return CN_OK;
	}
	if (SSL_key_update(carrier->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1) {
		return cn_carrier_ssl_error(carrier, 0);
	}
	carrier->keyed_bytes = sent;
	carrier->keyed_us = now;
	carrier->rekeys++;
	return CN_OK;
}

static int
flush(struct cn_carrier *carrier, uint64_t now)
{
	size_t n;
	int err;

	for (;;) {
		if (carrier->out_len == 0) {
			err = rekey(carrier, now);
			if (err != CN_OK) {
				return err;
			}
			if (!cn_carrier_may_write(carrier)) {
				return CN_OK;
			}
			n = carrier->ops->pull(
			    carrier, carrier->out, CN_FRAGMENT_MAX);
			if (n == 0) {
				cn_inflight_idle(&carrier->inflight);
				return CN_OK;
			}
			assert(n <= CN_FRAGMENT_MAX);
			carrier->out_len = n;
		}
		n = carrier->out_len;
		err = cn_carrier_write_out(carrier);
		if (err != CN_OK) {
			return err == CN_EAGAIN ? CN_OK : err;
		}
		carrier->busy_us = now;
		carrier->unpolled += n;
		carrier->unasked += n;
		if (carrier->unpolled >= carrier->unsent_max) {
			/* Enough for now: the kernel says when to go on. */
			carrier->is_full = true;
			cn_carrier_poll(carrier,
			    carrier->is_deaf ? UV_WRITABLE
					     : UV_READABLE | UV_WRITABLE);
			return CN_OK;
		}
	}
}

int
cn_carrier_flush(struct cn_carrier *carrier)
{
	uint64_t now = cn_clock_us();
	int err;

	if (!cn_carrier_is_writable(carrier)) {
		return CN_OK;
	}
	if (carrier->out == NULL) {
		carrier->out = cn_alloc(CN_FRAGMENT_MAX);
		if (carrier->out == NULL) {
			return CN_ENOMEM;
		}
	}
	err = flush(carrier, now);
	if (err == CN_OK && (carrier->busy_us == now || carrier->is_held)) {
		cn_carrier_look(carrier, now);
	}
	return err;
}

bool
cn_carrier_is_writable(const struct cn_carrier *carrier)
{
	return carrier->state == CN_CARRIER_LIVE && !carrier->is_full &&
	    !carrier->is_held;
}

/* ---- housekeeping ---- */

void
cn_carrier_tick(struct cn_carrier *carrier, uint64_t now)
{
	if (carrier->state != CN_CARRIER_LIVE) {
		return;
	}
	if (now - carrier->flood_us >= MINUTE_US) {
		carrier->flood_us = now;
		carrier->peer.keyupdates = 0;
	}
	if (now - carrier->busy_us < IDLE_US || carrier->out_len > 0) {
		return;
	}
	cn_free(carrier->out);
	carrier->out = NULL;
	if (carrier->rest_len == 0) {
		cn_free(carrier->rest);
		carrier->rest = NULL;
	}
	/* Refused while it holds bytes; then it is not idle. */
	(void)SSL_free_buffers(carrier->ssl);
}
