"""The course of one job: its machine, and what is shared by whoever runs the job and whoever watches it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from routilux.facts import Failure, FailureKind, JobStatus, Origin, Record, frames_of, taken_out
from routilux.machine.delivery import Activation
from routilux.machine.machine import Machine
from routilux.permits import Permits

Reader: TypeAlias = Callable[[Sequence[Record], Sequence[Record]], None]
"""Is shown each record once, oldest first, and those that did not simply complete once more by themselves."""

BATCH = 1024
"""How many records may wait to be read."""


class Flag(Protocol):
    """What can be set for somebody who waits."""

    def set(self) -> None:
        """Lets them go on."""


class Latch:
    """Is set once. As `threading.Event`, but ten times cheaper to make, and each job needs one."""

    __slots__ = ("_lock", "_set")

    def __init__(self) -> None:
        self._set = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Lets everybody go on who waits."""
        self._set = True
        self._lock.release()

    def is_set(self) -> bool:
        """Whether it has been set."""
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set, at most `timeout` seconds; says whether it is."""
        if not self._set and self._lock.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            self._lock.release()
        return self._set


class Course:
    """One job under way. Only the thread whose turn it is touches the machine; anyone may look."""

    def __init__(
        self, machine: Machine, permits: Permits, origin: Origin, readers: list[Reader], started_at: int
    ) -> None:
        self.machine = machine
        self.permits = permits
        self.origin = origin
        self.states: dict[str, dict[str, Any]] = {}
        """By routine: what it keeps within this job."""
        self.workers = 1
        """How many handlers run at once, in all modes together; in auto mode it changes."""
        self.started_at = started_at
        self.ended_at: int | None = None
        self.finished = Latch()
        """Set once the job has ended for good and all has been read."""
        self.unread: Flag | None = None
        """Set when something left the flow, or the job ended, for the reader of a stream, if there is one."""
        self.thread: int | None = None
        """The thread that runs a sequential job."""
        self.loop_thread: int | None = None
        """The thread of the event loop that only handlers of this job run on, once there is one."""
        self.when_finished: list[Callable[[Course], None]] = []
        """Also called when it is let go, with `ended_at` still unset."""
        self.let_go_by: BaseException | None = None
        """Why a stored job does not go on here, though it is not over."""
        self.readers = readers
        self._reading = threading.Lock()

    @property
    def status(self) -> JobStatus:
        """Where the job stands; it is over only when `finished` is set."""
        if self.let_go_by is not None:
            return JobStatus.PENDING
        status = self.machine.status
        return JobStatus.RUNNING if status.terminal and self.ended_at is None else status

    def read(self) -> None:
        """Shows the readers what has been recorded since the last time."""
        ledger = self.machine.ledger
        with self._reading:
            records, unusual = taken_out(ledger.records), taken_out(ledger.unusual)
            if records:
                for reader in self.readers:
                    reader(records, unusual)

    def finish(self, moment: int, unclosed: Iterable[tuple[tuple[str, int, int], Exception]]) -> None:
        """The machine is done: everybody who waits is told, once.

        `unclosed` are the generators that raised when they were closed: routine, activation, attempt and error.
        """
        ledger = self.machine.ledger
        for (routine_id, number, attempt), error in unclosed:
            ledger.errors.append(Failure(routine_id, number, attempt, FailureKind.ERROR, error, frames_of(error)))
            ledger.error_count += 1
        self.ended_at = moment
        self._tell()

    def let_go(self, error: BaseException) -> None:
        """The job does not go on here; it stays in its store, to be recovered, and everybody who waits is told."""
        self.let_go_by = error
        self._tell()

    def _tell(self) -> None:
        """Goes on where it was, if it was interrupted before."""
        self.permits.give_all_back()
        self.read()
        while self.when_finished:
            self.when_finished.pop(0)(self)
        if not self.finished.is_set():
            self.finished.set()
        if self.unread is not None:
            self.unread.set()

    def is_over(self, activation: Activation) -> bool:
        """Whether nobody wants the outcome of a running activation any more."""
        running = self.machine.running.get(activation[0])
        return self.machine.end is not None or running is None or running[5] != activation[5]
