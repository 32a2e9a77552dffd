/* SPDX-License-Identifier: Apache-2.0 */

/* The first bytes of a stream, and later ones: what are they? */

#include <assert.h>
#include <string.h>

#include "codec/kind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	enum cn_kind start = cn_kind_of_start(data, len);
	enum cn_kind inside = cn_kind_of_inside(data, len);

	assert(start < CN_KIND_MAX && inside < CN_KIND_MAX);
	assert(strlen(cn_kind_name(start)) < 16);
	assert(strlen(cn_kind_title(inside)) > 0);
	/* Nothing is known of nothing. */
	assert(len > 0 || (start == CN_KIND_NONE && inside == CN_KIND_NONE));
	return 0;
}
