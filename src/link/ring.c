/* SPDX-License-Identifier: Apache-2.0 */
#include "link/ring.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "link/link.h"

static size_t
page_room(const struct cn_page *page)
{
	return (size_t)page->size - page->start - page->len;
}

static void
link_page(struct cn_ring *ring, struct cn_page *page)
{
	page->next = NULL;
	if (ring->last == NULL) {
		ring->head = page;
	} else {
		ring->last->next = page;
	}
	ring->last = page;
}

/* Give back the pages behind `keep'; NULL: all. */
static void
cut_behind(struct cn_ring *ring, struct cn_page *keep)
{
	struct cn_page *page = keep == NULL ? ring->head : keep->next;

	while (page != NULL) {
		struct cn_page *next = page->next;

		cn_pool_put(ring->pool, page);
		page = next;
	}
	if (keep == NULL) {
		ring->head = NULL;
	} else {
		keep->next = NULL;
	}
	ring->last = keep;
}

void
cn_ring_init(struct cn_ring *ring, struct cn_pool *pool)
{
	memset(ring, 0, sizeof(*ring));
	ring->pool = pool;
}

void
cn_ring_fini(struct cn_ring *ring)
{
	cut_behind(ring, NULL);
	ring->fill = NULL;
	ring->seek = NULL;
	ring->start = ring->end;
}

size_t
cn_ring_offer(struct cn_ring *ring, size_t want, enum cn_page_class page_class,
    struct cn_span *spans, size_t max)
{
	struct cn_page *page = ring->fill;
	size_t n = 0;

	if (page != NULL && page_room(page) == 0) {
		page = page->next;
	}
	while (want > 0 && n < max) {
		if (page == NULL) {
			page = cn_pool_get(ring->pool, page_class);
			if (page == NULL) {
				break;
			}
			link_page(ring, page);
			if (ring->fill == NULL) {
				ring->fill = page;
			}
		}
		spans[n].data = page->data + page->start + page->len;
		spans[n].len = CN_MIN(want, page_room(page));
		want -= spans[n].len;
		n++;
		page = page->next;
	}
	return n;
}

void
cn_ring_commit(struct cn_ring *ring, size_t len)
{
	struct cn_page *used = ring->start < ring->end ? ring->fill : NULL;
	struct cn_page *page = ring->fill;

	ring->end += len;
	while (len > 0) {
		size_t part;

		assert(page != NULL);
		part = CN_MIN(len, page_room(page));
		page->len += (uint32_t)part;
		len -= part;
		if (part > 0) {
			used = page;
		}
		page = page->next;
	}
	cut_behind(ring, used);
	ring->fill = used;
	if (used == NULL) {
		ring->seek = NULL;
	}
}

int
cn_ring_append(struct cn_ring *ring, const uint8_t *bytes, size_t len)
{
	enum cn_page_class class =
	    len > 8 * CN_PAGE_SMALL_BYTES ? CN_PAGE_LARGE : CN_PAGE_SMALL;
	struct cn_span spans[16];
	size_t n = cn_ring_offer(ring, len, class, spans, CN_ARRAY_LEN(spans));
	size_t given = 0;

	for (size_t i = 0; i < n; i++) {
		given += spans[i].len;
	}
	if (given < len) {
		cn_ring_commit(ring, 0);
		return CN_ENOMEM;
	}
	for (size_t i = 0, at = 0; i < n; i++) {
		memcpy(spans[i].data, bytes + at, spans[i].len);
		at += spans[i].len;
	}
	cn_ring_commit(ring, len);
	return CN_OK;
}

void
cn_ring_append_page(struct cn_ring *ring, struct cn_page *page)
{
	assert(page->len > 0);
	link_page(ring, page);
	ring->fill = page;
	ring->end += page->len;
}

void
cn_ring_drop(struct cn_ring *ring, uint64_t offset)
{
	assert(offset >= ring->start && offset <= ring->end);
	while (ring->start < offset) {
		struct cn_page *page = ring->head;
		uint64_t part = CN_MIN(offset - ring->start, page->len);

		page->start += (uint32_t)part;
		page->len -= (uint32_t)part;
		ring->start += part;
		if (ring->seek == page) {
			ring->seek = NULL;
		}
		/* A page that is used up goes back, the last one too when the
		 * ring is empty: an idle stream owns none. */
		if (page->len > 0 ||
		    (page == ring->fill && ring->start < ring->end)) {
			continue;
		}
		ring->head = page->next;
		if (ring->fill == page) {
			ring->fill = NULL;
		}
		if (ring->last == page) {
			ring->last = NULL;
		}
		cn_pool_put(ring->pool, page);
	}
}

/* The page that holds the offset, and the offset of its first byte. */
static struct cn_page *
find_page(const struct cn_ring *ring, uint64_t offset, uint64_t *first)
{
	struct cn_page *page = ring->head;
	uint64_t at = ring->start;

	if (ring->seek != NULL && ring->seek_offset <= offset) {
		page = ring->seek;
		at = ring->seek_offset;
	}
	while (offset >= at + page->len) {
		at += page->len;
		page = page->next;
	}
	*first = at;
	return page;
}

size_t
cn_ring_view(const struct cn_ring *ring, uint64_t offset, struct cn_span *spans,
    size_t max)
{
	struct cn_page *page;
	uint64_t first;
	size_t n = 0;

	assert(offset >= ring->start && offset <= ring->end);
	if (offset == ring->end || max == 0) {
		return 0;
	}
	page = find_page(ring, offset, &first);
	while (n < max && offset < ring->end) {
		size_t skip = (size_t)(offset - first);

		spans[n].data = page->data + page->start + skip;
		spans[n].len = page->len - skip;
		n += spans[n].len > 0;
		first += page->len;
		offset = first;
		page = page->next;
	}
	return n;
}

void
cn_ring_copy(struct cn_ring *ring, uint64_t offset, uint8_t *out, size_t len)
{
	struct cn_page *page;
	uint64_t first;

	assert(offset >= ring->start && offset + len <= ring->end);
	if (len == 0) {
		return;
	}
	page = find_page(ring, offset, &first);
	while (len > 0) {
		size_t skip = (size_t)(offset - first);
		size_t part = CN_MIN(len, page->len - skip);

		memcpy(out, page->data + page->start + skip, part);
		out += part;
		offset += part;
		len -= part;
		/* The next copy mostly goes on here. */
		ring->seek = page;
		ring->seek_offset = first;
		first += page->len;
		page = page->next;
	}
}

size_t
cn_ring_peek(const struct cn_ring *ring, struct cn_span *spans, size_t max)
{
	size_t n = 0;

	for (struct cn_page *page = ring->head; page != NULL && n < max;
	     page = page->next) {
		if (page->len == 0) {
			continue;
		}
		spans[n].data = page->data + page->start;
		spans[n].len = page->len;
		n++;
	}
	return n;
}
