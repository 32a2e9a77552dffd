# SPDX-License-Identifier: Apache-2.0
"""The carriers' port: who gets in, and what all others meet."""
import random
import socket
import ssl
import subprocess
import time

import pytest

import ends
from gateways import HOST, PATIENCE_S, wait_for

HELLO_OF_TLS = bytes.fromhex("160301")
HANDSHAKE_S = 5
FLIGHT_OF_STRANGERS = 48


def counters(gateway):
    return {counter["name"]: counter["value"]
            for counter in gateway.ask("status")["counters"]}


def port_of(gateway):
    return int(gateway.config["gateway"]["listen"].rsplit(":", 1)[1])


def knock(port, data):
    """What a stranger with these first bytes hears, and how it ends."""
    with socket.create_connection((HOST, port), PATIENCE_S) as sock:
        sock.sendall(data)
        return ends.drain(sock)[0]


@pytest.fixture(scope="module")
def pair(module_kit):
    return module_kit.forward()


def expect_count(gateway, name, before):
    wait_for(f"{name} is counted",
             lambda: counters(gateway)[name] > before[name])


@pytest.mark.parametrize("data, name", [
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "carrier_port_http"),
    (b"POST /x HTTP/1.0\r\n\r\n", "carrier_port_http"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "carrier_port_http"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "carrier_port_ssh"),
    (b"\x00" * 100, "carrier_port_garbage"),
    (b"EHLO example.net\r\n", "carrier_port_garbage"),
    (HELLO_OF_TLS + b"\x00\x05\x01\x00\x00\x01\xff", "carrier_port_tls"),
])
def test_other_protocols_hear_nothing(pair, data, name):
    before = counters(pair.far)
    heard = knock(port_of(pair.far), data)
    if data.startswith(HELLO_OF_TLS):
        assert len(heard) <= 7      # one alert, as TLS says
    else:
        assert heard == b""
    expect_count(pair.far, name, before)


def test_random_bytes_of_many_kinds(pair):
    noise = random.Random(1)
    for _ in range(8):
        data = noise.randbytes(noise.randrange(1, 3000))
        if data[0] == 0x16:
            data = b"x" + data
        assert knock(port_of(pair.far), data) == b""
        time.sleep(0.1)         # the gate's rate is another test
    pair.far.wait_peer("near")


@pytest.mark.parametrize("alpn", [None, ["h2", "http/1.1"]])
def test_tls_without_our_protocol(pair, alpn):
    before = counters(pair.far)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn is not None:
        context.set_alpn_protocols(alpn)
    with socket.create_connection((HOST, port_of(pair.far))) as sock:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(sock)
    expect_count(pair.far, "carrier_port_no-alpn", before)


def test_old_tls(pair):
    before = counters(pair.far)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["compressnet/1"])
    with socket.create_connection((HOST, port_of(pair.far))) as sock:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(sock)
    expect_count(pair.far, "carrier_port_tls", before)


def test_our_protocol_with_a_strange_key(pair, tmp_path):
    before = counters(pair.far)
    pem = tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes",
         "-subj", "/CN=x", "-keyout", pem, "-out", pem],
        check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["compressnet/1"])
    context.load_cert_chain(pem)
    with socket.create_connection((HOST, port_of(pair.far))) as sock:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            # A client of TLS 1.3 learns of it with the first read.
            secured = context.wrap_socket(sock)
            while secured.recv(1):
                pass
            raise ConnectionError("an end")
    expect_count(pair.far, "carrier_port_unpinned", before)


def test_strangers_are_one_line_a_minute(pair):
    for _ in range(5):
        knock(port_of(pair.far), b"GET / HTTP/1.1\r\n\r\n")
    assert pair.far.log().count("GET") == 0
    assert len(pair.far.events("strangers")) <= 2


def test_slow_strangers_end_in_time(kit):
    pair = kit.forward()
    silent = socket.create_connection((HOST, port_of(pair.far)))
    slow = socket.create_connection((HOST, port_of(pair.far)))
    slow.sendall(HELLO_OF_TLS)
    began = time.monotonic()
    for sock in silent, slow:
        sock.settimeout(HANDSHAKE_S + PATIENCE_S)
        assert ends.drain(sock)[0] == b""
        sock.close()
    took = time.monotonic() - began
    assert HANDSHAKE_S - 1 < took < HANDSHAKE_S + 2
    assert counters(pair.far)["carrier_port_timeout"] == 2


def test_a_flood_leaves_room_for_who_was_here_before(kit):
    pair = kit.forward()
    target = ends.listen(pair.target)
    port = port_of(pair.far)
    flood = []
    # The rate of one source lets ten in; other sources fill the flight.
    for i in range(100):
        sock = socket.socket()
        sock.bind((f"127.0.1.{i % 20 + 1}", 0))
        sock.connect((HOST, port))
        flood.append(sock)
    wait_for("the door is shut",
             lambda: counters(pair.far)["carrier_port_full"] >=
             100 - FLIGHT_OF_STRANGERS)
    # The peer is known: its next carrier gets in at once.
    before = pair.near.peer("far")["resumes"]
    pair.near.kill()
    pair.near.start()
    pair.wait_up()
    assert counters(pair.far)["carrier_port_full"] >= 52
    client, server = ends.both_ends(target, pair.port)
    client.sendall(b"still here")
    assert ends.receive(server, 10) == b"still here"
    assert before == 0
    for sock in [*flood, client, server, target]:
        sock.close()


def test_one_source_fails_ten_times_a_second(kit):
    pair = kit.forward()
    port = port_of(pair.far)
    for _ in range(40):
        sock = socket.socket()
        sock.bind(("127.0.2.1", 0))
        sock.connect((HOST, port))
        try:
            sock.sendall(b"x")
        except ends.RESETS:
            pass
        assert ends.drain(sock)[0] == b""
        sock.close()
    counts = counters(pair.far)
    assert counts["carrier_port_rate-limit"] >= 10
    assert counts["carrier_port_garbage"] >= 10
    # It costs the others nothing.
    assert knock(port, b"GET / HTTP/1.1\r\n\r\n") == b""
    assert counters(pair.far)["carrier_port_http"] == 1


def test_something_else_answers_at_the_peers_address(kit):
    pair = kit.forward(start=False)
    target = ends.listen(port_of(pair.far))
    pair.near.start()
    server = ends.accept(target)
    server.sendall(b"220 mail.example.net ESMTP\r\n")
    error = wait_for("an error", lambda: pair.near.peer("far")["error"])
    assert error
    server.close()
    target.close()


def test_more_memory_than_there_is(kit):
    pair = kit.forward(start=False)
    pair.near.config["memory"] = {"limit": "64TiB"}
    pair.near.write(pair.near.config)
    pair.near.start(wait=False)
    pair.near.may_end = True
    assert pair.near.process.wait(PATIENCE_S) != 0
    assert "memory" in pair.near.log()
