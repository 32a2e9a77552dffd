/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/top.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "manage/human.h"
#include "manage/table.h"

#define ROWS_FIRST 64u

void
cn_top_init(struct cn_top *top)
{
	memset(top, 0, sizeof(*top));
}

void
cn_top_fini(struct cn_top *top)
{
	cn_free(top->rows.row);
	cn_free(top->last.row);
	memset(top, 0, sizeof(*top));
}

/* ---- sorting ---- */

static int
down(uint64_t a, uint64_t b)
{
	return a == b ? 0 : a < b ? 1 : -1;
}

static int
by_id(const void *a, const void *b)
{
	const struct cn_top_row *x = a, *y = b;

	return down(y->id, x->id);
}

static int
by_rate(const void *a, const void *b)
{
	const struct cn_top_row *x = a, *y = b;
	int r = down(x->lan_bps + x->wan_bps, y->lan_bps + y->wan_bps);

	return r != 0 ? r : by_id(a, b);
}

static int64_t
saved(const struct cn_top_row *row)
{
	return (int64_t)(row->lan - row->wan);
}

static int
by_saved(const void *a, const void *b)
{
	int64_t x = saved(a), y = saved(b);

	return x != y ? (x < y ? 1 : -1) : by_id(a, b);
}

static int
by_age(const void *a, const void *b)
{
	const struct cn_top_row *x = a, *y = b;
	int r = down(x->age_us, y->age_us);

	return r != 0 ? r : by_id(a, b);
}

static int
by_bytes(const void *a, const void *b)
{
	const struct cn_top_row *x = a, *y = b;
	int r = down(x->lan, y->lan);

	return r != 0 ? r : by_id(a, b);
}

static int
by_peer(const void *a, const void *b)
{
	const struct cn_top_row *x = a, *y = b;
	int r = strcmp(x->peer, y->peer);

	return r != 0 ? r : by_rate(a, b);
}

static const struct {
	const char *name;
	int (*compare)(const void *a, const void *b);
} sorts[CN_TOP_SORT_MAX] = {
	[CN_TOP_BY_RATE] = { "rate", by_rate },
	[CN_TOP_BY_SAVED] = { "saved", by_saved },
	[CN_TOP_BY_AGE] = { "age", by_age },
	[CN_TOP_BY_BYTES] = { "bytes", by_bytes },
	[CN_TOP_BY_PEER] = { "peer", by_peer },
};

const char *
cn_top_sort_name(enum cn_top_sort sort)
{
	return sorts[sort].name;
}

const char *
cn_top_view_name(enum cn_top_view view)
{
	static const char *const names[CN_TOP_VIEW_MAX] = { "streams",
		"services", "peers" };

	return names[view];
}

static void
sort_rows(struct cn_top_rows *rows, int (*compare)(const void *, const void *))
{
	if (rows->count > 1) {
		qsort(rows->row, rows->count, sizeof(*rows->row), compare);
	}
}

void
cn_top_set_sort(struct cn_top *top, enum cn_top_sort sort)
{
	top->sort = sort;
	sort_rows(&top->rows, sorts[sort].compare);
}

void
cn_top_set_view(struct cn_top *top, enum cn_top_view view)
{
	top->view = view;
	top->rows.count = 0;
	top->last.count = 0;
}

/* ---- rows ---- */

/* NULL: no memory, or as many as there may be. */
static struct cn_top_row *
add_row(struct cn_top_rows *rows)
{
	struct cn_top_row *row;

	if (rows->count == CN_TOP_ROWS_MAX) {
		return NULL;
	}
	if (rows->count == rows->cap) {
		size_t cap = CN_MAX((size_t)ROWS_FIRST, rows->cap * 2);

		row = cn_realloc(rows->row, cap * sizeof(*row));
		if (row == NULL) {
			return NULL;
		}
		rows->row = row;
		rows->cap = cap;
	}
	row = &rows->row[rows->count++];
	memset(row, 0, sizeof(*row));
	return row;
}

static void
set_bytes(struct cn_top_row *row, const struct cn_snap_bytes *sent,
    const struct cn_snap_bytes *received)
{
	row->lan = sent->lan + received->lan;
	row->wan = sent->wan + received->wan;
}

static void
add_streams(struct cn_top_rows *rows, const struct cn_snap_streams *page)
{
	for (size_t i = 0; i < page->streams_count; i++) {
		const struct cn_snap_stream *stream = &page->streams[i];
		struct cn_top_row *row = add_row(rows);

		if (row == NULL) {
			return;
		}
		row->id = stream->id;
		cn_table_clean(row->name, sizeof(row->name), stream->service);
		cn_table_clean(row->peer, sizeof(row->peer), stream->peer);
		cn_table_clean(row->why, sizeof(row->why), stream->why);
		row->age_us = stream->age_us;
		set_bytes(row, &stream->sent, &stream->received);
	}
}

static void
add_other(struct cn_top_rows *rows, const char *name, const char *peer,
    const char *state, const struct cn_snap_bytes *sent,
    const struct cn_snap_bytes *received)
{
	struct cn_top_row *row = add_row(rows);

	if (row != NULL) {
		row->id = rows->count;
		cn_table_clean(row->name, sizeof(row->name), name);
		cn_table_clean(row->peer, sizeof(row->peer), peer);
		cn_table_clean(row->why, sizeof(row->why), state);
		set_bytes(row, sent, received);
	}
}

static void
add_services(struct cn_top_rows *rows, const struct cn_snap_status *status)
{
	for (size_t i = 0; i < status->services_count; i++) {
		const struct cn_snap_service *service = &status->services[i];

		add_other(rows, service->name, service->peer,
		    cn_snap_state_name(service->state), &service->sent,
		    &service->received);
	}
	for (size_t i = 0; i < status->offers_count; i++) {
		const struct cn_snap_offer *offer = &status->offers[i];

		add_other(rows, offer->name, offer->peers, "offer",
		    &offer->sent, &offer->received);
	}
}

static void
add_peers(struct cn_top_rows *rows, const struct cn_snap_status *status)
{
	for (size_t i = 0; i < status->peers_count; i++) {
		const struct cn_snap_peer *peer = &status->peers[i];

		add_other(rows, peer->name, peer->name,
		    cn_snap_state_name(peer->state), &peer->sent,
		    &peer->received);
	}
}

/* Bytes a second from one count to the next; what shrank began anew. */
static uint64_t
rate(uint64_t before, uint64_t after, uint64_t over_us)
{
	if (after < before || over_us == 0) {
		return 0;
	}
	return (uint64_t)((double)(after - before) * 1e6 / (double)over_us);
}

/* Both by id: what was there before has rates. */
static void
set_rates(
    struct cn_top_rows *rows, const struct cn_top_rows *last, uint64_t over_us)
{
	size_t j = 0;

	for (size_t i = 0; i < rows->count; i++) {
		struct cn_top_row *row = &rows->row[i];

		while (j < last->count && last->row[j].id < row->id) {
			j++;
		}
		if (j < last->count && last->row[j].id == row->id &&
		    strcmp(last->row[j].name, row->name) == 0) {
			row->lan_bps =
			    rate(last->row[j].lan, row->lan, over_us);
			row->wan_bps =
			    rate(last->row[j].wan, row->wan, over_us);
		} else if (row->age_us > 0 && row->age_us < over_us) {
			/* It is younger than the last look. */
			row->lan_bps = rate(0, row->lan, over_us);
			row->wan_bps = rate(0, row->wan, over_us);
		}
	}
}

/* ---- a look ---- */

static enum cn_exit
makes_no_sense(int err)
{
	cn_cli_error(
	    "the gateway's answer makes no sense: %s", cn_err_text(err));
	return CN_EXIT_FAILED;
}

static enum cn_exit
look_at_streams(struct cn_top *top, struct cn_ask *ask)
{
	struct cn_request request = { .command = CN_COMMAND_STREAMS,
		.limit = CN_SNAP_STREAMS_PAGE };

	do {
		struct cn_snap_streams page = { 0 };
		struct cn_reply reply;
		enum cn_exit code = cn_ask_call(ask, &request, &reply);
		int err;

		if (code != CN_EXIT_OK) {
			return code;
		}
		request.cursor = reply.next;
		err =
		    cn_shape_decode(&cn_snap_streams_shape, reply.data, &page);
		cn_reply_fini(&reply);
		if (err < 0) {
			return makes_no_sense(err);
		}
		add_streams(&top->rows, &page);
		cn_snap_streams_clear(&page);
	} while (request.cursor != 0 && top->rows.count < CN_TOP_ROWS_MAX);
	return CN_EXIT_OK;
}

static void
set_head(
    struct cn_top *top, const struct cn_snap_status *status, uint64_t over_us)
{
	uint64_t lan = status->sent.lan + status->received.lan;
	uint64_t wan = status->sent.wan + status->received.wan;

	cn_table_clean(
	    top->gateway, sizeof(top->gateway), status->gateway.name);
	top->state = status->gateway.state;
	top->uptime_us = status->gateway.uptime_us;
	top->streams = status->streams;
	top->lan_bps = top->has_rates ? rate(top->lan, lan, over_us) : 0;
	top->wan_bps = top->has_rates ? rate(top->wan, wan, over_us) : 0;
	top->lan = lan;
	top->wan = wan;
}

enum cn_exit
cn_top_look(struct cn_top *top, struct cn_ask *ask)
{
	struct cn_request request = { .command = CN_COMMAND_STATUS };
	struct cn_top_rows older = top->last;
	struct cn_snap_status status = { 0 };
	struct cn_reply reply;
	enum cn_exit code = cn_ask_call(ask, &request, &reply);
	uint64_t now = cn_clock_us();
	uint64_t over_us = top->at_us == 0 ? 0 : now - top->at_us;
	int err;

	if (code != CN_EXIT_OK) {
		return code;
	}
	err = cn_shape_decode(&cn_snap_status_shape, reply.data, &status);
	cn_reply_fini(&reply);
	if (err < 0) {
		return makes_no_sense(err);
	}
	top->has_rates = top->at_us != 0;
	top->at_us = now;
	set_head(top, &status, over_us);
	/* What was shown is the last look now; its memory is used again. */
	top->last = top->rows;
	top->rows = older;
	top->rows.count = 0;
	sort_rows(&top->last, by_id);
	if (top->view == CN_TOP_STREAMS) {
		code = look_at_streams(top, ask);
	} else if (top->view == CN_TOP_SERVICES) {
		add_services(&top->rows, &status);
	} else {
		add_peers(&top->rows, &status);
	}
	cn_snap_status_clear(&status);
	set_rates(&top->rows, &top->last, over_us);
	cn_top_set_sort(top, top->sort);
	return code;
}

/* ---- lines ---- */

/* Columns, and from which width of the screen on they are shown. */
enum column {
	COLUMN_ID,
	COLUMN_NAME,
	COLUMN_PEER,
	COLUMN_AGE,
	COLUMN_LAN_RATE,
	COLUMN_WAN_RATE,
	COLUMN_LAN,
	COLUMN_SAVED,
	COLUMN_RATIO,
	COLUMN_WHY,
	COLUMN_MAX
};

static const struct {
	const char *title;
	size_t least; /* width of the screen */
	int width;    /* < 0: to the left */
} columns[COLUMN_MAX] = {
	[COLUMN_ID] = { "ID", 20, 7 },
	[COLUMN_NAME] = { "NAME", 20, -12 },
	[COLUMN_PEER] = { "PEER", 104, -12 },
	[COLUMN_AGE] = { "AGE", 90, 12 },
	[COLUMN_LAN_RATE] = { "LAN/s", 40, 9 },
	[COLUMN_WAN_RATE] = { "WAN/s", 52, 9 },
	[COLUMN_LAN] = { "LAN", 62, 8 },
	[COLUMN_SAVED] = { "SAVED", 72, 8 },
	[COLUMN_RATIO] = { "RATIO", 80, 6 },
	[COLUMN_WHY] = { "WHY", 20, -9 },
};

static size_t
append(char *out, size_t at, size_t width, int column, const char *text)
{
	char cell[64];
	size_t len;

	(void)snprintf(cell, sizeof(cell), "%*.*s", column, abs(column), text);
	len = strlen(cell);
	if (at + (at > 0) + len > width) {
		return at;
	}
	if (at > 0) {
		out[at++] = ' ';
	}
	memcpy(out + at, cell, len + 1);
	return at + len;
}

static struct cn_human
cell_of(const struct cn_top_row *row, enum column column)
{
	struct cn_human none = { "-" };

	switch (column) {
	case COLUMN_AGE:
		return row->age_us == 0 ? none : cn_human_duration(row->age_us);
	case COLUMN_LAN_RATE:
		return row->lan_bps == 0 ? none : cn_human_bytes(row->lan_bps);
	case COLUMN_WAN_RATE:
		return row->wan_bps == 0 ? none : cn_human_bytes(row->wan_bps);
	case COLUMN_LAN:
		return cn_human_bytes(row->lan);
	case COLUMN_SAVED:
		return cn_human_saved(row->lan, row->wan);
	case COLUMN_RATIO:
		return cn_human_ratio(row->lan, row->wan);
	case COLUMN_ID:
		(void)snprintf(none.text, sizeof(none.text), "%llu",
		    (unsigned long long)row->id);
		return none;
	case COLUMN_NAME:
	case COLUMN_PEER:
	case COLUMN_WHY:
	case COLUMN_MAX:
		break;
	}
	return none;
}

static size_t
fit(size_t width)
{
	return CN_MIN(width, (size_t)CN_TOP_LINE_MAX - 1);
}

void
cn_top_titles(const struct cn_top *top, size_t width, char *out)
{
	size_t at = 0;

	out[0] = '\0';
	width = fit(width);
	for (enum column i = COLUMN_ID; i < COLUMN_MAX; i++) {
		const char *title =
		    i == COLUMN_WHY && top->view != CN_TOP_STREAMS
		    ? "STATE"
		    : columns[i].title;

		if (width >= columns[i].least) {
			at = append(out, at, width, columns[i].width, title);
		}
	}
}

void
cn_top_line(const struct cn_top *top CN_UNUSED, const struct cn_top_row *row,
    size_t width, char *out)
{
	size_t at = 0;

	out[0] = '\0';
	width = fit(width);
	for (enum column i = COLUMN_ID; i < COLUMN_MAX; i++) {
		const struct cn_human cell = cell_of(row, i);
		const char *text = i == COLUMN_NAME ? row->name
		    : i == COLUMN_PEER              ? row->peer
		    : i == COLUMN_WHY               ? row->why
						    : cell.text;

		if (width >= columns[i].least) {
			at = append(out, at, width, columns[i].width, text);
		}
	}
}

void
cn_top_head(const struct cn_top *top, size_t width, char *out)
{
	(void)snprintf(out, fit(width) + 1, "%s  %s, up %s, %llu streams%s",
	    top->gateway, cn_snap_state_name(top->state),
	    cn_human_duration(top->uptime_us).text,
	    (unsigned long long)top->streams,
	    top->view == CN_TOP_STREAMS && top->rows.count == CN_TOP_ROWS_MAX
		? " (the first 16384)"
		: "");
}

void
cn_top_sums(const struct cn_top *top, size_t width, char *out)
{
	(void)snprintf(out, fit(width) + 1,
	    "LAN %s/s  WAN %s/s  now %s  all %s, %s of %s",
	    cn_human_bytes(top->lan_bps).text,
	    cn_human_bytes(top->wan_bps).text,
	    cn_human_ratio(top->lan_bps, top->wan_bps).text,
	    cn_human_ratio(top->lan, top->wan).text,
	    cn_human_saved(top->lan, top->wan).text,
	    cn_human_bytes(top->lan).text);
}

/* ---- for programs ---- */

static json_t *
row_json(const struct cn_top_row *row)
{
	return json_pack("{s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "id",
	    (json_int_t)row->id, "name", row->name, "peer", row->peer, "why",
	    row->why, "age_us", (json_int_t)row->age_us, "lan",
	    (json_int_t)row->lan, "wan", (json_int_t)row->wan, "lan_bps",
	    (json_int_t)row->lan_bps, "wan_bps", (json_int_t)row->wan_bps);
}

json_t *
cn_top_json(const struct cn_top *top, uint64_t limit)
{
	json_t *rows = json_array();
	size_t count = (size_t)CN_MIN((uint64_t)top->rows.count, limit);

	for (size_t i = 0; i < count; i++) {
		if (json_array_append_new(rows, row_json(&top->rows.row[i])) !=
		    0) {
			json_decref(rows);
			return NULL;
		}
	}
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:o}",
	    "gateway", top->gateway, "view", cn_top_view_name(top->view),
	    "sort", cn_top_sort_name(top->sort), "streams",
	    (json_int_t)top->streams, "lan", (json_int_t)top->lan, "wan",
	    (json_int_t)top->wan, "lan_bps", (json_int_t)top->lan_bps,
	    "wan_bps", (json_int_t)top->wan_bps, "has_rates", top->has_rates,
	    "rows", rows);
}
