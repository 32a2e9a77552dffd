# SPDX-License-Identifier: Apache-2.0
"""SIGTERM lets connections end; a second one does not wait."""
import random
import signal
import time

import pytest

import ends
from gateways import wait_for

MIB = 1 << 20
SOON_S = 5


def refuses(port):
    """Nothing gets in: refused, or reset before a byte."""
    try:
        with ends.connect(port) as client:
            return ends.drain(client) == (b"", "reset")
    except ConnectionRefusedError:
        return True
    except ends.RESETS:
        return True


def drain_begins(gateway):
    gateway.may_end = True
    gateway.signal(signal.SIGTERM)
    wait_for("it drains", lambda: gateway.events("draining"))


@pytest.mark.parametrize("side", ["near", "far"])
@pytest.mark.parametrize("workers", [1, 2])
def test_drain(kit, side, workers):
    """Running connections finish, new ones are refused, the exit is clean
    and comes when the last one is over."""
    pair = kit.forward(workers=workers)
    gateway = getattr(pair, side)
    data = random.Random(1).randbytes(4 * MIB)
    with ends.listen(pair.target) as listener:
        flows = [ends.both_ends(listener, pair.port) for _ in range(3)]
        for client, server in flows:
            client.sendall(b"begun")
            assert ends.receive(server, 5) == b"begun"
        drain_begins(gateway)
        wait_for("new ones are refused", lambda: refuses(pair.port))
        # Bytes go on both ways, each connection to its own clean end.
        for client, server in flows:
            ends.swap(client, server, data, data[::-1])
            assert gateway.process.poll() is None or client is flows[-1][0]
            client.close()
            server.close()
        assert gateway.process.wait(SOON_S) == 0
        assert gateway.events("stopped")
        ends_of_streams = gateway.events("stream-close")
        assert len([line for line in ends_of_streams
                    if "end=clean" in line]) == 3


@pytest.mark.parametrize("side", ["near", "far"])
def test_second_signal(kit, side):
    """Told twice it ends at once, and everybody sees a reset."""
    pair = kit.forward()
    gateway = getattr(pair, side)
    with ends.listen(pair.target) as listener:
        flows = [ends.both_ends(listener, pair.port) for _ in range(4)]
        idle = flows[:2]
        busy = flows[2:]
        data = random.Random(2).randbytes(32 * MIB)
        for client, server in flows:
            client.sendall(b"begun")
            assert ends.receive(server, 5) == b"begun"
        # One in each direction.
        busy = [busy[0], busy[1][::-1]]
        senders = [ends.Sender(source, data) for source, _ in busy]
        for _, sink in busy:
            assert ends.receive(sink, MIB) == data[:MIB]
        drain_begins(gateway)
        time.sleep(0.3)
        assert gateway.process.poll() is None
        start = time.monotonic()
        gateway.signal(signal.SIGTERM)
        assert gateway.process.wait(SOON_S) == 0
        for client, server in idle:
            assert ends.drain(client) == (b"", "reset")
            assert ends.drain(server) == (b"", "reset")
        for _, sink in busy:
            received, how = ends.drain(sink)
            assert how == "reset"
            assert data[MIB:MIB + len(received)] == received
        assert time.monotonic() - start < SOON_S
        for sender in senders:
            sender.join(SOON_S)
            assert isinstance(sender.error, ends.RESETS)
        for sock in [sock for flow in flows for sock in flow]:
            sock.close()


def test_interrupt_is_terminate(kit):
    pair = kit.forward()
    for gateway in (pair.near, pair.far):
        gateway.may_end = True
        gateway.signal(signal.SIGINT)
        assert gateway.process.wait(SOON_S) == 0


def test_half_closed_goes_on(kit):
    """One direction has ended: the drain waits for the other."""
    pair = kit.forward()
    answer = random.Random(3).randbytes(MIB)
    with ends.listen(pair.target) as listener:
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            client.sendall(b"question")
            client.shutdown(ends.socket.SHUT_WR)
            assert ends.drain(server) == (b"question", "end")
            drain_begins(pair.near)
            drain_begins(pair.far)
            time.sleep(0.3)
            ends.Sender(server, answer)
            assert ends.drain(client) == (answer, "end")
        assert pair.near.process.wait(SOON_S) == 0
        assert pair.far.process.wait(SOON_S) == 0


def test_drain_over_a_lost_carrier(kit):
    """A carrier that dies while one side drains is still resumed."""
    pair = kit.forward(relay=["--delay", "5ms"])
    data = random.Random(4).randbytes(4 * MIB)
    with ends.listen(pair.target) as listener:
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            client.sendall(b"begun")
            assert ends.receive(server, 5) == b"begun"
            drain_begins(pair.far)
            pair.wan.command("cut")
            ends.swap(client, server, data, data[::-1])
        assert pair.far.process.wait(SOON_S) == 0


def test_no_reload_while_draining(kit):
    pair = kit.forward()
    with ends.listen(pair.target) as listener:
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            client.sendall(b"x")
            assert ends.receive(server, 1) == b"x"
            drain_begins(pair.near)
            pair.near.signal(signal.SIGHUP)
            wait_for("it is refused",
                     lambda: pair.near.events("reload-refused"))
            status = pair.near.ask("status")
            assert status["gateway"]["state"] == "draining"
        assert pair.near.process.wait(SOON_S) == 0


def test_the_peer_takes_over(kit):
    """A gateway that goes and comes back is dialled and used again."""
    pair = kit.forward()
    with ends.listen(pair.target) as listener:
        assert pair.far.stop() == 0
        pair.far.start()
        pair.wait_up()
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            ends.swap(client, server, b"again", b"and back")
