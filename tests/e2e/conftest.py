# SPDX-License-Identifier: Apache-2.0
"""Fixtures: gateways that end with the test, logs shown when it fails."""
import signal

import pytest

from gateways import Kit


def pytest_configure():
    # Told to stop, clean up as after a failure.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for kit in KITS:
            for name, log in kit.logs():
                report.sections.append((name, log))


KITS = []


def new_kit():
    kit = Kit()
    KITS.append(kit)
    return kit


def end_kit(kit):
    died = [(gateway.name, gateway.process.returncode, gateway.log()[-4000:])
            for gateway in kit.died()]
    KITS.remove(kit)
    kit.close()
    for name, code, log in died:
        pytest.fail(f"{name} ended by itself with {code}:\n{log}")


@pytest.fixture
def kit():
    """For gateways of one test."""
    kit = new_kit()
    yield kit
    end_kit(kit)


@pytest.fixture(scope="module")
def module_kit():
    """For gateways that the tests of a file share."""
    kit = new_kit()
    yield kit
    end_kit(kit)
