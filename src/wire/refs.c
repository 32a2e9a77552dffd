/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/refs.h"

#include <assert.h>

#include "base/err.h"
#include "wire/cursor.h"
#include "wire/text.h"
#include "wire/writer.h"

enum ext_type {
	EXT_LOGS = 1,
	EXT_COPIES = 2,
	EXT_DELTA = 3,
	EXT_STORES = 4,
};

/* Flag of a log in LOGS. */
#define LOG_OF_RECEIVER 0x01u

/* The shortest copy in a list: literal and length, a byte each. */
#define OP_MIN 2u

/* Bit 0 of the first and of the third number of a copy. */
#define OP_PLACED 1u
#define OP_ANYWHERE 1u

/* ---- places ---- */

/* From one position to another, both <= 2^61, as zigzag. */
static uint64_t
move_between(uint64_t from, uint64_t to)
{
	return to >= from ? (to - from) * 2 : (from - to) * 2 - 1;
}

/* Where a move leads; false before the log's begin. */
static bool
moved(uint64_t from, uint64_t move, uint64_t *to)
{
	uint64_t back = move / 2 + 1;

	if ((move & 1) == 0) {
		*to = from + move / 2;
		return true;
	}
	if (back > from) {
		return false;
	}
	*to = from - back;
	return true;
}

/* len bytes at pos, len >= 1, are bytes of one segment of a log. */
static bool
is_in_segment(uint64_t pos, uint64_t len)
{
	return pos < CN_LOG_END &&
	    len <= CN_LOG_SEGMENT_BYTES - (pos & (CN_LOG_SEGMENT_BYTES - 1));
}

/* ---- encode ---- */

static void
put_tlv(
    struct cn_writer *out, enum ext_type type, const struct cn_writer *value)
{
	assert(cn_writer_ok(value));
	cn_writer_varint(out, type);
	cn_writer_varint(out, cn_writer_len(value));
	cn_writer_bytes(out, value->data, cn_writer_len(value));
}

static void
encode_logs(struct cn_writer *value, const struct cn_refs *refs)
{
	assert(refs->logs >= 1 && refs->logs <= CN_REFS_LOGS_MAX);
	cn_writer_varint(value, refs->logs);
	for (size_t i = 0; i < refs->logs; i++) {
		cn_writer_varint(
		    value, refs->log[i].is_senders ? 0 : LOG_OF_RECEIVER);
		cn_writer_u64(value, refs->log[i].epoch);
	}
}

static void
encode_copies(struct cn_writer *value, const struct cn_refs *refs)
{
	assert(refs->ops_len >= OP_MIN && refs->ops_len <= CN_REFS_OPS_MAX);
	assert(refs->literal_len <= CN_BATCH_PLAIN_MAX);
	cn_writer_varint(value, refs->ops_len);
	cn_writer_varint(value, refs->literal_len);
}

static void
encode_delta(struct cn_writer *value, const struct cn_refs *refs)
{
	uint64_t left = CN_REFS_DELTA_MAX;

	assert(refs->regions <= CN_REFS_REGIONS_MAX);
	cn_writer_varint(value, refs->regions);
	for (size_t i = 0; i < refs->regions; i++) {
		const struct cn_ref_region *region = &refs->region[i];

		assert(region->log < refs->logs);
		assert(region->len >= 1 && region->len <= left);
		assert(is_in_segment(region->pos, region->len));
		cn_writer_varint(value, region->log);
		cn_writer_varint(value, region->pos);
		cn_writer_varint(value, region->len);
		left -= region->len;
	}
}

/* Writes as many stores as leave the whole TLV within room; returns how
 * many. */
static size_t
encode_stores(struct cn_writer *value, const struct cn_refs *refs, size_t room)
{
	uint32_t at = 0;
	uint64_t pos = 0;
	size_t i;

	assert(refs->stores <= CN_REFS_STORES_MAX);
	cn_writer_u64(value, refs->store_epoch);
	for (i = 0; i < refs->stores; i++) {
		const struct cn_ref_store *store = &refs->store[i];
		size_t mark = cn_writer_mark(value);
		size_t len;

		assert(store->offset >= at && store->len >= 1);
		assert(store->pos < CN_LOG_END);
		assert(store->len <= CN_LOG_END - store->pos);
		cn_writer_varint(value, store->offset - at);
		cn_writer_varint(value, store->len);
		cn_writer_varint(value, move_between(pos, store->pos));
		len = cn_writer_len(value);
		if (cn_writer_failed(value) ||
		    1 + cn_varint_size(len) + len > room) {
			cn_writer_rollback(value, mark);
			break;
		}
		at = store->offset + store->len;
		pos = store->pos + store->len;
	}
	return i;
}

size_t
cn_refs_encode(uint8_t *out, size_t cap, struct cn_refs *refs)
{
	uint8_t scratch[CN_BATCH_EXT_MAX];
	struct cn_writer w, value;

	cn_writer_init(&w, out, CN_MIN(cap, (size_t)CN_BATCH_EXT_MAX));
	cn_writer_init(&value, scratch, sizeof(scratch));
	if (!refs->has_copies && refs->regions == 0) {
		refs->logs = 0;
	} else {
		encode_logs(&value, refs);
		put_tlv(&w, EXT_LOGS, &value);
	}
	if (refs->has_copies) {
		cn_writer_rollback(&value, 0);
		encode_copies(&value, refs);
		put_tlv(&w, EXT_COPIES, &value);
	}
	if (refs->regions > 0) {
		cn_writer_rollback(&value, 0);
		encode_delta(&value, refs);
		put_tlv(&w, EXT_DELTA, &value);
	}
	if (cn_writer_failed(&w)) {
		return 0;
	}
	cn_writer_rollback(&value, 0);
	refs->stores = encode_stores(&value, refs, cn_writer_room(&w));
	if (refs->stores > 0) {
		put_tlv(&w, EXT_STORES, &value);
	}
	return cn_writer_len(&w);
}

/* ---- decode ---- */

static void
decode_logs(struct cn_cursor *in, struct cn_refs *refs)
{
	refs->logs = cn_cursor_varint_in(in, 1, CN_REFS_LOGS_MAX);
	for (size_t i = 0; i < refs->logs; i++) {
		struct cn_ref_log *log = &refs->log[i];

		log->is_senders =
		    cn_cursor_varint_in(in, 0, LOG_OF_RECEIVER) == 0;
		log->epoch = cn_cursor_u64(in);
		for (size_t k = 0; k < i; k++) {
			if (refs->log[k].epoch == log->epoch &&
			    refs->log[k].is_senders == log->is_senders) {
				cn_cursor_fail(in);
			}
		}
	}
}

static void
decode_copies(struct cn_cursor *in, struct cn_refs *refs)
{
	refs->has_copies = true;
	refs->ops_len =
	    (uint32_t)cn_cursor_varint_in(in, OP_MIN, CN_REFS_OPS_MAX);
	refs->literal_len =
	    (uint32_t)cn_cursor_varint_in(in, 0, CN_BATCH_PLAIN_MAX);
}

static void
decode_delta(struct cn_cursor *in, struct cn_refs *refs)
{
	refs->regions = cn_cursor_varint_in(in, 1, CN_REFS_REGIONS_MAX);
	for (size_t i = 0; i < refs->regions; i++) {
		struct cn_ref_region *region = &refs->region[i];

		region->log =
		    (uint32_t)cn_cursor_varint_in(in, 0, CN_REFS_LOGS_MAX - 1);
		region->pos = cn_cursor_varint(in);
		region->len = (uint32_t)cn_cursor_varint_in(
		    in, 1, CN_REFS_DELTA_MAX - refs->delta_len);
		if (region->log >= refs->logs ||
		    !is_in_segment(region->pos, region->len)) {
			cn_cursor_fail(in);
		}
		refs->delta_len += region->len;
	}
}

static void
decode_store(struct cn_cursor *in, struct cn_ref_store *store, uint32_t left)
{
	uint32_t skip = (uint32_t)cn_cursor_varint_in(in, 0, left - 1);
	uint64_t from = store->pos;

	store->offset += skip;
	store->len = (uint32_t)cn_cursor_varint_in(in, 1, left - skip);
	if (!moved(from, cn_cursor_varint(in), &store->pos) ||
	    store->pos >= CN_LOG_END || store->len > CN_LOG_END - store->pos) {
		cn_cursor_fail(in);
	}
}

static void
decode_stores(struct cn_cursor *in, struct cn_refs *refs, uint32_t plain_len)
{
	struct cn_ref_store at = { 0 }; /* where the last one ended */

	refs->store_epoch = cn_cursor_u64(in);
	do {
		if (at.offset >= plain_len ||
		    refs->stores == CN_REFS_STORES_MAX) {
			cn_cursor_fail(in);
			return;
		}
		decode_store(in, &at, plain_len - at.offset);
		refs->store[refs->stores++] = at;
		at.offset += at.len;
		at.pos += at.len;
	} while (cn_cursor_remaining(in) > 0);
}

static bool
decode_tlv(const struct cn_tlv *tlv, struct cn_refs *refs, uint32_t plain_len)
{
	struct cn_cursor in;

	cn_cursor_init(&in, tlv->data, tlv->len);
	switch (tlv->type) {
	case EXT_LOGS:
		decode_logs(&in, refs);
		break;
	case EXT_COPIES:
		decode_copies(&in, refs);
		break;
	case EXT_DELTA:
		decode_delta(&in, refs);
		break;
	case EXT_STORES:
		decode_stores(&in, refs, plain_len);
		break;
	default:
		return false;
	}
	return cn_cursor_is_finished(&in);
}

/* What the extensions say of each other, and of the head. */
static bool
is_consistent(const struct cn_batch_head *head, const struct cn_refs *refs)
{
	uint32_t payload = cn_refs_payload(head, refs);

	if ((refs->logs > 0) != (refs->has_copies || refs->regions > 0) ||
	    payload > head->plain_len) {
		return false;
	}
	if (head->coding == CN_CODING_RAW) {
		return head->coded_len == payload && refs->regions == 0;
	}
	if (head->coded_len > payload) {
		return false;
	}
	return refs->regions > 0 ? head->prefix_len == refs->delta_len
				 : head->prefix_len <= head->offset;
}

int
cn_refs_decode(const struct cn_batch_head *head, struct cn_refs *ret)
{
	struct cn_cursor in;
	struct cn_tlv tlv;
	uint64_t last = 0;

	/* The arrays are not cleared: that would cost more than decoding. */
	ret->logs = 0;
	ret->has_copies = false;
	ret->ops_len = 0;
	ret->literal_len = 0;
	ret->regions = 0;
	ret->delta_len = 0;
	ret->store_epoch = 0;
	ret->stores = 0;
	cn_cursor_init(&in, head->ext, head->ext_len);
	while (cn_tlv_next(&in, &tlv)) {
		if (tlv.type <= last ||
		    !decode_tlv(&tlv, ret, head->plain_len)) {
			return CN_EPROTO;
		}
		last = tlv.type;
	}
	if (!cn_cursor_is_finished(&in) || !is_consistent(head, ret)) {
		return CN_EPROTO;
	}
	return CN_OK;
}

/* ---- the list of copies ---- */

size_t
cn_ref_op_encode(uint8_t *out, size_t cap, struct cn_ref_cursor *at,
    const struct cn_ref_op *op)
{
	uint64_t move = move_between(at->pos + op->literal, op->pos);
	size_t anywhere = 1 + cn_varint_size(op->pos);
	bool is_same = op->log == at->log;
	struct cn_writer w;

	assert(cap >= CN_REFS_OP_MAX);
	assert(op->log < CN_REFS_LOGS_MAX);
	assert(op->literal <= CN_BATCH_PLAIN_MAX);
	assert(op->copy >= 1 && op->copy <= CN_BATCH_PLAIN_MAX);
	assert(is_in_segment(op->pos, op->copy));
	cn_writer_init(&w, out, cap);
	cn_writer_varint(&w,
	    (uint64_t)op->literal << 1 |
		(is_same && move == 0 ? 0 : OP_PLACED));
	cn_writer_varint(&w, op->copy);
	if (is_same && move == 0) {
		/* As expected. */
	} else if (is_same && cn_varint_size(move << 1) <= anywhere) {
		/* A move too great for a varint ends where pos is short. */
		cn_writer_varint(&w, move << 1);
	} else {
		cn_writer_varint(&w, op->log << 1 | OP_ANYWHERE);
		cn_writer_varint(&w, op->pos);
	}
	assert(cn_writer_ok(&w));
	at->log = op->log;
	at->pos = op->pos + op->copy;
	return cn_writer_len(&w);
}

/* The place of a copy that is not where it was expected. */
static void
decode_place(struct cn_cursor *in, uint64_t expected, struct cn_ref_op *op)
{
	uint64_t how = cn_cursor_varint(in);

	if ((how & OP_ANYWHERE) == 0) {
		if (!moved(expected, how >> 1, &op->pos)) {
			cn_cursor_fail(in);
		}
		return;
	}
	if (how >> 1 >= CN_REFS_LOGS_MAX) {
		cn_cursor_fail(in);
		return;
	}
	op->log = (uint32_t)(how >> 1);
	op->pos = cn_cursor_varint(in);
}

int
cn_ref_op_decode(struct cn_cursor *in, struct cn_ref_cursor *at, size_t logs,
    struct cn_ref_op *ret)
{
	struct cn_ref_op op = { .log = at->log };
	uint64_t head;

	if (cn_cursor_remaining(in) == 0) {
		return cn_cursor_ok(in) ? CN_EEND : CN_EPROTO;
	}
	head = cn_cursor_varint_in(in, 0, CN_BATCH_PLAIN_MAX << 1 | OP_PLACED);
	op.literal = (uint32_t)(head >> 1);
	op.copy = (uint32_t)cn_cursor_varint_in(in, 1, CN_BATCH_PLAIN_MAX);
	op.pos = at->pos + op.literal;
	if ((head & OP_PLACED) != 0) {
		decode_place(in, op.pos, &op);
	}
	if (cn_cursor_failed(in)) {
		return CN_EPROTO;
	}
	if (op.log >= logs || !is_in_segment(op.pos, op.copy)) {
		cn_cursor_fail(in);
		return CN_EPROTO;
	}
	at->log = op.log;
	at->pos = op.pos + op.copy;
	*ret = op;
	return CN_OK;
}

int
cn_refs_check_ops(const struct cn_refs *refs, const uint8_t *ops,
    uint32_t plain_len, size_t *copies)
{
	uint32_t literal = 0, copy = 0;
	struct cn_ref_cursor at = { 0 };
	struct cn_ref_op op;
	struct cn_cursor in;
	size_t count = 0;
	int rc;

	cn_cursor_init(&in, ops, refs->ops_len);
	while ((rc = cn_ref_op_decode(&in, &at, refs->logs, &op)) == CN_OK) {
		literal += op.literal;
		copy += op.copy;
		count++;
		if (literal > refs->literal_len ||
		    copy > plain_len - refs->literal_len) {
			return CN_EPROTO;
		}
	}
	if (rc != CN_EEND || copy != plain_len - refs->literal_len) {
		return CN_EPROTO;
	}
	*copies = count;
	return CN_OK;
}
