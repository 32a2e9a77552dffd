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

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GOLDEN = os.path.join(HERE, "golden")
BUILD = os.environ.get("CN_BUILD", os.path.join(ROOT, "build"))
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
        ("raw", False, False), ("zstd", True, False), ("zstd", True, True),
        ("zstd", False, True)}
    assert any(item["ext"] for item in batches)
    assert max(item["fragments"] for item in batches) > 3
    assert {item["generation"] for item in items
            if item["kind"] == "lane-coded"} >= {1, 2, 70, 71}
    assert {item["nack"] for item in items if "nack" in item} == {
        "hash", "generation"}
    assert any("dropped" in item for item in items)
    assert any(frame.get("verified") for item in items
               for frame in item.get("frames", []))


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 0x04]) + data[at + 1:]


@pytest.mark.parametrize("name", ["example", "lanes", "batches"])
def test_damage_never_becomes_data(name):
    """Damage shows as an error or a NACK, or changes nothing; it never puts a
    wrong byte into a stream."""
    data, golden = load(GOLDEN, name)
    start = spec.hello(data)[1]
    clean = spec.Carrier(features=1)
    list(clean.fragments_of(data[start:]))
    step = max(1, (len(data) - start) // 400)
    unnoticed = 0
    for at in range(start, len(data), step):
        carrier = spec.Carrier(features=1)
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


def test_the_example_of_the_document():
    with open(os.path.join(ROOT, "doc/protocol.md"),
              encoding="utf-8") as file:
        text = file.read()
    block = re.search(r"\n## An example\n.*?```\n(.*?)```", text, re.S)[1]
    found = b""
    for line in block.splitlines():
        found += bytes.fromhex(re.match(r"([0-9a-f]{2} ?)+(?= |$)",
                                        line)[0])
    data = load(GOLDEN, "example")[0]
    assert found == data[spec.hello(data)[1]:]


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
    carrier = spec.Carrier(features=1)
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


def test_libzstd_is_new_enough():
    assert zstandard.ZSTD_VERSION >= (1, 5, 4)
