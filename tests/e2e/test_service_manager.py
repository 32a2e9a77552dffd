# SPDX-License-Identifier: Apache-2.0
"""What a service manager is told, by the protocol of sd_notify(3)."""
import os
import signal
import socket
import time

import pytest

from gateways import PATIENCE_S

WATCHDOG_US = 600_000


class Manager:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        os.chmod(path, 0o777)
        self.socket.settimeout(PATIENCE_S)

    def next(self, word):
        """The next message with that word in it."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            said = dict(line.split("=", 1) for line in
                        self.socket.recv(4096).decode().splitlines())
            if word in said:
                return said
        raise TimeoutError(word)


@pytest.fixture
def managed(kit):
    pair = kit.forward(start=False)
    manager = Manager(os.path.join(kit.folder, "notify"))
    pair.near.environment["NOTIFY_SOCKET"] = manager.socket.getsockname()
    pair.near.manager = manager
    yield pair.near
    manager.socket.close()


def test_ready_reloading_stopping(managed):
    manager = managed.manager
    managed.start(wait=False)
    assert manager.next("READY")["READY"] == "1"
    # Ready is who answers.
    assert managed.ask("status")["gateway"]["state"] == "up"
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    managed.signal(signal.SIGHUP)
    told = int(manager.next("RELOADING")["MONOTONIC_USEC"])
    assert before <= told <= before + PATIENCE_S * 1_000_000
    manager.next("READY")
    # A refused reload ends, too.
    with open(managed.config_file, "w", encoding="utf-8") as out:
        out.write("nonsense: {")
    managed.signal(signal.SIGHUP)
    manager.next("RELOADING")
    manager.next("READY")
    managed.may_end = True
    managed.signal(signal.SIGTERM)
    manager.next("STOPPING")
    assert managed.process.wait(PATIENCE_S) == 0


def test_watchdog_hears_of_living_workers_alone(managed):
    manager = managed.manager
    managed.environment["WATCHDOG_USEC"] = str(WATCHDOG_US)
    managed.start()
    manager.next("READY")
    heard = []
    for _ in range(5):
        manager.next("WATCHDOG")
        heard.append(time.monotonic())
    for first, second in zip(heard, heard[1:]):
        assert second - first < WATCHDOG_US / 1e6
    # A stopped process says nothing, and goes on when it is let.
    managed.signal(signal.SIGSTOP)
    time.sleep(0.1)
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            manager.socket.recv(4096)
    manager.socket.settimeout(WATCHDOG_US * 2 / 1e6)
    with pytest.raises(TimeoutError):
        manager.socket.recv(4096)
    managed.signal(signal.SIGCONT)
    manager.next("WATCHDOG")


def test_nobody_listens(kit):
    pair = kit.forward(start=False)
    pair.near.environment["NOTIFY_SOCKET"] = "/nowhere/at/all"
    pair.near.start()
    assert pair.near.stop() == 0
