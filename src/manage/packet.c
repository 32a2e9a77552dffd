/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/packet.h"

#include <string.h>

/* libpcap's DLT_ numbers; this file needs no library to be tested. */
enum link_type {
	LINK_LOOPBACK = 0, /* family in the byte order of the host */
	LINK_ETHERNET = 1,
	LINK_RAW = 12,
	LINK_RAW_FILE = 101, /* the same as files number it */
	LINK_LOOP = 108,     /* family in the order of the network */
	LINK_COOKED = 113,
	LINK_IPV4 = 228,
	LINK_IPV6 = 229,
	LINK_COOKED_2 = 276,
};

#define ETHER_IPV4 0x0800u
#define ETHER_IPV6 0x86ddu
#define ETHER_VLAN 0x8100u
#define ETHER_QINQ 0x88a8u
#define ETHER_QINQ_OLD 0x9100u

#define PROTOCOL_TCP 6u
#define EXTENSION_HOPS 0u
#define EXTENSION_ROUTING 43u
#define EXTENSION_FRAGMENT 44u
#define EXTENSION_AUTH 51u
#define EXTENSION_OPTIONS 60u
#define EXTENSION_MOBILITY 135u

/* What is left of a packet. */
struct rest {
	const uint8_t *at;
	size_t len;
};

static uint16_t
get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t
get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
	    (uint32_t)at[2] << 8 | at[3];
}

/* Step over a header; false when it is cut off. */
static bool
skip(struct rest *rest, size_t len)
{
	if (len > rest->len) {
		return false;
	}
	rest->at += len;
	rest->len -= len;
	return true;
}

bool
cn_packet_is_known(int link_type)
{
	switch (link_type) {
	case LINK_LOOPBACK:
	case LINK_ETHERNET:
	case LINK_RAW:
	case LINK_RAW_FILE:
	case LINK_LOOP:
	case LINK_COOKED:
	case LINK_IPV4:
	case LINK_IPV6:
	case LINK_COOKED_2:
		return true;
	default:
		return false;
	}
}

/* ---- TCP ---- */

/*
 * @on_wire  bytes of the segment as IP tells them, >= rest->len
 */
static enum cn_packet_kind
read_tcp(struct rest rest, size_t on_wire, struct cn_packet *ret)
{
	const uint8_t *at = rest.at;
	size_t head;

	if (rest.len < 20) {
		return CN_PACKET_DAMAGED;
	}
	head = (size_t)(at[12] >> 4) * 4;
	if (head < 20 || head > on_wire) {
		return CN_PACKET_DAMAGED;
	}
	ret->from.port = get16(at);
	ret->to.port = get16(at + 2);
	ret->seq = get32(at + 4);
	ret->ack = get32(at + 8);
	ret->flags = at[13];
	ret->data_on_wire = (uint32_t)(on_wire - head);
	/* Options may be cut off with all that follows. */
	if (!skip(&rest, head)) {
		rest.len = 0;
	}
	ret->data = rest.at;
	ret->data_len = (uint32_t)rest.len;
	return CN_PACKET_TCP;
}

/* ---- IP ---- */

static void
set_ipv4(uint8_t address[16], const uint8_t *at)
{
	memset(address, 0, 10);
	memset(address + 10, 0xff, 2);
	memcpy(address + 12, at, 4);
}

static enum cn_packet_kind
read_ipv4(struct rest rest, struct cn_packet *ret)
{
	const uint8_t *at = rest.at;
	size_t head, total;

	if (rest.len < 20 || at[0] >> 4 != 4) {
		return CN_PACKET_DAMAGED;
	}
	head = (size_t)(at[0] & 0x0f) * 4;
	total = get16(at + 2);
	/* A network card that cuts segments itself is given a length of 0. */
	total = total == 0 ? rest.len : total;
	if (head < 20 || head > rest.len || total < head) {
		return CN_PACKET_DAMAGED;
	}
	if (at[9] != PROTOCOL_TCP) {
		return CN_PACKET_OTHER;
	}
	if ((get16(at + 6) & 0x3fffu) != 0) { /* more follow, or an offset */
		return CN_PACKET_FRAGMENT;
	}
	set_ipv4(ret->from.address, at + 12);
	set_ipv4(ret->to.address, at + 16);
	/* Ethernet fills short frames up. */
	rest.len = total < rest.len ? total : rest.len;
	(void)skip(&rest, head);
	return read_tcp(rest, total - head, ret);
}

/*
 * Step over IPv6's extension headers.
 *
 * @next  kind of what stands at rest; set to that of what is left
 */
static enum cn_packet_kind
skip_extensions(struct rest *rest, unsigned *next)
{
	for (unsigned i = 0; i < CN_PACKET_EXTENSIONS_MAX; i++) {
		size_t len;

		if (*next == PROTOCOL_TCP) {
			return CN_PACKET_TCP;
		}
		if (*next != EXTENSION_HOPS && *next != EXTENSION_ROUTING &&
		    *next != EXTENSION_FRAGMENT && *next != EXTENSION_AUTH &&
		    *next != EXTENSION_OPTIONS && *next != EXTENSION_MOBILITY) {
			return CN_PACKET_OTHER;
		}
		if (rest->len < 8) {
			return CN_PACKET_DAMAGED;
		}
		len = ((size_t)rest->at[1] + 1) * 8;
		if (*next == EXTENSION_AUTH) {
			len = ((size_t)rest->at[1] + 2) * 4;
		} else if (*next == EXTENSION_FRAGMENT) {
			len = 8;
			if ((get16(rest->at + 2) & 0xfff9u) != 0) {
				return CN_PACKET_FRAGMENT;
			}
		}
		*next = rest->at[0];
		if (!skip(rest, len)) {
			return CN_PACKET_DAMAGED;
		}
	}
	return CN_PACKET_DAMAGED;
}

static enum cn_packet_kind
read_ipv6(struct rest rest, struct cn_packet *ret)
{
	const uint8_t *at = rest.at;
	enum cn_packet_kind kind;
	size_t on_wire, before;
	unsigned next;

	if (rest.len < 40 || at[0] >> 4 != 6) {
		return CN_PACKET_DAMAGED;
	}
	on_wire = get16(at + 4);
	next = at[6];
	memcpy(ret->from.address, at + 8, 16);
	memcpy(ret->to.address, at + 24, 16);
	(void)skip(&rest, 40);
	/* 0: longer than 64 KiB, or cut by the network card. */
	on_wire = on_wire == 0 ? rest.len : on_wire;
	rest.len = on_wire < rest.len ? on_wire : rest.len;
	before = rest.len;
	kind = skip_extensions(&rest, &next);
	if (kind != CN_PACKET_TCP) {
		return kind;
	}
	return read_tcp(rest, on_wire - (before - rest.len), ret);
}

static enum cn_packet_kind
read_ip(struct rest rest, struct cn_packet *ret)
{
	if (rest.len < 1) {
		return CN_PACKET_DAMAGED;
	}
	switch (rest.at[0] >> 4) {
	case 4:
		return read_ipv4(rest, ret);
	case 6:
		return read_ipv6(rest, ret);
	default:
		return CN_PACKET_OTHER;
	}
}

/* ---- link layers ---- */

/* What an Ethernet type announces, VLAN tags stepped over. */
static enum cn_packet_kind
read_ether_type(unsigned type, struct rest rest, struct cn_packet *ret)
{
	for (unsigned i = 0;
	     type == ETHER_VLAN || type == ETHER_QINQ || type == ETHER_QINQ_OLD;
	     i++) {
		if (rest.len < 4 || i == CN_PACKET_TAGS_MAX) {
			return CN_PACKET_DAMAGED;
		}
		type = get16(rest.at + 2);
		(void)skip(&rest, 4);
	}
	if (type == ETHER_IPV4) {
		return read_ipv4(rest, ret);
	}
	if (type == ETHER_IPV6) {
		return read_ipv6(rest, ret);
	}
	return CN_PACKET_OTHER;
}

/*
 * A header of so many bytes with an Ethernet type somewhere.
 */
static enum cn_packet_kind
read_framed(
    struct rest rest, size_t head, size_t type_at, struct cn_packet *ret)
{
	unsigned type;

	if (rest.len < head) {
		return CN_PACKET_DAMAGED;
	}
	type = get16(rest.at + type_at);
	(void)skip(&rest, head);
	return read_ether_type(type, rest, ret);
}

enum cn_packet_kind
cn_packet_read(
    int link_type, const uint8_t *bytes, size_t len, struct cn_packet *ret)
{
	struct rest rest = { bytes, len };

	switch (link_type) {
	case LINK_LOOPBACK:
	case LINK_LOOP:
		/* The family's number is another on each system, what
		 * follows tells as much. */
		if (!skip(&rest, 4)) {
			return CN_PACKET_DAMAGED;
		}
		return read_ip(rest, ret);
	case LINK_ETHERNET:
		return read_framed(rest, 14, 12, ret);
	case LINK_RAW:
	case LINK_RAW_FILE:
	case LINK_IPV4:
	case LINK_IPV6:
		return read_ip(rest, ret);
	case LINK_COOKED:
		return read_framed(rest, 16, 14, ret);
	case LINK_COOKED_2:
		return read_framed(rest, 20, 0, ret);
	default:
		return CN_PACKET_OTHER;
	}
}
