/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_NET_TLSCTX_H
#define CN_NET_TLSCTX_H

/*
 * What every carrier's TLS has in common: our key, the pinned peers, and
 * TLS 1.3 with everything else turned off.
 *
 * Mutual authentication by pins: the leaf's public key (SHA-256 of its SPKI)
 * must be in the pinned set; nothing else in a certificate counts, its dates
 * included, so a wrong clock cannot cut a site off.  ALPN compressnet/1 is
 * required both ways; compressnet-join/1 is taken, from anybody, while an
 * invitation is open, and leads to no carrier (net/pairing.h).  No tickets, no
 * resumption, no early data, no renegotiation, no compression.
 *
 * Life:   one for the process; outlives every carrier.
 * Thread: any; the pinned set has a lock, taken in handshakes only.
 * Wire:   doc/protocol.md, "Carriers".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "base/attr.h"
#include "wire/hello.h"

struct cn_key;
struct cn_tlsctx; /* opaque */

/* Pinned identities at most. */
#define CN_TLSCTX_PINS_MAX 4096u
/* Label of the exporter (RFC 8446, section 7.5) that binds a hello to its
 * connection; no context, CN_EXPORTER_BYTES. */
#define CN_TLSCTX_EXPORTER "EXPORTER-compressnet-hello"
/* KeyUpdates that a peer may send in a minute without data between. */
#define CN_TLSCTX_KEYUPDATES_MAX 60u

/*
 * @key  our key; borrowed during the call
 *
 * Returns CN_OK, CN_ENOMEM, CN_EKEY, CN_ETLS.
 */
int cn_tlsctx_create(
    const struct cn_key *key, struct cn_tlsctx **ret) CN_MUSTCHECK;
void cn_tlsctx_free(struct cn_tlsctx **tp);

/* Our own identity. */
const uint8_t *cn_tlsctx_identity(const struct cn_tlsctx *tls);

/*
 * Swap the pinned set.  Live carriers are not touched: their owner cuts
 * those whose pin is gone.
 *
 * @pins  count identities, one behind the other; copied
 *
 * Returns CN_OK, CN_ENOMEM, CN_ELIMIT; the old set stays on errors.
 */
int cn_tlsctx_pin(
    struct cn_tlsctx *tls, const uint8_t *pins, size_t count) CN_MUSTCHECK;
bool cn_tlsctx_is_pinned(
    struct cn_tlsctx *tls, const uint8_t identity[CN_IDENTITY_BYTES]);

/* What a handshake found out about the other side. */
struct cn_tlsctx_peer {
	uint8_t identity[CN_IDENTITY_BYTES]; /* of its leaf's key */
	bool has_identity;                   /* a certificate was seen */
	bool is_pinned;                      /* and its key is in the set */
	bool lacks_alpn;                     /* its ClientHello had no ours */
	bool wants_join;                     /* it had that of joining alone */
	bool is_joining;   /* and that was negotiated: no carrier, no pin */
	bool has_expected; /* dialled to join: this one, pinned or not */
	uint8_t expected[CN_IDENTITY_BYTES];
	uint32_t keyupdates; /* received since the last reset to 0 */
};

/*
 * A new TLS connection over a connected socket.
 *
 * @fd    borrowed; the caller closes it after SSL_free()
 * @peer  filled in during the handshake and after; outlives the SSL
 *
 * Returns CN_OK, CN_ENOMEM.
 */
int cn_tlsctx_connection(struct cn_tlsctx *tls, int fd, bool is_dialler,
    struct cn_tlsctx_peer *peer, SSL **ret) CN_MUSTCHECK;

/*
 * Any thread: take joiners from now on, or no more.
 */
void cn_tlsctx_invite(struct cn_tlsctx *tls, bool is_inviting);

/*
 * The same as cn_tlsctx_connection() for a dialler that wants to join.
 *
 * @identity  whose key must answer
 */
int cn_tlsctx_join(struct cn_tlsctx *tls, int fd,
    const uint8_t identity[CN_IDENTITY_BYTES], struct cn_tlsctx_peer *peer,
    SSL **ret) CN_MUSTCHECK;

/* Point a connection at another struct, after a handover. */
void cn_tlsctx_move(SSL *ssl, struct cn_tlsctx_peer *peer);

#endif /* CN_NET_TLSCTX_H */
