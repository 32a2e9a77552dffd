/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_WIRE_VARINT_H
#define CN_WIRE_VARINT_H

/*
 * Big-endian integers and varints in raw memory.
 *
 * A varint is that of RFC 9000, section 16: the two high bits of the first
 * byte tell its size (1, 2, 4 or 8 bytes), the rest is the value, big endian.
 * Only the shortest form is legal here.
 *
 * The caller has checked the room; cursor.h and writer.h do that.
 *
 * Pure: no I/O, no clock, no heap.
 * Wire: doc/protocol.md, "Conventions".
 */

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wire/limits.h"

/* Longest varint, bytes. */
#define CN_VARINT_SIZE_MAX 8u

static inline uint16_t
cn_be16_get(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static inline uint32_t
cn_be32_get(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline uint64_t
cn_be64_get(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static inline void
cn_be16_put(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void
cn_be32_put(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void
cn_be64_put(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

/* Bytes of the varint of v, v <= CN_VARINT_MAX: 1, 2, 4 or 8. */
static inline size_t
cn_varint_size(uint64_t v)
{
	if (v < UINT64_C(1) << 6) {
		return 1;
	}
	if (v < UINT64_C(1) << 14) {
		return 2;
	}
	return v < UINT64_C(1) << 30 ? 4 : 8;
}

/* Bytes of the varint that begins with this byte. */
static inline size_t
cn_varint_span(uint8_t first)
{
	return (size_t)1 << (first >> 6);
}

/*
 * Write the varint of v, v <= CN_VARINT_MAX, where cn_varint_size(v) bytes
 * are free.  Returns these bytes.
 */
static inline size_t
cn_varint_put(uint8_t *p, uint64_t v)
{
	if (v < UINT64_C(1) << 6) {
		p[0] = (uint8_t)v;
		return 1;
	}
	if (v < UINT64_C(1) << 14) {
		cn_be16_put(p, (uint16_t)(v | 0x4000u));
		return 2;
	}
	if (v < UINT64_C(1) << 30) {
		cn_be32_put(p, (uint32_t)v | 0x80000000u);
		return 4;
	}
	cn_be64_put(p, v | UINT64_C(0xc000000000000000));
	return 8;
}

/*
 * Read the varint whose cn_varint_span(*p) bytes are all there, shortest or
 * not: the caller compares cn_varint_size() with the span.
 */
static inline uint64_t
cn_varint_get(const uint8_t *p)
{
	switch (p[0] >> 6) {
	case 0:
		return p[0];
	case 1:
		return cn_be16_get(p) & 0x3fffu;
	case 2:
		return cn_be32_get(p) & 0x3fffffffu;
	default:
		return cn_be64_get(p) & CN_VARINT_MAX;
	}
}

#endif /* CN_WIRE_VARINT_H */
