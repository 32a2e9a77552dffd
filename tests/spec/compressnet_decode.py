#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Decode one direction of a carrier, from doc/protocol.md alone.

compressnet_decode.py FILE...

Prints one JSON object for each hello and block.  Meant to be read beside the
document and not to be quick: it shares no code with the gateways, so that
what both agree on is what the document says.
"""
import json
import sys

import xxhash
import zstandard

from compressnet_base import (
    BATCH_PLAIN_MAX, VARINT_MAX, BlockError, Cursor, ProtocolError, clean,
    need, number, tlv_list, xxh3)
from compressnet_refs import LOG_END, Log, copies, references

FRAGMENT_MAX = 16384
LANE_PLAIN_MAX = 15360
DATA_MAX = 15000
PREFIX_MAX = 2097152
DIGEST_SEEDS = (0x636f6d7072657373, 0x0000006e65742f31)
KEEP = 0x10
DEDUP = 1
NO_STORE = 2
WARM = 4


# ---- hello ----

def hello(data):
    """Decode a hello at the start of data; returns (fields, bytes used)."""
    length = Cursor(data).fixed(2)
    need(length <= 1022, "hello too long")
    need(2 + length <= len(data), "cut off")
    cursor = Cursor(data[2:2 + length])
    out = {"version_min": cursor.varint(1, 2 ** 32 - 1)}
    out["version_max"] = cursor.varint(out["version_min"], 2 ** 32 - 1)
    out["status"] = cursor.varint(0, 2 ** 32 - 1)
    out["flags"] = cursor.varint(0, 2 ** 32 - 1)
    out["features"] = cursor.fixed(8)
    for name, size in (("identity", 32), ("peer", 32), ("exporter", 32),
                       ("boot_id", 16), ("link_id", 16)):
        out[name] = cursor.take(size).hex()
    for name, least, most in (
            ("slot", 0, 15), ("generation", 0, VARINT_MAX),
            ("workers", 1, 1024), ("credit_floor", 4096, 1048576),
            ("lanes", 0, 1024), ("lane_window_log", 10, 20),
            ("prefix_max", 0, PREFIX_MAX), ("streams_max", 0, VARINT_MAX)):
        out[name] = cursor.varint(least, most)
    out["name"] = cursor.text(0, 63)
    out["text"] = cursor.text(0, 200)
    out["later"] = cursor.left()
    return out, 2 + length


# ---- frames ----

def frame_open(c):
    out = {"stream": c.varint(), "credit": c.varint(),
           "scope": c.take(8).hex(), "flags": c.varint(),
           "service": c.text(1, 63)}
    out["options"] = tlv_list(c.take(c.varint(0, 512)))
    for kind, value in out["options"]:
        if kind == 1:
            need(len(value) <= 2 * 200, "text too long")
            clean(bytes.fromhex(value))
    return out


def frame_data(c):
    out = {"stream": c.varint(), "offset": c.varint()}
    data = c.take(c.varint(1, DATA_MAX))
    need(out["offset"] + len(data) <= VARINT_MAX, "offset too great")
    out["data"] = data.hex()
    return out


def frame_block_ack(c):
    out = {"next": c.varint(), "ranges": []}
    total = out["next"]
    for _ in range(c.varint(0, 32)):
        pair = [c.varint(1), c.varint(1)]
        total += sum(pair)
        need(total <= VARINT_MAX, "block number too great")
        out["ranges"].append(pair)
    return out


def frame_miss(c):
    out = {"stream": c.varint(), "offset": c.varint(),
           "length": c.varint(1, BATCH_PLAIN_MAX)}
    need(out["offset"] + out["length"] <= VARINT_MAX, "offset too great")
    return out


def frame_resume(c):
    out = {"stream": c.varint(), "received": c.varint()}
    out["written"] = c.varint(0, out["received"])
    out["credit"] = c.varint(out["received"])
    out["flags"] = c.varint(0, 3)
    return out


def place(last):
    """A frame of {stream, one more varint}."""
    return lambda c: {"stream": c.varint(), last: c.varint()}


def token(c):
    return {"token": c.take(8).hex()}


def log(c):
    return {"flags": c.varint(0, 1), "epoch": c.take(8).hex()}


def frame_node(c):
    out = {**log(c), "level": c.varint(0, 10)}
    out["index"] = c.varint(0, 16 ** (10 - out["level"]) - 1)
    return out


def frame_extents(c):
    return {**log(c), "sequence": c.varint(0, 2 ** 40 - 1),
            "hashes": [c.take(4).hex() for _ in range(32)]}


def frame_lack(c):
    out = {**log(c), "pos": c.varint(0, LOG_END - 1)}
    out["length"] = c.varint(1, LOG_END - out["pos"])
    return out


FRAMES = {
    0x01: ("open", frame_open),
    0x02: ("data", frame_data),
    0x03: ("fin", lambda c: {"stream": c.varint(), "length": c.varint(),
                             "digest": c.take(16).hex()}),
    0x04: ("reset", lambda c: {"stream": c.varint(), "reason": c.varint(1)}),
    0x05: ("end", lambda c: {"stream": c.varint()}),
    0x06: ("done", lambda c: {"stream": c.varint()}),
    0x07: ("credit", place("offset")),
    0x08: ("ack", place("offset")),
    0x09: ("ack-fin", place("length")),
    0x0a: ("block-ack", frame_block_ack),
    0x0b: ("nack", lambda c: {"block": c.varint(), "reason": c.varint(1)}),
    0x0c: ("miss", frame_miss),
    0x0d: ("ping", token),
    0x0e: ("pong", token),
    0x0f: ("lane-close", lambda c: {"lane": c.varint(0, 1023),
                                    "generation": c.varint()}),
    0x10: ("resume", frame_resume),
    0x11: ("resume-end", lambda c: {}),
    0x12: ("drain", lambda c: {}),
    0x13: ("close", lambda c: {"code": c.varint(), "text": c.text(0, 200)}),
    0x14: ("have", lambda c: {**frame_node(c), "hash": c.take(8).hex()}),
    0x15: ("want", frame_node),
    0x16: ("extents", frame_extents),
    0x17: ("lack", frame_lack),
}


def frames(data):
    """All frames of some plain bytes."""
    cursor, found = Cursor(data), []
    while cursor.left():
        code = cursor.fixed(1)
        if code & 0x80:
            skipped = cursor.take(cursor.varint(0, 4096))
            found.append({"type": "ignored", "code": code,
                          "length": len(skipped)})
            continue
        need(code in FRAMES, "unknown frame")
        name, decode = FRAMES[code]
        found.append({"type": name, **decode(cursor)})
    return found


# ---- coding ----

def zstd_header(coded, window_max):
    """Check the two bytes that every frame begins with."""
    if len(coded) < 2 or coded[0] != 0:
        raise BlockError("coding")
    exponent, mantissa = coded[1] >> 3, coded[1] & 7
    base = 1 << (10 + exponent)
    if base + base // 8 * mantissa > window_max:
        raise BlockError("coding")


def zstd_blocks(data, is_end):
    """Check that data is whole zstd blocks; only the final one may, and if
    is_end must, be marked as last."""
    at, last = 0, False
    while at < len(data):
        if last or len(data) - at < 3:
            raise BlockError("coding")
        head = int.from_bytes(data[at:at + 3], "little")
        last, kind, size = bool(head & 1), head >> 1 & 3, head >> 3
        at += 3 + (1 if kind == 1 else size)
    if at != len(data) or at == 0 or last != is_end:
        raise BlockError("coding")


def unzstd(prefix=b""):
    """A decompressor for one magicless frame."""
    dictionary = None
    if prefix:
        dictionary = zstandard.ZstdCompressionDict(
            prefix, zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdDecompressor(
        dict_data=dictionary, max_window_size=1 << 23,
        format=zstandard.FORMAT_ZSTD1_MAGICLESS).decompressobj()


def decompress(context, coded, plain_len):
    try:
        plain = context.decompress(coded)
    except zstandard.ZstdError as err:
        raise BlockError("coding") from err
    if len(plain) != plain_len:
        raise BlockError("coding")
    return plain


class Direction:
    """The bytes of one direction of a stream, as far as contiguous."""

    def __init__(self):
        self.bytes = bytearray()
        self.pieces = {}

    def put(self, offset, data):
        self.pieces[offset] = data
        for start in sorted(self.pieces):
            if start > len(self.bytes):
                return
            piece = self.pieces.pop(start)
            skip = len(self.bytes) - start
            need(self.bytes[start:start + len(piece)] == piece[:skip],
                 "the same offset with another byte")
            self.bytes += piece[skip:]

    def verify(self, length, digest):
        """True or False; None when not all bytes are here."""
        if len(self.bytes) < length:
            return None
        both = b"".join(xxhash.xxh64_digest(self.bytes, seed)
                        for seed in DIGEST_SEEDS)
        return len(self.bytes) == length and both.hex() == digest


class Carrier:
    """What a receiver of one direction of a carrier knows."""

    def __init__(self, features=0):
        self.features = features
        self.lanes = {}
        self.scopes = {}        # of the streams, None: NO_STORE
        self.logs = {}          # by (writer, epoch)
        self.directions = {}
        self.block = 0
        self.batch = None
        self.body = b""
        self.fragments = 0

    def direction(self, stream):
        return self.directions.setdefault(stream, Direction())

    def log(self, writer, epoch):
        return self.logs.setdefault((writer, epoch), Log())

    def agree(self, frame):
        """Is what the sender has of a log what is here?"""
        log = self.log(("sender", "receiver")[frame["flags"]], frame["epoch"])
        if frame["type"] == "have":
            mine = log.node(frame["level"], frame["index"])
            return mine is not None and number(mine, 8).hex() == frame["hash"]
        if frame["sequence"] not in log.segments():
            return False
        return frame["hashes"] == [
            number(low, 4).hex() for _, _, low in
            log.hashes(frame["sequence"])]

    def number(self):
        self.block += 1
        return self.block - 1

    def act(self, found):
        """The frames of a good block take effect."""
        for frame in found:
            need(frame["type"] not in ("have", "want", "extents", "lack") or
                 self.features & DEDUP, "a frame without its feature")
            if frame["type"] == "data":
                self.direction(frame["stream"]).put(
                    frame["offset"], bytes.fromhex(frame["data"]))
            elif frame["type"] == "fin":
                frame["verified"] = self.direction(frame["stream"]).verify(
                    frame["length"], frame["digest"])
            elif frame["type"] == "open":
                need(not frame["flags"] & WARM or
                     self.features & DEDUP and
                     not frame["flags"] & NO_STORE,
                     "WARM without DEDUP, or with NO_STORE")
                self.scopes[frame["stream"]] = (
                    None if frame["flags"] & NO_STORE else frame["scope"])
            elif frame["type"] in ("have", "extents"):
                frame["same"] = self.agree(frame)
            elif frame["type"] == "lane-close":
                lane = self.lanes.get(frame["lane"])
                if lane and lane["generation"] == frame["generation"]:
                    del self.lanes[frame["lane"]]
        return found

    def lane_raw(self, cursor):
        out = {"block": self.number(), "kind": "lane-raw",
               "hash": cursor.take(8).hex()}
        plain = cursor.take(cursor.left())
        need(1 <= len(plain) <= LANE_PLAIN_MAX, "length of a lane block")
        seed = xxh3(number(1, 1) + bytes(20) + number(len(plain), 4) +
                    bytes(4))
        if number(xxh3(plain, seed), 8).hex() != out["hash"]:
            return {**out, "nack": "hash"}
        return {**out, "frames": self.act(frames(plain))}

    def lane_coded(self, cursor):
        out = {"block": self.number(), "kind": "lane-coded",
               "lane": cursor.varint(0, 1023), "generation": cursor.varint(),
               "sequence": cursor.varint(),
               "raw_len": cursor.varint(0, LANE_PLAIN_MAX - 1)}
        out["plain_len"] = cursor.varint(1, LANE_PLAIN_MAX - out["raw_len"])
        out["hash"] = cursor.take(8).hex()
        need(cursor.left() > out["raw_len"], "no coded bytes")
        raw = cursor.take(out["raw_len"])
        coded = cursor.take(cursor.left())
        out["coded_len"] = len(coded)

        lane = self.lanes.get(out["lane"])
        need(not lane or out["generation"] >= lane["generation"],
             "generation goes back")
        if (lane and lane["failed"] and
                out["generation"] == lane["generation"]):
            return {**out, "dropped": True}
        try:
            plain = raw + self.lane_plain(lane, out, coded)
            seed = xxh3(number(2, 1) + number(out["lane"], 4) +
                        number(out["generation"], 8) +
                        number(out["sequence"], 8) +
                        number(out["raw_len"], 4) +
                        number(out["plain_len"], 4))
            if number(xxh3(plain, seed), 8).hex() != out["hash"]:
                raise BlockError("hash")
        except BlockError as err:
            self.lanes[out["lane"]] = {
                "failed": True, "generation": out["generation"]}
            return {**out, "nack": err.args[0]}
        split = out["raw_len"]
        found = frames(plain[:split]) + frames(plain[split:])
        return {**out, "frames": self.act(found)}

    def lane_plain(self, lane, head, coded):
        """Run a coded part through the context of its lane."""
        generation, sequence = head["generation"], head["sequence"]
        if (lane and not lane["failed"] and
                (generation, sequence) == (lane["generation"], lane["next"])):
            blocks = coded
        elif sequence == 0 and (not lane or
                                generation > lane["generation"]):
            zstd_header(coded, 1 << 20)
            blocks = coded[2:]
            lane = {"failed": False, "generation": generation, "next": 0,
                    "context": unzstd()}
            self.lanes[head["lane"]] = lane
        else:
            raise BlockError("generation")
        zstd_blocks(blocks, False)
        plain = decompress(lane["context"], coded, head["plain_len"])
        lane["next"] += 1
        return plain

    def batch_head(self, cursor):
        out = {"block": self.number(), "kind": "batch",
               "stream": cursor.varint(), "offset": cursor.varint(),
               "plain_len": cursor.varint(1, BATCH_PLAIN_MAX)}
        out["coded_len"] = cursor.varint(1, out["plain_len"])
        need(out["offset"] + out["plain_len"] <= VARINT_MAX,
             "offset too great")
        how = cursor.fixed(1)
        need(how & ~KEEP in (0, 1), "unknown coding or flag")
        out["keep"] = bool(how & KEEP)
        out["prefix_len"] = 0
        if how & ~KEEP == 1:
            out["coding"] = "zstd"
            out["prefix_len"] = cursor.varint(0, PREFIX_MAX)
        else:
            out["coding"] = "raw"
        ext = cursor.take(cursor.varint(0, 4096))
        out["ext"] = tlv_list(ext)
        need(not ext or self.features, "extension without a feature")
        # Those of experiments are only shown.
        refs, payload = references(
            ext if self.features & DEDUP else b"", out)
        if refs:
            out["refs"] = refs
        out["hash"] = cursor.take(8).hex()
        return out, ext, payload

    def read(self, head, log, pos, length):
        """Bytes of a log that the batch refers to."""
        place = head["refs"]["logs"][log]
        return self.log(place["writer"], place["epoch"]).read(
            pos, length, self.scopes.get(head["stream"]))

    def batch_prefix(self, head):
        if "delta" in head.get("refs", {}):
            return b"".join(self.read(head, *region)
                            for region in head["refs"]["delta"])
        have = self.direction(head["stream"]).bytes
        if head["prefix_len"] and len(have) < head["offset"]:
            raise BlockError("miss")
        return bytes(have[head["offset"] - head["prefix_len"]:
                          head["offset"]])

    def batch_payload(self, head, payload_len):
        if head["coding"] == "raw":
            return bytes(self.body)
        prefix = self.batch_prefix(head)
        window = 1024
        while window < payload_len + head["prefix_len"]:
            window *= 2
        zstd_header(self.body, window)
        zstd_blocks(self.body[2:], True)
        return decompress(unzstd(prefix), self.body, payload_len)

    def build(self, head, out, payload):
        """The plain bytes from copies and literals."""
        ops_len, literal_len = head["refs"]["copies"].values()
        try:
            out["copies"] = copies(
                payload[:ops_len], len(head["refs"]["logs"]), literal_len,
                head["plain_len"])
        except ProtocolError as err:
            raise BlockError("coding") from err
        literals, plain = Cursor(payload[ops_len:]), b""
        for count, length, log, pos in out["copies"]:
            plain += literals.take(count) + self.read(head, log, pos, length)
        return plain + literals.take(literals.left())

    def keep(self, head, plain):
        """The pieces that a batch asks to keep."""
        stores = head.get("refs", {}).get("stores")
        if stores:
            scope = self.scopes.get(head["stream"])
            need(scope is not None, "a stream that stores nothing")
            for start, length, pos in stores["pieces"]:
                self.log("sender", stores["epoch"]).store(
                    pos, plain[start:start + length], scope)

    def batch_plain(self, head, ext, payload_len, out):
        plain = self.batch_payload(head, payload_len)
        if "copies" in head.get("refs", {}):
            plain = self.build(head, out, plain)
        seed = xxh3(number(3, 1) + number(head["stream"], 8) +
                    number(head["offset"], 8) + number(head["plain_len"], 4))
        if ext:
            seed = xxh3(ext, seed)
        if number(xxh3(plain, seed), 8).hex() != head["hash"]:
            raise BlockError("hash")
        return plain

    def batch_body(self, cursor):
        """More coded bytes; returns the batch when it is whole."""
        head, ext, payload_len = self.batch
        self.body += cursor.take(cursor.left())
        self.fragments += 1
        need(len(self.body) <= head["coded_len"], "more than the batch has")
        if len(self.body) < head["coded_len"]:
            return None
        out = {**head, "fragments": self.fragments}
        try:
            plain = self.batch_plain(head, ext, payload_len, out)
            self.keep(head, plain)
            self.direction(head["stream"]).put(head["offset"], plain)
            out["plain_xxh64"] = xxhash.xxh64_hexdigest(plain)
        except BlockError as err:
            out["nack"] = err.args[0]
        self.batch = None
        return out

    def fragment(self, kind, cursor):
        """One fragment; returns a block that is whole with it, or None."""
        if kind == 1:
            return self.lane_raw(cursor)
        if kind == 2:
            return self.lane_coded(cursor)
        if kind == 3:
            need(self.batch is None, "a batch inside a batch")
            self.batch, self.body, self.fragments = (
                self.batch_head(cursor), b"", 0)
            return self.batch_body(cursor)
        need(kind == 4, "unknown fragment")
        need(self.batch is not None and cursor.left() > 0,
             "MORE of nothing")
        return self.batch_body(cursor)

    def fragments_of(self, data):
        """Yield every block of the bytes behind the hello."""
        cursor = Cursor(data)
        while cursor.left():
            start = cursor.at
            kind = cursor.fixed(1)
            body = cursor.take(cursor.varint(0, FRAGMENT_MAX))
            need(cursor.at - start <= FRAGMENT_MAX, "fragment too long")
            block = self.fragment(kind, Cursor(body))
            if block is not None:
                yield block


def decode(data):
    """All of one direction of a carrier: its hello, then its blocks."""
    first, used = hello(data)
    return [{"kind": "hello", **first},
            *Carrier(first["features"]).fragments_of(data[used:])]


def main():
    for path in sys.argv[1:]:
        with open(path, "rb") as file:
            for item in decode(file.read()):
                print(json.dumps(item))


if __name__ == "__main__":
    main()
