# SPDX-License-Identifier: Apache-2.0
"""The store of a running gateway: its configuration, its care by hand, and
what happens to it from outside."""
import json
import os
import resource
import stat
import subprocess
import threading
import time

import pytest

import ends
from gateways import HOST, built, wait_for

OK, FAILED, USAGE, CONFIG, UNREACHABLE, FINDINGS, NOT_ALLOWED = range(7)
MIB = 1 << 20
# Of one image in the store's file: doc/store.md.
IMAGE = 4096 + 28 * 1024 + MIB
SMALL = {"memory": "16MiB"}


def run(gateway, *args, code=OK):
    done = gateway.kit.compressnet("store", *args, "--socket", gateway.socket)
    assert done.returncode == code, done
    return done


def show(gateway, *args, code=OK):
    return json.loads(run(gateway, *args, "--json", code=code).stdout)


def folder_of(gateway):
    return os.path.join(gateway.folder, "store")


def file_of(gateway):
    return os.path.join(folder_of(gateway), "segments")


def alone(kit, name="near", on_disk=True, start=True, **store):
    """A gateway without peers."""
    gateway = kit.gateway(name, {})
    if on_disk:
        store.setdefault("path", folder_of(gateway))
        store.setdefault("size", "64MiB")
    gateway.write({**gateway.config, "store": {**SMALL, **store}})
    return gateway.start() if start else gateway


def make_key(kit, name="carry.key"):
    path = os.path.join(kit.folder, name)
    if not os.path.exists(path):
        done = kit.compressnet("store", "key", path)
        assert done.returncode == OK, done
    return path


def make_export(kit, sender, receiver, segments, name="some.cnx"):
    """A file of what sender once sent to receiver."""
    path = os.path.join(kit.folder, name)
    with open(path, "wb") as out:
        subprocess.run(
            [built("tests/e2e/make_export"), make_key(kit),
             kit.identity(sender), kit.identity(receiver), str(segments)],
            stdout=out, check=True)
    kit.give(path)
    return path


def fill(gateway, segments, name="some.cnx"):
    """Put segments that the gateway sent to "far" into its store."""
    path = make_export(gateway.kit, gateway.name, "far", segments, name)
    done = run(gateway, "import", path, "--key-file",
               make_key(gateway.kit))
    assert f"{segments} segments were taken in\n" == done.stdout
    return path


def wait_written(gateway, segments):
    wait_for("all is on the disk",
             lambda: show(gateway)["disk_segments"] == segments)


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 16]))


# ---- configuration ----


BAD = [
    ({"memory": "15MiB"}, "store.memory: 15MiB is out of range; 0, or 16MiB "
                          "and more"),
    ({"index": "1kB"}, "store.index: "),
    ({"quota": "1kB"}, "store.quota: "),
    ({"size": "1MiB"}, "store.size: 1MiB is out of range; from 64MiB to "
                       "64TiB"),
    ({"path": "store"}, "store.path: 'store' is not a path"),
    ({"folder": "/x"}, "unknown key 'folder' in store"),
    ({"memory": -1}, "store.memory: "),
]


@pytest.mark.parametrize("store, words", BAD)
def test_bad_configuration(kit, store, words):
    """Refused with place and words, and exit code 3."""
    gateway = alone(kit, on_disk=False, start=False, **store)
    gateway.start(wait=False)
    gateway.may_end = True
    assert gateway.process.wait(10) == CONFIG
    assert words in gateway.log()
    checked = kit.compressnet("config", "check", gateway.config_file)
    assert checked.returncode == CONFIG
    assert words in checked.stderr


@pytest.mark.parametrize("key", ["memory", "index"])
def test_more_memory_than_there_is(kit, key):
    gateway = alone(kit, on_disk=False, start=False, **{key: "1TiB"})
    gateway.start(wait=False)
    gateway.may_end = True
    assert gateway.process.wait(10) == CONFIG
    said, = gateway.events("start-refused")
    assert "memory.limit, store.memory and store.index together" in said
    assert f"store.{key}={1 << 40} " in said


def test_a_reload_does_not_move_the_store(kit):
    gateway = alone(kit)
    gateway.write({**gateway.config,
                   "store": {**gateway.config["store"], "size": "1GiB"}})
    said = gateway.ask("reload")
    assert "store.size: 64MiB -> 1GiB (restart)" in said["changes"]
    assert show(gateway)["disk_cap"] == 64 * MIB


def test_no_store(kit):
    gateway = alone(kit, on_disk=False, memory=0)
    assert show(gateway)["is_on"] is False
    assert "no store" in run(gateway, "status").stdout
    for command in ("verify", "clear"):
        done = run(gateway, command, code=FAILED)
        assert "store.memory is 0" in done.stderr
    status = gateway.kit.compressnet("status", "-s", gateway.socket)
    assert "store" not in status.stdout


# ---- care by hand ----


def test_status(kit):
    gateway = alone(kit, quota="32MiB")
    assert show(gateway)["oldest_us"] == 0
    fill(gateway, 5)
    wait_written(gateway, 5)
    store = show(gateway)
    assert store["is_on"] and store["has_disk"]
    assert not store["is_disk_lost"] and store["error"] == ""
    assert store["path"] == folder_of(gateway)
    assert store["segments"] == store["disk_segments"] == 5
    assert store["valid_bytes"] == 5 * MIB
    assert store["memory_cap"] == 16 * MIB
    assert store["disk_cap"] == 64 * MIB
    assert store["quota"] == 32 * MIB
    assert store["index_bytes"] > 0
    assert store["disk_bytes"] >= 5 * MIB
    assert store["copied"] == 0
    text = run(gateway).stdout
    assert "5: " in text and "5 on disk" in text
    assert folder_of(gateway) in text
    # The short form, and as a part of the whole.
    assert gateway.ask("status")["store"]["segments"] == 5
    status = gateway.kit.compressnet("status", "-s", gateway.socket)
    assert "\nstore " in status.stdout


def test_verify(kit):
    gateway = alone(kit)
    assert "0 segments" in run(gateway, "verify").stdout
    fill(gateway, 6)
    wait_written(gateway, 6)
    assert show(gateway, "verify") == {
        "segments": 6, "bytes": 6 * MIB, "damaged": 0, "known": 0,
        "foreign": 0, "no_room": 0, "whole": 0}
    # Start again, so that nothing of it is in memory.
    gateway.stop()
    gateway.start()
    assert show(gateway)["segments"] == 6
    flip(file_of(gateway), 2 * IMAGE + 4096 + 28 * 1024 + 7777)
    flip(file_of(gateway), 4 * IMAGE + IMAGE - 1)
    done = run(gateway, "verify", code=FINDINGS)
    assert "6 segments" in done.stdout and "2 were damaged" in done.stdout
    assert show(gateway, "verify")["segments"] == 4
    assert show(gateway)["segments"] == 4


def test_verify_while_bytes_flow(kit):
    pair = kit.forward(near={"store": SMALL}, far={"store": SMALL})
    fill(pair.near, 12)
    stop = threading.Event()

    def verify():
        while not stop.is_set():
            run(pair.near, "verify")
    thread = threading.Thread(target=verify)
    thread.start()
    with ends.listen(pair.target) as listener:
        client, server = ends.both_ends(listener, pair.port)
        with client, server:
            for _ in range(200):
                client.sendall(b"x" * 1000)
                assert ends.receive(server, 1000) == b"x" * 1000
    stop.set()
    thread.join()


def test_trim_and_clear(kit):
    gateway = alone(kit)
    fill(gateway, 8)
    wait_written(gateway, 8)
    run(gateway, "trim", "3MiB")
    assert show(gateway)["segments"] == 3
    run(gateway, "trim", "1GiB")
    assert show(gateway)["segments"] == 3
    for bad in ("lots", "3MiB x", "", "99999999999TiB"):
        assert "size" in run(gateway, "trim", bad, code=USAGE).stderr
    run(gateway, "clear")
    assert show(gateway)["segments"] == 0
    assert show(gateway, "verify")["segments"] == 0
    # What was given up does not come back.
    assert gateway.stop() == OK
    gateway.start()
    assert show(gateway)["segments"] == 0


def test_who_may(kit):
    """Looking is one thing, changing another."""
    gateway = alone(kit)
    os.chmod(gateway.folder, 0o755)
    os.chmod(gateway.socket, 0o666)

    def as_other():
        os.setgroups([])
        os.setgid(4711)
        os.setuid(4711)
    if os.geteuid() != 0:
        pytest.skip("root alone can be another user")
    for command in (["status"], ["verify"], ["clear"]):
        done = subprocess.run(
            [kit.program("src/manage/compressnet"), "store", *command, "-s",
             gateway.socket], preexec_fn=as_other, env=kit.environment(),
            text=True, capture_output=True, timeout=30)
        assert done.returncode == NOT_ALLOWED, done


# ---- export and import ----


def test_carry_to_the_far_side(kit):
    """What near sent is in far's store before any byte crossed."""
    near, far = alone(kit), alone(kit, "far", on_disk=False)
    third = alone(kit, "third", on_disk=False)
    fill(near, 4)
    path = os.path.join(kit.folder, "near.cnx")
    key = make_key(kit)
    assert show(near, "export", path, "--key-file", key)["segments"] == 4
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    done = run(far, "import", path, "--key-file", key)
    assert done.stdout == "4 segments were taken in\n"
    assert show(far, "verify")["segments"] == 4
    # Again: nothing new.  Elsewhere: none of its business.
    assert show(far, "import", path, "--key-file", key)["known"] == 4
    assert show(third, "import", path, "--key-file", key)["foreign"] == 4
    assert show(third)["segments"] == 0
    # The other way round: far's view of it, seen by near.
    run(near, "clear")
    back = os.path.join(kit.folder, "far.cnx")
    run(far, "export", back, "--key-file", key)
    assert show(near, "import", back, "--key-file", key)["known"] == 0
    assert show(near)["segments"] == 4


def test_export_to_a_pipe(kit):
    near, far = alone(kit), alone(kit, "far", on_disk=False)
    fill(near, 3)
    program = kit.program("src/manage/compressnet")
    key = make_key(kit)
    line = (f"{program} store export - --key-file {key} -s {near.socket} | "
            f"{program} store import - --key-file {key} -s {far.socket}")
    done = subprocess.run(["sh", "-c", line], text=True, capture_output=True,
                          env=kit.environment(), preexec_fn=kit.drop([]),
                          timeout=60)
    assert done.returncode == OK, done
    assert "3 segments were taken in" in done.stdout
    assert show(far)["segments"] == 3


def test_keys_of_exports(kit):
    gateway = alone(kit, on_disk=False)
    key = make_key(kit)
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    assert os.stat(key).st_size == 32
    path = fill(gateway, 1)
    # There is one already.
    done = kit.compressnet("store", "key", key)
    assert done.returncode == FAILED and "already" in done.stderr
    # None, one that others can read, one that is none.
    done = run(gateway, "import", path, code=USAGE)
    assert "--key-file" in done.stderr
    wide = os.path.join(kit.folder, "wide.key")
    with open(wide, "wb") as out:
        out.write(bytes(32))
    kit.give(wide)
    os.chmod(wide, 0o640)
    run(gateway, "import", path, "--key-file", wide, code=NOT_ALLOWED)
    os.chmod(wide, 0o600)
    # Another key.
    done = run(gateway, "import", path, "--key-file", wide, code=FAILED)
    assert "another key" in done.stderr
    with open(wide, "ab") as out:
        out.write(b"\n")
    done = run(gateway, "import", path, "--key-file", wide, code=FAILED)
    assert "32 bytes" in done.stderr


def test_bad_exports(kit):
    gateway = alone(kit, on_disk=False)
    key = make_key(kit)
    path = make_export(kit, gateway.name, "far", 3)
    # Nothing is written over, nothing half-written stays.
    assert "already" in run(gateway, "export", path, "--key-file", key,
                            code=FAILED).stderr
    nowhere = os.path.join(kit.folder, "no", "where")
    run(gateway, "export", nowhere, "--key-file", key, code=FAILED)
    before = sorted(os.listdir(kit.folder))
    run(gateway, "export", path, "--key-file", key, "--force")
    assert sorted(os.listdir(kit.folder)) == before
    # Cut, changed, something else, nothing.
    path = make_export(kit, gateway.name, "far", 3)
    with open(path, "rb") as file:
        good = file.read()
    for bad, words, kept in (
            (good[:-1], "too early", 3),
            (good[:2 * MIB], "too early", 1),
            (good[:MIB] + b"?" + good[MIB + 1:], "damaged", 0),
            (b"PK" + good, "no export", 0),
            (b"", "too early", 0)):
        with open(path, "wb") as out:
            out.write(bad)
        done = run(gateway, "import", path, "--key-file", key, code=FAILED)
        assert words in done.stderr
        assert show(gateway)["segments"] == kept
        run(gateway, "clear")
    run(gateway, "import", nowhere, "--key-file", key, code=FAILED)


def test_hostile_callers(kit):
    """Half an import, one out of order, one without bytes: each its answer,
    and the gateway goes on."""
    gateway = alone(kit, on_disk=False)
    key = "00" * 32
    with pytest.raises(RuntimeError, match="payload"):
        gateway.ask("store-import", cursor=0, key=key)
    with pytest.raises(RuntimeError, match="cursor"):
        gateway.ask("store-export", cursor=7, key=key)
    with pytest.raises(RuntimeError, match="payload"):
        gateway.ask("store-import", cursor=0, key=key, payload=1 << 30)
    import socket
    for bytes_sent in (0, 1, 1000):
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(gateway.socket)
            control.sendall(json.dumps(
                {"v": 1, "id": 1, "cmd": "store-import", "cursor": 0,
                 "key": key, "payload": 2000}).encode() + b"\n" +
                bytes(bytes_sent))
    assert show(gateway)["segments"] == 0


# ---- what happens to it from outside ----


def test_restart(kit):
    gateway = alone(kit)
    fill(gateway, 7)
    assert gateway.stop() == OK
    closed, = gateway.events("store-close")
    assert "segments=7" in closed and "whole=yes" in closed
    gateway.start()
    assert "recovered=7 damaged=0" in gateway.events("store-open")[-1]
    assert show(gateway, "verify")["damaged"] == 0
    # Killed: what was on the disk is.
    gateway.kill()
    gateway.start()
    assert show(gateway)["segments"] == 7


def test_damaged_while_away(kit):
    """Flips, a cut and a file of something else: a start like any other."""
    gateway = alone(kit)
    fill(gateway, 6)
    gateway.stop()
    path = file_of(gateway)
    flip(path, 0 * IMAGE + 3)           # the head
    flip(path, 2 * IMAGE + 4096 + 100)  # the footer
    flip(path, 3 * IMAGE + IMAGE - 5)   # the data: found later
    os.truncate(path, 5 * IMAGE + IMAGE // 2)
    gateway.start()
    store = show(gateway)
    assert store["damaged"] >= 2, store
    assert "damaged=" in gateway.events("store-open")[-1]
    run(gateway, "verify", code=FINDINGS)
    assert show(gateway, "verify")["damaged"] == 0
    assert show(gateway, "verify")["segments"] == 2
    gateway.stop()
    with open(path, "wb") as out:
        out.write(os.urandom(3 * IMAGE))
    gateway.start()
    assert show(gateway)["segments"] == 0
    # It is used again.
    fill(gateway, 3, "more.cnx")
    wait_written(gateway, 3)
    gateway.stop()
    gateway.start()
    assert show(gateway)["segments"] == 3


def test_of_another_gateway(kit):
    """A folder that was copied is of no use with another key."""
    near, far = alone(kit), alone(kit, "far", start=False)
    fill(near, 2)
    near.stop()
    os.mkdir(folder_of(far))
    with open(file_of(near), "rb") as there:
        with open(file_of(far), "wb") as here:
            here.write(there.read())
    kit.give(folder_of(far))
    kit.give(file_of(far))
    far.start()
    assert show(far)["segments"] == 0


def memory_only(gateway, words):
    """It started, says why it is without its disk, and works."""
    store = show(gateway)
    assert store["is_on"] and store["is_disk_lost"] and store["has_disk"]
    assert words in store["error"], store["error"]
    lost, = gateway.events("store-lost")
    assert " warn " in lost and words in lost.replace("\\", "")
    assert "DISK NOT IN USE" in run(gateway).stdout
    status = gateway.kit.compressnet("status", "-s", gateway.socket)
    assert "THE DISK IS NOT IN USE" in status.stdout
    fill(gateway, 2)
    assert show(gateway, "verify")["segments"] == 2


def test_locked_folder(kit):
    first = alone(kit)
    second = alone(kit, "second", path=folder_of(first))
    memory_only(second, "another process uses it")
    # Free again, the next start takes it.
    first.stop()
    second.stop()
    second.start()
    assert show(second)["is_disk_lost"] is False


def test_read_only_folder(kit):
    gateway = alone(kit, start=False)
    os.mkdir(folder_of(gateway))
    os.chmod(folder_of(gateway), 0o555)
    gateway.start()
    memory_only(gateway, "ermission denied")


def test_folder_that_is_none(kit):
    gateway = alone(kit, start=False)
    with open(folder_of(gateway), "wb"):
        pass
    gateway.start()
    memory_only(gateway, "ot a directory")


def test_folder_without_a_parent(kit):
    gateway = alone(kit, path="/nonexistent/store")
    memory_only(gateway, "o such file")


def full_by_limit(gateway):
    gateway.limits = [(resource.RLIMIT_FSIZE, 3 * IMAGE)]


def full_by_size(gateway):
    os.mkdir(folder_of(gateway))
    user = gateway.kit.user
    owner = f",uid={user.pw_uid},gid={user.pw_gid}" if user else ""
    if subprocess.run(["mount", "-t", "tmpfs", "-o",
                       f"size=4m,mode=0700{owner}", "none", folder_of(gateway)],
                      capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")


@pytest.mark.parametrize("make_full", [full_by_limit, full_by_size])
def test_full_disk(kit, make_full):
    """Less fits than was thought: nothing else happens."""
    gateway = alone(kit, start=False)
    make_full(gateway)
    try:
        gateway.start()
        fill(gateway, 10)
        wait_for("writes fail", lambda: show(gateway)["write_failures"] > 0)
        assert show(gateway, "verify")["damaged"] == 0
        assert gateway.ask("status")["gateway"]["state"] == "up"
        assert gateway.stop() == OK
        gateway.start()
        # The last one may be there by half, which shows when it is read.
        store = show(gateway)
        assert 1 <= store["segments"] <= 4, store
        gateway.kit.compressnet("store", "verify", "-s", gateway.socket)
        assert 1 <= show(gateway, "verify")["segments"] <= 3
        assert show(gateway, "verify")["damaged"] == 0
        gateway.stop()
    finally:
        subprocess.run(["umount", folder_of(gateway)], capture_output=True,
                       check=False)


def test_disk_smaller_than_before(kit):
    """The oldest goes; the rest is there."""
    gateway = alone(kit, size="80MiB")
    fill(gateway, 70)
    wait_written(gateway, 70)
    gateway.stop()
    gateway.write({**gateway.config,
                   "store": {**gateway.config["store"], "size": "64MiB"}})
    gateway.start()
    store = show(gateway)
    assert store["disk_bytes"] <= 64 * MIB
    assert 50 <= store["segments"] <= 64
    assert show(gateway, "verify")["damaged"] == 0


# ---- with bytes that crossed ----


BYTES = 3 * MIB


def counter(gateway, name):
    return next(c["value"] for c in gateway.ask("status")["counters"]
                if c["name"] == name)


def send(port, target, data, is_back=False):
    """Data through a service, or back from its server."""
    with ends.listen(target) as listener:
        client, server = ends.both_ends(listener, port)
        with client, server:
            source, sink = (server, client) if is_back else (client, server)
            sender = threading.Thread(target=source.sendall, args=(data,))
            sender.start()
            assert ends.receive(sink, len(data)) == data
            sender.join()
            return client.getsockname()


def crossed(gateway, port, target, data, **options):
    """What of that data went as copies."""
    before = counter(gateway, "copied_out")
    send(port, target, data, **options)
    return counter(gateway, "copied_out") - before


def both(**keys):
    return {"near": {"store": {**SMALL, **keys}},
            "far": {"store": {**SMALL, **keys}}}


def test_hits(kit):
    pair = kit.forward(**both())
    data = os.urandom(BYTES)
    assert crossed(pair.near, pair.port, pair.target, data) == 0
    assert show(pair.near)["appended"] == BYTES
    wait_for("far has it", lambda: show(pair.far)["filled"] == BYTES)
    assert crossed(pair.near, pair.port, pair.target, data) == BYTES
    assert counter(pair.far, "copied_in") == BYTES
    # Back again: what near sent is at far.
    assert crossed(pair.far, pair.port, pair.target, data,
                   is_back=True) == BYTES
    pair.near.wait_streams(0)
    store = show(pair.near)
    assert store["lan"] == 3 * BYTES and store["copied"] == 2 * BYTES
    assert "(66.7 %)" in run(pair.near).stdout
    service, = pair.near.ask("services")["services"]
    assert service["sent"]["copied"] == BYTES
    assert service["received"]["copied"] == BYTES


@pytest.mark.parametrize("keys", [{"scope": "connection"},
                                  {"profile": "off"},
                                  {"profile": "plain"}])
def test_what_is_not_stored(kit, keys):
    """Neither way, at neither end."""
    port, target = kit.ports.take(), kit.ports.take()
    pair = kit.pair(
        {"echo": {"listen": f"{HOST}:{port}", **keys}},
        {"echo": f"{HOST}:{target}"}, **both(),
        profiles={"plain": {"dedup": False}})
    data = os.urandom(MIB)
    for is_back in (False, True, False):
        send(port, target, data, is_back)
    for gateway in (pair.near, pair.far):
        store = show(gateway)
        assert store["segments"] == store["appended"] == store["filled"] == 0
        assert store["copied"] == 0


@pytest.mark.parametrize("groups, is_shared", [
    (("a", "a"), True), (("a", "b"), False), ((None, None), False),
    (("a", None), False)])
def test_groups(kit, groups, is_shared):
    """Services of one group share, others do not."""
    ports = [kit.ports.take() for _ in groups]
    targets = [kit.ports.take() for _ in groups]
    services = {f"s{i}": {"listen": f"{HOST}:{ports[i]}",
                          **({"group": group} if group else {})}
                for i, group in enumerate(groups)}
    pair = kit.pair(services, {f"s{i}": f"{HOST}:{target}"
                               for i, target in enumerate(targets)}, **both())
    data = os.urandom(MIB)
    assert crossed(pair.near, ports[0], targets[0], data) == 0
    wait_for("it is held",
             lambda: crossed(pair.near, ports[0], targets[0], data) == MIB)
    copied = crossed(pair.near, ports[1], targets[1], data)
    assert copied == (MIB if is_shared else 0)


def on_disk(kit):
    """A pair of which both ends have a folder."""
    pair = kit.forward(start=False)
    for gateway in (pair.near, pair.far):
        gateway.write({**gateway.config, "store": {
            **SMALL, "path": folder_of(gateway), "size": "64MiB"}})
    pair.start()
    return pair


def restart(pair, between=None):
    for gateway in (pair.near, pair.far):
        assert gateway.stop() == OK
    pair.far.start()
    if between is not None:
        between()
    pair.near.start()
    pair.near.wait_peer("far")
    pair.far.wait_peer("near")


def test_hits_after_a_restart(kit):
    pair = on_disk(kit)
    pair.near.wait_peer("far")
    data = os.urandom(BYTES)
    send(pair.port, pair.target, data)
    wait_for("far has it", lambda: show(pair.far)["filled"] == BYTES)
    restart(pair)
    assert show(pair.near)["recovered"] >= 3
    wait_for("they have agreed", lambda: crossed(
        pair.near, pair.port, pair.target, data) >= BYTES * 95 // 100)
    assert show(pair.near, "verify")["damaged"] == 0


def test_hits_after_carrying(kit):
    """Far's disk is lost; near's export makes up for it."""
    pair = on_disk(kit)
    pair.near.wait_peer("far")
    data = os.urandom(BYTES)
    send(pair.port, pair.target, data)
    wait_for("far has it", lambda: show(pair.far)["filled"] == BYTES)
    restart(pair)  # seals what was being filled
    path = os.path.join(kit.folder, "near.cnx")
    key = make_key(kit)
    run(pair.near, "export", path, "--key-file", key)
    run(pair.far, "clear")

    def carry():
        assert show(pair.far)["segments"] == 0
        run(pair.far, "import", path, "--key-file", key)
        assert show(pair.far)["segments"] >= 3
    restart(pair, carry)
    time.sleep(1)  # nothing tells when they have agreed
    # The very first time: only what was carried can be referred to.  A batch
    # that would wait for the disk for too long goes as it is.
    copied = crossed(pair.near, pair.port, pair.target, data)
    assert copied >= BYTES * 3 // 4
