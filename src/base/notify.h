/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BASE_NOTIFY_H
#define CN_BASE_NOTIFY_H

/*
 * Telling the service manager how we are, by the protocol of sd_notify(3):
 * datagrams to the socket in $NOTIFY_SOCKET.
 *
 * Thread: the main thread's.
 */

#include <stdint.h>

/* Read the environment; before threads start. */
void cn_notify_init(void);

void cn_notify_ready(void);
void cn_notify_reloading(void);
void cn_notify_stopping(void);
void cn_notify_alive(void);

/* How often to say so, microseconds; 0: nobody asks. */
uint64_t cn_notify_interval_us(void);

#endif /* CN_BASE_NOTIFY_H */
