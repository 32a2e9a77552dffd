/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/wanline.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

/* A piece is at least a packet's payload, and about a millisecond's worth. */
#define PIECE_MIN 1448u
#define PIECES_PER_S 1000u
#define NS_PER_US 1000u
#define NS_PER_S UINT64_C(1000000000)
#define BITS 8u

/*
 * The line has a time of its own, which stands still while it is stalled;
 * all times in it are of that kind.
 */
static uint64_t
line_time(const struct cn_wanline *line, uint64_t now_us)
{
	if (line->stalled_us != 0) {
		return line->stalled_us - line->lost_us;
	}
	return now_us - line->lost_us;
}

void
cn_wanline_init(struct cn_wanline *line, uint64_t rate_bps, uint64_t delay_us,
    size_t queue_max)
{
	assert(queue_max > 0);
	memset(line, 0, sizeof(*line));
	line->rate_bps = rate_bps;
	line->delay_us = delay_us;
	line->queue_max = queue_max;
	line->end = &line->first;
}

void
cn_wanline_fini(struct cn_wanline *line)
{
	cn_wanline_drop(line, NULL);
}

struct cn_wanline_piece *
cn_wanline_piece_create(void *owner, enum cn_wanline_kind kind, uint32_t len)
{
	struct cn_wanline_piece *piece;

	assert(len <= CN_WANLINE_PIECE_MAX);
	piece = cn_alloc(sizeof(*piece) + len);
	if (!piece) {
		return NULL;
	}
	memset(piece, 0, sizeof(*piece));
	piece->owner = owner;
	piece->kind = kind;
	piece->len = len;
	return piece;
}

void
cn_wanline_piece_free(struct cn_wanline_piece **pp)
{
	cn_free(*pp);
	*pp = NULL;
}

size_t
cn_wanline_room(const struct cn_wanline *line)
{
	uint64_t share = line->rate_bps / BITS / PIECES_PER_S;

	if (line->queued >= line->queue_max ||
	    line->held >= CN_WANLINE_HELD_MAX) {
		return 0;
	}
	if (line->rate_bps == 0 || share > CN_WANLINE_PIECE_MAX) {
		return CN_WANLINE_PIECE_MAX;
	}
	return CN_MAX((size_t)share, (size_t)PIECE_MIN);
}

/* When the wire has sent so many more bytes, and note it. */
static uint64_t
wire_time(struct cn_wanline *line, uint32_t len, uint64_t now_us)
{
	uint64_t now_ns = now_us * NS_PER_US;

	if (line->free_ns < now_ns) {
		line->free_ns = now_ns;
	}
	if (line->rate_bps != 0) {
		line->free_ns +=
		    (uint64_t)len * BITS * NS_PER_S / line->rate_bps;
	}
	return (line->free_ns + NS_PER_US - 1) / NS_PER_US;
}

void
cn_wanline_put(
    struct cn_wanline *line, struct cn_wanline_piece *piece, uint64_t now_us)
{
	uint64_t now = line_time(line, now_us);

	piece->next = NULL;
	piece->departs_us = wire_time(line, piece->len, now);
	piece->arrives_us =
	    CN_MAX(piece->departs_us + line->delay_us + piece->extra_us,
		line->last_us);
	line->last_us = piece->arrives_us;
	line->queued += piece->len;
	line->held += piece->len;
	*line->end = piece;
	line->end = &piece->next;
	if (!line->departing) {
		line->departing = piece;
	}
}

struct cn_wanline_piece *
cn_wanline_take(struct cn_wanline *line, uint64_t now_us)
{
	uint64_t now = line_time(line, now_us);
	struct cn_wanline_piece *piece = line->first;

	if (line->stalled_us != 0) {
		return NULL;
	}
	while (line->departing && line->departing->departs_us <= now) {
		line->queued -= line->departing->len;
		line->departing = line->departing->next;
	}
	if (!piece || piece->arrives_us > now || piece == line->departing) {
		return NULL;
	}
	line->first = piece->next;
	if (!line->first) {
		line->end = &line->first;
	}
	line->held -= piece->len;
	line->passed += piece->len;
	piece->next = NULL;
	return piece;
}

uint64_t
cn_wanline_deadline(const struct cn_wanline *line)
{
	uint64_t at;

	if (!line->first || line->stalled_us != 0) {
		return CN_WANLINE_NEVER;
	}
	at = line->first->arrives_us;
	if (line->departing && line->queued >= line->queue_max) {
		at = CN_MIN(at, line->departing->departs_us);
	}
	return at + line->lost_us;
}

void
cn_wanline_stall(struct cn_wanline *line, uint64_t now_us)
{
	if (line->stalled_us == 0) {
		line->stalled_us = now_us;
	}
}

void
cn_wanline_resume(struct cn_wanline *line, uint64_t now_us)
{
	if (line->stalled_us != 0) {
		line->lost_us += now_us - line->stalled_us;
		line->stalled_us = 0;
	}
}

void
cn_wanline_drop(struct cn_wanline *line, const void *owner)
{
	struct cn_wanline_piece **link = &line->first, *piece;
	bool waits = false;

	while ((piece = *link) != NULL) {
		waits = waits || piece == line->departing;
		if (owner && piece->owner != owner) {
			link = &piece->next;
			continue;
		}
		if (piece == line->departing) {
			line->departing = piece->next;
		}
		line->queued -= waits ? piece->len : 0;
		line->held -= piece->len;
		*link = piece->next;
		cn_wanline_piece_free(&piece);
	}
	line->end = link;
}
