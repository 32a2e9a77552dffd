/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONFIG_DIAG_H
#define CN_CONFIG_DIAG_H

/*
 * What is wrong with a configuration: a list of errors and warnings, each
 * with its place, in the form that compilers use.
 *
 * Life:       embedded by whoever loads or shows a configuration; init,
 *             handed to cn_config_load(), rendered or walked, fini.
 * Thread:     one at a time; no globals.
 * Invariants: at most CN_DIAG_MAX entries are kept, the rest is counted;
 *             every text is valid UTF-8 without control characters, so that
 *             it may be printed to a terminal or put into JSON as it is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

/* Diagnostics that a list keeps; what comes after is only counted. */
#define CN_DIAG_MAX 100u
/* Longest text of a message, a hint or a source line that is kept, bytes. */
#define CN_DIAG_TEXT_MAX 400u

enum cn_diag_severity {
	CN_DIAG_ERROR,
	CN_DIAG_WARNING,
};

struct cn_diag {
	enum cn_diag_severity severity;
	uint32_t line;   /* from 1; 0: the file as a whole */
	uint32_t column; /* from 1, in characters; 0 as above */
	uint32_t width;  /* characters to underline, 1 or more */
	uint32_t order;  /* rank of the file in the order of reading */
	char *file;      /* owned; as the user named it */
	char *message;   /* owned; one sentence without a full stop */
	char *hint;      /* owned or NULL; how to mend it */
	char *source;    /* owned or NULL; the line's text, cut if long */
};

struct cn_diag_list {
	struct cn_diag *item; /* owned; count of them */
	size_t count;
	size_t dropped; /* came after CN_DIAG_MAX */
	size_t errors;  /* dropped ones included */
	size_t warnings;
	bool is_incomplete; /* memory ran out: something is missing here */
};

/* Where a diagnostic points.  All borrowed. */
struct cn_diag_place {
	const char *file;
	uint32_t order;
	uint32_t line, column, width;
	const char *source; /* the line's text, or NULL */
	size_t source_len;
};

void cn_diag_init(struct cn_diag_list *list);
/* Free all entries; the list is as after init. */
void cn_diag_fini(struct cn_diag_list *list);

/*
 * Add one diagnostic.
 *
 * @hint  text or NULL; copied
 *
 * Never fails the caller: without memory it is counted and the list says
 * is_incomplete.
 */
void cn_diag_add(struct cn_diag_list *list, enum cn_diag_severity severity,
    const struct cn_diag_place *place, const char *hint, const char *fmt, ...)
    CN_PRINTF(5, 6);

/* Order by file, line and column; equal places keep their order. */
void cn_diag_sort(struct cn_diag_list *list);

/*
 * One diagnostic as text:
 *
 *   compressnet.yaml:7:5: error: unknown key 'adress' in peers.tokyo; did ...
 *       7 |     adress: "tokyo.example.net:3"
 *         |     ^~~~~~
 *
 * Returns CN_OK, CN_ENOMEM or CN_ELIMIT (the buffer's own cap).
 */
int cn_diag_render(const struct cn_diag *diag, bool is_coloured,
    struct cn_buf *out) CN_MUSTCHECK;

/* All of them, then a line that counts errors and warnings (if any). */
int cn_diag_render_all(const struct cn_diag_list *list, bool is_coloured,
    struct cn_buf *out) CN_MUSTCHECK;

#endif /* CN_CONFIG_DIAG_H */
