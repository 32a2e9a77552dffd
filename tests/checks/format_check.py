# SPDX-License-Identifier: Apache-2.0
"""scripts/check-format finds a bad sample.  Apart from test_checks.py, since
it needs clang-format, which only .ci/run installs; .ci/run names this file."""
import os
import shutil

from test_checks import ROOT, run, write


def test_format_finds_and_accepts(tmp_path):
    shutil.copy(os.path.join(ROOT, ".clang-format"), tmp_path)
    write(tmp_path, "src/base/a.c", "int a;\n")
    write(tmp_path, "bench/b.c", "int b;\n")
    write(tmp_path, "tests/c.c", "int c;\n")
    assert run("check-format", tmp_path)[0] == 0
    write(tmp_path, "src/base/a.c", "int   a ;\n")
    status, output = run("check-format", tmp_path)
    assert status == 1
    assert "src/base/a.c" in output
