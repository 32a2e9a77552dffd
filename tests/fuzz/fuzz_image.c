/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Images of segments: {what, bytes}.
 *
 *   what 0   an image, cut or filled up with zeros; no luck ever opens it
 *   what 1   a plain footer, filled up with zeros: parsed as it is, and
 *            sealed, opened and parsed
 */

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "store/image_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const uint8_t key[CN_IMAGE_KEY_BYTES] = { 1, 2, 3 };

static void
fail_unless(int is_true)
{
	if (!is_true) {
		abort();
	}
}

/* A block of the exact size that begins with the data. */
static uint8_t *
block_of(size_t size, const uint8_t *data, size_t len)
{
	uint8_t *block = cn_calloc(1, size);

	fail_unless(block != NULL);
	if (len > 0) {
		memcpy(block, data, CN_MIN(len, size));
	}
	return block;
}

static void
check_image(const uint8_t *data, size_t len)
{
	uint8_t *front = block_of(CN_IMAGE_DATA_AT, data, len);
	struct cn_image_info info;
	int rc;

	rc = cn_image_open(key, front, &info, NULL);
	fail_unless(rc == CN_EEND || rc == CN_ESTALE || rc == CN_ECODING);
	cn_free(front);
	if (len > CN_IMAGE_DATA_AT) {
		uint8_t *image = block_of(CN_IMAGE_BYTES, data, len);

		fail_unless(cn_image_open_data(key, image, &info,
				image + CN_IMAGE_DATA_AT) == rc);
		cn_free(image);
	}
}

/* A footer that was accepted means what it says, and only one writes it. */
static void
check_legal(const uint8_t *footer, const struct cn_image_info *info,
    const struct cn_store_chunk *chunk)
{
	uint8_t *again = block_of(CN_IMAGE_FOOTER_BYTES, NULL, 0);

	fail_unless(info->chunks <= CN_IMAGE_CHUNKS_MAX);
	fail_unless(info->sequence < CN_PLACE_END >> CN_SEGMENT_SHIFT);
	for (size_t i = 0; i < info->chunks; i++) {
		fail_unless(chunk[i].pos < CN_SEGMENT_BYTES);
	}
	for (size_t i = 0; i < CN_SEGMENT_EXTENTS; i++) {
		fail_unless(info->extent[i].used <= CN_EXTENT_BYTES);
	}
	fail_unless(cn_image_write_footer(info, chunk, again) == CN_OK);
	fail_unless(memcmp(again, footer, CN_IMAGE_FOOTER_BYTES) == 0);
	cn_free(again);
}

/* The same footer in an authentic image, over data of zeros. */
static void
check_sealed(const uint8_t *footer, int expected)
{
	static uint8_t image[CN_IMAGE_BYTES];
	struct cn_image_info info;
	int rc;

	memcpy(image + CN_IMAGE_HEAD_BYTES, footer, CN_IMAGE_FOOTER_BYTES);
	memset(image + CN_IMAGE_DATA_AT, 0, CN_SEGMENT_BYTES);
	fail_unless(cn_image_seal_placed(key, image) == CN_OK);
	fail_unless(cn_image_open(key, image, &info, NULL) == expected);
	rc = cn_image_open_data(key, image, &info, image + CN_IMAGE_DATA_AT);
	/* The data is that of the extents, or it is not. */
	fail_unless(rc == CN_ECODING || (rc == CN_OK && expected == CN_OK));
}

static void
check_footer(const uint8_t *data, size_t len)
{
	uint8_t *footer = block_of(CN_IMAGE_FOOTER_BYTES, data, len);
	struct cn_store_chunk *chunk =
	    cn_calloc(CN_IMAGE_CHUNKS_MAX, sizeof(*chunk));
	struct cn_image_info info;
	int rc;

	fail_unless(chunk != NULL);
	rc = cn_image_parse_footer(footer, &info, chunk);
	fail_unless(rc == CN_OK || rc == CN_ECODING);
	if (rc == CN_OK) {
		check_legal(footer, &info, chunk);
	}
	/* Slow, so only of some. */
	if (cn_hash64(footer, CN_IMAGE_FOOTER_BYTES, 0) % 16 == 0) {
		check_sealed(footer, rc);
	}
	cn_free(chunk);
	cn_free(footer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0) {
		return 0;
	}
	if (data[0] % 2 == 0) {
		check_image(data + 1, len - 1);
	} else {
		check_footer(data + 1, len - 1);
	}
	return 0;
}
