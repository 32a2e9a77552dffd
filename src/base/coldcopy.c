/* SPDX-License-Identifier: Apache-2.0 */
#include "base/coldcopy.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>

/* Below this the fence costs more than is saved. */
#define COLD_LEAST 4096u
#define LINE 64u

/* Whole lines to an aligned place. */
static void
stream_lines(uint8_t *to, const uint8_t *from, size_t lines)
{
	for (; lines > 0; lines--, to += LINE, from += LINE) {
		const __m128i *in = (const __m128i *)(const void *)from;
		__m128i *out = (__m128i *)(void *)to;
		__m128i a = _mm_loadu_si128(in);
		__m128i b = _mm_loadu_si128(in + 1);
		__m128i c = _mm_loadu_si128(in + 2);
		__m128i d = _mm_loadu_si128(in + 3);

		_mm_stream_si128(out, a);
		_mm_stream_si128(out + 1, b);
		_mm_stream_si128(out + 2, c);
		_mm_stream_si128(out + 3, d);
	}
	/* A lock does not order these. */
	_mm_sfence();
}

void
cn_coldcopy(void *to, const void *from, size_t len)
{
	uint8_t *out = to;
	const uint8_t *in = from;
	size_t head = (size_t)(-(uintptr_t)out % LINE);
	size_t lines;

	if (len < COLD_LEAST) {
		memcpy(out, in, len);
		return;
	}
	memcpy(out, in, head);
	lines = (len - head) / LINE;
	stream_lines(out + head, in + head, lines);
	head += lines * LINE;
	memcpy(out + head, in + head, len - head);
}

#else

void
cn_coldcopy(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
}

#endif
