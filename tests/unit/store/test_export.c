/* SPDX-License-Identifier: Apache-2.0 */
/* Exports: from one gateway to the other, back to itself, every damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/err.h"
#include "store/bytes.h"
#include "store/export_private.h"
#include "store/image_private.h"

#include "image_samples.h"

#define IMAGES 3u
#define LEAD CN_EXPORT_LEAD_BYTES
#define HEAD CN_EXPORT_HEAD_BYTES

static const uint8_t export_key[CN_EXPORT_KEY_BYTES] = { 3, 3, 3 };
static const uint8_t other_key[CN_EXPORT_KEY_BYTES] = { 3, 3, 4 };
static const uint8_t far_store_key[CN_IMAGE_KEY_BYTES] = { 8 };
static const uint8_t near_id[CN_IMAGE_PEER_BYTES] = { 'n' };
static const uint8_t far_id[CN_IMAGE_PEER_BYTES] = { 'f' };
static const uint8_t third_id[CN_IMAGE_PEER_BYTES] = { 't' };

/* A stream of IMAGES images and its parts: head, images, end. */
struct state {
	struct image_sample sample[IMAGES];
	uint8_t image[IMAGES][CN_IMAGE_BYTES];
	uint8_t stream[HEAD + IMAGES * CN_EXPORT_RECORD_MAX + LEAD];
	size_t at[IMAGES + 3]; /* where each part begins, and the end */
	uint8_t work[CN_EXPORT_RECORD_MAX];
	uint8_t got[CN_IMAGE_BYTES];
	uint8_t out[CN_SEGMENT_BYTES];
	struct cn_store_chunk chunk[CN_IMAGE_CHUNKS_MAX];
	struct cn_image_info info;
};

static struct state s;

/* Write the samples out as the near gateway would. */
static void
write_stream(const uint8_t *pass_salt)
{
	struct cn_export stream;
	size_t len = 0;

	assert_int_equal(
	    cn_export_begin(&stream, export_key, pass_salt, near_id, s.stream),
	    CN_OK);
	s.at[1] = HEAD;
	for (size_t i = 0; i < IMAGES; i++) {
		assert_int_equal(cn_export_image(&stream, sample_key,
				     s.image[i], s.stream + s.at[i + 1], &len),
		    CN_OK);
		assert_true(len <= CN_EXPORT_RECORD_MAX);
		s.at[i + 2] = s.at[i + 1] + len;
	}
	assert_int_equal(
	    cn_export_end(&stream, s.stream + s.at[IMAGES + 1]), CN_OK);
	s.at[IMAGES + 2] = s.at[IMAGES + 1] + LEAD;
	assert_true(cn_bytes_are_zero(stream.key, sizeof(stream.key)));
}

static int
set_up(void **ret CN_UNUSED)
{
	static const uint8_t *const peers[IMAGES] = { far_id, third_id,
		far_id };

	for (size_t i = 0; i < IMAGES; i++) {
		sample_fill(&s.sample[i], 10 + i);
		memcpy(s.sample[i].info.peer, peers[i], CN_IMAGE_PEER_BYTES);
		s.sample[i].info.is_mine = i == 0;
		assert_int_equal(
		    cn_image_seal(sample_key, &s.sample[i].info,
			s.sample[i].chunk, s.sample[i].data, s.image[i]),
		    CN_OK);
		sample_trim(&s.sample[i]);
	}
	write_stream(NULL);
	return 0;
}

static const uint8_t *
part(size_t i)
{
	return s.stream + s.at[i];
}

static size_t
part_len(size_t i)
{
	return s.at[i + 1] - s.at[i];
}

static void
begin(struct cn_import *stream, const uint8_t *self)
{
	assert_int_equal(
	    cn_import_begin(stream, export_key, self, s.stream), CN_OK);
	assert_memory_equal(stream->from, near_id, sizeof(near_id));
}

static int
import(struct cn_import *stream, const uint8_t *record, size_t len)
{
	return cn_import_image(stream, far_store_key, record, len, s.got);
}

/* Does the image that came hold this sample? */
static void
check_got(const struct image_sample *sample, const uint8_t *peer, bool is_mine,
    uint32_t chunks)
{
	struct cn_image_info wanted = sample->info;

	memcpy(wanted.peer, peer, sizeof(wanted.peer));
	wanted.is_mine = is_mine;
	wanted.chunks = chunks;
	assert_int_equal(
	    cn_image_open(far_store_key, s.got, &s.info, s.chunk), CN_OK);
	assert_true(sample_is_info(&s.info, &wanted));
	assert_memory_equal(
	    s.chunk, sample->chunk, chunks * sizeof(s.chunk[0]));
	assert_int_equal(
	    cn_image_open_data(far_store_key, s.got, &s.info, s.out), CN_OK);
	assert_memory_equal(s.out, sample->data, CN_SEGMENT_BYTES);
}

/* ---- whole streams ---- */

/* The far gateway: our log is its peer's, and the third's is not for it. */
static void
test_to_peer(void **ret CN_UNUSED)
{
	struct cn_import stream;
	size_t len;

	begin(&stream, far_id);
	assert_int_equal(cn_import_length(&stream, part(1), &len), CN_OK);
	assert_int_equal(len, part_len(1));
	assert_int_equal(import(&stream, part(1), part_len(1)), CN_OK);
	check_got(&s.sample[0], near_id, false, 0);
	assert_int_equal(import(&stream, part(2), part_len(2)), CN_EPEER);
	assert_int_equal(import(&stream, part(3), part_len(3)), CN_OK);
	check_got(&s.sample[2], near_id, true, 0);
	assert_int_equal(cn_import_length(&stream, part(4), &len), CN_OK);
	assert_int_equal(len, LEAD);
	assert_false(stream.is_whole);
	assert_int_equal(cn_import_end(&stream, part(4), LEAD), CN_OK);
	assert_true(stream.is_whole);
	assert_int_equal(stream.count, IMAGES);
	assert_true(cn_bytes_are_zero(stream.key, sizeof(stream.key)));
	/* Nothing comes after the end. */
	assert_int_equal(cn_import_end(&stream, part(4), LEAD), CN_ECLOSED);
	assert_int_equal(import(&stream, part(1), part_len(1)), CN_ECLOSED);
	assert_int_equal(cn_import_length(&stream, part(1), &len), CN_ECLOSED);
}

/* The gateway itself, perhaps after its disk broke: everything as it was. */
static void
test_to_self(void **ret CN_UNUSED)
{
	struct cn_import stream;

	begin(&stream, near_id);
	for (size_t i = 0; i < IMAGES; i++) {
		const struct cn_image_info *info = &s.sample[i].info;

		assert_int_equal(
		    import(&stream, part(i + 1), part_len(i + 1)), CN_OK);
		check_got(
		    &s.sample[i], info->peer, info->is_mine, info->chunks);
	}
	assert_int_equal(cn_import_end(&stream, part(4), LEAD), CN_OK);
}

/* Full and empty segments; a stream of nothing. */
static void
test_extremes(void **ret CN_UNUSED)
{
	struct image_sample *sample = &s.sample[0];
	struct cn_export out;
	struct cn_import in;
	uint8_t head[HEAD], end[LEAD];
	size_t len;

	for (unsigned full = 0; full < 2; full++) {
		memset(sample->info.extent, 0, sizeof(sample->info.extent));
		for (size_t i = 0; full == 1 && i < CN_SEGMENT_EXTENTS; i++) {
			sample->info.extent[i].used = CN_EXTENT_BYTES;
			sample->info.extent[i].hash = (uint32_t)cn_hash64(
			    sample->data + i * CN_EXTENT_BYTES, CN_EXTENT_BYTES,
			    0);
		}
		assert_int_equal(cn_image_seal(sample_key, &sample->info,
				     sample->chunk, sample->data, s.image[0]),
		    CN_OK);
		assert_int_equal(
		    cn_export_begin(&out, export_key, NULL, near_id, head),
		    CN_OK);
		assert_int_equal(
		    cn_export_image(&out, sample_key, s.image[0], s.work, &len),
		    CN_OK);
		assert_int_equal(len,
		    full == 1 ? CN_EXPORT_RECORD_MAX
			      : LEAD + CN_IMAGE_FOOTER_BYTES);
		assert_int_equal(
		    cn_import_begin(&in, export_key, far_id, head), CN_OK);
		assert_int_equal(import(&in, s.work, len), CN_OK);
		cn_export_fini(&out);
		cn_export_fini(&out);
		cn_import_fini(&in);
		cn_import_fini(&in);
	}
	assert_int_equal(
	    cn_export_begin(&out, export_key, NULL, near_id, head), CN_OK);
	assert_int_equal(cn_export_end(&out, end), CN_OK);
	assert_int_equal(cn_export_end(&out, end), CN_ECLOSED);
	assert_int_equal(
	    cn_export_image(&out, sample_key, s.image[0], s.work, &len),
	    CN_ECLOSED);
	assert_int_equal(cn_import_begin(&in, export_key, far_id, head), CN_OK);
	assert_int_equal(cn_import_end(&in, end, LEAD), CN_OK);
}

/* A bad image of the store is left out, and the stream goes on. */
static void
test_bad_image(void **ret CN_UNUSED)
{
	struct cn_export out;
	struct cn_import in;
	uint8_t head[HEAD];
	size_t len = 0;

	assert_int_equal(
	    cn_export_begin(&out, export_key, NULL, near_id, head), CN_OK);
	s.image[0][CN_IMAGE_BYTES - 1] ^= 1;
	assert_int_equal(
	    cn_export_image(&out, sample_key, s.image[0], s.work, &len),
	    CN_ECODING);
	assert_int_equal(
	    cn_export_image(&out, far_store_key, s.image[2], s.work, &len),
	    CN_ECODING);
	memset(s.image[0], 0, CN_IMAGE_BYTES);
	assert_int_equal(
	    cn_export_image(&out, sample_key, s.image[0], s.work, &len),
	    CN_EEND);
	assert_int_equal(
	    cn_export_image(&out, sample_key, s.image[2], s.work, &len), CN_OK);
	assert_int_equal(cn_import_begin(&in, export_key, far_id, head), CN_OK);
	assert_int_equal(import(&in, s.work, len), CN_OK);
	cn_export_fini(&out);
	cn_import_fini(&in);
}

static void
test_limit(void **ret CN_UNUSED)
{
	struct cn_export out;
	struct cn_import in;
	uint8_t head[HEAD];
	size_t len = 0;

	assert_int_equal(
	    cn_export_begin(&out, export_key, NULL, near_id, head), CN_OK);
	assert_int_equal(cn_import_begin(&in, export_key, far_id, head), CN_OK);
	out.count = CN_EXPORT_IMAGES_MAX - 1;
	in.count = CN_EXPORT_IMAGES_MAX - 1;
	assert_int_equal(
	    cn_export_image(&out, sample_key, s.image[0], s.work, &len), CN_OK);
	assert_int_equal(import(&in, s.work, len), CN_OK);
	assert_int_equal(
	    cn_export_image(&out, sample_key, s.image[0], s.work, &len),
	    CN_ELIMIT);
	cn_bytes_put64(s.work + 8, CN_EXPORT_IMAGES_MAX); /* position */
	assert_int_equal(cn_import_length(&in, s.work, &len), CN_ECODING);
	cn_export_fini(&out);
}

/* ---- damage ---- */

static void
test_head_flips(void **ret CN_UNUSED)
{
	struct cn_import stream;

	for (size_t i = 0; i < HEAD * 8u; i++) {
		int rc = i / 8 < 8 ? CN_ECODING
		    : i / 8 < 12   ? CN_ESTALE
		    : i / 8 < 16   ? CN_ECODING
				   : CN_EKEY;

		s.stream[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(
		    cn_import_begin(&stream, export_key, far_id, s.stream), rc);
		assert_int_equal(
		    import(&stream, part(1), part_len(1)), CN_ECLOSED);
		s.stream[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_int_equal(
	    cn_import_begin(&stream, other_key, far_id, s.stream), CN_EKEY);
	begin(&stream, far_id);
	cn_import_fini(&stream);
}

/* A record with a bit changed, and after it nothing. */
static void
check_flip(size_t i, size_t bit)
{
	struct cn_import stream;

	s.stream[s.at[i] + bit / 8] ^= (uint8_t)(1u << bit % 8);
	begin(&stream, far_id);
	stream.count = i - 1;
	assert_int_equal(i <= IMAGES
		? import(&stream, part(i), part_len(i))
		: cn_import_end(&stream, part(i), part_len(i)),
	    CN_ECODING);
	assert_false(stream.is_whole);
	s.stream[s.at[i] + bit / 8] ^= (uint8_t)(1u << bit % 8);
	assert_int_equal(import(&stream, part(i), part_len(i)), CN_ECLOSED);
}

static void
test_flips(void **ret CN_UNUSED)
{
	struct cn_prng prng;

	cn_prng_init(&prng, 3);
	for (size_t bit = 0; bit < LEAD * 8u; bit++) {
		check_flip(1, bit);
		check_flip(IMAGES + 1, bit);
	}
	for (unsigned n = 0; n < 100; n++) {
		check_flip(1,
		    LEAD * 8u + cn_prng_below(&prng, 8 * (part_len(1) - LEAD)));
	}
}

/* Cut anywhere: what is left of a record is none. */
static void
test_cuts(void **ret CN_UNUSED)
{
	struct cn_import stream;
	size_t len = part_len(1);

	for (size_t cut = 0; cut < len; cut += cut < 2 * LEAD ? 1 : 40009) {
		uint8_t *exact = cn_memdup(part(1), cut);

		assert_non_null(exact);
		begin(&stream, far_id);
		assert_int_equal(import(&stream, exact, cut), CN_ECODING);
		cn_free(exact);
	}
	/* One byte too many: seen before anything is written. */
	begin(&stream, far_id);
	s.got[CN_IMAGE_HEAD_BYTES] = 1;
	assert_int_equal(import(&stream, part(1), len + 1), CN_ECODING);
	assert_int_equal(s.got[CN_IMAGE_HEAD_BYTES], 1);
	for (size_t cut = 0; cut < LEAD; cut++) {
		uint8_t *exact = cn_memdup(part(4), cut);

		assert_non_null(exact);
		begin(&stream, far_id);
		stream.count = IMAGES;
		assert_int_equal(
		    cn_import_end(&stream, exact, cut), CN_ECODING);
		cn_free(exact);
	}
}

/* Records left out, doubled, moved, and an end that comes early. */
static void
test_order(void **ret CN_UNUSED)
{
	struct cn_import stream;
	size_t len;

	begin(&stream, far_id);
	assert_int_equal(import(&stream, part(2), part_len(2)), CN_ECODING);
	begin(&stream, far_id);
	assert_int_equal(import(&stream, part(1), part_len(1)), CN_OK);
	assert_int_equal(import(&stream, part(1), part_len(1)), CN_ECODING);
	assert_int_equal(import(&stream, part(2), part_len(2)), CN_ECLOSED);
	begin(&stream, far_id);
	assert_int_equal(import(&stream, part(1), part_len(1)), CN_OK);
	assert_int_equal(cn_import_length(&stream, part(4), &len), CN_ECODING);
	begin(&stream, far_id);
	assert_int_equal(cn_import_end(&stream, part(4), LEAD), CN_ECODING);
	assert_false(stream.is_whole);
	/* Each for the other. */
	begin(&stream, far_id);
	assert_int_equal(
	    cn_import_end(&stream, part(1), part_len(1)), CN_ECODING);
	begin(&stream, far_id);
	stream.count = IMAGES;
	assert_int_equal(import(&stream, part(4), LEAD), CN_ECODING);
	/* A position that was made to fit. */
	begin(&stream, far_id);
	memcpy(s.work, part(2), part_len(2));
	s.work[15] = 0;
	assert_int_equal(cn_import_length(&stream, s.work, &len), CN_OK);
	assert_int_equal(import(&stream, s.work, part_len(2)), CN_ECODING);
	begin(&stream, far_id);
	memcpy(s.work, part(4), LEAD);
	s.work[15] = 0;
	assert_int_equal(cn_import_end(&stream, s.work, LEAD), CN_ECODING);
}

/* The same record of another export with the same key. */
static void
test_other_stream(void **ret CN_UNUSED)
{
	struct cn_import stream;
	size_t len = part_len(1);

	memcpy(s.work, part(1), len);
	write_stream(NULL);
	assert_memory_not_equal(s.work + LEAD, part(1) + LEAD, 64);
	begin(&stream, far_id);
	assert_int_equal(import(&stream, s.work, len), CN_ECODING);
}

/* What an authentic body may not be. */
static void
test_unpack(void **ret CN_UNUSED)
{
	struct image_sample *sample = &s.sample[0];
	uint8_t *body = s.got + CN_IMAGE_HEAD_BYTES;
	struct cn_import stream;
	size_t len = CN_IMAGE_FOOTER_BYTES;

	begin(&stream, far_id);
	for (unsigned round = 0; round < 5; round++) {
		struct cn_image_info info = sample->info;

		info.chunks = 0;
		info.extent[0].hash ^= round == 1;
		assert_int_equal(
		    cn_image_write_footer(&info, NULL, body), CN_OK);
		body[33] = round == 2;
		len = CN_IMAGE_FOOTER_BYTES;
		for (size_t i = 0; i < CN_SEGMENT_EXTENTS; i++) {
			memcpy(body + len, sample->data + i * CN_EXTENT_BYTES,
			    info.extent[i].used);
			len += info.extent[i].used;
		}
		len += round == 3;
		len -= round == 4;
		assert_int_equal(cn_import_unpack(&stream, s.got, len),
		    round == 0 ? CN_OK : CN_ECODING);
	}
	assert_int_equal(
	    cn_import_unpack(&stream, s.got, CN_IMAGE_FOOTER_BYTES - 1),
	    CN_ECODING);
	cn_import_fini(&stream);
}

/* ---- keys, the document, memory ---- */

static void
test_passphrase(void **ret CN_UNUSED)
{
	/* By another implementation of scrypt. */
	static const uint8_t known[CN_EXPORT_KEY_BYTES] = { 0x2c, 0x73, 0xd8,
		0x06, 0x3a, 0x23, 0xa1, 0xc8, 0xf7, 0xa2, 0xfb, 0x53, 0x47,
		0x27, 0x7b, 0x9f, 0x2e, 0x04, 0x28, 0xb1, 0xe4, 0x33, 0xf2,
		0x8f, 0x97, 0x31, 0x93, 0x71, 0x98, 0xae, 0x8f, 0x84 };
	uint8_t salt[CN_EXPORT_SALT_BYTES] = { 1 };
	uint8_t found[CN_EXPORT_SALT_BYTES];
	uint8_t key[CN_EXPORT_KEY_BYTES];

	assert_int_equal(cn_import_pass_salt(s.stream, found), CN_ENOENT);
	write_stream(salt);
	assert_int_equal(cn_import_pass_salt(s.stream, found), CN_OK);
	assert_memory_equal(found, salt, sizeof(salt));
	assert_int_equal(cn_export_stretch("correct horse", salt, key), CN_OK);
	assert_memory_equal(key, known, sizeof(key));
	s.stream[8] ^= 1;
	assert_int_equal(cn_import_pass_salt(s.stream, found), CN_ESTALE);
	s.stream[0] ^= 1;
	assert_int_equal(cn_import_pass_salt(s.stream, found), CN_ECODING);
}

/* A record opened by the numbers of doc/store.md and nothing of ours. */
static void
test_as_documented(void **ret CN_UNUSED)
{
	static const uint8_t info[] = "compressnet export 1\001";
	static const uint8_t begins[16] = { 'C', 'N', 'e', 'x', 'p', 'o', 'r',
		't', 0, 0, 0, 1, 0, 0, 0, 128 };
	const uint8_t *record = part(3);
	size_t len = part_len(3) - 32;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t prk[32], key[32], nonce[12], tag[16];
	int n = 0;

	assert_memory_equal(s.stream, begins, sizeof(begins));
	assert_memory_equal(s.stream + 48, near_id, 32);
	assert_non_null(
	    HMAC(EVP_sha256(), s.stream + 16, 32, export_key, 32, prk, NULL));
	assert_non_null(
	    HMAC(EVP_sha256(), prk, 32, info, sizeof(info) - 1, key, NULL));
	/* The nonce is the record's own kind and position. */
	memcpy(nonce, record + 4, 12);
	memcpy(tag, record + 16, 16);
	assert_int_equal(nonce[3], 1);
	assert_int_equal(nonce[11], 2);
	assert_int_equal(
	    (size_t)record[1] << 16 | (size_t)record[2] << 8 | record[3], len);
	assert_int_equal(
	    EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce), 1);
	assert_int_equal(EVP_DecryptUpdate(ctx, NULL, &n, record, 16), 1);
	assert_int_equal(
	    EVP_DecryptUpdate(ctx, s.work, &n, record + 32, (int)len), 1);
	assert_int_equal(
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, tag), 1);
	assert_int_equal(EVP_DecryptFinal_ex(ctx, s.work + n, &n), 1);
	EVP_CIPHER_CTX_free(ctx);
	assert_memory_equal(s.work, s.sample[2].info.peer, 32);
	/* Extent 0 is full, so 1 follows at once. */
	assert_memory_equal(s.work + 28672, s.sample[2].data, CN_EXTENT_BYTES);
	assert_memory_equal(s.work + 28672 + CN_EXTENT_BYTES,
	    s.sample[2].data + CN_EXTENT_BYTES,
	    s.sample[2].info.extent[1].used);
}

static bool
torture_once(uint64_t nth)
{
	struct cn_export out = { .count = 0 };
	struct cn_import in = { .count = 0 };
	uint8_t head[HEAD], end[LEAD];
	size_t len = 0;
	bool is_reached;
	int rc;

	cn_alloc_fail_at(nth);
	rc = cn_export_begin(&out, export_key, NULL, near_id, head);
	if (rc == CN_OK) {
		rc =
		    cn_export_image(&out, sample_key, s.image[0], s.work, &len);
	}
	if (rc == CN_OK) {
		rc = cn_export_end(&out, end);
	}
	if (rc == CN_OK) {
		rc = cn_import_begin(&in, export_key, far_id, head);
	}
	if (rc == CN_OK) {
		rc = import(&in, s.work, len);
	}
	if (rc == CN_OK) {
		rc = cn_import_end(&in, end, LEAD);
	}
	is_reached = cn_alloc_has_failed();
	cn_alloc_fail_at(0);
	assert_true(rc == CN_OK || (rc == CN_EIO && is_reached));
	if (rc == CN_OK) {
		assert_true(in.is_whole);
		check_got(&s.sample[0], near_id, false, 0);
	}
	cn_export_fini(&out);
	cn_import_fini(&in);
	return is_reached;
}

static void
test_torture(void **ret CN_UNUSED)
{
	uint64_t blocks;
	uint64_t nth = 1;

	(void)torture_once(0);
	blocks = cn_alloc_count();
	while (torture_once(nth)) {
		nth++;
	}
	assert_true(nth > 10);
	assert_int_equal(cn_alloc_count(), blocks);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_to_peer, set_up),
		cmocka_unit_test_setup(test_to_self, set_up),
		cmocka_unit_test_setup(test_extremes, set_up),
		cmocka_unit_test_setup(test_bad_image, set_up),
		cmocka_unit_test_setup(test_limit, set_up),
		cmocka_unit_test_setup(test_head_flips, set_up),
		cmocka_unit_test_setup(test_flips, set_up),
		cmocka_unit_test_setup(test_cuts, set_up),
		cmocka_unit_test_setup(test_order, set_up),
		cmocka_unit_test_setup(test_other_stream, set_up),
		cmocka_unit_test_setup(test_unpack, set_up),
		cmocka_unit_test_setup(test_passphrase, set_up),
		cmocka_unit_test_setup(test_as_documented, set_up),
		cmocka_unit_test_setup(test_torture, set_up),
	};

	sample_take_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
