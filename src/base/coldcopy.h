/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BASE_COLDCOPY_H
#define CN_BASE_COLDCOPY_H

/*
 * Copies to where nobody will look soon: past the cache, where the processor
 * can, so that neither is the old content read first nor what others need
 * driven out.  Short copies are ordinary ones.
 *
 * Thread: any; the bytes are there for other threads as after memcpy(), once
 * these are told by a lock.
 */

#include <stddef.h>

/* The areas do not overlap. */
void cn_coldcopy(void *to, const void *from, size_t len);

#endif /* CN_BASE_COLDCOPY_H */
