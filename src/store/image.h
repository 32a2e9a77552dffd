/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_STORE_IMAGE_H
#define CN_STORE_IMAGE_H

/*
 * A segment as it stands on a disk: head, footer and data in one slot.
 *
 *   0        head    4 KiB: magic, version, salt, lengths; in clear
 *   4096     footer  28 KiB: what the segment is, its extents, its chunks;
 *                    sealed (AES-256-GCM), authenticated with the head
 *   32768    data    1 MiB; sealed, authenticated with the head
 *
 * The key of an image is derived (HKDF-SHA256) from the store's key and the
 * random salt of 256 bits in the head, so no key is used for two images, and
 * none for two messages of one nonce: the footer has nonce 0, the data 1.
 * The sealing finds any change of a bit, and images moved between stores.
 *
 * Pure functions; any thread.  Every parser refuses what is not whole.
 * Doc: doc/store.md
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "store/place.h"

#define CN_IMAGE_KEY_BYTES 32u
#define CN_IMAGE_PEER_BYTES 32u
#define CN_IMAGE_HEAD_BYTES 4096u
#define CN_IMAGE_FOOTER_BYTES (28u * 1024u)
#define CN_IMAGE_DATA_AT (CN_IMAGE_HEAD_BYTES + CN_IMAGE_FOOTER_BYTES)
#define CN_IMAGE_BYTES (CN_IMAGE_DATA_AT + CN_SEGMENT_BYTES)
/* Chunks that a footer lists; the rest of a segment's is not found again. */
#define CN_IMAGE_CHUNKS_MAX 2048u

struct cn_image_extent {
	uint64_t scope; /* 0 unused */
	uint32_t used;  /* bytes from its start; 0: nothing is kept of it */
	uint32_t hash;  /* low half of the XXH3-64 of these bytes; 0 unused */
};

/* What a footer says, the chunks apart. */
struct cn_image_info {
	uint8_t peer[CN_IMAGE_PEER_BYTES];
	bool is_mine;
	uint64_t epoch;
	uint64_t sequence; /* of the segment in its log: pos >> 20 */
	uint64_t age;      /* grows with each image that a store seals */
	uint64_t sealed_s; /* wall clock, seconds since 1970; for people */
	struct cn_image_extent extent[CN_SEGMENT_EXTENTS];
	uint32_t chunks; /* entries in the table, <= CN_IMAGE_CHUNKS_MAX */
};

/*
 * XXH3-64 over the (scope, used, hash) of all extents, big endian: two
 * segments with the same one hold the same bytes for the same scopes.
 */
uint64_t cn_image_hash(const struct cn_image_info *info);

/*
 * Write an image.  Takes a fresh random salt.
 *
 * @info   the hashes of its extents are those of data, or nobody will be able
 *         to open it
 * @chunk  info->chunks entries; pos is the offset in the segment
 * @data   CN_SEGMENT_BYTES; what lies beyond an extent's used is not kept
 * @image  CN_IMAGE_BYTES; may not overlap
 *
 * Returns CN_OK, CN_EINVAL (info or chunk breaks a range, or an extent
 * without bytes has a scope or a hash), CN_EIO (the library failed).
 */
int cn_image_seal(const uint8_t key[CN_IMAGE_KEY_BYTES],
    const struct cn_image_info *info, const struct cn_store_chunk *chunk,
    const uint8_t *data, uint8_t *image) CN_MUSTCHECK;

/*
 * Open head and footer: the first CN_IMAGE_DATA_AT bytes of an image.
 *
 * @chunk  room for CN_IMAGE_CHUNKS_MAX, or NULL
 *
 * Returns CN_OK; CN_EEND when the slot is empty (a head of zeros); CN_ESTALE
 * when it has another version; CN_ECODING when it is damaged or was sealed
 * with another key; CN_EIO.
 */
int cn_image_open(const uint8_t key[CN_IMAGE_KEY_BYTES], const uint8_t *image,
    struct cn_image_info *info, struct cn_store_chunk *chunk) CN_MUSTCHECK;

/*
 * Open the data of a whole image into CN_SEGMENT_BYTES, and check it against
 * the extents of its footer.  out may be image + CN_IMAGE_DATA_AT.  What lies
 * beyond an extent's used is zeros.
 *
 * Returns as cn_image_open(); on failure out holds nothing of use.
 */
int cn_image_open_data(const uint8_t key[CN_IMAGE_KEY_BYTES],
    const uint8_t *image, struct cn_image_info *info,
    uint8_t *out) CN_MUSTCHECK;

/* A key for another use, from the store's key: HKDF with that label, of at
 * most 64 bytes.  Returns CN_OK, CN_EINVAL, CN_EIO. */
int cn_image_derive(const uint8_t key[CN_IMAGE_KEY_BYTES], const char *label,
    uint8_t out[CN_IMAGE_KEY_BYTES]) CN_MUSTCHECK;

#endif /* CN_STORE_IMAGE_H */
