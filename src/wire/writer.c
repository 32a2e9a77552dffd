/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/writer.h"

void
cn_writer_varint_long(struct cn_writer *w, uint64_t v)
{
	uint8_t *p;

	assert(v <= CN_VARINT_MAX);
	p = cn_writer_reserve(w, cn_varint_size(v));
	if (p != NULL) {
		(void)cn_varint_put(p, v);
	}
}
