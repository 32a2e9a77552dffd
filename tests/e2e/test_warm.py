# SPDX-License-Identifier: Apache-2.0
"""Filling the peer's store ahead of need: `compressnet store warm'."""
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time

import pytest

import ends
from gateways import HOST, wait_for

OK, FAILED, USAGE, CONFIG, UNREACHABLE, FINDINGS, NOT_ALLOWED = range(7)
MIB = 1 << 20
STORES = {"near": {"store": {"memory": "64MiB"}},
          "far": {"store": {"memory": "64MiB"}}}
# Bytes that neither zstd nor repeats make smaller.
SEED = random.Random(8)


def call(gateway, *args, code=OK, **options):
    done = gateway.kit.compressnet(
        "store", "warm", "--socket", gateway.socket, *args, **options)
    assert done.returncode == code, done
    return done


def warm(gateway, *args, code=OK):
    """What became of it."""
    lines = call(gateway, "--json", *args, code=code).stdout.splitlines()
    end = json.loads(lines[-1])
    assert end["event"] == "end"
    return end


def start(gateway, *args):
    """Begin it and leave it running."""
    kit = gateway.kit
    return subprocess.Popen(
        [kit.program("src/manage/compressnet"), "store", "warm", "--json",
         "--socket", gateway.socket, *args], text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=kit.environment(),
        preexec_fn=kit.drop([]))


def write(kit, path, data):
    path = os.path.join(kit.folder, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(data)
    return path


def make_tree(kit, name="tree"):
    """Files of many sizes; their bytes in the order of the walk."""
    files = {"a/one": 300000, "a/two": 0, "b": 17, "c/d/e": 2 * MIB,
             "c/z": 70001}
    whole = b""
    for path, size in sorted(files.items()):
        data = SEED.randbytes(size)
        write(kit, os.path.join(name, path), data)
        whole += data
    return os.path.join(kit.folder, name), whole


def wan_sent(gateway, peer):
    return gateway.peer(peer)["sent"]["wan"]


def carry(pair, data, to_client=False):
    """Bytes of a file through the service; WAN bytes that they took."""
    sender = pair.far if to_client else pair.near
    name = "near" if to_client else "far"
    with ends.listen(pair.target) as listener:
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            source, sink = (server, client) if to_client else (client, server)
            before = wan_sent(sender, name)
            thread = threading.Thread(target=source.sendall, args=(data,))
            thread.start()
            assert ends.receive(sink, len(data)) == data
            thread.join()
            return wan_sent(sender, name) - before


def line_of(gateway):
    """The log's line about a stream that warmed."""
    return wait_for("the stream is over", lambda: [
        line for line in gateway.events("stream-close")
        if line.endswith(" warm=yes")])[-1]


def test_warm(kit):
    """What was pushed costs next to nothing afterwards, either way."""
    pair = kit.forward(**STORES)
    tree, whole = make_tree(kit)
    # Whoever connects to the target is found in its queue.
    with ends.listen(pair.target) as listener:
        end = warm(pair.near, "echo", tree)
        listener.settimeout(0.5)
        with pytest.raises(TimeoutError):
            listener.accept()
    assert end["is_clean"] and end["reason"] == ""
    assert end["bytes"] == len(whole) and end["files"] == 5
    assert end["wan"] >= len(whole) and end["copied"] < len(whole) / 100
    assert "service=echo" in line_of(pair.near)
    assert f"sent={len(whole)} " in line_of(pair.near)
    assert "offer=echo" in line_of(pair.far)
    assert f"received={len(whole)} " in line_of(pair.far)
    assert " end=clean " in line_of(pair.near)
    assert " end=clean " in line_of(pair.far)
    big = open(os.path.join(tree, "c/d/e"), "rb").read()
    assert carry(pair, big) <= len(big) / 100
    assert carry(pair, whole) <= len(whole) / 100
    assert carry(pair, whole, to_client=True) <= len(whole) / 100
    pair.wait_streams(0)
    # And a second time there is nothing to push.
    end = warm(pair.near, "echo", tree)
    assert end["copied"] > len(whole) * 0.98
    assert end["wan"] < len(whole) / 100
    assert pair.near.stop() == OK and pair.far.stop() == OK


def test_words(kit):
    pair = kit.forward(**STORES)
    tree, _ = make_tree(kit)
    done = call(pair.near, "echo", tree)
    assert done.stdout.startswith("5 files, 2.47 MB in ")
    assert " crossed the WAN\n" in done.stdout and done.stderr == ""
    done = call(pair.near, "--quiet", "echo", tree)
    assert done.stdout == done.stderr == ""


def test_what_is_read(kit):
    """Regular files only, no way out of the tree, and what cannot be read is
    told at the end."""
    pair = kit.forward(**STORES)
    tree, whole = make_tree(kit)
    secret = write(kit, "elsewhere/secret", SEED.randbytes(200000))
    os.symlink(secret, os.path.join(tree, "link"))
    os.symlink(os.path.dirname(secret), os.path.join(tree, "a", "folder"))
    os.symlink("/nowhere", os.path.join(tree, "dangling"))
    os.mkfifo(os.path.join(tree, "fifo"))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.join(tree, "socket"))
    end = warm(pair.near, "echo", tree)
    assert end["bytes"] == len(whole) and end["unread"] == 0
    # What is named is meant, link or not.
    link = os.path.join(tree, "link")
    assert warm(pair.near, "echo", link)["bytes"] == 200000
    # Twice the same is sent twice; an empty tree is nothing.
    end = warm(pair.near, "echo", secret, secret)
    assert end["files"] == 2 and end["bytes"] == 400000
    empty = os.path.join(kit.folder, "empty")
    os.mkdir(empty)
    assert "no file" in call(pair.near, "echo", empty, code=FAILED).stderr
    done = call(pair.near, "echo", os.path.join(tree, "fifo"), code=FAILED)
    assert "neither file nor directory" in done.stderr
    # The rest is sent all the same.
    done = call(pair.near, "--json", "echo", "/nowhere", secret, code=FAILED)
    end = json.loads(done.stdout.splitlines()[-1])
    assert end["is_clean"] and end["unread"] == 1 and end["bytes"] == 200000
    assert done.stderr.count("cannot read /nowhere: ") == 1
    if kit.user is not None:
        os.chmod(os.path.join(tree, "a"), 0)
        done = call(pair.near, "--json", "echo", tree, code=FAILED)
        end = json.loads(done.stdout.splitlines()[-1])
        assert end["unread"] == 1 and end["bytes"] == len(whole) - 300000
        os.chmod(os.path.join(tree, "a"), 0o755)


def test_sorted(kit):
    """The order is that of the names, so that one tree is one content."""
    pair = kit.forward(**STORES)
    data = [SEED.randbytes(100) for _ in range(300)]
    for i in SEED.sample(range(300), 300):
        write(kit, f"many/{i:03}", data[i])
    assert warm(pair.near, "echo", os.path.join(kit.folder, "many"))
    # Single files would be too small for that.
    assert carry(pair, b"".join(data)) < 3000


def test_one_client(kit):
    """With the scope client each address has its own."""
    port = kit.ports.take()
    target = kit.ports.take()
    pair = kit.pair(
        {"echo": {"listen": f"{HOST}:{port}", "scope": "client"}},
        {"echo": f"{HOST}:{target}"}, **STORES)
    pair.port, pair.target = port, target
    path = write(kit, "file", SEED.randbytes(MIB))
    with open(path, "rb") as file:
        data = file.read()
    done = call(pair.near, "echo", path, code=FAILED)
    assert "say for which client" in done.stderr
    for bad in ("nobody", "127.0.0.1:80", "127.0.0.256"):
        done = call(pair.near, "echo", path, "--client", bad, code=FAILED)
        assert "is no IP address" in done.stderr
    warm(pair.near, "echo", path, "--client", "192.0.2.1")
    assert carry(pair, data) >= MIB
    other = write(kit, "other", SEED.randbytes(MIB))
    warm(pair.near, "echo", other, "--client", HOST)
    with open(other, "rb") as file:
        assert carry(pair, file.read()) <= MIB / 100
    assert f"client={HOST}:0 " in line_of(pair.far)


def refused(gateway, words, *args):
    assert words in call(gateway, *args, code=FAILED).stderr
    assert gateway.streams() == 0


def test_refused(kit):
    ports = [kit.ports.take() for _ in range(4)]
    target = kit.ports.take()
    pair = kit.pair(
        {"echo": {"listen": f"{HOST}:{ports[0]}"},
         "alone": {"listen": f"{HOST}:{ports[1]}", "scope": "connection",
                   "offer": "echo"},
         "plain": {"listen": f"{HOST}:{ports[2]}", "profile": "off",
                   "offer": "echo"},
         "other": {"listen": f"{HOST}:{ports[3]}"}},
        {"echo": f"{HOST}:{target}"}, **STORES)
    path = write(kit, "file", bytes(1000))
    refused(pair.near, "no service 'nothing'", "nothing", path)
    refused(pair.near, "scope connection", "alone", path)
    refused(pair.near, "without dedup", "plain", path)
    refused(pair.near, "has not the scope client", "echo", path, "--client",
            "127.0.0.1")
    # What the peer offers, and to whom, is the peer's to say.
    refused(pair.near, "was reset: no-service", "other", path)
    assert pair.far.events("stream-refused")
    pair.far.stop()
    wait_for("the loss is noticed",
             lambda: pair.near.peer("far")["state"] != "up")
    refused(pair.near, "peer 'far' is not connected", "echo", path)
    assert call(pair.near, code=USAGE)
    assert call(pair.near, "echo", code=USAGE)


@pytest.mark.parametrize("side, words", [
    ("near", "this gateway has no store"),
    ("far", "peer 'far' has no store"),
])
def test_no_store(kit, side, words):
    pair = kit.forward(**{**STORES, side: {"store": {"memory": 0}}})
    with ends.listen(pair.target) as listener:
        refused(pair.near, words, "echo", write(kit, "file", bytes(1000)))
        listener.settimeout(0.3)
        with pytest.raises(TimeoutError):
            listener.accept()


def hand_over(gateway, request, *fds):
    """The answer to a request with descriptors beside it, or None."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(5)
        control.connect(gateway.socket)
        socket.send_fds(control, [json.dumps({
            "v": 1, "id": 1, **request}).encode() + b"\n"], fds)
        try:
            line = control.makefile("rb").readline()
        except ConnectionResetError:
            line = b""
    return json.loads(line) if line else None


def test_what_may_be_handed_over(kit):
    """One end of a TCP connection, and nothing else; nothing is kept."""
    pair = kit.forward(**STORES)
    request = {"cmd": "store-warm", "service": "echo"}
    count = pair.near.descriptors()
    with ends.listen(kit.ports.take()) as listener, \
            open("/dev/null", "rb") as null:
        unix = socket.socketpair()
        for fds in ([], [listener.fileno()], [null.fileno()],
                    [unix[0].fileno()]):
            said = hand_over(pair.near, request, *fds)
            assert "one end of a TCP connection" in said["error"]["message"]
        # More than one at a time is more than anybody needs.
        assert hand_over(pair.near, request, null.fileno(),
                         null.fileno()) is None
        # With another request it is not looked at.
        assert hand_over(pair.near, {"cmd": "version"}, null.fileno())["ok"]
        for one in unix:
            one.close()
    assert hand_over(pair.near, {"cmd": "store-warm-end"}
                     )["error"]["code"] == "not-found"
    for bad in ({}, {"service": 7}, {"service": "x" * 64},
                {"service": "a\nb"}, {"service": "echo", "client": ""},
                {"service": "echo", "limit": 1}):
        said = hand_over(pair.near, {"cmd": "store-warm", **bad})
        assert said["error"]["code"] == "bad-request"
    wait_for("nothing is left open",
             lambda: pair.near.descriptors() <= count)


def test_who_may(kit):
    """Who may only look may hand over nothing."""
    pair = kit.forward(**STORES)
    if kit.user is None:
        pytest.skip("needs root")
    os.chmod(pair.near.folder, 0o755)
    os.chmod(pair.near.socket, 0o666)
    path = write(kit, "file", bytes(1000))

    def as_other():
        os.setgroups([])
        os.setgid(4711)
        os.setuid(4711)
    done = subprocess.run(
        [kit.program("src/manage/compressnet"), "store", "warm", "--socket",
         pair.near.socket, "echo", path], text=True, capture_output=True,
        env=kit.environment(), preexec_fn=as_other, timeout=30, check=False)
    assert done.returncode == NOT_ALLOWED, done
    assert not pair.near.events("stream-close")


def tcp_pair(kit):
    """Both ends of a connection on loopback."""
    with ends.listen(kit.ports.take()) as listener:
        one = ends.connect(listener.getsockname()[1])
        return one, ends.accept(listener)


class Control:
    """A connection to the control socket that stays."""

    def __init__(self, gateway):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(gateway.socket)
        self.lines = self.sock.makefile("rb")

    def send(self, cmd, fds=(), **fields):
        socket.send_fds(self.sock, [json.dumps(
            {"v": 1, "id": 1, "cmd": cmd, **fields}).encode() + b"\n"], fds)

    def ask(self, *args, **fields):
        self.send(*args, **fields)
        return json.loads(self.lines.readline())

    def close(self):
        self.lines.close()
        self.sock.close()


def test_by_hand(kit):
    """Without the utility: as doc/management.md says it."""
    pair = kit.forward(**STORES)
    control = Control(pair.near)
    ours, theirs = tcp_pair(kit)
    said = control.ask("store-warm", [theirs.fileno()], service="echo")
    theirs.close()
    stream = said["data"]["stream"]
    assert stream in [one["id"] for one in
                      pair.near.ask("streams")["streams"]]
    # One at a time; all else is answered meanwhile.
    ours2, theirs2 = tcp_pair(kit)
    said = control.ask("store-warm", [theirs2.fileno()], service="echo")
    assert said["error"]["code"] == "busy"
    theirs2.close()
    assert ends.is_cut(ours2)
    ours2.close()
    assert control.ask("status")["ok"]
    data = SEED.randbytes(MIB)
    ours.sendall(data)
    control.send("store-warm-end")
    control.send("version")
    control.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        control.sock.recv(1)
    control.close()
    control = Control(pair.near)
    ours.shutdown(socket.SHUT_WR)
    assert ours.recv(1) == b""
    ours.close()
    assert " end=clean " in line_of(pair.far)
    # The next one, until it is over, on one connection; then another.
    for _ in range(2):
        ours, theirs = tcp_pair(kit)
        assert control.ask(
            "store-warm", [theirs.fileno()], service="echo")["ok"]
        theirs.close()
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        said = control.ask("store-warm-end")["data"]
        assert said["is_clean"] and said["lan"] == MIB
        assert control.ask("store-warm-end")["data"] == said
        assert ours.recv(1) == b""
        ours.close()
    # Whoever waits does not keep the gateway from its end.
    ours, theirs = tcp_pair(kit)
    assert control.ask("store-warm", [theirs.fileno()], service="echo")["ok"]
    theirs.close()
    control.send("store-warm-end")
    pair.near.signal(signal.SIGTERM)
    pair.near.wait_streams(1)
    assert pair.near.stop() == OK
    assert ends.is_cut(ours)
    ours.close()
    control.close()


RATE_MBIT = 20
LINE = ["--rate", f"{RATE_MBIT}mbit", "--delay", "10ms"]


def rate_of(client, server, seconds):
    """Bytes a second that a transfer has."""
    over = threading.Event()
    blocks = [SEED.randbytes(MIB) for _ in range(8)]

    def send():
        at = 0
        while not over.is_set():
            client.sendall(blocks[at % len(blocks)])
            at += 1
    thread = threading.Thread(target=send)
    thread.start()
    begin = time.monotonic()
    while time.monotonic() < begin + 2:
        server.recv(65536)  # windows grow, queues fill
    got = 0
    begin = time.monotonic()
    while time.monotonic() < begin + seconds:
        got += len(server.recv(65536))
    rate = got / (time.monotonic() - begin)
    over.set()
    while thread.is_alive():
        server.recv(65536)
    return rate


def test_gives_way(kit):
    """A transfer keeps its rate while the store is warmed beside it."""
    port = kit.ports.take()
    target = kit.ports.take()
    # Its blocks must not be found in the store.
    pair = kit.pair(
        {"echo": {"listen": f"{HOST}:{port}"},
         "bulk": {"listen": f"{HOST}:{kit.ports.take()}",
                  "scope": "connection"}},
        {"echo": f"{HOST}:{target}", "bulk": f"{HOST}:{target}"},
        relay=LINE, **STORES)
    bulk = int(pair.near.config["services"]["bulk"]["listen"].split(":")[1])
    path = write(kit, "file", SEED.randbytes(48 * MIB))
    with ends.listen(target) as listener:
        client, server = ends.both_ends(listener, bulk)
        with client, server:
            alone = rate_of(client, server, 4)
            with start(pair.near, "echo", path) as pushing:
                wait_for("it is pushed", lambda: pair.near.streams() == 2)
                beside = rate_of(client, server, 4)
                assert pushing.poll() is None
                # Alone, it goes on.
                before = wan_sent(pair.near, "far")
                time.sleep(3)
                after = wan_sent(pair.near, "far")
                pushing.kill()
    print(f"alone {alone:.0f} B/s, beside {beside:.0f} B/s, "
          f"then {(after - before) / 3:.0f} B/s")
    assert alone > RATE_MBIT * 1e6 / 8 * 0.7
    assert beside >= 0.9 * alone
    assert (after - before) / 3 > alone * 0.6


def test_resumes(kit):
    """A carrier that is cut in the middle costs nothing."""
    pair = kit.forward(relay=LINE, **STORES)
    data = SEED.randbytes(8 * MIB)
    path = write(kit, "file", data)
    with start(pair.near, "echo", path) as pushing:
        for _ in range(3):
            time.sleep(0.7)
            pair.wan.command("cut")
        out, errors = pushing.communicate(timeout=60)
    assert pushing.returncode == OK, errors
    end = json.loads(out.splitlines()[-1])
    assert end["is_clean"] and end["bytes"] == len(data)
    assert pair.near.peer("far")["resumes"] >= 1
    # What was under way at a cut was not kept, all else was.
    assert carry(pair, data) <= len(data) / 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_killed(kit, number):
    """A part is never taken for the whole."""
    pair = kit.forward(relay=LINE, **STORES)
    path = write(kit, "file", SEED.randbytes(16 * MIB))
    with start(pair.near, "echo", path) as pushing:
        wait_for("it is pushed",
                 lambda: wan_sent(pair.near, "far") > MIB)
        pushing.send_signal(number)
    assert pushing.returncode == -number
    pair.wait_streams(0)
    assert " end=by-application " in line_of(pair.near)
    assert " end=by-application " in line_of(pair.far)


@pytest.mark.parametrize("way", ["kill", "stop"])
def test_reset(kit, way):
    """A failure says why."""
    pair = kit.forward(relay=LINE, **STORES)
    path = write(kit, "file", SEED.randbytes(16 * MIB))
    with start(pair.near, "echo", path) as pushing:
        wait_for("it is pushed",
                 lambda: wan_sent(pair.near, "far") > MIB)
        if way == "kill":
            stream, = pair.near.ask("streams")["streams"]
            pair.near.ask("stream-kill", stream=stream["id"])
        else:
            pair.near.kill()
        out, errors = pushing.communicate(timeout=60)
    if way == "kill":
        assert pushing.returncode == FAILED
        assert "was reset: admin" in errors
        assert json.loads(out.splitlines()[-1])["reason"] == "admin"
    else:
        assert pushing.returncode == UNREACHABLE, errors


def test_by_many_workers(kit):
    """The stream goes where a link is, from whichever worker."""
    pair = kit.forward(workers=3, **STORES)
    tree, whole = make_tree(kit)
    with start(pair.near, "echo", tree) as one, \
            start(pair.near, "echo", tree) as two, \
            start(pair.near, "echo", tree) as three:
        for pushing in (one, two, three):
            out, errors = pushing.communicate(timeout=60)
            assert pushing.returncode == OK, errors
            assert json.loads(out.splitlines()[-1])["bytes"] == len(whole)


def test_drain(kit):
    """A gateway that goes down waits for it, and takes no more."""
    pair = kit.forward(relay=LINE, **STORES)
    path = write(kit, "file", SEED.randbytes(6 * MIB))
    with start(pair.near, "echo", path) as pushing:
        wait_for("it is pushed",
                 lambda: wan_sent(pair.near, "far") > MIB)
        pair.near.may_end = True
        pair.near.signal(signal.SIGTERM)
        out, errors = pushing.communicate(timeout=60)
    assert pushing.returncode in (OK, UNREACHABLE), errors
    assert " end=clean " in line_of(pair.far)
