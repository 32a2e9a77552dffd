#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Check C files for what this tree does not use.

Functions without a bound or with hidden state, bare allocation outside
base/alloc.c, line comments, typedefs of structs, reminders left in the code,
and files that do not begin with the licence line.

check-banned.py [ROOT]
"""
import os
import re
import sys

from ctext import bare, finish, read, walk

# name: what to use in its place
CALLS = {
    "strcpy": "memcpy of a known length",
    "stpcpy": "memcpy of a known length",
    "strcat": "snprintf or cn_buf_printf",
    "strncpy": "memcpy of a known length",
    "strncat": "snprintf or cn_buf_printf",
    "sprintf": "snprintf",
    "vsprintf": "vsnprintf",
    "gets": "fgets",
    "strtok": "strtok_r or a cursor",
    "atoi": "strtol with its end checked",
    "atol": "strtol with its end checked",
    "atoll": "strtoll with its end checked",
    "atof": "strtod with its end checked",
    "sscanf": "strtol or a cursor",
    "scanf": "fgets and a cursor",
    "alloca": "a buffer with a cap",
    "rand": "base/rand.h",
    "srand": "base/rand.h",
    "random": "base/rand.h",
    "drand48": "base/rand.h",
    "localtime": "localtime_r",
    "gmtime": "gmtime_r",
    "ctime": "strftime",
    "asctime": "strftime",
    "strerror": "cn_err_text",
    "tmpnam": "mkstemp",
    "mktemp": "mkstemp",
    "gethostbyname": "getaddrinfo",
    "system": "posix_spawn",
    "popen": "posix_spawn",
}
ALLOCATION = ("malloc", "calloc", "realloc", "free", "strdup", "strndup",
              "asprintf", "vasprintf", "reallocarray", "posix_memalign",
              "aligned_alloc")
ALLOCATORS = ("src/base/alloc.c",)

CALL = re.compile(r"(?<![\w.>])(\w+)[ \t]*\(")
LINE_COMMENT = re.compile(r"(?<!:)//")
REMINDER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
TYPEDEF = re.compile(r"\btypedef\s+(struct|union|enum)\b")
LICENCE = "/* SPDX-License-Identifier: Apache-2.0 */"
LICENCE_HASH = re.compile(
    r"\A(#![^\n]*\n)?(# SPDX-License-Identifier: Apache-2\.0|"
    r"\"\"\"SPDX)")


def check_c(path, text):
    """Problems of one C file."""
    problems = []
    if not text.startswith(LICENCE):
        problems.append(f"{path}:1: does not begin with {LICENCE}")
    # Product code only: tests and tools may call the allocator itself.
    product = path.startswith("src/")
    without_literals = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    without_blocks = re.sub(
        r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m[0]),
        without_literals, flags=re.S)
    for number, line in enumerate(without_blocks.splitlines(), 1):
        if LINE_COMMENT.search(line):
            problems.append(f"{path}:{number}: write /* */, not //")
    for number, line in enumerate(text.splitlines(), 1):
        match = REMINDER.search(line)
        if match:
            problems.append(f"{path}:{number}: {match[1]}: do it or drop it")
        if line != line.rstrip():
            problems.append(f"{path}:{number}: space at the end of the line")
    for number, line in enumerate(bare(text).splitlines(), 1):
        place = f"{path}:{number}"
        for name in CALL.findall(line):
            if name in CALLS:
                problems.append(f"{place}: {name}: use {CALLS[name]}")
            elif product and name in ALLOCATION and path not in ALLOCATORS:
                problems.append(f"{place}: {name}: use base/alloc.h")
        if TYPEDEF.search(line):
            problems.append(f"{place}: no typedef for structs and enums")
    return problems


def check(root):
    """All problems of the tree at root."""
    problems = []
    for path in walk(root, ["src", "tests", "bench"], (".c", ".h")):
        problems += check_c(path, read(root, path))
    for path in walk(root, ["scripts", "tests", "bench"], (".py", ".sh")):
        text = read(root, path)
        if text and not LICENCE_HASH.match(text):
            problems.append(f"{path}:1: no SPDX-License-Identifier line")
    return problems


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else \
        os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    finish("banned", check(root))


if __name__ == "__main__":
    main()
