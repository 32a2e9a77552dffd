/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Exported streams: {what, who, bytes}.
 *
 *   what 0   the head of a stream
 *   what 1   leads, one behind the other, of a stream whose head is right
 *   what 2   the plain body of an image: a footer up to its table of chunks,
 *            what follows is data
 *   who      0: imported by who exported it, 1: by its peer
 */

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/err.h"
#include "store/export_private.h"
#include "store/image_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Where the table of chunks begins in a footer: doc/store.md, "Footer". */
#define TABLE_AT 640u
/* Leads tried of one input; each may be of a MiB. */
#define LEADS_MAX 8u

static const uint8_t key[CN_EXPORT_KEY_BYTES] = { 1, 2, 3 };
static const uint8_t from[CN_IMAGE_PEER_BYTES] = { 'a' };
static const uint8_t peer[CN_IMAGE_PEER_BYTES] = { 'b' };
static uint8_t image[CN_IMAGE_BYTES];

static void
fail_unless(int is_true)
{
	if (!is_true) {
		abort();
	}
}

/* The record that begins with this lead, if that is legal. */
static void
check_record(struct cn_import *stream, const uint8_t *data, size_t len)
{
	uint8_t *record;
	size_t want = 0;
	int rc;

	rc = cn_import_length(stream, data, &want);
	if (rc != CN_OK) {
		fail_unless(rc == CN_ECODING && !stream->is_open);
		return;
	}
	fail_unless(
	    want >= CN_EXPORT_LEAD_BYTES && want <= CN_EXPORT_RECORD_MAX);
	record = cn_calloc(1, want);
	fail_unless(record != NULL);
	memcpy(record, data, CN_MIN(want, len));
	rc = want == CN_EXPORT_LEAD_BYTES
	    ? cn_import_end(stream, record, want)
	    : cn_import_image(stream, key, record, want, image);
	/* Nobody guesses a tag. */
	fail_unless(rc == CN_ECODING && !stream->is_open && !stream->is_whole);
	cn_free(record);
}

static void
check_stream(const uint8_t *data, size_t len)
{
	struct cn_import stream = { .count = 0 };
	uint8_t pass_salt[CN_EXPORT_SALT_BYTES];
	uint8_t head[CN_EXPORT_HEAD_BYTES] = { 0 };
	int rc;

	memcpy(head, data, CN_MIN(len, sizeof(head)));
	rc = cn_import_pass_salt(head, pass_salt);
	fail_unless(rc == CN_OK || rc == CN_ENOENT || rc == CN_ESTALE ||
	    rc == CN_ECODING);
	rc = cn_import_begin(&stream, key, peer, head);
	fail_unless(rc == CN_EKEY || rc == CN_ESTALE || rc == CN_ECODING);
	fail_unless(!stream.is_open);
}

static void
check_leads(const uint8_t *data, size_t len, const uint8_t *self)
{
	uint8_t head[CN_EXPORT_HEAD_BYTES];
	struct cn_export out;
	struct cn_import in;

	fail_unless(cn_export_begin(&out, key, NULL, from, head) == CN_OK);
	for (uint64_t i = 0; len >= CN_EXPORT_LEAD_BYTES && i < LEADS_MAX;
	     i++) {
		fail_unless(cn_import_begin(&in, key, self, head) == CN_OK);
		in.count = i;
		check_record(&in, data, len);
		data += CN_EXPORT_LEAD_BYTES;
		len -= CN_EXPORT_LEAD_BYTES;
	}
	cn_export_fini(&out);
}

static void
check_body(const uint8_t *data, size_t len, const uint8_t *self)
{
	struct cn_import stream = { .is_open = true };
	uint8_t *footer = image + CN_IMAGE_HEAD_BYTES;
	size_t front = CN_MIN(len, TABLE_AT);
	size_t rest = CN_MIN(len - front, CN_SEGMENT_BYTES);
	struct cn_image_info info;
	int rc;

	memcpy(stream.self, self, CN_IMAGE_PEER_BYTES);
	memcpy(stream.from, from, CN_IMAGE_PEER_BYTES);
	memset(image, 0, CN_IMAGE_DATA_AT);
	memset(image + CN_IMAGE_DATA_AT, 0x5a, CN_SEGMENT_BYTES);
	memcpy(footer, data, front);
	if (rest > 0) {
		memcpy(image + CN_IMAGE_DATA_AT, data + front, rest);
	}
	rc = cn_import_unpack(&stream, image, CN_IMAGE_FOOTER_BYTES + rest);
	fail_unless(rc == CN_OK || rc == CN_EPEER || rc == CN_ECODING);
	if (rc == CN_OK) {
		/* What came out is a legal image's. */
		fail_unless(
		    cn_image_parse_footer(footer, &info, NULL) == CN_OK);
		fail_unless(cn_image_check_data(
				&info, image + CN_IMAGE_DATA_AT) == CN_OK);
		fail_unless(self == from || memcmp(info.peer, from, 32) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *self;

	if (len < 2) {
		return 0;
	}
	self = data[1] % 2 == 0 ? from : peer;
	switch (data[0] % 3) {
	case 0:
		check_stream(data + 2, len - 2);
		break;
	case 1:
		check_leads(data + 2, len - 2, self);
		break;
	default:
		check_body(data + 2, len - 2, self);
		break;
	}
	return 0;
}
