"""Which threads are ours: libraries that tests use have some of their own."""

from __future__ import annotations

import threading


def ours() -> list[str]:
    """The names of the threads alive that Routilux started."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("routilux")]
