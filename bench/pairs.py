# SPDX-License-Identifier: Apache-2.0
"""The pairs that are measured: each carries TCP connections from one end of
a WAN to servers at the other end, set up as a competent user would.

    with Compressnet(setup, {"echo": "127.0.0.1:7"}, level=3) as pair:
        connect to pair.address["echo"]

Between the two halves may stand cn-wanrelay (relay={...}: counts the bytes
of the WAN), or the two may be on hosts of netns.py (near=, far=).
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from measure import cpu_seconds, free_port
from netns import Relay

STOP_S = 5


class Setup:
    """Where the programs are and where the files of a run go."""

    def __init__(self, build, work):
        self.build = build
        self.work = work


class Pair:
    """What all pairs have in common."""

    name = "direct"
    programs = ()

    def __init__(self, setup, targets, relay=None, near=None, far=None,
                 **options):
        self.setup = setup
        self.targets = targets
        self.near, self.far = near, far
        self.options = options
        self.address = {}
        self.processes = []
        self.relays = []
        self.relay_settings = relay
        self.folder = tempfile.mkdtemp(prefix=self.name + "-",
                                       dir=setup.work)
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    @classmethod
    def missing(cls, _setup):
        """The programs that this machine lacks."""
        return [name for name in cls.programs if not shutil.which(name)]

    def start(self):
        """Nothing stands between: the targets themselves."""
        self.address = dict(self.targets)

    def path(self, name):
        """A file of this pair."""
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o600):
        """Write a file of this pair; returns its path."""
        path = self.path(name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def spawn(self, words, host=None, log="log"):
        """Start one of its processes."""
        if host:
            words = host.command(words)
        with open(self.path(log), "ab") as output:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=output)
        self.processes.append(process)
        return process

    def far_ip(self):
        """Where the far half can be reached."""
        return self.far.address if self.far else "127.0.0.1"

    def across(self, port):
        """The address by which the near half reaches a port of the far
        half: through the relay where there is one."""
        address = f"{self.far_ip()}:{port}"
        if self.relay_settings is None:
            return address
        relay = Relay(address, **self.relay_settings)
        self.relays.append(relay)
        return relay.address

    def wan_bytes(self):
        """Bytes that crossed the relays so far: (up, down)."""
        stats = [relay.stats() for relay in self.relays]
        return (sum(each["up_in"] for each in stats),
                sum(each["down_in"] for each in stats))

    def cpu(self):
        """CPU seconds of both halves so far."""
        return cpu_seconds([process.pid for process in self.processes])

    def log(self):
        """The end of what its processes said."""
        text = ""
        for name in sorted(os.listdir(self.folder)):
            if name.endswith("log"):
                with open(self.path(name), errors="replace") as file:
                    text += "".join(file.readlines()[-20:])
        return text

    def close(self):
        """End everything and remove its files."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        end = time.monotonic() + STOP_S
        for process in self.processes:
            try:
                process.wait(timeout=max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []
        for relay in self.relays:
            relay.close()
        self.relays = []
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def yaml(value):
    """Of dictionaries, texts and numbers; JSON but for plain keys."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {yaml(each)}"
                               for key, each in value.items()) + "}"
    return json.dumps(value)


class Compressnet(Pair):
    """Two gateways.  Options: profile, level, workers, congestion,
    resume_window, carriers."""

    name = "compressnet"

    @classmethod
    def missing(cls, setup):
        return [name for name in ("src/gateway/compressnetd",
                                  "src/manage/compressnet")
                if not os.path.exists(os.path.join(setup.build, name))]

    def key(self, side):
        """Make a key; returns its file and its identity."""
        path = self.path(side + ".key")
        subprocess.run([self.program("manage/compressnet"), "key", "gen",
                        "--key", path], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shown = subprocess.run(
            [self.program("manage/compressnet"), "key", "show", "--key",
             path, "--json"], check=True, stdout=subprocess.PIPE).stdout
        return path, json.loads(shown)["identity"]

    def program(self, name):
        """Of the build."""
        return os.path.join(self.setup.build, "src", name)

    def common(self, side):
        """What both configurations say."""
        config = {
            "control": {"socket": self.path(side + ".sock")},
            "resume_window": self.options.get("resume_window", "60s"),
            "workers": self.options.get("workers", 0),
            # Runs repeat the same bytes: the codec is measured without what
            # the pair would remember of them.
            "store": {"memory": 0},
        }
        if "congestion" in self.options:
            config["carrier"] = {"congestion": self.options["congestion"]}
        if "window" in self.options:
            config["limits"] = {"window": self.options["window"]}
        return config

    def trade(self):
        """Profile and level, of services and offers alike."""
        trade = {"profile": self.options.get("profile", "balanced")}
        if "level" in self.options:
            trade["level"] = self.options["level"]
        return trade

    def start(self):
        near_key, near_identity = self.key("near")
        far_key, far_identity = self.key("far")
        port = free_port()
        far = self.common("far") | {
            "gateway": {"name": "far", "key": far_key,
                        "listen": f"{self.far_ip()}:{port}"},
            "peers": {"near": {"identity": near_identity}},
            "offers": {name: {"to": target, "peers": ["near"]} | self.trade()
                       for name, target in self.targets.items()},
        }
        self.address = {name: f"127.0.0.1:{free_port()}"
                        for name in self.targets}
        near = self.common("near") | {
            "gateway": {"name": "near", "key": near_key},
            "peers": {"far": {"address": self.across(port),
                              "identity": far_identity,
                              "carriers": self.options.get("carriers", 1)}},
            "services": {name: {"listen": address, "peer": "far",
                                "on_peer_down": "queue"} | self.trade()
                         for name, address in self.address.items()},
        }
        self.files = {"near": self.write("near.yaml", yaml(near)),
                      "far": self.write("far.yaml", yaml(far))}
        self.daemons = {}
        self.start_side("far")
        self.start_side("near")

    def start_side(self, side):
        """Start one gateway, or start it again."""
        process = self.spawn(
            [self.program("gateway/compressnetd"), "-c", self.files[side]],
            getattr(self, side), side + ".log")
        self.daemons[side] = process

    def kill_side(self, side):
        """kill -9."""
        self.stop_side(side, signal.SIGKILL)

    def stop_side(self, side, how=signal.SIGTERM):
        """End one gateway."""
        process = self.daemons.pop(side)
        process.send_signal(how)
        process.wait()
        self.processes.remove(process)

    def status(self, side):
        """compressnet status --json"""
        done = subprocess.run(
            [self.program("manage/compressnet"), "status", "--json",
             "--socket", self.path(side + ".sock")],
            stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)


class Socat(Pair):
    """No compression, no encryption: what relaying alone costs."""

    name = "socat"
    programs = ("socat",)

    def start(self):
        for name, target in self.targets.items():
            far, near = free_port(), free_port()
            self.spawn(["socat", "-t", "60",
                        f"TCP-LISTEN:{far},bind={self.far_ip()},fork,"
                        "reuseaddr,nodelay,backlog=1024",
                        f"TCP:{target},nodelay"], self.far)
            self.spawn(["socat", "-t", "60",
                        f"TCP-LISTEN:{near},bind=127.0.0.1,fork,reuseaddr,"
                        "nodelay,backlog=1024",
                        f"TCP:{self.across(far)},nodelay"], self.near)
            self.address[name] = f"127.0.0.1:{near}"


def make_certificates(pair):
    """An authority and one certificate a side: (ca, near.pem, far.pem)."""
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, cwd=pair.folder,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt",
            "-days", "30", "-subj", "/CN=ca")
    for side in ("near", "far"):
        openssl("req", *key, "-keyout", side + ".key", "-out", side + ".csr",
                "-subj", "/CN=" + side)
        openssl("x509", "-req", "-in", side + ".csr", "-CA", "ca.crt",
                "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
                "-out", side + ".crt")
        with open(pair.path(side + ".crt")) as crt, \
                open(pair.path(side + ".key")) as keyfile:
            pair.write(side + ".pem", crt.read() + keyfile.read())
    return [pair.path(name) for name in ("ca.crt", "near.pem", "far.pem")]


class HaproxyTls(Pair):
    """HAProxy in TCP mode with mutual TLS 1.3 between the two."""

    name = "haproxy-tls"
    programs = ("haproxy", "openssl")
    GLOBAL = ("global\n maxconn 9000\n ssl-default-bind-options "
              "ssl-min-ver TLSv1.3\n ssl-default-server-options "
              "ssl-min-ver TLSv1.3\n"
              "defaults\n mode tcp\n timeout connect 5s\n"
              " timeout client 1h\n timeout server 1h\n")

    def start(self):
        ca_file, near_pem, far_pem = make_certificates(self)
        near, far = self.GLOBAL, self.GLOBAL
        for name, target in self.targets.items():
            far_port, near_port = free_port(), free_port()
            far += (f"listen {name}\n bind {self.far_ip()}:{far_port} ssl "
                    f"crt {far_pem} ca-file {ca_file} verify required\n"
                    f" server target {target}\n")
            near += (f"listen {name}\n bind 127.0.0.1:{near_port}\n"
                     f" server far {self.across(far_port)} ssl "
                     f"crt {near_pem} ca-file {ca_file} verify required "
                     "verifyhost far\n")
            self.address[name] = f"127.0.0.1:{near_port}"
        self.spawn(["haproxy", "-db", "-f", self.write("far.cfg", far)],
                   self.far)
        self.spawn(["haproxy", "-db", "-f", self.write("near.cfg", near)],
                   self.near)


class Stunnel(Pair):
    """stunnel at both ends, mutual TLS 1.3."""

    name = "stunnel"
    programs = ("stunnel4", "openssl")
    GLOBAL = ("foreground = yes\npid =\nsocket = l:TCP_NODELAY=1\n"
              "socket = r:TCP_NODELAY=1\ndebug = 3\n"
              "sslVersionMin = TLSv1.3\n")

    def start(self):
        ca_file, near_pem, far_pem = make_certificates(self)
        near, far = self.GLOBAL, self.GLOBAL
        for name, target in self.targets.items():
            far_port, near_port = free_port(), free_port()
            far += (f"[{name}]\naccept = {self.far_ip()}:{far_port}\n"
                    f"connect = {target}\ncert = {far_pem}\n"
                    f"CAfile = {ca_file}\nverifyChain = yes\n")
            near += (f"[{name}]\nclient = yes\n"
                     f"accept = 127.0.0.1:{near_port}\n"
                     f"connect = {self.across(far_port)}\n"
                     f"cert = {near_pem}\nCAfile = {ca_file}\n"
                     "verifyChain = yes\n")
            self.address[name] = f"127.0.0.1:{near_port}"
        self.spawn(["stunnel4", self.write("far.conf", far)], self.far)
        self.spawn(["stunnel4", self.write("near.conf", near)], self.near)


class SshC(Pair):
    """ssh -C -L: what most people pick."""

    name = "ssh-c"
    programs = ("ssh", "ssh-keygen")
    compresses = "yes"
    SSHD = "/usr/sbin/sshd"

    @classmethod
    def missing(cls, setup):
        return super().missing(setup) + \
            ([] if os.path.exists(cls.SSHD) else ["sshd"])

    def start(self):
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "",
                            "-f", self.path(name)], check=True)
        with open(self.path("user.pub")) as public:
            keys = self.write("authorized", public.read())
        port = free_port()
        if os.geteuid() == 0:
            # What the distribution's service file would make.
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        config = self.write("sshd_config", (
            f"Port {port}\nListenAddress {self.far_ip()}\n"
            f"HostKey {self.path('host')}\nAuthorizedKeysFile {keys}\n"
            "PidFile none\nStrictModes no\nPasswordAuthentication no\n"
            "PermitRootLogin prohibit-password\nUsePAM no\n"
            "AllowTcpForwarding yes\nCompression yes\n"))
        self.spawn([self.SSHD, "-D", "-e", "-f", config], self.far)
        words = []
        for name, target in self.targets.items():
            near = free_port()
            words += ["-L", f"127.0.0.1:{near}:{target}"]
            self.address[name] = f"127.0.0.1:{near}"
        wait_for_port(self, self.far_ip(), str(port))
        host, _, far_port = self.across(port).rpartition(":")
        self.spawn(["ssh", "-N", "-o", f"Compression={self.compresses}",
                    "-o", "StrictHostKeyChecking=no",
                    "-o", "UserKnownHostsFile=/dev/null",
                    "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
                    "-o", "ExitOnForwardFailure=yes", "-F", "none",
                    "-i", self.path("user"), "-p", far_port, *words, host],
                   self.near)


class Ssh(SshC):
    """ssh -L without compression."""

    name = "ssh"
    compresses = "no"


def wait_for_port(pair, host, port):
    """Until something accepts there; asked from the near side."""
    code = ("import socket,sys;"
            "socket.create_connection((sys.argv[1],int(sys.argv[2])),2)")
    words = ["/usr/bin/python3", "-c", code, host, port]
    if pair.near:
        words = pair.near.command(words)
    for _ in range(100):
        if subprocess.run(words, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0:
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {host}:{port}")


ALL = (Pair, Socat, HaproxyTls, Stunnel, Ssh, SshC, Compressnet)
