/* SPDX-License-Identifier: Apache-2.0 */
/* Images: round trips, every kind of damage, keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/err.h"
#include "store/image_private.h"

#include "image_samples.h"

#define PAGE 4096u
/* Bytes of the head that say something: salt, lengths, tags. */
#define HEAD_USED 96u

static const uint8_t other_key[CN_IMAGE_KEY_BYTES] = { 7, 1, 5 };

struct state {
	struct image_sample sample;
	uint8_t image[CN_IMAGE_BYTES];
	uint8_t work[CN_IMAGE_BYTES];
	uint8_t out[CN_SEGMENT_BYTES];
	struct cn_image_info info;
	struct cn_store_chunk chunk[CN_IMAGE_CHUNKS_MAX];
};

static int
set_up(void **ret)
{
	static struct state s;

	sample_fill(&s.sample, 1);
	assert_int_equal(cn_image_seal(sample_key, &s.sample.info,
			     s.sample.chunk, s.sample.data, s.image),
	    CN_OK);
	memcpy(s.work, s.image, sizeof(s.work));
	*ret = &s;
	return 0;
}

static int
open_work(struct state *s)
{
	return cn_image_open(sample_key, s->work, &s->info, s->chunk);
}

static int
open_work_data(struct state *s)
{
	return cn_image_open_data(sample_key, s->work, &s->info, s->out);
}

static void
test_round_trip(void **ret)
{
	struct state *s = *ret;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		sample_fill(&s->sample, seed);
		if (seed == 2) {
			s->sample.info.chunks = 0;
		}
		if (seed == 3) {
			memset(s->sample.info.extent, 0,
			    sizeof(s->sample.info.extent));
		}
		assert_int_equal(cn_image_seal(sample_key, &s->sample.info,
				     s->sample.chunk, s->sample.data, s->work),
		    CN_OK);
		assert_int_equal(open_work(s), CN_OK);
		assert_true(sample_is_info(&s->info, &s->sample.info));
		assert_memory_equal(s->chunk, s->sample.chunk,
		    s->info.chunks * sizeof(s->chunk[0]));
		memset(&s->info, 0, sizeof(s->info));
		assert_int_equal(open_work_data(s), CN_OK);
		assert_true(sample_is_info(&s->info, &s->sample.info));
		sample_trim(&s->sample);
		assert_memory_equal(s->out, s->sample.data, CN_SEGMENT_BYTES);
		/* In place, and without the chunks. */
		assert_int_equal(
		    cn_image_open(sample_key, s->work, &s->info, NULL), CN_OK);
		assert_int_equal(cn_image_open_data(sample_key, s->work,
				     &s->info, s->work + CN_IMAGE_DATA_AT),
		    CN_OK);
		assert_memory_equal(s->work + CN_IMAGE_DATA_AT, s->sample.data,
		    CN_SEGMENT_BYTES);
	}
}

/* Two sealings of the same have nothing in common but the clear head. */
static void
test_fresh_salt(void **ret)
{
	struct state *s = *ret;
	size_t same = 0;

	assert_int_equal(cn_image_seal(sample_key, &s->sample.info,
			     s->sample.chunk, s->sample.data, s->work),
	    CN_OK);
	assert_memory_not_equal(s->work + 32, s->image + 32, 32);
	for (size_t i = CN_IMAGE_HEAD_BYTES; i < CN_IMAGE_BYTES; i++) {
		same += s->work[i] == s->image[i];
	}
	assert_true(same < CN_IMAGE_BYTES / 200); /* chance: 1 in 256 */
}

/* ---- damage ---- */

/* A changed byte: neither part opens, and nothing is given out. */
static void
check_damaged(struct state *s, size_t at)
{
	struct cn_image_info before = s->sample.info;
	int rc;

	s->info = before;
	rc = open_work(s);
	if (at >= 8 && at < 12) {
		assert_int_equal(rc, CN_ESTALE);
	} else {
		assert_int_equal(rc, CN_ECODING);
	}
	assert_memory_equal(&s->info, &before, sizeof(before));
}

static void
test_flips(void **ret)
{
	struct state *s = *ret;

	for (size_t i = 0; i < CN_IMAGE_DATA_AT; i++) {
		unsigned first = i < HEAD_USED ? 0 : i % 8;
		unsigned last = i < HEAD_USED ? 7 : i % 8;

		for (unsigned bit = first; bit <= last; bit++) {
			s->work[i] = (uint8_t)(s->image[i] ^ 1u << bit);
			check_damaged(s, i);
			s->work[i] = s->image[i];
		}
	}
	assert_int_equal(open_work(s), CN_OK);
}

static void
test_data_flips(void **ret)
{
	struct state *s = *ret;
	struct cn_prng prng;

	cn_prng_init(&prng, 8);
	for (unsigned i = 0; i < 100; i++) {
		size_t at = CN_IMAGE_DATA_AT +
		    (i == 0          ? 0
			    : i == 1 ? CN_SEGMENT_BYTES - 1
				     : cn_prng_below(&prng, CN_SEGMENT_BYTES));

		s->work[at] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(open_work_data(s), CN_ECODING);
		/* What is not authentic is not given out. */
		for (size_t j = 0; j < CN_SEGMENT_BYTES; j += PAGE) {
			assert_int_equal(s->out[j], 0);
		}
		assert_int_equal(open_work(s), CN_OK); /* footer alone */
		s->work[at] = s->image[at];
	}
	assert_int_equal(open_work_data(s), CN_OK);
}

/* A crash: the first pages are new, the rest is what was there before. */
static void
test_half_written(void **ret)
{
	struct state *s = *ret;
	static uint8_t old[CN_IMAGE_BYTES];

	for (unsigned round = 0; round < 2; round++) {
		if (round == 1) {
			assert_int_equal(
			    cn_image_seal(sample_key, &s->sample.info,
				s->sample.chunk, s->sample.data, old),
			    CN_OK);
		}
		for (size_t cut = 0; cut < CN_IMAGE_BYTES;
		     cut += cut < CN_IMAGE_DATA_AT ? PAGE : 16 * PAGE) {
			int rc = cut > 0 ? CN_ECODING
			    : round == 0 ? CN_EEND
					 : CN_OK;

			memcpy(s->work, old, CN_IMAGE_BYTES);
			memcpy(s->work, s->image, cut);
			assert_int_equal(open_work_data(s), rc);
			/* And the other way round. */
			memcpy(s->work, s->image, CN_IMAGE_BYTES);
			memcpy(s->work, old, cut);
			rc = cut == 0    ? CN_OK
			    : round == 0 ? CN_EEND
					 : CN_ECODING;
			assert_int_equal(open_work_data(s), rc);
		}
	}
}

/* A page doubled, so that everything behind it is one page late. */
static void
test_doubled(void **ret)
{
	struct state *s = *ret;

	for (size_t at = 0; at < CN_IMAGE_DATA_AT; at += PAGE) {
		memcpy(s->work, s->image, CN_IMAGE_BYTES);
		memmove(s->work + at + PAGE, s->work + at,
		    CN_IMAGE_BYTES - at - PAGE);
		assert_int_equal(open_work_data(s), CN_ECODING);
	}
}

/* Parts of two images of one store do not make a third. */
static void
test_mixed(void **ret)
{
	struct state *s = *ret;
	static uint8_t other[CN_IMAGE_BYTES];

	assert_int_equal(cn_image_seal(sample_key, &s->sample.info,
			     s->sample.chunk, s->sample.data, other),
	    CN_OK);
	memcpy(s->work, s->image, CN_IMAGE_BYTES);
	memcpy(s->work + 64, other + 64, 16); /* the tag of its data */
	memcpy(s->work + CN_IMAGE_DATA_AT, other + CN_IMAGE_DATA_AT,
	    CN_SEGMENT_BYTES);
	assert_int_equal(open_work(s), CN_ECODING);
	assert_int_equal(open_work_data(s), CN_ECODING);
}

static void
test_other_store(void **ret)
{
	struct state *s = *ret;

	assert_int_equal(
	    cn_image_open(other_key, s->image, &s->info, s->chunk), CN_ECODING);
	assert_int_equal(
	    cn_image_open_data(other_key, s->image, &s->info, s->out),
	    CN_ECODING);
}

/* Zeros are an empty slot, but only if it is all of the head. */
static void
test_empty(void **ret)
{
	struct state *s = *ret;

	memset(s->work, 0, CN_IMAGE_BYTES);
	assert_int_equal(open_work(s), CN_EEND);
	assert_int_equal(open_work_data(s), CN_EEND);
	s->work[CN_IMAGE_HEAD_BYTES] = 1;
	assert_int_equal(open_work(s), CN_EEND);
	s->work[CN_IMAGE_HEAD_BYTES - 1] = 1;
	assert_int_equal(open_work(s), CN_ECODING);
}

/* ---- what may not be sealed, and what an authentic footer may not say ---- */

static int
seal_work(struct state *s)
{
	return cn_image_seal(sample_key, &s->sample.info, s->sample.chunk,
	    s->sample.data, s->work);
}

static void
test_refused(void **ret)
{
	struct state *s = *ret;
	struct cn_image_info good = s->sample.info;
	struct cn_image_info *info = &s->sample.info;

	info->chunks = CN_IMAGE_CHUNKS_MAX + 1;
	assert_int_equal(seal_work(s), CN_EINVAL);
	*info = good;
	info->sequence = CN_PLACE_END >> CN_SEGMENT_SHIFT;
	assert_int_equal(seal_work(s), CN_EINVAL);
	info->sequence--;
	assert_int_equal(seal_work(s), CN_OK);
	*info = good;
	info->extent[0].used = CN_EXTENT_BYTES + 1;
	assert_int_equal(seal_work(s), CN_EINVAL);
	*info = good;
	info->extent[5] = (struct cn_image_extent){ .scope = 1 };
	assert_int_equal(seal_work(s), CN_EINVAL);
	info->extent[5] = (struct cn_image_extent){ .hash = 1 };
	assert_int_equal(seal_work(s), CN_EINVAL);
	*info = good;
	info->chunks = CN_IMAGE_CHUNKS_MAX;
	s->sample.chunk[CN_IMAGE_CHUNKS_MAX - 1].pos = CN_SEGMENT_BYTES;
	assert_int_equal(seal_work(s), CN_EINVAL);
	s->sample.chunk[CN_IMAGE_CHUNKS_MAX - 1].pos--;
	assert_int_equal(seal_work(s), CN_OK);
	assert_int_equal(open_work(s), CN_OK);
	assert_int_equal(
	    s->chunk[CN_IMAGE_CHUNKS_MAX - 1].pos, CN_SEGMENT_BYTES - 1);
}

/* A hash that is not that of the data: the footer opens, the data does not. */
static void
test_wrong_hash(void **ret)
{
	struct state *s = *ret;

	s->sample.info.extent[0].hash ^= 1;
	assert_int_equal(seal_work(s), CN_OK);
	assert_int_equal(open_work(s), CN_OK);
	assert_int_equal(open_work_data(s), CN_ECODING);
}

/* Bytes where none are used, authentic all the same. */
static void
test_bytes_beyond_used(void **ret)
{
	struct state *s = *ret;
	uint8_t *data = s->work + CN_IMAGE_DATA_AT;

	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(
		    cn_image_write_footer(&s->sample.info, s->sample.chunk,
			s->work + CN_IMAGE_HEAD_BYTES),
		    CN_OK);
		sample_trim(&s->sample);
		memcpy(data, s->sample.data, CN_SEGMENT_BYTES);
		data[6 * CN_EXTENT_BYTES - 1] ^= (uint8_t)round;
		assert_int_equal(s->sample.info.extent[5].used, 0);
		assert_int_equal(
		    cn_image_seal_placed(sample_key, s->work), CN_OK);
		assert_int_equal(
		    open_work_data(s), round == 0 ? CN_OK : CN_ECODING);
	}
}

/* Each bit of a plain footer: it is refused, or it means something else and
 * is written again as it was read. */
static void
test_footer_flips(void **ret)
{
	struct state *s = *ret;
	static uint8_t again[CN_IMAGE_FOOTER_BYTES];
	uint8_t *footer = s->work;
	unsigned refused = 0;

	assert_int_equal(
	    cn_image_write_footer(&s->sample.info, s->sample.chunk, footer),
	    CN_OK);
	for (size_t i = 0; i < CN_IMAGE_FOOTER_BYTES * 8u;
	     i += i < 700u * 8u ? 1 : 7) {
		int rc;

		footer[i / 8] ^= (uint8_t)(1u << i % 8);
		rc = cn_image_parse_footer(footer, &s->info, s->chunk);
		if (rc == CN_OK) {
			assert_int_equal(
			    cn_image_write_footer(&s->info, s->chunk, again),
			    CN_OK);
			assert_memory_equal(again, footer, sizeof(again));
		} else {
			assert_int_equal(rc, CN_ECODING);
			refused++;
		}
		footer[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_true(refused > 2000);
}

/* ---- hash and keys ---- */

static void
test_hash(void **ret)
{
	struct state *s = *ret;
	struct cn_image_info info = s->sample.info;
	uint64_t hash = cn_image_hash(&info);
	uint8_t plain[CN_IMAGE_FOOTER_BYTES];

	/* As doc/store.md has it: the footer's bytes 128 to 639. */
	assert_int_equal(
	    cn_image_write_footer(&info, s->sample.chunk, plain), CN_OK);
	assert_int_equal(hash, cn_hash64(plain + 128, 512, 0));
	/* Whose it is and when is none of its business. */
	info.peer[0] ^= 1;
	info.is_mine = !info.is_mine;
	info.epoch++;
	info.age++;
	info.chunks = 0;
	assert_int_equal(cn_image_hash(&info), hash);
	info.extent[31].used ^= 1;
	assert_int_not_equal(cn_image_hash(&info), hash);
	info = s->sample.info;
	info.extent[0].scope ^= 1;
	assert_int_not_equal(cn_image_hash(&info), hash);
	info = s->sample.info;
	info.extent[0].hash ^= 1;
	assert_int_not_equal(cn_image_hash(&info), hash);
}

static void
test_derive(void **ret)
{
	/* HKDF-SHA256 as RFC 5869 has it, by an implementation of its own:
	 * no salt, info "compressnet derive 1 index". */
	static const uint8_t known[CN_IMAGE_KEY_BYTES] = { 0x3f, 0x87, 0x98,
		0xd4, 0x35, 0xda, 0xf3, 0x15, 0x1f, 0xcf, 0x92, 0x66, 0x92,
		0x5b, 0x62, 0x27, 0xcd, 0x12, 0xf9, 0xa2, 0x80, 0x82, 0xbe,
		0x88, 0xd3, 0xd3, 0x48, 0x39, 0x9b, 0x65, 0x72, 0x58 };
	char label[66];
	uint8_t a[CN_IMAGE_KEY_BYTES], b[CN_IMAGE_KEY_BYTES];

	(void)ret;
	assert_int_equal(cn_image_derive(sample_key, "index", a), CN_OK);
	assert_memory_equal(a, known, sizeof(a));
	assert_int_equal(cn_image_derive(sample_key, "inde", b), CN_OK);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_int_equal(cn_image_derive(other_key, "index", b), CN_OK);
	assert_memory_not_equal(a, b, sizeof(a));
	memset(label, 'x', sizeof(label));
	label[64] = '\0';
	assert_int_equal(cn_image_derive(sample_key, label, a), CN_OK);
	label[64] = 'x';
	label[65] = '\0';
	assert_int_equal(cn_image_derive(sample_key, label, a), CN_EINVAL);
}

/* ---- the document ---- */

/* AES-256-GCM with the nonce's last byte as given; false: not authentic. */
static bool
gcm_open(const uint8_t *key, uint8_t number, const uint8_t *aad, int aad_len,
    const uint8_t *in, int len, const uint8_t *tag, uint8_t *out)
{
	uint8_t nonce[12] = { 0 };
	uint8_t copy[16];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool is_good;
	int n;

	nonce[11] = number;
	memcpy(copy, tag, sizeof(copy));
	is_good =
	    EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
	    EVP_DecryptUpdate(ctx, NULL, &n, aad, aad_len) == 1 &&
	    EVP_DecryptUpdate(ctx, out, &n, in, len) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, copy) == 1 &&
	    EVP_DecryptFinal_ex(ctx, out + n, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return is_good;
}

/* An image opened by the numbers of doc/store.md and nothing of ours. */
static void
test_as_documented(void **ret)
{
	static const uint8_t info[] = "compressnet image 1\001";
	static const uint8_t lead[32] = { 'C', 'N', 'i', 'm', 'a', 'g', 'e',
		'\n', 0, 0, 0, 1, 0, 0, 0x10, 0, 0, 0, 0x70, 0, 0, 0x10 };
	struct state *s = *ret;
	uint8_t prk[32], key[32];
	uint8_t *footer = s->work;

	assert_memory_equal(s->image, lead, sizeof(lead));
	assert_non_null(
	    HMAC(EVP_sha256(), s->image + 32, 32, sample_key, 32, prk, NULL));
	assert_non_null(
	    HMAC(EVP_sha256(), prk, 32, info, sizeof(info) - 1, key, NULL));
	assert_true(gcm_open(key, 1, s->image, 64, s->image + 32768, 1 << 20,
	    s->image + 64, s->out));
	sample_trim(&s->sample);
	assert_memory_equal(s->out, s->sample.data, CN_SEGMENT_BYTES);
	assert_true(gcm_open(key, 0, s->image, 80, s->image + 4096, 28672,
	    s->image + 80, footer));
	assert_memory_equal(footer, s->sample.info.peer, 32);
	assert_int_equal(footer[32], s->sample.info.is_mine);
	assert_int_equal(footer[38] << 8 | footer[39], s->sample.info.chunks);
	assert_int_equal(footer[40], s->sample.info.epoch >> 56);
	assert_int_equal(footer[51], s->sample.info.sequence >> 32);
	assert_int_equal(footer[63], s->sample.info.age & 0xff);
	assert_int_equal(footer[71], s->sample.info.sealed_s & 0xff);
	assert_int_equal(footer[128], s->sample.info.extent[0].scope >> 56);
	assert_int_equal(footer[138], 0x80); /* used: a full extent */
	assert_int_equal(footer[143], s->sample.info.extent[0].hash & 0xff);
	assert_int_equal(footer[640], s->sample.chunk[0].key >> 56);
	assert_int_equal(footer[651], s->sample.chunk[0].pos & 0xff);
}

/* ---- memory ---- */

static bool
torture_once(struct state *s, uint64_t nth)
{
	bool is_reached;
	int rc;

	cn_alloc_fail_at(nth);
	rc = seal_work(s);
	if (rc == CN_OK) {
		rc = open_work(s);
	}
	if (rc == CN_OK) {
		rc = open_work_data(s);
	}
	is_reached = cn_alloc_has_failed();
	cn_alloc_fail_at(0);
	/* OpenSSL may do without; what it did then must be right. */
	assert_true(rc == CN_OK || (rc == CN_EIO && is_reached));
	if (rc == CN_OK) {
		assert_true(sample_is_info(&s->info, &s->sample.info));
		assert_int_equal(open_work_data(s), CN_OK);
	}
	return is_reached;
}

/* We allocate nothing; OpenSSL does, behind cn_alloc() here. */
static void
test_torture(void **ret)
{
	struct state *s = *ret;
	uint64_t blocks;
	uint64_t nth = 1;

	(void)torture_once(s, 0);
	blocks = cn_alloc_count();
	while (torture_once(s, nth)) {
		nth++;
	}
	assert_true(nth > 10);
	assert_int_equal(cn_alloc_count(), blocks);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_round_trip, set_up),
		cmocka_unit_test_setup(test_fresh_salt, set_up),
		cmocka_unit_test_setup(test_flips, set_up),
		cmocka_unit_test_setup(test_data_flips, set_up),
		cmocka_unit_test_setup(test_half_written, set_up),
		cmocka_unit_test_setup(test_doubled, set_up),
		cmocka_unit_test_setup(test_mixed, set_up),
		cmocka_unit_test_setup(test_other_store, set_up),
		cmocka_unit_test_setup(test_empty, set_up),
		cmocka_unit_test_setup(test_refused, set_up),
		cmocka_unit_test_setup(test_wrong_hash, set_up),
		cmocka_unit_test_setup(test_bytes_beyond_used, set_up),
		cmocka_unit_test_setup(test_footer_flips, set_up),
		cmocka_unit_test_setup(test_hash, set_up),
		cmocka_unit_test_setup(test_derive, set_up),
		cmocka_unit_test_setup(test_as_documented, set_up),
		cmocka_unit_test_setup(test_torture, set_up),
	};

	sample_take_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
