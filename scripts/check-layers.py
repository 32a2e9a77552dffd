#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Check who includes whom: the table of doc/DESIGN.md, "Layers".

Each folder of src may include the folders and the outside libraries named
below, and no others.  The folders that hold no I/O may not include the
headers that would bring it in.  A unit test may include and link its own
layer and those that it stands on.

check-layers.py [ROOT]
"""
import os
import re
import sys

from ctext import finish, includes, read, walk

# folder: (folders it may include, outside libraries)
LAYERS = {
    "base": ((), ("xxhash", "pthread")),
    "wire": (("base",), ()),
    "ident": (("base",), ("openssl",)),
    "store": (("base",), ("openssl", "pthread")),
    "config": (("base",), ("fyaml",)),
    "codec": (("base", "wire", "store"), ("zstd",)),
    "link": (("base", "wire", "codec"), ()),
    "net": (("base", "ident", "link", "wire"), ("uv", "openssl")),
    "disk": (("base", "store"), ("uv",)),
    "control": (("base", "config"), ("jansson",)),
    "gateway": (("base", "wire", "ident", "store", "config", "codec", "link",
                 "net", "disk", "control"),
                ("uv", "openssl", "jansson", "seccomp", "cap-ng", "pthread",
                 "fyaml", "zstd")),
    "manage": (("base", "ident", "config", "control", "codec", "store",
                "link"),
               ("jansson", "microhttpd", "ncurses", "pcap", "uv", "openssl",
                "pthread")),
}

# Folders of functions of bytes and a passed-in time.
PURE = ("wire", "codec", "link")
PURE_BANNED = re.compile(
    r"^(sys/(socket|epoll|time|select|stat|un|uio|wait)|netinet/.*|arpa/.*|"
    r"netdb|unistd|fcntl|poll|time|signal|pthread|threads)\.h$")
PURE_BANNED_BASE = ("base/clock.h",)

LIBRARY_OF = (
    (re.compile(r"^xxhash\.h$|^xxh3\.h$"), "xxhash"),
    (re.compile(r"^pthread\.h$|^threads\.h$|^semaphore\.h$"), "pthread"),
    (re.compile(r"^openssl/"), "openssl"),
    (re.compile(r"^libfyaml\.h$"), "fyaml"),
    (re.compile(r"^(zstd|zstd_errors|zdict)\.h$"), "zstd"),
    (re.compile(r"^uv\.h$|^uv/"), "uv"),
    (re.compile(r"^jansson\.h$"), "jansson"),
    (re.compile(r"^seccomp\.h$"), "seccomp"),
    (re.compile(r"^cap-ng\.h$|^sys/capability\.h$"), "cap-ng"),
    (re.compile(r"^microhttpd\.h$"), "microhttpd"),
    (re.compile(r"^(n?curses|panel|term)\.h$"), "ncurses"),
    (re.compile(r"^pcap(/.*)?(\.h)?$"), "pcap"),
)

# Everything else in angle brackets must be the C library's or the kernel's.
LIBC = re.compile(
    r"^(assert|byteswap|ctype|dirent|dlfcn|endian|errno|execinfo|fcntl|fts|"
    r"fnmatch|getopt|glob|grp|ifaddrs|inttypes|limits|link|locale|malloc|"
    r"math|mntent|netdb|poll|pty|pwd|regex|sched|setjmp|signal|spawn|"
    r"stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|string|"
    r"strings|syslog|termios|time|ucontext|unistd|wchar|wordexp)\.h$|"
    r"^(sys|net|netinet|arpa|bits|linux|asm)/|^.*intrin\.h$|"
    r"^sanitizer/")

# Dependencies of a meson.build that are one folder's or one library's.
DEP = re.compile(r"\b([a-z][a-z0-9]*)_dep\b")

def below(layer):
    """The layer and all that it stands on, directly or not."""
    seen = set()
    todo = [layer]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += LAYERS[name][0]
    return seen


def library(name):
    """The outside library that a header belongs to, None: the C library's,
    "?": unknown."""
    for pattern, lib in LIBRARY_OF:
        if pattern.match(name):
            return lib
    return None if LIBC.match(name) else "?"


def check_file(where, text, layer, folders, libraries, pure):
    """Problems of one C file that may include these."""
    problems = []
    for line, kind, name in includes(text):
        place = f"{where}:{line}"
        if kind == '"':
            folder = name.split("/")[0]
            if "/" not in name:
                if not where.startswith("tests/"):
                    problems.append(
                        f'{place}: "{name}" names no layer: write '
                        f'"{layer}/{name}"')
            elif folder in LAYERS and folder not in folders:
                problems.append(f"{place}: {layer} may not include {name}")
            elif folder not in LAYERS and not where.startswith("tests/"):
                problems.append(f"{place}: {name} is no layer's")
            if pure and name in PURE_BANNED_BASE:
                problems.append(
                    f"{place}: {layer} has no clock of its own: {name}")
            continue
        lib = library(name)
        if lib == "?":
            if not where.startswith("tests/"):
                problems.append(f"{place}: unknown header <{name}>: name "
                                f"its library in {os.path.basename(__file__)}")
        elif lib and lib not in libraries:
            problems.append(f"{place}: {layer} may not use {lib}: <{name}>")
        if pure and PURE_BANNED.match(name):
            problems.append(
                f"{place}: {layer} does no I/O, has no clock and no "
                f"threads: <{name}>")
    return problems


def check_meson(where, text, layer):
    """A test folder's dependencies: its layer, those below, libraries."""
    problems = []
    allowed = below(layer)
    for number, line in enumerate(text.splitlines(), 1):
        for name in DEP.findall(line.split("#")[0]):
            if name in LAYERS and name not in allowed:
                problems.append(f"{where}:{number}: tests of {layer} may not "
                                f"link {name}")
    return problems


def check(root):
    """All problems of the tree at root."""
    problems = []
    for path in walk(root, ["src"], (".c", ".h")):
        parts = path.split("/")
        if len(parts) < 3:
            problems.append(f"{path}: belongs to no layer")
            continue
        layer = parts[1]
        if layer not in LAYERS:
            problems.append(f"{path}: {layer} is no layer")
            continue
        folders, libraries = LAYERS[layer]
        problems += check_file(path, read(root, path), layer,
                               set(folders) | {layer}, libraries,
                               layer in PURE)
    for path in walk(root, ["tests/unit"], (".c", ".h", "meson.build")):
        parts = path.split("/")
        if len(parts) < 4:
            continue
        layer = parts[2]
        if layer not in LAYERS:
            problems.append(f"{path}: {layer} is no layer")
        elif path.endswith("meson.build"):
            problems += check_meson(path, read(root, path), layer)
        else:
            allowed = below(layer)
            libraries = {lib for name in allowed for lib in LAYERS[name][1]}
            problems += check_file(path, read(root, path), layer, allowed,
                                   libraries | {"pthread"}, False)
    return problems


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else \
        os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    finish("layers", check(root))


if __name__ == "__main__":
    main()
