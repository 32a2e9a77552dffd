/* SPDX-License-Identifier: Apache-2.0 */

/* The capture of what refers to the logs of the pair, and agrees on them. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/hash.h"
#include "golden_block.h"
#include "hello_samples.h"
#include "wire/varint.h"

#define EPOCH UINT64_C(0x0102030405060708)
#define PEERS_EPOCH UINT64_C(0xfedcba9876543210)
#define SCOPE UINT64_C(0x5c09e00000000001)
#define OTHER_SCOPE UINT64_C(0x5c09e00000000002)
#define EXTENT_BYTES (CN_LOG_SEGMENT_BYTES / CN_LOG_EXTENTS)

/* Segments of the sender's log that something is stored in. */
#define FIRST_SEGMENT 80u
#define SEGMENTS 3u
#define AT(segment, offset)                                                    \
	((uint64_t)(segment)*CN_LOG_SEGMENT_BYTES + (offset))

/* Bytes of the first version, and where the second begins. */
#define OLD_LEN 60000u

static struct {
	uint8_t bytes[CN_LOG_SEGMENT_BYTES];
	bool has[CN_LOG_SEGMENT_BYTES];
	uint64_t scope[CN_LOG_EXTENTS];
} segment[SEGMENTS];

/* ---- our own book of the log ---- */

/* What a batch stores, and for whom. */
static void
keep(const struct cn_refs *refs, const uint8_t *plain, uint64_t scope)
{
	for (size_t i = 0; i < refs->stores; i++) {
		const struct cn_ref_store *store = &refs->store[i];

		for (uint32_t k = 0; k < store->len; k++) {
			uint64_t pos = store->pos + k - AT(FIRST_SEGMENT, 0);
			size_t n = pos / CN_LOG_SEGMENT_BYTES;
			size_t at = pos % CN_LOG_SEGMENT_BYTES;

			assert(n < SEGMENTS);
			segment[n].bytes[at] = plain[store->offset + k];
			segment[n].has[at] = true;
			segment[n].scope[at / EXTENT_BYTES] = scope;
		}
	}
}

static uint32_t
extent_used(size_t n, size_t extent)
{
	uint32_t used = 0;

	while (used < EXTENT_BYTES &&
	    segment[n].has[extent * EXTENT_BYTES + used]) {
		used++;
	}
	return used;
}

static uint32_t
extent_hash(size_t n, size_t extent)
{
	uint32_t used = extent_used(n, extent);

	return used == 0
	    ? 0
	    : (uint32_t)cn_hash64(
		  segment[n].bytes + extent * EXTENT_BYTES, used, 0);
}

static uint64_t
segment_hash(size_t n)
{
	uint8_t bytes[CN_LOG_EXTENTS * 16] = { 0 };

	for (size_t i = 0; i < CN_LOG_EXTENTS; i++) {
		uint32_t used = extent_used(n, i);

		if (used > 0) {
			cn_be64_put(bytes + 16 * i, segment[n].scope[i]);
			cn_be32_put(bytes + 16 * i + 8, used);
			cn_be32_put(bytes + 16 * i + 12, extent_hash(n, i));
		}
	}
	return cn_hash64(bytes, sizeof(bytes), 0);
}

/* A node that all our segments are in. */
static struct cn_frame
have_all(uint32_t level)
{
	struct cn_frame f = { .type = CN_FRAME_HAVE };
	uint8_t bytes[SEGMENTS * 16];

	for (size_t i = 0; i < SEGMENTS; i++) {
		cn_be64_put(bytes + 16 * i, FIRST_SEGMENT + i);
		cn_be64_put(bytes + 16 * i + 8, segment_hash(i));
	}
	f.u.have.epoch = EPOCH;
	f.u.have.level = level;
	f.u.have.index = (uint64_t)FIRST_SEGMENT >> (4 * level);
	f.u.have.hash = cn_hash64(bytes, sizeof(bytes), 0);
	return f;
}

static void
add_agreement(struct capture *c)
{
	struct cn_frame f[6] = { have_all(1), have_all(2),
		have_all(CN_LOG_LEVEL_MAX), { .type = CN_FRAME_HAVE },
		{ .type = CN_FRAME_EXTENTS }, { .type = CN_FRAME_WANT } };

	f[3].u.have = (struct cn_frame_node){
		.epoch = EPOCH, .index = FIRST_SEGMENT, .hash = segment_hash(0)
	};
	f[4].u.extents.epoch = EPOCH;
	f[4].u.extents.sequence = FIRST_SEGMENT + 1;
	for (size_t i = 0; i < CN_LOG_EXTENTS; i++) {
		f[4].u.extents.hash[i] = extent_hash(1, i);
	}
	f[5].u.want = (struct cn_frame_node){ .flags = CN_LOG_OF_RECEIVER,
		.epoch = PEERS_EPOCH };
	add_raw_block(c, f, CN_ARRAY_LEN(f), "true");
	/* Something else; nothing; not the same extents. */
	f[0].u.have.hash ^= 1;
	f[3].u.have.index = FIRST_SEGMENT + SEGMENTS;
	f[4].u.extents.hash[2]++;
	f[1] = f[3];
	f[2] = f[4];
	add_raw_block(c, f, 3, "false");
	f[0] = (struct cn_frame){ .type = CN_FRAME_LACK };
	f[0].u.lack.epoch = EPOCH;
	f[0].u.lack.pos = AT(FIRST_SEGMENT, 0);
	f[0].u.lack.len = CN_LOG_SEGMENT_BYTES;
	add_raw_block(c, f, 1, "null");
}

/* ---- batches of one stream ---- */

struct stream {
	struct capture *c;
	uint8_t *bytes; /* owned */
	uint64_t id, offset;
	uint64_t scope;
};

/* The next len bytes of the stream. */
static void
next_batch(struct stream *s, const struct batch *batch, size_t len)
{
	struct batch b = *batch;

	b.head.stream = s->id;
	b.head.offset = s->offset;
	add_batch(s->c, &b, s->bytes, len);
	if (b.nack != NULL) {
		return;
	}
	if (b.refs != NULL) {
		keep(b.refs, s->bytes + s->offset, s->scope);
	}
	s->offset += len;
}

/* First version: stored in two pieces, over extents, and in a gap. */
static void
first_version(struct stream *s)
{
	struct cn_refs refs = { .store_epoch = EPOCH,
		.stores = 3,
		.store = { { 0, 50000, AT(80, 0) }, { 55000, 4000, AT(81, 0) },
		    { 59500, 500, AT(80, 9 * EXTENT_BYTES + 100) } } };
	struct batch b = { .head = { .coding = CN_CODING_ZSTD,
			       .flags = CN_BATCH_KEEP },
		.refs = &refs };

	next_batch(s, &b, OLD_LEN);
}

/*
 * Second version, raw: an insertion, a change, something left out, a tail.
 * What was at 50000 and later is not in that piece.
 */
static void
second_version(struct stream *s)
{
	static const struct cn_ref_op op[] = { { 0, 20000, 0, AT(80, 0) },
		{ 13, 10000, 0, AT(80, 20000) }, { 15, 9985, 0, AT(80, 30015) },
		{ 0, 9900, 0, AT(80, 40100) } };
	struct cn_refs refs = { .logs = 1, .log = { { EPOCH, true } } };
	struct batch b = { .head = { .coding = CN_CODING_RAW,
			       .flags = CN_BATCH_KEEP },
		.refs = &refs,
		.op = op,
		.ops = CN_ARRAY_LEN(op) };
	uint8_t *plain = s->bytes + s->offset;

	memcpy(plain, s->bytes, 20000);
	memcpy(plain + 20000, "an insertion ", 13);
	memcpy(plain + 20013, s->bytes + 20000, 10000);
	memcpy(plain + 30013, "and some change", 15);
	memcpy(plain + 30028, s->bytes + 30015, 9985);
	memcpy(plain + 40013, s->bytes + 40100, 9900);
	memcpy(plain + 49913, "What comes last stands in no log at all.", 40);
	next_batch(s, &b, 49953);
}

/* Coded with the stream's own prefix, copies and stores of the same bytes. */
static void
coded_copies(struct stream *s)
{
	static const struct cn_ref_op op[] = { { 3000, 4000, 0, AT(81, 0) } };
	struct cn_refs refs = { .logs = 1,
		.log = { { EPOCH, true } },
		.store_epoch = EPOCH,
		.stores = 1,
		.store = { { 0, 9000, AT(81, 2 * EXTENT_BYTES) } } };
	struct batch b = { .head = { .coding = CN_CODING_ZSTD,
			       .prefix_len = 49953 },
		.refs = &refs,
		.op = op,
		.ops = CN_ARRAY_LEN(op) };

	memcpy(s->bytes + s->offset + 3000, s->bytes + 55000, 4000);
	next_batch(s, &b, 9000);
}

/* Regions as prefix, first without copies, then with two logs and copies. */
static void
deltas(struct stream *s)
{
	static const struct cn_ref_op op[] = { { 100, 64, 1, AT(80, 500) },
		{ 2900, 300, 1, AT(81, 2 * EXTENT_BYTES + 7) } };
	struct cn_refs refs = { .logs = 1,
		.log = { { EPOCH, true } },
		.regions = 2,
		.region = {
		    { 0, 6000, AT(80, 1000) }, { 0, 2500, AT(81, 10) } } };
	struct cn_refs both = { .logs = 2,
		.log = { { PEERS_EPOCH, false }, { EPOCH, true } },
		.regions = 1,
		.region = { { 1, 4000, AT(80, 10000) } },
		.store_epoch = EPOCH,
		.stores = 1,
		.store = { { 1000, 3000, AT(82, 0) } } };
	uint8_t *plain = s->bytes + s->offset;
	uint8_t prefix[8500];
	struct batch b = { .head = { .coding = CN_CODING_ZSTD,
			       .prefix_len = 8500 },
		.refs = &refs,
		.prefix = prefix };

	memcpy(prefix, s->bytes + 1000, 6000);
	memcpy(prefix + 6000, s->bytes + 55010, 2500);
	memcpy(plain, s->bytes + 900, 4000);
	next_batch(s, &b, 8000);

	b = (struct batch){ .head = { .coding = CN_CODING_ZSTD,
				.prefix_len = 4000 },
		.refs = &both,
		.op = op,
		.ops = CN_ARRAY_LEN(op),
		.prefix = s->bytes + 10000 };
	plain += 8000;
	memcpy(plain, s->bytes + 10000, 4000);
	memcpy(plain + 100, s->bytes + 500, 64);
	memcpy(plain + 100 + 64 + 2900, segment[1].bytes + 2 * EXTENT_BYTES + 7,
	    300);
	next_batch(s, &b, 4000);
}

/* What is in the peer's log, and not here: a miss, stored neither. */
static void
missed(struct stream *s)
{
	static const struct cn_ref_op op[] = { { 5, 1000, 0, AT(7, 77) } };
	struct cn_refs refs = { .logs = 1,
		.log = { { PEERS_EPOCH, false } },
		.store_epoch = EPOCH,
		.stores = 1,
		.store = { { 0, 5, AT(82, 0x10000) } } };
	struct batch b = {
		.refs = &refs, .op = op, .ops = CN_ARRAY_LEN(op), .nack = "miss"
	};
	struct batch again = { .head.coding = CN_CODING_RAW };

	next_batch(s, &b, 1010);
	next_batch(s, &again, 1010);
}

/* Another scope, in an extent of its own of the same segment. */
static void
other_stream(struct capture *c)
{
	static const struct cn_ref_op op[] = { { 0, 1500, 0,
						   AT(82, 3 * EXTENT_BYTES) },
		{ 0, 200, 0, AT(82, 3 * EXTENT_BYTES + 300) } };
	struct cn_refs stores = { .store_epoch = EPOCH,
		.stores = 1,
		.store = { { 0, 1500, AT(82, 3 * EXTENT_BYTES) } } };
	struct cn_refs copies = { .logs = 1, .log = { { EPOCH, true } } };
	struct stream s = { .c = c,
		.bytes = words(1500 + 1700),
		.id = 10,
		.scope = OTHER_SCOPE };
	struct batch b = { .refs = &stores };

	next_batch(&s, &b, 1500);
	memcpy(s.bytes + 1500, s.bytes, 1500);
	memcpy(s.bytes + 3000, s.bytes + 300, 200);
	b = (struct batch){
		.refs = &copies, .op = op, .ops = CN_ARRAY_LEN(op)
	};
	next_batch(&s, &b, 1700);
	free(s.bytes);
}

void
make_references(const char *folder)
{
	struct cn_hello hello = hello_samples[0];
	struct cn_frame f[2] = { { .type = CN_FRAME_OPEN },
		{ .type = CN_FRAME_OPEN } };
	struct cn_digest digest;
	struct capture c;
	struct stream s = {
		.c = &c, .bytes = words(200000), .id = 8, .scope = SCOPE
	};

	hello.features = CN_FEATURE_DEDUP;
	capture_begin(&c, folder, "references");
	capture_hello(&c, &hello, 0);
	f[0].u.open = (struct cn_frame_open){ .stream = 8,
		.scope = SCOPE,
		.service = "files",
		.service_len = 5 };
	f[1].u.open = (struct cn_frame_open){ .stream = 10,
		.scope = OTHER_SCOPE,
		.service = "mail",
		.service_len = 4 };
	add_raw_block(&c, f, 2, "null");
	first_version(&s);
	second_version(&s);
	coded_copies(&s);
	deltas(&s);
	missed(&s);
	other_stream(&c);
	add_agreement(&c);
	f[0] = (struct cn_frame){ .type = CN_FRAME_FIN,
		.u.fin = { .stream = 8, .length = s.offset } };
	cn_digest_init(&digest);
	cn_digest_update(&digest, s.bytes, s.offset);
	cn_digest_final(&digest, f[0].u.fin.digest);
	add_raw_block(&c, f, 1, "true");
	capture_end(&c);
	free(s.bytes);
}
