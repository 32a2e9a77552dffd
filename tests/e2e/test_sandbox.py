# SPDX-License-Identifier: Apache-2.0
"""What a running gateway has given up."""
import os
import signal
import subprocess

import pytest

import ends
from gateways import HOST

CAP_NET_BIND_SERVICE = 1 << 10
SECCOMP_FILTER = 2


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii",
              errors="replace") as lines:
        return dict(line.rstrip("\n").split(":\t", 1) for line in lines
                    if ":\t" in line)


def threads_of(pid):
    return [f"{pid}/task/{thread}"
            for thread in os.listdir(f"/proc/{pid}/task")]


def must_be_locked_in(pid, capabilities):
    """Each thread, not the first alone."""
    for thread in threads_of(pid):
        status = status_of(thread)
        for name in ("CapEff", "CapPrm"):
            assert int(status[name], 16) & ~capabilities == 0, (thread, name)
        for name in ("CapInh", "CapAmb"):
            assert int(status[name], 16) == 0, (thread, name)
        assert status["NoNewPrivs"] == "1"
        assert int(status["Seccomp"]) == SECCOMP_FILTER


def test_ordinary_user(kit):
    pair = kit.forward(workers=2)
    for gateway in (pair.near, pair.far):
        capabilities = 0 if os.geteuid() == 0 else CAP_NET_BIND_SERVICE
        must_be_locked_in(gateway.pid, capabilities)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_started_by_root(kit):
    """All capabilities go but the one for low ports; it still works, and a
    reload can open a low port."""
    pair = kit.forward(start=False)
    pair.far.start()
    os.chown(pair.near.config["gateway"]["key"], 0, 0)
    os.chown(pair.near.config_file, 0, 0)
    kit.user = None
    pair.near.start()
    pair.wait_up()
    must_be_locked_in(pair.near.pid, CAP_NET_BIND_SERVICE)
    status = status_of(pair.near.pid)
    assert int(status["CapBnd"], 16) & ~CAP_NET_BIND_SERVICE == 0
    with ends.listen(pair.target) as listener:
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            ends.swap(client, server, b"question", b"answer")
        config = pair.near.config
        config["services"]["low"] = {"listen": f"{HOST}:1023", "peer": "far",
                                     "offer": "echo"}
        pair.near.write(config)
        pair.near.ask("reload")
        client, server = ends.both_ends(listener, 1023)
        client.close()
        server.close()


def test_can_be_left_out(kit):
    """--no-sandbox is for those who debug; it is not the default."""
    gateway = kit.gateway("near", {})
    gateway.process = subprocess.Popen(
        [kit.program("src/gateway/compressnetd"), "-c", gateway.config_file,
         "--no-sandbox"], stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, preexec_fn=kit.drop([]),
        env=kit.environment())
    gateway.wait_ready()
    assert int(status_of(gateway.pid)["Seccomp"]) != SECCOMP_FILTER
    gateway.may_end = True
    gateway.signal(signal.SIGTERM)
    assert gateway.process.wait(10) == 0
