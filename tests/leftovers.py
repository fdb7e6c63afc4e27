"""What a test must not leave behind: threads and processes of ours; libraries that tests use have some of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def ours() -> list[str]:
    """The names of the threads alive that Routilux started."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("routilux")]


def wait_for_ours(patience: float) -> None:
    """Waits until those have ended, which they do by themselves soon after the last job, so many seconds for each."""
    for thread in threading.enumerate():
        if thread.name in ours():
            thread.join(patience)
    assert ours() == []


@contextmanager
def nothing_left() -> Iterator[None]:
    """Whatever runs inside leaves no process, thread or open file behind; what was there before may end meanwhile."""
    processes, threads, files = children(), threading.enumerate(), open_files()
    yield
    assert set(children()) <= set(processes)
    assert set(threading.enumerate()) <= set(threads)
    assert open_files() <= files


def open_files() -> int:
    """How many files and sockets this process has open; 0 where the system does not tell."""
    listed = Path("/proc/self/fd")
    return len(list(listed.iterdir())) if listed.exists() else 0


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


def workers() -> list[int]:
    """Those of them that are workers of ours; libraries that other tests use have processes that stay."""
    return [child for child in children() if b"routilux.drivers.processes" in _command(child)]


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""
