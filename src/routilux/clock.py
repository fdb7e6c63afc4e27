"""The clock of the machine we run on."""

from __future__ import annotations

import queue
import time
from contextlib import suppress
from typing import Any, TypeVar

from routilux.ports import Clock

Message = TypeVar("Message")


class SystemClock(Clock):
    """Moments are those of `time.perf_counter_ns`."""

    now = staticmethod(time.perf_counter_ns)
    epoch = staticmethod(time.time_ns)

    def wait(self, inbox: queue.SimpleQueue[Any], deadline: int | None, *, idle: bool) -> Any:
        if deadline is None:
            return inbox.get()
        return next_of(inbox, (deadline - self.now()) / 1e9)


def next_of(inbox: queue.SimpleQueue[Message], seconds: float) -> Message | None:
    """The next message of an inbox that nobody else reads, or `None` if none comes in so many seconds.

    Before Python 3.13 a timed `get` of a queue that nobody asked in vain before may wait for ever: it finds the lock
    free, goes round again, and takes a time that is over by then for no limit at all. So it is asked in vain first.
    """
    with suppress(queue.Empty):
        return inbox.get_nowait()
    with suppress(queue.Empty):
        return inbox.get(timeout=max(0.0, seconds))
    return None
