# SPDX-License-Identifier: Apache-2.0
"""Two commands pair two gateways; what machines write stays apart from what
people write; nobody gets in without the token."""
import hashlib
import hmac
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import time

import pytest

import ends
import tlspeer
from gateways import HOST, ROOT, wait_for

OK, FAILED, USAGE, CONFIG, UNREACHABLE, FINDINGS, NOT_ALLOWED = range(7)
JOIN = "compressnet-join/1"
CUT_S = 1.0
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def run(kit, gateway, *args, code=OK):
    done = kit.compressnet(*args, "--socket", gateway.socket)
    assert done.returncode == code, done
    return done


class Hosts:
    """An inviter that listens and a joiner that does not, with no peers."""

    def __init__(self, kit):
        self.kit = kit
        self.port = kit.ports.take()
        self.target = kit.ports.take()
        self.tokyo = kit.gateway("tokyo", {
            "gateway": {"listen": f"{HOST}:{self.port}"}}).start()
        self.london = kit.gateway("london", {}).start()
        self.listener = ends.listen(self.target)

    def invite(self, *more, name="london", code=OK):
        done = run(self.kit, self.tokyo, "invite", name, "--address",
                   f"{HOST}:{self.port}", *more, code=code)
        return done if code != OK else done.stdout.strip()

    def join(self, token, *more, name="tokyo", code=OK):
        return run(self.kit, self.london, "join", token, name, *more,
                   code=code)

    def offer(self):
        return ["--offer", f"db={HOST}:{self.target}"]


@pytest.fixture
def hosts(kit):
    hosts = Hosts(kit)
    yield hosts
    hosts.listener.close()


def managed(gateway):
    path = os.path.join(gateway.folder, "conf.d", "managed.yaml")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as text:
        return text.read()


def by_hand(gateway):
    with open(gateway.config_file, "rb") as text:
        return text.read()


def works(hosts, port):
    client, server = ends.both_ends(hosts.listener, port)
    with client, server:
        client.sendall(b"question")
        assert ends.receive(server, 8) == b"question"
        server.sendall(b"answer")
        assert ends.receive(client, 6) == b"answer"


def pair(hosts):
    port = hosts.kit.ports.take()
    token = hosts.invite(*hosts.offer())
    hosts.join(token, "--forward", f"db={HOST}:{port}")
    return port


def test_pair(hosts):
    """The forward works when the second command returns; hand-written files
    are as they were; a restart of both keeps the pairing."""
    before = by_hand(hosts.tokyo), by_hand(hosts.london)
    port = pair(hosts)
    works(hosts, port)
    assert (by_hand(hosts.tokyo), by_hand(hosts.london)) == before
    assert hosts.tokyo.events("joined") and hosts.london.events("joined")
    for gateway in (hosts.tokyo, hosts.london):
        assert gateway.stop() == 0
    hosts.tokyo.start()
    hosts.london.start()
    hosts.london.wait_peer("tokyo")
    works(hosts, port)


def test_refused_tokens(hosts):
    """Used, damaged, foreign and expired ones, with words on both sides."""
    token = hosts.invite()
    changed = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    assert "check letters" in hosts.join(changed, code=FAILED).stderr
    hosts.join(token)
    said = hosts.join(token, name="again", code=FAILED).stderr
    assert "used or has expired" in said
    assert wait_for("the refusal is logged",
                    lambda: hosts.tokyo.events("join-refused"))
    assert hosts.london.events("join-failed")
    # While another is open the inviter says which it was.
    hosts.invite(name="other")
    said = hosts.join(token, name="again", code=FAILED).stderr
    assert "used already" in said
    short = hosts.invite("--expires", "1s", name="third")
    time.sleep(1.2)
    said = hosts.join(short, name="again", code=FAILED).stderr
    assert "has expired" in said
    assert any("expired" in line
               for line in hosts.tokyo.events("invitation-over"))
    # Our own token.
    done = run(hosts.kit, hosts.tokyo, "join", hosts.invite(name="me"), "x",
               code=FAILED)
    assert "made the token itself" in done.stderr
    # Nobody who is not the inviter, whatever the address says.
    assert managed(hosts.london).count("identity") == 1


def test_nothing_is_written_in_vain(hosts):
    """A forward to what is not offered, or that cannot be: neither side
    writes, and the token is still good."""
    token = hosts.invite(*hosts.offer())
    said = hosts.join(token, "--forward", f"nope={HOST}:1", code=FAILED)
    assert "does not offer 'nope'" in said.stderr
    said = hosts.join(token, "--forward", "db=203.0.113.1:9999", code=CONFIG)
    assert "cannot listen on 203.0.113.1:9999" in said.stderr
    assert managed(hosts.london) is None and managed(hosts.tokyo) is None
    port = hosts.kit.ports.take()
    hosts.join(token, "--forward", f"db={HOST}:{port}")
    works(hosts, port)


def test_folder_that_cannot_be_written(hosts):
    """The joiner finds out before the inviter writes."""
    folder = os.path.join(hosts.london.folder, "conf.d")
    os.mkdir(folder, 0o555)
    if os.geteuid() != 0:
        os.chmod(folder, 0o555)
    token = hosts.invite()
    said = hosts.join(token, code=CONFIG).stderr
    assert "cannot write" in said and "conf.d" in said
    assert managed(hosts.tokyo) is None
    os.chmod(folder, 0o777)
    hosts.join(token)


def test_no_listener(kit, hosts):
    done = run(kit, hosts.london, "invite", "x", "--address", "h:3",
               code=CONFIG)
    assert "gateway.listen" in done.stderr


def talk(hosts, data, alpn=JOIN):
    """A stranger on the joining protocol: all that it hears."""
    me = tlspeer.Identity(hosts.kit.folder, hosts.kit.key("stranger"))
    context = tlspeer.context_of(me, alpn=alpn)
    raw = None
    try:
        raw = socket.create_connection((HOST, hosts.port), timeout=10)
        sock = context.wrap_socket(raw)
    except OSError as error:
        if raw is not None:
            raw.close()
        return error
    heard = b""
    with sock:
        try:
            sock.sendall(data)
            while part := sock.recv(4096):
                heard += part
        except TimeoutError:
            return "silence"
        except OSError:
            pass
    return heard


def proof(ident=b"\0" * 8, value=b"\0" * 32, name=b"stranger"):
    body = b"\1\1" + ident + value + bytes([len(name)]) + name
    return struct.pack(">H", len(body)) + body


def test_strangers(hosts):
    """Without an invitation the protocol is not there; with one it answers
    nothing but a refusal, and the invitation stays good."""
    assert isinstance(talk(hosts, proof()), Exception)
    token = hosts.invite(*hosts.offer())
    answer = talk(hosts, proof())
    assert answer[2] == 5 and b"no such invitation" in answer
    for junk in (b"\0\1\4", b"\xff\xff", b"\0\0", b"\0\1\3",
                 proof(name=b""), b"GET / HTTP/1.0\r\n\r\n"):
        heard = talk(hosts, junk)
        assert heard == b"" or heard[2] == 5
    # Silence is ended, well before the ten minutes are over.
    start = time.monotonic()
    talk(hosts, b"\0")
    assert time.monotonic() - start < 9
    # A link is not to be had this way.
    with pytest.raises((ssl.SSLError, OSError, AssertionError)):
        me = tlspeer.Identity(hosts.kit.folder, hosts.kit.key("stranger"))
        with tlspeer.Peer(hosts.port, me, b"\0" * 32) as peer:
            assert peer.hello(flags=tlspeer.NEW_LINK) is not None
    assert managed(hosts.tokyo) is None
    hosts.join(token)


def test_flood(hosts):
    """Who guesses meets the gate's limit, fills no log, and spoils nothing
    for the one who was invited."""
    token = hosts.invite(*hosts.offer())
    start = time.monotonic()
    heard = [talk(hosts, proof(os.urandom(8))) for _ in range(60)]
    took = time.monotonic() - start
    answered = sum(isinstance(one, bytes) and one[2:3] == b"\5"
                   for one in heard)
    # Ten at once and ten a second, with room for a slow machine.
    assert 1 <= answered <= 10 * took + 15, (answered, took)
    assert answered < 60 or took > 4
    assert len(hosts.tokyo.events("join-refused")) <= took + 3

    def joins():
        done = hosts.kit.compressnet("join", token, "tokyo", "--socket",
                                     hosts.london.socket)
        return done.returncode == OK
    wait_for("the invited one gets in", joins)


class ByHand:
    """A joiner made from doc/protocol.md alone."""

    def __init__(self, hosts, token):
        letters = token.removeprefix("cnj1-").replace("-", "")
        body, check = letters[:-4], letters[-4:]
        bits = "".join(f"{ALPHABET.index(c):05b}" for c in body)
        raw = bytes(int(bits[i:i + 8], 2)
                    for i in range(0, len(bits) - 7, 8))
        found = hashlib.sha256(b"compressnet token 1" + raw).digest()
        bits = "".join(f"{byte:08b}" for byte in found[:3])
        assert check == "".join(ALPHABET[int(bits[i:i + 5], 2)]
                                for i in range(0, 20, 5))
        secret, self.inviter, endpoint = raw[:16], raw[16:48], raw[48:]
        assert endpoint.decode() == f"{HOST}:{hosts.port}"
        self.id = hashlib.sha256(b"compressnet join id" + secret).digest()[:8]
        self.key = hashlib.sha256(b"compressnet join key" + secret).digest()
        self.me = tlspeer.Identity(hosts.kit.folder, hosts.kit.key("hand"))
        self.port = hosts.port
        self.peer = None

    def __enter__(self):
        self.peer = tlspeer.Peer(self.port, self.me, self.inviter,
                                 tlspeer.context_of(self.me, alpn=JOIN))
        return self

    def __exit__(self, *_):
        self.peer.close()

    def proof(self, side):
        text = (b"compressnet join proof" + bytes([side]) +
                self.peer.exporter(tlspeer.JOIN_LABEL) + self.me.digest +
                self.inviter)
        return hmac.new(self.key, text, "sha256").digest()

    def say(self, message):
        """The answer's type and fields."""
        self.peer.sock.sendall(message)
        head = self.peer.receive(2)
        if head is None:
            return None, b""
        body = self.peer.receive(struct.unpack(">H", head)[0])
        return body[0], body[1:]


def test_by_hand(hosts):
    """The protocol as it is written down; and what wrong proofs do."""
    token = hosts.invite(*hosts.offer(), name="hand")
    with ByHand(hosts, token) as hand:
        kind, body = hand.say(proof(hand.id, hand.proof(1), b"by-hand"))
        assert kind == 2 and body[:32] == hand.proof(2)
        assert body[32:] == b"\5tokyo\1\2db"
        # Another may not come with it meanwhile.
        with ByHand(hosts, token) as other:
            kind, body = other.say(proof(other.id, other.proof(1)))
            assert kind == 5 and body[0] == 3
        assert hand.say(b"\0\1\3") == (4, b"")
        assert "hand" in managed(hosts.tokyo)
        # It could not write: all is as before.
        assert hand.say(b"\0\3\5\5\0")[0] is None
    wait_for("it is taken back", lambda: hosts.tokyo.events("join-undone"))
    assert hosts.tokyo.ask("peers")["peers"] == []
    assert "hand" not in managed(hosts.tokyo)
    token = hosts.invite(*hosts.offer(), name="hand")
    codes = []
    for _ in range(3):
        with ByHand(hosts, token) as hand:
            # Of this side, but bound to nothing.
            codes.append(hand.say(proof(hand.id, hand.proof(2)))[1][:1])
    assert codes == [b"\2"] * 3
    hosts.invite(name="other")
    assert "wrong proofs" in hosts.join(token, code=FAILED).stderr
    assert any("void" in line
               for line in hosts.tokyo.events("invitation-over"))


def test_remove(hosts):
    """Cuts what runs within a second, and takes out all that was added."""
    port = pair(hosts)
    client, server = ends.both_ends(hosts.listener, port)
    with client, server:
        client.sendall(b"x")
        assert ends.receive(server, 1) == b"x"
        start = time.monotonic()
        run(hosts.kit, hosts.tokyo, "peers", "remove", "london")
        _, how = ends.drain(server)
        assert how == "reset" and time.monotonic() - start < 3 * CUT_S
        assert ends.drain(client)[1] == "reset"
    assert "london" not in managed(hosts.tokyo)
    assert "db:" not in managed(hosts.tokyo)
    assert hosts.tokyo.ask("peers")["peers"] == []
    run(hosts.kit, hosts.tokyo, "peers", "remove", "london", code=FAILED)
    run(hosts.kit, hosts.london, "peers", "remove", "tokyo")
    assert hosts.london.ask("services")["services"] == []
    port = pair(hosts)
    works(hosts, port)


def test_drain(hosts):
    """Nothing new either way, while what runs goes on."""
    port = pair(hosts)
    for gateway, peer in ((hosts.london, "tokyo"), (hosts.tokyo, "london")):
        client, server = ends.both_ends(hosts.listener, port)
        with client, server:
            client.sendall(b"x")
            assert ends.receive(server, 1) == b"x"
            run(hosts.kit, gateway, "peers", "drain", peer)
            assert gateway.peer(peer)["is_drained"]
            assert gateway.peer(peer)["state"] == "draining"
            with ends.connect(port) as late:
                assert ends.drain(late) == (b"", "reset")
            server.sendall(b"still here")
            assert ends.receive(client, 10) == b"still here"
            run(hosts.kit, gateway, "peers", "resume", peer)
        works(hosts, port)
    run(hosts.kit, hosts.tokyo, "peers", "drain", "nobody", code=FAILED)


def test_hand_written_peer(kit):
    pair = kit.forward()
    done = run(kit, pair.near, "peers", "remove", "far", code=CONFIG)
    assert re.search(r"compressnet\.yaml:\d+:\d+: error: peer 'far' is "
                     "written by hand", done.stderr)
    assert managed(pair.near) is None
    pair.near.peer("far")


def write(gateway, etag, text):
    """config-write; the whole reply."""
    data = text.encode()
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(10)
        control.connect(gateway.socket)
        request = {"v": 1, "id": 1, "cmd": "config-write", "etag": etag,
                   "payload": len(data)}
        control.sendall(json.dumps(request).encode() + b"\n" + data)
        with control.makefile("rb") as lines:
            return json.loads(lines.readline())


def test_config_write(kit):
    pair = kit.forward()
    near = pair.near
    port = kit.ports.take()
    before = by_hand(near)
    text = (f'services: {{more: {{listen: "{HOST}:{port}", peer: far, '
            'offer: echo}}\n')
    config = near.ask("config")
    assert config["etag"] == "absent" and config["managed"] == ""
    bad = write(near, "absent", "peers:\n  far: {identity: X}\n")
    assert bad["error"]["code"] == "config"
    where = bad["error"]["diagnostics"][0]
    assert where["file"].endswith("conf.d/managed.yaml")
    assert (where["line"], where["column"]) == (2, 3)
    assert managed(near) is None
    done = write(near, "absent", text)
    assert done["ok"], done
    assert "+ services.more" in done["data"]["changes"]
    config = near.ask("config")
    assert config["managed"] == text == managed(near)
    with ends.listen(pair.target) as listener:
        client, server = ends.both_ends(listener, port)
        client.close()
        server.close()
    # Somebody else was there first.
    late = write(near, "absent", "{}\n")
    assert late["error"]["code"] == "conflict"
    assert managed(near) == text and by_hand(near) == before
    done = write(near, config["etag"], "{}\n")
    assert "- services.more" in done["data"]["changes"]


def test_diff(kit):
    pair = kit.forward()
    assert run(kit, pair.near, "config", "diff").stdout == ""
    config = dict(pair.near.config, log={"level": "info"})
    pair.near.write(config)
    done = run(kit, pair.near, "config", "diff", code=FINDINGS)
    assert done.stdout == (
        '~ log.level: "debug" -> "info" (at once)\n')
    run(kit, pair.near, "config", "reload")
    run(kit, pair.near, "config", "diff")
    with open(pair.near.config_file, "a", encoding="utf-8") as out:
        out.write("\nnonsense: 1\n")
    run(kit, pair.near, "config", "diff", code=CONFIG)


def test_readme(kit):
    """The commands of the quick start, as they stand there, but for places
    and ports."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as text:
        quick = text.read().split("## Quick start")[1].split("\n## ")[0]
    lines = re.findall(r"^ *(london|tokyo)\$ ((?:.*\\\n)*.*)", quick, re.M)
    commands = [(host, " ".join(line.replace("\\\n", " ").split()))
                for host, line in lines]
    assert [host for host, _ in commands].count("london") >= 3
    carriers, target, local = (kit.ports.take() for _ in range(3))
    places = {"tokyo.example.net:3": f"{HOST}:{carriers}",
              "0.0.0.0:3": f"{HOST}:{carriers}",
              "10.0.0.5:5432": f"{HOST}:{target}",
              "127.0.0.1:5432": f"{HOST}:{local}"}
    folders, daemons, token = {}, [], None
    program = kit.program("src/manage/compressnet")
    kit.program("src/gateway/compressnetd")
    for host in ("london", "tokyo"):
        folders[host] = os.path.join(kit.folder, "readme-" + host)
        os.mkdir(folders[host])
        kit.give(folders[host])
    try:
        for host, command in commands:
            for old, new in places.items():
                command = command.replace(old, new)
            command = command.replace("sudo ", "").replace(
                "TOKEN", token or "TOKEN")
            words = command.split()
            env = {**kit.environment(), "HOME": folders[host],
                   "XDG_RUNTIME_DIR": folders[host]}
            if words[0] == "psql":
                assert words[words.index("-p") + 1] == "5432"
                with ends.listen(target) as listener:
                    client, server = ends.both_ends(listener, local)
                    client.close()
                    server.close()
                continue
            if words[0] == "compressnetd":
                daemons.append(subprocess.Popen(
                    [os.path.join(kit.folder, "compressnetd")], env=env,
                    stderr=subprocess.DEVNULL, preexec_fn=kit.drop([])))
                control = os.path.join(folders[host], "compressnet",
                                       "control.sock")
                wait_for("the gateway listens",
                         lambda path=control: os.path.exists(path))
                continue
            assert words[0] == "compressnet", command
            done = subprocess.run(
                [program, *words[1:]], env=env, text=True,
                capture_output=True, preexec_fn=kit.drop([]), timeout=60,
                check=False)
            assert done.returncode == OK, (command, done)
            if words[1] == "invite":
                token = done.stdout.strip()
        assert token is not None
    finally:
        for daemon in daemons:
            daemon.terminate()
            daemon.wait()


def test_init(kit):
    """Makes what a gateway needs to start, and overwrites nothing."""
    folder = os.path.join(kit.folder, "init")
    os.mkdir(folder)
    kit.give(folder)
    config = os.path.join(folder, "sub", "compressnet.yaml")
    key = os.path.join(folder, "identity.key")
    args = ["config", "init", "-c", config, "--key", key, "--name", "x"]
    first = kit.compressnet(*args)
    assert first.returncode == OK, first
    assert kit.compressnet("config", "check", config).returncode == OK
    assert os.path.isdir(os.path.join(folder, "sub", "conf.d"))
    again = kit.compressnet(*args)
    assert again.returncode == FAILED and "never overwritten" in again.stderr
    shown = kit.compressnet("key", "show", "--key", key)
    assert shown.stdout == first.stdout
    bad = kit.compressnet("config", "init", "-c", config + "2", "--listen",
                          "nonsense")
    assert bad.returncode == CONFIG and not os.path.exists(config + "2")
