# SPDX-License-Identifier: Apache-2.0
"""One file for who helps: `compressnet support-bundle'."""
import base64
import glob
import json
import os
import pathlib
import stat
import subprocess
import tarfile

SECRET = "hunter2-planted"
HEX = "5ec2e7" * 11


def unpack(path):
    with tarfile.open(path) as tar:
        return {os.path.basename(member.name):
                tar.extractfile(member).read().decode()
                for member in tar if member.isfile()}


def place(kit, gateway):
    """A folder where the user of the gateway may write."""
    folder = os.path.join(gateway.folder, "bundles")
    os.mkdir(folder)
    kit.give(folder)
    return folder


def make(kit, gateway, path, *args, code=0):
    done = kit.compressnet("support-bundle", str(path), "--socket",
                           gateway.socket, *args)
    assert done.returncode == code, done
    return done


def test_running(kit):
    pair = kit.forward()
    folder = place(kit, pair.near)
    path = pathlib.Path(folder) / "support.tar.gz"
    make(kit, pair.near, path)
    mode = os.stat(path)
    assert stat.S_IMODE(mode.st_mode) == 0o600
    files = unpack(path)
    for name in ("status", "peers", "services", "streams", "store",
                 "events", "gateway-version"):
        json.loads(files[name + ".json"])
    assert json.loads(files["status.json"])["gateway"]["name"] == "near"
    assert "near" in files["config.yaml"]
    assert "no errors" in files["config-check.txt"]
    assert "Max open files" in files["limits.txt"]
    assert "tcp_congestion_control = " in files["sysctl.txt"]
    port = f":{pair.port:04X} "
    assert port in files["listening.txt"]
    # Only those that listen.
    assert all(" 0A " in line
               for line in files["listening.txt"].splitlines()[1:])
    listed = {line.split()[0] for line in
              files["manifest.txt"].splitlines()}
    assert listed >= set(files) - {"manifest.txt"}
    # Nothing is replaced unasked, nothing is left behind.
    before = path.read_bytes()
    done = make(kit, pair.near, path, code=1)
    assert "--force" in done.stderr
    assert path.read_bytes() == before
    make(kit, pair.near, path, "--force")
    assert os.listdir(folder) == ["support.tar.gz"]


def test_no_secrets(kit):
    """What was planted wherever a user might put it is not in it."""
    pair = kit.forward()
    folder = place(kit, pair.near)
    with open(os.path.join(pair.near.folder, "identity.key"),
              encoding="ascii") as key:
        pem = key.read()
    body = "".join(line for line in pem.splitlines() if "-----" not in line)
    raw = base64.b64decode(body)[-32:]
    # Where the gateway itself tells them: its configuration, its store.
    good = json.loads(json.dumps(pair.near.config))
    good["store"] = {"path": os.path.join(pair.near.folder, HEX,
                                          "password=" + SECRET)}
    pair.near.write(good)
    pair.near.may_end = True
    pair.near.process.terminate()
    pair.near.process.wait(20)
    pair.near.start()
    told = kit.compressnet("store", "--socket", pair.near.socket).stdout
    assert SECRET in told or HEX in told
    # A file with secrets in wrong places; the gateway has refused it.
    config = json.loads(json.dumps(pair.near.config))
    config["token"] = SECRET
    config["gateway"]["password"] = SECRET
    config["log"]["level"] = f"http://user:{SECRET}@host"
    config["store"] = {"key": HEX}
    pair.near.write(config)
    kit.compressnet("config", "reload", "--socket", pair.near.socket)
    with open(os.path.join(pair.near.folder, "carry.key"), "w",
              encoding="ascii") as carry:
        carry.write(HEX)
    path = pathlib.Path(folder) / "support.tar.gz"
    make(kit, pair.near, path)
    files = unpack(path)
    assert "reload-refused" in files["events.json"]
    assert "error" in files["config-check.txt"]
    for name, text in files.items():
        for secret in (SECRET, HEX, body, raw.hex(),
                       base64.b64encode(raw).decode(), "PRIVATE KEY"):
            assert secret not in text, name


def test_without_a_gateway(kit):
    pair = kit.forward()
    folder = place(kit, pair.near)
    pair.near.may_end = True
    pair.near.process.terminate()
    pair.near.process.wait(20)
    path = pathlib.Path(folder) / "support.tar.gz"
    make(kit, pair.near, path, "--config", pair.near.config_file)
    files = unpack(path)
    assert "status.json" not in files
    assert "no gateway answered" in files["manifest.txt"]
    assert "no errors" in files["config-check.txt"]
    assert files["kernel.txt"]


def test_failures(kit):
    pair = kit.forward()
    folder = place(kit, pair.near)
    make(kit, pair.near, pathlib.Path(folder) / "no" / "such.tar.gz", code=1)
    # Without tar.
    before = set(glob.glob("/tmp/compressnet-bundle-*"))
    done = subprocess.run(
        [kit.program("src/manage/compressnet"), "support-bundle",
         str(pathlib.Path(folder) / "x.tar.gz"), "--socket", pair.near.socket],
        env={"PATH": "/nonexistent"}, capture_output=True, text=True,
        check=False)
    assert done.returncode == 1 and "tar" in done.stderr
    assert not os.listdir(folder)
    assert set(glob.glob("/tmp/compressnet-bundle-*")) == before
