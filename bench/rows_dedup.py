# SPDX-License-Identifier: Apache-2.0
"""The rows of dedup and the store: what crossed the WAN before.

In each the bytes that count are those of the direction of the data, as
cn-wanrelay between the gateways counts them: all that TCP carries, TLS
included.  The other direction (acknowledgements, replies) is apart, in the
details.  The row relay-counts proves the relay first.
"""
import json
import os
import shutil
import subprocess
import tempfile
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


def releases(bench):
    """The corpora of these rows."""
    return Releases(os.path.join(bench.setup.build, "bench", "corpus"),
                    bench.quick)


class Course:
    """A pair over a relay, and measured transfers through it."""

    def __init__(self, bench, serve=None, relay=None, **options):
        self.load = Load(bench.setup.build)
        self.pair = None
        options.setdefault("relay", {} if relay is None else relay)
        try:
            # A sink may have a file to give.
            self.pair = bench.pair(Gateways, self.load, serve=serve,
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

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pair.close()
        self.load.close()
