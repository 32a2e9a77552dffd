# SPDX-License-Identifier: Apache-2.0
"""A gateway without descriptors pauses; it neither spins nor lies."""
import resource
import socket
import time

import ends

CLIENTS = 150
LIMIT = 240
# Of those, what is left for streams: the rest is the gateway's own.
LEAST, MOST = 40, 120


def test_descriptors(kit):
    pair = kit.forward(start=False)
    pair.near.limits = [(resource.RLIMIT_NOFILE, LIMIT)]
    pair.start()
    server = ends.Server(ends.listen(pair.target), ends.echo)
    clients = [ends.connect(pair.port) for _ in range(CLIENTS)]
    alive, waiting = [], []
    for client in clients:
        client.sendall(b"hello")
    time.sleep(1)
    for client in clients:
        client.setblocking(False)
        try:
            # Neither an end nor a reset for those who wait.
            assert client.recv(5) == b"hello"
            alive.append(client)
        except BlockingIOError:
            waiting.append(client)
        client.settimeout(ends.PATIENCE_S)
    assert LEAST <= len(alive) <= MOST
    assert len(alive) + len(waiting) == CLIENTS
    # It rests.
    before = pair.near.cpu_s()
    time.sleep(2)
    assert pair.near.cpu_s() - before <= 0.1
    # Those who are in do not notice.
    for client in alive:
        client.sendall(b"still")
        assert ends.receive(client, 5) == b"still"
    # Room for some: they get their turn, and all by and by.
    while waiting:
        for client in alive:
            client.shutdown(socket.SHUT_WR)
            assert ends.drain(client) == (b"", "end")
            client.close()
        alive, waiting = waiting[:10], waiting[10:]
        for client in alive:
            assert ends.receive(client, 5) == b"hello"
    for client in alive:
        client.close()
    pair.wait_streams(0)
    server.close()


def test_descriptors_of_the_far_side(kit):
    """It cannot dial: the client is reset, and later served again."""
    pair = kit.forward(start=False)
    pair.far.limits = [(resource.RLIMIT_NOFILE, LIMIT)]
    pair.start()
    server = ends.Server(ends.listen(pair.target), ends.echo)
    served, refused = [], 0
    for _ in range(CLIENTS):
        try:
            # The reset may come before connect() has returned.
            client = ends.connect(pair.port)
            client.sendall(b"hello")
            assert ends.receive(client, 5) == b"hello"
            served.append(client)
        except ends.RESETS:
            refused += 1
    assert LEAST <= len(served) <= MOST
    assert len(served) + refused == CLIENTS
    for client in served:
        client.close()
    pair.wait_streams(0)
    with ends.connect(pair.port) as client:
        client.sendall(b"hello")
        assert ends.receive(client, 5) == b"hello"
    server.close()
