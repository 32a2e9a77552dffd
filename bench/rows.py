# SPDX-License-Identifier: Apache-2.0
"""The rows of the bench: each function measures one promise and returns
Results.  What is compared is measured in the same run on the same machine."""
import json
import os
import subprocess
import time
from dataclasses import asdict, dataclass, field

import pairs
from measure import Load, private_bytes, run_timed
from netns import Wan

MIB = 1 << 20
GB = 1e9


@dataclass
class Result:
    """One line of the table."""

    row: str
    what: str
    value: float
    unit: str
    limit: float | None = None  # the value must not be above it
    detail: dict = field(default_factory=dict)

    @property
    def is_met(self):
        """None: nothing was promised."""
        return None if self.limit is None else self.value <= self.limit

    def as_dict(self):
        """For JSON."""
        return asdict(self) | {"is_met": self.is_met}


class Bench:
    """One run: where things are, and how much to do."""

    def __init__(self, setup, corpora, quick):
        self.setup = setup
        self.corpora = corpora
        self.quick = quick

    def pick(self, quick, full):
        """The smaller number in a quick run."""
        return quick if self.quick else full

    def path(self, name):
        """The file of a corpus."""
        return self.corpora[name]["path"]

    def size(self, name):
        """Its length in bytes."""
        return self.corpora[name]["size"]

    def pair(self, kind, load, what=("echo", "sink"), host=None, **options):
        """Start a pair in front of servers of a Load, wait until it works."""
        address = host.address if host else "127.0.0.1"
        targets = {name: load.serve(name, address) for name in what}
        pair = kind(self.setup, targets, **options)
        client = Load(self.setup.build, options.get("near"))
        try:
            client.wait_for(pair.address["echo"])
        except TimeoutError as error:
            log = pair.log()
            pair.close()
            raise RuntimeError(f"{error}; {kind.name} said:\n{log}") \
                from None
        return pair


def cpu_of(bench, kind, corpus, repeats, megabytes, **options):
    """CPU seconds per GB of a pair that carries a corpus: the least of so
    many runs; a busy machine only ever adds to it."""
    count = max(1, round(megabytes * MIB / bench.size(corpus)))
    load = Load(bench.setup.build)
    try:
        with bench.pair(kind, load, **options) as pair:
            seen = []
            for _ in range(repeats):
                before = pair.cpu()
                load.client("send", pair.address["sink"],
                            file=bench.path(corpus), count=count)
                # What is done after the last byte counts too.
                time.sleep(0.2)
                seen.append(pair.cpu() - before)
        return min(seen) * GB / (bench.size(corpus) * count)
    finally:
        load.close()


def row_random_cpu(bench):
    """Random bytes against HAProxy with TLS."""
    repeats, megabytes = bench.pick(2, 5), bench.pick(256, 1024)
    ours = cpu_of(bench, pairs.Compressnet, "random", repeats, megabytes)
    theirs = cpu_of(bench, pairs.HaproxyTls, "random", repeats, megabytes)
    return [Result("random-cpu", "CPU for random bytes / HAProxy with TLS",
                   ours / theirs, "x", 1.5,
                   {"ours_s_per_gb": ours, "haproxy_s_per_gb": theirs})]


def zstd_cpu(path, level, folder):
    """CPU seconds of zstd -LEVEL and of zstd -d, and the coded length."""
    coded = os.path.join(folder, "coded.zst")
    encode = run_timed(["zstd", "-q", "-f", f"-{level}", "-T1", "-o", coded,
                        path])[0]
    decode = run_timed(["sh", "-c", 'zstd -q -d -c "$1" >/dev/null', "sh",
                        coded])[0]
    size = os.path.getsize(coded)
    os.unlink(coded)
    return encode, decode, size


def row_text_cpu(bench):
    """Text at level 1 against zstd itself."""
    repeats = bench.pick(2, 5)
    ours = cpu_of(bench, pairs.Compressnet, "text", repeats,
                  bench.pick(128, 512), level=1)
    runs = [zstd_cpu(bench.path("text"), 1, bench.setup.work)
            for _ in range(repeats)]
    zstd = min(encode + decode for encode, decode, _ in runs) * GB / \
        bench.size("text")
    return [Result("text-cpu", "CPU for text, level 1 / zstd -1 and zstd -d",
                   ours / zstd, "x", 1.5,
                   {"ours_s_per_gb": ours, "zstd_s_per_gb": zstd})]


def round_trips(bench, kind, count, **options):
    """64-byte round trips over an idle pair."""
    load = Load(bench.setup.build)
    try:
        with bench.pair(kind, load, **options) as pair:
            return load.client("rtt", pair.address["echo"], count=count)
    finally:
        load.close()


def row_latency(bench):
    """What the pair adds to a round trip on loopback."""
    count = bench.pick(2000, 20000)
    direct = round_trips(bench, pairs.Pair, count)
    ours = round_trips(bench, pairs.Compressnet, count)
    theirs = round_trips(bench, pairs.HaproxyTls, count)
    detail = {"direct": direct, "ours": ours, "haproxy-tls": theirs}
    return [Result("latency-p50", "64-byte round trip, added, p50",
                   ours["p50_us"] - direct["p50_us"], "us", 150, detail),
            Result("latency-p99", "64-byte round trip, p99",
                   ours["p99_us"], "us", 1000),
            Result("latency-max", "64-byte round trip, longest (no 40 ms "
                   "stall)", ours["max_us"], "us", 39000)]


def wan_bytes_of(bench, kind, corpus, relay, **options):
    """(bytes up, seconds) of one transfer over a relay."""
    load = Load(bench.setup.build)
    try:
        with bench.pair(kind, load, relay=relay, **options) as pair:
            before = pair.wan_bytes()
            sent = load.client("send", pair.address["sink"],
                               file=bench.path(corpus))
            time.sleep(0.3)
            after = pair.wan_bytes()
        return after[0] - before[0], sent["seconds"]
    finally:
        load.close()


def row_wan_bytes(bench):
    """Bytes on the wire, TLS included, against zstd -3 on the file."""
    zstd = zstd_cpu(bench.path("text"), 3, bench.setup.work)[2]
    fixed, _ = wan_bytes_of(bench, pairs.Compressnet, "text", {}, level=3)
    # Where others take the processor it is the bottleneck, and the level goes
    # down: the least of several runs, as with CPU.
    runs = [wan_bytes_of(
        bench, pairs.Compressnet, "text",
        {"rate": "100mbit", "delay": "10ms", "queue": "256KiB"})
        for _ in range(bench.pick(1, 5))]
    adaptive, seconds = min(runs)
    noise, _ = wan_bytes_of(bench, pairs.Compressnet, "random", {})
    detail = {"plain_bytes": bench.size("text"), "zstd_3_bytes": zstd}
    return [
        Result("wan-level-3", "WAN bytes of text, level 3 / zstd -3",
               fixed / zstd, "x", 1.05, detail | {"wan_bytes": fixed}),
        Result("wan-adaptive", "WAN bytes of text, adaptive at 100 Mb/s / "
               "zstd -3", adaptive / zstd, "x", 1.0,
               detail | {"wan_bytes": adaptive, "seconds": seconds,
                         "all_wan_bytes": [each for each, _ in runs],
                         "mbit_per_s": bench.size("text") * 8 / seconds /
                         1e6}),
        Result("wan-random", "WAN bytes of random data, more than its own",
               (noise / bench.size("random") - 1) * 100, "%", 0.2,
               {"wan_bytes": noise, "plain_bytes": bench.size("random")}),
    ]


def has_bbr():
    """Whether the kernel offers it."""
    with open("/proc/sys/net/ipv4/tcp_available_congestion_control") as file:
        return "bbr" in file.read().split()


def under_bulk(bench, kind, **options):
    """Median round trip over an idle link and under one bulk upload."""
    with Wan(rate="10mbit", delay="20ms", queue="64KiB") as wan:
        load, client = Load(bench.setup.build, wan.b), \
            Load(bench.setup.build, wan.a)
        try:
            with bench.pair(kind, load, host=wan.b, near=wan.a, far=wan.b,
                            **options) as pair:
                count = bench.pick(100, 300)
                idle = client.client("rtt", pair.address["echo"],
                                     count=count, gap=10000)
                bulk = subprocess.Popen(
                    client.client_words("send", pair.address["sink"],
                                        file=bench.path("random"), count=4),
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    time.sleep(4)
                    sent = wan.stats()["a_to_b"]["passed_bytes"]
                    began = time.monotonic()
                    busy = client.client("rtt", pair.address["echo"],
                                         count=count, gap=10000)
                    rate = (wan.stats()["a_to_b"]["passed_bytes"] - sent) * \
                        8 / (time.monotonic() - began)
                    assert bulk.poll() is None
                finally:
                    bulk.kill()
                    bulk.wait()
        finally:
            load.close()
    return {"idle": idle, "busy": busy, "link_bit_per_s": rate}


def row_bulk_latency(bench):
    """Round trips beside one bulk upload at 10 Mb/s and 40 ms."""
    options = {"congestion": "bbr"} if has_bbr() else {}
    ours = under_bulk(bench, pairs.Compressnet, **options)
    detail = {"ours": ours, "emulator": "10 Mb/s, 20 ms each way, queue of "
              "64 KiB", "congestion": options.get("congestion", "default")}
    if not pairs.SshC.missing(bench.setup):
        detail["ssh-c"] = under_bulk(bench, pairs.SshC)
    return [Result("bulk-latency", "round trip under one bulk upload / idle",
                   ours["busy"]["p50_us"] / ours["idle"]["p50_us"], "x", 1.5,
                   detail)]


def storm(bench, relay, check=False, options=None, **load_options):
    """Many echo streams at once over a relay; (what they saw, the relay)."""
    load = Load(bench.setup.build)
    try:
        with bench.pair(pairs.Compressnet, load, what=("echo",), relay=relay,
                        **(options or {})) as pair:
            seen = load.client("storm", pair.address["echo"], check=check,
                               **load_options)
            return seen, pair.relays[0].stats()
    finally:
        load.close()


def not_complete(seen):
    """Streams that did not finish byte-exact."""
    return seen["streams"] - seen["complete"]


def row_small_buffer(bench):
    """1,000 echo streams both ways over a link with 10 KiB of buffer."""
    seen, relay = storm(
        bench, {"rate": "50mbit", "delay": "2ms", "queue": "10KiB"},
        streams=1000, bytes=bench.pick(20000, 100000))
    return [Result("small-buffer", "1,000 echo streams over 10 KiB of "
                   "buffer, not complete", not_complete(seen), "streams", 0,
                   {"seen": seen, "relay": relay})]


def row_idle(bench):
    """Memory and CPU of 10,000 idle connections."""
    count = bench.pick(2000, 10000)
    load = Load(bench.setup.build)
    try:
        with bench.pair(pairs.Compressnet, load, what=("echo",)) as pair:
            time.sleep(1)
            sides = {side: process.pid
                     for side, process in pair.daemons.items()}
            before = {side: private_bytes(pid) for side, pid in sides.items()}
            with subprocess.Popen(
                    load.client_words("idle", pair.address["echo"],
                                      count=count),
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    text=True) as client:
                if not client.stdout.readline():
                    raise RuntimeError("the idle connections failed")
                time.sleep(3)
                each = {side: (private_bytes(pid) - before[side]) / count
                        for side, pid in sides.items()}
                cpu, seconds = pair.cpu(), bench.pick(5, 20)
                time.sleep(seconds)
                cpu = (pair.cpu() - cpu) / seconds
                alive = client.communicate("", timeout=120)[0]
    finally:
        load.close()
    return [Result("idle-memory", f"memory of each of {count} idle "
                   "connections, the greater gateway", max(each.values()),
                   "bytes", 4096, {"each": each, "alive": alive.strip()}),
            Result("idle-cpu", f"CPU of both gateways at {count} idle "
                   "connections", cpu * 100, "%", 0.5)]


def row_cuts(bench):
    """Streams under carriers that are cut again and again."""
    seconds = bench.pick(10, 60)
    results = []
    for name, what, relay in (
            ("cuts-20", "20 cuts a second at 2 ms",
             {"delay": "1ms", "cut_every": "50ms", "rate": "100mbit"}),
            ("cuts-1", "1 cut a second at 100 ms",
             {"delay": "50ms", "cut_every": "1s", "rate": "100mbit",
              "queue": "256KiB"})):
        seen, stats = storm(bench, relay, streams=100, seconds=seconds,
                            patience=60, ahead=262144)
        still = 0 if seen["least_bytes"] > 0 else 1
        results.append(Result(
            name, f"100 busy streams, {what}, {seconds} s: not complete or "
            "without progress", not_complete(seen) + still, "streams", 0,
            {"seen": seen, "relay": stats}))
        results.append(Result(
            name + "-pause", f"the same, {what}: longest time that a stream "
            "stood still", seen["longest_pause_us"] / 1e6, "s"))
    return results


def killed(bench, side, is_restarted):
    """kill -9 of one gateway under 50 streams; what the clients saw."""
    load = Load(bench.setup.build)
    try:
        with bench.pair(pairs.Compressnet, load, what=("echo",),
                        resume_window="5s") as pair:
            with subprocess.Popen(
                    load.client_words("storm", pair.address["echo"],
                                      streams=50, seconds=60, patience=20),
                    stdout=subprocess.PIPE, text=True) as client:
                time.sleep(2)
                pair.kill_side(side)
                began = time.monotonic()
                if is_restarted:
                    pair.start_side(side)
                text = client.communicate(timeout=90)[0]
            return text, time.monotonic() - began
    finally:
        load.close()


def row_kill(bench):
    """kill -9 in mid-transfer: resets only, never a clean end."""
    results = []
    for side in ("near", "far"):
        for is_restarted in (True, False):
            text, seconds = killed(bench, side, is_restarted)
            seen = json.loads(text)
            name = f"kill-{side}" + ("-restart" if is_restarted else "")
            results.append(Result(
                name, f"kill -9 of the {side} gateway"
                f"{', restarted' if is_restarted else ''}: clients that did "
                "not see a reset", seen["streams"] - seen["reset"],
                "streams", 0, {"seen": seen, "seconds": seconds}))
    return results


def row_compare(bench):
    """All pairs beside each other."""
    results = []
    for kind in (pairs.Socat, pairs.HaproxyTls, pairs.Stunnel, pairs.Ssh,
                 pairs.SshC, pairs.Compressnet):
        if kind.missing(bench.setup):
            continue
        slow = kind is pairs.SshC
        megabytes = bench.pick(64, 128) if slow else bench.pick(256, 1024)
        detail = {
            "random_s_per_gb": cpu_of(bench, kind, "random", 1, megabytes),
            "text_s_per_gb": cpu_of(bench, kind, "text", 1, megabytes),
            "logs_s_per_gb": cpu_of(bench, kind, "logs", 1, megabytes),
            "rtt": round_trips(bench, kind, bench.pick(1000, 5000)),
        }
        for corpus in ("text", "logs"):
            up, _ = wan_bytes_of(bench, kind, corpus, {})
            detail[corpus + "_wan_share"] = up / bench.size(corpus)
        results.append(Result(
            "compare-" + kind.name, f"{kind.name}: CPU for text",
            detail["text_s_per_gb"], "s/GB", None, detail))
    return results


def row_messages(bench):
    """Wire bytes of small echo messages, both ways together."""
    results = []
    for inflight in (1, 16):
        load = Load(bench.setup.build)
        try:
            with bench.pair(pairs.Compressnet, load, what=("echo",),
                            relay={}) as pair:
                time.sleep(0.5)
                before = sum(pair.wan_bytes())
                count = 2000
                load.client("rtt", pair.address["echo"], count=count,
                            inflight=inflight)
                time.sleep(0.5)
                each = (sum(pair.wan_bytes()) - before) / 2 / (count + 20)
        finally:
            load.close()
        results.append(Result(
            f"message-{inflight}", f"wire bytes of a 64-byte message, one "
            f"way, {inflight} in flight", each, "bytes"))
    return results


ROWS = {
    "random-cpu": row_random_cpu,
    "text-cpu": row_text_cpu,
    "latency": row_latency,
    "wan-bytes": row_wan_bytes,
    "bulk-latency": row_bulk_latency,
    "small-buffer": row_small_buffer,
    "idle": row_idle,
    "cuts": row_cuts,
    "kill": row_kill,
    "messages": row_messages,
    "compare": row_compare,
}

