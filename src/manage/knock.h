/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_KNOCK_H
#define CN_MANAGE_KNOCK_H

/*
 * Who answers on a TCP port of some host: a gateway proves its identity in
 * the TLS handshake (TLS 1.3, ALPN compressnet/1), before it knows ours.  We
 * show none, so it will not have us; that is all it ever sees.
 *
 * Thread: any; blocks for CN_KNOCK_US at most for each address.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "ident/identity.h"

#define CN_KNOCK_US UINT64_C(3000000)
/* Addresses of a name that are tried. */
#define CN_KNOCK_ADDRESSES_MAX 8u

enum cn_knock_kind {
	CN_KNOCK_CLOSED,      /* refused */
	CN_KNOCK_FILTERED,    /* nothing came back */
	CN_KNOCK_UNREACHABLE, /* no way there, or no such host: see err */
	CN_KNOCK_STRANGER,    /* something listens, and is no gateway */
	CN_KNOCK_GATEWAY,     /* identity is proved */
};

struct cn_knock {
	enum cn_knock_kind kind;
	uint8_t identity[CN_IDENTITY_BYTES]; /* of a gateway */
	char address[64];                    /* that was tried last; "" */
	char why[128];                       /* words for people; "" */
};

void cn_knock(const char *host, uint16_t port, struct cn_knock *ret);

#endif /* CN_MANAGE_KNOCK_H */
