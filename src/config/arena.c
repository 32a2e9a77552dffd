/* SPDX-License-Identifier: Apache-2.0 */
#include "config/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

/* Small pieces share a chunk of so many bytes; large ones get their own. */
#define CHUNK_SIZE 4096u
#define ALIGNMENT _Alignof(max_align_t)

struct cn_arena_chunk {
	struct cn_arena_chunk *next;
	size_t used, size;
	_Alignas(max_align_t) unsigned char data[];
};

void
cn_arena_init(struct cn_arena *arena)
{
	arena->first = NULL;
}

void
cn_arena_fini(struct cn_arena *arena)
{
	while (arena->first != NULL) {
		struct cn_arena_chunk *chunk = arena->first;

		arena->first = chunk->next;
		cn_free(chunk);
	}
}

static struct cn_arena_chunk *
add_chunk(struct cn_arena *arena, size_t size)
{
	struct cn_arena_chunk *chunk;

	if (size > SIZE_MAX - sizeof(*chunk)) {
		return NULL;
	}
	chunk = cn_calloc(1, sizeof(*chunk) + size);
	if (chunk == NULL) {
		return NULL;
	}
	chunk->size = size;
	/* A chunk of its own goes second: the first still has room. */
	if (size > CHUNK_SIZE && arena->first != NULL) {
		chunk->next = arena->first->next;
		arena->first->next = chunk;
	} else {
		chunk->next = arena->first;
		arena->first = chunk;
	}
	return chunk;
}

void *
cn_arena_take(struct cn_arena *arena, size_t size)
{
	struct cn_arena_chunk *chunk = arena->first;
	void *memory;

	if (size > SIZE_MAX - ALIGNMENT) {
		return NULL;
	}
	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (chunk == NULL || chunk->size - chunk->used < size) {
		chunk = add_chunk(arena, size > CHUNK_SIZE ? size : CHUNK_SIZE);
		if (chunk == NULL) {
			return NULL;
		}
	}
	memory = chunk->data + chunk->used;
	chunk->used += size;
	return memory;
}

void *
cn_arena_array(struct cn_arena *arena, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		return NULL;
	}
	return cn_arena_take(arena, bytes);
}

char *
cn_arena_text(struct cn_arena *arena, const char *text, size_t len)
{
	char *copy;

	if (len == SIZE_MAX) {
		return NULL;
	}
	copy = cn_arena_take(arena, len + 1);
	if (copy != NULL && len > 0) {
		memcpy(copy, text, len);
	}
	return copy;
}
