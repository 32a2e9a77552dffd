/* SPDX-License-Identifier: Apache-2.0 */
#include "config/diag.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

#define INITIAL_CAP 8u

void
cn_diag_init(struct cn_diag_list *list)
{
	memset(list, 0, sizeof(*list));
}

static void
fini_item(struct cn_diag *diag)
{
	cn_free(diag->file);
	cn_free(diag->message);
	cn_free(diag->hint);
	cn_free(diag->source);
}

void
cn_diag_fini(struct cn_diag_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		fini_item(&list->item[i]);
	}
	cn_free(list->item);
	cn_diag_init(list);
}

/* Length of the UTF-8 sequence at text[0], 0 when it is not one. */
static size_t
sequence_len(const char *text, size_t len)
{
	unsigned char c = (unsigned char)text[0];
	size_t need = c < 0x80 ? 1
	    : c < 0xc2         ? 0
	    : c < 0xe0         ? 2
	    : c < 0xf0         ? 3
	    : c < 0xf5         ? 4
			       : 0;

	if (need == 0 || need > len) {
		return 0;
	}
	for (size_t i = 1; i < need; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	return need;
}

/*
 * A copy that is fit to be shown: what is not UTF-8, and control characters
 * (terminals obey them), become '?'; a tab stays, so that carets line up.
 */
static char *
copy_shown(const char *text, size_t len)
{
	char *copy;
	size_t to = 0;

	len = CN_MIN(len, (size_t)CN_DIAG_TEXT_MAX);
	copy = cn_alloc(len + 1);
	if (copy == NULL) {
		return NULL;
	}
	for (size_t from = 0; from < len;) {
		size_t seq = sequence_len(text + from, len - from);
		unsigned char c = (unsigned char)text[from];
		bool is_control = (c < 0x20 && c != '\t') || c == 0x7f ||
		    (seq == 2 && c == 0xc2 &&
			(unsigned char)text[from + 1] < 0xa0);

		if (seq == 0 && len == CN_DIAG_TEXT_MAX && len - from < 4) {
			break; /* cut in the middle of a character */
		}
		if (seq == 0 || is_control) {
			copy[to++] = '?';
			from += seq == 0 ? 1 : seq;
			continue;
		}
		memcpy(copy + to, text + from, seq);
		to += seq;
		from += seq;
	}
	copy[to] = '\0';
	return copy;
}

static bool
grow(struct cn_diag_list *list)
{
	/* The capacity is not kept: it is the next power of two. */
	struct cn_diag *item;
	size_t cap = INITIAL_CAP;

	if (list->count != 0 &&
	    (list->count < INITIAL_CAP ||
		(list->count & (list->count - 1)) != 0)) {
		return true;
	}
	if (list->count >= INITIAL_CAP) {
		cap = list->count * 2;
	}
	item = cn_realloc(list->item, cap * sizeof(*item));
	if (item == NULL) {
		return false;
	}
	list->item = item;
	return true;
}

static bool
fill_item(struct cn_diag *diag, const struct cn_diag_place *place,
    const char *hint, const char *message)
{
	diag->line = place->line;
	diag->column = place->column;
	diag->width = CN_MAX(place->width, 1u);
	diag->order = place->order;
	diag->file = copy_shown(place->file, strlen(place->file));
	diag->message = copy_shown(message, strlen(message));
	if (hint != NULL) {
		diag->hint = copy_shown(hint, strlen(hint));
	}
	if (place->source != NULL) {
		diag->source = copy_shown(place->source, place->source_len);
	}
	return diag->file != NULL && diag->message != NULL &&
	    (hint == NULL || diag->hint != NULL) &&
	    (place->source == NULL || diag->source != NULL);
}

void
cn_diag_add(struct cn_diag_list *list, enum cn_diag_severity severity,
    const struct cn_diag_place *place, const char *hint, const char *fmt, ...)
{
	char message[CN_DIAG_TEXT_MAX];
	struct cn_diag diag = { .severity = severity };
	va_list args;

	if (severity == CN_DIAG_ERROR) {
		list->errors++;
	} else {
		list->warnings++;
	}
	if (list->count == CN_DIAG_MAX) {
		list->dropped++;
		return;
	}
	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	if (!fill_item(&diag, place, hint, message) || !grow(list)) {
		fini_item(&diag);
		list->is_incomplete = true;
		return;
	}
	list->item[list->count++] = diag;
}

static bool
is_after(const struct cn_diag *a, const struct cn_diag *b)
{
	if (a->order != b->order) {
		return a->order > b->order;
	}
	if (a->line != b->line) {
		return a->line > b->line;
	}
	return a->column > b->column;
}

void
cn_diag_sort(struct cn_diag_list *list)
{
	/* By insertion: stable, and there are at most CN_DIAG_MAX. */
	for (size_t i = 1; i < list->count; i++) {
		struct cn_diag diag = list->item[i];
		size_t at = i;

		while (at > 0 && is_after(&list->item[at - 1], &diag)) {
			list->item[at] = list->item[at - 1];
			at--;
		}
		list->item[at] = diag;
	}
}

/* What the source line needs before the caret: tabs stay tabs. */
static int
render_padding(const char *source, uint32_t column, struct cn_buf *out)
{
	int err = CN_OK;

	for (uint32_t i = 1; i < column && *source != '\0' && err == CN_OK;
	     i++) {
		err = cn_buf_append(out, *source == '\t' ? "\t" : " ", 1);
		do {
			source++;
		} while (((unsigned char)*source & 0xc0) == 0x80);
	}
	return err;
}

static int
render_source(const struct cn_diag *diag, const char *mark, const char *plain,
    struct cn_buf *out)
{
	int err;

	err = cn_buf_printf(
	    out, "%5" PRIu32 " | %s\n      | ", diag->line, diag->source);
	if (err == CN_OK) {
		err = render_padding(diag->source, diag->column, out);
	}
	if (err == CN_OK) {
		err = cn_buf_printf(out, "%s^", mark);
	}
	for (uint32_t i = 1; i < diag->width && err == CN_OK; i++) {
		err = cn_buf_append(out, "~", 1);
	}
	if (err == CN_OK) {
		err = cn_buf_printf(out, "%s\n", plain);
	}
	return err;
}

int
cn_diag_render(const struct cn_diag *diag, bool is_coloured, struct cn_buf *out)
{
	bool is_error = diag->severity == CN_DIAG_ERROR;
	const char *bold = is_coloured ? "\033[1m" : "";
	const char *plain = is_coloured ? "\033[0m" : "";
	const char *mark = !is_coloured ? ""
	    : is_error                  ? "\033[1;31m"
					: "\033[1;35m";
	int err;

	err = cn_buf_printf(out, "%s%s", bold, diag->file);
	if (err == CN_OK && diag->line != 0) {
		err = cn_buf_printf(
		    out, ":%" PRIu32 ":%" PRIu32, diag->line, diag->column);
	}
	if (err == CN_OK) {
		err = cn_buf_printf(out, ":%s %s%s:%s %s%s%s\n", plain, mark,
		    is_error ? "error" : "warning", plain, diag->message,
		    diag->hint != NULL ? "; " : "",
		    diag->hint != NULL ? diag->hint : "");
	}
	if (err == CN_OK && diag->source != NULL && diag->line != 0) {
		err = render_source(diag, mark, plain, out);
	}
	return err;
}

int
cn_diag_render_all(
    const struct cn_diag_list *list, bool is_coloured, struct cn_buf *out)
{
	int err = CN_OK;

	for (size_t i = 0; i < list->count && err == CN_OK; i++) {
		err = cn_diag_render(&list->item[i], is_coloured, out);
	}
	if (err == CN_OK && list->errors + list->warnings > 0) {
		err = cn_buf_printf(out, "%zu error%s, %zu warning%s",
		    list->errors, list->errors == 1 ? "" : "s", list->warnings,
		    list->warnings == 1 ? "" : "s");
	}
	if (err == CN_OK && list->dropped > 0) {
		err = cn_buf_printf(
		    out, " (%zu of them not shown)", list->dropped);
	}
	if (err == CN_OK && list->errors + list->warnings > 0) {
		err = cn_buf_append(out, "\n", 1);
	}
	return err;
}
