# SPDX-License-Identifier: Apache-2.0
"""A decoder written from doc/protocol.md alone reads what the gateways write."""
import glob
import json
import os
import re
import subprocess

import pytest
import zstandard

import compressnet_decode as spec
from compressnet_refs import SEGMENT

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GOLDEN = os.path.join(HERE, "golden")
BUILD = os.environ.get("CN_BUILD", os.path.join(ROOT, "build"))
EXPERIMENT = 1 << 63
NAMES = sorted(os.path.basename(path)[:-4]
               for path in glob.glob(os.path.join(GOLDEN, "*.bin")))


def load(folder, name):
    """(bytes, {"libzstd", "items"}) of a capture."""
    with open(os.path.join(folder, name + ".bin"), "rb") as file:
        data = file.read()
    with open(os.path.join(folder, name + ".json"),
              encoding="utf-8") as file:
        return data, json.load(file)


def without_sizes(items):
    """What does not depend on the version of libzstd."""
    return [{key: value for key, value in item.items()
             if key not in ("coded_len", "fragments")} for item in items]


@pytest.fixture(name="made", scope="module")
def made_folder(tmp_path_factory):
    """The captures, made anew."""
    folder = tmp_path_factory.mktemp("golden")
    subprocess.run([os.path.join(BUILD, "tests/spec/gen_golden"),
                    str(folder)], check=True, timeout=60)
    return str(folder)


@pytest.mark.parametrize("name", NAMES)
def test_golden_capture_means_what_is_said(name):
    data, golden = load(GOLDEN, name)
    assert spec.decode(data) == golden["items"]


def test_captures_are_made_the_same_again(made):
    assert sorted(os.listdir(made)) == sorted(os.listdir(GOLDEN))
    for name in NAMES:
        data, items = load(made, name)
        old_data, old_items = load(GOLDEN, name)
        if items["libzstd"] == old_items["libzstd"]:
            assert data == old_data, name
            assert items == old_items, name
        else:
            assert spec.decode(data) == items["items"]
            assert without_sizes(items["items"]) == without_sizes(
                old_items["items"])


def test_captures_cover_every_message():
    items = [item for name in NAMES
             for item in load(GOLDEN, name)[1]["items"]]
    found = {frame["type"] for item in items
             for frame in item.get("frames", [])}
    assert found == {name for name, _ in spec.FRAMES.values()} | {"ignored"}
    assert {item["kind"] for item in items} == {
        "hello", "lane-raw", "lane-coded", "batch"}
    batches = [item for item in items if item["kind"] == "batch"]
    assert {(item["coding"], item["keep"], item["prefix_len"] > 0)
            for item in batches} == {
        ("raw", False, False), ("raw", True, False), ("zstd", True, False),
        ("zstd", True, True), ("zstd", False, True)}
    assert any(item["ext"] for item in batches)
    assert max(item["fragments"] for item in batches) > 3
    assert {item["generation"] for item in items
            if item["kind"] == "lane-coded"} >= {1, 2, 70, 71}
    assert {item["nack"] for item in items if "nack" in item} == {
        "hash", "generation", "miss"}
    # The extensions alone and together, raw and coded.
    assert {(item["coding"], *item["refs"]) for item in batches
            if "refs" in item} == {
        ("zstd", "stores"), ("raw", "stores"), ("raw", "logs", "copies"),
        ("zstd", "logs", "copies", "stores"), ("zstd", "logs", "delta"),
        ("zstd", "logs", "copies", "delta", "stores"),
        ("raw", "logs", "copies", "stores")}
    found = {(frame["type"], frame["same"]) for item in items
             for frame in item.get("frames", []) if "same" in frame}
    assert found == {("have", True), ("have", False), ("extents", True),
                     ("extents", False)}
    assert any("dropped" in item for item in items)
    assert any(frame.get("verified") for item in items
               for frame in item.get("frames", []))


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 0x04]) + data[at + 1:]


@pytest.mark.parametrize("name", ["example", "lanes", "batches",
                                  "references"])
def test_damage_never_becomes_data(name):
    """Damage shows as an error or a NACK, or changes nothing; it never puts a
    wrong byte into a stream."""
    data, golden = load(GOLDEN, name)
    start = spec.hello(data)[1]
    features = golden["items"][0]["features"]
    clean = spec.Carrier(features)
    list(clean.fragments_of(data[start:]))
    step = max(1, (len(data) - start) // 400)
    unnoticed = 0
    for at in range(start, len(data), step):
        carrier = spec.Carrier(features)
        try:
            items = list(carrier.fragments_of(flip(data, at)[start:]))
            unnoticed += items == golden["items"][1:]
        except spec.ProtocolError:
            pass
        for stream, direction in carrier.directions.items():
            assert clean.direction(stream).bytes.startswith(
                direction.bytes), at
    # zstd's window may be told greater than it is.
    assert unnoticed <= 4


def test_the_examples_of_the_document():
    with open(os.path.join(ROOT, "doc/protocol.md"),
              encoding="utf-8") as file:
        text = file.read()
    blocks = re.findall(r"```\n(.*?)```", text.split("\n## Examples\n")[1],
                        re.S)
    found = [b"".join(bytes.fromhex(
        re.match(r"([0-9a-f]{2} ?)+(?= |$)", line)[0])
        for line in block.splitlines()) for block in blocks]
    data = load(GOLDEN, "example")[0]
    assert found[0] == data[spec.hello(data)[1]:]
    data = load(GOLDEN, "references")[0]
    assert len(found) == 2 and data.count(found[1]) == 1
    assert found[1].endswith(b"in no log at all.")


def test_tables_of_the_document():
    """Numbers of frames in the document are those of the decoder."""
    with open(os.path.join(ROOT, "doc/protocol.md"),
              encoding="utf-8") as file:
        text = file.read()
    rows = re.findall(r"^\| ([01][0-9a-f]) \| ([A-Z_]+) \|", text, re.M)
    names = {int(code, 16): name.lower().replace("_", "-")
             for code, name in rows if not name.startswith(
                 ("LANE_RAW", "LANE_CODED", "BATCH", "MORE"))}
    assert names == {code: name for code, (name, _) in spec.FRAMES.items()}


@pytest.mark.parametrize("raw", [
    b"\x40\x25",                    # a varint that is too long
    b"\x05\x00",                    # no such fragment
    b"\x04\x01\x00",                # MORE without a batch
    b"\x01\x09" + bytes(8),         # cut off
    b"\x04\x80\x00\x40\x00",        # longer than a fragment
])
def test_nonsense_is_refused(raw):
    with pytest.raises(spec.ProtocolError):
        list(spec.Carrier().fragments_of(raw))


def test_a_prefix_that_is_not_there_is_a_miss():
    """A batch alone, its prefix in another one that never came."""
    data, golden = load(GOLDEN, "batches")
    carrier = spec.Carrier(EXPERIMENT)
    cursor = spec.Cursor(data[spec.hello(data)[1]:])
    batches = 0
    blocks = []
    while cursor.left():
        kind = cursor.fixed(1)
        body = cursor.take(cursor.varint())
        batches += kind == 3
        if kind == 4 and batches == 2 or kind == 3 and batches == 2:
            continue        # the second batch is lost
        block = carrier.fragment(kind, spec.Cursor(body))
        if block:
            blocks.append(block)
    wanted = [item for item in golden["items"] if item["kind"] == "batch"]
    assert wanted[2]["prefix_len"] > 0
    assert [block.get("nack") for block in blocks
            if block["kind"] == "batch"] == [None, "miss", "miss", None]


def test_an_extension_needs_a_feature():
    data = load(GOLDEN, "batches")[0]
    with pytest.raises(spec.ProtocolError, match="extension"):
        list(spec.Carrier().fragments_of(data[spec.hello(data)[1]:]))


# ---- references ----

EPOCH, PEERS_EPOCH = "0102030405060708", "fedcba9876543210"
SCOPE = "5c09e00000000001"


def blocks_of(name, carrier):
    data = load(GOLDEN, name)[0]
    return list(carrier.fragments_of(data[spec.hello(data)[1]:]))


def varint(value):
    size = next(size for size in (1, 2, 4, 8) if value < 1 << 8 * size - 2)
    return (value | (size.bit_length() - 1) << 8 * size - 2).to_bytes(
        size, "big")


def tlv(kind, *values):
    body = b"".join(value if isinstance(value, bytes) else varint(value)
                    for value in values)
    return varint(kind) + varint(len(body)) + body


def batch(ext, payload, plain, stream=8, offset=0, prefix=None):
    """A batch in one fragment; raw, or zstd with a prefix."""
    seed = spec.xxh3(b"\x03" + spec.number(stream, 8) +
                     spec.number(offset, 8) + spec.number(len(plain), 4))
    how = b"\x00" if prefix is None else b"\x01" + varint(len(prefix))
    if prefix is not None:
        payload = zstandard.ZstdCompressor(
            compression_params=zstandard.ZstdCompressionParameters(
                window_log=10, write_content_size=False, write_checksum=False,
                format=zstandard.FORMAT_ZSTD1_MAGICLESS),
            dict_data=zstandard.ZstdCompressionDict(
                prefix, zstandard.DICT_TYPE_RAWCONTENT)).compress(payload)
    rest = (varint(stream) + varint(offset) + varint(len(plain)) +
            varint(len(payload)) + how + varint(len(ext)) + ext +
            spec.number(spec.xxh3(plain, spec.xxh3(ext, seed) if ext
                                  else seed), 8) + payload)
    return b"\x03" + varint(len(rest)) + rest


STORED = bytes(range(200))
STORE = tlv(4, bytes.fromhex(EPOCH), 0, 200, 2 * 5000)
LOGS = tlv(1, 1, 0, bytes.fromhex(EPOCH))


def carrier_with_log(flags=0):
    """Stream 8 has stored 200 bytes at 5000; 10 is of another scope."""
    carrier = spec.Carrier(spec.DEDUP)
    carrier.act([{"type": "open", "stream": 8, "scope": SCOPE,
                  "flags": flags},
                 {"type": "open", "stream": 10, "scope": "0" * 16,
                  "flags": 0}])
    return carrier, list(carrier.fragments_of(batch(STORE, STORED, STORED)))


def copied(ops, literals=b"", logs=LOGS, size=None, **more):
    """What becomes of a batch that copies."""
    carrier, _ = carrier_with_log()
    ops = b"".join(varint(value) for value in ops)
    plain = STORED[:size] if isinstance(size, int) else (size or b"x" * 50)
    ext = logs + tlv(2, len(ops), len(literals))
    return list(carrier.fragments_of(
        batch(ext, ops + literals, plain, offset=200, **more)))[0]


def test_copies_of_what_was_stored():
    done = copied([1, 50, 2 * 2 * 5000], size=50)
    assert done["copies"] == [[0, 50, 0, 5000]] and "nack" not in done
    done = copied([4 * 2 + 1, 50, 1, 5100], b"litteral",
                  size=b"litt" + STORED[100:150] + b"eral")
    assert done["copies"] == [[4, 50, 0, 5100]] and "nack" not in done
    # On and on, three bytes each; then back.
    done = copied([1, 70, 1, 5000, 0, 70, 2, 40, 5, 20, 2 * (2 * 161 - 1)],
                  b"-+!", size=STORED[:140] + b"-" + STORED[141:181] + b"+!" +
                  STORED[22:42])
    assert done["copies"][1:] == [[0, 70, 0, 5070], [1, 40, 0, 5141],
                                  [2, 20, 0, 5022]]
    assert "nack" not in done


@pytest.mark.parametrize("ops, nack", [
    ([1, 50, 1, 5151], "miss"),         # one byte further than is there
    ([1, 50, 1, 4999], "miss"),
    ([1, 50, 1, 50000], "miss"),
    ([1, 51, 1, 5000], "coding"),       # more and less than plain
    ([1, 49, 1, 5000], "coding"),
    ([3, 50, 1, 5000], "coding"),       # a literal that is not there
    ([1, 50, 3, 5000], "coding"),       # another log than there are
    ([1, 50, 1, 2 ** 20 - 49], "coding"),
    ([1, 50, 1, 2 ** 60], "coding"),
    ([1, 50, 2], "coding"),             # before the log's begin
    ([1, 50, 1], "coding"),
    ([1, 50], "coding"),
])
def test_copies_that_are_none(ops, nack):
    assert copied(ops)["nack"] == nack


def test_scopes_are_kept_apart():
    carrier, _ = carrier_with_log()
    ext = LOGS + tlv(2, 4, 0)
    ops = bytes([1, 50, 1]) + varint(5000)
    ext = LOGS + tlv(2, len(ops), 0)
    blocks = list(carrier.fragments_of(
        batch(ext, ops, STORED[:50], stream=10)))
    assert blocks[0]["nack"] == "coding"
    # Nor may it store where the other has stored; elsewhere it may.
    far = tlv(4, bytes.fromhex(EPOCH), 0, 9, 2 * 32768)
    list(carrier.fragments_of(batch(far, b"n" * 9, b"n" * 9, 10)))
    near = tlv(4, bytes.fromhex(EPOCH), 0, 9, 2 * 32767)
    with pytest.raises(spec.ProtocolError, match="scope"):
        list(carrier.fragments_of(batch(near, b"n" * 9, b"n" * 9, 10, 9)))
    with pytest.raises(spec.ProtocolError, match="stores nothing"):
        carrier_with_log(spec.NO_STORE)


def test_a_stream_for_the_store_alone():
    carrier, blocks = carrier_with_log(spec.WARM)
    assert "nack" not in blocks[0]
    frame = {"type": "open", "stream": 12, "scope": SCOPE}
    with pytest.raises(spec.ProtocolError, match="WARM"):
        carrier.act([{**frame, "flags": spec.WARM | spec.NO_STORE}])
    with pytest.raises(spec.ProtocolError, match="WARM"):
        spec.Carrier().act([{**frame, "flags": spec.WARM}])
    spec.Carrier().act([{**frame, "flags": spec.NO_STORE}])


def test_the_peers_log_may_be_referred_to():
    carrier = spec.Carrier(spec.DEDUP)
    carrier.log("receiver", PEERS_EPOCH).store(
        7 * SEGMENT + 77, bytes(1000), SCOPE)
    wanted = [item for item in load(GOLDEN, "references")[1]["items"]
              if item.get("nack") == "miss"]
    found = [item for item in blocks_of("references", carrier)
             if item["kind"] == "batch" and
             item["offset"] == wanted[0]["offset"] and "refs" in item]
    # It is here, though its bytes are others: the hash tells.
    assert [item["nack"] for item in found] == ["hash"]


@pytest.mark.parametrize("ext", [
    tlv(1, 1, 0, bytes(8)),                         # logs for nothing
    tlv(2, 3, 0),                                   # copies of no log
    tlv(1, 0) + tlv(2, 3, 0),
    tlv(1, 9, *[0, bytes(8)] * 9) + tlv(2, 3, 0),
    tlv(1, 2, 0, bytes(8), 0, bytes(8)) + tlv(2, 3, 0),
    tlv(1, 1, 2, bytes(8)) + tlv(2, 3, 0),
    LOGS + tlv(2, 1, 2), LOGS + tlv(2, 34817, 0), LOGS + tlv(2, 3, 0, 0),
    LOGS + tlv(3, 1, 0, 0, 3),                      # a prefix of raw
    LOGS + tlv(3, 0),
    tlv(4, bytes(8)), tlv(4, bytes(8), 0, 0, 0), tlv(4, bytes(8), 0, 4, 0),
    tlv(4, bytes(8), 3, 1, 0), tlv(4, bytes(8), 0, 1, 1),
    tlv(4, bytes(8), 0, 1, 2 ** 61), tlv(4, bytes(8), 0, 1),
    tlv(5), tlv(0),
])
def test_extensions_that_are_none(ext):
    with pytest.raises(spec.ProtocolError):
        list(spec.Carrier(spec.DEDUP).fragments_of(
            batch(ext, b"abc", b"abc")))


def test_a_region_is_the_prefix():
    plain = STORED[20:180] + b"!" + STORED[:40]
    for ext, prefix, nack in (
            (LOGS + tlv(3, 1, 0, 5000, 200), STORED, None),
            (LOGS + tlv(3, 2, 0, 5100, 100, 0, 5000, 100),
             STORED[100:] + STORED[:100], None),
            (LOGS + tlv(3, 1, 0, 5001, 200), STORED, "miss")):
        carrier, _ = carrier_with_log()
        block, = carrier.fragments_of(
            batch(ext, plain, plain, offset=200, prefix=prefix))
        assert block.get("nack") == nack
        assert block["coded_len"] < 60
    with pytest.raises(spec.ProtocolError, match="prefix"):
        carrier, _ = carrier_with_log()
        list(carrier.fragments_of(batch(
            LOGS + tlv(3, 1, 0, 5000, 199), plain, plain, prefix=STORED)))


def test_libzstd_is_new_enough():
    assert zstandard.ZSTD_VERSION >= (1, 5, 4)
