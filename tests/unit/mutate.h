/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_MUTATE_H
#define CN_TESTS_MUTATE_H

/*
 * Deterministic damage for tests of decoders: every small change of a good
 * sample, each in a heap block of its exact size, so that the address
 * sanitizer sees a read of one byte too many.
 *
 *   static void check(const uint8_t *bytes, size_t len, void *arg);
 *   cn_mutate_each(sample, sizeof(sample), check, NULL);
 *
 * The check must accept anything: the decoder answers with a clean error, or
 * with a result that encodes again to what it read.
 *
 * Bytes damaged: each of them (samples are to be small: the work grows with
 * the square of their length).
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

/* @bytes  borrowed, exactly len of them on the heap */
typedef void cn_mutate_check(const uint8_t *bytes, size_t len, void *arg);

/* Give the check a copy of the right size: head, then tail. */
static inline void
cn_mutate_give(const uint8_t *head, size_t head_len, const uint8_t *tail,
    size_t tail_len, cn_mutate_check *check, void *arg)
{
	size_t len = head_len + tail_len;
	/* A block of 0 bytes may be NULL, which is not what is tested. */
	uint8_t *copy = cn_alloc(len > 0 ? len : 1);

	assert(copy != NULL);
	if (head_len > 0) {
		memcpy(copy, head, head_len);
	}
	if (tail_len > 0) {
		memcpy(copy + head_len, tail, tail_len);
	}
	check(copy, len, arg);
	cn_free(copy);
}

/*
 * Call the check with the sample itself, then with every cut of it, and, for
 * each byte: every flip of a bit, a few telling values in its place, the byte
 * left out, the byte doubled.
 */
static inline void
cn_mutate_each(
    const uint8_t *sample, size_t len, cn_mutate_check *check, void *arg)
{
	static const uint8_t values[] = { 0x00, 0x01, 0x3f, 0x40, 0x7f, 0x80,
		0xbf, 0xc0, 0xfe, 0xff };
	uint8_t *work = cn_alloc(len + 1);

	assert(work != NULL);
	for (size_t cut = 0; cut <= len; cut++) {
		cn_mutate_give(sample, cut, NULL, 0, check, arg);
	}
	for (size_t i = 0; i < len; i++) {
		memcpy(work, sample, len);
		for (unsigned bit = 0; bit < 8; bit++) {
			work[i] = (uint8_t)(sample[i] ^ 1u << bit);
			cn_mutate_give(work, len, NULL, 0, check, arg);
		}
		for (size_t v = 0; v < sizeof(values); v++) {
			work[i] = values[v];
			cn_mutate_give(work, len, NULL, 0, check, arg);
		}
		cn_mutate_give(
		    sample, i, sample + i + 1, len - i - 1, check, arg);
		cn_mutate_give(sample, i + 1, sample + i, len - i, check, arg);
	}
	/* The whole of it twice. */
	cn_mutate_give(sample, len, sample, len, check, arg);
	cn_free(work);
}

#endif /* CN_TESTS_MUTATE_H */
