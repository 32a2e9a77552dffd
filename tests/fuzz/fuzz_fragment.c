/* SPDX-License-Identifier: Apache-2.0 */

/* What follows the hello: fragments, and the raw frames in them. */

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "wire/block.h"
#include "wire/cursor.h"
#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t
encode_head(uint8_t *out, size_t cap, const struct cn_fragment *f)
{
	switch (f->kind) {
	case CN_FRAGMENT_LANE_RAW:
	case CN_FRAGMENT_LANE_CODED:
		assert(
		    f->body_len == (size_t)f->lane.raw_len + f->lane.coded_len);
		return cn_fragment_lane_head(out, cap, &f->lane);
	case CN_FRAGMENT_BATCH:
		assert(f->body_len <= f->batch.coded_len);
		return cn_fragment_batch_head(out, cap, &f->batch, f->body_len);
	case CN_FRAGMENT_MORE:
		return cn_fragment_more_head(out, cap, f->body_len);
	}
	return 0;
}

static void
decode_frames(const struct cn_fragment *f)
{
	struct cn_cursor in;
	struct cn_frame frame;
	int rc;

	cn_cursor_init(&in, f->body, f->lane.raw_len);
	do {
		rc = cn_frame_decode(&in, &frame);
	} while (rc == CN_OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t again[CN_FRAGMENT_MAX];
	struct cn_fragment f;
	size_t used = 0;
	int rc;

	while ((rc = cn_fragment_decode(data, len, &f, &used)) == CN_OK) {
		size_t head = encode_head(again, sizeof(again), &f);

		/* What decodes encodes again to the same bytes. */
		assert(used <= len && used <= CN_FRAGMENT_MAX);
		assert(f.body + f.body_len == data + used);
		assert(head == used - f.body_len);
		assert(memcmp(again, data, head) == 0);
		if (f.kind == CN_FRAGMENT_LANE_RAW ||
		    f.kind == CN_FRAGMENT_LANE_CODED) {
			decode_frames(&f);
		}
		data += used;
		len -= used;
	}
	assert(rc == CN_EPROTO || (rc == CN_EAGAIN && len < CN_FRAGMENT_MAX));
	return 0;
}
