/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_HELLO_SAMPLES_H
#define CN_TESTS_HELLO_SAMPLES_H

/*
 * A dialler's hello, the acceptor's answer, and a refusal, for unit tests and
 * golden captures.
 */

#include "wire/hello.h"

static const struct cn_hello hello_samples[] = {
	{ .version_min = 1,
	    .version_max = 1,
	    .flags = CN_HELLO_NEW_LINK,
	    .identity = { 0x11, 0x12 },
	    .peer = { 0x21, 0x22 },
	    .exporter = { 0x31, [31] = 0xff },
	    .boot_id = { 0x41 },
	    .link_id = { 0x51, [15] = 0x52 },
	    .slot = 0,
	    .generation = 1,
	    .workers = 4,
	    .credit_floor = 16384,
	    .lanes = 256,
	    .lane_window_log = 20,
	    .prefix_max = 1u << 20,
	    .streams_max = 100000,
	    .name = "paris" },
	{ .version_min = 1,
	    .version_max = 1,
	    .flags = CN_HELLO_DRAINING,
	    .features = UINT64_C(0x8000000000000001),
	    .identity = { 0x21, 0x22 },
	    .peer = { 0x11, 0x12 },
	    .exporter = { 0x31, [31] = 0xff },
	    .boot_id = { 0x42 },
	    .link_id = { 0x51, [15] = 0x52 },
	    .slot = CN_SLOTS_MAX - 1,
	    .generation = CN_VARINT_MAX,
	    .workers = CN_WORKERS_MAX,
	    .credit_floor = CN_CREDIT_FLOOR_MAX,
	    .lanes = CN_LANES_MAX,
	    .lane_window_log = CN_LANE_WINDOW_LOG_MAX,
	    .prefix_max = CN_BATCH_PREFIX_MAX,
	    .streams_max = CN_VARINT_MAX,
	    .name = "S\xc3\xa3o Paulo" },
	{ .version_min = 2,
	    .version_max = UINT32_MAX,
	    .status = CN_CLOSE_LINK_UNKNOWN,
	    .link_id = { 0x51, [15] = 0x52 },
	    .workers = 1,
	    .credit_floor = CN_CREDIT_FLOOR_MIN,
	    .lane_window_log = CN_LANE_WINDOW_LOG_MIN,
	    .text = "restarted" },
};

#endif /* CN_TESTS_HELLO_SAMPLES_H */
