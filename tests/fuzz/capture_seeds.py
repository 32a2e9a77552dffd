#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write the corpus of fuzz_capture: small connections on each link layer.

capture_seeds.py [FOLDER]
"""
import os
import struct
import sys

LINKS = (0, 1, 12, 101, 108, 113, 228, 229, 276)
SYN, FIN, RST, PSH, ACK = 2, 1, 4, 8, 16


def tcp(source, target, seq, ack, flags, data):
    return struct.pack(">HHIIBBHHH", source, target, seq & 0xffffffff, ack,
                       0x50, flags, 1000, 0, 0) + data


def ipv4(source, target, payload):
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64,
                       6, 0, source[-4:], target[-4:]) + payload


def ipv6(source, target, payload):
    """With a header of options."""
    payload = bytes((6, 0, 1, 4, 0, 0, 0, 0)) + payload
    return struct.pack(">IHBB16s16s", 6 << 28, len(payload), 0, 64,
                       source.rjust(16, b"\0"),
                       target.rjust(16, b"\0")) + payload


def framed(link, packet):
    kind = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
    return {0: b"\x02\0\0\0", 1: bytes(12) + b"\x81\0\0\x07" + kind,
            108: b"\0\0\0\x02", 113: bytes(14) + kind,
            276: kind + bytes(18)}.get(link, b"") + packet


def talk(ip):
    client, server = b"\x0a\0\0\1", b"\x0a\0\0\2"

    def up(seq, ack, flags, data=b""):
        return ip(client, server, tcp(40000, 5432, seq, ack, flags, data))

    def down(seq, ack, flags, data=b""):
        return ip(server, client, tcp(5432, 40000, seq, ack, flags, data))

    top = 0xfffffff8
    return [up(top, 0, SYN), down(99, top + 1, SYN | ACK),
            up(top + 1, 100, ACK | PSH, b"select 1"),
            up(top + 13, 100, ACK, b"late"),
            up(top + 9, 100, ACK, b"gap!"),
            up(top + 5, 100, ACK, b"ct 1gap!"),
            down(100, 9, ACK | PSH, b"one row"),
            up(top + 30, 107, ACK, b"lost before"),
            down(107, 40, ACK), up(top + 41, 107, FIN | ACK),
            down(107, 42, FIN | ACK), up(7, 0, SYN), up(8, 0, RST)]


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "corpus", "capture")
    os.makedirs(folder, exist_ok=True)
    for number, link in enumerate(LINKS):
        for ip in (ipv4, ipv6):
            seed = bytes((number,))
            for packet in talk(ip):
                packet = framed(link, packet)
                seed += struct.pack(">HB", len(packet), 1) + packet
            with open(os.path.join(folder, f"{ip.__name__}-{link}"),
                      "wb") as out:
                out.write(seed)


if __name__ == "__main__":
    main()
