# SPDX-License-Identifier: Apache-2.0
"""Files through a pair of gateways: checked at both ends, counted between.

    passes = Passes(pair, pair.target)      # the pair has a relay
    first = passes.send(data)               # bytes on the WAN: .up, .down
    again = passes.send(data)

Each send() is a connection of its own: it sends all, the server takes it to
the end and answers with its SHA-256 (or what .answer makes of it), which is
checked here to its end.  So whatever arrives otherwise is an error.
"""
import collections
import hashlib
import os
import random
import socket
import threading

import ends
from gateways import HOST

KIB = 1 << 10
MIB = 1 << 20
PATIENCE_S = 60

Cost = collections.namedtuple("Cost", "up down")


def sha256(data):
    return hashlib.sha256(data).digest()


def some_random(count, seed):
    return random.Random(seed).randbytes(count)


def some_text(count, seed):
    """Words in a random order: about a third when compressed."""
    rng = random.Random(seed)
    words = [rng.randbytes(rng.randrange(2, 9)).hex().encode()
             for _ in range(2000)]
    data = b" ".join(rng.choices(words, k=count // 10))
    return (data * (count // len(data) + 1))[:count]


def edited(data, count, seed):
    """With a few bytes changed, put in or taken out at so many places."""
    rng = random.Random(seed)
    parts = []
    done = 0
    for place in sorted(rng.sample(range(len(data) - 100), count)):
        parts.append(data[done:place])
        kind = rng.randrange(3)
        if kind != 0:
            parts.append(rng.randbytes(rng.randrange(1, 40)))
        done = max(done, place)
        if kind != 1:
            done += rng.randrange(1, 40)
    parts.append(data[done:])
    return b"".join(parts)


class Sink:
    """A server that takes a connection to its end, then answers."""

    def __init__(self, port):
        self.answer = sha256
        self.server = ends.Server(ends.listen(port), self.serve)

    def serve(self, sock):
        sock.settimeout(PATIENCE_S)
        data, how = ends.drain(sock)
        if how == "end":
            sock.sendall(self.answer(data))
            sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.server.close()


def talk(port, data, answer=sha256, host=HOST, source=None):
    """One connection with all its bytes, from a source address perhaps."""
    with socket.socket() as sock:
        sock.settimeout(PATIENCE_S)
        if source is not None:
            sock.bind((source, 0))
        sock.connect((host, port))
        sender = ends.Sender(sock, data)
        received, how = ends.drain(sock)
        sender.join(PATIENCE_S)
        assert not sender.is_alive() and sender.error is None, sender.error
        assert how == "end"
        assert sha256(received) == sha256(answer(data))


class Talks:
    """Several at once; .join() raises what the first of them raised."""

    def __init__(self, port, datas, **options):
        self.errors = []
        self.threads = [threading.Thread(target=self.run,
                                         args=(port, data, options),
                                         daemon=True) for data in datas]
        for thread in self.threads:
            thread.start()

    def run(self, port, data, options):
        try:
            talk(port, data, **options)
        except Exception as error:  # handed to join()
            self.errors.append(error)

    def join(self):
        for thread in self.threads:
            thread.join(2 * PATIENCE_S)
            assert not thread.is_alive()
        if self.errors:
            raise self.errors[0]


class Passes:
    """What passes through a pair, one at a time, and what it costs."""

    def __init__(self, pair, port=None):
        self.pair = pair
        self.port = port if port is not None else pair.port
        self.sink = Sink(pair.target)

    def wan(self):
        stats = self.pair.wan.stats()
        return Cost(stats["up_in"], stats["down_in"])

    def settle(self):
        """Nothing is under way any more."""
        self.pair.wait_streams(0, PATIENCE_S)

    def send(self, data, port=None, **options):
        """WAN bytes of one connection and its answer."""
        self.settle()
        before = self.wan()
        talk(port or self.port, data, answer=self.sink.answer, **options)
        self.settle()
        after = self.wan()
        return Cost(after.up - before.up, after.down - before.down)

    def close(self):
        self.sink.close()


def stored(gateway):
    """The figures of a gateway's store."""
    return gateway.ask("store")


def counter(gateway, name):
    return next(one["value"] for one in gateway.ask("status")["counters"]
                if one["name"] == name)


# ---- stores on a disk ----

def folder_of(gateway):
    return os.path.join(gateway.folder, "store")


def file_of(gateway):
    return os.path.join(folder_of(gateway), "segments")


def put_store(gateway, **keys):
    """Give a gateway that does not run yet a store in its folder."""
    gateway.config["store"] = {"path": folder_of(gateway), "size": "256MiB",
                               "memory": "64MiB", **keys}
    gateway.write(gateway.config)


def disk_pair(kit, relay=(), **keys):
    """A pair, each with a store on the disk."""
    pair = kit.forward(relay=list(relay), start=False, resume_window="2s")
    for gateway in (pair.near, pair.far):
        put_store(gateway, **keys)
    pair.start()
    return pair
