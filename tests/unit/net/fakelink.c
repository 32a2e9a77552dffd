/* SPDX-License-Identifier: Apache-2.0 */
#include "fakelink.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/attr.h"

struct cn_stream {
	struct cn_fakelink *link;
	struct cn_stream *peer; /* NULL when it was given back */
	void *owner;
	int side;

	/* What this side sent and the other has not consumed. */
	uint8_t *ring;
	size_t cap, head, len;
	bool is_filling;  /* spans were given out, cn_stream_fill() is due */
	bool is_finished; /* read end of file */
	bool is_shut;     /* wrote the end of file */

	bool says_readable, says_writable, says_ended, says_reset;
	bool is_starved; /* was refused room: WRITABLE is due when it grows */
	bool is_over;    /* ENDED or RESET was told: release is due */
	uint64_t reason;
};

static struct cn_stream *
new_stream(struct cn_fakelink *link, int side, size_t window)
{
	struct cn_stream *stream = cn_calloc(1, sizeof(*stream));

	assert(stream != NULL);
	stream->ring = cn_alloc(window);
	assert(stream->ring != NULL);
	stream->link = link;
	stream->cap = window;
	stream->side = side;
	return stream;
}

void
cn_fakelink_init(struct cn_fakelink *link, size_t window)
{
	memset(link, 0, sizeof(*link));
	for (int i = 0; i < 2; i++) {
		link->end[i] = new_stream(link, i, window);
	}
	link->end[0]->peer = link->end[1];
	link->end[1]->peer = link->end[0];
}

static void
drop(struct cn_stream *stream)
{
	stream->link->end[stream->side] = NULL;
	if (stream->peer != NULL) {
		stream->peer->peer = NULL;
	}
	cn_free(stream->ring);
	cn_free(stream);
}

void
cn_fakelink_fini(struct cn_fakelink *link)
{
	for (int i = 0; i < 2; i++) {
		if (link->end[i] != NULL) {
			drop(link->end[i]);
		}
	}
}

static bool
take(bool *flag)
{
	bool was = *flag;

	*flag = false;
	return was;
}

static bool
event_of(struct cn_stream *stream, struct cn_link_event *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->stream = stream;
	if (take(&stream->says_reset)) {
		assert(!stream->is_over);
		stream->says_readable = false;
		stream->says_writable = false;
		stream->says_ended = false;
		stream->is_over = true;
		ret->type = CN_LINK_EVENT_RESET;
		ret->reason = stream->reason;
	} else if (take(&stream->says_readable)) {
		ret->type = CN_LINK_EVENT_READABLE;
	} else if (take(&stream->says_writable)) {
		ret->type = CN_LINK_EVENT_WRITABLE;
	} else if (take(&stream->says_ended)) {
		stream->is_over = true;
		ret->type = CN_LINK_EVENT_ENDED;
	} else {
		return false;
	}
	return true;
}

bool
cn_fakelink_event(struct cn_fakelink *link, struct cn_link_event *ret)
{
	for (int i = 0; i < 2; i++) {
		if (link->end[i] != NULL && event_of(link->end[i], ret)) {
			return true;
		}
	}
	return false;
}

void
cn_fakelink_reset(struct cn_fakelink *link, int side, enum cn_reset reason)
{
	assert(link->end[side] != NULL);
	link->end[side]->says_reset = true;
	link->end[side]->reason = reason;
}

void
cn_fakelink_say_ended(struct cn_fakelink *link, int side)
{
	assert(link->end[side] != NULL);
	link->end[side]->says_ended = true;
}

static void
check_end(struct cn_stream *stream)
{
	struct cn_stream *peer = stream->peer;

	if (peer != NULL && stream->is_finished && peer->is_finished &&
	    stream->is_shut && peer->is_shut && !stream->link->hold_end) {
		stream->says_ended = true;
		peer->says_ended = true;
	}
}

/* ---- link/link.h ---- */

void
cn_stream_set_owner(struct cn_stream *stream, void *owner)
{
	stream->owner = owner;
}

void *
cn_stream_owner(const struct cn_stream *stream)
{
	return stream->owner;
}

size_t
cn_stream_fill_spans(
    struct cn_stream *stream, struct cn_span *spans, size_t max)
{
	size_t tail = (stream->head + stream->len) % stream->cap;
	size_t room = stream->cap - stream->len;
	size_t first = CN_MIN(room, stream->cap - tail);
	size_t n = 0;

	assert(!stream->is_over && !stream->is_finished);
	assert(!stream->is_filling && max >= 2);
	stream->link->calls++;
	if (room == 0 || stream->peer == NULL) {
		stream->is_starved = true;
		return 0;
	}
	stream->is_filling = true;
	spans[n++] = (struct cn_span){ stream->ring + tail, first };
	if (room > first) {
		spans[n++] = (struct cn_span){ stream->ring, room - first };
	}
	return n;
}

void
cn_stream_fill(
    struct cn_stream *stream, size_t len, bool is_drained, uint64_t now)
{
	(void)is_drained;
	assert(now != 0);
	assert(stream->is_filling && len <= stream->cap - stream->len);
	stream->link->calls++;
	stream->is_filling = false;
	stream->len += len;
	stream->link->filled[stream->side] += len;
	if (len > 0 && stream->peer != NULL) {
		stream->peer->says_readable = true;
	}
}

void
cn_stream_finish(struct cn_stream *stream, uint64_t now)
{
	assert(now != 0);
	assert(!stream->is_finished && !stream->is_filling);
	stream->is_finished = true;
	if (stream->peer != NULL) {
		stream->peer->says_readable = true;
	}
	check_end(stream);
}

size_t
cn_stream_read_spans(
    struct cn_stream *stream, struct cn_span *spans, size_t max)
{
	struct cn_stream *from = stream->peer;
	size_t first, n = 0;

	assert(!stream->is_over && max >= 2);
	stream->link->calls++;
	if (from == NULL || from->len == 0) {
		return 0;
	}
	first = CN_MIN(from->len, from->cap - from->head);
	spans[n++] = (struct cn_span){ from->ring + from->head, first };
	if (from->len > first) {
		spans[n++] = (struct cn_span){ from->ring, from->len - first };
	}
	return n;
}

void
cn_stream_consume(struct cn_stream *stream, size_t len, uint64_t now)
{
	struct cn_stream *from = stream->peer;

	assert(now != 0);
	assert(from != NULL && len > 0 && len <= from->len);
	from->head = (from->head + len) % from->cap;
	from->len -= len;
	if (take(&from->is_starved)) {
		from->says_writable = true;
	}
}

bool
cn_stream_at_end(const struct cn_stream *stream)
{
	return stream->peer != NULL && stream->peer->is_finished &&
	    stream->peer->len == 0;
}

void
cn_stream_shut(struct cn_stream *stream, uint64_t now)
{
	assert(now != 0);
	assert(cn_stream_at_end(stream) && !stream->is_shut);
	stream->is_shut = true;
	check_end(stream);
}

void
cn_stream_reset(struct cn_stream *stream, enum cn_reset reason, uint64_t now)
{
	assert(now != 0);
	stream->link->reset_reason[stream->side] = reason;
	if (stream->peer != NULL && !stream->peer->is_over) {
		stream->peer->says_reset = true;
		stream->peer->reason = reason;
	}
	drop(stream);
}

void
cn_stream_release(struct cn_stream *stream)
{
	assert(stream->is_over);
	drop(stream);
}
