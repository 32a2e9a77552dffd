/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_GOLDEN_CAPTURE_H
#define CN_TESTS_GOLDEN_CAPTURE_H

/*
 * One golden capture in the making: NAME.bin, the bytes of one direction of
 * a carrier, and NAME.json, what they mean.
 *
 * An item of the JSON is begun by capture_item() and closed by its caller.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "wire/frame.h"
#include "wire/hello.h"

struct capture {
	const char *folder;
	const char *name;
	uint8_t *bin; /* owned */
	size_t len;
	FILE *json;
	bool is_first;
	unsigned block; /* number of the next */
};

void capture_begin(struct capture *c, const char *folder, const char *name);
void capture_end(struct capture *c);

/* Bytes of the carrier. */
void capture_add(struct capture *c, const uint8_t *bytes, size_t len);

/* Pieces of the JSON: an item's beginning, and fields after its first. */
void capture_item(struct capture *c);
void capture_hex(FILE *out, const uint8_t *bytes, size_t len);
void capture_number(struct capture *c, const char *name, uint64_t value);
void capture_hash(struct capture *c, const char *name, uint64_t hash);
/* @is_verified  for FIN, HAVE and EXTENTS, what the receiver finds: "true",
 *               "false" or (FIN only) "null" */
void capture_frames(struct capture *c, const struct cn_frame *frames,
    size_t count, const char *is_verified);

/*
 * Bytes and item of a hello.
 *
 * @later  bytes of fields that a later version might append
 */
void capture_hello(
    struct capture *c, const struct cn_hello *hello, size_t later);

#endif /* CN_TESTS_GOLDEN_CAPTURE_H */
