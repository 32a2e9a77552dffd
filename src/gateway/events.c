/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/events.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"

#define MINUTE_US UINT64_C(60000000)

/* How many were told in the minute that runs. */
struct limit {
	uint64_t subject; /* hash; of kinds unused */
	uint64_t until_us;
	uint32_t count;
};

struct cn_events {
	uv_mutex_t lock;
	uint64_t started_us;
	uint64_t first_id, next_id;
	struct limit kinds[CN_EVENT_KIND_MAX];
	struct limit subjects[CN_EVENTS_SUBJECTS];
	uint64_t left_out[CN_EVENT_KIND_MAX];
	struct cn_snap_event ring[CN_EVENTS_MAX]; /* by id */
};

int
cn_events_create(uint64_t started_us, struct cn_events **ret)
{
	struct cn_events *events = cn_calloc(1, sizeof(*events));
	int err;

	if (events == NULL) {
		return CN_ENOMEM;
	}
	err = uv_mutex_init(&events->lock);
	if (err != 0) {
		cn_free(events);
		return err;
	}
	events->started_us = started_us;
	events->first_id = started_us + 1;
	events->next_id = events->first_id;
	*ret = events;
	return CN_OK;
}

void
cn_events_free(struct cn_events **ep)
{
	struct cn_events *events = *ep;

	*ep = NULL;
	if (events != NULL) {
		uv_mutex_destroy(&events->lock);
		cn_free(events);
	}
}

/* Is there one more in the minute? */
static bool
may_tell(struct limit *limit, uint32_t most, uint64_t now)
{
	if (now >= limit->until_us) {
		limit->until_us = now + MINUTE_US;
		limit->count = 0;
	}
	if (most != 0 && limit->count >= most) {
		return false;
	}
	limit->count++;
	return true;
}

static uint64_t
subject_of(enum cn_event_kind kind, const struct cn_events_about *about)
{
	char text[512];
	int len = snprintf(text, sizeof(text), "%u %.64s %.64s %.64s",
	    (unsigned)kind, about->peer != NULL ? about->peer : "",
	    about->service != NULL ? about->service : "",
	    about->source != NULL ? about->source : "");

	return cn_hash64(text, (size_t)len, 0);
}

/* Both limits hold; what the second refuses does not count for the first. */
static bool
is_wanted(struct cn_events *events, enum cn_event_kind kind,
    const struct cn_events_about *about)
{
	const struct cn_event_info *info = cn_event_info(kind);
	uint64_t subject = subject_of(kind, about);
	struct limit *limit = &events->subjects[subject % CN_EVENTS_SUBJECTS];
	uint64_t now = cn_clock_us();

	if (limit->subject != subject) {
		memset(limit, 0, sizeof(*limit));
		limit->subject = subject;
	}
	return may_tell(limit, info->subject_limit, now) &&
	    may_tell(&events->kinds[kind], info->kind_limit, now);
}

static void
copy(char *to, size_t size, const char *from)
{
	if (from != NULL) {
		cn_snap_text(to, size, from);
	}
}

void
cn_events_add(struct cn_events *events, enum cn_event_kind kind,
    const struct cn_events_about *about, const char *fmt, ...)
{
	static const struct cn_events_about nothing = { 0 };
	struct cn_snap_event *event;
	va_list args;

	if (events == NULL) {
		return;
	}
	if (about == NULL) {
		about = &nothing;
	}
	uv_mutex_lock(&events->lock);
	if (!is_wanted(events, kind, about)) {
		events->left_out[kind]++;
		uv_mutex_unlock(&events->lock);
		return;
	}
	event = &events->ring[events->next_id % CN_EVENTS_MAX];
	memset(event, 0, sizeof(*event));
	event->id = events->next_id++;
	event->at_us = cn_clock_wall_us();
	event->kind = kind;
	event->level = cn_event_info(kind)->level;
	event->stream = about->stream;
	event->left_out = events->left_out[kind];
	events->left_out[kind] = 0;
	copy(event->peer, sizeof(event->peer), about->peer);
	copy(event->service, sizeof(event->service), about->service);
	va_start(args, fmt);
	(void)vsnprintf(event->text, sizeof(event->text), fmt, args);
	va_end(args);
	uv_mutex_unlock(&events->lock);
}

/* Under the lock. */
static void
copy_page(struct cn_events *events, uint64_t cursor, size_t limit,
    struct cn_snap_events *ret)
{
	uint64_t oldest = events->first_id;
	uint64_t from = CN_MAX(cursor + 1, events->first_id);

	if (events->next_id - events->first_id > CN_EVENTS_MAX) {
		oldest = events->next_id - CN_EVENTS_MAX;
	}
	if (from < oldest) {
		ret->lost = oldest - from;
		from = oldest;
	}
	ret->started_us = events->started_us;
	ret->latest =
	    events->next_id > events->first_id ? events->next_id - 1 : 0;
	for (uint64_t id = from;
	     id < events->next_id && ret->events_count < limit; id++) {
		ret->events[ret->events_count++] =
		    events->ring[id % CN_EVENTS_MAX];
	}
}

int
cn_events_read(struct cn_events *events, uint64_t cursor, size_t limit,
    struct cn_snap_events *ret, uint64_t *next)
{
	memset(ret, 0, sizeof(*ret));
	*next = 0;
	ret->events = cn_calloc(limit, sizeof(*ret->events));
	if (ret->events == NULL) {
		return CN_ENOMEM;
	}
	uv_mutex_lock(&events->lock);
	copy_page(events, cursor, limit, ret);
	uv_mutex_unlock(&events->lock);
	if (ret->events_count > 0 &&
	    ret->events[ret->events_count - 1].id < ret->latest) {
		*next = ret->events[ret->events_count - 1].id;
	}
	return CN_OK;
}
