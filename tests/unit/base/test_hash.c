/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <xxhash.h>

#include "base/hash.h"
#include "base/rand.h"

#define DATA_BYTES 5000u

static uint8_t data[DATA_BYTES];

/* What the digest is: the library's XXH64 under both seeds. */
static void
digest_by_library(const uint8_t *p, size_t len, uint8_t out[CN_DIGEST_SIZE])
{
	XXH64_canonical_t half;

	XXH64_canonicalFromHash(&half, XXH64(p, len, CN_DIGEST_SEED_0));
	memcpy(out, half.digest, 8);
	XXH64_canonicalFromHash(&half, XXH64(p, len, CN_DIGEST_SEED_1));
	memcpy(out + 8, half.digest, 8);
}

static void
check_digest(const struct cn_digest *digest, size_t len)
{
	uint8_t want[CN_DIGEST_SIZE], have[CN_DIGEST_SIZE];

	digest_by_library(data, len, want);
	cn_digest_final(digest, have);
	assert_memory_equal(want, have, sizeof(want));
}

static void
test_digest_of_each_length(void **state CN_UNUSED)
{
	for (size_t len = 0; len < 300; len++) {
		struct cn_digest digest;

		cn_digest_init(&digest);
		cn_digest_update(&digest, data, len);
		check_digest(&digest, len);
	}
}

static void
test_digest_in_pieces(void **state CN_UNUSED)
{
	struct cn_prng prng;

	cn_prng_init(&prng, 42);
	for (int round = 0; round < 300; round++) {
		struct cn_digest digest;
		size_t len = 0, most = 1 + cn_prng_below(&prng, 200);

		cn_digest_init(&digest);
		while (len < DATA_BYTES) {
			size_t n = cn_prng_below(&prng, most + 1);

			n = CN_MIN(n, DATA_BYTES - len);
			cn_digest_update(&digest, data + len, n);
			len += n;
			/* To look at it does not change it. */
			if (cn_prng_chance(&prng, 1, 16)) {
				check_digest(&digest, len);
			}
		}
		check_digest(&digest, DATA_BYTES);
	}
}

static void
test_digest_takes_no_bytes_from_null(void **state CN_UNUSED)
{
	struct cn_digest digest;

	cn_digest_init(&digest);
	cn_digest_update(&digest, NULL, 0);
	check_digest(&digest, 0);
}

/* The protocol's document states this value. */
static void
test_digest_is_frozen(void **state CN_UNUSED)
{
	static const uint8_t want[CN_DIGEST_SIZE] = { 0x40, 0xc8, 0x23, 0xcc,
		0xb8, 0x53, 0xb5, 0xcb, 0xb6, 0xdc, 0xa5, 0xac, 0x53, 0xd8,
		0xe1, 0xdd };
	struct cn_digest digest;
	uint8_t have[CN_DIGEST_SIZE];

	cn_digest_init(&digest);
	cn_digest_update(&digest, "CompressNET", 11);
	cn_digest_final(&digest, have);
	assert_memory_equal(want, have, sizeof(want));
}

static void
test_hash64_is_xxh3_with_seed(void **state CN_UNUSED)
{
	for (size_t len = 0; len < 600; len += 7) {
		assert_true(cn_hash64(data, len, 99) ==
		    XXH3_64bits_withSeed(data, len, 99));
	}
	assert_true(cn_hash64(data, 100, 1) != cn_hash64(data, 100, 2));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digest_of_each_length),
		cmocka_unit_test(test_digest_in_pieces),
		cmocka_unit_test(test_digest_takes_no_bytes_from_null),
		cmocka_unit_test(test_digest_is_frozen),
		cmocka_unit_test(test_hash64_is_xxh3_with_seed),
	};
	struct cn_prng prng;

	cn_prng_init(&prng, 7);
	cn_prng_bytes(&prng, data, sizeof(data));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
