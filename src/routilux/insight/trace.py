"""A trace: one recorded job, as plain values. Every question of this floor is asked of one.

Moments are nanoseconds of the job's clock, as in a record. Emissions become visible when an attempt settles, so
nothing is written down of where within an attempt something was emitted: a generator has one attempt here for
each value it gave, and what a value caused was fired when that attempt ended.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from routilux.execution_mode import ExecutionMode
from routilux.facts import ActivationStatus, JobStatus, Measured, Record


class ThreadState(enum.StrEnum):
    """What a worker was doing in the middle of a handler when somebody looked."""

    PYTHON = enum.auto()
    """It ran and held the GIL."""
    NATIVE = enum.auto()
    """It ran without the GIL."""
    GIL = enum.auto()
    """It waited for the GIL."""
    CORE = enum.auto()
    """It could have run, and all cores were busy."""
    LOCK = enum.auto()
    """It waited for a lock, a queue or another thread."""
    NET = enum.auto()
    FILE = enum.auto()
    SLEEP = enum.auto()
    CHILD = enum.auto()
    """It waited for a child process."""
    OTHER = enum.auto()
    """It was in a system call of which nothing more is known."""
    MISSED = enum.auto()
    """Nobody knows: its handler had ended before it could be looked at."""

    @property
    def runs(self) -> bool:
        """Whether it used a processor."""
        return self in (ThreadState.PYTHON, ThreadState.NATIVE)

    @property
    def waits(self) -> bool:
        """Whether it waited for something that more processors or interpreters would not have given it sooner."""
        return not self.runs and self not in (ThreadState.GIL, ThreadState.CORE, ThreadState.MISSED)


class Attempt(NamedTuple):
    """One attempt of an activation, or one value that a generator gave."""

    activation_id: int
    routine_id: str
    attempt: int
    status: ActivationStatus
    causes: tuple[int, ...]
    """The activations whose emissions it was handed, several for a join; none for the entry."""
    fired: int
    begun: int
    ended: int
    worker: int
    cpu_ns: int | None = None
    """What its thread's CPU clock counted."""
    payload_bytes: int | None = None
    """The size of its arguments, pickled."""
    pickle_ns: int | None = None
    """How long it took to pickle them and back."""
    error: str | None = None
    """The type and text of what it raised, on one line."""

    @property
    def run_time(self) -> float:
        """Seconds from begun to ended."""
        return (self.ended - self.begun) / 1e9

    @property
    def queue_wait(self) -> float:
        """Seconds from fired to begun."""
        return max(0, self.begun - self.fired) / 1e9


class Observed(NamedTuple):
    """What was seen of a routine as a whole."""

    mode: ExecutionMode | None = None
    """That of its handlers; `None`: the job's."""
    gil_share: float | None = None
    """How much of its CPU time it held the GIL."""
    states: Mapping[ThreadState, float] = {}
    """How often its handlers were found in each state; empty where nobody looked."""
    limits: tuple[str, ...] = ()
    """The limits that an activation of it takes, by name."""
    collects: tuple[str, ...] = ()
    """The routines all of whose values it collects, until nothing else of the job can run."""
    gathers: str | None = None
    """The routine whose fan-outs it waits for, until all of one has settled."""

    @property
    def looks(self) -> float:
        """How often somebody looked and saw something."""
        return sum(self.states.values()) - self.missed

    @property
    def missed(self) -> float:
        """How often somebody looked too late."""
        return self.states.get(ThreadState.MISSED, 0.0)

    @property
    def reliable(self) -> bool:
        """Whether most looks came in time: what is seen later is mostly what takes long."""
        return self.missed <= self.looks

    def share_of(self, state: ThreadState) -> float:
        """The share of one state in all looks."""
        return self.states.get(state, 0.0) / self.looks if self.looks else 0.0


UNSEEN = Observed()


class Host(NamedTuple):
    """Where a job ran."""

    cores: int
    python: str = ""
    platform: str = ""
    gil: bool = True
    """Whether the interpreter has a GIL that is on."""
    switch_interval: float = 0.005
    """Seconds after which a thread that waits for the GIL makes its holder let go."""


UNMEASURED = Measured()


class Trace(NamedTuple):
    """One recorded job."""

    flow_id: str
    mode: ExecutionMode
    workers: int
    """How many handlers could run at once, in all modes together."""
    start: int
    end: int
    host: Host
    attempts: tuple[Attempt, ...]
    """In the order in which they began; what an attempt comes from stands before it."""
    job_id: str = ""
    routines: Mapping[str, Observed] = {}
    workers_by_mode: Mapping[ExecutionMode, int] = {}
    """Of a job with several modes."""
    limits: Mapping[str, int] = {}
    """How many activations may hold each limit at once."""
    pauses: tuple[tuple[int, int], ...] = ()
    """From when to when the job was paused."""
    streamed: bool = False
    """Whether a reader took what left the flow while the job ran, and could hold it back."""
    foreign_load: float | None = None
    """How many cores other processes used meanwhile; `None`: it is not known."""
    engine: str = ""
    """The version of Routilux that recorded it."""
    status: JobStatus | None = None
    """How the job ended; `None`: it is not known."""
    epoch_offset_ns: int | None = None
    """Add it to a moment to get nanoseconds since the epoch; `None`: it is not known."""

    @property
    def wall_time(self) -> float:
        """Seconds from start to end."""
        return (self.end - self.start) / 1e9

    @property
    def cores(self) -> float:
        """How many cores the job could have had: what other processes used was not there for it."""
        return cores_left(self.host.cores, self.foreign_load)

    def observed(self, routine_id: str) -> Observed:
        """What was seen of a routine, which may be nothing."""
        return self.routines.get(routine_id, UNSEEN)

    def mode_of(self, routine_id: str) -> ExecutionMode:
        """Where the handlers of a routine ran."""
        return self.observed(routine_id).mode or self.mode


def cores_left(cores: int, foreign_load: float | None) -> float:
    """How many cores others left; at least half of one, which a job that seldom computes always gets."""
    return max(0.5, cores - (foreign_load or 0.0))


def attempts_of(
    records: Iterable[Record],
    measured: Mapping[tuple[int, int, int], Measured] | None = None,
    contributors: Mapping[int, tuple[int, ...]] | None = None,
) -> tuple[Attempt, ...]:
    """The attempts of one job's records, which are given in the order of settling.

    `measured` is by activation id, attempt and the moment at which it began. `contributors` are the causes of
    activations that have several; a record has only the one that came last.
    """
    measured, contributors = measured or {}, contributors or {}
    attempts = []
    for _, number, routine_id, attempt, status, cause, fired, begun, ended, worker, failure in records:
        causes = contributors.get(number) or ((cause,) if cause else ())
        extra = measured.get((number, attempt, begun), UNMEASURED)
        how = ActivationStatus(status)
        error = None if failure is None else failure.message
        attempts.append(Attempt(number, routine_id, attempt, how, causes, fired, begun, ended, worker, *extra, error))
    # Nothing settles before what it comes from, so a stable sort keeps those apart that began at one moment.
    return tuple(sorted(attempts, key=lambda one: one.begun))
