/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An export of a store that never was: segments of random bytes that one
 * gateway sent to another, for tests that need a store with something in it.
 *
 *   make_export KEYFILE FROM TO SEGMENTS > FILE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/rand.h"
#include "ident/identity.h"
#include "store/export.h"

/* Some key of a store: an image is sealed with it and at once opened. */
static const uint8_t store_key[CN_IMAGE_KEY_BYTES] = { 1 };
static uint8_t data[CN_SEGMENT_BYTES];
static uint8_t image[CN_IMAGE_BYTES];
static uint8_t record[CN_EXPORT_RECORD_MAX];

static int
die(const char *what)
{
	(void)fprintf(stderr, "make_export: %s\n", what);
	return 1;
}

static bool
read_key(const char *path, uint8_t key[CN_EXPORT_KEY_BYTES])
{
	FILE *file = fopen(path, "rb");
	bool ok = file != NULL &&
	    fread(key, 1, CN_EXPORT_KEY_BYTES, file) == CN_EXPORT_KEY_BYTES;

	if (file != NULL) {
		(void)fclose(file);
	}
	return ok;
}

static int
put_segment(struct cn_export *stream, const uint8_t *to, uint64_t epoch,
    uint64_t sequence)
{
	struct cn_image_info info = {
		.is_mine = true,
		.epoch = epoch,
		.sequence = sequence,
		.age = sequence + 1,
		.sealed_s = 1700000000,
	};
	size_t len = 0;
	int err;

	memcpy(info.peer, to, sizeof(info.peer));
	cn_rand_bytes(data, sizeof(data));
	for (size_t i = 0; i < CN_SEGMENT_EXTENTS; i++) {
		info.extent[i].scope = 77;
		info.extent[i].used = CN_EXTENT_BYTES;
		info.extent[i].hash = (uint32_t)cn_hash64(
		    data + i * CN_EXTENT_BYTES, CN_EXTENT_BYTES, 0);
	}
	err = cn_image_seal(store_key, &info, NULL, data, image);
	if (err == CN_OK) {
		err = cn_export_image(stream, store_key, image, record, &len);
	}
	return err == CN_OK && fwrite(record, 1, len, stdout) != len ? CN_EIO
								     : err;
}

int
main(int argc, char **argv)
{
	uint8_t key[CN_EXPORT_KEY_BYTES], head[CN_EXPORT_HEAD_BYTES];
	uint8_t from[CN_IDENTITY_BYTES], to[CN_IDENTITY_BYTES];
	char why[CN_IDENT_WHY_MAX];
	struct cn_export stream = { 0 };
	uint64_t epoch = cn_rand_u64();
	unsigned long segments;
	int err;

	if (argc != 5 || !read_key(argv[1], key) ||
	    cn_identity_parse(argv[2], from, why, sizeof(why)) != CN_OK ||
	    cn_identity_parse(argv[3], to, why, sizeof(why)) != CN_OK) {
		return die("usage: KEYFILE FROM TO SEGMENTS > FILE");
	}
	segments = strtoul(argv[4], NULL, 10);
	err = cn_export_begin(&stream, key, NULL, from, head);
	if (err == CN_OK &&
	    fwrite(head, 1, sizeof(head), stdout) != sizeof(head)) {
		err = CN_EIO;
	}
	for (unsigned long i = 0; i < segments && err == CN_OK; i++) {
		err = put_segment(&stream, to, epoch, i);
	}
	if (err == CN_OK) {
		err = cn_export_end(&stream, record);
	}
	cn_export_fini(&stream);
	if (err != CN_OK ||
	    fwrite(record, 1, CN_EXPORT_LEAD_BYTES, stdout) !=
		CN_EXPORT_LEAD_BYTES ||
	    fflush(stdout) != 0) {
		return die("cannot write");
	}
	return 0;
}
