/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_STORE_EXPORT_PRIVATE_H
#define CN_STORE_EXPORT_PRIVATE_H

/*
 * The plain insides of an exported image, for the fuzz harness, which cannot
 * guess tags.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "store/export.h"

/*
 * Make a plain image of the plain body of a record: see it from this side of
 * the pair, and put the extents where they belong.
 *
 * @image  CN_IMAGE_BYTES; the body stands at CN_IMAGE_HEAD_BYTES of it; len
 *         bytes, at most what fits
 *
 * Returns CN_OK, CN_EPEER, CN_ECODING.
 */
int cn_import_unpack(
    const struct cn_import *stream, uint8_t *image, size_t len) CN_MUSTCHECK;

#endif /* CN_STORE_EXPORT_PRIVATE_H */
