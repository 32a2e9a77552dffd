# SPDX-License-Identifier: Apache-2.0
"""Capture files made by hand: pcap and pcapng.

    talk = Talk(port=5432)
    talk.up(b"select 1").down(b"one row").end()
    write_pcap(path, talk.packets)
"""
import socket
import struct

SYN, FIN, RST, PSH, ACK = 2, 1, 4, 8, 16
ETHERNET, COOKED = 1, 113
SEGMENT = 1400


class Talk:
    """One TCP connection as Ethernet frames with their times."""

    def __init__(self, port, client_port=40000, start=1_700_000_000.0,
                 gap=0.001, first=0xfffffff0, syn=True):
        self.port, self.client_port = port, client_port
        self.time, self.gap = start, gap
        self.seq = [first, 99]
        self.packets = []  # (time, frame)
        if syn:
            self.segment(0, b"", SYN, 1)
            self.segment(1, b"", SYN | ACK, 1)

    def frame(self, way, seq, ack, flags, data):
        ports = (self.client_port, self.port)
        ends = ("10.0.0.1", "10.0.0.2")
        tcp = struct.pack(">HHIIBBHHH", ports[way], ports[1 - way],
                          seq & 0xffffffff, ack & 0xffffffff, 0x50, flags,
                          1000, 0, 0)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 1, 0, 64,
                         6, 0, socket.inet_aton(ends[way]),
                         socket.inet_aton(ends[1 - way]))
        return bytes(12) + b"\x08\x00" + ip + tcp + data

    def segment(self, way, data, flags=ACK, more=0):
        self.time += self.gap
        self.packets.append((self.time, self.frame(
            way, self.seq[way], self.seq[1 - way], flags, data)))
        self.seq[way] += len(data) + more
        return self

    def send(self, way, data):
        for at in range(0, len(data), SEGMENT):
            part = data[at:at + SEGMENT]
            last = at + SEGMENT >= len(data)
            self.segment(way, part, ACK | (PSH if last else 0))
        return self

    def up(self, data):
        return self.send(0, data)

    def down(self, data):
        return self.send(1, data)

    def end(self):
        self.segment(0, b"", FIN | ACK, 1)
        return self.segment(1, b"", FIN | ACK, 1)


def write_pcap(path, packets, link=ETHERNET):
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144,
                              link))
        for time, frame in packets:
            out.write(struct.pack("<IIII", int(time),
                                  int(time % 1 * 1e6), len(frame),
                                  len(frame)) + frame)


def block(kind, body):
    body += bytes(-len(body) % 4)
    size = len(body) + 12
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def write_pcapng(path, packets, link=ETHERNET):
    with open(path, "wb") as out:
        out.write(block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0,
                                                -1)))
        out.write(block(1, struct.pack("<HHI", link, 0, 262144)))
        for time, frame in packets:
            us = int(time * 1e6)
            out.write(block(6, struct.pack(
                "<IIIII", 0, us >> 32, us & 0xffffffff, len(frame),
                len(frame)) + frame))
