# SPDX-License-Identifier: Apache-2.0
"""Ways in and targets: addresses of all kinds, and what happens when they
do not work."""
import os
import socket
import time

import pytest

import ends
from gateways import HOST, wait_for
from test_reload import counter

HOST6 = "::1"
RTT_S = 0.2


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind((HOST6, 0))
        return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")


def try_out(port, host, listener):
    client, server = ends.both_ends(listener, port, host)
    with client, server:
        ends.swap(client, server, b"question" * 1000, b"answer" * 1000)


@needs_ipv6
def test_ipv6_both_sides(kit):
    port, target = kit.ports.take(), kit.ports.take()
    pair = kit.pair({"echo": {"listen": f"[{HOST6}]:{port}"}},
                    {"echo": f"[{HOST6}]:{target}"})
    with ends.listen(target, HOST6) as listener:
        try_out(port, HOST6, listener)
        # It takes no IPv4.
        with pytest.raises(ConnectionRefusedError):
            ends.connect(port)
    pair.wait_streams(0)


@needs_ipv6
def test_every_address(kit):
    """A star listens on both families; clients show with their own."""
    port, target = kit.ports.take(), kit.ports.take()
    pair = kit.pair({"echo": {"listen": f"*:{port}"}},
                    {"echo": f"{HOST}:{target}"})
    with ends.listen(target) as listener:
        for host in (HOST, HOST6):
            client, server = ends.both_ends(listener, port, host)
            with client, server:
                shown = pair.near.ask("streams")["streams"][0]["client"]
                assert shown.startswith("[::1]:" if host == HOST6
                                        else f"{HOST}:")
                assert pair.far.ask("streams")["streams"][0]["client"] == (
                    shown)
            pair.wait_streams(0)


def test_several_addresses(kit):
    ports = [kit.ports.take() for _ in range(3)]
    target = kit.ports.take()
    pair = kit.pair({"echo": {"listen": [f"{HOST}:{port}"
                                         for port in ports]}},
                    {"echo": f"localhost:{target}"})
    with ends.listen(target) as listener:
        for port in ports:
            try_out(port, HOST, listener)
    pair.wait_streams(0)


def unix_config(kit):
    way_in = os.path.join(kit.folder, "in.sock")
    target = os.path.join(kit.folder, "target.sock")
    return way_in, target, {
        "echo": {"listen": f"unix:{way_in}", "allow_unix_eof": True}}, {
        "echo": {"to": f"unix:{target}", "allow_unix_eof": True}}


def test_unix_both_sides(kit):
    way_in, target, services, offers = unix_config(kit)
    with ends.listen(None, target) as listener:
        os.chmod(target, 0o666)
        pair = kit.pair(services, offers)
        try_out(None, way_in, listener)
        assert os.stat(way_in).st_mode & 0o777 == 0o660
        # Whoever connects is known by its user.
        client, server = ends.both_ends(listener, None, way_in)
        with client, server:
            shown = pair.near.ask("streams")["streams"][0]["client"]
            assert shown == f"unix:uid={os.geteuid()}"
        pair.wait_streams(0)
        # After a crash its file is in the way of nobody.
        pair.near.kill()
        assert os.path.exists(way_in)
        pair.near.start()
        pair.wait_up()
        try_out(None, way_in, listener)
        # After a clean end there is none.
        assert pair.near.stop() == 0
        assert not os.path.exists(way_in)


@pytest.mark.parametrize("side", ["near", "far"])
def test_unix_must_be_allowed(kit, side):
    """It cannot be reset, so it wants a word of consent."""
    _, _, services, offers = unix_config(kit)
    part = services if side == "near" else offers
    del part["echo"]["allow_unix_eof"]
    pair = kit.pair(services, offers, start=False)
    gateway = getattr(pair, side)
    gateway.start(wait=False)
    gateway.may_end = True
    assert gateway.process.wait(10) == 3
    assert "allow_unix_eof" in gateway.log()
    checked = kit.compressnet("config", "check", gateway.config_file)
    assert checked.returncode == 3
    assert "allow_unix_eof" in checked.stdout + checked.stderr


def test_file_in_the_way(kit):
    """A file that is no socket is not removed."""
    way_in, _, services, offers = unix_config(kit)
    with open(way_in, "w", encoding="ascii") as out:
        out.write("precious")
    pair = kit.pair(services, offers, start=False)
    pair.near.start(wait=False)
    pair.near.may_end = True
    assert pair.near.process.wait(10) == 3
    assert f"cannot listen on unix:{way_in}" in pair.near.log()
    with open(way_in, encoding="ascii") as found:
        assert found.read() == "precious"


@pytest.mark.parametrize("what", ["service", "carriers"])
def test_port_in_use(kit, what):
    """It does not start, and says which line wants the port."""
    pair = kit.forward(start=False)
    gateway = pair.near if what == "service" else pair.far
    taken = pair.port if what == "service" else int(
        pair.far.config["gateway"]["listen"].rsplit(":", 1)[1])
    with ends.listen(taken):
        gateway.start(wait=False)
        gateway.may_end = True
        assert gateway.process.wait(10) == 3
    said = gateway.log()
    assert f"cannot listen on {HOST}:{taken}: Address already in use" in said
    assert f"{gateway.config_file}:" in said


@pytest.mark.skipif(os.geteuid() == 0 and os.access("/", os.W_OK) and
                    int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start",
                             encoding="ascii").read()) == 0,
                    reason="every port is free for all here")
def test_privileged_port(kit):
    """Without the capability: the reason, and no half start."""
    start = int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start",
                     encoding="ascii").read())
    gateway = kit.gateway("near", {
        "gateway": {"listen": f"{HOST}:{max(start - 1, 1)}"}})
    gateway.start(wait=False)
    gateway.may_end = True
    assert gateway.process.wait(10) == 3
    assert "ermission denied" in gateway.log()


# ---- targets that do not answer ----

def full_listener(kit):
    """A port whose queue is full: connections to it never come to be."""
    port = kit.ports.take()
    listener = socket.socket()
    listener.bind((HOST, port))
    listener.listen(0)
    fillers = []
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex((HOST, port))
        fillers.append(filler)
    time.sleep(0.1)
    return port, [listener, *fillers]


def refused_targets(kit):
    free = kit.ports.take()
    stuck, socks = full_listener(kit)
    return {
        "refused": f"{HOST}:{free}",
        "unreachable": "224.0.0.1:9",
        "no-such-name": "no-such-host.invalid:9",
        "timeout": f"{HOST}:{stuck}",
    }, socks


@pytest.fixture(scope="module")
def bad_targets(module_kit):
    kit = module_kit
    targets, socks = refused_targets(kit)
    ports = {name: kit.ports.take() for name in [*targets, "no-service",
                                                 "not-for-you"]}
    offers = {name: {"to": target, "connect_timeout": "300ms"}
              for name, target in targets.items()}
    delay = f"{int(RTT_S * 500)}ms"
    pair = kit.pair({name: {"listen": f"{HOST}:{port}"}
                     for name, port in ports.items()}, offers,
                    relay=["--delay", delay], start=False)
    # An offer that is for somebody else.
    pair.far.config["peers"]["other"] = {"identity": kit.identity("other")}
    pair.far.config["offers"]["not-for-you"] = {
        "to": targets["refused"], "peers": ["other"]}
    pair.far.write(pair.far.config)
    pair.start()
    pair.ports = ports
    yield pair
    for sock in socks:
        sock.close()


@pytest.mark.parametrize("name, reason, extra_s", [
    ("refused", "refused", 0),
    ("unreachable", "unreachable", 0),
    ("no-such-name", "unreachable", None),
    ("timeout", "timeout", 0.3),
    ("no-service", "no-service", 0),
    ("not-for-you", "no-service", 0),
])
def test_bad_target(bad_targets, name, reason, extra_s):
    """The client is reset within a round trip; log and counters say why."""
    pair = bad_targets
    refused = counter(pair.far, "streams_refused")
    failures = counter(pair.far, "dial_failures")
    start = time.monotonic()
    with ends.connect(pair.ports[name]) as client:
        client.sendall(b"hello?")
        assert ends.drain(client) == (b"", "reset")
    took = time.monotonic() - start
    if extra_s is not None:
        assert RTT_S <= took < 1.7 * RTT_S + extra_s
    closed = wait_for("near logs it", lambda: [
        line for line in pair.near.events("stream-close")
        if f"service={name} " in line])
    assert f"end={reason}" in closed[-1]
    service = next(one for one in pair.near.ask("services")["services"]
                   if one["name"] == name)
    assert service["refused"] == 1
    assert service["error"]
    if reason == "no-service":
        said = pair.far.events("stream-refused")[-1]
        assert f"offer={name}" in said and f"reason={reason}" in said
        assert counter(pair.far, "streams_refused") == refused + 1
    else:
        said = [line for line in pair.far.events("target-failed")
                if f"offer={name} " in line]
        assert f"reason={reason}" in said[-1]
        assert counter(pair.far, "dial_failures") == failures + 1
        offer = next(one for one in pair.far.ask("services")["offers"]
                     if one["name"] == name)
        assert offer["refused"] == 1 and offer["error"]
    pair.wait_streams(0)
