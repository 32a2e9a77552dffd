/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BASE_ALLOC_H
#define CN_BASE_ALLOC_H

/*
 * The only door to the heap: every allocation can be told to fail, and all
 * of them are counted.
 *
 * Thread: any; memory may be freed by another thread than allocated it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* All return NULL when memory is short; a size of 0 gives a valid pointer. */

/* Memory of that size, not initialised. */
void *cn_alloc(size_t size) CN_MUSTCHECK;
/* Zeroed memory for n elements; NULL too when n * size overflows. */
void *cn_calloc(size_t n, size_t size) CN_MUSTCHECK;
/* As cn_alloc(), aligned to a power of two; never for cn_realloc(). */
void *cn_alloc_aligned(size_t align, size_t size) CN_MUSTCHECK;
/*
 * As cn_alloc_aligned() for pages, and touched at once as a whole: that costs
 * two thirds of touching page by page, 0.4 ns for each byte.
 */
void *cn_alloc_touched(size_t size) CN_MUSTCHECK;
/* Grow or shrink; on NULL the old memory is still there. p may be NULL. */
void *cn_realloc(void *p, size_t size) CN_MUSTCHECK;
/* p may be NULL. */
void cn_free(void *p);

char *cn_strdup(const char *text) CN_MUSTCHECK;
void *cn_memdup(const void *data, size_t len) CN_MUSTCHECK;

/*
 * Torture: the nth call from now on this thread that would allocate fails,
 * once; 1 is the next; 0 turns it off.  Loop n = 1, 2, ... over an
 * operation until cn_alloc_has_failed() stays false.
 */
void cn_alloc_fail_at(uint64_t nth);
/* Whether that failure has happened since it was set. */
bool cn_alloc_has_failed(void);

/* Live blocks and live bytes (as malloc rounds them) of the process. */
uint64_t cn_alloc_count(void);
uint64_t cn_alloc_bytes(void);

#endif /* CN_BASE_ALLOC_H */
