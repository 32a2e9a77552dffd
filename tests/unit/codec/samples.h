/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_CODEC_SAMPLES_H
#define CN_TESTS_CODEC_SAMPLES_H

/*
 * Bytes of known kinds for the tests of this layer, the same from the same
 * seed on every machine.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/rand.h"

CN_UNUSED static void
samples_random(uint8_t *out, size_t len, uint64_t seed)
{
	struct cn_prng prng;

	cn_prng_init(&prng, seed);
	cn_prng_bytes(&prng, out, len);
}

/* Lines of a log as a web server writes it. */
CN_UNUSED static void
samples_text(uint8_t *out, size_t len, uint64_t seed)
{
	static const char *const words[] = { "GET", "POST", "orders",
		"customers", "items", "search", "login", "static/app.js" };
	struct cn_prng prng;
	size_t at = 0;
	uint64_t time = 1700000000;

	cn_prng_init(&prng, seed);
	while (at < len) {
		char line[200];
		int n;

		time += cn_prng_below(&prng, 3);
		n = snprintf(line, sizeof(line),
		    "{\"ts\":%llu,\"host\":\"web-%02u\",\"verb\":\"%s\","
		    "\"path\":\"/%s/%u\",\"status\":%u,\"bytes\":%u}\n",
		    (unsigned long long)time,
		    (unsigned)cn_prng_below(&prng, 20),
		    words[cn_prng_below(&prng, 2)],
		    words[2 + cn_prng_below(&prng, 6)],
		    (unsigned)cn_prng_below(&prng, 5000),
		    cn_prng_below(&prng, 20) == 0 ? 404u : 200u,
		    (unsigned)cn_prng_below(&prng, 100000));

		size_t take = CN_MIN((size_t)n, len - at);

		memcpy(out + at, line, take);
		at += take;
	}
}

#endif /* CN_TESTS_CODEC_SAMPLES_H */
