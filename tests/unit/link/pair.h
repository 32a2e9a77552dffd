/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_PAIR_H
#define CN_TESTS_PAIR_H

/*
 * Two engines joined by hand: the test moves the bytes and the time.
 *
 * Life:       pair_set_up() to pair_tear_down(), which checks that nothing
 *             is kept.
 * Invariants: side 0 dials and opens even ids.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link/link.h"
#include "wire/limits.h"

struct cn_pool;
struct cn_codec;
struct cn_dedup;
struct cn_dedup_scratch;
struct cn_store;

#define PAIR_SLOTS 2u
#define PAIR_BUF (1u << 20)

/* What one side saw of one stream. */
struct pair_end {
	struct cn_stream *stream;
	bool is_ended, is_reset;
	uint64_t reason;
	unsigned readable, writable; /* events */
};

#define PAIR_ENDS 2048

struct pair {
	uint64_t now;
	struct cn_pool *pool[2];
	struct cn_codec *codec[2];
	struct cn_store *store[2]; /* NULL: none */
	struct cn_dedup_scratch *scratch[2];
	struct cn_dedup *dedup[2];
	bool is_beside; /* the stores are another's */
	unsigned wakes[2];
	struct cn_link *link[2];
	struct cn_link_config config;
	struct cn_hello hello[2];
	uint64_t generation;
	/* By id, both sides. */
	struct pair_end end[2][PAIR_ENDS];
	/* On the way from side i, and how often something was pulled. */
	uint8_t *wire[2];
	size_t wire_len[2];
	unsigned pulls[2];
	uint64_t wire_sum[2];
	unsigned carrier_events[2];
	uint64_t carrier_reason[2];
	bool is_drained[2], is_lost[2];
};

extern const struct cn_link_profile pair_profile;

void pair_config(struct cn_link_config *config);
struct pair *pair_create(const struct cn_link_config *config);
/* The same with a store of so much memory on each side. */
struct pair *pair_create_stored(
    const struct cn_link_config *config, uint64_t memory_bytes);
/* Another link of the same two gateways, with the stores of the first, which
 * is freed after it. */
struct pair *pair_create_beside(
    const struct cn_link_config *config, struct pair *first);
void pair_free(struct pair **pp);

/* A new carrier in the slot, on both sides. */
void pair_attach(struct pair *p, uint32_t slot);
void pair_detach(struct pair *p, uint32_t slot);

struct cn_stream *pair_open(struct pair *p, int side, uint64_t scope);
/* … whose bytes neither side keeps. */
struct cn_stream *pair_open_unstored(struct pair *p, int side, uint64_t scope);
/* … with an open of the test's own, but for the names. */
struct cn_stream *pair_open_as(
    struct pair *p, int side, const struct cn_link_open *as);
size_t pair_write(
    struct pair *p, int side, uint64_t id, const void *bytes, size_t len);
/* Take all that can be read; at the end of file shut down. */
size_t pair_read(
    struct pair *p, int side, uint64_t id, uint8_t *out, size_t cap);
void pair_finish(struct pair *p, int side, uint64_t id);

/* Take what the side wants to send now into its wire; returns its bytes. */
size_t pair_pull(struct pair *p, int side, uint32_t slot);
/* Give the first len bytes of what side sent to the other; 0: all. */
int pair_give(struct pair *p, int side, uint32_t slot, size_t len);
void pair_events(struct pair *p, int side);
/* Back and forth on slot 0 until neither has more, without time passing. */
void pair_run(struct pair *p);
/* The same while so much time passes, in steps of a millisecond. */
void pair_pass(struct pair *p, uint64_t us);

/* Bytes that depend on offset and key; text when key is even. */
void pair_content(uint64_t key, uint64_t offset, uint8_t *out, size_t len);

#endif /* CN_TESTS_PAIR_H */
