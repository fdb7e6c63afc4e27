"""What tests of drivers share."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from routilux.clock import SystemClock
from routilux.drivers.processes.driver import ProcessDriver
from tests.drivers.host import Collector


class Effects:
    """What handlers have done, in whatever process: one line each, which is written at once."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __call__(self, what: object) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{what}\n".encode())
        os.close(file)

    def all(self) -> list[str]:
        """The lines so far."""
        return Path(self._path).read_text().splitlines() if Path(self._path).exists() else []


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


def children() -> list[int]:
    """The processes that this one has started and that are still there; empty where the system does not tell.

    Without the one that `multiprocessing` keeps for itself, once other tests have needed it.
    """
    found: set[int] = set()
    for entry in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(map(int, entry.read_text().split()))
        except FileNotFoundError:
            continue  # the thread has ended meanwhile
    return sorted(child for child in found if b"resource_tracker" not in _command(child))


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def workers() -> list[int]:
    """Those of them that are workers of ours; libraries that other tests use have processes that stay."""
    return [pid for pid in children() if "routilux.drivers.processes" in _command_of(pid)]


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
