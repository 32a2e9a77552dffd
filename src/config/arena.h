/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONFIG_ARENA_H
#define CN_CONFIG_ARENA_H

/*
 * Memory that is freed all at once: a configuration and its syntax trees
 * are many small pieces with one life.
 *
 * Life:   embedded by its owner; fini frees everything taken from it.
 * Thread: its owner's.
 */

#include <stddef.h>

struct cn_arena_chunk;

struct cn_arena {
	struct cn_arena_chunk *first; /* owned; the one in use */
};

void cn_arena_init(struct cn_arena *arena);
void cn_arena_fini(struct cn_arena *arena);

/* Zeroed memory, aligned for any type; NULL: out of memory. */
void *cn_arena_take(struct cn_arena *arena, size_t size);

/* Zeroed memory for so many items; NULL also when the product overflows. */
void *cn_arena_array(struct cn_arena *arena, size_t count, size_t size);

/* A copy that ends in a zero byte; NULL: out of memory. */
char *cn_arena_text(struct cn_arena *arena, const char *text, size_t len);

#endif /* CN_CONFIG_ARENA_H */
