/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include <assert.h>
#include <stdbool.h>

#include "base/alloc.h"
#include "base/err.h"

/*
 * A page that is kept is poisoned for the address sanitizer: whoever touches
 * it after cn_pool_put() is found at once.
 */
#if defined(__SANITIZE_ADDRESS__)
#define POISONING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONING 1
#endif
#endif

#ifdef POISONING
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

/* What page->state holds: whose turn it is, and the class. */
#define STATE_IN_USE 0x75736500u
#define STATE_KEPT 0x6b657000u
#define STATE_CLASS 0xffu

struct shelf {
	struct cn_page *first; /* owned, chained by next */
	uint32_t count;
};

struct cn_pool {
	uint64_t limit;
	uint64_t used;
	uint64_t kept;
	uint64_t promised;
	struct shelf shelves[CN_PAGE_CLASSES];
};

static const struct {
	uint32_t bytes;
	uint32_t keep;
} classes[CN_PAGE_CLASSES] = {
	[CN_PAGE_SMALL] = { CN_PAGE_SMALL_BYTES, CN_POOL_KEEP_SMALL },
	[CN_PAGE_LARGE] = { CN_PAGE_LARGE_BYTES, CN_POOL_KEEP_LARGE },
	[CN_PAGE_BATCH] = { CN_PAGE_BATCH_BYTES, CN_POOL_KEEP_BATCH },
};

_Static_assert(offsetof(struct cn_page, data) % sizeof(uint64_t) == 0,
    "data is aligned for words");

static uint64_t
whole_size(size_t class)
{
	return sizeof(struct cn_page) + classes[class].bytes;
}

int
cn_pool_create(uint64_t limit_bytes, struct cn_pool **ret)
{
	struct cn_pool *pool = cn_calloc(1, sizeof(*pool));

	if (pool == NULL) {
		return CN_ENOMEM;
	}
	pool->limit = limit_bytes;
	*ret = pool;
	return CN_OK;
}

void
cn_pool_free(struct cn_pool **pp)
{
	struct cn_pool *pool = *pp;

	if (pool == NULL) {
		return;
	}
	assert(pool->used == 0);
	cn_pool_trim(pool);
	cn_free(pool);
	*pp = NULL;
}

/* Take a page off its shelf. */
static struct cn_page *
unshelve(struct cn_pool *pool, size_t class)
{
	struct shelf *shelf = &pool->shelves[class];
	struct cn_page *page = shelf->first;

	if (page == NULL) {
		return NULL;
	}
	UNPOISON(page, whole_size(class));
	assert(page->state == (STATE_KEPT | class));
	shelf->first = page->next;
	shelf->count--;
	pool->kept -= whole_size(class);
	return page;
}

/*
 * Give kept pages back until so many bytes fit under the limit; whatever is
 * kept stands in no one's way.
 */
static bool
make_room(struct cn_pool *pool, uint64_t bytes)
{
	if (bytes > pool->limit - pool->used) {
		return false;
	}
	for (size_t class = CN_PAGE_CLASSES; class -- > 0;) {
		while (bytes > pool->limit - pool->used - pool->kept) {
			struct cn_page *page = unshelve(pool, class);

			if (page == NULL) {
				break;
			}
			cn_free(page);
		}
	}
	assert(bytes <= pool->limit - pool->used - pool->kept);
	return true;
}

struct cn_page *
cn_pool_get(struct cn_pool *pool, enum cn_page_class class)
{
	struct cn_page *page;

	assert(class < CN_PAGE_CLASSES);
	page = unshelve(pool, class);
	if (page == NULL) {
		if (!make_room(pool, whole_size(class))) {
			return NULL;
		}
		page = cn_alloc(whole_size(class));
		if (page == NULL) {
			return NULL;
		}
		page->size = classes[class].bytes;
	}
	page->next = NULL;
	page->start = 0;
	page->len = 0;
	page->state = STATE_IN_USE | (uint32_t) class;
	pool->used += whole_size(class);
	return page;
}

void
cn_pool_put(struct cn_pool *pool, struct cn_page *page)
{
	struct shelf *shelf;
	uint32_t class;

	if (page == NULL) {
		return;
	}
	class = page->state & STATE_CLASS;
	assert(page->state == (STATE_IN_USE | class));
	assert(class < CN_PAGE_CLASSES && page->size == classes[class].bytes);
	assert(pool->used >= whole_size(class));
	pool->used -= whole_size(class);
	shelf = &pool->shelves[class];
	page->state = STATE_KEPT | class;
	if (shelf->count == classes[class].keep) {
		cn_free(page);
		return;
	}
	page->next = shelf->first;
	shelf->first = page;
	shelf->count++;
	pool->kept += whole_size(class);
	POISON(page, whole_size(class));
}

int
cn_pool_charge(struct cn_pool *pool, uint64_t bytes)
{
	if (!make_room(pool, bytes)) {
		return CN_EBUSY;
	}
	pool->used += bytes;
	return CN_OK;
}

void
cn_pool_uncharge(struct cn_pool *pool, uint64_t bytes)
{
	assert(bytes <= pool->used);
	pool->used -= bytes;
}

int
cn_pool_reserve(struct cn_pool *pool, uint64_t bytes)
{
	if (bytes > pool->limit / 2 - pool->promised) {
		return CN_EBUSY;
	}
	pool->promised += bytes;
	return CN_OK;
}

void
cn_pool_unreserve(struct cn_pool *pool, uint64_t bytes)
{
	assert(bytes <= pool->promised);
	pool->promised -= bytes;
}

uint64_t
cn_pool_used(const struct cn_pool *pool)
{
	return pool->used;
}

uint64_t
cn_pool_limit(const struct cn_pool *pool)
{
	return pool->limit;
}

uint64_t
cn_pool_kept(const struct cn_pool *pool)
{
	return pool->kept;
}

uint64_t
cn_pool_promised(const struct cn_pool *pool)
{
	return pool->promised;
}

unsigned int
cn_pool_level(const struct cn_pool *pool)
{
	if (pool->limit == 0) {
		return 100;
	}
	/* Divide first where the product would not fit. */
	if (pool->used > UINT64_MAX / 100) {
		return (unsigned int)(pool->used / (pool->limit / 100 + 1));
	}
	return (unsigned int)(pool->used * 100 / pool->limit);
}

void
cn_pool_trim(struct cn_pool *pool)
{
	for (size_t class = 0; class < CN_PAGE_CLASSES; class ++) {
		struct cn_page *page;

		while ((page = unshelve(pool, class)) != NULL) {
			cn_free(page);
		}
	}
	assert(pool->kept == 0);
}
