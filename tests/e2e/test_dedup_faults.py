# SPDX-License-Identifier: Apache-2.0
"""References under faults: lines that are cut, halts, stores too small.

All connections complete, none is reset, and every byte is compared by
SHA-256 at both ends (passes.py).
"""
import random
import signal
import threading
import time

import pytest

from passes import (MIB, PATIENCE_S, Passes, Talks, counter, disk_pair,
                    edited, put_store, some_random, some_text, stored, talk)
from gateways import HOST, wait_for

SIZE = 2 * MIB
AGAIN = 0.005


@pytest.fixture
def passes():
    made = []

    def make(pair):
        made.append(Passes(pair))
        return made[-1]
    yield make
    for one in made:
        one.close()


class Load:
    """Streams that send what they like until told to stop, and get as much
    back; .end() gives how many connections there were."""

    def __init__(self, pair, count, choose, answer):
        self.pair = pair
        self.choose = choose
        self.answer = answer
        self.is_over = False
        self.talks = 0
        self.errors = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(index,),
                                         daemon=True)
                        for index in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, index):
        rng = random.Random(index)
        try:
            while not self.is_over:
                talk(self.pair.port, self.choose(rng), answer=self.answer)
                with self.lock:
                    self.talks += 1
        except Exception as error:  # handed to end()
            self.errors.append(error)
            self.is_over = True

    def end(self):
        self.is_over = True
        for thread in self.threads:
            thread.join(2 * PATIENCE_S)
            assert not thread.is_alive()
        if self.errors:
            raise self.errors[0]
        return self.talks


def versions(count, seed, make=some_text):
    """A file and its edited versions."""
    file = make(SIZE, seed)
    return [file] + [edited(file, 10, seed + i) for i in range(1, count)]


def no_resets(pair):
    for gateway in (pair.near, pair.far):
        lines = gateway.events("stream-close")
        assert lines and all("end=clean" in line for line in lines)


@pytest.mark.parametrize("store", ["memory", "disk"])
def test_five_cuts_a_second(kit, passes, store):
    """20 streams of known and edited files, each way, for 8 s."""
    relay = ["--delay", "1ms", "--rate", "200mbit", "--cut-every", "200ms"]
    if store == "memory":
        pair = kit.forward(relay=relay, store={"memory": "64MiB"}, workers=2)
    else:
        pair = disk_pair(kit, relay)
    files = passes(pair)
    known = versions(8, 1) + versions(4, 20, some_random)
    back = {data: edited(data, 5, 99) for data in known}
    files.sink.answer = lambda data: back[data]
    load = Load(pair, 20, lambda rng: rng.choice(known), files.sink.answer)
    time.sleep(8)
    talks = load.end()
    files.settle()
    wan = pair.wan.stats()
    shown(pair, talks)
    assert talks >= 40
    assert wan["cuts"] >= 20
    assert counter(pair.near, "copied_out") > 0.5 * talks * SIZE
    assert counter(pair.far, "copied_out") > 0.5 * talks * SIZE
    assert pair.near.peer("far")["resumes"] >= 20
    no_resets(pair)


def shown(pair, talks):
    """When the test fails."""
    print("talks", talks, pair.wan.stats())
    for gateway in (pair.near, pair.far):
        print(gateway.name, {name: counter(gateway, name) for name in (
            "copied_out", "copied_in", "misses_sent", "misses_received",
            "lacks_sent", "nacks_sent", "nacks_received", "bytes_resent",
            "store_evicted", "hostile_references")}, stored(gateway))


@pytest.mark.parametrize("victim", ["near", "far"])
def test_stopped_for_a_while(kit, passes, victim):
    """A side stands still for 2 s, twice, while references are under way."""
    pair = disk_pair(kit, ["--delay", "5ms"], memory="16MiB")
    files = passes(pair)
    known = versions(6, 2)
    files.sink.answer = lambda data: data
    load = Load(pair, 8, lambda rng: rng.choice(known), files.sink.answer)
    gateway = getattr(pair, victim)
    for _ in range(2):
        time.sleep(0.7)
        gateway.signal(signal.SIGSTOP)
        time.sleep(2.5)
        gateway.signal(signal.SIGCONT)
    time.sleep(0.7)
    talks = load.end()
    files.settle()
    shown(pair, talks)
    assert counter(pair.near, "copied_out") > 0.5 * talks * SIZE
    no_resets(pair)


SMALL = {"memory": "16MiB"}
LARGE = {"memory": "128MiB"}


@pytest.mark.parametrize("near,far", [(SMALL, SMALL), (LARGE, SMALL),
                                      (SMALL, LARGE)],
                         ids=["both", "far", "near"])
def test_store_that_wraps(kit, passes, near, far):
    """48 MiB of files in a store of 16 MiB, eight streams, both ways."""
    pair = kit.forward(relay=["--delay", "5ms"], near={"store": near},
                       far={"store": far})
    files = passes(pair)
    known = [some_random(SIZE, 100 + i) for i in range(24)]
    files.sink.answer = lambda data: data
    load = Load(pair, 8, lambda rng: rng.choice(known), files.sink.answer)
    time.sleep(4)
    talks = load.end()
    files.settle()
    shown(pair, talks)
    for gateway, store in ((pair.near, near), (pair.far, far)):
        if store is SMALL:
            assert counter(gateway, "store_evicted") > 24
        assert stored(gateway)["memory_bytes"] <= (
            stored(gateway)["memory_cap"])
    # What one side misses the other one hears of.
    assert counter(pair.near, "misses_sent") == (
        counter(pair.far, "misses_received"))
    assert counter(pair.far, "misses_sent") == (
        counter(pair.near, "misses_received"))
    no_resets(pair)
    # It works as before, when half-filled segments have had their time.
    last = some_random(SIZE, 1)
    wait_for("it is stored", lambda: files.send(last).up < AGAIN * SIZE, 20)


def test_store_forgets_what_is_referred_to(kit, passes):
    """`store clear' at one side or the other, again and again under load."""
    pair = kit.forward(relay=["--delay", "5ms"], store={"memory": "64MiB"})
    files = passes(pair)
    known = versions(4, 4, some_random)
    files.sink.answer = lambda data: data
    load = Load(pair, 8, lambda rng: rng.choice(known), files.sink.answer)
    for turn in range(20):
        time.sleep(0.15)
        (pair.near, pair.far)[turn % 2].ask("store-trim", bytes=0)
    talks = load.end()
    files.settle()
    shown(pair, talks)
    misses = [counter(gateway, "misses_sent")
              for gateway in (pair.near, pair.far)]
    assert max(misses) > 0
    assert misses == [counter(gateway, "misses_received")
                      for gateway in (pair.far, pair.near)]
    no_resets(pair)
    files.send(known[0])
    assert files.send(known[0]).up < AGAIN * SIZE


def test_quota(kit, passes):
    """A busy service does not push out what another one has."""
    target = kit.ports.take()
    ports = {name: kit.ports.take() for name in ("busy", "calm")}
    pair = kit.pair(
        {name: {"listen": f"{HOST}:{port}", "offer": "files"}
         for name, port in ports.items()}, {"files": f"{HOST}:{target}"},
        relay=[], store={"memory": "24MiB", "quota": "6MiB"})
    pair.port, pair.target = ports["calm"], target
    files = passes(pair)
    calm = some_random(SIZE, 5)
    files.send(calm)
    for seed in range(10):
        files.send(some_random(4 * MIB, 200 + seed), port=ports["busy"])
    assert files.send(calm).up < AGAIN * SIZE
    assert counter(pair.near, "store_evicted") > 20


def test_disk_smaller_than_the_files(kit, passes):
    """A disk of 64 MiB that 96 MiB of files go round on, read back often."""
    pair = kit.forward(relay=["--delay", "2ms"], start=False)
    for gateway in (pair.near, pair.far):
        put_store(gateway, size="64MiB", memory="16MiB")
    pair.start()
    files = passes(pair)
    known = [some_random(SIZE, 300 + i) for i in range(48)]
    for _ in range(2):
        for first in range(0, len(known), 8):
            Talks(pair.port, known[first:first + 8],
                  answer=files.sink.answer).join()
    files.settle()
    shown(pair, 96)
    for gateway in (pair.near, pair.far):
        assert counter(gateway, "store_evicted") > 30
        store = stored(gateway)
        assert store["disk_bytes"] <= store["disk_cap"]
        assert store["load_failures"] == store["write_failures"] == 0
    # What came last is there, most of it on the disk alone.
    costs = [files.send(data).up for data in known[-16:]]
    print(costs)
    shown(pair, 112)
    assert sum(costs) < 0.3 * 16 * SIZE
    assert stored(pair.near)["loads"] >= 16
    no_resets(pair)
