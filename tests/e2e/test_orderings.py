# SPDX-License-Identifier: Apache-2.0
"""Data, end and reset from both sides in all 36 orders.

Each side does the three things in one of their six orders, in turns with
the other.  A model says what the other side must see; both must see just
that, through the gateways as on a direct connection.
"""
import itertools
import time

import pytest

import ends

ORDERS = list(itertools.permutations(("data", "end", "reset")))
NAMES = ["-".join(order) for order in ORDERS]
QUIET_S = 0.05


@pytest.fixture(scope="module")
def pair(module_kit):
    pair = module_kit.forward()
    pair.listener = ends.listen(pair.target)
    yield pair
    pair.listener.close()


class Side:
    """One application, and what the model knows of it."""

    def __init__(self, sock, name):
        self.sock = sock
        self.name = name
        self.other = None
        self.seen = b""
        self.sent = b""
        self.saw_end = False
        self.did_end = False
        self.did_reset = False
        self.was_cut = False

    def is_over(self):
        """Ended well in both directions: nothing can be reset."""
        return self.did_end and self.other.did_end

    def is_dead(self):
        return self.did_reset or self.was_cut

    def act(self, what):
        """Do it if a program could; what the other must see then."""
        if self.is_dead():
            return None
        if what == "data":
            if self.did_end:
                return None
            data = f"data of {self.name}".encode()
            self.sock.sendall(data)
            self.sent += data
            return None if self.other.is_dead() else "data"
        if what == "end":
            self.sock.shutdown(ends.socket.SHUT_WR)
            self.did_end = True
            return None if self.other.is_dead() else "end"
        was_over = self.is_over()
        self.did_reset = True
        ends.reset(self.sock)
        if was_over or self.other.is_dead():
            return None
        self.other.was_cut = True
        return "cut" if self.other.saw_end else "reset"

    def must_see(self, what):
        if what == "data":
            more = ends.receive(self.sock, len(self.other.sent) -
                                len(self.seen))
            self.seen += more
            assert self.seen == self.other.sent
        elif what == "end":
            assert self.sock.recv(1) == b""
            self.saw_end = True
        elif what == "reset":
            assert ends.drain(self.sock) == (b"", "reset")
        elif what == "cut":
            assert ends.is_cut(self.sock)


@pytest.mark.parametrize("server_order", ORDERS, ids=NAMES)
@pytest.mark.parametrize("client_order", ORDERS, ids=NAMES)
def test_settled(pair, client_order, server_order):
    """Each thing is seen before the next is done."""
    socks = ends.both_ends(pair.listener, pair.port)
    client, server = Side(socks[0], "client"), Side(socks[1], "server")
    client.other, server.other = server, client
    try:
        for index in range(3):
            for side, order in ((client, client_order),
                                (server, server_order)):
                side.other.must_see(side.act(order[index]))
                if not side.other.is_dead():
                    must_be_quiet(side.other)
    finally:
        for sock in socks:
            sock.close()


def must_be_quiet(side):
    """Nothing more than was said: no end or reset out of nowhere."""
    if side.saw_end:
        assert side.sock.getsockopt(ends.socket.SOL_SOCKET,
                                    ends.socket.SO_ERROR) == 0
        return
    side.sock.settimeout(0.002)
    try:
        assert side.sock.recv(1) == "nothing"
    except TimeoutError:
        pass
    finally:
        side.sock.settimeout(ends.PATIENCE_S)


def race(sock, order, delay_s):
    """Do all three; what was sent, and whether the end came before the
    reset."""
    sent = b""
    did_end = False
    for what in order:
        time.sleep(delay_s)
        try:
            if what == "data" and not did_end:
                sock.sendall(b"racing")
                sent = b"racing"
            elif what == "end":
                sock.shutdown(ends.socket.SHUT_WR)
                did_end = True
            elif what == "reset":
                ends.reset(sock)
                return sent, did_end
        except OSError:
            pass
    return sent, did_end


@pytest.mark.parametrize("delay_s", [0, 0.001])
@pytest.mark.parametrize("order", ORDERS, ids=NAMES)
def test_watched(pair, order, delay_s):
    """One side does them as fast as it can, the other only looks."""
    for flip in (False, True):
        actor, watcher = ends.both_ends(pair.listener, pair.port)
        if flip:
            actor, watcher = watcher, actor
        with actor, watcher:
            sent, did_end = race(actor, order, delay_s)
            received, how = ends.drain(watcher)
            assert sent.startswith(received)
            if how == "end":
                # Only a real end shows as one, and then nothing is missing.
                assert did_end
                assert received == sent
                # Its reset came after, and shows as such.
                assert ends.is_cut(watcher)


@pytest.mark.parametrize("server_order", ORDERS, ids=NAMES)
@pytest.mark.parametrize("client_order", ORDERS, ids=NAMES)
def test_races(pair, client_order, server_order):
    """Both at once: the gateways survive and keep nothing."""
    for _ in range(5):
        client, server = ends.both_ends(pair.listener, pair.port)
        runner = ends.threading.Thread(
            target=race, args=(client, client_order, 0))
        runner.start()
        race(server, server_order, 0)
        runner.join()
        client.close()
        server.close()


def test_nothing_is_left(pair):
    pair.wait_streams(0)
    for gateway in (pair.near, pair.far):
        assert gateway.descriptors() < 40
