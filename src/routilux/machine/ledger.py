"""The ledger of one job: a record for each attempt, and the failures that no retry mended."""

from __future__ import annotations

from collections import deque

from routilux.errors import HandlerInputError, HandlerTimeoutError, UnsendableError, WorkerLostError
from routilux.facts import ActivationStatus, Failure, FailureKind, Frame, Measured, Origin, Record, Settled, frames_of
from routilux.machine.delivery import Activation


class Recorded:
    """What is written down of a recorded job beside its records."""

    __slots__ = ("contributors", "measured", "pauses")

    def __init__(self) -> None:
        self.measured: dict[tuple[int, int, int], Measured] = {}
        """By activation, attempt and the moment at which it began."""
        self.contributors: dict[int, tuple[int, ...]] = {}
        """By activation: all whose emissions it was handed, where these are several."""
        self.pauses: list[int] = []
        """When the job was paused and went on, in turn."""


class Ledger:
    """What is written down of a job while it runs; readers take `records` out in batches."""

    __slots__ = ("error_count", "errors", "late", "origin", "recorded", "records", "unusual")

    def __init__(self, origin: Origin, max_errors: int | None) -> None:
        self.origin = origin
        self.records: list[Record] = []
        """In the order of settling."""
        self.unusual: list[Record] = []
        """Those of them that did not simply complete, so that nobody has to look for them."""
        self.errors: deque[Failure] = deque(maxlen=max_errors)
        """The last failures that were final."""
        self.error_count = 0
        self.late = 0
        """How many outcomes came after their attempt had timed out."""
        self.recorded: Recorded | None = None
        """Of a job that is recorded."""

    def add(
        self,
        activation: Activation,
        status: ActivationStatus,
        began: int,
        ended: int,
        worker: int,
        failure: Failure | None = None,
    ) -> None:
        """Writes down how one attempt ended; a failure that is not tried again counts as an error of the job."""
        number, station, _, cause, fired, attempt, _ = activation
        who = self.origin.job_id, number, station.routine_id, attempt
        record = (*who, status.value, cause, fired, began, ended, worker, failure)
        self.records.append(record)
        if status is not ActivationStatus.COMPLETED:
            self.unusual.append(record)
        if failure is not None and status is not ActivationStatus.RETRIED:
            self.error_count += 1
            self.errors.append(failure)

    def measure(self, fact: Settled, measured: Measured) -> None:
        """Writes down what was measured of an attempt of a recorded job, in as many parts as `add_asked` makes."""
        if self.recorded is not None:
            share = (fact.ended - fact.began) // fact.asked
            part = measured._replace(cpu_ns=None if measured.cpu_ns is None else measured.cpu_ns // fact.asked)
            for one in range(fact.asked):
                self.recorded.measured[fact.activation_id, fact.attempt, fact.began + one * share] = part

    def note_pause(self, moment: int, *, paused: bool) -> None:
        """Writes down that a recorded job is paused now, or goes on."""
        if self.recorded is not None and len(self.recorded.pauses) % 2 != paused:
            self.recorded.pauses.append(moment)

    def add_asked(self, activation: Activation, began: int, ended: int, worker: int, values: int) -> int:
        """Writes down the values that a generator gave before its last answer, as if all had taken the same time.

        Gives when the last answer began.
        """
        number, station, arguments, cause, fired, attempt, place = activation
        share = (ended - began) // (values + 1)
        for _ in range(values):
            one = number, station, arguments, cause, fired, attempt, place
            self.add(one, ActivationStatus.YIELDED, began, began + share, worker)
            began = fired = began + share
        return began

    def discard(self, activation: Activation, error: BaseException | None, began: int, ended: int, worker: int) -> None:
        """Writes down an attempt that ended after its job was stopped: nothing follows from it."""
        if error is None:
            self.add(activation, ActivationStatus.CANCELLED, began, ended, worker)
        else:
            self.add(activation, ActivationStatus.FAILED, began, ended, worker, failure_of(activation, error))
            without_traceback(error)


def failure_of(activation: Activation, error: BaseException, frames: tuple[Frame, ...] = ()) -> Failure:
    """A failed attempt as data; `frames` are those of an error that was raised in another process."""
    kind = FailureKind.ERROR
    if isinstance(error, HandlerTimeoutError):
        kind = FailureKind.TIMEOUT
    elif isinstance(error, (HandlerInputError, UnsendableError)):
        kind = FailureKind.INPUT
    elif isinstance(error, WorkerLostError):
        kind = FailureKind.LOST
    return Failure(activation[1].routine_id, activation[0], activation[5], kind, error, frames or frames_of(error))


def without_traceback(error: BaseException | None) -> None:
    """Takes the tracebacks off an exception that is kept: their frames hold every local variable of the handler."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
