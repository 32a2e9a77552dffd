#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Make a manual page of one of the documents, with lowdown.

man.py DOCUMENT.md NAME SECTION VERSION PURPOSE >PAGE

A document is Markdown for readers of the tree; a manual page has no links,
says its name and purpose first, and ends with what else to see.
"""
import os
import re
import subprocess
import sys

# What else a document is known as.
PAGES = {
    "commands.md": "compressnet(1)",
    "compressnetd.md": "compressnetd(8)",
    "config.md": "compressnet.yaml(5)",
    "protocol.md": "compressnet-protocol(7)",
    "metrics.md": "compressnet-metrics(7)",
}
FENCE = re.compile(r"(^```.*?^```[ \t]*$)", re.S | re.M)
LINK = re.compile(r"!?\[([^\]]*)\]\(([^)\s]+)\)")
RAISED = re.compile(r"<sup>([^<]*)</sup>")
HEADING = re.compile(r"^#(#+ .*)$", re.M)


def plain_link(match):
    """The words of a link, or the manual page that it leads to."""
    text, target = match[1], match[2]
    page = PAGES.get(os.path.basename(target.partition("#")[0]))
    if page is None:
        return text
    return page if text == os.path.basename(target) else f"{text}, {page}"


def prepare(text, name, purpose):
    """The document as the body of a page."""
    text = re.sub(r"\A# .*\n", "", text)
    pieces = FENCE.split(text)
    for i in range(0, len(pieces), 2):
        pieces[i] = RAISED.sub(r"^\1", LINK.sub(plain_link, pieces[i]))
        pieces[i] = HEADING.sub(lambda match: match[1], pieces[i])
        pieces[i] = re.sub(r"^# .*$", lambda match: match[0].upper(),
                           pieces[i], flags=re.M)
    body = "".join(pieces)
    others = sorted(page for page in PAGES.values()
                    if page.partition("(")[0] != name)
    # Words before the first heading describe, where nothing else does.
    if "\n# DESCRIPTION\n" in body:
        body = body[body.index("\n# "):]
    else:
        body = "# DESCRIPTION\n\n" + body.lstrip()
    return (f"# NAME\n\n{name} - {purpose}\n\n{body}\n\n"
            f"# SEE ALSO\n\n{', '.join(others)}\n")


def main():
    document, name, section, version, purpose = sys.argv[1:]
    with open(document, encoding="utf-8") as file:
        body = prepare(file.read(), name, purpose)
    page = subprocess.run(
        ["lowdown", "-s", "-Tman", "--parse-no-intraemph",
         "--parse-no-super", "-m", f"title={name}", "-m", f"section={section}",
         "-m", f"source=CompressNET {version}",
         "-m", "volume=CompressNET", "-m", "date="],
        input=body, capture_output=True, text=True, check=False)
    if page.returncode != 0:
        sys.exit(f"man.py: {document}: {page.stderr.strip()}")
    # Indexers of pages want a heading on the line of its macro; terminals
    # have no font of one width, but a bold one.
    text = re.sub(r"^\.(S[HS])\n", r".\1 ", page.stdout, flags=re.M)
    text = re.sub(r"^(\.S[HS] .*)\n\.[LP]P\n", r"\1\n", text, flags=re.M)
    sys.stdout.write(text.replace(r"\fC", r"\fB"))


if __name__ == "__main__":
    main()
