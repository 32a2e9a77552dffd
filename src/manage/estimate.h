/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_ESTIMATE_H
#define CN_MANAGE_ESTIMATE_H

/*
 * What an estimate found, in rows (types of files, or ports), and its text
 * and JSON.  What crosses the line is manage/offline.h's.
 *
 * Life:       embedded in the command: init, rows while it runs, views, fini.
 * Thread:     one.
 * Invariants: a row stays where it is until fini; no more rows than
 *             CN_ESTIMATE_ROWS_MAX, what comes after is in the last one.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "manage/content.h"
#include "manage/offline.h"

#define CN_ESTIMATE_ROWS_MAX 512u
#define CN_ESTIMATE_NAME_MAX 32u

enum cn_estimate_pass { CN_ESTIMATE_FIRST, CN_ESTIMATE_REPEAT };
#define CN_ESTIMATE_PASSES 2

struct cn_estimate_row {
	char name[CN_ESTIMATE_NAME_MAX]; /* ".log", "5432" */
	uint16_t port;                   /* of the server; 0: files */
	uint64_t items;                  /* files, connections */
	struct cn_offline_bill bill[CN_ESTIMATE_PASSES];
	struct cn_content_bytes content; /* of the first pass */
};

struct cn_estimate {
	bool is_capture;
	bool is_complete; /* all that was asked for was read */
	/* The assumptions. */
	struct cn_offline_config offline;
	const char *profile;  /* borrowed */
	double price;         /* money per GB; < 0: not given */
	const char *currency; /* borrowed */
	/* What was found. */
	struct cn_estimate_row *row[CN_ESTIMATE_ROWS_MAX]; /* owned */
	size_t rows;
	struct cn_offline_line line[CN_ESTIMATE_PASSES][CN_OFFLINE_WAYS];
	uint64_t lan[CN_ESTIMATE_PASSES];
	uint64_t unread;     /* files that could not be read */
	uint64_t changed;    /* files that changed meanwhile */
	bool is_store_short; /* repeats would find more in a bigger store */
	/* Of captures. */
	uint64_t packets, other, fragments, damaged;
	uint64_t again, missing, strange, midway, evicted, refused;
};

void cn_estimate_init(struct cn_estimate *estimate);
void cn_estimate_fini(struct cn_estimate *estimate);

/* The row of that name, made if need be; NULL: no memory. */
struct cn_estimate_row *cn_estimate_row(
    struct cn_estimate *estimate, const char *name, uint16_t port);
/* The greatest first. */
void cn_estimate_sort(struct cn_estimate *estimate);

/* WAN bytes of a pass: all that crossed the line, both ways. */
uint64_t cn_estimate_wan(
    const struct cn_estimate *estimate, enum cn_estimate_pass pass);
/* A row's part of it: TLS is shared by bytes; what belongs to no connection
 * is in no row. */
uint64_t cn_estimate_row_wan(const struct cn_estimate *estimate,
    const struct cn_estimate_row *row, enum cn_estimate_pass pass);
uint64_t cn_estimate_row_lan(
    const struct cn_estimate_row *row, enum cn_estimate_pass pass);

/*
 * What to change, for the row; NULL: nothing.  Static text.
 */
const char *cn_estimate_advice(const struct cn_estimate_row *row);

/* At most so many rows. */
void cn_estimate_print(
    const struct cn_estimate *estimate, size_t limit, bool is_bold);
/* A new reference, or NULL without memory. */
json_t *cn_estimate_json(const struct cn_estimate *estimate, size_t limit);

#endif /* CN_MANAGE_ESTIMATE_H */
