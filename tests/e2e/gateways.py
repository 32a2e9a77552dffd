# SPDX-License-Identifier: Apache-2.0
"""Real gateways on loopback: start them, ask them, kill them.

    kit = Kit()                                # one for a test session
    near, far = kit.pair(services={...}, offers={...})
    near.wait_peer("far")
    ...
    kit.close()

Each gateway has a folder of its own with its configuration, key, control
socket and log.  When the tests run as root the gateways run as nobody.
Whatever happens, no process outlives this one.
"""
import ctypes
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.environ.get("CN_BUILD", os.path.join(ROOT, "build"))
HOST = "127.0.0.1"
PATIENCE_S = 10
PR_SET_PDEATHSIG = 1
LOG_SHOWN = 6000


def built(path):
    """A program of the build."""
    found = os.path.join(BUILD, path)
    if not os.access(found, os.X_OK):
        raise FileNotFoundError(f"{found} is not built")
    return found


def wait_for(what, condition, patience_s=PATIENCE_S):
    """The first true value of a condition; an error when it stays false."""
    end = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {patience_s} s in vain: {what}")
        time.sleep(0.01)


class Ports:
    """Free ports below those that the kernel gives to clients."""

    def __init__(self):
        self.next = random.randrange(20000, 30000)

    def take(self):
        for _ in range(2000):
            self.next = self.next + 1 if self.next < 31999 else 20000
            with socket.socket() as probe:
                try:
                    probe.bind((HOST, self.next))
                except OSError:
                    continue
                return self.next
        raise OSError("no free port")


class Gateway:
    """One compressnetd."""

    def __init__(self, kit, name, config):
        self.kit = kit
        self.name = name
        self.folder = os.path.join(kit.folder, f"{kit.count}-{name}")
        self.config_file = os.path.join(self.folder, "compressnet.yaml")
        self.socket = os.path.join(self.folder, "control.sock")
        self.log_file = os.path.join(self.folder, "log")
        self.process = None
        self.limits = []
        # A descriptor for what it says, in place of its log's file.
        self.output = None
        self.environment = {}
        # Called in the child first, with the rights of the test.
        self.prepare = None
        # A test that lets it end says so; any other end is a failure.
        self.may_end = False
        os.mkdir(self.folder, 0o755)
        kit.count += 1
        kit.give(self.folder)
        key = os.path.join(self.folder, "identity.key")
        shutil.copy(kit.key(name), key)
        kit.give(key)
        config.setdefault("gateway", {})
        config["gateway"].setdefault("name", name)
        config["gateway"].setdefault("key", key)
        config.setdefault("control", {"socket": self.socket})
        config.setdefault("log", {"level": "debug"})
        config.setdefault("workers", 1)
        self.write(config)

    def write(self, config):
        """JSON is YAML."""
        self.config = config
        with open(self.config_file, "w", encoding="utf-8") as out:
            json.dump(config, out, indent=2)
        self.kit.give(self.config_file)

    def start(self, wait=True):
        log = open(self.log_file if self.output is None else self.output,
                   "ab", closefd=self.output is None)
        self.process = subprocess.Popen(
            [self.kit.program("src/gateway/compressnetd"), "-c",
             self.config_file],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            cwd=self.folder,
            env={**self.kit.environment(), **self.environment},
            preexec_fn=self.become)
        log.close()
        self.may_end = False
        if wait:
            self.wait_ready()
        return self

    def become(self):
        if self.prepare is not None:
            self.prepare()
        self.kit.drop(self.limits)()

    def wait_ready(self):
        def is_ready():
            if self.process.poll() is not None:
                raise RuntimeError(
                    f"{self.name} ended: {self.process.returncode}\n"
                    f"{self.log()}")
            try:
                return self.ask("status")
            except OSError:
                return None
        return wait_for(f"{self.name} answers", is_ready)

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """kill -9."""
        self.may_end = True
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self, patience_s=PATIENCE_S):
        """SIGTERM; its exit code."""
        self.may_end = True
        self.process.terminate()
        return self.process.wait(patience_s)

    def log(self):
        if not os.path.isfile(self.log_file):
            return ""
        try:
            with open(self.log_file, encoding="utf-8",
                      errors="replace") as text:
                return text.read()
        except FileNotFoundError:
            return ""

    def events(self, name):
        """Lines of the log about an event."""
        return [line for line in self.log().splitlines()
                if f" {name} " in line + " "]

    def ask(self, command, **fields):
        """One request on the control socket; the data of its reply."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(PATIENCE_S)
            control.connect(self.socket)
            request = {"v": 1, "id": 1, "cmd": command, **fields}
            control.sendall(json.dumps(request).encode() + b"\n")
            with control.makefile("rb") as lines:
                reply = json.loads(lines.readline())
        if not reply["ok"]:
            raise RuntimeError(f"{command}: {reply['error']}")
        return reply["data"]

    def peer(self, name):
        return next(peer for peer in self.ask("peers")["peers"]
                    if peer["name"] == name)

    def wait_peer(self, name, state="up", patience_s=PATIENCE_S):
        return wait_for(f"{self.name}: {name} is {state}",
                        lambda: self.peer(name)["state"] == state,
                        patience_s)

    def streams(self):
        return self.ask("status")["streams"]

    def wait_streams(self, count, patience_s=PATIENCE_S):
        return wait_for(f"{self.name} has {count} streams",
                        lambda: self.streams() == count, patience_s)

    def cpu_s(self):
        """User and system time so far."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


class Relay:
    """An emulated WAN between two ports; see cn-wanrelay --help."""

    def __init__(self, kit, to, options):
        self.port = kit.ports.take()
        self.process = subprocess.Popen(
            [built("bench/cn-wanrelay"), "--listen", f"{HOST}:{self.port}",
             "--to", f"{HOST}:{to}", "--stdin", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            bufsize=1, preexec_fn=kit.drop([]))

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex((HOST, self.port)) == 0
        wait_for("the relay listens", listens)

    def command(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def stats(self):
        self.command("stats")
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError("the relay ended")
            said = json.loads(line)
            if said.get("event") == "stats":
                return said

    def close(self):
        self.process.kill()
        self.process.communicate()


class Kit:
    """What the tests of one session share, and all that they started."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="cn-e2e-", dir="/tmp")
        os.chmod(self.folder, 0o755)
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self.give(self.folder)
        self.ports = Ports()
        self.count = 0
        self.gateways = []
        self.relays = []
        # Other programs: with name, log() and close().
        self.apps = []
        self.keys = {}

    def give(self, path):
        if self.user is not None:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def drop(self, limits):
        """What a child does before it becomes the program."""
        user = self.user
        libc = ctypes.CDLL(None, use_errno=True)

        def child():
            import resource
            for which, value in limits:
                resource.setrlimit(which, (value, value))
                if which == resource.RLIMIT_FSIZE:
                    # An error, as of a full disk, and no signal.
                    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            if user is not None:
                os.setgroups([])
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        return child

    def environment(self):
        env = {name: value for name, value in os.environ.items()
               if name in ("PATH", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS",
                           "TSAN_OPTIONS", "LSAN_OPTIONS")}
        env["HOME"] = self.folder
        return env

    def program(self, path):
        """A copy that any user can run, wherever the build is."""
        copy = os.path.join(self.folder, os.path.basename(path))
        if not os.path.exists(copy):
            shutil.copy(built(path), copy)
            os.chmod(copy, 0o755)
        return copy

    def compressnet(self, *args, **options):
        """Run the Management Utility to its end."""
        return subprocess.run(
            [self.program("src/manage/compressnet"), *args], text=True,
            stdin=subprocess.DEVNULL, capture_output=True,
            env=self.environment(), preexec_fn=self.drop([]), timeout=60,
            check=False, **options)

    def key(self, name):
        """A key file, made once for each name."""
        if name not in self.keys:
            path = os.path.join(self.folder, f"{name}.key")
            made = self.compressnet("key", "gen", "--key", path)
            if made.returncode != 0:
                raise RuntimeError(made.stderr)
            self.keys[name] = path
        return self.keys[name]

    def identity(self, name):
        shown = self.compressnet("key", "show", "--key", self.key(name))
        if shown.returncode != 0:
            raise RuntimeError(shown.stderr)
        return shown.stdout.strip()

    def gateway(self, name, config):
        gateway = Gateway(self, name, config)
        self.gateways.append(gateway)
        return gateway

    def relay(self, to, *options):
        relay = Relay(self, to, options)
        self.relays.append(relay)
        return relay

    def pair(self, services, offers, relay=None, start=True, near=None,
             far=None, **common):
        """Two gateways; near dials far, which reaches the offers.

        services: name -> keys but peer; offers: name -> target or keys but
        peers; relay: options of an emulated WAN between them; near, far,
        common: further keys of the configurations.
        """
        port = self.ports.take()
        dialled = port
        wan = None
        if relay is not None:
            wan = self.relay(port, *relay)
            dialled = wan.port
        near_config = {
            **common, **(near or {}),
            "peers": {"far": {"address": f"{HOST}:{dialled}",
                              "identity": self.identity("far")}},
            "services": {name: {"peer": "far", **keys}
                         for name, keys in services.items()}}
        far_config = {
            **common, **(far or {}),
            "gateway": {"listen": f"{HOST}:{port}"},
            "peers": {"near": {"identity": self.identity("near")}},
            "offers": {name: {"peers": ["near"],
                              **({"to": keys} if isinstance(keys, str)
                                 else keys)}
                       for name, keys in offers.items()}}
        pair = Pair(self.gateway("near", near_config),
                    self.gateway("far", far_config), wan)
        if start:
            pair.start()
        return pair

    def forward(self, target=None, **options):
        """A pair with one service "echo" at .port to a target port."""
        port = self.ports.take()
        if target is None:
            target = self.ports.take()
        pair = self.pair({"echo": {"listen": f"{HOST}:{port}"}},
                         {"echo": f"{HOST}:{target}"}, **options)
        pair.port = port
        pair.target = target
        return pair

    def died(self):
        """Gateways that ended although nobody let them."""
        return [gateway for gateway in self.gateways
                if gateway.process is not None and not gateway.may_end and
                gateway.process.poll() is not None]

    def logs(self):
        return [(f"log of {one.name}", one.log()[-LOG_SHOWN:])
                for one in self.gateways + self.apps]

    def clear(self):
        """End what runs and forget it."""
        for app in reversed(self.apps):
            app.close()
        self.apps = []
        for gateway in self.gateways:
            gateway.kill()
            shutil.rmtree(gateway.folder, ignore_errors=True)
        for relay in self.relays:
            relay.close()
        self.gateways = []
        self.relays = []

    def close(self):
        self.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


class Pair:
    """near dials far; perhaps an emulated WAN is between them."""

    def __init__(self, near, far, wan):
        self.near = near
        self.far = far
        self.wan = wan
        self.port = None
        self.target = None

    def start(self):
        self.far.start()
        self.near.start()
        self.wait_up()

    def wait_up(self, patience_s=PATIENCE_S):
        self.near.wait_peer("far", patience_s=patience_s)
        self.far.wait_peer("near", patience_s=patience_s)

    def wait_streams(self, count, patience_s=PATIENCE_S):
        self.near.wait_streams(count, patience_s)
        self.far.wait_streams(count, patience_s)
