/* SPDX-License-Identifier: Apache-2.0 */
/* Packets and connections of captures: manage/packet.h, manage/assembly.h. */
#include "manage/assembly.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../mutate.h"
#include "base/err.h"
#include "manage/packet.h"

static const int links[] = { 0, 1, 12, 101, 108, 113, 228, 229, 276 };

/* ---- packets ---- */

static size_t
put_tcp(uint8_t *out, const char *data)
{
	static const uint8_t head[20] = { 0x12, 0x34, 0x15, 0x38, 0, 0, 0, 7, 0,
		0, 0, 9, 0x50, 0x18, 1, 0, 0, 0, 0, 0 };

	memcpy(out, head, 20);
	memcpy(out + 20, data, strlen(data));
	return 20 + strlen(data);
}

static size_t
put_ipv4(uint8_t *out, const char *data)
{
	size_t len = put_tcp(out + 20, data) + 20;

	memset(out, 0, 20);
	out[0] = 0x45;
	out[2] = (uint8_t)(len >> 8);
	out[3] = (uint8_t)len;
	out[9] = 6;
	out[12] = 10;
	out[15] = 1;
	out[16] = 10;
	out[19] = 2;
	return len;
}

static size_t
put_ipv6(uint8_t *out, const char *data)
{
	static const uint8_t extension[8] = { 6, 0, 1, 4, 0, 0, 0, 0 };
	size_t len = put_tcp(out + 48, data) + 8;

	memset(out, 0, 48);
	out[0] = 0x60;
	out[4] = (uint8_t)(len >> 8);
	out[5] = (uint8_t)len;
	out[6] = 0;
	out[23] = 1;
	out[39] = 2;
	memcpy(out + 40, extension, 8);
	return len + 40;
}

static size_t
put_link(uint8_t *out, int link, bool is_v6)
{
	memset(out, 0, 32);
	switch (link) {
	case 1: /* with a VLAN tag */
		out[12] = 0x81;
		out[16] = is_v6 ? 0x86 : 0x08;
		out[17] = is_v6 ? 0xdd : 0x00;
		return 18;
	case 113:
		out[14] = is_v6 ? 0x86 : 0x08;
		out[15] = is_v6 ? 0xdd : 0x00;
		return 16;
	case 276:
		out[0] = is_v6 ? 0x86 : 0x08;
		out[1] = is_v6 ? 0xdd : 0x00;
		return 20;
	case 0:
	case 108:
		return 4;
	default:
		return 0;
	}
}

static void
reads_every_link_layer(void **state CN_UNUSED)
{
	for (size_t i = 0; i < 2 * CN_ARRAY_LEN(links); i++) {
		int link = links[i / 2];
		bool is_v6 = i % 2 == 1;
		uint8_t bytes[256];
		size_t len = put_link(bytes, link, is_v6);
		struct cn_packet p;

		assert_true(cn_packet_is_known(link));
		len += is_v6 ? put_ipv6(bytes + len, "hello")
			     : put_ipv4(bytes + len, "hello");
		memset(bytes + len, 0, 6); /* padding of Ethernet */
		assert_int_equal(
		    cn_packet_read(link, bytes, len + 6, &p), CN_PACKET_TCP);
		assert_int_equal(p.from.port, 0x1234);
		assert_int_equal(p.to.port, 5432);
		assert_int_equal(p.from.address[15], 1);
		assert_int_equal(p.to.address[15], 2);
		assert_int_equal(p.seq, 7);
		assert_int_equal(p.ack, 9);
		assert_int_equal(p.data_len, 5);
		assert_int_equal(p.data_on_wire, 5);
		assert_memory_equal(p.data, "hello", 5);
	}
	assert_false(cn_packet_is_known(105));
}

static void
tells_what_it_is_not(void **state CN_UNUSED)
{
	uint8_t bytes[256];
	size_t len = put_ipv4(bytes, "hello");
	struct cn_packet p;

	assert_int_equal(cn_packet_read(12, bytes, len - 2, &p), CN_PACKET_TCP);
	assert_int_equal(p.data_len, 3); /* a short snapshot */
	assert_int_equal(p.data_on_wire, 5);
	assert_int_equal(cn_packet_read(12, bytes, 30, &p), CN_PACKET_DAMAGED);
	assert_int_equal(cn_packet_read(12, bytes, 0, &p), CN_PACKET_DAMAGED);
	bytes[6] = 0x20;
	assert_int_equal(
	    cn_packet_read(12, bytes, len, &p), CN_PACKET_FRAGMENT);
	bytes[6] = 0;
	bytes[9] = 17;
	assert_int_equal(cn_packet_read(12, bytes, len, &p), CN_PACKET_OTHER);
	bytes[9] = 6;
	bytes[0] = 0x44;
	assert_int_equal(cn_packet_read(12, bytes, len, &p), CN_PACKET_DAMAGED);
	len = put_ipv6(bytes, "hello");
	bytes[40] = 44; /* a chain of extensions that leads nowhere */
	assert_int_not_equal(cn_packet_read(12, bytes, len, &p), CN_PACKET_TCP);
}

/* ---- connections ---- */

struct seen {
	struct cn_assembly *assembly;
	char text[2][256]; /* what came each way, '|' where it was pushed */
	size_t len[2];
	unsigned opened, closed;
};

static void
on_opened(void *arg, struct cn_assembly_flow *flow)
{
	struct seen *seen = arg;

	seen->opened++;
	flow->mark = seen;
}

static void
on_bytes(void *arg, struct cn_assembly_flow *flow, enum cn_assembly_way way,
    const uint8_t *bytes, size_t len, bool is_pushed CN_UNUSED)
{
	struct seen *seen = arg;

	assert_ptr_equal(flow->mark, seen);
	for (size_t i = 0; i < len; i++) {
		if (seen->len[way] + 1 < sizeof(seen->text[way])) {
			seen->text[way][seen->len[way]] = (char)bytes[i];
		}
		seen->len[way]++;
	}
}

static void
on_closed(void *arg, struct cn_assembly_flow *flow CN_UNUSED)
{
	struct seen *seen = arg;

	seen->closed++;
}

static const struct cn_assembly_ops ops = { on_opened, on_bytes, on_closed };

static void
start(struct seen *seen)
{
	memset(seen, 0, sizeof(*seen));
	assert_int_equal(
	    cn_assembly_create(&ops, seen, &seen->assembly), CN_OK);
}

static struct cn_assembly_stats
stop(struct seen *seen)
{
	struct cn_assembly_stats stats;

	cn_assembly_finish(seen->assembly);
	cn_assembly_stats(seen->assembly, &stats);
	cn_assembly_free(&seen->assembly);
	assert_int_equal(seen->opened, seen->closed);
	return stats;
}

/* One segment; client port 40000 + conn to 5432. */
static void
say(struct seen *seen, unsigned conn, bool is_up, uint32_t seq, uint32_t ack,
    unsigned flags, const char *data, uint64_t time_us)
{
	struct cn_packet p = {
		.seq = seq,
		.ack = ack,
		.flags = flags,
		.data = (const uint8_t *)data,
		.data_len = (uint32_t)strlen(data),
		.data_on_wire = (uint32_t)strlen(data),
	};
	struct cn_packet_end client = { { 10 }, (uint16_t)(40000 + conn) };
	struct cn_packet_end server = { { 11 }, 5432 };

	p.from = is_up ? client : server;
	p.to = is_up ? server : client;
	assert_int_equal(
	    cn_assembly_packet(seen->assembly, &p, time_us), CN_OK);
}

static void
up(struct seen *seen, uint32_t seq, const char *data)
{
	say(seen, 0, true, seq, 0, 0, data, 0);
}

static void
puts_both_ways_in_order(void **state CN_UNUSED)
{
	struct cn_assembly_stats stats;
	struct seen seen;

	start(&seen);
	/* Numbers that wrap in the middle. */
	say(&seen, 0, true, 0xfffffffd, 0, CN_PACKET_SYN, "", 0);
	say(&seen, 0, false, 99, 0xfffffffe, CN_PACKET_SYN | CN_PACKET_ACK, "",
	    0);
	up(&seen, 0xfffffffe, "abc");
	up(&seen, 4, "ghi");
	up(&seen, 1, "def");
	up(&seen, 0xffffffff, "bcd"); /* again */
	say(&seen, 0, false, 100, 7, CN_PACKET_ACK, "xyz", 0);
	up(&seen, 7, "j");
	say(&seen, 0, true, 8, 103, CN_PACKET_FIN | CN_PACKET_ACK, "", 0);
	assert_int_equal(seen.closed, 0);
	say(&seen, 0, false, 103, 9, CN_PACKET_FIN | CN_PACKET_ACK, "", 0);
	assert_int_equal(seen.closed, 1);
	stats = stop(&seen);
	assert_string_equal(seen.text[0], "abcdefghij");
	assert_string_equal(seen.text[1], "xyz");
	assert_int_equal(stats.bytes, 13);
	assert_int_equal(stats.again, 3);
	assert_int_equal(stats.missing, 0);
	assert_int_equal(stats.midway, 0);
}

static void
what_came_first_stands(void **state CN_UNUSED)
{
	struct cn_assembly_stats stats;
	struct seen seen;

	start(&seen);
	up(&seen, 10, "ab");
	up(&seen, 14, "ef");
	up(&seen, 18, "ij");
	up(&seen, 12, "cdXXghYYk"); /* over what is kept */
	stats = stop(&seen);
	assert_string_equal(seen.text[0], "abcdefghijk");
	assert_int_equal(stats.again, 4);
	assert_int_equal(stats.midway, 1);
}

static void
what_is_missing_is_counted(void **state CN_UNUSED)
{
	struct cn_assembly_stats stats;
	struct seen seen;

	start(&seen);
	up(&seen, 10, "ab");
	up(&seen, 20, "cd");
	assert_int_equal(seen.len[0], 2);
	/* The other end has it: it was sent, but not captured. */
	say(&seen, 0, false, 1, 22, CN_PACKET_ACK, "", 0);
	assert_int_equal(seen.len[0], 4);
	up(&seen, 30, "ef");
	up(&seen, 0x60000000, "strange");
	stats = stop(&seen);
	assert_string_equal(seen.text[0], "abcdef");
	assert_int_equal(stats.missing, 16);
	assert_int_equal(stats.strange, 7);
}

static void
ports_used_again_are_another_connection(void **state CN_UNUSED)
{
	struct cn_assembly_stats stats;
	struct seen seen;

	start(&seen);
	say(&seen, 0, true, 5, 0, CN_PACKET_SYN, "", 0);
	say(&seen, 0, true, 5, 0, CN_PACKET_SYN, "", 0);
	up(&seen, 6, "a");
	say(&seen, 0, true, 1000, 0, CN_PACKET_SYN, "", 0);
	up(&seen, 1001, "b");
	say(&seen, 0, false, 1, 1, CN_PACKET_RST, "", 0);
	assert_int_equal(seen.closed, 2);
	stats = stop(&seen);
	assert_string_equal(seen.text[0], "ab");
	assert_int_equal(stats.flows, 2);
}

static void
caps_are_kept(void **state CN_UNUSED)
{
	static char big[1461];
	struct cn_assembly_stats stats;
	struct seen seen;

	memset(big, 'x', sizeof(big) - 1);
	start(&seen);
	for (unsigned i = 0; i < CN_ASSEMBLY_FLOWS_MAX + 10; i++) {
		say(&seen, i, true, 1, 0, 0, "a", i);
	}
	/* Every other segment of one is missing, for longer than is kept. */
	for (unsigned i = 0; i < 2 * CN_ASSEMBLY_PIECES_MAX; i++) {
		say(&seen, 20, true, 2 + (2 * i + 1) * 1460, 0, 0, big, 9999);
	}
	assert_true(seen.len[0] >
	    (size_t)CN_ASSEMBLY_PIECES_MAX * 1460); /* some were given up */
	/* Silence. */
	say(&seen, 60000 - 40000, true, 1, 0, CN_PACKET_SYN, "",
	    10 * CN_ASSEMBLY_IDLE_US);
	say(&seen, 60001 - 40000, true, 1, 0, CN_PACKET_SYN, "",
	    10 * CN_ASSEMBLY_IDLE_US);
	assert_int_equal(seen.closed, seen.opened);
	stats = stop(&seen);
	assert_true(stats.evicted >= CN_ASSEMBLY_FLOWS_MAX);
	assert_true(stats.missing >= (2 * CN_ASSEMBLY_PIECES_MAX - 1) * 1460);
}

static void
memory_may_run_out(void **state CN_UNUSED)
{
	for (uint64_t n = 1;; n++) {
		struct seen seen = { 0 };
		int err;
		struct cn_packet p = { .data = (const uint8_t *)"abc",
			.data_len = 3,
			.data_on_wire = 3,
			.seq = 1 };

		cn_alloc_fail_at(n);
		if (cn_assembly_create(&ops, &seen, &seen.assembly) == CN_OK) {
			err = cn_assembly_packet(seen.assembly, &p, 0);
			assert_true(err == CN_OK || err == CN_ENOMEM);
			p.seq = 10;
			err = cn_assembly_packet(seen.assembly, &p, 0);
			assert_true(err == CN_OK || err == CN_ENOMEM);
			cn_assembly_finish(seen.assembly);
			assert_int_equal(seen.opened, seen.closed);
		}
		cn_assembly_free(&seen.assembly);
		bool has_failed = cn_alloc_has_failed();
		cn_alloc_fail_at(0);
		if (!has_failed) {
			assert_int_equal(seen.len[0], 6);
			return;
		}
	}
}

/* ---- damage ---- */

static void
read_damaged(const uint8_t *bytes, size_t len, void *arg)
{
	struct seen *seen = arg;
	struct cn_packet p;

	for (size_t i = 0; i < CN_ARRAY_LEN(links); i++) {
		if (cn_packet_read(links[i], bytes, len, &p) == CN_PACKET_TCP) {
			assert_true(p.data_len <= p.data_on_wire);
			assert_true(p.data_len <= len);
			assert_int_equal(
			    cn_assembly_packet(seen->assembly, &p, 0), CN_OK);
		}
	}
}

static void
damaged_packets_do_no_harm(void **state CN_UNUSED)
{
	for (size_t i = 0; i < 2 * CN_ARRAY_LEN(links); i++) {
		uint8_t bytes[256];
		size_t len = put_link(bytes, links[i / 2], i % 2 == 1);
		struct seen seen;

		start(&seen);
		len += i % 2 == 1 ? put_ipv6(bytes + len, "hi")
				  : put_ipv4(bytes + len, "hi");
		cn_mutate_each(bytes, len, read_damaged, &seen);
		(void)stop(&seen);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_link_layer),
		cmocka_unit_test(tells_what_it_is_not),
		cmocka_unit_test(puts_both_ways_in_order),
		cmocka_unit_test(what_came_first_stands),
		cmocka_unit_test(what_is_missing_is_counted),
		cmocka_unit_test(ports_used_again_are_another_connection),
		cmocka_unit_test(caps_are_kept),
		cmocka_unit_test(memory_may_run_out),
		cmocka_unit_test(damaged_packets_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
