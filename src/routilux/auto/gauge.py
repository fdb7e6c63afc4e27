"""The gauge: which routines' attempts of one job have ended since somebody last looked, and how long they ran."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from routilux.course import Course
from routilux.facts import Record
from routilux.tuning.yardstick import Runs


class Gauge:
    """Reads the records of one job as long as somebody wants to know."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._found: dict[str, Runs] = {}
        self._lock = threading.Lock()
        self.reads = True
        course.read()
        course.readers.append(self.absorb)

    def absorb(self, records: Sequence[Record], unusual: Sequence[Record]) -> None:
        """Takes records in."""
        if not self.reads:
            return
        with self._lock:
            found = self._found
            for _, _, routine_id, _, _, _, _, began, ended, _, _ in records:
                count, seconds = found.get(routine_id, (0, 0.0))
                found[routine_id] = Runs(count + 1, seconds + (ended - began) / 1e9)

    def take(self) -> dict[str, Runs]:
        """By routine, what has ended since the last time."""
        self._course.read()
        with self._lock:
            found, self._found = self._found, {}
        return found
