/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `verify': a live ledger of bytes over the links to a peer.  Streams of
 * several kinds run at once to the peer's echo; every byte that comes back is
 * compared with what was sent, and the end must come exactly after the last.
 */
#include "manage/cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "manage/ask.h"
#include "manage/human.h"
#include "manage/ledger.h"
#include "manage/probeline.h"
#include "manage/table.h"

#define PIECE (64u * 1024u)
#define SIZE_DEFAULT (UINT64_C(8) << 20)
#define SIZE_MAX_BYTES (UINT64_C(1) << 36)
/* Of small messages not so many bytes: they are about their number. */
#define SMALL_PART 64u
#define SMALL_MESSAGE 100u
#define NO_WHERE UINT64_MAX

/* Stored ones have the same bytes each time: the second time they go as
 * references, and a store fills no further by many runs. */
struct kind {
	const char *name;
	enum cn_ledger_kind bytes;
	bool is_stored;
	bool is_small; /* messages of SMALL_MESSAGE bytes */
	uint64_t seed; /* 0: another each time */
};

static const struct kind kinds[] = {
	{ "random", CN_LEDGER_RANDOM, false, false, 0 },
	{ "text", CN_LEDGER_TEXT, true, false, 1 },
	{ "mixed", CN_LEDGER_MIXED, true, false, 2 },
	{ "small", CN_LEDGER_TEXT, false, true, 0 },
};

#define KINDS CN_ARRAY_LEN(kinds)
#define PASSES 2u

struct entry {
	const struct kind *kind;
	struct cn_probeline line;
	struct cn_ledger out, in;
	uint8_t *piece; /* owned: PIECE */
	size_t at, len; /* of piece: what waits to be sent */
	uint64_t size, taken, sent, back;
	uint64_t wrong_at; /* NO_WHERE */
	bool is_finished;  /* we sent our end */
	bool is_over;
	uint64_t moved_us;
	struct cn_snap_warm end;
};

struct verifying {
	const struct cn_args *args;
	uint64_t size;
	uint8_t *buf; /* owned: PIECE */
	struct entry entry[KINDS];
	uint64_t streams, bytes, wrong, broken;
	struct cn_table table;
};

static bool
is_right(const struct entry *e)
{
	return e->wrong_at == NO_WHERE && e->back <= e->size;
}

/* ---- moving ---- */

static void
send_some(struct entry *e)
{
	ssize_t n;

	if (e->at == e->len && e->taken < e->size) {
		uint64_t most = e->kind->is_small ? SMALL_MESSAGE : PIECE;

		e->len = (size_t)CN_MIN(most, e->size - e->taken);
		e->at = 0;
		cn_ledger_take(&e->out, e->piece, e->len);
		e->taken += e->len;
	}
	if (e->at == e->len) {
		cn_probeline_finish(&e->line);
		e->is_finished = true;
		return;
	}
	n = send(e->line.fd, e->piece + e->at, e->len - e->at,
	    MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0) {
		e->at += (size_t)n;
		e->sent += (uint64_t)n;
		e->moved_us = cn_clock_us();
	} else if (errno != EAGAIN && errno != EINTR) {
		e->line.is_cut = true;
	}
}

static void
receive_some(struct verifying *v, struct entry *e)
{
	ssize_t n = recv(e->line.fd, v->buf, PIECE, MSG_DONTWAIT);
	size_t same;

	if (n == 0) {
		e->is_over = true;
		return;
	}
	if (n < 0) {
		e->line.is_cut =
		    e->line.is_cut || (errno != EAGAIN && errno != EINTR);
		return;
	}
	same = cn_ledger_compare(&e->in, v->buf, (size_t)n);
	if (same < (size_t)n && e->wrong_at == NO_WHERE) {
		e->wrong_at = e->back + same;
	}
	e->back += (uint64_t)n;
	e->moved_us = cn_clock_us();
}

/* A small message is answered before the next is sent. */
static bool
may_send(const struct entry *e)
{
	return !e->is_finished &&
	    (!e->kind->is_small || e->at < e->len || e->back == e->taken);
}

static void
step(struct verifying *v, struct entry *e, short events)
{
	if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) {
		receive_some(v, e);
	}
	if ((events & POLLOUT) != 0 && !e->is_over && may_send(e)) {
		send_some(e);
	}
	if (cn_clock_us() - e->moved_us > CN_PROBELINE_STALL_US) {
		e->line.is_cut = true;
	}
}

/* All streams of a pass, until each is over or cut. */
static void
run(struct verifying *v)
{
	struct pollfd poller[KINDS];
	bool goes_on = true;

	while (goes_on) {
		for (size_t i = 0; i < KINDS; i++) {
			struct entry *e = &v->entry[i];
			bool is_done = e->is_over || e->line.is_cut;

			poller[i].fd = is_done ? -1 : e->line.fd;
			poller[i].events =
			    (short)(POLLIN | (may_send(e) ? POLLOUT : 0));
			poller[i].revents = 0;
		}
		(void)poll(poller, KINDS, 1000);
		goes_on = false;
		for (size_t i = 0; i < KINDS; i++) {
			struct entry *e = &v->entry[i];

			if (poller[i].fd >= 0) {
				step(v, e, poller[i].revents);
				goes_on =
				    goes_on || !(e->is_over || e->line.is_cut);
			}
		}
	}
}

/* ---- one pass ---- */

static enum cn_exit
open_entry(struct verifying *v, struct entry *e, const struct kind *kind)
{
	uint64_t seed = kind->seed != 0 ? kind->seed : cn_rand_u64();
	uint8_t *piece = e->piece;

	memset(e, 0, sizeof(*e));
	e->piece = piece;
	e->kind = kind;
	e->line.fd = -1;
	e->wrong_at = NO_WHERE;
	e->size = kind->is_small ? CN_MAX(v->size / SMALL_PART, 1u) : v->size;
	e->moved_us = cn_clock_us();
	cn_ledger_init(&e->out, kind->bytes, seed);
	cn_ledger_init(&e->in, kind->bytes, seed);
	return cn_probeline_open(
	    &e->line, v->args, v->args->word[0], "/echo", kind->is_stored);
}

/* What became of a stream, in a word or two. */
static const char *
verdict(const struct entry *e)
{
	if (!is_right(e)) {
		return "WRONG BYTES";
	}
	if (e->line.is_cut) {
		return e->end.reason[0] != '\0' ? e->end.reason
						: "nothing came any more";
	}
	/* A clean end on less than all would be the worst of lies. */
	if (e->back != e->size) {
		return "ENDED TOO EARLY";
	}
	return e->end.is_clean ? "exact" : e->end.reason;
}

static void
count(struct verifying *v, const struct entry *e)
{
	bool is_lie = !e->line.is_cut && e->back != e->size;

	v->streams++;
	v->bytes += e->back;
	if (!is_right(e) || is_lie) {
		v->wrong++;
	} else if (e->line.is_cut || !e->end.is_clean) {
		v->broken++;
	}
}

static void
add_row(struct verifying *v, const struct entry *e, unsigned pass)
{
	uint64_t lan = e->end.lan + e->end.lan_received;
	uint64_t wan = e->end.wan + e->end.wan_received;
	char number[8];

	(void)snprintf(number, sizeof(number), "%u", pass);
	cn_table_row(&v->table,
	    (const char *const[]){ e->kind->name, number,
		cn_human_bytes(e->sent).text, cn_human_bytes(e->back).text,
		cn_human_bytes(wan).text, cn_human_ratio(lan, wan).text,
		verdict(e) });
}

static int
add_json(json_t *list, const struct entry *e, unsigned pass)
{
	return json_array_append_new(list,
	    json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:b, s:s}", "kind",
		e->kind->name, "pass", (int)pass, "sent", (json_int_t)e->sent,
		"returned", (json_int_t)e->back, "copied",
		(json_int_t)(e->end.copied + e->end.copied_received), "wan",
		(json_int_t)(e->end.wan + e->end.wan_received), "exact",
		strcmp(verdict(e), "exact") == 0, "verdict", verdict(e)));
}

static enum cn_exit
run_pass(struct verifying *v, unsigned pass, json_t *list)
{
	enum cn_exit code = CN_EXIT_OK;

	for (size_t i = 0; i < KINDS && code == CN_EXIT_OK; i++) {
		code = open_entry(v, &v->entry[i], &kinds[i]);
	}
	if (code == CN_EXIT_OK) {
		run(v);
	}
	for (size_t i = 0; i < KINDS; i++) {
		struct entry *e = &v->entry[i];

		if (code == CN_EXIT_OK) {
			code = cn_probeline_end(&e->line, &e->end);
		}
		if (code == CN_EXIT_OK) {
			count(v, e);
			add_row(v, e, pass);
			if (add_json(list, e, pass) != 0) {
				cn_cli_error("%s", cn_err_text(CN_ENOMEM));
				code = CN_EXIT_FAILED;
			}
		}
		cn_probeline_close(&e->line);
	}
	return code;
}

/* ---- the whole ---- */

static enum cn_exit
tell(struct verifying *v, json_t *list, uint64_t us)
{
	if (v->args->option[CN_OPTION_JSON] != NULL) {
		json_t *json = json_pack("{s:s, s:O, s:I, s:I, s:I, s:I, s:I}",
		    "peer", v->args->word[0], "streams", list, "ledgers",
		    (json_int_t)v->streams, "bytes", (json_int_t)v->bytes,
		    "wrong", (json_int_t)v->wrong, "broken",
		    (json_int_t)v->broken, "us", (json_int_t)us);
		enum cn_exit code =
		    json != NULL ? cn_ask_print(json, false) : CN_EXIT_FAILED;

		json_decref(json);
		if (code != CN_EXIT_OK) {
			return code;
		}
	} else {
		cn_table_print(&v->table, stdout,
		    cn_cli_is_coloured(v->args, STDOUT_FILENO), 0);
		printf("\n%s came back in %s over %" PRIu64 " streams: %" PRIu64
		       " wrong, %" PRIu64 " broken\n",
		    cn_human_bytes(v->bytes).text, cn_human_duration(us).text,
		    v->streams, v->wrong, v->broken);
	}
	if (v->wrong > 0) {
		cn_cli_error("bytes were altered or lost: stop using this "
			     "path, and report it with `compressnet "
			     "support-bundle'");
		return CN_EXIT_FINDINGS;
	}
	return v->broken > 0 ? CN_EXIT_FAILED : CN_EXIT_OK;
}

static enum cn_exit
verify(struct verifying *v)
{
	static const struct cn_table_column columns[] = {
		{ "BYTES", false },
		{ "PASS", true },
		{ "SENT", true },
		{ "RETURNED", true },
		{ "WAN", true },
		{ "RATIO", true },
		{ "VERDICT", false },
	};
	enum cn_exit code = CN_EXIT_OK;
	json_t *list = json_array();
	uint64_t start = cn_clock_us();

	if (list == NULL) {
		cn_cli_error("%s", cn_err_text(CN_ENOMEM));
		return CN_EXIT_FAILED;
	}
	cn_table_init(&v->table, columns, CN_ARRAY_LEN(columns));
	for (unsigned i = 1; i <= PASSES && code == CN_EXIT_OK; i++) {
		code = run_pass(v, i, list);
	}
	if (code == CN_EXIT_OK) {
		code = tell(v, list, cn_clock_us() - start);
	}
	cn_table_fini(&v->table);
	json_decref(list);
	return code;
}

enum cn_exit
cn_cmd_verify(const struct cn_args *args)
{
	const char *size = args->option[CN_OPTION_SIZE];
	struct verifying v = { .args = args, .size = SIZE_DEFAULT };
	enum cn_exit code = CN_EXIT_FAILED;
	bool has_memory;

	if (size != NULL &&
	    (cn_human_parse_size(size, &v.size) != CN_OK || v.size == 0 ||
		v.size > SIZE_MAX_BYTES)) {
		return cn_cli_usage(
		    args, "--size: '%s' is no size from 1 to 64GiB", size);
	}
	v.buf = cn_alloc(PIECE);
	has_memory = v.buf != NULL;
	for (size_t i = 0; i < KINDS; i++) {
		v.entry[i].line.fd = -1;
		v.entry[i].piece = cn_alloc(PIECE);
		has_memory = has_memory && v.entry[i].piece != NULL;
	}
	if (has_memory) {
		code = verify(&v);
	} else {
		cn_cli_error("%s", cn_err_text(CN_ENOMEM));
	}
	for (size_t i = 0; i < KINDS; i++) {
		cn_free(v.entry[i].piece);
	}
	cn_free(v.buf);
	return code;
}
