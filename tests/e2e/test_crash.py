# SPDX-License-Identifier: Apache-2.0
"""A gateway that dies resets its connections; it never seems to end them."""
import random
import signal
import time

import pytest

import ends

MIB = 1 << 20
WINDOW_S = 2
# More than the window and the kernel's buffers of four sockets can hold, 75
# MiB, so that nobody has sent everything when the crash comes.
LENGTH = 96 * MIB
LIMITS = {"window": "2MiB"}


def transfer(pair, listener, count=4):
    """Connections in the middle of a transfer, each way by turns."""
    flows = []
    pool = memoryview(random.Random(9).randbytes(LENGTH + count * 1000))
    for index in range(count):
        client, server = ends.both_ends(listener, pair.port)
        a, b = (client, server) if index % 2 == 0 else (server, client)
        data = pool[index * 1000:][:LENGTH]
        a.settimeout(60)
        sender = ends.Sender(a, data)
        begun = ends.receive(b, MIB)
        assert begun == data[:MIB]
        flows.append((client, server, b, sender, data))
    assert all(flow[3].is_alive() for flow in flows)
    return flows


def must_be_reset(flows):
    """All of them, in both directions, after an exact prefix."""
    readers = [(ends.Receiver(reader), data)
               for _, _, reader, _, data in flows]
    for receiver, data in readers:
        receiver.join(60)
        assert receiver.how == "reset"
        assert data[MIB:MIB + len(receiver.data)] == receiver.data
    for client, server, _, sender, _ in flows:
        sender.join(60)
        assert isinstance(sender.error, ends.RESETS)
        client.close()
        server.close()


@pytest.mark.parametrize("victim", ["near", "far"])
def test_killed(kit, victim):
    """The other side resets when the resume window ends."""
    pair = kit.forward(resume_window=f"{WINDOW_S}s", limits=LIMITS)
    with ends.listen(pair.target) as listener:
        flows = transfer(pair, listener)
        getattr(pair, victim).kill()
        start = time.monotonic()
        must_be_reset(flows)
        assert time.monotonic() - start < WINDOW_S + 5


@pytest.mark.parametrize("victim", ["near", "far"])
def test_killed_and_back(kit, victim):
    """Who comes back knows nothing of the link and says so at once."""
    pair = kit.forward(resume_window="5m", limits=LIMITS)
    with ends.listen(pair.target) as listener:
        flows = transfer(pair, listener)
        gateway = getattr(pair, victim)
        gateway.kill()
        gateway.start()
        start = time.monotonic()
        must_be_reset(flows)
        assert time.monotonic() - start < 15
        # And it works again.
        pair.wait_up()
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            ends.swap(client, server, b"again", b"and back")
        pair.wait_streams(0)


def test_idle_connections_are_reset_too(kit):
    pair = kit.forward(resume_window="5m")
    with ends.listen(pair.target) as listener:
        socks = [sock for _ in range(10)
                 for sock in ends.both_ends(listener, pair.port)]
        pair.wait_streams(10)
        pair.far.kill()
        pair.far.start()
        for sock in socks:
            assert ends.drain(sock) == (b"", "reset")
            sock.close()


def test_half_closed_at_the_crash(kit):
    """The end that was passed on stays an end; the rest is reset."""
    pair = kit.forward(resume_window="5m")
    with ends.listen(pair.target) as listener:
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            client.sendall(b"question")
            client.shutdown(ends.socket.SHUT_WR)
            assert ends.drain(server) == (b"question", "end")
            server.sendall(b"half an ans")
            assert ends.receive(client, 11) == b"half an ans"
            pair.near.kill()
            assert ends.drain(client) == (b"", "reset")
            pair.near.start()
            assert ends.is_cut(server)


@pytest.mark.parametrize("victim", ["near", "far"])
def test_stopped_for_a_while(kit, victim):
    """A process that is paused within the window loses nothing."""
    pair = kit.forward(resume_window="60s")
    with ends.listen(pair.target) as listener:
        client, server = ends.both_ends(listener, pair.port)
        data = random.Random(1).randbytes(8 * MIB)
        with client, server:
            sender = ends.Sender(client, data)
            begun = ends.receive(server, MIB)
            gateway = getattr(pair, victim)
            gateway.signal(signal.SIGSTOP)
            time.sleep(2)
            gateway.signal(signal.SIGCONT)
            received, how = ends.drain(server)
            sender.join()
            assert how == "end"
            assert ends.digest(begun + received) == ends.digest(data)


def test_terminated(kit):
    """SIGTERM without connections: a clean exit, soon."""
    pair = kit.forward()
    start = time.monotonic()
    assert pair.near.stop() == 0
    assert pair.far.stop() == 0
    assert time.monotonic() - start < 5
