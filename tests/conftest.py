"""What all tests rely on, and how hard the properties are tried.

`HYPOTHESIS_PROFILE=deep python -m pytest tests/properties` tries for long.
"""

import faulthandler
import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.leftovers import children, ours
from tests.postgres import Server, running, why_not

settings.register_profile(
    "short", max_examples=200, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", settings.get_profile("short"), max_examples=10)
settings.register_profile("deep", settings.get_profile("short"), max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))

LAST_SECONDS = 60
"""In which a run must have ended once there is nothing more to test."""


def pytest_configure() -> None:
    """A shell has what it starts in the background ignore Ctrl-C, and whatever that starts as well."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """What keeps a run from ending is told, and the run fails; workers wait for one another, and are ended."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        faulthandler.dump_traceback_later(LAST_SECONDS, exit=True, file=sys.__stderr__)


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    """A test with it leaves neither a thread of ours nor a process."""
    before = children()
    yield
    assert ours() == []
    assert children() == before


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server, for the tests that only need one."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with running() as server:
        yield server
