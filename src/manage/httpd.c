/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/httpd.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"

/* Events of one look, connections accepted in one. */
#define EVENTS_MAX 256
#define ACCEPTS_MAX 128
/* How exactly deadlines are kept. */
#define TICK_MS 100
#define STACK_BYTES (512u * 1024u)

enum state {
	HALF_OPEN,
	KEPT,
	LINGER,
	STATES,
	WITH_WORKER,
	GONE,
};

static const struct {
	size_t max;
	uint64_t patience_us;
} limits[STATES] = {
	[HALF_OPEN] = { CN_HTTPD_HALF_OPEN_MAX, CN_HTTPD_HEAD_US },
	[KEPT] = { CN_HTTPD_KEPT_MAX, CN_HTTPD_KEPT_US },
	[LINGER] = { CN_HTTPD_LINGER_MAX, CN_HTTPD_LINGER_US },
};

struct cn_httpd {
	struct cn_httpd_options options;
	int epoll, wake;

	/* The door's.  Each list is in the order of its deadlines. */
	struct cn_list list[STATES];
	size_t count[STATES];
	struct cn_list gone; /* to be freed when no event can name them */
	size_t half_open_max;
	bool is_paused; /* no descriptor was left: accept later */

	/* Under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct cn_list ready;    /* for workers */
	struct cn_list returned; /* for the door: kept or to linger */
	size_t ready_count;
	bool is_stopping;
	SSL_CTX *tls; /* owned reference */
	pthread_t worker[CN_HTTPD_WORKERS_MAX];
	size_t workers, workers_idle;
	int serving[CN_HTTPD_WORKERS_MAX]; /* descriptors; -1: none */
	struct cn_httpd_counts counts;

	pthread_t door;
	bool has_door;
};

struct worker_arg {
	struct cn_httpd *httpd;
	size_t index;
};

/* ---- the door's lists ---- */

static void
count_add(struct cn_httpd *httpd, uint64_t *counter)
{
	pthread_mutex_lock(&httpd->lock);
	(*counter)++;
	pthread_mutex_unlock(&httpd->lock);
}

static void
unlist(struct cn_httpd *httpd, struct cn_http_conn *conn)
{
	if (conn->state < STATES) {
		httpd->count[conn->state]--;
	}
	cn_list_remove(&conn->item);
}

/* Give up a connection; an event of this look may still name it. */
static void
drop(struct cn_httpd *httpd, struct cn_http_conn *conn)
{
	unlist(httpd, conn);
	conn->state = GONE;
	(void)epoll_ctl(httpd->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
	(void)close(conn->fd);
	conn->fd = -1;
	cn_list_append(&httpd->gone, &conn->item);
}

static void
free_all(struct cn_list *list)
{
	struct cn_list *item;

	while ((item = cn_list_first(list)) != NULL) {
		struct cn_http_conn *conn =
		    CN_LIST_ENTRY(item, struct cn_http_conn, item);

		cn_http_conn_free(&conn);
	}
}

/* Watch for what TLS wants; level-triggered. */
static int
watch(struct cn_httpd *httpd, struct cn_http_conn *conn, int operation)
{
	struct epoll_event event = {
		.events = conn->wants_write ? EPOLLOUT : EPOLLIN,
		.data.ptr = conn,
	};

	conn->is_writing = conn->wants_write;
	return epoll_ctl(httpd->epoll, operation, conn->fd, &event) == 0
	    ? CN_OK
	    : cn_err_from_errno(errno);
}

static size_t
most(const struct cn_httpd *httpd, enum state state)
{
	return state == HALF_OPEN ? httpd->half_open_max : limits[state].max;
}

/* Into one of the lists, at its end; the oldest makes room. */
static void
enlist(struct cn_httpd *httpd, struct cn_http_conn *conn, enum state state)
{
	if (httpd->count[state] >= most(httpd, state)) {
		drop(httpd,
		    CN_LIST_ENTRY(cn_list_first(&httpd->list[state]),
			struct cn_http_conn, item));
		if (state == HALF_OPEN) {
			count_add(httpd, &httpd->counts.pushed_out);
		}
	}
	conn->state = (int)state;
	conn->deadline_us = cn_clock_us() + limits[state].patience_us;
	cn_list_append(&httpd->list[state], &conn->item);
	httpd->count[state]++;
}

static void
expire(struct cn_httpd *httpd, enum state state, uint64_t now)
{
	struct cn_list *item;

	while ((item = cn_list_first(&httpd->list[state])) != NULL) {
		struct cn_http_conn *conn =
		    CN_LIST_ENTRY(item, struct cn_http_conn, item);

		if (conn->deadline_us > now) {
			return;
		}
		if (state == HALF_OPEN) {
			count_add(httpd, &httpd->counts.timeouts);
		}
		drop(httpd, conn);
	}
}

/* ---- workers ---- */

static void
wake_door(struct cn_httpd *httpd)
{
	uint64_t one = 1;

	(void)!write(httpd->wake, &one, sizeof(one));
}

/* Answer one request of a connection; what becomes of it. */
static enum cn_http_fate
serve_one(struct cn_httpd *httpd, struct cn_http_conn *conn)
{
	char bytes[CN_HTTP_HEAD_MAX];
	struct cn_http_head head;
	size_t len = conn->head;

	if (len == 0) {
		count_add(httpd, &httpd->counts.refused);
		httpd->options.refuser(httpd->options.owner, conn, 431,
		    "the head of a request has at most 16384 bytes");
		return CN_HTTP_CLOSE;
	}
	/* A copy, so that what follows it can be read over it. */
	memcpy(bytes, conn->in.data, len);
	cn_buf_consume(&conn->in, len);
	conn->looked = conn->head = 0;
	if (cn_http_head_parse(bytes, len, &head) != CN_OK) {
		count_add(httpd, &httpd->counts.refused);
		httpd->options.refuser(
		    httpd->options.owner, conn, head.status, head.why);
		return CN_HTTP_CLOSE;
	}
	return httpd->options.handler(httpd->options.owner, conn, &head);
}

/* A connection goes back to the door. */
static void
give_back(struct cn_httpd *httpd, struct cn_http_conn *conn, bool is_kept)
{
	conn->state = is_kept ? KEPT : LINGER;
	if (!is_kept) {
		cn_http_conn_end(conn);
	}
	pthread_mutex_lock(&httpd->lock);
	cn_list_append(&httpd->returned, &conn->item);
	pthread_mutex_unlock(&httpd->lock);
	wake_door(httpd);
}

static void *
run_worker(void *data)
{
	struct worker_arg arg = *(struct worker_arg *)data;
	struct cn_httpd *httpd = arg.httpd;

	cn_free(data);
	pthread_mutex_lock(&httpd->lock);
	for (;;) {
		struct cn_list *item = cn_list_first(&httpd->ready);
		struct cn_http_conn *conn;
		enum cn_http_fate fate;

		if (httpd->is_stopping) {
			break;
		}
		if (item == NULL) {
			httpd->workers_idle++;
			pthread_cond_wait(&httpd->work, &httpd->lock);
			httpd->workers_idle--;
			continue;
		}
		cn_list_remove(item);
		httpd->ready_count--;
		conn = CN_LIST_ENTRY(item, struct cn_http_conn, item);
		httpd->serving[arg.index] = conn->fd;
		pthread_mutex_unlock(&httpd->lock);
		fate = serve_one(httpd, conn);
		pthread_mutex_lock(&httpd->lock);
		httpd->serving[arg.index] = -1;
		if (fate != CN_HTTP_TAKEN) {
			pthread_mutex_unlock(&httpd->lock);
			give_back(httpd, conn, fate == CN_HTTP_KEEP);
			pthread_mutex_lock(&httpd->lock);
		}
	}
	pthread_mutex_unlock(&httpd->lock);
	return NULL;
}

/* One more worker, if there may be; locked. */
static void
add_worker(struct cn_httpd *httpd)
{
	struct worker_arg *arg;
	pthread_attr_t attr;

	if (httpd->workers == CN_HTTPD_WORKERS_MAX ||
	    (arg = cn_alloc(sizeof(*arg))) == NULL) {
		return;
	}
	arg->httpd = httpd;
	arg->index = httpd->workers;
	if (pthread_attr_init(&attr) != 0) {
		cn_free(arg);
		return;
	}
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (pthread_create(
		&httpd->worker[httpd->workers], &attr, run_worker, arg) == 0) {
		httpd->workers++;
	} else {
		cn_free(arg);
	}
	(void)pthread_attr_destroy(&attr);
}

/* ---- what comes in ---- */

/* A whole head is here, or the worker shall say why not. */
static void
make_ready(struct cn_httpd *httpd, struct cn_http_conn *conn)
{
	bool is_full;

	unlist(httpd, conn);
	conn->state = WITH_WORKER;
	(void)epoll_ctl(httpd->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
	pthread_mutex_lock(&httpd->lock);
	is_full = httpd->ready_count >= CN_HTTPD_READY_MAX;
	if (!is_full) {
		cn_list_append(&httpd->ready, &conn->item);
		httpd->ready_count++;
		if (httpd->workers_idle < httpd->ready_count) {
			add_worker(httpd);
		}
		is_full = httpd->workers == 0;
		pthread_cond_signal(&httpd->work);
	} else {
		httpd->counts.overloads++;
	}
	pthread_mutex_unlock(&httpd->lock);
	if (is_full) {
		static const char busy[] =
		    "HTTP/1.1 503 Service Unavailable\r\n"
		    "Content-Length: 0\r\nRetry-After: 1\r\n"
		    "Connection: close\r\n\r\n";
		size_t n;

		/* The door waits for nobody: what does not go, goes not. */
		(void)!cn_http_conn_write(conn, busy, sizeof(busy) - 1, &n);
		cn_http_conn_free(&conn);
	}
}

/* Look whether a head has become whole; true: the door has it no more. */
static bool
look_for_head(struct cn_httpd *httpd, struct cn_http_conn *conn)
{
	int err = cn_http_head_find((const char *)conn->in.data, conn->in.len,
	    &conn->looked, &conn->head);

	if (err == CN_EAGAIN) {
		return false;
	}
	if (err < 0) {
		conn->head = 0; /* the worker says that it is too long */
	}
	make_ready(httpd, conn);
	return true;
}

static void
on_readable(struct cn_httpd *httpd, struct cn_http_conn *conn)
{
	for (;;) {
		int err = cn_http_conn_read(conn);

		if (err == CN_OK && conn->state == KEPT) {
			/* A new request: from now on its time is short. */
			unlist(httpd, conn);
			enlist(httpd, conn, HALF_OPEN);
		}
		if (err == CN_OK || err == CN_ELIMIT) {
			if (look_for_head(httpd, conn)) {
				return;
			}
			continue;
		}
		if (err != CN_EAGAIN ||
		    (conn->wants_write != conn->is_writing &&
			watch(httpd, conn, EPOLL_CTL_MOD) != CN_OK)) {
			drop(httpd, conn);
		}
		return;
	}
}

/* It was answered: read away what it still says, so that closing does not
 * take the answer back. */
static void
on_lingering(struct cn_httpd *httpd, struct cn_http_conn *conn)
{
	char waste[4096];
	ssize_t n = recv(conn->fd, waste, sizeof(waste), 0);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		drop(httpd, conn);
	}
}

static void
admit(struct cn_httpd *httpd, int fd)
{
	struct cn_http_conn *conn = NULL;
	SSL_CTX *tls;

	pthread_mutex_lock(&httpd->lock);
	httpd->counts.accepted++;
	tls = httpd->tls;
	if (tls != NULL) {
		(void)SSL_CTX_up_ref(tls);
	}
	pthread_mutex_unlock(&httpd->lock);
	httpd->half_open_max =
	    tls != NULL ? CN_HTTPD_HALF_OPEN_TLS_MAX : CN_HTTPD_HALF_OPEN_MAX;
	if (cn_http_conn_create(fd, tls, &conn) == CN_OK) {
		enlist(httpd, conn, HALF_OPEN);
		if (watch(httpd, conn, EPOLL_CTL_ADD) != CN_OK) {
			drop(httpd, conn);
		}
	}
	SSL_CTX_free(tls);
}

/*
 * Accept what waits.  Without descriptors the oldest half-open connection
 * goes, and the newcomer comes at the next look.
 */
static void
on_accept(struct cn_httpd *httpd, int listener)
{
	for (unsigned i = 0; i < ACCEPTS_MAX; i++) {
		int fd =
		    accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			admit(httpd, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			struct cn_list *oldest =
			    cn_list_first(&httpd->list[HALF_OPEN]);

			if (oldest == NULL) {
				oldest = cn_list_first(&httpd->list[KEPT]);
			}
			if (oldest != NULL) {
				drop(httpd,
				    CN_LIST_ENTRY(
					oldest, struct cn_http_conn, item));
				count_add(httpd, &httpd->counts.pushed_out);
				continue;
			}
		}
		return;
	}
}

/* Connections that workers are done with. */
static void
take_back(struct cn_httpd *httpd)
{
	struct cn_list list, *item;
	uint64_t count;

	(void)!read(httpd->wake, &count, sizeof(count));
	cn_list_init(&list);
	pthread_mutex_lock(&httpd->lock);
	cn_list_splice(&list, &httpd->returned);
	pthread_mutex_unlock(&httpd->lock);
	while ((item = cn_list_first(&list)) != NULL) {
		struct cn_http_conn *conn =
		    CN_LIST_ENTRY(item, struct cn_http_conn, item);
		enum state state = (enum state)conn->state;

		cn_list_remove(item);
		enlist(httpd, conn, state);
		conn->wants_write = false;
		if (watch(httpd, conn, EPOLL_CTL_ADD) != CN_OK) {
			drop(httpd, conn);
		} else if (state == KEPT &&
		    (conn->in.len > 0 ||
			(conn->ssl != NULL && SSL_pending(conn->ssl) > 0))) {
			/* What is here already wakes nobody. */
			unlist(httpd, conn);
			enlist(httpd, conn, HALF_OPEN);
			if (!look_for_head(httpd, conn)) {
				on_readable(httpd, conn);
			}
		}
	}
}

static void
on_event(struct cn_httpd *httpd, const struct epoll_event *event)
{
	struct cn_http_conn *conn = event->data.ptr;

	for (size_t i = 0; i < httpd->options.listeners; i++) {
		if (event->data.ptr == &httpd->options.listener[i]) {
			on_accept(httpd, httpd->options.listener[i]);
			return;
		}
	}
	if (event->data.ptr == &httpd->wake) {
		take_back(httpd);
	} else if (conn->state == LINGER) {
		on_lingering(httpd, conn);
	} else if (conn->state == HALF_OPEN || conn->state == KEPT) {
		on_readable(httpd, conn);
	}
}

static void *
run_door(void *data)
{
	struct cn_httpd *httpd = data;
	struct epoll_event events[EVENTS_MAX];
	bool is_stopping = false;

	while (!is_stopping) {
		bool has_any = httpd->count[HALF_OPEN] > 0 ||
		    httpd->count[KEPT] > 0 || httpd->count[LINGER] > 0;
		int n = epoll_wait(
		    httpd->epoll, events, EVENTS_MAX, has_any ? TICK_MS : -1);
		uint64_t now = cn_clock_us();

		for (int i = 0; i < n; i++) {
			on_event(httpd, &events[i]);
		}
		for (unsigned state = 0; state < STATES; state++) {
			expire(httpd, (enum state)state, now);
		}
		free_all(&httpd->gone);
		pthread_mutex_lock(&httpd->lock);
		is_stopping = httpd->is_stopping;
		httpd->counts.half_open = httpd->count[HALF_OPEN];
		httpd->counts.kept = httpd->count[KEPT];
		pthread_mutex_unlock(&httpd->lock);
	}
	return NULL;
}

/* ---- life ---- */

static int
add_source(struct cn_httpd *httpd, int fd, void *source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };

	return epoll_ctl(httpd->epoll, EPOLL_CTL_ADD, fd, &event) == 0
	    ? CN_OK
	    : cn_err_from_errno(errno);
}

static int
open_sources(struct cn_httpd *httpd)
{
	int err = CN_OK;

	httpd->epoll = epoll_create1(EPOLL_CLOEXEC);
	httpd->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (httpd->epoll < 0 || httpd->wake < 0) {
		return cn_err_from_errno(errno);
	}
	err = add_source(httpd, httpd->wake, &httpd->wake);
	for (size_t i = 0; err == CN_OK && i < httpd->options.listeners; i++) {
		err = add_source(httpd, httpd->options.listener[i],
		    &httpd->options.listener[i]);
	}
	return err;
}

int
cn_httpd_create(const struct cn_httpd_options *options, struct cn_httpd **ret)
{
	struct cn_httpd *httpd = cn_calloc(1, sizeof(*httpd));
	int err;

	assert(options->listeners <= CN_HTTPD_LISTENERS_MAX);
	if (httpd == NULL) {
		for (size_t i = 0; i < options->listeners; i++) {
			(void)close(options->listener[i]);
		}
		return CN_ENOMEM;
	}
	httpd->options = *options;
	for (size_t i = 0; i < CN_HTTPD_WORKERS_MAX; i++) {
		httpd->serving[i] = -1;
	}
	httpd->half_open_max = CN_HTTPD_HALF_OPEN_MAX;
	for (unsigned state = 0; state < STATES; state++) {
		cn_list_init(&httpd->list[state]);
	}
	cn_list_init(&httpd->gone);
	cn_list_init(&httpd->ready);
	cn_list_init(&httpd->returned);
	(void)pthread_mutex_init(&httpd->lock, NULL);
	(void)pthread_cond_init(&httpd->work, NULL);
	err = open_sources(httpd);
	if (err < 0) {
		cn_httpd_free(&httpd);
		return err;
	}
	*ret = httpd;
	return CN_OK;
}

void
cn_httpd_set_tls(struct cn_httpd *httpd, SSL_CTX *tls)
{
	SSL_CTX *old;

	if (tls != NULL) {
		(void)SSL_CTX_up_ref(tls);
	}
	pthread_mutex_lock(&httpd->lock);
	old = httpd->tls;
	httpd->tls = tls;
	pthread_mutex_unlock(&httpd->lock);
	SSL_CTX_free(old);
}

int
cn_httpd_start(struct cn_httpd *httpd)
{
	int err = pthread_create(&httpd->door, NULL, run_door, httpd);

	httpd->has_door = err == 0;
	return err == 0 ? CN_OK : cn_err_from_errno(err);
}

void
cn_httpd_stop(struct cn_httpd *httpd)
{
	size_t workers;

	pthread_mutex_lock(&httpd->lock);
	httpd->is_stopping = true;
	workers = httpd->workers;
	pthread_cond_broadcast(&httpd->work);
	/* Who waits for a client waits no longer. */
	for (size_t i = 0; i < CN_HTTPD_WORKERS_MAX; i++) {
		if (httpd->serving[i] >= 0) {
			(void)shutdown(httpd->serving[i], SHUT_RD);
		}
	}
	pthread_mutex_unlock(&httpd->lock);
	wake_door(httpd);
	if (httpd->has_door) {
		(void)pthread_join(httpd->door, NULL);
		httpd->has_door = false;
	}
	/* The door makes workers, so now there come no more. */
	pthread_mutex_lock(&httpd->lock);
	workers = httpd->workers;
	pthread_mutex_unlock(&httpd->lock);
	for (size_t i = 0; i < workers; i++) {
		(void)pthread_join(httpd->worker[i], NULL);
	}
	httpd->workers = 0;
}

void
cn_httpd_free(struct cn_httpd **hp)
{
	struct cn_httpd *httpd = *hp;

	*hp = NULL;
	if (httpd == NULL) {
		return;
	}
	for (unsigned state = 0; state < STATES; state++) {
		free_all(&httpd->list[state]);
	}
	free_all(&httpd->gone);
	free_all(&httpd->ready);
	free_all(&httpd->returned);
	SSL_CTX_free(httpd->tls);
	for (size_t i = 0; i < httpd->options.listeners; i++) {
		(void)close(httpd->options.listener[i]);
	}
	if (httpd->epoll >= 0) {
		(void)close(httpd->epoll);
	}
	if (httpd->wake >= 0) {
		(void)close(httpd->wake);
	}
	(void)pthread_mutex_destroy(&httpd->lock);
	(void)pthread_cond_destroy(&httpd->work);
	cn_free(httpd);
}

void
cn_httpd_counts(struct cn_httpd *httpd, struct cn_httpd_counts *ret)
{
	pthread_mutex_lock(&httpd->lock);
	*ret = httpd->counts;
	pthread_mutex_unlock(&httpd->lock);
}
