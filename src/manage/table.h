/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_TABLE_H
#define CN_MANAGE_TABLE_H

/*
 * Aligned columns of text.
 *
 * Life:       init, rows, print (any number of times), fini.
 * Thread:     one.
 * Invariants: what is printed holds no control characters, whatever a peer
 *             sent: a byte outside printable ASCII shows as '?'.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/attr.h"

#define CN_TABLE_COLUMNS_MAX 16u
/* Longest cell; longer ones are cut and end in "~". */
#define CN_TABLE_CELL_MAX 60u

struct cn_table_column {
	const char *title;
	bool is_number; /* aligned to the right */
};

struct cn_table {
	const struct cn_table_column *columns; /* borrowed */
	size_t columns_count;
	size_t width[CN_TABLE_COLUMNS_MAX];
	char **cells; /* owned; rows * columns_count */
	size_t rows, rows_cap;
	bool has_title; /* was printed */
	bool is_failed; /* memory ran out: rows are missing */
};

void cn_table_init(struct cn_table *table,
    const struct cn_table_column *columns, size_t count);
void cn_table_fini(struct cn_table *table);

/* Add a row of as many texts as there are columns; copied. */
void cn_table_row(struct cn_table *table, const char *const *cells);

/*
 * Print the titles (the first time) and the rows, and forget the rows.
 * Widths only grow, so a long list may be printed in pieces.
 *
 * @indent  spaces before each line
 */
void cn_table_print(
    struct cn_table *table, FILE *out, bool is_bold, int indent);

/* Copy a text for a terminal; size >= 2. */
void cn_table_clean(char *out, size_t size, const char *text);

#endif /* CN_MANAGE_TABLE_H */
