/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_STORE_IMAGE_PRIVATE_H
#define CN_STORE_IMAGE_PRIVATE_H

/*
 * The plain insides of an image, for exports, tests and the fuzz harness.
 */

#include <stdint.h>

#include "base/attr.h"
#include "store/image.h"

/*
 * Read a plain footer.
 *
 * @footer  CN_IMAGE_FOOTER_BYTES
 * @chunk   room for CN_IMAGE_CHUNKS_MAX, or NULL
 *
 * Returns CN_OK or CN_ECODING; there is one footer for each info.
 */
int cn_image_parse_footer(const uint8_t *footer, struct cn_image_info *info,
    struct cn_store_chunk *chunk) CN_MUSTCHECK;

/* Write a plain footer of CN_IMAGE_FOOTER_BYTES.  CN_OK or CN_EINVAL. */
int cn_image_write_footer(const struct cn_image_info *info,
    const struct cn_store_chunk *chunk, uint8_t *footer) CN_MUSTCHECK;

/* Are these the plain CN_SEGMENT_BYTES that the extents speak of, and zeros
 * everywhere else?  CN_OK or CN_ECODING. */
int cn_image_check_data(
    const struct cn_image_info *info, const uint8_t *data) CN_MUSTCHECK;

/*
 * Open a whole image into plain footer and data, one behind the other.
 *
 * @plain  CN_IMAGE_FOOTER_BYTES + CN_SEGMENT_BYTES; may not overlap
 *
 * Returns as cn_image_open_data().
 */
int cn_image_open_plain(const uint8_t key[CN_IMAGE_KEY_BYTES],
    const uint8_t *image, struct cn_image_info *info,
    uint8_t *plain) CN_MUSTCHECK;

/* Seal plain footer and data where they stand in an image, and write its
 * head.  CN_OK or CN_EIO. */
int cn_image_seal_placed(
    const uint8_t key[CN_IMAGE_KEY_BYTES], uint8_t *image) CN_MUSTCHECK;

#endif /* CN_STORE_IMAGE_PRIVATE_H */
