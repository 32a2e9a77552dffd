/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_IMAGE_SAMPLES_H
#define CN_TESTS_IMAGE_SAMPLES_H

/*
 * Segments for the tests of images and exports, and OpenSSL's memory behind
 * cn_alloc(), so that its allocations can be made to fail too.
 */

#include <assert.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/hash.h"
#include "base/rand.h"
#include "store/image.h"

struct image_sample {
	struct cn_image_info info;
	struct cn_store_chunk chunk[CN_IMAGE_CHUNKS_MAX];
	uint8_t data[CN_SEGMENT_BYTES];
};

static const uint8_t sample_key[CN_IMAGE_KEY_BYTES] = { 7, 1, 4 };

/* The bytes are random, also where nothing is used. */
static inline void
sample_fill(struct image_sample *sample, uint64_t seed)
{
	struct cn_image_info *info = &sample->info;
	struct cn_prng prng;

	memset(sample, 0, sizeof(*sample));
	cn_prng_init(&prng, seed);
	cn_prng_bytes(&prng, sample->data, sizeof(sample->data));
	cn_prng_bytes(&prng, info->peer, sizeof(info->peer));
	info->is_mine = cn_prng_chance(&prng, 1, 2);
	info->epoch = cn_prng_u64(&prng);
	info->sequence = cn_prng_below(&prng, CN_PLACE_END >> CN_SEGMENT_SHIFT);
	info->age = cn_prng_u64(&prng);
	info->sealed_s = 1800000000;
	for (size_t i = 0; i < CN_SEGMENT_EXTENTS; i++) {
		struct cn_image_extent *extent = &info->extent[i];

		/* Full, empty, and in between. */
		extent->used = i % 3 == 0
		    ? CN_EXTENT_BYTES
		    : (uint32_t)cn_prng_below(&prng, CN_EXTENT_BYTES + 1);
		if (i % 7 == 5 || extent->used == 0) {
			extent->used = 0;
			continue;
		}
		extent->scope = cn_prng_u64(&prng);
		extent->hash = (uint32_t)cn_hash64(
		    sample->data + i * CN_EXTENT_BYTES, extent->used, 0);
	}
	info->chunks = (uint32_t)cn_prng_below(&prng, CN_IMAGE_CHUNKS_MAX + 1);
	for (size_t i = 0; i < info->chunks; i++) {
		sample->chunk[i].key = cn_prng_u64(&prng);
		sample->chunk[i].pos = cn_prng_below(&prng, CN_SEGMENT_BYTES);
	}
}

/* The sample's data as an image gives it back. */
static inline void
sample_trim(struct image_sample *sample)
{
	for (size_t i = 0; i < CN_SEGMENT_EXTENTS; i++) {
		uint32_t used = sample->info.extent[i].used;

		memset(sample->data + i * CN_EXTENT_BYTES + used, 0,
		    CN_EXTENT_BYTES - used);
	}
}

/* Every field, since a struct has gaps. */
static inline bool
sample_is_info(const struct cn_image_info *a, const struct cn_image_info *b)
{
	return memcmp(a->peer, b->peer, sizeof(a->peer)) == 0 &&
	    a->is_mine == b->is_mine && a->epoch == b->epoch &&
	    a->sequence == b->sequence && a->age == b->age &&
	    a->sealed_s == b->sealed_s && a->chunks == b->chunks &&
	    memcmp(a->extent, b->extent, sizeof(a->extent)) == 0;
}

/* ---- OpenSSL's memory ---- */

static inline void *
sample_alloc(size_t size, const char *file CN_UNUSED, int line CN_UNUSED)
{
	return cn_alloc(size);
}

static inline void *
sample_realloc(
    void *p, size_t size, const char *file CN_UNUSED, int line CN_UNUSED)
{
	return cn_realloc(p, size);
}

static inline void
sample_free(void *p, const char *file CN_UNUSED, int line CN_UNUSED)
{
	cn_free(p);
}

/* First thing in main(). */
static inline void
sample_take_memory(void)
{
	int is_taken =
	    CRYPTO_set_mem_functions(sample_alloc, sample_realloc, sample_free);

	assert(is_taken == 1);
	(void)is_taken;
}

#endif /* CN_TESTS_IMAGE_SAMPLES_H */
