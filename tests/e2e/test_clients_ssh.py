# SPDX-License-Identifier: Apache-2.0
"""ssh inside a stream: bytes that do not compress, both ways.

sshd logs in whoever runs the tests: it runs as that user, on loopback, with
keys of its own, and lets nothing else in.
"""
import getpass
import os
import random
import shutil
import tempfile

import pytest

import apps
from gateways import HOST

MIB = 1 << 20
SIZE = 32 * MIB
PRIVSEP = "/run/sshd"
CONFIG = """
ListenAddress {host}:{port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/user.pub
AuthenticationMethods publickey
PermitRootLogin prohibit-password
PermitUserRC no
PermitUserEnvironment no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
StrictModes no
PrintMotd no
PrintLastLog no
AllowTcpForwarding no
X11Forwarding no
Compression no
MaxStartups 20
"""


class Shell:
    """An sshd and what a client needs to use it."""

    def __init__(self, kit, top):
        self.kit = kit
        self.top = top
        self.port = kit.ports.take()
        for name in ("host", "user"):
            apps.run(kit, [apps.find("ssh-keygen"), "-q", "-t", "ed25519",
                           "-N", "", "-C", "", "-f", self.path(name)],
                     as_us=True)
        self.file("config", CONFIG.format(host=HOST, port=self.port,
                                          folder=top))
        with open(self.path("host.pub"), encoding="ascii") as host:
            self.file("known", "server " + host.read())
        self.app = apps.App(kit, "sshd", [
            apps.find("sshd"), "-D", "-e", "-f", self.path("config")],
            as_us=True).wait_port(self.port)

    def path(self, name):
        return os.path.join(self.top, name)

    def file(self, name, content):
        with open(self.path(name), "w", encoding="ascii") as out:
            out.write(content)

    def ssh(self, port, command, **options):
        """Run a command there; what it prints, as bytes."""
        return apps.run(self.kit, [
            apps.find("ssh"), "-F", "/dev/null", "-T", "-p", str(port),
            "-i", self.path("user"), "-o", "IdentitiesOnly=yes",
            "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
            "-o", "HostKeyAlias=server", "-o", "LogLevel=ERROR",
            "-o", f"UserKnownHostsFile={self.path('known')}",
            "-o", "GlobalKnownHostsFile=/dev/null",
            "-o", "StrictHostKeyChecking=yes",
            f"{getpass.getuser()}@{HOST}", command],
            as_us=True, cwd=self.top, **options).stdout


@pytest.fixture
def shell(kit):
    # Of the one who logs in, not of the user that gateways run as.
    top = tempfile.mkdtemp(prefix="cn-e2e-ssh-", dir="/tmp")
    made = os.geteuid() == 0 and not os.path.isdir(PRIVSEP)
    if made:
        os.mkdir(PRIVSEP, 0o755)
    try:
        yield Shell(kit, top)
    finally:
        kit.clear()
        shutil.rmtree(top, ignore_errors=True)
        if made:
            os.rmdir(PRIVSEP)


def test_bytes_both_ways(kit, shell):
    data = random.Random(1).randbytes(SIZE)
    pair = kit.forward(target=shell.port)
    for name, port in (("straight", shell.port), ("through", pair.port)):
        there = shell.path(name)
        shell.ssh(port, f"cat > {there}", input=data)
        with open(there, "rb") as copy:
            assert copy.read() == data
        assert shell.ssh(port, f"cat {there}") == data
    # Nothing to gain, and little lost: it goes raw.
    for gateway in (pair.near, pair.far):
        sent = gateway.ask("status")["sent"]
        assert sent["lan"] >= SIZE
        assert sent["raw"] >= 0.95 * sent["lan"], sent
        assert sent["wan"] <= 1.01 * sent["lan"], sent
    pair.wait_streams(0)


def test_exit_and_half_close(kit, shell):
    """The end of the input, the exit status, and many small messages."""
    pair = kit.forward(target=shell.port)
    said = shell.ssh(pair.port, "wc -l", input=b"line\n" * 1000)
    assert said.split() == [b"1000"]
    with pytest.raises(RuntimeError, match="ended with 7"):
        shell.ssh(pair.port, "exit 7")
    said = shell.ssh(pair.port, "for i in $(seq 300); do read x; "
                     "echo got $x; done",
                     input=b"".join(b"%d\n" % i for i in range(300)))
    assert said == b"".join(b"got %d\n" % i for i in range(300))
    pair.wait_streams(0)
