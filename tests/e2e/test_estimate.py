# SPDX-License-Identifier: Apache-2.0
"""compressnet estimate: true, and clear about what it cannot read."""
import json
import os
import random
import signal
import socket
import subprocess
import time

import pytest

import captures
from gateways import built
from passes import Passes, some_random, some_text

# What the estimate may be off, of what a real pair puts on the WAN.
TOLERANCE = 0.05
SMALL = 3000


def estimate(*words, code=0, **options):
    done = subprocess.run(
        [built("src/manage/compressnet"), "estimate", *map(str, words)],
        capture_output=True, text=True, timeout=120, check=False, **options)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def figures(*words, code=0):
    return json.loads(estimate(*words, "--json", code=code).stdout)


def a_log(lines, seed):
    rng = random.Random(seed)
    paths = [f"/api/v1/{rng.randbytes(4).hex()}" for _ in range(300)]
    return "".join(
        f"2026-01-{rng.randrange(1, 29):02} 10.0.{rng.randrange(9)}."
        f"{rng.randrange(256)} GET {rng.choice(paths)} "
        f"{rng.choice((200, 200, 200, 304, 404, 500))} "
        f"{rng.randrange(100000)}\n" for _ in range(lines)).encode()


@pytest.mark.parametrize("name", ("log", "binary", "noise"))
def test_it_tells_what_a_real_pair_sends(kit, tmp_path, name):
    """Within TOLERANCE, first and again, over a line of the same rate."""
    data = {"log": lambda: a_log(30000, 1),
            "binary": lambda: open(built("src/gateway/compressnetd"),
                                   "rb").read()[:3 << 20],
            "noise": lambda: some_random(1 << 20, 2)}[name]()
    path = tmp_path / name
    path.write_bytes(data)
    told = figures(path, "--rate", "100mbit", "--delay", "10ms")
    pair = kit.forward(relay=["--rate", "100mbit", "--delay", "10ms"])
    pair.wait_up()
    passes = Passes(pair)
    try:
        first = passes.send(data)
        again = passes.send(data)
    finally:
        passes.close()
    for real, guess in ((first, told["first"]), (again, told["repeat"])):
        off = abs(guess["wan_up"] - real.up)
        assert off <= max(real.up * TOLERANCE, SMALL), (real, guess)
    assert told["first"]["lan"] == len(data)


def test_files_by_type(tmp_path):
    text = some_text(300000, 3)
    (tmp_path / "a.log").write_bytes(text)
    (tmp_path / "b.LOG").write_bytes(text)
    (tmp_path / "c.gz").write_bytes(
        subprocess.run(["gzip", "-c"], input=text, capture_output=True,
                       check=True).stdout)
    (tmp_path / "empty").write_bytes(b"")
    os.symlink(tmp_path, tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    told = figures(tmp_path)
    rows = {row["name"]: row for row in told["types"]}
    assert rows[".log"]["files"] == 2
    assert rows[".log"]["first"]["lan"] == 2 * len(text)
    assert told["duplicates"] > len(text) * 0.9
    assert rows[".gz"]["content"] == {
        "gzip": os.path.getsize(tmp_path / "c.gz")}
    assert "rsyncable" in rows[".gz"]["advice"]
    assert rows[".log"]["advice"] is None
    assert told["repeat"]["saved"] > 0.97 and told["complete"]
    parts = sum(row["first"]["wan"] for row in told["types"])
    assert parts <= told["first"]["wan"] < parts * 1.05
    shown = estimate(tmp_path, "--price", "0.09/GB").stdout
    assert "What to change" in shown and "costs" in shown


def test_level_and_profile_matter(tmp_path):
    (tmp_path / "a").write_bytes(a_log(20000, 4))
    off, low, high = (figures(tmp_path / "a", *words)["first"]["wan"]
                      for words in (("--profile", "off"), ("--levels", "1"),
                                    ("--levels", "9")))
    assert high < low < off
    assert off > os.path.getsize(tmp_path / "a")


@pytest.mark.parametrize("write",
                         (captures.write_pcap, captures.write_pcapng))
def test_captures_by_port(tmp_path, write):
    plain = captures.Talk(5432)
    for i in range(300):
        plain.up(b"select * from orders where id = %d;" % i)
        plain.down(b"id|name|price\n" + b"%d|a thing|12.50\n" % i * 30)
    plain.end()
    late = plain.packets[40]
    plain.packets[40:42] = [plain.packets[41], late, late]  # order, again
    tls = captures.Talk(443, client_port=40001)
    tls.up(b"\x16\x03\x01\x02\x00\x01" + some_random(60000, 5)).end()
    midway = captures.Talk(8080, client_port=40002, syn=False)
    midway.down(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
                b"Content-Length: 50000\r\n\r\n" + some_random(50000, 6))
    del midway.packets[20]
    write(tmp_path / "x", sorted(plain.packets + tls.packets +
                                 midway.packets, key=lambda p: p[0]))
    told = figures(tmp_path / "x")
    rows = {row["port"]: row for row in told["ports"]}
    assert told["kind"] == "capture" and told["complete"]
    assert set(rows) == {5432, 443, 8080}
    assert rows[5432]["connections"] == 1
    assert rows[5432]["first"]["saved"] > 0.5
    assert rows[5432]["up"]["lan"] == sum(
        len(b"select * from orders where id = %d;" % i) for i in range(300))
    assert rows[443]["content"] == {"TLS": 60006}
    assert "TLS" in rows[443]["advice"]
    assert rows[8080]["content"]["HTTP content-encoding"] > 45000
    assert "content-encoding" in rows[8080]["advice"]
    assert told["capture"]["retransmitted"] == len(late[1]) - 54
    assert told["capture"]["missing"] == captures.SEGMENT
    assert told["capture"]["midway"] == 1


def test_clear_words(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        for word in ("pipe", "socket", "/dev/zero"):
            said = estimate(tmp_path / word, code=1).stderr
            assert "neither file nor directory" in said
    assert "empty" in estimate(tmp_path / "empty", code=1).stderr
    assert "No such file" in estimate(tmp_path / "none", code=1).stderr
    os.mkdir(tmp_path / "folder")
    assert "no file" in estimate(tmp_path / "folder", code=1).stderr
    for words in (("--price", "x"), ("--levels", "0"), ("--levels", "9-1"),
                  ("--profile", "no"), ("--rate", "1"), ("--delay", "1")):
        assert estimate(tmp_path, *words, code=2).stderr.startswith("error")


def test_hostile_captures(tmp_path):
    path = tmp_path / "x.pcap"
    talk = captures.Talk(80).up(b"x" * 5000)
    captures.write_pcap(path, talk.packets)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    done = estimate(path, code=1)
    assert "damaged" in done.stderr and "Stopped" in done.stdout
    captures.write_pcap(path, talk.packets, link=105)
    assert "link layer" in estimate(path, code=1).stderr
    captures.write_pcap(path, [])
    assert "no TCP" in estimate(path, code=1).stderr
    (tmp_path / "a").write_bytes(b"text")
    assert "apart" in estimate(path, tmp_path / "a", code=2).stderr
    rng = random.Random(7)
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(20):
            damaged[rng.randrange(4, len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        done = subprocess.run(
            [built("src/manage/compressnet"), "estimate", path],
            capture_output=True, timeout=60, check=False)
        assert done.returncode in (0, 1), done.stderr


def test_stopped_it_tells_what_it_has(tmp_path):
    with open(tmp_path / "big", "wb") as out:
        for i in range(24):
            out.write(some_text(16 << 20, i))
    process = subprocess.Popen(
        [built("src/manage/compressnet"), "estimate", tmp_path / "big",
         "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    told = json.loads(out)
    assert process.returncode == 1 and not told["complete"]
    assert err == b""  # no bar where there is no terminal
