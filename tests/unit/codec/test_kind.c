/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of bytes by what they begin with, and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "codec/kind.h"
#include "mutate.h"

struct sample {
	enum cn_kind kind;
	bool is_inside; /* known inside of a stream, too */
	size_t len;
	const char *bytes;
};

/* clang-format off */
#define SAMPLE(kind, is_inside, text) \
	{ CN_KIND_##kind, is_inside, sizeof(text) - 1, text }
static const struct sample samples[] = {
	/* A client's hello: record, handshake, random. */
	SAMPLE(TLS, true, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03rrrrrr"),
	SAMPLE(TLS, true, "\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"),
	/* Behind PostgreSQL's request. */
	SAMPLE(TLS, false, "\0\0\0\x08\x04\xd2\x16\x2f"
	    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc"),
	SAMPLE(SSH, true, "SSH-2.0-OpenSSH_9.2p1\r\n"),
	SAMPLE(SSH, true, "SSH-1.99-x\r\n"),
	SAMPLE(GZIP, false, "\x1f\x8b\x08\0\0\0\0\0\0\x03"),
	SAMPLE(ZSTD, false, "\x28\xb5\x2f\xfd\x04\x58"),
	SAMPLE(XZ, true, "\xfd" "7zXZ\0\0\x04"),
	SAMPLE(BZIP2, true, "BZh91AY&SY"),
	SAMPLE(LZ4, false, "\x04\x22\x4d\x18\x64\x40"),
	SAMPLE(SNAPPY, true, "\xff\x06\0\0sNaPpY"),
	SAMPLE(LZOP, true, "\x89LZO\0\r\n\x1a\n"),
	SAMPLE(LZIP, true, "LZIP\x01\x0c"),
	SAMPLE(COMPRESS, false, "\x1f\x9d\x90"),
	SAMPLE(ZIP, false, "PK\x03\x04\x14\0"),
	SAMPLE(7Z, true, "7z\xbc\xaf\x27\x1c\0\x04"),
	SAMPLE(RAR, true, "Rar!\x1a\x07\x01"),
	SAMPLE(JPEG, false, "\xff\xd8\xff\xe0\0\x10JFIF"),
	SAMPLE(PNG, true, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
	SAMPLE(GIF, true, "GIF89a\x01\0"),
	SAMPLE(WEBP, true, "RIFF\x10\x20\0\0WEBPVP8 "),
	SAMPLE(MP4, false, "\0\0\0\x20" "ftypisom"),
	SAMPLE(MATROSKA, false, "\x1a\x45\xdf\xa3\x01"),
	SAMPLE(OGG, true, "OggS\0\x02"),
	SAMPLE(FLAC, true, "fLaC\0\0\0\x22"),
	SAMPLE(MP3, false, "ID3\x04\0"),
	SAMPLE(AGE, true, "age-encryption.org/v1\n"),
	SAMPLE(OPENSSL, true, "Salted__saltsalt"),
	SAMPLE(LUKS, true, "LUKS\xba\xbe\0\x02"),
	/* Bodies, whole and in chunks. */
	SAMPLE(GZIP, true, "HTTP/1.1 200 OK\r\nA: b\r\n\r\n\x1f\x8b\x08\0"),
	SAMPLE(PNG, true, "PUT /x HTTP/1.1\r\n\r\n\x89PNG\r\n\x1a\n"),
	SAMPLE(ZSTD, true,
	    "HTTP/1.1 200 OK\r\n\r\n1fF0\r\n\x28\xb5\x2f\xfd"),
	SAMPLE(NONE, true, "HTTP/1.1 200 OK\r\n\r\n<html>"),
	SAMPLE(NONE, true, "HTTP/1.1 200 OK\r\n\x1f\x8b\x08"),
	SAMPLE(NONE, true, "HTTP/1.1 200 OK\r\n\r\n"),
	/* Not quite. */
	SAMPLE(NONE, true, "\x16\x03\x05\x02\x00\x01\x00\x01"),
	SAMPLE(NONE, true, "\x16\x03\x01\xff\x00\x01\x00\x01"),
	SAMPLE(NONE, true, "\x16\x03\x01\x00\x00\x01\x00\x01"),
	SAMPLE(NONE, true, "SELECT 1"),
	SAMPLE(NONE, true, ""),
};
/* clang-format on */

static const struct sample *
sample(size_t i)
{
	return &samples[i];
}

static void
test_samples(void **state)
{
	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(samples); i++) {
		const struct sample *s = sample(i);
		const uint8_t *bytes = (const uint8_t *)s->bytes;

		assert_int_equal(cn_kind_of_start(bytes, s->len), s->kind);
		assert_int_equal(cn_kind_of_inside(bytes, s->len),
		    s->is_inside ? s->kind : CN_KIND_NONE);
	}
}

/* Every kind has a sample, a name, a title and a class. */
static void
test_names(void **state)
{
	(void)state;
	for (enum cn_kind kind = CN_KIND_NONE; kind < CN_KIND_MAX; kind++) {
		bool has_sample = false;

		for (size_t i = 0; i < CN_ARRAY_LEN(samples); i++) {
			has_sample |= sample(i)->kind == kind;
		}
		assert_true(has_sample);
		assert_true(strlen(cn_kind_name(kind)) > 1);
		assert_true(strlen(cn_kind_name(kind)) < 16);
		assert_true(strlen(cn_kind_title(kind)) > 2);
		assert_int_equal(
		    cn_kind_class(kind) == CN_KIND_PLAIN, kind == CN_KIND_NONE);
	}
	assert_string_equal(cn_kind_name(CN_KIND_MAX), "none");
	assert_int_equal(cn_kind_class(CN_KIND_MAX), CN_KIND_PLAIN);
}

/* Records of TLS in a row: found where no hello is. */
static void
test_records(void **state)
{
	uint8_t bytes[64] = { 0x17, 3, 3, 0, 10 };

	(void)state;
	assert_int_equal(cn_kind_of_inside(bytes, 15), CN_KIND_TLS);
	assert_int_equal(cn_kind_of_start(bytes, 15), CN_KIND_NONE);
	/* Something else follows, or less than the record says. */
	assert_int_equal(cn_kind_of_inside(bytes, 16), CN_KIND_NONE);
	assert_int_equal(cn_kind_of_inside(bytes, 14), CN_KIND_NONE);
	bytes[15] = 0x15;
	bytes[16] = bytes[17] = 3;
	bytes[19] = 2;
	assert_int_equal(cn_kind_of_inside(bytes, 20), CN_KIND_TLS);
	assert_int_equal(cn_kind_of_inside(bytes, 64), CN_KIND_TLS);
}

static void
check(const uint8_t *bytes, size_t len, void *arg)
{
	unsigned *known = arg;

	assert_true(cn_kind_of_start(bytes, len) < CN_KIND_MAX);
	assert_true(cn_kind_of_inside(bytes, len) < CN_KIND_MAX);
	*known += cn_kind_of_start(bytes, len) != CN_KIND_NONE;
}

/* No read beyond the end, and damage to a magic is not overlooked. */
static void
test_damage(void **state)
{
	static const uint8_t magic[] = { 0x89, 'P', 'N', 'G', 13, 10, 26, 10 };
	unsigned known = 0;

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(samples); i++) {
		cn_mutate_each((const uint8_t *)sample(i)->bytes,
		    sample(i)->len, check, &known);
	}
	known = 0;
	cn_mutate_each(magic, sizeof(magic), check, &known);
	/* The sample itself, with its last byte doubled, and all of it. */
	assert_int_equal(known, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests_name("kind", tests, NULL, NULL);
}
