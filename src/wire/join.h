/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_WIRE_JOIN_H
#define CN_WIRE_JOIN_H

/*
 * The messages by which two gateways become peers, on a connection of the
 * protocol compressnet-join/1 that carries nothing else.
 *
 *   joiner                          inviter
 *     PROOF  ------------------------->
 *        <-------------------------  WELCOME  (or REFUSED)
 *     READY  ------------------------->       (or REFUSED)
 *        <-------------------------  WRITTEN  (or REFUSED)
 *     WRITTEN  ----------------------->       (or REFUSED)
 *
 * Pure: no I/O, no clock, no heap.
 * Wire: doc/protocol.md, "Joining".
 */

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "wire/limits.h"

#define CN_JOIN_ALPN "compressnet-join/1"
#define CN_JOIN_VERSION 1u
#define CN_JOIN_ID_BYTES 8u
#define CN_JOIN_PROOF_BYTES 32u
/* Offers that a WELCOME tells; a whole message. */
#define CN_JOIN_OFFERS_MAX 16u
#define CN_JOIN_MESSAGE_MAX 2048u

enum cn_join_type {
	CN_JOIN_PROOF = 1,   /* version, id, proof, name */
	CN_JOIN_WELCOME = 2, /* proof, name, offers */
	CN_JOIN_READY = 3,
	CN_JOIN_WRITTEN = 4,
	CN_JOIN_REFUSED = 5, /* code, text */
};

enum cn_join_code {
	CN_JOIN_CODE_OK = 0,
	CN_JOIN_CODE_UNKNOWN = 1, /* no such invitation: wrong, used, expired */
	CN_JOIN_CODE_PROOF = 2,   /* the proof is wrong */
	CN_JOIN_CODE_BUSY = 3,    /* another joins with it right now */
	CN_JOIN_CODE_CONFIG = 4,  /* the speaker's configuration cannot be so */
	CN_JOIN_CODE_WRITE = 5,   /* the speaker could not write it */
	CN_JOIN_CODE_VERSION = 6,
	CN_JOIN_CODE_PROTOCOL = 7,
	CN_JOIN_CODE_INTERNAL = 8,
	CN_JOIN_CODE_MAX
};

struct cn_join {
	enum cn_join_type type;
	uint32_t version;
	uint8_t id[CN_JOIN_ID_BYTES];
	uint8_t proof[CN_JOIN_PROOF_BYTES];
	char name[CN_NAME_MAX + 1]; /* of the speaking gateway; not empty */
	uint32_t offers_count;
	char offers[CN_JOIN_OFFERS_MAX][CN_NAME_MAX + 1]; /* not empty */
	uint32_t code;              /* enum cn_join_code, or a later one */
	char text[CN_TEXT_MAX + 1]; /* why, for people */
};

/*
 * Encode with its own 2-byte length in front.
 *
 * Returns bytes written, 0 when cap is too small.
 */
size_t cn_join_encode(uint8_t *out, size_t cap, const struct cn_join *join);

/*
 * Decode the message at the start of bytes; trailing fields of a later
 * release are skipped.
 *
 * Returns CN_OK; CN_EAGAIN when more bytes are needed; CN_EPROTO.
 */
int cn_join_decode(const uint8_t *bytes, size_t len, struct cn_join *ret,
    size_t *used) CN_MUSTCHECK;

/* "unknown" ...; "later" past the end. */
const char *cn_join_code_name(uint32_t code);

#endif /* CN_WIRE_JOIN_H */
