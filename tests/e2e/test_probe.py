# SPDX-License-Identifier: Apache-2.0
"""Testing the set-up and the path to a peer: `compressnet doctor', `probe'
and `verify'."""
import json

import pytest

import ends
from gateways import wait_for

OK, FAILED, USAGE, CONFIG, UNREACHABLE, FINDINGS, NOT_ALLOWED = range(7)
STORES = {"near": {"store": {"memory": "64MiB"}},
          "far": {"store": {"memory": "64MiB"}}}


def call(gateway, *args, code=OK):
    done = gateway.kit.compressnet(
        *args, "--socket", gateway.socket)
    assert code is None or done.returncode == code, done
    return done


def test_probe(kit):
    pair = kit.forward()
    said = json.loads(call(pair.near, "probe", "far", "--seconds", "1",
                           "--json").stdout)
    assert said["peer"] == "far" and said["carriers"] >= 1
    trip = said["round_trip"]
    assert 0 < trip["p50_us"] <= trip["p99_us"] <= trip["max_us"]
    for way in ("sent_raw", "received_raw", "sent_text"):
        assert said[way]["lan"] >= 65536 and said[way]["lan_bps"] > 0
    # What cannot be compressed is not; what can be is.
    for way in ("sent_raw", "received_raw"):
        assert 1.0 <= said[way]["wan"] / said[way]["lan"] < 1.01
    assert said["sent_text"]["wan"] < said["sent_text"]["lan"] / 2
    text = call(pair.near, "probe", "far", "-t", "1").stdout
    assert "round trip of streams" in text and "received, raw" in text


def test_verify(kit):
    pair = kit.forward(**STORES)
    said = json.loads(call(pair.near, "verify", "far", "--size", "3MiB",
                           "--json").stdout)
    assert said["wrong"] == 0 and said["broken"] == 0
    assert said["ledgers"] == len(said["streams"]) == 8
    for stream in said["streams"]:
        small = stream["kind"] == "small"
        size = (3 << 20) // 64 if small else 3 << 20
        assert stream["sent"] == stream["returned"] == size, stream
        assert stream["exact"] and stream["verdict"] == "exact"
        # Those that are stored are references the second time, both ways.
        stored = stream["kind"] in ("text", "mixed")
        if stream["pass"] == 2:
            assert (stream["copied"] > 1.8 * size) == stored, stream
        if not stored:
            assert stream["copied"] == 0
    text = call(pair.near, "verify", "far", "--size", "100kB").stdout
    assert " 0 wrong, 0 broken" in text and "WRONG" not in text


def test_what_gateways_have_is_seen_as_no_service(kit):
    pair = kit.forward()
    call(pair.near, "verify", "far", "--size", "10kB")
    names = [service["name"] for gateway in (pair.near, pair.far)
             for kind in ("services", "offers")
             for service in gateway.ask("status")[kind]]
    assert names and not [name for name in names if name.startswith("/")]


@pytest.mark.parametrize("command", ["probe", "verify"])
def test_a_peer_that_is_not_there(kit, command):
    pair = kit.forward()
    assert "no peer" in call(pair.near, command, "nobody",
                             code=FAILED).stderr
    pair.far.stop()
    done = call(pair.near, command, "far", code=FAILED)
    assert done.stderr.startswith("error: ") and done.stdout == ""


# ---- doctor ----


def doctor(gateway, *args, code):
    """Its findings by subject."""
    done = call(gateway, "doctor", "--json", "-c", gateway.config_file, *args,
                code=code)
    said = json.loads(done.stdout)
    checks = {check["subject"]: check for check in said["checks"]}
    for check in checks.values():
        assert check["evidence"]
        assert (check["fix"] is None) == (check["result"] == "ok")
    assert len(said["checks"]) == (
        said["ok"] + said["warnings"] + said["failed"])
    return checks


def results(checks, *names):
    return [checks[name]["result"] for name in names]


def test_doctor_finds_nothing_where_nothing_is_wrong(kit):
    pair = kit.forward()
    with ends.listen(pair.target):
        for gateway, peer in ((pair.near, "far"), (pair.far, "near")):
            checks = doctor(gateway, peer, code=OK)
            assert results(checks, f"peer {peer}") == ["ok"]
        # The host of the test may have small buffers.
        near = doctor(pair.near, code=None)
        far = doctor(pair.far, code=None)
    assert results(near, "configuration", "key", "gateway", "store",
                   "memory", "peer far", "service echo") == ["ok"] * 7
    assert results(far, "peer near", "offer echo") == ["ok"] * 2


def test_doctor_sees_a_target_that_refuses(kit):
    pair = kit.forward()
    check = doctor(pair.far, code=FINDINGS)["offer echo"]
    assert check["result"] == "failed" and "refused" in check["evidence"]
    assert str(pair.target) in check["evidence"]
    text = call(pair.far, "doctor", "near", code=FINDINGS).stdout
    assert "[FAIL] offer echo" in text and "\n       -> start" in text


def test_doctor_says_how_far_the_way_to_a_peer_goes(kit):
    pair = kit.forward()
    pair.far.stop()
    wait_for("the peer is missed",
             lambda: pair.near.peer("far")["state"] != "up")
    check = doctor(pair.near, code=FINDINGS)["peer far"]
    assert check["result"] == "failed" and "refused" in check["evidence"]


def test_doctor_without_a_gateway(kit):
    pair = kit.forward(start=False)
    checks = doctor(pair.near, code=FINDINGS)
    assert results(checks, "configuration", "gateway") == ["ok", "failed"]
    assert "start compressnetd" in checks["gateway"]["fix"]


def test_doctor_of_a_peer_that_is_not_there(kit):
    pair = kit.forward()
    assert "no peer" in call(pair.near, "doctor", "nobody",
                             code=FAILED).stderr
