"""What leaves a job, one by one as it leaves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from routilux.course import Course
from routilux.facts import Started
from routilux.job import Job
from routilux.modes import Mode


class Stream(Iterator[Any]):
    """Iterates the values that leave a job; raises at the end what failed it.

    The job runs only so far ahead as its window allows, so a slow reader holds it back. `close`, or leaving a
    `with` block, cancels the job if it is not over; so does Ctrl-C while it waits for the next.
    """

    def __init__(self, job: Job, course: Course, mode: Mode, first: Started) -> None:
        self.job = job
        self._course = course
        self._mode = mode
        self._first: Started | None = first
        self._over = False

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Any:
        return self.next_pair()[1]

    def pairs(self) -> Iterator[tuple[str, Any]]:
        """Iterates routine id and value."""
        while True:
            try:
                yield self.next_pair()
            except StopIteration:
                return

    def next_pair(self) -> tuple[str, Any]:
        """Routine id and value of the next result; raises `StopIteration` after the last."""
        if self._over:
            raise StopIteration
        left = self._course.machine.delivery.left
        if self._first is not None or not left:
            self._advance()
        if not left:
            self._over = True
            self.job.wait()
            self.job.raise_for_status()
            raise StopIteration
        routine_id, _, value = left.popleft()
        if len(left) == self._course.machine.window // 2:
            self._mode.make_room()
        return routine_id, value

    def _advance(self) -> None:
        """Waits until there is something to take, or the job is over."""
        try:
            if self._first is not None:
                first, self._first = self._first, None
                if not self._course.finished.is_set():
                    self._mode.start_stream(first)
            if not self._course.machine.delivery.left:
                self._mode.advance_stream()
        except KeyboardInterrupt:
            self._end()
            raise

    def close(self) -> None:
        """Cancels the job if it is not over, and waits for the handlers that run."""
        if not self._over:
            self._end()
            self.job.wait()
        self._over = True

    def _end(self) -> None:
        if self._first is None:
            self._mode.end_stream()
        else:
            self._mode.end_idle()

    def __del__(self) -> None:
        if not (self._over or sys.is_finalizing()):  # where no thread can be waited for any more
            try:
                self._end()
            except RuntimeError:  # the program ends, and no thread can be started that would see to it
                self._over = True

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
