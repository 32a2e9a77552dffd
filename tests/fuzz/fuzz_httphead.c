/* SPDX-License-Identifier: Apache-2.0 */

/* The head of an HTTP request, and the route that it names. */

#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "manage/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *bytes = (const char *)data;
	struct cn_http_head head;
	struct cn_route_match match;
	size_t from = 0, end = 0;
	char value[64];

	if (cn_http_head_find(bytes, len, &from, &end) != CN_OK) {
		return 0;
	}
	if (cn_http_head_parse(bytes, end, &head) != CN_OK) {
		if (head.status < 400 || head.why == NULL) {
			abort();
		}
		return 0;
	}
	if (head.path.at < bytes ||
	    head.path.at + head.path.len > bytes + end) {
		abort();
	}
	(void)!cn_http_query(head.query, "cursor", value, sizeof(value));
	cn_route_find(head.method, head.path, &match);
	return 0;
}
