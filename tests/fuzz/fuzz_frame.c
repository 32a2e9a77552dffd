/* SPDX-License-Identifier: Apache-2.0 */

/* The frames of one lane block. */

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "wire/cursor.h"
#include "wire/frame.h"
#include "wire/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t again[CN_DATA_MAX + CN_FRAME_DATA_HEAD_MAX];
	struct cn_cursor in;
	struct cn_frame frame;
	int rc;

	cn_cursor_init(&in, data, len);
	while ((rc = cn_frame_decode(&in, &frame)) == CN_OK) {
		struct cn_writer out;
		size_t size = cn_frame_size(&frame);

		/* What decodes encodes again to the same bytes. */
		cn_writer_init(&out, again, sizeof(again));
		cn_frame_encode(&out, &frame);
		assert(cn_writer_ok(&out) && cn_writer_len(&out) == size);
		assert(size <= (size_t)(in.at - data));
		assert(memcmp(again, in.at - size, size) == 0);
	}
	assert(rc == CN_EEND || rc == CN_EPROTO);
	return 0;
}
