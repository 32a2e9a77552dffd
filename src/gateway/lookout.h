/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_LOOKOUT_H
#define CN_GATEWAY_LOOKOUT_H

/*
 * Looks each second at what tells nobody by itself, services and the store,
 * and tells what changed as events.
 *
 * Life:   part of the daemon; zeroed at its start.
 * Thread: the main thread's.
 */

#include <stdbool.h>
#include <stdint.h>

struct cn_daemon;

struct cn_lookout {
	bool is_store_lost;       /* that was told, as the next two */
	uint64_t store_failures;  /* to read and to write */
	uint64_t store_recovered; /* found damaged at the start */
};

void cn_lookout_tick(struct cn_daemon *daemon);

#endif /* CN_GATEWAY_LOOKOUT_H */
