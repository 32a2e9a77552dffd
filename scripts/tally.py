#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Count the cases of one test report: prints "PASSED FAILED".

tally.py KIND REPORT STATUS

KIND    meson  meson's testlog.json; cases of cmocka are counted one by one
        junit  an XML report of pytest
        plain  a log whose last line reads "N passed, N failed"
STATUS  the exit status of the program that wrote the report

A skipped or expectedly failing case counts as failed, a missing report and a
failing program that reports no failed case count as one failure, and so does
a report of nothing.
"""
import json
import re
import sys
import xml.etree.ElementTree as ElementTree

CMOCKA_PASSED = re.compile(r"^\[  PASSED  \] (\d+) test", re.M)
CMOCKA_FAILED = re.compile(r"^\[  FAILED  \] .*: (\d+) test", re.M)
CMOCKA_SKIPPED = re.compile(r"^\[  SKIPPED \] .*: (\d+) test", re.M)
PLAIN = re.compile(r"^(\d+) passed, (\d+) failed$")


def count_meson(text):
    """One JSON object a line, one line a test program."""
    passed = failed = 0
    for line in text.splitlines():
        test = json.loads(line)
        output = test.get("stdout", "") + "\n" + test.get("stderr", "")
        good = sum(int(n) for n in CMOCKA_PASSED.findall(output))
        bad = sum(int(n) for n in CMOCKA_FAILED.findall(output))
        bad += sum(int(n) for n in CMOCKA_SKIPPED.findall(output))
        if test["result"] == "OK":
            passed += good if good + bad else 1
            failed += bad
        else:
            passed += good
            failed += max(bad, 1)
    return passed, failed


def count_junit(text):
    """pytest writes skips and expected failures as <skipped>."""
    passed = failed = 0
    for case in ElementTree.fromstring(text).iter("testcase"):
        if any(case.find(tag) is not None
               for tag in ("failure", "error", "skipped")):
            failed += 1
        else:
            passed += 1
    return passed, failed


def count_plain(text):
    """The last line that is not empty."""
    lines = [line for line in text.splitlines() if line.strip()]
    match = PLAIN.match(lines[-1]) if lines else None
    if not match:
        return 0, 1
    return int(match[1]), int(match[2])


def tally(kind, text, status):
    """Returns (passed, failed) by the rules above."""
    count = {"meson": count_meson, "junit": count_junit,
             "plain": count_plain}[kind]
    try:
        passed, failed = count(text)
    except (ValueError, KeyError, ElementTree.ParseError):
        passed, failed = 0, 1
    if failed == 0 and (status != 0 or passed == 0):
        failed = 1
    return passed, failed


def main():
    kind, report, status = sys.argv[1:]
    try:
        with open(report, errors="replace") as file:
            text = file.read()
    except OSError:
        text = ""
    print(*tally(kind, text, int(status)))


if __name__ == "__main__":
    main()
