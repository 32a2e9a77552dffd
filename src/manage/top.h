/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_TOP_H
#define CN_MANAGE_TOP_H

/*
 * What `top' shows: rows with rates, from one look at the gateway to the
 * next, sorted, and as lines of a given width.  Knows no terminal.
 *
 * Life:   cn_top_init(), looks, cn_top_fini().
 * Thread: main.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/snapshot.h"
#include "manage/ask.h"

/* Streams that one look reads; the header tells how many there are. */
#define CN_TOP_ROWS_MAX 16384u
/* Longest line, with its end. */
#define CN_TOP_LINE_MAX 256u

enum cn_top_view {
	CN_TOP_STREAMS,
	CN_TOP_SERVICES, /* offers too */
	CN_TOP_PEERS,
	CN_TOP_VIEW_MAX
};

enum cn_top_sort {
	CN_TOP_BY_RATE,
	CN_TOP_BY_SAVED,
	CN_TOP_BY_AGE,
	CN_TOP_BY_BYTES,
	CN_TOP_BY_PEER,
	CN_TOP_SORT_MAX
};

struct cn_top_row {
	uint64_t id; /* of a stream; else its place */
	char name[CN_SNAP_NAME], peer[CN_SNAP_NAME];
	char why[CN_SNAP_WORD]; /* of others than streams: the state */
	uint64_t age_us;        /* 0: has none */
	uint64_t lan, wan;      /* bytes, both directions */
	uint64_t lan_bps, wan_bps;
};

struct cn_top_rows {
	struct cn_top_row *row; /* owned */
	size_t count, cap;
};

struct cn_top {
	enum cn_top_view view;
	enum cn_top_sort sort;
	struct cn_top_rows rows; /* sorted */
	struct cn_top_rows last; /* of the look before, by id */
	uint64_t at_us;          /* of the look; 0: none yet */
	bool has_rates;          /* there was a look before */
	/* The head. */
	char gateway[CN_SNAP_NAME];
	enum cn_snap_state state;
	uint64_t uptime_us, streams;
	uint64_t lan, wan, lan_bps, wan_bps;
};

void cn_top_init(struct cn_top *top);
void cn_top_fini(struct cn_top *top);

/* Another view has rows of its own: their rates begin anew. */
void cn_top_set_view(struct cn_top *top, enum cn_top_view view);
void cn_top_set_sort(struct cn_top *top, enum cn_top_sort sort);

/* One look; on failure the words are on stderr. */
enum cn_exit cn_top_look(struct cn_top *top, struct cn_ask *ask);

/* Lines of at most `width' columns, < CN_TOP_LINE_MAX, without a newline. */
void cn_top_head(const struct cn_top *top, size_t width, char *out);
void cn_top_sums(const struct cn_top *top, size_t width, char *out);
void cn_top_titles(const struct cn_top *top, size_t width, char *out);
void cn_top_line(const struct cn_top *top, const struct cn_top_row *row,
    size_t width, char *out);
const char *cn_top_view_name(enum cn_top_view view);
const char *cn_top_sort_name(enum cn_top_sort sort);

/* As one object, the first `limit' rows; NULL: no memory. */
json_t *cn_top_json(const struct cn_top *top, uint64_t limit);

/*
 * The live screen, until the user ends it.
 *
 * @interval_us  between looks
 * @count        looks, then it ends
 */
enum cn_exit cn_top_screen(struct cn_top *top, struct cn_ask *ask,
    uint64_t interval_us, uint64_t count);

#endif /* CN_MANAGE_TOP_H */
