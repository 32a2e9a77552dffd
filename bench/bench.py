#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The bench: measures the pair against what it promises and against other
tools, on this machine, in one run.  ./run bench calls it.

Prints a table, writes build/bench/results.json with all that was measured,
and says what could not be measured here.  Absolute times mean little on a
shared machine; ratios of one run do.
"""
import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))


def version_of(words):
    """The first line that a tool says of its version."""
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.STDOUT, text=True,
                              stdin=subprocess.DEVNULL, timeout=10)
        lines = done.stdout.strip().splitlines()
        return next((line.strip() for line in lines if "ersion" in line or
                     any(c.isdigit() for c in line)), None)
    except (OSError, subprocess.TimeoutExpired):
        return None


def machine():
    """What the numbers were measured on."""
    model = "unknown"
    with open("/proc/cpuinfo") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo") as meminfo:
        memory = int(meminfo.readline().split()[1]) * 1024
    return {
        "cpu": model, "cores": os.cpu_count(), "memory_bytes": memory,
        "kernel": platform.release(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(
            timespec="seconds"),
        "load": os.getloadavg()[0],
        "tools": {
            "haproxy": version_of(["haproxy", "-v"]),
            "socat": version_of(["socat", "-V"]),
            "stunnel": version_of(["stunnel4", "-version"]),
            "ssh": version_of(["ssh", "-V"]),
            "zstd": version_of(["zstd", "--version"]),
            "openssl": version_of(["openssl", "version"]),
        },
    }


def show(result):
    """One line of the table."""
    verdict = {True: "met", False: "NOT MET", None: ""}[result.is_met]
    limit = "" if result.limit is None else f"<= {result.limit:g}"
    print(f"{result.row:18} {result.value:12.4g} {result.unit:8} "
          f"{limit:10} {verdict:8} {result.what}", flush=True)


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="./run bench", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build",
                        help="build folder (default: build)")
    parser.add_argument("--quick", action="store_true",
                        help="less data, fewer runs: to see that it works")
    parser.add_argument("--only", metavar="ROW,..",
                        help="only these rows; --list names them")
    parser.add_argument("--list", action="store_true",
                        help="name the rows and end")
    parser.add_argument("--json", metavar="FILE",
                        help="results (default: BUILD/bench/results.json)")
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    args.json = args.json or os.path.join(args.build, "bench",
                                          "results.json")
    return args


def all_rows():
    """{name: function}, in the order of a whole run."""
    import row_restart
    import rows
    import rows_dedup
    return rows.ROWS | rows_dedup.ROWS | row_restart.ROWS


def run_rows(bench, names, missing):
    """Measure them; returns the results, adds to what is missing."""
    rows = all_rows()
    results = []
    for name in names:
        try:
            for result in rows[name](bench):
                results.append(result)
                show(result)
        except Exception as error:  # one row must not end the others
            traceback.print_exc()
            missing.append(f"{name}: {error}")
            print(f"{name:18} could not be measured: {error}", flush=True)
    return results


def main():
    args = parse()
    os.environ["CN_BUILD"] = args.build
    import corpus
    import pairs
    from rows import Bench

    rows = all_rows()
    names = args.only.split(",") if args.only else list(rows)
    unknown = [name for name in names if name not in rows]
    if args.list or unknown:
        for name in unknown:
            print(f"no such row: {name}", file=sys.stderr)
        for name, row in rows.items():
            print(f"{name:17} {row.__doc__}")
        return 2 if unknown else 0

    work = tempfile.mkdtemp(prefix="cn-bench-")
    # sshd and others look into it as another user.
    os.chmod(work, 0o755)
    try:
        setup = pairs.Setup(args.build, work)
        missing = [f"{kind.name}: no {', '.join(kind.missing(setup))}"
                   for kind in pairs.ALL if kind.missing(setup)]
        corpora = corpus.build(os.path.join(args.build, "bench", "corpus"),
                               args.quick)
        info = machine()
        print(f"{info['cpu']}, {info['cores']} cores, Linux "
              f"{info['kernel']}, load {info['load']:.2f}")
        for name, each in corpora.items():
            print(f"{name}: {each['size']} bytes, sha256 "
                  f"{each['sha256'][:16]}")
        for package, version in (corpora["text"]["packages"] or {}).items():
            print(f"  {package} {version}")
        results = run_rows(Bench(setup, corpora, args.quick), names, missing)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    with open(args.json, "w") as file:
        json.dump({"machine": info, "quick": args.quick, "corpora": corpora,
                   "missing": missing,
                   "results": [result.as_dict() for result in results]},
                  file, indent=1)
    for line in missing:
        print(f"missing: {line}")
    print(f"results: {args.json}")
    return 1 if missing or any(result.is_met is False
                               for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
