/* SPDX-License-Identifier: Apache-2.0 */
#include "store/index.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/err.h"

#define LINE 64u
#define ENTRIES 8u
#define BYTES_MIN 4096u
#define HOOK_BITS_MAX 16u
#define SPOT_MASK ((UINT64_C(1) << CN_INDEX_SPOT_BITS) - 1)

/*
 * An entry of zeros is free; whoever puts key and spot of such an entry (it
 * takes segment 0, which the store never gives) loses a hint and no more.
 */
struct bucket {
	_Alignas(LINE) _Atomic uint64_t entry[ENTRIES]; /* newest first */
};

struct cn_index {
	void *memory; /* owned; zeroed by the system as it is touched */
	struct bucket *bucket; /* in memory, aligned */
	uint64_t buckets;      /* < 2^32 */
	uint64_t hook_mask;
	unsigned hook_bits;
};

int
cn_index_create(uint64_t bytes, unsigned hook_bits, struct cn_index **ret)
{
	struct cn_index *index;

	if (bytes < BYTES_MIN || bytes / LINE > UINT32_MAX ||
	    hook_bits > HOOK_BITS_MAX) {
		return CN_EINVAL;
	}
	index = cn_calloc(1, sizeof(*index));
	if (index == NULL) {
		return CN_ENOMEM;
	}
	index->buckets = bytes / LINE;
	index->hook_bits = hook_bits;
	index->hook_mask = (UINT64_C(1) << hook_bits) - 1;
	index->memory = cn_calloc(index->buckets + 1, LINE);
	if (index->memory == NULL) {
		cn_free(index);
		return CN_ENOMEM;
	}
	index->bucket =
	    (struct bucket *)(((uintptr_t)index->memory + LINE - 1) / LINE *
		LINE);
	*ret = index;
	return CN_OK;
}

void
cn_index_free(struct cn_index **ip)
{
	if (*ip == NULL) {
		return;
	}
	cn_free((*ip)->memory);
	cn_free(*ip);
	*ip = NULL;
}

bool
cn_index_takes(const struct cn_index *index, uint64_t key)
{
	return (key & index->hook_mask) == 0;
}

unsigned
cn_index_hook_bits(const struct cn_index *index)
{
	return index->hook_bits;
}

/* By the upper half of the key: the lower one ends in a hook's zeros. */
static struct bucket *
bucket_of(const struct cn_index *index, uint64_t key)
{
	return &index->bucket[(key >> 32) * index->buckets >> 32];
}

/* Bits that choose neither the bucket nor the hooks. */
static uint64_t
tag_of(uint64_t key)
{
	return (key >> 16 & 0xffff) << CN_INDEX_SPOT_BITS;
}

void
cn_index_put(struct cn_index *index, uint64_t key, uint64_t spot)
{
	struct bucket *bucket = bucket_of(index, key);
	uint64_t fresh = tag_of(key) | spot, carry = fresh;

	assert(spot <= SPOT_MASK);
	if (!cn_index_takes(index, key)) {
		return;
	}
	/* Push the others down, until the hole of a free or equal one.  Two
	 * at once may lose or double an entry, never tear one. */
	for (unsigned i = 0; i < ENTRIES; i++) {
		uint64_t old = atomic_load_explicit(
		    &bucket->entry[i], memory_order_relaxed);

		atomic_store_explicit(
		    &bucket->entry[i], carry, memory_order_relaxed);
		if (old == 0 || old == fresh) {
			return;
		}
		carry = old;
	}
}

size_t
cn_index_find(
    const struct cn_index *index, uint64_t key, uint64_t spots[CN_INDEX_HINTS])
{
	struct bucket *bucket = bucket_of(index, key);
	uint64_t tag = tag_of(key);
	size_t n = 0;

	if (!cn_index_takes(index, key)) {
		return 0;
	}
	for (unsigned i = 0; i < ENTRIES && n < CN_INDEX_HINTS; i++) {
		uint64_t entry = atomic_load_explicit(
		    &bucket->entry[i], memory_order_relaxed);

		if (entry == 0) {
			break;
		}
		if ((entry & ~SPOT_MASK) == tag) {
			spots[n++] = entry & SPOT_MASK;
		}
	}
	return n;
}

void
cn_index_prefetch(const struct cn_index *index, uint64_t key)
{
	if (cn_index_takes(index, key)) {
		__builtin_prefetch(bucket_of(index, key));
	}
}

void
cn_index_clear(struct cn_index *index)
{
	for (uint64_t b = 0; b < index->buckets; b++) {
		struct bucket *bucket = &index->bucket[b];

		/* What was never touched stays so. */
		for (unsigned i = 0; i < ENTRIES; i++) {
			if (atomic_load_explicit(
				&bucket->entry[i], memory_order_relaxed) != 0) {
				atomic_store_explicit(
				    &bucket->entry[i], 0, memory_order_relaxed);
			}
		}
	}
}

uint64_t
cn_index_bytes(const struct cn_index *index)
{
	return index->buckets * LINE;
}
