/* SPDX-License-Identifier: Apache-2.0 */
#include "store/image.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/rand.h"
#include "store/aead.h"
#include "store/bytes.h"
#include "store/image_private.h"

/* The head, byte by byte: doc/store.md, "Head". */
#define MAGIC_BYTES 8u
#define VERSION 1u
#define AT_VERSION 8u
#define AT_HEAD_LEN 12u
#define AT_FOOTER_LEN 16u
#define AT_DATA_LEN 20u
#define AT_SALT 32u
#define AT_DATA_TAG 64u
#define AT_FOOTER_TAG 80u
#define AT_REST 96u

/* The plain footer: doc/store.md, "Footer". */
#define AT_PEER 0u
#define AT_IS_MINE 32u
#define AT_CHUNKS 36u
#define AT_EPOCH 40u
#define AT_SEQUENCE 48u
#define AT_AGE 56u
#define AT_SEALED 64u
#define AT_GAP 72u
#define AT_EXTENTS 128u
#define EXTENT_BYTES 16u
#define AT_TABLE (AT_EXTENTS + CN_SEGMENT_EXTENTS * EXTENT_BYTES)
#define CHUNK_BYTES 12u
#define TABLE_END (AT_TABLE + CN_IMAGE_CHUNKS_MAX * CHUNK_BYTES)
_Static_assert(TABLE_END <= CN_IMAGE_FOOTER_BYTES, "the footer holds it all");

#define SEQUENCE_END (CN_PLACE_END >> CN_SEGMENT_SHIFT)

/* Numbers of the two messages that the key of an image seals. */
#define NUMBER_FOOTER 0u
#define NUMBER_DATA 1u

#define IMAGE_LABEL "compressnet image 1"
#define DERIVE_LABEL "compressnet derive 1 "
#define LABEL_MAX 64u

static const uint8_t magic[MAGIC_BYTES] = { 'C', 'N', 'i', 'm', 'a', 'g', 'e',
	'\n' };

/* ---- footer ---- */

static void
put_extents(const struct cn_image_info *info, uint8_t *p)
{
	for (size_t i = 0; i < CN_SEGMENT_EXTENTS; i++, p += EXTENT_BYTES) {
		cn_bytes_put64(p, info->extent[i].scope);
		cn_bytes_put32(p + 8, info->extent[i].used);
		cn_bytes_put32(p + 12, info->extent[i].hash);
	}
}

uint64_t
cn_image_hash(const struct cn_image_info *info)
{
	uint8_t bytes[CN_SEGMENT_EXTENTS * EXTENT_BYTES];

	put_extents(info, bytes);
	return cn_hash64(bytes, sizeof(bytes), 0);
}

/* May an image say this? */
static bool
is_legal(const struct cn_image_info *info)
{
	if (info->sequence >= SEQUENCE_END ||
	    info->chunks > CN_IMAGE_CHUNKS_MAX) {
		return false;
	}
	for (size_t i = 0; i < CN_SEGMENT_EXTENTS; i++) {
		const struct cn_image_extent *extent = &info->extent[i];

		if (extent->used > CN_EXTENT_BYTES) {
			return false;
		}
		/* Two images of the same bytes must have the same hash. */
		if (extent->used == 0 &&
		    (extent->scope != 0 || extent->hash != 0)) {
			return false;
		}
	}
	return true;
}

int
cn_image_write_footer(const struct cn_image_info *info,
    const struct cn_store_chunk *chunk, uint8_t *footer)
{
	uint8_t *p = footer + AT_TABLE;

	if (!is_legal(info)) {
		return CN_EINVAL;
	}
	for (uint32_t i = 0; i < info->chunks; i++) {
		if (chunk[i].pos >= CN_SEGMENT_BYTES) {
			return CN_EINVAL;
		}
	}
	memset(footer, 0, CN_IMAGE_FOOTER_BYTES);
	memcpy(footer + AT_PEER, info->peer, CN_IMAGE_PEER_BYTES);
	footer[AT_IS_MINE] = info->is_mine;
	cn_bytes_put32(footer + AT_CHUNKS, info->chunks);
	cn_bytes_put64(footer + AT_EPOCH, info->epoch);
	cn_bytes_put64(footer + AT_SEQUENCE, info->sequence);
	cn_bytes_put64(footer + AT_AGE, info->age);
	cn_bytes_put64(footer + AT_SEALED, info->sealed_s);
	put_extents(info, footer + AT_EXTENTS);
	for (uint32_t i = 0; i < info->chunks; i++, p += CHUNK_BYTES) {
		cn_bytes_put64(p, chunk[i].key);
		cn_bytes_put32(p + 8, (uint32_t)chunk[i].pos);
	}
	return CN_OK;
}

/* Is everything zero that has no meaning?  info->chunks is legal. */
static bool
has_clean_gaps(const uint8_t *footer, uint32_t chunks)
{
	size_t table = AT_TABLE + (size_t)chunks * CHUNK_BYTES;

	return footer[AT_IS_MINE] <= 1 &&
	    cn_bytes_are_zero(
		footer + AT_IS_MINE + 1, AT_CHUNKS - AT_IS_MINE - 1) &&
	    cn_bytes_are_zero(footer + AT_GAP, AT_EXTENTS - AT_GAP) &&
	    cn_bytes_are_zero(footer + table, CN_IMAGE_FOOTER_BYTES - table);
}

static bool
has_legal_chunks(const uint8_t *footer, uint32_t chunks)
{
	const uint8_t *p = footer + AT_TABLE;

	for (uint32_t i = 0; i < chunks; i++, p += CHUNK_BYTES) {
		if (cn_bytes_get32(p + 8) >= CN_SEGMENT_BYTES) {
			return false;
		}
	}
	return true;
}

int
cn_image_parse_footer(const uint8_t *footer, struct cn_image_info *ret,
    struct cn_store_chunk *chunk)
{
	struct cn_image_info info = { .is_mine = footer[AT_IS_MINE] == 1 };
	const uint8_t *p = footer + AT_EXTENTS;

	memcpy(info.peer, footer + AT_PEER, CN_IMAGE_PEER_BYTES);
	info.chunks = cn_bytes_get32(footer + AT_CHUNKS);
	info.epoch = cn_bytes_get64(footer + AT_EPOCH);
	info.sequence = cn_bytes_get64(footer + AT_SEQUENCE);
	info.age = cn_bytes_get64(footer + AT_AGE);
	info.sealed_s = cn_bytes_get64(footer + AT_SEALED);
	for (size_t i = 0; i < CN_SEGMENT_EXTENTS; i++, p += EXTENT_BYTES) {
		info.extent[i].scope = cn_bytes_get64(p);
		info.extent[i].used = cn_bytes_get32(p + 8);
		info.extent[i].hash = cn_bytes_get32(p + 12);
	}
	if (!is_legal(&info) || !has_clean_gaps(footer, info.chunks) ||
	    !has_legal_chunks(footer, info.chunks)) {
		return CN_ECODING;
	}
	p = footer + AT_TABLE;
	for (uint32_t i = 0; chunk != NULL && i < info.chunks; i++) {
		chunk[i].key = cn_bytes_get64(p + (size_t)i * CHUNK_BYTES);
		chunk[i].pos = cn_bytes_get32(p + (size_t)i * CHUNK_BYTES + 8);
	}
	*ret = info;
	return CN_OK;
}

/* ---- data ---- */

int
cn_image_check_data(const struct cn_image_info *info, const uint8_t *data)
{
	for (size_t i = 0; i < CN_SEGMENT_EXTENTS; i++) {
		const struct cn_image_extent *extent = &info->extent[i];
		const uint8_t *p = data + i * CN_EXTENT_BYTES;
		uint32_t used = extent->used;

		if (!cn_bytes_are_zero(p + used, CN_EXTENT_BYTES - used)) {
			return CN_ECODING;
		}
		if (used > 0 &&
		    (uint32_t)cn_hash64(p, used, 0) != extent->hash) {
			return CN_ECODING;
		}
	}
	return CN_OK;
}

/* Copy what is used of each extent, zeros for the rest. */
static void
place_data(const struct cn_image_info *info, const uint8_t *data, uint8_t *out)
{
	for (size_t i = 0; i < CN_SEGMENT_EXTENTS; i++) {
		size_t used = info->extent[i].used;
		size_t at = i * CN_EXTENT_BYTES;

		memcpy(out + at, data + at, used);
		memset(out + at + used, 0, CN_EXTENT_BYTES - used);
	}
}

/* ---- head and sealing ---- */

static void
write_head(uint8_t *head)
{
	memset(head, 0, CN_IMAGE_HEAD_BYTES);
	memcpy(head, magic, sizeof(magic));
	cn_bytes_put32(head + AT_VERSION, VERSION);
	cn_bytes_put32(head + AT_HEAD_LEN, CN_IMAGE_HEAD_BYTES);
	cn_bytes_put32(head + AT_FOOTER_LEN, CN_IMAGE_FOOTER_BYTES);
	cn_bytes_put32(head + AT_DATA_LEN, CN_SEGMENT_BYTES);
	cn_rand_bytes(head + AT_SALT, CN_AEAD_SALT_BYTES);
}

/* The head is in clear, so everything in it is looked at: what no tag covers
 * must be zero. */
static int
check_head(const uint8_t *head)
{
	if (cn_bytes_are_zero(head, CN_IMAGE_HEAD_BYTES)) {
		return CN_EEND;
	}
	if (memcmp(head, magic, sizeof(magic)) != 0) {
		return CN_ECODING;
	}
	if (cn_bytes_get32(head + AT_VERSION) != VERSION) {
		return CN_ESTALE;
	}
	if (cn_bytes_get32(head + AT_HEAD_LEN) != CN_IMAGE_HEAD_BYTES ||
	    cn_bytes_get32(head + AT_FOOTER_LEN) != CN_IMAGE_FOOTER_BYTES ||
	    cn_bytes_get32(head + AT_DATA_LEN) != CN_SEGMENT_BYTES ||
	    !cn_bytes_are_zero(head + AT_REST, CN_IMAGE_HEAD_BYTES - AT_REST)) {
		return CN_ECODING;
	}
	return CN_OK;
}

/* The data is authenticated with the head up to its own tag; the footer with
 * that tag too, so that it vouches for its own data and no other. */
static struct cn_aead
data_aead(const uint8_t *image, const uint8_t *image_key)
{
	return (struct cn_aead){ .key = image_key,
		.number = NUMBER_DATA,
		.aad = image,
		.aad_len = AT_DATA_TAG };
}

static struct cn_aead
footer_aead(const uint8_t *image, const uint8_t *image_key)
{
	return (struct cn_aead){ .key = image_key,
		.number = NUMBER_FOOTER,
		.aad = image,
		.aad_len = AT_FOOTER_TAG };
}

int
cn_image_seal_placed(const uint8_t key[CN_IMAGE_KEY_BYTES], uint8_t *image)
{
	uint8_t image_key[CN_AEAD_KEY_BYTES];
	uint8_t *footer = image + CN_IMAGE_HEAD_BYTES;
	uint8_t *data = image + CN_IMAGE_DATA_AT;
	struct cn_aead how;
	int rc;

	write_head(image);
	rc = cn_aead_derive(key, image + AT_SALT, IMAGE_LABEL, image_key);
	if (rc == CN_OK) {
		how = data_aead(image, image_key);
		rc = cn_aead_seal(
		    &how, data, CN_SEGMENT_BYTES, data, image + AT_DATA_TAG);
	}
	if (rc == CN_OK) {
		how = footer_aead(image, image_key);
		rc = cn_aead_seal(&how, footer, CN_IMAGE_FOOTER_BYTES, footer,
		    image + AT_FOOTER_TAG);
	}
	OPENSSL_cleanse(image_key, sizeof(image_key));
	return rc;
}

int
cn_image_seal(const uint8_t key[CN_IMAGE_KEY_BYTES],
    const struct cn_image_info *info, const struct cn_store_chunk *chunk,
    const uint8_t *data, uint8_t *image)
{
	int rc;

	rc = cn_image_write_footer(info, chunk, image + CN_IMAGE_HEAD_BYTES);
	if (rc != CN_OK) {
		return rc;
	}
	place_data(info, data, image + CN_IMAGE_DATA_AT);
	return cn_image_seal_placed(key, image);
}

/* ---- opening ---- */

/* Head and footer, which is left in plain; the caller wipes the key. */
static int
open_footer(const uint8_t key[CN_IMAGE_KEY_BYTES], const uint8_t *image,
    struct cn_image_info *info, struct cn_store_chunk *chunk, uint8_t *footer,
    uint8_t image_key[CN_AEAD_KEY_BYTES])
{
	struct cn_aead how;
	int rc;

	rc = check_head(image);
	if (rc != CN_OK) {
		return rc;
	}
	rc = cn_aead_derive(key, image + AT_SALT, IMAGE_LABEL, image_key);
	if (rc != CN_OK) {
		return rc;
	}
	how = footer_aead(image, image_key);
	rc = cn_aead_open(&how, image + CN_IMAGE_HEAD_BYTES,
	    CN_IMAGE_FOOTER_BYTES, image + AT_FOOTER_TAG, footer);
	return rc == CN_OK ? cn_image_parse_footer(footer, info, chunk) : rc;
}

int
cn_image_open(const uint8_t key[CN_IMAGE_KEY_BYTES], const uint8_t *image,
    struct cn_image_info *info, struct cn_store_chunk *chunk)
{
	uint8_t footer[CN_IMAGE_FOOTER_BYTES];
	uint8_t image_key[CN_AEAD_KEY_BYTES];
	int rc;

	rc = open_footer(key, image, info, chunk, footer, image_key);
	OPENSSL_cleanse(image_key, sizeof(image_key));
	return rc;
}

/* Both parts, each to its own place. */
static int
open_whole(const uint8_t key[CN_IMAGE_KEY_BYTES], const uint8_t *image,
    struct cn_image_info *ret, uint8_t *footer, uint8_t *data)
{
	uint8_t image_key[CN_AEAD_KEY_BYTES];
	struct cn_image_info info;
	struct cn_aead how;
	int rc;

	rc = open_footer(key, image, &info, NULL, footer, image_key);
	if (rc == CN_OK) {
		how = data_aead(image, image_key);
		rc = cn_aead_open(&how, image + CN_IMAGE_DATA_AT,
		    CN_SEGMENT_BYTES, image + AT_DATA_TAG, data);
	}
	OPENSSL_cleanse(image_key, sizeof(image_key));
	if (rc == CN_OK) {
		rc = cn_image_check_data(&info, data);
	}
	if (rc == CN_OK) {
		*ret = info;
	}
	return rc;
}

int
cn_image_open_data(const uint8_t key[CN_IMAGE_KEY_BYTES], const uint8_t *image,
    struct cn_image_info *info, uint8_t *out)
{
	uint8_t footer[CN_IMAGE_FOOTER_BYTES];

	return open_whole(key, image, info, footer, out);
}

int
cn_image_open_plain(const uint8_t key[CN_IMAGE_KEY_BYTES], const uint8_t *image,
    struct cn_image_info *info, uint8_t *plain)
{
	return open_whole(
	    key, image, info, plain, plain + CN_IMAGE_FOOTER_BYTES);
}

int
cn_image_derive(const uint8_t key[CN_IMAGE_KEY_BYTES], const char *label,
    uint8_t out[CN_IMAGE_KEY_BYTES])
{
	char info[sizeof(DERIVE_LABEL) + LABEL_MAX];
	size_t len = strlen(label);

	if (len > LABEL_MAX) {
		return CN_EINVAL;
	}
	(void)snprintf(info, sizeof(info), "%s%s", DERIVE_LABEL, label);
	return cn_aead_derive(key, NULL, info, out);
}
