/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/table.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

void
cn_table_init(
    struct cn_table *table, const struct cn_table_column *columns, size_t count)
{
	assert(count <= CN_TABLE_COLUMNS_MAX);
	memset(table, 0, sizeof(*table));
	table->columns = columns;
	table->columns_count = count;
	for (size_t i = 0; i < count; i++) {
		table->width[i] = strlen(columns[i].title);
	}
}

static void
forget_rows(struct cn_table *table)
{
	for (size_t i = 0; i < table->rows * table->columns_count; i++) {
		cn_free(table->cells[i]);
	}
	table->rows = 0;
}

void
cn_table_fini(struct cn_table *table)
{
	forget_rows(table);
	cn_free(table->cells);
	memset(table, 0, sizeof(*table));
}

void
cn_table_clean(char *out, size_t size, const char *text)
{
	size_t len = 0;

	assert(size >= 2);
	for (; text[len] != '\0' && len < size - 1; len++) {
		unsigned char c = (unsigned char)text[len];

		out[len] = c < 0x20 || c > 0x7e ? '?' : (char)c;
	}
	if (text[len] != '\0') {
		out[len - 1] = '~';
	}
	out[len] = '\0';
}

static bool
make_room(struct cn_table *table)
{
	size_t cap = table->rows_cap == 0 ? 32 : table->rows_cap * 2;

	if (table->rows < table->rows_cap) {
		return true;
	}
	char **cells = cn_realloc(
	    table->cells, cap * table->columns_count * sizeof(*cells));
	if (cells == NULL) {
		return false;
	}
	table->cells = cells;
	table->rows_cap = cap;
	return true;
}

void
cn_table_row(struct cn_table *table, const char *const *cells)
{
	if (!make_room(table)) {
		table->is_failed = true;
		return;
	}
	char **row = table->cells + table->rows * table->columns_count;
	for (size_t i = 0; i < table->columns_count; i++) {
		char clean[CN_TABLE_CELL_MAX + 1];

		cn_table_clean(
		    clean, sizeof(clean), cells[i][0] != '\0' ? cells[i] : "-");
		row[i] = cn_strdup(clean);
		if (row[i] == NULL) {
			while (i > 0) {
				cn_free(row[--i]);
			}
			table->is_failed = true;
			return;
		}
		table->width[i] = CN_MAX(table->width[i], strlen(clean));
	}
	table->rows++;
}

static void
print_line(
    const struct cn_table *table, FILE *out, char *const *cells, int indent)
{
	(void)fprintf(out, "%*s", indent, "");
	for (size_t i = 0; i < table->columns_count; i++) {
		const char *cell =
		    cells != NULL ? cells[i] : table->columns[i].title;
		int width = (int)table->width[i];

		if (table->columns[i].is_number) {
			(void)fprintf(out, "%*s", width, cell);
		} else if (i + 1 == table->columns_count) {
			(void)fputs(cell, out); /* no blanks at the end */
		} else {
			(void)fprintf(out, "%-*s", width, cell);
		}
		if (i + 1 < table->columns_count) {
			(void)fputs("  ", out);
		}
	}
}

void
cn_table_print(struct cn_table *table, FILE *out, bool is_bold, int indent)
{
	if (!table->has_title) {
		(void)fputs(is_bold ? "\x1b[1m" : "", out);
		print_line(table, out, NULL, indent);
		(void)fputs(is_bold ? "\x1b[0m\n" : "\n", out);
		table->has_title = true;
	}
	for (size_t row = 0; row < table->rows; row++) {
		print_line(table, out,
		    table->cells + row * table->columns_count, indent);
		(void)fputc('\n', out);
	}
	if (table->is_failed) {
		(void)fprintf(
		    out, "%*s(memory ran out: rows are missing)\n", indent, "");
	}
	forget_rows(table);
}
