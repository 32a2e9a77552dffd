#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Check the documents: each relative link of each .md file names a file and,
where it has one, a heading that exist; each document can be reached from
README.md; the file names of src are unique.

check-docs.py [ROOT]
"""
import os
import re
import sys

from ctext import finish, read, walk

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)"
                  r"|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.S | re.M)
CODE = re.compile(r"`[^`\n]*`")
HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.M)
OUTSIDE = re.compile(r"^[a-z][a-z0-9+.-]*:")
START = "README.md"


def anchors(text):
    """The anchors that the headings of a document make."""
    found = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        plain = re.sub(r"[^\w\- ]", "", plain.lower())
        name = plain.strip().replace(" ", "-")
        number = 0
        anchor = name
        while anchor in found:
            number += 1
            anchor = f"{name}-{number}"
        found.add(anchor)
    return found


def links(text):
    """[(line number, target)] of the links outside code."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match[0])
    plain = CODE.sub(blank, FENCE.sub(blank, text))
    return [(plain.count("\n", 0, match.start()) + 1, match[1] or match[2])
            for match in LINK.finditer(plain)]


def check_names(root):
    """File names of src are unique, but for the main.c of each program."""
    problems = []
    seen = {}
    for path in walk(root, ["src"], (".c", ".h")):
        name = os.path.basename(path)
        if name in seen and name != "main.c":
            problems.append(f"{path}: {seen[name]} has the same name")
        seen[name] = path
    return problems


def check(root):
    """All problems of the tree at root."""
    problems = []
    documents = walk(root, ["."], (".md",))
    texts = {path: read(root, path) for path in documents}
    reached = {START}
    todo = [START]
    if START not in texts:
        return [f"{START}: is missing"]
    graph = {}
    for path, text in texts.items():
        graph[path] = set()
        for number, target in links(text):
            if OUTSIDE.match(target):
                continue
            name, _, anchor = target.partition("#")
            to = os.path.normpath(os.path.join(os.path.dirname(path), name)) \
                if name else path
            place = f"{path}:{number}"
            if to.startswith("..") or os.path.isabs(name):
                problems.append(f"{place}: {target} leaves the tree")
            elif not os.path.exists(os.path.join(root, to)):
                problems.append(f"{place}: {target} does not exist")
            elif anchor and to in texts and anchor not in anchors(texts[to]):
                problems.append(f"{place}: {target}: no such heading")
            if to in texts:
                graph[path].add(to)
    while todo:
        for path in graph[todo.pop()] - reached:
            reached.add(path)
            todo.append(path)
    problems += [f"{path}: not reached from {START}"
                 for path in documents if path not in reached]
    return problems + check_names(root)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else \
        os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    finish("docs", check(root))


if __name__ == "__main__":
    main()
