# SPDX-License-Identifier: Apache-2.0
"""What a running gateway tells of itself: `compressnet events'."""
import json
import signal
import socket
import subprocess

from gateways import HOST, built, wait_for


def events(gateway, kit, *args):
    done = kit.compressnet("events", "--json", *args, "--socket",
                           gateway.socket)
    assert done.returncode == 0, done
    return json.loads(done.stdout)["events"]


def kinds(gateway, kit, *args):
    return [event["kind"] for event in events(gateway, kit, *args)]


def test_life(kit):
    """Start, peer, service, reload, a target that is not there, loss."""
    pair = kit.forward()
    wait_for("the peer's event",
             lambda: "peer-up" in kinds(pair.near, kit))
    wait_for("the service's event",
             lambda: "service-listening" in kinds(pair.near, kit))
    told = events(pair.near, kit)
    assert told[0]["kind"] == "started" and told[0]["level"] == "info"
    up = next(event for event in told if event["kind"] == "peer-up")
    assert up["peer"] == "far" and "far" in up["text"]
    ids = [event["id"] for event in told]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    # Nobody listens at the target.
    with socket.create_connection((HOST, pair.port)) as client:
        client.settimeout(10)
        try:
            assert client.recv(1) == b""
        except ConnectionError:
            pass
    wait_for("the offer's event",
             lambda: "offer-unreachable" in kinds(pair.far, kit))
    offer = [event for event in events(pair.far, kit, "--level", "warning")
             if event["kind"] == "offer-unreachable"]
    assert offer[0]["service"] == "echo" and offer[0]["stream"] > 0
    assert "started" not in kinds(pair.far, kit, "--level", "warning")
    # A reload that is refused, and one that is not.
    good = pair.near.config
    bad = dict(good, nonsense=1)
    pair.near.write(bad)
    kit.compressnet("config", "reload", "--socket", pair.near.socket)
    pair.near.write(good)
    kit.compressnet("config", "reload", "--socket", pair.near.socket)
    after = kinds(pair.near, kit, "--since-id", str(ids[-1]))
    assert after[-2:] == ["reload-refused", "reloaded"]
    # The far one dies.
    pair.far.may_end = True
    pair.far.process.kill()
    wait_for("the loss", lambda: "peer-down" in kinds(pair.near, kit))
    down = [event for event in events(pair.near, kit)
            if event["kind"] in ("peer-down", "carrier-lost")]
    assert {event["level"] for event in down} == {"warning"}
    text = kit.compressnet("events", "--socket", pair.near.socket).stdout
    assert "peer far" in text and "peer-down" in text


def test_follow(kit):
    """Line by line, and on over a restart."""
    pair = kit.forward()
    follower = subprocess.Popen(
        [built("src/manage/compressnet"), "events", "--follow", "--json",
         "--socket", pair.near.socket],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        def until(kind):
            while True:
                line = follower.stdout.readline()
                assert line, "the follower ended"
                event = json.loads(line)
                if event["kind"] == kind:
                    return event
        first = until("started")
        until("peer-up")
        pair.near.may_end = True
        pair.near.process.send_signal(signal.SIGTERM)
        pair.near.process.wait(20)
        pair.near.start()
        second = until("started")
        assert second["id"] > first["id"]
    finally:
        follower.kill()
        follower.wait()


def test_wrong_use(kit):
    pair = kit.forward()
    for args in (["--level", "loud"], ["--since-id", "x"],
                 ["--interval", "0"]):
        done = kit.compressnet("events", *args, "--socket",
                               pair.near.socket)
        assert done.returncode == 2, args
    done = kit.compressnet("events", "--socket", "/nonexistent")
    assert done.returncode == 4
