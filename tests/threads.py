"""Which threads are ours: libraries that tests use have some of their own."""

from __future__ import annotations

import threading


def ours() -> list[str]:
    """The names of the threads alive that Routilux started."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("routilux")]


def wait_for_ours(patience: float) -> None:
    """Waits until those have ended, which they do by themselves soon after the last job, so many seconds for each."""
    for thread in threading.enumerate():
        if thread.name in ours():
            thread.join(patience)
    assert ours() == []
