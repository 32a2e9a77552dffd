/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/alloc.h"
#include "base/err.h"
#include "ident/key.h"
#include "net/tlsctx.h"
#include "wire/join.h"

/*
 * Our server against clients that OpenSSL makes without our help.
 */

static EVP_PKEY *
make_key(void)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	assert_non_null(key);
	return key;
}

struct client {
	EVP_PKEY *key;
	SSL_CTX *ctx;
	uint8_t id[CN_IDENTITY_BYTES];
};

/* By OpenSSL alone: the SHA-256 of the SPKI. */
static void
client_identity(struct client *client, EVP_PKEY *key)
{
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(key, &der);

	assert_true(len > 0);
	assert_int_equal(
	    EVP_Digest(der, (size_t)len, client->id, NULL, EVP_sha256(), NULL),
	    1);
	OPENSSL_free(der);
}

/* @from, @to  dates of its certificate */
static void
client_init(
    struct client *client, EVP_PKEY *key, const char *from, const char *to)
{
	static const unsigned char alpn[] = "\x0d" CN_WIRE_ALPN;
	X509 *cert = X509_new();

	client->key = key;
	client->ctx = SSL_CTX_new(TLS_client_method());
	X509_set_version(cert, 2);
	ASN1_TIME_set_string(X509_getm_notBefore(cert), from);
	ASN1_TIME_set_string(X509_getm_notAfter(cert), to);
	X509_set_pubkey(cert, key);
	assert_true(
	    X509_sign(cert, key,
		EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 ? NULL
							 : EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(client->ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(client->ctx, key), 1);
	X509_free(cert);
	SSL_CTX_set_alpn_protos(client->ctx, alpn, sizeof(alpn) - 1);
	client_identity(client, key);
}

static void
client_fini(struct client *client)
{
	SSL_CTX_free(client->ctx);
	EVP_PKEY_free(client->key);
}

/*
 * Run a handshake in memory; true when the server's side ended well.
 *
 * @resumable  set when the client got a session to resume
 */
static bool
shake(struct cn_tlsctx *tls, struct client *client, struct cn_tlsctx_peer *peer,
    bool *resumable)
{
	int fds[2];
	SSL *server, *ssl;
	char byte;
	int a = 0, b = 0;
	bool ok;

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(
	    cn_tlsctx_connection(tls, fds[0], false, peer, &server), CN_OK);
	ssl = SSL_new(client->ctx);
	SSL_set_fd(ssl, fds[1]);
	SSL_set_connect_state(ssl);
	for (int i = 0; i < 10 && (a != 1 || b != 1); i++) {
		a = SSL_do_handshake(ssl);
		b = SSL_do_handshake(server);
		ERR_clear_error();
	}
	ok = b == 1;
	if (ok) {
		const unsigned char *alpn;
		unsigned len;

		SSL_get0_alpn_selected(server, &alpn, &len);
		assert_int_equal(len,
		    peer->is_joining ? strlen(CN_JOIN_ALPN)
				     : strlen(CN_WIRE_ALPN));
		assert_int_equal(SSL_version(server), TLS1_3_VERSION);
		assert_int_equal(SSL_write(server, "x", 1), 1);
		assert_int_equal(SSL_read(ssl, &byte, 1), 1);
		if (resumable != NULL) {
			*resumable =
			    SSL_SESSION_is_resumable(SSL_get_session(ssl)) != 0;
		}
	}
	SSL_free(ssl);
	SSL_free(server);
	(void)close(fds[0]);
	(void)close(fds[1]);
	ERR_clear_error();
	return ok;
}

static struct cn_tlsctx *
make_server(struct client *client)
{
	struct cn_tlsctx *tls;
	struct cn_key *key;

	assert_int_equal(cn_key_generate(&key), CN_OK);
	assert_int_equal(cn_tlsctx_create(key, &tls), CN_OK);
	cn_key_free(&key);
	assert_int_equal(cn_tlsctx_pin(tls, client->id, 1), CN_OK);
	return tls;
}

static void
test_pinned_key_gets_in(void **state)
{
	struct client client;
	struct cn_tlsctx_peer peer;
	struct cn_tlsctx *tls;
	bool resumable = true;

	(void)state;
	client_init(&client, make_key(), "20200101000000Z", "20400101000000Z");
	tls = make_server(&client);
	assert_true(shake(tls, &client, &peer, &resumable));
	assert_true(peer.is_pinned);
	assert_memory_equal(peer.identity, client.id, CN_IDENTITY_BYTES);
	/* No ticket came: nothing can skip the pin next time. */
	assert_false(resumable);
	cn_tlsctx_free(&tls);
	client_fini(&client);
}

static void
test_dates_do_not_count(void **state)
{
	struct client old, early;
	struct cn_tlsctx_peer peer;
	struct cn_tlsctx *tls;

	(void)state;
	client_init(&old, make_key(), "20000101000000Z", "20000102000000Z");
	client_init(&early, make_key(), "20900101000000Z", "20910101000000Z");
	tls = make_server(&old);
	assert_true(shake(tls, &old, &peer, NULL));
	assert_int_equal(cn_tlsctx_pin(tls, early.id, 1), CN_OK);
	assert_true(shake(tls, &early, &peer, NULL));
	cn_tlsctx_free(&tls);
	client_fini(&old);
	client_fini(&early);
}

static void
test_other_keys_stay_out(void **state)
{
	struct client pinned, other;
	struct cn_tlsctx_peer peer;
	struct cn_tlsctx *tls;
	uint8_t pins[3][CN_IDENTITY_BYTES] = { 0 };

	(void)state;
	client_init(&pinned, make_key(), "20200101000000Z", "20400101000000Z");
	client_init(&other, make_key(), "20200101000000Z", "20400101000000Z");
	tls = make_server(&pinned);
	assert_false(shake(tls, &other, &peer, NULL));
	assert_true(peer.has_identity && !peer.is_pinned);
	/* One bit off. */
	memcpy(pins[1], other.id, CN_IDENTITY_BYTES);
	pins[1][31] ^= 1;
	assert_int_equal(cn_tlsctx_pin(tls, pins[0], 3), CN_OK);
	assert_false(shake(tls, &other, &peer, NULL));
	/* The set is swapped, and the last counts as the first does. */
	memcpy(pins[2], other.id, CN_IDENTITY_BYTES);
	assert_int_equal(cn_tlsctx_pin(tls, pins[0], 3), CN_OK);
	assert_true(shake(tls, &other, &peer, NULL));
	assert_false(shake(tls, &pinned, &peer, NULL));
	assert_int_equal(cn_tlsctx_pin(tls, NULL, 0), CN_OK);
	assert_false(shake(tls, &other, &peer, NULL));
	cn_tlsctx_free(&tls);
	client_fini(&pinned);
	client_fini(&other);
}

static void
test_no_certificate(void **state)
{
	static const unsigned char alpn[] = "\x0d" CN_WIRE_ALPN;
	struct client client, bare;
	struct cn_tlsctx_peer peer;
	struct cn_tlsctx *tls;

	(void)state;
	client_init(&client, make_key(), "20200101000000Z", "20400101000000Z");
	tls = make_server(&client);
	bare.ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_alpn_protos(bare.ctx, alpn, sizeof(alpn) - 1);
	assert_false(shake(tls, &bare, &peer, NULL));
	assert_false(peer.has_identity);
	SSL_CTX_free(bare.ctx);
	cn_tlsctx_free(&tls);
	client_fini(&client);
}

static void
test_alpn_is_required(void **state)
{
	static const unsigned char http[] = "\x02h2\x08http/1.1";
	static const unsigned char both[] = "\x02h2\x0d" CN_WIRE_ALPN;
	static const unsigned char longer[] = "\x0e" CN_WIRE_ALPN "0";
	struct client client;
	struct cn_tlsctx_peer peer;
	struct cn_tlsctx *tls;

	(void)state;
	client_init(&client, make_key(), "20200101000000Z", "20400101000000Z");
	tls = make_server(&client);
	SSL_CTX_set_alpn_protos(client.ctx, http, sizeof(http) - 1);
	assert_false(shake(tls, &client, &peer, NULL));
	assert_true(peer.lacks_alpn);
	SSL_CTX_set_alpn_protos(client.ctx, longer, sizeof(longer) - 1);
	assert_false(shake(tls, &client, &peer, NULL));
	SSL_CTX_set_alpn_protos(client.ctx, NULL, 0);
	assert_false(shake(tls, &client, &peer, NULL));
	assert_true(peer.lacks_alpn);
	/* It never saw a certificate of ours, nor we one of it. */
	assert_false(peer.has_identity);
	SSL_CTX_set_alpn_protos(client.ctx, both, sizeof(both) - 1);
	assert_true(shake(tls, &client, &peer, NULL));
	cn_tlsctx_free(&tls);
	client_fini(&client);
}

static void
test_older_tls_and_other_keys(void **state)
{
	struct client client, ecdsa;
	struct cn_tlsctx_peer peer;
	struct cn_tlsctx *tls;
	EVP_PKEY *p256 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");

	(void)state;
	client_init(&client, make_key(), "20200101000000Z", "20400101000000Z");
	tls = make_server(&client);
	SSL_CTX_set_max_proto_version(client.ctx, TLS1_2_VERSION);
	assert_false(shake(tls, &client, &peer, NULL));
	/* A key of another kind, even if its hash were pinned. */
	assert_non_null(p256);
	client_init(&ecdsa, p256, "20200101000000Z", "20400101000000Z");
	assert_int_equal(cn_tlsctx_pin(tls, ecdsa.id, 1), CN_OK);
	assert_false(shake(tls, &ecdsa, &peer, NULL));
	cn_tlsctx_free(&tls);
	client_fini(&client);
	client_fini(&ecdsa);
}

static void
test_limits_and_memory(void **state)
{
	struct cn_tlsctx *tls = NULL;
	struct cn_key *key;
	uint8_t pin[1][CN_IDENTITY_BYTES] = { { 3 } };

	(void)state;
	assert_int_equal(cn_key_generate(&key), CN_OK);
	cn_alloc_fail_at(1);
	assert_int_equal(cn_tlsctx_create(key, &tls), CN_ENOMEM);
	cn_alloc_fail_at(0);
	assert_int_equal(cn_tlsctx_create(key, &tls), CN_OK);
	cn_key_free(&key);
	assert_int_equal(cn_tlsctx_pin(tls, pin[0], 1), CN_OK);
	assert_int_equal(
	    cn_tlsctx_pin(tls, pin[0], CN_TLSCTX_PINS_MAX + 1), CN_ELIMIT);
	cn_alloc_fail_at(1);
	assert_int_equal(cn_tlsctx_pin(tls, pin[0], 1), CN_ENOMEM);
	cn_alloc_fail_at(0);
	assert_true(cn_tlsctx_is_pinned(tls, pin[0]));
	cn_tlsctx_free(&tls);
	cn_tlsctx_free(&tls);
	assert_int_equal(cn_alloc_count(), 0);
}

/* A stranger gets in to join alone, and only while that is wanted. */
static void
test_joining(void **state)
{
	static const unsigned char join[] = "\x12" CN_JOIN_ALPN;
	static const unsigned char both[] =
	    "\x12" CN_JOIN_ALPN "\x0d" CN_WIRE_ALPN;
	struct client friend, stranger;
	struct cn_tlsctx_peer peer;
	struct cn_tlsctx *tls;

	(void)state;
	client_init(&friend, make_key(), "20200101000000Z", "20400101000000Z");
	client_init(
	    &stranger, make_key(), "20200101000000Z", "20400101000000Z");
	tls = make_server(&friend);
	SSL_CTX_set_alpn_protos(stranger.ctx, join, sizeof(join) - 1);
	assert_false(shake(tls, &stranger, &peer, NULL));
	assert_true(peer.wants_join && peer.lacks_alpn && !peer.is_joining);
	cn_tlsctx_invite(tls, true);
	assert_true(shake(tls, &stranger, &peer, NULL));
	assert_true(peer.is_joining && peer.has_identity && !peer.is_pinned);
	assert_memory_equal(peer.identity, stranger.id, CN_IDENTITY_BYTES);
	/* Who names the carriers' protocol, too, needs a pin for it. */
	SSL_CTX_set_alpn_protos(stranger.ctx, both, sizeof(both) - 1);
	assert_false(shake(tls, &stranger, &peer, NULL));
	assert_false(peer.is_joining);
	SSL_CTX_set_alpn_protos(friend.ctx, both, sizeof(both) - 1);
	assert_true(shake(tls, &friend, &peer, NULL));
	assert_true(peer.is_pinned && !peer.is_joining);
	cn_tlsctx_invite(tls, false);
	SSL_CTX_set_alpn_protos(stranger.ctx, join, sizeof(join) - 1);
	assert_false(shake(tls, &stranger, &peer, NULL));
	cn_tlsctx_free(&tls);
	client_fini(&friend);
	client_fini(&stranger);
}

/* The dialler takes the token's gateway and no other, pinned or not. */
static void
test_joining_whom(void **state)
{
	struct client none;
	struct cn_tlsctx *inviter, *joiner;

	(void)state;
	client_init(&none, make_key(), "20200101000000Z", "20400101000000Z");
	inviter = make_server(&none);
	joiner = make_server(&none);
	cn_tlsctx_invite(inviter, true);
	for (int is_right = 0; is_right < 2; is_right++) {
		uint8_t whom[CN_IDENTITY_BYTES];
		struct cn_tlsctx_peer a, b;
		SSL *server, *ssl;
		int fds[2], rc = 0;

		memcpy(whom, cn_tlsctx_identity(inviter), sizeof(whom));
		whom[31] ^= (uint8_t)!is_right;
		/* A pin does not make up for it. */
		assert_int_equal(
		    cn_tlsctx_pin(joiner, cn_tlsctx_identity(inviter), 1),
		    CN_OK);
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds),
		    0);
		assert_int_equal(
		    cn_tlsctx_connection(inviter, fds[0], false, &b, &server),
		    CN_OK);
		assert_int_equal(
		    cn_tlsctx_join(joiner, fds[1], whom, &a, &ssl), CN_OK);
		for (int i = 0; i < 10 && rc != 1; i++) {
			rc = SSL_do_handshake(ssl);
			(void)SSL_do_handshake(server);
			ERR_clear_error();
		}
		assert_int_equal(rc == 1, is_right);
		SSL_free(ssl);
		SSL_free(server);
		(void)close(fds[0]);
		(void)close(fds[1]);
	}
	cn_tlsctx_free(&inviter);
	cn_tlsctx_free(&joiner);
	client_fini(&none);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pinned_key_gets_in),
		cmocka_unit_test(test_dates_do_not_count),
		cmocka_unit_test(test_other_keys_stay_out),
		cmocka_unit_test(test_no_certificate),
		cmocka_unit_test(test_alpn_is_required),
		cmocka_unit_test(test_older_tls_and_other_keys),
		cmocka_unit_test(test_joining),
		cmocka_unit_test(test_joining_whom),
		cmocka_unit_test(test_limits_and_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
