"""Whose turn it is among many jobs that each have a thread while they run: so many at once, the oldest next.

A job that can only wait - for a retry, for whoever paused it - lets the next have its turn. When it goes on it does so
at once, so that no job waits for one that waits for nothing but time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable


class Turns:
    """Those of the recovered jobs of one store. Any thread may call it."""

    def __init__(self) -> None:
        self.most = 1
        """How many run at once."""
        self._changing = threading.Lock()
        self._running = 0
        self._waiting: dict[Hashable, Callable[[], None]] = {}

    def wait_for(self, job: Hashable, begin: Callable[[], None]) -> None:
        """Has a job begin when its turn comes, which may be now; `begin` returns at once."""
        with self._changing:
            self._waiting[job] = begin
        self._pass_on()

    def waits(self, job: Hashable) -> bool:
        """Whether its turn has not come."""
        return job in self._waiting

    def withdraw(self, job: Hashable) -> bool:
        """Takes a job out of the line; says whether it was in it, so that nobody else will have it begin."""
        with self._changing:
            return self._waiting.pop(job, None) is not None

    def leave(self) -> None:
        """A job whose turn it was is over, or can only wait."""
        with self._changing:
            self._running -= 1
        self._pass_on()

    def go_on(self) -> None:
        """A job that had left goes on."""
        with self._changing:
            self._running += 1

    def _pass_on(self) -> None:
        while (begin := self._next()) is not None:
            begin()

    def _next(self) -> Callable[[], None] | None:
        with self._changing:
            if not self._waiting or self._running >= self.most:
                return None
            self._running += 1
            return self._waiting.pop(next(iter(self._waiting)))
