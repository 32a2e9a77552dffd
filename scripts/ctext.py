# SPDX-License-Identifier: Apache-2.0
"""What the checks share: walking the tree and reading C as text."""
import os
import re
import sys

TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
SKIP = re.compile(r"^(build.*|\..*|__pycache__|node_modules)$")


def walk(root, folders, endings):
    """Paths below root/folders that end so, relative to root, sorted."""
    found = []
    for folder in folders:
        for path, dirs, names in os.walk(os.path.join(root, folder)):
            dirs[:] = [name for name in dirs
                       if not (SKIP.match(name) and
                               os.path.samefile(path, root))]
            found += [os.path.relpath(os.path.join(path, name), root)
                      for name in names if name.endswith(endings)]
    return sorted(found)


def read(root, path):
    """The text of one file."""
    with open(os.path.join(root, path), errors="replace") as file:
        return file.read()


def bare(text):
    """C without comments and literals, of the same lines."""
    def blank(match):
        kept = "".join(c if c == "\n" else " " for c in match[0])
        if match[0][0] in "\"'":
            kept = match[0][0] + kept[1:-1] + match[0][0]
        return kept
    return TOKEN.sub(blank, text)


def includes(text):
    """[(line number, '<' or '"', name)] of a C file's includes."""
    plain = re.sub(r"/\*.*?\*/",
                   lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.S)
    return [(plain.count("\n", 0, match.start(1)) + 1, match[1], match[2])
            for match in INCLUDE.finditer(plain)]


def finish(name, problems):
    """Print the problems, then exit with 1 if there are any."""
    for problem in problems:
        print(problem)
    if problems:
        print(f"{name}: {len(problems)} problem(s)")
        sys.exit(1)
    print(f"{name}: ok")
