/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of a capture: the link layers and the assembly of connections.
 *
 * Input: one byte that chooses the link layer, then packets {2 bytes length,
 * big endian, 1 byte of time, bytes}.
 */
#include <stdlib.h>

#include "base/err.h"
#include "manage/assembly.h"

static const int links[] = { 0, 1, 12, 101, 108, 113, 228, 229, 276, 999 };

struct sum {
	uint64_t bytes;
	uint64_t open;
};

static void
must(bool is_true)
{
	if (!is_true) {
		abort();
	}
}

static void
on_opened(void *arg, struct cn_assembly_flow *flow)
{
	struct sum *sum = arg;

	sum->open++;
	flow->mark = sum;
}

static void
on_bytes(void *arg, struct cn_assembly_flow *flow, enum cn_assembly_way way,
    const uint8_t *bytes, size_t len, bool is_pushed)
{
	struct sum *sum = arg;

	(void)is_pushed;
	must(flow->mark == sum && len > 0 && way < CN_ASSEMBLY_WAYS);
	sum->bytes += len + 0u * bytes[0] + 0u * bytes[len - 1];
}

static void
on_closed(void *arg, struct cn_assembly_flow *flow)
{
	struct sum *sum = arg;

	must(flow->mark == sum && sum->open > 0);
	sum->open--;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cn_assembly_ops ops = { on_opened, on_bytes,
		on_closed };
	struct sum sum = { 0 };
	struct cn_assembly_stats stats;
	struct cn_assembly *assembly;
	uint64_t given = 0, time_us = 0;
	int link;

	if (size < 1 || cn_assembly_create(&ops, &sum, &assembly) != CN_OK) {
		return 0;
	}
	link = links[data[0] % CN_ARRAY_LEN(links)];
	data++;
	size--;
	while (size >= 3) {
		size_t len = (size_t)data[0] << 8 | data[1];
		struct cn_packet packet;

		time_us += (uint64_t)data[2] << 22;
		data += 3;
		size -= 3;
		len = CN_MIN(len, size);
		if (cn_packet_read(link, data, len, &packet) == CN_PACKET_TCP) {
			must(packet.data_len <= len);
			must(packet.data_len <= packet.data_on_wire);
			given += packet.data_len;
			must(cn_assembly_packet(assembly, &packet, time_us) ==
			    CN_OK);
		}
		data += len;
		size -= len;
	}
	cn_assembly_finish(assembly);
	cn_assembly_stats(assembly, &stats);
	must(stats.bytes == sum.bytes && sum.bytes <= given);
	must(sum.open == 0);
	cn_assembly_free(&assembly);
	return 0;
}
