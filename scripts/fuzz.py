#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Run each fuzz harness of a build for a time, as many at once as cores.

fuzz.py BUILD SECONDS

New inputs stay in BUILD/fuzz/NAME; what fails is kept in
BUILD/fuzz/NAME-crash-*.  Ends with "N passed, N failed", one for each
harness.
"""
import concurrent.futures
import glob
import os
import subprocess
import sys

MAX_INPUT_BYTES = 65536
MEMORY_MB = 2048
GRACE_S = 60


def run(binary, seconds, work):
    """Fuzz one harness; returns (name, seconds run, None or its output)."""
    name = os.path.basename(binary).removeprefix("fuzz_")
    found = os.path.join(work, name)
    os.makedirs(found, exist_ok=True)
    corpora = [found]
    corpus = os.path.join("tests/fuzz/corpus", name)
    if os.path.isdir(corpus):
        corpora.append(corpus)
    try:
        done = subprocess.run(
            [binary, f"-max_total_time={seconds}", "-timeout=10",
             f"-rss_limit_mb={MEMORY_MB}", f"-max_len={MAX_INPUT_BYTES}",
             f"-artifact_prefix={work}/{name}-", "-print_final_stats=1",
             *corpora],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, timeout=seconds + GRACE_S, text=True,
            errors="replace", check=False)
    except (OSError, subprocess.TimeoutExpired) as err:
        return name, "", str(err)
    stats = " ".join(line.split("::")[1].strip()
                     for line in done.stdout.splitlines()
                     if line.startswith("stat::number_of_executed_units"))
    return name, stats, done.stdout if done.returncode else None


def main():
    build, seconds = sys.argv[1], int(sys.argv[2])
    work = os.path.join(build, "fuzz")
    os.makedirs(work, exist_ok=True)
    binaries = sorted(path for path in
                      glob.glob(os.path.join(build, "tests/fuzz/fuzz_*"))
                      if os.path.isfile(path) and os.access(path, os.X_OK))
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(run, path, seconds, work) for path in binaries]
        for job in concurrent.futures.as_completed(jobs):
            name, stats, output = job.result()
            if output is None:
                passed += 1
                print(f"{name}: {stats}", flush=True)
            else:
                failed += 1
                print("\n".join(output.splitlines()[-60:]))
                print(f"{name}: failed", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
