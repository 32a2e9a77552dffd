/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_STORE_BYTES_H
#define CN_STORE_BYTES_H

/*
 * Big-endian integers in raw memory, as the store's formats have them.  The
 * caller has checked the room.
 *
 * Pure: no I/O, no clock, no heap.
 */

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t
cn_bytes_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline uint64_t
cn_bytes_get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static inline void
cn_bytes_put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void
cn_bytes_put64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

/* Are all of them zero?  True for none. */
static inline bool
cn_bytes_are_zero(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

#endif /* CN_STORE_BYTES_H */
