# SPDX-License-Identifier: Apache-2.0
"""The row of a gateway that starts again with a full store on disk."""
import os
import shutil
import subprocess
import time

from corpus_releases import Missing
from measure import cpu_seconds
from rows import MIB, Result
from rows_dedup import Course, share

GIB = 1 << 30
# Random data that is sent first, and asked for after the restart.
EARLY = 32 * MIB
PIECE = MIB // 4
PATIENCE_S = 60
STILL_S = 3


def folder_bytes(folder):
    """What its files take on the disk."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


def wait_written(folder):
    """Until the store has stopped growing; its size."""
    size, since = -1, time.monotonic()
    while time.monotonic() - since < STILL_S:
        now = folder_bytes(folder)
        if now != size:
            size, since = now, time.monotonic()
        time.sleep(0.2)
    return size


def forget(folder):
    """Have the system drop what it caches of the files of a folder, so that
    the restart reads the disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            file = os.open(os.path.join(parent, name), os.O_RDONLY)
            try:
                os.fsync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)


def make_pieces(bench, corpus):
    """The first part of a corpus as a file, and each piece of it as one."""
    early = os.path.join(bench.setup.work, "early")
    pieces = []
    with open(corpus, "rb") as source, open(early, "wb") as whole:
        for number in range(EARLY // PIECE):
            data = source.read(PIECE)
            whole.write(data)
            pieces.append(os.path.join(bench.setup.work, f"piece-{number}"))
            with open(pieces[-1], "wb") as piece:
                piece.write(data)
    return early, pieces


def try_piece(course, path):
    """WAN bytes of one piece, or None if it did not come through."""
    before = course.pair.wan_bytes()[0]
    try:
        done = subprocess.run(
            course.load.client_words("send", course.pair.address["sink"],
                                     file=path),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return None
    return course.pair.wan_bytes()[0] - before \
        if done.returncode == 0 else None


def first_hit(course, side, pieces, folder):
    """Restart one side; (seconds from its start to the end of the first
    piece that crossed as references, its CPU seconds until then, each try).
    Takes the pieces that it used."""
    course.pair.stop_side(side)
    forget(folder)
    began = time.monotonic()
    course.pair.start_side(side)
    seen = []
    while time.monotonic() - began < PATIENCE_S and pieces:
        up = try_piece(course, pieces[0])
        now = time.monotonic() - began
        if up is None:
            time.sleep(0.005)
            continue
        # Each is used once: the next time it would be a hit of this time.
        pieces.pop(0)
        seen.append({"at_s": now, "up": up})
        if up < PIECE / 2:
            break
    else:
        now = PATIENCE_S
    return now, cpu_seconds([course.pair.daemons[side].pid]), seen


def row_restart(bench):
    """A store of 10 GiB on disk: from a restart to the first hit."""
    size = bench.pick(1, 10) * GIB
    folder = os.path.join(bench.setup.build, "bench", "store")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    free = shutil.disk_usage(folder).free
    if free < 2 * size + 4 * GIB:
        raise Missing(f"{free / GIB:.0f} GiB free in {folder} are too "
                      f"little for two stores of {size / GIB:.0f} GiB")
    try:
        return restarted(bench, folder, size)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def restarted(bench, folder, size):
    """Fill two stores through the pair, then restart each gateway."""
    early, pieces = make_pieces(bench, bench.path("random"))
    results = []
    with Course(bench, folder=folder, size=f"{size // MIB}MiB",
                memory="256MiB") as course:
        course.send(early)
        # Up to a little less than is evicted.
        filler = size - size // 20 - EARLY
        fill = course.measured("send", bytes=filler, seed=41)
        kept = wait_written(folder)
        before = course.send(pieces[0])
        figures = course.figures()
        pieces.pop(0)
        for side in ("near", "far"):
            seconds, cpu, seen = first_hit(course, side, pieces, folder)
            results.append(Result(
                f"restart-{side}", f"restart of the {side} gateway, store "
                f"of {size / GIB:.0f} GiB filled through the pair, to the "
                "end of the first 256 KiB that cross as references "
                f"({cpu:.2f} s of CPU)",
                seconds, "s", 2,
                {"tries": seen, "kept_bytes_both": kept, "fill": fill,
                 "fill_mb_per_s": fill["bytes"] / fill["seconds"] / 1e6,
                 "before_restart": before, "figures": figures}))
        after = course.send(early)
    results.append(Result(
        "restart-rest", f"WAN bytes up of {EARLY // MIB} MiB that crossed "
        "before the restarts", share(after), "%", None, {"run": after}))
    return results


ROWS = {"restart": row_restart}
