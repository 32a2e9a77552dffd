# SPDX-License-Identifier: Apache-2.0
"""Many connections: what an idle one costs, and that busy ones never lock
each other up."""
import json
import multiprocessing
import os
import random
import resource
import selectors
import socket
import time

import ends
from gateways import HOST

IDLE_MAX = 10000
IDLE_BYTES = 4096
# How long status may take; the least of some, for others use the machine.
STATUS_S = 0.05
STATUS_TRIES = 10
SPARE = 600
MESSAGE = b"An idle connection was not idle all its life. " * 50
ECHO_STREAMS = 1000


# ---- processes of their own: descriptors are few ----

class Crowd:
    """Clients or servers in a process of their own, at the end of a pipe."""

    def __init__(self, run, *args):
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=run, args=(other, *args),
                                       daemon=True)
        self.process.start()
        other.close()

    def say(self, word):
        self.pipe.send(word)

    def hear(self, patience_s=60):
        if not self.pipe.poll(patience_s):
            raise TimeoutError("no word from the crowd")
        return self.pipe.recv()

    def close(self):
        self.pipe.close()
        self.process.kill()
        self.process.join()


def all_descriptors():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def idle_servers(pipe, port, count):
    """Accept so many, answer each, and keep them."""
    all_descriptors()
    with ends.listen(port) as listener:
        pipe.send("listens")
        socks = []
        while len(socks) < count:
            sock = ends.accept(listener)
            socks.append(sock)
            assert ends.receive(sock, len(MESSAGE)) == MESSAGE
            sock.sendall(MESSAGE)
        pipe.send(len(socks))
        pipe.recv()


def idle_clients(pipe, port, count):
    all_descriptors()
    socks = []
    for _ in range(count):
        sock = ends.connect(port)
        sock.sendall(MESSAGE)
        socks.append(sock)
        assert ends.receive(sock, len(MESSAGE)) == MESSAGE
    pipe.send(len(socks))
    pipe.recv()


def private_bytes(gateway):
    """Memory of the process that is its alone."""
    total = 0
    with open(f"/proc/{gateway.pid}/smaps_rollup", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("Private_"):
                total += int(line.split()[1]) * 1024
    return total


def least_s(what):
    """The shortest of some tries."""
    times = []
    for _ in range(STATUS_TRIES):
        start = time.monotonic()
        what()
        times.append(time.monotonic() - start)
    return min(times)


def test_idle_connections(kit):
    """At most 4 KiB of user memory each, and no processor time; looking at
    them is quick, and a page is a page."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(IDLE_MAX, hard - SPARE)
    limits = [(resource.RLIMIT_NOFILE, hard)]
    pair = kit.forward(start=False, log={"level": "warn"})
    pair.near.limits = pair.far.limits = limits
    pair.start()
    gateways = (pair.near, pair.far)
    servers = Crowd(idle_servers, pair.target, count)
    clients = None
    try:
        assert servers.hear() == "listens"
        empty = [private_bytes(gateway) for gateway in gateways]
        clients = Crowd(idle_clients, pair.port, count)
        assert clients.hear() == count
        assert servers.hear() == count
        pair.wait_streams(count)
        time.sleep(3)
        full = [private_bytes(gateway) for gateway in gateways]
        each = [(after - before) / count
                for before, after in zip(empty, full)]
        before = [gateway.cpu_s() for gateway in gateways]
        time.sleep(10)
        used = [gateway.cpu_s() - cpu
                for gateway, cpu in zip(gateways, before)]
        print(f"{count} idle: {each} bytes each, {used} s of 10")
        assert max(each) <= IDLE_BYTES
        assert max(used) <= 0.1
        status = [least_s(lambda: gateway.ask("status"))
                  for gateway in gateways]
        page = least_s(lambda: pair.near.ask("streams", limit=512))
        start = time.monotonic()
        shown = kit.compressnet("top", "--json", "-n", "1", "--limit",
                                str(IDLE_MAX), "--socket", pair.near.socket)
        took = time.monotonic() - start
        print(f"status: {status} s, a page: {page} s, top: {took} s")
        assert max(status) <= STATUS_S
        assert page <= STATUS_S
        assert shown.returncode == 0
        assert len(json.loads(shown.stdout)["rows"]) == count
        # They go again, and their memory can be used for others.
        clients.close()
        servers.close()
        pair.wait_streams(0, patience_s=30)
    finally:
        servers.close()
        if clients is not None:
            clients.close()


# ---- echoes ----

def echo_servers(pipe, port):
    """Send back what comes, without reading ahead of what could be sent."""
    all_descriptors()
    selector = selectors.DefaultSelector()
    with ends.listen(port) as listener:
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, None)
        pipe.send("listens")
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    sock = listener.accept()[0]
                    sock.setblocking(False)
                    selector.register(sock, selectors.EVENT_READ,
                                      bytearray())
                else:
                    echo_turn(selector, key.fileobj, key.data)


def echo_turn(selector, sock, waiting):
    try:
        if not waiting:
            waiting += sock.recv(16384)
            if not waiting:
                selector.unregister(sock)
                sock.close()
                return
        del waiting[:sock.send(waiting)]
    except BlockingIOError:
        pass
    except OSError:
        selector.unregister(sock)
        sock.close()
        return
    selector.modify(sock, selectors.EVENT_WRITE if waiting
                    else selectors.EVENT_READ, waiting)


class Caller:
    """Sends its bytes to an echo and checks what comes back."""

    def __init__(self, port, seed, size):
        self.data = random.Random(seed).randbytes(size)
        self.sent = self.heard = 0
        self.sock = ends.connect(port)
        self.sock.setblocking(False)

    def turn(self, events):
        """Returns true when it is done."""
        if events & selectors.EVENT_WRITE and self.sent < len(self.data):
            try:
                self.sent += self.sock.send(self.data[self.sent:])
            except BlockingIOError:
                pass
        if events & selectors.EVENT_READ:
            part = self.sock.recv(65536)
            assert part, "ended early"
            assert self.data[self.heard:self.heard + len(part)] == part
            self.heard += len(part)
        return self.heard == len(self.data)

    def wanted(self):
        more = self.sent < len(self.data)
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if more else 0)


def echo_clients(pipe, port, count, size):
    """So many at once; says how many came back whole."""
    all_descriptors()
    selector = selectors.DefaultSelector()
    for seed in range(count):
        caller = Caller(port, seed, size)
        selector.register(caller.sock, caller.wanted(), caller)
    done = 0
    while done < count:
        events = selector.select(30)
        if not events:
            break
        for key, mask in events:
            if key.data.turn(mask):
                selector.unregister(key.fileobj)
                key.fileobj.close()
                done += 1
            else:
                selector.modify(key.fileobj, key.data.wanted(), key.data)
    pipe.send(done)
    pipe.recv()


def test_echoes_from_both_sides(kit):
    """Streams that either side opened, both ends of each writing; the link
    has room for 10 KiB.  They all come through."""
    pair = kit.forward(relay=["--delay", "2ms", "--rate", "200mbit",
                              "--queue", "10KiB"],
                       start=False, workers=2,
                       log={"level": "warn"})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    pair.near.limits = pair.far.limits = [(resource.RLIMIT_NOFILE, hard)]
    # Two ways in, one from each side.
    back_port, back_target = kit.ports.take(), kit.ports.take()
    pair.far.config["services"] = {
        "back": {"listen": f"{HOST}:{back_port}", "peer": "near"}}
    pair.near.config["offers"] = {
        "back": {"to": f"{HOST}:{back_target}", "peers": ["far"]}}
    pair.far.write(pair.far.config)
    pair.near.write(pair.near.config)
    pair.start()
    crowds = [Crowd(echo_servers, port)
              for port in (pair.target, back_target)]
    try:
        for crowd in crowds:
            assert crowd.hear() == "listens"
        half = ECHO_STREAMS // 2
        clients = [Crowd(echo_clients, port, half, 24000)
                   for port in (pair.port, back_port)]
        crowds += clients
        for crowd in clients:
            assert crowd.hear(90) == half
        pair.wait_streams(0)
    finally:
        for crowd in crowds:
            crowd.close()
