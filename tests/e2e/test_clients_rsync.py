# SPDX-License-Identifier: Apache-2.0
"""An rsync daemon behind the gateways: trees there and back."""
import os
import random
import shutil

import pytest

import apps
from gateways import HOST

MIB = 1 << 20
TREE_BYTES = 32 * MIB
HEADERS = "/usr/include"
CONFIG = """
use chroot = no
pid file = {folder}/rsyncd.pid
lock file = {folder}/rsyncd.lock
[straight]
    path = {folder}/straight
    read only = no
[through]
    path = {folder}/through
    read only = no
"""


def some_headers(kit):
    """A copy of the machine's headers; of many, the first 32 MiB."""
    top = apps.folder(kit, "headers")
    room = TREE_BYTES
    for place, folders, files in os.walk(HEADERS):
        folders.sort()
        there = os.path.join(top, os.path.relpath(place, HEADERS))
        os.makedirs(there, exist_ok=True)
        for name in sorted(files):
            source = os.path.join(place, name)
            shutil.copy2(source, os.path.join(there, name),
                         follow_symlinks=os.path.exists(source))
            room -= os.lstat(source).st_size
        if room < 0:
            break
    if kit.user is not None:
        for place, _, files in os.walk(top):
            for path in [place] + [os.path.join(place, name)
                                   for name in files]:
                os.chown(path, kit.user.pw_uid, kit.user.pw_gid,
                         follow_symlinks=False)
    return top


@pytest.fixture
def daemon(kit):
    """Its port."""
    port = kit.ports.take()
    for module in ("straight", "through"):
        apps.folder(kit, module)
    config = apps.write(kit, os.path.join(kit.folder, "rsyncd.conf"),
                        CONFIG.format(folder=kit.folder))
    apps.App(kit, "rsync", [
        apps.find("rsync"), "--daemon", "--no-detach", f"--config={config}",
        f"--address={HOST}", f"--port={port}"]).wait_port(port)
    return port


def rsync(kit, *args):
    return apps.text(kit, [apps.find("rsync"), "-a", *args])


def change(top):
    """Here and there a few bytes, a new file, files that go."""
    rng = random.Random(1)
    paths = sorted(path for path, what in apps.tree_of(top).items()
                   if what[0] == "file")
    for path in rng.sample(paths, 60):
        with open(os.path.join(top, path), "r+b") as file:
            content = file.read()
            place = rng.randrange(len(content) + 1)
            file.seek(0)
            file.write(content[:place] + b"/* new */" + content[place:])
    for path in rng.sample(paths, 20):
        os.unlink(os.path.join(top, path))
    with open(os.path.join(top, "new"), "wb") as out:
        out.write(rng.randbytes(MIB))


def test_tree(kit, daemon):
    pair = kit.forward(target=daemon)
    source = some_headers(kit)
    wanted = apps.tree_of(source)
    assert len(wanted) > 300

    # There, straight and through the pair.
    through = f"rsync://{HOST}:{pair.port}/through/"
    rsync(kit, f"{source}/", f"rsync://{HOST}:{daemon}/straight/")
    rsync(kit, f"{source}/", through)
    uploaded = os.path.join(kit.folder, "through")
    assert apps.differences(wanted, apps.tree_of(uploaded)) == []
    assert apps.differences(
        apps.tree_of(os.path.join(kit.folder, "straight")),
        apps.tree_of(uploaded)) == []
    sent = pair.near.ask("status")["sent"]
    assert sent["wan"] < sent["lan"] / 3, sent

    # rsync itself finds nothing to do: by content, by time.
    said = rsync(kit, "--checksum", "--dry-run", "--itemize-changes",
                 f"{source}/", through)
    assert said == ""
    said = rsync(kit, "--stats", f"{source}/", through)
    assert "Number of regular files transferred: 0\n" in said

    # A second run after changes sends what changed.
    change(source)
    rsync(kit, "--checksum", "--delete", f"{source}/", through)
    wanted = apps.tree_of(source)
    assert apps.differences(wanted, apps.tree_of(uploaded)) == []

    # And back, twice.
    back = apps.folder(kit, "back")
    rsync(kit, through, f"{back}/")
    assert apps.differences(wanted, apps.tree_of(back)) == []
    said = rsync(kit, "--checksum", "--stats", through, f"{back}/")
    assert "Number of regular files transferred: 0\n" in said
    pair.wait_streams(0)


def test_two_at_once_over_cuts(kit, daemon):
    """Up and down at the same time while carriers die."""
    pair = kit.forward(target=daemon, relay=[
        "--delay", "2ms", "--cut-every", "500ms", "--rate", "100mbit"])
    up = apps.folder(kit, "up")
    down = os.path.join(kit.folder, "straight")
    for place, seed in ((up, 1), (down, 2)):
        for number in range(8):
            apps.write(kit, os.path.join(place, str(number)),
                       apps.some_bytes(3 * MIB, 10 * seed + number))
    upload = apps.App(kit, "upload", [
        apps.find("rsync"), "-a", f"{up}/",
        f"rsync://{HOST}:{pair.port}/through/"])
    back = apps.folder(kit, "back")
    rsync(kit, f"rsync://{HOST}:{pair.port}/straight/", f"{back}/")
    assert upload.process.wait(apps.RUN_PATIENCE_S) == 0, upload.log()
    assert apps.differences(apps.tree_of(down), apps.tree_of(back)) == []
    assert apps.differences(apps.tree_of(up), apps.tree_of(
        os.path.join(kit.folder, "through"))) == []
    resumes = pair.near.peer("far")["resumes"]
    assert resumes >= 1, pair.wan.stats()
    pair.wait_streams(0)
