"""A clock that is set by hand."""

from __future__ import annotations

import queue
import threading
from typing import Any

from routilux.ports import Clock


class ManualClock(Clock):
    """Time stands still until somebody moves it.

    A job that can only wait for a moment moves it there itself, so in sequential mode retries with long delays
    take no time: `Flow("f", clock=ManualClock())`. What waits on threads waits for `advance`.
    """

    def __init__(self, *, start: float = 0.0, epoch: float = 1_700_000_000.0) -> None:
        """`start` and `epoch` are seconds: the first moment, and what the wall clock shows then."""
        self._now = int(start * 1e9)
        self._offset = int(epoch * 1e9) - self._now
        self._lock = threading.Lock()
        self._waiting: list[queue.SimpleQueue[Any]] = []

    def now(self) -> int:
        return self._now

    def epoch(self) -> int:
        return self._now + self._offset

    def advance(self, seconds: float) -> None:
        """Moves time on, and wakes those whose moment has come."""
        with self._lock:
            self._now += int(seconds * 1e9)
            for inbox in self._waiting:
                inbox.put(None)

    def wait(self, inbox: queue.SimpleQueue[Any], deadline: int | None, *, idle: bool) -> Any:
        if deadline is not None and idle and inbox.empty():
            self._now = max(self._now, deadline)
            return None
        with self._lock:
            self._waiting.append(inbox)
        try:
            while deadline is None or self._now < deadline:
                message = inbox.get()
                if message is not None:
                    return message
        finally:
            with self._lock:
                self._waiting.remove(inbox)
        return None
