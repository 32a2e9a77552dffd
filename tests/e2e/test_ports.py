# SPDX-License-Identifier: Apache-2.0
"""compressnet ports: who listens on 2 and 3, in a network of their own."""
import json
import os
import subprocess

import pytest

from gateways import built, wait_for

pytestmark = pytest.mark.usefixtures("room")

STRANGER = """
import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
kind = socket.SOCK_DGRAM if sys.argv[1] == "udp" else socket.SOCK_STREAM
sock = socket.socket(family, kind)
if family == socket.AF_INET6:
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
sock.bind((sys.argv[2], int(sys.argv[3])))
if kind == socket.SOCK_STREAM:
    sock.listen()
print("ready", flush=True)
time.sleep(1000)
"""


class Room:
    """A network namespace; what runs in it ends with it."""

    def __init__(self, folder):
        self.folder = folder
        self.children = []
        self.holder = self.keep(subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up; echo ready; "
             "exec sleep 1000"], stdout=subprocess.PIPE))
        assert self.holder.stdout.readline() == b"ready\n"

    def keep(self, child):
        self.children.append(child)
        return child

    def command(self, *words):
        return ["nsenter", "-t", str(self.holder.pid), "-n", *words]

    def stranger(self, kind, address, port):
        child = self.keep(subprocess.Popen(
            self.command("/usr/bin/python3", "-c", STRANGER, kind, address,
                         str(port)), stdout=subprocess.PIPE))
        assert child.stdout.readline() == b"ready\n"
        return child

    def gateway(self):
        key = self.folder / "key"
        subprocess.run([built("src/manage/compressnet"), "key", "gen",
                        "--key", key, "--force"], check=True, capture_output=True)
        self.socket = self.folder / "control.sock"
        config = self.folder / "c.yaml"
        config.write_text(json.dumps({
            "gateway": {"name": "here", "listen": "0.0.0.0:3",
                        "key": str(key)},
            "control": {"socket": str(self.socket)}}))
        child = self.keep(subprocess.Popen(
            self.command(built("src/gateway/compressnetd"), "-c",
                         str(config)), stderr=open(self.folder / "log", "w")))
        wait_for("the gateway listens", self.socket.exists)
        wait_for("the carriers' port is open", lambda: ":3 " in
                 subprocess.run(self.command("ss", "-Hltn"), check=True,
                                capture_output=True, text=True).stdout)
        return child

    def ports(self, *words, code, prefix=()):
        done = subprocess.run(
            self.command(*prefix, built("src/manage/compressnet"), "ports",
                         "--socket", str(self.folder / "control.sock"),
                         *words),
            capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def told(self, *words, **options):
        told = json.loads(self.ports(*words, "--json", **options).stdout)
        return {port["port"]: port for port in told["ports"]}

    def close(self):
        for child in reversed(self.children):
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()


@pytest.fixture
def room(tmp_path):
    if os.getuid() != 0:
        pytest.fail("a network namespace needs root")
    room = Room(tmp_path)
    yield room
    room.close()


def test_nobody(room):
    told = room.told(code=0)
    assert set(told) == {2, 3}
    for port, words in ((2, "Management Utility"), (3, "Compression Process")):
        assert told[port]["verdict"] == "free"
        assert told[port]["listeners"] == []
        assert "Reserved by IANA since 2025-02-13" in told[port]["registry"]
        assert words in told[port]["registry"]
    assert "Death" in told[2]["registry"]


def test_our_gateway_is_told_by_its_answer(room):
    gateway = room.gateway()
    told = room.told(code=0)
    assert told[3]["verdict"] == "CompressNET"
    [one] = told[3]["listeners"]
    assert one["pid"] == gateway.pid and one["address"] == "0.0.0.0:3"
    assert one["executable"].endswith("compressnetd")
    # Without its answer it is nobody's, whatever its name.
    os.unlink(room.socket)
    assert room.told(code=5)[3]["verdict"] == "SUSPECT"


@pytest.mark.parametrize("kind, address, shown", (
    ("tcp", "0.0.0.0", "0.0.0.0:2"), ("tcp", "127.0.0.1", "127.0.0.1:2"),
    ("tcp", "::", "[::]:2"), ("tcp", "::1", "[::1]:2"),
    ("udp", "0.0.0.0", "0.0.0.0:2"), ("udp", "::", "[::]:2")))
def test_a_stranger_is_suspect(room, kind, address, shown):
    child = room.stranger(kind, address, 2)
    told = room.told(code=5)
    [one] = told[2]["listeners"]
    assert told[2]["verdict"] == "SUSPECT" and told[3]["verdict"] == "free"
    assert (one["protocol"], one["address"]) == (kind, shown)
    assert one["pid"] == child.pid and one["user"] == "root"
    assert "python" in one["executable"] and one["advice"]
    text = room.ports(code=5).stdout
    assert "what next" in text and str(child.pid) in text


def test_a_stranger_beside_our_gateway(room):
    room.gateway()
    room.stranger("udp", "0.0.0.0", 3)
    told = room.told(code=5)[3]
    assert sorted(one["verdict"] for one in told["listeners"]) == [
        "CompressNET", "SUSPECT"]
    assert told["verdict"] == "SUSPECT"


def test_who_may_not_look_is_told_so(room):
    room.stranger("tcp", "0.0.0.0", 2)
    done = room.ports(code=5, prefix=(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
    assert "not permitted to see" in done.stdout
    assert "as root" in done.stdout


def test_other_ports_are_explained(room):
    room.stranger("tcp", "127.0.0.1", 5432)
    told = room.told("0", "22", "5432", "8999", "60000", code=0)
    assert "Reserved" in told[0]["registry"]
    assert told[22]["registry"].startswith("system port, assigned to ssh")
    assert told[5432]["verdict"] == "listening"
    assert told[5432]["registry"].startswith("user port, assigned to postgre")
    assert "not in" in told[8999]["registry"]
    assert "dynamic" in told[60000]["registry"]
    for words in (("65536",), ("3", "x"), ("--nft", "3")):
        room.ports(*words, code=2)


def identity_of(room):
    return subprocess.run(
        [built("src/manage/compressnet"), "key", "show", "--key",
         room.folder / "key"], check=True, capture_output=True,
        text=True).stdout.split()[0]


def peers_file(room, **peers):
    path = room.folder / "peers.yaml"
    path.write_text(json.dumps({"gateway": {"name": "me",
                                            "listen": "0.0.0.0:3"},
                                "peers": peers}))
    return str(path)


def test_a_host_proves_who_it_is(room):
    room.gateway()
    identity = identity_of(room)
    mine = peers_file(room, tokyo={"address": "127.0.0.1:3",
                                   "identity": identity})
    room.stranger("tcp", "127.0.0.1", 2)
    told = {one["port"]: one for one in json.loads(room.ports(
        "127.0.0.1", "2", "3", "4", "-c", mine, "--json",
        code=5).stdout)["ports"]}
    assert told[3]["verdict"] == "CompressNET"
    assert "tokyo" in told[3]["text"] and identity in told[3]["text"]
    assert told[2]["verdict"] == "SUSPECT"
    assert told[4]["verdict"] == "closed"
    room.ports("127.0.0.1", "3", "-c", mine, code=0)
    # The same gateway, that nobody here has pinned.
    done = room.ports("127.0.0.1", "3", "-c", peers_file(room), code=5)
    assert "no configured peer" in done.stdout and identity in done.stdout


def test_a_filtered_port_is_told_from_a_closed_one(room):
    subprocess.run(room.command("nft", "-f", "-"), check=True, text=True,
                   input="table inet t {\nchain c {\ntype filter hook input "
                   "priority 0;\ntcp dport 3 drop\n}\n}\n")
    told = room.ports("127.0.0.1", "2", "3", code=0).stdout
    assert "port 2  closed" in told and "port 3  filtered" in told


def test_nft_takes_the_rules(room):
    room.gateway()
    identity = identity_of(room)
    path = peers_file(
        room, tokyo={"address": "192.0.2.7:3", "identity": identity})
    rules = room.ports("--nft", "-c", path, code=0).stdout
    assert "ip saddr 192.0.2.7 tcp dport { 3 } accept" in rules
    subprocess.run(room.command("nft", "-c", "-f", "-"), input=rules,
                   text=True, check=True)
    assert "no address" in room.ports("--nft", "-c", peers_file(
        room, roma={"identity": identity}), code=0).stdout
    room.ports("--nft", "-c", "/nonexistent", code=3)
