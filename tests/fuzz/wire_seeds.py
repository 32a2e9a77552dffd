#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Cut the golden captures into the seeds of the wire harnesses.

wire_seeds.py: writes tests/fuzz/corpus/{hello,fragment,frame,refs}/golden-*.
"""
import glob
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SPEC = os.path.join(os.path.dirname(HERE), "spec")
SEED_MAX = 4096
sys.path.insert(0, SPEC)

import compressnet_decode as spec  # noqa: E402


def seed(harness, name, data):
    """Write one seed, unless it is too long to be a good one."""
    if not 0 < len(data) <= SEED_MAX:
        return
    folder = os.path.join(HERE, "corpus", harness)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "golden-" + name), "wb") as file:
        file.write(data)


def main():
    for path in sorted(glob.glob(os.path.join(SPEC, "golden", "*.bin"))):
        name = os.path.basename(path)[:-4]
        with open(path, "rb") as file:
            data = file.read()
        used = spec.hello(data)[1]
        if name.startswith("hello"):
            seed("hello", name, data)
            continue
        seed("fragment", name, data[used:])
        cursor = spec.Cursor(data[used:])
        count = 0
        while cursor.left():
            start = cursor.at
            kind = cursor.fixed(1)
            body = cursor.take(cursor.varint())
            if name == "batches" and kind != 1:
                seed("fragment", f"{name}-{count}",
                     cursor.data[start:cursor.at])
            if name == "references" and kind == 3:
                seed("refs", f"{count}", cursor.data[start:cursor.at])
            if name == "frames" and kind == 1:
                seed("frame", f"{count}", body[8:])
            count += 1


if __name__ == "__main__":
    main()
