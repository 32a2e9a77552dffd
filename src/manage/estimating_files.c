/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/estimating.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "manage/filewalk.h"

/* All files are one service's. */
#define SCOPE UINT64_C(1)
/* Longer ends of a name are no types. */
#define TYPE_MAX 12u

/* [from, to) of a file was sent and comes again. */
struct piece {
	char *path; /* owned */
	uint64_t from, to;
	struct cn_estimate_row *row; /* borrowed */
};

struct files {
	struct cn_estimating *run;
	uint8_t *buf;        /* owned; CN_ESTIMATING_READ_BYTES */
	struct piece *piece; /* owned; CN_ESTIMATING_PIECES_MAX */
	size_t pieces;
	uint64_t portion; /* bytes in the pieces */
	uint64_t count;   /* files seen by the first look */
	int err;          /* of the engines */
};

/* ---- reading ---- */

static void
on_bad(void *arg, const char *path, int err)
{
	struct files *f = arg;

	cn_progress_clear(&f->run->progress);
	cn_cli_error("cannot read %s: %s", path,
	    err == CN_EINVAL
		? "neither file nor directory (devices, sockets and pipes are "
		  "not read)"
		: cn_err_text(err));
	f->run->estimate->unread++;
}

static void
on_bad_early(void *arg CN_UNUSED, const char *path CN_UNUSED, int err CN_UNUSED)
{
}

static bool
count_file(
    void *arg, const char *path CN_UNUSED, int fd CN_UNUSED, uint64_t size)
{
	struct files *f = arg;

	f->run->total += 2 * size;
	f->count++;
	return !cn_progress_is_stopped();
}

/* ".log"; "(none)" for a name without a type. */
static void
type_of(const char *path, char ret[CN_ESTIMATE_NAME_MAX])
{
	const char *name = strrchr(path, '/');
	const char *dot;
	size_t len;

	name = name == NULL ? path : name + 1;
	dot = strrchr(name, '.');
	len = dot == NULL ? 0 : strlen(dot);
	if (dot == name || len < 2 || len > TYPE_MAX) {
		(void)snprintf(ret, CN_ESTIMATE_NAME_MAX, "(none)");
		return;
	}
	for (size_t i = 0; i <= len; i++) {
		ret[i] = (char)tolower((unsigned char)dot[i]);
	}
}

/* Up to len bytes, fewer at the end only; -1: errno says why. */
static ssize_t
read_some(int fd, uint8_t *out, size_t len, uint64_t at)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, out + got, len - got, (off_t)(at + got));

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -1;
		}
		if (n == 0) {
			break;
		}
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static void
show(struct files *f, const char *what)
{
	struct cn_offline_line line[CN_OFFLINE_WAYS];

	cn_offline_line(f->run->offline, line);
	cn_progress_show(&f->run->progress, what, f->run->done, f->run->total,
	    line[0].bytes + line[1].bytes);
}

/* ---- sending ---- */

/* A connection of its own for [from, to) of an open file. */
struct sending {
	int fd;
	const char *path;
	struct cn_estimate_row *row;
	enum cn_estimate_pass pass;
	struct cn_content content;
	struct cn_offline_flow *flow;
	uint64_t at, to;
};

static void
finish(struct files *f, struct sending *s)
{
	if (s->flow != NULL) {
		cn_offline_finish(f->run->offline, s->flow, CN_OFFLINE_UP);
		cn_offline_finish(f->run->offline, s->flow, CN_OFFLINE_DOWN);
		s->flow = NULL;
	}
}

/* The next bytes; false: no more come, or no more can. */
static bool
send_some(struct files *f, struct sending *s)
{
	struct cn_estimate *e = f->run->estimate;
	size_t want =
	    (size_t)CN_MIN(s->to - s->at, (uint64_t)CN_ESTIMATING_READ_BYTES);
	ssize_t got = read_some(s->fd, f->buf, want, s->at);

	if (got < 0) {
		on_bad(f, s->path, cn_err_from_errno(errno));
		return false;
	}
	if (got == 0) {
		return false;
	}
	if (s->flow == NULL) {
		f->err = cn_offline_open(
		    f->run->offline, SCOPE, &s->row->bill[s->pass], &s->flow);
	}
	if (f->err == CN_OK) {
		f->err =
		    cn_offline_send(f->run->offline, s->flow, CN_OFFLINE_UP,
			f->buf, (size_t)got, s->at + (size_t)got == s->to);
	}
	if (s->pass == CN_ESTIMATE_FIRST) {
		cn_content_take(
		    &s->content, f->buf, (size_t)got, &s->row->content);
	}
	s->at += (size_t)got;
	e->lan[s->pass] += (size_t)got;
	f->run->done += (size_t)got;
	show(f, s->pass == CN_ESTIMATE_FIRST ? "first pass" : "sent again");
	return f->err == CN_OK && !cn_progress_is_stopped();
}

/* ---- again ---- */

static void
send_again(struct files *f, const struct piece *piece)
{
	struct sending s = {
		.path = piece->path,
		.row = piece->row,
		.pass = CN_ESTIMATE_REPEAT,
		.at = piece->from,
		.to = piece->to,
	};
	struct stat st;

	s.fd = open(piece->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (s.fd < 0 || fstat(s.fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		f->run->estimate->changed++; /* it was a file a moment ago */
	} else {
		while (s.at < s.to && send_some(f, &s)) {
		}
		finish(f, &s);
		if (f->err == CN_OK) {
			f->err = cn_offline_settle(f->run->offline);
		}
	}
	if (s.fd >= 0) {
		(void)close(s.fd);
	}
}

/* The portion is full, or all was sent: send it again. */
static void
repeat(struct files *f)
{
	if (f->err == CN_OK) {
		f->err = cn_estimating_count(f->run, CN_ESTIMATE_FIRST);
	}
	for (size_t i = 0; i < f->pieces; i++) {
		if (f->err == CN_OK && !cn_progress_is_stopped()) {
			send_again(f, &f->piece[i]);
		}
		cn_free(f->piece[i].path);
	}
	f->pieces = 0;
	f->portion = 0;
	if (f->err == CN_OK) {
		f->err = cn_estimating_count(f->run, CN_ESTIMATE_REPEAT);
	}
}

static bool
is_full(const struct files *f)
{
	return f->pieces == CN_ESTIMATING_PIECES_MAX ||
	    f->portion >=
	    f->run->estimate->offline.store_bytes / CN_ESTIMATING_PORTION_SHARE;
}

/* What was sent since `from' comes again with its portion. */
static void
remember(struct files *f, const struct sending *s, uint64_t from)
{
	struct piece *piece = &f->piece[f->pieces];

	if (s->at == from) {
		return;
	}
	piece->path = cn_strdup(s->path);
	if (piece->path == NULL) {
		f->err = CN_ENOMEM;
		return;
	}
	piece->from = from;
	piece->to = s->at;
	piece->row = s->row;
	f->pieces++;
	f->portion += s->at - from;
}

/* ---- first pass ---- */

static bool
has_changed(int fd, const struct stat *before)
{
	struct stat after;

	return fstat(fd, &after) != 0 || after.st_size != before->st_size ||
	    after.st_mtim.tv_sec != before->st_mtim.tv_sec ||
	    after.st_mtim.tv_nsec != before->st_mtim.tv_nsec;
}

static bool
send_file(void *arg, const char *path, int fd, uint64_t size)
{
	struct files *f = arg;
	struct sending s = { .fd = fd, .path = path, .to = size };
	char type[CN_ESTIMATE_NAME_MAX];
	struct stat before = { 0 };
	bool goes_on = true;

	(void)fstat(fd, &before);
	type_of(path, type);
	s.row = cn_estimate_row(f->run->estimate, type, 0);
	if (s.row == NULL) {
		f->err = CN_ENOMEM;
		return false;
	}
	s.row->items++;
	while (s.at < s.to && goes_on) {
		uint64_t from = s.at;

		while (s.at < s.to && !is_full(f) && goes_on &&
		    s.at - from < f->run->estimate->offline.store_bytes /
			    CN_ESTIMATING_PORTION_SHARE) {
			goes_on = send_some(f, &s);
		}
		finish(f, &s);
		/* One after the other: what the peer has acknowledged may be
		 * referred to. */
		if (f->err == CN_OK) {
			f->err = cn_offline_settle(f->run->offline);
		}
		remember(f, &s, from);
		if (is_full(f)) {
			repeat(f);
		}
	}
	f->run->estimate->changed += has_changed(fd, &before);
	return f->err == CN_OK && !cn_progress_is_stopped();
}

static void
walk_all(struct files *f,
    bool (*file)(void *arg, const char *path, int fd, uint64_t size),
    void (*bad)(void *arg, const char *path, int err))
{
	struct cn_filewalk walk = { file, bad, f };
	const struct cn_args *args = f->run->args;
	bool goes_on = true;

	for (size_t i = 0; i < args->words && goes_on; i++) {
		goes_on = cn_filewalk_run(&walk, args->word[i]);
	}
}

enum cn_exit
cn_estimating_files(struct cn_estimating *run)
{
	struct files f = { .run = run };
	enum cn_exit code = CN_EXIT_FAILED;

	f.buf = cn_alloc(CN_ESTIMATING_READ_BYTES);
	f.piece = cn_calloc(CN_ESTIMATING_PIECES_MAX, sizeof(*f.piece));
	if (f.buf == NULL || f.piece == NULL) {
		cn_cli_error("%s", cn_err_text(CN_ENOMEM));
		goto fail;
	}
	walk_all(&f, count_file, on_bad_early);
	walk_all(&f, send_file, on_bad);
	repeat(&f);
	if (f.err != CN_OK) {
		code = cn_estimating_failed(run, f.err);
		goto fail;
	}
	run->estimate->is_complete =
	    !cn_progress_is_stopped() && run->estimate->unread == 0;
	code = CN_EXIT_OK;
	if (run->estimate->lan[CN_ESTIMATE_FIRST] == 0) {
		cn_progress_clear(&run->progress);
		cn_cli_error(f.count == 0 ? "there is no file to estimate"
					  : "the files are empty");
		code = CN_EXIT_FAILED;
	}
fail:
	cn_free(f.piece);
	cn_free(f.buf);
	return code;
}
