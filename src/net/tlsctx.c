/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tlsctx.h"

#include <stdatomic.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/err.h"
#include "ident/identity.h"
#include "ident/key.h"
#include "wire/join.h"

/* Longest certificate message that is read; ours has about 300 bytes. */
#define CERT_MAX 4096
#define ALPN_LEN (sizeof(CN_WIRE_ALPN) - 1)
#define JOIN_LEN (sizeof(CN_JOIN_ALPN) - 1)

struct cn_tlsctx {
	SSL_CTX *ctx;
	uint8_t identity[CN_IDENTITY_BYTES];
	uint8_t alpn[1 + ALPN_LEN];
	uint8_t join_alpn[1 + JOIN_LEN];
	_Atomic bool is_inviting;
	uv_mutex_t lock; /* of what follows */
	uint8_t *pins;   /* owned: pins_count identities */
	size_t pins_count;
};

bool
cn_tlsctx_is_pinned(
    struct cn_tlsctx *tls, const uint8_t identity[CN_IDENTITY_BYTES])
{
	unsigned found = 0;

	uv_mutex_lock(&tls->lock);
	/* Every pin is compared, so that the time tells nothing of which. */
	for (size_t i = 0; i < tls->pins_count; i++) {
		found |= CRYPTO_memcmp(tls->pins + i * CN_IDENTITY_BYTES,
			     identity, CN_IDENTITY_BYTES) == 0;
	}
	uv_mutex_unlock(&tls->lock);
	return found != 0;
}

int
cn_tlsctx_pin(struct cn_tlsctx *tls, const uint8_t *pins, size_t count)
{
	uint8_t *copy = NULL;
	uint8_t *old;

	if (count > CN_TLSCTX_PINS_MAX) {
		return CN_ELIMIT;
	}
	if (count > 0) {
		copy = cn_memdup(pins, count * CN_IDENTITY_BYTES);
		if (copy == NULL) {
			return CN_ENOMEM;
		}
	}
	uv_mutex_lock(&tls->lock);
	old = tls->pins;
	tls->pins = copy;
	tls->pins_count = count;
	uv_mutex_unlock(&tls->lock);
	cn_free(old);
	return CN_OK;
}

const uint8_t *
cn_tlsctx_identity(const struct cn_tlsctx *tls)
{
	return tls->identity;
}

/* ---- callbacks of OpenSSL ---- */

/* Who joins is no peer yet; whom we join is the one that invited us. */
static bool
may_join(const struct cn_tlsctx_peer *peer)
{
	if (!peer->has_identity) {
		return false;
	}
	if (peer->has_expected) {
		return CRYPTO_memcmp(peer->identity, peer->expected,
			   CN_IDENTITY_BYTES) == 0;
	}
	return peer->is_joining;
}

/* Replaces the whole verification: pins decide, nothing else does. */
static int
verify_pin(X509_STORE_CTX *store, void *arg)
{
	struct cn_tlsctx *tls = arg;
	SSL *ssl = X509_STORE_CTX_get_ex_data(
	    store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct cn_tlsctx_peer *peer = SSL_get_app_data(ssl);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);

	peer->is_pinned = false;
	if (leaf != NULL &&
	    cn_identity_of_cert(leaf, peer->identity) == CN_OK) {
		peer->has_identity = true;
		peer->is_pinned = !peer->is_joining && !peer->has_expected &&
		    cn_tlsctx_is_pinned(tls, peer->identity);
	}
	if (!peer->is_pinned && !may_join(peer)) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
		return 0;
	}
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

/* OpenSSL asks nobody when a client sends no ALPN at all; this comes first
 * and spares the signature too. */
static int
on_client_hello(SSL *ssl, int *alert, void *arg CN_UNUSED)
{
	struct cn_tlsctx_peer *peer = SSL_get_app_data(ssl);
	const unsigned char *ext;
	size_t len;

	if (SSL_client_hello_get0_ext(ssl,
		TLSEXT_TYPE_application_layer_protocol_negotiation, &ext,
		&len) != 1) {
		peer->lacks_alpn = true;
		*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
		return SSL_CLIENT_HELLO_ERROR;
	}
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* Is the protocol among those that a client names? */
static bool
is_named(const unsigned char *in, unsigned in_len, const uint8_t *alpn)
{
	for (unsigned i = 0; i < in_len; i += 1u + in[i]) {
		if (in[i] == alpn[0] && i + 1 + alpn[0] <= in_len &&
		    memcmp(in + i + 1, alpn + 1, alpn[0]) == 0) {
			return true;
		}
	}
	return false;
}

static int
select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned in_len, void *arg)
{
	struct cn_tlsctx *tls = arg;
	struct cn_tlsctx_peer *peer = SSL_get_app_data(ssl);
	const uint8_t *chosen = NULL;

	if (is_named(in, in_len, tls->alpn)) {
		chosen = tls->alpn;
	} else if (is_named(in, in_len, tls->join_alpn)) {
		peer->wants_join = true;
		peer->is_joining = atomic_load(&tls->is_inviting);
		chosen = peer->is_joining ? tls->join_alpn : NULL;
	}
	if (chosen == NULL) {
		peer->lacks_alpn = true;
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	*out = chosen + 1;
	*out_len = chosen[0];
	return SSL_TLSEXT_ERR_OK;
}

static void
count_keyupdates(int write_p, int version CN_UNUSED, int content_type,
    const void *buf, size_t len, SSL *ssl, void *arg CN_UNUSED)
{
	struct cn_tlsctx_peer *peer = SSL_get_app_data(ssl);

	if (write_p == 0 && content_type == SSL3_RT_HANDSHAKE && len > 0 &&
	    ((const uint8_t *)buf)[0] == SSL3_MT_KEY_UPDATE && peer != NULL) {
		peer->keyupdates++;
	}
}

/* ---- making ---- */

static int
set_algorithms(SSL_CTX *ctx)
{
	/* AES-128 first: as good here, and a third cheaper. */
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx,
		"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
		"TLS_CHACHA20_POLY1305_SHA256") != 1 ||
	    SSL_CTX_set1_sigalgs_list(ctx, "ed25519") != 1 ||
	    SSL_CTX_set1_client_sigalgs_list(ctx, "ed25519") != 1) {
		return CN_ETLS;
	}
	/* The hybrid came with OpenSSL 3.5. */
	if (SSL_CTX_set1_groups_list(ctx, "X25519MLKEM768:X25519") != 1) {
		ERR_clear_error();
		if (SSL_CTX_set1_groups_list(ctx, "X25519") != 1) {
			return CN_ETLS;
		}
	}
	return CN_OK;
}

static int
turn_off(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* Dummy records for middleboxes that know port 443 alone. */
	SSL_CTX_clear_options(ctx, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_cert_list(ctx, CERT_MAX);
	if (SSL_CTX_set_num_tickets(ctx, 0) != 1 ||
	    SSL_CTX_set_max_early_data(ctx, 0) != 1 ||
	    SSL_CTX_set_recv_max_early_data(ctx, 0) != 1) {
		return CN_ETLS;
	}
	return CN_OK;
}

static int
set_up(struct cn_tlsctx *tls, const struct cn_key *key)
{
	SSL_CTX *ctx = tls->ctx;
	int err = set_algorithms(ctx);

	if (err == CN_OK) {
		err = turn_off(ctx);
	}
	if (err != CN_OK) {
		return err;
	}
	if (SSL_CTX_use_certificate(ctx, cn_key_cert(key)) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, cn_key_pkey(key)) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1) {
		return CN_EKEY;
	}
	SSL_CTX_set_verify(
	    ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, verify_pin, tls);
	SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
	SSL_CTX_set_alpn_select_cb(ctx, select_alpn, tls);
	SSL_CTX_set_msg_callback(ctx, count_keyupdates);
	/* A retried write may come from another buffer with the same bytes. */
	SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* Zero means yes, here alone. */
	if (SSL_CTX_set_alpn_protos(
		ctx, tls->alpn, (unsigned)sizeof(tls->alpn)) != 0) {
		return CN_ETLS;
	}
	return CN_OK;
}

int
cn_tlsctx_create(const struct cn_key *key, struct cn_tlsctx **ret)
{
	struct cn_tlsctx *tls = cn_calloc(1, sizeof(*tls));
	int err;

	if (tls == NULL) {
		return CN_ENOMEM;
	}
	if (uv_mutex_init(&tls->lock) != 0) {
		cn_free(tls);
		return CN_ENOMEM;
	}
	tls->alpn[0] = (uint8_t)ALPN_LEN;
	memcpy(tls->alpn + 1, CN_WIRE_ALPN, ALPN_LEN);
	tls->join_alpn[0] = (uint8_t)JOIN_LEN;
	memcpy(tls->join_alpn + 1, CN_JOIN_ALPN, JOIN_LEN);
	atomic_init(&tls->is_inviting, false);
	memcpy(tls->identity, cn_key_identity(key), CN_IDENTITY_BYTES);
	tls->ctx = SSL_CTX_new(TLS_method());
	if (tls->ctx == NULL) {
		err = CN_ENOMEM;
		goto fail;
	}
	err = set_up(tls, key);
	if (err != CN_OK) {
		goto fail;
	}
	*ret = tls;
	return CN_OK;

fail:
	ERR_clear_error();
	cn_tlsctx_free(&tls);
	return err;
}

void
cn_tlsctx_free(struct cn_tlsctx **tp)
{
	struct cn_tlsctx *tls = *tp;

	*tp = NULL;
	if (tls == NULL) {
		return;
	}
	SSL_CTX_free(tls->ctx);
	uv_mutex_destroy(&tls->lock);
	cn_free(tls->pins);
	cn_free(tls);
}

int
cn_tlsctx_connection(struct cn_tlsctx *tls, int fd, bool is_dialler,
    struct cn_tlsctx_peer *peer, SSL **ret)
{
	SSL *ssl = SSL_new(tls->ctx);

	if (ssl == NULL) {
		ERR_clear_error();
		return CN_ENOMEM;
	}
	if (SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		ERR_clear_error();
		return CN_ENOMEM;
	}
	memset(peer, 0, sizeof(*peer));
	SSL_set_app_data(ssl, peer);
	if (is_dialler) {
		SSL_set_connect_state(ssl);
	} else {
		SSL_set_accept_state(ssl);
	}
	*ret = ssl;
	return CN_OK;
}

void
cn_tlsctx_invite(struct cn_tlsctx *tls, bool is_inviting)
{
	atomic_store(&tls->is_inviting, is_inviting);
}

int
cn_tlsctx_join(struct cn_tlsctx *tls, int fd,
    const uint8_t identity[CN_IDENTITY_BYTES], struct cn_tlsctx_peer *peer,
    SSL **ret)
{
	SSL *ssl = NULL;
	int err = cn_tlsctx_connection(tls, fd, true, peer, &ssl);

	if (err != CN_OK) {
		return err;
	}
	/* Zero means yes. */
	if (SSL_set_alpn_protos(
		ssl, tls->join_alpn, (unsigned)sizeof(tls->join_alpn)) != 0) {
		SSL_free(ssl);
		ERR_clear_error();
		return CN_ENOMEM;
	}
	peer->has_expected = true;
	memcpy(peer->expected, identity, CN_IDENTITY_BYTES);
	*ret = ssl;
	return CN_OK;
}

void
cn_tlsctx_move(SSL *ssl, struct cn_tlsctx_peer *peer)
{
	SSL_set_app_data(ssl, peer);
}
