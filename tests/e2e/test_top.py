# SPDX-License-Identifier: Apache-2.0
"""The live view: on a real terminal (tmux), and as text."""
import json
import os
import signal
import subprocess
import threading
import time

import pytest

import ends
from gateways import wait_for
from passes import some_random

OK, FAILED, USAGE = range(3)
UNREACHABLE = 4
PAUSE_S = 0.05


class Traffic:
    """Connections; one of them, the second, never rests."""

    def __init__(self, pair, count):
        self.listener = ends.listen(pair.target)
        self.pairs = [ends.both_ends(self.listener, pair.port)
                      for _ in range(count)]
        self.is_over = False
        self.data = some_random(65536, 1)
        for near, _ in self.pairs:
            near.sendall(b"hello")
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        near, far = self.pairs[1]
        ends.receive(far, 5)
        while not self.is_over:
            near.sendall(self.data)
            ends.receive(far, len(self.data))
            time.sleep(PAUSE_S)

    def close(self):
        self.is_over = True
        self.thread.join()
        for near, far in self.pairs:
            near.close()
            far.close()
        self.listener.close()


@pytest.fixture(scope="module")
def busy(module_kit):
    pair = module_kit.forward(store={"memory": "64MiB"})
    traffic = Traffic(pair, 40)
    pair.wait_streams(40)
    yield pair
    traffic.close()


class Terminal:
    """A terminal with `top' in it."""

    def __init__(self, kit, gateway, columns, rows, term=None, args=""):
        self.socket = os.path.join(kit.folder, f"tmux-{time.monotonic_ns()}")
        program = kit.program("src/manage/compressnet")
        prefix = f"TERM={term} " if term else ""
        # The shell stays, to show what the program left behind.
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns),
                  "-y", str(rows), "sh")
        self.keys(f"PS1=ready: ; clear; {prefix}{program} top --socket "
                  f"{gateway.socket} {args}; echo code=$?", "Enter")

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", self.socket, *args], check=True,
                              text=True, capture_output=True).stdout

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def screen(self):
        return self.tmux("capture-pane", "-p").rstrip("\n").split("\n")

    def wait(self, text):
        return wait_for(f"'{text}' on the screen", lambda: [
            line for line in self.screen() if text in line])

    def program(self):
        """The process of `top'."""
        shell = self.tmux("display", "-p", "#{pane_pid}").strip()
        return int(subprocess.run(["pgrep", "-P", shell, "compressnet"],
                                  check=True, text=True,
                                  capture_output=True).stdout)

    def close(self):
        self.tmux("kill-server")


@pytest.fixture
def terminal(kit):
    made = []

    def make(*args, **options):
        made.append(Terminal(kit, *args, **options))
        return made[-1]
    yield make
    for one in made:
        one.close()


def rows_of(screen):
    """The rows below the titles."""
    start = next(i for i, line in enumerate(screen) if "NAME" in line)
    return [line.split() for line in screen[start + 1:-1] if line.split()]


def test_keys_and_sizes(busy, terminal):
    shell = terminal(busy.near, 80, 24)
    shell.wait("streams by rate")
    screen = shell.screen()
    assert screen[0].startswith("near  up")
    assert "40 streams" in screen[0]
    assert screen[1].startswith("LAN ")
    for title in ("ID", "NAME", "LAN/s", "WAN/s", "SAVED", "RATIO", "WHY"):
        assert title in screen[2].split()
    assert len(rows_of(screen)) == 24 - 4
    # The one that moves comes first, and with a rate.
    wait_for("a rate", lambda: rows_of(shell.screen())[0][3] in
             ("kB", "MB"))
    top = rows_of(shell.screen())[0]
    assert top[0] == "2" and top[-1] in ("ok", "random")
    # Sorted by what keys say.
    for key, name in (("s", "saved"), ("a", "age"), ("b", "bytes"),
                      ("p", "peer"), ("r", "rate")):
        shell.keys(key)
        shell.wait(f"streams by {name}")
    shell.keys("a")
    shell.wait("by age")
    assert rows_of(shell.screen())[0][0] == "1"
    # Scrolling, to the end and no further.
    shell.keys("Down")
    shell.wait("2-21 of 40")
    assert rows_of(shell.screen())[0][0] == "2"
    for _ in range(3):
        shell.keys("NPage")
    shell.wait("21-40 of 40")
    shell.keys("Home")
    shell.wait("1-20 of 40")
    # Help, other views.
    shell.keys("?")
    shell.wait("q  quit")
    shell.keys("?")
    shell.keys("Tab")
    shell.wait("services by")
    assert rows_of(shell.screen())[0][1] == "echo"
    shell.keys("Tab")
    shell.wait("peers by")
    assert rows_of(shell.screen())[0][1] == "far"
    shell.keys("Tab")
    shell.wait("streams by")
    # Small, wide, tiny.
    shell.tmux("resize-window", "-x", "40", "-y", "10")
    shell.wait("of 40  ?=help")
    wait_for("10 lines", lambda: len(rows_of(shell.screen())) == 6)
    assert shell.screen()[2].split() == ["ID", "NAME", "LAN/s", "WHY"]
    shell.tmux("resize-window", "-x", "120", "-y", "30")
    shell.wait("PEER")
    shell.tmux("resize-window", "-x", "8", "-y", "2")
    time.sleep(1.5)
    shell.tmux("resize-window", "-x", "80", "-y", "24")
    wait_for("24 lines", lambda: len(rows_of(shell.screen())) == 20)
    shell.keys("q")
    shell.wait("code=0")
    assert not [line for line in shell.screen() if "RATIO" in line]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT,
                                    signal.SIGHUP])
def test_signals_leave_a_good_terminal(busy, terminal, number):
    shell = terminal(busy.near, 80, 24)
    shell.wait("streams by rate")
    os.kill(shell.program(), number)
    shell.wait("code=0")
    shell.keys("stty -a", "Enter")
    # The shell's own line editing may differ; echo and lines must be back.
    shell.wait(" icanon")
    shell.wait(" echo ")


def test_unknown_terminal(busy, terminal):
    shell = terminal(busy.near, 80, 24, term="nonsense")
    shell.wait("not known (TERM is nonsense)")
    shell.wait("--batch")
    shell.wait("code=1")


def test_gateway_goes(kit, terminal):
    pair = kit.forward()
    shell = terminal(pair.near, 100, 24)
    shell.wait("streams by rate")
    pair.near.kill()
    shell.wait(f"code={UNREACHABLE}")
    # The words were said on the screen that is left.
    shell.wait("error:")


def run(kit, gateway, *args, code=OK):
    done = kit.compressnet("top", *args, "--socket", gateway.socket)
    assert done.returncode == code, done
    return done


def test_text(busy, module_kit):
    shown = run(module_kit, busy.near, "--batch", "-n", "2", "-i", "1",
                "--limit", "5").stdout
    looks = shown.strip("\n").split("\n\n")
    assert len(looks) == 2
    for look in looks:
        lines = look.split("\n")
        assert len(lines) == 3 + 5
        assert lines[0].startswith("near  up")
    # The second look has rates.
    assert looks[0].split("\n")[3].split()[3:6].count("-") >= 1
    assert looks[1].split("\n")[3].split()[0] == "2"
    assert "\x1b" not in shown


def test_json(busy, module_kit):
    lines = run(module_kit, busy.near, "--json", "-n", "2", "-i", "1",
                "--limit", "40").stdout.splitlines()
    first, second = map(json.loads, lines)
    assert not first["has_rates"] and second["has_rates"]
    assert second["streams"] == len(second["rows"]) == 40
    top = second["rows"][0]
    assert top["id"] == 2 and top["name"] == "echo" and top["peer"] == "far"
    was = next(row for row in first["rows"] if row["id"] == 2)
    moved = top["lan"] - was["lan"]
    assert 0.5 * moved < top["lan_bps"] < 1.5 * moved
    assert second["lan_bps"] >= top["lan_bps"] * 0.5


def test_no_terminal(busy, module_kit):
    assert "--batch" in run(module_kit, busy.near, code=USAGE).stderr
