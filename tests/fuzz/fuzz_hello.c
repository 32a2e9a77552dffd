/* SPDX-License-Identifier: Apache-2.0 */

/* The first message of a carrier. */

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "wire/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t again[CN_HELLO_MAX];
	struct cn_hello hello;
	size_t used;
	size_t size;
	int rc;

	rc = cn_hello_decode(data, len, &hello, &used);
	if (rc != CN_OK) {
		assert(
		    rc == CN_EPROTO || (rc == CN_EAGAIN && len < CN_HELLO_MAX));
		return 0;
	}
	/* The same bytes again but for the length in front and the fields of
	 * a later version. */
	size = cn_hello_encode(again, sizeof(again), &hello);
	assert(size > 2 && size <= used && used <= len);
	assert(memcmp(again + 2, data + 2, size - 2) == 0);
	return 0;
}
