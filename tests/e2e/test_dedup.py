# SPDX-License-Identifier: Apache-2.0
"""What crossed before costs next to nothing, within its scope alone.

Bytes on the WAN are counted at the relay between the gateways; every
connection's bytes are compared by SHA-256 at both ends (passes.py).
"""
import pytest

import ends
from gateways import HOST
from passes import (MIB, Passes, Talks, edited, sha256, some_random,
                    some_text, stored)

STORE = {"memory": "64MiB"}
SIZE = 4 * MIB
# Of the bytes of a file, at most, when it was there before.
AGAIN = 0.005
# When it has 40 small edits: half a chunk for each, and ends of batches.
# What looks random is cut into chunks of 12 to 32 KiB.
EDITED = {some_text: 0.02, some_random: 0.2}
# Random bytes cost themselves when they were not.
NEW = 0.99


@pytest.fixture
def passes(kit):
    made = []

    def make(pair, port=None):
        made.append(Passes(pair, port))
        return made[-1]
    yield make
    for one in made:
        one.close()


def forward(kit, **options):
    return kit.forward(relay=[], store=STORE, **options)


def services(kit, named, offer=None, **options):
    """A pair with some services, all to one target; .ports by name."""
    target = kit.ports.take()
    ports = {name: kit.ports.take() for name in named}
    pair = kit.pair(
        {name: {"listen": f"{HOST}:{ports[name]}", "offer": "files", **keys}
         for name, keys in named.items()},
        {"files": {"to": f"{HOST}:{target}", **(offer or {})}},
        relay=[], store=STORE, **options)
    pair.ports = ports
    pair.target = target
    return pair


@pytest.mark.parametrize("make", [some_random, some_text])
def test_again_edited_and_back(kit, passes, make):
    pair = forward(kit)
    files = passes(pair)
    data = make(SIZE, 1)
    first = files.send(data)
    if make is some_random:
        assert first.up > NEW * SIZE
    else:
        assert SIZE / 10 < first.up < SIZE / 2
    for _ in range(2):
        again = files.send(data)
        assert again.up + again.down < AGAIN * SIZE, again
    # 40 edits of up to 40 bytes.
    new = edited(data, 40, 2)
    cost = files.send(new)
    assert cost.up < EDITED[make] * SIZE, cost
    # The other way, whole and edited there.
    files.sink.answer = lambda data: data
    cost = files.send(data)
    assert cost.up + cost.down < 2 * AGAIN * SIZE, cost
    files.sink.answer = lambda data: edited(data, 40, 3)
    cost = files.send(data)
    assert cost.down < EDITED[make] * SIZE, cost
    # What only came back is known in the first direction, too.
    files.sink.answer = lambda data: some_random(SIZE, 4)
    assert files.send(b"get").down > NEW * SIZE
    files.sink.answer = sha256
    cost = files.send(some_random(SIZE, 4))
    assert cost.up < AGAIN * SIZE, cost
    for gateway in (pair.near, pair.far):
        store = stored(gateway)
        assert store["copied"] > 6 * SIZE
        assert store["copied"] < store["lan"]


def test_parts_of_it(kit, passes):
    """A piece from the middle, pieces in another order, two files in one."""
    files = passes(forward(kit))
    data, other = some_random(SIZE, 11), some_text(SIZE, 12)
    files.send(data)
    files.send(other)
    for whole in (data[1234567:2345678],
                  data[SIZE // 2:] + data[:SIZE // 2],
                  other[:777777] + data[:777777] + other[777777:]):
        cost = files.send(whole)
        assert cost.up < 0.05 * len(whole), cost


def test_nothing_is_made_up(kit, passes):
    """Other bytes gain nothing and lose next to nothing."""
    files = passes(forward(kit))
    for seed in range(3):
        cost = files.send(some_random(SIZE, 20 + seed))
        assert NEW * SIZE < cost.up < 1.005 * SIZE, cost


def test_store_off(kit, passes):
    """Either side without a store: all the same but dear."""
    for side in ("near", "far"):
        pair = kit.forward(relay=[], **{side: {"store": {"memory": 0}}})
        files = passes(pair)
        data = some_random(MIB, 30)
        for _ in range(2):
            assert files.send(data).up > NEW * MIB
        assert not stored(getattr(pair, side))["is_on"]
        assert stored(getattr(pair, side))["copied"] == 0
        kit.clear()


# ---- scopes ----

def test_services_do_not_share(kit, passes):
    pair = services(kit, {"one": {}, "two": {}})
    files = passes(pair, pair.ports["one"])
    data = some_random(SIZE, 40)
    files.send(data)
    assert files.send(data, port=pair.ports["two"]).up > NEW * SIZE
    for port in pair.ports.values():
        assert files.send(data, port=port).up < AGAIN * SIZE
    assert stored(pair.far)["scopes"] == 2


@pytest.mark.parametrize("scope", ["service", "client"])
def test_services_of_a_group_share(kit, passes, scope):
    keys = {"group": "files", "scope": scope}
    pair = services(kit, {
        "one": keys, "two": keys, "three": {"scope": scope},
        "four": {"group": "other", "scope": scope}})
    files = passes(pair, pair.ports["one"])
    data = some_random(SIZE, 41)
    files.send(data)
    assert files.send(data, port=pair.ports["two"]).up < AGAIN * SIZE
    assert files.send(data, port=pair.ports["three"]).up > NEW * SIZE
    assert files.send(data, port=pair.ports["four"]).up > NEW * SIZE


def test_scope_peer(kit, passes):
    """All services that say so are one."""
    pair = services(kit, {"one": {"scope": "peer"}, "two": {"scope": "peer"},
                          "three": {}})
    files = passes(pair, pair.ports["one"])
    data = some_random(SIZE, 42)
    files.send(data)
    assert files.send(data, port=pair.ports["two"]).up < AGAIN * SIZE
    assert files.send(data, port=pair.ports["three"]).up > NEW * SIZE


def test_scope_client(kit, passes):
    """Addresses do not share; ports of an address do."""
    pair = services(kit, {"one": {"scope": "client"}})
    files = passes(pair, pair.ports["one"])
    data = some_random(SIZE, 43)
    files.send(data, source="127.0.0.1")
    assert files.send(data, source="127.0.0.2").up > NEW * SIZE
    for source in ("127.0.0.1", "127.0.0.2"):
        assert files.send(data, source=source).up < AGAIN * SIZE
    # Nor does what the server sends back go across.
    files.sink.answer = lambda data: some_random(SIZE, 44)
    for source in ("127.0.0.1", "127.0.0.2"):
        assert files.send(b"get", source=source).down > NEW * SIZE
        assert files.send(b"get", source=source).down < AGAIN * SIZE


@pytest.mark.parametrize("keys,options", [
    ({"scope": "connection"}, {}),
    ({"profile": "plain"}, {"near": {"profiles": {"plain":
                                                  {"dedup": False}}}}),
    ({"profile": "off"}, {}),
], ids=["connection", "dedup-false", "off"])
def test_nothing_is_stored(kit, passes, keys, options):
    """Neither way, at neither end; another service beside it does."""
    pair = services(kit, {"one": keys, "two": {}}, **options)
    files = passes(pair, pair.ports["one"])
    data = some_random(SIZE, 45)
    files.sink.answer = lambda data: data
    for _ in range(3):
        cost = files.send(data)
        assert cost.up > NEW * SIZE and cost.down > NEW * SIZE
    for gateway in (pair.near, pair.far):
        store = stored(gateway)
        assert store["is_on"]
        assert {store[name] for name in (
            "segments", "scopes", "valid_bytes", "appended", "filled",
            "copied")} == {0}, store
        assert store["lan"] == 6 * SIZE
    cost = files.send(data, port=pair.ports["two"])
    assert cost.up > NEW * SIZE
    assert stored(pair.near)["appended"] >= SIZE
    assert stored(pair.far)["filled"] >= SIZE
    # Nor can such a service use what the other one stored.
    cost = files.send(data)
    assert cost.up > NEW * SIZE and cost.down > NEW * SIZE


def test_offer_without_dedup(kit, passes):
    """The offer's profile is that of the bytes that go back."""
    pair = services(kit, {"one": {}}, offer={"profile": "plain"},
                    far={"profiles": {"plain": {"dedup": False}}})
    files = passes(pair, pair.ports["one"])
    data = some_random(SIZE, 46)
    files.sink.answer = lambda data: data
    files.send(data)
    cost = files.send(data)
    assert cost.up < AGAIN * SIZE
    assert cost.down > NEW * SIZE
    assert stored(pair.far)["appended"] == 0


# ---- workers, carriers ----

def on_each(pair, field):
    """Two connections that differ in worker or carrier: their sockets."""
    held = {}
    listener = ends.listen(pair.target)
    socks = []
    for _ in range(32):
        client, server = ends.both_ends(listener, pair.port)
        socks.append((client, server))
        name = "%s:%d" % client.getsockname()
        stream = next(stream for stream in pair.near.ask("streams")["streams"]
                      if stream["client"] == name)
        held.setdefault(stream[field], (client, server))
        if len(held) == 2:
            break
    listener.close()
    chosen = list(held.values())
    for client, server in socks:
        if (client, server) not in chosen:
            client.close()
            server.close()
    assert len(chosen) == 2, f"all are on one {field}"
    return chosen


def through(client, server, data):
    """All of it one way; its end is verified by the gateways, too."""
    sender = ends.Sender(client, data)
    received, how = ends.drain(server)
    sender.join()
    assert sender.error is None and how == "end"
    assert sha256(received) == sha256(data)
    server.close()
    assert ends.drain(client) == (b"", "end")
    client.close()


@pytest.mark.parametrize("field,options,carriers", [
    ("link", {"workers": 2}, 1),
    ("slot", {}, 3),
    ("link", {"near": {"workers": 3}, "far": {"workers": 1}}, 2),
], ids=["workers", "carriers", "both"])
def test_stored_through_another(kit, field, options, carriers):
    """A file stored through one worker, or carrier, is found by others."""
    pair = forward(kit, start=False, **options)
    pair.near.config["peers"]["far"]["carriers"] = carriers
    pair.near.write(pair.near.config)
    pair.start()
    first, second = on_each(pair, field)
    data = some_random(SIZE, 50)
    through(*first, data)
    pair.wait_streams(1)
    before = pair.wan.stats()["up_in"]
    through(*second, data)
    pair.wait_streams(0)
    assert pair.wan.stats()["up_in"] - before < AGAIN * SIZE
    # And back over a third.
    with ends.listen(pair.target) as listener:
        client, server = ends.both_ends(listener, pair.port)
        before = pair.wan.stats()["down_in"]
        through(server, client, data)
        pair.wait_streams(0)
        assert pair.wan.stats()["down_in"] - before < AGAIN * SIZE


def test_all_at_once(kit, passes):
    """Sixteen connections with edits of one file, both ways, 2 workers."""
    pair = kit.forward(relay=[], store=STORE, workers=2, start=False)
    pair.near.config["peers"]["far"]["carriers"] = 3
    pair.near.write(pair.near.config)
    pair.start()
    files = passes(pair)
    data = some_text(2 * MIB, 51)
    files.sink.answer = lambda data: edited(data, 20, 99)
    talks = Talks(pair.port, [edited(data, 20, seed) for seed in range(16)],
                  answer=files.sink.answer)
    talks.join()
    files.settle()
    before = files.wan()
    talks = Talks(pair.port, [edited(data, 20, seed) for seed in range(16)],
                  answer=files.sink.answer)
    talks.join()
    files.settle()
    after = files.wan()
    assert after.up - before.up < AGAIN * 16 * len(data)
    assert after.down - before.down < AGAIN * 16 * len(data)
