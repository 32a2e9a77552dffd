#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Make a C file of the dashboard's files (src/manage/assets.h).

embed.py OUTPUT FOLDER FILE..

Files are given by their paths below FOLDER.  The same files give the same
output, whenever and wherever it is made.
"""
import gzip
import hashlib
import os
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}


def array(name, data):
    lines = [f"static const unsigned char {name}[] = {{"]
    for at in range(0, len(data), 16):
        lines.append("\t" + ",".join(str(b) for b in data[at:at + 16]) + ",")
    if not data:
        lines.append("\t0,")
    return lines + ["};"]


def main():
    output, folder, *files = sys.argv[1:]
    arrays, rows = [], []
    for number, path in enumerate(sorted(files)):
        with open(os.path.join(folder, path), "rb") as source:
            plain = source.read()
        kind = TYPES.get(os.path.splitext(path)[1])
        if kind is None:
            sys.exit(f"embed.py: {path}: which Content-Type is that?")
        packed = gzip.compress(plain, 9, mtime=0)
        tag = hashlib.sha256(plain).hexdigest()[:24]
        arrays += array(f"plain_{number}", plain)
        arrays += array(f"gzip_{number}", packed)
        rows.append(f'\t{{ "/{path}", "{kind}", "\\"{tag}\\"", '
                    f"plain_{number}, {len(plain)}, gzip_{number}, "
                    f"{len(packed)} }},")
    text = ["/* Made by scripts/embed.py. */",
            '#include "manage/assets.h"', *arrays,
            "const struct cn_asset cn_assets[] = {", *rows, "};",
            f"const size_t cn_assets_count = {len(rows)};"]
    with open(output, "w", encoding="ascii") as out:
        out.write("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
