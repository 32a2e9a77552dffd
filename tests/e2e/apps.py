# SPDX-License-Identifier: Apache-2.0
"""Other people's programs in a test: run them, end them, compare folders.

They run as the gateways do (as nobody when the tests run as root), in the
folder of the kit, and end with it.  What a program started ends with it.
"""
import ctypes
import hashlib
import os
import random
import signal
import socket
import stat
import subprocess

from gateways import HOST, LOG_SHOWN, PATIENCE_S, PR_SET_PDEATHSIG, wait_for

PART = 1 << 20
RUN_PATIENCE_S = 120
LIBC = ctypes.CDLL(None)


def find(name, *folders):
    """A program by its name, also where only administrators look."""
    places = [*folders, *os.environ.get("PATH", "").split(os.pathsep),
              "/usr/local/sbin", "/usr/sbin", "/sbin"]
    for place in places:
        path = os.path.join(place, name)
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(f"{name} is not installed")


def environment(kit):
    return {**kit.environment(), "LC_ALL": "C", "TZ": "UTC"}


def run(kit, argv, fails=False, as_us=False, **options):
    """Run a program to its end; fails: it may.  Its result."""
    options.setdefault("timeout", RUN_PATIENCE_S)
    options.setdefault("cwd", kit.folder)
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    done = subprocess.run(
        argv, stderr=subprocess.PIPE, env=environment(kit), check=False,
        preexec_fn=None if as_us else kit.drop([]), **options)
    if done.returncode != 0 and not fails:
        said = (done.stdout or b"")[-2000:] + b"\n" + done.stderr[-4000:]
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}:"
                           f"\n{said.decode(errors='replace')}")
    return done


def text(kit, argv, **options):
    """What a program prints."""
    return run(kit, argv, **options).stdout.decode()


def folder(kit, name):
    """A new folder of the user that the programs run as."""
    path = os.path.join(kit.folder, name)
    os.mkdir(path, 0o755)
    kit.give(path)
    return path


def write(kit, path, content, mode=0o644):
    """A file of that user."""
    with open(path, "wb") as out:
        out.write(content if isinstance(content, bytes)
                  else content.encode())
    os.chmod(path, mode)
    kit.give(path)
    return path


def descendants(pid):
    """All that a process started and what they did, parents first."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8",
                          errors="replace") as text_of:
                    parent = text_of.read().rsplit(")", 1)[1].split()[1]
            except OSError:
                continue
            children.setdefault(int(parent), []).append(int(name))
    found = []
    waiting = [pid]
    while waiting:
        new = children.get(waiting.pop(0), [])
        found += new
        waiting += new
    return found


class App:
    """A server program that runs until close() or the kit's end."""

    def __init__(self, kit, name, argv, end_by=signal.SIGTERM, as_us=False):
        self.name = name
        self.end_by = end_by
        self.log_file = os.path.join(kit.folder, f"{name}-{kit.count}.log")
        kit.count += 1
        child = kit.drop([])

        def become():
            if not as_us:
                child()
            # With the test, in the way that leaves nothing behind.
            LIBC.prctl(PR_SET_PDEATHSIG, end_by, 0, 0, 0)

        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=kit.folder, env=environment(kit), preexec_fn=become)
        kit.apps.append(self)

    def log(self):
        with open(self.log_file, encoding="utf-8", errors="replace") as said:
            return said.read()[-LOG_SHOWN:]

    def wait(self, what, condition, patience_s=PATIENCE_S):
        """Until the condition holds; an error if the program ends."""
        def holds():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with "
                                   f"{self.process.returncode}:\n"
                                   f"{self.log()}")
            return condition()
        return wait_for(f"{self.name} {what}", holds, patience_s)

    def wait_port(self, port):
        def accepts():
            with socket.socket() as probe:
                return probe.connect_ex((HOST, port)) == 0
        self.wait("listens", accepts)
        return self

    def close(self):
        if self.process.poll() is None:
            started = descendants(self.process.pid)
            self.process.send_signal(self.end_by)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            for pid in started:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


def some_bytes(count, seed):
    """Three parts of words and one of random bytes, by turns of 64 KiB."""
    rng = random.Random(seed)
    words = [rng.randbytes(rng.randrange(2, 9)).hex().encode()
             for _ in range(800)]
    parts = []
    length = 0
    while length < count:
        if rng.randrange(4) == 0:
            part = rng.randbytes(65536)
        else:
            part = b" ".join(rng.choices(words, k=6500))
        parts.append(part)
        length += len(part)
    return b"".join(parts)[:count]


def digest_of(path):
    """Of a file."""
    state = hashlib.sha256()
    with open(path, "rb") as data:
        while part := data.read(PART):
            state.update(part)
    return state.hexdigest()


def tree_of(top):
    """Path -> all that matters of it, for each thing below a folder."""
    found = {}
    for place, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(place, name)
            info = os.lstat(path)
            if stat.S_ISLNK(info.st_mode):
                what = "link", os.readlink(path)
            elif stat.S_ISDIR(info.st_mode):
                what = "folder", stat.S_IMODE(info.st_mode)
            else:
                what = ("file", stat.S_IMODE(info.st_mode), info.st_size,
                        int(info.st_mtime), digest_of(path))
            found[os.path.relpath(path, top)] = what
    return found


def differences(first, second):
    """Paths that two trees do not have alike; a few of them."""
    return sorted(path for path in first.keys() | second.keys()
                  if first.get(path) != second.get(path))[:20]
