/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/*
 * The counts are kept in shards, one cache line each, so that workers do
 * not share a line.  A thread adds to its own shard; what one allocates and
 * another frees makes single shards run negative, but not the sum.
 */
#define SHARDS 32u
#define CACHE_LINE 64
#define PAGE_BYTES ((size_t)4096)
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct shard {
	_Alignas(CACHE_LINE) _Atomic int64_t blocks;
	_Atomic int64_t bytes;
};

static struct shard shards[SHARDS];
static _Atomic unsigned int threads_seen;

static _Thread_local struct shard *my_shard;
static _Thread_local uint64_t fail_in; /* calls until the failure; 0: off */
static _Thread_local bool has_failed;

static struct shard *
shard(void)
{
	if (my_shard == NULL) {
		my_shard = &shards[atomic_fetch_add(&threads_seen, 1) % SHARDS];
	}
	return my_shard;
}

static void
count(int64_t blocks, int64_t bytes)
{
	struct shard *s = shard();

	atomic_fetch_add_explicit(&s->blocks, blocks, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->bytes, bytes, memory_order_relaxed);
}

static bool
must_fail(void)
{
	if (fail_in == 0) {
		return false;
	}
	fail_in--;
	if (fail_in != 0) {
		return false;
	}
	has_failed = true;
	return true;
}

static void *
counted(void *p)
{
	if (p != NULL) {
		count(1, (int64_t)malloc_usable_size(p));
	}
	return p;
}

void *
cn_alloc(size_t size)
{
	if (must_fail()) {
		return NULL;
	}
	return counted(malloc(size == 0 ? 1 : size));
}

void *
cn_calloc(size_t n, size_t size)
{
	size_t product;

	if (must_fail()) {
		return NULL;
	}
	/* Here rather than in libc, where the address sanitizer stops at it. */
	if (__builtin_mul_overflow(n, size, &product)) {
		return NULL;
	}
	return counted(calloc(1, product == 0 ? 1 : product));
}

void *
cn_alloc_aligned(size_t align, size_t size)
{
	void *p = NULL;

	if (must_fail()) {
		return NULL;
	}
	if (posix_memalign(&p, align, size == 0 ? 1 : size) != 0) {
		return NULL;
	}
	return counted(p);
}

void *
cn_alloc_touched(size_t size)
{
	void *p = cn_alloc_aligned(PAGE_BYTES, size);

	if (p != NULL) {
		/* A wish: kernels before 5.14 touch it later. */
		(void)madvise(p, size - size % PAGE_BYTES, MADV_POPULATE_WRITE);
	}
	return p;
}

void *
cn_realloc(void *p, size_t size)
{
	void *grown;
	int64_t before;

	if (p == NULL) {
		return cn_alloc(size);
	}
	if (must_fail()) {
		return NULL;
	}
	before = (int64_t)malloc_usable_size(p);
	grown = realloc(p, size == 0 ? 1 : size);
	if (grown != NULL) {
		count(0, (int64_t)malloc_usable_size(grown) - before);
	}
	return grown;
}

void
cn_free(void *p)
{
	if (p == NULL) {
		return;
	}
	count(-1, -(int64_t)malloc_usable_size(p));
	free(p);
}

char *
cn_strdup(const char *text)
{
	return cn_memdup(text, strlen(text) + 1);
}

void *
cn_memdup(const void *data, size_t len)
{
	void *p = cn_alloc(len);

	if (p != NULL && len != 0) {
		memcpy(p, data, len);
	}
	return p;
}

void
cn_alloc_fail_at(uint64_t nth)
{
	fail_in = nth;
	has_failed = false;
}

bool
cn_alloc_has_failed(void)
{
	return has_failed;
}

uint64_t
cn_alloc_count(void)
{
	int64_t sum = 0;

	for (size_t i = 0; i < SHARDS; i++) {
		sum += atomic_load_explicit(
		    &shards[i].blocks, memory_order_relaxed);
	}
	return sum < 0 ? 0 : (uint64_t)sum;
}

uint64_t
cn_alloc_bytes(void)
{
	int64_t sum = 0;

	for (size_t i = 0; i < SHARDS; i++) {
		sum += atomic_load_explicit(
		    &shards[i].bytes, memory_order_relaxed);
	}
	return sum < 0 ? 0 : (uint64_t)sum;
}
