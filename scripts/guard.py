#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Run a command in a session of its own, with a time limit and a log.

Its output goes to the log and, indented, to stdout.  When the command ends,
when the limit passes or when we are told to stop, everything that it started
and that still runs is killed, daemons included (we are their subreaper); a
command that leaves a process behind has failed.
"""
import argparse
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
EXIT_TIMEOUT = 124
EXIT_LEFTOVER = 125


def children_of(pid):
    """Live descendants of pid as [(pid, command line)], oldest first."""
    parents = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as stat:
                text = stat.read()
        except OSError:
            continue
        state, parent = text.rsplit(")", 1)[1].split()[:2]
        if state != "Z":
            parents[int(name)] = int(parent)
    found = []
    for child in sorted(parents):
        up = parents[child]
        while up > 1 and up != pid:
            up = parents.get(up, 0)
        if up == pid:
            try:
                with open(f"/proc/{child}/cmdline", "rb") as cmdline:
                    words = cmdline.read().replace(b"\0", b" ")
            except OSError:
                continue
            found.append((child, words.decode(errors="replace").strip()))
    return found


def reap():
    """Collect dead children that are not the command itself."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def kill_all(grace_s):
    """End every descendant: TERM, then KILL after grace_s seconds."""
    for sig, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5)):
        end = time.monotonic() + wait_s
        while True:
            left = children_of(os.getpid())
            if not left:
                return
            for pid, _ in left:
                try:
                    os.kill(pid, sig)
                except ProcessLookupError:
                    pass
            if time.monotonic() >= end:
                break
            time.sleep(0.05)
            reap()


def copy_output(pipe, log):
    """Copy lines to the log and, indented, to stdout until the end."""
    for line in iter(pipe.readline, b""):
        log.write(line)
        log.flush()
        sys.stdout.buffer.write(b"   " + line)
        sys.stdout.buffer.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()

    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    stop = threading.Event()
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda *_: stop.set())

    with open(args.log, "wb") as log:
        try:
            command = subprocess.Popen(args.command, start_new_session=True,
                                       stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT)
        except OSError as err:
            print(f"   {args.command[0]}: {err.strerror}", flush=True)
            return 127
        copier = threading.Thread(target=copy_output,
                                  args=(command.stdout, log), daemon=True)
        copier.start()
        end = time.monotonic() + args.limit
        while command.poll() is None and not stop.is_set() and \
                time.monotonic() < end:
            stop.wait(0.05)
        status = command.poll()
        left = children_of(os.getpid())
        if status is not None and left:
            # What is just going away is no leftover.
            time.sleep(1)
            reap()
            left = children_of(os.getpid())
        kill_all(grace_s=3)
        copier.join(timeout=2)
    if stop.is_set():
        return 130
    if status is None:
        print(f"   stopped after {args.limit:.0f} s", flush=True)
        return EXIT_TIMEOUT
    if left:
        for pid, words in left:
            print(f"   left behind: {pid} {words}", flush=True)
        return status or EXIT_LEFTOVER
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
