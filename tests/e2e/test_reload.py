# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: a good configuration is obeyed whole, a bad one not at all."""
import copy
import re
import signal
import socket
import time

import pytest

import ends
from gateways import HOST, wait_for

CUT_S = 1.0
MIB = 1 << 20


def counter(gateway, name):
    return next(c["value"] for c in gateway.ask("status")["counters"]
                if c["name"] == name)


def hang_up(gateway, expected):
    """SIGHUP, and wait for "reloads" or "reload_failures" to count it."""
    before = counter(gateway, expected)
    gateway.signal(signal.SIGHUP)
    wait_for(f"{gateway.name}: {expected}",
             lambda: counter(gateway, expected) > before)


def reload(gateway, change):
    """Obey a changed configuration."""
    config = copy.deepcopy(gateway.config)
    change(config)
    gateway.write(config)
    hang_up(gateway, "reloads")


def refuses(port, host=HOST):
    try:
        ends.connect(port, host).close()
    except ConnectionRefusedError:
        return True
    return False


def talk(client, server, data=b"still here"):
    client.sendall(data)
    assert ends.receive(server, len(data)) == data
    server.sendall(data[::-1])
    assert ends.receive(client, len(data)) == data[::-1]


@pytest.fixture(scope="module")
def lasting(module_kit):
    """A pair with one connection that every reload must leave alone."""
    pair = module_kit.forward()
    pair.listener = ends.listen(pair.target)
    pair.client, pair.server = ends.both_ends(pair.listener, pair.port)
    pair.good = copy.deepcopy(pair.near.config)
    yield pair
    for sock in (pair.client, pair.server, pair.listener):
        sock.close()


@pytest.fixture(autouse=True)
def nothing_happened(request):
    """The connection lives on the same carrier as before."""
    if "lasting" not in request.fixturenames:
        yield
        return
    pair = request.getfixturevalue("lasting")
    ups = counter(pair.near, "carrier_ups")
    yield
    talk(pair.client, pair.server)
    assert counter(pair.near, "carrier_ups") == ups
    pair.near.write(copy.deepcopy(pair.good))
    hang_up(pair.near, "reloads")


BAD = [
    # (text put at the end of a good file, line of it, column, words)
    ("sevices: {}\n", 1, 1, "unknown key 'sevices'"),
    ("limits: {window: 3}\n", 1, 18, "window"),
    ("limits:\n  window: 1MiB\n  window: 2MiB\n", 3, 3, "window"),
    ("peers:\n  gone: {identity: CN1-XXXX}\n", 1, 1, "peers"),
    ("log: {level: [\n", 2, 1, ""),
]


@pytest.mark.parametrize("text, line, column, words", BAD)
def test_bad_file(lasting, text, line, column, words):
    """Refused with its place; the running configuration stays; the command
    line says the same."""
    near = lasting.near
    with open(near.config_file, encoding="utf-8") as good:
        config = good.read().rstrip()
    # JSON is YAML; what follows it is easier added without the braces.
    config = to_block(lasting.good)
    first = config.count("\n") + 1
    with open(near.config_file, "w", encoding="utf-8") as out:
        out.write(config + text)
    hang_up(near, "reload_failures")
    place = f"{near.config_file}:{first + line - 1}:{column}"
    said = [event for event in near.events("config") if f"at={place}" in event]
    assert said, (place, near.events("config")[-3:])
    assert words in said[-1]
    # Both checks agree, and say it as compilers do.
    checked = near.kit.compressnet("config", "check", near.config_file)
    assert checked.returncode == 3
    assert f"{place}: error: " in checked.stdout + checked.stderr
    message = re.search(r'text="?(.*?)"?$', said[-1]).group(1)
    assert message.replace("\\", "") in (
        checked.stdout + checked.stderr).replace("\\", "")
    # What was in force is: new connections work.
    client, server = ends.both_ends(lasting.listener, lasting.port)
    with client, server:
        talk(client, server)
    # The control socket refuses it as well.
    with pytest.raises(RuntimeError, match="config"):
        near.ask("reload")


def to_block(config):
    """The top of a configuration as block YAML, the rest as JSON."""
    import json
    return "".join(f"{json.dumps(key)}: {json.dumps(value)}\n"
                   for key, value in config.items())


def test_file_is_gone(lasting):
    import os
    os.rename(lasting.near.config_file, lasting.near.config_file + ".away")
    hang_up(lasting.near, "reload_failures")
    assert lasting.near.ask("status")["gateway"]["state"] == "up"


def test_service_comes_and_goes(lasting):
    near = lasting.near
    port = near.kit.ports.take()
    reload(near, lambda config: config["services"].update(
        more={"listen": f"{HOST}:{port}", "peer": "far", "offer": "echo"}))
    client, server = ends.both_ends(lasting.listener, port)
    with client, server:
        talk(client, server)
        reload(near, lambda config: config["services"].pop("more"))
        wait_for("nobody listens", lambda: refuses(port))
        # Its running connection goes on to its own end.
        talk(client, server)
        client.shutdown(socket.SHUT_WR)
        assert ends.drain(server) == (b"", "end")


def test_listener_moves(lasting):
    near = lasting.near
    port = near.kit.ports.take()

    def move(config):
        config["services"]["echo"]["listen"] = [f"{HOST}:{port}"]
    reload(near, move)
    wait_for("the old one is closed", lambda: refuses(lasting.port))
    client, server = ends.both_ends(lasting.listener, port)
    with client, server:
        talk(client, server)


def test_ports_change_hands(lasting):
    """A port goes from one service to another in one reload."""
    near = lasting.near

    def rename(config):
        config["services"]["other"] = config["services"].pop("echo")
        config["services"]["other"]["offer"] = "echo"
    reload(near, rename)
    client, server = ends.both_ends(lasting.listener, lasting.port)
    with client, server:
        talk(client, server)
        names = [one["service"] for one in near.ask("streams")["streams"]]
        assert sorted(names) == ["echo", "other"]


def test_port_in_use(lasting):
    """A port that is taken: nothing changes, the message says where."""
    near = lasting.near
    taken = near.kit.ports.take()
    free = near.kit.ports.take()
    config = copy.deepcopy(lasting.good)
    config["services"]["one"] = {"listen": f"{HOST}:{free}", "peer": "far"}
    config["services"]["two"] = {"listen": f"{HOST}:{taken}", "peer": "far"}
    near.write(config)
    with ends.listen(taken):
        hang_up(near, "reload_failures")
        said = near.events("config")[-1]
        assert f"cannot listen on {HOST}:{taken}" in said
        assert "in use" in said
        assert re.search(re.escape(near.config_file) + r":\d+:\d+", said)
        # Not even the part that would have worked.
        assert refuses(free)
    # Free again: it is obeyed.
    hang_up(near, "reloads")
    assert not refuses(free) and not refuses(taken)


def test_same_port_twice(lasting):
    near = lasting.near
    config = copy.deepcopy(lasting.good)
    config["services"]["twin"] = {"listen": f"{HOST}:{lasting.port}",
                                  "peer": "far"}
    near.write(config)
    hang_up(near, "reload_failures")
    assert str(lasting.port) in near.events("config")[-1]
    checked = near.kit.compressnet("config", "check", near.config_file)
    assert checked.returncode == 3


def test_new_target(module_kit):
    """New connections reach the new target, old ones stay where they are."""
    pair = module_kit.forward()
    other = module_kit.ports.take()
    with ends.listen(pair.target) as first, ends.listen(other) as second:
        old = ends.both_ends(first, pair.port)
        reload(pair.far, lambda config: config["offers"]["echo"].update(
            to=f"{HOST}:{other}"))
        new = ends.both_ends(second, pair.port)
        talk(*old)
        talk(*new)
        for sock in old + new:
            sock.close()
    pair.wait_streams(0)


def test_peer_removed(module_kit):
    """Its carriers are cut and its streams reset, within a second; it is
    let in again when it is back."""
    pair = module_kit.forward()
    with ends.listen(pair.target) as listener:
        pairs = [ends.both_ends(listener, pair.port) for _ in range(5)]
        for one in pairs:
            talk(*one)
        saved = copy.deepcopy(pair.far.config)
        # One in the middle of a transfer each way.
        senders = [ends.Sender(pairs[0][0], bytes(64 * MIB)),
                   ends.Sender(pairs[1][1], bytes(64 * MIB))]
        assert ends.receive(pairs[0][1], MIB) == bytes(MIB)
        assert ends.receive(pairs[1][0], MIB) == bytes(MIB)
        start = time.monotonic()
        reload(pair.far, remove_near)
        # Of those that send, sending tells.
        writing = (pairs[0][0], pairs[1][1])
        receivers = [ends.Receiver(sock) for one in pairs for sock in one
                     if sock not in writing]
        for receiver in receivers:
            receiver.join(CUT_S)
            assert receiver.how == "reset"
        assert time.monotonic() - start < CUT_S
        for sender in senders:
            sender.join(CUT_S)
            assert isinstance(sender.error, ends.RESETS)
        for one in pairs:
            for sock in one:
                sock.close()
        # It does not get in; it says why; it does not storm.
        wait_for("near knows why", lambda: pair.near.peer("far")["error"])
        before = counter(pair.far, "carrier_accepts")
        time.sleep(1.5)
        assert counter(pair.far, "carrier_accepts") - before <= 3
        # For a moment it might come back; then on_peer_down speaks.
        wait_for("new connections are reset",
                 lambda: is_refused(pair.port))
        pair.far.write(saved)
        hang_up(pair.far, "reloads")
        hang_up(pair.near, "reloads")
        pair.near.wait_peer("far", patience_s=20)
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            talk(client, server)


def remove_near(config):
    config["peers"].pop("near")
    config["offers"].clear()


def is_refused(port):
    """Is a new connection reset at once?"""
    with ends.connect(port) as client:
        client.settimeout(0.5)
        try:
            return ends.drain(client) == (b"", "reset")
        except TimeoutError:
            return False


def test_pin_swapped(module_kit):
    """Another identity for the same name: the old gateway is cut."""
    pair = module_kit.forward(near={"carrier": {"redial_max": "300ms"}})
    saved = copy.deepcopy(pair.near.config)
    with ends.listen(pair.target) as listener:
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            talk(client, server)
            start = time.monotonic()
            reload(pair.near, lambda config: config["peers"]["far"].update(
                identity=module_kit.identity("stranger")))
            assert ends.drain(client) == (b"", "reset")
            assert ends.drain(server) == (b"", "reset")
            assert time.monotonic() - start < CUT_S
        error = wait_for("near says why",
                         lambda: pair.near.peer("far")["error"])
        assert "another key" in error or "another peer" in error
        pair.near.write(saved)
        hang_up(pair.near, "reloads")
        pair.near.wait_peer("far", patience_s=20)
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            talk(client, server)


def test_needs_restart(lasting):
    """What cannot change at once is said to need a restart."""
    reload(lasting.near, lambda config: config.update(workers=2))
    assert any("key=workers" in line
               for line in lasting.near.events("config-needs-restart"))
    assert lasting.near.ask("status")["gateway"]["workers"] == 1


def test_log_level(lasting):
    near = lasting.near
    reload(near, lambda config: config["log"].update(level="warn"))
    before = len(near.log())
    client, server = ends.both_ends(lasting.listener, lasting.port)
    with client, server:
        talk(client, server)
    near.wait_streams(1)
    assert "stream-open" not in near.log()[before:]


def test_many_reloads(lasting):
    """Nothing leaks when it is told again and again."""
    near = lasting.near
    before = near.descriptors()
    for _ in range(50):
        near.ask("reload")
    wait_for("descriptors are given back",
             lambda: near.descriptors() <= before)
