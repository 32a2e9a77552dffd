/* SPDX-License-Identifier: Apache-2.0 */
#include "link/history.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/pool.h"

/* First buffer, and what it may have beyond max, so that sliding is rare. */
#define CN_HISTORY_FIRST ((size_t)512 * 1024)
#define CN_HISTORY_SLACK ((size_t)1024 * 1024)

void
cn_history_init(struct cn_history *history, struct cn_pool *pool, size_t max)
{
	memset(history, 0, sizeof(*history));
	history->pool = pool;
	history->max = (uint32_t)max;
}

void
cn_history_drop(struct cn_history *history)
{
	if (history->buf != NULL) {
		cn_pool_uncharge(history->pool, history->cap);
		cn_free(history->buf);
	}
	history->buf = NULL;
	history->cap = history->len = history->used = 0;
}

static void
slide(struct cn_history *history, uint8_t *into)
{
	if (history->len > 0) {
		memmove(
		    into, cn_history_tail(history, history->len), history->len);
	}
	history->used = history->len;
}

uint8_t *
cn_history_room(struct cn_history *history, size_t len)
{
	size_t cap =
	    history->cap == 0 ? CN_HISTORY_FIRST : (size_t)history->cap * 2;
	uint8_t *buf;

	if (history->used + len <= history->cap) {
		return history->buf + history->used;
	}
	cap = CN_MIN(cap, (size_t)history->max + CN_HISTORY_SLACK);
	cap = CN_MAX(cap, (size_t)history->len + len);
	if (cap <= history->cap) {
		slide(history, history->buf);
		return history->buf + history->used;
	}
	/* What peers were promised is not there for this. */
	if (cn_pool_used(history->pool) + cn_pool_promised(history->pool) +
		    cap >
		cn_pool_limit(history->pool) ||
	    cn_pool_charge(history->pool, cap) != CN_OK) {
		cn_history_drop(history);
		return NULL;
	}
	buf = cn_alloc(cap);
	if (buf == NULL) {
		cn_pool_uncharge(history->pool, cap);
		cn_history_drop(history);
		return NULL;
	}
	slide(history, buf);
	if (history->buf != NULL) {
		cn_pool_uncharge(history->pool, history->cap);
		cn_free(history->buf);
	}
	history->buf = buf;
	history->cap = (uint32_t)cap;
	return buf + history->used;
}

void
cn_history_keep(struct cn_history *history, size_t len, uint64_t end)
{
	assert(history->used + len <= history->cap);
	history->used += (uint32_t)len;
	history->len =
	    (uint32_t)CN_MIN((size_t)history->len + len, (size_t)history->max);
	history->end = end;
}

const uint8_t *
cn_history_tail(const struct cn_history *history, size_t len)
{
	assert(len <= history->len);
	return history->buf + history->used - len;
}
