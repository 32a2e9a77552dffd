# SPDX-License-Identifier: Apache-2.0
"""Releases of Debian packages, and what a database writes: the corpora of the
rows of dedup.

    releases = Releases(folder, quick)
    old, new = releases.source("oldest", "newest")
    old["path"], old["size"], old["what"]

source         a fixed part of a kernel's tree, from linux-source-6.1
binaries       programs and libraries of some packages, ELF for the most part
documentation  the HTML of linux-doc-6.1 (quick: of git-doc)
dump, wal      pg_dump of a pgbench database, and the write-ahead log of a run

A release is a tar of files as the package has them, in the order of their
names, with the times that they have there: a release gives them new ones.
Only apt is asked, for packages that it offers in two versions here; where it
offers one, the second is made from the first by seeded edits and says so.
What cannot be had raises Missing.  All is kept in the folder and made once.
"""
import glob
import hashlib
import io
import json
import os
import pwd
import random
import shutil
import subprocess
import tarfile
import tempfile

from corpus import digest
from measure import free_port

SEED = 23
SOURCE = "linux-source-6.1"
SOURCE_TAR = "usr/src/linux-source-6.1.tar.xz"
SOURCE_TOP = "linux-source-6.1"
FOLDERS = ("block", "crypto", "fs", "include", "init", "io_uring", "ipc",
           "kernel", "lib", "mm", "net", "security", "sound", "virt")
FOLDERS_QUICK = ("fs", "mm")
BINARIES = ("apache2-bin", "git", "libc6", "libnode108",
            "libpython3.11-minimal", "libpython3.11-stdlib", "libssl3",
            "openssl", "php8.2-cli", "postgresql-15",
            "postgresql-client-15", "python3.11-minimal", "samba",
            "samba-libs")
BINARIES_QUICK = ("libc6", "libssl3", "openssl", "python3.11-minimal",
                  "samba-libs")
DOCUMENTATION, HTML = "linux-doc-6.1", "usr/share/doc/linux-doc-6.1/html"
DOCUMENTATION_QUICK, HTML_QUICK = "git-doc", "usr/share/doc/git-doc"
# A corpus of less is not what was meant.
LEAST_BYTES = 1 << 20
# Scale of pgbench and transactions.
BANK, BANK_QUICK = (10, 30000), (2, 5000)
DATABASE_OWNER = "nobody"
SETTINGS = ("-c listen_addresses=127.0.0.1 -c unix_socket_directories= "
            "-c fsync=off -c wal_keep_size=1GB -c shared_buffers=64MB "
            "-c autovacuum=off")


class Missing(RuntimeError):
    """This machine cannot have a corpus; the text says why."""


def run(words, **options):
    """Run to the end; what it said when it failed is the error."""
    done = subprocess.run(words, stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                          text=True, **options)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise Missing(f"{' '.join(words[:4])}: {said[-1]}")
    return done.stdout


def offered(package):
    """The versions that apt offers here, oldest first."""
    found = {line.split("|")[1].strip()
             for line in run(["apt-cache", "madison", package]).splitlines()
             if line.count("|") == 2 and line.rstrip().endswith("Packages")}
    if not found:
        raise Missing(f"apt offers no {package}; apt-get update may help")
    ordered = []
    for version in found:
        at = sum(is_older(other, version) for other in found)
        ordered.append((at, version))
    return [version for _, version in sorted(ordered)]


def is_older(one, other):
    """Whether a version is."""
    return subprocess.run(["dpkg", "--compare-versions", one, "lt", other],
                          check=False).returncode == 0


def upstream(version):
    """A version without what Debian adds."""
    return version.rpartition("-")[0]


def choose(package, which):
    """A version: newest, oldest, or previous: the newest of another upstream
    release than the newest is.  None where there is only one."""
    versions = offered(package)
    if which == "newest":
        return versions[-1]
    if len(versions) == 1:
        return None
    if which == "oldest":
        return versions[0]
    others = [version for version in versions
              if upstream(version) != upstream(versions[-1])]
    return others[-1] if others else versions[-2]


def plain(info):
    """Nothing of the machine in the archive."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def files_below(folder):
    """Paths of all that is not a folder, relative, in order."""
    found = []
    for parent, _, names in os.walk(folder):
        found += [os.path.relpath(os.path.join(parent, name), folder)
                  for name in names]
    return sorted(found)


def pack(path, folder, is_wanted=lambda _name: True):
    """A tar of the files below a folder."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in files_below(folder):
            if is_wanted(name):
                tar.add(os.path.join(folder, name), arcname=name,
                        filter=plain, recursive=False)


def edit(data, source):
    """A file as a later release might have it: some lines replaced, added
    or taken away."""
    lines = data.split(b"\n")
    for _ in range(max(1, len(lines) // 200)):
        at = source.randrange(len(lines))
        fresh = b"\t/* %08x */" % source.getrandbits(32)
        action = source.randrange(3)
        if action == 0:
            lines[at] = lines[at] + fresh
        elif action == 1:
            lines.insert(at, fresh)
        else:
            del lines[at:at + 2]
            lines = lines or [fresh]
    return b"\n".join(lines)


def make_edited(path, old):
    """A release made from another one: new times for all files, one file in
    ten edited, one in five hundred gone; seeded."""
    source = random.Random(SEED)
    with tarfile.open(old) as before, \
            tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as after:
        for info in before:
            info.mtime += 86400 * 30
            fate = source.random()
            if not info.isfile():
                after.addfile(info)
            elif fate >= 0.002:
                data = before.extractfile(info).read()
                if fate < 0.1:
                    data = edit(data, source)
                info.size = len(data)
                after.addfile(info, io.BytesIO(data))


class Releases:
    """The corpora of one folder."""

    def __init__(self, folder, quick):
        self.folder = folder
        self.quick = quick
        os.makedirs(folder, exist_ok=True)

    def pick(self, quick, full):
        """The smaller thing in a quick run."""
        return quick if self.quick else full

    def path(self, name):
        """The file of a corpus."""
        return os.path.join(self.folder, name + self.pick("-quick", ""))

    def kept(self, name, make, what):
        """A corpus by its name: made by make(path) if it is not there.
        what: {package: version or other words}."""
        path = self.path(name)
        note = path + ".json"
        if not os.path.exists(note):
            make(path)
            if os.path.getsize(path) < LEAST_BYTES:
                raise Missing(f"{path}: there is next to nothing in it")
            with open(note, "w") as file:
                json.dump({"path": path, "size": os.path.getsize(path),
                           "sha256": digest(path), "packages": what}, file)
        with open(note) as file:
            return json.load(file) | {"name": name}

    def package(self, name, version):
        """The file of a package, from apt."""
        folder = os.path.join(self.folder, "packages")
        os.makedirs(folder, exist_ok=True)
        pattern = os.path.join(
            folder, f"{name}_{version.replace(':', '%3a')}_*.deb")
        if not glob.glob(pattern):
            run(["apt-get", "-q", "download", f"{name}={version}"],
                cwd=folder)
        found = glob.glob(pattern)
        if not found:
            raise Missing(f"apt-get download {name}={version} left no file")
        return found[0]

    def unpacked(self, versions):
        """A folder with packages unpacked; the caller removes it."""
        folder = os.path.join(self.folder, "unpacked")
        shutil.rmtree(folder, ignore_errors=True)
        for name, version in sorted(versions.items()):
            run(["dpkg-deb", "-x", self.package(name, version), folder])
        return folder

    def release(self, name, versions, pack_it):
        """A corpus made of packages; pack_it(path, folder)."""
        def make(path):
            folder = self.unpacked(versions)
            try:
                pack_it(path, folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        # Other versions make another file.
        key = hashlib.sha256(repr(sorted(versions.items())).encode())
        return self.kept(f"{name}-{key.hexdigest()[:8]}", make, versions)

    def pair(self, name, packages, pack_it, which):
        """An older release and the newest: two corpora."""
        newest = {each: choose(each, "newest") for each in packages}
        older = {each: choose(each, which) or newest[each]
                 for each in packages}
        new = self.release(name, newest, pack_it)
        if older != newest:
            return self.release(name, older, pack_it), new
        # The one that is offered is the older one.
        edited = self.kept(
            name + "-edited", lambda path: make_edited(path, new["path"]),
            newest | {"edits": f"one version only is offered; this one is "
                      f"made from it by edits of seed {SEED}"})
        return new, edited

    def source(self, which):
        """An older release of a source tree and the newest."""
        folders = self.pick(FOLDERS_QUICK, FOLDERS)

        def pack_it(path, folder):
            tree = os.path.join(folder, "tree")
            os.mkdir(tree)
            run(["tar", "-xJf", os.path.join(folder, SOURCE_TAR), "-C", tree,
                 *(f"{SOURCE_TOP}/{each}" for each in folders)])
            pack(path, os.path.join(tree, SOURCE_TOP))
        return self.pair("source", (SOURCE,), pack_it, which)

    def binaries(self, which):
        """Programs and libraries, an older release and the newest."""
        return self.pair("binaries", self.pick(BINARIES_QUICK, BINARIES),
                         pack, which)

    def documentation(self, which):
        """HTML, an older release and the newest."""
        package = self.pick(DOCUMENTATION_QUICK, DOCUMENTATION)
        html = self.pick(HTML_QUICK, HTML)

        def pack_it(path, folder):
            pack(path, os.path.join(folder, html),
                 lambda name: name.endswith(".html"))
        return self.pair("documentation", (package,), pack_it, which)

    def database(self):
        """(dump, wal) of a pgbench run."""
        names = ("dump", "wal")
        scale, transactions = self.pick(BANK_QUICK, BANK)
        if not all(os.path.exists(self.path(name) + ".json")
                   for name in names):
            with Database() as bank:
                what = {"postgresql": bank.version(), "pgbench":
                        f"scale {scale}, {transactions} transactions"}
                bank.fill(scale)
                self.kept("wal", lambda path: bank.write_log(
                    path, transactions), what)
                self.kept("dump", bank.write_dump, what)
        return [self.kept(name, None, None) for name in names]


class Database:
    """A PostgreSQL cluster of our own, for as long as it is needed."""

    def __init__(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"),
                       key=lambda path: int(path.split("/")[4]))
        if not found:
            raise Missing("PostgreSQL is not installed")
        self.programs = found[-1]
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix="cn-bench-bank-")
        self.data = os.path.join(self.folder, "data")
        self.user = {}
        if os.geteuid() == 0:
            # It refuses to run as root.
            owner = pwd.getpwnam(DATABASE_OWNER)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
            self.user = {"user": owner.pw_uid, "group": owner.pw_gid,
                         "extra_groups": ()}

    def program(self, name, *words):
        """Run one of its programs; returns what it printed."""
        return run([os.path.join(self.programs, name), *words],
                   env={"HOME": "/", "PATH": os.environ["PATH"],
                        "LC_ALL": "C.UTF-8", "PGUSER": "owner",
                        "PGHOST": "127.0.0.1", "PGPORT": str(self.port),
                        "PGDATABASE": "postgres"},
                   cwd=self.folder, **self.user)

    def query(self, statement):
        """One value as text."""
        return self.program("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c",
                            statement).strip()

    def __enter__(self):
        try:
            self.program("initdb", "-D", self.data, "-U", "owner", "-A",
                         "trust", "--no-sync", "--locale=C.UTF-8")
            self.program("pg_ctl", "-D", self.data, "-w", "-s", "-l",
                         os.path.join(self.folder, "log"), "-o",
                         f"-p {self.port} {SETTINGS}", "start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.program("pg_ctl", "-D", self.data, "-w", "-s", "-m",
                         "immediate", "stop")
        except Missing:
            pass  # it did not run
        shutil.rmtree(self.folder, ignore_errors=True)

    def version(self):
        """Of the server."""
        return self.query("show server_version")

    def fill(self, scale):
        """The tables of pgbench."""
        self.program("pgbench", "-i", "-q", "-s", str(scale))

    def write_log(self, path, transactions):
        """The log of so many transactions: whole segments, in order."""
        self.query("checkpoint")
        first = self.query("select pg_walfile_name(pg_switch_wal())")
        self.program("pgbench", "-n", "-c", "4", "-t",
                     str(transactions // 4), f"--random-seed={SEED}")
        last = self.query("select pg_walfile_name(pg_switch_wal())")
        folder = os.path.join(self.data, "pg_wal")
        with open(path, "wb") as file:
            for name in sorted(os.listdir(folder)):
                if len(name) == 24 and first < name <= last:
                    with open(os.path.join(folder, name), "rb") as segment:
                        shutil.copyfileobj(segment, file)

    def write_dump(self, path):
        """A plain dump, without the lines whose word is random."""
        text = self.program("pg_dump", "--no-owner")
        with open(path, "w") as file:
            file.writelines(
                line for line in text.splitlines(keepends=True)
                if not line.startswith(("\\restrict", "\\unrestrict")))
