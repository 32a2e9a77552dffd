/* SPDX-License-Identifier: Apache-2.0 */
#include "store/export.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/err.h"
#include "base/rand.h"
#include "store/aead.h"
#include "store/bytes.h"
#include "store/export_private.h"
#include "store/image_private.h"

/* Head and lead, byte by byte: doc/store.md, "Exports". */
#define MAGIC_BYTES 8u
#define VERSION 1u
#define AT_VERSION 8u
#define AT_HEAD_LEN 12u
#define AT_SALT 16u
#define AT_FROM 48u
#define AT_PASS_SALT 80u
#define AT_HEAD_TAG 112u

#define AT_KIND 4u
#define AT_POSITION 8u
#define AT_TAG 16u

#define EXPORT_LABEL "compressnet export 1"

/* The kinds of what is sealed, in the lead and in the nonce. */
#define KIND_HEAD 0u
#define KIND_IMAGE 1u
#define KIND_END 2u

#define BODY_MAX (CN_EXPORT_RECORD_MAX - CN_EXPORT_LEAD_BYTES)

static const uint8_t magic[MAGIC_BYTES] = { 'C', 'N', 'e', 'x', 'p', 'o', 'r',
	't' };

int
cn_export_stretch(const char *passphrase,
    const uint8_t salt[CN_EXPORT_SALT_BYTES], uint8_t key[CN_EXPORT_KEY_BYTES])
{
	return cn_aead_stretch(passphrase, salt, key);
}

/* The tag of the head seals nothing: it tells a wrong key at once. */
static struct cn_aead
head_aead(const uint8_t *key, const uint8_t *head)
{
	return (struct cn_aead){ .key = key,
		.kind = KIND_HEAD,
		.aad = head,
		.aad_len = AT_HEAD_TAG };
}

static struct cn_aead
record_aead(const uint8_t *key, const uint8_t *lead)
{
	return (struct cn_aead){ .key = key,
		.kind = cn_bytes_get32(lead + AT_KIND),
		.number = cn_bytes_get64(lead + AT_POSITION),
		.aad = lead,
		.aad_len = AT_TAG };
}

/* ---- writing ---- */

int
cn_export_begin(struct cn_export *stream,
    const uint8_t key[CN_EXPORT_KEY_BYTES],
    const uint8_t pass_salt[CN_EXPORT_SALT_BYTES],
    const uint8_t self[CN_IMAGE_PEER_BYTES], uint8_t head[CN_EXPORT_HEAD_BYTES])
{
	struct cn_aead how;
	int rc;

	memset(stream, 0, sizeof(*stream));
	memset(head, 0, CN_EXPORT_HEAD_BYTES);
	memcpy(head, magic, sizeof(magic));
	cn_bytes_put32(head + AT_VERSION, VERSION);
	cn_bytes_put32(head + AT_HEAD_LEN, CN_EXPORT_HEAD_BYTES);
	cn_rand_bytes(head + AT_SALT, CN_EXPORT_SALT_BYTES);
	memcpy(head + AT_FROM, self, CN_IMAGE_PEER_BYTES);
	if (pass_salt != NULL) {
		memcpy(head + AT_PASS_SALT, pass_salt, CN_EXPORT_SALT_BYTES);
	}
	rc = cn_aead_derive(key, head + AT_SALT, EXPORT_LABEL, stream->key);
	if (rc == CN_OK) {
		how = head_aead(stream->key, head);
		rc = cn_aead_seal(&how, NULL, 0, NULL, head + AT_HEAD_TAG);
	}
	if (rc != CN_OK) {
		cn_export_fini(stream);
		return rc;
	}
	stream->is_open = true;
	return CN_OK;
}

/* Fill in the lead and seal the body behind it where it stands. */
static int
seal_record(
    const struct cn_export *stream, uint32_t kind, uint8_t *out, size_t len)
{
	uint8_t *body = out + CN_EXPORT_LEAD_BYTES;
	struct cn_aead how;

	cn_bytes_put32(out, (uint32_t)len);
	cn_bytes_put32(out + AT_KIND, kind);
	cn_bytes_put64(out + AT_POSITION, stream->count);
	how = record_aead(stream->key, out);
	return cn_aead_seal(
	    &how, len > 0 ? body : NULL, len, body, out + AT_TAG);
}

/* Move the used bytes of all extents together.  Returns how many they are. */
static size_t
pack(const struct cn_image_info *info, uint8_t *data)
{
	size_t len = 0;

	for (size_t i = 0; i < CN_SEGMENT_EXTENTS; i++) {
		memmove(data + len, data + i * CN_EXTENT_BYTES,
		    info->extent[i].used);
		len += info->extent[i].used;
	}
	return len;
}

int
cn_export_image(struct cn_export *stream,
    const uint8_t store_key[CN_IMAGE_KEY_BYTES], const uint8_t *image,
    uint8_t *out, size_t *len)
{
	uint8_t *body = out + CN_EXPORT_LEAD_BYTES;
	struct cn_image_info info;
	size_t body_len;
	int rc;

	if (!stream->is_open) {
		return CN_ECLOSED;
	}
	if (stream->count == CN_EXPORT_IMAGES_MAX) {
		return CN_ELIMIT;
	}
	rc = cn_image_open_plain(store_key, image, &info, body);
	if (rc != CN_OK) {
		return rc;
	}
	body_len =
	    CN_IMAGE_FOOTER_BYTES + pack(&info, body + CN_IMAGE_FOOTER_BYTES);
	rc = seal_record(stream, KIND_IMAGE, out, body_len);
	if (rc != CN_OK) {
		/* Half-done under this nonce: never use it again. */
		cn_export_fini(stream);
		return rc;
	}
	stream->count++;
	*len = CN_EXPORT_LEAD_BYTES + body_len;
	return CN_OK;
}

int
cn_export_end(struct cn_export *stream, uint8_t out[CN_EXPORT_LEAD_BYTES])
{
	int rc;

	if (!stream->is_open) {
		return CN_ECLOSED;
	}
	rc = seal_record(stream, KIND_END, out, 0);
	cn_export_fini(stream);
	return rc;
}

void
cn_export_fini(struct cn_export *stream)
{
	OPENSSL_cleanse(stream->key, sizeof(stream->key));
	stream->is_open = false;
}

/* ---- reading ---- */

static int
check_head(const uint8_t *head)
{
	if (memcmp(head, magic, sizeof(magic)) != 0) {
		return CN_ECODING;
	}
	if (cn_bytes_get32(head + AT_VERSION) != VERSION) {
		return CN_ESTALE;
	}
	return cn_bytes_get32(head + AT_HEAD_LEN) == CN_EXPORT_HEAD_BYTES
	    ? CN_OK
	    : CN_ECODING;
}

int
cn_import_pass_salt(const uint8_t head[CN_EXPORT_HEAD_BYTES],
    uint8_t pass_salt[CN_EXPORT_SALT_BYTES])
{
	int rc = check_head(head);

	if (rc != CN_OK) {
		return rc;
	}
	if (cn_bytes_are_zero(head + AT_PASS_SALT, CN_EXPORT_SALT_BYTES)) {
		return CN_ENOENT;
	}
	memcpy(pass_salt, head + AT_PASS_SALT, CN_EXPORT_SALT_BYTES);
	return CN_OK;
}

int
cn_import_begin(struct cn_import *stream,
    const uint8_t key[CN_EXPORT_KEY_BYTES],
    const uint8_t self[CN_IMAGE_PEER_BYTES],
    const uint8_t head[CN_EXPORT_HEAD_BYTES])
{
	struct cn_aead how;
	int rc;

	memset(stream, 0, sizeof(*stream));
	rc = check_head(head);
	if (rc != CN_OK) {
		return rc;
	}
	rc = cn_aead_derive(key, head + AT_SALT, EXPORT_LABEL, stream->key);
	if (rc == CN_OK) {
		how = head_aead(stream->key, head);
		rc = cn_aead_open(&how, NULL, 0, head + AT_HEAD_TAG, NULL);
	}
	if (rc != CN_OK) {
		cn_import_fini(stream);
		return rc == CN_ECODING ? CN_EKEY : rc;
	}
	memcpy(stream->self, self, CN_IMAGE_PEER_BYTES);
	memcpy(stream->from, head + AT_FROM, CN_IMAGE_PEER_BYTES);
	stream->is_open = true;
	return CN_OK;
}

/* Nothing that follows can be trusted to be next. */
static int
give_up(struct cn_import *stream, int rc)
{
	cn_import_fini(stream);
	return rc;
}

int
cn_import_length(struct cn_import *stream,
    const uint8_t lead[CN_EXPORT_LEAD_BYTES], size_t *len)
{
	uint32_t body_len = cn_bytes_get32(lead);
	uint32_t kind = cn_bytes_get32(lead + AT_KIND);
	bool is_legal;

	if (!stream->is_open) {
		return CN_ECLOSED;
	}
	is_legal = kind == KIND_END
	    ? body_len == 0
	    : kind == KIND_IMAGE && body_len >= CN_IMAGE_FOOTER_BYTES &&
		body_len <= BODY_MAX && stream->count < CN_EXPORT_IMAGES_MAX;
	if (!is_legal || cn_bytes_get64(lead + AT_POSITION) != stream->count) {
		return give_up(stream, CN_ECODING);
	}
	*len = CN_EXPORT_LEAD_BYTES + (size_t)body_len;
	return CN_OK;
}

/* Check the lead of a record that is here, and open its body. */
static int
open_record(struct cn_import *stream, uint32_t kind, const uint8_t *record,
    size_t len, uint8_t *body)
{
	struct cn_aead how;
	size_t wanted;
	int rc;

	if (!stream->is_open) {
		return CN_ECLOSED;
	}
	if (len < CN_EXPORT_LEAD_BYTES) {
		return give_up(stream, CN_ECODING);
	}
	rc = cn_import_length(stream, record, &wanted);
	if (rc != CN_OK) {
		return rc;
	}
	if (len != wanted || cn_bytes_get32(record + AT_KIND) != kind) {
		return give_up(stream, CN_ECODING);
	}
	how = record_aead(stream->key, record);
	rc = cn_aead_open(&how, record + CN_EXPORT_LEAD_BYTES,
	    len - CN_EXPORT_LEAD_BYTES, record + AT_TAG, body);
	return rc == CN_OK ? CN_OK : give_up(stream, rc);
}

/* Put each extent where it belongs, the last first, and zeros between.  The
 * lengths are those of the footer; len is their sum. */
static void
spread(const struct cn_image_info *info, uint8_t *data, size_t len)
{
	for (size_t i = CN_SEGMENT_EXTENTS; i-- > 0;) {
		size_t used = info->extent[i].used;
		uint8_t *extent = data + i * CN_EXTENT_BYTES;

		assert(used <= len);
		len -= used;
		memmove(extent, data + len, used);
		memset(extent + used, 0, CN_EXTENT_BYTES - used);
	}
	assert(len == 0);
}

static size_t
sum_used(const struct cn_image_info *info)
{
	size_t sum = 0;

	for (size_t i = 0; i < CN_SEGMENT_EXTENTS; i++) {
		sum += info->extent[i].used;
	}
	return sum;
}

/* See the pair from this side. */
static int
turn_around(const struct cn_import *stream, struct cn_image_info *info)
{
	if (memcmp(info->peer, stream->self, CN_IMAGE_PEER_BYTES) != 0) {
		return CN_EPEER;
	}
	memcpy(info->peer, stream->from, CN_IMAGE_PEER_BYTES);
	info->is_mine = !info->is_mine;
	info->chunks = 0;
	return CN_OK;
}

int
cn_import_unpack(const struct cn_import *stream, uint8_t *image, size_t len)
{
	uint8_t *footer = image + CN_IMAGE_HEAD_BYTES;
	uint8_t *data = image + CN_IMAGE_DATA_AT;
	struct cn_image_info info;
	int rc;

	if (len < CN_IMAGE_FOOTER_BYTES) {
		return CN_ECODING;
	}
	rc = cn_image_parse_footer(footer, &info, NULL);
	if (rc != CN_OK) {
		return rc;
	}
	if (len - CN_IMAGE_FOOTER_BYTES != sum_used(&info)) {
		return CN_ECODING;
	}
	spread(&info, data, len - CN_IMAGE_FOOTER_BYTES);
	rc = cn_image_check_data(&info, data);
	if (rc != CN_OK ||
	    memcmp(stream->self, stream->from, CN_IMAGE_PEER_BYTES) == 0) {
		return rc;
	}
	rc = turn_around(stream, &info);
	return rc == CN_OK ? cn_image_write_footer(&info, NULL, footer) : rc;
}

int
cn_import_image(struct cn_import *stream,
    const uint8_t store_key[CN_IMAGE_KEY_BYTES], const uint8_t *record,
    size_t len, uint8_t *image)
{
	int rc;

	rc = open_record(
	    stream, KIND_IMAGE, record, len, image + CN_IMAGE_HEAD_BYTES);
	if (rc != CN_OK) {
		return rc;
	}
	rc = cn_import_unpack(stream, image, len - CN_EXPORT_LEAD_BYTES);
	if (rc != CN_OK && rc != CN_EPEER) {
		return give_up(stream, rc);
	}
	stream->count++;
	return rc == CN_OK ? cn_image_seal_placed(store_key, image) : rc;
}

int
cn_import_end(struct cn_import *stream, const uint8_t *record, size_t len)
{
	int rc = open_record(stream, KIND_END, record, len, NULL);

	if (rc == CN_OK) {
		cn_import_fini(stream);
		stream->is_whole = true;
	}
	return rc;
}

void
cn_import_fini(struct cn_import *stream)
{
	OPENSSL_cleanse(stream->key, sizeof(stream->key));
	stream->is_open = false;
}
