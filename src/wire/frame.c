/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/frame.h"

#include <assert.h>

#include "base/err.h"
#include "wire/cursor.h"
#include "wire/text.h"
#include "wire/writer.h"

/* Bytes of {stream, offset} and a type byte before them. */
static size_t
place_size(uint64_t stream, uint64_t offset)
{
	return 1 + cn_varint_size(stream) + cn_varint_size(offset);
}

/* Nodes of that level in a log. */
static uint64_t
nodes_of(uint32_t level)
{
	return CN_LOG_SEGMENTS_MAX >> (4 * level);
}

/* ---- decode ---- */

/* TLVs, and those that are texts clean ones. */
static bool
options_are_legal(const uint8_t *options, size_t len)
{
	struct cn_cursor in;
	struct cn_tlv tlv;

	if (!cn_tlv_is_list(options, len)) {
		return false;
	}
	cn_cursor_init(&in, options, len);
	while (cn_tlv_next(&in, &tlv)) {
		if (tlv.type == CN_OPEN_CLIENT &&
		    (tlv.len > CN_TEXT_MAX ||
			!cn_text_is_clean(tlv.data, tlv.len))) {
			return false;
		}
	}
	return true;
}

static void
decode_open(struct cn_cursor *in, struct cn_frame_open *open)
{
	const uint8_t *service;

	open->stream = cn_cursor_varint(in);
	open->credit = cn_cursor_varint_in(in, 0, CN_OFFSET_MAX);
	open->scope = cn_cursor_u64(in);
	open->flags = cn_cursor_varint(in);
	open->service_len = cn_cursor_varint_in(in, 1, CN_NAME_MAX);
	service = cn_cursor_bytes(in, open->service_len);
	open->service = (const char *)service;
	open->options_len = cn_cursor_varint_in(in, 0, CN_OPEN_OPTIONS_MAX);
	open->options = cn_cursor_bytes(in, open->options_len);
	if (cn_cursor_failed(in)) {
		return;
	}
	if (!cn_text_is_clean(service, open->service_len) ||
	    !options_are_legal(open->options, open->options_len)) {
		cn_cursor_fail(in);
	}
}

static void
decode_data(struct cn_cursor *in, struct cn_frame_data *data)
{
	data->stream = cn_cursor_varint(in);
	data->offset = cn_cursor_varint(in);
	data->len = cn_cursor_varint_in(in, 1, CN_DATA_MAX);
	data->data = cn_cursor_bytes(in, data->len);
	if (data->offset > CN_OFFSET_MAX - data->len) {
		cn_cursor_fail(in);
	}
}

static void
decode_block_ack(struct cn_cursor *in, struct cn_frame_block_ack *ack)
{
	uint64_t left;

	ack->next = cn_cursor_varint(in);
	ack->ranges = cn_cursor_varint_in(in, 0, CN_BLOCK_ACK_RANGES_MAX);
	left = CN_VARINT_MAX - ack->next;
	for (uint64_t i = 0; i < ack->ranges; i++) {
		ack->range[i].skip = cn_cursor_varint_in(in, 1, left);
		left -= ack->range[i].skip;
		ack->range[i].run = cn_cursor_varint_in(in, 1, left);
		left -= ack->range[i].run;
	}
}

static void
decode_miss(struct cn_cursor *in, struct cn_frame *frame)
{
	frame->u.miss.stream = cn_cursor_varint(in);
	frame->u.miss.offset = cn_cursor_varint(in);
	frame->u.miss.len = cn_cursor_varint_in(in, 1, CN_BATCH_PLAIN_MAX);
	if (frame->u.miss.offset > CN_OFFSET_MAX - frame->u.miss.len) {
		cn_cursor_fail(in);
	}
}

static void
decode_resume(struct cn_cursor *in, struct cn_frame_resume *resume)
{
	resume->stream = cn_cursor_varint(in);
	resume->received = cn_cursor_varint(in);
	resume->written = cn_cursor_varint_in(in, 0, resume->received);
	resume->credit =
	    cn_cursor_varint_in(in, resume->received, CN_OFFSET_MAX);
	resume->flags = cn_cursor_varint_in(in, 0, CN_RESUME_FLAGS);
}

static void
decode_close(struct cn_cursor *in, struct cn_frame *frame)
{
	const uint8_t *text;

	frame->u.close.code = cn_cursor_varint(in);
	frame->u.close.text_len = cn_cursor_varint_in(in, 0, CN_TEXT_MAX);
	text = cn_cursor_bytes(in, frame->u.close.text_len);
	frame->u.close.text = (const char *)text;
	if (text != NULL && !cn_text_is_clean(text, frame->u.close.text_len)) {
		cn_cursor_fail(in);
	}
}

/* Which log a frame speaks of. */
static void
decode_log(struct cn_cursor *in, uint64_t *flags, uint64_t *epoch)
{
	*flags = cn_cursor_varint_in(in, 0, CN_LOG_FLAGS);
	*epoch = cn_cursor_u64(in);
}

static void
decode_node(struct cn_cursor *in, struct cn_frame_node *node)
{
	decode_log(in, &node->flags, &node->epoch);
	node->level = (uint32_t)cn_cursor_varint_in(in, 0, CN_LOG_LEVEL_MAX);
	node->index = cn_cursor_varint_in(in, 0, nodes_of(node->level) - 1);
	node->hash = 0;
}

static void
decode_extents(struct cn_cursor *in, struct cn_frame_extents *extents)
{
	decode_log(in, &extents->flags, &extents->epoch);
	extents->sequence = cn_cursor_varint_in(in, 0, CN_LOG_SEGMENTS_MAX - 1);
	for (size_t i = 0; i < CN_LOG_EXTENTS; i++) {
		extents->hash[i] = cn_cursor_u32(in);
	}
}

static void
decode_lack(struct cn_cursor *in, struct cn_frame *frame)
{
	decode_log(in, &frame->u.lack.flags, &frame->u.lack.epoch);
	frame->u.lack.pos = cn_cursor_varint_in(in, 0, CN_LOG_END - 1);
	frame->u.lack.len =
	    cn_cursor_varint_in(in, 1, CN_LOG_END - frame->u.lack.pos);
}

/* The fields behind the type byte; the cursor fails when they are wrong. */
static void
decode_body(struct cn_cursor *in, struct cn_frame *frame)
{
	switch (frame->type) {
	case CN_FRAME_OPEN:
		decode_open(in, &frame->u.open);
		return;
	case CN_FRAME_DATA:
		decode_data(in, &frame->u.data);
		return;
	case CN_FRAME_FIN:
		frame->u.fin.stream = cn_cursor_varint(in);
		frame->u.fin.length = cn_cursor_varint(in);
		cn_cursor_copy(in, frame->u.fin.digest, CN_DIGEST_BYTES);
		return;
	case CN_FRAME_RESET:
		frame->u.reset.stream = cn_cursor_varint(in);
		frame->u.reset.reason =
		    cn_cursor_varint_in(in, 1, CN_VARINT_MAX);
		return;
	case CN_FRAME_END:
		frame->u.end.stream = cn_cursor_varint(in);
		return;
	case CN_FRAME_DONE:
		frame->u.done.stream = cn_cursor_varint(in);
		return;
	case CN_FRAME_CREDIT:
		frame->u.credit.stream = cn_cursor_varint(in);
		frame->u.credit.offset = cn_cursor_varint(in);
		return;
	case CN_FRAME_ACK:
		frame->u.ack.stream = cn_cursor_varint(in);
		frame->u.ack.offset = cn_cursor_varint(in);
		return;
	case CN_FRAME_ACK_FIN:
		frame->u.ack_fin.stream = cn_cursor_varint(in);
		frame->u.ack_fin.offset = cn_cursor_varint(in);
		return;
	case CN_FRAME_BLOCK_ACK:
		decode_block_ack(in, &frame->u.block_ack);
		return;
	case CN_FRAME_NACK:
		frame->u.nack.block = cn_cursor_varint(in);
		frame->u.nack.reason =
		    cn_cursor_varint_in(in, 1, CN_VARINT_MAX);
		return;
	case CN_FRAME_MISS:
		decode_miss(in, frame);
		return;
	case CN_FRAME_PING:
		frame->u.ping.token = cn_cursor_u64(in);
		return;
	case CN_FRAME_PONG:
		frame->u.pong.token = cn_cursor_u64(in);
		return;
	case CN_FRAME_LANE_CLOSE:
		frame->u.lane_close.lane =
		    cn_cursor_varint_in(in, 0, CN_LANES_MAX - 1);
		frame->u.lane_close.generation = cn_cursor_varint(in);
		return;
	case CN_FRAME_RESUME:
		decode_resume(in, &frame->u.resume);
		return;
	case CN_FRAME_RESUME_END:
	case CN_FRAME_DRAIN:
		return;
	case CN_FRAME_CLOSE:
		decode_close(in, frame);
		return;
	case CN_FRAME_HAVE:
		decode_node(in, &frame->u.have);
		frame->u.have.hash = cn_cursor_u64(in);
		return;
	case CN_FRAME_WANT:
		decode_node(in, &frame->u.want);
		return;
	case CN_FRAME_EXTENTS:
		decode_extents(in, &frame->u.extents);
		return;
	case CN_FRAME_LACK:
		decode_lack(in, frame);
		return;
	}
	cn_cursor_fail(in);
}

int
cn_frame_decode(struct cn_cursor *in, struct cn_frame *ret)
{
	uint8_t type;

	for (;;) {
		if (cn_cursor_remaining(in) == 0) {
			return cn_cursor_ok(in) ? CN_EEND : CN_EPROTO;
		}
		type = cn_cursor_u8(in);
		if ((type & CN_FRAME_MAY_IGNORE) == 0) {
			break;
		}
		cn_cursor_skip(in, cn_cursor_varint_in(in, 0, CN_IGNORE_MAX));
	}
	/*
	 * The fields go straight into *ret: a local frame would cost a copy
	 * of its largest member for each frame.
	 */
	ret->type = (enum cn_frame_type)type;
	decode_body(in, ret);
	return cn_cursor_ok(in) ? CN_OK : CN_EPROTO;
}

/* ---- encode ---- */

static void
encode_open(struct cn_writer *out, const struct cn_frame_open *open)
{
	assert(open->service_len >= 1 && open->service_len <= CN_NAME_MAX);
	assert(open->options_len <= CN_OPEN_OPTIONS_MAX);
	cn_writer_varint(out, open->stream);
	cn_writer_varint(out, open->credit);
	cn_writer_u64(out, open->scope);
	cn_writer_varint(out, open->flags);
	cn_writer_varint(out, open->service_len);
	cn_writer_bytes(out, open->service, open->service_len);
	cn_writer_varint(out, open->options_len);
	cn_writer_bytes(out, open->options, open->options_len);
}

static void
encode_block_ack(struct cn_writer *out, const struct cn_frame_block_ack *ack)
{
	assert(ack->ranges <= CN_BLOCK_ACK_RANGES_MAX);
	cn_writer_varint(out, ack->next);
	cn_writer_varint(out, ack->ranges);
	for (uint64_t i = 0; i < ack->ranges; i++) {
		assert(ack->range[i].skip >= 1 && ack->range[i].run >= 1);
		cn_writer_varint(out, ack->range[i].skip);
		cn_writer_varint(out, ack->range[i].run);
	}
}

static void
encode_miss(struct cn_writer *out, const struct cn_frame *frame)
{
	assert(frame->u.miss.len >= 1);
	assert(frame->u.miss.len <= CN_BATCH_PLAIN_MAX);
	assert(frame->u.miss.offset <= CN_OFFSET_MAX - frame->u.miss.len);
	cn_writer_varint(out, frame->u.miss.stream);
	cn_writer_varint(out, frame->u.miss.offset);
	cn_writer_varint(out, frame->u.miss.len);
}

static void
encode_resume(struct cn_writer *out, const struct cn_frame_resume *resume)
{
	assert(resume->written <= resume->received);
	assert(resume->received <= resume->credit);
	assert(resume->flags <= CN_RESUME_FLAGS);
	cn_writer_varint(out, resume->stream);
	cn_writer_varint(out, resume->received);
	cn_writer_varint(out, resume->written);
	cn_writer_varint(out, resume->credit);
	cn_writer_varint(out, resume->flags);
}

/* The frames that are {stream, offset} and no more. */
static void
encode_place(struct cn_writer *out, uint64_t stream, uint64_t offset)
{
	cn_writer_varint(out, stream);
	cn_writer_varint(out, offset);
}

static void
encode_log(struct cn_writer *out, uint64_t flags, uint64_t epoch)
{
	assert(flags <= CN_LOG_FLAGS);
	cn_writer_varint(out, flags);
	cn_writer_u64(out, epoch);
}

static void
encode_node(struct cn_writer *out, const struct cn_frame_node *node)
{
	assert(node->level <= CN_LOG_LEVEL_MAX);
	assert(node->index < nodes_of(node->level));
	encode_log(out, node->flags, node->epoch);
	cn_writer_varint(out, node->level);
	cn_writer_varint(out, node->index);
}

static void
encode_extents(struct cn_writer *out, const struct cn_frame_extents *extents)
{
	assert(extents->sequence < CN_LOG_SEGMENTS_MAX);
	encode_log(out, extents->flags, extents->epoch);
	cn_writer_varint(out, extents->sequence);
	for (size_t i = 0; i < CN_LOG_EXTENTS; i++) {
		cn_writer_u32(out, extents->hash[i]);
	}
}

static void
encode_lack(struct cn_writer *out, const struct cn_frame *frame)
{
	assert(frame->u.lack.pos < CN_LOG_END && frame->u.lack.len >= 1);
	assert(frame->u.lack.len <= CN_LOG_END - frame->u.lack.pos);
	encode_log(out, frame->u.lack.flags, frame->u.lack.epoch);
	cn_writer_varint(out, frame->u.lack.pos);
	cn_writer_varint(out, frame->u.lack.len);
}

static void
encode_body(struct cn_writer *out, const struct cn_frame *frame)
{
	switch (frame->type) {
	case CN_FRAME_OPEN:
		encode_open(out, &frame->u.open);
		return;
	case CN_FRAME_DATA:
		/* cn_frame_encode() has done it. */
		return;
	case CN_FRAME_FIN:
		encode_place(out, frame->u.fin.stream, frame->u.fin.length);
		cn_writer_bytes(out, frame->u.fin.digest, CN_DIGEST_BYTES);
		return;
	case CN_FRAME_RESET:
		assert(frame->u.reset.reason >= 1);
		encode_place(out, frame->u.reset.stream, frame->u.reset.reason);
		return;
	case CN_FRAME_END:
		cn_writer_varint(out, frame->u.end.stream);
		return;
	case CN_FRAME_DONE:
		cn_writer_varint(out, frame->u.done.stream);
		return;
	case CN_FRAME_CREDIT:
		encode_place(
		    out, frame->u.credit.stream, frame->u.credit.offset);
		return;
	case CN_FRAME_ACK:
		encode_place(out, frame->u.ack.stream, frame->u.ack.offset);
		return;
	case CN_FRAME_ACK_FIN:
		encode_place(
		    out, frame->u.ack_fin.stream, frame->u.ack_fin.offset);
		return;
	case CN_FRAME_BLOCK_ACK:
		encode_block_ack(out, &frame->u.block_ack);
		return;
	case CN_FRAME_NACK:
		assert(frame->u.nack.reason >= 1);
		encode_place(out, frame->u.nack.block, frame->u.nack.reason);
		return;
	case CN_FRAME_MISS:
		encode_miss(out, frame);
		return;
	case CN_FRAME_PING:
		cn_writer_u64(out, frame->u.ping.token);
		return;
	case CN_FRAME_PONG:
		cn_writer_u64(out, frame->u.pong.token);
		return;
	case CN_FRAME_LANE_CLOSE:
		assert(frame->u.lane_close.lane < CN_LANES_MAX);
		encode_place(out, frame->u.lane_close.lane,
		    frame->u.lane_close.generation);
		return;
	case CN_FRAME_RESUME:
		encode_resume(out, &frame->u.resume);
		return;
	case CN_FRAME_RESUME_END:
	case CN_FRAME_DRAIN:
		return;
	case CN_FRAME_CLOSE:
		assert(frame->u.close.text_len <= CN_TEXT_MAX);
		cn_writer_varint(out, frame->u.close.code);
		cn_writer_varint(out, frame->u.close.text_len);
		cn_writer_bytes(
		    out, frame->u.close.text, frame->u.close.text_len);
		return;
	case CN_FRAME_HAVE:
		encode_node(out, &frame->u.have);
		cn_writer_u64(out, frame->u.have.hash);
		return;
	case CN_FRAME_WANT:
		encode_node(out, &frame->u.want);
		return;
	case CN_FRAME_EXTENTS:
		encode_extents(out, &frame->u.extents);
		return;
	case CN_FRAME_LACK:
		encode_lack(out, frame);
		return;
	}
	assert(false && "a frame type that can be encoded");
}

uint8_t *
cn_frame_data_reserve(
    struct cn_writer *out, uint64_t stream, uint64_t offset, size_t len)
{
	uint8_t *p;

	assert(len >= 1 && len <= CN_DATA_MAX);
	assert(stream <= CN_VARINT_MAX && offset <= CN_OFFSET_MAX - len);
	p = cn_writer_reserve(
	    out, cn_frame_data_head(stream, offset, len) + len);
	if (p == NULL) {
		return NULL;
	}
	*p++ = CN_FRAME_DATA;
	p += cn_varint_put(p, stream);
	p += cn_varint_put(p, offset);
	p += cn_varint_put(p, len);
	return p;
}

void
cn_frame_encode(struct cn_writer *out, const struct cn_frame *frame)
{
	size_t mark = cn_writer_mark(out);

	if (frame->type == CN_FRAME_DATA) {
		const struct cn_frame_data *data = &frame->u.data;
		uint8_t *p = cn_frame_data_reserve(
		    out, data->stream, data->offset, data->len);

		if (p != NULL) {
			memcpy(p, data->data, data->len);
		}
		return;
	}
	cn_writer_u8(out, (uint8_t)frame->type);
	encode_body(out, frame);
	if (cn_writer_failed(out)) {
		/* Take back the part that fitted, and stay failed. */
		out->len = mark;
	}
}

/* ---- sizes ---- */

size_t
cn_frame_data_head(uint64_t stream, uint64_t offset, size_t len)
{
	return place_size(stream, offset) + cn_varint_size(len);
}

static size_t
open_size(const struct cn_frame_open *open)
{
	return place_size(open->stream, open->credit) + 8 +
	    cn_varint_size(open->flags) + cn_varint_size(open->service_len) +
	    open->service_len + cn_varint_size(open->options_len) +
	    open->options_len;
}

static size_t
block_ack_size(const struct cn_frame_block_ack *ack)
{
	size_t size = place_size(ack->next, ack->ranges);

	for (uint64_t i = 0; i < ack->ranges; i++) {
		size += cn_varint_size(ack->range[i].skip) +
		    cn_varint_size(ack->range[i].run);
	}
	return size;
}

static size_t
resume_size(const struct cn_frame_resume *resume)
{
	return place_size(resume->stream, resume->received) +
	    cn_varint_size(resume->written) + cn_varint_size(resume->credit) +
	    cn_varint_size(resume->flags);
}

/* Type, flags, epoch. */
static size_t
log_size(uint64_t flags)
{
	return 1 + cn_varint_size(flags) + 8;
}

static size_t
node_size(const struct cn_frame_node *node)
{
	return log_size(node->flags) + cn_varint_size(node->level) +
	    cn_varint_size(node->index);
}

size_t
cn_frame_size(const struct cn_frame *frame)
{
	switch (frame->type) {
	case CN_FRAME_OPEN:
		return open_size(&frame->u.open);
	case CN_FRAME_DATA:
		return cn_frame_data_head(frame->u.data.stream,
			   frame->u.data.offset, frame->u.data.len) +
		    frame->u.data.len;
	case CN_FRAME_FIN:
		return place_size(frame->u.fin.stream, frame->u.fin.length) +
		    CN_DIGEST_BYTES;
	case CN_FRAME_RESET:
		return place_size(frame->u.reset.stream, frame->u.reset.reason);
	case CN_FRAME_END:
		return 1 + cn_varint_size(frame->u.end.stream);
	case CN_FRAME_DONE:
		return 1 + cn_varint_size(frame->u.done.stream);
	case CN_FRAME_CREDIT:
		return place_size(
		    frame->u.credit.stream, frame->u.credit.offset);
	case CN_FRAME_ACK:
		return place_size(frame->u.ack.stream, frame->u.ack.offset);
	case CN_FRAME_ACK_FIN:
		return place_size(
		    frame->u.ack_fin.stream, frame->u.ack_fin.offset);
	case CN_FRAME_BLOCK_ACK:
		return block_ack_size(&frame->u.block_ack);
	case CN_FRAME_NACK:
		return place_size(frame->u.nack.block, frame->u.nack.reason);
	case CN_FRAME_MISS:
		return place_size(frame->u.miss.stream, frame->u.miss.offset) +
		    cn_varint_size(frame->u.miss.len);
	case CN_FRAME_PING:
	case CN_FRAME_PONG:
		return 1 + 8;
	case CN_FRAME_LANE_CLOSE:
		return place_size(
		    frame->u.lane_close.lane, frame->u.lane_close.generation);
	case CN_FRAME_RESUME:
		return resume_size(&frame->u.resume);
	case CN_FRAME_RESUME_END:
	case CN_FRAME_DRAIN:
		return 1;
	case CN_FRAME_CLOSE:
		return place_size(
			   frame->u.close.code, frame->u.close.text_len) +
		    frame->u.close.text_len;
	case CN_FRAME_HAVE:
		return node_size(&frame->u.have) + 8;
	case CN_FRAME_WANT:
		return node_size(&frame->u.want);
	case CN_FRAME_EXTENTS:
		return log_size(frame->u.extents.flags) +
		    cn_varint_size(frame->u.extents.sequence) +
		    CN_LOG_EXTENTS * sizeof(uint32_t);
	case CN_FRAME_LACK:
		return log_size(frame->u.lack.flags) +
		    cn_varint_size(frame->u.lack.pos) +
		    cn_varint_size(frame->u.lack.len);
	}
	assert(false && "a frame type that has a size");
	return 0;
}

/* ---- names ---- */

const char *
cn_frame_name(enum cn_frame_type type)
{
	static const char *const names[] = {
		[CN_FRAME_OPEN] = "open",
		[CN_FRAME_DATA] = "data",
		[CN_FRAME_FIN] = "fin",
		[CN_FRAME_RESET] = "reset",
		[CN_FRAME_END] = "end",
		[CN_FRAME_DONE] = "done",
		[CN_FRAME_CREDIT] = "credit",
		[CN_FRAME_ACK] = "ack",
		[CN_FRAME_ACK_FIN] = "ack-fin",
		[CN_FRAME_BLOCK_ACK] = "block-ack",
		[CN_FRAME_NACK] = "nack",
		[CN_FRAME_MISS] = "miss",
		[CN_FRAME_PING] = "ping",
		[CN_FRAME_PONG] = "pong",
		[CN_FRAME_LANE_CLOSE] = "lane-close",
		[CN_FRAME_RESUME] = "resume",
		[CN_FRAME_RESUME_END] = "resume-end",
		[CN_FRAME_DRAIN] = "drain",
		[CN_FRAME_CLOSE] = "close",
		[CN_FRAME_HAVE] = "have",
		[CN_FRAME_WANT] = "want",
		[CN_FRAME_EXTENTS] = "extents",
		[CN_FRAME_LACK] = "lack",
	};
	size_t i = (size_t)type;

	if (i >= CN_ARRAY_LEN(names) || names[i] == NULL) {
		return "?";
	}
	return names[i];
}

const char *
cn_reset_name(uint64_t reason)
{
	static const char *const names[] = {
		[CN_RESET_NONE] = "none",
		[CN_RESET_BY_APPLICATION] = "by-application",
		[CN_RESET_REFUSED] = "refused",
		[CN_RESET_UNREACHABLE] = "unreachable",
		[CN_RESET_TIMEOUT] = "timeout",
		[CN_RESET_NO_SERVICE] = "no-service",
		[CN_RESET_BUSY] = "busy",
		[CN_RESET_LINK_LOST] = "link-lost",
		[CN_RESET_DIGEST] = "digest",
		[CN_RESET_PROTOCOL] = "protocol",
		[CN_RESET_ADMIN] = "admin",
		[CN_RESET_SHUTDOWN] = "shutdown",
		[CN_RESET_INTERNAL] = "internal",
	};

	_Static_assert(CN_ARRAY_LEN(names) == CN_RESET_MAX, "each has a name");
	return reason < CN_RESET_MAX ? names[reason] : "unknown";
}

const char *
cn_nack_name(uint64_t reason)
{
	static const char *const names[] = {
		[0] = "unknown",
		[CN_NACK_HASH] = "hash",
		[CN_NACK_CODING] = "coding",
		[CN_NACK_GENERATION] = "generation",
		[CN_NACK_NO_STREAM] = "no-stream",
		[CN_NACK_MEMORY] = "memory",
		[CN_NACK_GAPS] = "gaps",
	};

	_Static_assert(CN_ARRAY_LEN(names) == CN_NACK_MAX, "each has a name");
	return reason < CN_NACK_MAX ? names[reason] : "unknown";
}
