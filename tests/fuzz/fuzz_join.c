/* SPDX-License-Identifier: Apache-2.0 */

/* The messages of a joining, which anybody may send while an invitation is
 * open. */

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "wire/join.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t again[CN_JOIN_MESSAGE_MAX];
	struct cn_join join;
	size_t used, size;
	int rc = cn_join_decode(data, len, &join, &used);

	if (rc != CN_OK) {
		assert(rc == CN_EPROTO ||
		    (rc == CN_EAGAIN && len < CN_JOIN_MESSAGE_MAX));
		return 0;
	}
	size = cn_join_encode(again, sizeof(again), &join);
	assert(size > 2 && size <= used && used <= len);
	assert(memcmp(again + 2, data + 2, size - 2) == 0);
	return 0;
}
