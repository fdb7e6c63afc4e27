"""What leaves a job, one by one as it leaves, read inside an event loop."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

from routilux.course import Course
from routilux.facts import Started
from routilux.job import Job
from routilux.loading import loaded
from routilux.modes import ABANDONED, Mode


class AsyncStream(AsyncIterator[Any]):
    """Iterates the values that leave a job; raises at the end what failed it.

    The job runs only so far ahead as its window allows, so a slow reader holds it back. `aclose`, or leaving an
    `async with` block, cancels the job if it is not over.
    """

    def __init__(self, job: Job, course: Course, mode: Mode, first: Started) -> None:
        self.job = job
        self._course = course
        self._mode = mode
        self._first: Started | None = first
        self._unread: Any = None
        self._over = False

    def __aiter__(self) -> AsyncStream:
        return self

    async def __anext__(self) -> Any:
        return (await self.next_pair())[1]

    async def pairs(self) -> AsyncIterator[tuple[str, Any]]:
        """Iterates routine id and value."""
        while True:
            try:
                yield await self.next_pair()
            except StopAsyncIteration:
                return

    async def next_pair(self) -> tuple[str, Any]:
        """Routine id and value of the next result; raises `StopAsyncIteration` after the last."""
        if self._over:
            raise StopAsyncIteration
        if self._first is not None:
            first, self._first = self._first, None
            self._unread = self._course.unread = loaded("routilux.awaited", "LoopFlag")()
            self._mode.begin(first)
        left = self._course.machine.delivery.left
        if not left:
            self._mode.make_room()
        while not left and not self._course.finished.is_set():
            await self._unread.wait()
        if not left:
            self._over = True
            await loaded("routilux.awaited", "close")(self._mode.own_engine)
            self.job.raise_for_status()
            raise StopAsyncIteration
        routine_id, _, value = left.popleft()
        if len(left) == self._course.machine.window // 2:
            self._mode.make_room()
        return routine_id, value

    async def aclose(self) -> None:
        """Cancels the job if it is not over, and waits for the handlers that run."""
        if self._over:
            return
        self._over = True
        self._end()
        await self.job.wait_async()
        await loaded("routilux.awaited", "close")(self._mode.own_engine)

    def _end(self) -> None:
        if self._first is None:
            self._mode.cancel(ABANDONED)
        else:
            self._mode.end_idle()

    def __del__(self) -> None:
        if not (self._over or sys.is_finalizing()):  # where no thread can be waited for any more
            engine = self._mode.own_engine
            if engine is not None:
                self._course.when_finished.append(lambda _: engine.close(wait=False))
            try:
                self._end()
                if engine is not None and self._course.finished.is_set():
                    engine.close(wait=False)
            except RuntimeError:  # the program or the loop ends, and nobody can see to it any more
                self._over = True

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()
