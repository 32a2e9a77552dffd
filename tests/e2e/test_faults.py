# SPDX-License-Identifier: Apache-2.0
"""Faults under load: a hundred busy streams whose every byte is checked.

The load is cn-echoload's storm: streams that send and receive at once as
fast as they can, and end.  What it says is the judge: complete, reset, early
(a clean end on incomplete data), wrong (a byte differs), stuck.
"""
import json
import os
import signal
import time

import pytest

import apps
from gateways import HOST

MIB = 1 << 20
STREAMS = 100
SETTLE_S = 30
# Bytes under way in a stream; all that the windows hold takes long to end.
AHEAD = 256 << 10


class Storm:
    """Busy streams through a pair; .end() gives what became of them."""

    def __init__(self, kit, pair, streams, seconds, ahead=AHEAD):
        if pair.target not in [app.port for app in kit.apps]:
            app = apps.App(kit, "echo", [
                kit.program("bench/cn-echoload"), "echo",
                f"{HOST}:{pair.target}"])
            app.port = pair.target
            app.wait_port(pair.target)
        self.pair = pair
        self.streams = streams
        self.app = apps.App(kit, "storm", [
            kit.program("bench/cn-echoload"), "storm",
            f"{HOST}:{pair.port}", "--streams", str(streams), "--seconds",
            str(seconds), "--patience", str(SETTLE_S),
            "--ahead", str(ahead)])
        self.app.port = None
        self.seconds = seconds

    def wait_busy(self):
        """All of them are open, and bytes flow."""
        self.pair.wait_streams(self.streams)
        time.sleep(0.5)

    def end(self):
        self.app.process.wait(self.seconds + 3 * SETTLE_S)
        with open(self.app.log_file, encoding="utf-8") as said:
            lines = said.read().splitlines()
        print("storm:", lines)
        return json.loads(lines[-1])

    def end_complete(self):
        """Every byte came back on every stream, and all ended cleanly."""
        said = self.end()
        assert said["complete"] == self.streams, said
        assert said["bytes"] == said["sent"] > 0, said
        assert said["least_bytes"] > 0, said
        return said


def measured(pair):
    """Shown when the test fails."""
    for gateway in (pair.near, pair.far):
        status = gateway.ask("status")
        link = status["peers"][0]["links"][0]
        print(gateway.name, {name: link[name] for name in (
            "resumes", "resent", "nacks_sent", "misses_sent")},
            status["memory"], "cpu_s", gateway.cpu_s())
    if pair.wan is not None:
        print("wan", pair.wan.stats())


def test_twenty_cuts_a_second(kit):
    """At 2 ms of round trip, for 15 s: all move on and end well."""
    pair = kit.forward(relay=["--delay", "1ms", "--cut-every", "50ms"])
    storm = Storm(kit, pair, STREAMS, 15)
    said = storm.end_complete()
    measured(pair)
    assert pair.wan.stats()["cuts"] >= 150
    assert pair.near.peer("far")["resumes"] >= 100
    assert said["longest_pause_us"] < 8e6, said
    pair.wait_streams(0)


@pytest.mark.parametrize("victim", ["near", "far"])
@pytest.mark.parametrize("returns", [True, False], ids=["back", "gone"])
def test_killed_under_load(kit, victim, returns):
    """No stream of a hundred ends cleanly; each is reset in time."""
    pair = kit.forward(resume_window="60s" if returns else "3s",
                       relay=["--delay", "1ms"])
    storm = Storm(kit, pair, STREAMS, 60)
    storm.wait_busy()
    gateway = getattr(pair, victim)
    gateway.kill()
    if returns:
        gateway.start()
    start = time.monotonic()
    said = storm.end()
    took = time.monotonic() - start
    assert (said["reset"], said["early"], said["wrong"], said["stuck"]) == \
        (STREAMS, 0, 0, 0), said
    # The near one's end is seen at once; else: its return or the window.
    assert took < (2 if victim == "near" else 6 if returns else 8), took
    if returns:
        pair.wait_up()
        Storm(kit, pair, 10, 1).end_complete()
        pair.wait_streams(0)
    else:
        survivor = pair.far if victim == "near" else pair.near
        survivor.wait_streams(0)


def test_stopped_under_load(kit):
    """A process that stands still for 5 s loses nothing."""
    pair = kit.forward()
    storm = Storm(kit, pair, STREAMS, 7)
    storm.wait_busy()
    pair.far.signal(signal.SIGSTOP)
    time.sleep(5)
    pair.far.signal(signal.SIGCONT)
    said = storm.end_complete()
    assert said["longest_pause_us"] >= 4.5e6, said
    measured(pair)
    pair.wait_streams(0)


def test_little_memory(kit):
    """More load than the pool holds: nothing is wrong, and it is not passed.

    Streams may be refused or reset for want of memory, never cut short.
    """
    limit = 16 * MIB
    store = 16 * MIB
    pair = kit.forward(memory={"limit": limit}, store={"memory": store})
    before = {gateway: gateway.ask("status")["memory"]["resident"]
              for gateway in (pair.near, pair.far)}
    storm = Storm(kit, pair, 300, 5, 1 * MIB)
    most = {}
    while storm.app.process.poll() is None:
        for gateway in before:
            memory = gateway.ask("status")["memory"]
            assert memory["pool_used"] <= memory["pool_limit"] <= limit
            most[gateway] = max(most.get(gateway, 0), memory["resident"])
        time.sleep(0.2)
    said = storm.end()
    measured(pair)
    assert said["complete"] > 0, said
    assert said["complete"] + said["reset"] == 300, said
    for gateway, resident in most.items():
        grown = resident - before[gateway]
        assert grown <= 3 * limit + 2 * store, \
            f"{gateway.name}: {grown} bytes more"
    pair.wait_streams(0)
    # All of it is free again.
    Storm(kit, pair, 20, 1).end_complete()


def full_pipe():
    """A pipe that nobody reads, full to the brim."""
    out, into = os.pipe()
    os.set_blocking(into, False)
    try:
        while True:
            os.write(into, bytes(65536))
    except BlockingIOError:
        pass
    os.set_blocking(into, True)
    return open(into, "wb", buffering=0), open(out, "rb")


def broken_pipe():
    out, into = os.pipe()
    os.close(out)
    return open(into, "wb", buffering=0), None


@pytest.mark.parametrize("make", [full_pipe, broken_pipe])
def test_log_that_takes_nothing(kit, make):
    """Traffic goes on, the lines that are lost are counted."""
    into, other = make()
    pair = kit.forward(start=False, relay=["--delay", "1ms", "--cut-every",
                                           "200ms"])
    for gateway in (pair.near, pair.far):
        gateway.output = into.fileno()
    try:
        pair.start()
        storm = Storm(kit, pair, 20, 3)
        storm.end_complete()
        measured(pair)
        for gateway in (pair.near, pair.far):
            assert gateway.ask("status")["gateway"]["log_dropped"] > 0
        # The last ends may be under way to a link that is just cut.
        pair.wait_streams(0)
    finally:
        kit.clear()
        into.close()
        if other is not None:
            other.close()
