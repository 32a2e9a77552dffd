# SPDX-License-Identifier: Apache-2.0
"""The manual pages, and the documents that they are made of."""
import glob
import os
import re
import subprocess

import pytest

BUILD = os.path.abspath(os.environ.get("CN_BUILD", "build"))
PROGRAM = os.path.join(BUILD, "src/manage/compressnet")
DAEMON = os.path.join(BUILD, "src/gateway/compressnetd")
TREE = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
PAGES = {"compressnet.1", "compressnetd.8", "compressnet.yaml.5",
         "compressnet-metrics.7", "compressnet-protocol.7"}


def read(*path):
    with open(os.path.join(TREE, *path), encoding="utf-8") as file:
        return file.read()


def shown(page):
    """A page as a terminal of 78 columns shows it, without its fonts."""
    text = subprocess.run(["mandoc", "-O", "width=78", page], check=True,
                          stdout=subprocess.PIPE).stdout.decode()
    return re.sub(".\b", "", text)


@pytest.fixture(params=sorted(PAGES))
def page(request):
    return os.path.join(BUILD, "doc", request.param)


def test_every_page_is_made():
    made = {os.path.basename(path)
            for path in glob.glob(os.path.join(BUILD, "doc", "*.[1-9]"))}
    assert made == PAGES


def test_a_page_is_well_formed(page):
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page],
                          stdout=subprocess.PIPE, check=False, text=True)
    # A page is of a release, not of a day.
    assert [line for line in lint.stdout.splitlines()
            if "missing date" not in line] == []


def test_a_page_says_its_name_and_purpose_first(page):
    name = os.path.basename(page).rpartition(".")[0]
    with open(page, encoding="utf-8") as file:
        body = re.sub(r"^(\.\\\"|\.TH).*\n", "", file.read(), flags=re.M)
    assert re.match(rf"\.SH NAME\n{re.escape(name)} - \w.*\n\.SH ", body)


def test_a_page_leads_to_the_others(page):
    others = PAGES - {os.path.basename(page)}
    foot = shown(page).rpartition("SEE ALSO")[2]
    for other in others:
        name, _, section = other.rpartition(".")
        assert f"{name}({section})" in foot


def test_no_markup_is_left_in_a_page(page):
    text = shown(page)
    assert "](" not in text and "<sup>" not in text and "```" not in text


def test_powers_survive():
    assert "2^62" in shown(os.path.join(BUILD, "doc/compressnet-protocol.7"))


def test_the_reference_of_commands_is_up_to_date():
    printed = subprocess.run([PROGRAM, "help", "--markdown"], check=True,
                             stdout=subprocess.PIPE).stdout.decode()
    assert read("doc", "commands.md") == printed, (
        "run: compressnet help --markdown >doc/commands.md")


def test_the_reference_has_every_command():
    text = shown(os.path.join(BUILD, "doc/compressnet.1"))
    overview = subprocess.run([PROGRAM, "--help"], check=True,
                              stdout=subprocess.PIPE).stdout.decode()
    rows = re.findall(r"^  ([a-z]+(?: [a-z]+)?) ", overview.split(
        "options of every")[0], flags=re.M)
    assert len(rows) > 20
    for row in rows:
        assert f"compressnet {row}" in text


def test_the_daemon_has_the_options_of_its_page_and_no_others():
    usage = subprocess.run([DAEMON, "--help"], check=True,
                           stdout=subprocess.PIPE).stdout.decode()
    option = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
    listed = read("doc", "compressnetd.md").split("## Options")[1]
    listed = listed.split("\n## ")[0]
    heads = re.findall(r"^- (.*?): ", listed, flags=re.M)
    assert set(option.findall(" ".join(heads))) == set(
        option.findall(usage.split("\n\n", 2)[2].split("\nSignals")[0]))
