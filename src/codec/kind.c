/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/kind.h"

#include <stdbool.h>
#include <string.h>

#include "base/attr.h"

#define MAGIC_MAX 16u
/* Magics that are shorter may be chance inside of a stream. */
#define INSIDE_LEAST 5u
/* The header of an HTTP message is looked for in so many bytes. */
#define HEADER_MAX 8192u
/* A record of TLS: a head, and at most so much behind it. */
#define RECORD_HEAD 5u
#define RECORD_MAX (16384u + 2048u)
/* Records in a row that prove TLS where it does not begin. */
#define RECORDS_LEAST 2u

struct magic {
	enum cn_kind kind;
	uint8_t at; /* where it stands */
	uint8_t len;
	uint8_t bytes[MAGIC_MAX];
};

/* clang-format off */
static const struct magic magics[] = {
	{ CN_KIND_SSH, 0, 8, "SSH-2.0-" },
	{ CN_KIND_SSH, 0, 9, "SSH-1.99-" },
	{ CN_KIND_GZIP, 0, 3, { 0x1f, 0x8b, 0x08 } },
	{ CN_KIND_ZSTD, 0, 4, { 0x28, 0xb5, 0x2f, 0xfd } },
	{ CN_KIND_XZ, 0, 6, { 0xfd, '7', 'z', 'X', 'Z', 0 } },
	/* After "BZh" and the level comes the first block's mark. */
	{ CN_KIND_BZIP2, 4, 6, { 0x31, 0x41, 0x59, 0x26, 0x53, 0x59 } },
	{ CN_KIND_LZ4, 0, 4, { 0x04, 0x22, 0x4d, 0x18 } },
	{ CN_KIND_LZ4, 0, 4, { 0x02, 0x21, 0x4c, 0x18 } },
	{ CN_KIND_SNAPPY, 0, 10,
	  { 0xff, 6, 0, 0, 's', 'N', 'a', 'P', 'p', 'Y' } },
	{ CN_KIND_LZOP, 0, 9, { 0x89, 'L', 'Z', 'O', 0, 13, 10, 26, 10 } },
	{ CN_KIND_LZIP, 0, 5, { 'L', 'Z', 'I', 'P', 1 } },
	{ CN_KIND_COMPRESS, 0, 3, { 0x1f, 0x9d, 0x90 } },
	{ CN_KIND_ZIP, 0, 4, { 'P', 'K', 3, 4 } },
	{ CN_KIND_7Z, 0, 6, { '7', 'z', 0xbc, 0xaf, 0x27, 0x1c } },
	{ CN_KIND_RAR, 0, 6, { 'R', 'a', 'r', '!', 0x1a, 7 } },
	{ CN_KIND_JPEG, 0, 3, { 0xff, 0xd8, 0xff } },
	{ CN_KIND_PNG, 0, 8, { 0x89, 'P', 'N', 'G', 13, 10, 26, 10 } },
	{ CN_KIND_GIF, 0, 6, "GIF89a" },
	{ CN_KIND_GIF, 0, 6, "GIF87a" },
	{ CN_KIND_WEBP, 8, 7, "WEBPVP8" },
	{ CN_KIND_MP4, 4, 4, "ftyp" },
	{ CN_KIND_MATROSKA, 0, 4, { 0x1a, 0x45, 0xdf, 0xa3 } },
	{ CN_KIND_OGG, 0, 5, { 'O', 'g', 'g', 'S', 0 } },
	{ CN_KIND_FLAC, 0, 5, { 'f', 'L', 'a', 'C', 0 } },
	{ CN_KIND_MP3, 0, 4, { 'I', 'D', '3', 3 } },
	{ CN_KIND_MP3, 0, 4, { 'I', 'D', '3', 4 } },
	{ CN_KIND_AGE, 0, 16, "age-encryption.o" },
	{ CN_KIND_OPENSSL, 0, 8, "Salted__" },
	{ CN_KIND_LUKS, 0, 6, { 'L', 'U', 'K', 'S', 0xba, 0xbe } },
};

static const struct {
	const char *name, *title;
	enum cn_kind_class kind_class;
} infos[CN_KIND_MAX] = {
	[CN_KIND_NONE] = { "none", "unknown", CN_KIND_PLAIN },
	[CN_KIND_TLS] = { "tls", "TLS", CN_KIND_ENCRYPTED_PATH },
	[CN_KIND_SSH] = { "ssh", "SSH", CN_KIND_ENCRYPTED_PATH },
	[CN_KIND_GZIP] = { "gzip", "gzip data", CN_KIND_COMPRESSED },
	[CN_KIND_ZSTD] = { "zstd", "zstd data", CN_KIND_COMPRESSED },
	[CN_KIND_XZ] = { "xz", "xz data", CN_KIND_COMPRESSED },
	[CN_KIND_BZIP2] = { "bzip2", "bzip2 data", CN_KIND_COMPRESSED },
	[CN_KIND_LZ4] = { "lz4", "LZ4 data", CN_KIND_COMPRESSED },
	[CN_KIND_SNAPPY] = { "snappy", "Snappy data", CN_KIND_COMPRESSED },
	[CN_KIND_LZOP] = { "lzop", "lzop data", CN_KIND_COMPRESSED },
	[CN_KIND_LZIP] = { "lzip", "lzip data", CN_KIND_COMPRESSED },
	[CN_KIND_COMPRESS] = { "compress", "compress (.Z) data",
	    CN_KIND_COMPRESSED },
	[CN_KIND_ZIP] = { "zip", "a ZIP archive", CN_KIND_COMPRESSED },
	[CN_KIND_7Z] = { "7z", "a 7z archive", CN_KIND_COMPRESSED },
	[CN_KIND_RAR] = { "rar", "a RAR archive", CN_KIND_COMPRESSED },
	[CN_KIND_JPEG] = { "jpeg", "a JPEG picture", CN_KIND_MEDIA },
	[CN_KIND_PNG] = { "png", "a PNG picture", CN_KIND_MEDIA },
	[CN_KIND_GIF] = { "gif", "a GIF picture", CN_KIND_MEDIA },
	[CN_KIND_WEBP] = { "webp", "a WebP picture", CN_KIND_MEDIA },
	[CN_KIND_MP4] = { "mp4", "an MP4 film", CN_KIND_MEDIA },
	[CN_KIND_MATROSKA] = { "matroska", "a Matroska film", CN_KIND_MEDIA },
	[CN_KIND_OGG] = { "ogg", "Ogg media", CN_KIND_MEDIA },
	[CN_KIND_FLAC] = { "flac", "FLAC sound", CN_KIND_MEDIA },
	[CN_KIND_MP3] = { "mp3", "MP3 sound", CN_KIND_MEDIA },
	[CN_KIND_AGE] = { "age", "a file of age", CN_KIND_ENCRYPTED_FILE },
	[CN_KIND_OPENSSL] = { "openssl", "a file of openssl enc",
	    CN_KIND_ENCRYPTED_FILE },
	[CN_KIND_LUKS] = { "luks", "a LUKS volume", CN_KIND_ENCRYPTED_FILE },
};

/* What a client of PostgreSQL says before the hello of TLS. */
static const uint8_t ssl_request[8] = { 0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f };
/* clang-format on */

static bool
has_magic(const struct magic *magic, const uint8_t *bytes, size_t len)
{
	return len >= (size_t)magic->at + magic->len &&
	    memcmp(bytes + magic->at, magic->bytes, magic->len) == 0;
}

static enum cn_kind
find_magic(const uint8_t *bytes, size_t len, size_t least)
{
	for (size_t i = 0; i < CN_ARRAY_LEN(magics); i++) {
		if (magics[i].len >= least &&
		    has_magic(&magics[i], bytes, len)) {
			return magics[i].kind;
		}
	}
	return CN_KIND_NONE;
}

/* ---- TLS ---- */

/* The head of a record, of any type from 20 to 23. */
static bool
is_record(const uint8_t *bytes, size_t len)
{
	size_t body;

	if (len < RECORD_HEAD) {
		return false;
	}
	body = (size_t)bytes[3] << 8 | bytes[4];
	return bytes[0] >= 20 && bytes[0] <= 23 && bytes[1] == 3 &&
	    bytes[2] <= 4 && body > 0 && body <= RECORD_MAX;
}

/* A hello of a client or server: in a record of type 22, message 1 or 2. */
static bool
is_hello(const uint8_t *bytes, size_t len)
{
	return len > RECORD_HEAD && is_record(bytes, len) && bytes[0] == 22 &&
	    (bytes[RECORD_HEAD] == 1 || bytes[RECORD_HEAD] == 2);
}

/* Records in a row, or one that ends where the bytes do. */
static bool
has_records(const uint8_t *bytes, size_t len)
{
	size_t at = 0;
	unsigned count = 0;

	while (at < len && is_record(bytes + at, len - at)) {
		count++;
		at +=
		    RECORD_HEAD + ((size_t)bytes[at + 3] << 8) + bytes[at + 4];
	}
	return count >= RECORDS_LEAST || (count == 1 && at == len);
}

/* ---- HTTP ---- */

static bool
is_message(const uint8_t *bytes, size_t len)
{
	static const char *const begins[] = { "HTTP/1.", "PUT /", "POST /" };

	for (size_t i = 0; i < CN_ARRAY_LEN(begins); i++) {
		if (len >= strlen(begins[i]) &&
		    memcmp(bytes, begins[i], strlen(begins[i])) == 0) {
			return true;
		}
	}
	return false;
}

/* The length of a chunk, in hexadecimal, on a line of its own; 0: none. */
static size_t
chunk_line(const uint8_t *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	size_t n = 0;

	while (n < len && n < 8 && bytes[n] != 0 &&
	    strchr(digits, bytes[n]) != NULL) {
		n++;
	}
	return n > 0 && len >= n + 2 && bytes[n] == '\r' && bytes[n + 1] == '\n'
	    ? n + 2
	    : 0;
}

/* The kind of the body, which may come in chunks. */
static enum cn_kind
kind_of_body(const uint8_t *bytes, size_t len)
{
	const uint8_t *end =
	    memmem(bytes, CN_MIN(len, (size_t)HEADER_MAX), "\r\n\r\n", 4);
	size_t at;

	if (end == NULL) {
		return CN_KIND_NONE;
	}
	at = (size_t)(end - bytes) + 4;
	at += chunk_line(bytes + at, len - at);
	return find_magic(bytes + at, len - at, 0);
}

enum cn_kind
cn_kind_of_start(const uint8_t *bytes, size_t len)
{
	if (len >= sizeof(ssl_request) &&
	    memcmp(bytes, ssl_request, sizeof(ssl_request)) == 0) {
		bytes += sizeof(ssl_request);
		len -= sizeof(ssl_request);
	}
	if (is_hello(bytes, len)) {
		return CN_KIND_TLS;
	}
	if (is_message(bytes, len)) {
		return kind_of_body(bytes, len);
	}
	return find_magic(bytes, len, 0);
}

enum cn_kind
cn_kind_of_inside(const uint8_t *bytes, size_t len)
{
	if (is_hello(bytes, len) || has_records(bytes, len)) {
		return CN_KIND_TLS;
	}
	if (is_message(bytes, len)) {
		return kind_of_body(bytes, len);
	}
	return find_magic(bytes, len, INSIDE_LEAST);
}

const char *
cn_kind_name(enum cn_kind kind)
{
	return infos[(unsigned)kind < CN_KIND_MAX ? kind : 0].name;
}

const char *
cn_kind_title(enum cn_kind kind)
{
	return infos[(unsigned)kind < CN_KIND_MAX ? kind : 0].title;
}

enum cn_kind_class
cn_kind_class(enum cn_kind kind)
{
	return infos[(unsigned)kind < CN_KIND_MAX ? kind : 0].kind_class;
}
