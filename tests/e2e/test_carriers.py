# SPDX-License-Identifier: Apache-2.0
"""Several carriers, several workers, keys that change, paths that change."""
import os
import random
import socket
import subprocess
import threading
import time

import pytest

import ends
import netns
from gateways import HOST, built, wait_for
from test_reload import counter

MIB = 1 << 20


# ---- a path that can be narrowed ----

class Path:
    """Relays connections between two ports; can cut one, and let only so
    many exist at a time."""

    def __init__(self, kit, to):
        self.to = to
        self.most = None
        self.flows = []
        self.refused = 0
        self.lock = threading.Lock()
        self.port = kit.ports.take()
        self.server = ends.Server(ends.listen(self.port), self.serve)

    def serve(self, near):
        with self.lock:
            if self.most is not None and len(self.flows) >= self.most:
                self.refused += 1
                ends.reset(near)
                return
            far = socket.create_connection((HOST, self.to))
            flow = (near, far)
            self.flows.append(flow)
        other = threading.Thread(target=self.pump, args=(far, near),
                                 daemon=True)
        other.start()
        self.pump(near, far)
        other.join()
        with self.lock:
            if flow in self.flows:
                self.flows.remove(flow)
        far.close()

    def pump(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        self.end((source, sink))

    def cut(self, index, most):
        """Cut one for good: from now on there are at most so many."""
        with self.lock:
            self.most = most
            flow = self.flows.pop(index)
        self.end(flow)

    @staticmethod
    def end(flow):
        for sock in flow:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.server.close()


def through_path(kit, carriers, **options):
    """A pair with its carriers on a path of that kind."""
    pair = kit.forward(start=False, **options)
    pair.path = Path(kit, int(
        pair.far.config["gateway"]["listen"].rsplit(":", 1)[1]))
    pair.near.config["peers"]["far"].update(
        address=f"{HOST}:{pair.path.port}", carriers=carriers)
    pair.near.write(pair.near.config)
    pair.start()
    return pair


def carriers_up(gateway, name):
    return sum(carrier["state"] == "up"
               for link in gateway.peer(name)["links"]
               for carrier in link["carriers"])


class Flows:
    """Connections that carry bytes both ways the whole time."""

    def __init__(self, listener, port, count):
        self.stopping = threading.Event()
        self.moved = [0] * count
        self.errors = []
        self.threads = []
        for index in range(count):
            client, server = ends.both_ends(listener, port)
            thread = threading.Thread(target=self.run, daemon=True,
                                      args=(index, client, server))
            thread.start()
            self.threads.append(thread)

    def run(self, index, client, server):
        data = random.Random(index).randbytes(50000)
        try:
            with client, server:
                while not self.stopping.is_set():
                    for a, b in ((client, server), (server, client)):
                        sender = ends.Sender(a, data, shut=False)
                        assert ends.receive(b, len(data)) == data
                        sender.join()
                    self.moved[index] += len(data)
                client.shutdown(socket.SHUT_WR)
                assert ends.drain(server) == (b"", "end")
        except Exception as error:  # handed to the test
            self.errors.append(error)

    def progress(self, patience_s=10):
        """All of them move on from here."""
        before = list(self.moved)
        wait_for("all move on", lambda: self.errors or all(
            now > then for now, then in zip(self.moved, before)), patience_s)
        assert self.errors == []

    def finish(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()
        assert self.errors == []


@pytest.mark.parametrize("carriers", [2, 4])
def test_one_carrier_is_cut_for_long(kit, carriers):
    """The streams of a carrier that does not come back go on by another,
    long before the resume window is over; they return when it is back."""
    pair = through_path(kit, carriers, resume_window="60s")
    wait_for("all carriers are up",
             lambda: carriers_up(pair.near, "far") == carriers)
    with ends.listen(pair.target) as listener:
        flows = Flows(listener, pair.port, 3 * carriers)
        flows.progress()
        for index in range(carriers - 1):
            pair.path.cut(0, carriers - 1 - index)
            flows.progress()
        assert pair.near.peer("far")["state"] == "degraded"
        # New streams, too.
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            ends.swap(client, server, b"over", b"there")
        pair.path.most = None
        wait_for("all carriers are back",
                 lambda: carriers_up(pair.near, "far") == carriers, 25)
        flows.progress()
        flows.finish()
    pair.wait_streams(0)
    pair.path.close()


@pytest.mark.parametrize("near, far", [(1, 4), (2, 1), (2, 2), (4, 2)])
def test_workers(kit, near, far):
    """As many links as the larger number of workers; all of them used."""
    pair = kit.forward(near={"workers": near}, far={"workers": far})
    links = max(near, far)
    for gateway, other in ((pair.near, "far"), (pair.far, "near")):
        wait_for("all links are up", lambda: [
            link["state"] for link in gateway.peer(other)["links"]] ==
            ["up"] * links)
    with ends.listen(pair.target) as listener:
        flows = Flows(listener, pair.port, 40)
        flows.progress()
        used = {stream["worker"] for stream in
                pair.near.ask("streams")["streams"]}
        assert used == set(range(near))
        links_used = {stream["link"] for stream in
                      pair.near.ask("streams")["streams"]}
        assert len(links_used) >= near
        flows.finish()
    pair.wait_streams(0)


def both_addresses(kit, start=True):
    """Two gateways that could both dial."""
    port = {name: kit.ports.take() for name in ("one", "two")}
    listen, target = kit.ports.take(), kit.ports.take()

    def config(name, other):
        return {
            "gateway": {"listen": f"{HOST}:{port[name]}"},
            "peers": {other: {"address": f"{HOST}:{port[other]}",
                              "identity": kit.identity(other)}}}
    one = config("one", "two")
    one["services"] = {"echo": {"listen": f"{HOST}:{listen}", "peer": "two"}}
    two = config("two", "one")
    two["offers"] = {"echo": {"to": f"{HOST}:{target}", "peers": ["one"]}}
    gateways = {"one": kit.gateway("one", one), "two": kit.gateway("two", two)}
    return gateways, listen, target


@pytest.mark.parametrize("first", ["one", "two"])
def test_both_have_addresses(kit, first):
    """Whoever comes first, the lower identity dials in the end, and there is
    one link."""
    gateways, port, target = both_addresses(kit)
    second = "two" if first == "one" else "one"
    gateways[first].start()
    gateways[second].start()
    gateways["one"].wait_peer("two")
    gateways["two"].wait_peer("one")
    with ends.listen(target) as listener:
        client, server = ends.both_ends(listener, port)
        with client, server:
            ends.swap(client, server, b"question", b"answer")
    time.sleep(2)
    dialled = {}
    for name, other in (("one", "two"), ("two", "one")):
        links = gateways[name].peer(other)["links"]
        assert len(links) == 1, links
        dialled[name] = links[0]["carriers"][0]["is_dialler"]
    keys = {name: gateways[name].ask("status")["gateway"]["identity"]
            for name in gateways}
    lower = min(keys, key=lambda name: raw(keys[name]))
    assert dialled[lower] and not dialled[
        "two" if lower == "one" else "one"]


def raw(identity):
    """The order of identities is that of their bytes, not of base32, whose
    digits come behind its letters."""
    return [("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".index(char))
            for char in identity.replace("-", "")]


# ---- keys ----

def test_keys_change_under_load(kit):
    """New TLS keys every 100 kB, unnoticed by anybody."""
    plain = kit.environment()
    kit.environment = lambda: {
        **plain, "COMPRESSNET_TEST_REKEY_BYTES": "100000"}
    pair = kit.forward(relay=["--delay", "1ms"])
    source = random.Random(1)
    with ends.listen(pair.target) as listener:
        flows = [ends.both_ends(listener, pair.port) for _ in range(3)]
        for client, server in flows:
            # What the other side has seen would not cross again.
            ends.swap(client, server, source.randbytes(8 * MIB),
                      source.randbytes(8 * MIB))
    pair.wait_streams(0)
    for gateway in (pair.near, pair.far):
        gateway.may_end = True
        wait_for("rekeys are counted", lambda: rekeys(gateway) > 100)
    assert pair.near.peer("far")["resumes"] == 0


def rekeys(gateway):
    return counter(gateway, "carrier_rekeys")


# ---- paths ----

def test_black_hole(kit):
    """Silence on the path for five seconds, then a cut: all goes on."""
    pair = kit.forward(relay=["--delay", "2ms"], resume_window="20s")
    with ends.listen(pair.target) as listener:
        flows = Flows(listener, pair.port, 5)
        flows.progress()
        pair.wan.command("stall 5s")
        time.sleep(2.5)
        pair.wan.command("cut")
        flows.progress(patience_s=15)
        flows.finish()
    assert pair.near.peer("far")["resumes"] >= 1
    pair.wait_streams(0)


def test_far_restarts(kit):
    """A gateway that ends and comes back: streams are reset at once, since
    it said goodbye; the next ones work."""
    pair = kit.forward(resume_window="5m")
    with ends.listen(pair.target) as listener:
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            client.sendall(b"x")
            assert ends.receive(server, 1) == b"x"
            start = time.monotonic()
            pair.far.signal(15)
            pair.far.may_end = True
            wait_for("it drains", lambda: pair.far.events("draining"))
            pair.far.signal(15)
            assert ends.drain(client) == (b"", "reset")
            assert time.monotonic() - start < 3
            assert pair.far.process.wait(10) == 0
        pair.far.start()
        pair.wait_up()
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            ends.swap(client, server, b"again", b"and back")
    pair.wait_streams(0)


def start_in(host, gateway):
    """Run a gateway on another host, as whoever we are here: a namespace is
    closed to others."""
    for path in (gateway.config["gateway"]["key"], gateway.config_file):
        os.chown(path, os.geteuid(), os.getegid())
    with open(gateway.log_file, "ab") as log:
        gateway.process = host.popen(
            [built("src/gateway/compressnetd"), "-c", gateway.config_file],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    gateway.wait_ready()


CLIENT = """
import socket, sys, threading
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("up", flush=True)
for line in sys.stdin:
    data = (line * 3000).encode()
    sender = threading.Thread(target=sock.sendall, args=(data,))
    sender.start()
    back = b""
    while len(back) < len(data):
        part = sock.recv(65536)
        assert part
        back += part
    sender.join()
    assert back == data
    print("back", flush=True)
sock.shutdown(socket.SHUT_WR)
assert sock.recv(1) == b""
print("end", flush=True)
"""

SERVER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("up", flush=True)
sock = listener.accept()[0]
while data := sock.recv(65536):
    sock.sendall(data)
sock.close()
"""


class Cable:
    """Two hosts and a cable between them, without an emulator."""

    def __enter__(self):
        self.user = netns.User()
        self.a = netns.Host(self.user, "192.0.2.1")
        self.b = netns.Host(self.user, "192.0.2.2")
        self.a.run(["ip", "link", "add", "eth", "type", "veth", "peer",
                    "name", "eth", "netns", str(self.b.holder.pid)])
        for host in (self.a, self.b):
            host.run(["ip", "addr", "add", f"{host.address}/30", "dev",
                      "eth"])
            host.run(["ip", "link", "set", "eth", "up"])
        return self

    def __exit__(self, *_):
        for thing in (self.a, self.b, self.user):
            thing.close()


def test_address_changes(kit):
    """The near gateway gets another address in mid-stream: the stream
    resumes over it."""
    with Cable() as cable:
        port, target = kit.ports.take(), kit.ports.take()
        far = kit.gateway("far", {
            "gateway": {"listen": f"{cable.b.address}:7003"},
            "peers": {"near": {"identity": kit.identity("near")}},
            "offers": {"echo": {"to": f"{HOST}:{target}",
                                "peers": ["near"]}}})
        near = kit.gateway("near", {
            "peers": {"far": {"address": f"{cable.b.address}:7003",
                              "identity": kit.identity("far")}},
            "services": {"echo": {"listen": f"{HOST}:{port}",
                                  "peer": "far"}}})
        start_in(cable.b, far)
        start_in(cable.a, near)
        near.wait_peer("far")
        python = ["/usr/bin/env", "python3", "-c"]
        server = cable.b.popen([*python, SERVER, str(target)], stdout=subprocess.PIPE,
                             bufsize=0)
        assert netns.read_line(server.stdout) == "up\n"
        client = cable.a.popen([*python, CLIENT, str(port)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             bufsize=0)
        try:
            assert netns.read_line(client.stdout) == "up\n"
            client.stdin.write(b"before\n")
            assert netns.read_line(client.stdout) == "back\n"
            before = [carrier["local"] for carrier in
                      near.peer("far")["links"][0]["carriers"]]
            for host, address in ((cable.b, "198.51.100.1/30"),
                                  (cable.a, "198.51.100.2/30")):
                host.run(["ip", "addr", "add", address, "dev", "eth"])
            cable.a.run(["ip", "addr", "del", f"{cable.a.address}/30",
                         "dev", "eth"])
            cable.a.run(["ip", "route", "add", f"{cable.b.address}/32",
                         "dev", "eth", "src", "198.51.100.2"])
            client.stdin.write(b"after\n")
            line = netns.read_line(client.stdout, 40)
            assert line == "back\n"
            after = [carrier["local"] for carrier in
                     near.peer("far")["links"][0]["carriers"]]
            assert before[0].startswith(cable.a.address)
            assert after[0].startswith("198.51.100.2")
            client.stdin.close()
            assert netns.read_line(client.stdout) == "end\n"
            assert client.wait(10) == 0
        finally:
            for process in (client, server):
                process.kill()
                process.wait()
            near.kill()
            far.kill()
