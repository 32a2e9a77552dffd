# SPDX-License-Identifier: Apache-2.0
"""References and logs, from doc/protocol.md, "References"."""
from compressnet_base import (
    BATCH_PLAIN_MAX, BlockError, Cursor, need, number, tlv_list, xxh3)

LOG_END = 2 ** 60
SEGMENT = 2 ** 20
EXTENT = 2 ** 15
OPS_MAX = 34816
DELTA_MAX = 262144


def moved(start, move):
    """Where a coded move leads."""
    return start + (move // 2 if move % 2 == 0 else -(move + 1) // 2)


def in_segment(pos, length):
    return (0 <= pos < LOG_END and
            pos // SEGMENT == (pos + length - 1) // SEGMENT)


def ext_logs(c):
    logs = [{"writer": ("sender", "receiver")[c.varint(0, 1)],
             "epoch": c.take(8).hex()} for _ in range(c.varint(1, 8))]
    for at, item in enumerate(logs):
        need(item not in logs[:at], "a log twice")
    return logs


def ext_copies(c):
    return {"ops_len": c.varint(2, OPS_MAX), "literal_len": c.varint()}


def ext_delta(c):
    regions = [[c.varint(), c.varint(), c.varint(1)]
               for _ in range(c.varint(1, 64))]
    for _, pos, length in regions:
        need(in_segment(pos, length), "a region across segments")
    need(sum(item[2] for item in regions) <= DELTA_MAX, "too long regions")
    return regions


def ext_stores(c):
    out = {"epoch": c.take(8).hex(), "pieces": []}
    at = pos = 0
    while c.left() or not out["pieces"]:
        start, length = at + c.varint(), c.varint(1)
        pos = moved(pos, c.varint())
        need(pos >= 0 and pos + length <= LOG_END, "a place that is none")
        out["pieces"].append([start, length, pos])
        at, pos = start + length, pos + length
    need(len(out["pieces"]) <= 512, "too many pieces")
    return out


EXTENSIONS = {1: ("logs", ext_logs), 2: ("copies", ext_copies),
              3: ("delta", ext_delta), 4: ("stores", ext_stores)}


def references(ext, head):
    """The extensions of a batch, checked against its head."""
    refs = {}
    for code, value in tlv_list(ext):
        need(code in EXTENSIONS, "unknown extension")
        name, decode_value = EXTENSIONS[code]
        cursor = Cursor(bytes.fromhex(value))
        refs[name] = decode_value(cursor)
        need(not cursor.left(), "more than the extension has")
    need(("logs" in refs) == ("copies" in refs or "delta" in refs),
         "logs without references, or references without")
    payload = head["plain_len"]
    if "copies" in refs:
        payload = sum(refs["copies"].values())
    need(payload <= head["plain_len"], "payload longer than plain")
    need(head["coded_len"] <= payload, "coded longer than payload")
    if head["coding"] == "raw":
        need(head["coded_len"] == payload, "length of raw")
    if "delta" in refs:
        need(all(item[0] < len(refs["logs"]) for item in refs["delta"]),
             "no such log")
        need(head["coding"] == "zstd" and head["prefix_len"] ==
             sum(item[2] for item in refs["delta"]), "length of the prefix")
    else:
        need(head["prefix_len"] <= head["offset"], "prefix before the start")
    for start, length, _ in refs.get("stores", {"pieces": ()})["pieces"]:
        need(start + length <= head["plain_len"], "piece beyond plain")
    return refs, payload


def copies(data, logs, literal_len, plain_len):
    """[[literals, length, log, position], ...] of a list of copies."""
    cursor, found, log, expected = Cursor(data), [], 0, 0
    while cursor.left():
        head, length = cursor.varint(), cursor.varint(1, BATCH_PLAIN_MAX)
        literals = head // 2
        need(literals <= BATCH_PLAIN_MAX, "too many literals")
        pos = expected + literals
        if head % 2:
            where = cursor.varint()
            if where % 2:
                log, pos = where // 2, cursor.varint()
            else:
                pos = moved(pos, where // 2)
        need(log < logs and in_segment(pos, length), "a place that is none")
        found.append([literals, length, log, pos])
        expected = pos + length
    need(sum(item[0] for item in found) <= literal_len, "no such literals")
    need(sum(item[1] for item in found) + literal_len == plain_len,
         "not the plain bytes")
    return found


def extents_of(pos, length):
    """(number of extent, start in it, length) of the parts of a range."""
    while length > 0:
        start = pos % EXTENT
        part = min(length, EXTENT - start)
        yield pos // EXTENT, start, part
        pos, length = pos + part, length - part


class Extent:
    """32 KiB of a log: which bytes are here, and whose."""

    def __init__(self, scope):
        self.scope = scope
        self.bytes = bytearray(EXTENT)
        self.here = bytearray(EXTENT)

    def put(self, start, data):
        part = slice(start, start + len(data))
        if 1 in self.here[part]:
            for at, byte in enumerate(data, start):
                need(not self.here[at] or self.bytes[at] == byte,
                     "another byte at the same place")
        self.bytes[part] = data
        self.here[part] = b"\1" * len(data)

    def used(self):
        return (self.here + b"\0").index(0)


class Log:
    """What is here of one log of the pair, by numbers of extents."""

    def __init__(self):
        self.extents = {}

    def store(self, pos, data, scope):
        parts = list(extents_of(pos, len(data)))
        for at, _, _ in parts:
            need(self.extents.setdefault(at, Extent(scope)).scope == scope,
                 "an extent of another scope")
        for at, start, part in parts:
            self.extents[at].put(start, data[:part])
            data = data[part:]

    def read(self, pos, length, scope):
        """The bytes, or a miss; damage where the scope is another."""
        found = b""
        for at, start, part in extents_of(pos, length):
            extent = self.extents.get(at)
            if extent and extent.scope != scope:
                raise BlockError("coding")
            if not extent or 0 in extent.here[start:start + part]:
                raise BlockError("miss")
            found += extent.bytes[start:start + part]
        return found

    def hashes(self, sequence):
        """(scope, used, hash) of a segment's extents."""
        for at in range(32 * sequence, 32 * sequence + 32):
            extent = self.extents.get(at)
            used = extent.used() if extent else 0
            yield (bytes.fromhex(extent.scope) if used else bytes(8), used,
                   xxh3(extent.bytes[:used]) % 2 ** 32 if used else 0)

    def segments(self):
        return sorted({at // 32 for at in self.extents})

    def node(self, level, index):
        """The hash of a node, everything taken for sealed; None: empty."""
        if level == 0:
            if index not in self.segments():
                return None
            return xxh3(b"".join(
                scope + number(used, 4) + number(low, 4)
                for scope, used, low in self.hashes(index)))
        inside = [sequence for sequence in self.segments()
                  if sequence // 16 ** level == index]
        if not inside:
            return None
        return xxh3(b"".join(
            number(sequence, 8) + number(self.node(0, sequence), 8)
            for sequence in inside))
