"""The writing side of a store, whatever it writes to: one line of changes, and one that writes at a time.

Whatever came in during the last commit goes into the next, so the more is in flight, the less a change costs, and
nothing waits on purpose. A change that somebody waits for is made by that thread itself where nobody stands in line,
because a change of threads costs more than a commit. What fails for a reason that may pass is tried again until its
grace is over; then the committer is broken, and whatever stands in line behind is refused, so that order holds.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from routilux.errors import StoreBusyError, StoreError, StoreFullError, StoreUnavailableError
from routilux.guard import guarded
from routilux.ports import Clock
from routilux.stores.changes import Addition, Answer, Barrier, Change
from routilux.stores.port import Entry

MOST_AT_ONCE = 256
"""Changes in one commit: beyond that they wait longer, and nothing is gained."""

_ALL = 1 << 60
_FIRST_PAUSE = 5_000_000
_LONGEST_PAUSE = 500_000_000
_MAY_PASS = (StoreFullError, StoreBusyError, StoreUnavailableError)

Told: TypeAlias = Callable[[Any], Callable[[], None] | None]


class _Waiting(NamedTuple):
    """A change in line, and who is told its answer; without a change it only wakes the committer up."""

    change: Change | None
    told: Told | None


class Committer:
    """Has changes written, from any thread."""

    def __init__(
        self,
        commit: Callable[[Sequence[Change]], list[Answer]],
        tend: Callable[[int], int | None],
        clock: Clock,
        grace_seconds: float,
    ) -> None:
        """`commit` writes all or nothing, and when called again with the same list finds out whether it had.

        `tend` is called with the moment after commits, and says when it wants to be called again.
        Both are called by one thread at a time.
        """
        self._commit = commit
        self._tend = tend
        self._clock = clock
        self._grace = int(grace_seconds * 1e9)
        self._writing = threading.Lock()
        self._counting = threading.Lock()
        self._line: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._accepted = 0
        self._answered = 0
        self._due: int | None = None
        self._last: Change | None = None
        """What came into the line last, if it may still be there."""
        self._closed = False
        self._ended = False
        self._broken: StoreError | None = None
        self._thread = threading.Thread(target=self._run, name="routilux-store", daemon=True)
        self._thread.start()

    def accept(self, change: Change, told: Told | None = None) -> None:
        """Puts a change in line; `told` is given its answer, or the error it failed with."""
        with self._counting:
            if self._ended or (self._closed and threading.current_thread() is not self._thread):
                raise StoreError("The store is closed.")
            self._accepted += 1
            self._last = change
            self._line.put(_Waiting(change, told))

    def join(self, entries: list[Entry], entry: Entry) -> bool:
        """Adds an entry to those of the addition that stands last in line; says whether they do."""
        with self._counting:
            last = self._last
            fits = isinstance(last, Addition) and last.entries is entries and len(entries) < MOST_AT_ONCE
            if fits:
                entries.append(entry)
            return fits

    def make(self, change: Change, *, patient: bool = True) -> Answer:
        """Makes a change and whatever stands before it in line; only a patient one waits until a trouble has passed."""
        if self._accepted != self._answered or self._closed:
            answer = self._wait_in_line(change)
        else:
            with self._writing:
                answer = self._make_here([change], patient)
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def flush(self) -> None:
        """Returns when all that was accepted has been answered."""
        if self._accepted != self._answered:
            self.make(Barrier())
        if self._broken is not None:
            raise self._broken

    def close(self) -> None:
        """Accepts no more, and returns when all that was accepted has been answered."""
        with self._counting:
            self._closed = True
            self._line.put(_Waiting(None, None))
        self._thread.join()

    def _wait_in_line(self, change: Change) -> Answer:
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self.accept(change, answers.put)
        try:
            return answers.get()
        except (KeyboardInterrupt, SystemExit):
            answers.get()
            raise

    def _make_here(self, changes: Sequence[Change], patient: bool) -> Answer:
        try:
            (answer,) = self._committed(changes, patient)
        except (KeyboardInterrupt, SystemExit):
            self._committed(changes, patient)
            raise
        self._look_after()
        return answer

    def _committed(self, changes: Sequence[Change], patient: bool) -> list[Answer]:
        if self._broken is not None:
            raise self._broken
        until, pause = None, _FIRST_PAUSE
        while True:
            try:
                return self._commit(changes)
            except _MAY_PASS as error:
                now = self._clock.now()
                until = now + self._grace if until is None else until
                if not patient:
                    raise
                if now >= until:
                    self._broken = error
                    raise
                self._clock.wait(queue.SimpleQueue(), min(until, now + pause), idle=False)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except StoreError as error:
                self._broken = error
                raise

    def _look_after(self) -> None:
        before = self._due
        try:
            self._due = self._tend(self._clock.now())
        except _MAY_PASS:
            self._due = self._clock.now() + _LONGEST_PAUSE
        except StoreError as error:
            self._broken, self._due = error, None
        if before is None and self._due is not None and threading.current_thread() is not self._thread:
            self._line.put(_Waiting(None, None))

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        finally:
            with self._counting:
                self._closed = self._ended = True
            ended = self._broken or StoreError("Nothing more is written, because who was told of a commit raised.")
            batch = self._present(_ALL)
            self._answer(batch, [ended] * len(batch))

    def _turn(self) -> bool:
        batch = self._batch(self._due)
        if changes := [waiting.change for waiting in batch if waiting.change is not None]:
            with self._writing:
                try:
                    answers = self._committed(changes, patient=True)
                except StoreError as error:
                    answers = [error] * len(changes)
            raised = self._answer([waiting for waiting in batch if waiting.change is not None], answers)
            if raised is not None:
                raise raised
        with self._writing:
            self._look_after()
        return not (self._closed and self._line.empty())

    def _batch(self, until: int | None) -> list[_Waiting]:
        """Who stands in line; waits for the first, if need be."""
        first = self._clock.wait(self._line, until, idle=False)
        batch = [] if first is None else [first, *self._present(MOST_AT_ONCE - 1)]
        with self._counting:
            self._last = None
        return batch

    def _present(self, most: int) -> list[_Waiting]:
        batch: list[_Waiting] = []
        with suppress(queue.Empty):
            while len(batch) < most:
                # A clock may leave a `None` in the line, to wake who waits.
                if (waiting := self._line.get_nowait()) is not None:
                    batch.append(waiting)
        return batch

    def _answer(self, batch: Sequence[_Waiting], answers: Sequence[Answer]) -> Exception | None:
        raised: Exception | None = None
        afterwards: dict[Callable[[], None], None] = {}
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.told is not None:
                after, error = guarded(waiting.told, answer)
                raised = raised or error
                if after is not None:
                    afterwards[after] = None
        for after in afterwards:
            _, error = guarded(after)
            raised = raised or error
        self._answered += sum(waiting.change is not None for waiting in batch)
        return raised
