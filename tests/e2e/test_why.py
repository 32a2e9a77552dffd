# SPDX-License-Identifier: Apache-2.0
"""Why bytes are not less on the wire: each reason, with traffic that has it,
and which rule carries what."""
import gzip
import json
import os
import random
import socket
import ssl
import subprocess
import threading
import time

import pytest

import ends
from gateways import HOST, wait_for
from passes import MIB, some_random, some_text

OK, FAILED, USAGE = range(3)


def run(kit, gateway, *args, code=OK):
    done = kit.compressnet(*args, "--socket", gateway.socket)
    assert done.returncode == code, done
    return done


def why(kit, gateway, what, name):
    return json.loads(run(kit, gateway, what, "why", str(name),
                          "--json").stdout)


def finding(shown, reason):
    for one in shown["findings"]:
        if one["reason"] == reason:
            return one
    raise AssertionError(f"no {reason} in {shown['findings']}")


def check(shown):
    """What holds of every answer."""
    fates = shown["fates"]
    for name, value in fates.items():
        assert value == shown["sent"][name] + shown["received"][name]
    assert fates["wan"] == fates["raw"] + fates["coded"] + fates["framing"]
    sizes = [one["bytes"] for one in shown["findings"]]
    known = [one for one in shown["findings"]
             if one["reason"] not in ("scope", "unix-eof")]
    assert [one["bytes"] for one in known] == sorted(
        (one["bytes"] for one in known), reverse=True)
    assert sum(one["bytes"] for one in known) <= fates["wan"] * 1.001
    for one, size in zip(shown["findings"], sizes):
        assert one["bytes"] == one["sent"] + one["received"] == size
        assert one["text"] and one["fix"] and one["evidence"] is not None
        assert one["share"] == size * 1000 // max(fates["wan"], 1)


def stream_of(gateway, service="echo"):
    found = wait_for("a stream", lambda: [
        one for one in gateway.ask("streams")["streams"]
        if one["service"] == service])
    return found[-1]


class Line:
    """A connection that stays open, with both its ends here."""

    def __init__(self, pair, port=None, source=None):
        with ends.listen(pair.target) as listener:
            if source is None:
                self.near = ends.connect(port or pair.port)
            else:
                self.near = socket.create_connection(
                    (HOST, port or pair.port), source_address=(source, 0))
                self.near.settimeout(ends.PATIENCE_S)
            self.near.sendall(b"!")
            self.far = ends.accept(listener)
            assert ends.receive(self.far, 1) == b"!"

    @staticmethod
    def move(data, source, sink):
        sender = threading.Thread(target=source.sendall, args=(data,))
        sender.start()
        assert ends.receive(sink, len(data)) == data
        sender.join()

    def send(self, data):
        self.move(data, self.near, self.far)

    def back(self, data):
        self.move(data, self.far, self.near)

    def close(self):
        self.near.close()
        self.far.close()


@pytest.fixture
def lines():
    made = []

    def make(*args, **options):
        made.append(Line(*args, **options))
        return made[-1]
    yield make
    for line in made:
        line.close()


def top_of(kit, gateway, reason, share=900, word=None):
    """The live stream's and the service's first finding are that one."""
    stream = stream_of(gateway)
    for shown in (why(kit, gateway, "streams", stream["id"]),
                  why(kit, gateway, "services", "echo")):
        check(shown)
        assert shown["findings"][0]["reason"] == reason, shown["findings"]
        assert shown["findings"][0]["share"] >= share
    assert stream["why"] == (word or reason), stream
    return shown


FORMATS = {
    "gzip": lambda data: gzip.compress(data),
    "xz": lambda data: subprocess.run(["xz", "-0"], input=data, check=True,
                                      capture_output=True).stdout,
    "zstd": lambda data: subprocess.run(["zstd", "-q"], input=data,
                                        check=True,
                                        capture_output=True).stdout,
    "bzip2": lambda data: __import__("bz2").compress(data),
}


def noisy_text(size, seed):
    """Text whose compressed form is large."""
    rng = random.Random(seed)
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz 0123456789\n",
                               k=size)).encode()


@pytest.mark.parametrize("name", FORMATS)
def test_compressed(kit, lines, name):
    pair = kit.forward(store={"memory": "64MiB"})
    line = lines(pair)
    data = FORMATS[name](noisy_text(2 * MIB, 1))
    line.back(data)
    for gateway in (pair.near, pair.far):
        stream = stream_of(gateway)
        shown = why(kit, gateway, "streams", stream["id"])
        check(shown)
        assert shown["findings"][0]["reason"] == "compressed", shown
        assert shown["findings"][0]["format"] == name
        assert shown["findings"][0]["share"] > 950
        assert stream["why"] == name
    # The sums stay when the stream is gone.
    line.close()
    pair.wait_streams(0)
    for gateway in (pair.near, pair.far):
        shown = why(kit, gateway, "services", "echo")
        check(shown)
        assert shown["findings"][0]["format"] == name
        assert shown["stream"] == 0
        assert shown["is_ours"] == (gateway is pair.near)


def test_http_body(kit, lines):
    """The header in the clear does not hide what is behind it."""
    pair = kit.forward(store={"memory": "64MiB"})
    line = lines(pair)
    body = gzip.compress(noisy_text(2 * MIB, 2))
    line.back(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
              b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
              % len(body) + body)
    shown = top_of(kit, pair.near, "compressed", word="gzip")
    assert shown["findings"][0]["format"] == "gzip"


@pytest.fixture
def certificate(kit):
    path = os.path.join(kit.folder, "tls.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=test", "-keyout", path, "-out",
                    path + ".crt"], check=True, capture_output=True)
    return path


@pytest.mark.parametrize("prefix", [b"", b"\0\0\0\x08\x04\xd2\x16\x2f"])
def test_tls(kit, lines, certificate, prefix):
    """Real TLS, also behind PostgreSQL's request for it."""
    pair = kit.forward(store={"memory": "64MiB"})
    listener = ends.listen(pair.target)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate + ".crt", certificate)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    data = some_text(2 * MIB, 3)
    done = threading.Event()

    def serve():
        sock = ends.accept(listener)
        if prefix:
            assert ends.receive(sock, len(prefix)) == prefix
            sock.sendall(b"S")
        with server.wrap_socket(sock, server_side=True) as tls:
            tls.sendall(data)
            done.wait(ends.PATIENCE_S)
    thread = threading.Thread(target=serve)
    thread.start()
    sock = ends.connect(pair.port)
    if prefix:
        sock.sendall(prefix)
        assert ends.receive(sock, 1) == b"S"
    with client.wrap_socket(sock) as tls:
        assert ends.receive(tls, len(data)) == data
        shown = top_of(kit, pair.near, "tls")
        assert "sslmode=disable" in shown["findings"][0]["fix"]
        assert top_of(kit, pair.far, "tls")["is_ours"] is False
        done.set()
    thread.join()
    listener.close()


def test_ssh(kit, lines):
    pair = kit.forward(store={"memory": "64MiB"})
    line = lines(pair)
    # The first byte of a Line is its own: begin anew.
    line.close()
    with ends.listen(pair.target) as listener:
        near = ends.connect(pair.port)
        near.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
        far = ends.accept(listener)
        Line.move(some_random(MIB, 4), near, _skip(far, 32))
        stream = stream_of(pair.near)
        assert why(kit, pair.near, "streams", stream["id"]
                   )["findings"][0]["reason"] == "ssh"
        assert stream["why"] == "ssh"
        near.close()
        far.close()


def _skip(sock, count):
    ends.receive(sock, count)
    return sock


def test_random(kit, lines):
    pair = kit.forward(store={"memory": "64MiB"})
    lines(pair).send(some_random(2 * MIB, 5))
    top_of(kit, pair.near, "random")
    top_of(kit, pair.far, "random")


def test_cold_then_known(kit, lines):
    """Text for the first time is cold; the second pass has no such cost."""
    pair = kit.forward(store={"memory": "64MiB"})
    data = noisy_text(2 * MIB, 6)
    first = lines(pair)
    first.send(data)
    cold = top_of(kit, pair.near, "cold")
    assert "store warm" in cold["findings"][0]["fix"]
    assert top_of(kit, pair.far, "cold")["fates"]["literal"] >= 2 * MIB
    first.close()
    pair.wait_streams(0)
    again = lines(pair)
    again.send(data)
    stream = stream_of(pair.near)
    assert stream["why"] == "ok"
    shown = why(kit, pair.near, "streams", stream["id"])
    check(shown)
    assert shown["fates"]["copied"] > 1.9 * MIB
    assert shown["fates"]["wan"] < 0.02 * MIB


def test_evicted(kit, lines):
    """What a store of 16 MiB had to give up."""
    pair = kit.forward(store={"memory": "16MiB"})
    files = [some_random(6 * MIB, 70 + i) for i in range(5)]
    for data in files:
        line = lines(pair)
        line.send(data)
        line.close()
    pair.wait_streams(0)
    before = why(kit, pair.near, "services", "echo")
    assert not [one for one in before["findings"]
                if one["reason"] == "evicted"]
    line = lines(pair)
    line.send(files[0])
    stream = stream_of(pair.near)
    shown = why(kit, pair.near, "streams", stream["id"])
    check(shown)
    assert finding(shown, "evicted")["share"] > 500
    assert "store.memory" in finding(shown, "evicted")["fix"]
    assert stream["why"] == "evicted"


def test_small(kit, lines):
    """A trickle of little messages."""
    pair = kit.forward(store={"memory": "64MiB"})
    line = lines(pair)
    rng = random.Random(8)
    for _ in range(300):
        data = rng.randbytes(12)
        line.send(data)
        line.back(data[::-1])
    for gateway in (pair.near, pair.far):
        stream = stream_of(gateway)
        shown = why(kit, gateway, "streams", stream["id"])
        check(shown)
        small = finding(shown, "small")
        assert small["share"] > 300, shown
        assert "max-reduction" in small["fix"]
        assert stream["why"] == "small"
        # Both ends know the same cost, each for both directions.
        assert small["sent"] > 300 and small["received"] > 300


def test_profile_off(kit, lines):
    port = kit.ports.take()
    target = kit.ports.take()
    pair = kit.pair({"echo": {"listen": f"{HOST}:{port}", "profile": "off"}},
                    {"echo": f"{HOST}:{target}"},
                    store={"memory": "64MiB"})
    pair.port, pair.target = port, target
    line = lines(pair)
    line.send(noisy_text(MIB, 9))
    shown = top_of(kit, pair.near, "rule-off", word="off")
    assert "balanced" in shown["findings"][0]["fix"]
    # There they only see that it would have coded.
    top_of(kit, pair.far, "peer-raw", word="peer")


@pytest.mark.parametrize("side, near, far", [
    ("near", "store-off", "peer-said"), ("far", "peer-store", "peer-said")])
def test_store_off(kit, lines, side, near, far):
    pair = kit.forward(**{side: {"store": {"memory": 0}}})
    lines(pair).send(noisy_text(MIB, 10))
    top_of(kit, pair.near, near, word="nostore")
    top_of(kit, pair.far, far, word="peer")


def scoped(kit, scope, **service):
    port = kit.ports.take()
    target = kit.ports.take()
    pair = kit.pair({"echo": {"listen": f"{HOST}:{port}", "scope": scope,
                              **service}},
                    {"echo": f"{HOST}:{target}"}, store={"memory": "64MiB"})
    pair.port, pair.target = port, target
    return pair


def test_scope_connection(kit, lines):
    pair = scoped(kit, "connection")
    data = noisy_text(MIB, 11)
    lines(pair).send(data)
    lines(pair).send(data)
    shown = top_of(kit, pair.near, "scope", word="nodedup")
    assert "2 connections" in shown["findings"][0]["evidence"]
    top_of(kit, pair.far, "peer-said", word="peer")


def test_scope_client(kit, lines):
    """Two clients, and what one moved is new to the other."""
    pair = scoped(kit, "client")
    data = noisy_text(MIB, 12)
    lines(pair).send(data)
    shown = why(kit, pair.near, "services", "echo")
    assert not [one for one in shown["findings"] if one["reason"] == "scope"]
    lines(pair, source="127.0.0.2").send(data)
    shown = why(kit, pair.near, "services", "echo")
    check(shown)
    assert finding(shown, "scope")["bytes"] == finding(shown, "cold")["bytes"]
    assert "more than one client" in finding(shown, "scope")["evidence"]


def test_dedup_off(kit, lines):
    port = kit.ports.take()
    target = kit.ports.take()
    pair = kit.pair(
        {"echo": {"listen": f"{HOST}:{port}", "profile": "plain"}},
        {"echo": f"{HOST}:{target}"}, store={"memory": "64MiB"},
        near={"profiles": {"plain": {"dedup": False}}})
    pair.port, pair.target = port, target
    lines(pair).send(noisy_text(MIB, 13))
    top_of(kit, pair.near, "dedup-off", word="nodedup")


def test_unix_eof(kit, lines):
    port = kit.ports.take()
    path = os.path.join(kit.folder, "target.sock")
    pair = kit.pair({"echo": {"listen": f"{HOST}:{port}"}},
                    {"echo": {"to": f"unix:{path}", "allow_unix_eof": True}},
                    store={"memory": "64MiB"})
    shown = why(kit, pair.far, "services", "echo")
    assert finding(shown, "unix-eof")["bytes"] == 0
    assert not why(kit, pair.near, "services", "echo")["findings"]


def test_words(kit, lines):
    """For people, and what is not there."""
    pair = kit.forward(store={"memory": "64MiB"})
    line = lines(pair)
    line.send(some_random(MIB, 14))
    stream = stream_of(pair.near)
    for args in (("streams", "why", str(stream["id"])),
                 ("services", "why", "echo")):
        text = run(kit, pair.near, *args).stdout
        assert "random" in text and "to mend:" in text
        assert max(map(len, text.splitlines())) <= 110
    assert " WHY " in run(kit, pair.near, "streams").stdout
    assert "why              random" in run(
        kit, pair.near, "streams", "show", str(stream["id"])).stdout
    assert "no stream 99999" in run(
        kit, pair.near, "streams", "why", "99999", code=FAILED).stderr
    assert "no service or offer" in run(
        kit, pair.near, "services", "why", "nobody", code=FAILED).stderr
    run(kit, pair.near, "streams", "why", "x", code=USAGE)
    run(kit, pair.near, "services", "why", "x" * 64, code=USAGE)


# ---- which rule ----

def test_rules(kit):
    ports = [kit.ports.take() for _ in range(3)]
    pair = kit.pair(
        {"one": {"listen": f"{HOST}:{ports[0]}", "offer": "db"},
         "all": {"listen": f"0.0.0.0:{ports[1]}", "offer": "db"}},
        {"db": f"{HOST}:{ports[2]}", "named": "db.example.net:5432"})

    def test(gateway, target, code=OK):
        done = run(kit, gateway, "services", "test", target, "--json",
                   code=code)
        shown = json.loads(done.stdout)
        assert shown["target"] == target
        assert shown["matches"] == sum(
            rule["is_match"] for rule in shown["rules"])
        return {rule["name"]: rule for rule in shown["rules"]}

    rules = test(pair.near, f"{HOST}:{ports[0]}")
    assert rules["one"]["is_match"] and not rules["all"]["is_match"]
    assert "offer db of far" in rules["one"]["text"]
    assert rules["all"]["text"] == "another port"
    assert test(pair.near, f"localhost:{ports[0]}")["one"]["is_match"]
    # All addresses of this host: that is one, and this is none.
    assert test(pair.near, f"127.1.2.3:{ports[1]}")["all"]["is_match"]
    own = socket.gethostbyname(socket.gethostname())
    assert test(pair.near, f"{own}:{ports[1]}")["all"]["is_match"]
    rules = test(pair.near, f"192.0.2.1:{ports[1]}", FAILED)
    assert "that is none" in rules["all"]["text"]
    assert test(pair.near, f"192.0.2.1:{ports[0]}",
                FAILED)["one"]["text"] == "another host"
    # Offers.
    rules = test(pair.far, f"{HOST}:{ports[2]}")
    assert rules["db"]["is_match"] and rules["db"]["peers"] == "near"
    assert test(pair.far, "DB.example.net:5432")["named"]["is_match"]
    rules = test(pair.far, "192.0.2.1:5432", FAILED)
    assert "not resolved" in rules["named"]["text"]
    # For people.
    done = run(kit, pair.near, "services", "test", f"{HOST}:1", code=FAILED)
    assert "no service or offer carries" in done.stderr
    assert "another port" in done.stdout
    done = run(kit, pair.near, "services", "test", "nonsense", code=FAILED)
    assert "'target' is no address" in done.stderr
    assert run(kit, pair.near, "services", "list").stdout == run(
        kit, pair.near, "services").stdout
    # The peer is gone: it still matches, and says so.
    pair.far.kill()
    pair.near.wait_peer("far", "resuming", patience_s=30)
    assert "no carrier is up" in test(
        pair.near, f"{HOST}:{ports[0]}")["one"]["text"]
