# SPDX-License-Identifier: Apache-2.0
"""Connections through a pair of gateways arrive as they were sent."""
import os
import random
import socket
import threading
import time

import pytest

import ends
from gateways import HOST, wait_for

MIB = 1 << 20


def some_text(count, seed):
    """Bytes that compress: words in a random order."""
    rng = random.Random(seed)
    words = [rng.randbytes(rng.randrange(2, 9)).hex().encode()
             for _ in range(500)]
    parts = []
    length = 0
    while length < count:
        parts.append(rng.choice(words))
        length += len(parts[-1]) + 1
    return b" ".join(parts)[:count]


@pytest.fixture(scope="module")
def pair(module_kit):
    pair = module_kit.forward()
    pair.listener = ends.listen(pair.target)
    yield pair
    pair.listener.close()


@pytest.fixture(autouse=True)
def nothing_left(pair):
    yield
    pair.wait_streams(0)


@pytest.mark.parametrize("kind", ["random", "text", "zeros"])
def test_bytes_both_ways(pair, kind):
    size = 12 * MIB
    if kind == "random":
        data = random.Random(1).randbytes(size), random.Random(2).randbytes(
            size)
    elif kind == "text":
        data = some_text(size, 3), some_text(size, 4)
    else:
        data = bytes(size), bytes(size // 2)
    client, server = ends.both_ends(pair.listener, pair.port)
    with client, server:
        ends.swap(client, server, *data)


@pytest.mark.parametrize("size", [0, 1, 2, 15000, 15001, 262144, 262145])
def test_sizes(pair, size):
    data = random.Random(size).randbytes(size)
    client, server = ends.both_ends(pair.listener, pair.port)
    with client, server:
        ends.swap(client, server, data, data[::-1])


def test_a_dialogue(pair):
    """Small messages back and forth are not kept waiting."""
    client, server = ends.both_ends(pair.listener, pair.port)
    times = []
    with client, server:
        for turn in range(200):
            message = b"message %d " % turn * (turn % 7 + 1)
            start = time.monotonic()
            client.sendall(message)
            assert ends.receive(server, len(message)) == message
            server.sendall(message[::-1])
            assert ends.receive(client, len(message)) == message[::-1]
            times.append(time.monotonic() - start)
        times.sort()
        # A stall by delayed acknowledgements would be 40 ms each time.
        assert times[len(times) // 2] < 0.02
        client.close()
        assert ends.drain(server) == (b"", "end")


def test_server_speaks_first(pair):
    client, server = ends.both_ends(pair.listener, pair.port)
    with client, server:
        server.sendall(b"220 ready\r\n")
        assert ends.receive(client, 11) == b"220 ready\r\n"
        server.shutdown(socket.SHUT_WR)
        assert ends.drain(client) == (b"", "end")
        client.sendall(b"QUIT")
        client.shutdown(socket.SHUT_WR)
        assert ends.drain(server) == (b"QUIT", "end")


@pytest.mark.parametrize("first", ["client", "server"])
def test_half_close(pair, first):
    client, server = ends.both_ends(pair.listener, pair.port)
    a, b = (client, server) if first == "client" else (server, client)
    answer = random.Random(5).randbytes(200011)
    with a, b:
        a.sendall(b"question")
        a.shutdown(socket.SHUT_WR)
        assert ends.drain(b) == (b"question", "end")
        time.sleep(0.2)
        ends.Sender(b, answer)
        assert ends.drain(a) == (answer, "end")


@pytest.mark.parametrize("first", ["client", "server"])
def test_reset(pair, first):
    client, server = ends.both_ends(pair.listener, pair.port)
    a, b = (client, server) if first == "client" else (server, client)
    with a, b:
        a.sendall(b"some")
        assert ends.receive(b, 4) == b"some"
        ends.reset(a)
        assert ends.drain(b) == (b"", "reset")


def test_client_closes_before_the_answer(pair):
    """What nobody reads comes back to the server as a reset."""
    client, server = ends.both_ends(pair.listener, pair.port)
    with client, server:
        client.sendall(b"question")
        assert ends.receive(server, 8) == b"question"
        client.close()
        assert ends.drain(server) == (b"", "end")
        server.sendall(b"answer")
        assert ends.is_cut(server)


def test_urgent_byte(pair):
    """The urgent byte stays in its place among the others."""
    client, server = ends.both_ends(pair.listener, pair.port)
    with client, server:
        client.sendall(b"ab")
        client.send(b"C", socket.MSG_OOB)
        client.sendall(b"de")
        client.shutdown(socket.SHUT_WR)
        assert ends.drain(server) == (b"abCde", "end")


def test_slow_reader(pair):
    """One that does not read holds up nobody else, and loses nothing."""
    data = random.Random(6).randbytes(24 * MIB)
    slow_client, slow_server = ends.both_ends(pair.listener, pair.port)
    sender = ends.Sender(slow_client, data)
    with slow_client, slow_server:
        time.sleep(0.5)
        assert sender.is_alive()
        other = random.Random(7).randbytes(MIB)
        client, server = ends.both_ends(pair.listener, pair.port)
        with client, server:
            start = time.monotonic()
            ends.swap(client, server, other, other)
            assert time.monotonic() - start < 5
        assert sender.is_alive()
        received, how = ends.drain(slow_server)
        sender.join()
        assert sender.error is None
        assert how == "end"
        assert ends.digest(received) == ends.digest(data)
        slow_server.close()


def test_many_at_once(kit):
    """A hundred connections, each with bytes of its own."""
    pair = kit.forward()
    server = ends.Server(ends.listen(pair.target), ends.echo)
    errors = []

    def talk(seed):
        rng = random.Random(seed)
        try:
            with ends.connect(pair.port) as sock:
                data = rng.randbytes(rng.randrange(1, 200000))
                sender = ends.Sender(sock, data)
                received, how = ends.drain(sock)
                sender.join()
                assert sender.error is None
                assert how == "end"
                assert received == data
        except Exception as error:  # handed to the test below
            errors.append((seed, error))

    threads = [threading.Thread(target=talk, args=(seed,))
               for seed in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    pair.wait_streams(0)
    server.close()


def test_idle_connections_cost_nothing(kit):
    pair = kit.forward(workers=1)
    with ends.listen(pair.target) as listener:
        socks = []
        for _ in range(200):
            socks += ends.both_ends(listener, pair.port)
        pair.wait_streams(200)
        time.sleep(0.5)
        before = pair.near.cpu_s() + pair.far.cpu_s()
        time.sleep(2)
        assert pair.near.cpu_s() + pair.far.cpu_s() - before <= 0.06
        for sock in socks[:10]:
            sock.sendall(b"alive")
        assert ends.receive(socks[1], 5) == b"alive"
        for sock in socks:
            sock.close()
        pair.wait_streams(0)


# ---- targets ----

def test_refused_target(kit):
    """The client is reset within a round trip, not left hanging."""
    pair = kit.forward(relay=["--delay", "50ms"])
    for _ in range(3):
        start = time.monotonic()
        with ends.connect(pair.port) as client:
            assert ends.drain(client) == (b"", "reset")
        took = time.monotonic() - start
        assert 0.09 < took < 0.4
    offer = next(offer for offer in pair.far.ask("services")["offers"]
                 if offer["name"] == "echo")
    assert offer["refused"] == 3
    assert "refused" in offer["error"]
    service = pair.near.ask("services")["services"][0]
    assert service["refused"] == 3


def test_silent_target(kit):
    """A target that does not answer in time."""
    target = kit.ports.take()
    listen = kit.ports.take()
    with socket.socket() as full:
        full.bind((HOST, target))
        full.listen(0)
        fillers = []
        for _ in range(16):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((HOST, target))
            fillers.append(filler)
        kit.pair({"echo": {"listen": f"{HOST}:{listen}"}},
                 {"echo": {"to": f"{HOST}:{target}",
                           "connect_timeout": "300ms"}})
        start = time.monotonic()
        with ends.connect(listen) as client:
            assert ends.drain(client) == (b"", "reset")
        assert 0.25 < time.monotonic() - start < 2
        for filler in fillers:
            filler.close()


def test_unknown_offer(kit):
    """The peer decides what may be reached."""
    port = kit.ports.take()
    pair = kit.pair({"other": {"listen": f"{HOST}:{port}"}},
                    {"echo": f"{HOST}:{kit.ports.take()}"})
    with ends.connect(port) as client:
        assert ends.drain(client) == (b"", "reset")
    wait_for("the reason is in the log",
             lambda: "no-service" in pair.near.log())


def test_unix_sockets(kit):
    """Into a Unix socket here, out of a Unix socket there."""
    way_in = os.path.join(kit.folder, "in.sock")
    way_out = os.path.join(kit.folder, "out.sock")
    with ends.listen(None, way_out) as listener:
        os.chmod(way_out, 0o666)
        pair = kit.pair(
            {"db": {"listen": f"unix:{way_in}", "allow_unix_eof": True}},
            {"db": {"to": f"unix:{way_out}", "allow_unix_eof": True}})
        client, server = ends.both_ends(listener, None, way_in)
        data = random.Random(8).randbytes(3 * MIB)
        with client, server:
            ends.swap(client, server, data, data[::-1])
        pair.wait_streams(0)
        assert pair.near.stop() == 0
        assert not os.path.exists(way_in)


def test_unix_to_tcp(kit):
    """A reset on the TCP side is at least an end on the Unix side."""
    way_in = os.path.join(kit.folder, "in.sock")
    target = kit.ports.take()
    with ends.listen(target) as listener:
        pair = kit.pair(
            {"db": {"listen": f"unix:{way_in}", "allow_unix_eof": True}},
            {"db": f"{HOST}:{target}"})
        client, server = ends.both_ends(listener, None, way_in)
        with client, server:
            client.sendall(b"some")
            assert ends.receive(server, 4) == b"some"
            client.close()
            assert ends.drain(server) == (b"", "end")
        client, server = ends.both_ends(listener, None, way_in)
        with client, server:
            ends.reset(server)
            ends.drain(client)
        pair.wait_streams(0)


def test_ipv6(kit):
    port = kit.ports.take()
    target = kit.ports.take()
    with ends.listen(target, "::1") as listener:
        kit.pair({"echo": {"listen": [f"[::1]:{port}", f"{HOST}:{port}"]}},
                 {"echo": f"[::1]:{target}"})
        for host in ("::1", HOST):
            client, server = ends.both_ends(listener, port, host)
            with client, server:
                ends.swap(client, server, b"over IPv6", b"and back")


def test_workers(kit):
    """Several workers on each side, more connections than that."""
    pair = kit.forward(near={"workers": 3}, far={"workers": 2})
    with ends.listen(pair.target) as listener:
        pairs = [ends.both_ends(listener, pair.port) for _ in range(24)]
        # accept() need not keep the order of connect(): find who is whose.
        for index, (client, _) in enumerate(pairs):
            client.sendall(b"%8d" % index)
        for _, server in pairs:
            index = int(ends.receive(server, 8))
            client = pairs[index][0]
            data = random.Random(index).randbytes(100000)
            ends.swap(client, server, data, data)
            client.close()
            server.close()
        pair.wait_streams(0)
