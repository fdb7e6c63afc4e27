"""What tests of drivers share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from routilux.clock import SystemClock
from routilux.drivers.processes.driver import ProcessDriver
from tests.drivers.host import Collector
from tests.effects import Effects
from tests.leftovers import workers


@pytest.fixture
def effects(tmp_path: Path) -> Effects:
    """An empty list of effects."""
    return Effects(tmp_path / "effects")


@pytest.fixture
def processes() -> Iterator[Callable[..., Collector]]:
    """Makes hosts with drivers of so many workers, and sees to it that nothing is left of them."""
    hosts = []
    threads, files = threading.active_count(), _open_files()

    def make(workers: int = 2) -> Collector:
        host = Collector()
        host.driver = ProcessDriver(host, SystemClock(), workers, "test")
        hosts.append(host)
        return host

    yield make
    for host in hosts:
        host.driver.close()
        host.outcomes.clear()
    assert threading.active_count() == threads
    assert workers() == []
    assert _open_files() == files


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
