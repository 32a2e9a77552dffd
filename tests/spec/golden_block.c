/* SPDX-License-Identifier: Apache-2.0 */
#include "golden_block.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/attr.h"
#include "wire/cursor.h"
#include "wire/text.h"
#include "wire/writer.h"

#define LANE_WINDOW_LOG 17

/* ---- lane blocks ---- */

static size_t
encode(const struct cn_frame *frames, size_t count, uint8_t *out, size_t cap)
{
	struct cn_writer w;

	cn_writer_init(&w, out, cap);
	for (size_t i = 0; i < count; i++) {
		cn_frame_encode(&w, &frames[i]);
	}
	assert(cn_writer_ok(&w));
	return cn_writer_len(&w);
}

void
add_raw_block(struct capture *c, const struct cn_frame *frames, size_t count,
    const char *is_verified)
{
	uint8_t plain[CN_LANE_PLAIN_MAX], out[CN_FRAGMENT_MAX];
	struct cn_lane_head head = { .is_coded = false };
	size_t len = encode(frames, count, plain, sizeof(plain));

	head.raw_len = (uint32_t)len;
	head.hash = cn_block_lane_hash(&head, plain, len);
	capture_add(c, out, cn_fragment_lane_head(out, sizeof(out), &head));
	capture_add(c, plain, len);
	capture_item(c);
	fprintf(c->json, "\"block\": %u, \"kind\": \"lane-raw\"", c->block++);
	capture_hash(c, "hash", head.hash);
	fputs(", \"frames\": [", c->json);
	capture_frames(c, frames, count, is_verified);
	fputs("]}", c->json);
}

static void
set(ZSTD_CCtx *ctx, ZSTD_cParameter name, int value)
{
	size_t rc = ZSTD_CCtx_setParameter(ctx, name, value);

	assert(!ZSTD_isError(rc));
	(void)rc;
}

static void
set_all(ZSTD_CCtx *ctx, int window_log)
{
	assert(ctx != NULL);
	set(ctx, ZSTD_c_format, ZSTD_f_zstd1_magicless);
	set(ctx, ZSTD_c_compressionLevel, 3);
	set(ctx, ZSTD_c_windowLog, window_log);
	set(ctx, ZSTD_c_contentSizeFlag, 0);
	set(ctx, ZSTD_c_checksumFlag, 0);
	set(ctx, ZSTD_c_dictIDFlag, 0);
}

void
lane_start(struct lane *lane, uint64_t id, uint64_t generation)
{
	ZSTD_freeCCtx(lane->ctx);
	*lane = (struct lane){
		.ctx = ZSTD_createCCtx(), .id = id, .generation = generation
	};
	set_all(lane->ctx, LANE_WINDOW_LOG);
}

void
add_coded_block(struct capture *c, struct lane *lane,
    const struct cn_frame *frames, size_t raw_count, size_t count,
    const char *fate)
{
	uint8_t plain[CN_LANE_PLAIN_MAX], coded[CN_FRAGMENT_MAX];
	uint8_t out[CN_FRAGMENT_MAX];
	struct cn_lane_head head = { .is_coded = true,
		.lane = lane->id,
		.generation = lane->generation,
		.sequence = lane->sequence++ };
	size_t raw = encode(frames, raw_count, plain, sizeof(plain));
	size_t len = raw +
	    encode(frames + raw_count, count - raw_count, plain + raw,
		sizeof(plain) - raw);
	ZSTD_inBuffer from = { plain + raw, len - raw, 0 };
	ZSTD_outBuffer to = { coded, sizeof(coded), 0 };
	size_t rc = ZSTD_compressStream2(lane->ctx, &to, &from, ZSTD_e_flush);

	assert(rc == 0);
	(void)rc;
	head.raw_len = (uint32_t)raw;
	head.plain_len = (uint32_t)(len - raw);
	head.coded_len = (uint32_t)to.pos;
	head.hash = cn_block_lane_hash(&head, plain, len);
	if (fate != NULL && strcmp(fate, "hash") == 0) {
		head.hash ^= 1;
	}
	capture_add(c, out, cn_fragment_lane_head(out, sizeof(out), &head));
	capture_add(c, plain, raw);
	capture_add(c, coded, to.pos);
	capture_item(c);
	fprintf(c->json, "\"block\": %u, \"kind\": \"lane-coded\"", c->block++);
	capture_number(c, "lane", head.lane);
	capture_number(c, "generation", head.generation);
	capture_number(c, "sequence", head.sequence);
	capture_number(c, "raw_len", head.raw_len);
	capture_number(c, "plain_len", head.plain_len);
	capture_number(c, "coded_len", head.coded_len);
	capture_hash(c, "hash", head.hash);
	if (fate == NULL) {
		fputs(", \"frames\": [", c->json);
		capture_frames(c, frames, count, "null");
		fputs("]}", c->json);
	} else if (strcmp(fate, "dropped") == 0) {
		fputs(", \"dropped\": true}", c->json);
	} else {
		fprintf(c->json, ", \"nack\": \"%s\"}", fate);
	}
}

/* ---- batches ---- */

/* Copies, then what lies between them.  Returns the length. */
static size_t
build_payload(struct batch *b, const uint8_t *plain, size_t len, uint8_t *out)
{
	struct cn_ref_cursor at = { 0 };
	size_t used = 0, ops_len;

	for (size_t i = 0; i < b->ops; i++) {
		used += cn_ref_op_encode(
		    out + used, CN_REFS_OP_MAX, &at, &b->op[i]);
	}
	ops_len = used;
	for (size_t i = 0; i < b->ops; i++) {
		memcpy(out + used, plain, b->op[i].literal);
		used += b->op[i].literal;
		plain += b->op[i].literal + b->op[i].copy;
		len -= b->op[i].literal + b->op[i].copy;
	}
	memcpy(out + used, plain, len);
	used += len;
	b->refs->has_copies = true;
	b->refs->ops_len = (uint32_t)ops_len;
	b->refs->literal_len = (uint32_t)(used - ops_len);
	return used;
}

static void
code_payload(
    struct batch *b, const uint8_t *payload, size_t len, const uint8_t *prefix)
{
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	size_t rc;

	set_all(ctx, 22);
	rc = ZSTD_CCtx_refPrefix(ctx, prefix, b->head.prefix_len);
	assert(!ZSTD_isError(rc));
	rc = ZSTD_compress2(ctx, b->body, CN_BATCH_CODED_MAX, payload, len);
	assert(!ZSTD_isError(rc) && rc <= len);
	b->head.coded_len = (uint32_t)rc;
	ZSTD_freeCCtx(ctx);
}

void
batch_begin(struct capture *c, struct batch *b, const uint8_t *bytes,
    size_t len, size_t first)
{
	const uint8_t *plain = bytes + b->head.offset;
	const uint8_t *payload = plain;
	uint8_t *built = malloc(CN_BATCH_PLAIN_MAX);
	uint8_t out[CN_FRAGMENT_MAX];
	size_t payload_len = len, head;

	b->body = malloc(CN_BATCH_CODED_MAX);
	assert(built != NULL && b->body != NULL);
	if (b->ops > 0) {
		payload_len = build_payload(b, plain, len, built);
		payload = built;
	}
	b->head.plain_len = (uint32_t)len;
	if (b->head.coding == CN_CODING_RAW) {
		memcpy(b->body, payload, payload_len);
		b->head.coded_len = (uint32_t)payload_len;
	} else {
		code_payload(b, payload, payload_len,
		    b->prefix != NULL ? b->prefix : plain - b->head.prefix_len);
	}
	free(built);
	if (b->refs != NULL) {
		b->head.ext = b->ext;
		b->head.ext_len =
		    cn_refs_encode(b->ext, sizeof(b->ext), b->refs);
		assert(b->head.ext_len > 0);
	}
	b->head.hash = cn_block_batch_hash(&b->head, plain, len);
	b->block = c->block++;
	b->sent = CN_MIN(first, b->head.coded_len);
	b->fragments = 1;
	head = cn_fragment_batch_head(out, sizeof(out), &b->head, b->sent);
	assert(head > 0);
	capture_add(c, out, head);
	capture_add(c, b->body, b->sent);
}

void
batch_more(struct capture *c, struct batch *b, size_t most)
{
	size_t len = CN_MIN(most, b->head.coded_len - b->sent);
	uint8_t out[CN_FRAGMENT_HEAD_MAX];

	capture_add(c, out, cn_fragment_more_head(out, sizeof(out), len));
	capture_add(c, b->body + b->sent, len);
	b->sent += len;
	b->fragments++;
}

/* What a batch refers to and stores. */
static void
put_refs(struct capture *c, const struct cn_refs *refs)
{
	const char *field = "";

	fputs(", \"refs\": {", c->json);
	for (size_t i = 0; i < refs->logs; i++) {
		fprintf(c->json,
		    "%s{\"writer\": \"%s\", \"epoch\": \"%016" PRIx64 "\"}",
		    i == 0 ? "\"logs\": [" : ", ",
		    refs->log[i].is_senders ? "sender" : "receiver",
		    refs->log[i].epoch);
		field = "], ";
	}
	if (refs->has_copies) {
		fprintf(c->json,
		    "%s\"copies\": {\"ops_len\": %u, \"literal_len\": %u}",
		    field, refs->ops_len, refs->literal_len);
		field = ", ";
	}
	for (size_t i = 0; i < refs->regions; i++) {
		fprintf(c->json, "%s%s[%u, %" PRIu64 ", %u]",
		    i == 0 ? field : ", ", i == 0 ? "\"delta\": [" : "",
		    refs->region[i].log, refs->region[i].pos,
		    refs->region[i].len);
		field = "], ";
	}
	for (size_t i = 0; i < refs->stores; i++) {
		if (i == 0) {
			fprintf(c->json,
			    "%s\"stores\": {\"epoch\": \"%016" PRIx64
			    "\", \"pieces\": [",
			    field, refs->store_epoch);
		}
		fprintf(c->json, "%s[%u, %u, %" PRIu64 "]", i == 0 ? "" : ", ",
		    refs->store[i].offset, refs->store[i].len,
		    refs->store[i].pos);
	}
	if (refs->stores > 0) {
		fputs("]}", c->json);
	} else if (refs->regions > 0) {
		fputc(']', c->json);
	}
	fputc('}', c->json);
}

static void
put_copies(struct capture *c, const struct batch *b)
{
	for (size_t i = 0; i < b->ops; i++) {
		fprintf(c->json, "%s[%u, %u, %u, %" PRIu64 "]",
		    i == 0 ? ", \"copies\": [" : ", ", b->op[i].literal,
		    b->op[i].copy, b->op[i].log, b->op[i].pos);
	}
	if (b->ops > 0) {
		fputc(']', c->json);
	}
}

void
batch_end(struct capture *c, struct batch *b, const uint8_t *bytes)
{
	const struct cn_batch_head *h = &b->head;
	struct cn_cursor in;
	const char *between = "";
	struct cn_tlv tlv;

	while (b->sent < h->coded_len) {
		batch_more(c, b, CN_FRAGMENT_MAX - CN_FRAGMENT_HEAD_MAX);
	}
	capture_item(c);
	fprintf(c->json, "\"block\": %u, \"kind\": \"batch\"", b->block);
	capture_number(c, "stream", h->stream);
	capture_number(c, "offset", h->offset);
	capture_number(c, "plain_len", h->plain_len);
	capture_number(c, "coded_len", h->coded_len);
	fprintf(c->json, ", \"keep\": %s, \"coding\": \"%s\"",
	    (h->flags & CN_BATCH_KEEP) != 0 ? "true" : "false",
	    h->coding == CN_CODING_ZSTD ? "zstd" : "raw");
	capture_number(c, "prefix_len", h->prefix_len);
	fputs(", \"ext\": [", c->json);
	cn_cursor_init(&in, h->ext, h->ext_len);
	while (cn_tlv_next(&in, &tlv)) {
		fprintf(c->json, "%s[%" PRIu64 ", ", between, tlv.type);
		capture_hex(c->json, tlv.data, tlv.len);
		fputc(']', c->json);
		between = ", ";
	}
	fputc(']', c->json);
	if (b->refs != NULL) {
		put_refs(c, b->refs);
		put_copies(c, b);
	}
	capture_hash(c, "hash", h->hash);
	capture_number(c, "fragments", b->fragments);
	if (b->nack != NULL) {
		fprintf(c->json, ", \"nack\": \"%s\"}", b->nack);
	} else {
		capture_hash(c, "plain_xxh64",
		    XXH64(bytes + h->offset, h->plain_len, 0));
		fputc('}', c->json);
	}
	free(b->body);
}

void
add_batch(struct capture *c, const struct batch *batch, const uint8_t *bytes,
    size_t len)
{
	struct batch b = *batch;

	batch_begin(c, &b, bytes, len, 8000);
	batch_end(c, &b, bytes);
}

/* ---- bytes ---- */

/* Phrases in a seeded order. */
uint8_t *
words(size_t len)
{
	static const char *const word[] = { "the carrier takes the block, ",
		"the stream waits for credit; ", "a lane starts over. ",
		"the batch goes raw, ", "an offset never goes back, ",
		"0x1f 0x2e 0x3d 0x4c ", "acknowledged and forgotten.\n",
		"kept until it is acknowledged; ", "a block, then a block, ",
		"the peer resets it, ", "and a frame is made again. ",
		"nothing is lost\n", "of 262144 bytes ", "in order, ",
		"the hash matches: ", "to its end. " };
	uint8_t *bytes = malloc(len);
	uint64_t seed = 1;
	size_t at = 0;

	assert(bytes != NULL);
	while (at < len) {
		const char *w;
		size_t n;

		seed = seed * UINT64_C(6364136223846793005) +
		    UINT64_C(1442695040888963407);
		w = word[seed >> 60];
		n = CN_MIN(strlen(w), len - at);
		memcpy(bytes + at, w, n);
		at += n;
	}
	return bytes;
}
