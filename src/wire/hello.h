/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_WIRE_HELLO_H
#define CN_WIRE_HELLO_H

/*
 * Hello: the first message each way on a carrier, inside TLS.
 *
 * The dialler speaks first; the acceptor answers with its own hello and a
 * status.  Only status OK makes the carrier live.  The hello is bound to the
 * TLS connection by its exporter (RFC 8446, section 7.5).
 *
 * Pure: no I/O, no clock, no heap.
 * Wire: doc/protocol.md, "Hello".
 */

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "wire/limits.h"

#define CN_IDENTITY_BYTES 32u /* SHA-256 of the SPKI */
#define CN_LINK_ID_BYTES 16u
#define CN_BOOT_ID_BYTES 16u
#define CN_EXPORTER_BYTES 32u

/* Why a carrier ends or was refused; in hellos, CLOSE frames and logs. */
enum cn_close {
	CN_CLOSE_OK = 0,
	CN_CLOSE_LINK_UNKNOWN = 1, /* resume of a link that is not here */
	CN_CLOSE_STALE = 2,        /* generation not above the live one */
	CN_CLOSE_VERSION = 3,      /* no common version */
	CN_CLOSE_FEATURE = 4,      /* a needed feature is missing */
	CN_CLOSE_IDENTITY = 5,     /* not who it should be, or unbound */
	CN_CLOSE_PROTOCOL = 6,     /* bytes that make no sense */
	CN_CLOSE_LIMIT = 7,        /* too many of something */
	CN_CLOSE_SHUTDOWN = 8,     /* the gateway goes down */
	CN_CLOSE_REPLACED = 9,     /* a newer carrier took the slot */
	CN_CLOSE_TIMEOUT = 10,     /* nothing was heard in time */
	CN_CLOSE_REMOVED = 11,     /* the peer was removed */
	CN_CLOSE_INTERNAL = 12,    /* an invariant failed here */
	CN_CLOSE_MAX
};

/* Features; a bit that both set is in force. */
#define CN_FEATURE_NONE UINT64_C(0)
#define CN_FEATURE_DEDUP (UINT64_C(1) << 0) /* references and agreement */

#define CN_HELLO_NEW_LINK 0x01u /* dialler: this link id is new */
#define CN_HELLO_DRAINING 0x02u /* no new streams, please */

struct cn_hello {
	uint32_t version_min; /* dialler: range; acceptor: both the choice */
	uint32_t version_max;
	uint32_t status; /* enum cn_close; the dialler's is OK */
	uint32_t flags;
	uint64_t features;
	uint8_t identity[CN_IDENTITY_BYTES]; /* the speaker */
	uint8_t peer[CN_IDENTITY_BYTES];     /* whom it means to talk to */
	uint8_t exporter[CN_EXPORTER_BYTES]; /* of this TLS connection */
	uint8_t boot_id[CN_BOOT_ID_BYTES];   /* random for each process */
	uint8_t link_id[CN_LINK_ID_BYTES];
	uint32_t slot;              /* of the carrier in the link, < 16 */
	uint64_t generation;        /* of the slot, grows with each dial */
	uint32_t workers;           /* of the speaking gateway, 1..1024 */
	uint32_t credit_floor;      /* what each stream may send unasked */
	uint32_t lanes;             /* that the speaker will decode at a time */
	uint32_t lane_window_log;   /* greatest window log that it accepts */
	uint32_t prefix_max;        /* bytes of prefix that it keeps a stream */
	uint64_t streams_max;       /* live streams that it allows the peer */
	char name[CN_NAME_MAX + 1]; /* of the gateway; for logs only */
	char text[CN_TEXT_MAX + 1]; /* status other than OK: why */
};

/*
 * Encode with its own 2-byte length in front.
 * Returns bytes written (<= CN_HELLO_MAX), 0 when cap is too small.
 */
size_t cn_hello_encode(uint8_t *out, size_t cap, const struct cn_hello *hello);

/*
 * Decode the hello at the start of bytes; unknown trailing fields are
 * skipped (a later minor extension).  Names and texts are checked UTF-8
 * without control characters.
 *
 * Returns CN_OK; CN_EAGAIN when more bytes are needed; CN_EPROTO.  An other
 * major version still decodes, so that it can be answered clearly.
 */
int cn_hello_decode(const uint8_t *bytes, size_t len, struct cn_hello *ret,
    size_t *used) CN_MUSTCHECK;

/* "link-unknown" …; "unknown" past the end. */
const char *cn_close_name(uint64_t code);

#endif /* CN_WIRE_HELLO_H */
