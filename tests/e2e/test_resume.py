# SPDX-License-Identifier: Apache-2.0
"""Connections outlive the carriers that carry them."""
import random
import threading
import time

import pytest

import ends

MIB = 1 << 20


class Talk(threading.Thread):
    """Sends pieces to an echo server and checks what comes back, until it is
    told to stop; then ends cleanly."""

    def __init__(self, port, seed):
        super().__init__(daemon=True)
        self.port = port
        self.rng = random.Random(seed)
        self.stopping = threading.Event()
        self.bytes = 0
        self.error = None
        self.start()

    def run(self):
        try:
            with ends.connect(self.port) as sock:
                sock.settimeout(60)
                while not self.stopping.is_set():
                    self.turn(sock)
                sock.shutdown(ends.socket.SHUT_WR)
                assert ends.drain(sock) == (b"", "end")
        except Exception as error:  # handed to the test
            self.error = error

    def turn(self, sock):
        data = self.rng.randbytes(self.rng.choice((1, 100, 5000, 60000)))
        sender = ends.Sender(sock, data, shut=False)
        assert ends.receive(sock, len(data)) == data
        sender.join()
        self.bytes += len(data)


def run_talks(pair, count, seconds):
    server = ends.Server(ends.listen(pair.target), ends.echo)
    talks = [Talk(pair.port, seed) for seed in range(count)]
    halfway = []
    time.sleep(seconds / 2)
    halfway = [talk.bytes for talk in talks]
    time.sleep(seconds / 2)
    for talk in talks:
        talk.stopping.set()
    for talk in talks:
        talk.join(60)
        assert not talk.is_alive()
    server.close()
    assert [talk.error for talk in talks if talk.error] == []
    # All of them moved on all the time.
    for talk, before in zip(talks, halfway):
        assert 0 < before < talk.bytes
    return sum(talk.bytes for talk in talks)


@pytest.mark.parametrize("every, delay, streams, seconds", [
    ("50ms", "1ms", 30, 10),
    ("1s", "50ms", 30, 10),
])
def test_carriers_cut_all_the_time(kit, every, delay, streams, seconds):
    pair = kit.forward(relay=["--delay", delay, "--cut-every", every])
    run_talks(pair, streams, seconds)
    assert pair.wan.stats()["cuts"] >= seconds * 0.5
    peer = pair.near.peer("far")
    assert peer["resumes"] >= 3
    pair.wait_streams(0)


def test_bulk_over_cuts(kit):
    """A large transfer each way, cut every 100 ms."""
    pair = kit.forward(relay=["--delay", "2ms", "--cut-every", "100ms",
                              "--rate", "200mbit"])
    data = random.Random(1).randbytes(16 * MIB)
    with ends.listen(pair.target) as listener:
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            ends.swap(client, server, data, data[::-1])
    pair.wait_streams(0)


def test_several_carriers(kit):
    """Two carriers for one link, cut at different times."""
    pair = kit.forward(relay=["--delay", "2ms", "--cut-every", "300ms"],
                       start=False)
    pair.near.config["peers"]["far"]["carriers"] = 2
    pair.near.write(pair.near.config)
    pair.start()
    run_talks(pair, 10, 4)
    pair.wait_streams(0)


def test_damaged_blocks_do_not_exist(kit):
    """TLS notices a flipped bit: the carrier dies, the streams do not."""
    pair = kit.forward(relay=["--delay", "1ms", "--flip-every", "1MiB"])
    run_talks(pair, 5, 5)
    pair.wait_streams(0)


def test_stall(kit):
    """The path goes silent for a while and comes back."""
    pair = kit.forward(relay=["--delay", "1ms"])
    data = random.Random(2).randbytes(8 * MIB)
    with ends.listen(pair.target) as listener:
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            sender = ends.Sender(client, data)
            begun = ends.receive(server, MIB)
            pair.wan.command("stall 3s")
            received, how = ends.drain(server)
            sender.join()
            assert sender.error is None
            assert how == "end"
            assert ends.digest(begun + received) == ends.digest(data)


def test_the_window_ends(kit):
    """No carrier for longer than resume_window: reset, never an end."""
    pair = kit.forward(relay=["--delay", "1ms"], resume_window="2s")
    with ends.listen(pair.target) as listener:
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            client.sendall(b"some")
            assert ends.receive(server, 4) == b"some"
            pair.wan.close()
            start = time.monotonic()
            assert ends.drain(client) == (b"", "reset")
            assert ends.drain(server) == (b"", "reset")
            assert 1.5 < time.monotonic() - start < 6
