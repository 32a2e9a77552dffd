/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_SCOPE_H
#define CN_GATEWAY_SCOPE_H

/*
 * Which streams share history and stored bytes: those with the same key.
 *
 * The keys of one peer's services are told apart by what the service's scope
 * is made of; those of two peers never meet, for each has logs and lanes of
 * its own.
 *
 * Thread: any.
 */

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "ident/identity.h"

/*
 * The key that goes with OPEN.  It depends on the opener's identity, and on
 *
 *   connection  nothing else: it is random
 *   client      the service or its group, and the client's address
 *   service     the service or its group
 *   peer        nothing else
 *
 * @client  "address:port", or whatever else a client is called
 */
uint64_t cn_scope_key(const uint8_t own[CN_IDENTITY_BYTES],
    const struct cn_config_service *service, const char *client);

/* The key of what probes peers: shared with no service. */
uint64_t cn_scope_builtin(const uint8_t own[CN_IDENTITY_BYTES]);

/* May neither side keep the bytes of such a stream? */
bool cn_scope_is_unstored(const struct cn_config_service *service);

#endif /* CN_GATEWAY_SCOPE_H */
