/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

/* Growth of windows below this is by four, above by two. */
#define GROW_FAST ((uint64_t)1024 * 1024)
/* A round trip when none was measured. */
#define RTT_UNKNOWN_US UINT64_C(100000)

void
cn_deliver_pieces_fini(struct cn_stream *s)
{
	struct cn_list *it, *tmp;

	CN_LIST_EACH_SAFE(&s->pieces, it, tmp)
	{
		struct cn_piece *piece =
		    CN_LIST_ENTRY(it, struct cn_piece, item);

		cn_list_remove(it);
		cn_pool_put(s->link->config.pool, piece->page);
		cn_free(piece);
	}
	s->piece_count = 0;
}

/* The direction is complete: its digest decides. */
static void
verify_fin(struct cn_stream *s, uint64_t now)
{
	uint8_t digest[CN_DIGEST_BYTES];

	if (!s->is_fin_known || s->is_fin_verified ||
	    s->rx.end != s->fin_length) {
		return;
	}
	cn_digest_final(&s->rx_digest, digest);
	if (memcmp(digest, s->fin_digest, sizeof(digest)) != 0) {
		cn_stream_fail(s, CN_RESET_DIGEST, true, now);
		return;
	}
	s->is_fin_verified = true;
	cn_history_drop(&s->rx_hist);
	s->is_keeping = false;
	cn_stream_tell(s, CN_TOLD_READABLE);
}

/* New contiguous bytes stand in memory here; they are accounted once. */
static void
advance(struct cn_stream *s, const uint8_t *bytes, size_t len)
{
	cn_digest_update(&s->rx_digest, bytes, len);
	s->received_bytes.lan += len;
	s->link->stats.received.lan += len;
	s->is_answering = true;
}

/* Move the pieces that became contiguous behind the received bytes. */
static void
drain_pieces(struct cn_stream *s)
{
	struct cn_list *it, *tmp;

	CN_LIST_EACH_SAFE(&s->pieces, it, tmp)
	{
		struct cn_piece *piece =
		    CN_LIST_ENTRY(it, struct cn_piece, item);
		struct cn_page *page = piece->page;
		uint64_t skip;

		if (piece->offset > s->rx.end) {
			break;
		}
		skip = s->rx.end - piece->offset;
		cn_list_remove(it);
		s->piece_count--;
		cn_free(piece);
		if (skip >= page->len) {
			cn_pool_put(s->link->config.pool, page);
			continue;
		}
		page->start += (uint32_t)skip;
		page->len -= (uint32_t)skip;
		advance(s, page->data + page->start, page->len);
		cn_ring_append_page(&s->rx, page);
	}
}

static int
keep_piece(struct cn_stream *s, uint64_t offset, struct cn_page *page)
{
	struct cn_piece *piece;
	struct cn_list *it;

	CN_LIST_EACH(&s->pieces, it)
	{
		struct cn_piece *other =
		    CN_LIST_ENTRY(it, struct cn_piece, item);

		if (other->offset <= offset &&
		    other->offset + other->page->len >= offset + page->len) {
			cn_pool_put(s->link->config.pool, page);
			return CN_OK; /* it is here already */
		}
		if (other->offset > offset) {
			break;
		}
	}
	if (s->piece_count == CN_LINK_GAPS_MAX) {
		cn_pool_put(s->link->config.pool, page);
		return CN_ELIMIT;
	}
	piece = cn_calloc(1, sizeof(*piece));
	if (piece == NULL) {
		cn_pool_put(s->link->config.pool, page);
		return CN_ENOMEM;
	}
	piece->offset = offset;
	piece->page = page;
	cn_list_append(it, &piece->item); /* in front of `it' */
	s->piece_count++;
	return CN_OK;
}

/* What the peer may not send: beyond its credit, beyond its own FIN. */
static bool
is_allowed(const struct cn_stream *s, uint64_t end)
{
	return end <= s->granted && (!s->is_fin_known || end <= s->fin_length);
}

int
cn_deliver_page(
    struct cn_stream *s, uint64_t offset, struct cn_page *page, uint64_t now)
{
	uint64_t skip = 0;

	if (!is_allowed(s, offset + page->len)) {
		cn_pool_put(s->link->config.pool, page);
		return CN_EPROTO;
	}
	if (offset > s->rx.end) {
		return keep_piece(s, offset, page);
	}
	skip = s->rx.end - offset;
	if (skip >= page->len) {
		cn_pool_put(s->link->config.pool, page);
		return CN_OK;
	}
	page->start += (uint32_t)skip;
	page->len -= (uint32_t)skip;
	advance(s, page->data + page->start, page->len);
	cn_ring_append_page(&s->rx, page);
	drain_pieces(s);
	cn_stream_tell(s, CN_TOLD_READABLE);
	verify_fin(s, now);
	return CN_OK;
}

static enum cn_page_class
class_of(size_t len)
{
	if (len <= CN_PAGE_SMALL_BYTES) {
		return CN_PAGE_SMALL;
	}
	return len <= CN_PAGE_LARGE_BYTES ? CN_PAGE_LARGE : CN_PAGE_BATCH;
}

int
cn_deliver_bytes(struct cn_stream *s, uint64_t offset, const uint8_t *bytes,
    size_t len, uint64_t now)
{
	struct cn_page *page;
	uint64_t skip;
	int r;

	if (!is_allowed(s, offset + len)) {
		return CN_EPROTO;
	}
	if (offset > s->rx.end) {
		page = cn_pool_get(s->link->config.pool, class_of(len));
		if (page == NULL) {
			return CN_ENOMEM;
		}
		memcpy(page->data, bytes, len);
		page->len = (uint32_t)len;
		return keep_piece(s, offset, page);
	}
	skip = s->rx.end - offset;
	if (skip >= len) {
		return CN_OK;
	}
	r = cn_ring_append(&s->rx, bytes + skip, len - (size_t)skip);
	if (r != CN_OK) {
		return r;
	}
	advance(s, bytes + skip, len - (size_t)skip);
	drain_pieces(s);
	cn_stream_tell(s, CN_TOLD_READABLE);
	verify_fin(s, now);
	return CN_OK;
}

int
cn_deliver_fin(
    struct cn_stream *s, const struct cn_frame_fin *fin, uint64_t now)
{
	if (s->is_fin_known) {
		if (fin->length != s->fin_length ||
		    memcmp(fin->digest, s->fin_digest, sizeof(s->fin_digest)) !=
			0) {
			return CN_EPROTO;
		}
		if (s->is_shut) {
			cn_stream_set_due(s, CN_DUE_ACK_FIN, now);
		}
		return CN_OK;
	}
	if (fin->length < s->rx.end || fin->length > s->granted) {
		return CN_EPROTO;
	}
	for (struct cn_list *it = s->pieces.next; it != &s->pieces;
	     it = it->next) {
		struct cn_piece *piece =
		    CN_LIST_ENTRY(it, struct cn_piece, item);

		if (piece->offset + piece->page->len > fin->length) {
			return CN_EPROTO;
		}
	}
	s->is_fin_known = true;
	s->fin_length = fin->length;
	memcpy(s->fin_digest, fin->digest, sizeof(s->fin_digest));
	verify_fin(s, now);
	return CN_OK;
}

/*
 * Let the window grow when the peer uses it up within two round trips, but
 * only out of what the pool has not promised: a quarter of the rest at most,
 * so that many bulk streams share and new streams find their floor.
 */
static void
grow_window(struct cn_stream *s, uint64_t now)
{
	struct cn_link *link = s->link;
	struct cn_pool *pool = link->config.pool;
	const struct cn_slot *slot = &link->slot[s->slot];
	/* A proxy on the way may shorten what the socket measures. */
	uint64_t rtt = CN_MAX(slot->rtt_us, slot->ping_rtt_us);
	uint64_t to = s->window * (s->window < GROW_FAST ? 4 : 2);
	uint64_t total = cn_pool_limit(pool) / 2;
	uint64_t promised = cn_pool_promised(pool);

	if (rtt == 0) {
		rtt = RTT_UNKNOWN_US;
	}
	if (now - s->grew_us > 4 * rtt + 2000) {
		s->grew_us = now;
		return;
	}
	s->grew_us = now;
	to = CN_MIN(to, link->config.window_max);
	if (to <= s->window || promised >= total ||
	    to - s->window > (total - promised) / 4) {
		return;
	}
	if (cn_pool_reserve(pool, to - s->window) == CN_OK) {
		s->window = to;
	}
}

void
cn_deliver_credit(struct cn_stream *s, uint64_t now)
{
	uint64_t consumed = s->rx.start;
	unsigned due = 0;

	if (s->state != CN_STREAM_LIVE) {
		return;
	}
	if (!s->is_fin_known &&
	    consumed + s->window - s->granted >= s->window / 2) {
		grow_window(s, now);
		s->granted = CN_MIN(consumed + s->window, CN_OFFSET_MAX);
		due = CN_DUE_CREDIT | CN_DUE_NOW;
	}
	if (consumed > s->acked_told) {
		due |= CN_DUE_ACK;
		if (consumed - s->acked_told >=
		    CN_MIN(CN_LINK_ACK_BYTES, s->window / 2)) {
			due |= CN_DUE_NOW;
		}
	}
	if (due != 0) {
		cn_stream_set_due(s, due, now);
	}
}
