# SPDX-License-Identifier: Apache-2.0
"""What the measurements carry: made on the spot, the same on each machine
that has the same packages.

text    a tar of what six Debian packages have in /usr/include, in the order of
        the names, without times and owners; the packages' versions are part
        of the result
random  bytes of a seeded generator
logs    generated lines of JSON, seeded
"""
import hashlib
import json
import os
import random
import subprocess
import tarfile

SEED = 20
MIB = 1 << 20
FOLDER = "/usr/include"
# C and C++, 48 MB together; scripts/packages.sh installs them.
PACKAGES = ("libc6-dev", "libicu-dev", "libssl-dev", "libstdc++-12-dev",
            "linux-libc-dev", "llvm-14-dev")
SERVICES = ("auth", "billing", "catalog", "gateway", "orders", "search")
PATHS = ("/api/v1/orders", "/api/v1/items", "/api/v2/search", "/login",
         "/healthz", "/api/v1/users")


def files_of(packages):
    """The regular files of packages below FOLDER."""
    lists = subprocess.run(["dpkg-query", "-L", *packages], check=True,
                           capture_output=True, text=True).stdout
    return sorted({path for path in lists.splitlines()
                   if path.startswith(FOLDER + "/") and
                   os.path.isfile(path) and not os.path.islink(path)})


def versions(packages):
    """{package: version}"""
    text = subprocess.run(
        ["dpkg-query", "-W", "-f=${Package} ${Version}\n", *packages],
        check=True, capture_output=True, text=True).stdout
    return dict(line.split() for line in text.splitlines())


def plain(info):
    """Nothing of the machine in the archive but names and contents."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    info.mode = 0o644
    return info


def make_text(path, _size):
    """Returns {package: version} of what went in."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in files_of(PACKAGES):
            tar.add(name, arcname=name.lstrip("/"), filter=plain)
    return versions(PACKAGES)


def make_random(path, size):
    """Bytes that do not compress."""
    source = random.Random(SEED)
    with open(path, "wb") as file:
        for _ in range(size // MIB):
            file.write(source.randbytes(MIB))


def make_logs(path, size):
    """Lines as services write them."""
    source = random.Random(SEED)
    now = 1_700_000_000.0
    with open(path, "w") as file:
        while file.tell() < size:
            lines = []
            for _ in range(1000):
                now += source.expovariate(2000)
                service = source.choice(SERVICES)
                lines.append(json.dumps({
                    "ts": round(now, 6),
                    "level": source.choices(
                        ("info", "warn", "error"), (95, 4, 1))[0],
                    "service": service,
                    "host": f"{service}-{source.randrange(12):02d}",
                    "method": source.choice(("GET", "GET", "POST", "PUT")),
                    "path": f"{source.choice(PATHS)}/"
                            f"{source.randrange(100000)}",
                    "status": source.choices(
                        (200, 201, 404, 500), (90, 5, 4, 1))[0],
                    "duration_ms": round(source.lognormvariate(2, 1), 3),
                    "trace": f"{source.getrandbits(64):016x}",
                }))
            file.write("\n".join(lines) + "\n")


def digest(path):
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def build(folder, quick):
    """Make what is missing; returns {name: {path, size, sha256, ...}}."""
    os.makedirs(folder, exist_ok=True)
    scale = 1 if quick else 4
    made = {}
    # Another version of a package makes another text.
    text = hashlib.sha256(repr(versions(PACKAGES)).encode()).hexdigest()
    for name, make, size in (("text-" + text[:8], make_text, 0),
                             ("random", make_random, 32 * scale * MIB),
                             ("logs", make_logs, 8 * scale * MIB)):
        path = os.path.join(folder, name if size == 0 else
                            f"{name}-{size // MIB}")
        note = path + ".json"
        if not os.path.exists(note):
            packages = make(path, size)
            with open(note, "w") as file:
                json.dump({"path": path, "size": os.path.getsize(path),
                           "sha256": digest(path), "packages": packages},
                          file)
        with open(note) as file:
            made[name.split("-")[0]] = json.load(file)
    return made
