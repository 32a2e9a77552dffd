# SPDX-License-Identifier: Apache-2.0
"""Who gets in: pinned identities, TLS 1.3, the hello; and nobody else."""
import os
import socket
import ssl
import stat
import time

import pytest

import ends
import tlspeer
from gateways import HOST, wait_for
from test_reload import counter
from tlspeer import Identity, Peer


@pytest.fixture(scope="module")
def pair(module_kit):
    """A pair with a running connection, and a second peer of the far side
    that is played by hand."""
    kit = module_kit
    pair = kit.forward(start=False)
    pair.far.config["peers"]["hand"] = {"identity": kit.identity("hand")}
    pair.far.config["offers"]["echo"]["peers"].append("hand")
    pair.far.write(pair.far.config)
    pair.start()
    pair.carrier_port = int(
        pair.far.config["gateway"]["listen"].rsplit(":", 1)[1])
    pair.far_id = Identity(kit.folder, kit.key("far")).digest
    pair.listener = ends.listen(pair.target)
    pair.client, pair.server = ends.both_ends(pair.listener, pair.port)
    yield pair
    for sock in (pair.client, pair.server, pair.listener):
        sock.close()


@pytest.fixture(scope="module")
def hand(pair, module_kit):
    return Identity(module_kit.folder, module_kit.key("hand"))


@pytest.fixture(autouse=True)
def undisturbed(request):
    """Whatever knocks, the link that lives carries on."""
    if "pair" not in request.fixturenames:
        yield
        return
    pair = request.getfixturevalue("pair")
    losses = counter(pair.far, "carrier_losses")
    yield
    for a, b in ((pair.client, pair.server), (pair.server, pair.client)):
        a.sendall(b"undisturbed")
        assert ends.receive(b, 11) == b"undisturbed"
    mine = counter(pair.far, "carrier_losses") - losses
    assert pair.near.peer("far")["resumes"] == 0
    # Those of the peer by hand alone.
    assert mine <= 2
    time.sleep(0.15)  # the gate counts failures a second


def gate_counter(pair, name, act):
    before = counter(pair.far, name)
    act()
    wait_for(f"{name} counts it",
             lambda: counter(pair.far, name) > before)


# ---- who gets in ----

def test_hand_gets_in(pair, hand):
    """The peer by hand is a good one; all that follows differs in one
    thing."""
    with Peer(pair.carrier_port, hand, pair.far_id) as peer:
        answer = peer.hello(flags=tlspeer.NEW_LINK)
        assert answer["status"] == tlspeer.OK
        assert answer["identity"] == pair.far_id
        assert answer["peer"] == hand.digest
        assert answer["exporter"] == peer.exporter()
        assert peer.sock.version() == "TLSv1.3"
        assert peer.sock.selected_alpn_protocol() == tlspeer.ALPN
        assert not peer.sock.session_reused
        assert not peer.sock.session.has_ticket
        assert pair.far.peer("hand")["state"] == "up"


@pytest.mark.parametrize("dates", [tlspeer.PAST, tlspeer.FUTURE])
def test_dates_mean_nothing(pair, module_kit, dates):
    hand = Identity(module_kit.folder, module_kit.key("hand"), dates)
    with Peer(pair.carrier_port, hand, pair.far_id) as peer:
        assert peer.hello(flags=tlspeer.NEW_LINK)["status"] == tlspeer.OK


def test_no_resumption(pair, hand):
    """A session is good for one connection."""
    context = tlspeer.context_of(hand)
    with Peer(pair.carrier_port, hand, pair.far_id, context) as peer:
        assert peer.hello(flags=tlspeer.NEW_LINK)["status"] == tlspeer.OK
        session = peer.sock.session
    raw = socket.create_connection((HOST, pair.carrier_port), timeout=5)
    with context.wrap_socket(raw, session=session) as again:
        assert not again.session_reused


# ---- who does not ----

def shut_out(port, context):
    """The handshake fails, or what follows it does."""
    raw = socket.create_connection((HOST, port), timeout=5)
    try:
        with context.wrap_socket(raw) as sock:
            sock.sendall(b"x" * 200)
            assert sock.recv(100) == b""
            return "closed"
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError) as error:
        return str(error)
    finally:
        raw.close()


def test_unknown_peer(pair, module_kit):
    stranger = Identity(module_kit.folder, module_kit.key("stranger"))
    gate_counter(pair, "unknown_peers", lambda: shut_out(
        pair.carrier_port, tlspeer.context_of(stranger)))


def test_no_certificate(pair):
    gate_counter(pair, "handshake_failures", lambda: shut_out(
        pair.carrier_port, tlspeer.context_of(None)))


@pytest.mark.parametrize("alpn", [None, "h2", "compressnet/2"])
def test_no_alpn(pair, hand, alpn):
    gate_counter(pair, "handshake_failures", lambda: shut_out(
        pair.carrier_port, tlspeer.context_of(hand, alpn=alpn)))


def test_old_tls(pair, hand):
    context = tlspeer.context_of(hand)
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def knock():
        assert "VERSION" in shut_out(pair.carrier_port, context).upper()
    gate_counter(pair, "handshake_failures", knock)


# ---- lies in the hello ----

LIES = [
    # (field, value, status)
    ("identity", b"i" * 32, tlspeer.IDENTITY),
    ("peer", b"p" * 32, tlspeer.IDENTITY),
    ("exporter", b"e" * 32, tlspeer.IDENTITY),
    ("version_min", 2, tlspeer.VERSION),
]


@pytest.mark.parametrize("field, value, status", LIES)
def test_lies(pair, hand, field, value, status):
    with Peer(pair.carrier_port, hand, pair.far_id) as peer:
        fields = {field: value}
        if field == "version_min":
            fields["version_max"] = 3
        answer = peer.hello(flags=tlspeer.NEW_LINK, **fields)
        assert answer["status"] == status
        assert answer["text"]
        assert (answer["version_min"], answer["version_max"]) == (1, 1)
        assert peer.ends()


def test_newer_versions_too(pair, hand):
    """A peer that speaks more than we do is answered in our version."""
    with Peer(pair.carrier_port, hand, pair.far_id) as peer:
        answer = peer.hello(flags=tlspeer.NEW_LINK, version_max=3)
        assert answer["status"] == tlspeer.OK
        assert (answer["version_min"], answer["version_max"]) == (1, 1)


def test_garbage_for_a_hello(pair, hand):
    with Peer(pair.carrier_port, hand, pair.far_id) as peer:
        peer.sock.sendall(b"\x03\xfe" + b"\xff" * 1022)
        answer = peer.receive(2)
        assert answer is not None
        body = peer.receive(int.from_bytes(answer, "big"))
        assert tlspeer.decode_hello(body)["status"] == tlspeer.PROTOCOL
        assert peer.ends()


# ---- links of others ----

def link_of(pair):
    return bytes.fromhex(pair.near.peer("far")["links"][0]["id"])


def test_foreign_link(pair, hand):
    """Who knows the id of somebody else's link gets nothing by it."""
    link = link_of(pair)
    with Peer(pair.carrier_port, hand, pair.far_id) as peer:
        answer = peer.hello(link_id=link, generation=1000)
        assert answer["status"] == tlspeer.LINK_UNKNOWN
        assert peer.ends()
    # As a new one it is a link of its own that happens to have that id.
    with Peer(pair.carrier_port, hand, pair.far_id) as peer:
        answer = peer.hello(flags=tlspeer.NEW_LINK, link_id=link,
                            generation=1000)
        assert answer["status"] == tlspeer.OK


def test_own_key_stale(pair, module_kit):
    """With the right key, too, everything is checked before anything
    changes."""
    near = Identity(module_kit.folder, module_kit.key("near"))
    for fields, status in (
            ({"link_id": b"?" * 16}, tlspeer.LINK_UNKNOWN),
            ({"link_id": link_of(pair), "exporter": b"e" * 32},
             tlspeer.IDENTITY)):
        with Peer(pair.carrier_port, near, pair.far_id) as peer:
            answer = peer.hello(generation=1000, **fields)
            assert answer["status"] == status
            assert peer.ends()


# ---- diallers that meet the wrong one ----

class Door:
    """A TLS server by hand that counts who comes."""

    def __init__(self, kit, context, answer=None):
        self.port = kit.ports.take()
        self.context = context
        self.answer = answer
        self.count = 0
        self.server = ends.Server(ends.listen(self.port), self.serve)

    def serve(self, raw):
        self.count += 1
        raw.settimeout(5)
        with self.context.wrap_socket(raw, server_side=True) as sock:
            head = sock.recv(2)
            if self.answer is not None and len(head) == 2:
                hello = sock.recv(int.from_bytes(head, "big"))
                sock.sendall(tlspeer.encode_hello(
                    self.answer(tlspeer.decode_hello(hello))))
            sock.recv(1)

    def close(self):
        self.server.close()


def dialler(kit, port, identity):
    """A gateway that dials a port; without waiting for anything."""
    gateway = kit.gateway("near", {
        "peers": {"far": {"address": f"{HOST}:{port}",
                          "identity": kit.identity(identity)}}})
    return gateway.start()


def no_storm(gateway, words, patience_s=3):
    """It says why, and knocks seldom."""
    error = wait_for(f"near says {words}", lambda: [
        text for text in [gateway.peer("far")["error"]]
        if any(word in text for word in words)])
    before = counter(gateway, "carrier_dials")
    time.sleep(patience_s)
    assert counter(gateway, "carrier_dials") - before <= 1
    assert len(gateway.events("carrier-failed")) <= 5
    return error[0]


def test_another_version(kit):
    """The far side speaks 2 to 3: one clear error, no storm."""
    far = Identity(kit.folder, kit.key("far"))
    context = tlspeer.context_of(far, ssl.PROTOCOL_TLS_SERVER)

    def answer(hello):
        return {**hello, "version_min": 2, "version_max": 3,
                "status": tlspeer.VERSION, "identity": far.digest,
                "peer": hello["identity"], "text": "I speak 2 to 3"}
    door = Door(kit, context, answer)
    gateway = dialler(kit, door.port, "far")
    error = no_storm(gateway, ["version"])
    assert "I speak 2 to 3" in error
    assert door.count <= 3
    door.close()


def test_another_key_there(kit):
    """The address leads to another gateway than the pinned one."""
    stranger = Identity(kit.folder, kit.key("stranger"))
    door = Door(kit, tlspeer.context_of(stranger, ssl.PROTOCOL_TLS_SERVER))
    gateway = dialler(kit, door.port, "far")
    no_storm(gateway, ["another key", "another peer"])
    door.close()


def test_server_without_alpn(kit):
    far = Identity(kit.folder, kit.key("far"))
    door = Door(kit, tlspeer.context_of(far, ssl.PROTOCOL_TLS_SERVER,
                                        alpn=None))
    gateway = dialler(kit, door.port, "far")
    no_storm(gateway, ["compressnet/1"])
    door.close()


def test_server_with_old_tls(kit):
    far = Identity(kit.folder, kit.key("far"))
    context = tlspeer.context_of(far, ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    door = Door(kit, context)
    gateway = dialler(kit, door.port, "far")
    no_storm(gateway, ["version", "protocol"])
    door.close()


def test_we_are_not_known_there(kit):
    """Both gateways are real; the far one has another peer pinned."""
    pair = kit.forward(start=False)
    pair.far.config["peers"]["near"]["identity"] = kit.identity("other")
    pair.far.write(pair.far.config)
    pair.far.start()
    pair.near.start()
    no_storm(pair.near, ["does not know our identity"])
    assert counter(pair.far, "unknown_peers") >= 1


def test_dialling_itself(kit):
    """A gateway as its own peer is refused before it starts."""
    port = kit.ports.take()
    gateway = kit.gateway("near", {
        "gateway": {"listen": f"{HOST}:{port}"},
        "peers": {"me": {"address": f"{HOST}:{port}",
                         "identity": kit.identity("near")}}})
    assert ended(gateway) == 3
    assert "identity of this gateway" in gateway.log()


def ended(gateway):
    gateway.start(wait=False)
    gateway.may_end = True
    return gateway.process.wait(10)


# ---- the key's file ----

@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_key_that_others_read(kit, mode):
    gateway = kit.gateway("near", {})
    key = gateway.config["gateway"]["key"]
    os.chmod(key, mode)
    assert ended(gateway) != 0
    said = gateway.log()
    assert key in said and f"{mode:04o}" in said and "chmod 600" in said
    os.chmod(key, stat.S_IRUSR | stat.S_IWUSR)
    gateway.start()


def test_key_missing(kit):
    gateway = kit.gateway("near", {})
    os.unlink(gateway.config["gateway"]["key"])
    assert ended(gateway) != 0
    assert "does not exist" in gateway.log()
    assert "compressnet key gen" in gateway.log()


def test_key_of_another_kind(kit):
    gateway = kit.gateway("near", {})
    key = gateway.config["gateway"]["key"]
    with open(key, "wb") as out:
        out.write(tlspeer.openssl(
            "genpkey", "-algorithm", "EC", "-pkeyopt",
            "ec_paramgen_curve:P-256"))
    assert ended(gateway) != 0
    assert "Ed25519" in gateway.log()


# ---- crowds ----

def knock(port):
    """A connection that says nothing; None when it is turned away."""
    try:
        return socket.create_connection((HOST, port), timeout=10)
    except ConnectionResetError:
        return None


def test_silent_crowd(pair, hand):
    """Those who connect and say nothing are let go; peers get in."""
    lines = len(pair.far.log().splitlines())
    crowd = [sock for _ in range(100)
             for sock in [knock(pair.carrier_port)] if sock is not None]
    time.sleep(0.3)
    # A source that authenticated before finds room.
    with Peer(pair.carrier_port, hand, pair.far_id) as peer:
        assert peer.hello(flags=tlspeer.NEW_LINK)["status"] == tlspeer.OK
    start = time.monotonic()
    for sock in crowd:
        assert ends.drain(sock)[0] == b""
        sock.close()
    # A deadline of 5 s for all of them, and not a line of the log each.
    assert time.monotonic() - start < 8
    assert counter(pair.far, "handshake_refusals") > 0
    assert len(pair.far.log().splitlines()) < lines + 10
