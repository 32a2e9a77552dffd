#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write the seeds of the store's harnesses: corpus/{image,export}/*.

Heads, plain footers and plain bodies as doc/store.md has them.
"""
import os
import struct

import xxhash

HERE = os.path.dirname(os.path.abspath(__file__))
EXTENTS = 32
EXTENT = 32768
PEER_A = b"a".ljust(32, b"\0")
PEER_B = b"b".ljust(32, b"\0")


def write(harness, name, data):
    folder = os.path.join(HERE, "corpus", harness)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def head(version=1, footer=28672):
    return struct.pack(">8sIIII8x32s", b"CNimage\n", version, 4096, footer,
                       1048576, bytes(range(32))) + bytes(range(32))


def footer(extents, chunks, peer=PEER_B, sequence=5):
    """A plain footer up to the end of its chunks."""
    out = struct.pack(">32sB3xIQQQQ56x", peer, 1, len(chunks), 0x1234, sequence,
                      9, 1800000000)
    for scope, data in extents + [(0, b"")] * (EXTENTS - len(extents)):
        low = xxhash.xxh3_64_intdigest(data) & 0xffffffff if data else 0
        out += struct.pack(">QII", scope, len(data), low)
    assert len(out) == 640
    return out + b"".join(struct.pack(">QI", *chunk) for chunk in chunks)


def lead(length, kind, position):
    return struct.pack(">IIQ", length, kind, position) + bytes(16)


def main():
    image = b"\0"
    write("image", "head", image + head())
    write("image", "version", image + head(version=2))
    write("image", "lengths", image + head(footer=4096))
    write("image", "empty", image)
    plain = b"\1"
    # Zeros are the data of a sealed footer, so this one opens whole.
    zeros = [(7, bytes(EXTENT)), (8, bytes(100))]
    table = [(n * 0x9e3779b97f4a7c15 & (1 << 64) - 1, n * 8191)
             for n in range(40)]
    write("image", "footer", plain + footer(zeros, table))
    write("image", "footer-unused", plain + footer([], []))
    write("image", "footer-sequence", plain + footer(zeros, [], PEER_B, 1 << 40))
    write("image", "footer-chunk", plain + footer([], [(1, 1 << 20)]))
    full = table * 51 + table[:8]
    write("image", "footer-full", plain + footer(zeros, full))
    write("image", "footer-too-many",
          plain + footer(zeros, full + table[:1]))

    stream = struct.pack(">8sII32s32s32s16x", b"CNexport", 1, 128,
                         bytes(range(32)), PEER_A, bytes(32))
    write("export", "head", b"\0\0" + stream)
    write("export", "leads", b"\1\0" + lead(28672, 1, 0) + lead(0, 2, 1) +
          lead(28672 + 1048576, 1, 2) + lead(28671, 1, 3) + lead(1, 2, 4) +
          lead(0, 2, 4) + lead(28672 + 1048577, 1, 6) + lead(0, 3, 7))
    data = [(7, b"first extent" * 5), (8, b"second"), (9, b"x" * 300)]
    body = b"".join(text for _, text in data)
    write("export", "body-own", b"\2\0" + footer(data, []) + body)
    write("export", "body-peer", b"\2\1" + footer(data, []) + body)
    write("export", "body-third", b"\2\1" + footer(data, [], PEER_A) + body)
    write("export", "body-long", b"\2\1" + footer(data, []) + body + b"!")
    write("export", "body-hash", b"\2\1" + footer(data, []) + body[::-1])


if __name__ == "__main__":
    main()
