/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"

#define SECOND_US UINT64_C(1000000)
#define PATIENCE_US (15 * SECOND_US)
/* What waits for one viewer, bytes. */
#define OUT_MAX (6u * 1024u * 1024u)
#define EVENTS_LIMIT 100
#define PAGES_MAX 64

struct viewer {
	struct cn_http_conn *conn; /* owned */
	struct cn_buf out;         /* to be sent */
	uint64_t moved_us;         /* when it last took something */
};

struct cn_watch {
	struct cn_asker *asker; /* borrowed */
	int wake;
	pthread_t thread;
	bool has_thread;

	pthread_mutex_t lock;
	struct cn_http_conn *newcomer[CN_WATCH_VIEWERS_MAX];
	size_t newcomers;
	size_t count; /* viewers and newcomers */
	bool is_stopping;

	/* The thread's. */
	struct viewer viewer[CN_WATCH_VIEWERS_MAX];
	size_t viewers;
	uint64_t cursor;    /* of events */
	bool has_cursor;    /* it stands at the end of what was */
	uint64_t events_us; /* ask no sooner */
};

int
cn_watch_create(struct cn_asker *asker, struct cn_watch **ret)
{
	struct cn_watch *watch = cn_calloc(1, sizeof(*watch));

	if (watch == NULL) {
		return CN_ENOMEM;
	}
	watch->asker = asker;
	(void)pthread_mutex_init(&watch->lock, NULL);
	watch->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (watch->wake < 0) {
		int err = cn_err_from_errno(errno);

		cn_watch_free(&watch);
		return err;
	}
	*ret = watch;
	return CN_OK;
}

static void
wake(struct cn_watch *watch)
{
	uint64_t one = 1;

	(void)!write(watch->wake, &one, sizeof(one));
}

bool
cn_watch_has_room(struct cn_watch *watch)
{
	bool has_room;

	pthread_mutex_lock(&watch->lock);
	has_room = watch->count < CN_WATCH_VIEWERS_MAX && !watch->is_stopping;
	pthread_mutex_unlock(&watch->lock);
	return has_room;
}

int
cn_watch_add(struct cn_watch *watch, struct cn_http_conn *conn)
{
	int err = CN_ELIMIT;

	pthread_mutex_lock(&watch->lock);
	if (watch->count < CN_WATCH_VIEWERS_MAX && !watch->is_stopping) {
		watch->newcomer[watch->newcomers++] = conn;
		watch->count++;
		err = CN_OK;
	}
	pthread_mutex_unlock(&watch->lock);
	wake(watch);
	return err;
}

static void
drop(struct cn_watch *watch, size_t i)
{
	cn_http_conn_end(watch->viewer[i].conn);
	cn_http_conn_free(&watch->viewer[i].conn);
	cn_buf_fini(&watch->viewer[i].out);
	watch->viewer[i] = watch->viewer[--watch->viewers];
	pthread_mutex_lock(&watch->lock);
	watch->count--;
	pthread_mutex_unlock(&watch->lock);
}

/* Send what can be sent; false: this viewer is gone. */
static bool
flush(struct viewer *viewer, uint64_t now)
{
	while (viewer->out.len > 0) {
		size_t n = 0;
		int err = cn_http_conn_write(
		    viewer->conn, viewer->out.data, viewer->out.len, &n);

		if (err == CN_EAGAIN) {
			return now - viewer->moved_us < PATIENCE_US;
		}
		if (err < 0) {
			return false;
		}
		cn_buf_consume(&viewer->out, n);
		viewer->moved_us = now;
	}
	return true;
}

/* One event; who is not through with the last status misses this one. */
static void
tell(struct cn_watch *watch, const char *event, const char *data, size_t len,
    bool may_miss)
{
	for (size_t i = 0; i < watch->viewers; i++) {
		struct viewer *viewer = &watch->viewer[i];
		size_t before = viewer->out.len;
		int err;

		if (may_miss && before > 0) {
			continue;
		}
		while (len > 0 && data[len - 1] == '\n') {
			len--;
		}
		err = cn_buf_printf(&viewer->out, "event: %s\ndata: ", event);
		if (err == CN_OK) {
			err = cn_buf_append(&viewer->out, data, len);
		}
		if (err == CN_OK) {
			err = cn_buf_append(&viewer->out, "\n\n", 2);
		}
		if (err < 0) {
			viewer->out.len = before;
		}
		if (before == 0) {
			viewer->moved_us = cn_clock_us();
		}
	}
}

static void
ask_status(struct cn_watch *watch)
{
	struct cn_question question = { .command = "status",
		.max_age_us = SECOND_US * 9 / 10 };
	struct cn_answer *answer = NULL;

	if (cn_asker_ask(watch->asker, &question, &answer) == CN_OK) {
		tell(watch, answer->status == 200 ? "status" : "problem",
		    answer->body, answer->len, true);
	}
	cn_answer_free(&answer);
}

/* A page of events; false: there is no other, or none can be had. */
static bool
ask_events(struct cn_watch *watch, uint64_t now)
{
	json_t *fields = json_pack("{s:I, s:i}", "cursor",
	    (json_int_t)watch->cursor, "limit", EVENTS_LIMIT);
	struct cn_question question = { .command = "events",
		.fields = fields,
		.max_age_us = SECOND_US / 2 };
	struct cn_answer *answer = NULL;
	const json_t *list = NULL;
	bool is_more = false;

	if (fields == NULL ||
	    cn_asker_ask(watch->asker, &question, &answer) != CN_OK) {
		json_decref(fields);
		return false;
	}
	if (answer->status != 200) {
		/* Too old for events, or not there: ask again in a while. */
		watch->events_us = now + 30 * SECOND_US;
	} else {
		list = json_object_get(answer->data, "events");
		if (watch->has_cursor && json_array_size(list) > 0) {
			tell(watch, "events", answer->body, answer->len, false);
		}
		is_more =
		    answer->next > watch->cursor && json_array_size(list) > 0;
		watch->cursor = CN_MAX(watch->cursor, answer->next);
	}
	cn_answer_free(&answer);
	json_decref(fields);
	return is_more;
}

static void
ask_all(struct cn_watch *watch, uint64_t now)
{
	ask_status(watch);
	if (now < watch->events_us) {
		return;
	}
	for (unsigned i = 0; i < PAGES_MAX && ask_events(watch, now); i++) {
		;
	}
	watch->has_cursor = true;
}

static bool
take_newcomers(struct cn_watch *watch, uint64_t now)
{
	bool is_stopping;
	uint64_t count;

	(void)!read(watch->wake, &count, sizeof(count));
	pthread_mutex_lock(&watch->lock);
	for (size_t i = 0; i < watch->newcomers; i++) {
		struct viewer *viewer = &watch->viewer[watch->viewers++];

		viewer->conn = watch->newcomer[i];
		viewer->moved_us = now;
		cn_buf_init(&viewer->out, OUT_MAX);
	}
	watch->newcomers = 0;
	is_stopping = watch->is_stopping;
	pthread_mutex_unlock(&watch->lock);
	return !is_stopping;
}

/* Until the next second, or until something is to do. */
static void
wait(struct cn_watch *watch, uint64_t until)
{
	struct pollfd poller[CN_WATCH_VIEWERS_MAX + 1];
	uint64_t now = cn_clock_us();

	poller[0] = (struct pollfd){ .fd = watch->wake, .events = POLLIN };
	for (size_t i = 0; i < watch->viewers; i++) {
		poller[i + 1] = (struct pollfd){
			.fd = watch->viewer[i].conn->fd,
			.events = (short)(POLLIN |
			    (watch->viewer[i].out.len > 0 ? POLLOUT : 0)),
		};
	}
	(void)poll(poller, (nfds_t)watch->viewers + 1,
	    watch->viewers == 0 ? -1
		: now >= until  ? 0
				: (int)((until - now) / 1000) + 1);
}

/* Viewers say nothing more; whoever does is read away. */
static bool
is_there(struct viewer *viewer)
{
	int err = cn_http_conn_read(viewer->conn);

	cn_buf_clear(&viewer->conn->in);
	return err == CN_OK || err == CN_EAGAIN;
}

static void *
run(void *data)
{
	struct cn_watch *watch = data;
	uint64_t next_us = 0;

	for (;;) {
		uint64_t now = cn_clock_us();
		size_t before = watch->viewers;

		if (!take_newcomers(watch, now)) {
			return NULL;
		}
		if (watch->viewers > 0 &&
		    (now >= next_us || watch->viewers > before)) {
			next_us = now + SECOND_US;
			ask_all(watch, now);
		}
		now = cn_clock_us();
		for (size_t i = 0; i < watch->viewers;) {
			if (is_there(&watch->viewer[i]) &&
			    flush(&watch->viewer[i], now)) {
				i++;
			} else {
				drop(watch, i);
			}
		}
		wait(watch, next_us);
	}
}

int
cn_watch_start(struct cn_watch *watch)
{
	int err = pthread_create(&watch->thread, NULL, run, watch);

	watch->has_thread = err == 0;
	return err == 0 ? CN_OK : cn_err_from_errno(err);
}

void
cn_watch_stop(struct cn_watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	watch->is_stopping = true;
	pthread_mutex_unlock(&watch->lock);
	wake(watch);
	if (watch->has_thread) {
		(void)pthread_join(watch->thread, NULL);
		watch->has_thread = false;
	}
}

void
cn_watch_free(struct cn_watch **wp)
{
	struct cn_watch *watch = *wp;

	*wp = NULL;
	if (watch == NULL) {
		return;
	}
	while (watch->viewers > 0) {
		drop(watch, watch->viewers - 1);
	}
	for (size_t i = 0; i < watch->newcomers; i++) {
		cn_http_conn_free(&watch->newcomer[i]);
	}
	if (watch->wake >= 0) {
		(void)close(watch->wake);
	}
	(void)pthread_mutex_destroy(&watch->lock);
	cn_free(watch);
}
