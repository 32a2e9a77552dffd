# SPDX-License-Identifier: Apache-2.0
"""The leak probe: what do lengths on the WAN tell of other people's bytes?

A victim's connection carries a secret, one of some candidates that are all
known.  An attacker has another connection through the same gateways, over
which he sends each candidate, and sees how many bytes cross the WAN for it
(at the relay between the gateways), nothing else.  He takes the cheapest one
for the secret.

Inside one scope he must be right, else this test is broken.  Between two
scopes he must be as good as chance.  The same figures are asked of both: of
TRIALS secrets he is to guess at least so many, and to have at least so many
among his best sixteenth, that chance does it with a probability below
CHANCE.  There are nine looks at separate scopes with two figures each, so a
false alarm has a probability below 18 * CHANCE < 1e-6.
"""
import math
import random
import socket
import string
import time

import pytest

import ends
from gateways import HOST

TRIALS = 8
CHANCE = 5e-8
SECRET_BYTES = 32
ACKNOWLEDGED_S = 0.1
VICTIM, ATTACKER = "127.0.0.1", "127.0.0.2"
LETTERS = string.ascii_letters + string.digits


def tail(p, least):
    """Probability of at least so many hits in all trials."""
    return sum(math.comb(TRIALS, k) * p ** k * (1 - p) ** (TRIALS - k)
               for k in range(least, TRIALS + 1))


def least_hits(p):
    """So many hits are no chance."""
    return next(k for k in range(TRIALS + 1) if tail(p, k) < CHANCE)


class Line:
    """A connection through the gateways; its ends by direction."""

    def __init__(self, listener, port, source):
        self.client = socket.socket()
        self.client.settimeout(ends.PATIENCE_S)
        self.client.bind((source, 0))
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client.connect((HOST, port))
        self.server = ends.accept(listener)
        self.server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def carry(self, is_up, data):
        """Send it and see it arrive."""
        source, drain = ((self.client, self.server) if is_up
                         else (self.server, self.client))
        if len(data) > 16384:
            sender = ends.Sender(source, data, shut=False)
            assert ends.receive(drain, len(data)) == data
            sender.join()
        else:
            source.sendall(data)
            assert ends.receive(drain, len(data)) == data

    def close(self):
        self.client.close()
        self.server.close()


class Scene:
    """Gateways, the line of the victim, the line of the attacker."""

    def __init__(self, kit, services, ports_of, sources):
        target = kit.ports.take()
        ports = {name: kit.ports.take() for name in services}
        self.pair = kit.pair(
            {name: {"listen": f"{HOST}:{ports[name]}", "offer": "all", **keys}
             for name, keys in services.items()},
            {"all": f"{HOST}:{target}"}, relay=[],
            store={"memory": "128MiB"})
        self.listener = ends.listen(target)
        self.victim, self.attacker = (
            Line(self.listener, ports[name], source)
            for name, source in zip(ports_of, sources))

    def cost(self, is_up, data):
        """WAN bytes while the attacker's bytes go through."""
        field = "up_in" if is_up else "down_in"
        before = self.pair.wan.stats()[field]
        self.attacker.carry(is_up, data)
        return self.pair.wan.stats()[field] - before

    def close(self):
        self.victim.close()
        self.attacker.close()
        self.listener.close()


SHARED = {"service": ({"one": {}}, ("one", "one"), (VICTIM, ATTACKER)),
          "group": ({"one": {"group": "all"}, "two": {"group": "all"}},
                    ("one", "two"), (VICTIM, VICTIM))}
APART = {"client": ({"one": {"scope": "client"}}, ("one", "one"),
                    (VICTIM, ATTACKER)),
         "connection": ({"one": {"scope": "connection"}}, ("one", "one"),
                        (VICTIM, VICTIM)),
         "services": ({"one": {}, "two": {}}, ("one", "two"),
                      (VICTIM, VICTIM))}


def some_secret(rng):
    return "".join(rng.choices(LETTERS, k=SECRET_BYTES)).encode()


class Messages:
    """The secret in a small message: the history of the lane tells."""

    candidates = 256

    def __init__(self, rng):
        self.secrets = [some_secret(rng) for _ in range(self.candidates)]

    def of(self, index):
        return b"GET / HTTP/1.1\r\nCookie: session=%s\r\n\r\n" % (
            self.secrets[index])


class Files:
    """One of some files: the store tells."""

    candidates = 64

    def __init__(self, rng):
        self.files = [rng.randbytes(48 << 10) for _ in range(self.candidates)]

    def of(self, index):
        return self.files[index]


class Forms:
    """A file that is known but for a secret in its middle."""

    candidates = 64

    def __init__(self, rng):
        words = [some_secret(rng)[:rng.randrange(3, 10)] for _ in range(999)]
        form = b" ".join(rng.choices(words, k=6000))
        self.form = form[:20000], form[20000:]
        self.secrets = [some_secret(rng) for _ in range(self.candidates)]

    def of(self, index):
        return self.secrets[index].join(self.form)


def attack(scene, kind):
    """Trials by turns in both directions: guesses, good guesses."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    right = near = 0
    for trial in range(TRIALS):
        is_up = trial % 2 == 0
        known = kind(rng)
        secret = rng.randrange(kind.candidates)
        scene.victim.carry(is_up, known.of(secret))
        # What was stored is referred to once it is acknowledged.
        time.sleep(ACKNOWLEDGED_S)
        order = list(range(kind.candidates))
        rng.shuffle(order)
        costs = [(scene.cost(is_up, known.of(index)), rng.random(), index)
                 for index in order]
        rank = [index for _, _, index in sorted(costs)].index(secret)
        right += rank == 0
        near += rank < kind.candidates // 16
        print(trial, "rank", rank, "cost", dict(
            (index, cost) for cost, _, index in costs)[secret],
            "others", sorted(cost for cost, _, _ in costs)[::16])
    scene.close()
    return right, near


def limits(kind):
    return least_hits(1 / kind.candidates), least_hits(1 / 16)


KINDS = [Messages, Files, Forms]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("scope", SHARED)
def test_shared_scopes_leak(kit, scope, kind):
    """Else the probe could not find anything in the others."""
    right, near = attack(Scene(kit, *SHARED[scope]), kind)
    least_right, least_near = limits(kind)
    assert right >= least_right and near >= least_near, (right, near)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("scope", APART)
def test_other_scopes_do_not(kit, scope, kind):
    right, near = attack(Scene(kit, *APART[scope]), kind)
    least_right, least_near = limits(kind)
    assert right < least_right and near < least_near, (right, near)
