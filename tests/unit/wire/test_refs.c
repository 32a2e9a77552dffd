/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "mutate.h"
#include "refs_samples.h"
#include "wire/cursor.h"
#include "wire/refs.h"
#include "wire/varint.h"

/* Head that goes with these references; ext is set by the caller. */
static struct cn_batch_head
head_of(const struct cn_refs *refs)
{
	struct cn_batch_head head = { .offset = 10,
		.plain_len = CN_BATCH_PLAIN_MAX,
		.coding = CN_CODING_ZSTD };

	for (size_t i = 0; i < refs->regions; i++) {
		head.prefix_len += refs->region[i].len;
	}
	head.coded_len = CN_MIN(cn_refs_payload(&head, refs), 100u);
	return head;
}

static int
decode(struct cn_batch_head head, const uint8_t *ext, size_t len)
{
	struct cn_refs refs;

	head.ext = ext;
	head.ext_len = len;
	return cn_refs_decode(&head, &refs);
}

static void
assert_same(const struct cn_refs *a, const struct cn_refs *b)
{
	assert_int_equal(a->logs, b->logs);
	for (size_t i = 0; i < a->logs; i++) {
		assert_true(a->log[i].epoch == b->log[i].epoch);
		assert_int_equal(a->log[i].is_senders, b->log[i].is_senders);
	}
	assert_int_equal(a->has_copies, b->has_copies);
	assert_int_equal(a->ops_len, b->ops_len);
	assert_int_equal(a->literal_len, b->literal_len);
	assert_int_equal(a->regions, b->regions);
	for (size_t i = 0; i < a->regions; i++) {
		assert_int_equal(a->region[i].log, b->region[i].log);
		assert_int_equal(a->region[i].len, b->region[i].len);
		assert_true(a->region[i].pos == b->region[i].pos);
	}
	assert_int_equal(a->delta_len, b->delta_len);
	assert_int_equal(a->stores, b->stores);
	if (a->stores > 0) {
		assert_true(a->store_epoch == b->store_epoch);
	}
	for (size_t i = 0; i < a->stores; i++) {
		assert_int_equal(a->store[i].offset, b->store[i].offset);
		assert_int_equal(a->store[i].len, b->store[i].len);
		assert_true(a->store[i].pos == b->store[i].pos);
	}
}

struct damage {
	struct cn_batch_head head;
	size_t whole;
};

/* Everything that a decoder promises of what it took. */
static void
check_sums(const struct cn_batch_head *head, const struct cn_refs *refs)
{
	uint64_t delta = 0, at = 0;

	assert_true(cn_refs_payload(head, refs) <= head->plain_len);
	assert_true(head->coded_len <= cn_refs_payload(head, refs));
	for (size_t i = 0; i < refs->regions; i++) {
		const struct cn_ref_region *r = &refs->region[i];

		assert_true(r->log < refs->logs && r->len >= 1);
		assert_true(r->pos < CN_LOG_END);
		assert_true(r->pos >> CN_LOG_SEGMENT_SHIFT ==
		    (r->pos + r->len - 1) >> CN_LOG_SEGMENT_SHIFT);
		delta += r->len;
	}
	assert_int_equal(delta, refs->delta_len);
	assert_true(delta <= CN_REFS_DELTA_MAX);
	for (size_t i = 0; i < refs->stores; i++) {
		const struct cn_ref_store *s = &refs->store[i];

		assert_true(s->offset >= at && s->len >= 1);
		at = (uint64_t)s->offset + s->len;
		assert_true(at <= head->plain_len);
		assert_true(s->pos + s->len <= CN_LOG_END);
	}
}

/* What decodes encodes again to the bytes that it came from. */
static void
check_ext(const uint8_t *bytes, size_t len, void *arg)
{
	struct damage *damage = arg;
	struct cn_batch_head head = damage->head;
	uint8_t out[CN_BATCH_EXT_MAX];
	struct cn_refs refs;
	int rc;

	head.ext = bytes;
	head.ext_len = len;
	rc = cn_refs_decode(&head, &refs);
	if (rc != CN_OK) {
		assert_int_equal(rc, CN_EPROTO);
		return;
	}
	check_sums(&head, &refs);
	assert_int_equal(cn_refs_encode(out, sizeof(out), &refs), len);
	assert_memory_equal(out, bytes, len);
	damage->whole++;
}

static void
test_samples(void **state)
{
	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(refs_samples); i++) {
		struct cn_refs sample = refs_samples[i], again = { 0 };
		struct damage damage = { .head = head_of(&sample) };
		struct cn_batch_head head = damage.head;
		uint8_t ext[CN_BATCH_EXT_MAX];
		size_t len = cn_refs_encode(ext, sizeof(ext), &sample);

		assert_true(len > 0);
		head.ext = ext;
		head.ext_len = len;
		assert_int_equal(cn_refs_decode(&head, &again), CN_OK);
		sample.delta_len = head.prefix_len;
		assert_same(&sample, &again);
		cn_mutate_each(ext, len, check_ext, &damage);
		assert_true(damage.whole >= 1);
		/* Full to the last byte. */
		assert_int_equal(cn_refs_encode(ext, len, &sample), len);
	}
}

static void
test_empty(void **state)
{
	const struct cn_batch_head raw = { .plain_len = 5, .coded_len = 5 };
	struct cn_batch_head head = raw;
	struct cn_refs refs = { .logs = 1 };
	uint8_t ext[64];

	(void)state;
	/* Logs that nothing refers to are left out. */
	assert_int_equal(cn_refs_encode(ext, sizeof(ext), &refs), 0);
	assert_int_equal(refs.logs, 0);
	assert_int_equal(cn_refs_decode(&head, &refs), CN_OK);
	assert_int_equal(refs.stores, 0);
	assert_int_equal(cn_refs_payload(&head, &refs), 5);
	head.coded_len = 4;
	assert_int_equal(cn_refs_decode(&head, &refs), CN_EPROTO);
	head.coding = CN_CODING_ZSTD;
	assert_int_equal(cn_refs_decode(&head, &refs), CN_OK);
	head.prefix_len = 1;
	assert_int_equal(cn_refs_decode(&head, &refs), CN_EPROTO);
	head.offset = 1;
	assert_int_equal(cn_refs_decode(&head, &refs), CN_OK);
}

#define EPOCH 1, 2, 3, 4, 5, 6, 7, 8
#define LOG1 1, 10, 1, 0, EPOCH
#define COPIES 2, 2, 3, 4
#define TRY(head, ...)                                                         \
	decode(head, (const uint8_t[]){ __VA_ARGS__ },                         \
	    sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* ops_len 3, literal_len 4: a payload of 7 bytes. */
static void
test_head(void **state)
{
	struct cn_batch_head head = { .offset = 9,
		.plain_len = 20,
		.coded_len = 7,
		.prefix_len = 9,
		.coding = CN_CODING_ZSTD };

	(void)state;
	assert_int_equal(TRY(head, LOG1, COPIES), CN_OK);
	head.coded_len = 8;
	assert_int_equal(TRY(head, LOG1, COPIES), CN_EPROTO);
	head.coded_len = 1;
	head.prefix_len = 10;
	assert_int_equal(TRY(head, LOG1, COPIES), CN_EPROTO);
	/* A payload of as many bytes as plain, and one more. */
	head.prefix_len = 0;
	head.plain_len = 7;
	assert_int_equal(TRY(head, LOG1, COPIES), CN_OK);
	head.plain_len = 6;
	assert_int_equal(TRY(head, LOG1, COPIES), CN_EPROTO);
	/* Raw is exactly the payload. */
	head.plain_len = 20;
	head.coding = CN_CODING_RAW;
	head.coded_len = 7;
	assert_int_equal(TRY(head, LOG1, COPIES), CN_OK);
	head.coded_len = 6;
	assert_int_equal(TRY(head, LOG1, COPIES), CN_EPROTO);
	head.coded_len = 8;
	assert_int_equal(TRY(head, LOG1, COPIES), CN_EPROTO);
	head.coded_len = 20;
	assert_int_equal(TRY(head, LOG1, COPIES), CN_EPROTO);
	/* A region of 5 bytes: no prefix but these; none when raw. */
	head.coded_len = 20;
	assert_int_equal(TRY(head, LOG1, 3, 4, 1, 0, 9, 5), CN_EPROTO);
	head.coding = CN_CODING_ZSTD;
	head.offset = 0;
	assert_int_equal(TRY(head, LOG1, 3, 4, 1, 0, 9, 5), CN_EPROTO);
	head.prefix_len = 5;
	assert_int_equal(TRY(head, LOG1, 3, 4, 1, 0, 9, 5), CN_OK);
	head.prefix_len = 6;
	assert_int_equal(TRY(head, LOG1, 3, 4, 1, 0, 9, 5), CN_EPROTO);
}

static void
test_logs(void **state)
{
	struct cn_batch_head head = {
		.plain_len = 20, .coded_len = 7, .coding = CN_CODING_ZSTD
	};

	(void)state;
	/* None, with nothing to refer to it, needed, twice. */
	assert_int_equal(TRY(head, 1, 1, 0), CN_EPROTO);
	assert_int_equal(TRY(head, 1, 1, 0, COPIES), CN_EPROTO);
	assert_int_equal(TRY(head, LOG1), CN_EPROTO);
	assert_int_equal(TRY(head, COPIES), CN_EPROTO);
	assert_int_equal(
	    TRY(head, 1, 19, 2, 0, EPOCH, 0, EPOCH, COPIES), CN_EPROTO);
	assert_int_equal(
	    TRY(head, 1, 19, 2, 0, EPOCH, 1, EPOCH, COPIES), CN_OK);
	/* Flags; less and more than it says. */
	assert_int_equal(TRY(head, 1, 10, 1, 2, EPOCH, COPIES), CN_EPROTO);
	assert_int_equal(TRY(head, 1, 10, 2, 0, EPOCH, COPIES), CN_EPROTO);
	assert_int_equal(TRY(head, 1, 11, 1, 0, EPOCH, 0, COPIES), CN_EPROTO);
	/* Types: unknown, twice, descending. */
	assert_int_equal(TRY(head, 0, 0, LOG1, COPIES), CN_EPROTO);
	assert_int_equal(TRY(head, LOG1, COPIES, 5, 0), CN_EPROTO);
	assert_int_equal(TRY(head, LOG1, COPIES, COPIES), CN_EPROTO);
	assert_int_equal(TRY(head, COPIES, LOG1), CN_EPROTO);
	/* A list of copies that is too short to be one; no literals. */
	head.coded_len = 1;
	assert_int_equal(TRY(head, LOG1, 2, 2, 1, 4), CN_EPROTO);
	assert_int_equal(TRY(head, LOG1, 2, 2, 2, 0), CN_OK);
	assert_int_equal(TRY(head, LOG1, 2, 3, 2, 0, 0), CN_EPROTO);
	/* A list as long as may be, and longer. */
	head.plain_len = CN_BATCH_PLAIN_MAX;
	assert_int_equal(TRY(head, LOG1, 2, 5, 0x80, 0, 0x88, 0, 0), CN_OK);
	assert_int_equal(TRY(head, LOG1, 2, 5, 0x80, 0, 0x88, 1, 0), CN_EPROTO);
}

/* The last byte of a segment; the last of a log. */
#define SEG_LAST 0x80, 0x0f, 0xff, 0xff
#define LOG_LAST 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
#define LOG_PAST 0xd0, 0, 0, 0, 0, 0, 0, 0
#define BIG 0x80, 4, 0, 0 /* 256 KiB */

static void
test_regions(void **state)
{
	struct cn_batch_head head = { .plain_len = 20,
		.coded_len = 7,
		.prefix_len = 1,
		.coding = CN_CODING_ZSTD };

	(void)state;
	assert_int_equal(TRY(head, LOG1, 3, 4, 1, 0, 9, 1), CN_OK);
	/* None; empty; of a log that is not there; across segments. */
	assert_int_equal(TRY(head, LOG1, 3, 1, 0), CN_EPROTO);
	head.prefix_len = 0;
	assert_int_equal(TRY(head, LOG1, COPIES, 3, 1, 0), CN_EPROTO);
	assert_int_equal(TRY(head, LOG1, 3, 4, 1, 0, 9, 0), CN_EPROTO);
	head.prefix_len = 1;
	assert_int_equal(TRY(head, LOG1, 3, 4, 1, 0, 9, 0), CN_EPROTO);
	assert_int_equal(TRY(head, LOG1, 3, 4, 1, 1, 9, 1), CN_EPROTO);
	assert_int_equal(TRY(head, 3, 4, 1, 0, 9, 1), CN_EPROTO);
	assert_int_equal(TRY(head, LOG1, 3, 7, 1, 0, SEG_LAST, 1), CN_OK);
	head.prefix_len = 2;
	assert_int_equal(TRY(head, LOG1, 3, 7, 1, 0, SEG_LAST, 2), CN_EPROTO);
	assert_int_equal(TRY(head, LOG1, 3, 7, 2, 0, 9, 1, 0, 9, 1), CN_OK);
	head.prefix_len = 1;
	assert_int_equal(TRY(head, LOG1, 3, 11, 1, 0, LOG_LAST, 1), CN_OK);
	assert_int_equal(TRY(head, LOG1, 3, 11, 1, 0, LOG_PAST, 1), CN_EPROTO);
	/* All that may be; one byte more. */
	head.prefix_len = 256u * 1024u;
	assert_int_equal(TRY(head, LOG1, 3, 7, 1, 0, 9, BIG), CN_OK);
	head.prefix_len++;
	assert_int_equal(
	    TRY(head, LOG1, 3, 10, 2, 0, 9, BIG, 0, 9, 1), CN_EPROTO);
}

static void
test_stores(void **state)
{
	struct cn_batch_head head = {
		.plain_len = 20, .coded_len = 20, .coding = CN_CODING_RAW
	};

	(void)state;
	assert_int_equal(TRY(head, 4, 11, EPOCH, 0, 20, 0), CN_OK);
	assert_int_equal(TRY(head, 4, 11, EPOCH, 19, 1, 0), CN_OK);
	/* None; empty; cut; beyond plain; past the end of plain. */
	assert_int_equal(TRY(head, 4, 8, EPOCH), CN_EPROTO);
	assert_int_equal(TRY(head, 4, 11, EPOCH, 0, 0, 0), CN_EPROTO);
	assert_int_equal(TRY(head, 4, 10, EPOCH, 0, 1), CN_EPROTO);
	assert_int_equal(TRY(head, 4, 11, EPOCH, 0, 21, 0), CN_EPROTO);
	assert_int_equal(TRY(head, 4, 11, EPOCH, 20, 1, 0), CN_EPROTO);
	assert_int_equal(TRY(head, 4, 11, EPOCH, 19, 2, 0), CN_EPROTO);
	assert_int_equal(TRY(head, 4, 14, EPOCH, 0, 20, 0, 0, 1, 0), CN_EPROTO);
	assert_int_equal(TRY(head, 4, 14, EPOCH, 0, 20, 0, 1, 1, 0), CN_EPROTO);
	/* Backwards to the begin of the log, and before it. */
	assert_int_equal(TRY(head, 4, 14, EPOCH, 0, 5, 0, 0, 5, 9), CN_OK);
	assert_int_equal(TRY(head, 4, 14, EPOCH, 0, 5, 0, 0, 5, 11), CN_EPROTO);
	/* The end of the log: up to it, then past it. */
	assert_int_equal(TRY(head, 4, 18, EPOCH, 0, 1, 0xdf, 0xff, 0xff, 0xff,
			     0xff, 0xff, 0xff, 0xfe),
	    CN_OK);
	assert_int_equal(TRY(head, 4, 18, EPOCH, 0, 2, 0xdf, 0xff, 0xff, 0xff,
			     0xff, 0xff, 0xff, 0xfe),
	    CN_EPROTO);
	assert_int_equal(
	    TRY(head, 4, 18, EPOCH, 0, 1, 0xe0, 0, 0, 0, 0, 0, 0, 0),
	    CN_EPROTO);
}

/* As many of everything as may be, and one more. */
static void
test_caps(void **state)
{
	static struct cn_refs refs, again;
	uint8_t ext[CN_BATCH_EXT_MAX];
	struct cn_batch_head head;
	size_t len;

	(void)state;
	refs = (struct cn_refs){ .logs = CN_REFS_LOGS_MAX,
		.regions = CN_REFS_REGIONS_MAX,
		.stores = CN_REFS_STORES_MAX };
	for (size_t i = 0; i < CN_REFS_LOGS_MAX; i++) {
		refs.log[i].epoch = i;
	}
	for (uint32_t i = 0; i < CN_REFS_REGIONS_MAX; i++) {
		refs.region[i] = (struct cn_ref_region){ .log = 7, .len = 1 };
	}
	for (uint32_t i = 0; i < CN_REFS_STORES_MAX; i++) {
		refs.store[i] =
		    (struct cn_ref_store){ .offset = 2 * i, .len = 1 };
	}
	len = cn_refs_encode(ext, sizeof(ext), &refs);
	assert_int_equal(refs.stores, CN_REFS_STORES_MAX);
	head = head_of(&refs);
	head.ext = ext;
	head.ext_len = len;
	assert_int_equal(cn_refs_decode(&head, &again), CN_OK);
	refs.delta_len = CN_REFS_REGIONS_MAX;
	assert_same(&refs, &again);
	/* One log, one region too many. */
	ext[3]++;
	assert_int_equal(decode(head, ext, len), CN_EPROTO);
	ext[3]--;
	assert_int_equal(cn_be16_get(ext + 79), 0x4000 | CN_REFS_REGIONS_MAX);
	ext[80]++;
	assert_int_equal(decode(head, ext, len), CN_EPROTO);
	ext[80]--;
	assert_int_equal(decode(head, ext, len), CN_OK);
	/* One piece more: the last that may be, and the first too many. */
	for (size_t i = CN_REFS_STORES_MAX - 1; i <= CN_REFS_STORES_MAX; i++) {
		refs.stores = i;
		len = cn_refs_encode(ext, sizeof(ext), &refs);
		memcpy(ext + len, (const uint8_t[]){ 1, 1, 1 }, 3);
		assert_int_equal(ext[273], 4); /* the stores' type */
		cn_be16_put(ext + 274, (uint16_t)(cn_be16_get(ext + 274) + 3));
		assert_int_equal(decode(head, ext, len + 3),
		    i < CN_REFS_STORES_MAX ? CN_OK : CN_EPROTO);
	}
}

/* What does not fit is left out of the stores, and of nothing else. */
static void
test_stores_that_do_not_fit(void **state)
{
	static struct cn_refs refs, again;
	uint8_t ext[CN_BATCH_EXT_MAX];
	size_t least = 0, before = 0;

	(void)state;
	for (size_t cap = 0; cap <= sizeof(ext); cap++) {
		struct cn_batch_head head;
		size_t len;

		refs = refs_samples[0];
		refs.stores = CN_REFS_STORES_MAX;
		for (uint32_t i = 0; i < CN_REFS_STORES_MAX; i++) {
			refs.store[i] = (struct cn_ref_store){ .offset = 99 * i,
				.len = 70,
				.pos = (uint64_t)i << 32 };
		}
		len = cn_refs_encode(ext, cap, &refs);
		if (len == 0) {
			assert_int_equal(before, 0);
			least = cap + 1;
			continue;
		}
		assert_true(len <= cap);
		assert_true(refs.stores >= before);
		assert_true(refs.stores <= before + 1);
		before = refs.stores;
		head = head_of(&refs);
		head.ext = ext;
		head.ext_len = len;
		assert_int_equal(cn_refs_decode(&head, &again), CN_OK);
		refs.delta_len = head.prefix_len;
		assert_same(&refs, &again);
	}
	/* All that must be there, without stores; hundreds with 4 KiB. */
	refs = refs_samples[0];
	refs.stores = 0;
	assert_int_equal(cn_refs_encode(ext, sizeof(ext), &refs), least);
	assert_in_range(before, 300, CN_REFS_STORES_MAX - 1);
}

/* ---- the list of copies ---- */

static uint64_t
next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return *seed >> 11;
}

/* A number of any size below the limit. */
static uint64_t
random_below(uint64_t *seed, uint64_t limit)
{
	unsigned bits = (unsigned)(next_random(seed) % 62);
	uint64_t high = next_random(seed) << 11;

	return (high ^ next_random(seed)) % (UINT64_C(1) << bits) % limit;
}

static struct cn_ref_op
random_op(uint64_t *seed, const struct cn_ref_cursor *at)
{
	struct cn_ref_op op = { .log = at->log };
	uint64_t step = random_below(seed, 1u << 20);
	uint64_t copy = 1 + random_below(seed, CN_BATCH_PLAIN_MAX);

	op.literal = (uint32_t)random_below(seed, CN_BATCH_PLAIN_MAX + 1);
	op.pos = at->pos + op.literal;
	switch (next_random(seed) % 4) {
	case 0:
		op.pos += step;
		break;
	case 1:
		op.pos -= CN_MIN(op.pos, step);
		break;
	case 2:
		op.log = (uint32_t)(next_random(seed) % CN_REFS_LOGS_MAX);
		op.pos = random_below(seed, CN_LOG_END);
		break;
	default:
		break;
	}
	op.pos = CN_MIN(op.pos, CN_LOG_END - 1);
	op.copy = (uint32_t)CN_MIN(
	    copy, CN_LOG_SEGMENT_BYTES - op.pos % CN_LOG_SEGMENT_BYTES);
	return op;
}

static void
test_random_ops(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		struct cn_ref_cursor at = { 0 }, back = { 0 };
		uint8_t list[20 * CN_REFS_OP_MAX];
		struct cn_ref_op want[20], got;
		struct cn_cursor in;
		size_t len = 0;

		for (size_t i = 0; i < 20; i++) {
			want[i] = random_op(&seed, &at);
			len += cn_ref_op_encode(
			    list + len, CN_REFS_OP_MAX, &at, &want[i]);
		}
		cn_cursor_init(&in, list, len);
		for (size_t i = 0; i < 20; i++) {
			assert_int_equal(cn_ref_op_decode(&in, &back,
					     CN_REFS_LOGS_MAX, &got),
			    CN_OK);
			assert_int_equal(got.literal, want[i].literal);
			assert_int_equal(got.copy, want[i].copy);
			assert_int_equal(got.log, want[i].log);
			assert_true(got.pos == want[i].pos);
		}
		assert_int_equal(
		    cn_ref_op_decode(&in, &back, CN_REFS_LOGS_MAX, &got),
		    CN_EEND);
		assert_true(back.pos == at.pos && back.log == at.log);
	}
}

static size_t
op_size(struct cn_ref_cursor at, struct cn_ref_op op)
{
	uint8_t out[CN_REFS_OP_MAX];

	return cn_ref_op_encode(out, sizeof(out), &at, &op);
}

/* What the format costs is a promise of the design. */
static void
test_op_sizes(void **state)
{
	const uint64_t far = UINT64_C(77) << 40;

	(void)state;
	/* Goes on where the last ended, with a small edit between. */
	assert_int_equal(op_size((struct cn_ref_cursor){ 3, far },
			     (struct cn_ref_op){ 31, 16383, 3, far + 31 }),
	    3);
	assert_int_equal(op_size((struct cn_ref_cursor){ 3, far },
			     (struct cn_ref_op){ 0, 63, 3, far }),
	    2);
	/* A few bytes inserted, a few left out. */
	assert_int_equal(op_size((struct cn_ref_cursor){ 3, far },
			     (struct cn_ref_op){ 9, 5000, 3, far }),
	    4);
	assert_int_equal(op_size((struct cn_ref_cursor){ 3, far },
			     (struct cn_ref_op){ 0, 5000, 3, far + 15 }),
	    4);
	/* Far back in a short log; in another log; the longest. */
	assert_int_equal(op_size((struct cn_ref_cursor){ 0, 1u << 29 },
			     (struct cn_ref_op){ 0, 5000, 0, 0 }),
	    5);
	assert_int_equal(op_size((struct cn_ref_cursor){ 0, far },
			     (struct cn_ref_op){ 0, 5000, 1, far }),
	    12);
	assert_int_equal(op_size((struct cn_ref_cursor){ 0, CN_LOG_END },
			     (struct cn_ref_op){ CN_BATCH_PLAIN_MAX,
				 CN_BATCH_PLAIN_MAX, 1, CN_LOG_END >> 1 }),
	    CN_REFS_OP_MAX);
	/* From one end of a log to the other. */
	assert_int_equal(op_size((struct cn_ref_cursor){ 0, CN_LOG_END },
			     (struct cn_ref_op){ CN_BATCH_PLAIN_MAX, 1, 0, 0 }),
	    4 + 1 + 2);
	assert_int_equal(op_size((struct cn_ref_cursor){ 0, 0 },
			     (struct cn_ref_op){ 0, 1, 0, CN_LOG_END - 1 }),
	    1 + 1 + 8);
}

static int
op_decode(
    struct cn_ref_cursor at, size_t logs, const uint8_t *bytes, size_t len)
{
	const struct cn_ref_cursor before = at;
	struct cn_ref_op op = { .literal = 4711 };
	struct cn_cursor in;
	int rc;

	cn_cursor_init(&in, bytes, len);
	rc = cn_ref_op_decode(&in, &at, logs, &op);
	if (rc != CN_OK) {
		assert_int_equal(op.literal, 4711);
		assert_true(at.pos == before.pos && at.log == before.log);
		assert_int_equal(cn_ref_op_decode(&in, &at, logs, &op), rc);
	}
	return rc;
}

#define OP(log, pos, logs, ...)                                                \
	op_decode((struct cn_ref_cursor){ log, pos }, logs,                    \
	    (const uint8_t[]){ __VA_ARGS__ },                                  \
	    sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void
test_op_limits(void **state)
{
	const uint64_t last = CN_LOG_END - 1;

	(void)state;
	assert_int_equal(
	    op_decode((struct cn_ref_cursor){ 0, 0 }, 1, NULL, 0), CN_EEND);
	assert_int_equal(OP(0, 0, 1, 0, 1), CN_OK);
	assert_int_equal(OP(0, 0, 1, 0), CN_EPROTO);
	assert_int_equal(OP(0, 0, 1, 0, 0), CN_EPROTO);
	assert_int_equal(OP(0, 0, 0, 0, 1), CN_EPROTO);
	/* Placed without a place; before the begin. */
	assert_int_equal(OP(0, 0, 1, 1, 1), CN_EPROTO);
	assert_int_equal(OP(0, 5, 1, 1, 1, 9 << 1), CN_OK);
	assert_int_equal(OP(0, 5, 1, 1, 1, 11 << 1), CN_EPROTO);
	/* In logs that are there and that are not. */
	assert_int_equal(OP(0, 0, 2, 1, 1, 3, 0), CN_OK);
	assert_int_equal(OP(0, 0, 2, 1, 1, 5, 0), CN_EPROTO);
	assert_int_equal(OP(0, 0, 8, 1, 1, 15, 0), CN_OK);
	assert_int_equal(OP(0, 0, 8, 1, 1, 17, 0), CN_EPROTO);
	assert_int_equal(OP(0, 0, 2, 1, 1, 3), CN_EPROTO);
	assert_int_equal(
	    OP(0, 0, 8, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	    CN_EPROTO);
	assert_int_equal(
	    OP(0, 0, 8, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe),
	    CN_EPROTO);
	assert_int_equal(
	    OP(0, 0, 8, 1, 1, 0xc0, 0, 0, 2, 0, 0, 0, 1, 0), CN_EPROTO);
	/* Within a segment: its last byte, and one more. */
	assert_int_equal(OP(0, 0, 1, 1, 1, 1, SEG_LAST), CN_OK);
	assert_int_equal(OP(0, 0, 1, 1, 2, 1, SEG_LAST), CN_EPROTO);
	/* The last byte of the log, and past it. */
	assert_int_equal(OP(0, last, 1, 0, 1), CN_OK);
	assert_int_equal(OP(0, last, 1, 0, 2), CN_EPROTO);
	assert_int_equal(OP(0, last, 1, 2, 1), CN_EPROTO);
	assert_int_equal(OP(0, CN_LOG_END, 1, 0, 1), CN_EPROTO);
	assert_int_equal(OP(0, CN_LOG_END, 1, 1, 1, 1 << 1), CN_OK);
	assert_int_equal(OP(0, 0, 1, 1, 1, 1, LOG_LAST), CN_OK);
	assert_int_equal(OP(0, 0, 1, 1, 1, 1, LOG_PAST), CN_EPROTO);
	/* Lengths of a batch, and one byte more. */
	assert_int_equal(OP(0, 0, 1, 0x80, 8, 0, 0, BIG), CN_OK);
	assert_int_equal(OP(0, 0, 1, 0x80, 8, 0, 1, BIG, 0), CN_OK);
	assert_int_equal(OP(0, 0, 1, 0x80, 8, 0, 2, BIG), CN_EPROTO);
	assert_int_equal(OP(0, 0, 1, 0, 0x80, 4, 0, 1), CN_EPROTO);
}

/* Three copies of 60 bytes in all, and 12 literals, of which 2 come last;
 * then a number that begins a fourth. */
static const uint8_t list[] = { 10 << 1, 30, 0 << 1, 20, 1, 10, 1, 9, 0 };
#define LIST_LEN (sizeof(list) - 1)

static int
check_ops(uint32_t ops_len, uint32_t literal_len, uint32_t plain_len)
{
	const struct cn_refs refs = { .logs = 1,
		.has_copies = true,
		.ops_len = ops_len,
		.literal_len = literal_len };
	size_t copies = 99;
	int rc = cn_refs_check_ops(&refs, list, plain_len, &copies);

	assert_int_equal(copies, rc != CN_OK ? 99u : ops_len > 4 ? 3u : 2u);
	return rc;
}

static void
test_whole_lists(void **state)
{
	(void)state;
	assert_int_equal(check_ops(LIST_LEN, 12, 72), CN_OK);
	assert_int_equal(check_ops(LIST_LEN, 10, 70), CN_OK);
	/* Literals that are not there; copies of more or less than plain. */
	assert_int_equal(check_ops(LIST_LEN, 9, 69), CN_EPROTO);
	assert_int_equal(check_ops(LIST_LEN, 12, 71), CN_EPROTO);
	assert_int_equal(check_ops(LIST_LEN, 12, 73), CN_EPROTO);
	/* Cut between two copies, and within one. */
	assert_int_equal(check_ops(4, 12, 62), CN_OK);
	assert_int_equal(check_ops(4, 12, 72), CN_EPROTO);
	assert_int_equal(check_ops(7, 12, 72), CN_EPROTO);
	assert_int_equal(check_ops(sizeof(list), 12, 72), CN_EPROTO);
}

static void
check_list(const uint8_t *bytes, size_t len, void *arg)
{
	const struct cn_refs refs = { .logs = 1,
		.has_copies = true,
		.ops_len = (uint32_t)len,
		.literal_len = 12 };
	size_t copies = 0;

	if (cn_refs_check_ops(&refs, bytes, 72, &copies) == CN_OK) {
		assert_true(copies >= 1 && copies <= len / 2);
		(*(size_t *)arg)++;
	}
}

static void
test_damaged_lists(void **state)
{
	size_t whole = 0;

	(void)state;
	cn_mutate_each(list, LIST_LEN, check_list, &whole);
	/* Flips of literals and places may leave it whole. */
	assert_true(whole >= 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_logs),
		cmocka_unit_test(test_regions),
		cmocka_unit_test(test_stores),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_stores_that_do_not_fit),
		cmocka_unit_test(test_random_ops),
		cmocka_unit_test(test_op_sizes),
		cmocka_unit_test(test_op_limits),
		cmocka_unit_test(test_whole_lists),
		cmocka_unit_test(test_damaged_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
