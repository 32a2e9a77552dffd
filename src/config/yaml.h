/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONFIG_YAML_H
#define CN_CONFIG_YAML_H

/*
 * One YAML text as a small tree with places.
 *
 * A configuration needs little of YAML, and what it does not need is
 * refused here: anchors, aliases, tags, directives, several documents, keys
 * that are not plain words, control characters, deep nesting.  So no text
 * can grow while it is read, and what is left means what it seems to mean.
 *
 * Life:       nodes live as long as the arena that they come from.
 * Thread:     its owner's.
 * Invariants: no more than CN_YAML_NODES_MAX nodes, CN_YAML_DEPTH_MAX deep;
 *             every text is valid UTF-8 without control characters and ends
 *             in a zero byte.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "config/config.h"
#include "config/diag.h"

struct cn_arena;

/* Maps and lists inside one another: the schema needs four. */
#define CN_YAML_DEPTH_MAX 16u
#define CN_YAML_NODES_MAX 65536u
/* Bytes of one key or value: a path is the longest. */
#define CN_YAML_TEXT_MAX 4096u

enum cn_yaml_kind {
	CN_YAML_EMPTY, /* no value, "~" or "null" */
	CN_YAML_SCALAR,
	CN_YAML_MAP,
	CN_YAML_LIST,
};

struct cn_yaml_node {
	enum cn_yaml_kind kind;
	uint32_t line, column;      /* from 1 */
	const char *text;           /* SCALAR; else "" */
	struct cn_yaml_node *key;   /* of a value in a map; a scalar */
	struct cn_yaml_node *child; /* MAP, LIST: the first */
	struct cn_yaml_node *last;  /* MAP, LIST: the last */
	struct cn_yaml_node *next;  /* sibling */
};

/*
 * Read a text.
 *
 * @order  the file's rank, for the order of diagnostics
 * @ret    the root; kind EMPTY when the text holds nothing
 *
 * Returns CN_OK, CN_ECONFIG (the reason is in diags), CN_ENOMEM.
 */
int cn_yaml_parse(const struct cn_config_text *text, uint32_t order,
    struct cn_arena *arena, struct cn_diag_list *diags,
    struct cn_yaml_node **ret) CN_MUSTCHECK;

/*
 * Fill a diagnostic's place from a line and a column (line 0: the file as a
 * whole): finds the line and how much of it to underline.
 */
void cn_yaml_place(const struct cn_config_text *text, uint32_t order,
    uint32_t line, uint32_t column, struct cn_diag_place *ret);

#endif /* CN_CONFIG_YAML_H */
