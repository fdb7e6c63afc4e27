"""What happened to a job, as plain values.

A record is a bare tuple: one is made for every attempt of every activation, and a tuple costs a quarter
of any object. Its layout is written here and nowhere else; whoever takes one apart names all its fields in
one line. Moments are nanoseconds of the job's monotonic clock. A record never holds a payload, and so
neither history nor tracker keeps one alive.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from routilux.decision import Decision
from routilux.guard import text_of
from routilux.loading import loaded
from routilux.parcel import opened


class JobStatus(enum.StrEnum):
    """Where a job stands; each member equals its lower-case name. The last three never change again."""

    PENDING = enum.auto()
    RUNNING = enum.auto()
    PAUSED = enum.auto()
    CANCELLING = enum.auto()
    COMPLETED = enum.auto()
    FAILED = enum.auto()
    CANCELLED = enum.auto()

    @property
    def terminal(self) -> bool:
        """Whether the job is over."""
        return self in _TERMINAL


_TERMINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


class ActivationStatus(enum.StrEnum):
    """How one attempt ended.

    `YIELDED`: a generator gave one value and is not done. `RETRIED`: it failed and will be tried again.
    `FAILED`: it failed for good, under Stop or Continue. `SKIPPED`: it failed for good, under Skip.
    `CANCELLED`: it ended after its job was stopped, and what it emitted was dropped.
    """

    COMPLETED = enum.auto()
    YIELDED = enum.auto()
    RETRIED = enum.auto()
    FAILED = enum.auto()
    SKIPPED = enum.auto()
    CANCELLED = enum.auto()


class FailureKind(enum.StrEnum):
    """What kind of failure it was: the handler raised, ran too long, could not be given its input, or was lost.

    `LOST`: the worker that ran it died, more often than the routine's `crash_retries` allow.
    """

    ERROR = enum.auto()
    TIMEOUT = enum.auto()
    INPUT = enum.auto()
    LOST = enum.auto()


class Origin(NamedTuple):
    """The job that a record belongs to, and how its clock relates to the wall clock."""

    job_id: str
    flow_id: str
    epoch_offset_ns: int
    """Add it to a moment of a record to get nanoseconds since the epoch."""


Frame: TypeAlias = tuple[str, int, str]
"""Of one level of a traceback: file, line number, function."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt, as data. The exception's own traceback is kept only for a job's first failure."""

    routine_id: str
    activation_id: int
    attempt: int
    kind: FailureKind
    error: BaseException
    frames: tuple[Frame, ...] = ()
    given: Mapping[str, Any] | None = field(default=None, repr=False)
    """What the handler was given, as it travelled; see `arguments`."""

    @property
    def arguments(self) -> Mapping[str, Any] | None:
        """What the handler was given; only of what leaves by the `error` event."""
        return None if self.given is None else {name: opened(value) for name, value in self.given.items()}

    @property
    def message(self) -> str:
        """The exception's type and text, on one line."""
        text = text_of(self.error)
        name = type(self.error).__name__
        return f"{name}: {text}" if text else name

    def with_arguments(self, arguments: Mapping[str, Any]) -> Failure:
        """The same failure with what the handler was given, as it leaves by the `error` event."""
        return replace(self, given=arguments)

    @property
    def traceback(self) -> str:
        """The traceback as text, with the source lines that can be found now."""
        levels = [(name, line, function, None) for name, line, function in self.frames]
        lines: list[str] = loaded("traceback", "format_list")(levels)
        return "".join(["Traceback (most recent call last):\n", *lines, self.message, "\n"])

    def __str__(self) -> str:
        where = f" at {self.frames[-1][0]}:{self.frames[-1][1]}" if self.frames else ""
        return f"{self.routine_id} (activation {self.activation_id}, attempt {self.attempt}): {self.message}{where}"


_OURS = __file__.rpartition("facts")[0]


def frames_of(error: BaseException) -> tuple[Frame, ...]:
    """The user's levels of an exception's traceback as plain values, which keep no local variable alive."""
    frames = []
    level = error.__traceback__
    while level is not None:
        code = level.tb_frame.f_code
        if not code.co_filename.startswith(_OURS):
            frames.append((code.co_filename, level.tb_lineno, code.co_name))
        level = level.tb_next
    return tuple(frames)


Record: TypeAlias = tuple[
    str,  # job id
    int,  # activation id: the machine's counter, from 1
    str,  # routine id
    int,  # attempt, from 1
    str,  # how it ended: the value of an ActivationStatus
    int,  # cause: id of the activation whose emission completed the inputs; 0 for the entry
    int,  # fired
    int,  # begun
    int,  # ended
    int,  # worker, from 0
    Failure | None,
]
"""One attempt. But for the failure all fields are of types that the garbage collector does not track, so that
it forgets the tuple as well: a hundred thousand records that it had to visit would cost more than they do."""


def taken_out(records: list[Record]) -> list[Record]:
    """What is in a list to which another thread may add meanwhile; it is no longer there."""
    taken = records[:]
    del records[: len(taken)]
    return taken


Emissions: TypeAlias = Sequence[tuple[str, Any]]
"""What an attempt emitted: events and values, in order."""

Statement: TypeAlias = tuple[str, Sequence[tuple[Any, ...] | dict[str, Any]]]
"""SQL that an attempt wants executed with its outcome, and the parameters for each time that it is."""


class Started(NamedTuple):
    """The job begins: the first message of each slot of its entry."""

    moment: int
    messages: Mapping[str, Any]


class Taken(NamedTuple):
    """A driver had room and took what the machine gave it to run."""

    moment: int
    mode: str | None = None
    """The execution mode of the driver; `None`: that of the job."""


class Measured(NamedTuple):
    """What the recording of one attempt adds to its record."""

    cpu_ns: int | None = None
    payload_bytes: int | None = None
    pickle_ns: int | None = None


class Settled(NamedTuple):
    """An attempt ended, or, with `more`, a generator gave one value and can be asked for another."""

    activation_id: int
    attempt: int
    began: int
    ended: int
    worker: int = 0
    emissions: Emissions = ()
    error: BaseException | None = None
    more: bool = False
    frames: tuple[Frame, ...] = ()
    """The levels of the error's traceback, where it comes from another process and has none of its own."""
    asked: int = 1
    """How often a generator was asked for a value, the last time in vain unless there is `more`."""
    stopped: bool = False
    """Whether it was ended, or never begun, because nobody wanted its outcome any more."""
    decision: Decision | None = None
    """What its error strategy says of the error, where it was asked already."""
    measured: Measured | None = None
    """What was measured of it, where its job is recorded."""
    statements: Sequence[Statement] = ()
    """What is to be executed in the transaction that keeps it, where it completes and its job is stored."""
    wrote: int = 0
    """How often something was executed with it: then it has completed, whatever has become of its job meanwhile."""


class Rang(NamedTuple):
    """The moment came for which the machine wanted to be woken."""

    moment: int
    later: Mapping[int, int] | None = None
    """By activation: when its timeout is over, where its attempt waited for its worker and so began later."""
    over: Sequence[tuple[int, int]] | None = None
    """Activations and attempts whose timeouts are over, where that is not left to the machine's timers."""


class Paused(NamedTuple):
    """Somebody asked that nothing more starts for now."""

    moment: int


class Resumed(NamedTuple):
    """Somebody took the pause back."""

    moment: int


class Cancelled(NamedTuple):
    """Somebody asked that the job ends."""

    moment: int
    reason: str


class Begun(NamedTuple):
    """The handler of an attempt is about to run: of a stored job, where that must be known if its process dies."""

    activation_id: int
    attempt: int
    moment: int


class Opened(NamedTuple):
    """A process takes a stored job upon itself: the one that it was submitted to, or another after a crash."""

    moment: int
    epoch_offset_ns: int
    """What to add to this moment, and to those after it, to get nanoseconds since the epoch."""
    fired: int
    """How many activations had fired; any of them may have run when the process before died."""
    structure: bytes = b"null"
    """When it was submitted: what the flow consisted of."""
    request: bytes = b"null"
    """When it was submitted: what with, settings and all."""


class Revived(NamedTuple):
    """Somebody asked that a failed stored job goes on: it is as if what stopped it had been tried again at once."""

    moment: int


class Freed(NamedTuple):
    """A limit that the job waits for was given back, by another job or another routine."""

    moment: int


Happening: TypeAlias = Started | Settled | Rang | Paused | Resumed | Cancelled
"""What happens to a job, and after a crash must happen to its machine again."""

StoredFact: TypeAlias = Happening | Begun | Opened | Revived
"""What is kept of a job in a store."""

Fact: TypeAlias = Happening | Taken | Freed
