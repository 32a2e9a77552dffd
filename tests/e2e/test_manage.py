# SPDX-License-Identifier: Apache-2.0
"""The Management Utility and the control socket of a running gateway."""
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time

import pytest

import ends
from gateways import HOST, built, wait_for

OK, FAILED, USAGE, CONFIG, UNREACHABLE, FINDINGS, NOT_ALLOWED = range(7)
TEXT = b"the same line of a log again and again, number %d\n"


def run(kit, gateway, *args, code=OK):
    done = kit.compressnet(*args, "--socket", gateway.socket)
    assert done.returncode == code, done
    return done


def show(kit, gateway, *args):
    return json.loads(run(kit, gateway, *args, "--json").stdout)


class Traffic:
    """Some connections through a pair, each with text both ways."""

    def __init__(self, pair, count, lines=2000):
        self.listener = ends.listen(pair.target)
        self.pairs = []
        self.data = b"".join(TEXT % i for i in range(lines))
        for _ in range(count):
            self.pairs.append(ends.both_ends(self.listener, pair.port))
        for client, server in self.pairs:
            sender = threading.Thread(target=client.sendall,
                                      args=(self.data,))
            sender.start()
            assert ends.receive(server, len(self.data)) == self.data
            sender.join()
            server.sendall(b"well received")
            assert ends.receive(client, 13) == b"well received"

    def close(self):
        for client, server in self.pairs:
            client.close()
            server.close()
        self.listener.close()


@pytest.fixture(scope="module")
def busy(module_kit):
    pair = module_kit.forward()
    traffic = Traffic(pair, 3)
    pair.wait_streams(3)
    yield pair, traffic
    traffic.close()


def test_status(busy, module_kit):
    pair, traffic = busy
    sent = 3 * len(traffic.data)
    data = show(module_kit, pair.near, "status")
    assert data["gateway"]["name"] == "near"
    assert data["gateway"]["state"] == "up"
    assert data["gateway"]["pid"] == pair.near.pid
    assert data["gateway"]["identity"] == module_kit.identity("near")
    assert data["gateway"]["config"] == pair.near.config_file
    assert data["streams"] == data["streams_opened"] == 3
    assert data["sent"]["lan"] == sent
    assert data["received"]["lan"] == 3 * 13
    # Text became much less; TLS and hellos are part of it.
    assert 0 < data["sent"]["wan"] < sent / 4
    assert data["peers"][0]["name"] == "far"
    assert data["services"][0]["name"] == "echo"
    assert data["services"][0]["streams"] == 3
    far = show(module_kit, pair.far, "status")
    assert far["received"]["lan"] == sent
    assert far["streams_accepted"] == 3
    assert far["offers"][0]["streams"] == 3
    # What one sent the other received, but for what is under way.
    assert abs(far["received"]["wan"] - data["sent"]["wan"]) < 2000
    text = run(module_kit, pair.near, "status").stdout
    assert re.search(r"^near +up, up .*, pid %d" % pair.near.pid, text, re.M)
    assert re.search(r"^sent +\d+ kB +[\d.]+ kB +[89]\d\.\d %", text, re.M)
    assert re.search(r"^far +up ", text, re.M)


def test_streams(busy, module_kit):
    pair, traffic = busy
    near = show(module_kit, pair.near, "streams")
    far = show(module_kit, pair.far, "streams")
    assert near["total"] == near["shown"] == len(near["streams"]) == 3
    clients = {"%s:%d" % client.getsockname()
               for client, _ in traffic.pairs}
    assert {s["client"] for s in near["streams"]} == clients
    assert {s["client"] for s in far["streams"]} == clients
    for stream in near["streams"]:
        assert stream["is_ours"] and stream["state"] == "up"
        assert stream["service"] == "echo" and stream["peer"] == "far"
        sent = stream["sent"]
        assert sent["lan"] == len(traffic.data) == (
            sent["literal"] + sent["raw"] + sent["copied"])
        assert sent["wan"] == sent["coded"] + sent["raw"] + sent["framing"]
    for stream in far["streams"]:
        assert not stream["is_ours"]
        assert stream["target"] == f"{HOST}:{pair.target}"
    one = show(module_kit, pair.near, "streams", "show",
               str(near["streams"][0]["id"]))
    assert one["client"] == near["streams"][0]["client"]
    text = run(module_kit, pair.near, "streams").stdout
    assert len(text.splitlines()) == 4
    assert len(run(module_kit, pair.near, "streams",
                   "--limit", "2").stdout.splitlines()) == 3
    run(module_kit, pair.near, "streams", "show", "999999", code=FAILED)


def test_peers(busy, module_kit):
    pair, _ = busy
    peer = show(module_kit, pair.near, "peers", "show", "far")
    assert peer["identity"] == module_kit.identity("far")
    assert peer["gateway"] == "far"
    live = [carrier for link in peer["links"] for carrier in link["carriers"]
            if carrier["state"] == "up"]
    assert live and all(carrier["is_dialler"] for carrier in live)
    assert sum(link["streams"] for link in peer["links"]) == 3
    text = run(module_kit, pair.near, "peers", "show", "far").stdout
    assert "link " + peer["links"][0]["id"] in text
    text = run(module_kit, pair.far, "peers", "show", "near").stdout
    assert "it dials us" in text


def test_services(busy, module_kit):
    pair, _ = busy
    text = run(module_kit, pair.near, "services").stdout
    assert re.search(rf"^echo +127\.0\.0\.1:{pair.port} +far +up +3 +3 +0 ",
                     text, re.M)
    text = run(module_kit, pair.far, "services").stdout
    assert re.search(rf"^echo +127\.0\.0\.1:{pair.target} +near +3 +3 +0 ",
                     text, re.M)


def test_config(busy, module_kit, tmp_path):
    pair, _ = busy
    yaml = run(module_kit, pair.near, "config", "show").stdout
    (tmp_path / "shown.yaml").write_text(yaml)
    os.chmod(tmp_path, 0o755)
    assert module_kit.compressnet(
        "config", "show", "-c", pair.near.config_file).stdout == yaml


def test_version(busy, module_kit):
    pair, _ = busy
    data = show(module_kit, pair.near, "version")
    assert data["gateway"] == data["version"]


def test_kill(kit):
    pair = kit.forward()
    traffic = Traffic(pair, 2, lines=10)
    victim, other = show(kit, pair.near, "streams")["streams"]
    run(kit, pair.near, "streams", "kill", str(victim["id"]))
    ended = {}
    for client, server in traffic.pairs:
        name = "%s:%d" % client.getsockname()
        if name == victim["client"]:
            ended[name] = (ends.drain(client)[1], ends.drain(server)[1])
        else:
            client.sendall(b"still here")
            assert ends.receive(server, 10) == b"still here"
    assert ended == {victim["client"]: ("reset", "reset")}
    pair.wait_streams(1)
    assert show(kit, pair.near, "streams")["streams"][0]["id"] == other["id"]
    run(kit, pair.near, "streams", "kill", str(victim["id"]), code=FAILED)
    traffic.close()


def test_reload(kit):
    pair = kit.forward()
    traffic = Traffic(pair, 1, lines=10)
    port = kit.ports.take()
    config = dict(pair.near.config)
    good = dict(config["services"])
    config["services"] = {**good, "more": {"peer": "far", "offer": "echo",
                                           "listen": f"{HOST}:{port}"}}
    pair.near.write(config)
    done = run(kit, pair.near, "config", "reload")
    assert "services.more" in done.stdout
    wait_for("the new service listens", lambda: [
        s for s in show(kit, pair.near, "services")["services"]
        if s["name"] == "more" and s["state"] == "up"])
    client, server = ends.both_ends(traffic.listener, port)
    client.sendall(b"new")
    assert ends.receive(server, 3) == b"new"
    # A bad file changes nothing and says all that is wrong.
    config["services"] = {**good, "more": {"peer": "nobody", "listn": "x"}}
    pair.near.write(config)
    done = run(kit, pair.near, "config", "reload", code=CONFIG)
    assert "nobody" in done.stderr and "listn" in done.stderr
    assert done.stdout == ""
    assert "config_error" in show(kit, pair.near, "status")["gateway"]
    assert show(kit, pair.near, "status")["gateway"]["config_error"] != ""
    client.sendall(b"still")
    assert ends.receive(server, 5) == b"still"
    old_client, old_server = traffic.pairs[0]
    old_client.sendall(b"old")
    assert ends.receive(old_server, 3) == b"old"
    client.close()
    server.close()
    traffic.close()


def test_many_streams_in_pages(kit):
    """More than a page; each once, none left out, though some go."""
    count = 1200
    pair = kit.forward()
    listener = ends.listen(pair.target)
    pairs = [ends.both_ends(listener, pair.port) for _ in range(count)]
    pair.wait_streams(count)
    data = show(kit, pair.near, "streams")
    ids = [stream["id"] for stream in data["streams"]]
    assert data["total"] == len(ids) == len(set(ids)) == count
    # Page by page, with ends in between.
    seen, cursor = [], 0
    while True:
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(pair.near.socket)
            control.sendall(json.dumps(
                {"v": 1, "id": 1, "cmd": "streams", "cursor": cursor,
                 "limit": 100}).encode() + b"\n")
            with control.makefile("rb") as lines:
                reply = json.loads(lines.readline())
        seen += [stream["id"] for stream in reply["data"]["streams"]]
        for client, server in pairs[:40]:
            client.close()
            server.close()
        pairs = pairs[40:]
        cursor = reply.get("next", 0)
        if cursor == 0:
            break
    assert len(seen) == len(set(seen))
    alive = {stream["id"] for stream in
             show(kit, pair.near, "streams")["streams"]}
    wait_for("the ended ones are gone", lambda: pair.near.streams() ==
             len(pairs))
    alive = {stream["id"] for stream in
             show(kit, pair.near, "streams")["streams"]}
    assert alive <= set(seen)
    for client, server in pairs:
        client.close()
        server.close()
    listener.close()


# ---- who asks, and with what ----

def test_others_are_not_allowed(kit):
    pair = kit.forward(start=False)
    pair.far.start()
    if os.geteuid() != 0:
        assert kit.user is None
        return
    mode = os.stat(pair.far.socket).st_mode & 0o777
    assert mode & 0o007 == 0
    # Another user who does come through: other than nobody and not root.
    os.chmod(pair.far.socket, 0o666)

    def as_other():
        os.setgroups([])
        os.setgid(4711)
        os.setuid(4711)
    done = subprocess.run(
        [kit.program("src/manage/compressnet"), "status", "-s",
         pair.far.socket], preexec_fn=as_other, env=kit.environment(),
        text=True, capture_output=True, timeout=30)
    assert done.returncode == NOT_ALLOWED, done
    assert done.stdout == ""
    assert "compressnet" in done.stderr


def raw(gateway, data, shut=True):
    """All that comes back for some bytes."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(10)
        control.connect(gateway.socket)
        try:
            control.sendall(data)
            if shut:
                control.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        got = b""
        while True:
            try:
                part = control.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            got += part
    return [json.loads(line) for line in got.splitlines()]


def test_junk(kit):
    gateway = kit.gateway("far", {"gateway": {}})
    gateway.start()
    replies = raw(gateway, b'GET / HTTP/1.1\r\n\r\n')
    assert [r["error"]["code"] for r in replies] == ["bad-request"] * 2
    replies = raw(gateway, b'{"v":1,"id":1,"cmd":"version"}\n'
                  b'{"v":1,"id":2,"cmd":"nonsense"}\n'
                  b'{"v":9,"id":3,"cmd":"version"}\n'
                  b'{"v":1,"id":4,"cmd":"stream-kill","stream":12}\n'
                  b'{"v":1,"id":5,"cmd":"version"}\n')
    assert [(r["id"], r["ok"]) for r in replies] == [
        (1, True), (2, False), (3, False), (4, False), (5, True)]
    assert [r["error"]["code"] for r in replies if not r["ok"]] == [
        "unknown-command", "version-mismatch", "not-found"]
    replies = raw(gateway, b"[" * 1000000 + b"\n")
    assert [r["error"]["code"] for r in replies] == ["too-long"]
    assert raw(gateway, b"") == []
    # It still works.
    assert gateway.ask("version")["version"]


def test_callers_that_hang(kit):
    """Idle callers take places, but not all work; the gateway spins not."""
    gateway = kit.gateway("far", {"gateway": {}})
    gateway.start()
    idle = []
    for _ in range(60):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(5)
        sock.connect(gateway.socket)
        idle.append(sock)
    time.sleep(0.3)
    # Who is one too many learns so.
    done = kit.compressnet("status", "-s", gateway.socket)
    assert done.returncode == FAILED
    assert "callers already" in done.stderr
    before = gateway.cpu_s()
    time.sleep(1)
    assert gateway.cpu_s() - before < 0.3
    for sock in idle:
        sock.close()
    wait_for("it answers again", lambda: gateway.ask("version"))


# ---- the demonstration with the real thing ----

def test_demo():
    with tempfile.TemporaryDirectory(prefix="cn-", dir="/tmp") as folder:
        done = subprocess.run(
            [built("src/manage/compressnet"), "demo", "--json", "--size",
             "6MB"], env={**os.environ, "TMPDIR": folder}, text=True,
            capture_output=True, timeout=62)
        assert done.returncode == OK, done
        assert os.listdir(folder) == []
    data = json.loads(done.stdout)
    assert data["exact"]
    files, again, log = data["runs"]
    assert all(step["exact"] for step in data["runs"])
    # Files of a machine are mixed, a log is not.
    assert files["wan"] < files["lan"] * 0.8
    assert again["wan"] < again["lan"] * 0.8
    assert log["wan"] < log["lan"] / 3
