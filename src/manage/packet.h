/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_PACKET_H
#define CN_MANAGE_PACKET_H

/*
 * One captured packet, from its link layer to the bytes of its TCP segment.
 *
 * Link layers by the numbers of libpcap's DLT_ list: Ethernet with any number
 * of VLAN tags up to CN_PACKET_TAGS_MAX, Linux cooked v1 and v2, raw IP,
 * loopback of BSD in either byte order.  IPv4 with options, IPv6 with
 * extension headers.  Fragments of IP are not put together: TCP makes none.
 *
 * Pure: no I/O, no clock, no heap.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define CN_PACKET_TAGS_MAX 4u
#define CN_PACKET_EXTENSIONS_MAX 8u

enum cn_packet_kind {
	CN_PACKET_TCP,
	CN_PACKET_OTHER,    /* not TCP over IP */
	CN_PACKET_FRAGMENT, /* of IP */
	CN_PACKET_DAMAGED,  /* headers cut off, or that make no sense */
};

#define CN_PACKET_FIN 0x01u
#define CN_PACKET_SYN 0x02u
#define CN_PACKET_RST 0x04u
#define CN_PACKET_PSH 0x08u
#define CN_PACKET_ACK 0x10u

struct cn_packet_end {
	uint8_t address[16]; /* IPv4: the last four, behind ::ffff */
	uint16_t port;
};

struct cn_packet {
	struct cn_packet_end from, to;
	uint32_t seq, ack;
	unsigned flags;        /* CN_PACKET_* */
	const uint8_t *data;   /* borrowed from the packet */
	uint32_t data_len;     /* that were captured */
	uint32_t data_on_wire; /* >= data_len: a short snapshot cuts */
};

/* Whether packets of that link layer can be read at all. */
bool cn_packet_is_known(int link_type);

/*
 * Read a packet.
 *
 * @link_type  DLT_ number of the capture (of the interface)
 * @len        bytes captured
 * @ret        set for CN_PACKET_TCP only
 */
enum cn_packet_kind cn_packet_read(
    int link_type, const uint8_t *bytes, size_t len, struct cn_packet *ret);

#endif /* CN_MANAGE_PACKET_H */
