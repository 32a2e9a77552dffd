# SPDX-License-Identifier: Apache-2.0
"""Each check of scripts/ finds a bad sample, and leaves a good one alone."""
import os
import signal
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def write(root, path, text):
    """Write a file below root, its folders too."""
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w") as file:
        file.write(text)


def run(name, root):
    """Run a check on a tree; returns (status, output)."""
    command = [os.path.join(ROOT, "scripts", name), str(root)]
    if name.endswith(".py"):
        command.insert(0, sys.executable)
    done = subprocess.run(command, capture_output=True, text=True,
                          timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("path, line, word", [
    ("src/base/a.c", '#include "wire/frame.h"', "base may not include"),
    ("src/wire/a.c", '#include "codec/codec.h"', "wire may not include"),
    ("src/store/a.c", '#include "disk/files.h"', "store may not include"),
    ("src/net/a.c", '#include "config/config.h"', "net may not include"),
    ("src/manage/a.c", '#include "net/pump.h"', "manage may not include"),
    ("src/control/a.h", '#include "gateway/main.h"', "may not include"),
    ("src/link/a.c", "#include <zstd.h>", "link may not use zstd"),
    ("src/net/a.c", "#include <microhttpd.h>", "may not use microhttpd"),
    ("src/link/a.c", "#include <sys/socket.h>", "does no I/O"),
    ("src/wire/a.c", "# include <unistd.h>", "does no I/O"),
    ("src/codec/a.c", "#include <pthread.h>", "does no I/O"),
    ("src/link/a.c", '#include "base/clock.h"', "no clock of its own"),
    ("src/net/a.c", '#include "pump.h"', "names no layer"),
    ("src/net/a.c", '#include "nowhere/pump.h"', "no layer's"),
    ("src/net/a.c", "#include <magic.h>", "unknown header"),
    ("src/extra/a.c", "", "extra is no layer"),
    ("src/a.c", "", "belongs to no layer"),
    ("tests/unit/wire/test_a.c", '#include "link/link.h"',
     "wire may not include"),
    ("tests/unit/wire/meson.build", "dependencies: [link_dep, cmocka_dep]",
     "may not link link"),
])
def test_layers_finds(tmp_path, path, line, word):
    write(tmp_path, path, line + "\n")
    status, output = run("check-layers.py", tmp_path)
    assert status == 1
    assert word in output


def test_layers_accepts(tmp_path):
    write(tmp_path, "src/link/a.c", '#include "link/a.h"\n'
          '#include <string.h>\n#include "base/err.h"\n'
          '/* #include "net/pump.h" */\n')
    write(tmp_path, "src/net/b.c", '#include <uv.h>\n'
          '#include "link/a.h"\n')
    write(tmp_path, "tests/unit/link/meson.build",
          "dependencies: [link_dep, codec_dep, zstd_dep, cmocka_dep]\n")
    assert run("check-layers.py", tmp_path)[0] == 0


@pytest.mark.parametrize("path, text, word", [
    ("src/base/a.c", SPDX + "x = strcpy(a, b);\n", "strcpy"),
    ("src/base/a.c", SPDX + "n = atoi (a);\n", "atoi"),
    ("tests/unit/base/a.c", SPDX + "sprintf(a, b);\n", "snprintf"),
    ("src/net/a.c", SPDX + "p = malloc(3);\n", "base/alloc.h"),
    ("src/net/a.c", SPDX + "free(p);\n", "base/alloc.h"),
    ("src/net/a.c", SPDX + "x = 1; // why\n", "not //"),
    ("src/net/a.c", SPDX + "/* TODO: later */\n", "TODO"),
    ("src/net/a.h", SPDX + "typedef struct a {\n} a_t;\n", "typedef"),
    ("src/net/a.c", SPDX + "x = 1; \n", "space at the end"),
    ("src/net/a.c", "x = 1;\n", "does not begin with"),
    ("bench/a.c", "x = 1;\n", "does not begin with"),
    ("scripts/a.py", "import os\n", "SPDX"),
])
def test_banned_finds(tmp_path, path, text, word):
    write(tmp_path, path, text)
    status, output = run("check-banned.py", tmp_path)
    assert status == 1
    assert word in output


def test_banned_accepts(tmp_path):
    write(tmp_path, "src/base/a.c", SPDX +
          '/* free(p) and strcpy(), see http://x */\n'
          'static const char *u = "http://atoi(1)";\n'
          "x->free(x); cn_free(x); y.malloc(1);\n")
    write(tmp_path, "src/base/alloc.c", SPDX + "p = malloc(n);\n")
    assert run("check-banned.py", tmp_path)[0] == 0


@pytest.mark.parametrize("path, text, word", [
    ("README.md", "[a](doc/nothing.md)\n", "does not exist"),
    ("README.md", "[a](#no-such)\n# Other\n", "no such heading"),
    ("README.md", "[a](../outside.md)\n", "leaves the tree"),
    ("doc/alone.md", "# Alone\n", "not reached"),
])
def test_docs_finds(tmp_path, path, text, word):
    write(tmp_path, "README.md", "# Top\n")
    write(tmp_path, path, text)
    status, output = run("check-docs.py", tmp_path)
    assert status == 1
    assert word in output


def test_docs_finds_equal_names(tmp_path):
    write(tmp_path, "README.md", "# Top\n")
    write(tmp_path, "src/net/same.c", SPDX)
    write(tmp_path, "src/link/same.c", SPDX)
    status, output = run("check-docs.py", tmp_path)
    assert status == 1
    assert "same name" in output


def test_docs_accepts(tmp_path):
    write(tmp_path, "README.md", "# Top one\n[a](doc/A.md#b-c) "
          "[x](https://example.net) [t](#top-one) `[no](nothing.md)`\n"
          "```\n[no](nothing.md)\n```\n")
    write(tmp_path, "doc/A.md", "## B c\n[back](../README.md)\n")
    assert run("check-docs.py", tmp_path)[0] == 0


def tally(tmp_path, kind, text, status=0):
    """What scripts/tally.py counts in a report."""
    write(tmp_path, "report", text)
    done = subprocess.run(
        [sys.executable, os.path.join(ROOT, "scripts/tally.py"), kind,
         os.path.join(tmp_path, "report"), str(status)],
        capture_output=True, text=True, timeout=60, check=True)
    passed, failed = done.stdout.split()
    return int(passed), int(failed)


MESON = ('{"name": "a", "result": "%s", "stdout": "[==========] 3\\n'
         '[  PASSED  ] %d test(s).\\n%s"}\n')


def test_tally_meson(tmp_path):
    good = MESON % ("OK", 3, "")
    assert tally(tmp_path, "meson", good) == (3, 0)
    assert tally(tmp_path, "meson", good + good) == (6, 0)
    plain = '{"name": "b", "result": "OK", "stdout": "fine"}\n'
    assert tally(tmp_path, "meson", good + plain) == (4, 0)
    bad = MESON % ("FAIL", 2, "[  FAILED  ] tests: 1 test(s), listed")
    assert tally(tmp_path, "meson", bad, 1) == (2, 1)
    skip = MESON % ("OK", 2, "[  SKIPPED ] tests: 1 test(s), listed")
    assert tally(tmp_path, "meson", skip) == (2, 1)
    crash = '{"name": "c", "result": "FAIL", "stdout": ""}\n'
    assert tally(tmp_path, "meson", good + crash, 1) == (3, 1)
    skipped = '{"name": "c", "result": "SKIP", "stdout": ""}\n'
    assert tally(tmp_path, "meson", good + skipped) == (3, 1)
    assert tally(tmp_path, "meson", good, 1) == (3, 1)
    assert tally(tmp_path, "meson", "") == (0, 1)
    assert tally(tmp_path, "meson", "nonsense") == (0, 1)


def test_tally_junit(tmp_path):
    text = ("<testsuites><testsuite><testcase name='a'/>"
            "<testcase name='b'>%s</testcase></testsuite></testsuites>")
    assert tally(tmp_path, "junit", text % "") == (2, 0)
    for tag in ("failure", "error", "skipped"):
        assert tally(tmp_path, "junit", text % f"<{tag}/>", 1) == (1, 1)
    assert tally(tmp_path, "junit", text % "", 1) == (2, 1)
    assert tally(tmp_path, "junit", "<testsuites/>", 5) == (0, 1)


def test_tally_plain(tmp_path):
    assert tally(tmp_path, "plain", "x\n7 passed, 0 failed\n\n") == (7, 0)
    assert tally(tmp_path, "plain", "7 passed, 2 failed\n", 1) == (7, 2)
    assert tally(tmp_path, "plain", "7 passed, 0 failed\n", 139) == (7, 1)
    assert tally(tmp_path, "plain", "0 passed, 0 failed\n") == (0, 1)
    assert tally(tmp_path, "plain", "Segmentation fault\n") == (0, 1)


def guard(tmp_path, limit, *command):
    """The command line of scripts/guard.py."""
    return [sys.executable, os.path.join(ROOT, "scripts/guard.py"),
            "--limit", str(limit), "--log", os.path.join(tmp_path, "log"),
            "--", *command]


def alive(pid):
    """Is there such a process, zombies aside?"""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_guard_passes_status_and_output(tmp_path):
    done = subprocess.run(guard(tmp_path, 20, "sh", "-c",
                                "echo word; exit 7"),
                          capture_output=True, text=True, timeout=30,
                          check=False)
    assert done.returncode == 7
    assert done.stdout == "   word\n"
    with open(os.path.join(tmp_path, "log")) as log:
        assert log.read() == "word\n"


def test_guard_stops_what_takes_too_long(tmp_path):
    done = subprocess.run(guard(tmp_path, 0.3, "sleep", "60"), timeout=30,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 124


def test_guard_finds_and_kills_what_was_left(tmp_path):
    done = subprocess.run(
        guard(tmp_path, 20, "sh", "-c",
              "setsid sleep 61 >/dev/null 2>&1 & echo $!"),
        capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 125
    assert "left behind" in done.stdout
    assert not alive(int(done.stdout.split()[0]))


def test_guard_kills_all_when_told_to_stop(tmp_path):
    with subprocess.Popen(
            guard(tmp_path, 60, "sh", "-c",
                  "setsid sleep 62 & echo $!; wait"),
            stdout=subprocess.PIPE, text=True) as process:
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
    end = time.monotonic() + 5
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(pid)


def test_test_names_are_unique():
    """pytest would run two files of one name under one module name."""
    seen = {}
    for path, _, names in os.walk(os.path.join(ROOT, "tests")):
        for name in names:
            if name.startswith("test_") and name.endswith(".py"):
                assert name not in seen, (path, seen[name])
                seen[name] = path
