/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CODEC_KIND_H
#define CN_CODEC_KIND_H

/*
 * What are these bytes?  Formats and protocols that cannot be coded any
 * further, by the bytes that they begin with.  Pure; a table of magics.
 *
 * It says what a user may call them, not whether coding pays: that is the
 * probe's to say (codec/probe.h).
 */

#include <stddef.h>
#include <stdint.h>

enum cn_kind {
	CN_KIND_NONE, /* nothing that is known */
	CN_KIND_TLS,
	CN_KIND_SSH,
	CN_KIND_GZIP,
	CN_KIND_ZSTD,
	CN_KIND_XZ,
	CN_KIND_BZIP2,
	CN_KIND_LZ4,
	CN_KIND_SNAPPY,
	CN_KIND_LZOP,
	CN_KIND_LZIP,
	CN_KIND_COMPRESS,
	CN_KIND_ZIP,
	CN_KIND_7Z,
	CN_KIND_RAR,
	CN_KIND_JPEG,
	CN_KIND_PNG,
	CN_KIND_GIF,
	CN_KIND_WEBP,
	CN_KIND_MP4,
	CN_KIND_MATROSKA,
	CN_KIND_OGG,
	CN_KIND_FLAC,
	CN_KIND_MP3,
	CN_KIND_AGE,     /* files of age, encrypted */
	CN_KIND_OPENSSL, /* of openssl enc, encrypted */
	CN_KIND_LUKS,
	CN_KIND_MAX
};

/* How they come to be what they are; it decides what would mend it. */
enum cn_kind_class {
	CN_KIND_PLAIN,
	CN_KIND_ENCRYPTED_PATH, /* by the protocol that carries them */
	CN_KIND_ENCRYPTED_FILE,
	CN_KIND_COMPRESSED, /* could be sent uncompressed instead */
	CN_KIND_MEDIA,      /* could not */
};

/*
 * By the first bytes of one direction of a stream.  Looks behind a request
 * for TLS (PostgreSQL's) and behind the header of an HTTP message.
 *
 * @len  as many as there are: more may tell more, a few KiB tell all
 */
enum cn_kind cn_kind_of_start(const uint8_t *bytes, size_t len);
/*
 * By bytes somewhere inside, which may begin anywhere: only what is long
 * enough not to be chance, and TLS by its records.
 */
enum cn_kind cn_kind_of_inside(const uint8_t *bytes, size_t len);

/* "tls", "gzip"; "none", also for what is no kind. */
const char *cn_kind_name(enum cn_kind kind);
/* "TLS", "gzip data": for sentences. */
const char *cn_kind_title(enum cn_kind kind);
enum cn_kind_class cn_kind_class(enum cn_kind kind);

#endif /* CN_CODEC_KIND_H */
