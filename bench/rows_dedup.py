# SPDX-License-Identifier: Apache-2.0
"""The rows of dedup and the store: what crossed the WAN before.

In each the bytes that count are those of the direction of the data, as
cn-wanrelay between the gateways counts them: all that TCP carries, TLS
included.  The other direction (acknowledgements, replies) is apart, in the
details.  The row relay-counts proves the relay first.
"""
import os
import subprocess
import time

import pairs
from corpus_releases import Releases
from measure import Load
from netns import Relay
from rows import GB, MIB, Result

# What the last acknowledgements of a transfer take to cross.
SETTLE_S = 0.5
KEPT = ("bytes_resent", "copied_in", "copied_out", "hostile_references",
        "lacks_received", "lacks_sent", "misses_received", "misses_sent",
        "nacks_received", "nacks_sent", "store_evicted", "store_refused")


class Gateways(pairs.Compressnet):
    """Two gateways with a store each.  Options, beside those of Compressnet:
    memory (of the store), folder (on disk there), size (on disk), dedup
    (False: a profile without)."""

    def common(self, side):
        config = super().common(side)
        config["store"] = {"memory": self.options.get("memory", "1GiB")}
        folder = self.options.get("folder")
        if folder:
            config["store"] |= {"path": os.path.join(folder, side),
                                "size": self.options.get("size", "4GiB")}
        config["profiles"] = {"no-dedup": {"dedup": False}}
        return config

    def trade(self):
        trade = super().trade()
        if not self.options.get("dedup", True):
            trade["profile"] = "no-dedup"
        return trade

    def figures(self):
        """What both gateways count of dedup: {near: {...}, far: {...}}."""
        found = {}
        for side in self.daemons:
            status = self.status(side)
            counters = {each["name"]: each["value"]
                        for each in status.get("counters", ())}
            found[side] = {"sent": status["sent"],
                           "received": status["received"],
                           "counters": {name: counters.get(name)
                                        for name in KEPT}}
        return found


class Course:
    """A pair over a relay, and measured transfers through it.

    file: what the far side's sink gives to who fetches."""

    def __init__(self, bench, file=None, relay=None, **options):
        self.load = Load(bench.setup.build, file=file)
        try:
            self.pair = bench.pair(Gateways, self.load, relay=relay or {},
                                   **options)
        except BaseException:
            self.load.close()
            raise

    def measured(self, command, service="sink", **options):
        """Run a client; {up, down: WAN bytes, cpu_s, seconds, bytes}."""
        before, cpu = self.pair.wan_bytes(), self.pair.cpu()
        seen = self.load.client(command, self.pair.address[service],
                                **options)
        time.sleep(SETTLE_S)
        up, down = self.pair.wan_bytes()
        return {"up": up - before[0], "down": down - before[1],
                "cpu_s": self.pair.cpu() - cpu, "bytes": seen["bytes"],
                "seconds": seen["seconds"]}

    def send(self, path, **options):
        """A verified transfer from near to far."""
        return self.measured("send", file=path, **options)

    def fetch(self, path):
        """A verified transfer from far to near."""
        return self.measured("fetch", file=path)

    def figures(self):
        """What the gateways count."""
        return self.pair.figures()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pair.close()
        self.load.close()


def releases(bench):
    """The corpora of these rows."""
    return Releases(os.path.join(bench.setup.build, "bench", "corpus"),
                    bench.quick)


def noted(bench, *corpora):
    """Say and keep what a row was measured with."""
    for each in corpora:
        if each["name"] not in bench.corpora:
            bench.corpora[each["name"]] = each
            print(f"{each['name']}: {each['size']} bytes, sha256 "
                  f"{each['sha256'][:16]}")
            for package, version in each["packages"].items():
                print(f"  {package} {version}")
    return corpora


def share(seen, way="up"):
    """WAN bytes of a transfer in percent of its own."""
    return seen[way] / seen["bytes"] * 100


def back(seen, way="up"):
    """In words, what went the other way meanwhile."""
    other = {"up": "down", "down": "up"}[way]
    return f"{seen[other]:,} bytes {other}"


def zstd_bytes(path, *options):
    """The length that zstd makes of a file."""
    coder = subprocess.Popen(["zstd", "-q", "-c", *options, path],
                             stdout=subprocess.PIPE)
    total = 0
    while piece := coder.stdout.read(MIB):
        total += len(piece)
    if coder.wait() != 0:
        raise RuntimeError(f"zstd {' '.join(options)} {path} failed")
    return total


def row_relay_counts(bench):
    """That the relay counts both directions, byte for byte."""
    (corpus,) = noted(bench, releases(bench).source("previous")[1])
    load = Load(bench.setup.build, file=corpus["path"])
    off = []
    try:
        with Relay(load.serve("sink")) as relay:
            for command, more, less in (("send", "up_in", "down_in"),
                                        ("fetch", "down_in", "up_in")):
                before = relay.stats()
                load.client(command, relay.address, file=corpus["path"])
                time.sleep(SETTLE_S)
                after = relay.stats()
                # A fetch answers with length and digest, too.
                small = {"send": 24, "fetch": 8}[command]
                large = corpus["size"] + 32 - small
                off += [after[more] - before[more] - large,
                        after[less] - before[less] - small]
    finally:
        load.close()
    return [Result("relay-counts", "bytes that the relay counts wrongly, "
                   "both ways", sum(abs(each) for each in off), "bytes", 0,
                   {"up_down_of_send_then_of_fetch": off})]


def what_changes(old, new):
    """Two releases in words."""
    changed = [(old["packages"].get(package), version)
               for package, version in new["packages"].items()]
    if len(changed) == 1:
        return f"{changed[0][0]} to {changed[0][1]}"
    return f"{len(changed)} packages"


def release_after(bench, name, corpora, limit=None, aim=None):
    """The newest release sent after an older one.  aim: what is promised
    for later."""
    old, new = noted(bench, *corpora)
    with Course(bench) as course:
        first, second = course.send(old["path"]), course.send(new["path"])
        figures = course.figures()
    patch = zstd_bytes(new["path"], "-3", "--long=28",
                       f"--patch-from={old['path']}")
    later = "" if aim is None else \
        f"; {aim:g} %: {'met' if share(second) <= aim else 'not met'}"
    return Result(
        name, f"WAN bytes up of the next release, {what_changes(old, new)}"
        f"{later}; zstd --patch-from {patch / new['size']:.2%}; "
        f"{back(second)}", share(second), "%", limit,
        {"first": first, "second": second, "patch_from_bytes": patch,
         "zstd_3_bytes": zstd_bytes(new["path"], "-3"), "aim": aim,
         "figures": figures})


def row_releases_source(bench):
    """The next release of a source tree, sent after the first."""
    corpora = releases(bench)
    results = [release_after(bench, "releases-source",
                             corpora.source("previous"), 1.0, 0.5)]
    if not bench.quick:
        results.append(release_after(bench, "releases-source-far",
                                     corpora.source("oldest"), 1.0, 0.5))
    return results


def row_releases_binaries(bench):
    """The next release of a set of binaries, and of HTML, after the first."""
    corpora = releases(bench)
    return [release_after(bench, "releases-binaries",
                          corpora.binaries("oldest"), 16, 14),
            release_after(bench, "releases-html",
                          corpora.documentation("oldest"))]


def files_of(bench):
    """{name: corpus}: a file of each kind."""
    corpora = releases(bench)
    found = dict(zip(
        ("source", "binaries", "documentation", "dump", "wal"),
        noted(bench, corpora.source("previous")[1],
              corpora.binaries("oldest")[1],
              corpora.documentation("oldest")[1], *corpora.database())))
    return found | {"logs": bench.corpora["logs"]}


def row_again(bench):
    """The same data again: bytes, and CPU of the pair."""
    seen = {}
    for name, corpus in files_of(bench).items():
        with Course(bench) as course:
            seen[name] = {
                "first": course.send(corpus["path"]),
                "again": [course.send(corpus["path"])
                          for _ in range(bench.pick(2, 5))],
                "figures": course.figures()}
    shares = {name: max(share(run) for run in each["again"])
              for name, each in seen.items()}
    # Short ones say more of the clock than of the pair.
    costs = {name: min(run["cpu_s"] / run["bytes"] * GB
                       for run in each["again"])
             for name, each in seen.items()
             if each["first"]["bytes"] >= 64 * MIB or bench.quick}
    return [Result(f"again-{name}", f"WAN bytes up of {name} again, the "
                   f"worst of {len(each['again'])}; "
                   f"{back(each['again'][-1])}", shares[name], "%", 0.1,
                   each) for name, each in seen.items()] + [
            Result("again-cpu", "CPU of the pair for what it saw before, the "
                   f"worst: {max(costs, key=costs.get)} (2 s/GB are 500 MB "
                   "a second)", max(costs.values()), "s/GB", 2,
                   {"s_per_gb": costs})]


def row_first_pass(bench):
    """First pass of each corpus file against zstd -3 --long=27 on it."""
    line = {"rate": "100mbit", "delay": "10ms", "queue": "256KiB"}
    seen = {}
    for name, corpus in files_of(bench).items():
        seen[name] = {
            "bytes": corpus["size"],
            "zstd": zstd_bytes(corpus["path"], "-3", "--long=27")}
        # The machine may be busy: the better of two.
        for kind, runs, options in (
                ("adaptive", bench.pick(1, 2), {"relay": line}),
                ("level_3", 1, {"level": 3}),
                ("level_3_no_dedup", 1, {"level": 3, "dedup": False})):
            for _ in range(runs):
                with Course(bench, **options) as course:
                    run = course.send(corpus["path"])
                    run["figures"] = course.figures()
                if kind not in seen[name] or \
                        run["up"] < seen[name][kind]["up"]:
                    seen[name][kind] = run
    zstd = sum(each["zstd"] for each in seen.values())

    def ratio(kind):
        return sum(each[kind]["up"] for each in seen.values()) / zstd
    results = [Result(
        "first-sum", "WAN bytes up, first pass, default profile at 100 Mb/s, "
        "all files / zstd -3 --long=27 (level 3: "
        f"{ratio('level_3'):.3f}, without dedup "
        f"{ratio('level_3_no_dedup'):.3f})", ratio("adaptive"), "x", 1.0,
        seen)]
    return results + [Result(
        f"first-{name}", f"{name}: the same (level 3: "
        f"{each['level_3']['up'] / each['zstd']:.3f}, without dedup "
        f"{each['level_3_no_dedup']['up'] / each['zstd']:.3f})",
        each["adaptive"]["up"] / each["zstd"], "x", 1.0)
        for name, each in seen.items()]


def row_messages_again(bench):
    """500 messages of 1,000 bytes, 16 in flight, and again."""
    results = []
    options = {"service": "echo", "file": bench.path("logs"), "count": 500,
               "size": 1000, "inflight": 16}
    for name, command, what, workers, limit in (
            ("messages-one", "messages", "over one connection", 1, 5),
            ("messages-workers", "messages", "over one connection, two "
             "workers with lanes of their own", 2, None),
            ("messages-calls", "calls", "each over a new connection", 1,
             None)):
        # Messages gather while others are under way, so it needs a WAN.
        with Course(bench, relay={"delay": "10ms"}, workers=workers) as course:
            first = course.measured(command, **options)
            second = course.measured(command, **options)
            figures = course.figures()
        results.append(Result(
            name, f"WAN bytes up of 500 messages of 1,000 bytes the second "
            f"time, {what} (down, the replies: "
            f"{share(second, 'down'):.2f} %; first time, up: "
            f"{share(first):.2f} %)", share(second), "%", limit,
            {"first": first, "second": second, "figures": figures}))
    return results


def row_trickle(bench):
    """4 KiB writes at 5 MB/s over an idle fast link, and again."""
    (corpus,) = noted(bench, releases(bench).source("previous")[1])
    path, size = corpus["path"], bench.pick(24 * MIB, corpus["size"])
    if size < corpus["size"]:
        path = os.path.join(bench.setup.work, "trickle")
        with open(corpus["path"], "rb") as whole, open(path, "wb") as part:
            part.write(whole.read(size))
    with Course(bench) as course:
        first, second = (course.send(path, size=4096, rate=5000000)
                         for _ in range(2))
        figures = course.figures()
    return [Result("trickle", f"WAN bytes up of {size / 1e6:.0f} MB in 4 KiB "
                   f"writes at 5 MB/s the second time; {back(second)}",
                   share(second), "%", 1,
                   {"first": first, "second": second, "figures": figures})]


def row_random_again(bench):
    """Random bytes, and the same again."""
    with Course(bench) as course:
        first, second = (course.send(bench.path("random")) for _ in range(2))
        figures = course.figures()
    return [Result("random-first", "WAN bytes up of random data, more than "
                   f"its own, first pass, stored; {back(first)}",
                   share(first) - 100, "%", 0.2, {"run": first}),
            Result("random-again", "WAN bytes up of the same random data "
                   f"again; {back(second)}", share(second), "%", 0.15,
                   {"run": second, "figures": figures})]


def row_first_pass_cpu(bench):
    """CPU of a first pass with dedup and without."""
    (corpus,) = noted(bench, releases(bench).source("previous")[1])
    results = []
    for name, options in (
            ("text", {"file": corpus["path"]}),
            ("random", {"bytes": bench.pick(128, 256) * MIB, "seed": 31})):
        costs = {True: [], False: []}
        for _ in range(bench.pick(2, 4)):
            # By turns, so that a busy minute does not meet one kind only.
            for dedup in costs:
                with Course(bench, dedup=dedup, level=3) as course:
                    seen = course.measured("send", **options)
                costs[dedup].append(seen["cpu_s"] / seen["bytes"] * GB)
        results.append(Result(
            f"first-cpu-{name}", f"CPU of the first pass of {name}, level "
            "3, with dedup / without", min(costs[True]) / min(costs[False]),
            "x", 1.3, {"dedup_s_per_gb": costs[True],
                       "plain_s_per_gb": costs[False]}))
    return results


def row_directions(bench):
    """Data that came one way and goes back the other way."""
    (corpus,) = noted(bench, releases(bench).source("previous")[1])
    path, results = corpus["path"], []
    for name, order, way in (("back-down", ("send", "fetch"), "down"),
                             ("back-up", ("fetch", "send"), "up")):
        with Course(bench, file=path) as course:
            first, second = (course.measured(command, file=path)
                             for command in order)
            figures = course.figures()
        results.append(Result(
            name, f"WAN bytes {way} of data that crossed the other way; "
            f"{back(second, way)}",
            share(second, way), "%", 0.5,
            {"first": first, "second": second, "figures": figures}))
    return results


ROWS = {
    "relay-counts": row_relay_counts,
    "releases-source": row_releases_source,
    "releases-binaries": row_releases_binaries,
    "again": row_again,
    "first-pass": row_first_pass,
    "messages-again": row_messages_again,
    "trickle": row_trickle,
    "random-again": row_random_again,
    "first-pass-cpu": row_first_pass_cpu,
    "directions": row_directions,
}
