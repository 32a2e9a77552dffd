/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BASE_POOL_H
#define CN_BASE_POOL_H

/*
 * The accounted memory of one worker: pages for the bytes of streams and
 * blocks, charges for what is allocated elsewhere (coders, streams), and
 * promises (credit given to peers) apart.
 *
 * Life:       created with its worker, freed after all pages came back.
 * Thread:     its worker's.
 * Invariants: used + kept <= limit, where used is what pages in use and
 *             charges take, and kept is the pages waiting for their next
 *             use; promised <= limit / 2.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum cn_page_class {
	CN_PAGE_SMALL, /* 4 KiB of data */
	CN_PAGE_LARGE, /* 64 KiB */
	CN_PAGE_BATCH, /* 256 KiB */
	CN_PAGE_CLASSES,
};

#define CN_PAGE_SMALL_BYTES (4u * 1024u)
#define CN_PAGE_LARGE_BYTES (64u * 1024u)
#define CN_PAGE_BATCH_BYTES (256u * 1024u)

/* Pages kept for their next use, by class. */
#define CN_POOL_KEEP_SMALL 256u
#define CN_POOL_KEEP_LARGE 64u
#define CN_POOL_KEEP_BATCH 8u

/*
 * A page.  Everything but the last two fields is the holder's to use; data
 * is not initialised and is aligned for uint64_t.
 */
struct cn_page {
	struct cn_page *next; /* the holder's chain; NULL when handed out */
	uint32_t size;        /* bytes of data; the pool's, never changed */
	uint32_t start;       /* first byte in use; 0 when handed out */
	uint32_t len;         /* bytes in use from start; 0 when handed out */
	uint32_t state;       /* the pool's */
	uint8_t data[];
};

struct cn_pool; /* opaque */

/*
 * Create a pool.
 *
 * @limit_bytes  most memory for pages and charges, headers included
 *
 * Returns CN_OK or CN_ENOMEM.
 */
int cn_pool_create(uint64_t limit_bytes, struct cn_pool **ret) CN_MUSTCHECK;
/* Free *pp and clear it; NULL is fine.  Asserts that nothing is in use. */
void cn_pool_free(struct cn_pool **pp);

/* A page of the class, or NULL at the limit or without memory. */
struct cn_page *cn_pool_get(
    struct cn_pool *pool, enum cn_page_class class) CN_MUSTCHECK;
/* Give one page back (not what hangs on next); NULL is fine. */
void cn_pool_put(struct cn_pool *pool, struct cn_page *page);

/*
 * Account memory that the caller holds by other means.
 *
 * Returns CN_OK, or CN_EBUSY at the limit.
 */
int cn_pool_charge(struct cn_pool *pool, uint64_t bytes) CN_MUSTCHECK;
void cn_pool_uncharge(struct cn_pool *pool, uint64_t bytes);

/*
 * Promise memory that the peer may make us use: credit.  Promises take no
 * memory, they have a limit of their own: half of the pool's.
 *
 * Returns CN_OK, or CN_EBUSY when the sum would pass that.
 */
int cn_pool_reserve(struct cn_pool *pool, uint64_t bytes) CN_MUSTCHECK;
void cn_pool_unreserve(struct cn_pool *pool, uint64_t bytes);

/* Bytes of pages in use and charges. */
uint64_t cn_pool_used(const struct cn_pool *pool);
uint64_t cn_pool_limit(const struct cn_pool *pool);
/* Bytes in pages kept for their next use. */
uint64_t cn_pool_kept(const struct cn_pool *pool);
uint64_t cn_pool_promised(const struct cn_pool *pool);
/* How full it is in percent, 0..100. */
unsigned int cn_pool_level(const struct cn_pool *pool);

/* Give kept pages back to the system; for a timer of a quiet worker. */
void cn_pool_trim(struct cn_pool *pool);

#endif /* CN_BASE_POOL_H */
