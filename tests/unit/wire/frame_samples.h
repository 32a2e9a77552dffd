/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_FRAME_SAMPLES_H
#define CN_TESTS_FRAME_SAMPLES_H

/*
 * A frame of every type, small and at its limits, for unit tests and golden
 * captures.
 */

#include <string.h>

#include "base/attr.h"
#include "wire/frame.h"

/* Types ascending: client's address, then an option nobody knows. */
static const uint8_t frame_sample_options[] = { 0x01, 0x09, '1', '0', '.', '1',
	'.', '2', '.', '3', '4', 0x40, 0x63, 0x02, 0xca, 0xfe };

static const struct cn_frame frame_samples[] = {
	{ .type = CN_FRAME_OPEN,
	    .u.open = { .stream = 0,
		.credit = 16384,
		.scope = UINT64_C(0x0123456789abcdef),
		.flags = 1,
		.service = "web",
		.service_len = 3 } },
	{ .type = CN_FRAME_OPEN,
	    .u.open = { .stream = 16383,
		.credit = CN_OFFSET_MAX,
		.scope = UINT64_MAX,
		.flags = 0,
		.service = "gr\xc3\xb6\xc3\xbcn",
		.service_len = 7,
		.options = frame_sample_options,
		.options_len = sizeof(frame_sample_options) } },
	{ .type = CN_FRAME_DATA,
	    .u.data = { .stream = 2,
		.offset = 0,
		.data = (const uint8_t *)"GET / HTTP/1.0\r\n\r\n",
		.len = 18 } },
	{ .type = CN_FRAME_DATA,
	    .u.data = { .stream = 64,
		.offset = CN_OFFSET_MAX - 1,
		.data = (const uint8_t *)"\x00",
		.len = 1 } },
	{ .type = CN_FRAME_FIN,
	    .u.fin = { .stream = 2,
		.length = 18,
		.digest = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
		    255 } } },
	{ .type = CN_FRAME_RESET,
	    .u.reset = { .stream = 5, .reason = CN_RESET_REFUSED } },
	{ .type = CN_FRAME_RESET,
	    .u.reset = { .stream = CN_VARINT_MAX, .reason = 4711 } },
	{ .type = CN_FRAME_END, .u.end = { .stream = 63 } },
	{ .type = CN_FRAME_DONE, .u.done = { .stream = 64 } },
	{ .type = CN_FRAME_CREDIT,
	    .u.credit = { .stream = 3, .offset = 1u << 20 } },
	{ .type = CN_FRAME_ACK, .u.ack = { .stream = 3, .offset = 16384 } },
	{ .type = CN_FRAME_ACK_FIN, .u.ack_fin = { .stream = 3, .offset = 0 } },
	{ .type = CN_FRAME_BLOCK_ACK,
	    .u.block_ack = { .next = 7, .ranges = 0 } },
	{ .type = CN_FRAME_BLOCK_ACK,
	    .u.block_ack = { .next = 1000,
		.ranges = 2,
		.range = { { .skip = 1, .run = 64 },
		    { .skip = 20000, .run = 1 } } } },
	{ .type = CN_FRAME_NACK,
	    .u.nack = { .block = 70, .reason = CN_NACK_HASH } },
	{ .type = CN_FRAME_MISS,
	    .u.miss = { .stream = 9,
		.offset = UINT64_C(1) << 33,
		.len = CN_BATCH_PLAIN_MAX } },
	{ .type = CN_FRAME_PING, .u.ping = { .token = UINT64_MAX } },
	{ .type = CN_FRAME_PONG, .u.pong = { .token = 42 } },
	{ .type = CN_FRAME_LANE_CLOSE,
	    .u.lane_close = { .lane = CN_LANES_MAX - 1, .generation = 3 } },
	{ .type = CN_FRAME_RESUME,
	    .u.resume = { .stream = 11,
		.received = 100000,
		.written = 99999,
		.credit = 165536,
		.flags = CN_RESUME_FIN_KNOWN } },
	{ .type = CN_FRAME_RESUME,
	    .u.resume = { .stream = 12, .flags = CN_RESUME_ASK } },
	{ .type = CN_FRAME_RESUME_END },
	{ .type = CN_FRAME_DRAIN },
	{ .type = CN_FRAME_CLOSE,
	    .u.close = { .code = 8, .text = "going down", .text_len = 10 } },
	{ .type = CN_FRAME_CLOSE, .u.close = { .code = 0 } },
};

#endif /* CN_TESTS_FRAME_SAMPLES_H */
