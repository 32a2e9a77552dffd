# SPDX-License-Identifier: Apache-2.0
"""Hosts in network namespaces of their own, joined by an emulated WAN.

    with Wan(rate="10mbit", delay="20ms") as wan:
        wan.a.run(["ping", "-c1", wan.b.address])
        server = wan.b.popen([...])
        wan.command("stall 2s")
        print(wan.stats())

Works as root and, where user namespaces are allowed, as anybody.  Nothing is
left behind: a namespace ends with its last process, and the process that
holds it ends when we do.
"""
import json
import os
import select
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.environ.get("CN_BUILD", os.path.join(ROOT, "build"))
ADDRESS_A = "192.0.2.1"
ADDRESS_B = "192.0.2.2"
PREFIX_BITS = 30
ADDRESS6_A = "2001:db8::1"
ADDRESS6_B = "2001:db8::2"
PATIENCE_S = 20


def read_line(stream, patience_s=PATIENCE_S):
    """One line of an unbuffered binary pipe; "" at its end."""
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([stream], [], [], patience_s)[0]:
            raise TimeoutError(f"no line in {patience_s} s, only {line!r}")
        byte = os.read(stream.fileno(), 1)
        if not byte:
            break
        line += byte
    return line.decode()


class Holder:
    """A process that keeps a namespace alive until it is closed."""

    def __init__(self, prefix, unshare):
        self.process = subprocess.Popen(
            [*prefix, *unshare, "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        if read_line(self.process.stdout) != "ready\n":
            raise OSError(f"cannot make a namespace: {' '.join(unshare)}")
        self.pid = self.process.pid

    def close(self):
        """Let the namespace go."""
        self.process.stdin.close()
        self.process.wait(timeout=PATIENCE_S)
        self.process.stdout.close()


class User:
    """Who may make network namespaces: root, or root of a user namespace."""

    def __init__(self):
        self.holder = None
        self.prefix = []
        if os.geteuid() != 0:
            self.holder = Holder([], ["unshare", "-U", "-r", "-m"])
            self.prefix = ["nsenter", "-t", str(self.holder.pid), "-U", "-m",
                           "--preserve-credentials"]

    def close(self):
        """End the user namespace, if one was made."""
        if self.holder:
            self.holder.close()


class Host:
    """A network namespace with its loopback up."""

    def __init__(self, user, address=""):
        self.holder = Holder(user.prefix, ["unshare", "-n"])
        self.path = f"/proc/{self.holder.pid}/ns/net"
        self.prefix = [*user.prefix, "nsenter", f"--net={self.path}"]
        self.address = address
        self.address6 = ""
        self.run(["ip", "link", "set", "lo", "up"])

    def command(self, words):
        """The command line that runs these words on this host."""
        return [*self.prefix, *words]

    def run(self, words, **options):
        """Run to the end; raises if it fails.  Returns its stdout."""
        options.setdefault("timeout", PATIENCE_S)
        done = subprocess.run(self.command(words), check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              **options)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.returncode}: "
                               f"{done.stdout}{done.stderr}")
        return done.stdout

    def popen(self, words, **options):
        """Start a process here; the caller ends it."""
        return subprocess.Popen(self.command(words), **options)

    def sysctl(self, name, value):
        """Set a setting of this namespace, such as
        net.ipv4.tcp_congestion_control."""
        self.run(["sh", "-c", 'printf %s "$1" >"/proc/sys/$2"', "sh",
                  str(value), name.replace(".", "/")])

    def close(self):
        """Let the namespace go; its processes must have ended."""
        self.holder.close()


class Wan:
    """Two hosts and an emulated WAN between them (bench/wan/wantun.c).

    The settings are the options of cn-wantun: rate, delay, jitter, loss,
    queue, queue_packets, mtu, seed.  Without ipv6 no packet crosses it but
    those that the hosts' programs send.
    """

    def __init__(self, ipv6=False, **settings):
        self.ipv6 = ipv6
        self.opened = []
        self.process = None
        try:
            self.user = self.keep(User())
            self.a = self.keep(Host(self.user, ADDRESS_A))
            self.b = self.keep(Host(self.user, ADDRESS_B))
            self.start(settings)
        except BaseException:
            self.close()
            raise

    def keep(self, thing):
        """Note what must be closed."""
        self.opened.append(thing)
        return thing

    def start(self, settings):
        """Lay the line."""
        words = [os.path.join(BUILD, "bench/cn-wantun"), "--stdin"]
        for host in (self.a, self.b):
            host.sysctl("net.ipv6.conf.all.disable_ipv6", int(not self.ipv6))
        for side, host in (("--a", self.a), ("--b", self.b)):
            words += [side, f"{host.path}:wan0:{host.address}/{PREFIX_BITS}"]
        for name, value in settings.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        self.process = subprocess.Popen(
            [*self.user.prefix, *words], bufsize=0, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        line = read_line(self.process.stdout)
        if not line or json.loads(line)["event"] != "up":
            raise RuntimeError("cn-wantun did not come up")
        for host, address in ((self.a, ADDRESS6_A), (self.b, ADDRESS6_B)):
            if self.ipv6:
                host.run(["ip", "-6", "addr", "add", address + "/64", "dev",
                          "wan0", "nodad"])
                host.address6 = address

    def command(self, text):
        """Give cn-wantun a command; returns its answer."""
        self.process.stdin.write(text.encode() + b"\n")
        answer = json.loads(read_line(self.process.stdout))
        if answer["event"] == "error":
            raise ValueError(f"{text}: {answer['text']}")
        return answer

    def stats(self):
        """Counters of both ways: a_to_b, b_to_a."""
        return self.command("stats")

    def close(self):
        """Take the line down and let the hosts go."""
        if self.process:
            self.process.stdin.close()
            self.process.wait(timeout=PATIENCE_S)
            self.process.stdout.close()
            self.process = None
        while self.opened:
            self.opened.pop().close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Relay:
    """cn-wanrelay in front of an address: a WAN without root, and faults.

    The settings are its options: rate, delay, queue, cut_every, flip_every,
    seed; host: run it there (default: here).
    """

    def __init__(self, to, listen="127.0.0.1:0", host=None, **settings):
        words = [os.path.join(BUILD, "bench/cn-wanrelay"), "--stdin",
                 "--listen", listen, "--to", to]
        for name, value in settings.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        if host:
            words = host.command(words)
        self.process = subprocess.Popen(words, bufsize=0,
                                        stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        line = read_line(self.process.stdout)
        if not line:
            self.process.wait()
            raise RuntimeError("cn-wanrelay did not come up")
        self.port = json.loads(line)["port"]
        self.address = listen.rsplit(":", 1)[0] + f":{self.port}"

    def command(self, text):
        """cut, stall [TIME], resume, line RATE DELAY, stats."""
        self.process.stdin.write(text.encode() + b"\n")
        answer = json.loads(read_line(self.process.stdout))
        if answer["event"] == "error":
            raise ValueError(f"{text}: {answer['text']}")
        return answer

    def stats(self):
        """Its counters: up_in, up_out, down_in, down_out, cuts, ..."""
        return self.command("stats")

    def close(self):
        """Cut what is left and end it; returns the last counters."""
        if not self.process:
            return None
        self.process.stdin.close()
        line = read_line(self.process.stdout)
        self.process.wait(timeout=PATIENCE_S)
        self.process.stdout.close()
        self.process = None
        return json.loads(line) if line else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
