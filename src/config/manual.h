/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONFIG_MANUAL_H
#define CN_CONFIG_MANUAL_H

/*
 * Documents made from the schema table.
 *
 * Thread: any.
 */

#include "base/attr.h"
#include "base/buf.h"

/* JSON Schema (2020-12), for editors and for `config schema'. */
int cn_manual_json_schema(struct cn_buf *out) CN_MUSTCHECK;

/* The reference page: doc/config.md. */
int cn_manual_markdown(struct cn_buf *out) CN_MUSTCHECK;

#endif /* CN_CONFIG_MANUAL_H */
