/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_HEADROOM_H
#define CN_GATEWAY_HEADROOM_H

/*
 * What the machine, or the control group that we are in, lets us have.
 *
 * Thread: the main thread's.
 */

#include <stdint.h>

/* Memory that this process may use at most, bytes; UINT64_MAX: unknown. */
uint64_t cn_headroom_memory(void);

/* Processors that this process may run on, at least 1. */
uint32_t cn_headroom_processors(void);

/* Memory of the process in RAM now, bytes; 0: unknown. */
uint64_t cn_headroom_resident(void);

#endif /* CN_GATEWAY_HEADROOM_H */
