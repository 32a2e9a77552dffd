#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write the seeds of the codec's harnesses: corpus/{batch,lane}/*.

Coded frames come from the zstd program, cut to the shape of compressnet/1:
no magic number, no content size, a window byte that we set.
"""
import os
import struct
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = b"".join(b"GET /orders/%d HTTP/1.1\r\nHost: shop\r\n\r\n" % (i * 37)
                for i in range(60))


def write(harness, name, data):
    folder = os.path.join(HERE, "corpus", harness)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def header(window_log):
    return bytes([0, (window_log - 10) << 3])


def block(kind, size, body, is_last):
    head = size << 3 | kind << 1 | is_last
    return struct.pack("<I", head)[:3] + body


def coded(plain, window_log, level):
    """One magicless frame with a window byte of ours."""
    out = subprocess.run(
        ["zstd", "-q", "-c", "--no-check", "--no-content-size",
         "-%d" % level], input=plain, stdout=subprocess.PIPE,
        check=True).stdout
    assert out[:4] == b"\x28\xb5\x2f\xfd" and out[4] == 0
    return header(window_log) + out[6:]


def batch(name, plain_len, prefix_units, frame):
    write("batch", name, struct.pack(">HB", plain_len - 1, prefix_units) +
          frame)


def piece(plain_len, data):
    return struct.pack(">HH", plain_len - 1, len(data)) + data


def main():
    for level in (1, 3, 9):
        batch("text-%d" % level, len(TEXT), 0, coded(TEXT, 12, level))
    batch("prefix", len(TEXT), 4, coded(TEXT, 12, 3))
    batch("raw", 3, 0, header(10) + block(0, 3, b"abc", 1))
    batch("rle", 60000, 0, header(16) + block(1, 60000, b"a", 1))
    batch("bomb", 65536, 0, header(16) + block(1, 131072, b"x", 0) * 20 +
          block(0, 0, b"", 1))
    batch("empty-blocks", 1, 0, header(10) + block(0, 0, b"", 0) * 50 +
          block(0, 1, b"a", 1))
    batch("two-frames", 2, 0, (header(10) + block(0, 1, b"a", 1)) * 2)

    body = coded(TEXT, 16, 3)[2:]
    first = struct.unpack("<I", body[:3] + b"\0")[0] & ~1
    body = struct.pack("<I", first)[:3] + body[3:]  # no longer the last
    write("lane", "text", piece(len(TEXT), header(16) + body) +
          piece(3, block(0, 3, b"abc", 0)) +
          piece(9000, block(1, 9000, b"z", 0)))
    write("lane", "restart", piece(1, header(10) + block(0, 1, b"a", 0)) +
          piece(1, b"") + piece(1, header(16) + block(0, 1, b"b", 0)))
    write("lane", "ended", piece(1, header(10) + block(0, 1, b"a", 1)) +
          piece(1, block(0, 1, b"b", 0)))
    write("lane", "too-much", piece(5, header(16) +
                                    block(1, 100000, b"x", 0)))


if __name__ == "__main__":
    main()
