/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/coldcopy.h"
#include "base/rand.h"

#define SIZE 20000u
#define AROUND 128u

/* Every alignment of both ends: the bytes, and none around them. */
static void
test_alignments(void **state)
{
	static const size_t lens[] = { 0, 1, 63, 4095, 4096, 4097, 4160, 4223,
		10000 };
	static uint8_t from[SIZE], to[SIZE], want[SIZE];
	struct cn_prng prng;

	(void)state;
	cn_prng_init(&prng, 1);
	for (size_t i = 0; i < SIZE; i++) {
		from[i] = (uint8_t)cn_prng_u64(&prng);
	}
	for (size_t l = 0; l < sizeof(lens) / sizeof(lens[0]); l++) {
		for (size_t off = 0; off < AROUND; off++) {
			size_t at = AROUND + off, in = (off * 7) % AROUND;

			memset(to, 0xa5, SIZE);
			memset(want, 0xa5, SIZE);
			memcpy(want + at, from + in, lens[l]);
			cn_coldcopy(to + at, from + in, lens[l]);
			assert_memory_equal(to, want, SIZE);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alignments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
