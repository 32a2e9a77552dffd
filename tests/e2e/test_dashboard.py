# SPDX-License-Identifier: Apache-2.0
"""The dashboard in a real browser, before real gateways with live traffic.

CN_SHOTS=FOLDER makes the pictures of the documentation anew.
"""
import gzip
import json
import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

import ends
from gateways import BUILD, ROOT
from test_serve import Serve

PAGES = ["overview", "services", "streams", "peers", "store", "events",
         "configuration"]
WEB = os.path.join(ROOT, "src/manage/web")
LIMIT = 100_000
EVIL = "<img src=x onerror=window.taken=1><script>window.taken=1</script>"


class Browser:
    """tests/web/browser.mjs; a step is a call."""

    def __init__(self, folder):
        modules = os.path.join(BUILD, "web")
        chromium = shutil.which("chromium")
        assert os.path.isdir(os.path.join(modules, "node_modules")), \
            "run: scripts/web-modules build"
        assert chromium, "the package chromium is missing"
        self.said = open(os.path.join(folder, "stderr"), "w+b")
        self.process = subprocess.Popen(
            ["node", os.path.join(ROOT, "tests/web/browser.mjs"), modules,
             chromium, os.path.join(folder, "profile")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.said, text=True, bufsize=1)

    def __getattr__(self, step):
        def call(*given):
            self.process.stdin.write(json.dumps([step, *given]) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
            if not line:
                self.said.seek(0)
                raise RuntimeError(self.said.read().decode()[-3000:])
            said = json.loads(line)
            if "error" in said:
                raise AssertionError(said["error"])
            return said["value"]
        return call

    def go(self, name):
        self.evaluate(f"location.hash = '#/{name}'")
        self.wait(f"nav a[aria-current][href='#/{name}']")

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.said.close()


class Traffic:
    """Text that goes through the pair until it is stopped."""

    def __init__(self, pair):
        self.listener = ends.listen(pair.target)
        self.pairs = [ends.both_ends(self.listener, pair.port)
                      for _ in range(3)]
        self.is_ended = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        lines = [f"{n:06} GET /index/{n * 7919 % 1000}.html 200\n" * 20
                 for n in range(997)]
        n = 0
        while not self.is_ended:
            for client, server in self.pairs:
                data = "".join(lines[(n + i) % 997]
                               for i in range(n % 17)).encode()
                client.sendall(data)
                ends.receive(server, len(data))
                n += 1
            time.sleep(0.05)

    def close(self):
        self.is_ended = True
        self.thread.join()
        for client, server in self.pairs:
            client.close()
            server.close()
        self.listener.close()


@pytest.fixture(scope="module")
def shown(module_kit, tmp_path_factory):
    pair = module_kit.forward()
    serve = Serve(module_kit, pair.near)
    traffic = Traffic(pair)
    browser = Browser(str(tmp_path_factory.mktemp("browser")))
    try:
        url = f"http://{serve.listen}/"
        browser.open(url)
        browser.wait("text=compressnet dashboard")
        assert browser.axe() == []
        # What it says of 401 is what the test asked for.
        assert all("401" in one for one in browser.errors())
        browser.open("about:blank")
        browser.open(f"{url}#code={serve.code()}")
        browser.wait("#state.good")
        browser.url = url
        yield browser, serve, pair, traffic
    finally:
        browser.close()
        traffic.close()


def width(browser):
    return browser.evaluate("document.documentElement.scrollWidth")


def test_size():
    """All that a browser takes, as it is sent."""
    total = 0
    for name in os.listdir(WEB):
        with open(os.path.join(WEB, name), "rb") as source:
            total += len(gzip.compress(source.read(), 9))
    print(f"{total} bytes gzipped")
    assert 0 < total < LIMIT


def test_pages(shown):
    browser, serve, _, _ = shown
    for scheme in ["light", "dark"]:
        browser.scheme(scheme)
        for name in PAGES:
            browser.go(name)
            time.sleep(0.5)
            found = browser.axe()
            assert found == [], (scheme, name, found)
            browser.size(320, 700)
            assert width(browser) <= 320, name
            browser.size(1200, 900)
    browser.scheme("light")
    assert browser.errors() == []
    assert all(one.startswith(browser.url) or one == "about:blank"
               for one in browser.requests()), browser.requests()


def test_overview(shown):
    browser, _, _, _ = shown
    browser.go("overview")
    browser.wait(".card:has-text('LAN now') .value:has-text('bit/s')")
    assert "%" in browser.text(".card:has-text('Reduction') .value")
    browser.click("summary")
    browser.wait("details table tbody tr")
    assert "bit/s" in browser.text("details tbody tr td:nth-child(2)")
    # One stream of events, however many pages were looked at.
    assert sum(one.endswith("/watch") for one in browser.requests()) == 1


def test_new_connection_and_kill(shown):
    browser, _, pair, traffic = shown
    browser.go("streams")
    browser.wait("tbody tr >> nth=2")
    before = browser.count("tbody tr")
    client, server = ends.both_ends(traffic.listener, pair.port)
    client.sendall(b"x")
    ends.receive(server, 1)
    start = time.monotonic()
    browser.wait(f"tbody tr >> nth={before}", "attached", 10000)
    took = time.monotonic() - start
    print(f"a new connection shows after {took:.2f} s")
    assert took < 2
    name = client.getsockname()
    row = f"tbody tr:has-text('{name[0]}:{name[1]}')"
    browser.click(f"{row} >> text=Kill")
    browser.wait("dialog[open]")
    assert browser.axe() == []
    browser.click("dialog >> text=Cancel")
    browser.wait("dialog[open]", "hidden")
    assert browser.count(row) == 1
    browser.click(f"{row} >> text=Kill")
    browser.click("dialog >> .danger")
    browser.wait(row, "detached")
    assert ends.is_cut(client)
    client.close()
    server.close()


def test_keyboard(shown):
    browser, _, _, _ = shown
    browser.go("streams")
    browser.wait("tbody tr >> nth=2")
    browser.evaluate("document.activeElement.blur()")
    browser.open(browser.url + "#/streams")
    browser.evaluate("location.reload()")
    browser.wait("tbody tr >> nth=2")
    browser.press("Tab")
    assert browser.text(":focus") == "Skip to content"
    browser.press("Enter")
    assert browser.evaluate("document.activeElement.id") == "main"
    for _ in range(20):
        browser.press("Tab")
        if browser.evaluate("document.activeElement.textContent") == "Id":
            break
    style = browser.evaluate(
        "getComputedStyle(document.activeElement).outlineStyle")
    assert style == "solid"

    def ids():
        return browser.evaluate(
            "[...document.querySelectorAll('tbody tr')].map((row) =>"
            " Number(row.children[0].textContent))")
    browser.press("Enter")
    browser.wait("th[aria-sort=ascending]")
    assert ids() == sorted(ids())
    browser.press("Enter")
    browser.wait("th[aria-sort=descending]")
    assert ids() == sorted(ids(), reverse=True) and len(ids()) > 2


def test_names_are_text(shown):
    browser, serve, _, _ = shown
    page = serve.get("/api/v1/streams")
    for field in ["client", "peer", "service", "state", "why"]:
        page["streams"][0][field] = EVIL
    # It cost bytes: shown as such.
    page["streams"][0]["sent"] = dict(page["streams"][0]["sent"],
                                      lan=100, wan=150)
    page["streams"][0]["received"] = dict(page["streams"][0]["received"],
                                          lan=0, wan=0)
    browser.fake("**/api/v1/streams?**", page)
    browser.fake("**/api/v1/events?**", {"events": [
        {"id": 1, "at_us": 1, "level": "warning", "kind": "peer-down",
         "text": EVIL}]})
    browser.go("streams")
    browser.wait("tbody tr:has-text('onerror')")
    assert browser.text("tbody td.negative") == "-50.0 %"
    assert browser.axe() == []
    browser.go("events")
    browser.wait("tbody tr:has-text('onerror')")
    assert browser.count("main img, main script") == 0
    assert browser.evaluate("window.taken ?? null") is None
    browser.real()
    browser.errors()


def test_events(shown):
    """Those that were, and one that happens meanwhile."""
    browser, serve, _, _ = shown
    browser.go("events")
    browser.wait("tbody tr:has-text('started')")
    before = browser.count("tbody tr:has-text('reloaded')")
    assert serve.call("POST", "/api/v1/reload")[0] == 200
    browser.wait(f"tbody tr:has-text('reloaded') >> nth={before}")


def test_configuration(shown):
    browser, _, _, _ = shown
    browser.go("configuration")
    browser.wait("pre:has-text('gateway:')")
    browser.click("text=Reload")
    browser.wait("text=The configuration was read again.")


def take_shots(shown):
    folder = os.environ["CN_SHOTS"]
    browser, _, _, _ = shown
    browser.size(1200, 860)
    browser.go("overview")
    time.sleep(float(os.environ.get("CN_SHOTS_AFTER", "60")))
    browser.evaluate("document.activeElement.blur()")
    browser.shot(os.path.join(folder, "dashboard.png"))
    browser.scheme("dark")
    time.sleep(1)
    browser.shot(os.path.join(folder, "dashboard-dark.png"))
    browser.scheme("light")
    browser.go("streams")
    browser.wait("tbody tr >> nth=2")
    browser.evaluate("document.activeElement.blur()")
    time.sleep(1)
    browser.shot(os.path.join(folder, "dashboard-streams.png"))
    for name in os.listdir(folder):
        if name.endswith(".png"):
            assert os.stat(os.path.join(folder, name)).st_size < 150_000


if "CN_SHOTS" in os.environ:
    test_shots = take_shots


def test_drain(shown):
    browser, _, pair, _ = shown
    browser.go("peers")
    browser.click("text=Drain")
    browser.wait("dialog[open]")
    browser.click("dialog >> .danger")
    browser.wait("td >> text=Resume")
    assert pair.near.peer("far")["is_drained"]
    browser.click("td >> text=Resume")
    browser.wait("td >> text=Drain")
    assert not pair.near.peer("far")["is_drained"]


def test_why(shown):
    browser, _, _, _ = shown
    browser.go("streams")
    browser.click("tbody tr >> nth=0 >> text=Why")
    browser.wait("dialog[open] strong:has-text('%')")
    assert browser.axe() == []
    browser.press("Escape")
    browser.wait("dialog[open]", "hidden")


def test_reader(shown):
    """Who may only look is shown nothing to change."""
    browser, _, _, _ = shown
    browser.fake("**/api/v1/session", {"right": "read"})
    browser.open("about:blank")
    browser.open(browser.url + "#/streams")
    browser.wait("tbody tr >> nth=2")
    assert browser.count("text=Why") > 0
    assert browser.count("text=Kill") == 0
    browser.go("peers")
    browser.wait("tbody tr")
    assert browser.count("button:visible >> text=Drain") == 0
    browser.go("configuration")
    browser.wait("pre:has-text('gateway:')")
    assert browser.count("text=Reload") == 0
    browser.real()
    browser.open("about:blank")
    browser.open(browser.url)
    browser.wait("#state.good")


def test_disconnected(shown):
    """The last of this file: what it shows is gone after it."""
    browser, serve, pair, _ = shown
    browser.go("overview")
    browser.wait(".card:has-text('WAN now') .unit:has-text('bit/s')")
    pair.near.signal(19)  # SIGSTOP: it is there and says nothing
    try:
        browser.wait("#trouble", "visible", 15000)
        assert "disconnected" in browser.text("#state")
        assert browser.axe() == []
    finally:
        pair.near.signal(18)
    browser.wait("#state.good", "visible", 30000)
    serve.close()
    browser.wait("#trouble >> text=Disconnected", "visible", 15000)
    assert "disconnected" in browser.text("#state")
    assert browser.evaluate(
        "document.getElementById('main').classList.contains('stale')")
