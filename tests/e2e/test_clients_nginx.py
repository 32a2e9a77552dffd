# SPDX-License-Identifier: Apache-2.0
"""nginx behind the gateways, curl before them."""
import json
import os
import random

import pytest

import apps
from gateways import HOST

MIB = 1 << 20
KIB = 1 << 10
BIG = 64 * MIB
MANY = 200
CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile 4096;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    fastcgi_temp_path {folder}/fastcgi;
    proxy_temp_path {folder}/proxy;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    sendfile on;
    keepalive_requests 1000;
    server {{
        listen {host}:{port};
        root {folder}/pages;
        location /up/ {{
            dav_methods PUT DELETE;
            client_max_body_size 1g;
        }}
    }}
}}
"""


class Site:
    """nginx with a folder of pages."""

    def __init__(self, kit):
        self.kit = kit
        self.port = kit.ports.take()
        top = apps.folder(kit, "nginx")
        self.pages = apps.folder(kit, "nginx/pages")
        self.uploads = apps.folder(kit, "nginx/pages/up")
        self.config = apps.write(
            kit, os.path.join(top, "nginx.conf"),
            CONFIG.format(folder=top, host=HOST, port=self.port))
        self.app = apps.App(kit, "nginx", [
            apps.find("nginx"), "-p", top, "-c", self.config,
            "-e", "stderr"]).wait_port(self.port)

    def page(self, name, content):
        return apps.write(self.kit, os.path.join(self.pages, name), content)


@pytest.fixture(scope="module")
def site(module_kit):
    site = Site(module_kit)
    site.big = site.page("big", apps.some_bytes(BIG, 1))
    site.big_digest = apps.digest_of(site.big)
    return site


@pytest.fixture(scope="module")
def pair(module_kit, site):
    return module_kit.forward(target=site.port)


@pytest.fixture(autouse=True)
def nothing_left(pair):
    yield
    pair.wait_streams(0)


def curl(kit, *args, **options):
    """What it prints; -q: no settings of the user."""
    return apps.text(kit, [apps.find("curl"), "-q", "-sS", "--fail",
                           "--noproxy", "*", *args], **options)


def url(port, page):
    return f"http://{HOST}:{port}/{page}"


def test_download(module_kit, site, pair):
    got = {}
    for name, port in (("straight", site.port), ("through", pair.port)):
        path = os.path.join(module_kit.folder, f"big-{name}")
        curl(module_kit, "-o", path, url(port, "big"))
        got[name] = apps.digest_of(path)
    assert got == {"straight": site.big_digest, "through": site.big_digest}
    sent = pair.far.ask("status")["sent"]
    assert sent["wan"] < sent["lan"] * 0.7, sent


def test_part_of_a_page(module_kit, site, pair):
    path = os.path.join(module_kit.folder, "part")
    curl(module_kit, "-r", "1000001-3000000", "-o", path,
         url(pair.port, "big"))
    with open(site.big, "rb") as whole, open(path, "rb") as part:
        whole.seek(1000001)
        assert whole.read(2000000) == part.read()


def test_upload(module_kit, site, pair):
    """With a known length (and "100 Continue"), and in chunks."""
    curl(module_kit, "-T", site.big, url(pair.port, "up/known"))
    curl(module_kit, "-H", "Transfer-Encoding: chunked", "-T", site.big,
         url(pair.port, "up/chunks"))
    for name in ("known", "chunks"):
        path = os.path.join(site.uploads, name)
        assert apps.digest_of(path) == site.big_digest
        curl(module_kit, "-X", "DELETE", url(pair.port, f"up/{name}"))
        assert not os.path.exists(path)


def test_many_at_once(module_kit, site, pair):
    """200 requests, each on a connection of its own."""
    rng = random.Random(2)
    place = apps.folder(module_kit, "many")
    wanted = {}
    lines = ["parallel", f"parallel-max = {MANY}", "parallel-immediate",
             "silent", "show-error", "fail", 'noproxy = "*"',
             'write-out = "%{num_connects} %{http_code}\\n"']
    for number in range(MANY):
        content = apps.some_bytes(rng.randrange(1, 256 * KIB), number)
        page = site.page(f"page{number}", content)
        wanted[str(number)] = apps.digest_of(page)
        lines += [f'url = "{url(pair.port, f"page{number}")}"',
                  f'output = "{place}/{number}"',
                  'header = "Connection: close"']
    before = pair.near.ask("status")["streams_opened"]
    config = apps.write(module_kit, os.path.join(
        module_kit.folder, "many.curl"), "\n".join(lines))
    said = apps.text(module_kit, [apps.find("curl"), "-q", "-K", config])
    opened = pair.near.ask("status")["streams_opened"] - before
    assert {name: apps.digest_of(os.path.join(place, name))
            for name in wanted} == wanted
    assert said.split("\n").count("1 200") == opened == MANY, (said, opened)


def test_keep_alive(module_kit, site, pair):
    """Fifty requests, one connection."""
    site.page("small", b"a page\n" * 100)
    before = pair.near.ask("status")["streams_opened"]
    said = curl(module_kit, "-w", "%{json}\n", "-o", "/dev/null",
                url(pair.port, "small?n=[1-50]"))
    requests = [json.loads(line) for line in said.splitlines()]
    assert [request["http_code"] for request in requests] == [200] * 50
    assert [request["size_download"] for request in requests] == [700] * 50
    assert sum(request["num_connects"] for request in requests) == 1
    assert pair.near.ask("status")["streams_opened"] - before == 1


def test_client_gives_up(module_kit, site, pair):
    """A download that is broken off leaves nothing behind."""
    done = apps.run(module_kit, [
        apps.find("curl"), "-q", "-sS", "--noproxy", "*", "--limit-rate",
        "1M", "--max-time", "1", "-o", "/dev/null", url(pair.port, "big")],
        fails=True)
    assert done.returncode == 28, done.stderr
    pair.wait_streams(0)
