"""What tests of drivers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from routilux.clock import SystemClock
from routilux.drivers.processes.driver import ProcessDriver
from tests.drivers.host import Collector
from tests.effects import Effects
from tests.leftovers import nothing_left


@pytest.fixture
def effects(tmp_path: Path) -> Effects:
    """An empty list of effects."""
    return Effects(tmp_path / "effects")


@pytest.fixture
def processes() -> Iterator[Callable[..., Collector]]:
    """Makes hosts with drivers of so many workers, and sees to it that nothing is left of them."""
    hosts = []

    def make(workers: int = 2) -> Collector:
        host = Collector()
        host.driver = ProcessDriver(host, SystemClock(), workers, "test")
        hosts.append(host)
        return host

    with nothing_left():
        yield make
        for host in hosts:
            host.driver.close()
            host.outcomes.clear()
