/* SPDX-License-Identifier: Apache-2.0 */

/* The text of a token, as somebody pastes it. */

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "ident/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char text[4096], again[CN_TOKEN_TEXT_MAX], why[CN_IDENT_WHY_MAX];
	struct cn_token token, second;

	if (len >= sizeof(text)) {
		return 0;
	}
	memcpy(text, data, len);
	text[len] = '\0';
	if (cn_token_parse(text, &token, why, sizeof(why)) == CN_OK) {
		cn_token_format(&token, again);
		assert(cn_token_parse(again, &second, NULL, 0) == CN_OK);
		assert(memcmp(&token, &second, sizeof(token)) == 0);
	}
	return 0;
}
