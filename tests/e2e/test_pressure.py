# SPDX-License-Identifier: Apache-2.0
"""Many connections at once, all writing, over a link that takes little."""
import os
import random
import selectors
import threading
import time

import ends
from gateways import wait_for

PIECE = 65536


class EchoServer(threading.Thread):
    """Echoes on any number of connections without ever holding up reading
    one for the sake of another."""

    def __init__(self, listener):
        super().__init__(daemon=True)
        self.listener = listener
        self.listener.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ)
        self.waiting = {}
        self.stopping = False
        self.start()

    def run(self):
        while not self.stopping:
            for key, events in self.selector.select(0.1):
                if key.fileobj is self.listener:
                    self.accept()
                else:
                    self.serve(key.fileobj, events)
        for sock in self.waiting:
            sock.close()
        self.listener.close()

    def accept(self):
        try:
            sock = self.listener.accept()[0]
        except BlockingIOError:
            return
        sock.setblocking(False)
        self.waiting[sock] = bytearray()
        self.selector.register(sock, selectors.EVENT_READ)

    def serve(self, sock, events):
        waiting = self.waiting[sock]
        try:
            if events & selectors.EVENT_READ:
                data = sock.recv(PIECE)
                waiting += data
                if not data:
                    self.drop(sock)
                    return
            if waiting:
                del waiting[:sock.send(waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self.drop(sock)
            return
        # Not more than a little unsent: this side, too, stops reading.
        wanted = 0
        if len(waiting) < PIECE:
            wanted |= selectors.EVENT_READ
        if waiting:
            wanted |= selectors.EVENT_WRITE
        self.selector.modify(sock, wanted)

    def drop(self, sock):
        self.selector.unregister(sock)
        del self.waiting[sock]
        sock.close()

    def stop(self):
        self.stopping = True
        self.join()


class Talker:
    """One client: sends all its bytes while it checks what comes back."""

    def __init__(self, port, data):
        self.sock = ends.connect(port)
        self.sock.setblocking(False)
        self.data = data
        self.sent = 0
        self.received = 0

    def wanted(self):
        events = selectors.EVENT_READ
        if self.sent < len(self.data):
            events |= selectors.EVENT_WRITE
        return events

    def work(self, events):
        if events & selectors.EVENT_WRITE:
            try:
                self.sent += self.sock.send(
                    self.data[self.sent:self.sent + PIECE])
            except BlockingIOError:
                pass
        if events & selectors.EVENT_READ:
            back = self.sock.recv(PIECE)
            assert back
            end = self.received + len(back)
            assert back == self.data[self.received:end]
            self.received = end

    def is_done(self):
        return self.received == len(self.data)


def talk_all(talkers, patience_s):
    """Until all have everything back."""
    end = time.monotonic() + patience_s
    with selectors.DefaultSelector() as selector:
        for talker in talkers:
            selector.register(talker.sock, talker.wanted(), talker)
        left = len(talkers)
        while left > 0:
            ready = selector.select(1)
            for key, events in ready:
                talker = key.data
                talker.work(events)
                if talker.is_done():
                    selector.unregister(talker.sock)
                    left -= 1
                elif talker.sent == len(talker.data):
                    selector.modify(talker.sock, talker.wanted(), talker)
            assert time.monotonic() < end, f"{left} are not done"


def test_a_thousand_echoes_over_a_small_link(kit):
    """Both sides write at once on every connection: nobody waits for ever."""
    pair = kit.forward(relay=["--queue", "10KiB", "--rate", "100mbit",
                              "--delay", "2ms"])
    server = EchoServer(ends.listen(pair.target))
    pool = random.Random(1).randbytes(1 << 20)
    talkers = [Talker(pair.port, pool[index * 100:index * 100 + 30000])
               for index in range(1000)]
    talk_all(talkers, 100)
    for talker in talkers:
        talker.sock.close()
    pair.wait_streams(0, 30)
    server.stop()


def test_idle_connections_between_busy_ones(kit):
    """2,000 idle connections do not slow one down, and cost little."""
    pair = kit.forward()
    server = EchoServer(ends.listen(pair.target))
    idle = [ends.connect(pair.port) for _ in range(100)]
    pair.wait_streams(100)
    before = [resident(gateway) for gateway in (pair.near, pair.far)]
    idle += [ends.connect(pair.port) for _ in range(2000)]
    pair.wait_streams(2100, 30)
    after = [resident(gateway) for gateway in (pair.near, pair.far)]
    for low, high in zip(before, after):
        assert high - low <= 2000 * 4096
    busy = Talker(pair.port, os.urandom(8 << 20))
    start = time.monotonic()
    talk_all([busy], 60)
    assert time.monotonic() - start < 10
    for sock in idle[::100]:
        sock.sendall(b"alive")
        assert ends.receive(sock, 5) == b"alive"
    for sock in idle:
        sock.close()
    busy.sock.close()
    pair.wait_streams(0, 30)
    server.stop()


def resident(gateway):
    """Bytes of memory in use."""
    with open(f"/proc/{gateway.pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_burst_of_connections(kit):
    """Many that come and go at once, while others work undisturbed."""
    pair = kit.forward()
    server = EchoServer(ends.listen(pair.target))
    steady = Talker(pair.port, os.urandom(16 << 20))
    stop = threading.Event()
    count = [0]

    def storm():
        while not stop.is_set():
            with ends.connect(pair.port) as sock:
                if count[0] % 2 == 0:
                    sock.sendall(b"x")
                    assert ends.receive(sock, 1) == b"x"
                else:
                    ends.reset(sock)
            count[0] += 1

    storms = [threading.Thread(target=storm) for _ in range(4)]
    for thread in storms:
        thread.start()
    talk_all([steady], 60)
    stop.set()
    for thread in storms:
        thread.join()
    steady.sock.close()
    assert count[0] > 50
    pair.wait_streams(0, 30)
    server.stop()
    wait_for("descriptors are back",
             lambda: pair.near.descriptors() < 40 and
             pair.far.descriptors() < 40)


def test_full_disk_for_the_log(kit):
    """A log that cannot be written holds nobody up."""
    pair = kit.forward(start=False)
    for gateway in (pair.near, pair.far):
        os.symlink("/dev/full", gateway.log_file)
    pair.start()
    with ends.listen(pair.target) as listener:
        for _ in range(20):
            client, server = ends.both_ends(listener, pair.port)
            with client, server:
                ends.swap(client, server, b"to", b"fro")
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            ends.reset(server)
            assert ends.drain(client) == (b"", "reset")
    assert pair.near.ask("status")["gateway"]["log_dropped"] >= 20
    assert pair.near.stop() == 0
