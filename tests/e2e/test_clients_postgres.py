# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL through the gateways: dump and restore, backup, replication.

Clusters of our own in the kit's folder; those of the system are not touched.
"""
import glob
import hashlib
import os
import signal
import time

import pytest

import apps
from gateways import HOST, wait_for

SCALE = 3
CATCH_UP_S = 60
SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
fsync = off
shared_buffers = 32MB
max_connections = 40
autovacuum = off
wal_level = replica
wal_keep_size = 256MB
wal_receiver_status_interval = 1s
log_checkpoints = off
"""
MIXED = """
create table mixed (id integer primary key, digest text, words text,
    random bytea, fields jsonb, moment timestamptz);
insert into mixed select i, md5(i::text), repeat('the same ' || i % 7, i % 90),
    decode(replace(gen_random_uuid()::text || gen_random_uuid()::text,
        '-', ''), 'hex'),
    jsonb_build_object('number', i, 'half', i / 2.0, 'name', 'n' || i),
    timestamptz '2024-02-29 12:00:00Z' + i * interval '1 second'
    from generate_series(1, 30000) i;
create index on mixed (digest);
create view odd as select id, words from mixed where id % 2 = 1;
select lo_from_bytea(4711, string_agg(random, '')) from mixed;
"""


def program(name):
    """Of the newest version that is installed."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"),
                     key=lambda path: int(path.split("/")[4]))
    return apps.find(name, *reversed(folders))


class Cluster:
    """A PostgreSQL server of our own."""

    def __init__(self, kit, folder):
        self.kit = kit
        self.folder = folder
        self.port = kit.ports.take()
        self.app = None

    def start(self):
        # SIGQUIT: an immediate end that leaves no shared memory.
        self.app = apps.App(
            self.kit, "postgres",
            [program("postgres"), "-D", self.folder, "-p", str(self.port)],
            end_by=signal.SIGQUIT)
        self.app.wait("answers", lambda: apps.run(
            self.kit, [program("pg_isready"), *at(self.port), "-q"],
            fails=True).returncode == 0, 30)
        return self


def at(port):
    return ["-h", HOST, "-p", str(port), "-U", "owner"]


def query(kit, port, statement, database="bank"):
    """The rows as text; without a trace of psql."""
    return apps.text(kit, [
        program("psql"), *at(port), "-d", database, "-XAtq",
        "-v", "ON_ERROR_STOP=1", "-c", statement]).strip()


def dump(kit, port, database="bank"):
    """Digest of a plain dump, without the one line that is random."""
    said = apps.run(kit, [program("pg_dump"), *at(port), database]).stdout
    lines = [line for line in said.split(b"\n")
             if not line.startswith((b"\\restrict", b"\\unrestrict"))]
    assert len(lines) > SCALE * 100000
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def checksums(kit, port):
    """Table -> rows and a sum over them, whatever their order."""
    tables = query(kit, port, "select tablename from pg_tables where "
                   "schemaname = 'public' order by 1").split()
    assert len(tables) == 5
    return {table: query(
        kit, port, "select count(*), sum(hashtextextended(t::text, 0)) "
        f"from {table} t") for table in tables}


@pytest.fixture(scope="module")
def primary(module_kit):
    kit = module_kit
    cluster = Cluster(kit, os.path.join(kit.folder, "primary"))
    apps.run(kit, [program("initdb"), "-D", cluster.folder, "-U", "owner",
                   "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])
    apps.write(kit, os.path.join(cluster.folder, "postgresql.conf"),
               SETTINGS.format(port=cluster.port), 0o600)
    cluster.start()
    query(kit, cluster.port, "create database bank", "postgres")
    apps.run(kit, [program("pgbench"), *at(cluster.port), "-i", "-q",
                   "-s", str(SCALE), "bank"])
    query(kit, cluster.port, MIXED)
    return cluster


def nothing_left(pair):
    pair.wait_streams(0)
    for gateway in (pair.near, pair.far):
        peer = gateway.ask("peers")["peers"][0]
        assert peer["links"][0]["nacks_sent"] == 0


def test_dump_and_restore(module_kit, primary):
    kit = module_kit
    pair = kit.forward(target=primary.port)
    wanted = dump(kit, primary.port)
    assert dump(kit, pair.port) == wanted

    # Several connections at once, in PostgreSQL's own format.
    archive = os.path.join(kit.folder, "archive")
    apps.run(kit, [program("pg_dump"), *at(pair.port), "-Fd", "-j", "3",
                   "-Z0", "-f", archive, "bank"])
    query(kit, pair.port, "create database restored", "postgres")
    apps.run(kit, [program("pg_restore"), *at(pair.port), "-j", "3",
                   "-d", "restored", archive])
    assert dump(kit, primary.port, "restored") == wanted
    query(kit, primary.port, "drop database restored", "postgres")

    sent = pair.far.ask("status")["sent"]
    assert sent["wan"] < sent["lan"] / 2, sent
    nothing_left(pair)


def test_base_backup(module_kit, primary):
    kit = module_kit
    pair = kit.forward(target=primary.port)
    copy = Cluster(kit, os.path.join(kit.folder, "copy"))
    apps.run(kit, [program("pg_basebackup"), *at(pair.port), "-D",
                   copy.folder, "-X", "stream", "-c", "fast", "--no-sync"])
    apps.run(kit, [program("pg_verifybackup"), "-q", copy.folder])
    nothing_left(pair)
    copy.start()
    assert query(kit, copy.port, "select pg_is_in_recovery()") == "f"
    assert checksums(kit, copy.port) == checksums(kit, primary.port)
    copy.app.close()


def receiver(kit, standby):
    """What of the standby's connection changes when it is made anew."""
    return query(kit, standby.port,
                 "select pid, received_tli from pg_stat_wal_receiver "
                 "where status = 'streaming'")


@pytest.mark.parametrize("faults", [
    pytest.param([], id="calm"),
    pytest.param(["--delay", "5ms", "--cut-every", "1s"], id="cut"),
])
def test_replication(module_kit, primary, faults):
    """A standby follows through the pair; its one connection lives on."""
    kit = module_kit
    pair = kit.forward(target=primary.port, relay=faults)
    standby = Cluster(kit, os.path.join(
        kit.folder, f"standby-{len(faults)}"))
    apps.run(kit, [program("pg_basebackup"), *at(pair.port), "-D",
                   standby.folder, "-X", "stream", "-c", "fast", "-R",
                   "--no-sync"])
    standby.start()
    first = wait_for("the standby streams", lambda: receiver(kit, standby))

    # Half of the load through the pair, too.
    load = [program("pgbench"), "-c", "3", "-n", "-R", "200", "-T", "8"]
    far_load = apps.App(kit, "pgbench", [*load, *at(pair.port), "bank"])
    near_load = apps.text(kit, [*load, *at(primary.port), "bank"])
    far_code = far_load.process.wait(apps.RUN_PATIENCE_S)
    start = time.monotonic()
    assert far_code == 0, far_load.log()
    for said in (near_load, far_load.log()):
        assert "number of failed transactions: 0 " in said, said

    goal = query(kit, primary.port, "select pg_current_wal_lsn()")
    wait_for(f"the standby comes to {goal}", lambda: query(
        kit, standby.port, "select pg_last_wal_replay_lsn() >= "
        f"'{goal}'") == "t", CATCH_UP_S)
    behind_s = time.monotonic() - start
    assert query(kit, standby.port, "select pg_is_in_recovery()") == "t"
    assert checksums(kit, standby.port) == checksums(kit, primary.port)
    resumes = pair.near.peer("far")["resumes"]
    assert receiver(kit, standby) == first, \
        f"streams anew after {resumes} resumes, {behind_s:.1f} s behind"
    if faults:
        assert resumes >= 3, f"{resumes} resumes, {pair.wan.stats()}"
    standby.app.close()
    nothing_left(pair)
