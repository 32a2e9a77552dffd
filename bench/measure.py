# SPDX-License-Identifier: Apache-2.0
"""CPU and memory of processes, and the commands that the rows run."""
import json
import os
import resource
import socket
import subprocess
import time

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def descendants(pids):
    """The processes and all that they started and that still live."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stat:
                    parents[int(name)] = int(
                        stat.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    found = set(pids)
    grown = True
    while grown:
        more = {pid for pid, up in parents.items()
                if up in found and pid not in found}
        found |= more
        grown = bool(more)
    return found


def cpu_seconds(pids):
    """User and system time so far, with that of collected children."""
    total = 0
    for pid in descendants(pids):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15])
    return total * TICK_S


def private_bytes(pid):
    """Memory that is this process's alone."""
    total = 0
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        for line in rollup:
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total


def free_port():
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def run_timed(words, **options):
    """Run to the end; returns (CPU seconds, stdout)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE,
                          **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime +
            after.ru_stime - before.ru_stime, done.stdout)


class Load:
    """cn-echoload, here or on a host of netns.py; its sinks give a file to
    who fetches it."""

    def __init__(self, build, host=None, file=None):
        self.binary = os.path.join(build, "bench/cn-echoload")
        self.host = host
        self.file = file
        self.servers = []

    def words(self, *words):
        """Its command line there."""
        words = [self.binary, *[str(word) for word in words]]
        return self.host.command(words) if self.host else words

    def serve(self, kind, address="127.0.0.1"):
        """Start a server; returns ADDRESS:PORT."""
        words = self.words(kind, f"{address}:0")
        if kind == "sink" and self.file:
            words += ["--file", self.file]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.servers.append(process)
        port = json.loads(process.stdout.readline())["port"]
        return f"{address}:{port}"

    def client(self, command, address, timeout=600, check=True, **options):
        """Run a client to the end; returns what it printed."""
        done = subprocess.run(self.client_words(command, address, **options),
                              stdout=subprocess.PIPE, text=True, check=False,
                              timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError(f"cn-echoload {command} {address} failed")
        return json.loads(done.stdout)

    def client_words(self, command, address, **options):
        """The command line of a client."""
        words = [command, address]
        for name, value in options.items():
            words += ["--" + name, value]
        return self.words(*words)

    def wait_for(self, address, seconds=20):
        """Until an echo comes back through this address."""
        end = time.monotonic() + seconds
        while True:
            try:
                done = subprocess.run(
                    self.client_words("connects", address, count=1),
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    timeout=5, check=False)
                if done.returncode == 0:
                    return
            except subprocess.TimeoutExpired:
                pass
            if time.monotonic() > end:
                raise TimeoutError(f"no echo through {address}")
            time.sleep(0.05)

    def close(self):
        """End the servers."""
        for process in self.servers:
            process.kill()
            process.wait()
            process.stdout.close()
        self.servers = []
