/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONTROL_LINE_H
#define CN_CONTROL_LINE_H

/*
 * JSON as one line of text at the end of a buffer.
 *
 * Thread: any.
 */

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"

/*
 * Append compact JSON and a newline.
 *
 * @json  borrowed
 *
 * Returns CN_OK; CN_ELIMIT (the buffer's cap) or CN_ENOMEM, and then the
 * buffer holds what it held before.
 */
int cn_line_append(struct cn_buf *out, const json_t *json) CN_MUSTCHECK;

#endif /* CN_CONTROL_LINE_H */
