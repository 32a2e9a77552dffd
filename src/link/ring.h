/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_LINK_RING_H
#define CN_LINK_RING_H

/*
 * Bytes of one direction between two offsets, in pages of the pool.
 *
 * The sending side retains in it what was read and is not acknowledged; the
 * receiving side queues in it what was verified and is not yet taken.
 *
 * Life:       embedded in a stream; owns its pages.
 * Thread:     its link's.
 * Invariants: start <= end; without bytes it owns no page but those handed
 *             out by the last cn_ring_offer().
 */

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/pool.h"

struct cn_span;

struct cn_ring {
	struct cn_pool *pool; /* borrowed */
	struct cn_page *head; /* owned: pages in order, then spare ones */
	struct cn_page *last; /* last of them all */
	struct cn_page *fill; /* where the next byte goes; NULL: new page */
	struct cn_page *seek; /* page found by the last cn_ring_copy() … */
	uint64_t seek_offset; /* … and the offset of its first byte */
	uint64_t start;       /* offset of the first byte held */
	uint64_t end;         /* one past the last */
};

void cn_ring_init(struct cn_ring *ring, struct cn_pool *pool);
/* Give all pages back; the offsets stay. */
void cn_ring_fini(struct cn_ring *ring);

/*
 * Free memory behind the end, at most `want' bytes in `max' spans, of pages
 * of `page_class'.  Returns the spans set; 0 when the pool has none.
 */
size_t cn_ring_offer(struct cn_ring *ring, size_t want,
    enum cn_page_class page_class, struct cn_span *spans, size_t max);
/* So many bytes of the offer were filled; the unused pages go back. */
void cn_ring_commit(struct cn_ring *ring, size_t len);

/* Append a copy.  Returns CN_OK, or CN_ENOMEM with nothing appended. */
int cn_ring_append(
    struct cn_ring *ring, const uint8_t *bytes, size_t len) CN_MUSTCHECK;
/* Append a page with bytes in it; the ring owns it then. */
void cn_ring_append_page(struct cn_ring *ring, struct cn_page *page);

/* Forget the bytes below the offset; start <= offset <= end. */
void cn_ring_drop(struct cn_ring *ring, uint64_t offset);

/* Copy [offset, offset + len) out; it must be held. */
void cn_ring_copy(
    struct cn_ring *ring, uint64_t offset, uint8_t *out, size_t len);

/* The bytes from an offset on, where they lie.  Returns the spans set. */
size_t cn_ring_view(const struct cn_ring *ring, uint64_t offset,
    struct cn_span *spans, size_t max);

/* The bytes from the start, in order.  Returns the spans set. */
size_t cn_ring_peek(
    const struct cn_ring *ring, struct cn_span *spans, size_t max);

#endif /* CN_LINK_RING_H */
