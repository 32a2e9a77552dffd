# SPDX-License-Identifier: Apache-2.0
"""The command line of `compressnet` as far as it needs no gateway."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

BUILD = os.environ.get("CN_BUILD", "build")
PROGRAM = os.path.abspath(os.path.join(BUILD, "src/manage/compressnet"))
DAEMON = os.path.abspath(os.path.join(BUILD, "src/gateway/compressnetd"))
HERE = os.path.dirname(os.path.abspath(__file__))

OK, FAILED, USAGE, CONFIG, UNREACHABLE, FINDINGS, NOT_ALLOWED = range(7)


@pytest.fixture
def home(tmp_path):
    """An environment in which nothing of this machine is found."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("XDG_", "COMPRESSNET"))
           and name not in ("NO_COLOR", "STATE_DIRECTORY",
                            "RUNTIME_DIRECTORY")}
    env["HOME"] = str(tmp_path)
    env["XDG_RUNTIME_DIR"] = str(tmp_path / "run")
    env["COMPRESSNET_SOCKET"] = str(tmp_path / "no.sock")
    env["STATE_DIRECTORY"] = str(tmp_path / "state")
    return env


@pytest.fixture
def cli(home, tmp_path):
    def run(*args, code=OK, program=PROGRAM, **env):
        done = subprocess.run([program, *args], env={**home, **env},
                              cwd=tmp_path, text=True, timeout=70,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == code, done
        return done
    return run


def commands(cli):
    """Each command's words, from the overview."""
    text = cli("--help").stdout.split("commands", 1)[1].split("\n\n")[0]
    rows = []
    for line in text.splitlines()[1:]:
        words = [w for w in line[2:28].split() if w == w.lower()
                 and w[0] != "["]
        rows.append(words)
    assert ["streams", "show"] in rows and ["status"] in rows
    return rows


# ---- help, usage, completion ----

def test_each_command_has_help(cli):
    for words in commands(cli):
        text = cli(*words, "--help").stdout
        assert text.startswith("compressnet " + " ".join(words) + ":")
        assert "usage: compressnet " + " ".join(words) in text
        assert max(map(len, text.splitlines())) < 200
        assert cli("help", *words).stdout == text


def test_help_tells_every_exit_code(cli):
    assert "exit codes: 0 ok, 1 failed, 2 usage" in cli("--help").stdout


@pytest.mark.parametrize("words, hint", [
    (["statsu"], "did you mean 'status'?"),
    (["streams", "lst"], "streams list"),
    (["config"], "config check"),
    (["status", "--nope"], "--nope"),
    (["status", "extra"], "extra"),
    (["streams", "show"], "ID is missing"),
    (["streams", "kill", "x"], "not the id of a stream"),
    (["status", "--timeout", "soon"], "whole number"),
    (["demo", "--rate", "fast"], "20mbit"),
    (["version", "--keep"], "no option --keep"),
])
def test_usage_errors(cli, words, hint):
    done = cli(*words, code=USAGE)
    assert done.stdout == ""
    assert hint in done.stderr


def bash_completes(script, line):
    """What bash would offer at the end of the line."""
    words = line.split(" ")
    quoted = " ".join("'%s'" % word for word in words)
    done = subprocess.run(
        ["bash", "-c", f"{script}\nCOMP_WORDS=({quoted})\n"
         f"COMP_CWORD={len(words) - 1}\n_compressnet\n"
         "printf '%s\\n' \"${COMPREPLY[@]}\""],
        text=True, stdout=subprocess.PIPE, check=True, timeout=20)
    return set(done.stdout.split())


def test_bash_completion(cli):
    script = cli("completion", "bash").stdout
    groups = {words[0] for words in commands(cli)}
    assert bash_completes(script, "compressnet ") == groups
    assert bash_completes(script, "compressnet st") == {
        "status", "store", "streams"}
    assert bash_completes(script, "compressnet streams ") == {
        "list", "show", "kill"}
    assert "--limit" in bash_completes(script, "compressnet streams list --")
    assert "--limit" in bash_completes(script, "compressnet streams --")
    assert "--limit" not in bash_completes(script,
                                           "compressnet streams show --")
    assert bash_completes(script, "compressnet completion ") == {
        "bash", "zsh", "fish"}
    assert "--watch" in bash_completes(script, "compressnet status --json -")
    # Every option of every command is offered.
    for words in commands(cli):
        text = cli(*words, "--help").stdout
        options = set(re.findall(r"^  .{4}(--[a-z-]+)", text, re.M))
        assert options
        offered = bash_completes(
            script, " ".join(["compressnet", *words, "--"]))
        assert offered == options, words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_parse(cli, shell, tmp_path):
    script = tmp_path / "script"
    script.write_text(cli("completion", shell).stdout)
    for words in commands(cli):
        assert all(word in script.read_text() for word in words)
    # Only bash is on every Debian.
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n", str(script)], check=True, timeout=20)


# ---- no gateway ----

@pytest.mark.parametrize("words", [
    [], ["status"], ["status", "--json"], ["streams"], ["streams", "show", "1"],
    ["streams", "kill", "1"], ["peers"], ["services"], ["config", "show"],
    ["config", "reload"]])
def test_unreachable(cli, words):
    done = cli(*words, code=UNREACHABLE)
    assert done.stdout == ""
    assert "no.sock" in done.stderr
    assert "hint: is compressnetd running?" in done.stderr


def test_socket_that_nobody_serves(cli, tmp_path):
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    done = cli("status", "--socket", str(path), code=UNREACHABLE)
    assert "compressnetd has ended" in done.stderr


def test_socket_path_too_long(cli):
    cli("status", "--socket", "/" + "x" * 300, code=UNREACHABLE)


class Gateway:
    """Answers each request with what a function makes of it."""

    def __init__(self, path, answer):
        self.path, self.answer = str(path), answer
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen()
        self.requests = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, _ = self.server.accept()
            with client, client.makefile("rwb") as lines:
                for line in lines:
                    request = json.loads(line)
                    self.requests.append(request)
                    reply = self.answer(request)
                    if reply is None:
                        break
                    if not isinstance(reply, bytes):
                        reply = json.dumps(
                            {"id": request["id"], **reply}).encode() + b"\n"
                    try:
                        lines.write(reply)
                        lines.flush()
                    except OSError:
                        break


def fail(code, message):
    return {"ok": False, "error": {"code": code, "message": message}}


@pytest.mark.parametrize("code, exit_code", [
    ("not-allowed", NOT_ALLOWED), ("config", CONFIG), ("not-found", FAILED),
    ("busy", FAILED), ("unknown-command", FAILED), ("invented", FAILED)])
def test_refusals(cli, tmp_path, code, exit_code):
    Gateway(tmp_path / "s", lambda _: fail(code, "because"))
    done = cli("config", "reload", "-s", str(tmp_path / "s"), code=exit_code)
    assert "because" in done.stderr
    assert done.stdout == ""


def test_reload_shows_diagnostics(cli, tmp_path):
    reply = fail("config", "not taken over")
    reply["error"]["diagnostics"] = [
        {"file": "a.yaml", "line": 3, "column": 5, "width": 6,
         "message": "unknown key 'adress'", "hint": "did you mean 'address'?",
         "source": "    adress: x"}]
    Gateway(tmp_path / "s", lambda _: reply)
    done = cli("config", "reload", "-s", str(tmp_path / "s"), code=CONFIG)
    assert "a.yaml:3:5: error: unknown key 'adress'" in done.stderr
    assert "^~~~~~" in done.stderr


@pytest.mark.parametrize("junk", [
    b"SSH-2.0-OpenSSH_9.2\n", b"\n", b"[]\n", b"{}\n", b'{"id":1}\n',
    b'{"id":9,"ok":true,"data":{}}\n', b'{"id":1,"ok":true}\n',
    b"\xff\xfe\n", b"[" * 100000 + b"\n"])
def test_junk_on_the_socket(cli, tmp_path, junk):
    Gateway(tmp_path / "s", lambda _: junk)
    done = cli("status", "-s", str(tmp_path / "s"), code=UNREACHABLE)
    assert "error: " in done.stderr


def test_gateway_that_hangs(cli, tmp_path):
    Gateway(tmp_path / "s", lambda _: time.sleep(30))
    started = time.monotonic()
    cli("status", "-s", str(tmp_path / "s"), "--timeout", "300",
        code=UNREACHABLE)
    assert time.monotonic() - started < 10


STATUS = {
    "gateway": {"name": "london", "state": "up", "version": "0.1.0",
                "pid": 4, "workers": 2, "uptime_us": 11520000000,
                "descriptors": 20, "descriptors_limit": 1024},
    "memory": {"pool_used": 1 << 20, "pool_limit": 512 << 20},
    "streams": 12,
    "sent": {"lan": 1000000, "wan": 250000},
    "received": {"lan": 1000, "wan": 1024},
    "peers": [{"name": "tokyo", "state": "resuming", "rtt_us": 41000,
               "error": "dead\u001b[2J line",
               "sent": {"lan": 1000000, "wan": 250000}}],
    "services": [{"name": "orders-db", "listen": "127.0.0.1:5432",
                  "peer": "tokyo", "state": "up", "streams": 12}],
    "offers": [{"name": "web", "target": "10.0.0.5:80", "peers": "tokyo"}],
}


def test_status(cli, tmp_path):
    gateway = Gateway(tmp_path / "s", lambda _: {"ok": True, "data": STATUS})
    text = cli("-s", str(tmp_path / "s")).stdout
    assert text.startswith("london  up, up 3 h 12 min")
    assert re.search(r"sent +1.00 MB +250 kB +75.0 % +4.00x", text)
    # What cost more than it saved is shown as such.
    assert re.search(r"received +1.00 kB +1.02 kB +-2.4 % +0.98x", text)
    assert re.search(r"tokyo +resuming +41.0 ms", text)
    assert "  tokyo: dead?[2J line" in text
    assert "\x1b" not in text
    assert gateway.requests[0] == {"v": 1, "id": 1, "cmd": "status"}
    shown = cli("status", "--json", "-s", str(tmp_path / "s")).stdout
    assert json.loads(shown) == STATUS


def test_watch(cli, tmp_path):
    state = {"lan": 0}

    def answer(_):
        state["lan"] += 5000000
        return {"ok": True, "data": {**STATUS, "sent": dict(state)}}
    Gateway(tmp_path / "s", answer)
    args = ["status", "-w", "-n", "2", "-s", str(tmp_path / "s")]
    text = cli(*args).stdout
    assert text.count("london  up") == 2
    assert re.search(r"sent +10.0 MB +0 B .* (5.0.|4.[5-9].) MB/s", text)
    lines = cli(*args, "--json").stdout.splitlines()
    assert [json.loads(line)["gateway"]["name"] for line in lines] == [
        "london"] * 2


def pages(count):
    """A gateway of so many streams."""
    def answer(request):
        first = request["cursor"] + 1
        last = min(count, first + request["limit"] - 1)
        reply = {"ok": True, "data": {"total": count, "streams": [
            {"id": i, "service": "even" if i % 2 == 0 else "odd",
             "peer": "tokyo", "state": "up", "client": f"10.0.0.1:{i}",
             "sent": {"lan": i * 1000, "wan": i * 100}}
            for i in range(first, last + 1)]}}
        if last < count:
            reply["next"] = last
        return reply
    return answer


def test_streams(cli, tmp_path):
    gateway = Gateway(tmp_path / "s", pages(1300))
    sock = ["-s", str(tmp_path / "s")]
    lines = cli("streams", *sock).stdout.splitlines()
    assert len(lines) == 1301
    assert lines[0].split()[:3] == ["ID", "SERVICE", "PEER"]
    assert lines[1300].split()[0] == "1300"
    assert len(gateway.requests) == 3
    data = json.loads(cli("streams", "list", "--json", *sock).stdout)
    assert [s["id"] for s in data["streams"]] == list(range(1, 1301))
    assert data["total"] == data["shown"] == 1300
    done = cli("streams", "--limit", "3", *sock)
    assert len(done.stdout.splitlines()) == 4
    assert "3 of 1300 streams" in done.stderr
    assert gateway.requests[-1]["limit"] == 3
    data = json.loads(cli("streams", "--service", "even", "--limit", "600",
                          "-j", *sock).stdout)
    assert [s["id"] for s in data["streams"]] == list(range(2, 1202, 2))
    data = json.loads(cli("streams", "--peer", "paris", "-j", *sock).stdout)
    assert data == {"streams": [], "shown": 0, "total": 1300}


def test_stream_show_and_kill(cli, tmp_path):
    def answer(request):
        if request["stream"] != 7:
            return fail("not-found", "no stream 8")
        if request["cmd"] == "stream-kill":
            return {"ok": True, "data": {}}
        return {"ok": True, "data": {"id": 7, "state": "half",
                                     "service": "db", "fin_sent": True}}
    Gateway(tmp_path / "s", answer)
    sock = ["-s", str(tmp_path / "s")]
    text = cli("streams", "show", "7", *sock).stdout
    assert "7, half" in text and "sent: ended, received: open" in text
    assert json.loads(cli("streams", "show", "7", "-j", *sock).stdout)[
        "id"] == 7
    assert "stream 7 was reset" in cli("streams", "kill", "7", *sock).stderr
    done = cli("streams", "show", "8", *sock, code=FAILED)
    assert "no stream 8" in done.stderr


def test_peers(cli, tmp_path):
    peer = {"name": "tokyo", "state": "up", "identity": "CN7Q", "links": [
        {"id": "ab12", "state": "up", "carriers": [
            {"slot": 0, "state": "up", "is_dialler": True,
             "local": "10.0.0.1:4711", "remote": "10.9.0.1:3",
             "rtt_us": 1500, "rate_bps": 2500000},
            {"slot": 1, "state": "waiting", "error": "refused",
             "redial_us": 800000}]}]}
    Gateway(tmp_path / "s", lambda _: {"ok": True, "data": {"peers": [peer]}})
    sock = ["-s", str(tmp_path / "s")]
    assert "tokyo" in cli("peers", *sock).stdout
    text = cli("peers", "show", "tokyo", *sock).stdout
    assert "link ab12  up" in text
    assert re.search(r"0  up +1.50 ms  2.50 MB/s", text)
    assert "carrier 1: refused; dials again in 800 ms" in text
    shown = cli("peers", "show", "tokyo", "-j", *sock).stdout
    assert json.loads(shown) == peer
    assert "no peer 'osaka'" in cli("peers", "show", "osaka", *sock,
                                    code=FAILED).stderr


def test_full_disk_is_an_error(home, tmp_path):
    Gateway(tmp_path / "s", pages(2000))
    with open("/dev/full", "w") as full:
        done = subprocess.run([PROGRAM, "streams", "-s", str(tmp_path / "s")],
                              env=home, stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=60)
    assert done.returncode == FAILED
    assert "cannot write the output" in done.stderr


def test_colour_only_on_a_terminal(home, tmp_path):
    Gateway(tmp_path / "s", lambda _: {"ok": True, "data": STATUS})

    def on_terminal(**env):
        main, end = os.openpty()
        with subprocess.Popen([PROGRAM, "-s", str(tmp_path / "s")],
                              stdout=end, stderr=end,
                              env={**home, "TERM": "xterm", **env}) as child:
            os.close(end)
            text = b""
            try:
                while True:
                    data = os.read(main, 65536)
                    if not data:
                        break
                    text += data
            except OSError:
                pass
            os.close(main)
            assert child.wait(20) == OK
        return text
    assert b"\x1b[1m" in on_terminal()
    assert b"\x1b" not in on_terminal(NO_COLOR="1")
    assert b"\x1b" not in on_terminal(TERM="dumb")


# ---- keys ----

def test_key(cli, tmp_path):
    path = tmp_path / "state" / "identity.key"
    made = cli("key", "gen")
    identity = made.stdout.strip()
    assert re.fullmatch(r"([A-Z2-7]{4}-){13}[A-Z2-7]{4}", identity)
    assert str(path) in made.stderr
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert cli("key", "show").stdout.strip() == identity
    assert json.loads(cli("key", "show", "--json").stdout) == {
        "identity": identity, "file": str(path)}
    before = path.read_bytes()
    assert "--force" in cli("key", "gen", code=FAILED).stderr
    assert path.read_bytes() == before
    assert cli("key", "gen", "--force").stdout.strip() != identity


def test_key_that_others_can_read(cli, tmp_path):
    path = tmp_path / "k"
    cli("key", "gen", "--key", str(path))
    path.chmod(0o644)
    done = cli("key", "show", "--key", str(path), code=NOT_ALLOWED)
    assert str(path) in done.stderr and done.stdout == ""


def test_key_that_is_none(cli, tmp_path):
    done = cli("key", "show", code=FAILED)
    assert "compressnet key gen" in done.stderr
    path = tmp_path / "k"
    path.write_text("no key\n")
    path.chmod(0o600)
    cli("key", "show", "--key", str(path), code=FAILED)


def test_key_of_a_configuration(cli, tmp_path):
    (tmp_path / "c.yaml").write_text(
        f"gateway: {{ name: a, key: {tmp_path}/other.key }}\n")
    identity = cli("key", "gen", "-c", "c.yaml").stdout
    assert (tmp_path / "other.key").exists()
    assert cli("key", "show", "-c", "c.yaml").stdout == identity


# ---- configuration ----

@pytest.fixture
def identity(cli, tmp_path):
    return cli("key", "gen", "--key", str(tmp_path / "p.key")).stdout.strip()


def minimal(identity):
    return ("gateway: { name: london, listen: \"0.0.0.0:3\" }\n"
            "peers:\n"
            f"  tokyo: {{ address: \"tokyo.example.net:3\", "
            f"identity: \"{identity}\" }}\n"
            "services:\n"
            "  orders-db: { listen: \"127.0.0.1:5432\", peer: tokyo }\n")


def test_config_check(cli, tmp_path, identity):
    (tmp_path / "c.yaml").write_text(minimal(identity))
    done = cli("config", "check", "c.yaml")
    assert done.stdout == "c.yaml: no errors\n"
    assert done.stderr == ""
    shown = json.loads(cli("config", "check", "c.yaml", "--json").stdout)
    assert shown == {"file": "c.yaml", "ok": True, "diagnostics": []}
    yaml = cli("config", "show", "-c", "c.yaml").stdout
    (tmp_path / "again.yaml").write_text(yaml)
    assert cli("config", "show", "-c", "again.yaml").stdout == yaml


def test_config_errors_come_together(cli, tmp_path, identity):
    text = minimal(identity).replace("address", "adress").replace(
        "peer: tokyo", "peer: kyoto")
    (tmp_path / "c.yaml").write_text(text)
    done = cli("config", "check", "c.yaml", code=CONFIG)
    assert done.stdout == ""
    assert re.search(r"^c\.yaml:3:\d+: error: .*adress", done.stderr, re.M)
    assert re.search(r"^c\.yaml:5:\d+: error: .*kyoto", done.stderr, re.M)
    assert "did you mean" in done.stderr
    shown = json.loads(cli("config", "check", "c.yaml", "-j",
                           code=CONFIG).stdout)
    assert shown["ok"] is False
    assert {d["line"] for d in shown["diagnostics"]} == {3, 5}
    done = cli("config", "show", "-c", "c.yaml", code=CONFIG)
    assert done.stdout == "" and "kyoto" in done.stderr


def test_daemon_checks(cli, tmp_path, identity):
    """compressnetd --check says what config check does, and starts nothing."""
    (tmp_path / "good.yaml").write_text(minimal(identity))
    assert cli("--check", "-c", "good.yaml", program=DAEMON).stderr == ""
    before = sorted(os.listdir(tmp_path))
    (tmp_path / "bad.yaml").write_text(
        minimal(identity).replace("peer: tokyo", "peer: kyoto") +
        "logg: { level: info }\n")
    done = cli("--check", "-c", "bad.yaml", program=DAEMON, code=CONFIG)
    assert done.stdout == ""
    assert re.search(r"^bad\.yaml:5:\d+: error: .*kyoto.*\n"
                     r" +5 \| .*\n +\| +\^", done.stderr, re.M)
    assert re.search(r"^bad\.yaml:6:1: error: .*'logg'.*did you mean 'log'",
                     done.stderr, re.M)
    assert cli("config", "check", "bad.yaml", code=CONFIG).stderr == \
        done.stderr
    (tmp_path / "typo.yaml").write_text(minimal(identity[:-1]))
    assert re.search(r"^typo\.yaml:3:\d+: error: .*identity.*tokyo",
                     cli("--check", "-c", "typo.yaml", program=DAEMON,
                         code=CONFIG).stderr, re.M)
    assert sorted(os.listdir(tmp_path)) == sorted(
        [*before, "bad.yaml", "typo.yaml"])


def test_config_check_reads_identities(cli, tmp_path, identity):
    wrong = identity[:-1] + ("A" if identity[-1] != "A" else "B")
    (tmp_path / "c.yaml").write_text(minimal(wrong))
    done = cli("config", "check", "c.yaml", code=CONFIG)
    assert re.search(r"^c\.yaml:3:\d+: error: peers.tokyo.identity: ",
                     done.stderr, re.M)


def test_config_file_that_is_not_there(cli):
    done = cli("config", "check", "none.yaml", code=CONFIG)
    assert "none.yaml" in done.stderr


def test_schema(cli):
    schema = json.loads(cli("config", "schema").stdout)
    assert "gateway" in schema["properties"]
    assert cli("config", "schema", "--markdown").stdout.startswith("#")


def test_version(cli, tmp_path):
    assert re.fullmatch(r"compressnet \d+\.\d+\.\d+\n", cli("version").stdout)
    assert cli("--version").stdout == cli("version").stdout
    Gateway(tmp_path / "s", lambda _: {
        "ok": True, "data": {"version": "9.9.9"}})
    assert json.loads(cli("version", "-j", "-s", str(tmp_path / "s")).stdout)[
        "gateway"] == "9.9.9"


# ---- the demonstration, with a stand-in for compressnetd ----

@pytest.fixture
def beside(tmp_path):
    """A copy of the program with the stand-in beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    shutil.copy(PROGRAM, folder / "compressnet")
    shutil.copy(os.path.join(HERE, "fake_compressnetd.py"),
                folder / "compressnetd")
    return str(folder / "compressnet")


def nothing_left(tmp_path):
    assert list((tmp_path / "tmp").iterdir()) == []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    assert str(tmp_path / "tmp").encode() not in file.read()
            except OSError:
                pass


@pytest.fixture
def short_tmp(tmp_path, home):
    """TMPDIR of this test alone; a short path, for there are sockets."""
    folder = f"/tmp/cn{os.getpid()}-{time.monotonic_ns() % 10**6}"
    os.mkdir(folder)
    os.symlink(folder, tmp_path / "tmp")
    home["TMPDIR"] = folder
    yield folder
    os.rmdir(folder)


QUICK = ["demo", "--size", "2MB", "--rate", "200mbit", "--delay", "2ms"]


def test_demo(cli, beside, tmp_path, short_tmp):
    done = cli(*QUICK, program=beside)
    assert re.search(r"^files +2\.00 MB +2\.0. MB", done.stdout, re.M)
    assert "Every byte was exact: 14 connections" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    nothing_left(tmp_path)


def test_demo_json(cli, beside, tmp_path, short_tmp):
    data = json.loads(cli(*QUICK, "--json", program=beside).stdout)
    assert data["exact"] is True and data["rate_bps"] == 200000000
    assert [run["name"] for run in data["runs"]] == [
        "files", "files again", "log stream"]
    for run in data["runs"]:
        # The stand-in does not compress: 2 % are the answers.
        assert run["exact"] is True
        assert run["lan"] <= run["wan"] <= run["lan"] * 1.02
    nothing_left(tmp_path)


@pytest.mark.parametrize("fault, words", [
    ("flip", "DIGEST DIFFERS"), ("lose", "DIGEST DIFFERS"),
    ("early", "DIGEST DIFFERS"), ("cut", "a connection"),
    ("die", "a gateway has ended"), ("start", "did not meet")])
def test_demo_notices(cli, beside, tmp_path, short_tmp, fault, words):
    done = cli(*QUICK, program=beside, code=FAILED, FAKE_FAULT=fault)
    assert words in done.stderr
    assert "exact" not in done.stdout
    nothing_left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_interrupted(home, beside, tmp_path, short_tmp, number):
    with subprocess.Popen([beside, "demo"], env=home, text=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as child:
        for line in child.stderr:
            if "met over it" in line:
                break
        time.sleep(0.5)
        started = time.monotonic()
        child.send_signal(number)
        _, words = child.communicate(timeout=20)
        assert time.monotonic() - started < 5
        assert child.returncode == FAILED
        assert "interrupted" in words
    nothing_left(tmp_path)


def test_demo_without_the_daemon(cli, tmp_path):
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    shutil.copy(PROGRAM, lonely / "compressnet")
    done = cli("demo", program=str(lonely / "compressnet"), code=FAILED,
               PATH="/nonexistent")
    assert "compressnetd is neither beside" in done.stderr
