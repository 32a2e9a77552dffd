/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_HANDLINE_H
#define CN_MANAGE_HANDLINE_H

/*
 * A connection of ours whose other end the gateway has, and makes a stream of.
 *
 * It is a TCP connection on loopback, because only such a one has a reset: one
 * way, when we are killed in the middle, the other way, when the stream fails.
 *
 * Life:   cn_handline_open(); then the descriptor is the caller's, who closes
 *         it.  Closed before its end was sent and read, it is reset.
 * Thread: main.
 */

#include "manage/ask.h"

/*
 * Make a connection and hand its other end to the gateway with a request.
 *
 * @request  STORE_WARM or PROBE
 * @ret      our end
 *
 * On failure the words are on stderr already.
 */
enum cn_exit cn_handline_open(
    struct cn_ask *ask, struct cn_request *request, int *ret);

#endif /* CN_MANAGE_HANDLINE_H */
