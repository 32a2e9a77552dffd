/* SPDX-License-Identifier: Apache-2.0 */

/* The first fragment of a batch: what it refers to, and its list of copies
 * as far as that is there and not coded. */

#include <assert.h>
#include <string.h>

#include "base/attr.h"
#include "base/err.h"
#include "wire/block.h"
#include "wire/cursor.h"
#include "wire/refs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check_place(uint64_t pos, uint32_t len)
{
	assert(len >= 1 && pos < CN_LOG_END);
	assert(pos >> CN_LOG_SEGMENT_SHIFT ==
	    (pos + len - 1) >> CN_LOG_SEGMENT_SHIFT);
}

/* What the receiver relies on. */
static void
check_refs(const struct cn_batch_head *head, const struct cn_refs *refs)
{
	uint32_t payload = cn_refs_payload(head, refs), delta = 0;
	uint64_t at = 0;

	assert(payload >= 1 && payload <= head->plain_len);
	assert(head->coded_len <= payload);
	assert(head->coding == CN_CODING_ZSTD || head->coded_len == payload);
	for (size_t i = 0; i < refs->regions; i++) {
		const struct cn_ref_region *region = &refs->region[i];

		check_place(region->pos, region->len);
		assert(region->log < refs->logs);
		delta += region->len;
	}
	assert(delta == refs->delta_len && delta <= CN_REFS_DELTA_MAX);
	assert(refs->regions == 0 ? head->prefix_len <= head->offset
				  : head->prefix_len == delta);
	for (size_t i = 0; i < refs->stores; i++) {
		const struct cn_ref_store *store = &refs->store[i];

		assert(store->offset >= at && store->len >= 1);
		at = (uint64_t)store->offset + store->len;
		assert(at <= head->plain_len);
		assert(store->pos + store->len <= CN_LOG_END);
	}
}

/* What decodes encodes again to the same bytes. */
static void
encode_again(const struct cn_batch_head *head, const struct cn_refs *refs)
{
	struct cn_refs copy = *refs;
	uint8_t ext[CN_BATCH_EXT_MAX];
	size_t len = cn_refs_encode(ext, sizeof(ext), &copy);

	assert(len == head->ext_len && copy.stores == refs->stores);
	assert(len == 0 || memcmp(ext, head->ext, len) == 0);
}

/* Each copy encodes to no more bytes, which decode to the same copy. */
static size_t
walk(const struct cn_refs *refs, const uint8_t *bytes, size_t len)
{
	struct cn_ref_cursor at = { 0 }, at_again = { 0 }, at_back = { 0 };
	struct cn_ref_op op, back;
	struct cn_cursor in, in_again;
	size_t count = 0;

	cn_cursor_init(&in, bytes, len);
	for (;;) {
		const uint8_t *from = in.at;
		uint8_t out[CN_REFS_OP_MAX];
		size_t n;

		if (cn_ref_op_decode(&in, &at, refs->logs, &op) != CN_OK) {
			return count;
		}
		check_place(op.pos, op.copy);
		assert(op.log < refs->logs);
		n = cn_ref_op_encode(out, sizeof(out), &at_again, &op);
		assert(n <= (size_t)(in.at - from));
		cn_cursor_init(&in_again, out, n);
		assert(cn_ref_op_decode(
			   &in_again, &at_back, refs->logs, &back) == CN_OK);
		assert(cn_cursor_is_finished(&in_again));
		assert(back.literal == op.literal && back.copy == op.copy &&
		    back.log == op.log && back.pos == op.pos);
		assert(at.pos == at_again.pos && at.log == at_again.log);
		count++;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct cn_refs refs;
	struct cn_fragment f;
	size_t used, copies, count;

	if (cn_fragment_decode(data, len, &f, &used) != CN_OK ||
	    f.kind != CN_FRAGMENT_BATCH ||
	    cn_refs_decode(&f.batch, &refs) != CN_OK) {
		return 0;
	}
	check_refs(&f.batch, &refs);
	encode_again(&f.batch, &refs);
	count = walk(&refs, f.body, CN_MIN(f.body_len, refs.ops_len));
	if (refs.has_copies && f.body_len >= refs.ops_len &&
	    cn_refs_check_ops(&refs, f.body, f.batch.plain_len, &copies) ==
		CN_OK) {
		assert(copies == count);
	}
	return 0;
}
