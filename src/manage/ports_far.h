/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_PORTS_FAR_H
#define CN_MANAGE_PORTS_FAR_H

/*
 * `ports HOST': what answers there, judged by the identities of the
 * configured peers; and `ports --nft'.
 *
 * Thread: main.
 */

#include <stddef.h>
#include <stdint.h>

#include "manage/cli.h"

enum cn_exit cn_ports_far(const struct cn_args *args, const char *host,
    const uint16_t *ports, size_t count);

/*
 * Rules for nftables that admit only the configured peers to the carriers'
 * ports, on stdout.  Names are resolved now; what cannot be is said in a
 * comment, and such a peer is not admitted.
 */
enum cn_exit cn_ports_nft(const struct cn_args *args);

#endif /* CN_MANAGE_PORTS_FAR_H */
