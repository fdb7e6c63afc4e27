"""The moments for which a machine wants to be woken."""

from __future__ import annotations

import enum
import heapq
from collections.abc import Callable
from typing import Any


class Alarm(enum.Enum):
    """Why the machine wants to be woken."""

    RETRY = enum.auto()
    TIMEOUT = enum.auto()
    BATCH = enum.auto()
    LIMIT = enum.auto()
    JOB = enum.auto()


class Timers:
    """A heap of moments. A timer whose reason has gone is not removed but found stale when it is due."""

    __slots__ = ("_crowded", "heap", "_sequence", "retries")

    def __init__(self) -> None:
        self.heap: list[tuple[int, int, Alarm, Any]] = []
        self._sequence = 0
        self._crowded = 256
        self.retries = 0
        """How many of them are for another attempt, so that the job is not over."""

    def __bool__(self) -> bool:
        return bool(self.heap)

    def set(self, due: int, alarm: Alarm, subject: Any) -> None:
        """Adds a timer; equal moments ring in the order in which they were set."""
        self._sequence += 1
        self.retries += alarm is Alarm.RETRY
        heapq.heappush(self.heap, (due, self._sequence, alarm, subject))

    @property
    def next_due(self) -> int | None:
        """The earliest moment."""
        return self.heap[0][0] if self.heap else None

    def due(self, moment: int) -> list[tuple[Alarm, Any]]:
        """Takes out what is due at `moment`, earliest first."""
        rung = []
        while self.heap and self.heap[0][0] <= moment:
            _, _, alarm, subject = heapq.heappop(self.heap)
            self.retries -= alarm is Alarm.RETRY
            rung.append((alarm, subject))
        return rung

    def timeouts(self, moment: int) -> list[Any]:
        """The activations whose timeouts are due at `moment`."""
        return [one[3] for one in self.heap if one[2] is Alarm.TIMEOUT and one[0] <= moment]

    def pending_retries(self) -> list[tuple[int, Any]]:
        """The moments of the coming attempts, with their activations."""
        return [(due, subject) for due, _, alarm, subject in list(self.heap) if alarm is Alarm.RETRY]

    def drop_stale(self, is_live: Callable[[Alarm, Any], bool]) -> None:
        """Forgets timers whose reason has gone, each time the heap has doubled."""
        if len(self.heap) > self._crowded:
            self.heap[:] = [one for one in self.heap if is_live(one[2], one[3])]
            heapq.heapify(self.heap)
            self._crowded = max(256, 2 * len(self.heap))

    def clear(self, kept: Alarm) -> None:
        """Forgets all but those of one kind, which is not for another attempt."""
        self.heap[:] = [one for one in self.heap if one[2] is kept]
        heapq.heapify(self.heap)
        self.retries = 0
