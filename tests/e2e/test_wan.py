# SPDX-License-Identifier: Apache-2.0
"""The packet-level WAN emulator keeps its own settings."""
import json
import os
import statistics
import subprocess
import sys
import time

import pytest

from netns import Wan

PROBE = [sys.executable, os.path.join(os.path.dirname(
    os.path.abspath(__file__)), "udpprobe.py")]
# Of IPv4 and UDP: the emulator's lengths are those of IP packets.
HEADERS = 28


def listen(host, what):
    """Start the far end of a probe."""
    process = host.popen([*PROBE, what, host.address], text=True,
                         stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    return process


def ping(wan, count, length=64, every=0.0):
    """Round trips in seconds, None where there was no answer."""
    with listen(wan.b, "echo") as server:
        try:
            return json.loads(wan.a.run(
                [*PROBE, "ping", wan.b.address, str(count), str(length),
                 str(every)], timeout=60))
        finally:
            server.kill()


def flood(wan, count, length, every):
    """What of so many datagrams came through."""
    with listen(wan.b, "sink") as server:
        wan.a.run([*PROBE, "flood", wan.b.address, str(count), str(length),
                   str(every)], timeout=60)
        return json.loads(server.communicate(timeout=60)[0])


@pytest.mark.parametrize("delay_ms", [1, 20, 150])
def test_delay(delay_ms):
    with Wan(delay=f"{delay_ms}ms") as wan:
        times = ping(wan, 10)
    assert None not in times
    assert min(times) >= 2 * delay_ms / 1000
    # A busy machine is late now and then, not always.
    assert min(times) < 2 * delay_ms / 1000 + 0.003


@pytest.mark.parametrize("rate_mbit", [1, 10, 30])
def test_rate(rate_mbit):
    """A flood at 1.5 times the rate comes out at the rate."""
    length = 1472
    seconds = 1.5
    every = (length + HEADERS) * 8 / (rate_mbit * 1e6 * 1.5)
    # Long enough to bridge the pauses of a busy machine.
    queue = 30000 * rate_mbit
    with Wan(rate=f"{rate_mbit}mbit", queue=queue) as wan:
        got = flood(wan, int(seconds / every), length, every)
        stats = wan.stats()["a_to_b"]
    packets = len(got["numbers"]) - 1
    rate = (got["bytes"] + packets * HEADERS) * 8 / got["seconds"]
    assert rate == pytest.approx(rate_mbit * 1e6, rel=0.05)
    assert stats["dropped"] > 0
    assert stats["lost"] == 0
    assert stats["queued_max"] <= queue
    assert got["numbers"] == sorted(got["numbers"])


def test_queue():
    """A round trip through a full queue is late by the queue's length."""
    with Wan(rate="8mbit", queue="40000") as wan:
        with listen(wan.b, "echo") as server, wan.a.popen(
                [*PROBE, "flood", wan.b.address, "100000", "1472",
                 "0.0005"]) as flooder:
            end = time.monotonic() + 20
            while wan.stats()["a_to_b"]["dropped"] == 0:
                assert time.monotonic() < end
                time.sleep(0.02)
            times = json.loads(wan.a.run(
                [*PROBE, "ping", wan.b.address, "30", "20", "0.03"],
                timeout=90))
            flooder.kill()
            server.kill()
        stats = wan.stats()["a_to_b"]
    times = [seconds for seconds in times if seconds is not None]
    # 40,000 bytes at 8 Mb/s; the flood's echo comes back just at the rate.
    assert 0.030 < statistics.median(times) < 0.09
    assert 38000 < stats["queued_max"] <= 40000


def test_loss_and_determinism():
    """The share of lost packets is as set; the same seed loses the same."""
    lost = []
    for seed in (7, 7, 8):
        with Wan(loss="5%", seed=seed) as wan:
            got = flood(wan, 4000, 100, 0.00005)
            stats = wan.stats()["a_to_b"]
        missing = sorted(set(range(4000)) - set(got["numbers"]))
        assert stats["lost"] == len(missing)
        # Five standard deviations around 200.
        assert 130 < len(missing) < 270
        lost.append(missing)
    assert lost[0] == lost[1]
    assert lost[0] != lost[2]


def test_jitter():
    with Wan(delay="20ms", jitter="10ms") as wan:
        times = ping(wan, 100)
    assert min(times) >= 0.020
    assert 0.022 < min(times) < 0.034
    assert statistics.median(times) == pytest.approx(0.040, abs=0.006)
    # Two even distributions of +-10 ms: 8.2 ms of deviation.
    assert 0.005 < statistics.pstdev(times) < 0.012


def test_stall_and_resume():
    with Wan() as wan:
        wan.command("stall")
        assert ping(wan, 1) == [None]
        wan.command("resume")
        assert ping(wan, 1)[0] < 1
        wan.command("line 0 30ms")
        assert ping(wan, 1)[0] > 0.06
        with pytest.raises(ValueError):
            wan.command("nonsense")


def test_nothing_is_left():
    with Wan() as wan:
        pids = [wan.a.holder.pid, wan.b.holder.pid, wan.process.pid]
        assert wan.a.run(["ip", "-br", "link"]).count("wan0") == 1
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_tcp_over_ipv6():
    """TCP gets most of the rate; IPv6 works too."""
    code = ("import socket,sys\n"
            "s=socket.create_server((sys.argv[1],7008),"
            "family=socket.AF_INET6)\n"
            "print('ready',flush=True)\n"
            "c,_=s.accept()\n"
            "n=0\n"
            "while True:\n"
            "    d=c.recv(65536)\n"
            "    if not d: break\n"
            "    n+=len(d)\n"
            "print(n)\n")
    send = ("import socket,sys,time\n"
            "c=socket.create_connection((sys.argv[1],7008))\n"
            "t=time.monotonic()\n"
            "c.sendall(bytes(2500000))\n"
            "c.shutdown(1)\n"
            "c.recv(1)\n"
            "print(time.monotonic()-t)\n")
    with Wan(ipv6=True, rate="20mbit", delay="10ms",
             queue="64KiB") as wan:
        server = wan.b.popen([sys.executable, "-c", code, wan.b.address6],
                             text=True, stdout=subprocess.PIPE)
        assert server.stdout.readline() == "ready\n"
        seconds = float(wan.a.run([sys.executable, "-c", send,
                                   wan.b.address6]))
        assert server.communicate(timeout=20)[0] == "2500000\n"
    assert 1.0 < seconds < 2.5
